"""Training studies of the papers of contextual AdaIN, RAST and StyleKernel.

``python -m benchmarks.studies extractors --config study.toml -o out`` trains contextual-adain once
per feature extractor; ``rast-ablation`` trains rast with all losses and then without each of them
in turn; ``style-kernel-ablation`` trains style-kernel from attention alone to all of its parts, in
the order of its paper. ``--beside rast=FILE`` measures other stylizers on the same pairs
(``--beside rast``: with the weights that ship; ``--beside "rast, stage 3=FILE"``: what is before
the comma is the stylizer, all of it the name of the row), and ``--no-detail`` builds them with
``detail=False``, as the variants of a study are. ``study.toml`` holds the settings of
`styleaug train` (folders, steps, size, features, options; those of the records are in
``benchmarks/configs``). Every variant is a run of its own in ``out``; those that are finished are
not repeated. The record has the `weights_id` of every row. Pairs of ``--held-out`` are stylized in
the end:

* edges, ssim: of output and content;
* color: squared distance of the colour moments to the style's, as a share of the content's;
* restored: SSIM of the content and what is restored of it from the output;
* drift: mean absolute change when the output is stylized again;
* restored, 64 px and 32 px (RAST): the same on smaller copies of both images (Table 2 of its
  extension);
* style (StyleKernel): distance of VGG-19 statistics to the style's, as a share of the content's;
* lpips, and flicker: output against content, and neighbouring frames of a content that moves by two
  pixels a frame; both with ``--alexnet FILE`` ("default" downloads it).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.built import WITHOUT_DETAIL, build, weights_of
from benchmarks.record import add_device, write_record
from styleaug import Stylizer, create_stylizer
from styleaug.functional import edge_correlation, moment_distance, ssim
from styleaug.images import as_batch, find_images, read_image, to_content
from styleaug.metrics import TemporalLPIPS
from styleaug.stylizers import STYLIZERS as REGISTRY
from styleaug.training import TrainConfig, Trainer
from styleaug.training.losses import color_moments_loss
from styleaug.training.recipes.networks import style_features
from styleaug.training.recipes.rast import RASTRecipe
from styleaug.weights import locate_weights, read_state_dict, weights_digest

EXTRACTORS = {
    "vgg19": "relu4_1",
    "resnet50": "layer2",
    "resnet101": "layer2",
    "densenet121": "denseblock2",
    "densenet169": "denseblock2",
    "densenet201": "denseblock2",
}
ADDED = {"idempotency": 10.0, "low_res_restoration": 1.0}
GROUPS = {
    "content": ("content_transitive", "content_restoration"),
    "style": ("style_transitive", "style_restoration", "style_difference"),
    "restoration": ("content_restoration", "style_restoration"),
    "adversarial": ("adversarial",),
    "identity": ("identity", "identity_features"),
    "idempotency": ("idempotency",),
    "low-resolution restoration": ("low_res_restoration",),
    "LPIPS": ("lpips",),
    "contrastive": ("contrastive_style", "contrastive_content"),
}
STYLE_KERNEL_STEPS: dict[str, dict[str, dict[str, object]]] = {
    "base": {
        "weights": {"adversarial": 0.0, "remd": 0.0},
        "options": {"kernel": 0, "gate": "none", "groups": 1},
    },
    "+ adversarial": {"weights": {"adversarial": 1.0}},
    "+ earth mover": {"weights": {"remd": 3.0}},
    "+ kernels": {"options": {"kernel": 3}},
    "+ gate": {"options": {"gate": "ste"}},
    "+ shuffled groups": {"options": {"groups": 8}},
}
"""What each variant changes of the one before it."""
STYLIZERS = {
    "extractors": "contextual-adain",
    "rast-ablation": "rast",
    "style-kernel-ablation": "style-kernel",
}
SIDE = 128
FRAMES, STEP = 5, 2


def main() -> None:
    """Train every variant that is not there yet, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", choices=list(STYLIZERS))
    parser.add_argument("--config", required=True, help="settings of the runs, TOML")
    parser.add_argument("--held-out", required=True, help="folder with a subfolder per kind")
    parser.add_argument("--only", nargs="+", help="some of the variants")
    parser.add_argument("--lpips", type=float, default=0.0, help="weight of LPIPS in the ablation")
    parser.add_argument("--alexnet", default="", help="weights of the AlexNet of LPIPS, a measure")
    parser.add_argument("--beside", nargs="*", default=[], metavar="NAME[, ROW][=FILE]")
    parser.add_argument("--no-detail", dest="detail", action="store_false", help="of those beside")
    parser.add_argument("-o", "--output", required=True, help="folder of the runs")
    add_device(parser)
    options = parser.parse_args()
    own = TrainConfig.from_file(options.config).weights
    variants = variants_of(options.study, {"lpips": options.lpips, **own})
    judges = Judges(options)
    pairs = [
        (content.to(options.device), style.to(options.device))
        for content, style in held_out(Path(options.held_out))
    ]
    stylizers, results = {}, {}
    for name, stylizer in painters(options, variants):
        stylizers[name] = stylizer.to(options.device)
        results[name] = evaluate(stylizers[name], pairs, judges)
        print(name, json.dumps(results[name]), flush=True)
    weights = begun(options) | weights_of(stylizers)
    record = {"settings": settings(options), "weights": weights, "variants": results}
    print(write_record(options.study, record, device=options.device))


def painters(
    options: argparse.Namespace, variants: Mapping[str, Mapping[str, Mapping[str, object]]]
) -> Iterator[tuple[str, Stylizer]]:
    """Yield every variant, trained now if it is not there, and what is measured beside them."""
    for name in options.only or variants:
        path = trained(options, name, variants[name])
        yield name, create_stylizer(STYLIZERS[options.study], weights=str(path))
    yield from beside(options.beside, detail=options.detail).items()


def begun(options: argparse.Namespace) -> dict[str, str]:
    """Return the `weights_id` of what the runs start from, as ``start``, if it is not random."""
    start = TrainConfig.from_file(options.config).start
    if not start:
        return {}
    file = locate_weights(start, REGISTRY[STYLIZERS[options.study]].weights).path
    state = read_state_dict(file).items()
    wide = {name: t.float() if t.is_floating_point() else t for name, t in state}
    return {"start": weights_digest(wide)}


def beside(texts: Sequence[str], *, detail: bool = True) -> dict[str, Stylizer]:
    """Return the stylizers that are measured beside the variants, by the names of their rows.

    Args:
        texts: ``NAME[, ROW][=FILE]`` each.
        detail: False: with ``detail=False``, and so in the name of the row.
    """
    found = {}
    for text in texts:
        row, _, file = text.partition("=")
        name = row.partition(",")[0]
        weights = [f"{name}={file}"] if file else []
        end = "" if detail else WITHOUT_DETAIL
        found[f"beside: {row}{end}"] = build(name, weights, detail=detail)
    return found


def settings(options: argparse.Namespace) -> dict[str, object]:
    """Return what the runs have in common, without paths: of a file its name."""
    config = TrainConfig.from_file(options.config)
    names = ("steps", "size", "batch_size", "learning_rate", "precision")
    return {
        **{name: getattr(config, name) for name in names},
        "start": Path(config.start).name if config.start else "",
        "kinds": sorted(path.name for path in Path(options.held_out).iterdir() if path.is_dir()),
    }


def variants_of(
    study: str, weights: Mapping[str, float]
) -> dict[str, dict[str, dict[str, object]]]:
    """Return the settings of every run of a study, given the weights of losses that are set."""
    if study == "extractors":
        return extractor_variants()
    return losses(weights) if study == "rast-ablation" else style_kernel_parts()


def style_kernel_parts() -> dict[str, dict[str, dict[str, object]]]:
    """Return the settings of runs from attention alone to all parts of StyleKernel."""
    variants: dict[str, dict[str, dict[str, object]]] = {}
    settings: dict[str, dict[str, object]] = {"weights": {}, "options": {}}
    for name, changes in STYLE_KERNEL_STEPS.items():
        settings = {key: {**settings[key], **changes.get(key, {})} for key in settings}
        variants[name] = settings
    return variants


def extractor_variants() -> dict[str, dict[str, object]]:
    """Return the settings of a run per extractor."""
    return {
        name: {"options": {"backbone": name, "layer": layer}} for name, layer in EXTRACTORS.items()
    }


def losses(weights: Mapping[str, float]) -> dict[str, dict[str, object]]:
    """Return the weights of a run with all losses and of runs without some of them."""
    everything = {**RASTRecipe.default_weights, **ADDED, **weights}
    variants: dict[str, dict[str, object]] = {"all": {"weights": everything}}
    for group, names in GROUPS.items():
        if any(everything[name] for name in names):
            without = {**everything, **dict.fromkeys(names, 0.0)}
            variants[f"without {group}"] = {"weights": without}
    return variants


def trained(
    options: argparse.Namespace, name: str, changes: Mapping[str, Mapping[str, object]]
) -> Path:
    """Return the weights of a run, trained now if they are not there."""
    folder = Path(options.output) / name.replace(" ", "-")
    path = folder / "model.safetensors"
    if not path.exists():
        base = TrainConfig.from_file(options.config, output=str(folder))
        both = {key: {**getattr(base, key), **value} for key, value in changes.items()}
        both["accelerator"] = options.device.partition(":")[0]
        Trainer(base.with_changes(**both), resume=folder.exists()).run()
    return path


def held_out(folder: Path, each: int = 2) -> list[tuple[Tensor, Tensor]]:
    """Return pairs of contents and styles of every kind with every other."""
    kinds = [find_images([sub])[: 2 * each] for sub in sorted(folder.iterdir()) if sub.is_dir()]
    return [
        (_crop(contents[0]), _crop(styles[-1])) for contents in kinds for styles in kinds if styles
    ]


class Judges:
    """What a study measures with, besides the images themselves.

    Args:
        options: Of the command line: study, config, alexnet and device.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.study = options.study
        self.lpips = TemporalLPIPS(weights=options.alexnet) if options.alexnet else None
        self.features = None
        if self.study == "style-kernel-ablation":
            config = TrainConfig.from_file(options.config)
            self.features = style_features(config.features).to(options.device)
        if self.lpips is not None:
            self.lpips = self.lpips.to(options.device)


def evaluate(
    stylizer: Stylizer, pairs: list[tuple[Tensor, Tensor]], judges: Judges
) -> dict[str, float]:
    """Return the means over all pairs."""
    rows = [
        _measure(stylizer, content, style) | _of_study(stylizer, content, style, judges)
        for content, style in pairs
    ]
    return {key: round(sum(row[key] for row in rows) / len(rows), 4) for key in rows[0]}


def _measure(stylizer: Stylizer, content: Tensor, style: Tensor) -> dict[str, float]:
    code = stylizer.encode_style(style)
    output = stylizer.stylize(content, code)
    before = color_moments_loss(content, style).clamp_min(1e-3)
    return {
        "edges": float(edge_correlation(output, content)),
        "ssim": float(ssim(output, content)),
        "color": float(color_moments_loss(output, style) / before),
        "restored": float(ssim(stylizer.restore(output, content), content)),
        "drift": float((stylizer.stylize(output, code) - output).abs().mean()),
    }


def _of_study(
    stylizer: Stylizer, content: Tensor, style: Tensor, judges: Judges
) -> dict[str, float]:
    found = {}
    code = stylizer.encode_style(style)
    if judges.study == "rast-ablation":
        for side in (SIDE // 2, SIDE // 4):
            small, other = (_resized(image, side) for image in (content, style))
            output = stylizer.stylize(small, stylizer.encode_style(other))
            found[f"restored, {side} px"] = float(ssim(stylizer.restore(output, small), small))
    if judges.features is not None:
        with torch.no_grad():
            images = torch.cat([content, stylizer.stylize(content, code), style])
            maps = judges.features(images)
        before, after = moment_distance([m[:2] for m in maps], [m[2:] for m in maps])
        found["style"] = float(after / before.clamp_min(1e-3))
    if judges.lpips is not None:
        found["lpips"] = float(judges.lpips.measure(stylizer.stylize(content, code), content))
        frames = stylizer.stylize(moving(content), code)
        found["flicker"] = float(judges.lpips.measure(frames[1:], frames[:-1]).mean())
    return found


def moving(content: Tensor) -> Tensor:
    """Return a clip ``(FRAMES, 3, H, W')`` of an image that moves by `STEP` pixels a frame."""
    width = content.shape[3] - STEP * (FRAMES - 1)
    return torch.cat([content[..., i * STEP : i * STEP + width] for i in range(FRAMES)])


def _resized(image: Tensor, side: int) -> Tensor:
    small = torch.nn.functional.interpolate(image, (side, side), mode="bilinear", antialias=True)
    return small.clamp(0, 1)


def _crop(path: Path) -> Tensor:
    content = to_content(as_batch(read_image(path).pixels)[0])
    side = min(content.shape[2:])
    square = content[..., :side, :side]
    return _resized(square, SIDE)


if __name__ == "__main__":
    main()
