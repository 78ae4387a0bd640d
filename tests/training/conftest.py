"""Small images and small random backbones to train on."""

import numpy as np
import pytest
import torch
from PIL import Image

from styleaug.features.encoders import VGGNormalised
from styleaug.training import TrainConfig, Trainer
from styleaug.weights import save_tensors


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Smooth pictures in ``images``, a random encoder of AdaIN's in ``vgg.safetensors``."""
    root = tmp_path_factory.mktemp("small")
    (root / "images").mkdir()
    rng = np.random.default_rng(1)
    for index in range(6):
        pixels = rng.integers(0, 256, (6, 7, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((56, 48)).save(root / "images" / f"{index}.png")
    torch.manual_seed(0)
    encoder = VGGNormalised(["relu3_4", "pool3"])
    for part in encoder:
        if isinstance(part, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(part.weight)
    save_tensors(encoder.state_dict(), root / "vgg.safetensors", {})
    return root


@pytest.fixture
def train(folder, tmp_path):
    """Train a recipe for some steps; returns the folder of the run and its last losses."""
    count = iter(range(100))

    def run(recipe, steps, **changes):
        output = tmp_path / f"run{next(count)}"
        settings = {
            "content": (str(folder / "images"),),
            "output": str(output),
            "steps": steps,
            "batch_size": 2,
            "size": 32,
            "learning_rate": 1e-3,
            "warm_up": 2,
            "log_every": 1,
            "workers": 0,
            "accelerator": "cpu",
            "features": str(folder / "vgg.safetensors"),
        }
        trainer = Trainer(TrainConfig(recipe, **{**settings, **changes}), quiet=True)
        trainer.run()
        return output

    return run
