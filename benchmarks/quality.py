"""Style, structure and stability of the stylizers on images of several kinds.

``python -m benchmarks.quality --images DIR --features vgg19.safetensors`` reads one subfolder of
DIR per kind of image (stained tissue, smears, skin, X-rays ...). Every chosen content is stylized
with one style of its own kind and one of every other kind, by every stylizer.

* style: mean distance of the means and deviations of VGG-19 maps (relu1_2, relu2_2, relu3_1,
  relu3_4, each divided by a fixed number to about unit size) to those of the style image;
* edges: correlation of the Sobel magnitudes of output and content;
* structure: SSIM of the output's grey and the content's grey after a monotone tone curve;
* alpha: share of pairs whose style distance never rises from alpha 0 (the content) over .25, .5 and
  .75 to 1;
* repeat: change by stylizing a second time, as a share of the change by the first;
* identity: mean absolute error of a content in its own style.
"""

from __future__ import annotations

import argparse
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import isotonic_regression
from skimage.metrics import structural_similarity
from torch import Tensor

from benchmarks.record import add_device, write_record
from styleaug import Stylizer, create_stylizer
from styleaug.features import FeatureExtractor
from styleaug.functional import channel_mean_std, edge_correlation
from styleaug.images import as_batch, find_images, read_image, to_content
from styleaug.training.recipes.networks import style_features

STYLIZERS = ("colorist", "reinhard", "mkl", "histogram", "fda", "appearance", "micro")
SIDE = 192
ALPHAS = (0.25, 0.5, 0.75, 1.0)


def main() -> None:
    """Read the arguments, run, print and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", required=True, help="folder with one subfolder per kind")
    parser.add_argument("--features", default="default", help="weights of VGG-19 (torchvision's)")
    parser.add_argument("--each", type=int, default=4, help="contents per kind")
    parser.add_argument("--weights", help="other weights of micro")
    parser.add_argument("--stylizers", nargs="+", default=STYLIZERS)
    parser.add_argument("--no-record", action="store_true")
    add_device(parser)
    options = parser.parse_args()
    device, found = options.device, read_kinds(Path(options.images), options.each)
    images = {kind: [crop.to(device) for crop in crops] for kind, crops in found.items()}
    extractor = style_features(options.features).to(device)
    results = {}
    for name in options.stylizers:
        weights = options.weights if name == "micro" else None
        stylizer = create_stylizer(name, weights=weights).to(device)
        results[name] = evaluate(stylizer, images, extractor)
        print(name, json.dumps(results[name]["all"]))
    compare(results)
    if not options.no_record:
        kinds = {kind: len(crops) for kind, crops in images.items()}
        print(write_record("quality", {"kinds": kinds, **results}, device=device))


def read_kinds(folder: Path, each: int) -> dict[str, list[Tensor]]:
    """Return crops ``(1, 3, SIDE, SIDE)`` per kind, two more than contents for the styles."""
    kinds = {}
    for sub in sorted(path for path in folder.iterdir() if path.is_dir()):
        files = find_images([sub])
        step = max(1, len(files) // (2 * each))
        kinds[sub.name] = [_crop(path) for path in files[::step][: 2 * each]]
    return kinds


def evaluate(
    stylizer: Stylizer, images: dict[str, list[Tensor]], extractor: FeatureExtractor
) -> dict[str, object]:
    """Return the figures of one stylizer, over all pairs and per kind of content."""
    rows = []
    for kind, contents in images.items():
        half = max(1, len(contents) // 2)
        for index, content in enumerate(contents[:half]):
            for other, styles in images.items():
                style = styles[-1 - index % max(1, len(styles) // 2)]
                row = measure(stylizer, content, style, extractor)
                rows.append({"of": kind, "in": other, **row})
    named = {kind: _mean([r for r in rows if r["of"] == kind]) for kind in images}
    same = _mean([r for r in rows if r["of"] == r["in"]])
    return {"all": _mean(rows), "same kind": same, "content": named}


def measure(
    stylizer: Stylizer, content: Tensor, style: Tensor, extractor: FeatureExtractor
) -> dict[str, float]:
    """Return the figures of one pair."""
    code = stylizer.encode_style(style)
    steps = [stylizer.stylize(content, code, alpha) for alpha in ALPHAS]
    output = steps[-1]
    with torch.no_grad():
        maps = extractor(torch.cat([content, *steps, style]))
    distances = [_style_distance(maps, row, len(steps) + 1) for row in range(len(steps) + 1)]
    twice = stylizer.stylize(output, code)
    own = stylizer.stylize(content, stylizer.encode_style(content))
    change = (output - content).abs().mean()
    return {
        "style": distances[-1],
        "style before": distances[0],
        "edges": float(edge_correlation(output, content)),
        "structure": structure(output, content),
        "alpha": float(all(a >= b - 1e-6 for a, b in pairwise(distances))),
        "repeat": float((twice - output).abs().mean() / change.clamp_min(0.01)),
        "identity": float((own - content).abs().mean()),
    }


def structure(output: Tensor, content: Tensor) -> float:
    """Return the SSIM of the greys once the best monotone tone curve is taken off."""
    out, grey = (image.mean(dim=1)[0].double().cpu().numpy() for image in (output, content))
    order = np.argsort(grey, axis=None, kind="stable")
    fitted = np.empty(grey.size)
    up = isotonic_regression(out.ravel()[order]).x
    down = isotonic_regression(out.ravel()[order], increasing=False).x
    errors = [((out.ravel()[order] - curve) ** 2).sum() for curve in (up, down)]
    fitted[order] = up if errors[0] <= errors[1] else down
    return float(structural_similarity(out, fitted.reshape(grey.shape), data_range=1.0))


def compare(results: dict[str, dict[str, object]]) -> None:
    """Add the style distance as a share of that of colorist, over all and per kind."""
    base = results.get("colorist")
    if base is None:
        return
    for name, result in results.items():
        share = result["all"]["style"] / base["all"]["style"]
        kinds = {
            kind: round(figures["style"] / base["content"][kind]["style"], 3)
            for kind, figures in result["content"].items()
        }
        result["style / colorist"] = {"all": round(share, 3), **kinds}
        print(name, result["style / colorist"])


def _style_distance(maps: list[Tensor], row: int, style: int) -> float:
    total = 0.0
    for layer in maps:
        mean, std = channel_mean_std(layer)
        total += float(F.mse_loss(mean[row], mean[style]) + F.mse_loss(std[row], std[style]))
    return total


def _crop(path: Path) -> Tensor:
    image = to_content(as_batch(read_image(path).pixels)[0])
    side = min(image.shape[2:])
    top, left = (image.shape[2] - side) // 2, (image.shape[3] - side) // 2
    crop = image[..., top : top + side, left : left + side]
    return F.interpolate(crop, (SIDE, SIDE), mode="bilinear", antialias=True).clamp(0, 1)


def _mean(rows: list[dict[str, object]]) -> dict[str, float]:
    names = [name for name in rows[0] if name not in ("of", "in")]
    figures = {name: [float(str(row[name])) for row in rows] for name in names}
    mean = {name: round(float(np.mean(values)), 4) for name, values in figures.items()}
    mean["edges, worst 1 %"] = round(float(np.quantile(figures["edges"], 0.01)), 4)
    return {**mean, "pairs": len(rows)}


if __name__ == "__main__":
    main()
