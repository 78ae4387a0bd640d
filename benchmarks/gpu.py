"""What a GPU changes about speed, in one command: ``python -m benchmarks.gpu``.

Meant to end within 25 minutes on one large GPU; ``--quick`` takes a minute on a CPU, at small
sizes, and writes no record unless ``--out`` names a folder. Each part has a share of the time and
each cell a limit; what is over either is skipped and says so, and what does not fit into memory
says that.

* copies: stylizers in units of one copy of the batch on the device, and its bandwidth;
* stylizers: all that ship weights or need none, sizes 224 to 4096, batches 1 to 256, in float32,
  and bfloat16 for networks that have it;
* launches: operations, read-backs and kernels of a call of the stylizer and of the transform;
* step: what a third of a batch stylized adds to a training step of ResNet-50 and DenseNet-121;
* tta: `StyleTTA` with 8 views against 9 plain forwards of ResNet-50;
* peers: Stylizing ViT's package, torchvision v2 and kornia on the device, Albumentations on CPU;
* compiled: the same stylizers through `torch.compile`, at one size.

Decoders (contextual-adain, rast, style-kernel) need the weights of ``styleaug-weights``.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.transforms import v2

from benchmarks.cells import Budget, Cell, attempt, count_work, measure, missing
from benchmarks.record import add_device, write_record
from benchmarks.step import NETWORKS, augmentations, training_step
from styleaug import StyleBank, StyleTransfer, Stylizer, create_stylizer
from styleaug.stylizers import StyleCode
from styleaug.stylizers.stylizing_vit import StylizingViT
from styleaug.stylizers.vit.network import CONFIGS, StylizingViTNetwork, ViTConfig
from styleaug.tta import StyleTTA

COLOR = ("colorist", "reinhard", "mkl", "histogram", "fda")
NETS = ("micro", "appearance")
DECODERS = ("contextual-adain", "rast", "style-kernel")
VIT = "stylizing-vit-tiny"
GOALS = {"micro": 12.0, "colorist": 3.0}
"""Most copies of a batch of 1024 x 1024 pixels that a stylizer should take."""
STEP_GOALS = {"micro": 0.03, "appearance": 0.03} | dict.fromkeys(COLOR, 0.01)
"""Most that a stylizer should add to a training step, as a share of it."""
ALL_KINDS = (
    *((name, "fp32") for name in (*COLOR, "appearance")),
    *((name, kind) for name in ("micro", VIT, *DECODERS) for kind in ("fp32", "bf16")),
)


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        sides: Sides of the images.
        batches: Images of a batch, in rising order.
        large: Side of the images that are compared with copies.
        together: Images of a batch where only one size is measured.
        views: Styles of `StyleTTA`.
        kinds: Stylizers, and what they compute in; those that are float32 always come once.
        compiled: How many of them go through the compiler.
        peers: Sizes of Stylizing ViT.
    """

    sides: tuple[int, ...] = (224, 512, 1024, 2048, 4096)
    batches: tuple[int, ...] = (1, 8, 32, 128, 256)
    large: int = 1024
    together: int = 32
    views: int = 8
    kinds: tuple[tuple[str, str], ...] = ALL_KINDS
    compiled: int = len(ALL_KINDS)
    peers: tuple[str, ...] = ("tiny", "small", "base")


QUICK = Sizes(
    sides=(64, 96),
    batches=(1, 2),
    large=128,
    together=2,
    views=2,
    kinds=(("colorist", "fp32"), ("micro", "fp32"), ("appearance", "fp32"), (VIT, "fp32")),
    compiled=1,
    peers=("tiny",),
)


@dataclass(frozen=True)
class Setting:
    """Where, how much and for how long is measured."""

    device: str
    sizes: Sizes
    budget: Budget


def main(arguments: list[str] | None = None) -> None:
    """Measure part by part, print, and write a record of each part as soon as it is done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_device(parser)
    parser.add_argument("--quick", action="store_true", help="small sizes, about a minute on a CPU")
    parser.add_argument("--minutes", type=float, help="time of all parts together (24; quick: 1)")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--out", type=Path, help="folder of the records (that of this version)")
    options = parser.parse_args(arguments)
    minutes = options.minutes or (1.0 if options.quick else 24.0)
    each, repeating = (10.0, 0.05) if options.quick else (20.0, 1.0)
    whole = Budget(60.0 * minutes, each)
    for index, name in enumerate(options.parts):
        rest = sum(PARTS[other][1] for other in options.parts[index:])
        share = whole.left * PARTS[name][1] / rest
        limit = 3.0 * each if name == "compiled" else each  # compilers take their time
        sizes, budget = QUICK if options.quick else Sizes(), Budget(share, limit, repeating)
        results = PARTS[name][0](Setting(options.device, sizes, budget))
        print(f"{name}: {budget.spent:.0f} of {share:.0f} s", flush=True)
        show(name, results)
        if options.out or not options.quick:
            path = write_record(f"gpu-{name}", results, device=options.device, folder=options.out)
            print(path, flush=True)


def stylizers(setting: Setting) -> dict[str, Cell]:
    """Return the time and memory of every stylizer, side, batch and precision."""
    cells: dict[str, Cell] = {}
    for name, precision in setting.sizes.kinds:
        stylizer = build(name, precision).to(setting.device)
        for side in setting.sizes.sides:
            reason = ""
            for batch in setting.sizes.batches:
                key = f"{name}, {precision}, {batch} x {side}²"
                if reason:
                    cells[key] = {"skipped": f"a smaller batch: {reason}"}
                    continue
                make = partial(_painting, stylizer, batch, side, setting.device)
                cells[key] = measure(make, setting.device, setting.budget)
                if missing(cells[key]):
                    reason = ", ".join(map(str, cells[key].values()))
                else:
                    rate = 1000.0 * batch / cells[key]["ms"]["median"]
                    cells[key]["images_per_s"] = round(rate, 1)
    return cells


def compiled(setting: Setting) -> dict[str, Cell]:
    """Return the time of every stylizer through the compiler, beside the same without it."""
    cells: dict[str, Cell] = {}
    side, batch = setting.sizes.sides[0], setting.sizes.together
    for name, precision in setting.sizes.kinds[: setting.sizes.compiled]:
        stylizer = build(name, precision).to(setting.device)
        for label in ("eager", "compiled"):
            run = torch.compile(stylizer) if label == "compiled" else stylizer
            make = partial(_painting, stylizer, batch, side, setting.device, run)
            key = f"{name}, {precision}, {batch} x {side}², {label}"
            cells[key] = measure(make, setting.device, setting.budget)
        torch.compiler.reset()
    return cells


def copies(setting: Setting) -> dict[str, Any]:
    """Return stylizers in units of one copy of the batch, and what a copy moves a second."""
    side, found = setting.sizes.large, {}
    for batch in (1, setting.sizes.together):
        make = partial(_copying, batch, side, setting.device)
        one = measure(make, setting.device, setting.budget)
        label, rows = f"{batch} x {side}²", {}
        if missing(one):
            found[label] = {"copy": one}
            continue
        moved = 2 * batch * 3 * side**2 * 4
        one["gb_per_s"] = round(moved / one["ms"]["median"] / 1e6, 1)
        for name, precision in setting.sizes.kinds:
            stylizer = build(name, precision).to(setting.device)
            make = partial(_painting, stylizer, batch, side, setting.device)
            cell = measure(make, setting.device, setting.budget)
            if not missing(cell):
                cell["copies"] = round(cell["ms"]["median"] / one["ms"]["median"], 2)
                cell |= {"goal": GOALS[name]} if name in GOALS else {}
            rows[f"{name}, {precision}"] = cell
        found[label] = {"copy": one, **rows}
    return found


def launches(setting: Setting) -> dict[str, Cell]:
    """Return what a call of each stylizer, and of the transform around it, asks of the device."""
    batch, side, found = 4, setting.sizes.sides[0], {}
    images = torch.rand(batch, 3, side, side, device=setting.device)
    for name, precision in setting.sizes.kinds:
        stylizer = build(name, precision).to(setting.device)
        bank = StyleBank(run_code(stylizer, 8))
        transform = StyleTransfer(stylizer, styles=bank, p=1.0, seed=0)
        runs = {
            f"{name}, {precision}": _painting(stylizer, batch, side, setting.device),
            f"{name}, {precision}, StyleTransfer": partial(transform, images),
        }
        for key, run in runs.items():
            work = partial(count_work, run, setting.device)
            found[key] = attempt(work, setting.device, setting.budget)
    return found


def step(setting: Setting) -> dict[str, Cell]:
    """Return the time of a training step, and of a third of its batch stylized, as shares."""
    side = setting.sizes.sides[0]
    batch = setting.sizes.together
    pixels = (batch, 3, side, side)
    images = torch.randint(0, 256, pixels, dtype=torch.uint8).to(setting.device)
    cells: dict[str, Cell] = {}
    for name, network in NETWORKS.items():
        make = partial(_training, network, images)
        cells[name] = measure(make, setting.device, setting.budget)
    for name, run in augmentations([*COLOR, *NETS], images).items():
        cells[name] = measure(lambda run=run: run, setting.device, setting.budget)
        for net in NETWORKS:
            if not missing(cells[name]) and not missing(cells[net]):
                share = cells[name]["ms"]["median"] / cells[net]["ms"]["median"]
                cells[name][f"share of a step of {net}"] = round(share, 4)
        cells[name] |= {"goal": STEP_GOALS[name]} if name in STEP_GOALS else {}
    return cells


def tta(setting: Setting) -> dict[str, Cell]:
    """Return the time of `StyleTTA` beside as many plain forwards as it makes."""
    side, views = setting.sizes.sides[0], setting.sizes.views
    images = torch.rand(setting.sizes.together, 3, side, side, device=setting.device)
    net = NETWORKS["ResNet-50"](weights=None).to(setting.device).eval()
    plain = f"{views + 1} plain forwards"
    cells: dict[str, Cell] = {}

    @torch.no_grad()
    def forwards() -> None:
        for _ in range(views + 1):
            net(images).softmax(dim=1)

    cells[plain] = measure(lambda: forwards, setting.device, setting.budget)
    for name in ("colorist", *NETS):
        stylizer = build(name, "auto")
        bank = StyleBank(run_code(stylizer, 2 * views))
        wrapped = StyleTTA(net, stylizer, bank, views)
        cells[name] = measure(
            lambda wrapped=wrapped: partial(wrapped, images), setting.device, setting.budget
        )
        if not missing(cells[name]) and not missing(cells[plain]):
            ratio = cells[name]["ms"]["median"] / cells[plain]["ms"]["median"]
            cells[name][f"in units of {plain}"] = round(ratio, 3)
    return cells


def peers(setting: Setting) -> dict[str, Cell]:
    """Return the time of other packages beside ours; of those that are installed."""
    side, batch = setting.sizes.sides[0], setting.sizes.together
    pixels = torch.randint(0, 256, (batch, 3, side, side), dtype=torch.uint8)
    images = pixels.to(setting.device)
    makes: dict[str, Callable[[], Callable[[], object]]] = {}
    for name in (*COLOR, *NETS):
        bank = StyleBank(run_code(build(name, "auto"), 8))
        transform = StyleTransfer(name, styles=bank, p=1.0, seed=0)
        makes[f"styleaug {name}"] = lambda t=transform: partial(t, images)
    makes["torchvision ColorJitter"] = lambda: partial(v2.ColorJitter(0.2, 0.2, 0.2, 0.02), images)
    makes["torchvision RandomEqualize"] = lambda: partial(v2.RandomEqualize(p=1.0), images)
    makes |= _kornia(images) | _albumentations(pixels) | _vits(setting, batch)
    return {name: measure(make, setting.device, setting.budget) for name, make in makes.items()}


PARTS: Mapping[str, tuple[Callable[[Setting], Mapping[str, Any]], float]] = {
    "copies": (copies, 2.0),
    "launches": (launches, 1.0),
    "step": (step, 3.0),
    "tta": (tta, 2.0),
    "peers": (peers, 4.0),
    "stylizers": (stylizers, 7.0),
    "compiled": (compiled, 5.0),
}
"""What is measured, in this order, and its share of the time."""


def build(name: str, precision: str) -> Stylizer:
    """Return a stylizer; Stylizing ViT with random weights, which its speed does not depend on."""
    if name != VIT:
        return create_stylizer(name, precision=precision)
    network = StylizingViTNetwork(CONFIGS["tiny"])
    made = StylizingViT(network, mean=(0.5,) * 3, std=(0.25,) * 3, precision=precision)
    return made.freeze()


def run_code(stylizer: Stylizer, count: int) -> StyleCode:
    """Return the code of so many random styles, where the stylizer is."""
    parameter = next(stylizer.parameters(), torch.empty(0))
    return stylizer.encode_style(torch.rand(count, 3, 224, 224, device=parameter.device))


def show(name: str, results: Mapping[str, Any]) -> None:
    """Print the figures of a part, a line each."""
    for key, found in results.items():
        if "copy" in found:
            show(f"{name}, {key}", found)
            continue
        brief = {k: v["median"] if k == "ms" else v for k, v in found.items() if k != "repeats"}
        print(f"  {name}, {key}: {brief}")


def _painting(
    stylizer: Stylizer, batch: int, side: int, device: str, run: nn.Module | None = None
) -> Callable[[], object]:
    content = torch.rand(batch, 3, side, side, device=device)
    code = run_code(stylizer, 1).to(device)[[0] * batch]
    return partial(
        stylizer if run is None else run, content, code, torch.ones(batch, device=device)
    )


def _copying(batch: int, side: int, device: str) -> Callable[[], object]:
    content = torch.rand(batch, 3, side, side, device=device)
    return partial(torch.empty_like(content).copy_, content)


def _training(network: Callable[..., nn.Module], images: Tensor) -> Callable[[], object]:
    return training_step(network(weights=None).to(images.device), images)


def _kornia(images: Tensor) -> dict[str, Callable[[], Callable[[], object]]]:
    if importlib.util.find_spec("kornia") is None:
        return {}
    import kornia.augmentation as kornia

    floats = images.float() / 255.0
    jiggle = kornia.ColorJiggle(0.2, 0.2, 0.2, 0.02, p=1.0)
    return {
        "kornia ColorJiggle": lambda: partial(jiggle, floats),
        "kornia RandomEqualize": lambda: partial(kornia.RandomEqualize(p=1.0), floats),
    }


def _albumentations(pixels: Tensor) -> dict[str, Callable[[], Callable[[], object]]]:
    if importlib.util.find_spec("albumentations") is None:
        return {}
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    import albumentations as host

    arrays = list(pixels.permute(0, 2, 3, 1).contiguous().numpy())
    steps = {
        "HistogramMatching": (host.HistogramMatching(p=1.0), {"hm_metadata": arrays[:1]}),
        "FDA": (host.FDA(p=1.0), {"fda_metadata": arrays[:1]}),
        "ColorJitter": (host.ColorJitter(p=1.0), {}),
    }

    def each(pipeline: Callable[..., object], metadata: Mapping[str, Any]) -> Callable[[], object]:
        return lambda: [pipeline(image=array, **metadata) for array in arrays]

    return {
        f"Albumentations {name} (CPU)": partial(each, host.Compose([transform]), metadata)
        for name, (transform, metadata) in steps.items()
    }


def _vits(setting: Setting, batch: int) -> dict[str, Callable[[], Callable[[], object]]]:
    """Return Stylizing ViT here and in its own package; at any setting on squares of 224."""
    if importlib.util.find_spec("stylizing_vit") is None:
        return {}
    import stylizing_vit

    def theirs(size: str, dtype: torch.dtype) -> Callable[[], object]:
        net = stylizing_vit.create_model(backbone=size, train=False).eval()
        net = net.to(setting.device, dtype)
        content, style = torch.randn(2, batch, 3, 224, 224, device=setting.device, dtype=dtype)
        return torch.no_grad()(partial(net, content, style))

    def ours(config: ViTConfig, precision: str) -> Callable[[], object]:
        network = StylizingViTNetwork(config)
        made = StylizingViT(network, mean=(0.5,) * 3, std=(0.25,) * 3, precision=precision).freeze()
        return _painting(made.to(setting.device), batch, 224, setting.device)

    makes: dict[str, Callable[[], Callable[[], object]]] = {}
    for size in setting.sizes.peers:
        for label, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
            if label == "bf16" and setting.device == "cpu":
                continue  # few CPUs have it; `benchmarks.stylizing_vit` compares it there
            makes[f"Stylizing ViT {size}, {label}, reference"] = partial(theirs, size, dtype)
            makes[f"Stylizing ViT {size}, {label}, styleaug"] = partial(ours, CONFIGS[size], label)
    return makes


if __name__ == "__main__":
    main()
