"""Segmentation with MONAI in 2-D and 3-D: cached data, style transfer, sliding windows, TTA.

Run it with ``python monai_segmentation.py``; replace ``made_data`` and the networks by your own.
"""

import torch
from monai.data import CacheDataset, DataLoader, TestTimeAugmentation, decollate_batch
from monai.inferers import sliding_window_inference
from monai.losses import DiceLoss
from monai.networks.nets import UNet
from monai.transforms import (
    Activations,
    AsDiscrete,
    Compose,
    EnsureChannelFirstd,
    EnsureTyped,
    Invertd,
    RandFlipd,
    RandSpatialCropd,
)

from styleaug import StyleBank
from styleaug.adapters.monai import RandStyleTransferd


def made_data(count: int, shape: tuple[int, ...]) -> list[dict[str, torch.Tensor]]:
    """Return images with a bright ball, and its mask, without a channel axis."""
    grids = torch.meshgrid(*(torch.linspace(-1, 1, size) for size in shape), indexing="ij")
    items = []
    for index in range(count):
        generator = torch.Generator().manual_seed(index)
        centre = torch.rand(len(shape), generator=generator) - 0.5
        distance = sum((g - c) ** 2 for g, c in zip(grids, centre, strict=True)).sqrt()
        mask = (distance < 0.5).float()
        noise = 0.1 * torch.rand(shape, generator=generator)
        items.append({"image": 0.2 + 0.5 * mask + noise, "label": mask})
    return items


def pipeline(bank: StyleBank, crop: tuple[int, ...]) -> Compose:
    """Return the training transforms: what is random comes after what is cached."""
    keys = ["image", "label"]
    return Compose(
        [
            EnsureChannelFirstd(keys, channel_dim="no_channel"),
            EnsureTyped(keys),
            RandSpatialCropd(keys, crop, random_size=False),
            RandFlipd(keys, prob=0.5, spatial_axis=0),
            RandStyleTransferd(["image"], "colorist", styles=bank, alpha=(0.3, 1.0), prob=0.5),
        ]
    )


def train(shape: tuple[int, ...], crop: tuple[int, ...]) -> tuple[float, float]:
    """Train, predict whole images by sliding windows, and measure uncertainty; 2-D or 3-D."""
    torch.manual_seed(0)
    data = made_data(8, shape)
    looks = [
        item["image"].flatten(1)[None].clamp(0, 1) ** gamma for item in data for gamma in (0.6, 1.6)
    ]
    bank = StyleBank.from_images(looks, "colorist")
    transforms = pipeline(bank, crop).set_random_state(0)
    dataset = CacheDataset(data, transforms, progress=False)
    net = UNet(len(shape), 1, 1, channels=(8, 16), strides=(2,))
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    loss_of = DiceLoss(sigmoid=True)
    losses = []
    for _ in range(6):
        for batch in DataLoader(dataset, batch_size=4, shuffle=True):
            loss = loss_of(net(batch["image"]), batch["label"])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())

    net.eval()
    with torch.no_grad():
        batch["pred"] = net(batch["image"])
        post = Compose(
            [
                Invertd("pred", transforms, orig_keys="image", nearest_interp=False),
                lambda item: AsDiscrete(threshold=0.5)(Activations(sigmoid=True)(item["pred"])),
            ]
        )
        restored = [post(item) for item in decollate_batch(batch)]
        whole = sliding_window_inference(data[0]["image"][None, None], crop, 2, net)
        tta = TestTimeAugmentation(
            RandStyleTransferd(["image"], "colorist", styles=bank, prob=1.0),
            batch_size=2,
            inferrer_fn=lambda images: net(images).sigmoid(),
            image_key="image",
            orig_key="image",
            progress=False,
        )
        _, mean, std, _ = tta({"image": data[0]["image"][None]}, num_examples=4)

    assert restored[0].shape[1:] == shape
    assert whole.shape[2:] == mean.shape[1:] == std.shape[1:] == shape
    return losses[0], losses[-1]


if __name__ == "__main__":
    for shape, crop in (((48, 48), (32, 32)), ((40, 40, 16), (32, 32, 16))):
        first, last = train(shape, crop)
        print(f"{len(shape)}-D: Dice loss {first:.3f} -> {last:.3f}")
        assert last < first
