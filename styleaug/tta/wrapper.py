"""StyleTTA: test-time augmentation of a model with several styles per image."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from styleaug._checks import check_choice, check_count, check_probability
from styleaug.images.batch import Images, as_images, to_content
from styleaug.images.volume import as_volumes
from styleaug.styles.bank import StyleBank
from styleaug.styles.medoids import color_statistics
from styleaug.stylizers.base import Stylizer
from styleaug.transform import StyleTransfer
from styleaug.tta.merging import (
    Activation,
    Merge,
    StyleStats,
    check_columns,
    check_merge,
    merge_views,
    view_stats,
)
from styleaug.tta.outputs import evaluating, named_outputs
from styleaug.tta.selection import SELECTS, Select, closest_styles, random_styles
from styleaug.tta.views import stylized_views

Guard = Callable[[Tensor, Tensor], Tensor]
Output = Tensor | Mapping[str, Tensor] | tuple[Any, ...]


class StyleTTA(nn.Module):
    """Predict under several styles of the training images and merge the predictions.

    Use it in an inference loop in place of the model: the output has the shape of ``model(x)``. The
    model is in evaluation mode during the call and gets its mode back afterwards. No gradients are
    computed.

    Images must be in [0, 1], so normalisation belongs in the model or in ``preprocess``.

    Args:
        model: A module or function of a batch, which returns scores ``(B, C)``, maps
            ``(B, C, H, W[, D])``, or a dict of such tensors. If it returns an object with
            ``.logits``, as models of Hugging Face do, the logits are used; of a tuple, the first
            element.
        transform: A `StyleTransfer`, a `Stylizer`, or the name of one; None takes the stylizer that
            encoded the bank, or "appearance".
        bank: Styles of training images: a `StyleBank`, or what `StyleTransfer` takes for
            ``styles``. None takes those of the transform.
        n: Styles per image.
        include_identity: Also use the original image as a view.
        select: "random" for diverse styles; "nearest" for the n styles whose statistics are closest
            to those of the image; "farthest" for the opposite; or a function of the contents
            ``(B, 3, H, W)``, the bank and n that returns ids ``(B, n)``.
        describe: The statistics that "nearest" and "farthest" compare: a function from contents to
            vectors ``(B, K)``. The bank must have been built with the same function.
        merge: "mean_prob", "mean_logit", "max", "vote", or a function of the activated outputs
            ``(V, B, C, ...)``.
        activation: How outputs become probabilities: "softmax" over C, "sigmoid", or None.
            The merged result is a probability unless this is None.
        alpha: Stylization strength of the views.
        preprocess: Applied to every batch of views before the model, such as a normalisation.
        accept: A guard of `styleaug.tta.guard`; views that it rejects are replaced by the original
            image.
        max_batch: Largest number of views per call of the model; None: all. Halved, with one
            warning, when memory runs out.
        return_stats: Return ``(output, stats)``, with a `StyleStats` (a dict of them where the
            model returns a dict).
        seed: Seed of "random".

    Raises:
        ValueError: If the bank has fewer than ``n`` styles, belongs to another stylizer or has no
            fitting statistics; if the merge does not fit the activation or a softmax has one
            column; if the shape of the model's output varies; or if a guard does not return one
            boolean per view.
        TypeError: If the images are not a tensor, or the model returns none of the above.

    Source:
        Stylizing ViT (arXiv 2601.17586), test-time alignment: ``n=1, include_identity=False``.
        Many views, choice by distance, uncertainty and guards are ours.

    Example:
        >>> model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4))
        >>> bank = StyleBank.from_images([torch.rand(3, 64, 64) for _ in range(9)], "colorist")
        >>> StyleTTA(model, "colorist", bank, n=8, select="nearest")(torch.rand(2, 3, 64, 64)).shape
        torch.Size([2, 4])
    """

    def __init__(
        self,
        model: Callable[[Tensor], Output],
        transform: StyleTransfer | Stylizer | str | None = None,
        bank: Any = None,
        n: int = 8,
        *,
        include_identity: bool = True,
        select: Select = "random",
        describe: Callable[[Tensor], Tensor] = color_statistics,
        merge: Merge = "mean_prob",
        activation: Activation = "softmax",
        alpha: float = 1.0,
        preprocess: Callable[[Tensor], Tensor] | None = None,
        accept: Guard | None = None,
        max_batch: int | None = None,
        return_stats: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_merge(merge, activation)
        if not callable(select):
            check_choice("select", select, SELECTS)
        if max_batch is not None:
            check_count("max_batch", max_batch)
        self.core, self.bank = _core_and_bank(transform, bank)
        if check_count("n", n) > len(self.bank):
            raise ValueError(f"n must be between 1 and {len(self.bank)} (the bank), got {n}.")
        if select in ("nearest", "farthest"):
            check_statistics(self.bank, describe)
        self.model = model
        self.n, self.include_identity = n, include_identity
        self.select, self.describe = select, describe
        self.merge, self.activation = merge, activation
        self.alpha = check_probability("alpha", alpha)
        self.preprocess, self.accept = preprocess, accept
        self.max_batch, self.return_stats, self.seed = max_batch, return_stats, seed

    def extra_repr(self) -> str:
        """Show the settings that change the result."""
        return (
            f"{self.bank!r}, n={self.n}, include_identity={self.include_identity}, "
            f"select={self.select!r}, merge={self.merge!r}, activation={self.activation!r}"
        )

    @torch.no_grad()  # not inference_mode: what comes out may be edited and trained on
    def forward(
        self, images: Tensor, ids: Sequence[int | str] | None = None
    ) -> Output | tuple[Output, Any]:
        """Return the merged prediction.

        Args:
            images: ``(B, C, H, W)`` or ``(B, C, H, W, D)``, in [0, 1] or 8 or 16-bit.
            ids: One id per sample; "random" then draws styles for each sample, independent of its
                batch. Without ids all samples get the same styles.

        Returns:
            The merged output, in the form that the model returns; with ``return_stats`` a pair.
        """
        seen = _as_record(images, check=self.core.check)
        contents = to_content(seen.batch)
        styles = self._styles(contents, ids)
        parts, start = [], 0
        asked = limit = self.max_batch or len(images) * self._views_each
        with evaluating(self.model):
            while start < len(images):
                rows = slice(start, start + max(1, limit // self._views_each))
                try:
                    parts.append(self._predict(seen[rows], contents[rows], styles[rows], limit))
                except RuntimeError as error:
                    if limit == 1 or not _ran_out_of_memory(error):
                        raise
                    limit = self._less_than(limit)
                    continue
                start = rows.stop
        if limit < asked:
            self._keep(limit)
        outputs, stats = _joined([p[0] for p in parts]), _joined([p[1] for p in parts])
        return (outputs, stats) if self.return_stats else outputs

    @property
    def _views_each(self) -> int:
        return self.n + int(self.include_identity)

    def _styles(self, contents: Tensor, ids: Sequence[int | str] | None) -> Tensor:
        """Return the ids ``(B, n)`` of the styles of every sample."""
        count = len(contents)
        if ids is not None and len(ids) != count:
            raise ValueError(f"ids must hold one id per image ({count}), got {len(ids)}.")
        if callable(self.select):
            return self._chosen(self.select(contents, self.bank, self.n), count)
        if self.select == "random":
            names = ids if ids is not None else [0] * count
            return random_styles(names, len(self.bank), self.n, self.seed)
        vectors = torch.cat([self.describe(content[None]) for content in contents])
        return closest_styles(vectors, self.bank, self.n, farthest=self.select == "farthest")

    def _chosen(self, styles: Tensor, count: int) -> Tensor:
        styles = torch.as_tensor(styles).cpu()
        inside = styles.numel() and 0 <= int(styles.min()) <= int(styles.max()) < len(self.bank)
        if styles.shape != (count, self.n) or not inside:
            raise ValueError(
                f"select must return ({count}, {self.n}) ids in 0 ... {len(self.bank) - 1}, got "
                f"{tuple(styles.shape)}."
            )
        return styles

    def _predict(
        self, images: Images, contents: Tensor, styles: Tensor, limit: int
    ) -> tuple[dict[str, Tensor], dict[str, StyleStats]]:
        """Return merged outputs and statistics of some samples, by name ("" for a bare tensor)."""
        views, own = stylized_views(self.core, images, styles, self.alpha), images.batch[:, None]
        accepted = self._accepted(views, contents)
        if self.accept is not None:
            views = torch.where(accepted[..., None, None, None].to(own.device), views, own)
        if self.include_identity:
            views = torch.cat([views, own], dim=1)
        merged, stats = {}, {}
        restored = torch.as_tensor(images.restore(views.flatten(0, 1)))
        for name, flat in self._outputs(restored, limit).items():
            outputs = flat.unflatten(0, (len(images), self._views_each)).transpose(0, 1)
            merged[name] = merge_views(outputs, self.merge, self.activation)
            stats[name] = view_stats(outputs, merged[name], self.activation, accepted, styles)
        return merged, stats

    def _accepted(self, views: Tensor, contents: Tensor) -> Tensor:
        count = views.shape[:2]
        if self.accept is None:
            return torch.ones(count, dtype=torch.bool)
        repeated = contents.repeat_interleave(count[1], 0)
        accepted = torch.as_tensor(self.accept(to_content(views.flatten(0, 1)), repeated))
        if accepted.shape != (count.numel(),) or accepted.dtype != torch.bool:
            raise ValueError(
                f"accept must return ({count.numel()},) booleans, one per view, got "
                f"{tuple(accepted.shape)} of {accepted.dtype}."
            )
        accepted = accepted.view(count)
        return accepted.cpu() if self.return_stats else accepted

    def _outputs(self, views: Tensor, limit: int) -> dict[str, Tensor]:
        """Return the outputs of all views by name, in as few calls as allowed."""
        parts: dict[str, list[Tensor]] = {}
        for some in views.split(limit):
            for name, output in named_outputs(self.model(self._preprocessed(some))).items():
                parts.setdefault(name, []).append(_checked(output, len(some), parts.get(name)))
                check_columns(output, self.activation)
        return {name: torch.cat(outputs) for name, outputs in parts.items()}

    def _preprocessed(self, views: Tensor) -> Tensor:
        return views if self.preprocess is None else self.preprocess(views)

    @staticmethod
    def _less_than(limit: int) -> int:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return max(1, limit // 2)

    def _keep(self, limit: int) -> None:
        """Remember a limit that memory forced, and say so."""
        self.max_batch = limit
        warnings.warn(
            f"memory ran out with more views at once; going on with max_batch={limit}.",
            stacklevel=4,
        )


def _core_and_bank(
    transform: StyleTransfer | Stylizer | str | None, bank: Any
) -> tuple[StyleTransfer, StyleBank]:
    """Return a transform whose styles are a bank, and the bank."""
    core = _core(transform, bank)
    if not isinstance(core.source, StyleBank):
        raise ValueError(f"bank must be a set of styles, got {core.source!r}.")
    return core, core.source


def _core(transform: StyleTransfer | Stylizer | str | None, bank: Any) -> StyleTransfer:
    if isinstance(transform, StyleTransfer) and transform.value_range is not None:
        raise ValueError(
            f"transform must have no value_range, got {transform.value_range}: the model gets what "
            "comes in. Scale the images to [0, 1] before, and to the model's unit in preprocess."
        )
    if isinstance(transform, StyleTransfer) and bank is None:
        return transform
    if bank is None:
        raise ValueError("bank must hold styles of training images, got None.")
    if isinstance(transform, StyleTransfer):
        device, stylizer = transform.device, transform.stylizer_on(transform.device or "cpu")
        return StyleTransfer(stylizer, styles=bank, device=device, compile=transform.compiled)
    return StyleTransfer(transform, styles=bank)


def check_statistics(bank: StyleBank, describe: Callable[[Tensor], Tensor]) -> None:
    """Raise ``ValueError`` unless a bank has the statistics that a function describes."""
    if bank.statistics is None:
        raise ValueError(
            "select by distance needs a bank with statistics, got one without. Build it from "
            "images: StyleBank.from_images, from_files or from_dataset."
        )
    size, own = describe(torch.rand(1, 3, 64, 64)).shape[1], bank.statistics.shape[1]
    if size != own:
        raise ValueError(
            f"describe must return the vectors of the bank, of {own} numbers, got {size}. Build "
            "the bank with the same describe."
        )


def contents_of(tta: StyleTTA, images: Tensor) -> Tensor:
    """Return images as `StyleTTA` describes them: float32 RGB ``(B, 3, H, W)`` in [0, 1]."""
    return to_content(_as_record(images, check=tta.core.check).batch)


def _as_record(images: Any, *, check: bool) -> Images:
    if not isinstance(images, Tensor):
        raise TypeError(
            f"images must be a tensor (B, C, H, W), got {type(images).__name__}. One PIL image or "
            "array becomes one by torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]."
        )
    if images.ndim not in (4, 5):
        raise ValueError(
            f"images must be a batch (B, C, H, W) or (B, C, H, W, D), got {tuple(images.shape)}. "
            "One image becomes a batch of one by image[None]."
        )
    if images.ndim == 4:
        return as_images(images, check=check)
    return as_volumes(images, channels=(1, 3))


def _checked(output: Tensor, count: int, before: list[Tensor] | None) -> Tensor:
    if output.ndim < 2 or len(output) != count:
        raise ValueError(
            f"model must return ({count}, C, ...) for {count} views, got {tuple(output.shape)}."
        )
    if before and before[0].shape[1:] != output.shape[1:]:
        raise ValueError(
            "model must return the same shape for all views, got "
            f"{tuple(before[0].shape[1:])} and {tuple(output.shape[1:])}."
        )
    return output


def _joined(parts: list[dict[str, Any]]) -> Any:
    """Join the samples of all parts; a bare tensor comes out bare."""
    joined = {name: _cat([part[name] for part in parts]) for name in parts[0]}
    return joined[""] if set(joined) == {""} else joined


def _cat(items: list[Any]) -> Any:
    if isinstance(items[0], Tensor):
        return torch.cat(items)
    fields: dict[str, Any] = {}
    for field in StyleStats.__dataclass_fields__:
        values = [getattr(item, field) for item in items]
        fields[field] = None if values[0] is None else torch.cat(values)
    return StyleStats(**fields)


def _ran_out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "not enough memory" in str(error)
