"""A classifier is audited, trained again with changes of appearance, and audited again.

Run it with ``python audit_classifier.py cells/``, where ``cells/`` has one folder of images per
class. Without a folder it runs for a moment on made images.
"""

import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import TensorDataset, random_split
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

import styleaug
from styleaug.appearance import Appearance

SIDE, BATCH, WIDTHS = 64, 32, (3, 16, 32, 64, 128)
normalize = v2.Normalize([0.5] * 3, [0.25] * 3)


def read(folder: Path | None) -> tuple[torch.Tensor, torch.Tensor, list[str]]:
    """Return images, labels and the names of the classes."""
    if folder is None:
        images = torch.rand(48, 3, SIDE, SIDE) / 4
        labels = torch.arange(48) % 2
        images[labels == 1, :, 16:48, 16:48] += 0.5
        return images, labels, ["empty", "cell"]
    steps = [v2.ToImage(), v2.Resize((SIDE, SIDE)), v2.ToDtype(torch.float32, scale=True)]
    data = ImageFolder(folder, v2.Compose(steps))
    images, labels = zip(*data, strict=True)
    return torch.stack(images), torch.tensor(labels), data.classes


def network(classes: int) -> nn.Module:
    """Return a small convolutional network."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(WIDTHS):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
        layers.append(nn.MaxPool2d(2))
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(WIDTHS[-1], classes))
    return nn.Sequential(*layers, *head)


def train(
    images: torch.Tensor, labels: torch.Tensor, steps: int, augment: Appearance | None = None
) -> nn.Module:
    """Train a classifier whose classes count alike; ``augment`` changes whole batches."""
    torch.manual_seed(0)
    net = network(int(labels.max()) + 1)
    optimizer = torch.optim.AdamW(net.parameters(), 1e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    rarity = 1.0 / labels.bincount()[labels]
    for _ in range(steps):
        rows = torch.multinomial(rarity, BATCH, replacement=True)
        batch = v2.RandomHorizontalFlip()(images[rows]).rot90(int(torch.randint(4, ())), (2, 3))
        batch = batch if augment is None else augment(batch)
        loss = nn.functional.cross_entropy(net(normalize(batch)), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return net.eval()


def main(folder: str | None = None) -> None:
    """Audit a network and the one trained again, and write both pages."""
    images, labels, classes = read(Path(folder) if folder else None)
    parts = random_split(range(len(images)), [0.7, 0.3], torch.Generator().manual_seed(0))
    training, held = (torch.tensor(list(part)) for part in parts)
    out = Path("audits" if folder else tempfile.mkdtemp())
    steps, brief = (600, {}) if folder else (4, {"laboratories": 2, "search": 2, "trial": []})
    again = []

    def retrain(augment: Appearance) -> nn.Module:
        again.append(train(images[training], labels[training], steps, augment))
        return again[-1]

    def report(name: str, net: nn.Module, **more: Any) -> None:
        found = styleaug.audit(
            net,
            [TensorDataset(images[held], labels[held])[:]],
            "stained",
            classes=classes,
            preprocess=normalize,
            **brief,
            **more,
        )
        found.save(out / name)
        drops = {kind: round(found.drop(kind), 2) for kind in ("laboratory", "worst found")}
        print(name, found.score, round(found.before["score"], 2), "falls by", drops)

    report("plain", train(images[training], labels[training], steps), retrain=retrain)
    report("varied", again[0])


if __name__ == "__main__":
    main(*sys.argv[1:2])
