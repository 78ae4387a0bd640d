"""Stylizing ViT: a transformer that paints one image in the style of another."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from styleaug._checks import check_choice
from styleaug.stylizers.base import Maps, Precision, Stylizer
from styleaug.stylizers.lost_detail import keeps_detail, mended
from styleaug.stylizers.vit.engine import Anchor, KeysValues, StylizingViTEngine
from styleaug.stylizers.vit.network import StylizingViTNetwork
from styleaug.stylizers.vit.resizing import Paint, paint_resampled, paint_tiles
from styleaug.stylizers.vit.weights import check_channels, locate, normalisation, read_network
from styleaug.weights import weights_digest

Resize: TypeAlias = Literal["fit", "224", "tile"]
Keep: TypeAlias = Literal["kv", "tokens"]

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_IMAGES_AT_ONCE = {"cpu": 8}
_IMAGES_AT_ONCE_ELSEWHERE = 64


class StylizingViT(Stylizer):
    """Stylizing ViT for images of any size, with styles that are encoded once.

    The network attends to the style by cross attention, and to the anatomy of the content after
    every layer, so that structures stay in place. ``alpha`` interpolates between content and
    result pixel by pixel, which works because they are aligned.

    A style code holds, for every layer, what cross attention needs of the style: its keys and
    values (``keep="kv"``: 3.6, 7.3 and 14.5 MB per style in float32 for tiny, small and base, half
    of that in bfloat16), or the tokens they are computed from (``keep="tokens"``: half as much;
    keys and values are then recomputed at every use, a tenth of the work). Both kinds of code can
    be used with any ``keep``. They can leak content: treat them like images.

    Args:
        network: Trained network. Its weights are copied into a faster form on first use; to load
            other weights, build a new stylizer.
        mean: Channel means of the training images, in [0, 1].
        std: Channel standard deviations of the training images.
        resize: How images of other sizes than the trained one are processed. "224" resamples to
            the trained size and adds the lost detail of the content again: it keeps most of the
            content and costs the same at any size. "fit" interpolates the positional table to the
            grid of patches of the image, "tile" paints overlapping squares of the trained size;
            both also paint fine texture.
        keep: What style codes hold, see above.
        detail: Put back the detail that the network loses where it repeats the content, and take
            out what it repeats from patch to patch, clouds and grain, see
            `styleaug.stylizers.lost_detail`. The published system does not do this.
        compile: Use `torch.compile` with static shapes: worth its start-up time for many images of
            one size on a GPU.
        precision: See `Stylizer`. "bf16" and "fp16" cast the weights once.
        max_batch: See `Stylizer`.

    Raises:
        ValueError: If an argument is out of range.

    Source:
        Doerrich, Di Salvo, Alle & Ledig, "Stylizing ViT: Anatomy-Preserving Instance Style
        Transfer for Domain Generalization", ISBI 2026, arXiv 2601.17586. Outputs agree with the
        reference implementation at 224 x 224. Here images come in [0, 1] and in any size, styles
        are squeezed to a square instead of padded, and results are clamped.

    Example:
        >>> from styleaug.stylizers.vit.network import StylizingViTNetwork, ViTConfig
        >>> network = StylizingViTNetwork(ViTConfig(96, 3, depth=2, image_size=64))
        >>> stylizer = StylizingViT(network, mean=(0.7, 0.6, 0.7), std=(0.2, 0.2, 0.2)).freeze()
        >>> code = stylizer.encode_style(torch.rand(4, 3, 80, 100))
        >>> stylizer.stylize_grid(torch.rand(2, 3, 50, 40), code).shape
        torch.Size([2, 4, 3, 50, 40])
    """

    name = "stylizing-vit"

    def __init__(
        self,
        network: StylizingViTNetwork,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        resize: Resize = "224",
        keep: Keep = "kv",
        detail: bool = False,
        compile: bool = False,  # noqa: A002
        precision: Precision = "auto",
        max_batch: int | None = None,
    ) -> None:
        super().__init__(precision=precision, max_batch=max_batch)
        check_choice("resize", resize, ("fit", "224", "tile"))
        check_choice("keep", keep, ("kv", "tokens"))
        self.network = network
        self.resize, self.keep, self.compile_network = resize, keep, compile
        self.detail = detail
        self.mean, self.std = check_channels("mean", mean), check_channels("std", std)
        self.style_size = network.config.image_size
        self.multiple = 1 if resize == "224" else network.config.patch
        constants = torch.tensor([self.mean, self.std])
        self.weights_id = weights_digest({**network.state_dict(), "normalisation": constants})
        self._normalisation: Tensor
        self.register_buffer("_normalisation", constants.view(2, 3, 1, 1), persistent=False)
        self._engines: dict[tuple[torch.device, torch.dtype], StylizingViTEngine] = {}

    def _encode_style(self, style: Tensor) -> dict[str, Tensor]:
        engine = self._engine(style.device)
        layers = list(engine.style_layers(engine.tokens(self._normalised(style))))
        if self.keep == "tokens":
            return {"tokens": torch.stack(layers, 1)}  # (S, layers, N, width)
        pairs = [engine.keys_values(index, normed) for index, normed in enumerate(layers)]
        keys, values = zip(*pairs, strict=True)  # each (S, heads, N, channels)
        return {"keys": torch.stack(keys, 1), "values": torch.stack(values, 1)}

    def _stylize(self, content: Tensor, maps: Maps, alpha: Tensor) -> Tensor:
        painted = self._resized(content, lambda images: self._paint_pairs(images, maps))
        return torch.lerp(content, painted, alpha.view(-1, 1, 1, 1))

    def _stylize_grid(self, content: Tensor, maps: Maps, alpha: Tensor) -> Tensor:
        painted = self._resized(content, lambda images: self._paint_grid(images, maps))
        painted = painted.unflatten(0, (len(content), -1))  # (B, S, 3, H, W)
        return torch.lerp(content[:, None], painted, alpha.view(-1, 1, 1, 1, 1))

    def _paint_pairs(self, images: Tensor, maps: Maps) -> Tensor:
        """Return images ``(B, 3, h, w)``, each in its own style."""
        engine = self._engine(images.device)
        layers = engine.content_layers(engine.tokens(self._normalised(images)))
        if not self.detail:  # layer by layer, none is kept
            return self._pixels(engine, engine.stylized(layers, _contexts(engine, maps)), images)
        anchors = list(layers)
        painted = self._pixels(engine, engine.stylized(anchors, _contexts(engine, maps)), images)
        return self._sharp(painted, images, self._repeated(engine, anchors, images))

    def _paint_grid(self, images: Tensor, maps: Maps) -> Tensor:
        """Return images ``(B * S, 3, h, w)``, each in every style in turn."""
        engine = self._engine(images.device)
        anchors = list(engine.content_layers(engine.tokens(self._normalised(images))))
        repeated = self._repeated(engine, anchors, images) if self.detail else images
        parts = []
        for some in self._style_chunks(maps, images):
            count = len(next(iter(some.values())))
            styles = _in_turn(_contexts(engine, some), len(images))
            tokens = engine.stylized(_times(anchors, count), styles)
            painted = self._pixels(engine, tokens, images)
            if self.detail:
                each = (tensor.repeat_interleave(count, 0) for tensor in (images, repeated))
                painted = self._sharp(painted, *each)
            parts.append(painted.unflatten(0, (len(images), count)))
        return torch.cat(parts, dim=1).flatten(0, 1)

    def _repeated(
        self, engine: StylizingViTEngine, anchors: Sequence[Anchor], images: Tensor
    ) -> Tensor:
        """Return contents as the anatomy stream repeats them."""
        return self._pixels(engine, engine.repeated(anchors[-1].tokens), images)

    def _sharp(self, painted: Tensor, images: Tensor, repeated: Tensor) -> Tensor:
        """Return painted images with the detail that repeating contents loses, and no weave."""
        return mended(painted, images, repeated, self.network.config.patch).to(images)

    def _style_chunks(self, maps: Maps, images: Tensor) -> Iterator[dict[str, Tensor]]:
        count = len(next(iter(maps.values())))
        step = max(1, (self.max_batch or self._chunk_size(images)) // len(images))
        for start in range(0, count, step):
            yield {name: tensor[start : start + step] for name, tensor in maps.items()}

    def _resized(self, content: Tensor, paint: Paint) -> Tensor:
        size = self.network.config.image_size
        if self.resize == "224":
            return paint_resampled(content, paint, size)
        if self.resize == "tile":
            return paint_tiles(content, paint, size, overlap=_overlap(size))
        return paint(content)

    def _normalised(self, images: Tensor) -> Tensor:
        mean, std = self._normalisation.to(images).unbind()
        return (images - mean) / std

    def _pixels(self, engine: StylizingViTEngine, tokens: Tensor, images: Tensor) -> Tensor:
        grid = [side // self.network.config.patch for side in images.shape[2:]]
        painted = engine.pixels(tokens, grid).to(images.dtype)
        mean, std = self._normalisation.to(images).unbind()
        return painted.mul_(std).add_(mean)

    def _chunk_size(self, images: Tensor) -> int:
        at_once = _IMAGES_AT_ONCE.get(images.device.type, _IMAGES_AT_ONCE_ELSEWHERE)
        trained = self.network.config.image_size
        sides = images.shape[2:] if self.resize == "fit" else (trained, trained)
        return max(1, at_once * trained**2 // (sides[0] * sides[1]))

    def _numeric_context(self, device: torch.device) -> contextlib.AbstractContextManager[Any]:
        """Switch autocast off: the weights of the engine already have their data type."""
        return torch.autocast(device.type, enabled=False)

    def _engine(self, device: torch.device) -> StylizingViTEngine:
        dtype = _DTYPES[self.compute_precision(device)]
        if torch.compiler.is_compiling():  # as a part of the graph
            return StylizingViTEngine(self.network, device, dtype, packed=False)
        key = (device, dtype)
        if key not in self._engines:
            self._engines[key] = StylizingViTEngine(
                self.network, device, dtype, compile=self.compile_network
            )
        return self._engines[key]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        """Move the network, and drop the weights prepared for its old device."""
        self._engines = {}
        moved: nn.Module = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return moved

    def __getstate__(self) -> dict[str, Any]:
        """Leave the prepared weights out of pickles and copies; they are prepared again."""
        return {**self.__dict__, "_engines": {}}


def load_stylizing_vit(
    size: str,
    *,
    weights: str | Path | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    resize: Resize = "224",
    keep: Keep = "kv",
    detail: bool | None = None,
    compile: bool = False,  # noqa: A002
    precision: Precision = "auto",
    max_batch: int | None = None,
) -> StylizingViT:
    """Build a Stylizing ViT from published weights or a file.

    Args:
        size: "tiny", "small" or "base".
        weights: "medical" (tiny alone, and its default), for images of many kinds; the data set of
            the authors' weights ("camelyon17wilds", ...); a ``.safetensors`` or ``.pth`` file; or
            ``"hf:owner/name@revision"``.
        mean: Channel means of the training images, if the weights do not name them.
        std: Channel standard deviations likewise.
        resize: See `StylizingViT`.
        keep: See `StylizingViT`.
        detail: See `StylizingViT`; None: with "medical" alone, whose network is small.
        compile: See `StylizingViT`.
        precision: See `Stylizer`.
        max_batch: See `Stylizer`.

    Raises:
        FileNotFoundError: If the weights are not there and cannot be downloaded.
        ValueError: If they have another size or format, are damaged, or their normalisation is
            unknown.
    """
    located = locate(size, weights)
    mean, std = normalisation(located, mean, std)
    return StylizingViT(
        read_network(located.path, size),
        mean=mean,
        std=std,
        resize=resize,
        keep=keep,
        detail=keeps_detail(detail, located.record),
        compile=compile,
        precision=precision,
        max_batch=max_batch,
    )


def _contexts(engine: StylizingViTEngine, maps: Maps) -> Iterator[KeysValues]:
    """Yield keys and values of every layer from either kind of style code."""
    for index in range(engine.config.depth):
        if "tokens" in maps:
            yield engine.keys_values(index, maps["tokens"][:, index].to(engine.dtype))
        else:
            keys, values = maps["keys"][:, index], maps["values"][:, index]
            yield KeysValues(keys.to(engine.dtype), values.to(engine.dtype))


def _times(anchors: Iterable[Anchor], count: int) -> Iterator[Anchor]:
    """Yield anchors with every image repeated ``count`` times."""
    for anchor in anchors:
        yield Anchor(*(tensor.repeat_interleave(count, 0) for tensor in anchor))


def _in_turn(styles: Iterable[KeysValues], count: int) -> Iterator[KeysValues]:
    """Yield keys and values with all styles in turn, ``count`` times."""
    for style in styles:
        yield style if count == 1 else KeysValues(*(t.repeat(count, 1, 1, 1) for t in style))


def _overlap(size: int) -> int:
    """Return the overlap of tiles in pixels: two sevenths, 64 of 224."""
    return size * 2 // 7
