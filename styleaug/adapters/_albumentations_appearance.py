"""Changes of appearance for Albumentations 2.0; use it from `styleaug.adapters.albumentations`."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from styleaug.adapters._host import missing_host
from styleaug.adapters._seeding import WorkerStream, draw_from
from styleaug.appearance import Appearance as CoreAppearance

try:
    from albumentations.core.transforms_interface import (
        BaseTransformInitSchema,
        ImageOnlyTransform,
    )
except (ImportError, RuntimeError) as error:
    raise missing_host("albumentations", error) from error

MAX_SEED = 2**62


def reseed(transform: ImageOnlyTransform, stream: WorkerStream) -> None:
    """Seed a transform for the loader worker and epoch that it now runs in, if it has moved.

    Args:
        transform: Its own random state is replaced.
        stream: What has seen where the transform ran before.
    """
    moved = stream.moved_to()
    if moved:
        entropy = [moved, transform.seed or 0]
        draws = np.random.default_rng(np.random.SeedSequence(entropy))
        transform.set_random_state(draws, random.Random(int(draws.integers(MAX_SEED))))


class Appearance(ImageOnlyTransform):  # type: ignore[misc]
    """Change how images were made; masks, boxes and key points stay as they are.

    Every call draws one laboratory, scanner, camera and file, which all its images share:
    additional targets, ``images`` and the slices of a ``volume``. Arrays ``(H, W)``, ``(H, W, 1)``,
    ``(H, W, 3)`` or ``(H, W, 4)``, uint8 or float32 in [0, 1]. Place it before ``A.Normalize``.
    Loader workers, epochs and ranks draw differently.

    Args:
        kind: Kind of the images, or several, as in `styleaug.appearance.Appearance`.
        strength: Width of the ranges, one number or a range, from 0 to 2.
        effect_p: Probability of each effect, the ``p`` of `styleaug.appearance.Appearance`.
        effects: Names of the effects that may be drawn; None: all of the kinds.
        p: Probability of the call.

    Targets:
        image, images, volume, volumes

    Raises:
        ValueError: If an argument is out of range.

    Example:
        >>> import albumentations as A
        >>> pipeline = A.Compose([Appearance("stained")], seed=0)
        >>> pipeline(image=np.zeros((40, 40, 3), dtype=np.uint8))["image"].shape
        (40, 40, 3)
    """

    __module__ = "styleaug.adapters.albumentations"  # the name that saved pipelines hold

    class InitSchema(BaseTransformInitSchema):  # type: ignore[misc]
        """Types of the arguments; their values are checked by the core."""

        kind: str | Sequence[str]
        strength: float | tuple[float, float]
        effect_p: float
        effects: str | Sequence[str] | None

    def __init__(
        self,
        kind: str | Sequence[str] = "stained",
        strength: float | tuple[float, float] = 1.0,
        effect_p: float = 0.5,
        effects: str | Sequence[str] | None = None,
        p: float = 0.5,
    ) -> None:
        super().__init__(p=p)
        self.kind, self.strength, self.effect_p, self.effects = kind, strength, effect_p, effects
        self._core = CoreAppearance(
            kind, strength=strength, p=effect_p, image_p=1.0, effects=effects
        )
        self._stream = WorkerStream()

    def __call__(self, *args: Any, force_apply: bool = False, **kwargs: Any) -> Any:
        """Apply the transform, seeded for the current loader worker and epoch."""
        reseed(self, self._stream)
        return super().__call__(*args, force_apply=force_apply, **kwargs)

    def get_params(self) -> dict[str, Any]:
        """Draw one integer, which stands for the whole appearance."""
        return {"appearance_seed": self.py_random.randrange(MAX_SEED)}

    def apply(self, img: np.ndarray, appearance_seed: int, **params: Any) -> np.ndarray:
        """Change one image."""
        return np.asarray(self._core.apply_transform(img, draw_from(self._core, appearance_seed)))

    def apply_to_images(
        self, images: np.ndarray, appearance_seed: int, **params: Any
    ) -> np.ndarray:
        """Change a batch ``(N, H, W[, C])``, every image alike."""
        batch = np.asarray(images)
        stack = batch[..., None] if batch.ndim == 3 else batch
        drawn = draw_from(self._core, appearance_seed, len(stack))
        return np.asarray(self._core.apply_transform(stack, drawn)).reshape(batch.shape)

    def apply_to_volume(
        self, volume: np.ndarray, appearance_seed: int, **params: Any
    ) -> np.ndarray:
        """Change the slices of a volume ``(D, H, W[, C])`` alike."""
        return self.apply_to_images(volume, appearance_seed)
