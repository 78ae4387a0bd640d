"""Speed of the colour stylizers and of the transform around a network.

Run ``python -m benchmarks.speed``; the result goes to ``benchmarks/results``.
"""

from __future__ import annotations

import argparse
import json
from functools import partial

import kornia.augmentation as kornia
import numpy as np
import torch
from albumentations.augmentations.mixing import domain_adaptation_functional as A
from skimage.exposure import match_histograms
from torch import nn
from torchstain.torch.normalizers.reinhard import TorchReinhardNormalizer

from benchmarks.record import add_device, time_in_turns, write_record
from styleaug import StyleBank, StyleTransfer, Stylizer, list_stylizers
from styleaug.stylizers import STYLIZERS

BATCH, SIDE = 32, 224


def _images(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, 14, 14, generator=generator)
    smooth = nn.functional.interpolate(coarse, (SIDE, SIDE), mode="bilinear")
    fine = torch.rand(count, 3, SIDE, SIDE, generator=generator)
    return 0.8 * smooth + 0.2 * fine


def color_against_clone(device: str) -> dict[str, object]:
    """Every colour stylizer through StyleTransfer with a bank of 64 styles, against one clone.

    Kornia's colour jitter and equalisation on the same batch, a draw for every image, are the
    yardstick.
    """
    images, styles = _images(BATCH).to(device), list(_images(64))
    runs = {"clone": lambda: images.clone()}
    for name in list_stylizers():
        if STYLIZERS[name].weights or not getattr(STYLIZERS[name].build, "follows_color", False):
            continue
        bank = StyleBank.from_images(styles, name)
        transform = StyleTransfer(name, styles=bank, p=1.0, seed=0)
        runs[name] = lambda transform=transform: transform(images)
    for name in ("ColorJiggle", "RandomEqualize"):
        settings = (0.2, 0.2, 0.2, 0.02) if name == "ColorJiggle" else ()
        runs[f"kornia {name}"] = partial(getattr(kornia, name)(*settings, p=1.0), images)
    times = time_in_turns(runs, repeats=31, device=device)
    clone = times["clone"]["median"]
    ratios = {name: round(t["median"] / clone, 2) for name, t in times.items()}
    return {"ms_per_batch": times, "times_one_clone": ratios}


def color_against_twins(device: str) -> dict[str, object]:
    """Colour stylizers on a uint8 batch against the same method elsewhere, image by image.

    On a GPU only ours work there; the others take arrays, or lie on the CPU.
    """
    on_cpu = (_images(BATCH) * 255).to(torch.uint8)
    batch = on_cpu.to(device)
    style = batch[0]
    arrays = [image.permute(1, 2, 0).contiguous().numpy() for image in on_cpu]
    reference = arrays[0]
    # of uint8 images this version of Albumentations returns black, so its twin gets floats
    floats = [np.float32(array) / 255.0 for array in arrays]
    reinhard = TorchReinhardNormalizer()
    reinhard.fit(on_cpu[0])
    means, stds = reference.mean((0, 1)), reference.std((0, 1))

    def numpy_color_statistics() -> None:
        for image in arrays:
            pixels = image.astype(np.float32)
            scaled = (pixels - pixels.mean((0, 1))) / pixels.std((0, 1)) * stds + means
            np.clip(scaled, 0, 255).astype(np.uint8)

    twins = {
        "colorist / numpy mean and std": numpy_color_statistics,
        "reinhard / torchstain": lambda: [reinhard.normalize(image) for image in on_cpu],
        "histogram / scikit-image": lambda: [
            match_histograms(image, reference, channel_axis=-1) for image in arrays
        ],
        "histogram / albumentations": lambda: [
            A.apply_histogram(image, reference, 1.0) for image in arrays
        ],
        "mkl / albumentations PDA": lambda: [
            A.adapt_pixel_distribution(image, floats[0], "pca", 1.0) for image in floats
        ],
        "fda / albumentations": lambda: [
            A.fourier_domain_adaptation(image, reference, 0.02) for image in arrays
        ],
    }
    runs = dict(twins)
    for name in ("colorist", "reinhard", "mkl", "histogram", "fda"):
        transform = StyleTransfer(name, styles=style, p=1.0, seed=0)
        runs[name] = lambda transform=transform: transform(batch)
    times = time_in_turns(runs, repeats=9, device=device)
    per_image = {name: round(t["median"] / BATCH, 4) for name, t in times.items()}
    faster = {
        pair: round(times[pair]["median"] / times[pair.split(" / ")[0]]["median"], 2)
        for pair in twins
    }
    return {"ms_per_batch": times, "ms_per_image": per_image, "times_faster": faster}


class _Dominant(Stylizer):
    """A network whose cost dwarfs everything around it; or, idle, nothing but what is around it."""

    name = "dominant"

    def __init__(self, *, idle: bool = False) -> None:
        super().__init__()
        self.idle = idle
        self.layers = nn.Sequential(
            nn.Conv2d(3, 64, 3, padding=1), *(nn.Conv2d(64, 64, 3, padding=1) for _ in range(3)),
            nn.Conv2d(64, 3, 3, padding=1),
        )  # fmt: skip

    def _encode_style(self, style: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"mean": style.mean((2, 3))}

    def _stylize(self, content, maps, alpha):  # type: ignore[no-untyped-def]
        return content if self.idle else self.layers(content)


def around_a_network(device: str) -> dict[str, object]:
    """Cost of a quarter of the images against all, and of everything but the network.

    The second is measured with a network that does nothing: params, checks, gather and scatter.
    """
    images = _images(BATCH).to(device)
    runs = {}
    for idle in (False, True):
        stylizer = _Dominant(idle=idle).freeze()
        bank = StyleBank.from_images(list(_images(8)), stylizer)
        for label, portion in (("all", 1.0), ("a quarter", 0.25)):
            transform = StyleTransfer(stylizer, styles=bank, portion=portion, seed=0)
            name = f"{label}, {'network idle' if idle else 'network at work'}"
            runs[name] = lambda transform=transform: transform(images)
    times = time_in_turns(runs, repeats=9, device=device)
    median = {name: t["median"] for name, t in times.items()}
    share = {
        label: round(median[f"{label}, network idle"] / median[f"{label}, network at work"], 4)
        for label in ("all", "a quarter")
    }
    quarter = median["a quarter, network at work"] / median["all, network at work"]
    return {"ms_per_batch": times, "a quarter / all": round(quarter, 3), "overhead share": share}


def main() -> None:
    """Run all parts and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_device(parser)
    device = parser.parse_args().device
    torch.set_num_threads(2)
    parts = (color_against_clone, color_against_twins, around_a_network)
    results = {part.__name__: part(device) for part in parts}
    print(json.dumps(results, indent=1))
    print(write_record("speed", results, device=device))


if __name__ == "__main__":
    main()
