"""Training studies of the papers: the extractors of contextual AdaIN, the losses of RAST.

``python -m benchmarks.studies extractors --config study.toml -o out`` trains contextual-adain once
per feature extractor; ``python -m benchmarks.studies rast-ablation ...`` trains rast with all
losses and then without each of them in turn. ``study.toml`` holds the settings of `styleaug train`
(folders, steps, size, features, options). Every variant is a run of its own in ``out``; those that
are finished are not repeated. Pairs of ``--held-out`` are stylized in the end:

* edges, ssim: of output and content;
* color: squared distance of the colour moments to the style's, as a share of the content's;
* restored: SSIM of the content and what is restored of it from the output;
* drift: mean absolute change when the output is stylized again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.record import add_device, write_record
from styleaug import Stylizer, create_stylizer
from styleaug.functional import edge_correlation, ssim
from styleaug.images import as_batch, find_images, read_image, to_content
from styleaug.training import TrainConfig, Trainer
from styleaug.training.losses import color_moments_loss
from styleaug.training.recipes.rast import RASTRecipe

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
}
SIDE = 128


def main() -> None:
    """Train every variant that is not there yet, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", choices=["extractors", "rast-ablation"])
    parser.add_argument("--config", required=True, help="settings of the runs, TOML")
    parser.add_argument("--held-out", required=True, help="folder with a subfolder per kind")
    parser.add_argument("--only", nargs="+", help="some of the variants")
    parser.add_argument("--lpips", type=float, default=0.0, help="weight of LPIPS in the ablation")
    parser.add_argument("-o", "--output", required=True, help="folder of the runs")
    add_device(parser)
    options = parser.parse_args()
    variants = extractor_variants() if options.study == "extractors" else losses(options.lpips)
    pairs = [
        (content.to(options.device), style.to(options.device))
        for content, style in held_out(Path(options.held_out))
    ]
    results = {}
    for name in options.only or variants:
        path = trained(options, name, variants[name])
        results[name] = evaluate(path, options.study, pairs)
        print(name, json.dumps(results[name]), flush=True)
    results = {"config": Path(options.config).read_text(), **results}
    print(write_record(options.study, results, device=options.device))


def extractor_variants() -> dict[str, dict[str, object]]:
    """Return the settings of a run per extractor."""
    return {
        name: {"options": {"backbone": name, "layer": layer}} for name, layer in EXTRACTORS.items()
    }


def losses(lpips: float) -> dict[str, dict[str, object]]:
    """Return the weights of a run with all losses and of runs without some of them."""
    everything = {**RASTRecipe.default_weights, **ADDED, "lpips": lpips}
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


def evaluate(path: Path, study: str, pairs: list[tuple[Tensor, Tensor]]) -> dict[str, float]:
    """Return the means over all pairs."""
    name = "rast" if study == "rast-ablation" else "contextual-adain"
    stylizer = create_stylizer(name, weights=str(path)).to(pairs[0][0].device)
    rows = [_measure(stylizer, content, style) for content, style in pairs]
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


def _crop(path: Path) -> Tensor:
    content = to_content(as_batch(read_image(path).pixels)[0])
    side = min(content.shape[2:])
    square = content[..., :side, :side]
    return torch.nn.functional.interpolate(
        square, (SIDE, SIDE), mode="bilinear", antialias=True
    ).clamp(0, 1)


if __name__ == "__main__":
    main()
