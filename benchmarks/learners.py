"""Networks that are trained from scratch, and how they are trained and judged."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from monai.networks.nets import UNet
from torch import Tensor, nn

from benchmarks.arms import Arm
from benchmarks.domains import Samples

BATCHES = {"classes": 32, "masks": 16}
WIDTHS = (3, 16, 32, 64, 128)
SHOWN = 64
Model = Callable[[Tensor], Tensor]


class MixStyle(nn.Module):
    """Mix means and deviations of maps with those of other images (Zhou et al., ICLR 2021)."""

    def __init__(self, p: float = 0.5, concentration: float = 0.1) -> None:
        super().__init__()
        self.p = p
        self.mixing = torch.distributions.Beta(concentration, concentration)

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps ``(B, C, H, W)`` with mixed statistics."""
        if not self.training or float(torch.rand(())) > self.p:
            return maps
        mean = maps.mean(dim=(2, 3), keepdim=True).detach()
        std = (maps.var(dim=(2, 3), keepdim=True) + 1e-6).sqrt().detach()
        share = self.mixing.sample((len(maps), 1, 1, 1)).to(maps)
        order = torch.randperm(len(maps))
        mixed_std = share * std + (1 - share) * std[order]
        return (maps - mean) / std * mixed_std + share * mean + (1 - share) * mean[order]


def classifier(classes: int, mixstyle: bool) -> nn.Module:
    """Return a small convolutional network."""
    layers: list[nn.Module] = []
    for index, (inputs, outputs) in enumerate(itertools.pairwise(WIDTHS)):
        layers += [
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
        if mixstyle and index < 2:
            layers.append(MixStyle())
    return nn.Sequential(
        *layers,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(WIDTHS[-1], classes),
    )


def segmenter(classes: int, mixstyle: bool) -> nn.Module:
    """Return MONAI's U-Net."""
    net = UNet(2, 3, classes, channels=(16, 32, 64, 128), strides=(2, 2, 2), num_res_units=1)
    if mixstyle:
        net.model[0] = nn.Sequential(net.model[0], MixStyle())
    return net


def train(
    samples: Samples,
    arm: Arm,
    steps: int,
    seed: int,
    device: str = "cpu",
    build: Callable[[int, bool], nn.Module] | None = None,
    rate: float = 2e-3,
) -> nn.Module:
    """Train a network; every arm gets the same steps and the same batches.

    ``build`` makes it from the number of classes and whether statistics are mixed; by default it is
    `classifier` or `segmenter`. ``rate`` is the highest learning rate.

    Classes are drawn evenly; images are flipped and turned by right angles. The augmentation works
    where the images are, the network on the device.
    """
    torch.manual_seed(seed)
    dense = samples.targets.ndim == 3
    build = build or (segmenter if dense else classifier)
    net = build(len(samples.classes), arm.mixstyle)
    net = net.to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters(), rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps, pct_start=0.1)
    draws = torch.Generator().manual_seed(seed)
    weights, batch = _even(samples), BATCHES["masks" if dense else "classes"]
    net.train()
    for _ in range(steps):
        rows = torch.multinomial(weights, batch, replacement=True, generator=draws)
        images, targets = samples.images[rows], samples.targets[rows]
        if arm.augment is not None:
            images = arm.augment(images)
        images, targets = (x.to(device) for x in _turned(images, targets, draws))
        scores = net(images.contiguous(memory_format=torch.channels_last))
        loss = _loss(scores, targets)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return net.eval()


@torch.inference_mode()
def judge(model: Model, samples: Samples, device: str = "cpu") -> dict[str, float]:
    """Return balanced accuracy, or Dice, mean IoU and pixel accuracy, of a model."""
    scores = torch.cat([model(part.to(device)).cpu() for part in samples.images.split(SHOWN)])
    found, true = scores.argmax(dim=1), samples.targets
    if true.ndim == 1:
        recall = [float((found[true == label] == label).float().mean()) for label in true.unique()]
        return {"balanced accuracy": sum(recall) / len(recall)}
    dice, iou = _overlap(found, true, len(samples.classes))
    return {
        "dice": float(dice[:, 1:].nanmean()),
        "miou": float(iou.nanmean()),
        "pixel accuracy": float((found == true).float().mean()),
    }


def _overlap(found: Tensor, true: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Return Dice and IoU of every image and class; NaN where a class is in neither mask."""
    a, b = (F.one_hot(mask, classes).flatten(1, 2).bool() for mask in (found, true))
    both = (a & b).sum(dim=1).float()
    either = (a | b).sum(dim=1).float()
    return 2 * both / (both + either), both / either


def _loss(scores: Tensor, targets: Tensor) -> Tensor:
    loss = F.cross_entropy(scores, targets, label_smoothing=0.05 if targets.ndim == 1 else 0.0)
    if targets.ndim == 1:
        return loss
    shares = scores.softmax(dim=1)[:, 1:]
    truth = F.one_hot(targets, scores.shape[1]).movedim(-1, 1)[:, 1:].float()
    both = 2 * (shares * truth).sum(dim=(0, 2, 3)) + 1.0
    return loss + 1.0 - (both / (shares + truth).sum(dim=(0, 2, 3)).add(1.0)).mean()


def _even(samples: Samples) -> Tensor:
    """Return how likely each sample is to be drawn: domains alike, and classes alike in each."""
    labels = samples.targets if samples.targets.ndim == 1 else torch.zeros(len(samples))
    groups = list(zip(samples.domains, labels.tolist(), strict=True))
    return torch.tensor([1.0 / groups.count(group) for group in groups])


def _turned(images: Tensor, targets: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
    """Flip and turn images, and masks with them; the batch alike."""
    flip, turns = torch.randint(4, (2,), generator=draws).tolist()
    dims = [axis for axis, on in ((-1, flip & 1), (-2, flip & 2)) if on]
    images = images.flip(dims).rot90(turns, (-2, -1))
    if targets.ndim == 3:
        targets = targets.flip(dims).rot90(turns, (-2, -1))
    return images, targets
