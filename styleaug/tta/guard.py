"""Guards: they reject stylized views that no longer show the content of the image.

A guard is called with stylized images and contents, ``(N, 3, H, W)`` in [0, 1], and returns
``(N,)`` booleans.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from styleaug.functional import edge_correlation, ssim
from styleaug.stylizers.base import Stylizer


@dataclass(frozen=True)
class KeepsEdges:
    """Accepts views whose edges correlate with those of the content.

    Attributes:
        threshold: Smallest accepted correlation of the Sobel magnitudes.

    Example:
        >>> import torch
        >>> image = torch.rand(1, 3, 32, 32)
        >>> KeepsEdges()(0.5 * image, image), KeepsEdges()(torch.rand(1, 3, 32, 32), image)
        (tensor([True]), tensor([False]))
    """

    threshold: float = 0.8

    def __call__(self, stylized: Tensor, content: Tensor) -> Tensor:
        """Return which views are accepted."""
        return edge_correlation(stylized, content) >= self.threshold


@dataclass(frozen=True)
class KeepsStructure:
    """Accepts views whose grey is structurally similar (SSIM) to that of the content.

    Attributes:
        threshold: Smallest accepted SSIM.
    """

    threshold: float = 0.6

    def __call__(self, stylized: Tensor, content: Tensor) -> Tensor:
        """Return which views are accepted."""
        greys = (image.mean(dim=1, keepdim=True) for image in (stylized, content))
        return ssim(*greys) >= self.threshold


@dataclass(frozen=True, eq=False)
class Restores:
    """Accepts views that are similar (SSIM) to the content once stylized back to its style.

    Attributes:
        stylizer: The stylizer that repaints the view in the style of the content.
        threshold: Smallest accepted SSIM of the restored image and the content.

    Source:
        The restoration of RAST (Ma et al., WACV 2023), as a check.
    """

    stylizer: Stylizer
    threshold: float = 0.8

    def __call__(self, stylized: Tensor, content: Tensor) -> Tensor:
        """Return which views are accepted."""
        restored = self.stylizer.restore(stylized, content)
        return ssim(restored, content) >= self.threshold
