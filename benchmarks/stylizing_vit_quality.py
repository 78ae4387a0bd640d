"""What Stylizing ViT makes of images that are not 224 x 224, and of alpha, on real images.

Run ``python -m benchmarks.stylizing_vit_quality FOLDER...``. The choice between the modes of
``resize=`` needs a network that can paint. To need no download, the script fits one with the width
of "tiny" and four layers to squares of 224 pixels: it learns to reconstruct, and to give an image
the colour statistics of another. ``--weights FILE`` measures weights that were kept, or others of
size "tiny" with ``--mean`` and ``--std``. Every fifth image is kept from fitting, and measured.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.functional.image import structural_similarity_index_measure as ssim

from benchmarks.record import add_device, write_record
from styleaug import create_stylizer
from styleaug.functional import channel_mean_std
from styleaug.stylizers.stylizing_vit import StylizingViT
from styleaug.stylizers.vit.network import CONFIGS, StylizingViTNetwork
from styleaug.stylizers.vit.resizing import tile_starts
from styleaug.weights import load_tensors, save_tensors

SIZE = 224
SIDES = [(224, 224), (160, 160), (224, 320), (288, 288), (288, 384), (448, 448)]
MODES = ("fit", "224", "tile")
KEEP = Path("stylizing-vit-fitted.safetensors")


def read_images(folders: list[str], longest: int = 560) -> list[Tensor]:
    """Read images ``(3, H, W)`` in [0, 1], at most ``longest`` pixels long, in a fixed order."""
    suffixes = (".png", ".jpg", ".jpeg")
    paths = [p for f in folders for p in sorted(Path(f).rglob("*")) if p.suffix in suffixes]
    random.Random(0).shuffle(paths)
    images = []
    for path in paths:
        with Image.open(path) as file:
            picture = file.convert("RGB")
        picture.thumbnail((longest, longest), Image.Resampling.LANCZOS)
        if min(picture.size) >= SIZE:
            images.append(torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1) / 255)
    return images


def fit(images: list[Tensor], steps: int, path: Path) -> None:
    """Teach a network to reconstruct and to copy colour statistics, and keep its weights."""
    torch.manual_seed(0)
    pixels = torch.stack([F.adaptive_avg_pool2d(image, 32) for image in images])
    mean, std = pixels.mean((0, 2, 3)), pixels.std((0, 2, 3))
    network = StylizingViTNetwork(replace(CONFIGS["tiny"], depth=4)).to(pixels.device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, steps, pct_start=0.05)
    colorist = create_stylizer("colorist")
    scale = [t.view(-1, 1, 1) for t in (mean, std)]
    for step in range(steps):
        content, style = _squares(images, 4), _squares(images, 4)
        target = colorist.stylize(content, colorist.encode_style(style))
        content, style, target = ((x - scale[0]) / scale[1] for x in (content, style, target))
        with torch.autocast(content.device.type, dtype=torch.bfloat16):
            streams = network.streams(content, style)
            grid = (14, 14)
            repainted = network.decode(streams.anatomy, grid)
            painted = network.decode(streams.stylized, grid)
        loss = F.mse_loss(repainted.float(), content) + F.mse_loss(painted.float(), target)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            print(step, round(loss.item(), 4), flush=True)
    header = {"mean": json.dumps(mean.tolist()), "std": json.dumps(std.tolist())}
    save_tensors(network.state_dict(), path, header | {"steps": str(steps)})


def read(path: Path, mean: object, std: object) -> tuple[StylizingViTNetwork, object, object]:
    """Read weights of the width of "tiny" and any depth."""
    state, header = load_tensors(path)
    depth = 1 + max(int(name.split(".")[2]) for name in state if ".blocks." in name)
    network = StylizingViTNetwork(replace(CONFIGS["tiny"], depth=depth))
    network.load_state_dict(state)
    constants = [given or json.loads(header[k]) for k, given in (("mean", mean), ("std", std))]
    return network.eval(), *constants


def resize_modes(images: list[Tensor], make: object) -> dict[str, object]:
    """What each mode keeps of the content and takes of the style, by size."""
    found: dict[str, object] = {}
    for height, width in SIDES:
        contents = [_resized(image, height, width) for image in images]
        found[f"{height}x{width}"] = {mode: _fidelity(contents, make(mode)) for mode in MODES}
    return found


def _fidelity(contents: list[Tensor], stylizer: StylizingViT) -> dict[str, float]:
    """SSIM of an image in its own style and in another's, and distance of colour to the style."""
    found: dict[str, list[float]] = {
        key: [] for key in ("own_style_ssim", "own_style_rmse", "ssim", "distance_to_style")
    }
    for content, style in zip(contents, contents[1:] + contents[:1], strict=True):
        code = stylizer.encode_style(torch.cat([content, style]))
        own, other = stylizer.stylize_grid(content, code)[0].split(1)
        found["own_style_ssim"].append(ssim(own, content, data_range=1.0).item())
        found["own_style_rmse"].append((own - content).square().mean().sqrt().item())
        found["ssim"].append(ssim(other, content, data_range=1.0).item())
        found["distance_to_style"].append(_statistics_distance(other, style))
    return {key: round(float(np.mean(values)), 4) for key, values in found.items()} | {
        f"own_style_ssim_{q}": round(float(np.quantile(found["own_style_ssim"], v)), 4)
        for q, v in (("q1", 0.25), ("q3", 0.75))
    }


def seams(images: list[Tensor], stylizer: StylizingViT) -> dict[str, float]:
    """Steps across the borders of tiles against steps elsewhere, in levels of 255.

    What painting adds to the content is differentiated across columns; at the columns where a tile
    starts or ends it should change no faster than anywhere else.
    """
    starts = tile_starts(448, SIZE, SIZE * 2 // 7)
    borders = sorted({s for s in starts if s} | {s + SIZE for s in starts if s + SIZE < 448})
    at, elsewhere = [], []
    for content, style in zip(images, images[1:] + images[:1], strict=True):
        content, style = _resized(content, 448, 448), style[None]
        added = stylizer.stylize(content, stylizer.encode_style(style)) - content
        steps = added.diff(dim=3).abs().mean((0, 1, 2)) * 255
        edges = torch.tensor([border - 1 for border in borders])
        rest = torch.ones_like(steps, dtype=torch.bool)
        rest[edges] = False
        rest[15::16] = False  # borders of patches, which every mode has
        at.append(steps[edges].mean().item())
        elsewhere.append(steps[rest].mean().item())
    return {"at_borders": round(np.mean(at), 3), "elsewhere": round(np.mean(elsewhere), 3)}


def alpha_steps(images: list[Tensor], stylizer: StylizingViT) -> dict[str, object]:
    """Distance of colour statistics to the style, and to the content, as alpha grows."""
    alphas = [0.0, 0.25, 0.5, 0.75, 1.0]
    to_style, to_content = [], []
    for content, style in zip(images, images[1:] + images[:1], strict=True):
        content, style = _resized(content, SIZE, SIZE), _resized(style, SIZE, SIZE)
        code = stylizer.encode_style(style)
        painted = [stylizer.stylize(content, code, alpha) for alpha in alphas]
        to_style.append([_statistics_distance(image, style) for image in painted])
        to_content.append([(image - content).square().mean().sqrt().item() for image in painted])
    falling = [all(a >= b for a, b in itertools.pairwise(row)) for row in to_style]
    rising = [all(a <= b for a, b in itertools.pairwise(row)) for row in to_content]
    return {
        "alpha": alphas,
        "distance_to_style": np.round(np.mean(to_style, 0), 4).tolist(),
        "distance_to_content": np.round(np.mean(to_content, 0), 4).tolist(),
        "share_of_pairs_that_never_move_away_from_the_style": round(float(np.mean(falling)), 3),
        "share_of_pairs_that_never_move_back_to_the_content": round(float(np.mean(rising)), 3),
    }


def _statistics_distance(first: Tensor, second: Tensor) -> float:
    pairs = zip(channel_mean_std(first), channel_mean_std(second), strict=True)
    return float(sum((a - b).square().sum() for a, b in pairs) ** 0.5)


def _squares(images: list[Tensor], count: int) -> Tensor:
    """Cut squares of random scale from random images."""
    squares = []
    for image in random.choices(images, k=count):
        side = random.randint(160, min(image.shape[1:]))
        top = random.randint(0, image.shape[1] - side)
        left = random.randint(0, image.shape[2] - side)
        squares.append(_resized(image[:, top : top + side, left : left + side], SIZE, SIZE))
    return torch.cat(squares)


def _resized(image: Tensor, height: int, width: int) -> Tensor:
    """Scale and cut the centre, so that shapes keep their proportions."""
    scale = max(height / image.shape[1], width / image.shape[2])
    sides = [max(round(image.shape[1] * scale), height), max(round(image.shape[2] * scale), width)]
    scaled = F.interpolate(image[None], sides, mode="bilinear", antialias=True).clamp_(0, 1)
    top, left = (sides[0] - height) // 2, (sides[1] - width) // 2
    return scaled[:, :, top : top + height, left : left + width]


def main() -> None:
    """Fit or read a network, measure, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--measure", type=int, default=24, help="images to measure on")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--mean", type=float, nargs=3)
    parser.add_argument("--std", type=float, nargs=3)
    add_device(parser)
    arguments = parser.parse_args()
    random.seed(0)
    device = arguments.device
    images = [image.to(device) for image in read_images(arguments.folders)]
    held_out = images[::5][: arguments.measure]
    if not arguments.weights:
        fit([image for index, image in enumerate(images) if index % 5], arguments.steps, KEEP)
    network, mean, std = read(arguments.weights or KEEP, arguments.mean, arguments.std)

    def make(mode: str) -> StylizingViT:
        stylizer = StylizingViT(network, mean=list(mean), std=list(std), resize=mode)
        return stylizer.freeze().to(device)

    results = {
        "network": {"depth": network.config.depth, **load_tensors(arguments.weights or KEEP)[1]},
        "images": {"all": len(images), "measured": len(held_out)},
        "modes": resize_modes(held_out, make),
        "seams_tile_448": seams(held_out, make("tile")),
        "seams_fit_448": seams(held_out, make("fit")),
        "alpha": alpha_steps(held_out, make("fit")),
    }
    print(write_record("stylizing-vit-quality", results, device=device))


if __name__ == "__main__":
    main()
