"""Seeing: the sheet of a transform and the page of ``styleaug preview`` show what will happen."""

import re

import numpy as np
import pytest
import torch
from PIL import Image

from styleaug import StyleBank, StyleTransfer
from styleaug.cli import main
from styleaug.commands.preview import evenly
from styleaug.images.comparison import difference, histograms
from styleaug.images.files import read_image


@pytest.fixture
def folders(tmp_path):
    for seed, (name, count) in enumerate((("in", 4), ("styles", 5))):
        (tmp_path / name).mkdir()
        rng = np.random.default_rng(seed)
        for index in range(count):
            pixels = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
            Image.fromarray(pixels).resize((60, 48)).save(tmp_path / name / f"{name}{index}.png")
    return tmp_path


def _run(command, folders, *more):
    words = [command, folders / "in", "--style", folders / "styles", "--stylizer", "mkl", *more]
    return main([str(word) for word in words])


def _cell(sheet, column, cell=200):
    left = 6 + column * (cell + 6)
    return np.asarray(sheet.crop((left, 24, left + cell, 24 + cell)), dtype=int)


def test_a_sheet_shows_content_style_result_and_difference():
    black, grey = torch.zeros(1, 3, 64, 64), torch.full((1, 3, 64, 64), 0.5)
    transform = StyleTransfer("colorist", p=1.0)
    sheet = transform.show(torch.cat([black, grey]))
    means = [_cell(sheet, column).mean() for column in range(4)]
    assert means == pytest.approx([0, 128, 128, 192], abs=1)
    kept = StyleTransfer("colorist", p=0.0).show(torch.cat([black, grey]))
    assert [_cell(kept, column).mean() for column in range(4)] == [0, 255, 0, 128]


def test_show_leaves_every_draw_as_it_was(photos):
    bank = StyleBank.from_images(list(photos.flip(1)), "mkl")
    seen, unseen = (StyleTransfer("mkl", styles=bank, p=0.5, seed=3) for _ in range(2))
    before = torch.get_rng_state()
    first, second = seen.show(photos), seen.show(photos)
    assert torch.equal(torch.get_rng_state(), before)
    assert first.tobytes() == second.tobytes() != seen.show(photos, seed=1).tobytes()
    assert seen.make_params(photos) == unseen.make_params(photos)


@pytest.mark.parametrize("scale", [1, 255, 65535])
def test_show_takes_what_the_transform_takes(photos, scale):
    dtype = {1: torch.float32, 255: torch.uint8, 65535: torch.uint16}[scale]
    photos = (photos * 255).round() / 255
    transform = StyleTransfer("mkl", p=1.0)
    given = (photos * scale).round() if scale > 1 else photos
    sheet = transform.show(given.to(dtype), limit=2)
    assert sheet.size == transform.show(photos, limit=2).size
    assert abs(_cell(sheet, 0) - _cell(transform.show(photos, limit=2), 0)).max() <= 2
    with pytest.raises(ValueError, match="limit"):
        transform.show(photos, limit=0)


def test_values_of_another_unit_are_shown_in_their_window():
    images = torch.tensor([-160.0, 40.0]).view(2, 1, 1, 1).expand(2, 1, 64, 64)
    sheet = StyleTransfer("colorist", p=1.0, value_range=(-160, 240)).show(images)
    assert [_cell(sheet, c).mean() for c in (0, 2)] == pytest.approx([0, 128], abs=1)


def test_differences_and_histograms_see_every_level():
    images = [Image.fromarray(np.full((4, 4, 3), level, dtype=np.uint8)) for level in (10, 110)]
    assert difference(*images).getpixel((0, 0)) == (178, 178, 178)
    assert difference(*images[::-1]).getpixel((0, 0)) == (78, 78, 78)
    with pytest.raises(ValueError, match="size of its content"):
        difference(images[0], Image.new("RGB", (5, 4)))
    drawn = np.asarray(histograms([images[1], None]))
    dark = drawn[:84].min(axis=(0, 2))
    assert np.abs(np.flatnonzero(dark[:,] < 100) - 110).min() <= 1
    assert (drawn[86:166] > 240).all()


def test_the_page_shows_what_stylize_will_do(folders):
    page, out = folders / "page.html", folders / "out"
    assert _run("preview", folders, "--seed", 5, "--alpha", "0.3:1", "-o", page) == 0
    text = page.read_text()
    assert text.count("data:image/jpeg;base64") == 4
    assert "http" not in text
    assert '<meta name="viewport"' in text
    assert _run("stylize", folders, "--seed", 5, "--alpha", "0.3:1", "-o", out) == 0
    rows = re.findall(r"<tr><td>(in\d.png)</td>.*?<td>([\d.]+)</td></tr>", text)
    assert len(rows) == 4
    for name, change in rows:
        before, after = (read_image(folder / name).pixels for folder in (folders / "in", out))
        mean = np.abs(before.astype(float) - after).mean()
        assert float(change) == pytest.approx(mean, abs=0.6)


def test_a_bank_a_broken_file_and_names_that_look_like_html(folders):
    assert (
        main(
            [
                "bank",
                str(folders / "styles"),
                "--stylizer",
                "mkl",
                "-o",
                str(folders / "b.safetensors"),
            ]
        )
        == 0
    )
    (folders / "in" / "in9.png").write_bytes(b"no image")
    (folders / "in" / "in0.png").rename(folders / "in" / "<b>.png")
    page = folders / "page.html"
    words = ["preview", folders / "in", "--style", folders / "b.safetensors", "-o", page]
    assert main([str(word) for word in words]) == 1
    text = page.read_text()
    assert text.count("data:image/jpeg;base64") == 4
    assert "&lt;b&gt;.png" in text
    assert "<b>" not in text


def test_what_is_wrong_is_said_before_anything_is_written(folders, capsys):
    page = folders / "page.html"
    page.write_text("mine")
    for more, message in [
        (["-o", page], "exists. Pass --overwrite"),
        (["-o", folders / "page.png"], "--output must be a .html file"),
        (["-o", ""], "--output must name"),
        (["-o", folders / "new.html", "--count", 0], "--count must be at least 1"),
    ]:
        assert _run("preview", folders, *more) == 2
        assert message in " ".join(capsys.readouterr().err.split())
    assert page.read_text() == "mine"
    assert not (folders / "new.html").exists()
    assert _run("preview", folders, "-o", page, "--overwrite", "--count", 2) == 0
    assert page.read_text().count("data:image/jpeg") == 2


def test_contents_are_spread_evenly():
    assert evenly(list(range(10)), 3) == [0, 3, 6]
    assert evenly([1, 2], 3) == [1, 2]
