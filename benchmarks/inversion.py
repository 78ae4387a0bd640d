"""What does a style code of "micro" give away? A decoder is trained to paint images from codes.

``python -m benchmarks.inversion --images DIR --held-out DIR`` reads one subfolder per kind of image
of both. A network learns to paint crops of the first, at 48 x 48 pixels, from their codes; of the
second:

* ssim, psnr: of the decoder's picture, of the mean picture of the kind (which needs no code but the
  kind's name), and of a flat picture of the image's own mean colour (which three numbers give);
* kind: share whose nearest training code is of their kind;
* linked: two crops of every image, at opposite corners, that do not overlap; share of the first
  whose nearest second one, among those of the same kind, is of the same image, and the share that
  chance would give.

The picture shows images, what the decoder makes of their codes, and the mean picture of the kind.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.record import add_device, write_record
from styleaug import Stylizer, create_stylizer
from styleaug.evaluation.scores import read_sized
from styleaug.functional import ssim
from styleaug.images import contact_sheet, find_images, to_picture

SIDE, SEEN = 96, 48
BATCH = 64
Crops = dict[str, Tensor]


def main() -> None:
    """Read the arguments, train, measure, and write the record and the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, required=True, help="a subfolder per kind")
    parser.add_argument("--held-out", type=Path, required=True, help="the same kinds")
    parser.add_argument("--each", type=int, default=300, help="crops of every kind to learn from")
    parser.add_argument("--steps", type=int, default=2000, help="of learning")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sheet", type=Path, help="where the picture is written to")
    parser.add_argument("--no-record", action="store_true")
    add_device(parser)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    stylizer = create_stylizer("micro").to(options.device)
    known = {sub.name: read_crops(sub, options.each) for sub in _kinds(options.images)}
    held = {sub.name: read_crops(sub) for sub in _kinds(options.held_out)}
    codes = encode(stylizer, torch.cat(list(known.values())))
    decoder = Decoder(codes).to(options.device)
    train(decoder, known, codes, options.steps)
    results = {"steps": options.steps, "crops": len(codes), "kinds": {}}
    for kind in held:
        results["kinds"][kind] = measure(decoder, kind, known, held, stylizer)
        print(kind, results["kinds"][kind], flush=True)
    results["linked"] = linked(options.held_out, stylizer)
    print(results["linked"])
    if options.sheet:
        draw(decoder, known, held, stylizer).save(options.sheet, quality=90)
    if not options.no_record:
        print(write_record("inversion", results, device=options.device))


class Decoder(nn.Module):
    """Paints ``(B, 3, SEEN, SEEN)`` from codes ``(B, K)``; 4 million parameters."""

    def __init__(self, codes: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", codes.mean(dim=0))
        self.register_buffer("std", codes.std(dim=0).clamp_min(1e-6))
        self.layers = nn.Sequential(
            nn.Linear(codes.shape[1], 512),
            nn.ReLU(),
            nn.Linear(512, 512),
            nn.ReLU(),
            nn.Linear(512, 3 * SEEN * SEEN),
        )

    def forward(self, codes: Tensor) -> Tensor:
        scores = self.layers((codes - self.mean) / self.std)
        return torch.sigmoid(scores).unflatten(1, (3, SEEN, SEEN))


def train(decoder: Decoder, known: Crops, codes: Tensor, steps: int) -> None:
    """Teach the decoder the crops that codes are of."""
    crops = seen(torch.cat(list(known.values()))).to(codes.device)
    optimizer = torch.optim.AdamW(decoder.parameters(), 1e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(1, steps + 1):
        rows = torch.randint(len(crops), (BATCH,), device=codes.device)
        loss = F.mse_loss(decoder(codes[rows]), crops[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 500 == 0:
            print(f"step {step}: {loss.item():.5f}", flush=True)


@torch.no_grad()
def measure(
    decoder: Decoder, kind: str, known: Crops, held: Crops, stylizer: Stylizer
) -> dict[str, float]:
    """Return the figures of the held-out images of a kind."""
    crops, codes = seen(held[kind]), encode(stylizer, held[kind])
    pictures = {
        "decoder": decoder(codes).cpu(),
        "mean of the kind": seen(known[kind]).mean(dim=0, keepdim=True).expand_as(crops),
        "flat": crops.mean(dim=(2, 3), keepdim=True).expand_as(crops),
    }
    found = {"images": len(crops)}
    for name, picture in pictures.items():
        error = (picture - crops).square().flatten(1).mean(dim=1)
        found[f"ssim, {name}"] = round(ssim(picture, crops).mean().item(), 3)
        found[f"psnr, {name}"] = round(-10.0 * error.log10().mean().item(), 2)
    names = [name for name, some in known.items() for _ in some]
    nearest = distances(codes, encode(stylizer, torch.cat(list(known.values())))).argmin(dim=1)
    found["kind"] = round(sum(names[row] == kind for row in nearest.tolist()) / len(crops), 3)
    return found


def linked(folder: Path, stylizer: Stylizer) -> dict[str, float]:
    """Return how often two crops of one image find each other, and how often chance would."""
    hits = chance = total = 0.0
    for sub in _kinds(folder):
        found = [read_sized(path, 2 * SIDE) for path in find_images([sub])]
        images = [x for x in found if min(x.shape[2:]) >= SIDE and max(x.shape[2:]) == 2 * SIDE]
        if len(images) < 2:
            continue
        first = encode(stylizer, torch.cat([x[..., :SIDE, :SIDE] for x in images]))
        second = encode(stylizer, torch.cat([x[..., -SIDE:, -SIDE:] for x in images]))
        nearest = distances(first, second).argmin(dim=1).cpu()
        hits += (nearest == torch.arange(len(images))).sum().item()
        chance += 1.0
        total += len(images)
    return {"linked": round(hits / total, 3), "chance": round(chance / total, 3)}


@torch.no_grad()
def draw(decoder: Decoder, known: Crops, held: Crops, stylizer: Stylizer):
    """Return images, what the decoder paints of their codes, and the means of their kinds."""
    firsts = torch.cat([crops[:1] for crops in held.values()])
    painted = decoder(encode(stylizer, firsts)).cpu()
    means = torch.stack([known[kind].mean(dim=0) for kind in held])
    shown = (firsts, F.interpolate(painted, (SIDE, SIDE), mode="bilinear"), means)
    rows = [[to_picture(image) for image in row] for row in shown]
    return contact_sheet(
        rows, ["image", "from its code", "mean of the kind"], list(held), cell=SIDE
    )


@torch.no_grad()
def encode(stylizer: Stylizer, crops: Tensor) -> Tensor:
    """Return the codes of crops as vectors ``(B, K)``."""
    device = next(stylizer.parameters()).device
    codes = [stylizer.encode_style(some.to(device)).maps for some in crops.split(BATCH)]
    return torch.cat([torch.cat([x.flatten(1) for x in code.values()], dim=1) for code in codes])


def seen(crops: Tensor) -> Tensor:
    """Return crops at the size that is decoded and compared."""
    return F.interpolate(crops, (SEEN, SEEN), mode="area")


def distances(first: Tensor, second: Tensor) -> Tensor:
    """Return how far codes lie apart, every number by its own spread."""
    scale = torch.cat([first, second]).std(dim=0).clamp_min(1e-6)
    return torch.cdist(first / scale, second / scale)


def read_crops(folder: Path, count: int | None = None) -> Tensor:
    """Return random crops ``(count, 3, SIDE, SIDE)`` of a folder; None: one of every image."""
    files: Sequence[Path] = find_images([folder])
    spread = files[:: max(1, len(files) // count)][:count] if count else files
    images = [read_sized(path, 2 * SIDE) for path in spread]
    rows = range(count or len(images))
    return torch.cat([_crop(images[row % len(images)]) for row in rows])


def _crop(image: Tensor) -> Tensor:
    """Return a random square of 0.7 to all of the shorter side, turned over half of the times."""
    height, width = image.shape[2:]
    side = int(min(height, width) * (0.7 + 0.3 * torch.rand(()).item()))
    top, left = (int(torch.randint(room - side + 1, ())) for room in (height, width))
    crop = image[..., top : top + side, left : left + side]
    crop = crop.flip(3) if torch.rand(()) < 0.5 else crop
    sized = F.interpolate(crop, (SIDE, SIDE), mode="bilinear", antialias=True)
    return sized.clamp(0.0, 1.0)


def _kinds(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir())


if __name__ == "__main__":
    main()
