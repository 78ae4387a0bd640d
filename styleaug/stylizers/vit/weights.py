"""The published weights of Stylizing ViT, and how a checkpoint becomes a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor

from styleaug.stylizers.vit.network import CONFIGS, StylizingViTNetwork, ViTConfig
from styleaug.weights import (
    EXTRA,
    LocatedWeights,
    Weights,
    load_strictly,
    locate_weights,
    read_state_dict,
)

Channels: TypeAlias = tuple[float, float, float]

ALIASES = {"fitzpatrick17k": "fitzpatrick17k_12_34_56", "ddi": "ddi_12_34_56"}
"""Other names of data sets, as the public package has them."""

PACKAGED = {
    "tiny": (
        Weights(
            "medical",
            "stylizing-vit-tiny.safetensors",
            "CC BY 4.0",
            "H&E and other stains, fluorescence, blood smears, skin, fundus, X-rays, CT, "
            "photographs",
            mean=(0.485, 0.456, 0.406),
            std=(0.229, 0.224, 0.225),
            sha256="6e6d85c6dead86286567cc722c2b99df3fa380bc539243991199732d369a0332",
            size=11661442,
            package=EXTRA,
        ),
    ),
}
"""The weights that ``styleaug-weights`` holds, by size; their card lies beside them."""

_LICENCE = "Apache-2.0"
_DATA: dict[str, str] = {
    "camelyon17wilds": "Camelyon17-WILDS (lymph node histology), default training split",
    "epistr": "Epithelium-Stroma (histology), training set NKI",
    "fitzpatrick17k_12_34_56": "Fitzpatrick17k (dermatology), skin types 1-2",
    "fitzpatrick17k_65_43_21": "Fitzpatrick17k (dermatology), skin types 5-6",
    "ddi_12_34_56": "Diverse Dermatology Images, skin types 1-2",
    "ddi_65_43_21": "Diverse Dermatology Images, skin types 5-6",
    "cholec80": "Cholec80 (laparoscopy), videos 41 and 42",
}
_PUBLISHED: dict[str, tuple[Channels, Channels]] = {
    "camelyon17wilds": ((0.7440, 0.5895, 0.7214), (0.1787, 0.2131, 0.1721)),
    "epistr": ((0.7360, 0.5158, 0.8072), (0.1948, 0.2434, 0.1438)),
    "fitzpatrick17k_12_34_56": ((0.6219, 0.4917, 0.4478), (0.2279, 0.1982, 0.1991)),
}
_TRAINING_ONLY = "vgg_encoder."
_MEAN_KEYS, _STD_KEYS = ("mean", "image_mean"), ("std", "image_std")


def published_weights(size: str) -> tuple[Weights, ...]:
    """Return the records of one size: those that are installed, then one per data set.

    Example:
        >>> [record.name for record in published_weights("tiny")][:2]
        ['medical', 'camelyon17wilds']
    """
    return PACKAGED.get(size, ()) + tuple(
        Weights(
            name,
            "model.safetensors",
            _LICENCE,
            data,
            repository=f"sdoerrich97/stylizing_vit_{size}_{name}",
            mean=_PUBLISHED[name][0] if name in _PUBLISHED else None,
            std=_PUBLISHED[name][1] if name in _PUBLISHED else None,
        )
        for name, data in _DATA.items()
    )


def locate(size: str, weights: str | Path | None) -> LocatedWeights:
    """Find the file that ``weights=`` stands for.

    Raises:
        FileNotFoundError: If it is not there and cannot be downloaded.
        ValueError: If none is named for a size without "medical", which suits several kinds of
            images.
    """
    if weights is None and size in PACKAGED:
        weights = PACKAGED[size][0].name
    if weights is None:
        raise ValueError(
            f"weights must name what stylizing-vit-{size} was trained on, got None. Choose one of "
            f"{sorted({*_DATA, *ALIASES})}, a file, or 'hf:owner/name@revision'."
        )
    return locate_weights(weights, published_weights(size), ALIASES)


def normalisation(
    located: LocatedWeights, mean: Sequence[float] | None, std: Sequence[float] | None
) -> tuple[Channels, Channels]:
    """Return the channel means and deviations that a checkpoint was trained with.

    What the caller gives comes first, then the record, then the ``config.json`` beside the file.

    Raises:
        ValueError: If none of them knows, or a value does not fit.
    """
    record = located.record
    return (
        _constant("mean", mean, located, _MEAN_KEYS, record.mean if record else None),
        _constant("std", std, located, _STD_KEYS, record.std if record else None),
    )


def read_network(path: Path, size: str) -> StylizingViTNetwork:
    """Read a checkpoint strictly.

    Args:
        path: A file that `styleaug.weights.read_state_dict` can read. The VGG encoder that the
            training losses use may be in it, and is left out.
        size: "tiny", "small" or "base".

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, or holds a network of another size or kind; the
            message lists the first keys that do not fit and names the size it looks like.
    """
    state = {
        name: tensor
        for name, tensor in read_state_dict(path).items()
        if not name.startswith(_TRAINING_ONLY)
    }
    network = empty_network(CONFIGS[size])
    try:
        load_strictly(network, state, origin=repr(str(path)))
    except ValueError as error:
        raise ValueError(
            f"weights must be those of stylizing-vit-{size}; {path.name!r} looks like "
            f"{_looks_like(state)}. {error}"
        ) from error
    return network


def empty_network(config: ViTConfig) -> StylizingViTNetwork:
    """Return a network whose weights are still to be loaded, without drawing random ones."""
    with torch.device("meta"):
        network = StylizingViTNetwork(config)
    return network.to_empty(device="cpu")


def _looks_like(state: Mapping[str, Tensor]) -> str:
    cls_token = state.get("encoder.cls_token")
    if cls_token is None or cls_token.ndim != 3:
        return "no Stylizing ViT"
    width = cls_token.shape[-1]
    sizes = [size for size, config in CONFIGS.items() if config.width == width]
    return f"stylizing-vit-{sizes[0]}" if sizes else f"a Stylizing ViT of width {width}"


def _constant(
    name: str,
    given: Sequence[float] | None,
    located: LocatedWeights,
    keys: Sequence[str],
    published: Channels | None,
) -> Channels:
    configured = next((located.config[key] for key in keys if key in located.config), None)
    values = next((v for v in (given, published, configured) if v is not None), None)
    if values is None:
        raise ValueError(
            f"{name} must be given: the images that {str(located.path)!r} was trained on were "
            f"normalised with constants that are neither published nor in a config.json beside it. "
            f"Pass mean= and std= of the training images (in [0, 1], one number per channel)."
        )
    return check_channels(name, values)


def check_channels(name: str, values: Sequence[float]) -> Channels:
    """Return three channel constants, or raise ``ValueError``."""
    try:
        red, green, blue = (float(value) for value in values)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} must be three numbers, one per RGB channel, got {values!r}."
        ) from error
    if not all(0.0 <= value <= 1.0 for value in (red, green, blue)) or (
        name == "std" and min(red, green, blue) <= 0.0
    ):
        raise ValueError(
            f"{name} must lie in [0, 1] (and std above 0), for images in [0, 1], got {values!r}."
        )
    return red, green, blue
