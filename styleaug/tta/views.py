"""Views for a model: every image in several styles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from styleaug.images.batch import Images
from styleaug.params import StyleParams
from styleaug.transform import StyleTransfer


def stylized_views(core: StyleTransfer, images: Images, styles: Tensor, alpha: float) -> Tensor:
    """Return ``(B, n, C, H, W)``: every image of the batch in its own n styles.

    The content is encoded once for all its styles if the stylizer supports it.
    """
    rows = [tuple(row) for row in styles.tolist()]
    images = replace(images, restore=lambda batch: batch)
    if images.depth > 1:  # volumes are large: one at a time
        pairs = [(place, style) for place, row in enumerate(rows) for style in row]
        views = [_applied(core, images[i : i + 1], [style], alpha) for i, style in pairs]
        volumes: Tensor = torch.cat(views).unflatten(0, styles.shape)
        return volumes
    if len(set(rows)) == 1:
        return core.stylize_grid(images, rows[0], alpha)
    if core.stylizer_on(core.device or images.batch.device).encodes_content_once:
        grids = [core.stylize_grid(images[i : i + 1], row, alpha) for i, row in enumerate(rows)]
        return torch.cat(grids)
    repeated = replace(images, batch=images.batch.repeat_interleave(styles.shape[1], 0))
    painted = _applied(core, repeated, styles.flatten().tolist(), alpha)
    grid: Tensor = painted.unflatten(0, styles.shape)
    return grid


def _applied(core: StyleTransfer, images: Images, styles: Sequence[int], alpha: float) -> Tensor:
    return torch.as_tensor(core.apply_transform(images, _params(core, styles, alpha)))


def _params(core: StyleTransfer, styles: Sequence[int], alpha: float) -> StyleParams:
    count = len(styles)
    fingerprint = core.source.fingerprint(count)
    return StyleParams((True,) * count, tuple(styles), (alpha,) * count, fingerprint)
