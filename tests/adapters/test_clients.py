"""Adapters inside real clients: example programs, loaders with threads, ranks, Lightning."""

import os
import runpy
import warnings
from pathlib import Path

import lightning as L
import pytest
import torch
from monai.data import Dataset as MonaiDataset
from monai.data import ThreadDataLoader
from monai.transforms import Compose, EnsureTyped
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from styleaug import StyleBank, StyleTransfer
from styleaug.adapters.monai import RandStyleTransferd
from styleaug.adapters.torchvision import StyleTransfer as TorchvisionStyle

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
PROGRAMS = sorted(HOW_TO.glob("*.py"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_example_programs_run(program, monkeypatch):
    monkeypatch.setattr("sys.argv", [str(program)])  # not those of the tests
    with warnings.catch_warnings():
        runpy.run_path(str(program), run_name="__main__")


def test_there_are_example_programs():
    assert {path.stem for path in PROGRAMS} >= {
        "albumentations_loader",
        "clinic_segmentation",
        "detection",
        "monai_segmentation",
        "slide_tiles",
    }


def test_a_loader_of_threads_takes_the_device(photos):
    bank = StyleBank.from_images(photos, "colorist")
    pipeline = Compose(
        [
            EnsureTyped(["image"], device="cpu"),
            RandStyleTransferd(["image"], styles=bank, prob=1.0, device="cpu"),
        ]
    )
    data = [{"image": torch.full((3, 32, 32), 0.5) + 0.01 * torch.rand(3, 32, 32)}] * 8
    loader = ThreadDataLoader(MonaiDataset(data, pipeline), batch_size=4, num_workers=2)
    images = torch.cat([batch["image"] for batch in loader])
    assert images.shape == (8, 3, 32, 32)
    assert len({round(image.mean().item(), 4) for image in images}) > 1


def _strengths(transform, count):
    return transform.make_params([torch.rand(count, 3, 32, 32)])["style"].alpha


class _Drawn(Dataset):
    """Returns the strength that is drawn for an item."""

    def __init__(self, transform):
        self.transform = transform

    def __len__(self):
        return 6

    def __getitem__(self, index):
        return _strengths(self.transform, 1)[0]


def _draws_of_rank(rank, photos, monkeypatch):
    monkeypatch.setenv("RANK", str(rank))
    L.seed_everything(7, workers=True, verbose=False)
    bank = StyleBank.from_images(photos, "colorist")
    transform = TorchvisionStyle(styles=bank, alpha=(0.0, 1.0), p=1.0)
    loader = DataLoader(_Drawn(transform), batch_size=6, num_workers=1)
    return tuple(next(iter(loader)).tolist()), _strengths(transform, 3)


def test_ranks_that_are_seeded_alike_draw_differently(photos, monkeypatch):
    first, again, other = (_draws_of_rank(rank, photos, monkeypatch) for rank in (0, 0, 1))
    assert first == again
    assert set(first[0]).isdisjoint(other[0])
    assert set(first[1]).isdisjoint(other[1])
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    monkeypatch.delenv("PL_SEED_WORKERS", raising=False)
    assert "RANK" in os.environ


class _Classifier(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 2))
        self.augment = StyleTransfer("colorist", styles="batch", p=1.0)
        self.seen = {"train": [], "val": []}

    def on_after_batch_transfer(self, batch, dataloader_idx):
        images, labels = batch
        return (self.augment(images) if self.trainer.training else images), labels

    def training_step(self, batch, batch_idx):
        self.seen["train"].append(batch[0].clone())
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def validation_step(self, batch, batch_idx):
        self.seen["val"].append(batch[0].clone())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


@pytest.mark.filterwarnings("ignore")
def test_lightning_stylizes_training_batches_and_leaves_validation_alone(tmp_path):
    images = torch.rand(8, 3, 32, 32)
    loader = DataLoader(TensorDataset(images, torch.arange(8) % 2), batch_size=8)
    model = _Classifier()
    trainer = L.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(model, loader, loader)
    assert len(model.seen["val"]) == 3  # the sanity check, too
    assert all(torch.equal(batch, images) for batch in model.seen["val"])
    assert not any(torch.equal(batch, images) for batch in model.seen["train"])
    saved = torch.load(next(tmp_path.rglob("*.ckpt")), weights_only=False)["state_dict"]
    assert set(saved) == {"net.1.weight", "net.1.bias"}
