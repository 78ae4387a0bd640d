"""How near stylizers come to an answer that is known.

``python -m benchmarks.truth --images DIR`` makes pairs from the images of each subfolder of DIR:
content = F(crop), style = G(another crop), truth = G(crop), where F and G are random appearances,
which are new to training in part only (see `benchmarks.answers.draw_change`). ``--pairs DIR`` (may
be repeated) reads registered scans of one tissue instead: ``DIR/a`` and ``DIR/b`` with files of the
same names, in both directions; ``--slide`` finds a file's slide in its name. ``--sheets DIR``
writes the best, the median and the worst picture of each kind.

* psnr, ssim, ciede2000: output against the answer;
* worse: share of the cases in which leaving the content as it is would have been better (PSNR);
* clouds: low-frequency colour that no map of the content's colours explains, rms of 255; of the
  answers, too;
* edges: correlation of the Sobel magnitudes of output and content, mean and worst hundredth;
* tint: mean difference from the answer where the content is empty glass, of 255;
* ms: median milliseconds per picture, of reading the style and painting the content.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import albumentations as A
import numpy as np
import torch
import torch.nn.functional as F
from skimage.color import deltaE_ciede2000, rgb2lab
from torch import Tensor
from torchstain.torch.normalizers.macenko import TorchMacenkoNormalizer
from torchstain.torch.normalizers.reinhard import TorchReinhardNormalizer

from benchmarks.answers import SIDE, Case, made_cases, registered_cases, white_glass_cases
from benchmarks.record import add_device, write_record
from styleaug import Stylizer, create_stylizer
from styleaug.functional import edge_correlation, ssim
from styleaug.stylizers.statistics import ColorStatistics

STYLIZERS = ("appearance", "micro", "colorist", "reinhard", "mkl", "histogram", "fda")
LEARNED = ("appearance", "micro")
SHOWN = ("appearance", "micro", "mkl")
GRAIN = 3
"""Deviation, in pixels, of the blur that grain does not survive."""

EVEN = 4.0 / 255.0
"""Deviation of a content's grey from that blur, below which ground is even."""

Painter = Callable[[Tensor, Tensor], Tensor]
Row = dict[str, float | str]


def main() -> None:
    """Read the arguments, run, print and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, help="folder with one subfolder per kind")
    parser.add_argument("--pairs", type=Path, nargs="*", default=[], help="folders with a/ and b/")
    parser.add_argument("--slide", default=r"^[^_/]+", help="regular expression, of the name")
    parser.add_argument("--each", type=int, default=12, help="contents per kind or direction")
    parser.add_argument("--stylizers", nargs="*", default=STYLIZERS)
    parser.add_argument("--weights", help="other weights of appearance")
    parser.add_argument(
        "--regions",
        nargs="*",
        default=[],
        help="also rows of statistics in these, and cases whose glass is white",
    )
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sheets", type=Path)
    parser.add_argument("--name", default="truth", help="of the record; empty for none")
    add_device(parser)
    options = parser.parse_args()
    painters = own_painters(options.stylizers, options.weights, options.device, options.regions)
    if not options.no_peers:
        painters |= peers()
    cases = list(made_cases(options.images, options.each, options.seed)) if options.images else []
    if options.images and options.regions:
        cases += white_glass_cases(options.images, options.each, options.seed)
    for folder in options.pairs:
        cases += registered_cases(folder, options.slide, options.each, options.seed)
    rows = [row for number, case in enumerate(cases) for row in measure(case, painters, number)]
    results = {"cases": len(cases), "seed": options.seed, **tabulate(rows)}
    for group, table in results["groups"].items():
        print(group)
        for name, figures in table.items():
            print(f"  {name:12s}", json.dumps(figures))
    if options.name:
        print(write_record(options.name, results, device=options.device))
    if options.sheets:
        write_sheets(options.sheets, cases, rows, painters)


def own_painters(
    names: tuple[str, ...],
    weights: str | None,
    device: str = "cpu",
    regions: tuple[str, ...] = (),
) -> dict[str, Painter]:
    """Return the package's stylizers at full strength, and the learned ones at half of it.

    Those that can take statistics within a region do so in rows of their own.
    """

    def painter(stylizer: Stylizer, alpha: float) -> Painter:
        def paint(content: Tensor, style: Tensor) -> Tensor:
            code = stylizer.encode_style(style.to(device))
            return stylizer.stylize(content.to(device), code, alpha).cpu()

        return paint

    painters: dict[str, Painter] = {"nothing": lambda content, style: content}
    for name in names:
        stylizer = create_stylizer(name, weights=weights if name == "appearance" else None)
        painters[name] = painter(stylizer.to(device), 1.0)
        if name in LEARNED:
            painters[f"{name}, alpha .5"] = painter(stylizer, 0.5)
        for region in regions if isinstance(stylizer, ColorStatistics) else ():
            within = create_stylizer(name, region=region).to(device)
            painters[f"{name}, {region}"] = painter(within, 1.0)
    return painters


def peers() -> dict[str, Painter]:
    """Return what other packages do with one style image; a fit that fails leaves the content."""
    return {
        "torchstain Macenko": _torchstain(TorchMacenkoNormalizer),
        "torchstain Reinhard": _torchstain(TorchReinhardNormalizer),
        # of uint8 images this one returns black
        "Albumentations PDA": _albumentations(A.PixelDistributionAdaptation, "pda", np.float32),
        "Albumentations histogram": _albumentations(A.HistogramMatching, "hm", np.uint8),
        "Albumentations FDA": _albumentations(A.FDA, "fda", np.uint8),
    }


def _torchstain(kind: Callable[[], object]) -> Painter:
    def paint(content: Tensor, style: Tensor) -> Tensor:
        normalizer = kind()
        try:
            normalizer.fit(255.0 * style[0])
            out = normalizer.normalize(255.0 * content[0])
        except (RuntimeError, IndexError, torch.linalg.LinAlgError):
            return content
        out = out[0] if isinstance(out, tuple) else out
        image = out.permute(2, 0, 1)[None].float() / 255.0
        return image.clamp(0, 1) if bool(torch.isfinite(image).all()) else content

    return paint


def _albumentations(kind: Callable[..., object], key: str, dtype: type) -> Painter:
    settings = {"beta_limit": (0.05, 0.05)} if kind is A.FDA else {"blend_ratio": (1.0, 1.0)}
    compose = A.Compose([kind(metadata_key=key, p=1.0, **settings)])

    def array(image: Tensor) -> np.ndarray:
        values = image[0].permute(1, 2, 0).contiguous().numpy()
        return values if dtype is np.float32 else (255.0 * values).round().astype(np.uint8)

    def paint(content: Tensor, style: Tensor) -> Tensor:
        out = compose(image=array(content), **{key: [array(style)]})["image"]
        image = torch.from_numpy(out).permute(2, 0, 1)[None].float()
        return (image if dtype is np.float32 else image / 255.0).clamp(0, 1)

    return paint


def measure(case: Case, painters: Mapping[str, Painter], number: int) -> list[Row]:
    """Return the figures of every painter on a case."""
    nothing = psnr(case.content, case.truth)
    truth_clouds = clouds(case.truth, case.content)
    rows = []
    for name, paint in painters.items():
        began = time.perf_counter()
        output = paint(case.content, case.style)
        seconds = time.perf_counter() - began
        found: Row = {
            "case": number,
            "painter": name,
            "kind": case.kind,
            "style_of": case.style_of,
            "psnr": psnr(output, case.truth),
            "over nothing": psnr(output, case.truth) - nothing,
            "ssim": float(ssim(output, case.truth)),
            "ciede2000": color_difference(output, case.truth),
            "worse": float(psnr(output, case.truth) < nothing - 1e-6),
            "clouds": clouds(output, case.content),
            "clouds of the answer": truth_clouds,
            "edges": float(edge_correlation(output, case.content)),
            "ms": 1e3 * seconds,
        }
        if case.empty is not None:
            error = (output - case.truth).abs().mean(dim=1, keepdim=True)
            found["tint"] = 255.0 * float((error * case.empty).sum() / case.empty.sum())
            found["psnr of tissue"] = psnr(output, case.truth, 1.0 - case.empty)
        rows.append(found)
    return rows


def psnr(output: Tensor, truth: Tensor, where: Tensor | None = None) -> float:
    """Return the peak signal to noise ratio in dB, at most 60; of a part of the image, if said."""
    error = (output - truth).square().mean(dim=1, keepdim=True)
    mean = error.mean() if where is None else (error * where).sum() / where.sum()
    return -10.0 * float(np.log10(max(float(mean), 1e-6)))


def color_difference(output: Tensor, truth: Tensor) -> float:
    """Return the mean CIEDE2000, of every third pixel of every third row."""
    some = (image[0, :, ::3, ::3].permute(1, 2, 0).double().numpy() for image in (output, truth))
    a, b = map(rgb2lab, some)
    return float(deltaE_ciede2000(a, b).mean())


def clouds(output: Tensor, content: Tensor) -> float:
    """Return how much low-frequency colour no map of the content's colours explains, rms of 255.

    The map is the cubic polynomial that fits best; what is left is blurred over a twentieth of the
    side.
    """
    left = _unexplained(output, content)
    return 255.0 * float(_blurred(left, min(output.shape[2:]) / 20.0).square().mean().sqrt())


def grain(output: Tensor, content: Tensor) -> float:
    """Return how much fine colour on even ground no such map explains, rms of 255.

    Fine is what a blur over 3 pixels takes away; ground is even where the content's grey deviates
    by less than 4 of 255 from its blur. NaN where less than a hundredth of a content is even.
    """
    left, grey = _unexplained(output, content), content.mean(dim=1, keepdim=True)
    rim = 2 * GRAIN
    inner = (..., slice(rim, -rim), slice(rim, -rim))
    uneven = _blurred(grey.square(), GRAIN) - _blurred(grey, GRAIN).square()
    even = (uneven < EVEN**2).float()
    if float(even.mean()) < 0.01:
        return float("nan")
    fine = (left[inner] - _blurred(left, GRAIN)).square().mean(dim=1, keepdim=True)
    return 255.0 * float(((fine * even).sum() / even.sum()).sqrt())


def _unexplained(output: Tensor, content: Tensor) -> Tensor:
    """Return what the best cubic map of the colours of ``(1, 3, H, W)`` leaves of the output."""
    colors = content[0].flatten(1).double().T
    r, g, b = colors.T
    terms = [r**i * g**j * b**k for i in range(4) for j in range(4 - i) for k in range(4 - i - j)]
    design = torch.stack(terms, dim=1)
    wanted = output[0].flatten(1).double().T
    gram = design.T @ design + 1e-6 * len(design) * torch.eye(design.shape[1]).double()
    fitted = design @ torch.linalg.solve(gram, design.T @ wanted)
    return (wanted - fitted).T.reshape(1, *output.shape[1:]).float()


def _blurred(maps: Tensor, sigma: float) -> Tensor:
    """Return maps after a Gaussian, where all of it (two deviations) is inside."""
    taps = torch.arange(-round(2 * sigma), round(2 * sigma) + 1)
    kernel = torch.exp(-0.5 * (taps / sigma) ** 2).expand(maps.shape[1], 1, 1, -1)
    kernel, groups = kernel / kernel[0].sum(), maps.shape[1]
    return F.conv2d(F.conv2d(maps, kernel, groups=groups), kernel.mT, groups=groups)


def tabulate(rows: list[Row]) -> dict[str, object]:
    """Return mean figures over kinds for each origin of the style, and for each kind."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        label = f"style of {row['style_of']}"
        if "half-empty" in str(row["kind"]):
            white = "white glass" in str(row["kind"])
            label = "half-empty tiles, white glass" if white else "half-empty tiles"
        groups.setdefault(_direction(row) or label, []).append(row)
        groups.setdefault(f"{row['kind']}, style of {row['style_of']}", []).append(row)
    return {"groups": {name: _table(found) for name, found in groups.items()}}


def _direction(row: Row) -> str:
    return "" if " to " not in str(row["kind"]) else f"registered, style of {row['style_of']}"


def _table(rows: list[Row]) -> dict[str, dict[str, float]]:
    names = dict.fromkeys(str(row["painter"]) for row in rows)
    return {name: _mean([row for row in rows if row["painter"] == name]) for name in names}


def _mean(rows: list[Row]) -> dict[str, float]:
    keys = [key for row in rows for key, value in row.items() if isinstance(value, float)]
    figures = {key: [float(row[key]) for row in rows if key in row] for key in dict.fromkeys(keys)}
    mean = {key: round(float(np.mean(values)), 3) for key, values in figures.items()}
    mean["edges, worst 1 %"] = round(float(np.quantile(figures["edges"], 0.01)), 3)
    mean["ms"] = round(float(np.median(figures["ms"])), 3)
    mean["worst over nothing"] = round(float(np.min(figures["over nothing"])), 2)
    return {**mean, "cases": len(rows)}


def write_sheets(
    folder: Path, cases: list[Case], rows: list[Row], painters: Mapping[str, Painter]
) -> None:
    """Write for each kind the worst, median and best case of appearance.

    The columns are content, style, answer, appearance, micro and mkl.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scored = [row for row in rows if row["painter"] == "appearance" and row["style_of"] != "oracle"]
    for kind in dict.fromkeys(str(row["kind"]) for row in scored):
        found = sorted(
            (row for row in scored if row["kind"] == kind), key=lambda row: row["over nothing"]
        )
        chosen = [found[0], found[len(found) // 2], found[-1]]
        lines = []
        for row in chosen:
            case = cases[int(row["case"])]
            painted = [
                painters[name](case.content, case.style) for name in SHOWN if name in painters
            ]
            views = [case.content, case.style, case.truth, *painted]
            lines.append(torch.cat([F.interpolate(v, (SIDE, SIDE)) for v in views], dim=3))
        sheet = torch.cat(lines, dim=2)[0].clamp(0, 1).mul(255).round().byte()
        path = folder / f"{kind.replace(', ', '-').replace(' ', '-')}.png"
        _save(sheet, path)


def _save(image: Tensor, path: Path) -> None:
    from PIL import Image

    Image.fromarray(image.permute(1, 2, 0).numpy()).save(path)


if __name__ == "__main__":
    main()
