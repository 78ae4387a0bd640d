"""The studies of Stylizing ViT, with their protocol: ``python -m benchmarks.protocol STUDY ...``.

``--root`` is the folder of the data, see `benchmarks.protocol_data`. A DenseNet-121 from scratch on
images of 224 pixels, cross entropy, AdamW 1e-3 with decay 1e-2, half a cosine, 100 epochs, stopped
after 10 without a better validation loss, batches of 64, three seeds; a portion of 0.33 of every
batch is stylized. It is tested as it is and, with ``--tta``, under `StyleTTA` with training images:
by the settings of the paper (one random training image as style, without the original) and by ours
(``--views`` styles, the nearest, with the original). ``--weights NAME=FILE`` names the weights of
a stylizer: a published name, a file, or ``hf:owner/name@revision``; the record has the
`weights_id` of every stylizer. ``--no-detail`` builds them with ``detail=False``.

Doerrich et al., ISBI 2026, and their ``train.py``; images are stylized in [0, 1] and clamped, where
theirs are normalised and not clamped.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import lightning
import timm
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassAUROC
from torchvision.transforms import v2

from benchmarks.built import build, named, weights_of
from benchmarks.protocol_data import STUDIES, Splits
from benchmarks.record import add_device, write_record
from styleaug import StyleBank, StyleTransfer, Stylizer
from styleaug.tta import StyleTTA

SEEDS = (265017005, 145288287, 206368124)
PORTION = 0.33
PUBLISHED, OURS = "one random style", "nearest styles"
OTHERS = {
    "none": lambda: None,
    "grayscale": lambda: v2.RandomGrayscale(1.0),
    "jitter": lambda: v2.ColorJitter(0.2, 0.2, 0.2, 0.2),
    "TrivialAugment": lambda: v2.TrivialAugmentWide(31),
}


class Classifier(lightning.LightningModule):
    """DenseNet-121 with the optimiser and the metrics of the protocol."""

    def __init__(
        self,
        classes: int,
        epochs: int,
        augment: StyleTransfer | None,
        moments: tuple[Tensor, Tensor],
    ) -> None:
        super().__init__()
        self.net = timm.create_model("densenet121", pretrained=False, num_classes=classes)
        self.epochs, self.augment = epochs, augment
        self.register_buffer("mean", moments[0].view(1, 3, 1, 1))
        self.register_buffer("std", moments[1].view(1, 3, 1, 1))
        self.model = self.classify
        scores = {
            "accuracy": MulticlassAccuracy(classes, average="micro"),
            "balanced accuracy": MulticlassAccuracy(classes, average="macro"),
            "AUC": MulticlassAUROC(classes),
        }
        self.scores = MetricCollection(scores)

    def classify(self, images: Tensor) -> Tensor:
        """Return logits of images in [0, 1]."""
        return self.net((images - self.mean) / self.std)

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        images, labels = batch
        if self.augment is not None:
            images = self.augment(images)
        return F.cross_entropy(self.classify(images.float() / 255.0), labels)

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        images, labels = batch
        self.log("loss", F.cross_entropy(self.classify(images.float() / 255.0), labels))

    def test_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        images, labels = batch
        self.scores.update(self.model(images.float() / 255.0), labels)

    def on_test_epoch_end(self) -> None:
        self.log_dict(self.scores.compute())
        self.scores.reset()

    def configure_optimizers(self) -> dict:
        optimizer = torch.optim.AdamW(self.parameters(), 1e-3, weight_decay=1e-2)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.epochs)
        return {"optimizer": optimizer, "lr_scheduler": schedule}


def main() -> None:
    """Train and test with every seed, and write the record."""
    options = _options()
    read, classes = STUDIES[options.study]
    splits = read(Path(options.root), options.size)
    runs: dict[str, list[dict]] = {}
    for name in options.augment:
        runs[name] = [run(splits, classes, name, seed, options) for seed in options.seeds]
        print(name, json.dumps(runs[name], indent=1), flush=True)
    if options.record:
        weights = weights_of({name: painter_of(name, options) for name in painters(options)})
        results = {"settings": settings(options), "weights": weights, "runs": runs}
        print(write_record(options.record, results, device=options.device))


def painter_of(name: str, options: argparse.Namespace) -> Stylizer:
    """Return a stylizer with the weights and the option ``detail`` that were asked for."""
    return build(name, options.weights, detail=options.detail)


def painters(options: argparse.Namespace) -> list[str]:
    """Return the stylizers that take part, in training or at test time."""
    return [n for n in dict.fromkeys([*options.augment, *options.tta]) if n not in OTHERS]


def settings(options: argparse.Namespace) -> dict[str, object]:
    """Return the options, without folders."""
    kept = {key: value for key, value in vars(options).items() if key not in ("root", "out")}
    return {**kept, "weights": named(options.weights)}


def run(splits: Splits, classes: int, name: str, seed: int, options: argparse.Namespace) -> dict:
    """Train with an augmentation and test once; returns the scores on the unseen domain."""
    lightning.seed_everything(seed, workers=True)
    other = OTHERS.get(name)
    loader = partial(DataLoader, batch_size=options.batch_size, num_workers=options.workers)
    if other is not None and (transform := other()) is not None:
        splits = {**splits, "train": _Changed(splits["train"], transform)}
    augment = None
    if other is None:
        painter = painter_of(name, options)
        augment = StyleTransfer(painter, styles="batch", portion=options.portion)
    module = Classifier(classes, options.epochs, augment, moments_of(splits["train"]))
    best = ModelCheckpoint(Path(options.out) / f"{name}-{seed}", monitor="loss")
    kind, _, number = options.device.partition(":")
    trainer = lightning.Trainer(
        accelerator=kind,
        devices=[int(number or 0)] if kind == "cuda" else 1,
        max_epochs=options.epochs,
        callbacks=[EarlyStopping("loss", patience=10), best],
        logger=False,
        deterministic="warn",
        enable_progress_bar=not options.quiet,
    )
    training = loader(splits["train"], shuffle=True, drop_last=True)
    trainer.fit(module, training, loader(splits["val"]))
    module.load_state_dict(
        torch.load(best.best_model_path, map_location="cpu", weights_only=True)["state_dict"]
    )
    found = {"seed": seed, "as it is": _tested(trainer, module, loader(splits["test"]))}
    images = [splits["train"][i][0] for i in range(min(len(splits["train"]), 512))]
    for tester in options.tta:
        painter = painter_of(tester, options)
        for label, tta in both_ways(module.classify, painter, images, options.views).items():
            module.model = tta
            found[f"{tester}, {label}"] = _tested(trainer, module, loader(splits["test"]))
    return found


def both_ways(
    model: Callable[[Tensor], Tensor], painter: Stylizer, images: list[Tensor], views: int
) -> dict[str, StyleTTA]:
    """Return test-time augmentation by the settings of the paper and by ours."""
    every = StyleBank.from_dataset(images, painter)
    count = min(views * 8, len(images))
    bank = StyleBank.from_dataset(images, painter, count=count, representative=True)
    return {
        PUBLISHED: StyleTTA(model, painter, every, 1, include_identity=False, select="random"),
        OURS: StyleTTA(model, painter, bank, min(views, count), select="nearest"),
    }


def moments_of(dataset: Dataset, most: int = 2000) -> tuple[Tensor, Tensor]:
    """Return means and deviations of the channels of at most that many images, in [0, 1]."""
    picked = torch.linspace(0, len(dataset) - 1, min(most, len(dataset))).long().tolist()
    moments = [
        (image.mean(dim=(1, 2)), image.square().mean(dim=(1, 2)))
        for image in (dataset[i][0].double() / 255.0 for i in picked)
    ]
    mean, square = (torch.stack(part).mean(dim=0) for part in zip(*moments, strict=True))
    return mean.float(), (square - mean.square()).clamp_min(1e-6).sqrt().float()


class _Changed(Dataset):
    """Items of a data set with transformed images."""

    def __init__(self, dataset: Dataset, transform: Callable[[Tensor], Tensor]) -> None:
        self.dataset, self.transform = dataset, transform

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image, label = self.dataset[index]
        return self.transform(image), label


def _tested(trainer: lightning.Trainer, module: Classifier, loader: DataLoader) -> dict:
    scores = trainer.test(module, loader, verbose=False)[0]
    return {name: round(value, 4) for name, value in scores.items()}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", choices=list(STUDIES))
    parser.add_argument("--root", required=True, help="folder of the data")
    augment = f"stylizers, or {', '.join(OTHERS)}"
    parser.add_argument("--augment", nargs="+", default=["appearance"], help=augment)
    parser.add_argument("--weights", nargs="*", default=[], metavar="NAME=FILE")
    parser.add_argument("--no-detail", dest="detail", action="store_false", help="detail=False")
    parser.add_argument("--portion", type=float, default=PORTION)
    parser.add_argument("--tta", nargs="*", default=[], help="stylizers")
    parser.add_argument("--views", type=int, default=8)
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument("-o", "--out", default="runs")
    parser.add_argument("--record", help="name of the record; without, none is written")
    add_device(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
