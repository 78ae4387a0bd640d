"""Contrastive losses of stylized images with the same style or the same content."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ProjectionHead(nn.Module):
    """Two linear layers over the sum of a map's positions, of unit length.

    Args:
        channels: Number of channels of the maps.
        hidden: Width between the layers.

    Source:
        Chen et al., "Artistic Style Transfer with Internal-external Learning and Contrastive
        Learning", NeurIPS 2021: 256-128-128 for style, 512-256-128 for content.

    Example:
        >>> ProjectionHead(256)(torch.rand(2, 256, 8, 8)).shape
        torch.Size([2, 128])
    """

    def __init__(self, channels: int, hidden: int = 128) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, 128))

    def forward(self, features: Tensor) -> Tensor:
        """Return embeddings ``(B, 128)`` of maps ``(B, C, H, W)``."""
        return F.normalize(self.layers(features.float().flatten(2).sum(dim=2)).float(), dim=1)


def info_nce_loss(embeddings: Tensor, partners: Tensor, *, temperature: float = 0.2) -> Tensor:
    """Return the InfoNCE loss: the cross entropy of finding each partner among all others.

    Args:
        embeddings: ``(B, D)`` of unit length.
        partners: ``(B,)`` position of the partner of each embedding.
        temperature: Divisor of the inner products.

    Source:
        van den Oord et al., 2018, Eq. 4, with cosine similarity.

    Example:
        >>> pairs = torch.eye(2).repeat(2, 1)
        >>> info_nce_loss(pairs, torch.tensor([2, 3, 0, 1])).item() < 0.05
        True
    """
    similarity = embeddings @ embeddings.T / temperature
    itself = torch.eye(len(embeddings), dtype=torch.bool, device=embeddings.device)
    return F.cross_entropy(similarity.masked_fill(itself, float("-inf")), partners)


def pairs_with_partners(content: Tensor, style: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Combine half of the contents and styles of a batch so that each occurs twice.

    Contents ``[c, c rolled by one]`` are paired with styles ``[s, s]``.

    Args:
        content: ``(B, 3, H, W)``; the first half is used.
        style: ``(B, 3, H, W)`` likewise.

    Returns:
        Contents, styles, and for every pair the position of the other pair with the same content
        and of the one with the same style.

    Raises:
        ValueError: If there are fewer than four pairs: there would be no other contents to
            compare with.

    Example:
        >>> images = torch.arange(4.0).view(4, 1, 1, 1)
        >>> c, s, same_content, same_style = pairs_with_partners(images, images)
        >>> c.flatten().tolist(), s.flatten().tolist()
        ([0.0, 1.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0])
        >>> same_content.tolist(), same_style.tolist()
        ([3, 2, 1, 0], [2, 3, 0, 1])
    """
    half = len(content) // 2
    if half < 2:
        raise ValueError(f"batch_size must be at least 4 for contrast, got {len(content)}.")
    contents = torch.cat([content[:half], content[:half].roll(1, dims=0)])
    styles = style[:half].repeat(2, 1, 1, 1)
    places = torch.arange(half, device=content.device)
    same_content = torch.cat([half + places.roll(-1), places.roll(1)])
    same_style = torch.cat([half + places, places])
    return contents, styles, same_content, same_style
