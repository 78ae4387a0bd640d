"""A slide in the stain of another laboratory: streamed to a pyramid, and as tiles to features.

Run it with ``python slide_tiles.py``; replace ``made_slide`` by a slide of your own, the encoder by
your network, and the style by a folder of tiles.
"""

import tempfile
from pathlib import Path

import numpy as np
import tifffile
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader

from styleaug import StyleBank
from styleaug.cli import main as styleaug
from styleaug.samples import sample_images
from styleaug.slides import SlideStyle, SlideTiles, open_slide

SAMPLES = {path.stem: path for path in sample_images()}
TILE = 128


def made_slide(path: Path) -> Path:
    """Write a pyramidal OME-TIFF: a piece of tissue on glass, 0.5 micrometres per pixel."""
    pixels = np.full((768, 1024, 3), 243, np.uint8)
    tissue = Image.open(SAMPLES["nuclei-pink"]).convert("RGB").resize((640, 512))
    pixels[128:640, 192:832] = np.asarray(tissue)
    how = {"photometric": "rgb", "tile": (TILE, TILE), "compression": "zlib"}
    sizes = {"axes": "YXS", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(pixels, subifds=1, metadata=sizes, **how)
        file.write(pixels[::4, ::4], subfiletype=1, **how)
    return path


def main() -> None:
    """Paint the slide as a whole, then only its tissue, on the fly."""
    with tempfile.TemporaryDirectory() as name:
        path, painted = made_slide(Path(name) / "slide.ome.tiff"), Path(name) / "painted.ome.tiff"
        bank_path = Path(name) / "bank.safetensors"
        StyleBank.from_files(SAMPLES["nuclei-purple-on-purple"], "appearance").save(bank_path)

        # in a shell: styleaug stylize slide.ome.tiff --style bank.safetensors --tile 128 -o ...
        words = ["--style", bank_path, "--tile", TILE, "--compression", "deflate", "-o", painted]
        assert styleaug(["stylize", str(path), *map(str, words)]) == 0
        pyramid = open_slide(painted)
        assert (pyramid.size, pyramid.levels, pyramid.pixel_size) == ((1024, 768), 4, (0.5, 0.5))

        slide, code = open_slide(path), StyleBank.load(bank_path).code[0]
        style = SlideStyle.of_slide(slide, "appearance", code)
        tiles = SlideTiles(path, style, tile=TILE, tissue=0.5)
        encoder = nn.Sequential(nn.Conv2d(3, 16, 8, 8), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        with torch.no_grad():
            loader = DataLoader(tiles, batch_size=8)
            features = torch.cat([encoder(batch.float() / 255) for batch in loader])
        places = torch.tensor(tiles.regions)[:, :2]  # left and top: what CLAM calls coords
        assert features.shape == (len(tiles), 16)
        assert 12 <= len(tiles) <= 20  # the piece covers 20 tiles, of 48

        left, top, width, height = tiles.regions[0]
        same, _ = pyramid.read((left, top, width, height))
        difference = np.abs(tiles[0].permute(1, 2, 0).numpy().astype(int) - same)
        assert difference.max() <= 1  # a tile of the data set is one of the painted slide
        print(f"{len(places)} tiles of tissue, features {tuple(features.shape)}")
        for each in (pyramid, slide, tiles.slide):
            each.close()


if __name__ == "__main__":
    main()
