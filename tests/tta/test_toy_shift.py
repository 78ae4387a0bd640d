"""A classifier trained on one colour style, tested on another: alignment brings it back."""

import pytest
import torch
from torch import nn

from styleaug import StyleBank
from styleaug.tta import StyleTTA

CLASSES = 4


def _domain(count, *, tint, gain, seed):
    """Images of four patterns, whose contrast and tint depend on the domain alone."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (count,), generator=generator)
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    phase = 6.28 * torch.rand(count, 1, 1, generator=generator)
    patterns = torch.stack(
        [rows / 2, columns / 2, (rows + columns) / 3, torch.hypot(rows - 16, columns - 16) / 2]
    )
    waves = torch.sin(patterns[labels] + phase)[:, None]
    stains = torch.tensor([[1.0, 0.3, 0.6], [0.4, 1.0, 0.3], [0.7, 0.7, 1.0], [1.0, 0.8, 0.2]])
    amount = stains[labels][:, :, None, None]  # the colour tells the class, too, in its own lab
    noise = 0.1 * torch.randn(count, 3, 32, 32, generator=generator)
    images = torch.tensor(tint).view(3, 1, 1) + gain * (0.15 * waves * amount + noise)
    return images.clamp(0.0, 1.0), labels


def _train(images, labels):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 16, 5, stride=2), nn.ReLU(), nn.Conv2d(16, 24, 5, stride=2), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, CLASSES),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for step in range(200):
        rows = torch.arange(step * 32, step * 32 + 32) % len(images)
        loss = nn.functional.cross_entropy(model(images[rows]), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def _accuracy(model, images, labels):
    with torch.no_grad():
        return (model(images).argmax(1) == labels).float().mean().item()


@pytest.mark.parametrize("select", ["random", "nearest"])
def test_alignment_recovers_at_least_half_of_the_lost_accuracy(select):
    train = _domain(640, tint=(0.6, 0.45, 0.5), gain=1.0, seed=0)
    same = _domain(200, tint=(0.6, 0.45, 0.5), gain=1.0, seed=1)
    other = _domain(200, tint=(0.2, 0.3, 0.75), gain=0.4, seed=2)
    model = _train(*train)
    home, away = _accuracy(model, *same), _accuracy(model, *other)
    assert home - away > 0.2, (home, away)
    bank = StyleBank.from_dataset(train[0], "colorist", count=16, representative=True)
    tta = StyleTTA(model, "colorist", bank, n=8, include_identity=False, select=select)
    aligned = _accuracy(tta, *other)
    assert aligned - away >= 0.5 * (home - away), (home, away, aligned)
