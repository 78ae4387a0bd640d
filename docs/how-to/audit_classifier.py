"""A classifier is trained without and with style transfer, and both are audited.

Run it with ``python audit_classifier.py cells/``, where ``cells/`` has one folder of images per
class. Without a folder it runs for a moment on made images.
"""

import sys
import tempfile
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import TensorDataset, random_split
from torchvision.datasets import ImageFolder
from torchvision.models import resnet18
from torchvision.transforms import v2

import styleaug
from styleaug import StyleTransfer
from styleaug.samples import sample_images

SIDE, BATCH = 64, 32
normalize = v2.Normalize([0.5] * 3, [0.25] * 3)


def read(folder: Path | None) -> tuple[torch.Tensor, torch.Tensor, list[str]]:
    """Return images, labels and the names of the classes."""
    if folder is None:
        images = torch.rand(48, 3, SIDE, SIDE) / 4
        labels = torch.arange(48) % 2
        images[labels == 1, :, 16:48, 16:48] += 0.5
        return images, labels, ["empty", "cell"]
    steps = [v2.ToImage(), v2.Resize((SIDE, SIDE)), v2.ToDtype(torch.float32, scale=True)]
    data = ImageFolder(folder, v2.Compose(steps))
    images, labels = zip(*data, strict=True)
    return torch.stack(images), torch.tensor(labels), data.classes


def train(images: torch.Tensor, labels: torch.Tensor, steps: int, *, styled: bool) -> nn.Module:
    """Train a classifier whose classes count alike; ``styled`` paints half of what it sees."""
    torch.manual_seed(0)
    net = resnet18(num_classes=int(labels.max()) + 1)
    augment = StyleTransfer("micro", styles=sample_images(), p=0.5, seed=0)
    optimizer = torch.optim.AdamW(net.parameters(), 1e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    rarity = 1.0 / labels.bincount()[labels]
    for _ in range(steps):
        rows = torch.multinomial(rarity, BATCH, replacement=True)
        turned = v2.RandomHorizontalFlip()(images[rows]).rot90(int(torch.randint(4, ())), (2, 3))
        batch = augment(turned) if styled else turned
        loss = nn.functional.cross_entropy(net(normalize(batch)), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return net.eval()


def main(folder: str | None = None) -> None:
    """Train two networks and write the pages of their audits."""
    images, labels, classes = read(Path(folder) if folder else None)
    parts = random_split(range(len(images)), [0.7, 0.3], torch.Generator().manual_seed(0))
    training, held = (torch.tensor(list(part)) for part in parts)
    out = Path("audits" if folder else tempfile.mkdtemp())
    for name, styled in (("plain", False), ("styled", True)):
        net = train(images[training], labels[training], 600 if folder else 4, styled=styled)
        found = styleaug.audit(
            net,
            [TensorDataset(images[held], labels[held])[:]],
            "stained",
            classes=classes,
            preprocess=normalize,
            laboratories=8 if folder else 2,
            search=24 if folder else 2,
            trial=["colorist"] if folder else [],
            folder=out / f"{name}-parts",
        )
        found.save(out / name)
        drops = {kind: round(found.drop(kind), 2) for kind in ("laboratory", "worst found")}
        print(name, found.score, round(found.before["score"], 2), "falls by", drops)


if __name__ == "__main__":
    main(*sys.argv[1:2])
