"""The contract of every stylizer, and everything that is the same around every network.

A subclass implements hooks on checked tensors: `_encode_style`, `_stylize` and, if it can encode
the content once for many styles, `_stylize_grid`. Checks, style size, padding, chunks, precision,
clamping and the exactness of ``alpha=0`` are handled here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleaug._checks import check_choice, check_count, check_probability
from styleaug._device import upload
from styleaug.images.batch import collect
from styleaug.images.checks import check_images, check_sides, check_unit_range
from styleaug.stylizers.code import StyleCode

Precision: TypeAlias = Literal["auto", "fp32", "bf16", "fp16"]
Maps: TypeAlias = Mapping[str, Tensor]

PRECISIONS = ("auto", "fp32", "bf16", "fp16")
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Stylizer(nn.Module):
    """Repaints content images in the style of others; always frozen and in eval mode.

    Args:
        precision: Precision of the network. "auto" is bfloat16 on CUDA devices that support it and
            float32 elsewhere. Statistics and colour stylizers always use float32.
        max_batch: Largest number of images processed at once; None lets the stylizer choose.

    Attributes:
        name: Name in the table of stylizers.
        least_side: Smallest side of contents and styles, in pixels.
        multiple: Content sides are padded (reflection) to a multiple of this and cropped back.
        style_size: Style images are resized to this square before they are encoded, so that
            codes stack; None if the code does not depend on the size.
        weights_id: Short digest of the weights; empty if there are none.
        follows_color: Whether the style is only colour, so that keeping the content's colour would
            undo it.
        pointwise: Whether each output pixel depends only on its own colour and on statistics of
            the image, so that a volume can be stylized as one tall image.
        unexportable: Why it cannot be exported (`styleaug.export`); empty if it can.
    """

    name: str = ""
    least_side: ClassVar[int] = 32
    multiple: int = 1
    style_size: int | None = None
    weights_id: str = ""
    follows_color: ClassVar[bool] = False
    pointwise: ClassVar[bool] = False
    unexportable: ClassVar[str] = ""

    def __init__(self, *, precision: Precision = "auto", max_batch: int | None = None) -> None:
        super().__init__()
        check_choice("precision", precision, PRECISIONS)
        if max_batch is not None:
            check_count("max_batch", max_batch)
        self.precision: Precision = precision
        self.max_batch = max_batch

    @property
    def identity(self) -> str:
        """Name, settings that change style codes, and weights: codes only fit an equal identity."""
        settings = ",".join(f"{key}={value}" for key, value in self._code_settings().items())
        return ":".join(part for part in (self.name, settings, self.weights_id) if part)

    def freeze(self) -> Stylizer:
        """Switch to eval mode without gradients permanently; returns the stylizer."""
        self.requires_grad_(False)
        return self.eval()

    def train(self, mode: bool = True) -> Stylizer:
        """Keep a frozen stylizer in eval mode, whatever a parent module asks for."""
        frozen = not any(parameter.requires_grad for parameter in self.parameters())
        return super().train(mode and not frozen)

    def encode_style(self, style: Tensor) -> StyleCode:
        """Encode style images once, for use with any content.

        Args:
            style: float ``(S, 3, H, W)`` in [0, 1], RGB, not normalised.

        Returns:
            A code of S styles.

        Raises:
            TypeError: If ``style`` is not a floating-point tensor.
            ValueError: If shape or values do not fit.
        """
        check_unit_images("style", style)
        self.check_sides("style", style)
        return self.encode_checked(style)

    @torch.no_grad()
    def encode_checked(self, style: Tensor) -> StyleCode:
        """Encode checked style images (`encode_style` without the checks)."""
        codes = []
        for rows in self.chunks(style):
            sized = self._resize_style(style[rows])
            with self._numeric_context(style.device):
                codes.append(StyleCode(self._encode_style(sized), self.identity))
        return StyleCode.cat(codes)

    def stylize(
        self, content: Tensor, style_code: StyleCode, alpha: float | Sequence[float] | Tensor = 1.0
    ) -> Tensor:
        """Repaint each content image in the style of its code.

        Args:
            content: float ``(B, 3, H, W)`` in [0, 1], RGB, sides of at least ``least_side`` pixels.
            style_code: B codes, or one code for all.
            alpha: Stylization strength, one number or ``(B,)``: 0 keeps the content bit for bit,
                1 is full style.

        Returns:
            float ``(B, 3, H, W)`` in [0, 1].

        Raises:
            TypeError: If ``content`` is not a floating-point tensor.
            ValueError: If shapes, values or the origin of the code do not fit.
        """
        check_unit_images("content", content)
        self.check_sides("content", content)
        self._check_code(style_code)
        if len(style_code) not in (1, len(content)):
            raise ValueError(
                f"style_code must hold 1 style or {len(content)} (one per content image), "
                f"got {len(style_code)}."
            )
        if len(style_code) != len(content):
            style_code = style_code[[0] * len(content)]
        strengths = alpha_values(alpha, len(content))
        vector = upload(strengths, content.device, dtype=torch.float32)
        painted: Tensor = self(
            content, style_code.to(content.device), vector, zeros=0.0 in strengths
        )
        return painted

    def stylize_grid(
        self, content: Tensor, style_code: StyleCode, alpha: float | Sequence[float] | Tensor = 1.0
    ) -> Tensor:
        """Repaint every content image in every style; contents are encoded only once if possible.

        Args:
            content: float ``(B, 3, H, W)`` in [0, 1], RGB, sides of at least ``least_side`` pixels.
            style_code: S codes.
            alpha: Stylization strength, one number or ``(B,)``.

        Returns:
            float ``(B, S, 3, H, W)`` in [0, 1].

        Raises:
            TypeError: If ``content`` is not a floating-point tensor.
            ValueError: If shapes, values or the origin of the code do not fit.
        """
        check_unit_images("content", content)
        self.check_sides("content", content)
        self._check_code(style_code)
        strengths = alpha_values(alpha, len(content))
        vector = upload(strengths, content.device, dtype=torch.float32)
        return self.grid_checked(
            content, style_code.to(content.device), vector, zeros=0.0 in strengths
        )

    def restore(self, stylized: Tensor, content: Tensor) -> Tensor:
        """Bring stylized images back to the style of their contents.

        The difference from the content shows what stylization lost. RAST is trained to lose little;
        for other stylizers this is a check.

        Args:
            stylized: float ``(B, 3, H, W)`` in [0, 1].
            content: float ``(B, 3, H, W)`` in [0, 1], what they were made from.

        Returns:
            float ``(B, 3, H, W)`` in [0, 1].

        Source:
            Ma et al., "RAST", WACV 2023: the content restored through the stylized image.
        """
        return self.stylize(stylized, self.encode_style(content))

    @torch.no_grad()
    def forward(
        self, content: Tensor, style_code: StyleCode, alpha: Tensor, *, zeros: bool = True
    ) -> Tensor:
        """Stylize checked tensors (`stylize` without the checks).

        Args:
            content: As in `stylize`.
            style_code: B codes on the device of the content.
            alpha: ``(B,)`` strengths there.
            zeros: Whether a strength may be 0; reading it from the device would synchronise.
        """

        def paint(rows: slice) -> Tensor:
            maps = {name: tensor[rows] for name, tensor in style_code.maps.items()}
            return self.paint_at_once(content[rows], maps, alpha[rows], zeros=zeros)

        if self._in_one_graph:
            return self.paint_at_once(content, style_code.maps, alpha, zeros=zeros)
        return collect(map(paint, self.chunks(content)), len(content))

    def paint_at_once(
        self, content: Tensor, maps: Maps, alpha: Tensor, *, zeros: bool = True
    ) -> Tensor:
        """Stylize tensors in one piece, without checks, as exported programs do."""
        with self._numeric_context(content.device):
            painted = self._stylize(self._pad(content), maps, alpha)
        return _finish(painted, content, alpha if zeros else None)

    @torch.no_grad()
    def grid_checked(
        self, content: Tensor, style_code: StyleCode, alpha: Tensor, *, zeros: bool = True
    ) -> Tensor:
        """Stylize a grid of checked tensors (`stylize_grid` without the checks)."""
        count = len(style_code)

        def paint(part: Tensor, alpha: Tensor) -> Tensor:
            with self._numeric_context(content.device):
                painted = self._stylize_grid(self._pad(part), style_code.maps, alpha)
            repeated = part.repeat_interleave(count, 0)
            strengths = alpha.repeat_interleave(count) if zeros else None
            return _finish(painted.flatten(0, 1), repeated, strengths)

        if self._in_one_graph:
            whole = paint(content, alpha)
        else:
            chunks = self.chunks(content, images_each=count)
            parts = (paint(content[rows], alpha[rows]) for rows in chunks)
            whole = collect(parts, len(content) * count)
        grid: Tensor = whole.unflatten(0, (len(content), count))
        return grid

    def _encode_style(self, style: Tensor) -> dict[str, Tensor]:
        """Return the maps of a code: every tensor with the style as its first dimension."""
        raise NotImplementedError(f"{type(self).__name__} must implement _encode_style.")

    def _stylize(self, content: Tensor, maps: Maps, alpha: Tensor) -> Tensor:
        """Return stylized images for as many codes as contents; may leave [0, 1]."""
        raise NotImplementedError(f"{type(self).__name__} must implement _stylize.")

    def _stylize_grid(self, content: Tensor, maps: Maps, alpha: Tensor) -> Tensor:
        """Return ``(B, S, 3, H, W)``; override it if the content can be encoded once."""
        count = next(iter(maps.values())).shape[0]
        tiled = {
            name: tensor.repeat(len(content), *[1] * (tensor.ndim - 1))
            for name, tensor in maps.items()
        }
        painted = self._stylize(
            content.repeat_interleave(count, 0), tiled, alpha.repeat_interleave(count)
        )
        grid: Tensor = painted.unflatten(0, (len(content), count))
        return grid

    def _code_settings(self) -> dict[str, Any]:
        """Return the settings that change what a code holds; part of `identity`."""
        return {}

    @property
    def encodes_content_once(self) -> bool:
        """Whether a grid of many styles is cheaper than its images one by one."""
        return type(self)._stylize_grid is not Stylizer._stylize_grid

    @property
    def _in_one_graph(self) -> bool:
        """Whether to paint all images at once: a loop over pieces is a graph for every length."""
        return torch.compiler.is_compiling() and self.max_batch is None

    def chunks(self, images: Tensor, images_each: int = 1) -> Iterator[slice]:
        """Return slices of images ``(B, C, H, W)`` to process at once, each image so many times."""
        count = len(images)
        size = self.max_batch or self._chunk_size(images) or count * images_each
        step = max(1, size // images_each)
        return (slice(start, start + step) for start in range(0, count, step))

    def _chunk_size(self, images: Tensor) -> int | None:
        """Return how many images to process at once if ``max_batch`` is None; None: all."""
        return None

    def _pad(self, content: Tensor) -> Tensor:
        height, width = content.shape[2:]
        extra = (-width % self.multiple, -height % self.multiple)
        if extra == (0, 0):
            return content
        return F.pad(content, (0, extra[0], 0, extra[1]), mode="reflect")

    def _resize_style(self, style: Tensor) -> Tensor:
        size = self.style_size
        if size is None or style.shape[2:] == (size, size):
            return style
        resized = F.interpolate(style, (size, size), mode="bilinear", antialias=True)
        return resized.clamp_(0.0, 1.0)

    def _numeric_context(self, device: torch.device) -> contextlib.AbstractContextManager[Any]:
        """Return the autocast of this stylizer, which replaces that of the user's training loop."""
        dtype = _DTYPES.get(self.compute_precision(device))
        return torch.autocast(device.type, dtype=dtype, enabled=dtype is not None)

    def compute_precision(self, device: torch.device) -> str:
        """Return the precision used on ``device``: "fp32", "bf16" or "fp16"."""
        if self.precision != "auto":
            return self.precision
        return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"

    def check_sides(self, name: str, images: Tensor) -> None:
        """Raise ``ValueError`` unless images ``(B, C, H, W)`` are large enough."""
        check_sides(name, images, self.least_side, self.name)

    def _check_code(self, style_code: StyleCode) -> None:
        if style_code.source != self.identity:
            raise ValueError(
                f"style_code must come from {self.identity!r}, got one of {style_code.source!r}. "
                "Encode the styles again with this stylizer."
            )


class ColorStylizer(Stylizer):
    """A stylizer of colour alone: no weights, and float32 for every ``precision``.

    On a CPU, stylizers with large intermediate tensors process a few images at a time
    (``_chunk_bytes``), which keeps these tensors in the cache.
    """

    least_side: ClassVar[int] = 1
    follows_color: ClassVar[bool] = True
    pointwise: ClassVar[bool] = True
    _chunk_bytes: ClassVar[int | None] = None

    def _numeric_context(self, device: torch.device) -> contextlib.AbstractContextManager[Any]:
        return torch.autocast(device.type, enabled=False)

    def _chunk_size(self, images: Tensor) -> int | None:
        if self._chunk_bytes is None or images.device.type != "cpu":
            return None
        return max(1, self._chunk_bytes // (4 * images[0].numel()))


def _finish(painted: Tensor, content: Tensor, alpha: Tensor | None) -> Tensor:
    """Crop, return to the content's data type, clamp, and keep rows of alpha 0 bit for bit."""
    painted = painted[..., : content.shape[2], : content.shape[3]].to(content.dtype)
    painted = painted.clamp_(0.0, 1.0)
    if alpha is None:
        return painted
    return torch.where((alpha == 0).view(-1, 1, 1, 1), content, painted)


def check_unit_images(name: str, images: Tensor) -> None:
    """Raise unless images are valid for stylizers: float ``(B, 3, H, W)`` in [0, 1]."""
    check_images(name, images)
    if not images.is_floating_point():
        raise TypeError(
            f"{name} must be floating point in [0, 1], got {images.dtype}. "
            "StyleTransfer takes integer images; divide by 255 for a stylizer."
        )
    check_unit_range(name, images)


def alpha_values(alpha: float | Sequence[float] | Tensor, count: int) -> list[float]:
    """Return ``count`` strengths; a tensor is read back from its device.

    Raises:
        ValueError: If there are neither one nor ``count`` values, or one is outside of [0, 1].
    """
    values = alpha.tolist() if isinstance(alpha, Tensor) else alpha
    strengths = list(values) if isinstance(values, Sequence) else [values] * count
    if len(strengths) != count:
        raise ValueError(f"alpha must be one number or ({count},), got {len(strengths)} values.")
    return [check_probability("alpha", value) for value in strengths]
