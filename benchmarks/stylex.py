"""Does StyleX see processing and not anatomy? Beside plain statistics.

``python -m benchmarks.stylex --weights model.safetensors --images FILMS [--other CT] [--features
vgg19.safetensors]`` takes images that training never saw, parameters of the region that it left
out, and a pipeline that it never used, and gives for each:

* retrieval: share of images whose style is found among 32, all of other anatomy (chance 0.03);
* spearman: rank correlation of the distance with that of the parameters, for unlike anatomy;
* content gap: distance by anatomy alone, as a share of the distance by style alone. The distance
  of StyleX is one minus the cosine, that of the statistics is Euclidean.

Networks run in bfloat16. ``--figure`` draws a t-SNE of 12 unseen styles of each pipeline, a colour
per style.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from scipy.stats import spearmanr
from torch import Tensor

from benchmarks.codes import placed
from benchmarks.domains import read_square
from benchmarks.record import add_device, write_record
from styleaug.appearance.pipelines import blurred, ranged
from styleaug.features import FeatureExtractor
from styleaug.functional import channel_mean_std
from styleaug.images import find_images
from styleaug.stylex import PIPELINES, Pipeline, StyleX

STYLES, ROUNDS, PAIRS = 32, 8, 256
LAYERS = ("relu1_1", "relu2_1", "relu3_1")
Embed = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Equalised(Pipeline):
    """Histogram equalisation, smoothing, ends cut off and a tone curve; StyleX never sees it.

    Attributes:
        equal: Share of the equalised image.
        gamma: Exponent of the tone curve.
        smooth: Standard deviation of the blur in pixels.
        black: Grey value that becomes 0.
        white: Grey value that becomes 1.
    """

    equal: float = 0.5
    gamma: float = 1.0
    smooth: float = 0.1
    black: float = 0.0
    white: float = 1.0

    RANGES: ClassVar[Mapping[str, tuple[float, float]]] = {
        "equal": (0.0, 1.0),
        "gamma": (0.5, 2.0),
        "smooth": (0.1, 2.0),
        "black": (0.0, 0.25),
        "white": (0.75, 1.0),
    }

    @classmethod
    def process(
        cls, images: Tensor, vectors: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """Process images, each with parameters of its own; see `Pipeline.process`."""
        equal, gamma, smooth, black, white = vectors.T[..., None, None, None]
        images = ranged(images)
        ranks = images.flatten(1).argsort(dim=1).argsort(dim=1) / images[0].numel()
        mixed = blurred(images + equal * (ranks.view_as(images) - images), smooth)
        return ((mixed - black) / (white - black)).clamp(1e-4, 1.0) ** gamma


QUESTIONS: dict[str, tuple[type[Pipeline], bool]] = {
    f"{name}, {'unseen' if held_out else 'seen'} parameters": (pipeline, held_out)
    for name, pipeline in PIPELINES.items()
    for held_out in (False, True)
} | {"a pipeline never trained on": (Equalised, False)}


def main() -> None:
    """Measure, print and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="films")
    parser.add_argument("--images", required=True, help="films that training never saw")
    parser.add_argument("--other", help="images of another kind")
    parser.add_argument(
        "--features", help="weights of VGG-19, or default; without, no VGG statistics"
    )
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--figure", help="file of the t-SNE")
    parser.add_argument("--no-record", action="store_true")
    add_device(parser)
    options = parser.parse_args()
    metric = StyleX(options.weights).to(options.device)
    one_view = StyleX(options.weights, views=1).to(options.device)
    embeds: dict[str, Embed] = {
        "StyleX": _short(metric.embed),
        "StyleX, one view": _short(one_view.embed),
        "mean and deviation": _grey_moments,
        "histogram": _histogram,
    }
    if options.features:
        extractor = FeatureExtractor("vgg19", LAYERS, weights=options.features)
        extractor = extractor.to(options.device)
        embeds["VGG statistics"] = _short(lambda images: _vgg(images, extractor))
    embeds = {name: placed(embed, options.device) for name, embed in embeds.items()}
    results: dict[str, object] = {}
    kinds = {"films": options.images} | ({"other": options.other} if options.other else {})
    for kind, folder in kinds.items():
        images = read_grey(Path(folder), options.size)
        for asked, (pipeline, held_out) in QUESTIONS.items():
            label = f"{kind}, {asked}"
            results[label] = {
                key: figures(images, pipeline, embed, held_out, angular=key.startswith("StyleX"))
                for key, embed in embeds.items()
            }
            print(label, json.dumps(results[label], indent=1), flush=True)
    if options.figure:
        draw_styles(read_grey(Path(options.images), options.size), embeds["StyleX"], options.figure)
    found = {"images": {k: str(k) for k in kinds}, **results}
    if not options.no_record:
        print(write_record("stylex", found, device=options.device))


def read_grey(folder: Path, size: int) -> Tensor:
    """Return square grey images ``(N, 1, size, size)``."""
    squares = [read_square(path, size) for path in find_images([folder])]
    return torch.cat(squares).mean(dim=1, keepdim=True)


@torch.no_grad()
def figures(
    images: Tensor,
    pipeline: type[Pipeline],
    embed: Embed,
    held_out: bool,
    *,
    angular: bool = False,
) -> dict[str, float]:
    """Return the three figures of one embedding on one pipeline."""
    generator = torch.Generator().manual_seed(0)
    right, total = 0, 0
    for _ in range(ROUNDS):
        vectors = pipeline.sample(STYLES, generator, held_out=held_out)
        one, two = _drawn(images, 2, STYLES, generator)
        gallery = embed(pipeline.process(one, vectors, generator))
        queries = embed(pipeline.process(two, vectors, generator))
        right += int((_distances(queries, gallery).argmin(dim=1) == torch.arange(STYLES)).sum())
        total += STYLES
    first, second = (pipeline.sample(PAIRS, generator, held_out=held_out) for _ in range(2))
    one, two = _drawn(images, 2, PAIRS, generator)
    places = ((one, first), (one, second), (two, first), (two, second))
    here, other_style, other_content, other = (
        embed(pipeline.process(films, vectors, generator)) for films, vectors in places
    )
    apart, same_style, same_content = (
        _paired(here, there) for there in (other, other_content, other_style)
    )
    far = (pipeline.normalise(first) - pipeline.normalise(second)).norm(dim=1)
    if angular:  # of unit vectors: one minus the cosine is half the square
        same_style, same_content = 0.5 * same_style.square(), 0.5 * same_content.square()
    return {
        "retrieval": round(right / total, 3),
        "spearman": round(float(spearmanr(apart.numpy(), far.numpy()).statistic), 3),
        "content gap": round(float(same_style.mean() / same_content.mean()), 3),
    }


@torch.no_grad()
def draw_styles(images: Tensor, embed: Embed, path: str, styles: int = 12, each: int = 24) -> None:
    """Draw a t-SNE of styles that training left out, one panel per pipeline."""
    import matplotlib.pyplot as plt
    from sklearn.manifold import TSNE

    figure, panels = plt.subplots(1, len(PIPELINES), figsize=(9, 4.2), layout="constrained")
    generator = torch.Generator().manual_seed(0)
    for panel, (name, pipeline) in zip(panels, PIPELINES.items(), strict=True):
        vectors = pipeline.sample(styles, generator, held_out=True).repeat_interleave(each, 0)
        films = images[torch.randint(len(images), (len(vectors),), generator=generator)]
        found = embed(pipeline.process(films, vectors, generator))
        places = TSNE(metric="cosine", init="random", random_state=0).fit_transform(found.numpy())
        colours = torch.arange(styles).repeat_interleave(each)
        panel.scatter(*places.T, c=colours, cmap="tab20", s=8)
        panel.set(title=name, xticks=[], yticks=[])
    figure.savefig(path)


def _drawn(images: Tensor, groups: int, count: int, generator: torch.Generator) -> list[Tensor]:
    """Return groups of images; no image stands at one place of two groups."""
    rows = torch.randint(len(images), (count,), generator=generator)
    shift = torch.randint(1, len(images), (count,), generator=generator)
    return [images[(rows + index * shift) % len(images)] for index in range(groups)]


def _distances(a: Tensor, b: Tensor) -> Tensor:
    return torch.cdist(a.double(), b.double())


def _paired(a: Tensor, b: Tensor) -> Tensor:
    return (a.double() - b.double()).norm(dim=1)


def _grey_moments(images: Tensor) -> Tensor:
    return torch.cat([x.flatten(1) for x in channel_mean_std(images)], dim=1)


def _histogram(images: Tensor) -> Tensor:
    rows = [torch.histc(image, 64, 0.0, 1.0) / image.numel() for image in images]
    return torch.stack(rows).cumsum(dim=1)


def _short(embed: Embed) -> Embed:
    """Return the same in bfloat16, a part of the images at a time."""

    def embedded(images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, torch.bfloat16):
            return torch.cat([embed(part).float() for part in images.split(64)])

    return embedded


def _vgg(images: Tensor, extractor: FeatureExtractor) -> Tensor:
    parts = []
    for chunk in images.expand(-1, 3, -1, -1).split(32):
        maps = [features.float() for features in extractor(chunk)]
        moments = [x.flatten(1) / m.mean() for m in maps for x in channel_mean_std(m)]
        parts.append(torch.cat(moments, dim=1))
    return torch.cat(parts)


if __name__ == "__main__":
    main()
