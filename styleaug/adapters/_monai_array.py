"""Style transfer for MONAI, array transforms; use them from `styleaug.adapters.monai`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from styleaug.adapters._host import missing_host
from styleaug.adapters._seeding import WorkerStream, check_worker, draw_from
from styleaug.images.volume import ChannelMode, Layout, as_volume
from styleaug.params import StyleParams
from styleaug.styles import Styles
from styleaug.styles.bank import StyleBank
from styleaug.stylizers.base import Precision
from styleaug.transform import StyleTransfer as CoreStyleTransfer

try:
    from monai.data import get_track_meta
    from monai.transforms import InvertibleTransform, RandomizableTransform
    from monai.utils import TransformBackends, convert_to_dst_type, convert_to_tensor
except (ImportError, RuntimeError) as error:
    raise missing_host("monai", error) from error

MAX_SEED = 2**31 - 1


class RandStyleTransfer(RandomizableTransform, InvertibleTransform):
    """Repaint a channel-first image or volume in a style that is drawn for it.

    ``(C, H, W)`` or ``(C, H, W, D)``; arrays, tensors and ``MetaTensor``, whose meta data, affine
    and applied operations stay. A volume has one style; where the stylizer is pointwise, its
    statistics are those of the whole volume, so slices do not flicker.

    The inverse is the identity: positions do not change. So ``Invertd``, ``Compose.inverse`` and
    ``TestTimeAugmentation`` work.

    Args:
        stylizer: A name of `list_stylizers`; None takes that of the bank, or "micro".
        styles: A folder, a list of files, the path of a saved bank, a bank, or images.
        prob: Probability of the transform.
        alpha: Stylization strength, one number or a range: 0 keeps the content, 1 is full style.
        weights: Weights of the stylizer.
        device: Where to stylize; None follows the image.
        precision: "auto", "fp32", "bf16" or "fp16".
        max_batch: Most slices that go through the network at once.
        preserve_color: Keep the colours of the content.
        mean: Channel means of the training data, where the weights do not say.
        std: Channel standard deviations likewise.
        options: Further arguments of the stylizer.
        channel_mode: "rgb": one grey or three colour channels. "each": every channel is a grey
            image of its own. "joint": grey channels that share their statistics.
        a_min: Value that is black, such as a Hounsfield number; None: the image is in [0, 1], or
            8 or 16-bit unsigned.
        a_max: Value that is white. Values outside the window are left untouched.
        slice_axis: Spatial axis that a volume is cut along.

    Raises:
        ValueError: If an argument is out of range, or the image does not fit.

    Example:
        >>> transform = RandStyleTransfer("colorist", styles=torch.rand(4, 3, 64, 64), prob=1.0)
        >>> transform(torch.rand(3, 40, 40)).shape
        torch.Size([3, 40, 40])
    """

    backend = [TransformBackends.TORCH]  # noqa: RUF012

    def __init__(
        self,
        stylizer: str | None = None,
        styles: Styles = "batch",
        prob: float = 0.1,
        alpha: float | Sequence[float] = 1.0,
        weights: str | None = None,
        device: str | torch.device | None = None,
        precision: Precision = "auto",
        max_batch: int | None = None,
        preserve_color: bool = False,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        options: Mapping[str, Any] | None = None,
        channel_mode: ChannelMode = "rgb",
        a_min: float | None = None,
        a_max: float | None = None,
        slice_axis: int = -1,
    ) -> None:
        RandomizableTransform.__init__(self, prob)
        if isinstance(styles, str) and styles == "batch":
            raise ValueError(
                f"styles must be images, files or a bank, got {styles!r}: a pipeline sees one "
                "sample at a time."
            )
        self.layout = Layout(channel_mode, a_min, a_max, slice_axis)
        self.core = CoreStyleTransfer(
            stylizer,
            styles=styles,
            weights=weights,
            alpha=alpha if isinstance(alpha, float | int) else (alpha[0], alpha[1]),
            p=1.0,
            device=device,
            precision=precision,
            max_batch=max_batch,
            preserve_color=preserve_color,
            mean=mean,
            std=std,
            options=options,
        )
        self._stream = WorkerStream()
        self.params: StyleParams | None = None

    def randomize(self, data: Any = None) -> None:
        """Draw whether to apply, and one integer that decides style and strength."""
        stream = self._stream.moved_to()
        if stream:
            # a loader of PyTorch copies R into every worker and epoch: take another stream here
            self.set_random_state(seed=(int(self.R.randint(MAX_SEED)) ^ stream) % MAX_SEED)
        super().randomize(None)
        seed = int(self.R.randint(MAX_SEED))
        self.params = draw_from(self.core, seed) if self._do_transform else None

    def __call__(self, img: Any, randomize: bool = True) -> Any:
        """Return the image, stylized if it is drawn so."""
        check_worker(self.core.device)
        if randomize:
            self.randomize()
        img = convert_to_tensor(img, track_meta=get_track_meta())
        out = self._stylized(img) if self._do_transform and self.params is not None else img
        return self.push_transform(out) if get_track_meta() else out

    def inverse(self, data: Any) -> Any:
        """Return the data: no position has changed."""
        self.pop_transform(data)
        return data

    def _stylized(self, img: Any) -> Any:
        plain: Tensor = convert_to_tensor(img, track_meta=False)
        if self.params is None:
            raise RuntimeError(f"randomize must be called before, params is {self.params}.")
        images = as_volume(plain, self.layout)
        out = self.core.apply_transform(images, self.params.repeat(len(images)))
        return convert_to_dst_type(out, dst=img)[0]


class StyleTransfer(InvertibleTransform):
    """Repaint an image or volume in one given style; nothing is random.

    Args:
        stylizer: As in `RandStyleTransfer`.
        styles: As in `RandStyleTransfer`.
        style: Number of the style in the bank.
        alpha: Stylization strength in [0, 1].
        weights: Weights of the stylizer.
        device: Where to stylize; None follows the image.
        precision: "auto", "fp32", "bf16" or "fp16".
        options: Further arguments of the stylizer.
        channel_mode: "rgb", "each" or "joint".
        a_min: Value that is black.
        a_max: Value that is white.
        slice_axis: Spatial axis that a volume is cut along.

    Raises:
        ValueError: If there is no style of that number.

    Example:
        >>> transform = StyleTransfer("colorist", styles=torch.rand(4, 3, 64, 64), style=2)
        >>> transform(torch.rand(1, 40, 40)).shape
        torch.Size([1, 40, 40])
    """

    backend = RandStyleTransfer.backend

    def __init__(
        self,
        stylizer: str | None = None,
        styles: Styles = "batch",
        style: int = 0,
        alpha: float = 1.0,
        weights: str | None = None,
        device: str | torch.device | None = None,
        precision: Precision = "auto",
        options: Mapping[str, Any] | None = None,
        channel_mode: ChannelMode = "rgb",
        a_min: float | None = None,
        a_max: float | None = None,
        slice_axis: int = -1,
    ) -> None:
        self._random = RandStyleTransfer(
            stylizer,
            styles,
            1.0,
            alpha,
            weights,
            device,
            precision,
            options=options,
            channel_mode=channel_mode,
            a_min=a_min,
            a_max=a_max,
            slice_axis=slice_axis,
        )
        source = self._random.core.source
        if not isinstance(source, StyleBank) or not 0 <= style < len(source):
            raise ValueError(f"style must be the number of a style of {source!r}, got {style}.")
        self._random.params = StyleParams((True,), (style,), (alpha,), source.fingerprint(1))

    def __call__(self, img: Any) -> Any:
        """Return the stylized image."""
        check_worker(self._random.core.device)
        img = convert_to_tensor(img, track_meta=get_track_meta())
        out = self._random._stylized(img)
        return self.push_transform(out) if get_track_meta() else out

    def inverse(self, data: Any) -> Any:
        """Return the data: no position has changed."""
        self.pop_transform(data)
        return data
