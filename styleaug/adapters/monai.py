"""Styles and appearances for MONAI: array and dictionary transforms, 2-D and 3-D, in any unit."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Unpack

from PIL.Image import Image

from styleaug.adapters._host import missing_host
from styleaug.adapters._monai_appearance import (
    RandAppearance,
    RandAppearanceD,
    RandAppearanced,
    RandAppearanceDict,
)
from styleaug.adapters._monai_array import (
    MAX_SEED,
    RandStyleTransfer,
    StyleTransfer,
    VolumeOptions,
)
from styleaug.adapters._seeding import WorkerStream
from styleaug.styles import Styles

try:
    from monai.config import KeysCollection
    from monai.data import get_track_meta
    from monai.transforms import InvertibleTransform, MapTransform, RandomizableTransform
    from monai.utils import convert_to_tensor
except (ImportError, RuntimeError) as error:
    raise missing_host("monai", error) from error

__all__ = [
    "RandAppearance",
    "RandAppearanceD",
    "RandAppearanceDict",
    "RandAppearanced",
    "RandStyleTransfer",
    "RandStyleTransferD",
    "RandStyleTransferDict",
    "RandStyleTransferd",
    "StyleTransfer",
    "StyleTransferD",
    "StyleTransferDict",
    "StyleTransferd",
]


class RandStyleTransferd(RandomizableTransform, MapTransform, InvertibleTransform):
    """Repaint the images of some keys, which share one draw; see `RandStyleTransfer`.

    Args:
        keys: Keys of the images; never those of labels.
        stylizer: As in `RandStyleTransfer`, like the following but the last.
        styles: A folder, a list of files, the path of a saved bank, a bank, or images.
        prob: Probability of the transform.
        alpha: Stylization strength, one number or a range.
        allow_missing_keys: Whether samples may lack keys.
        regions_key: Key of the mask or label map, where ``region`` is a number of classes.
        **how: As in `StyleTransfer`.

    Raises:
        ValueError: If one of ``region`` and ``regions_key`` is missing that needs the other.

    Example:
        >>> import torch
        >>> from styleaug import StyleBank
        >>> bank = StyleBank.from_images(torch.rand(4, 3, 64, 64), "colorist")
        >>> transform = RandStyleTransferd(["image"], "colorist", styles=bank, prob=1.0)
        >>> sorted(transform({"image": torch.rand(3, 40, 40), "label": 1}))
        ['image', 'label']
    """

    backend = RandStyleTransfer.backend

    def __init__(
        self,
        keys: KeysCollection,
        stylizer: str | None = None,
        styles: Styles = "batch",
        prob: float = 0.1,
        alpha: float | Sequence[float] = 1.0,
        allow_missing_keys: bool = False,
        regions_key: Hashable | None = None,
        **how: Unpack[VolumeOptions],
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        self.transform = RandStyleTransfer(stylizer, styles, 1.0, alpha, **how)
        self.regions_key = _check_key(regions_key, self.transform.transform)
        self._stream = WorkerStream()

    def set_random_state(self, seed: int | None = None, state: Any = None) -> RandStyleTransferd:
        """Seed this transform and the one it owns."""
        self.transform.set_random_state(seed, state)
        super().set_random_state(seed, state)
        return self

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the sample, with the images of the keys stylized with probability ``prob``."""
        sample = dict(data)
        stream = self._stream.moved_to()
        if stream:
            self.set_random_state(seed=(int(self.R.randint(MAX_SEED)) ^ stream) % MAX_SEED)
        self.randomize(None)
        if self._do_transform:
            self.transform.randomize()
        regions = _regions(sample, self.regions_key)
        for key in self.key_iterator(sample):
            if self._do_transform:
                sample[key] = self.transform(sample[key], randomize=False, regions=regions)
            else:
                sample[key] = convert_to_tensor(sample[key], track_meta=get_track_meta())
            if get_track_meta():
                self.push_transform(sample, key)  # type: ignore[no-untyped-call]
        return sample

    def show(self, data: Mapping[Hashable, Any], *, seed: int = 0, limit: int = 8) -> Image:
        """Return a contact sheet of the first key's image; see `RandStyleTransfer.show`."""
        regions, key = _regions(data, self.regions_key), next(iter(self.key_iterator(dict(data))))
        return self.transform.show(data[key], regions, seed=seed, limit=limit)

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the sample: no position has changed."""
        sample = dict(data)
        for key in self.key_iterator(sample):
            info = self.pop_transform(sample, key)
            if info.get("do_transforms"):
                sample[key] = self.transform.inverse(sample[key])
        return sample


class StyleTransferd(MapTransform, InvertibleTransform):
    """Repaint the images of some keys in one given style; see `StyleTransfer`.

    Args:
        keys: Keys of the images.
        stylizer: As in `StyleTransfer`, like the following but the last.
        styles: A folder, a list of files, the path of a saved bank, a bank, or images.
        style: Number of the style in the bank.
        alpha: Stylization strength in [0, 1].
        allow_missing_keys: Whether samples may lack keys.
        regions_key: Key of the mask or label map, where ``region`` is a number of classes.
        **how: As in `StyleTransfer`.

    Raises:
        ValueError: If one of ``region`` and ``regions_key`` is missing that needs the other.

    Example:
        >>> import torch
        >>> transform = StyleTransferd("image", styles=torch.rand(4, 3, 64, 64), style=1)
        >>> transform({"image": torch.rand(3, 40, 40)})["image"].shape
        torch.Size([3, 40, 40])
    """

    backend = RandStyleTransfer.backend

    def __init__(
        self,
        keys: KeysCollection,
        stylizer: str | None = None,
        styles: Styles = "batch",
        style: int = 0,
        alpha: float = 1.0,
        allow_missing_keys: bool = False,
        regions_key: Hashable | None = None,
        **how: Unpack[VolumeOptions],
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        self.transform = StyleTransfer(stylizer, styles, style, alpha, **how)
        self.regions_key = _check_key(regions_key, self.transform)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the sample with the images of the keys stylized."""
        sample = dict(data)
        regions = _regions(sample, self.regions_key)
        for key in self.key_iterator(sample):
            sample[key] = self.transform(sample[key], regions=regions)
        return sample

    def show(self, data: Mapping[Hashable, Any], *, limit: int = 8) -> Image:
        """Return a contact sheet of the first key's image; see `StyleTransfer.show`."""
        regions, key = _regions(data, self.regions_key), next(iter(self.key_iterator(dict(data))))
        return self.transform.show(data[key], regions, limit=limit)

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the sample: no position has changed."""
        sample = dict(data)
        for key in self.key_iterator(sample):
            sample[key] = self.transform.inverse(sample[key])
        return sample


def _check_key(regions_key: Hashable | None, transform: StyleTransfer) -> Hashable | None:
    """Return the key, or raise ``ValueError`` where it is missing or there is no use for it."""
    region = transform.core.region
    if isinstance(region, int) != (regions_key is not None):
        raise ValueError(
            f"regions_key= names the masks or label maps of a region= that is a number of classes, "
            f"got regions_key={regions_key!r} and region={region!r}."
        )
    return regions_key


def _regions(sample: Mapping[Hashable, Any], key: Hashable | None) -> Any:
    if key is not None and key not in sample:
        raise KeyError(f"regions_key={key!r} is not in the sample, it has {list(sample)}.")
    return None if key is None else sample[key]


RandStyleTransferD = RandStyleTransferDict = RandStyleTransferd
StyleTransferD = StyleTransferDict = StyleTransferd
