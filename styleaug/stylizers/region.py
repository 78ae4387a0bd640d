"""Statistics over a part of the picture: tissue, a mask, or class by class of a label map."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from styleaug.images.regions import (
    REGIONS,
    AnyRegions,
    as_regions,
    check_region,
    class_maps,
    region_weights,
)
from styleaug.images.tissue import REACH, tissue_beyond, tissue_threshold
from styleaug.stylizers.base import Maps, Stylizer, check_unit_images
from styleaug.stylizers.code import StyleCode
from styleaug.stylizers.content_code import own_maps
from styleaug.stylizers.statistics import ColorStatistics

_LEAST = 0.01
"""Share of a picture below which a class is not there."""
_SHARE, _THRESHOLD, _WEIGHTS = "region.share", "region.threshold", "region.weights"


class InRegion(ColorStatistics):
    """A colour stylizer whose statistics are taken, and whose colours are moved, within a region.

    Pixels outside the region stay as they are; on its rim the two are blended by soft weights that
    keep to the edges of the picture. Class k of a content gets the colours of class k of the style.
    Where one of the two lacks a class, below a hundredth of its pixels, the statistics of both
    whole pictures take its place. A content without any tissue is left as it is.

    `create_stylizer` makes one where ``region=`` is given.

    Args:
        stylizer: What takes the statistics: colorist, reinhard, mkl or histogram.
        region: "tissue" (all but the glass of a stained slide), "tissue-on-black" (all but black:
            air in CT, the frame of X-ray, fundus and endoscopy), or the number of classes of the
            masks or label maps that come with the images as ``regions`` (1: a mask).

    Raises:
        ValueError: If the region is none of these.

    Source:
        Class by class as in Reinhard et al., IEEE CG&A 2001 (swatches); soft weights by He, Sun &
        Tang, "Guided image filtering", TPAMI 2013.

    Example:
        >>> from styleaug import create_stylizer
        >>> stylizer = create_stylizer("mkl", region="tissue")
        >>> half = torch.cat([0.6 * torch.rand(1, 3, 64, 32), torch.full((1, 3, 64, 32), 0.96)], 3)
        >>> out = stylizer.stylize(half, stylizer.encode_style(torch.rand(1, 3, 64, 64)))
        >>> torch.equal(out[..., 52:], half[..., 52:])
        True
    """

    _chunk_bytes = 2**21
    unexportable = "its region is found in, or given with, every picture"

    def __init__(self, stylizer: ColorStatistics, region: str | int) -> None:
        super().__init__(precision=stylizer.precision, max_batch=stylizer.max_batch)
        self.region = check_region(region)
        self.name = stylizer.name
        self._plain = stylizer
        self.reach = 0 if self.takes_regions else REACH

    @property
    def takes_regions(self) -> bool:
        """Whether masks or label maps come with the images."""
        return isinstance(self.region, int)

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return self.region if isinstance(self.region, int) else 1

    def encode_style(self, style: Tensor, *, regions: AnyRegions | None = None) -> StyleCode:
        """Encode style images once, for use with any content.

        Args:
            style: float ``(S, 3, H, W)`` in [0, 1], RGB, not normalised.
            regions: Their masks or label maps, as `as_regions` takes them; None: of one class, the
                whole picture.

        Returns:
            A code of S styles.

        Raises:
            TypeError: If ``style`` is no floating-point tensor.
            ValueError: If shapes, values or the regions do not fit.
        """
        check_unit_images("style", style)
        self.check_sides("style", style)
        given = None if regions is None else self.regions_of(style, regions)
        return self.encode_checked(style, given)

    @torch.no_grad()
    def encode_checked(self, style: Tensor, regions: Tensor | None = None) -> StyleCode:
        """Encode images and regions that were checked before."""
        if regions is None and self.classes > 1:
            raise ValueError(_missing(self))
        codes = []
        for rows in self.chunks(style):
            weights, found = self._weights(style[rows], None if regions is None else regions[rows])
            codes.append(StyleCode(self._encoded(style[rows], weights) | found, self.identity))
        return StyleCode.cat(codes)

    def encode_content(
        self,
        content: Tensor,
        *,
        together: bool = False,
        regions: AnyRegions | None = None,
        overview: Tensor | None = None,
    ) -> StyleCode:
        """Encode contents once, to paint them, or parts of them, alike.

        Args:
            content: As in `ContentCoded.encode_content`.
            together: As there.
            regions: Masks or label maps of the contents; the code then holds their weights.
            overview: float ``(1, 3, H, W)``, a small copy of the whole picture, by which tissue is
                told from what is empty; None: by the contents.

        Returns:
            B codes, or one, for `stylize` as ``content_code``.

        Raises:
            TypeError: If ``content`` is no floating-point tensor.
            ValueError: If shapes or values do not fit.
        """
        check_unit_images("content", content)
        given = None if regions is None else self.regions_of(content, regions)
        if given is None and self.classes > 1:
            raise ValueError(_missing(self))
        if together:
            content = content.transpose(0, 1).reshape(1, 3, -1, content.shape[3])
            given = None if given is None else given.reshape(1, 1, *content.shape[2:])
        if self.takes_regions:
            return self.content_of(content, given)
        threshold = None if overview is None else tissue_threshold(overview, self._background)
        weights, found = self._weights(content, threshold=threshold)
        return StyleCode(self._encoded(content, weights) | found, self.identity)

    @torch.no_grad()
    def content_of(self, content: Tensor, regions: Tensor | None) -> StyleCode:
        """Encode checked contents and regions; the code holds the weights of every pixel."""
        weights, _ = self._weights(content, regions)
        soft = weights if regions is None else region_weights(content, regions, self.classes)
        maps = {**self._encoded(content, weights), _WEIGHTS: soft.contiguous()}
        return StyleCode(maps, self.identity)

    def regions_of(self, images: Tensor, regions: AnyRegions | None) -> Tensor:
        """Return checked regions ``(B, 1, H, W)`` of a batch, on the device of the images.

        Raises:
            ValueError: If they are missing, do not fit, or the stylizer takes none.
        """
        check_takes_regions(self)
        if regions is None:
            raise ValueError(_missing(self))
        shape = (len(images), images.shape[2], images.shape[3])
        return as_regions(regions, shape, self.classes).to(images.device)

    def _weights(
        self, images: Tensor, regions: Tensor | None = None, threshold: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return ``(B, K, H, W)`` for statistics, and what a code must keep to find it again."""
        if self.takes_regions:
            if regions is None:
                return torch.ones_like(images[:, :1]), {}
            return class_maps(regions, self.classes), {}
        if threshold is None:
            threshold = tissue_threshold(images, self._background)
        weights = tissue_beyond(images, threshold, self._background)
        return weights, {_THRESHOLD: threshold.view(-1, 1)}

    @property
    def _background(self) -> Any:
        return REGIONS[str(self.region)]

    def _encoded(self, images: Tensor, weights: Tensor) -> dict[str, Tensor]:
        """Return statistics of the whole picture and of every class, ``(B, 1 + K, ...)``."""
        whole = self._plain._encode_style(images)
        stacks = {name: [tensor] for name, tensor in whole.items()}
        for one in weights.split(1, dim=1):
            everywhere = one.flatten(1).amin(1) >= 1.0
            for name, tensor in self._plain._encode_style(images, one).items():
                same = everywhere.view(-1, *[1] * (tensor.ndim - 1))
                stacks[name].append(torch.where(same, whole[name], tensor))
        maps = {name: torch.stack(parts, dim=1) for name, parts in stacks.items()}
        return {**maps, _SHARE: weights.mean(dim=(2, 3))}

    def _encode_style(self, style: Tensor, weights: Tensor | None = None) -> dict[str, Tensor]:
        if weights is None:
            weights, found = self._weights(style)
            return self._encoded(style, weights) | found
        return self._encoded(style, weights)

    def _stylize(self, content: Tensor, maps: Maps, alpha: Tensor) -> Tensor:
        own = own_maps(maps)
        if not own and self.classes > 1:
            raise ValueError(_missing(self))
        return self._mapped(content, own or self._encode_style(content), maps, alpha)

    def _mapped(self, content: Tensor, own: Maps, maps: Maps, alpha: Tensor) -> Tensor:
        painted = content
        for index, one in enumerate(self._weights_of(content, own).split(1, dim=1)):
            both = torch.minimum(own[_SHARE][:, index], maps[_SHARE][:, index]) > _LEAST
            mine, theirs = (self._class(kept, index + 1, both) for kept in (own, maps))
            mapped = self._plain._mapped(content, mine, theirs, alpha)
            painted = torch.where(one >= 1.0, mapped, painted + one * (mapped - content))
        return painted

    def _weights_of(self, content: Tensor, own: Maps) -> Tensor:
        if _WEIGHTS in own:
            return own[_WEIGHTS]
        if self.takes_regions:
            return torch.ones_like(content[:, :1])
        return tissue_beyond(content, own[_THRESHOLD][:, 0], self._background)

    def _class(self, kept: Maps, index: int, both: Tensor) -> dict[str, Tensor]:
        """Return the statistics of a class, or of the whole picture where one side lacks it."""
        found = {}
        for name, tensor in kept.items():
            if not name.startswith(("region.", "own.")):
                there = both.view(-1, *[1] * (tensor.ndim - 2))
                found[name] = torch.where(there, tensor[:, index], tensor[:, 0])
        return found

    def _code_settings(self) -> dict[str, Any]:
        return {"region": self.region, **self._plain._code_settings()}


def check_takes_regions(stylizer: Stylizer) -> InRegion:
    """Return the stylizer.

    Raises:
        ValueError: If it does not take masks or label maps with the images.
    """
    if not isinstance(stylizer, InRegion) or not stylizer.takes_regions:
        has = getattr(stylizer, "region", None)
        raise ValueError(
            f"regions= needs a colour stylizer that was made with region=, the number of classes "
            f"(1 for masks), got {stylizer.name!r} with region={has!r}."
        )
    return stylizer


def _missing(stylizer: InRegion) -> str:
    return (
        f"{stylizer.name!r} with region={stylizer.region} needs regions=, the masks or label maps "
        "of the images; those of styles go to StyleBank.from_images(images, stylizer, regions=)."
    )
