"""Cost of the adapters over the core, and images per second in a loader with two workers.

Beside them stand ColorJitter and HistogramMatching of Albumentations, on the same 8-bit image.

Run ``python -m benchmarks.adapters [--weights micro.safetensors]``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
import warnings
from collections.abc import Callable

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

import albumentations as A
import numpy as np
import torch
from monai.transforms import RandHistogramShift
from torch.utils.data import DataLoader, Dataset, default_collate
from torchvision import tv_tensors

from benchmarks.record import add_device, time_in_turns, write_record
from styleaug import StyleBank, StyleTransfer, create_stylizer
from styleaug.adapters import albumentations as on_albumentations
from styleaug.adapters import monai as on_monai
from styleaug.adapters import torchvision as on_torchvision

SIDE, STYLES, IMAGES, BATCH, WORKERS, ROUNDS = 224, 16, 640, 16, 2, 5


def main() -> None:
    """Run both parts and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", help="weights of micro; without, those that ship")
    add_device(parser)
    parser.set_defaults(device="cpu")  # where loaders work
    options = parser.parse_args()
    torch.set_num_threads(2)
    warnings.simplefilter("ignore")
    results = {}
    for name in ("colorist", "histogram", "appearance", "micro"):
        weights = options.weights if name == "micro" else None
        results[name] = over_the_core(name, weights, options.device)
        print(name, json.dumps(results[name]))
    loader = f"loader, {WORKERS} workers"
    results[loader] = in_a_loader(options.weights)
    print(json.dumps(results[loader], indent=1))
    print(write_record("adapters", results, device=options.device))


def over_the_core(name: str, weights: str | None, device: str) -> dict[str, object]:
    """Return the time of one image through the core and through every adapter.

    Tensors lie on the device; arrays, and what becomes of them, on the CPU.
    """
    array, tensor = _image(), torch.from_numpy(_image()).permute(2, 0, 1).contiguous().to(device)
    core = {"weights": weights, "styles": _bank(name, weights)}
    transform = StyleTransfer(name, **core, p=1.0)
    pipeline = A.Compose([on_albumentations.StyleTransfer(name, **core, p=1.0)])
    torchvision = on_torchvision.StyleTransfer(name, **core, p=1.0)
    monai = on_monai.RandStyleTransfer(name, **core, prob=1.0)
    picture = tv_tensors.Image(tensor)
    runs = {
        "core": lambda: transform(tensor),
        "torchvision": lambda: torchvision(picture),
        "albumentations": lambda: pipeline(image=array),
        "monai": lambda: monai(tensor),
        "core, array": lambda: transform(array),
    }
    beside = {f"Albumentations' {a.__name__}": _yardstick(a) for a in _YARDSTICKS}
    times = time_in_turns(runs | beside, repeats=101, warm_up=10, device=device)
    base = times["core"]["median"]
    over = {host: round(times[host]["median"] / base - 1.0, 3) for host in runs if host != "core"}
    arrays = times["albumentations"]["median"] / times["core, array"]["median"] - 1.0
    over["albumentations, over the core on an array"] = round(arrays, 3)
    jitter = times["Albumentations' ColorJitter"]["median"]
    jitters = {host: round(t["median"] / jitter, 2) for host, t in times.items()}
    return {"ms_per_image": times, "overhead": over, "over ColorJitter": jitters}


_YARDSTICKS = (A.ColorJitter, A.HistogramMatching)


def _yardstick(kind: type[A.BasicTransform]) -> Callable[[], object]:
    array, step = _image(), _albumentations(kind(p=1.0), hm_metadata=[_image(1)])
    return lambda: step(array)


def in_a_loader(weights: str | None) -> dict[str, object]:
    """Return images per second of every adapter, beside what the hosts bring themselves."""
    references = [_image(seed) for seed in range(1, STYLES + 1)]
    steps: dict[str, Callable[[np.ndarray], object]] = {
        "none": lambda image: image,
        "albumentations HistogramMatching": _albumentations(
            A.HistogramMatching(p=1.0), hm_metadata=references
        ),
        "albumentations FDA": _albumentations(A.FDA(p=1.0), fda_metadata=references),
        # no PixelDistributionAdaptation: of uint8 images it returns black
        "monai RandHistogramShift": RandHistogramShift(prob=1.0),
    }
    for name in ("colorist", "reinhard", "histogram", "appearance", "micro"):
        own = weights if name == "micro" else None
        core = {"weights": own, "styles": _bank(name, own)}
        albumentations = on_albumentations.StyleTransfer(name, **core, p=1.0)
        torchvision = on_torchvision.StyleTransfer(name, **core, p=1.0)
        steps |= {
            f"{name} in albumentations": _albumentations(albumentations),
            f"{name} in torchvision": _on_tensors(torchvision),
            f"{name} in monai": _on_tensors(on_monai.RandStyleTransfer(name, **core, prob=1.0)),
        }
    loaders = {name: _loader(step) for name, step in steps.items()}
    loaders |= {
        f"{name}, a batch at a time": _loader(_as_tensor, _Batches(name, own))
        for name, own in (("appearance", None), ("micro", weights))
    }
    rates: dict[str, list[float]] = {name: [] for name in loaders}
    for _ in range(ROUNDS):
        for name, loader in loaders.items():
            rates[name].append(_rate(loader))
    return {
        name: {"images_per_s": round(statistics.median(values), 1), "min": round(min(values), 1)}
        for name, values in rates.items()
    }


class _Images(Dataset):
    """The same image again and again, through one step."""

    def __init__(self, step: Callable[[np.ndarray], object]) -> None:
        self.step, self.image = step, _image()

    def __len__(self) -> int:
        return IMAGES

    def __getitem__(self, index: int) -> object:
        return self.step(self.image)


class _Batches:
    """Stylize in ``collate_fn``: a worker paints the images of a batch together."""

    def __init__(self, name: str, weights: str | None) -> None:
        styles = _bank(name, weights)
        self.mix = on_torchvision.StyleMix(
            StyleTransfer(name, weights=weights, styles=styles, p=1.0)
        )

    def __call__(self, images: list[torch.Tensor]) -> object:
        return self.mix(default_collate(images))


def _loader(
    step: Callable[[np.ndarray], object], collate: Callable[..., object] | None = None
) -> DataLoader:
    data = _Images(step)
    return DataLoader(data, batch_size=BATCH, num_workers=WORKERS, collate_fn=collate)


def _as_tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)


def _rate(loader: DataLoader) -> float:
    batches = iter(loader)
    next(batches)  # the workers have started
    start = time.perf_counter()
    rest = sum(len(batch) for batch in batches)
    return rest / (time.perf_counter() - start)


def _albumentations(
    transform: A.BasicTransform, **metadata: object
) -> Callable[[np.ndarray], np.ndarray]:
    pipeline = A.Compose([transform])
    return lambda image: pipeline(image=image, **metadata)["image"]


def _on_tensors(
    transform: Callable[[torch.Tensor], torch.Tensor],
) -> Callable[[np.ndarray], object]:
    return lambda image: torch.as_tensor(transform(_as_tensor(image)))


def _bank(name: str, weights: str | None) -> StyleBank:
    stylizer = create_stylizer(name, weights=weights)
    return StyleBank.from_images([_image(seed) for seed in range(1, STYLES + 1)], stylizer)


def _image(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.random((1, 3, 14, 14)))
    smooth = torch.nn.functional.interpolate(coarse, (SIDE, SIDE), mode="bilinear")[0]
    pixels = 0.8 * smooth.permute(1, 2, 0).numpy() + 0.2 * rng.random((SIDE, SIDE, 3))
    return np.ascontiguousarray(pixels * 255, dtype=np.uint8)


if __name__ == "__main__":
    main()
