"""Augmentations that are compared: those of others, and style transfer."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2

from benchmarks.randaugment import rand_augment
from styleaug import StyleBank, StyleTransfer, Stylizer, create_stylizer
from styleaug.appearance import Appearance

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

Augment = Callable[[Tensor], Tensor]
BANK = 64
P = 0.5
COLORS = (
    *("stain-amounts", "stain-vectors", "glass", "white-balance", "exposure", "sensor", "gamma"),
    *("channel-gamma", "tone-curve", "saturation"),
)
"""Effects that send equal colours to equal ones: no light that falls off, optics, noise or file."""


@dataclass(frozen=True)
class Arm:
    """One way to train.

    Attributes:
        augment: Changes batches ``(B, 3, S, S)`` in [0, 1]; None leaves them.
        mixstyle: Mix statistics of the first maps of the network.
        moves: Pixels change their places, so that masks would have to follow: classes alone.
    """

    augment: Augment | None = None
    mixstyle: bool = False
    moves: bool = False


def other_arms(training: Tensor, seed: int) -> dict[str, Callable[[], Arm]]:
    """Return what others offer, by name, built when it is called.

    Args:
        training: Training images ``(N, 3, S, S)``, the references of FDA and histogram matching.
        seed: Of those that draw from a generator of their own.
    """
    return {
        "none": Arm,
        "jitter": lambda: Arm(_each(v2.ColorJitter(0.2, 0.2, 0.2, 0.02))),
        "strong jitter": lambda: Arm(_strong_jitter),
        "TrivialAugment": lambda: Arm(_each(_trivial_augment), moves=True),
        "RandAugment for H&E": lambda: Arm(
            _each(lambda image: rand_augment(image, hed_jitter)), moves=True
        ),
        "HED jitter": lambda: Arm(hed_jitter),
        "changes of appearance": lambda: Arm(_changed(seed)),
        "changes of appearance, strong jitter": lambda: Arm(_both(_changed(seed), _strong_jitter)),
        "wide changes of appearance": lambda: Arm(_changed(seed, (0.0, 2.0))),
        "mild changes of appearance": lambda: Arm(_changed(seed, (0.0, 1.0))),
        "changes of appearance of every second image": lambda: Arm(_changed(seed, image_p=P)),
        "changes of colour": lambda: Arm(_changed(seed, effects=COLORS)),
        "MixStyle": lambda: Arm(mixstyle=True),
        "albumentations FDA": lambda: Arm(_albumentations("FDA", training, seed)),
        "albumentations HistogramMatching": lambda: Arm(
            _albumentations("HistogramMatching", training, seed)
        ),
    }


def style_arms(
    names: list[str], training: Tensor, outside: Tensor | None, seed: int
) -> dict[str, Callable[[], Arm]]:
    """Return style transfer by each stylizer, with the styles from each source.

    Args:
        names: Stylizers.
        training: Training images ``(N, 3, S, S)``, of which a bank is built.
        outside: Images of another kind ``(N, 3, S, S)``; None leaves this source out.
        seed: Of the draws.
    """
    arms: dict[str, Callable[[], Arm]] = {}
    for name in names:
        stylizer = create_stylizer(name)
        arms[f"{name}, batch"] = _styled(stylizer, lambda s: "batch", seed)
        arms[f"{name}, bank"] = _styled(stylizer, lambda s: bank_of(training, s), seed)
        if outside is not None:
            arms[f"{name}, outside"] = _styled(stylizer, lambda s: bank_of(outside, s), seed)
            for label, changes in VARIANTS.items():
                arms[f"{name}, outside, {label}"] = _styled(
                    stylizer, lambda s: bank_of(outside, s), seed, **changes
                )
        arms[f"{name}, jittered bank"] = _styled(
            stylizer, lambda s: bank_of(jittered(training, seed), s), seed
        )
        for label, colours in (
            ("strong jitter", _strong_jitter),
            ("changes of appearance", _changed(seed)),
            ("changes of appearance of every second image", _changed(seed, image_p=P)),
        ):
            arms[f"{name}, bank, {label}"] = _styled(
                stylizer, lambda s: bank_of(training, s), seed, before=colours
            )
    return arms


def bank_of(images: Tensor, stylizer: Stylizer) -> StyleBank:
    """Return the medoids of the styles of some images."""
    count = min(BANK, len(images))
    return StyleBank.from_dataset(images, stylizer, count=count, representative=True)


def jittered(images: Tensor, seed: int) -> Tensor:
    """Return images in other colours: brightness, contrast, saturation and hue at random."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return _each(v2.ColorJitter(0.5, 0.5, 0.5, 0.5))(images)


def hed_jitter(images: Tensor, strength: float = 0.05) -> Tensor:
    """Change the amounts of haematoxylin, eosin and DAB (Tellez et al. 2018).

    Args:
        images: ``(B, 3, H, W)`` in [0, 1].
        strength: Half width of the uniform factor around 1 and of the offset around 0.
    """
    matrix = torch.tensor([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
    density = -(images.clamp_min(1e-6)).log()
    stains = torch.einsum("bchw,cs->bshw", density, matrix.inverse())
    shape = (len(images), 3, 1, 1)
    factor = 1.0 + strength * (2.0 * torch.rand(shape) - 1.0)
    offset = strength * (2.0 * torch.rand(shape) - 1.0)
    changed = torch.einsum("bshw,sc->bchw", stains * factor + offset, matrix)
    return (-changed).exp().clamp(0.0, 1.0)


def _styled(
    stylizer: Stylizer,
    styles: Callable[[Stylizer], object],
    seed: int,
    before: Augment | None = None,
    **changes: Any,
) -> Callable[[], Arm]:
    def build() -> Arm:
        settings = {"styles": styles(stylizer), "p": P, "seed": seed} | changes
        transform = StyleTransfer(stylizer, **settings)  # type: ignore[arg-type]
        if before is None:
            return Arm(transform)
        return Arm(lambda images: transform(before(images)))

    return build


def _each(transform: Augment) -> Augment:
    return lambda images: torch.stack([transform(image) for image in images])


def _changed(
    seed: int, strength: float | tuple[float, float] = 1.0, image_p: float = 1.0, **some: Any
) -> Augment:
    """Return changes of stain, light, optics, sensor and file; each for half of the images."""
    return Appearance("stained", strength=strength, p=0.5, image_p=image_p, seed=seed, **some)


def _both(first: Augment, second: Augment) -> Augment:
    return lambda images: second(first(images))


_strong_jitter = _each(v2.ColorJitter(0.5, 0.5, 0.5, 0.1))
VARIANTS: dict[str, dict[str, Any]] = {
    "strong jitter": {"before": _strong_jitter},
    "alpha 0.3-1": {"alpha": (0.3, 1.0)},
    "p 0.8": {"p": 0.8},
}


def _trivial_augment(image: Tensor) -> Tensor:
    changed = v2.TrivialAugmentWide()((image * 255.0).round().to(torch.uint8))
    return changed.float() / 255.0


def _albumentations(name: str, training: Tensor, seed: int) -> Augment:
    import albumentations

    references = [_array(image) for image in training]
    transform = albumentations.Compose(
        [getattr(albumentations, name)(metadata_key="references", p=P)], seed=seed
    )

    def augment(image: Tensor) -> Tensor:
        changed = transform(image=_array(image), references=references)["image"]
        return torch.from_numpy(changed).permute(2, 0, 1).float() / 255.0

    return _each(augment)


def _array(image: Tensor) -> np.ndarray:
    return (image.permute(1, 2, 0) * 255.0).round().to(torch.uint8).numpy()
