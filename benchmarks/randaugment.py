"""RandAugment for H&E: operations of RandAugment that tissue bears, with changes of hue and stain.

Source:
    Faryna, van der Laak & Litjens, "Tailoring automated data augmentation to H&E-stained
    histopathology", MIDL 2021; operations, ranges, one operation an image and magnitudes of up to 7
    of 10 are those of their code (he-randaugment). Theirs leaves images as they are whose stains
    are very faint or very strong on average; ours does not.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

MAGNITUDE = 7.0
GREY = [0.5]
Operation = Callable[[Tensor, float], Tensor]


def rand_augment(image: Tensor, hed: Callable[[Tensor, float], Tensor]) -> Tensor:
    """Apply one random operation to an image ``(3, H, W)`` in [0, 1].

    Args:
        image: The image.
        hed: Changes the amounts of stains of a batch by factors and offsets up to a strength.
    """
    operations = [*OPERATIONS, lambda one, level: hed(one[None], 0.03 * level)[0]]
    chosen = operations[int(torch.randint(len(operations), ()))]
    changed: Tensor = chosen(image, float(torch.rand(())) * MAGNITUDE).clamp(0.0, 1.0)
    return changed


def _sign() -> float:
    return 1.0 if torch.rand(()) < 0.5 else -1.0


def _factor(level: float) -> float:
    return 0.1 + 0.18 * level


def _moved(image: Tensor, *, shift: tuple[int, int] = (0, 0), shear: tuple[float, float]) -> Tensor:
    moved: Tensor = F.affine(image, 0.0, list(shift), 1.0, list(shear), fill=GREY)
    return moved


def _sheared(image: Tensor, level: float, axis: int) -> Tensor:
    angle = float(torch.rad2deg(torch.atan(torch.tensor(0.03 * level)))) * _sign()
    return _moved(image, shear=(angle, 0.0) if axis == 0 else (0.0, angle))


def _shifted(image: Tensor, level: float, axis: int) -> Tensor:
    step = round(level * _sign())
    return _moved(image, shift=(step, 0) if axis == 0 else (0, step), shear=(0.0, 0.0))


def _equalized(image: Tensor, level: float) -> Tensor:
    return F.equalize((image * 255.0).round().to(torch.uint8)).float() / 255.0


def _hue_and_saturation(image: Tensor, level: float) -> Tensor:
    hue, saturation = (0.03 * MAGNITUDE * (2.0 * torch.rand(2) - 1.0)).tolist()
    return F.adjust_saturation(F.adjust_hue(image, hue), 1.0 + saturation)


OPERATIONS: tuple[Operation, ...] = (
    lambda image, level: image,
    lambda image, level: _shifted(image, level, 0),
    lambda image, level: _shifted(image, level, 1),
    lambda image, level: _sheared(image, level, 0),
    lambda image, level: _sheared(image, level, 1),
    lambda image, level: F.rotate(image, 3.0 * level * _sign(), fill=GREY),
    lambda image, level: F.adjust_brightness(image, _factor(level)),
    lambda image, level: F.adjust_sharpness(image, _factor(level)),
    lambda image, level: F.adjust_saturation(image, _factor(level)),
    lambda image, level: F.adjust_contrast(image, _factor(level)),
    _equalized,
    _hue_and_saturation,
)
