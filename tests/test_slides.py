"""Whole slides: streamed to a pyramid and to tiles, stopped and gone on with, broken, refused."""

import pickle
import shutil
import tracemalloc
from itertools import product

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, VLWholeSlideMicroscopyImageStorage, generate_uid
from torch.utils.data import DataLoader

from styleaug import StyleBank, create_stylizer
from styleaug.cli import main
from styleaug.images import find_images, open_image
from styleaug.images.slide import OpenSlideSlide
from styleaug.images.slide_tissue import grid
from styleaug.samples import sample_images
from styleaug.slides import SlideStyle, SlideTiles, open_slide, stylize_slide
from styleaug.slides.codec import encode_tile, page_options
from styleaug.slides.spool import Spool

WIDTH, HEIGHT = 600, 450
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
NUCLEI = [path for path in sample_images() if path.stem.startswith("nuclei-p")]


def _tissue():
    """Glass with a piece of tissue on it."""
    pixels = np.full((HEIGHT, WIDTH, 3), 243, np.uint8)
    tissue = np.asarray(Image.open(NUCLEI[0]).convert("RGB").resize((400, 300)))
    pixels[80:380, 120:520] = tissue
    return pixels


def _write_svs(path, compression="jpeg"):
    """A slide like those of Aperio's scanners: levels, thumbnail, text."""
    pixels = _tissue()
    text = (
        "Aperio Image Library v11.2.1 \r\n600x450 (256x256) JPEG/RGB Q=90|AppMag = 20|MPP = 0.4990"
    )
    how = {"photometric": "rgb", "metadata": None, "compression": compression}
    with tifffile.TiffWriter(path) as file:
        file.write(pixels, tile=(128, 128), description=text, iccprofile=PROFILE, **how)
        file.write(pixels[::3, ::3], rowsperstrip=16, description=text, **how)
        file.write(pixels[::2, ::2], tile=(128, 128), description=text, subfiletype=0, **how)
    return path


@pytest.fixture(scope="module")
def slide_path(tmp_path_factory):
    return _write_svs(tmp_path_factory.mktemp("slide") / "slide.svs")


def _style(path, name="mkl"):
    stylizer = create_stylizer(name)
    style = np.array(Image.open(NUCLEI[1]).convert("RGB"))
    code = stylizer.encode_style(torch.from_numpy(style).permute(2, 0, 1)[None].float() / 255)
    with_slide = open_slide(path)
    try:
        return SlideStyle.of_slide(with_slide, name, code, 0.9)
    finally:
        with_slide.close()


def _pixels(path, level=0):
    slide = open_slide(path, level)
    try:
        return slide.read((0, 0, *slide.size))[0]
    finally:
        slide.close()


def _paint(path, out, style, **how):
    slide = open_slide(path)
    try:
        return stylize_slide(slide, out, style, tile=128, **how)
    finally:
        slide.close()


def test_a_slide_is_read_as_it_was_written(slide_path, tmp_path):
    slide = open_slide(slide_path)
    assert (slide.size, slide.levels, slide.icc) == ((WIDTH, HEIGHT), 2, PROFILE)
    assert slide.pixel_size == (0.499, 0.499)
    small = open_slide(slide_path, 1)
    assert (small.size, small.pixel_size) == ((300, 225), (0.998, 0.998))
    exact = _write_svs(tmp_path / "exact.svs", "zlib")
    lossless = open_slide(exact)
    pixels, broken = lossless.read((100, 70, 301, 222))
    assert np.array_equal(pixels, _tissue()[70:292, 100:401])
    assert not broken
    for each in (slide, small, lossless):
        each.close()


@pytest.mark.parametrize("name", ["appearance", "colorist", "histogram", "mkl", "reinhard"])
def test_in_one_piece_and_in_tiles_it_is_the_same(slide_path, tmp_path, name):
    style, out = _style(slide_path, name), tmp_path / "out.ome.tiff"
    _paint(slide_path, out, style, compression="deflate")
    whole = style(_pixels(slide_path)).astype(int)
    assert np.abs(_pixels(out) - whole).max() <= 1
    assert np.abs(_pixels(slide_path) - whole).mean() > 3  # it was painted


def test_the_pyramid_is_one_of_ome_and_keeps_what_the_slide_says(slide_path, tmp_path):
    out = tmp_path / "out.ome.tiff"
    painting = _paint(slide_path, out, _style(slide_path))
    assert painting.sizes == [(600, 450), (300, 225), (150, 113), (75, 57)]
    with tifffile.TiffFile(out) as file:
        assert file.is_ome
        levels = file.series[0].levels
        assert [level.shape for level in levels] == [(h, w, 3) for w, h in painting.sizes]
        assert all(level.keyframe.is_tiled for level in levels)
        assert file.pages.first.compression == tifffile.COMPRESSION.JPEG
        assert file.pages.first.iccprofile == PROFILE
        full, half = (level.asarray().astype(float) for level in levels[:2])
    means = full[:, :600].reshape(225, 2, 300, 2, 3).mean(axis=(1, 3))
    assert np.abs(means - half).mean() < 3
    back = open_slide(out)
    assert back.pixel_size == pytest.approx((0.499, 0.499))
    back.close()
    assert not list(tmp_path.glob("*.tiles"))


def test_stopped_anywhere_and_gone_on_with_it_is_the_same_file(slide_path, tmp_path):
    style = _style(slide_path, "appearance")
    _paint(slide_path, tmp_path / "whole.tiff", style, workers=1)
    for stop in (1, 9, 24):

        def interrupt(done, total, stop=stop):
            if done == stop:
                raise KeyboardInterrupt

        out = tmp_path / f"{stop}.tiff"
        with pytest.raises(KeyboardInterrupt):
            _paint(slide_path, out, style, advance=interrupt)
        assert not out.exists()
        kept = {p: p.stat().st_mtime_ns for p in (tmp_path / f"{stop}.tiff.tiles").rglob("*.tile")}
        assert len(kept) >= stop
        _paint(slide_path, out, style, workers=3)
        assert out.read_bytes() == (tmp_path / "whole.tiff").read_bytes()


def test_tiles_of_other_settings_are_refused_and_replaced_when_asked(slide_path, tmp_path):
    out = tmp_path / "out.tiff"
    Spool(out, {"tile": 1}).write(0, 0, b"other", broken=False)
    with pytest.raises(FileExistsError, match="other settings"):
        _paint(slide_path, out, _style(slide_path))
    _paint(slide_path, out, _style(slide_path), overwrite=True)
    with pytest.raises(FileExistsError, match="exists"):
        _paint(slide_path, out, _style(slide_path))


def _break_a_tile(path):
    """Damage the tile at (256, 128) of the finest level."""
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        offset, count = page.dataoffsets[7], page.databytecounts[7]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\0" * count)


def test_a_broken_tile_is_white_and_named_and_all_else_is_painted(tmp_path, capsys):
    path = _write_svs(tmp_path / "slide.svs", "zlib")
    style = _style(path)
    _paint(path, tmp_path / "good.tiff", style, compression="deflate")
    _break_a_tile(path)
    painting = _paint(path, tmp_path / "out.tiff", style, compression="deflate")
    assert painting.broken == [(256, 128, 128, 128)]
    good, out = _pixels(tmp_path / "good.tiff"), _pixels(tmp_path / "out.tiff")
    assert (out[128:256, 256:384] == 255).all()
    out[128:256, 256:384] = good[128:256, 256:384]
    assert np.array_equal(out, good)
    words = ["stylize", path, "--style", NUCLEI[0], "--tile", 128, "-o", tmp_path / "b.tiff"]
    assert main([str(word) for word in words]) == 1
    assert "broken at (256, 128, 128, 128)" in capsys.readouterr().err.replace("\n", " ")


def test_a_full_disk_keeps_what_was_done(slide_path, tmp_path, monkeypatch):
    style, out, write = _style(slide_path), tmp_path / "out.tiff", Spool.write
    done = []

    def full(self, level, index, data, *, broken):
        if len(done) == 10:
            raise OSError(28, "No space left on device")
        done.append(index)
        write(self, level, index, data, broken=broken)

    monkeypatch.setattr(Spool, "write", full)
    with pytest.raises(OSError, match="No space left"):
        _paint(slide_path, out, style, workers=1)
    monkeypatch.setattr(Spool, "write", write)
    assert len(list((tmp_path / "out.tiff.tiles").rglob("*.tile"))) == 10
    _paint(slide_path, out, style)
    assert out.exists()


def test_the_command_paints_a_slide_with_a_bank(slide_path, tmp_path, capsys):
    bank = tmp_path / "bank.safetensors"
    StyleBank.from_images(
        [np.array(Image.open(p).convert("RGB")) for p in NUCLEI], "appearance"
    ).save(bank)
    words = ["stylize", slide_path, "--style", bank, "--level", 1, "--tile", 128, "--seed", 3]
    words += ["-o", tmp_path / "out.ome.tiff"]
    assert main([str(word) for word in words]) == 0
    assert _pixels(tmp_path / "out.ome.tiff").shape == (225, 300, 3)
    assert main([str(word) for word in words]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([str(word) for word in [*words, "--skip-existing"]]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--stylizer", "micro"], "'micro' does not"),
        (["--level", "2"], "level must be between 0 and 1"),
        (["--tile", "100"], "multiple of 16"),
        (["--grid", "grid.png"], "not for slides"),
        (["--slices", "some"], "--slices must be"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_work(slide_path, tmp_path, capsys, words, message):
    base = ["stylize", str(slide_path), "--style", str(NUCLEI[0]), "-o", str(tmp_path / "o.tiff")]
    assert main([*base, *words]) == 2
    assert message in capsys.readouterr().err.replace("\n", " ")
    assert not list(tmp_path.iterdir())


def test_options_of_slides_are_refused_for_folders(tmp_path, capsys):
    words = ["stylize", str(NUCLEI[0]), "--style", str(NUCLEI[1]), "-o", str(tmp_path / "out")]
    assert main([*words, "--tile", "256"]) == 2
    assert "--tile is for a slide" in capsys.readouterr().err


def test_tiles_of_tissue_are_those_of_the_painted_slide(slide_path, tmp_path):
    style = _style(slide_path, "appearance")
    _paint(slide_path, tmp_path / "out.tiff", style, compression="deflate")
    painted = _pixels(tmp_path / "out.tiff")
    tiles = SlideTiles(slide_path, style, tile=64)
    assert 10 < len(tiles) < 30  # the tissue covers 30 tiles' area, of 63
    for index, (x, y, w, h) in enumerate(tiles.regions):
        cut = painted[y : y + h, x : x + w].astype(int)
        assert np.abs(tiles[index].permute(1, 2, 0).numpy() - cut).max() <= 1
        assert 80 - 32 <= y <= 380 - 32  # half of it is tissue at least
        assert 120 - 32 <= x <= 520 - 32
    copy = pickle.loads(pickle.dumps(tiles))
    assert torch.equal(copy[3], tiles[3])
    plain = SlideTiles(slide_path, tile=64, transform=lambda tile: tile.float().mean())
    assert plain[0].ndim == 0
    with pytest.raises(ValueError, match="tissue must leave a tile"):
        SlideTiles(slide_path, tile=256, tissue=1.0)
    for each in (tiles, copy, plain):
        each.slide.close()


def test_loader_workers_give_the_same_tiles(slide_path):
    tiles = SlideTiles(slide_path, _style(slide_path), tile=64)
    loader = DataLoader(tiles, batch_size=8, num_workers=2, multiprocessing_context="spawn")
    batches = torch.cat(list(loader))
    assert torch.equal(batches, torch.stack([tiles[i] for i in range(len(tiles))]))
    tiles.slide.close()


def test_openslide_reads_the_same_slide(slide_path):
    slide = OpenSlideSlide(slide_path)
    ours, theirs = _pixels(slide_path), slide.read((0, 0, WIDTH, HEIGHT))[0]
    assert (slide.size, slide.levels) == ((WIDTH, HEIGHT), 2)
    assert np.abs(ours.astype(int) - theirs).mean() < 2
    slide.close()


def test_a_slide_within_its_tissue_has_no_seams_and_leaves_the_glass(slide_path, tmp_path):
    stylizer = create_stylizer("mkl", region="tissue")
    style = np.array(Image.open(NUCLEI[1]).convert("RGB"))
    code = stylizer.encode_style(torch.from_numpy(style).permute(2, 0, 1)[None].float() / 255)
    slide, out = open_slide(slide_path), tmp_path / "out.ome.tiff"
    painter = SlideStyle.of_slide(slide, "mkl", code)  # the region is that of the code
    assert painter.border >= 18
    stylize_slide(slide, out, painter, tile=128, compression="deflate")
    slide.close()
    before, after = _pixels(slide_path), _pixels(out).astype(int)
    assert np.abs(after - painter(before)).max() <= 1
    assert np.abs(after - before)[:50].max() == 0  # glass
    assert np.abs(after - before)[120:340, 160:480].mean() > 3  # tissue
    plain = _style(slide_path)(before)
    assert np.abs(plain.astype(int) - before)[:50].mean() > 3  # what the region is for


def test_a_slide_takes_no_masks(slide_path):
    stylizer = create_stylizer("mkl", region=1)
    code = stylizer.encode_style(torch.rand(1, 3, 64, 64))
    with pytest.raises(ValueError, match="region must be found in a slide itself"):
        SlideStyle("mkl", code, code)


def _write_dicom_slide(path, pixels, tile=128):
    """A slide as DICOM has it: a level per file, whose frames are tiles."""
    height, width = pixels.shape[:2]
    frames = []
    for x, y, w, h in ((x, y, w, h) for x, y, w, h in grid((width, height), tile)):
        frame = np.full((tile, tile, 3), 255, np.uint8)
        frame[:h, :w] = pixels[y : y + h, x : x + w]
        frames.append(frame.tobytes())
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID, data.SOPInstanceUID = VLWholeSlideMicroscopyImageStorage, generate_uid()
    data.SeriesInstanceUID, data.StudyInstanceUID = "1.2.3", "1.2"
    data.Modality, data.PatientName = "SM", "Secret^Person"
    data.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    data.Rows = data.Columns = tile
    data.NumberOfFrames, data.DimensionOrganizationType = len(frames), "TILED_FULL"
    data.TotalPixelMatrixColumns, data.TotalPixelMatrixRows = width, height
    data.TotalPixelMatrixFocalPlanes = data.NumberOfOpticalPaths = 1
    data.SamplesPerPixel, data.PhotometricInterpretation = 3, "RGB"
    data.PlanarConfiguration = data.PixelRepresentation = 0
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit = 7
    measures, groups = Dataset(), Dataset()
    scale = WIDTH / width
    measures.PixelSpacing, measures.SliceThickness = [0.0005 * scale] * 2, 0.001
    groups.PixelMeasuresSequence = [measures]
    data.SharedFunctionalGroupsSequence = [groups]
    data.PixelData = b"".join(frames)
    data.save_as(path, enforce_file_format=True)


@pytest.fixture(scope="module")
def dicom_slide(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dicom")
    _write_dicom_slide(folder / "a_small.dcm", _tissue()[::2, ::2].copy())
    _write_dicom_slide(folder / "b_large.dcm", _tissue())
    return folder


def test_a_slide_of_dicom_is_painted_like_any_other(dicom_slide, tmp_path, capsys):
    slide = open_slide(dicom_slide / "b_large.dcm")
    assert (slide.size, slide.levels, slide.pixel_size) == ((WIDTH, HEIGHT), 2, (0.5, 0.5))
    assert np.array_equal(slide.read((0, 0, WIDTH, HEIGHT))[0], _tissue())
    slide.close()
    out = tmp_path / "out.ome.tiff"
    words = ["--style", NUCLEI[1], "--stylizer", "mkl", "--tile", 128, "-o", out]
    assert main(["stylize", *map(str, [dicom_slide / "b_large.dcm", *words])]) == 0
    assert np.abs(_pixels(out).astype(int) - _tissue()).mean() > 3
    said = capsys.readouterr()
    assert "Secret" not in said.out + said.err + str(out.read_bytes()[:2000])


def test_a_slide_is_a_style_by_its_tissue_wherever_files_are(slide_path, dicom_slide, tmp_path):
    opened = open_image(slide_path)
    assert (opened.kind, opened.profile) == ("slide", PROFILE)
    assert opened.images.batch.shape == (1, 3, opened.images.depth * 256, 256)
    bank = StyleBank.from_files([slide_path, dicom_slide], "mkl")  # two files of one DICOM slide
    assert len(bank) == 2
    for index, path in enumerate((slide_path, dicom_slide / "b_large.dcm")):
        wanted = _style(path).content.maps["mean"]  # statistics of the same sample of tissue
        assert torch.allclose(bank.code[index].maps["mean"], wanted, atol=1e-4)
        assert wanted.min() < 0.7
    assert len(StyleBank.from_files(slide_path, "micro")) == 8  # patch by patch
    shutil.copy(slide_path, tmp_path / "slide.svs")
    assert find_images([tmp_path]) == [tmp_path / "slide.svs"]


def test_a_slide_as_a_content_says_how_it_is_painted(slide_path, tmp_path, capsys):
    words = ["stylize", slide_path, "--style", NUCLEI[0], "-o", tmp_path / "out"]
    assert main([str(word) for word in words]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "is a whole slide: name a file for it, -o OUT.ome.tiff" in said
    assert not (tmp_path / "out").exists()


def test_a_slide_larger_than_memory_is_read_where_it_is_asked_for(tmp_path):
    side, tile = 2**17, 1024  # 51 GB of pixels; a tile that is not stored is glass
    sample = Image.open(NUCLEI[1]).convert("RGB")
    tissue = np.asarray(sample.resize((tile, tile)))
    with tifffile.TiffWriter(tmp_path / "huge.tiff", bigtiff=True) as file:
        for level in range(4):
            step, at = 4**level, side // tile // 2 // 4**level
            pixels = np.full((tile, tile, 3), 255, np.uint8)
            pixels[: tile // step, : 2 * tile // step] = tissue[::step, :: -(-step // 2)]
            data = encode_tile(pixels, tile, "deflate")
            stored = {(at, at), (at, at + 1)} if level == 0 else {(at, at)}
            places = product(range(side // step // tile), repeat=2)
            file.write(
                (data if place in stored else b"" for place in places),
                shape=(side // step, side // step, 3),
                dtype=np.uint8,
                tile=(tile, tile),
                subifds=3 if level == 0 else None,
                subfiletype=int(level > 0),
                metadata=None,
                **page_options("deflate"),
            )
    tracemalloc.start()
    try:
        style = _style(tmp_path / "huge.tiff")
        assert len(StyleBank.from_files(tmp_path / "huge.tiff", "mkl")) == 1
        tiles = SlideTiles(tmp_path / "huge.tiff", style, tile=tile)
        assert [region[:2] for region in tiles.regions] == [(2**16, 2**16), (2**16 + tile, 2**16)]
        painted = tiles[1].permute(1, 2, 0).numpy()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    tiles.slide.close()
    assert np.array_equal(painted, style(tissue.copy()))
    assert peak < 5e8
