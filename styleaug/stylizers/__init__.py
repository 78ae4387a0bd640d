"""The table of stylizers, and the functions that build them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, get_type_hints

import torch

from styleaug.images.regions import check_region
from styleaug.stylizers.appearance import PACKAGED as APPEARANCE
from styleaug.stylizers.appearance import AppearanceTransfer
from styleaug.stylizers.base import Precision, Stylizer
from styleaug.stylizers.code import StyleCode
from styleaug.stylizers.colorist import Colorist
from styleaug.stylizers.contextual_adain import PACKAGED as CONTEXTUAL_ADAIN
from styleaug.stylizers.contextual_adain import ContextualAdaIN
from styleaug.stylizers.fda import FourierDomainAdaptation
from styleaug.stylizers.histogram import HistogramMatching
from styleaug.stylizers.micro import PACKAGED, Micro
from styleaug.stylizers.mkl import MongeKantorovich
from styleaug.stylizers.rast import PACKAGED as RAST_WEIGHTS
from styleaug.stylizers.rast import RAST
from styleaug.stylizers.region import InRegion
from styleaug.stylizers.reinhard import Reinhard
from styleaug.stylizers.statistics import ColorStatistics
from styleaug.stylizers.style_kernel import PACKAGED as STYLE_KERNEL
from styleaug.stylizers.style_kernel import StyleKernel
from styleaug.stylizers.stylizing_vit import load_stylizing_vit
from styleaug.stylizers.vit.weights import published_weights
from styleaug.weights import Weights

__all__ = [
    "DEFAULT_STYLIZER",
    "STYLIZERS",
    "StyleCode",
    "Stylizer",
    "StylizerEntry",
    "create_stylizer",
    "list_stylizers",
]


@dataclass(frozen=True)
class StylizerEntry:
    """One row of the table of stylizers.

    Attributes:
        build: The class, or a function with its options as keyword arguments.
        summary: What it matches, in a few words.
        licence: Licence of the method's code here and of its published weights.
        source: Where the method comes from.
        options: Fixed arguments of ``build`` for this row.
        weights: Records of published weights, from which ``weights=`` chooses.
        caution: What it should not be used for, in a sentence; empty if nothing is known.
    """

    build: Callable[..., Stylizer]
    summary: str
    licence: str
    source: str
    options: Mapping[str, Any] = field(default_factory=dict)
    weights: tuple[Weights, ...] = ()
    caution: str = ""

    @property
    def kind(self) -> type[Stylizer]:
        """The class that ``build`` returns, for reading its flags without building it."""
        if isinstance(self.build, type):
            return self.build
        found: type[Stylizer] = get_type_hints(self.build)["return"]
        return found


DEFAULT_STYLIZER = "appearance"
"""The stylizer of ``StyleTransfer()`` and of the command line."""

_NO_WEIGHTS = "Apache-2.0 (no weights)"
_NOT_FOR_CT = "not for CT: the contrast of a lesion of +30 HU came out 0.05 to 3 times what it was."

STYLIZERS: dict[str, StylizerEntry] = {
    "colorist": StylizerEntry(
        Colorist, "RGB mean and standard deviation", _NO_WEIGHTS, "Colorist (Doerrich et al.)"
    ),
    "reinhard": StylizerEntry(
        Reinhard, "L*a*b* mean and standard deviation", _NO_WEIGHTS, "Reinhard et al. 2001"
    ),
    "mkl": StylizerEntry(
        MongeKantorovich, "RGB mean and covariance", _NO_WEIGHTS, "Pitié & Kokaram 2007"
    ),
    "histogram": StylizerEntry(
        HistogramMatching,
        "RGB histograms",
        _NO_WEIGHTS,
        "Gonzalez & Woods",
        caution=_NOT_FOR_CT,
    ),
    "fda": StylizerEntry(
        FourierDomainAdaptation,
        "low-frequency amplitudes",
        _NO_WEIGHTS,
        "Yang & Soatto 2020",
        caution=_NOT_FOR_CT,
    ),
    "micro": StylizerEntry(
        Micro,
        "colour, and contrast at every scale",
        "Apache-2.0; weights CC BY 4.0",
        "this package",
        weights=PACKAGED,
    ),
    "appearance": StylizerEntry(
        AppearanceTransfer,
        "how the picture was made: colour and sharpness",
        "Apache-2.0; weights CC BY 4.0",
        "this package",
        weights=APPEARANCE,
    ),
    "contextual-adain": StylizerEntry(
        ContextualAdaIN,
        "statistics of deep features",
        "Apache-2.0; weights CC BY 4.0",
        "Xu, Li & Shin 2020; Huang & Belongie 2017",
        weights=CONTEXTUAL_ADAIN,
    ),
    "rast": StylizerEntry(
        RAST,
        "texture and colour, by attention at two scales",
        "Apache-2.0; weights CC BY 4.0",
        "Ma et al. 2023; Karatyshchev & Kitov",
        weights=RAST_WEIGHTS,
    ),
    "style-kernel": StylizerEntry(
        StyleKernel,
        "texture and colour, by kernels for every place",
        "Apache-2.0; weights CC BY 4.0",
        "Xu, Long & Nie 2023",
        weights=STYLE_KERNEL,
    ),
    **{
        f"stylizing-vit-{size}": StylizerEntry(
            load_stylizing_vit,
            "colour and texture, through cross attention",
            "Apache-2.0",
            "Doerrich et al. 2026",
            {"size": size},
            published_weights(size),
        )
        for size in ("tiny", "small", "base")
    },
}


def list_stylizers() -> list[str]:
    """Return the names of all stylizers, in the order of the table.

    Example:
        >>> list_stylizers()[:3]
        ['colorist', 'reinhard', 'mkl']
    """
    return list(STYLIZERS)


def create_stylizer(
    name: str,
    *,
    weights: str | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    precision: Precision = "auto",
    max_batch: int | None = None,
    region: str | int | None = None,
    **options: Any,
) -> Stylizer:
    """Build a stylizer of the table, frozen and in eval mode, on the CPU.

    Args:
        name: A name of `list_stylizers`.
        weights: Which weights: a published name, a file, or ``"hf:owner/name@revision"``; None
            takes the stylizer's default. Colour stylizers have none.
        mean: Channel means that the network was trained with, if its weights do not name them.
        std: Channel standard deviations likewise.
        precision: "auto", "fp32", "bf16" or "fp16"; see `Stylizer`.
        max_batch: Largest number of images processed at once; None lets the stylizer choose.
        region: Of colorist, reinhard, mkl and histogram, where statistics are taken and colours
            moved, instead of the whole picture: "tissue", "tissue-on-black", or the number of
            classes of the masks or label maps that come with the images; see
            `styleaug.stylizers.region.InRegion`.
        **options: Further arguments of this stylizer, such as ``beta`` of "fda".

    Returns:
        The stylizer.

    Raises:
        ValueError: If the name is unknown (the message lists the known ones), or the stylizer
            does not take one of the arguments.

    Example:
        >>> create_stylizer("fda", beta=0.05).beta
        0.05
    """
    entry = find_entry(name)
    given = {"weights": weights, "mean": mean, "std": std, **options}
    arguments = {key: value for key, value in given.items() if value is not None}
    _check_options(name, entry, arguments)
    if region is not None:
        check_region(region)
        _check_has_regions(name, entry)
    with _float32_default():
        stylizer = entry.build(
            precision=precision, max_batch=max_batch, **dict(entry.options), **arguments
        )
    if region is not None and isinstance(stylizer, ColorStatistics):
        stylizer = InRegion(stylizer, region)
    stylizer.name = name
    return stylizer.freeze()


def find_entry(name: str) -> StylizerEntry:
    """Return the row of a stylizer.

    Raises:
        ValueError: If the name is unknown; the message lists the known ones.
    """
    if not isinstance(name, str) or name not in STYLIZERS:
        raise ValueError(f"stylizer must be one of {list_stylizers()}, got {name!r}.")
    return STYLIZERS[name]


@contextmanager
def _float32_default() -> Iterator[None]:
    """Build in float32, whatever the default data type: weights and their digest depend on it."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def check_stylizer(stylizer: object) -> None:
    """Raise ``TypeError`` unless the argument is a name of a stylizer or a `Stylizer`."""
    if not isinstance(stylizer, str | Stylizer):
        kind = f"the class {stylizer.__name__}" if isinstance(stylizer, type) else repr(stylizer)
        raise TypeError(
            f"stylizer must be a name of list_stylizers() or a Stylizer, got {kind:.100}."
        )


def _check_has_regions(name: str, entry: StylizerEntry) -> None:
    if not issubclass(entry.kind, ColorStatistics):
        raise ValueError(
            f"region= is where statistics of colours are taken; {name!r} looks at the neighbours "
            f"of a pixel or at the picture as a whole, which cannot be cut out. Take one of "
            f"{[n for n, e in STYLIZERS.items() if issubclass(e.kind, ColorStatistics)]}, or "
            "leave region= out."
        )


def _check_options(name: str, entry: StylizerEntry, arguments: Mapping[str, Any]) -> None:
    accepted = set(inspect.signature(entry.build).parameters) - set(entry.options)
    unknown = sorted(set(arguments) - accepted)
    if unknown:
        raise ValueError(
            f"stylizer {name!r} takes {sorted(accepted)}, got {unknown}."
            + (" It has no weights." if "weights" in unknown else "")
        )
