"""Styles and appearances for ``torchvision.transforms.v2``: in a pipeline, around a loader."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, Unpack

import PIL.Image
import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from styleaug.adapters._batch import find_image, replace_leaf
from styleaug.adapters._host import missing_host
from styleaug.adapters._seeding import Params, check_channel_mode
from styleaug.adapters.loader import StyleLoader
from styleaug.appearance import Appearance as CoreAppearance
from styleaug.images.batch import OutOfRange
from styleaug.images.volume import ChannelMode, as_volumes, tall_regions
from styleaug.params import StyleParams
from styleaug.styles import BatchStyles, Styles
from styleaug.stylizers.base import Stylizer
from styleaug.stylizers.options import StylizerOptions
from styleaug.transform import StyleTransfer as CoreStyleTransfer

try:
    from torchvision import tv_tensors
    from torchvision.transforms import v2
except (ImportError, RuntimeError) as error:
    raise missing_host("torchvision", error) from error

__all__ = ["Appearance", "StyleLoader", "StyleMix", "StyleTransfer"]


def _is_pure_tensor(item: Any) -> bool:
    return isinstance(item, Tensor) and not isinstance(item, tv_tensors.TVTensor)


class StyleTransfer(v2.Transform):  # type: ignore[misc]
    """Repaint the images of a sample; masks, boxes, key points and labels stay as they are.

    Takes what every v2 transform takes: PIL images, ``tv_tensors``, plain tensors ``(..., C, H,
    W)``, nested in any structure; uint8 or float in [0, 1]. The images of one sample share one
    draw, each image of a batch gets its own, and a video gets one. Place it before
    ``v2.Normalize``.

    Args:
        stylizer: A name of `list_stylizers`, or a `Stylizer`; None takes that of the bank, or
            "appearance".
        styles: As in `styleaug.StyleTransfer`. "batch" is for batches: single samples, as in a
            ``Dataset``, need a bank, a folder or images.
        alpha: Stylization strength, one number or a range: 0 keeps the content, 1 is full style.
        p: Probability that an image is stylized.
        portion: Instead of ``p``, the exact share of a batch that is stylized; single samples
            are refused.
        per_instance: Draw for every image of a batch; False draws once.
        value_range: Black and white in the unit of the images, such as ``(0, 4095)``. Values
            outside of it are left unchanged. It applies to ``styles`` as well, unless they have 8
            bits.
        out_of_range: What to do with floats outside of [0, 1]: "raise", or "clamp".
        seed: Draw from a stream of its own; None draws from PyTorch's generator.
        channel_mode: "rgb": 1, 3 or 4 channels as in `styleaug.StyleTransfer`. "each": every
            channel is a grey image of its own, any number of them. "joint": grey channels that
            share their statistics. The last two take tensors and need styles of their own.
        **how: ``weights``, ``device``, ``precision``, ``max_batch``, ``preserve_color``, ``mean``,
            ``std``, ``options`` and ``region`` as in `styleaug.StyleTransfer`. With a number of
            classes as ``region``, the regions are the ``tv_tensors.Mask`` of the sample.

    Raises:
        ValueError: If an argument is out of range, a single sample comes where ``styles`` or
            ``portion`` need a batch, or there is not one mask where ``region`` needs it.

    Example:
        >>> import torch
        >>> from torchvision import tv_tensors
        >>> transform = StyleTransfer("colorist", styles=torch.rand(4, 3, 64, 64), p=1.0)
        >>> sample = {"image": tv_tensors.Image(torch.rand(3, 40, 40)), "label": 1}
        >>> type(transform(sample)["image"]).__name__
        'Image'
    """

    _transformed_types: tuple[Any, ...] = (
        _is_pure_tensor, tv_tensors.Image, tv_tensors.Video, PIL.Image.Image,
    )  # fmt: skip

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
        seed: int | None = None,
        channel_mode: ChannelMode = "rgb",
        **how: Unpack[StylizerOptions],
    ) -> None:
        super().__init__()
        self._core = CoreStyleTransfer(
            stylizer,
            styles=styles,
            alpha=alpha,
            p=p,
            portion=portion,
            per_instance=per_instance,
            value_range=value_range,
            out_of_range=out_of_range,
            seed=seed,
            **how,
        )
        self.channel_mode = check_channel_mode(channel_mode, self._core)
        if isinstance(self._core.region, int):  # masks are seen, and come back as they are
            self._transformed_types = (*self._transformed_types, tv_tensors.Mask)

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw once for the call: a row per image of the largest batch among the inputs."""
        images = [item for item in flat_inputs if not isinstance(item, tv_tensors.Mask)]
        if images and not any(_is_batch(item) for item in images):
            self._check_sample()
        counts = [_image_count(item) for item in images]
        drawn = self._core.draw_params(max(counts, default=1))
        return {"style": drawn, "regions": self._regions(flat_inputs)}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Stylize one image, video or batch with the rows that were drawn."""
        drawn, regions = params["style"], params.get("regions")
        if isinstance(inpt, tv_tensors.Mask):
            return inpt
        if isinstance(inpt, PIL.Image.Image):
            if self.channel_mode != "rgb":
                raise ValueError(
                    f"channel_mode={self.channel_mode!r} takes tensors, got a PIL image of mode "
                    f"{inpt.mode}: put v2.ToImage() before."
                )
            return self._core.apply_transform(inpt, drawn[:1], regions=regions)
        flat, rows = _rows_of(inpt, drawn)
        if regions is not None:
            regions = regions.reshape(-1, 1, *regions.shape[-2:])
        out = torch.as_tensor(self._painted(flat, rows, regions)).reshape(inpt.shape)
        return out if _is_pure_tensor(inpt) else tv_tensors.wrap(out, like=inpt)

    def show(
        self,
        image: Tensor | PIL.Image.Image,
        *,
        seed: int = 0,
        limit: int = 8,
        regions: Tensor | None = None,
    ) -> PIL.Image.Image:
        """Return a contact sheet before and after, as `styleaug.StyleTransfer.show` does.

        Args:
            image: ``(C, H, W)``, ``(B, C, H, W)`` or a PIL image, of ``channel_mode="rgb"``.
            seed: Seed of the draw; the random stream of the transform is not used.
            limit: Largest number of rows.
            regions: Masks or label maps of the images, where ``region`` needs them.
        """
        return self._core.show(image, seed=seed, limit=limit, regions=regions)

    def __repr__(self) -> str:
        return f"StyleTransfer({self.extra_repr()})"

    def extra_repr(self) -> str:
        """Return the settings for ``repr``."""
        return self._core.extra_repr()

    def _regions(self, flat_inputs: list[Any]) -> Tensor | None:
        """Return the mask of a sample, or of a batch, if the stylizer wants one."""
        if not isinstance(self._core.region, int):
            return None
        masks = [item for item in flat_inputs if isinstance(item, tv_tensors.Mask)]
        if len(masks) != 1:
            raise ValueError(
                f"region={self._core.region} needs one tv_tensors.Mask in a sample, got "
                f"{len(masks)}."
            )
        mask: Tensor = masks[0].as_subclass(Tensor)
        return mask

    def _painted(self, batch: Tensor, rows: StyleParams, regions: Tensor | None) -> Any:
        if self.channel_mode == "rgb":
            return self._core.apply_transform(batch, rows, regions=regions)
        images = as_volumes(
            batch.unsqueeze(-1),
            mode=self.channel_mode,
            value_range=self._core.value_range,
            out_of_range=self._core.out_of_range,
        )
        times = len(images) // len(batch)
        if regions is not None:
            regions = tall_regions(regions.unsqueeze(-1), batch.shape[1], self.channel_mode)
        return self._core.apply_transform(images, rows.repeat(times), regions=regions)

    def _check_sample(self) -> None:
        """Raise ``ValueError`` if the arguments need a batch and this is a single sample."""
        where = (
            "Stylize batches after the loader with StyleMix or StyleLoader of "
            "styleaug.adapters.torchvision"
        )
        if isinstance(self._core.source, BatchStyles):
            raise ValueError(
                "styles='batch' takes the style of another image of the batch, got a single "
                f"sample. Pass styles= (a folder, files, images or a bank). Or: {where}."
            )
        if self._core.portion is not None:
            raise ValueError(
                f"portion={self._core.portion} is a share of a batch, got a single sample. Pass "
                f"p=, the probability. Or: {where}."
            )


class Appearance(v2.Transform):  # type: ignore[misc]
    """Change how the images of a sample were made; masks, boxes, key points and labels stay.

    Takes what `StyleTransfer` of this module takes. The images of one sample share one draw, each
    image of a batch gets its own, and a video gets one. Place it before ``v2.Normalize``.

    Args:
        kind: Kind of the images, or several, as in `styleaug.appearance.Appearance`.
        strength: Width of the ranges, one number or a range, from 0 to 2.
        p: Probability of each effect.
        image_p: Probability that a sample, or an image of a batch, is changed at all.
        effects: Names of the effects that may be drawn; None: all of the kinds.
        seed: Draw from a stream of its own; None draws from PyTorch's generator.

    Raises:
        ValueError: If an argument is out of range.

    Example:
        >>> import torch
        >>> from torchvision import tv_tensors
        >>> sample = {"image": tv_tensors.Image(torch.rand(3, 40, 40)), "label": 1}
        >>> type(Appearance("stained")(sample)["image"]).__name__
        'Image'
    """

    _transformed_types = StyleTransfer._transformed_types

    def __init__(
        self,
        kind: str | Sequence[str] = "stained",
        *,
        strength: float | tuple[float, float] = 1.0,
        p: float = 0.5,
        image_p: float = 0.5,
        effects: str | Sequence[str] | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        self._core = CoreAppearance(
            kind, strength=strength, p=p, image_p=image_p, effects=effects, seed=seed
        )

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw once for the call: a row per image of the largest batch among the inputs."""
        counts = [_image_count(item) for item in flat_inputs]
        return {"appearance": self._core.draw_params(max(counts, default=1))}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Change one image, video or batch with the rows that were drawn."""
        drawn = params["appearance"]
        if isinstance(inpt, PIL.Image.Image):
            return self._core.apply_transform(inpt, drawn[:1])
        flat, rows = _rows_of(inpt, drawn)
        out = torch.as_tensor(self._core.apply_transform(flat, rows)).reshape(inpt.shape)
        return out if _is_pure_tensor(inpt) else tv_tensors.wrap(out, like=inpt)

    def extra_repr(self) -> str:
        """Return the settings for ``repr``."""
        return self._core.extra_repr()


class StyleMix(v2.Transform):  # type: ignore[misc]
    """Repaint the images of a collated batch, after the loader or in ``collate_fn``.

    Transforms of v2 take the first plain tensor for the image. This one does not guess, because
    after collation masks and labels are plain tensors as well.

    Args:
        transform: The `styleaug.StyleTransfer` to apply; every image draws its own style.
        image_getter: "default" takes the first item of a tuple or list, or the entry of a dict
            named "image", "images", "img", "inputs" or "pixel_values"; otherwise a function from
            the batch to its images.
        regions_getter: A function from the batch to the masks or label maps of its images, where
            the transform has a number of classes as ``region``.

    Raises:
        ValueError: If ``image_getter`` does not find a batch of images.

    Example:
        >>> import torch
        >>> from styleaug import StyleTransfer
        >>> mix = StyleMix(StyleTransfer("colorist", p=1.0))
        >>> images, labels = mix(torch.rand(4, 3, 32, 32), torch.arange(4))
        >>> labels.tolist()
        [0, 1, 2, 3]
    """

    def __init__(
        self,
        transform: CoreStyleTransfer,
        *,
        image_getter: Literal["default"] | Callable[[Any], Tensor] = "default",
        regions_getter: Callable[[Any], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self._core = transform
        self.image_getter, self.regions_getter = image_getter, regions_getter

    def forward(self, *inputs: Any) -> Any:
        """Return the batch with its images stylized and everything else unchanged."""
        batch = inputs if len(inputs) > 1 else inputs[0]
        images = find_image(batch, self.image_getter)
        flat, spec = tree_flatten(batch)
        given = {} if self.regions_getter is None else {"regions": self.regions_getter(batch)}
        return tree_unflatten(replace_leaf(flat, images, self._core(images, **given)), spec)

    def __repr__(self) -> str:
        return f"StyleMix({self.extra_repr()})"

    def extra_repr(self) -> str:
        """Return the settings for ``repr``."""
        return self._core.extra_repr()


def _image_count(item: Any) -> int:
    """Return how many rows of params an input needs; a video needs one per clip."""
    if isinstance(item, PIL.Image.Image) or item.ndim <= 3:
        return 1
    lead: torch.Size = item.shape[:-4] if _is_video(item) else item.shape[:-3]
    return max(1, int(lead.numel()))


def _rows_of(item: Tensor, drawn: Params) -> tuple[Tensor, Params]:
    """Return the images of an input as a batch ``(B, C, H, W)``, and a row of what was drawn each.

    Raises:
        ValueError: If the input has less than three dimensions.
    """
    frames = item.as_subclass(Tensor)
    if frames.ndim < 3:
        raise ValueError(
            f"image must have shape (..., C, H, W), got {tuple(frames.shape)}. torchvision "
            "takes the first plain tensor of a sample for the image: wrap images as "
            "tv_tensors.Image."
        )
    flat = frames.reshape(-1, *frames.shape[-3:])
    rows = drawn[: _image_count(item)]
    if len(rows) < len(flat):  # a video: every frame has the draw of its clip
        rows = rows.repeat(len(flat) // len(rows))
    return flat, rows


def _is_batch(item: Any) -> bool:
    """Return whether an input has a dimension of images, or of clips."""
    least = 5 if isinstance(item, tv_tensors.Video) else 4
    return not isinstance(item, PIL.Image.Image) and item.ndim >= least


def _is_video(item: Any) -> bool:
    return isinstance(item, tv_tensors.Video) and item.ndim >= 4
