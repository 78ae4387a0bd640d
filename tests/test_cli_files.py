"""Odd files on the command line, and what must never happen to the user's own."""

import threading
import warnings

import numpy as np
import pytest
import tifffile
from PIL import Image

from styleaug import StyleBank, StyleTransfer
from styleaug.cli import main
from styleaug.commands.overlap import WriteBehind, read_ahead, threads
from styleaug.images.files import read_image


def _pixels(seed, shape=(40, 48, 3), top=200):
    return np.random.default_rng(seed).integers(20, top, shape, dtype=np.uint8)


@pytest.fixture
def folders(tmp_path):
    """Two contents and three styles."""
    for name, count in (("in", 2), ("st", 3)):
        (tmp_path / name).mkdir()
        for index in range(count):
            pixels = _pixels(10 * count + index, top=120 if name == "in" else 250)
            Image.fromarray(pixels).save(tmp_path / name / f"{index}.png")
    return tmp_path


def _stylize(folders, *words):
    base = ["stylize", folders / "in", "--style", folders / "st", "-o", folders / "out"]
    return main([str(word) for word in (*base, *words)])


def _outputs(folder):
    return {path.name: read_image(path).pixels for path in sorted(folder.rglob("*.png"))}


def _same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


@pytest.fixture
def bank(folders):
    path = folders / "bank.safetensors"
    assert main(["bank", str(folders / "st"), "--stylizer", "mkl", "-o", str(path)]) == 0
    return path


def test_a_bank_is_a_style(folders, bank):
    assert _stylize(folders, "--stylizer", "mkl", "-o", folders / "a") == 0
    assert _stylize(folders, "--style", bank, "-o", folders / "b") == 0  # mkl, as the bank says
    assert _same(_outputs(folders / "a"), _outputs(folders / "b"))


def test_a_bank_and_images_are_styles_together(folders, bank):
    words = ["--each-style", "--grid", folders / "grid.png"]
    assert _stylize(folders, "--style", bank, folders / "in" / "0.png", *words) == 0
    names = sorted(path.name for path in (folders / "out").iterdir())
    assert names == ["0", "0-2", "1", "2"]
    painted = read_image(folders / "out" / "0" / "0.png").pixels
    own = read_image(folders / "in" / "0.png").pixels
    assert np.abs(painted.astype(int) - own).max() <= 1  # its own colours
    with Image.open(folders / "grid.png") as grid:
        assert grid.width > 5 * 160


def test_a_bank_of_another_stylizer_is_refused(folders, bank, capsys):
    assert _stylize(folders, "--style", bank, "--stylizer", "colorist") == 2
    assert "'mkl'" in capsys.readouterr().err


def test_no_input_of_any_role_is_a_target(folders, bank, capsys, tmp_path):
    before = {path: path.read_bytes() for path in folders.rglob("*.*")}
    content, style = folders / "in" / "0.png", folders / "st" / "0.png"
    shared = ["--overwrite", "--stylizer", "mkl"]
    (folders / "net.ts").write_bytes(b"a model")
    before[folders / "net.ts"] = b"a model"
    tta = ["tta", "--model", folders / "net.ts", "--bank", bank, "--input", folders / "in"]
    evaluate = ["evaluate", "--content", folders / "in", "--style", folders / "st", "-o"]
    Image.fromarray(_pixels(0)).save(folders / "st" / "grid.png")
    before[folders / "st" / "grid.png"] = (folders / "st" / "grid.png").read_bytes()
    for words in (
        ["stylize", folders / "in", "--style", folders / "st", "-o", folders / "st"],
        ["stylize", folders / "in", "--style", folders / "st", "--grid", content],
        ["stylize", folders / "in", "--style", folders / "st", "--grid", style],
        ["stylize", folders / "in", "--style", style, "-o", folders / "o", "--grid",
         folders / "o" / "0.png"],
        ["bank", folders / "st", "--weights", bank, "-o", bank],
    ):  # fmt: skip
        assert main([str(word) for word in (*words, *shared)]) == 2, words
        assert "is one of the inputs" in capsys.readouterr().err
    for words in (
        [*tta, "--out", bank, "--overwrite"],
        [*tta, "--out", folders / "net.ts", "--overwrite"],
        [*tta, "--out", content, "--overwrite"],
        [*evaluate, folders / "st"],
    ):
        assert main([str(word) for word in words]) == 2, words
        assert "is one of the inputs" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in folders.rglob("*.*")} == before


def test_what_other_ranks_read_is_no_target_either(folders, capsys, monkeypatch):
    (folders / "in" / "sub").mkdir()
    other = folders / "in" / "sub" / "0.png"
    Image.fromarray(_pixels(7)).save(other)
    before = other.read_bytes()
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("RANK", "0")  # reads in/0.png, and would write where another rank reads
    assert _stylize(folders, "-o", folders / "in" / "sub", "--overwrite") == 2
    assert "is one of the inputs" in capsys.readouterr().err
    assert other.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["stylize", "", "--style", "st", "-o", "out"], "path must name a file"),
        (["stylize", "in", "--style", "", "-o", "out"], "path must name a file"),
        (["stylize", "in", "--style", "st", "-o", ""], "--output must name"),
        (["bank", "", "-o", "x.safetensors"], "path must name a file"),
        (["tta", "--model", "m", "--bank", "b", "--input", "", "--out", "x"], "path must name"),
        (["tta", "--model", "m", "--bank", "b", "--input", "in", "--out", ""], "--out must name"),
        (["evaluate", "--content", "", "--style", "st", "-o", "out"], "path must name a file"),
        (["evaluate", "--content", "in", "--style", "st", "-o", ""], "--output must name"),
        (["evaluate", "--content", "in", "--style", "st", "--stylized", "", "-o", "o"],
         "--stylized must name"),
    ],
)  # fmt: skip
def test_an_unset_variable_takes_nothing(folders, monkeypatch, capsys, words, message):
    monkeypatch.chdir(folders)
    before = sorted(folders.rglob("*"))
    assert main(words) == 2
    assert message in capsys.readouterr().err
    assert sorted(folders.rglob("*")) == before


def test_a_jpeg_in_printing_colours_stays_one(folders):
    path = folders / "in" / "print.jpg"
    smooth = Image.fromarray(_pixels(3)).resize((12, 10)).resize((48, 40), Image.Resampling.BICUBIC)
    smooth.convert("CMYK").save(path, quality=95)
    assert _stylize(folders, "--stylizer", "colorist") == 0
    with Image.open(folders / "out" / "print.jpg") as image:
        assert (image.mode, image.size) == ("CMYK", (48, 40))
        painted = np.asarray(image.convert("RGB")).astype(float)
    file = read_image(path)
    bank = StyleBank.from_files(folders / "st", "colorist")
    transform = StyleTransfer("colorist", styles=bank, p=1.0, seed=0)
    expected = transform(file.pixels, ids=["print.jpg"]).astype(float)
    assert np.abs(painted - expected).mean() < 4.0


@pytest.mark.parametrize("suffix", ["webp", "gif", "jp2"])
def test_other_kinds_in_folders_are_named(folders, capsys, suffix):
    other = folders / "in" / f"scan.{suffix}"
    Image.fromarray(_pixels(3)).save(other)
    assert _stylize(folders, "--stylizer", "colorist") == 0
    assert f"passed over 1 images of kinds that are not read, such as scan.{suffix}" in (
        capsys.readouterr().err.replace("\n", " ")
    )
    (folders / "only").mkdir()
    other.rename(folders / "only" / other.name)
    words = ["stylize", str(folders / "only"), "--style", str(folders / "st"), "-o", "o"]
    assert main(words) == 2
    assert f"holds none. It holds 1 images of kinds that are not read, such as scan.{suffix}" in (
        capsys.readouterr().err.replace("\n", " ")
    )
    (folders / "only" / other.name).rename(folders / "st" / other.name)
    with pytest.warns(UserWarning, match="passed over 1 images"):
        StyleBank.from_files(folders / "st", "colorist")


@pytest.fixture
def deep(folders):
    """A grey TIFF of 12 bits in 16."""
    pixels = np.random.default_rng(0).integers(100, 3681, (40, 48), dtype=np.uint16)
    tifffile.imwrite(folders / "in" / "deep.tif", pixels)
    return folders


@pytest.mark.parametrize("words", [["--bits", "12"], ["--window", "0:4095"]])
def test_files_of_twelve_bits_stay_in_their_range(deep, capsys, words):
    assert _stylize(deep, "--stylizer", "colorist", *words) == 0
    assert "warning" not in capsys.readouterr().err
    before = read_image(deep / "in" / "deep.tif").pixels
    after = read_image(deep / "out" / "deep.tif").pixels
    assert after.dtype == np.uint16
    assert after.max() <= 4095
    bank = StyleBank.from_files(deep / "st", "colorist")
    transform = StyleTransfer("colorist", styles=bank, p=1.0, value_range=(0, 4095))
    assert np.array_equal(transform(before, ids=["deep.tif"]), after)


def test_values_outside_the_window_stay(deep):
    assert _stylize(deep, "--stylizer", "colorist", "--window", "500:3000", "--size", "40") == 0
    after = read_image(deep / "out" / "deep.tif").pixels
    assert after.shape == (33, 40)
    assert after.min() < 500


def test_twelve_bits_taken_for_sixteen_are_warned_of(deep, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert _stylize(deep, "--stylizer", "colorist") == 0
    printed = capsys.readouterr().err.replace("\n", " ")
    assert "warning: 16-bit images use 12 bits only" in printed
    assert "--bits 12" in printed
    assert ".py" not in printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--bits", "17"], "--bits must be between 1 and 16"),
        (["--bits", "12", "--window", "0:1"], "--bits or --window"),
        (["--window", "5:1"], "--window must be LOW:HIGH"),
        (["--window", "low:high"], "--window must be LOW:HIGH"),
        (["--workers", "0"], "--workers must be at least 1"),
    ],
)
def test_wrong_ranges_are_refused(folders, capsys, words, message):
    assert _stylize(folders, *words) == 2
    assert message in capsys.readouterr().err
    assert not (folders / "out").exists()


def test_banks_are_built_in_a_range_of_their_own(deep):
    words = ["bank", deep / "in" / "deep.tif", "--stylizer", "colorist", "--bits", "12", "-o"]
    assert main([str(word) for word in (*words, deep / "b.safetensors")]) == 0
    mean = StyleBank.load(deep / "b.safetensors").code.maps["mean"].mean()
    assert mean == pytest.approx(
        read_image(deep / "in" / "deep.tif").pixels.mean() / 4095, abs=1e-3
    )


def test_what_a_tiff_loses_is_said_once(folders, capsys):
    for index in range(3):
        path = folders / "in" / f"{index}.tif"
        Image.fromarray(_pixels(index)).save(path, compression="tiff_lzw")
    assert _stylize(folders, "--stylizer", "colorist") == 0
    assert capsys.readouterr().err.count("LZW compression becomes deflate (said once)") == 1


def test_small_files_go_through_colour_and_are_named_by_networks(folders, capsys):
    Image.fromarray(_pixels(3, (28, 28, 3))).save(folders / "in" / "small.png")
    assert _stylize(folders, "--stylizer", "colorist") == 0
    assert read_image(folders / "out" / "small.png").pixels.shape == (28, 28, 3)
    Image.fromarray(_pixels(3, (8, 8, 3))).save(folders / "in" / "small.png")
    assert _stylize(folders, "--stylizer", "micro", "--overwrite") == 1
    assert "small.png: image must have sides of at least" in capsys.readouterr().err


def test_any_number_of_workers_writes_the_same(folders):
    for index in range(9):
        Image.fromarray(_pixels(index)).save(folders / "in" / f"more{index}.png")
    words = ["--stylizer", "colorist", "--alpha", "0.2:1.0", "--batch-size", "2"]
    for workers in ("1", "3"):
        assert _stylize(folders, *words, "--workers", workers, "-o", folders / workers) == 0
    assert _same(_outputs(folders / "1"), _outputs(folders / "3"))


def test_a_write_that_fails_ends_the_run_in_one_line(folders, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("styleaug.images.files._encode", full)
    assert _stylize(folders, "--stylizer", "colorist") == 2
    assert "No space left on device" in capsys.readouterr().err
    assert not list((folders / "out").rglob("*.*"))


def test_reading_and_writing_go_on_while_something_is_painted():
    reading, written = threading.Event(), threading.Event()

    def read(item):
        if item == 1:
            reading.set()
        return 10 * item

    def write(value):
        if value == 0:
            written.set()

    with threads(2) as pool:
        writes, seen = WriteBehind(pool, 2), []
        for item, future in read_ahead(pool, read, range(5), 3):
            seen.append((item, future.result()))
            if item == 0:  # "painting" the first: the second is being read meanwhile
                assert reading.wait(30)
            if item == 1:  # "painting" the second: the first is being written
                assert written.wait(30)
            writes.submit(write, future.result())
        writes.finish()
    assert seen == [(item, 10 * item) for item in range(5)]


def test_no_more_than_asked_is_read_ahead_or_waits_to_be_written():
    begun, gate = [], threading.Event()
    with threads(1) as pool:
        reads = read_ahead(pool, begun.append, range(20), 3)
        next(reads)[1].result()
        next(reads)[1].result()
        assert len(begun) <= 2 + 3
        list(reads)
    with threads(4) as pool:
        writes = WriteBehind(pool, 2)
        for _ in range(2):
            writes.submit(gate.wait, 30)
        assert len(writes.begun) == 2
        gate.set()
        writes.submit(int)
        assert len(writes.begun) <= 2
        writes.submit(int, "no number")
        with pytest.raises(ValueError, match="no number"):
            writes.finish()
