"""Scores of pairs of files, saved one by one so that an interrupted run can continue."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from styleaug._draws import id_keys
from styleaug.evaluation.measures import MEASURES
from styleaug.images.batch import to_content
from styleaug.images.checks import check_sides
from styleaug.images.files import find_named
from styleaug.images.opening import open_image
from styleaug.metrics import PairMetric
from styleaug.stylizers.base import Stylizer
from styleaug.weights import file_digest


@dataclass(frozen=True)
class Pair:
    """A content and the style that was drawn for it.

    Attributes:
        name: Name of the content relative to its folder.
        content: File of the content.
        style: File of the style.
    """

    name: str
    content: Path
    style: Path


class Scores:
    """A file of scores: one JSON object per line, with a key that identifies its inputs.

    Args:
        path: The file; it is created with the first score.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        self._known = dict(filter(None, map(_parsed, text.splitlines())))
        self._torn = not text.endswith("\n") and bool(text)

    def find(self, key: str) -> dict[str, float] | None:
        """Return the scores under a key, or None."""
        return self._known.get(key)

    def add(self, key: str, scores: dict[str, float]) -> None:
        """Save scores to disk immediately."""
        self._known[key] = scores
        line = json.dumps({"key": key, "scores": scores}) + "\n"
        with self.path.open("a", encoding="utf-8") as file:
            file.write("\n" + line if self._torn else line)
        self._torn = False


def _parsed(line: str) -> tuple[str, dict[str, float]] | None:
    """Return key and scores of a line, or None if the line is incomplete."""
    try:
        record = json.loads(line)
        return record["key"], record["scores"]
    except ValueError:
        return None


def pair_files(contents: Sequence[str], styles: Sequence[str], seed: int) -> list[Pair]:
    """Return every content with one style, drawn from the name of the content and the seed.

    Args:
        contents: Files, folders or patterns.
        styles: Likewise.
        seed: Seed of the draw.

    Raises:
        FileNotFoundError: If a path does not exist.
    """
    named = [pair for path in contents for pair in find_named(path)]
    references = [file for path in styles for file, _ in find_named(path)]
    keys = id_keys(seed, [name.as_posix() for _, name in named])
    drawn = [references[int(key) % len(references)] for key in keys]
    return [
        Pair(name.as_posix(), file, style) for (file, name), style in zip(named, drawn, strict=True)
    ]


def score_stylizer(
    pairs: Iterable[Pair],
    metrics: Mapping[str, PairMetric],
    paint: Callable[[Pair, Tensor, Tensor], Tensor],
    scores: Scores,
    *,
    identity: str,
    size: int,
    on_error: Callable[[Pair, Exception], object],
    advance: Callable[[], object],
) -> dict[str, dict[str, float]]:
    """Return the scores of every pair that can be read.

    Args:
        pairs: What to score.
        metrics: Metrics by name.
        paint: Returns the stylized image of a pair, its content and its style.
        scores: Where scores are saved and looked up.
        identity: Identifies what made the images; part of the key.
        size: Longest side that images are resized to.
        on_error: Called for pairs that cannot be read.
        advance: Called after every pair.
    """
    found = {}
    for pair in pairs:
        try:
            digests = [file_digest(path) for path in (pair.content, pair.style)]
            key = sha256(json.dumps([identity, size, *digests]).encode()).hexdigest()[:24]
            known = scores.find(key) or {}
            missing = [name for name in metrics if name not in known]
            if missing:
                content, style = (read_sized(path, size) for path in (pair.content, pair.style))
                output = paint(pair, content, style)
                images = {"content": content, "style": style}
                for name in missing:
                    other = images[MEASURES[name].against]
                    known[name] = float(metrics[name].measure(output, other))
                scores.add(key, known)
            found[pair.name] = {name: known[name] for name in metrics}
        except (OSError, ValueError, TypeError) as error:
            on_error(pair, error)
        advance()
    return found


def stylizer_paint(stylizer: Stylizer) -> Callable[[Pair, Tensor, Tensor], Tensor]:
    """Return a function that stylizes the content of a pair."""

    def paint(pair: Pair, content: Tensor, style: Tensor) -> Tensor:
        return stylizer.stylize(content, stylizer.encode_style(style))

    return paint


def folder_paint(folder: Path, size: int) -> Callable[[Pair, Tensor, Tensor], Tensor]:
    """Return a function that reads images stylized elsewhere, by the name of the content."""

    def paint(pair: Pair, content: Tensor, style: Tensor) -> Tensor:
        path = folder / pair.name
        if not path.is_file():
            raise FileNotFoundError(
                f"{str(path)!r} must be the stylized {pair.name}, it is missing."
            )
        output = read_sized(path, size)
        if output.shape != content.shape:
            raise ValueError(
                f"{str(path)!r} must be as large as its content {tuple(content.shape[2:])}, got "
                f"{tuple(output.shape[2:])}."
            )
        return output

    return paint


def read_sized(path: Path, size: int) -> Tensor:
    """Read an image ``(1, 3, H, W)``, resized so that its longest side has at most ``size`` pixels.

    For a volume it is the middle slice.
    """
    image = to_content(open_image(path).images.middle().batch)
    check_sides("image", image, 32)
    scale = size / max(image.shape[2:])
    if scale >= 1.0:
        return image
    shape = [max(32, round(side * scale)) for side in image.shape[2:]]
    return F.interpolate(image, shape, mode="bilinear", antialias=True).clamp(0.0, 1.0)


def summary(scores: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Return mean, median and the worst twentieth of every measure over pairs."""
    names = list(next(iter(scores.values()))) if scores else []
    table = {}
    for name in names:
        values = torch.tensor([row[name] for row in scores.values()], dtype=torch.float64)
        worst = 0.05 if MEASURES[name].better == "high" else 0.95
        table[name] = {
            "mean": float(values.mean()),
            "median": float(values.median()),
            "worst 5 %": float(values.quantile(worst)),
        }
    return table
