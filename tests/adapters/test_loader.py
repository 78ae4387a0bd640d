"""StyleLoader: what it moves, what it leaves, what it refuses, and one batch ahead on CUDA."""

import contextlib

import pytest
import torch
from torch.utils.data import DataLoader, DistributedSampler

from styleaug import StyleBank, StyleTransfer
from styleaug.adapters.loader import StyleLoader


@pytest.fixture
def transform(photos):
    return StyleTransfer(styles=StyleBank.from_images(photos, "colorist"), p=1.0)


def _batch(first=0):
    images = torch.rand(2, 3, 40, 44)
    return {"image": images, "mask": images.clone(), "meta": [{"name": "a", "row": first}, None]}


def test_a_batch_keeps_its_structure_and_all_but_its_images(transform):
    batch = _batch()
    (out,) = StyleLoader([batch], transform, "cpu")
    assert out.keys() == batch.keys()
    assert out["meta"] == batch["meta"]
    assert torch.equal(out["mask"], batch["mask"])
    assert not torch.equal(out["image"], batch["image"])
    assert torch.equal(batch["image"], batch["mask"])  # what the loader holds is not written to


def test_every_epoch_draws_anew_and_an_empty_loader_is_empty(photos):
    bank = StyleBank.from_images(photos, "colorist")
    transform = StyleTransfer(styles=bank, alpha=(0.1, 1.0), p=1.0, seed=0)
    loader = StyleLoader([_batch()], transform, "cpu")
    first, second = next(iter(loader)), next(iter(loader))
    assert not torch.equal(first["image"], second["image"])
    assert list(StyleLoader([], transform, "cpu")) == []


def test_epochs_reach_the_sampler_of_the_loader(transform):
    data = [(torch.rand(3, 40, 44), index) for index in range(8)]
    sampler = DistributedSampler(data, num_replicas=2, rank=0, seed=1)
    loader = StyleLoader(DataLoader(data, batch_size=2, sampler=sampler), transform, "cpu")
    orders = []
    for epoch in range(3):
        loader.sampler.set_epoch(epoch)
        orders.append(torch.cat([labels for _, labels in loader]).tolist())
    assert len(set(map(tuple, orders))) > 1


def test_a_getter_picks_the_images(transform):
    batch = {"scan": torch.rand(2, 3, 40, 44), "image": torch.arange(2)}
    (out,) = StyleLoader([batch], transform, "cpu", image_getter=lambda item: item["scan"])
    assert not torch.equal(out["scan"], batch["scan"])
    assert torch.equal(out["image"], batch["image"])


@pytest.mark.parametrize(
    ("getter", "words"),
    [
        ("scan", "image_getter must be 'default' or a function, got 'scan'"),
        (lambda batch: batch["image"] * 0.5, "must return a tensor of the batch itself"),
        (lambda batch: batch["image"][0], "must give images"),
    ],
)
def test_what_is_not_the_images_is_refused(transform, getter, words):
    with pytest.raises(ValueError, match=words):
        next(iter(StyleLoader([_batch()], transform, "cpu", image_getter=getter)))


def test_devices_are_checked_before_the_first_batch(transform):
    with pytest.raises(ValueError, match="device must name a device of this machine"):
        StyleLoader([_batch()], transform, "cuda:99")


class _Stream:
    def __init__(self, log):
        self.log = log

    def wait_stream(self, other):
        self.log.append("wait")


def test_one_batch_ahead_and_every_batch_waited_for(transform, monkeypatch):
    """The order of work on CUDA, with streams that write down what is asked of them."""
    log = []
    side, current = _Stream(log), _Stream(log)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: side)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: current)
    monkeypatch.setattr(
        torch.Tensor, "record_stream", lambda self, stream: log.append(stream is current)
    )
    monkeypatch.setattr(StyleLoader, "_move", lambda self, leaf: leaf)

    def batches():
        for number in range(3):
            log.append(f"work {number}")
            yield _batch(number)

    loader = StyleLoader(batches(), transform, "cpu")
    loader.device = torch.device("cuda")
    for out in loader:
        log.append(f"use {out['meta'][0]['row']}")
    ready = ["wait", True, True]  # the images and the mask are given over to the current stream
    assert log == [
        "work 0", *ready, "work 1", "use 0", *ready, "work 2", "use 1", *ready, "use 2",
    ]  # fmt: skip


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda_batches_are_those_of_the_transform(photos):
    bank = StyleBank.from_images(photos, "colorist")
    batches = [(torch.rand(4, 3, 64, 64), torch.arange(4)) for _ in range(5)]
    make = lambda: StyleTransfer(styles=bank, p=1.0, seed=3, precision="fp32")  # noqa: E731
    found = [images.cpu() for images, _ in StyleLoader(batches, make(), "cuda")]
    expected = list(map(make(), [images for images, _ in batches]))
    assert torch.allclose(torch.stack(found), torch.stack(expected), atol=1e-3)


def test_a_loader_is_asked_what_the_wrapped_one_is_asked(transform):
    data = [(torch.rand(3, 40, 44), index) for index in range(5)]
    wrapped = DataLoader(data, batch_size=2)
    loader = StyleLoader(wrapped, transform, "cpu")
    assert len(loader) == len(wrapped) == 3
    assert loader.dataset is data
    assert loader.batch_size == 2
    assert loader.sampler is wrapped.sampler
