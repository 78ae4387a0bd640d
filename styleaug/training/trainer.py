"""The trainer: one plain loop on Lightning Fabric."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from lightning.fabric.loggers import TensorBoardLogger
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from styleaug._checks import check_choice
from styleaug._draws import id_keys
from styleaug._files import write_text
from styleaug.training.card import preview_quality, write_card
from styleaug.training.config import TrainConfig
from styleaug.training.data import PairDataset, pair_loader
from styleaug.training.precision import precision_arguments
from styleaug.training.recipes import RECIPES, Recipe
from styleaug.training.recipes.base import Phase
from styleaug.training.run_folder import (
    CHECKPOINT,
    WEIGHTS,
    check_folder,
    read_history,
    sole_writer,
    write_checkpoint,
)
from styleaug.weights import load_network, locate_weights, read_state_dict, save_tensors

PHASES: tuple[Phase, Phase] = ("generator", "discriminator")


class Trainer:
    """Trains the networks of a recipe and writes weights and a card.

    Args:
        config: All settings. Folders are searched here, so that empty ones are refused at once.
        resume: Continue from the last checkpoint of ``config.output``.
        quiet: Show no progress bar.

    Raises:
        FileExistsError: If the output holds another run and ``resume`` is not set.
        FileNotFoundError: If a folder does not exist.
        ValueError: If the recipe, a loss or an option is unknown or does not fit, a folder holds no
            image, or the run that is to be resumed had other settings.
    """

    def __init__(self, config: TrainConfig, *, resume: bool = False, quiet: bool = False) -> None:
        check_choice("recipe", config.recipe, RECIPES)
        RECIPES[config.recipe].read_options(config)
        self.images = PairDataset(
            config.content,
            config.style or config.content,
            size=config.size,
            same_kind=config.same_kind,
            alike=RECIPES[config.recipe].alike,
            group=config.group,
            seed=config.seed,
        )
        if config.epochs:
            steps = epoch_steps(config, sum(map(len, self.images.content)))
            config = config.with_changes(steps=steps, epochs=0.0)
        self.config, self.resume, self.quiet = config, resume, quiet
        self.folder = Path(config.output)
        check_folder(self.folder, config, resume)

    def run(self) -> Path:
        """Train, and return the file of the final weights.

        Raises:
            FileExistsError: If the output now holds another run, or another process writes to it.
            FloatingPointError: If a loss is not finite; the last good checkpoint stays.
            OSError: If a file cannot be written, for example on a full disk; likewise.
        """
        config = self.config
        fabric = self._fabric()
        fabric.launch()
        fabric.seed_everything(config.seed, verbose=False)
        recipe = RECIPES[config.recipe](config)
        with sole_writer(self.folder) if fabric.is_global_zero else nullcontext():
            return self._train(fabric, recipe)

    def _train(self, fabric: Fabric, recipe: Recipe) -> Path:
        config = self.config
        if fabric.is_global_zero:
            check_folder(self.folder, config, self.resume)  # another run may have begun since
        if config.start:
            path = locate_weights(config.start, recipe.published).path
            load_network(recipe.generator(), read_state_dict(path), origin=config.start)
        if fabric.is_global_zero:
            write_text(self.folder / "config.toml", config.to_toml())
        nets = [net for net in (recipe.trained(), recipe.discriminator()) if net is not None]
        made = [_optimizer(net, config) for net in nets]
        model, *optimizers = fabric.setup(recipe.to(memory_format=torch.channels_last), *made)
        step = self._restore(recipe, optimizers)
        history = self._loop(fabric, model, recipe, optimizers, step)
        return self._finish(fabric, recipe, history)

    def _loop(
        self, fabric: Fabric, model: Any, recipe: Recipe, optimizers: list[Any], step: int
    ) -> list[dict[str, float]]:
        config, history = self.config, read_history(self.folder, step)
        batches = self._batches(fabric, step)
        with self._progress(fabric) as progress:
            task = progress.add_task(config.recipe, total=config.steps, completed=step)
            while step < config.steps:
                _set_rate(optimizers, rate_at(step, config))
                losses = self._step(fabric, model, recipe, optimizers, batches, step)
                step += 1
                if step % config.log_every == 0 or step == config.steps:
                    scalars = _scalars(losses, recipe)
                    history.append({"step": float(step), **scalars})
                    fabric.log_dict(scalars, step=step)
                    progress.update(task, description=f"loss {scalars['total']:.3f}")
                if step % config.images_every == 0 or step == config.steps:
                    self._log_images(fabric, recipe, step)
                if step % config.checkpoint_every == 0 or step == config.steps:
                    self._save(fabric, recipe, optimizers, step, history)
                progress.update(task, completed=step)
        return history

    def _step(
        self,
        fabric: Fabric,
        model: Any,
        recipe: Recipe,
        optimizers: list[Any],
        batches: Iterator[Any],
        step: int,
    ) -> dict[str, Tensor]:
        """Update the generator once, and before it the discriminator at the recipe's ratio.

        Each update sums the gradients of ``accumulate`` batches. Returns the last losses.
        """
        parts = [next(batches) for _ in range(self.config.accumulate)]
        self.skipped += sum(int(batch["skipped"].sum()) for batch in parts)
        losses: dict[str, Tensor] = {}
        ratio = recipe.discriminator_steps if len(optimizers) > 1 else 0
        for turn in range(math.floor((step + 1) * ratio) - math.floor(step * ratio)):
            losses |= self._update(fabric, model, recipe, optimizers, 1, parts, (step, turn + 1))
        return losses | self._update(fabric, model, recipe, optimizers, 0, parts, (step, 0))

    def _update(
        self,
        fabric: Fabric,
        model: Any,
        recipe: Recipe,
        optimizers: list[Any],
        which: int,
        parts: list[Any],
        seed: tuple[int, int],
    ) -> dict[str, Tensor]:
        """Update the generator (0) or the discriminator (1) with the gradients of some batches."""
        phase: Phase = PHASES[which]
        for index, batch in enumerate(parts):
            # seeded once the batch is here (a loader draws, too), so that a resumed run draws alike
            _seed(self.config.seed, *seed, index, fabric.global_rank)
            with fabric.no_backward_sync(model, enabled=index < len(parts) - 1):
                losses = model(*(_fast(batch[name]) for name in ("content", "style")), phase)
                total = recipe.weigh(losses)
                _check_finite(total, losses, self.folder)
                fabric.backward(total / len(parts))
        norm = fabric.clip_gradients(
            model, optimizers[which], max_norm=self.config.clip, error_if_nonfinite=False
        )
        if self.config.precision != "16-mixed":  # its scaler skips such a step, and scales less
            _check_finite(norm, losses, self.folder, "the gradient")
        optimizers[which].step()
        for optimizer in optimizers:  # a phase leaves gradients in the other network, too
            optimizer.zero_grad(set_to_none=True)
        return {name: loss.detach() for name, loss in losses.items()}

    skipped: int = 0
    """Number of broken images skipped so far."""

    def _batches(self, fabric: Fabric, step: int) -> Iterator[Any]:
        config = self.config
        self.images.rank = fabric.global_rank
        each = config.batch_size * config.accumulate
        loader = pair_loader(
            self.images, step * each, config.steps * each, config.batch_size, config.workers
        )
        return iter(fabric.setup_dataloaders(loader, use_distributed_sampler=False))

    def _fabric(self) -> Fabric:
        config = self.config
        logger = TensorBoardLogger(self.folder, name="", version="logs")
        adversarial = RECIPES[config.recipe].discriminator_steps > 0
        ddp = "ddp_find_unused_parameters_true" if adversarial else "ddp"
        strategy = ddp if config.devices > 1 else "auto"
        return Fabric(
            accelerator=config.accelerator,
            devices=config.devices,
            strategy=strategy,
            loggers=logger,
            **precision_arguments(config),
        )

    def _progress(self, fabric: Fabric) -> Progress:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        quiet = self.quiet or not fabric.is_global_zero
        console = Console(stderr=True)
        return Progress(*columns, TimeRemainingColumn(), console=console, disable=quiet)

    def _restore(self, recipe: Recipe, optimizers: list[Any]) -> int:
        path = self.folder / CHECKPOINT
        if not (self.resume and path.exists()):
            return 0
        state = torch.load(path, map_location="cpu", weights_only=True)
        discriminator = recipe.discriminator()
        recipe.trained().load_state_dict(state["generator"], strict=True)
        if discriminator is not None:
            discriminator.load_state_dict(state["discriminator"], strict=True)
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.skipped = int(state["skipped"])
        return int(state["step"])

    def _save(
        self, fabric: Fabric, recipe: Recipe, optimizers: list[Any], step: int, history: list[Any]
    ) -> None:
        if fabric.is_global_zero:
            discriminator = recipe.discriminator()
            state = {
                "generator": recipe.trained().state_dict(),
                "discriminator": {} if discriminator is None else discriminator.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in optimizers],
                "step": step,
                "skipped": self.skipped,
            }
            write_checkpoint(self.folder, state, history)
        fabric.barrier()

    def _log_images(self, fabric: Fabric, recipe: Recipe, step: int) -> None:
        if fabric.is_global_zero:
            rows = self._preview(recipe, 6)
            grid = torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1).clamp(0, 1)
            writer: Any = fabric.logger
            writer.experiment.add_image("content, style, stylized", grid, step)

    def _preview(self, recipe: Recipe, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return contents, styles and stylized images of pairs that training does not reach."""
        pairs = [self.images[-1 - index] for index in range(count)]
        device = next(recipe.generator().parameters()).device
        content, style = (
            torch.stack([pair[name] for pair in pairs]).to(device) for name in ("content", "style")
        )
        with torch.no_grad():
            return content, style, recipe.preview(content, style)

    def _finish(self, fabric: Fabric, recipe: Recipe, history: list[dict[str, float]]) -> Path:
        path = self.folder / WEIGHTS
        if fabric.is_global_zero:
            half = {k: _half(v) for k, v in recipe.generator().state_dict().items()}
            if recipe.file_config():
                text = json.dumps(recipe.file_config(), indent=1)
                write_text(self.folder / "config.json", text + "\n")
            save_tensors(half, path, {"recipe": self.config.to_toml()})
            quality = preview_quality(*self._preview(recipe, 24))
            write_card(self.folder, self.config, history, self.skipped, quality)
        fabric.barrier()
        return path


def epoch_steps(config: TrainConfig, images: int) -> int:
    """Return how many steps see as many contents as ``config.epochs`` times there are.

    Example:
        >>> config = TrainConfig("micro", ("a",), "b", epochs=1.5, batch_size=4, devices=2)
        >>> epoch_steps(config, 100)
        19
    """
    processes = int(os.environ.get("WORLD_SIZE", config.devices))
    each = config.batch_size * config.accumulate * processes
    return max(1, math.ceil(config.epochs * images / each))


def rate_at(step: int, config: TrainConfig) -> float:
    """Return the learning rate of a step: a linear warm-up, then half a cosine to zero.

    Example:
        >>> config = TrainConfig("micro", ("a",), "b", steps=110, warm_up=10, learning_rate=1.0)
        >>> [round(rate_at(step, config), 2) for step in (0, 9, 10, 60, 109)]
        [0.1, 1.0, 1.0, 0.5, 0.0]
    """
    warm = min(config.warm_up, config.steps // 2)
    if step < warm:
        return config.learning_rate * (step + 1) / warm
    progress = (step - warm) / max(1, config.steps - warm)
    return config.learning_rate * 0.5 * (1.0 + math.cos(math.pi * progress))


def _seed(*numbers: int) -> None:
    torch.manual_seed(int(id_keys(0, ["-".join(map(str, numbers))])[0]))


def _check_finite(
    number: Tensor | None, losses: Mapping[str, Tensor], folder: Path, name: str = "the loss"
) -> None:
    if number is not None and not bool(torch.isfinite(number)):
        values = {name: float(loss.detach()) for name, loss in losses.items()}
        raise FloatingPointError(
            f"{name} is not finite, losses are {values}. The last good checkpoint is in "
            f"{str(folder)!r}; lower learning_rate, or use precision '32-true'."
        )


def _scalars(losses: Mapping[str, Tensor], recipe: Recipe) -> dict[str, float]:
    scalars = {name: float(loss.detach()) for name, loss in losses.items()}
    return {"total": float(recipe.weigh(losses).detach()), **scalars}


def _set_rate(optimizers: list[Any], rate: float) -> None:
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate


def _optimizer(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )


def _half(tensor: Tensor) -> Tensor:
    return tensor.half() if tensor.is_floating_point() else tensor


def _fast(images: Tensor) -> Tensor:
    return images.contiguous(memory_format=torch.channels_last)
