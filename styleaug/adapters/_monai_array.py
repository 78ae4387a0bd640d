"""Style transfer for MONAI, array transforms; use them from `styleaug.adapters.monai`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack, cast

import numpy as np
import torch
from PIL.Image import Image

from styleaug._checks import check_alpha, check_probability
from styleaug.adapters._host import missing_host
from styleaug.adapters._seeding import (
    WorkerStream,
    check_worker,
    draw_from,
    refuse_arguments_of_batches,
)
from styleaug.images.batch import CHANNELS, Images, OutOfRange
from styleaug.images.drawn import DrawnTransform
from styleaug.images.volume import ChannelMode, Layout, as_volume
from styleaug.params import StyleParams
from styleaug.styles import StyleBank, Styles
from styleaug.stylizers.options import StylizerOptions
from styleaug.transform import StyleTransfer as CoreStyleTransfer

try:
    from monai.data import MetaTensor, get_track_meta
    from monai.transforms import InvertibleTransform, RandomizableTransform
    from monai.utils import TransformBackends, convert_to_tensor
except (ImportError, RuntimeError) as error:
    raise missing_host("monai", error) from error

MAX_SEED = 2**31 - 1
_VOLUME_FILES = (".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".dcm", ".mgz")


class Reading(TypedDict, total=False):
    """How to read an image: what its channels, slices and units are; see `StyleTransfer`."""

    channel_mode: ChannelMode
    a_min: float | None
    a_max: float | None
    slice_axis: int
    window: Literal["percentile"] | None
    out_of_range: OutOfRange


class VolumeOptions(StylizerOptions, Reading, total=False):
    """Arguments that the transforms of styles share: how to stylize, and how to read an image."""


class StyleTransfer(InvertibleTransform):
    """Repaint a channel-first image or volume in one given style; nothing is random.

    Takes ``(C, H, W)`` or ``(C, H, W, D)``: arrays, tensors and ``MetaTensor``, which keeps its
    meta data, affine and applied operations. A volume gets one style. If the stylizer is pointwise,
    it uses the statistics of the whole volume, so slices do not flicker.

    Positions do not change, so the inverse is the identity, and ``Invertd``, ``Compose.inverse``
    and ``TestTimeAugmentation`` work.

    Args:
        stylizer: A name of `list_stylizers`; None takes that of the bank, or "appearance".
        styles: A folder, a list of files, the path of a saved bank, a bank, or images.
        style: Number of the style in the bank.
        alpha: Stylization strength in [0, 1]: 0 keeps the content, 1 is full style.
        **how: ``weights``, ``device``, ``precision``, ``max_batch``, ``preserve_color``, ``mean``,
            ``std``, ``options`` and ``region`` as in `styleaug.StyleTransfer`, and:

            * ``channel_mode``: "rgb": one grey or three colour channels. "each": every channel is
              a grey image of its own. "joint": grey channels that share their statistics.
            * ``a_min``: Value that is black, such as a Hounsfield number; None: the image is in
              [0, 1], or 8 or 16-bit unsigned.
            * ``a_max``: Value that is white. Values outside the window are left untouched.
            * ``slice_axis``: Spatial axis that a volume is cut along, -1.
            * ``window``: Instead of ``a_min`` and ``a_max``, "percentile": the percentiles 0.5 and
              99.5 of each image, with "each" of each channel. For MR.
            * ``out_of_range``: What to do with floats outside of [0, 1] where there is no window:
              "raise", or "clamp".

    Raises:
        TypeError: If an argument is given that makes no sense here: ``seed``, ``portion`` and
            ``per_instance`` belong to batches; instead of ``value_range`` use ``a_min`` and
            ``a_max``.
        ValueError: If an argument is out of range, the bank has no style of that number, or the
            image does not fit.

    Example:
        >>> import torch
        >>> transform = StyleTransfer("colorist", styles=torch.rand(4, 3, 64, 64), style=2)
        >>> transform(torch.rand(1, 40, 40)).shape
        torch.Size([1, 40, 40])
    """

    backend = [TransformBackends.TORCH]  # noqa: RUF012

    def __init__(
        self,
        stylizer: str | None = None,
        styles: Styles = "batch",
        style: int = 0,
        alpha: float = 1.0,
        **how: Unpack[VolumeOptions],
    ) -> None:
        refuse_arguments_of_batches("monai", how, "set_random_state(seed=) or set_determinism")
        if "value_range" in how:
            raise TypeError(
                "value_range= is no argument in monai: black and white are a_min= and a_max=."
            )
        _refuse_volumes(styles)
        if isinstance(styles, str) and styles == "batch":
            raise ValueError(
                f"styles must be images, files or a bank, got {styles!r}: a pipeline sees one "
                "sample at a time."
            )
        self.layout = Layout(
            how.pop("channel_mode", "rgb"),
            how.pop("a_min", None),
            how.pop("a_max", None),
            how.pop("slice_axis", -1),
            how.pop("window", None),
            how.pop("out_of_range", "raise"),
        )
        shared, strength = cast("StylizerOptions", how), check_probability("alpha", alpha)
        self.core = CoreStyleTransfer(stylizer, styles=styles, alpha=strength, p=1.0, **shared)
        source = self.core.source
        if not isinstance(source, StyleBank) or not 0 <= style < len(source):
            raise ValueError(f"style must be the number of a style of {source!r}, got {style}.")
        self.params = StyleParams((True,), (style,), (strength,), source.fingerprint(1))

    def __call__(self, img: Any, regions: Any = None) -> Any:
        """Return the stylized image.

        Args:
            img: ``(C, H, W)`` or ``(C, H, W, D)``.
            regions: Its mask or label map, ``(1, H, W)`` or ``(1, H, W, D)``, where ``region`` is
                a number of classes.
        """
        out = self.stylize(img, self.params, regions)
        return self.push_transform(out) if get_track_meta() else out  # type: ignore[no-untyped-call]

    def stylize(self, img: Any, params: StyleParams, regions: Any = None) -> Any:
        """Return an image stylized by given params, a tensor, without recording the operation."""
        check_worker(self.core.device)
        images, maps = self._records(img, regions)
        out = self.core.apply_transform(images, params.repeat(len(images)), regions=maps)
        return tracked(torch.as_tensor(out), img)

    def show(
        self, img: Any, regions: Any = None, *, limit: int = 8, params: StyleParams | None = None
    ) -> Image:
        """Return a contact sheet of an image, or of slices of a volume, before and after.

        Args:
            img: As in a call.
            regions: As in a call.
            limit: Largest number of rows: channels that are stylized apart, and slices.
            params: Draw to show instead of the given style.
        """
        images, maps = self._records(img, regions)
        drawn = (params or self.params).repeat(len(images))
        return self.core.show(images, limit=limit, regions=maps, params=drawn)

    def _records(self, img: Any, regions: Any) -> tuple[Images, torch.Tensor | None]:
        """Return an image and its regions as the core takes them."""
        images = as_volume(convert_to_tensor(img, track_meta=False), self.layout)
        if regions is None:
            return images, None
        maps = convert_to_tensor(regions, track_meta=False)
        return images, self.layout.regions(maps, len(img))

    def inverse(self, data: Any) -> Any:
        """Return the data unchanged: no position has moved."""
        self.pop_transform(data)
        return data


class RandDrawn(RandomizableTransform, InvertibleTransform):
    """A random transform whose params stand for one integer, and that moves no position.

    Args:
        prob: Probability of the transform.
        draws: What draws the params.
    """

    def __init__(self, prob: float, draws: DrawnTransform[Any]) -> None:
        RandomizableTransform.__init__(self, prob)
        self._draws = draws
        self._stream = WorkerStream()
        self.params: Any = None

    def randomize(self, data: Any = None) -> None:
        """Draw whether to apply, and one integer that decides everything else."""
        stream = self._stream.moved_to()
        if stream:
            # a loader of PyTorch copies R into every worker and epoch: take another stream here
            self.set_random_state(seed=(int(self.R.randint(MAX_SEED)) ^ stream) % MAX_SEED)
        super().randomize(None)
        seed = int(self.R.randint(MAX_SEED))
        self.params = draw_from(self._draws, seed) if self._do_transform else None

    def inverse(self, data: Any) -> Any:
        """Return the data unchanged: no position has moved."""
        self.pop_transform(data)
        return data


class RandStyleTransfer(RandDrawn):
    """Repaint a channel-first image or volume in a randomly drawn style.

    Args:
        stylizer: As in `StyleTransfer`.
        styles: As in `StyleTransfer`.
        prob: Probability of the transform.
        alpha: Stylization strength, one number or a range.
        **how: As in `StyleTransfer`.

    Raises:
        ValueError: If an argument is out of range, or the image does not fit.

    Example:
        >>> import torch
        >>> transform = RandStyleTransfer("colorist", styles=torch.rand(4, 3, 64, 64), prob=1.0)
        >>> transform(torch.rand(3, 40, 40)).shape
        torch.Size([3, 40, 40])
    """

    backend = StyleTransfer.backend

    def __init__(
        self,
        stylizer: str | None = None,
        styles: Styles = "batch",
        prob: float = 0.1,
        alpha: float | Sequence[float] = 1.0,
        **how: Unpack[VolumeOptions],
    ) -> None:
        self.transform = StyleTransfer(stylizer, styles, **how)
        self.transform.core.alpha = check_alpha(alpha)
        super().__init__(prob, self.transform.core)

    def __call__(self, img: Any, randomize: bool = True, regions: Any = None) -> Any:
        """Return the image, stylized with probability ``prob``; regions as in `StyleTransfer`."""
        check_worker(self.transform.core.device)
        if randomize:
            self.randomize()
        if self._do_transform and self.params is not None:
            out = self.transform.stylize(img, self.params, regions)
        else:
            out = convert_to_tensor(img, track_meta=get_track_meta())
        return self.push_transform(out) if get_track_meta() else out  # type: ignore[no-untyped-call]

    def show(self, img: Any, regions: Any = None, *, seed: int = 0, limit: int = 8) -> Image:
        """Return a contact sheet of an image, or of slices of a volume, in a style drawn by seed.

        The random stream of the transform is not used.

        Args:
            img: As in a call.
            regions: As in a call.
            seed: Seed of the draw.
            limit: Largest number of rows.

        Example:
            >>> transform = RandStyleTransfer("colorist", styles=torch.rand(4, 1, 64, 64))
            >>> transform.show(torch.rand(1, 64, 64, 20), limit=3).size
            (1036, 696)
        """
        drawn = draw_from(self.transform.core, seed)
        return self.transform.show(img, regions, limit=limit, params=drawn)


def tracked(painted: torch.Tensor, img: Any) -> torch.Tensor:
    """Return painted pixels with the meta data of the image they were, where MONAI tracks it."""
    dense = painted.contiguous()
    if not get_track_meta():
        return dense
    if not isinstance(img, MetaTensor):
        return MetaTensor(dense)
    tracked: MetaTensor = dense.as_subclass(MetaTensor).copy_meta_from(img)  # all there is of it
    return tracked


def _refuse_volumes(styles: Any) -> None:
    """Raise ``ValueError`` if there is a volume among the styles, which are 2-D images."""
    items = styles if isinstance(styles, list | tuple) else [styles]
    found = [item for item in items if _is_volume(item)]
    if found:
        what = str(found[0]) if isinstance(found[0], str | Path) else tuple(found[0].shape)
        raise ValueError(
            f"styles must be 2-D images, got the volume {what}. Encode its slices: volume = "
            "LoadImage(ensure_channel_first=True)(file), of shape (1, H, W, D), and "
            "styles=StyleBank.from_images(volume.movedim(-1, 0), stylizer, value_range=(a_min, "
            "a_max)); of DICOM and NIfTI files StyleBank.from_files(file, stylizer)."
        )


def _is_volume(item: Any) -> bool:
    if isinstance(item, str | Path):
        return str(item).lower().endswith(_VOLUME_FILES)
    if not isinstance(item, torch.Tensor | np.ndarray) or item.ndim < 4:
        return False
    channels = item.shape[1] if isinstance(item, torch.Tensor) else item.shape[-1]
    return item.ndim > 4 or channels not in CHANNELS
