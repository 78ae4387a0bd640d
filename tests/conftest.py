"""Fixtures and settings for the whole suite: offline, seeded, few threads, on this tree."""

import os
from pathlib import Path

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
# the processes that tests start take this tree, too, wherever they start
os.environ["PYTHONPATH"] = os.pathsep.join(
    [
        str(Path(__file__).parents[1]),
        str(Path(__file__).parents[1] / "weights"),
        *filter(None, [os.environ.get("PYTHONPATH")]),
    ]
)

import hypothesis
import pytest
import torch

hypothesis.settings.register_profile("suite", max_examples=20, deadline=None, derandomize=True)
hypothesis.settings.load_profile("suite")


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture
def photos():
    """Four smooth, coloured, image-like tensors (4, 3, 48, 64) in [0, 1]."""
    generator = torch.Generator().manual_seed(7)
    coarse = torch.rand(4, 3, 6, 8, generator=generator)
    fine = torch.rand(4, 3, 48, 64, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (48, 64), mode="bicubic")
    return (0.8 * smooth + 0.2 * fine).clamp(0.0, 1.0)
