"""Changes of appearance for MONAI; use them from `styleaug.adapters.monai`."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Unpack

import torch

from styleaug.adapters._host import missing_host
from styleaug.adapters._monai_array import RandDrawn, Reading, tracked
from styleaug.appearance import Appearance
from styleaug.appearance.params import AppearanceParams
from styleaug.images.volume import Layout, as_volume

try:
    from monai.config import KeysCollection
    from monai.data import get_track_meta
    from monai.transforms import InvertibleTransform, MapTransform, RandomizableTransform
    from monai.utils import TransformBackends, convert_to_tensor
except (ImportError, RuntimeError) as error:
    raise missing_host("monai", error) from error


class RandAppearance(RandDrawn):
    """Change how a channel-first image or volume was made, without changing its content.

    Takes ``(C, H, W)`` or ``(C, H, W, D)``: arrays, tensors and ``MetaTensor``, which keeps its
    meta data, affine and applied operations. The slices of a volume share one draw. Positions do
    not change, so the inverse is the identity.

    Args:
        kind: Kind of the images, or several, as in `styleaug.appearance.Appearance`: "ct" with the
            window as ``a_min`` and ``a_max``, "xray", "stained" ...
        prob: Probability of the transform.
        strength: Width of the ranges, one number or a range, from 0 to 2.
        effect_p: Probability of each effect, the ``p`` of `styleaug.appearance.Appearance`.
        effects: Names of the effects that may be drawn; None: all of the kinds.
        **how: ``channel_mode``, ``a_min``, ``a_max``, ``slice_axis``, ``window`` and
            ``out_of_range`` as in `styleaug.adapters.monai.StyleTransfer`.

    Raises:
        ValueError: If an argument is out of range, or the image does not fit.

    Example:
        >>> transform = RandAppearance("ct", prob=1.0, a_min=-160.0, a_max=240.0)
        >>> transform(torch.randint(-1000, 1000, (1, 40, 40, 5))).shape
        torch.Size([1, 40, 40, 5])
    """

    backend = [TransformBackends.TORCH]  # noqa: RUF012

    def __init__(
        self,
        kind: str | Sequence[str] = "stained",
        prob: float = 0.5,
        strength: float | tuple[float, float] = 1.0,
        effect_p: float = 0.5,
        effects: str | Sequence[str] | None = None,
        **how: Unpack[Reading],
    ) -> None:
        self.core = Appearance(kind, strength=strength, p=effect_p, image_p=1.0, effects=effects)
        self.layout = Layout(**how)
        super().__init__(prob, self.core)

    def __call__(self, img: Any, randomize: bool = True) -> Any:
        """Return the image, changed with probability ``prob``."""
        if randomize:
            self.randomize()
        if self._do_transform and self.params is not None:
            out = self._changed(img, self.params)
        else:
            out = convert_to_tensor(img, track_meta=get_track_meta())
        return self.push_transform(out) if get_track_meta() else out  # type: ignore[no-untyped-call]

    def _changed(self, img: Any, params: AppearanceParams) -> torch.Tensor:
        images = as_volume(convert_to_tensor(img, track_meta=False), self.layout)
        slices = images.sliced() if images.depth > 1 else images
        out = self.core.apply_transform(slices, params.repeat(len(slices)))
        return tracked(torch.as_tensor(out), img)


class RandAppearanced(RandomizableTransform, MapTransform, InvertibleTransform):
    """Change how the images of some keys were made; they share one draw. See `RandAppearance`.

    Args:
        keys: Keys of the images; never those of labels.
        kind: As in `RandAppearance`, like the following but the last.
        prob: Probability of the transform.
        strength: Width of the ranges.
        effect_p: Probability of each effect.
        effects: Names of the effects that may be drawn.
        allow_missing_keys: Whether samples may lack keys.
        **how: As in `RandAppearance`.

    Example:
        >>> transform = RandAppearanced(["image"], "stained")
        >>> sorted(transform({"image": torch.rand(3, 40, 40), "label": 1}))
        ['image', 'label']
    """

    backend = RandAppearance.backend

    def __init__(
        self,
        keys: KeysCollection,
        kind: str | Sequence[str] = "stained",
        prob: float = 0.5,
        strength: float | tuple[float, float] = 1.0,
        effect_p: float = 0.5,
        effects: str | Sequence[str] | None = None,
        allow_missing_keys: bool = False,
        **how: Unpack[Reading],
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, 1.0)
        self.transform = RandAppearance(kind, prob, strength, effect_p, effects, **how)

    def set_random_state(self, seed: int | None = None, state: Any = None) -> RandAppearanced:
        """Seed the transform that this one owns."""
        self.transform.set_random_state(seed, state)
        super().set_random_state(seed, state)
        return self

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the sample, with the images of the keys changed with probability ``prob``."""
        sample = dict(data)
        self.transform.randomize()
        for key in self.key_iterator(sample):
            sample[key] = self.transform(sample[key], randomize=False)
        return sample

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the sample: no position has changed."""
        sample = dict(data)
        for key in self.key_iterator(sample):
            sample[key] = self.transform.inverse(sample[key])
        return sample


RandAppearanceD = RandAppearanceDict = RandAppearanced
