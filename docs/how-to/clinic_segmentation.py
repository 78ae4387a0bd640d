"""Segmentation of CT with MONAI, where a series of another scanner gives the styles.

Run it with ``python clinic_segmentation.py``; replace ``made_series`` by folders of your own.
"""

import tempfile
from pathlib import Path

import numpy as np
import pydicom
import torch
from monai.data import DataLoader, Dataset
from monai.losses import DiceLoss
from monai.networks.nets import UNet
from monai.transforms import Compose, EnsureTyped, Lambdad, RandFlipd
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

from styleaug import StyleBank
from styleaug.adapters.monai import RandStyleTransferd
from styleaug.images import find_images, open_image
from styleaug.images.opening import find_sources

BLACK, WHITE = -150, 250  # the window "soft" in Hounsfield units


def made_series(folder: Path, seed: int, noise: float) -> np.ndarray:
    """Write eight slices of CT with a bright ball, and return its mask ``(D, H, W)``."""
    rng = np.random.default_rng(seed)
    grids = np.meshgrid(*(np.linspace(-1, 1, n) for n in (8, 48, 48)), indexing="ij")
    centre = rng.uniform(-0.4, 0.4, 3)
    mask = sum((g - c) ** 2 for g, c in zip(grids, centre, strict=True)) < 0.25
    hounsfield = 20 + 90 * mask + noise * rng.normal(size=mask.shape)
    series = generate_uid(entropy_srcs=[str(folder), str(seed)])
    folder.mkdir(parents=True)
    for index, slice_ in enumerate(hounsfield):
        data = pydicom.dcmread(get_testdata_file("CT_small.dcm", download=False))
        data.set_pixel_data((slice_ + 1024).round().astype(np.uint16), "MONOCHROME2", 12)
        data.RescaleSlope, data.RescaleIntercept = 1, -1024
        data.SeriesInstanceUID = series
        data.ImagePositionPatient = [0, 0, 5 * index]
        data.save_as(folder / f"IM{index}")  # no suffix: found by its preamble
    return mask


def read_volume(folder: Path) -> np.ndarray:
    """Return a series in Hounsfield units, ``(D, H, W)``, sorted by position."""
    (source,) = find_sources(find_images([folder]))
    stored = open_image(source)
    return stored.images.restore(stored.images.batch).astype(np.int16) - 1024


def main() -> None:
    """Train on one scanner, with the look of another."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        masks = [made_series(root / "ours" / str(i), i, 10) for i in range(4)]
        for i in range(2):
            made_series(root / "theirs" / str(i), 10 + i, 40)
        items = [
            {"image": read_volume(root / "ours" / str(i)), "label": mask}
            for i, mask in enumerate(masks)
        ]
        bank = StyleBank.from_files(root / "theirs", "colorist", value_range="soft")
        slices = StyleBank.from_files(root / "theirs", "colorist", value_range="soft", slices=4)
    assert (len(bank), len(slices)) == (2, 8)  # a style per series, or per slice that was drawn

    keys = ["image", "label"]
    unit = Lambdad("image", lambda x: ((x.float() - BLACK) / (WHITE - BLACK)).clamp(0, 1))
    transforms = Compose(
        [
            Lambdad(keys, lambda volume: np.moveaxis(volume, 0, -1)[None]),
            EnsureTyped(keys),
            RandFlipd(keys, prob=0.5, spatial_axis=0),
            RandStyleTransferd(
                ["image"], "colorist", styles=bank, prob=0.5, a_min=BLACK, a_max=WHITE
            ),
            unit,
        ]
    ).set_random_state(0)
    net = UNet(3, 1, 1, channels=(8, 16), strides=(2,))
    optimizer, loss_of = torch.optim.Adam(net.parameters(), 1e-2), DiceLoss(sigmoid=True)
    losses = []
    for _ in range(8):
        for batch in DataLoader(Dataset(items, transforms), batch_size=2, shuffle=True):
            loss = loss_of(net(batch["image"]), batch["label"])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    print(f"Dice loss {losses[0]:.3f} -> {losses[-1]:.3f}")
    assert losses[-1] < losses[0]


if __name__ == "__main__":
    main()
