"""An Albumentations pipeline in a loader with four workers: every worker draws its own styles.

Run it with ``python albumentations_loader.py``.
"""

import os

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # it looks for updates when imported

import albumentations as A
import numpy as np
import torch
from albumentations.pytorch import ToTensorV2
from torch.utils.data import DataLoader, Dataset

from styleaug.adapters.albumentations import StyleTransfer


class Slides(Dataset):
    """Stands for a folder of images with masks."""

    def __init__(self, transform: A.Compose, count: int = 32) -> None:
        self.transform, self.count = transform, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        rng = np.random.default_rng(0)  # every item is the same image: only styles differ
        image = rng.integers(40, 200, (64, 64, 3), dtype=np.uint8)
        out = self.transform(image=image, mask=image[..., 0] // 128)
        return out["image"], out["mask"]


def main() -> None:
    """Read two epochs and look at what differs."""
    styles = [
        np.random.default_rng(i).integers(20 * i, 55 + 25 * i, (96, 96, 3), dtype=np.uint8)
        for i in range(8)
    ]
    pipeline = A.Compose(
        [
            StyleTransfer("colorist", styles=styles, alpha=(0.5, 1.0), p=1.0),
            A.Normalize(),
            ToTensorV2(),
        ],
        seed=0,
    )
    torch.manual_seed(0)
    loader = DataLoader(Slides(pipeline), batch_size=8, num_workers=4, persistent_workers=True)
    epochs = [torch.cat([images for images, _ in loader]) for _ in range(2)]
    masks = torch.cat([masks for _, masks in loader])
    looks = {tuple(image.mean((1, 2)).tolist()) for epoch in epochs for image in epoch}
    print(f"{len(looks)} different looks of one image in {2 * len(epochs[0])} draws")
    assert len(looks) == 64
    assert (masks == masks[0]).all()


if __name__ == "__main__":
    main()
