"""TIFF files come back as they were written, or what is lost is said."""

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms

from styleaug import StyleBank, StyleTransfer
from styleaug.cli import main
from styleaug.images import open_image
from styleaug.images.files import read_image, write_image

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _pixels(channels, dtype):
    shape = (48, 64) if channels == 1 else (48, 64, channels)
    top = np.iinfo(dtype).max
    return (np.random.default_rng(0).random(shape) * top).astype(dtype)


def _again(path, tmp_path, pixels=None):
    """Write a file like the one at ``path`` and open it."""
    file, out = read_image(path), tmp_path / "out.tif"
    write_image(out, file.pixels if pixels is None else pixels, file)
    with tifffile.TiffFile(out) as tiff:
        page = tiff.pages.first
        assert [tag.value for tag in page.tags]  # read while the file is open
        return file, page, tiff


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("header", [{"bigtiff": True}, {"byteorder": ">"}], ids=["big", ">"])
def test_tiles_compression_profile_and_texts_are_kept(tmp_path, channels, dtype, header):
    path, pixels = tmp_path / "in.tif", _pixels(channels, dtype)
    tifffile.imwrite(
        path,
        pixels,
        photometric="minisblack" if channels == 1 else "rgb",
        extrasamples=["unassalpha"] if channels == 4 else None,
        tile=(16, 32),
        compression="zlib",
        iccprofile=PROFILE,
        resolution=(4000, 3000),
        resolutionunit="CENTIMETER",
        description="a slide, stained µ".encode(),
        software="scanner 7",
        datetime="2024:05:06 07:08:09",
        metadata=None,
        **header,
    )
    file, page, tiff = _again(path, tmp_path)
    assert np.array_equal(read_image(tmp_path / "out.tif").pixels, pixels)
    assert (page.tilelength, page.tilewidth) == (16, 32)
    assert page.compression == tifffile.COMPRESSION.ADOBE_DEFLATE
    assert page.iccprofile == PROFILE
    assert page.tags["XResolution"].value == (4000, 1)
    assert page.tags["YResolution"].value == (3000, 1)
    assert page.resolutionunit == tifffile.RESUNIT.CENTIMETER
    assert "stained" in page.description
    assert page.software == "scanner 7"
    assert page.tags["DateTime"].value == "2024:05:06 07:08:09"
    assert tiff.is_bigtiff == header.get("bigtiff", False)
    assert tiff.byteorder == header.get("byteorder", "<")
    assert file.lost == ()


def test_what_was_not_compressed_is_not(tmp_path):
    tifffile.imwrite(tmp_path / "in.tif", _pixels(3, np.uint8), photometric="rgb", metadata=None)
    file, page, _ = _again(tmp_path / "in.tif", tmp_path)
    assert page.compression == tifffile.COMPRESSION.NONE
    assert not page.is_tiled
    assert file.lost == ()


def test_ome_metadata_are_kept_while_they_hold(tmp_path):
    path = tmp_path / "in.ome.tif"
    metadata = {"axes": "YX", "PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm"}
    tifffile.imwrite(path, _pixels(1, np.uint16), ome=True, metadata=metadata)
    with tifffile.TiffFile(path) as file:
        before = file.ome_metadata
    file, _, tiff = _again(path, tmp_path)
    assert tiff.is_ome
    assert tiff.ome_metadata == before
    assert file.lost == ()
    _, _, smaller = _again(path, tmp_path, file.pixels[:40, :40])
    assert not smaller.is_ome  # its sizes would be wrong


@pytest.mark.parametrize(
    ("compression", "words"),
    [("tiff_lzw", "LZW compression becomes deflate"), ("jpeg", "JPEG compression becomes deflate")],
)
def test_other_compressions_become_deflate_and_that_is_said(tmp_path, compression, words):
    path = tmp_path / "in.tif"
    Image.fromarray(_pixels(3, np.uint8)).save(path, compression=compression)
    file, page, _ = _again(path, tmp_path)
    assert page.compression == tifffile.COMPRESSION.ADOBE_DEFLATE
    assert words in file.lost
    assert np.array_equal(read_image(tmp_path / "out.tif").pixels, file.pixels)


def test_planes_tags_and_pyramids_that_go_are_named(tmp_path):
    path = tmp_path / "in.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(
            np.moveaxis(_pixels(3, np.uint16), -1, 0),
            photometric="rgb",
            planarconfig="separate",
            subifds=1,
            metadata=None,
            extratags=[(65000, "H", 1, 7, True)],
        )
        writer.write(_pixels(3, np.uint16)[::2, ::2], photometric="rgb", metadata=None)
    file, page, _ = _again(path, tmp_path)
    assert file.lost == (
        "planes of their own become interleaved",
        "smaller copies (a pyramid) are left out",
        "tags are left out: 65000",
    )
    assert page.planarconfig == tifffile.PLANARCONFIG.CONTIG


def test_grey_with_opacity_stays_that(tmp_path):
    path, pixels = tmp_path / "in.tif", _pixels(4, np.uint8)[..., 2:]
    Image.fromarray(pixels).save(path)
    _, page, _ = _again(path, tmp_path)
    assert page.shape == (48, 64, 2)
    assert tuple(page.extrasamples) == (tifffile.EXTRASAMPLE.UNASSALPHA,)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_the_orientation_is_kept_and_not_applied(
    tmp_path, orientation, dtype, channels, compression
):
    path, pixels = tmp_path / "in.tif", _pixels(channels, dtype)
    tifffile.imwrite(
        path,
        pixels,
        photometric="minisblack" if channels == 1 else "rgb",
        compression=compression,
        extratags=[(274, 3, 1, orientation, True)],
        metadata=None,
    )
    assert np.array_equal(read_image(path).pixels, pixels)
    _, page, _ = _again(path, tmp_path)
    assert page.tags["Orientation"].value == orientation
    assert np.array_equal(read_image(tmp_path / "out.tif").pixels, pixels)


def _stack(path, values, **how):
    tifffile.imwrite(path, values, photometric="minisblack", **how)
    return path


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_pages_of_one_size_are_slices_and_stay_a_file_like_it(tmp_path, dtype):
    values = np.random.default_rng(0).integers(0, 200, (5, 40, 48)).astype(dtype)
    path = _stack(tmp_path / "in.ome.tif", values, ome=True, metadata={"axes": "ZYX"})
    opened = open_image(path)
    assert (opened.kind, opened.images.depth) == ("stack", 5)
    same = opened.images.restore(opened.images.batch.clone())
    opened.write([tmp_path / "out.ome.tif"], same, "")
    with tifffile.TiffFile(tmp_path / "out.ome.tif") as file:
        assert file.is_ome
        assert file.series[0].axes == "ZYX"
        assert file.asarray().dtype == dtype
        assert np.array_equal(file.asarray(), values)
    bank = StyleBank.from_images(torch.rand(1, 3, 40, 40) * 0.5, "colorist")
    painted = StyleTransfer(styles=bank, p=1.0)(opened.images)
    assert painted.dtype == dtype
    assert (painted != values).mean() > 0.5


def test_a_stack_is_a_style_and_a_content_of_the_command_line(tmp_path):
    rng = np.random.default_rng(0)
    style = _stack(tmp_path / "style.tif", rng.integers(90, 120, (4, 40, 48)).astype(np.uint8))
    path = _stack(tmp_path / "in.tif", rng.integers(0, 250, (3, 40, 48)).astype(np.uint8))
    assert len(StyleBank.from_files(style, "colorist")) == 1
    assert len(StyleBank.from_files(style, "colorist", slices="all")) == 4
    words = ["--style", style, "--stylizer", "colorist", "-o", tmp_path / "out"]
    assert main(["stylize", str(path), *map(str, words)]) == 0
    out = tifffile.imread(tmp_path / "out" / "in.tif")
    assert out.shape == (3, 40, 48)
    assert abs(out.mean() - 105) < 3
    colors = tmp_path / "rgb.tif"
    tifffile.imwrite(colors, rng.integers(0, 255, (3, 40, 48, 3), np.uint8), photometric="rgb")
    assert open_image(colors).images.batch.shape == (1, 3, 120, 48)


def test_pages_that_are_no_slices_are_refused(tmp_path):
    channels = np.zeros((2, 40, 48), np.uint8)
    path = _stack(tmp_path / "c.ome.tif", channels, ome=True, metadata={"axes": "CYX"})
    with pytest.raises(ValueError, match="they are 2 channels"):
        open_image(path)
    with tifffile.TiffWriter(tmp_path / "mixed.tif") as file:
        for side in (40, 48):
            file.write(np.zeros((side, side), np.uint8), photometric="minisblack", metadata=None)
    with pytest.raises(ValueError, match="must hold one image, got 2"):
        open_image(tmp_path / "mixed.tif")
    path = _stack(tmp_path / "broken.tif", np.ones((3, 40, 48), np.uint16), compression="zlib")
    with tifffile.TiffFile(path) as file:
        offset, count = file.pages[1].dataoffsets[0], file.pages[1].databytecounts[0]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\0" * count)
    with pytest.raises(OSError, match="cannot read"):
        open_image(path)
