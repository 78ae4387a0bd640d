"""The command line on real files: every kind comes back as it was, broken ones are named."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import png
import pytest
import tifffile
from PIL import Image

from styleaug import StyleBank, __version__, list_stylizers
from styleaug.cli import main
from styleaug.commands import arguments
from styleaug.commands.options import parse_alpha, pick_device
from styleaug.images import regions
from styleaug.images.files import find_images, read_image, write_image
from styleaug.samples import sample_images
from styleaug.stylizers import DEFAULT_STYLIZER, STYLIZERS, base
from styleaug.training import config
from styleaug.tta import merging, selection
from styleaug.weights import EXTRA


def _array(shape, dtype=np.uint8, seed=0):
    top = np.iinfo(dtype).max
    return (np.random.default_rng(seed).random(shape) * 0.5 * top + 0.2 * top).astype(dtype)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    Image.fromarray(_array((40, 50, 3))).save(folder / "rgb.png", dpi=(300, 300))
    Image.fromarray(_array((40, 50, 4))).save(folder / "rgba.png")
    Image.fromarray(_array((40, 50))).save(folder / "grey.png")
    Image.fromarray(_array((40, 50, 2))).save(folder / "la.png")
    Image.fromarray(_array((40, 50), np.uint16)).save(folder / "grey16.png")
    rows = _array((40, 50, 3), np.uint16).reshape(40, 150)
    png.from_array(rows, "RGB;16").save(str(folder / "rgb16.png"))
    tifffile.imwrite(folder / "rgb16.tif", _array((40, 50, 3), np.uint16), photometric="rgb")
    Image.fromarray(_array((40, 50), np.uint16)).save(folder / "sub" / "grey16.tiff")
    Image.fromarray(_array((40, 50, 3))).save(folder / "sub" / "photo.jpg")
    Image.fromarray(_array((33, 57, 3))).save(folder / "sub" / "odd.bmp")
    return folder


@pytest.fixture
def style(tmp_path):
    path = tmp_path / "styles"
    path.mkdir()
    for index, tint in enumerate([(200, 90, 120), (80, 130, 220)]):
        Image.fromarray((_array((48, 48, 3)) * (np.array(tint) / 255)).astype(np.uint8)).save(
            path / f"style{index}.png"
        )
    return path


def _kind(path):
    file = read_image(path)
    return file.format, file.pixels.shape, file.pixels.dtype, file.has_grey_opacity


def test_outputs_keep_name_size_depth_and_channels(folder, style, tmp_path):
    out = tmp_path / "out"
    assert main(["stylize", str(folder), "--style", str(style), "-o", str(out)]) == 0
    inputs = sorted(path.relative_to(folder) for path in folder.rglob("*.*"))
    assert sorted(path.relative_to(out) for path in out.rglob("*.*")) == inputs
    for name in inputs:
        assert _kind(out / name) == _kind(folder / name), name
        before, after = read_image(folder / name).pixels, read_image(out / name).pixels
        assert not np.array_equal(before, after)
        if before.ndim == 3 and before.shape[2] == 4:
            assert np.array_equal(before[..., 3], after[..., 3])
    with Image.open(out / "rgb.png") as image:
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_every_kind_is_read_and_written_exactly(folder, tmp_path):
    for path in find_images([folder]):
        if path.suffix != ".jpg":
            file = read_image(path)
            write_image(tmp_path / path.name, file.pixels, file)
            assert np.array_equal(read_image(tmp_path / path.name).pixels, file.pixels)


def test_deep_colour_files_keep_sixteen_bits(folder):
    assert np.array_equal(read_image(folder / "rgb16.png").pixels, _array((40, 50, 3), np.uint16))
    assert np.array_equal(read_image(folder / "rgb16.tif").pixels, _array((40, 50, 3), np.uint16))


def test_the_same_seed_gives_the_same_files_in_any_order_and_batch(folder, style, tmp_path):
    base = ["--style", str(style), "--alpha", "0.2:1.0", "--seed", "5"]
    main(["stylize", str(folder), *base, "-o", str(tmp_path / "a")])
    main(["stylize", str(folder), *base, "-o", str(tmp_path / "b"), "--batch-size", "1"])
    main(["stylize", str(folder), *base[:-1], "6", "-o", str(tmp_path / "c")])
    names = [path.relative_to(folder) for path in find_images([folder])]

    def pixels(run):
        return [read_image(tmp_path / run / name).pixels.astype(int) for name in names]

    assert all(np.abs(a - b).max() <= 1 for a, b in zip(pixels("a"), pixels("b"), strict=True))
    assert any(not np.array_equal(a, c) for a, c in zip(pixels("a"), pixels("c"), strict=True))


def test_ranks_share_the_files_and_agree(folder, style, tmp_path, monkeypatch):
    base = ["stylize", str(folder), "--style", str(style), "-o"]
    main([*base, str(tmp_path / "one")])
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in (0, 1):
        monkeypatch.setenv("RANK", str(rank))
        assert main([*base, str(tmp_path / "two"), "--skip-existing"]) == 0
    for path in find_images([tmp_path / "one"]):
        twin = tmp_path / "two" / path.relative_to(tmp_path / "one")
        one, two = (read_image(p).pixels.astype(int) for p in (path, twin))
        assert abs(one - two).max() <= 2  # networks round differently in batches of other sizes


def test_broken_files_are_named_and_the_rest_is_done(folder, style, tmp_path, capsys):
    (folder / "broken.png").write_bytes((folder / "rgb.png").read_bytes()[:300])
    (folder / "text.jpg").write_text("no image")
    Image.fromarray(_array((8, 50, 3))).save(folder / "small.png")
    out = tmp_path / "out"
    assert main(["stylize", str(folder), "--style", str(style), "-o", str(out)]) == 1
    printed = capsys.readouterr().err
    for name in ("broken.png", "text.jpg", "small.png"):
        assert name in printed
        assert not (out / name).exists()
    assert len(list(out.rglob("*.*"))) == 10


def test_nothing_existing_is_overwritten_unless_asked(folder, style, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["stylize", str(folder), "--style", str(style), "-o", str(out)]
    main(command)
    (out / "rgb.png").write_text("mine")
    assert main(command) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (out / "rgb.png").read_text() == "mine"
    (out / "grey.png").unlink()
    assert main([*command, "--skip-existing"]) == 0
    assert (out / "rgb.png").read_text() == "mine"
    assert (out / "grey.png").exists()
    assert main([*command, "--overwrite"]) == 0
    assert (out / "rgb.png").read_bytes()[:4] == b"\x89PNG"


def test_an_output_that_is_an_input_is_refused(folder, style, capsys):
    command = ["stylize", str(folder), "--style", str(style), "-o", str(folder), "--overwrite"]
    assert main(command) == 2
    assert "one of the inputs" in capsys.readouterr().err


def test_no_half_written_file_is_left_behind(tmp_path, monkeypatch):
    file = read_image(sample_images()[0])

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("styleaug.images.files._encode", fail)
    with pytest.raises(KeyboardInterrupt):
        write_image(tmp_path / "x.png", file.pixels, file)
    assert not list(tmp_path.iterdir())


def test_every_content_in_every_style_with_a_grid(folder, style, tmp_path):
    out, grid = tmp_path / "out", tmp_path / "grid.png"
    command = ["stylize", str(folder / "*.png"), "--style", str(style), "--each-style"]
    assert main([*command, "-o", str(out), "--grid", str(grid)]) == 0
    assert {path.name for path in out.iterdir()} == {"style0", "style1"}
    first, second = (read_image(out / name / "rgb.png").pixels for name in ("style0", "style1"))
    assert not np.array_equal(first, second)
    with Image.open(grid) as image:
        assert image.width > 3 * 160


def test_contents_can_be_resized(folder, style, tmp_path):
    command = ["stylize", str(folder / "rgb.png"), "--style", str(style), "--size", "64"]
    assert main([*command, "-o", str(tmp_path / "out")]) == 0
    assert read_image(tmp_path / "out" / "rgb.png").pixels.shape == (51, 64, 3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--alpha", "2"], "alpha must be a number in"),
        (["--alpha", "weak"], "--alpha must be a number or LOW:HIGH"),
        (["--stylizer", "nope"], "stylizer must be one of"),
        (["--device", "cuda:9"], "device must name a device"),
        (["--batch-size", "0"], "--batch-size must be at least 1"),
        (["--grid", "grid.gif"], "--grid must be"),
        (["--style", "nowhere"], "nowhere"),
        (["--stylizer", "colorist", "--weights", "x"], "has no weights"),
    ],
)
def test_wrong_arguments_are_one_line_and_status_2(folder, style, tmp_path, capsys, change, words):
    out = tmp_path / "out"
    command = ["stylize", str(folder), "--style", str(style), "-o", str(out), *change]
    assert main(command) == 2
    assert words in capsys.readouterr().err
    assert not out.exists()


def test_two_contents_of_one_name_are_refused(folder, style, tmp_path, capsys):
    contents = [str(folder / "rgb.png"), str(folder / "sub" / "photo.jpg"), str(folder)]
    assert main(["stylize", *contents, "--style", str(style), "-o", str(tmp_path / "o")]) in (0, 2)
    other = tmp_path / "other"
    other.mkdir()
    Image.fromarray(_array((40, 50, 3))).save(other / "rgb.png")
    contents = [str(folder / "rgb.png"), str(other / "rgb.png")]
    assert main(["stylize", *contents, "--style", str(style), "-o", str(tmp_path / "p")]) == 2
    assert "would both be written" in capsys.readouterr().err


def test_an_empty_folder_is_refused(style, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    command = ["stylize", str(tmp_path / "empty"), "--style", str(style), "-o", str(tmp_path / "o")]
    assert main(command) == 2
    assert "holds none" in capsys.readouterr().err


def test_the_table_fits_eighty_columns_and_cuts_no_name(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    for name in list_stylizers():
        assert any(line.startswith(f"{name} ") for line in lines), name
    assert lines[len(list_stylizers()) + 1] == ""  # one line for each of them
    text = " ".join(lines)
    assert "…" not in text
    assert "histogram: not for CT" in text
    assert "fda: not for CT" in text


def test_the_table_says_whether_weights_are_at_hand(capsys, monkeypatch):
    def listed():
        assert main(["list"]) == 0
        text = capsys.readouterr().out
        rows = text.splitlines()[1 : 1 + len(list_stylizers())]
        return {row.split()[0]: row.split("  ")[-1].strip() for row in rows}, text

    monkeypatch.setenv("COLUMNS", "100")
    states, text = listed()
    assert states["colorist"] == "none"
    assert states["micro"] == "shipped"
    assert states["rast"] == "installed"
    assert states["stylizing-vit-tiny"] == "installed"
    assert states["stylizing-vit-small"] == "on the Hub"
    assert "to install: " not in text
    # as if those of micro were in the distribution of weights, there or not, and one were cached
    larger = replace(STYLIZERS["micro"].weights[0], package=EXTRA, file="stylex.safetensors")
    monkeypatch.setitem(STYLIZERS, "micro", replace(STYLIZERS["micro"], weights=(larger,)))
    assert listed()[0]["micro"] == "installed"
    monkeypatch.setitem(sys.modules, EXTRA, None)
    monkeypatch.setattr(
        "styleaug.weights.try_to_load_from_cache",
        lambda owner, file, revision: file if "epistr" in owner else None,
    )
    states, text = listed()
    assert states["micro"] == "to install"
    assert states["stylizing-vit-small"] == "cached"
    assert "to install: pip install 'styleaug[weights]'" in text
    assert main(["list", "stylizing-vit-small"]) == 0
    page = " ".join(capsys.readouterr().out.split())
    assert ", cached from sdoerrich97/stylizing_vit_small_epistr" in page
    assert "not cached, from sdoerrich97/stylizing_vit_small_cholec80" in page


@pytest.mark.parametrize("name", list_stylizers())
def test_every_stylizer_has_a_page_with_its_weights(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    assert main(["list", name]) == 0
    printed = capsys.readouterr().out
    words = printed.split()
    assert words[0] == name
    for item in STYLIZERS[name].weights:
        assert item.name in words
        assert item.repository is None or item.repository in words
    assert all(word in words for word in STYLIZERS[name].source.split())


def test_a_page_that_is_not_there(capsys):
    assert main(["list", "nope"]) == 2
    assert "NAME must be one of" in capsys.readouterr().err


def test_the_demo_runs_as_a_program(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "styleaug", "demo", "-o", str(tmp_path / "demo")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "grid.png" in done.stderr
    assert len(list((tmp_path / "demo").glob("*/*.*"))) == 4 * len(sample_images())


def test_the_demo_paints_every_sample_in_four_styles(tmp_path, capsys):
    target = tmp_path / "demo"
    for _ in range(2):  # a second demo replaces the first
        assert main(["demo", "--stylizer", "colorist", "-o", str(target)]) == 0
    names = {path.name for path in sample_images()}
    styles = [path for path in target.iterdir() if path.is_dir()]
    assert len(styles) == 4
    assert all({path.name for path in style.iterdir()} == names for style in styles)
    assert f"across: {target / 'grid.png'}" in capsys.readouterr().err.replace("\n", "")
    with Image.open(target / "grid.png") as sheet:
        assert sheet.width > 5 * 100


def test_samples_are_small_and_make_a_bank():
    paths = sample_images()
    assert sum(path.stat().st_size for path in paths) < 1.5e6
    assert len(StyleBank.from_files(paths, "colorist")) == len(paths)


@pytest.mark.parametrize("command", [[], ["stylize"], ["demo"], ["list"], ["train"]])
def test_help_shows_examples(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*command, "--help"])
    assert stop.value.code == 0
    assert "examples:" in capsys.readouterr().out


def test_alpha_and_device_are_read():
    assert parse_alpha("0.7") == (0.7, 0.7)
    assert pick_device("cpu") == "cpu"


@pytest.mark.parametrize("mode", ["CMYK", "F"])
def test_other_kinds_of_images_are_refused(tmp_path, mode):
    path = tmp_path / "x.tiff"
    Image.new(mode, (40, 40)).save(path)
    with pytest.raises(ValueError, match="must be grey, RGB or RGBA"):
        read_image(path)


def test_files_with_several_images_are_refused(tmp_path):
    path = tmp_path / "stack.tiff"
    pages = [Image.new("L", (40, 40), shade) for shade in (0, 9)]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    with pytest.raises(ValueError, match="must hold one image, got 2"):
        read_image(path)


HEAVY = ("torch", "numpy", "PIL", "rich.console")


@pytest.mark.parametrize(
    "words",
    [["--version"], ["--help"], *([name, "--help"] for name in ("stylize", "train", "tta"))],
)
def test_help_and_version_import_nothing_that_takes_time(words):
    code = f"""
import sys
from styleaug.cli import main
try:
    main({words!r})
except SystemExit as stop:
    print([name for name in {HEAVY!r} if name in sys.modules], stop.code)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[] 0"


@pytest.mark.parametrize(("given", "policy"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_of_pytorch_leave_their_core_to_the_files_while_they_wait(given, policy):
    code = """
import os, sys
class Watch:
    def find_spec(self, name, *_):
        if name == "torch":
            print(os.environ.get("OMP_WAIT_POLICY"))
            sys.exit(0)
sys.meta_path.insert(0, Watch())
from styleaug.cli import main
main(["stylize", "none", "--style", "none", "-o", "none"])
"""
    clean = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    env = clean if given is None else {**clean, "OMP_WAIT_POLICY": given}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert done.stdout.split() == [policy], done.stderr


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out.strip() == f"styleaug {__version__}"


def test_choices_are_those_of_the_library():
    assert arguments.STYLIZER == DEFAULT_STYLIZER
    assert arguments.PRECISIONS == base.PRECISIONS
    assert tuple(regions.REGIONS) == arguments.REGIONS
    assert arguments.TRAINING_PRECISIONS == config.PRECISIONS
    assert arguments.SELECTS == selection.SELECTS
    assert arguments.MERGES == merging.MERGES
    assert arguments.ACTIVATIONS == merging.ACTIVATIONS


# what a shell starts in the background ignores interrupts, and so would all that it starts
HEARING = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("sign", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
def test_a_signal_ends_the_run_without_a_traceback(folder, style, tmp_path, sign, status):
    Image.fromarray(_array((320, 320, 3))).save(folder / "tile_000.png")
    tile = (folder / "tile_000.png").read_bytes()
    for index in range(1, 200):  # seconds of work, so that the signal comes before the end
        (folder / f"tile_{index:03}.png").write_bytes(tile)
    out = tmp_path / "out"
    words = ["stylize", str(folder), "--style", str(style), "--stylizer", "mkl", "-o", str(out)]
    one_by_one = ["--batch-size", "1"]
    run = subprocess.Popen(
        [sys.executable, "-c", HEARING, sys.executable, "-m", "styleaug", *words, *one_by_one],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    while run.poll() is None and not list(out.glob("*.png")):
        time.sleep(0.01)
    run.send_signal(sign)
    printed, _ = run.communicate(timeout=60)
    assert run.returncode == status, printed
    assert "Traceback" not in printed
    assert not list(out.rglob(".*"))
    assert len(list(out.rglob("*.*"))) < 210


def test_brackets_in_names_are_no_markup(style, tmp_path, capsys):
    folder, out = tmp_path / "a[" / "b]", tmp_path / "c[" / "d]"
    folder.mkdir(parents=True)
    Image.fromarray(_array((40, 50, 3))).save(folder / "tile[red].png")
    (folder / "z.png").write_text("no image")
    words = ["stylize", str(folder), "--style", str(style), "--stylizer", "colorist"]
    assert main([*words, "-o", str(out)]) == 1
    printed = capsys.readouterr().err
    assert str(folder / "z.png") in printed
    assert str(out) in printed
    assert [path.name for path in out.iterdir()] == ["tile[red].png"]
    assert main([*words, "-o", str(out)]) == 2
    assert str(out / "tile[red].png") in capsys.readouterr().err
