"""Every stylizer whose weights are at hand, on one set of images: one table, one picture.

``python -m benchmarks.compare --images DIR`` reads one subfolder of DIR per kind of image. Every
chosen content is painted in a style of its own kind and of `OTHERS` other kinds, by every stylizer
of `styleaug list` that can be built; `missing` of the record says why others could not.
``--weights rast=FILE`` brings weights, ``--features FILE`` is VGG-19's file (torchvision's by
default), ``--lpips FILE`` AlexNet's ("default" downloads it; without, LPIPS and ArtFID are left
out), and ``--artfid`` adds ArtFID, by a network that can be installed (`benchmarks.backbones`).
``--without-detail`` adds a row for each stylizer that has the option, built with ``detail=False``.
The record has the `weights_id` of every row.

* style: distance of the means and deviations of VGG-19 maps to the style's, as a share of what the
  content has;
* edges, and its worst hundredth; ssim; lpips: output against content;
* clouds: slow changes of colour that no map of the content's colours explains, rms of 255
  (`benchmarks.truth`), and the most of any pair;
* grain: fine colour on even ground that no such map explains, likewise;
* artfid: ``(1 + LPIPS) (1 + FID)``. Contents and styles are the same kinds of images, so that a
  distance of all outputs to all styles would praise doing nothing. It is taken kind by kind, from
  squares of what was painted in styles of a kind to squares of images of that kind, and averaged;
* restored: SSIM of the content and what `Stylizer.restore` makes of the output; of every fourth
  pair;
* own style: PSNR of a content of these in its own style, dB, at most 60;
* truth: PSNR over leaving the content as it is, dB, where the answer is known (`benchmarks.truth`,
  styles of the same image and of another), and the share of cases that got worse;
* times colorist: time of a batch of 8 x 224 x 224 with given codes, medians of runs in turns;
* peak mb: memory of one image of 1024 x 1024 over what was there before (Linux, or a GPU).

The picture has a row per content and style of ``--shown``, by default `ROWS`, of those kinds that
the folder has.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.answers import Case, made_cases
from benchmarks.backbones import EarlyFeatures
from benchmarks.built import WITHOUT_DETAIL, takes, weights_of
from benchmarks.quality import read_kinds
from benchmarks.record import add_device, time_in_turns, write_record
from benchmarks.truth import clouds, grain, psnr
from styleaug import Stylizer, create_stylizer
from styleaug.features import FeatureExtractor
from styleaug.functional import edge_correlation, moment_distance, ssim
from styleaug.images import contact_sheet, to_picture
from styleaug.metrics import LPIPS, FrechetDistance
from styleaug.stylizers import STYLIZERS
from styleaug.training.recipes.networks import style_features
from styleaug.weights import at_hand

OTHERS = 3
"""Styles of other kinds for every content."""

MODELS = 8
"""Half of the images of a kind that a Fréchet distance goes to, if there are so many."""

RESTORED = 4
"""Of so many pairs one is painted back: it takes as long as all the rest."""

ROWS = (
    "camelyon:midog=H&E in the style of another laboratory",
    "smear=blood smear in the style of another picture",
    "skin=skin in the style of another picture",
    "fundus=fundus in the style of another camera",
    "xray=chest X-ray in the style of another film",
    "fluorescence:stained=fluorescence in the style of stained nuclei",
)
"""Rows of the picture, where none are named; those of kinds that are there."""

Pair = tuple[Tensor, Tensor]
NamedPair = tuple[Tensor, Tensor, str]


def main() -> None:
    """Read the arguments, measure, print, and write the record and the picture."""
    options = _options()
    brought = dict(text.split("=", 1) for text in options.weights)
    stylizers, missing = build_all(brought, without_detail=options.without_detail)
    stylizers = {name: stylizer.to(options.device) for name, stylizer in stylizers.items()}
    kinds = read_kinds(options.images, options.each)
    named = [(a.to(options.device), b.to(options.device), kind) for a, b, kind in pairs_of(kinds)]
    pairs = [(content, style) for content, style, _ in named]
    more = read_kinds(options.images, MODELS) if options.artfid else {}
    models = {kind: torch.cat(list(map(squares, images))) for kind, images in more.items()}
    cases = known_answers(options.images, options.each, options.seed)
    extractor = style_features(options.features).to(options.device)
    print(f"{len(pairs)} pairs, {len(cases)} cases; missing: {missing}", flush=True)
    outputs = {name: paint_all(stylizer, pairs) for name, stylizer in stylizers.items()}
    table = looks(outputs, pairs, extractor)
    for name, stylizer in stylizers.items():
        found = table[name] | distances(outputs[name], named, models, options)
        found |= backwards(stylizer, outputs[name][::RESTORED], pairs[::RESTORED])
        found |= truths(stylizer, cases, options.device)
        found |= memory(stylizer, options.device)
        table[name] = {key: round(value, 3) for key, value in found.items()}
        print(name, json.dumps(table[name]), flush=True)
    for name, share in speeds(stylizers, options.device, repeats=options.repeats).items():
        table[name]["times colorist"] = share
    counts = {"pairs": len(pairs), "cases": len(cases), "kinds": list(kinds)}
    if not options.no_record:
        results = {**counts, "seed": options.seed, "missing": missing}
        results |= {"weights": weights_of(stylizers), "table": table}
        results |= {"note": options.note} if options.note else {}
        print(write_record("compare", results, device=options.device))
    if options.picture:
        plain = {k: v for k, v in stylizers.items() if not k.endswith(WITHOUT_DETAIL)}
        sheet(plain, kinds, options.shown, options.device).save(options.picture, quality=90)


def build_all(
    brought: Mapping[str, str], *, without_detail: bool = False
) -> tuple[dict[str, Stylizer], dict[str, str]]:
    """Return every stylizer that can be built, and why the others cannot.

    Args:
        brought: Files of weights by stylizer.
        without_detail: Build those that have the option once more, with ``detail=False``.

    Raises:
        ValueError: If weights are brought for a stylizer that there is not.
    """
    unknown = sorted(set(brought) - set(STYLIZERS))
    if unknown:
        raise ValueError(f"--weights must name stylizers of {list(STYLIZERS)}, got {unknown}.")
    found, missing = {}, {}
    for name, entry in STYLIZERS.items():
        ready = [record.name for record in entry.weights if at_hand(record)]
        weights = brought.get(name, ready[0] if ready else None)
        if weights is None and takes(name, "weights"):
            missing[name] = "weights are not at hand"
            continue
        try:
            found[name] = create_stylizer(name, weights=weights)
        except (FileNotFoundError, ValueError) as error:
            missing[name] = str(error)
            continue
        if without_detail and takes(name, "detail"):
            found[name + WITHOUT_DETAIL] = create_stylizer(name, weights=weights, detail=False)
    return found, missing


def pairs_of(kinds: Mapping[str, Sequence[Tensor]]) -> list[NamedPair]:
    """Return contents with styles of their own kind and of `OTHERS` kinds that follow it.

    Returns:
        Contents, styles, and the kinds of the styles.
    """
    names = list(kinds)
    pairs = []
    for place, name in enumerate(names):
        half = max(1, len(kinds[name]) // 2)
        steps = sorted({round(i * len(names) / (OTHERS + 1)) for i in range(OTHERS + 1)})
        for index, content in enumerate(kinds[name][:half]):
            for step in steps:
                kind = names[(place + step) % len(names)]
                styles = kinds[kind]
                pairs.append((content, styles[-1 - index % max(1, len(styles) // 2)], kind))
    return pairs


def known_answers(images: Path, each: int, seed: int) -> list[Case]:
    """Return the made cases of `benchmarks.truth` whose style is not the answer itself."""
    cases = made_cases(images, each, seed)
    return [c for c in cases if c.style_of != "oracle" and "half-empty" not in c.kind]


def paint_all(stylizer: Stylizer, pairs: Sequence[Pair]) -> list[Tensor]:
    """Return every content in its style, ``(1, 3, H, W)``."""
    return [stylizer.stylize(content, stylizer.encode_style(style)) for content, style in pairs]


def looks(
    painted: Mapping[str, Sequence[Tensor]], pairs: Sequence[Pair], extractor: FeatureExtractor
) -> dict[str, dict[str, float]]:
    """Return style, edges, SSIM and clouds of what every stylizer painted of all pairs."""
    before, rows = 0.0, []
    for (content, style), *each in zip(pairs, *painted.values(), strict=True):
        outputs = torch.cat(each)
        with torch.no_grad():
            maps = extractor(torch.cat([style, content, outputs]))
        old, *new = moment_distance([m[1:] for m in maps], [m[:1] for m in maps]).tolist()
        before += old
        contents = content.expand_as(outputs)
        kept = edge_correlation(outputs, contents), ssim(outputs, contents)
        seen = [(output[None].cpu(), content.cpu()) for output in outputs]
        uneven = [[measure(*pair) for pair in seen] for measure in (clouds, grain)]
        rows.append([new, *(figures.tolist() for figures in kept), *uneven])
    after, edges, similar, slow, fine = np.array(rows).transpose(1, 0, 2)
    return {
        name: {
            "style": float(after[:, place].sum() / before),
            "edges": float(edges[:, place].mean()),
            "edges, worst 1 %": float(np.quantile(edges[:, place], 0.01)),
            "ssim": float(similar[:, place].mean()),
            "clouds": float(slow[:, place].mean()),
            "most clouds": float(slow[:, place].max()),
            **_grainy(fine[:, place]),
        }
        for place, name in enumerate(painted)
    }


def _grainy(fine: np.ndarray) -> dict[str, float]:
    """Return the grain of the pairs whose contents have even ground, if there are any."""
    found = fine[~np.isnan(fine)]
    return {"grain": float(found.mean()), "most grain": float(found.max())} if len(found) else {}


def distances(
    outputs: Sequence[Tensor],
    pairs: Sequence[NamedPair],
    models: Mapping[str, Tensor],
    options: argparse.Namespace,
) -> dict[str, float]:
    """Return LPIPS and ArtFID over all pairs, those that were asked for.

    Args:
        outputs: What was painted of the pairs.
        pairs: Contents, styles, and the kinds of the styles.
        models: `squares` of the images of every kind.
        options: ``lpips``, ``artfid`` and ``device``.
    """
    if not options.lpips:
        return {}
    metric, painted = LPIPS(weights=options.lpips).to(options.device), defaultdict(list)
    for (content, _, kind), output in zip(pairs, outputs, strict=True):
        metric.update(output, content)
        painted[kind].append(squares(output))
    found = {"lpips": float(metric.compute())}
    if options.artfid:
        features = EarlyFeatures().to(options.device)
        apart = [_frechet(features, torch.cat(painted[kind]), models[kind]) for kind in painted]
        found["artfid"] = (1.0 + found["lpips"]) * (1.0 + float(np.mean(apart)))
    return found


def squares(images: Tensor, side: int = 64) -> Tensor:
    """Return the squares ``(N, 3, side, side)`` that images ``(B, 3, H, W)`` are cut into."""
    rows = images.unfold(2, side, side).unfold(3, side, side)
    return rows.permute(0, 2, 3, 1, 4, 5).flatten(0, 2)


def _frechet(features: EarlyFeatures, output: Tensor, style: Tensor) -> float:
    metric = FrechetDistance(features, size=features.size).to(output.device)
    metric.update(output, of="output")
    metric.update(style.to(output.device), of="style")
    return float(metric.compute())


def backwards(
    stylizer: Stylizer, outputs: Sequence[Tensor], pairs: Sequence[Pair]
) -> dict[str, float]:
    """Return how well contents are restored from what was painted, and repeated in their own style.

    Args:
        stylizer: What paints.
        outputs: What it painted of the pairs.
        pairs: Contents and styles; a content that stands in several is repeated once.
    """
    restored = [
        float(ssim(stylizer.restore(output, content), content))
        for output, (content, _) in zip(outputs, pairs, strict=True)
    ]
    contents = {id(content): content for content, _ in pairs}.values()
    own = [psnr(stylizer.stylize(c, stylizer.encode_style(c)), c) for c in contents]
    return {"restored": float(np.mean(restored)), "own style": float(np.mean(own))}


def truths(stylizer: Stylizer, cases: Sequence[Case], device: str = "cpu") -> dict[str, float]:
    """Return the mean gain over leaving contents as they are, and how often it is a loss."""
    gains = []
    for case in cases:
        code = stylizer.encode_style(case.style.to(device))
        output = stylizer.stylize(case.content.to(device), code).cpu()
        gains.append(psnr(output, case.truth) - psnr(case.content, case.truth))
    return {"truth": float(np.mean(gains)), "worse": float(np.mean([g < -1e-6 for g in gains]))}


def speeds(
    stylizers: Mapping[str, Stylizer],
    device: str,
    *,
    batch: int = 8,
    side: int = 224,
    repeats: int = 7,
) -> dict[str, float]:
    """Return the median times of a batch with given codes, run in turns, in units of colorist's."""
    images = torch.rand(batch, 3, side, side, generator=torch.Generator().manual_seed(0)).to(device)
    runs: dict[str, Callable[[], object]] = {
        name: partial(stylizer.stylize, images, stylizer.encode_style(images.flip(0)))
        for name, stylizer in stylizers.items()
    }
    times = time_in_turns(runs, repeats=repeats, warm_up=1, device=device)
    one = times["colorist"]["median"]
    return {name: round(found["median"] / one, 2) for name, found in times.items()}


def memory(stylizer: Stylizer, device: str, *, side: int = 1024) -> dict[str, float]:
    """Return the MB that painting one image takes over what was there, where that can be seen."""
    image = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0)).to(device)
    code = stylizer.encode_style(image[..., :256, :256])
    if torch.device(device).type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        stylizer.stylize(image, code)
        return {"peak mb": (torch.cuda.max_memory_allocated(device) - before) / 2**20}
    if sys.platform != "linux":
        return {}
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what is free goes back to the system, or it would hide
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    resident = _megabytes("VmRSS")
    stylizer.stylize(image, code)
    return {"peak mb": _megabytes("VmHWM") - resident}


def _megabytes(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def sheet(
    stylizers: Mapping[str, Stylizer],
    kinds: Mapping[str, Sequence[Tensor]],
    shown: Sequence[str],
    device: str,
) -> Any:
    """Return the picture: a row per pair; its content, its style, and every stylizer.

    Args:
        stylizers: What paints, by the heads of the columns.
        kinds: Images by kind.
        shown: Rows: ``KIND``, or ``KIND:OTHER`` for a style of another kind, and ``=LABEL`` for
            words of your own. None at all: those of `ROWS` whose kinds are there, else the first
            kinds.
        device: Where it is painted.
    """
    rows, labels = [], []
    for name, other, label in map(_row, shown or _at_hand(kinds)):
        content, style = kinds[name][0].to(device), kinds[other][-1].to(device)
        painted = [s.stylize(content, s.encode_style(style)) for s in stylizers.values()]
        rows.append([to_picture(image[0].cpu()) for image in (content, style, *painted)])
        labels.append(label)
    return contact_sheet(rows, labels, ["content", "style", *stylizers], cell=192)


def _at_hand(kinds: Mapping[str, Sequence[Tensor]]) -> list[str]:
    """Return the rows of `ROWS` whose kinds are there, or the first kinds."""
    found = [text for text in ROWS if set(_row(text)[:2]) <= set(kinds)]
    return found or list(kinds)[: len(ROWS)]


def _row(text: str) -> tuple[str, str, str]:
    """Return content, style and label that ``KIND[:STYLE][=LABEL]`` names."""
    pair, _, label = text.partition("=")
    name, _, other = pair.partition(":")
    return name, other or name, label or (f"{name} in the style of {other}" if other else name)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--images", type=Path, required=True, help="folder with one subfolder per kind")
    add("--each", type=int, default=2, help="contents per kind")
    add("--weights", nargs="*", default=[], metavar="NAME=FILE", help="weights that are brought")
    add("--without-detail", action="store_true", help="rows with detail=False, too")
    add("--features", default="", help="weights of VGG-19 (torchvision's)")
    add("--lpips", default="", metavar="FILE", help='weights of AlexNet, or "default"')
    add("--artfid", action="store_true", help="with --lpips: ArtFID, too")
    add("--repeats", type=int, default=7, help="of the times")
    add("--seed", type=int, default=0)
    add("--picture", type=Path, help="file of the picture")
    rows = "KIND[:STYLE][=LABEL]"
    add("--shown", nargs="*", default=[], metavar=rows, help="rows of the picture")
    add("--note", default="", help="a sentence on the images, kept in the record")
    add("--no-record", action="store_true")
    add_device(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
