"""The same integer gives the same image through the core and through every adapter."""

import os
import random
import subprocess
import sys
from pathlib import Path

import albumentations as A
import numpy as np
import pytest
import torch

import styleaug
from styleaug import StyleBank, StyleTransfer
from styleaug.adapters._host import missing_host
from styleaug.adapters._seeding import check_worker
from styleaug.adapters.albumentations import StyleTransfer as AlbumentationsStyle
from styleaug.adapters.monai import RandStyleTransfer
from styleaug.adapters.torchvision import StyleTransfer as TorchvisionStyle


@pytest.mark.parametrize("integer", [0, 7, 2**31 - 2])
def test_one_integer_one_image(photos, monkeypatch, integer):
    bank = StyleBank.from_images(photos, "colorist")
    image = (torch.rand(3, 40, 44) * 255).to(torch.uint8)
    arguments = {"styles": bank, "alpha": (0.1, 1.0)}
    core = StyleTransfer(**arguments, p=1.0)
    expected = core(image, generator=torch.Generator().manual_seed(integer))

    torch.manual_seed(integer)
    assert torch.equal(TorchvisionStyle(**arguments, p=1.0)(image), expected)

    monkeypatch.setattr(random.Random, "randrange", lambda self, *bounds: integer)
    array = image.permute(1, 2, 0).numpy()
    found = A.Compose([AlbumentationsStyle(**arguments, p=1.0)])(image=array)["image"]
    assert np.array_equal(found, expected.permute(1, 2, 0).numpy())

    transform = RandStyleTransfer(**arguments, prob=1.0)
    transform.R = type(
        "Fixed", (), {"rand": lambda self: 0.0, "randint": lambda self, n: integer}
    )()
    assert torch.equal(transform(image).as_tensor(), expected)


def test_cuda_in_a_forked_worker_is_explained(monkeypatch):
    worker = type("Worker", (), {"id": 3, "seed": 0})()
    monkeypatch.setattr(torch.utils.data, "get_worker_info", lambda: worker)
    monkeypatch.setattr(torch.cuda, "_is_in_bad_fork", lambda: True)
    check_worker(torch.device("cpu"))
    check_worker(None)
    with pytest.raises(RuntimeError, match=r"worker 3.*device='cpu'.*StyleLoader"):
        check_worker(torch.device("cuda"))


@pytest.mark.parametrize("host", ["albumentations", "monai", "torchvision"])
def test_a_missing_host_says_what_to_install(tmp_path, host):
    (tmp_path / f"{host}.py").write_text("raise ImportError('not there')")
    root = Path(styleaug.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", f"import styleaug; import styleaug.adapters.{host}"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{root}"},
    )
    assert f"pip install 'styleaug[{host}]'" in done.stderr


def test_a_torchvision_of_another_build_is_told_apart_from_none():
    error = RuntimeError("operator torchvision::nms does not exist")
    words = str(missing_host("torchvision", error))
    assert "torchvision::nms does not exist" in words
    assert "pip install --force-reinstall torch torchvision" in words
    assert "styleaug[torchvision]" not in words
