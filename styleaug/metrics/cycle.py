"""Can contents be restored, and does stylizing again change anything?"""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor

from styleaug.functional import ssim
from styleaug.metrics.pairs import PairMetric


class Restorer(Protocol):
    """The part of a `Stylizer` that `RestorationSSIM` and `IdempotencyDrift` use."""

    def encode_style(self, style: Tensor) -> Any:
        """Return the codes of style images."""

    def stylize(self, content: Tensor, style_code: Any) -> Tensor:
        """Return contents in the styles of codes."""

    def restore(self, stylized: Tensor, content: Tensor) -> Tensor:
        """Return stylized images in the style of their contents."""


class RestorationSSIM(PairMetric):
    """Mean SSIM of contents and their restorations from stylized images.

    Args:
        stylizer: Any `Stylizer`.

    Source:
        Karatyshchev & Kitov mention "restoration accuracy" without a formula; this is one
        definition.

    Example:
        >>> import torch
        >>> from styleaug import create_stylizer
        >>> metric = RestorationSSIM(create_stylizer("colorist"))
        >>> content = torch.linspace(0.2, 0.8, 3 * 32 * 32).view(1, 3, 32, 32)
        >>> metric.update(0.5 * content, content)  # a stylized image and what it was made from
        >>> round(metric.compute().item(), 3)
        1.0
    """

    higher_is_better: bool | None = True

    def __init__(self, stylizer: Restorer) -> None:
        super().__init__()
        self.stylizer = stylizer

    def measure(self, output: Tensor, reference: Tensor) -> Tensor:
        """Return SSIM of every restored image and its content."""
        return ssim(self.stylizer.restore(output, reference), reference)


class IdempotencyDrift(PairMetric):
    """Mean absolute change when a stylized image is stylized again with the same style.

    `update` takes stylized images and their styles.

    Args:
        stylizer: Any `Stylizer`.

    Source:
        Karatyshchev & Kitov, idempotency, as a mean absolute difference.

    Example:
        >>> import torch
        >>> from styleaug import create_stylizer
        >>> stylizer = create_stylizer("colorist")
        >>> metric, style = IdempotencyDrift(stylizer), torch.rand(1, 3, 32, 32)
        >>> content = 0.4 + 0.2 * torch.rand(1, 3, 32, 32)
        >>> stylized = stylizer.stylize(content, stylizer.encode_style(0.3 + 0.4 * style))
        >>> metric.update(stylized, 0.3 + 0.4 * style)
        >>> metric.compute().item() < 0.01
        True
    """

    higher_is_better: bool | None = False
    same_size = False

    def __init__(self, stylizer: Restorer) -> None:
        super().__init__()
        self.stylizer = stylizer

    def measure(self, output: Tensor, reference: Tensor) -> Tensor:
        """Return the change of every image."""
        again = self.stylizer.stylize(output, self.stylizer.encode_style(reference))
        return (again - output).abs().flatten(1).mean(dim=1)
