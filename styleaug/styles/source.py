"""Where styles come from: other images of the batch, or a bank of styles encoded once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from torch import Tensor

from styleaug._checks import check_choice
from styleaug.images.batch import AnyImage, row_index, take_rows, to_content
from styleaug.styles.bank import StyleBank, check_ids
from styleaug.stylizers.base import Stylizer
from styleaug.stylizers.channelwise import ChannelwiseStylizer
from styleaug.stylizers.code import StyleCode
from styleaug.stylizers.region import InRegion

Styles: TypeAlias = "str | Path | AnyImage | Sequence[str | Path | AnyImage] | StyleSource"


@runtime_checkable
class StyleSource(Protocol):
    """Gives every image of a batch a style: first an id, which can be saved, then its code."""

    def fingerprint(self, batch_size: int) -> str:
        """Return a text that identifies the styles; drawn ids are valid only for equal ones."""
        ...

    def draw(self, uniforms: np.ndarray, applied: np.ndarray) -> list[int]:
        """Return one style id per image.

        Args:
            uniforms: float64 ``(B,)`` random numbers in [0, 1), one per image.
            applied: bool ``(B,)``: the images that will be stylized.
        """
        ...

    def codes(self, ids: Sequence[int], batch: Tensor, stylizer: Stylizer) -> StyleCode:
        """Return the code of each id.

        Args:
            ids: Style ids that `draw` returned.
            batch: The whole batch ``(B, C, H, W)`` to be stylized, in its own data type.
            stylizer: The stylizer that will use the codes.
        """
        ...


class BatchStyles:
    """Every image takes the style of another image of its batch.

    Args:
        within: "batch" draws from all other images. "applied" permutes the styles of the stylized
            images in a random cycle: the protocol of Stylizing ViT. If only one image is stylized,
            its style is drawn from the whole batch (the original protocol would use its own).

    Raises:
        ValueError: If ``within`` is neither of these.

    Example:
        >>> source = BatchStyles()
        >>> source.draw(np.array([0.0, 0.9]), np.array([True, True]))
        [1, 0]
    """

    def __init__(self, within: Literal["batch", "applied"] = "batch") -> None:
        check_choice("within", within, ("batch", "applied"))
        self.within = within

    def fingerprint(self, batch_size: int) -> str:
        """Return the size of the batch: ids are positions in it."""
        return f"batch:{batch_size}"

    def draw(self, uniforms: np.ndarray, applied: np.ndarray) -> list[int]:
        """Return the position of another image for every image."""
        count = len(uniforms)
        steps = 1 + (uniforms * (count - 1)).astype(np.int64)
        ids = (np.arange(count) + steps) % count
        if self.within == "applied" and applied.sum() > 1:
            rows = applied.nonzero()[0]
            circle = rows[uniforms[rows].argsort()]
            ids[circle] = np.roll(circle, -1)
        drawn: list[int] = ids.tolist()
        return drawn

    def codes(
        self,
        ids: Sequence[int],
        batch: Tensor,
        stylizer: Stylizer,
        regions: Tensor | None = None,
    ) -> StyleCode:
        """Encode the images that are needed, each once, within their regions if there are some."""
        check_ids(ids, len(batch))
        rows = sorted(set(ids))
        place = {row: index for index, row in enumerate(rows)}
        index = row_index(rows, batch)
        picked = take_rows(batch, index)
        if isinstance(stylizer, ChannelwiseStylizer) and stylizer.takes(picked):
            code = stylizer.encode_bytes(picked)
        elif isinstance(stylizer, InRegion) and regions is not None:
            code = stylizer.encode_checked(to_content(picked), take_rows(regions, index))
        else:
            code = stylizer.encode_checked(to_content(picked))
        return code[[place[item] for item in ids]]

    def __repr__(self) -> str:
        return f"BatchStyles(within={self.within!r})"


def as_style_source(
    styles: Styles,
    stylizer: Stylizer,
    *,
    portion: bool = False,
    value_range: tuple[float, float] | None = None,
) -> StyleSource:
    """Return the source of styles that ``styles`` describes.

    Args:
        styles: "batch", a bank, the path of a saved bank, a folder, a file, a list of files or
            images, a batch of images, or any other source.
        stylizer: The stylizer that encodes them.
        portion: Whether a fixed portion of each batch is stylized; then "batch" exchanges the
            styles among these images.
        value_range: As in `StyleBank.from_images`.

    Raises:
        FileNotFoundError: If a path does not exist.
        ValueError: If there is no image, or a bank does not fit the stylizer.
    """
    if isinstance(styles, str) and styles == "batch":
        return BatchStyles("applied" if portion else "batch")
    if isinstance(styles, str | Path) and Path(styles).suffix == ".safetensors":
        styles = StyleBank.load(styles)
    if isinstance(styles, StyleBank):
        styles.check_fits(stylizer)
    if isinstance(styles, StyleSource):
        return styles
    if isinstance(styles, str | Path) or _all_paths(styles):
        return StyleBank.from_files(styles, stylizer, value_range=value_range)  # type: ignore[arg-type]
    return StyleBank.from_images(_images(styles), stylizer, value_range=value_range)


def _all_paths(styles: Any) -> bool:
    if not isinstance(styles, Sequence):
        return False
    return len(styles) > 0 and all(isinstance(item, str | Path) for item in styles)


def _images(styles: Any) -> Any:
    """Return a list of images; a single image becomes a list of one."""
    return styles if isinstance(styles, Sequence | Iterator) else [styles]
