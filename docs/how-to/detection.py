"""A detector of torchvision trains on samples whose boxes stay where they are.

Run it with ``python detection.py``.
"""

import torch
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import MultiScaleRoIAlign
from torchvision.transforms import v2

from styleaug.adapters.torchvision import StyleTransfer


class Cells(Dataset):
    """One dark cell per image, with its box, mask and label."""

    def __init__(self, transform: v2.Transform) -> None:
        self.transform = transform

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> tuple[tv_tensors.Image, dict[str, torch.Tensor]]:
        top = 8 + 6 * index
        image = torch.full((3, 64, 64), 200, dtype=torch.uint8)
        image += torch.randint(0, 30, image.shape, dtype=torch.uint8)
        image[:, top : top + 20, top : top + 20] //= 3
        mask = torch.zeros(1, 64, 64, dtype=torch.bool)
        mask[:, top : top + 20, top : top + 20] = True
        box = [[top, top, top + 20, top + 20]]
        target = {
            "boxes": tv_tensors.BoundingBoxes(box, format="XYXY", canvas_size=(64, 64)),
            "masks": tv_tensors.Mask(mask),
            "labels": torch.tensor([1]),
        }
        return self.transform(tv_tensors.Image(image), target)


def _collate(batch: list) -> tuple:
    return tuple(zip(*batch, strict=True))


def main() -> None:
    """Take two training steps."""
    torch.manual_seed(0)
    pipeline = v2.Compose(
        [
            v2.RandomHorizontalFlip(),
            StyleTransfer("reinhard", styles=torch.rand(6, 3, 64, 64), alpha=(0.3, 1.0), p=0.5),
            v2.ToDtype(torch.float32, scale=True),  # the detector normalises by itself
            v2.ToPureTensor(),
        ]
    )
    backbone = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 3, stride=8, padding=1), torch.nn.ReLU())
    backbone.out_channels = 16
    anchors = AnchorGenerator(sizes=((20,),), aspect_ratios=((1.0,),))
    pool = MultiScaleRoIAlign(featmap_names=["0"], output_size=3, sampling_ratio=2)
    detector = FasterRCNN(
        backbone, 2, rpn_anchor_generator=anchors, box_roi_pool=pool, min_size=64, max_size=64
    )
    optimizer = torch.optim.SGD(detector.parameters(), 1e-3)
    loader = DataLoader(Cells(pipeline), batch_size=2, collate_fn=_collate)
    for images, targets in loader:
        losses = detector(list(images), list(targets))
        loss = sum(losses.values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print({name: round(value.item(), 3) for name, value in losses.items()})
        assert torch.isfinite(loss)
        for target in targets:
            (box,) = target["boxes"].round().long().tolist()
            assert target["masks"][0, box[1] : box[3], box[0] : box[2]].all()
            assert target["masks"].sum() == 400


if __name__ == "__main__":
    main()
