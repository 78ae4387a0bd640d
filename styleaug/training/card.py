"""The card of trained weights: description, settings and results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from styleaug._files import write_text
from styleaug.functional import edge_correlation, ssim
from styleaug.training.config import TrainConfig
from styleaug.training.losses import color_moments_loss
from styleaug.weights import file_digest

_ROWS = 10


def write_card(
    folder: Path,
    config: TrainConfig,
    history: Sequence[Mapping[str, float]],
    skipped: int,
    quality: Mapping[str, float],
) -> None:
    """Write ``card.md`` beside ``model.safetensors``."""
    weights = folder / "model.safetensors"
    lines = [
        f"# {config.recipe}",
        "",
        f"Weights of `{config.recipe}`, trained by `styleaug train {config.recipe}`.",
        "",
        f"* file: `{weights.name}`, {weights.stat().st_size} bytes, float16",
        f"* sha256: `{file_digest(weights)}`",
        f"* content images: {', '.join(Path(p).name for p in config.content)}",
        f"* style images: {', '.join(Path(p).name for p in config.style or config.content)}",
        f"* broken images passed over: {skipped}",
        "* licence and intended use: to be filled in by whoever publishes the weights",
        "",
        "## Settings",
        "",
        "```toml",
        config.to_toml().strip(),
        "```",
        "",
        "## Quality on pairs of the training folders",
        "",
        *(f"* {name}: {value:.3f}" for name, value in quality.items()),
        "",
        "## Losses, not weighted",
        "",
        *_table(history),
        "",
    ]
    write_text(folder / "card.md", "\n".join(lines))


def preview_quality(content: Tensor, style: Tensor, output: Tensor) -> dict[str, float]:
    """Return measures of stylized images ``(B, 3, H, W)`` that need no perceptual network."""
    before, after = (color_moments_loss(image, style) for image in (content, output))
    return {
        "edge correlation of output and content, mean": float(
            edge_correlation(output, content).mean()
        ),
        "SSIM of output and content, mean": float(ssim(output, content).mean()),
        "squared distance of the colour moments to the style's, content": float(before),
        "the same, output": float(after),
    }


def _table(history: Sequence[Mapping[str, float]]) -> list[str]:
    if not history:
        return ["No step was logged."]
    names = list(history[0])
    chosen = [history[round(i * (len(history) - 1) / (_ROWS - 1))] for i in range(_ROWS)]
    rows = [[f"{entry[name]:.4g}" for name in names] for entry in chosen]
    return [
        "| " + " | ".join(names) + " |",
        "| " + " | ".join("---" for _ in names) + " |",
        *("| " + " | ".join(row) + " |" for row in rows),
    ]
