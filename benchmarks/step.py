"""What augmentation costs inside a training step: ``python -m benchmarks.step``.

A step of ResNet-50 and of DenseNet-121 (forward, backward, AdamW) on images of 224 pixels, and what
each augmentation adds to it when a third of every batch is stylized, in turns. On CUDA both run
under bfloat16 autocast. Jitter of torchvision and kornia on the whole batch is the yardstick.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable

import torch
from torch import nn
from torchvision import models
from torchvision.transforms import v2

from benchmarks.record import add_device, time_in_turns, write_record
from styleaug import StyleBank, StyleTransfer

NETWORKS = {"ResNet-50": models.resnet50, "DenseNet-121": models.densenet121}
PORTION = 0.33


def main() -> None:
    """Time and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument(
        "--stylizers",
        nargs="+",
        default=["colorist", "reinhard", "mkl", "histogram", "fda", "appearance", "micro"],
    )
    parser.add_argument("--no-record", action="store_true")
    add_device(parser)
    options = parser.parse_args()
    device = options.device
    images = torch.randint(0, 256, (options.batch_size, 3, 224, 224), dtype=torch.uint8).to(device)
    steps = {
        name: training_step(build(weights=None).to(device), images)
        for name, build in NETWORKS.items()
    }
    augments = augmentations(options.stylizers, images)
    times = time_in_turns(steps | augments, repeats=options.repeats, warm_up=1, device=device)
    shares = {
        name: {net: round(times[name]["median"] / times[net]["median"], 4) for net in steps}
        for name in augments
    }
    for name, share in shares.items():
        print(name, share)
    results = {"batch": options.batch_size, "ms": times, "share of a step": shares}
    if not options.no_record:
        print(write_record("step", results, device=device))


def training_step(net: nn.Module, images: torch.Tensor) -> Callable[[], object]:
    """Return one training step of a network."""
    optimizer = torch.optim.AdamW(net.parameters())
    labels = torch.zeros(len(images), dtype=torch.long, device=images.device)
    mixed = torch.autocast(images.device.type, torch.bfloat16, enabled=images.is_cuda)

    def step() -> None:
        with mixed:
            loss = nn.functional.cross_entropy(net(images.float() / 255.0), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def augmentations(names: list[str], images: torch.Tensor) -> dict[str, Callable[[], object]]:
    """Return what is added to a step, by name."""
    runs: dict[str, Callable[[], object]] = {}
    styles = torch.rand(16, 3, *images.shape[2:])
    for name in names:
        transform = StyleTransfer(name, styles=StyleBank.from_images(styles, name), portion=PORTION)
        runs[name] = lambda transform=transform: transform(images)
    jitter = v2.ColorJitter(0.2, 0.2, 0.2, 0.02)
    runs["torchvision ColorJitter, one draw per batch"] = lambda: jitter(images)
    if importlib.util.find_spec("kornia") is not None:
        import kornia.augmentation

        jiggle = kornia.augmentation.ColorJiggle(0.2, 0.2, 0.2, 0.02, p=1.0)
        runs["kornia ColorJiggle, a draw per image"] = lambda: jiggle(images.float() / 255.0)
    return runs


if __name__ == "__main__":
    main()
