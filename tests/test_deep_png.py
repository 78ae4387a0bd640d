"""PNG files of 16 bits a channel keep their profile, EXIF and resolution."""

import numpy as np
import png
import pytest
from PIL import Image, ImageCms

from styleaug.images.deep_png import write_deep_png
from styleaug.images.files import read_image, write_image

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
EXIF = Image.Exif()
EXIF[0x010F] = "a scanner"
INFO = {"icc_profile": PROFILE, "dpi": (300.0, 150.0), "exif": EXIF.tobytes()}


def _pixels(channels):
    return np.random.default_rng(0).integers(0, 65536, (20, 30, channels), dtype=np.uint16)


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_profile_exif_and_resolution_stay(tmp_path, channels):
    write_deep_png(tmp_path / "in.png", _pixels(channels), INFO)
    before = read_image(tmp_path / "in.png")
    assert before.lost == ()
    write_image(tmp_path / "out.png", before.pixels, before)
    after = read_image(tmp_path / "out.png")
    assert np.array_equal(after.pixels, before.pixels)
    assert after.pixels.dtype == np.uint16
    with Image.open(tmp_path / "out.png") as image:
        image.load()
        assert image.info["icc_profile"] == PROFILE
        assert image.info["dpi"] == pytest.approx((300.0, 150.0), abs=0.02)
        assert image.getexif()[0x010F] == "a scanner"


def test_without_any_it_is_a_plain_file(tmp_path):
    pixels = _pixels(3)
    write_deep_png(tmp_path / "plain.png", pixels, {})
    data = (tmp_path / "plain.png").read_bytes()
    kinds = [kind for kind, _ in png.Reader(bytes=data).chunks()]
    assert set(kinds) == {b"IHDR", b"IDAT", b"IEND"}
    assert np.array_equal(read_image(tmp_path / "plain.png").pixels, pixels)
