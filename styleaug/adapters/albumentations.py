"""Styles and appearances for Albumentations 2.0: arrays, batches, volumes; serialisable."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import torch
from PIL import Image

from styleaug.adapters._host import missing_host
from styleaug.adapters._inline import bank_from_text, bank_to_text
from styleaug.adapters._seeding import (
    WorkerStream,
    check_channel_mode,
    check_worker,
    draw_from,
    refuse_arguments_of_batches,
)
from styleaug.images.batch import AnyImage, Images, OutOfRange
from styleaug.images.regions import AnyRegions
from styleaug.images.volume import ChannelMode, as_volumes, tall_regions
from styleaug.styles import Styles
from styleaug.styles.bank import StyleBank
from styleaug.stylizers.base import Precision
from styleaug.transform import StyleTransfer as CoreStyleTransfer

try:
    import albumentations as A
    from albumentations.core.transforms_interface import BasicTransform, ImageOnlyTransform
except (ImportError, RuntimeError) as error:
    raise missing_host("albumentations", error) from error

if hasattr(BasicTransform, "sample_parameters"):
    raise ImportError(
        f"styleaug.adapters.albumentations needs albumentations 2.0, found {A.__version__} with "
        "the plugin protocol of AlbumentationsX (an AGPL fork under the same import name, whose "
        "transforms draw in sample_parameters). Install 'albumentations>=2.0,<2.1', or use "
        "styleaug.StyleTransfer on arrays directly."
    )

try:
    from albumentations.core.transforms_interface import BaseTransformInitSchema
except ImportError as error:
    raise missing_host("albumentations", error) from error

from styleaug.adapters._albumentations_appearance import (
    MAX_SEED,
    Appearance,
    reseed,
)

__all__ = ["Appearance", "StyleTransfer"]


class StyleTransfer(ImageOnlyTransform):  # type: ignore[misc]
    """Repaint images in other styles; masks, boxes and key points stay as they are.

    Arrays ``(H, W)``, ``(H, W, 1)``, ``(H, W, 3)`` or ``(H, W, 4)``, uint8 or float32 in [0, 1];
    any number of channels with ``channel_mode="each"``.
    All images of one call share one draw: additional targets, ``images`` ``(N, H, W, C)``, which
    are stylized as one batch, and ``volume`` ``(D, H, W, C)``, for which a pointwise stylizer uses
    the statistics of the whole volume. Place it before ``A.Normalize``.

    Albumentations draws one integer per call. Loader workers, epochs and ranks draw differently,
    which Albumentations itself does not ensure. A run is reproducible with ``torch.manual_seed``
    and the seed of ``Compose``.

    Args:
        stylizer: A name of `list_stylizers`; None takes that of the bank, or "appearance".
        styles: A folder, a list of files, the path of a saved bank, a bank, or arrays. Arrays
            are encoded once and not kept; up to 1 MB of encoded styles is serialised with the
            pipeline.
        weights: Weights of the stylizer.
        alpha: Stylization strength, one number or a range: 0 keeps the content, 1 is full style.
        device: Where to stylize; None is the CPU.
        precision: "auto", "fp32", "bf16" or "fp16".
        max_batch: Most images that go through the network at once.
        preserve_color: Keep the colours of the content.
        mean: Channel means of the training data, where the weights do not say.
        std: Channel standard deviations likewise.
        options: Further arguments of the stylizer.
        metadata_key: Key of optional style images for one call: one array ``(H, W)`` or
            ``(H, W, C)``, or a batch ``(N, H, W, C)`` or sequence of arrays, of which one is drawn.
        channel_mode: "rgb": 1, 3 or 4 channels, stylized together. "each": every channel is a
            grey image of its own. "joint": grey channels that share their statistics.
        value_range: Black and white in the unit of the images, such as ``(0, 4095)``. Values
            outside of it are left unchanged. It applies to styles as well, unless they have 8 bits.
        out_of_range: What to do with floats outside of [0, 1]: "raise", or "clamp".
        region: As in `styleaug.StyleTransfer`: "tissue", "tissue-on-black", or a number of classes.
        regions_key: Target that holds the masks or label maps of such classes, "mask"; "masks" of
            ``images`` and "mask3d" of a ``volume``.
        p: Probability of the call.

    Targets:
        image, images, volume, volumes

    Raises:
        TypeError: If ``seed``, ``portion`` or ``per_instance`` is given: ``A.Compose`` takes the
            seed, the others belong to batches.
        ValueError: If an argument is out of range, or ``styles`` is "batch".

    Example:
        >>> style = np.full((64, 64, 3), (200, 120, 160), dtype=np.uint8)
        >>> pipeline = A.Compose([StyleTransfer("colorist", styles=[style], p=1.0)], seed=0)
        >>> pipeline(image=np.zeros((40, 40, 3), dtype=np.uint8))["image"].shape
        (40, 40, 3)
    """

    class InitSchema(BaseTransformInitSchema):  # type: ignore[misc]
        """Types of the arguments; their values are checked by the core."""

        stylizer: str | None
        styles: Any
        weights: str | None
        alpha: float | tuple[float, float]
        device: str | None
        precision: str
        max_batch: int | None
        preserve_color: bool
        mean: Sequence[float] | None
        std: Sequence[float] | None
        options: Mapping[str, Any] | None
        metadata_key: str
        channel_mode: str
        value_range: Sequence[float] | None
        out_of_range: str
        region: str | int | None
        regions_key: str

    def __new__(cls, *_: Any, **given: Any) -> Self:
        """Refuse arguments that Albumentations would ignore with a warning."""
        refuse_arguments_of_batches("albumentations", given, "A.Compose(..., seed=)")
        made: Self = super().__new__(cls)
        return made

    def __init__(
        self,
        stylizer: str | None = None,
        styles: Styles = "batch",
        weights: str | None = None,
        alpha: float | tuple[float, float] = 1.0,
        device: str | None = None,
        precision: Precision = "auto",
        max_batch: int | None = None,
        preserve_color: bool = False,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        options: Mapping[str, Any] | None = None,
        metadata_key: str = "style_metadata",
        channel_mode: ChannelMode = "rgb",
        value_range: Sequence[float] | None = None,
        out_of_range: OutOfRange = "raise",
        region: str | int | None = None,
        regions_key: str = "mask",
        p: float = 0.5,
    ) -> None:
        super().__init__(p=p)
        if isinstance(styles, str) and styles == "batch":
            raise ValueError(f"styles must be images, files or a bank, got {styles!r}: a pipeline "
                             "sees one sample at a time.")  # fmt: skip
        self.stylizer, self.weights, self.alpha = stylizer, weights, alpha
        self.device, self.precision, self.max_batch = device, precision, max_batch
        self.preserve_color, self.mean, self.std, self.options = preserve_color, mean, std, options
        self.metadata_key = metadata_key
        self.value_range, self.out_of_range = value_range, out_of_range
        self._core = CoreStyleTransfer(
            stylizer,
            styles=bank_from_text(styles),
            weights=weights,
            alpha=alpha,
            p=1.0,
            device=device,
            precision=precision,
            max_batch=max_batch,
            preserve_color=preserve_color,
            mean=mean,
            std=std,
            options=options,
            value_range=value_range,
            out_of_range=out_of_range,
            region=region,
        )
        self.region, self.regions_key = region, regions_key
        # images are let go here: the bank holds all that is needed of them
        plain = _plain(styles)
        self.styles = plain if _is_json(plain) else self._core.source
        self.channel_mode = check_channel_mode(channel_mode, self._core)
        self._stream = WorkerStream()
        self._references: Sequence[Any] | None = None
        self._regions: Any = None
        # optional under strict=True too; targets_as_params would demand it on every call
        self._available_keys |= {metadata_key, regions_key}

    def __call__(self, *args: Any, force_apply: bool = False, **kwargs: Any) -> Any:
        """Apply the transform, seeded for the current loader worker and epoch."""
        check_worker(self._core.device)
        reseed(self, self._stream)
        self._references = _as_list(kwargs.get(self.metadata_key))
        self._regions = self._regions_of(kwargs)
        try:
            return super().__call__(*args, force_apply=force_apply, **kwargs)
        finally:
            self._references = self._regions = None

    def get_params_dependent_on_data(
        self, params: dict[str, Any], data: dict[str, Any]
    ) -> dict[str, Any]:
        """Draw one integer, which also selects a reference if the call has any."""
        references = _as_list(data.get(self.metadata_key))
        count = 0 if references is None else len(references)
        if references is not None and count == 0:
            raise ValueError(f"{self.metadata_key} must hold at least one image, got {count}.")
        seed = self.py_random.randrange(MAX_SEED)
        return {"style_seed": seed, "reference": seed % count if count else -1}

    def apply(self, img: np.ndarray, style_seed: int, reference: int, **params: Any) -> np.ndarray:
        """Stylize one image."""
        stack = np.asarray(img).reshape(1, *np.shape(img)[:2], -1)
        return self._painted(stack, style_seed, reference).reshape(np.shape(img))

    def apply_to_images(
        self, images: np.ndarray, style_seed: int, reference: int, **params: Any
    ) -> np.ndarray:
        """Stylize a batch ``(N, H, W[, C])`` in one call, every image in the same style."""
        batch = _with_channels(images)
        return self._painted(batch, style_seed, reference).reshape(np.shape(images))

    def apply_to_volume(
        self, volume: np.ndarray, style_seed: int, reference: int, **params: Any
    ) -> np.ndarray:
        """Stylize a volume ``(D, H, W[, C])`` with the statistics of the whole volume."""
        slices = torch.from_numpy(np.require(_with_channels(volume), requirements=["C", "W"]))
        images = self._as_volumes(slices.permute(3, 1, 2, 0)[None])
        regions = None
        if self._regions is not None:
            maps = torch.from_numpy(np.array(self._regions)).squeeze(-1)
            regions = tall_regions(
                maps.movedim(0, -1)[None, None], slices.shape[3], self.channel_mode
            )
        out = torch.as_tensor(self._applied(images, style_seed, reference, regions))
        return out[0].permute(3, 1, 2, 0).numpy().reshape(np.shape(volume))

    def show(
        self,
        image: np.ndarray,
        *,
        seed: int = 0,
        limit: int = 8,
        regions: np.ndarray | None = None,
    ) -> Image.Image:
        """Return a contact sheet before and after, as `styleaug.StyleTransfer.show` does.

        Args:
            image: ``(H, W, C)`` or ``(N, H, W, C)``, of ``channel_mode="rgb"``.
            seed: Seed of the draw; the random stream of the pipeline is not used.
            limit: Largest number of rows.
            regions: Masks or label maps of the images, where ``region`` needs them.
        """
        return self._core.show(image, seed=seed, limit=limit, regions=regions)

    def get_transform_init_args(self) -> dict[str, Any]:
        """Return the arguments for serialisation; style images are given as the text of a bank."""
        state: dict[str, Any] = super().get_transform_init_args()
        if not _is_json(self.styles) and isinstance(self._core.source, StyleBank):
            state["styles"] = bank_to_text(self._core.source)
        return state

    def __repr__(self) -> str:
        core = self._core
        name = core.stylizer_on(core.device or "cpu").name
        return f"StyleTransfer({name!r}, styles={core.source!r}, alpha={core.alpha}, p={self.p})"

    def _painted(self, batch: np.ndarray, style_seed: int, reference: int) -> np.ndarray:
        """Stylize ``(N, H, W, C)``, every image in the same style."""
        if self.channel_mode == "rgb":
            return np.asarray(self._applied(batch, style_seed, reference, self._regions))
        stack = torch.from_numpy(np.require(batch, requirements=["C", "W"]))
        images = self._as_volumes(stack.permute(0, 3, 1, 2).unsqueeze(-1))
        regions = None
        if self._regions is not None:
            maps = torch.from_numpy(np.array(self._regions)).reshape(-1, 1, *batch.shape[1:3], 1)
            regions = tall_regions(maps, batch.shape[3], self.channel_mode)
        out = torch.as_tensor(self._applied(images, style_seed, reference, regions))
        return out.squeeze(-1).permute(0, 2, 3, 1).numpy()

    def _as_volumes(self, volumes: torch.Tensor) -> Images:
        return as_volumes(
            volumes,
            mode=self.channel_mode,
            value_range=self._core.value_range,
            out_of_range=self._core.out_of_range,
        )

    def _applied(
        self,
        images: np.ndarray | Images,
        style_seed: int,
        reference: int,
        regions: AnyRegions | None,
    ) -> AnyImage:
        core = self._core_for(reference)
        params = draw_from(core, style_seed, len(images))
        return core.apply_transform(images, params, regions=regions)

    def _regions_of(self, targets: Mapping[str, Any]) -> Any:
        if not isinstance(self._core.region, int):
            return None
        if self.regions_key not in targets:
            raise ValueError(
                f"region={self._core.region} needs the target {self.regions_key!r} with a mask or "
                f"label map, got {sorted(targets)}. Name another as regions_key=."
            )
        return targets[self.regions_key]

    def _core_for(self, reference: int) -> CoreStyleTransfer:
        """Return the core, or one with the reference of this call as its only style."""
        if reference < 0:
            return self._core
        if self._references is None or len(self._references) <= reference:
            raise ValueError(
                f"{self.metadata_key} must hold the {reference + 1} images of the recorded call, "
                f"got {self._references if self._references is None else len(self._references)}."
            )
        stylizer = self._core.stylizer_on(self.device or "cpu")
        image = np.asarray(self._references[reference])
        return CoreStyleTransfer(
            stylizer,
            styles=StyleBank.from_images([image], stylizer, value_range=self._core.value_range),
            alpha=self.alpha,
            p=1.0,
            preserve_color=self.preserve_color,
            value_range=self._core.value_range,
            out_of_range=self._core.out_of_range,
        )


def _with_channels(images: np.ndarray) -> np.ndarray:
    array = np.asarray(images)
    return array[..., None] if array.ndim == 3 else array


def _as_list(references: Any) -> Sequence[Any] | None:
    """Return the style images of a call as a sequence; one array is one image."""
    if references is None:
        return None
    if not isinstance(references, np.ndarray | Sequence):
        raise TypeError(
            "style images of a call must be an array (H, W[, C]) or (N, H, W, C), or a sequence of "
            f"arrays, got {type(references).__name__}."
        )
    if isinstance(references, np.ndarray) and references.ndim < 4:
        return [references]
    return cast("Sequence[Any]", references)


def _plain(styles: Any) -> Any:
    """Return paths as strings, so that they can be written to JSON."""
    if isinstance(styles, Path):
        return str(styles)
    if isinstance(styles, list | tuple):
        return [str(item) if isinstance(item, Path) else item for item in styles]
    return styles


def _is_json(styles: Any) -> bool:
    if isinstance(styles, torch.Tensor | np.ndarray):
        return False
    try:
        json.dumps(styles)
    except TypeError:
        return False
    return True
