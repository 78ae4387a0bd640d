"""The card of trained weights: what they are, what made them, how they did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from styleaug.training.config import TrainConfig
from styleaug.weights import file_digest

_ROWS = 10


def write_card(
    folder: Path, config: TrainConfig, history: Sequence[Mapping[str, float]], skipped: int
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
        "## Losses, not weighted",
        "",
        *_table(history),
        "",
    ]
    (folder / "card.md").write_text("\n".join(lines), encoding="utf-8")


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
