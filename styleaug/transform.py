"""StyleTransfer: draw params, then apply them. The one place where both happen."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Unpack

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from styleaug._checks import check_alpha, check_choice, check_count, check_device, check_probability
from styleaug._device import upload
from styleaug._draws import uniforms
from styleaug.functional import match_color
from styleaug.images.batch import (
    AnyImage,
    Images,
    OutOfRange,
    as_images,
    collect,
    from_content,
    put_rows,
    row_index,
    take_rows,
    to_content,
)
from styleaug.images.comparison import batch_sheet
from styleaug.images.drawn import DrawnTransform
from styleaug.images.regions import AnyRegions
from styleaug.images.window import check_window
from styleaug.params import StyleParams
from styleaug.styles import BatchStyles, Styles, as_style_source
from styleaug.styles.bank import StyleBank
from styleaug.stylizers import DEFAULT_STYLIZER
from styleaug.stylizers.base import Stylizer, alpha_values
from styleaug.stylizers.channelwise import ChannelwiseStylizer
from styleaug.stylizers.lazy import LazyStylizer
from styleaug.stylizers.options import StylizerOptions, check_names
from styleaug.stylizers.region import InRegion, check_takes_regions


class StyleTransfer(DrawnTransform[StyleParams]):
    """Repaint images in other styles, keeping every structure.

    Works on batches and single images of any layout: tensors ``(B, C, H, W)`` and ``(C, H, W)``,
    arrays ``(H, W[, C])`` and ``(N, H, W, C)``, PIL images; 1, 3 or 4 channels; uint8, uint16 or
    floating point in [0, 1]; sides of 32 pixels or more, 9 for "appearance", any for colour
    stylizers. Layout, data type and device stay as they were, and images that are not stylized
    keep every bit. Results never share memory with the input and carry no gradient. Use it before
    ``Normalize``.

    The stylizer is frozen, runs without gradients and is no submodule: nothing of it shows up in
    the ``parameters()`` or ``state_dict()`` of a model that holds the transform.

    Args:
        stylizer: A name of `list_stylizers`, or a `Stylizer`; None takes the one that encoded the
            bank in ``styles``, or "appearance".
        styles: Where the styles come from: "batch" (other images of the batch), a `StyleBank` or
            the path of a saved one, a folder, a list of files, images, or another source.
        alpha: Stylization strength: 0 keeps the content, 1 is full style. A pair is a range that
            every image draws from uniformly.
        p: Probability that an image is stylized, drawn for every image.
        portion: Instead of ``p``: stylize exactly ``max(1, int(portion * B))`` images of each
            batch, which with "batch" pass their styles round (the protocol of Stylizing ViT).
        per_instance: Draw for every image; False draws once for the whole batch or clip.
        value_range: Black and white in the unit of the images, such as ``(0, 4095)`` for 12 bits in
            16 or ``(-160, 240)`` for Hounsfield units, in any data type. Values outside of it are
            left unchanged. It applies to ``styles`` as well, unless they have 8 bits. None: [0, 1],
            or the full range of uint8 and uint16.
        out_of_range: What to do with floats outside of [0, 1], which interpolation and noise
            produce: "raise" an error, or "clamp" them to 0 and 1 before stylizing.
        check: Whether to check that float images are finite and in [0, 1]. On a GPU this is the one
            synchronisation of a call. False skips the check; invalid values then give wrong images
            instead of an error.
        seed: Draw from a random stream of its own instead of PyTorch's generator. Every rank and
            loader worker gets a different stream.
        compile: Paint through `torch.compile`: the first call takes seconds to minutes, later ones
            are faster where many small operations are what takes time, as on a GPU. 8-bit images
            on a CPU go through look-up tables, where a stylizer has them, as without it.
        **how: How and where to stylize, the same for all adapters:

            * ``weights``: Weights of the stylizer, as in `create_stylizer`.
            * ``device``: Where to stylize; None follows the images.
            * ``precision``: "auto" (bfloat16 on CUDA, else float32), "fp32", "bf16" or "fp16".
            * ``max_batch``: Most images that go through the network at once.
            * ``preserve_color``: Give the result the colours of the content, so that only texture
              changes.
            * ``mean``: Channel means of the training data, where the weights do not name them.
            * ``std``: Channel standard deviations likewise.
            * ``options``: Further arguments of the stylizer.
            * ``region``: Where colour stylizers take statistics and move colours: "tissue",
              "tissue-on-black", or the number of classes of the masks or label maps that every call
              gets as ``regions`` (1: masks). None: that of a bank in ``styles``, or everywhere.

    Raises:
        FileNotFoundError: If a style path does not exist.
        TypeError: If an image is of an unknown kind or data type.
        ValueError: If an argument is out of range, or an image does not fit.

    Example:
        >>> import torch
        >>> transform = StyleTransfer("colorist", alpha=(0.3, 1.0), p=0.5, seed=0)
        >>> transform(torch.rand(8, 3, 64, 64)).shape
        torch.Size([8, 3, 64, 64])
    """

    def __init__(
        self,
        stylizer: str | Stylizer | None = None,
        *,
        styles: Styles = "batch",
        alpha: float | tuple[float, float] = 1.0,
        p: float = 0.5,
        portion: float | None = None,
        per_instance: bool = True,
        value_range: Sequence[float] | None = None,
        out_of_range: OutOfRange = "raise",
        check: bool = True,
        seed: int | None = None,
        compile: bool = False,  # noqa: A002
        **how: Unpack[StylizerOptions],
    ) -> None:
        super().__init__(seed)
        check_names(how)
        self.alpha = check_alpha(alpha)
        self.p = check_probability("p", p)
        self.portion = None if portion is None else check_probability("portion", portion)
        self.per_instance = per_instance
        if portion is not None and not per_instance:
            raise ValueError(
                f"portion={portion} picks images one by one: it needs per_instance=True."
            )
        self.device = check_device(how.pop("device", None))
        self.preserve_color = how.pop("preserve_color", False)
        self.value_range = check_window("value_range", value_range)
        check_choice("out_of_range", out_of_range, ("raise", "clamp"))
        self.out_of_range: OutOfRange = out_of_range
        self.check = check
        if isinstance(styles, str | Path) and str(styles).endswith(".safetensors"):
            styles = StyleBank.load(styles)
        own = dict(how.pop("options", None) or {})
        if isinstance(styles, StyleBank) and stylizer in (None, styles.code.stylizer):
            own |= {"region": how.get("region") or styles.code.region}
        name = stylizer or _stylizer_of(styles)
        self._lazy = LazyStylizer(name, {**how, **own}, compile=compile)
        self.compiled = compile  # `compile` is a method of modules
        if self.preserve_color and self._lazy.kind.follows_color:
            raise ValueError(
                f"preserve_color=True would undo {self._lazy.label!r}, whose style is colour "
                "alone. Choose a stylizer that paints texture."
            )
        built = self._lazy.on(self.device or "cpu")  # so that wrong arguments are refused here
        self.region: str | int | None = getattr(built, "region", None)
        self.source = as_style_source(
            styles, built, portion=portion is not None, value_range=self.value_range
        )

    def draw_params(
        self,
        count: int,
        generator: torch.Generator | None = None,
        *,
        ids: Sequence[int | str] | None = None,
    ) -> StyleParams:
        """Draw params for ``count`` images without the images; arguments as in `forward`."""
        keys = self._keys(count, generator, ids)
        if not self.per_instance:
            keys = keys[:1].repeat(count)
        gate, strength, choice = uniforms(keys, 3).T
        applied = self._applied(gate)
        if count == 1 and isinstance(self.source, BatchStyles):
            warnings.warn("styles='batch' leaves a batch of one image as it is.", stacklevel=3)
            applied = np.zeros_like(applied)
        low, high = self.alpha
        style = self.source.draw(choice, applied)
        return StyleParams(
            applied=tuple(applied.tolist()),
            style=tuple(style if self.per_instance else style[:1] * count),
            alpha=tuple(min(low + (high - low) * place, high) for place in strength.tolist()),
            fingerprint=self.source.fingerprint(count),
        )

    @torch.no_grad()
    def apply_transform(
        self,
        image: AnyImage | Images,
        params: StyleParams,
        *,
        regions: AnyRegions | None = None,
    ) -> AnyImage:
        """Apply params that were drawn before; nothing is random here.

        Args:
            image: A batch or an image; see the class.
            params: What `make_params` returned, one entry per image.
            regions: Masks or label maps of the images, where the stylizer has such a ``region``.

        Returns:
            The stylized image: same kind, shape, data type and device as the input.

        Raises:
            ValueError: If the params belong to other styles or another number of images, or regions
                are missing, are not asked for or do not fit.
        """
        images = self._images(image)
        self._check_params(images, params)
        given = self._regions(images, regions)
        kind = self._lazy.kind
        images.check_sides(kind.least_side, self._lazy.label)
        if images.depth > 1 and not kind.pointwise:
            images, params = self._sliced(images, params)
        return images.restore(self._transformed(images.batch, params, given))

    @torch.no_grad()
    def stylize_grid(
        self, image: AnyImage | Images, ids: Sequence[int], alpha: float | Sequence[float] = 1.0
    ) -> Tensor:
        """Return every image in each of the given styles of the bank; nothing is random here.

        Args:
            image: A batch or an image; see the class.
            ids: S style ids of the bank.
            alpha: Stylization strength, one number or one per image.

        Returns:
            ``(B, S, C, H, W)`` in the data type and on the device of the images.

        Raises:
            ValueError: If the styles come from the batch, or an id or strength is out of range.
        """
        if not isinstance(self.source, StyleBank):
            raise ValueError(f"stylize_grid needs a StyleBank of styles, got {self.source!r}.")
        wrong = [item for item in ids if not 0 <= item < len(self.source)]
        if wrong or len(ids) == 0:
            raise ValueError(f"ids must be in 0 ... {len(self.source) - 1}, got {list(ids)[:5]}.")
        images = self._images(image)
        batch = images.batch
        content = to_content(batch).to(self.device or batch.device)
        stylizer = self._lazy.on(content.device)
        images.check_sides(stylizer.least_side, stylizer.name)
        code = self.source.codes(ids, content, stylizer)
        strengths = alpha_values(alpha, len(batch))
        vector = upload(strengths, content.device, dtype=torch.float32)
        paint = self._lazy.method("grid_checked", content.device)
        grid = paint(content, code, vector, zeros=0.0 in strengths)
        finished = (self._finished(view, content) for view in grid.unbind(1))
        views = [images.back(from_content(view, batch)) for view in finished]
        return torch.stack(views, dim=1)

    @torch.no_grad()
    def show(
        self,
        image: AnyImage | Images,
        *,
        seed: int = 0,
        limit: int = 8,
        regions: AnyRegions | None = None,
        params: StyleParams | None = None,
    ) -> Image.Image:
        """Return a contact sheet that shows what the transform does, to look at before training.

        Each row shows one image, or slice of a volume: content, style (if the styles come from the
        batch), result, half the difference around mid-grey, and histograms. ``show`` has a random
        stream of its own, so it does not change what a training run draws afterwards.

        Args:
            image: A batch or an image; see the class.
            seed: Seed of the draw.
            limit: Largest number of rows.
            regions: As in `apply_transform`.
            params: Draw to show, one entry per image; None: a new one.

        Returns:
            A picture, which notebooks display.

        Example:
            >>> transform = StyleTransfer("colorist", p=1.0)
            >>> transform.show(torch.rand(2, 3, 64, 64)).size
            (1036, 472)
        """
        check_count("limit", limit)
        images = replace(self._images(image), restore=lambda batch: batch)
        if params is None:
            params = self.draw_params(len(images), torch.Generator().manual_seed(seed))
        painted = torch.as_tensor(self.apply_transform(images, params, regions=regions))
        results = replace(images, batch=painted)
        at_hand = images.depth == 1 and isinstance(self.source, BatchStyles)
        styles = [
            style if at_hand and on else None
            for style, on in zip(params.style, params.applied, strict=True)
        ]
        labels = [self._label(params, row) for row in range(len(images))]
        return batch_sheet(images, results, styles, labels, limit)

    def _label(self, params: StyleParams, row: int) -> str:
        if not params.applied[row]:
            return f"{row}: as it is"
        style = params.style[row]
        name = self.source.names[style] if isinstance(self.source, StyleBank) else style
        return f"{row}: style {name}, alpha {params.alpha[row]:.2f}"

    def stylizer_on(self, device: str | torch.device) -> Stylizer:
        """Return the stylizer on a device."""
        return self._lazy.on(device)

    def extra_repr(self) -> str:
        """Return the settings for ``repr``."""
        gate = f"p={self.p}" if self.portion is None else f"portion={self.portion}"
        return f"{self._lazy.label!r}, styles={self.source!r}, alpha={self.alpha}, {gate}"

    def _applied(self, gate: np.ndarray) -> np.ndarray:
        if self.portion is None:
            applied: np.ndarray = gate < self.p
        else:
            applied = gate.argsort(kind="stable").argsort() < max(1, int(self.portion * len(gate)))
        return applied

    def _images(self, image: AnyImage | Images) -> Images:
        return as_images(
            image,
            value_range=self.value_range,
            out_of_range=self.out_of_range,
            check=self.check,
        )

    def _sliced(self, images: Images, params: StyleParams) -> tuple[Images, StyleParams]:
        """Cut volumes into slices that share the draw of their volume."""
        if isinstance(self.source, BatchStyles):
            raise ValueError(
                f"styles must be a StyleBank for volumes and {self._lazy.label!r}, which takes "
                f"them slice by slice, got {self.source!r}."
            )
        return images.sliced(), params.repeat(images.depth)

    def _regions(self, images: Images, regions: AnyRegions | None) -> Tensor | None:
        """Return the regions of a batch, or raise where they are missing or not asked for."""
        stylizer = self._lazy.on(self.device or images.batch.device)
        if regions is not None:
            check_takes_regions(stylizer)
        if not isinstance(stylizer, InRegion) or not stylizer.takes_regions:
            return None
        return stylizer.regions_of(images.batch, regions)

    def _transformed(self, batch: Tensor, params: StyleParams, regions: Tensor | None) -> Tensor:
        rows = params.rows
        if not rows:
            return batch.clone()  # the caller may edit it; what came in may be cached
        index = row_index(rows, batch)
        picked = take_rows(batch, index)
        device = self.device or batch.device
        stylizer = self._lazy.on(device)
        styles = [params.style[row] for row in rows]
        if regions is not None and isinstance(self.source, BatchStyles):
            codes = self.source.codes(styles, batch.to(device), stylizer, regions.to(device))
        else:
            codes = self.source.codes(styles, batch.to(device), stylizer)
        maps = None if regions is None else take_rows(regions, index)
        strengths = [params.alpha[row] for row in rows]
        if isinstance(stylizer, ChannelwiseStylizer) and stylizer.takes(picked, device):
            return put_rows(batch, index, stylizer.stylize_bytes(picked, codes, strengths))

        alpha = upload(strengths, device, dtype=torch.float32)
        forward = self._lazy.method("forward", device)

        def paint(some: slice) -> Tensor:
            content = to_content(picked[some]).to(device)
            code = codes[some]
            if maps is not None and isinstance(stylizer, InRegion):
                own = stylizer.content_of(content, maps[some].to(device))
                code = stylizer.with_content_code(code, own, len(content))
            stylized = forward(content, code, alpha[some], zeros=0.0 in strengths)
            return from_content(self._finished(stylized, content), picked[some])

        return put_rows(batch, index, collect(map(paint, stylizer.chunks(picked)), len(picked)))

    def _finished(self, stylized: Tensor, content: Tensor) -> Tensor:
        return match_color(stylized, content) if self.preserve_color else stylized

    def _check_params(self, images: Images, params: StyleParams) -> None:
        count = len(images)
        if len(params) != count:
            raise ValueError(f"params must hold {count} images, got {len(params)}.")
        expected = self.source.fingerprint(count)
        if params.fingerprint != expected:
            raise ValueError(
                f"params must be drawn from these styles ({expected}), got params of "
                f"{params.fingerprint}. Styles from the batch replay on the whole batch only; use "
                "a StyleBank to replay slices."
            )


def _stylizer_of(styles: Styles) -> str:
    """Return the name of the stylizer that encoded a bank, or the default one."""
    return styles.code.stylizer if isinstance(styles, StyleBank) else DEFAULT_STYLIZER
