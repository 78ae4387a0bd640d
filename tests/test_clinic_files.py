"""DICOM and NIfTI files come in with their meaning and go out with all that is not pixels.

The files are those that pydicom (MIT) and nibabel (MIT; `tests/data`) carry in their wheels, and
ones that are made here. Nothing is downloaded.
"""

import gzip
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import torch
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

from styleaug import StyleBank, StyleTransfer
from styleaug.images import find_images, open_image
from styleaug.images.opening import find_sources
from styleaug.images.window import CT_WINDOWS

NIBABEL = Path(nibabel.__file__).parent / "tests" / "data"


def carried(name):
    return Path(get_testdata_file(name, download=False))


def made_ct(folder, name, *, z=0.0, series="1.2.3", seed=0, **changes):
    """Write a slice of CT, 12 bits in 16, with a name that no message may repeat."""
    data = pydicom.dcmread(carried("CT_small.dcm"))
    rng = np.random.default_rng(seed)
    hounsfield = rng.normal(40, 60, (48, 40)).round()
    hounsfield[:6] = -1000
    hounsfield[6:9] = 1500
    data.PatientName, data.PatientID = "Secret^Person", "ID-SECRET"
    data.set_pixel_data((hounsfield + 1024).astype(np.uint16), "MONOCHROME2", 12)
    data.RescaleSlope, data.RescaleIntercept = 1, -1024
    data.SeriesInstanceUID = series
    data.ImagePositionPatient = [0, 0, z]
    for key, value in changes.items():
        setattr(data, key, value)
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    folder.mkdir(parents=True, exist_ok=True)
    data.save_as(folder / name)
    return folder / name


def nifti(path, values, affine=None, **header):
    image = nibabel.Nifti1Image(values, affine)
    for key, value in header.items():
        image.header[key] = value
    nibabel.save(image, path)
    return path


def painted(opened, stylizer="colorist"):
    looks = torch.rand(2, 3, 48, 48, generator=torch.Generator().manual_seed(1)) * 0.5
    bank = StyleBank.from_images(looks, stylizer)
    return StyleTransfer(styles=bank, p=1.0, seed=0)(opened.images)


def rewritten(source, targets, window=None):
    opened = open_image(source, window=window)
    out = painted(opened)
    opened.write(targets, out, "test")
    return opened, out


@pytest.mark.parametrize("name", ["example4d.nii.gz", "anatomical.nii", "functional.nii"])
def test_a_nifti_file_that_is_not_painted_comes_back_to_the_byte(tmp_path, name):
    opened = open_image(NIBABEL / name)
    same = opened.images.restore(opened.images.batch.clone())
    opened.write([tmp_path / name], same, "")
    open_ = gzip.open if name.endswith("gz") else open
    with open_(NIBABEL / name, "rb") as first, open_(tmp_path / name, "rb") as second:
        assert first.read() == second.read()


@pytest.mark.parametrize("name", ["example4d.nii.gz", "anatomical.nii"])
def test_a_painted_nifti_file_keeps_header_and_what_lies_outside(tmp_path, name):
    opened, _ = rewritten(NIBABEL / name, [tmp_path / name])
    before, after = nibabel.load(NIBABEL / name), nibabel.load(tmp_path / name)
    assert before.header.binaryblock == after.header.binaryblock
    assert np.array_equal(before.affine, after.affine)
    stored, out = (np.asarray(image.dataobj.get_unscaled()) for image in (before, after))
    assert stored.dtype == out.dtype
    low, high = opened.window
    unit = before.get_fdata()
    outside = (unit < low) | (unit > high)
    assert 0 < outside.sum() < outside.size / 4
    assert np.array_equal(stored[outside], out[outside])
    assert (stored != out)[~outside].mean() > 0.5


def test_the_same_anatomy_is_the_same_picture_however_it_is_stored(tmp_path):
    values = np.arange(40 * 36 * 5, dtype=np.int16).reshape(40, 36, 5)
    lps = nifti(tmp_path / "lps.nii", values, np.diag([-1.0, -2.0, 3.0, 1.0]))
    swapped = np.ascontiguousarray(values[::-1].transpose(2, 0, 1))
    affine = np.array([[0, 1.0, 0, 0], [0, 0, -2.0, 0], [3.0, 0, 0, 0], [0, 0, 0, 1]])
    other = nifti(tmp_path / "other.nii", swapped, affine)
    first, second = open_image(lps), open_image(other)
    assert first.images.depth == second.images.depth == 5
    assert torch.equal(first.images.batch, second.images.batch)
    assert first.spacing == (3.0, 2.0, 1.0)
    row = first.images.restore(first.images.batch)[2]
    assert np.array_equal(row, values[:, :, 2].T)


@pytest.mark.parametrize("dtype", ["uint8", "int16", ">i2", "uint16", "int32", "uint32", "<f4"])
def test_every_kind_of_number_stays_in_a_nifti_file(tmp_path, dtype):
    values = np.random.default_rng(0).integers(0, 120, (36, 34, 3)).astype(dtype)
    path = nifti(tmp_path / "in.nii", values)
    rewritten(path, [tmp_path / "out.nii"], window=(10, 100))
    out = np.asarray(nibabel.load(tmp_path / "out.nii").dataobj)
    outside = (values < 10) | (values > 100)
    assert np.array_equal(out[outside], values[outside])
    assert (out != values).any()
    assert out.dtype == nibabel.load(path).dataobj.dtype


def test_a_nifti_file_without_affine_is_cut_along_its_last_axis(tmp_path):
    values = np.random.default_rng(0).integers(0, 900, (40, 36, 3)).astype(np.int16)
    path = nifti(tmp_path / "bare.nii.gz", values)
    assert nibabel.load(path).header["sform_code"] == 0
    opened = open_image(path)
    assert opened.images.depth == 3
    same = opened.images.restore(opened.images.batch)
    assert np.array_equal(same, values.transpose(2, 1, 0))


def test_a_nifti_file_with_colours_slope_or_holes(tmp_path):
    colors = np.zeros((40, 36, 2), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    colors["R"] = 200
    opened = open_image(nifti(tmp_path / "rgb.nii", colors))
    assert opened.images.batch[0, :, 0, 0].tolist() == [200, 0, 0]
    opened.write([tmp_path / "out.nii"], opened.images.restore(opened.images.batch), "")
    assert np.array_equal(np.asarray(nibabel.load(tmp_path / "out.nii").dataobj), colors)

    holes = np.random.default_rng(0).normal(0, 1, (40, 36, 2)).astype(np.float32)
    holes[:9] = np.nan
    _, out = rewritten(nifti(tmp_path / "nan.nii", holes), [tmp_path / "out.nii"])
    assert np.array_equal(
        np.isnan(np.asarray(nibabel.load(tmp_path / "out.nii").dataobj)), np.isnan(holes)
    )
    assert np.isfinite(out).any()
    with pytest.raises(ValueError, match="finite"):
        open_image(nifti(tmp_path / "empty.nii", np.full_like(holes, np.nan)))
    with pytest.raises(ValueError, match="real numbers"):
        open_image(nifti(tmp_path / "wave.nii", np.ones((36, 36, 2), np.complex64)))


def test_damaged_nifti_files_say_so(tmp_path):
    whole = (NIBABEL / "example4d.nii.gz").read_bytes()
    (tmp_path / "cut.nii.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "none.nii").write_bytes(b"no image")
    (tmp_path / "short.nii").write_bytes((NIBABEL / "anatomical.nii").read_bytes()[:900])
    for name in ("cut.nii.gz", "none.nii", "short.nii"):
        with pytest.raises(OSError, match="cannot read"):
            open_image(tmp_path / name)


def test_hounsfield_windows_have_names_and_mean_what_they_say(tmp_path):
    path = made_ct(tmp_path, "a.dcm")
    for name, (low, high) in CT_WINDOWS.items():
        opened = open_image(path, window=name)
        stored = pydicom.dcmread(path).pixel_array.astype(np.float32)
        expected = ((stored - 1024 - low) / (high - low)).clip(0, 1)
        assert np.allclose(opened.images.batch[0, 0].numpy(), expected, atol=1e-5)
        assert opened.window == (low, high)
    assert open_image(path).window == CT_WINDOWS["soft"]
    assert (open_image(path).kind, open_image(path).images.depth) == ("CT", 1)
    with pytest.raises(ValueError, match="for CT; this is MR"):
        open_image(carried("MR_small.dcm"), window="lung")
    with pytest.raises(ValueError, match="one of"):
        open_image(path, window="liver")


def test_a_dicom_file_keeps_all_but_its_pixels(tmp_path):
    path, out = made_ct(tmp_path, "a.dcm"), tmp_path / "out.dcm"
    rewritten(path, [out], window="soft")
    before, after = pydicom.dcmread(path), pydicom.dcmread(out)
    new = {"SOPInstanceUID", "SeriesInstanceUID", "ImageType", "PixelData"}
    made = {"DerivationDescription", "SourceImageSequence"}
    assert {e.keyword for e in after if e.tag not in before} == made - {
        e.keyword for e in before if e.keyword in made
    }
    for element in before:
        if element.keyword not in new | made:
            assert after[element.tag] == element, element.keyword
    assert after.SOPInstanceUID != before.SOPInstanceUID
    assert after.file_meta.MediaStorageSOPInstanceUID == after.SOPInstanceUID
    assert after.SeriesInstanceUID != before.SeriesInstanceUID
    assert after.StudyInstanceUID == before.StudyInstanceUID
    assert list(after.ImageType) == ["DERIVED", "SECONDARY", *before.ImageType[2:]]
    assert after.DerivationDescription.startswith("styleaug ")
    reference = after.SourceImageSequence[0].ReferencedSOPInstanceUID
    assert reference == before.SOPInstanceUID
    old, fresh = before.pixel_array.astype(int), after.pixel_array.astype(int)
    outside = (old - 1024 < -150) | (old - 1024 > 250)
    assert outside.any()
    assert np.array_equal(old[outside], fresh[outside])
    assert (old != fresh)[~outside].mean() > 0.5


@pytest.mark.parametrize(
    "name",
    [
        "MR_small_bigendian.dcm",
        "MR_small_implicit.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "MR_small_RLE.dcm",
        "693_J2KI.dcm",
        "examples_palette.dcm",
        "SC_rgb_rle_2frame.dcm",
        "SC_ybr_full_422_uncompressed.dcm",
        "examples_ybr_color.dcm",
        "SC_rgb_rle_16bit.dcm",
    ],
)
def test_what_is_not_painted_comes_back_in_every_transfer_syntax(tmp_path, name):
    opened, out = open_image(carried(name)), tmp_path / "out.dcm"
    values = opened.images.restore(opened.images.batch.clone())
    opened.write([out], values, "")
    again = open_image(out)
    assert np.array_equal(again.images.restore(again.images.batch), values)
    assert again.window == opened.window
    if name.startswith("MR_small"):
        plain = open_image(carried("MR_small.dcm"))
        assert torch.equal(again.images.batch, plain.images.batch)


def test_dark_stored_as_high_numbers_looks_the_same(tmp_path):
    plain = made_ct(tmp_path, "a.dcm", Modality="DX")
    data = pydicom.dcmread(plain)
    flipped = 4095 - data.pixel_array
    data.set_pixel_data(flipped, "MONOCHROME1", 12)
    data.RescaleIntercept = 0
    data.save_as(tmp_path / "b.dcm")
    data.set_pixel_data(4095 - flipped, "MONOCHROME2", 12)
    data.save_as(tmp_path / "c.dcm")
    dark, bright = open_image(tmp_path / "b.dcm"), open_image(tmp_path / "c.dcm")
    assert torch.allclose(dark.images.batch, bright.images.batch, atol=1e-6)
    assert bright.window == (0.0, 4095.0)  # 12 bits in 16: no shallow picture
    assert np.array_equal(dark.images.restore(dark.images.batch)[0], flipped)
    one, two = painted(dark), painted(bright)
    assert np.abs(one.astype(int) + two.astype(int) - 4095).max() <= 1
    assert (one[0] != flipped).mean() > 0.5


def test_a_window_wider_than_the_bits_never_wraps(tmp_path):
    opened = open_image(made_ct(tmp_path, "a.dcm"), window=(-3000, 250))
    values = opened.images.restore(torch.zeros_like(opened.images.batch))
    assert values.max() < 4096
    assert values[0, -1].max() == 0


def test_colours_come_as_rgb(tmp_path):
    opened = open_image(carried("SC_ybr_full_422_uncompressed.dcm"))
    assert opened.images.batch.shape == (1, 3, 100, 100)
    reference = open_image(carried("SC_rgb_small_odd.dcm")).images.batch
    assert opened.images.batch[0, :, 5, 50].tolist() == pytest.approx([254, 0, 0], abs=2)
    assert reference.dtype == torch.uint8


def test_frames_are_slices():
    opened = open_image(carried("examples_ybr_color.dcm"))
    assert (opened.images.depth, opened.kind) == (30, "US")
    assert opened.images.batch.shape == (1, 3, 30 * 240, 320)


def test_damaged_and_other_dicom_files_say_so_and_nothing_of_the_patient(tmp_path):
    whole = made_ct(tmp_path, "a.dcm").read_bytes()
    (tmp_path / "cut.dcm").write_bytes(whole[:-1500])
    (tmp_path / "header.dcm").write_bytes(whole[:700])
    (tmp_path / "none.dcm").write_bytes(b"no image")
    for path in (
        *(tmp_path / f"{n}.dcm" for n in ("cut", "header", "none")),
        carried("MR_truncated.dcm"),
    ):
        with pytest.raises((OSError, ValueError)) as caught:
            open_image(path)
        assert "Secret" not in str(caught.value)
        assert path.name in str(caught.value)
    for name in ("rtplan.dcm", "liver_1frame.dcm", "rtdose.dcm"):
        with pytest.raises(ValueError, match="must hold an image of 8 or 16 bits"):
            open_image(carried(name))
    with pytest.raises(OSError, match="pip install pylibjpeg-libjpeg"):
        open_image(carried("JPEG-lossy.dcm"))


def test_a_folder_of_slices_is_a_volume_sorted_by_position(tmp_path):
    for index, z in enumerate([3.0, -2.0, 8.0]):
        made_ct(tmp_path, f"IM{index}", z=z, seed=index)  # no suffix: known by its preamble
    made_ct(tmp_path, "other.dcm", series="1.2.4", seed=9)
    (tmp_path / "notes").write_text("no image")
    files = find_images([tmp_path])
    assert [file.name for file in files] == ["IM0", "IM1", "IM2", "other.dcm"]
    sources = find_sources(files)
    assert [[file.name for file in source] for source in sources] == [
        ["IM1", "IM0", "IM2"],
        ["other.dcm"],
    ]
    opened = open_image(sources[0])
    assert opened.images.depth == 3
    slices = opened.images.restore(opened.images.batch)
    assert np.array_equal(slices[0], pydicom.dcmread(tmp_path / "IM1").pixel_array)


def test_views_that_do_not_say_where_they_lie_stay_images(tmp_path):
    for index in range(2):
        path = made_ct(tmp_path, f"{index}.dcm", Modality="DX", SOPInstanceUID=generate_uid())
        data = pydicom.dcmread(path)
        del data.ImagePositionPatient
        data.save_as(path)
    assert len(find_sources(find_images([tmp_path]))) == 2


def test_slopes_that_differ_between_slices_hold_for_each(tmp_path):
    paths = [
        made_ct(tmp_path, f"{i}.dcm", z=i, Modality="PT", RescaleSlope=1 + i, RescaleIntercept=0)
        for i in range(2)
    ]
    opened = open_image(paths, window=(0, 3000))
    stored = np.stack([pydicom.dcmread(path).pixel_array for path in paths]).astype(np.float32)
    expected = (stored * np.array([1, 2])[:, None, None] / 3000).clip(0, 1)
    assert np.allclose(opened.images.batch[0, 0].numpy(), expected.reshape(-1, 40), atol=1e-5)
    assert np.array_equal(opened.images.restore(opened.images.batch), stored)


def test_without_the_library_the_error_says_what_to_install(tmp_path, monkeypatch):
    shutil.copy(carried("CT_small.dcm"), tmp_path / "a.dcm")
    monkeypatch.setattr("styleaug.images.medical.find_spec", lambda name: None)
    for call in (lambda: find_images([tmp_path]), lambda: open_image(tmp_path / "a.dcm")):
        with pytest.raises(ImportError, match=r"pip install 'styleaug\[dicom\]'"):
            call()
    with pytest.raises(ImportError, match=r"pip install 'styleaug\[nifti\]'"):
        open_image(NIBABEL / "anatomical.nii")


def test_a_volume_is_a_style_as_a_whole_or_by_its_slices(tmp_path):
    values = np.random.default_rng(0).normal(40, 60, (48, 40, 12)).astype(np.int16)
    values[..., 0] = -1024  # air alone
    path = nifti(tmp_path / "ct.nii.gz", values)
    whole = StyleBank.from_files(path, "colorist", value_range="soft")
    unit = torch.from_numpy((values.astype(np.float32) + 150) / 400).clamp(0, 1)
    mean = unit.mean().item()
    code = torch.cat([tensor.flatten() for tensor in whole.code.maps.values()])
    assert len(whole) == 1
    assert (code - mean).abs().min() < 1e-4  # the statistics are of all slices
    drawn = StyleBank.from_files(path, "colorist", value_range="soft", slices=4, seed=3)
    again = StyleBank.from_files(path, "colorist", value_range="soft", slices=4, seed=3)
    other = StyleBank.from_files(path, "colorist", value_range="soft", slices=4, seed=4)
    assert drawn.names == again.names != other.names
    assert len(drawn) == 4
    every = StyleBank.from_files(path, "colorist", value_range="soft", slices="all")
    assert [name.rpartition("#")[2] for name in every.names] == [str(i) for i in range(1, 12)]
    assert len(StyleBank.from_files(path, "micro", value_range="soft")) == 8  # slice by slice
    with pytest.raises(ValueError, match="slices must be"):
        StyleBank.from_files(path, "colorist", slices=0)


def test_files_of_clinics_are_styles_wherever_files_are(tmp_path):
    for index in range(3):
        made_ct(tmp_path / "ct", f"IM{index}", z=index, seed=index)
    path = nifti(tmp_path / "mr.nii", np.random.default_rng(0).gamma(2, 90, (40, 40, 4)))
    bank = StyleTransfer("colorist", styles=[tmp_path / "ct", path]).source
    assert [Path(name).name for name in bank.names] == ["IM0", "mr.nii"]
    transform = StyleTransfer(styles=bank, value_range="soft", p=1.0, seed=0)
    scan = torch.randint(-1000, 1000, (1, 1, 40, 40)).to(torch.int16)
    out = transform(scan)
    outside = (scan < -150) | (scan > 250)
    assert torch.equal(out[outside], scan[outside])


def test_the_trainer_draws_slices_of_volumes(tmp_path):
    from styleaug.training.data import PairDataset

    values = np.zeros((64, 64, 3), np.uint8)
    values[:] = [20, 120, 220]
    nifti(tmp_path / "stack.nii", values + np.arange(64, dtype=np.uint8)[:, None, None] % 4)
    data = PairDataset([str(tmp_path)], [str(tmp_path)], size=32)
    shown = {round(data[number]["content"].mean().item() * 3) for number in range(12)}
    assert len(shown) == 3  # one slice each
    assert data[0]["content"].shape == (3, 32, 32)


def run(*words):
    from styleaug.cli import main

    return main([str(word) for word in words])


def test_a_folder_of_slices_is_aligned_and_written_back(tmp_path, capsys):
    for index in range(3):
        made_ct(tmp_path / "in", f"{2 - index}.dcm", z=index, seed=index)
    made_ct(tmp_path / "in" / "sub", "broken.dcm", series="9").write_bytes(b"no image")
    style = nifti(tmp_path / "style.nii.gz", np.random.default_rng(1).normal(90, 20, (40, 40, 4)))
    words = ("--style", style, "--stylizer", "colorist", "--window", "soft", "-o", tmp_path / "out")
    assert run("stylize", tmp_path / "in", *words) == 1  # one is broken, and named
    said = capsys.readouterr().err
    assert "broken.dcm" in said
    assert "Secret" not in said
    assert "SECRET" not in said
    before, after = (
        [pydicom.dcmread(tmp_path / folder / f"{i}.dcm") for i in range(3)]
        for folder in ("in", "out")
    )
    assert len({data.SeriesInstanceUID for data in after}) == 1
    assert len({data.SOPInstanceUID for data in after}) == 3
    assert after[0].SeriesInstanceUID != before[0].SeriesInstanceUID
    assert "colorist" in after[0].DerivationDescription
    assert "style.nii" not in after[0].DerivationDescription
    old = np.stack([data.pixel_array for data in before]).astype(int) - 1024
    new = np.stack([data.pixel_array for data in after]).astype(int) - 1024
    inside = (old >= -150) & (old <= 250)
    assert np.array_equal(old[~inside], new[~inside])
    # one map for the whole series: equal values of any slice come out equal
    values, where = np.unique(old[inside], return_inverse=True)
    spans = [np.ptp(new[inside][where == index]) for index in range(len(values))]
    assert max(spans) == 0
    assert run("stylize", tmp_path / "in", *words) == 2  # nothing is replaced


def test_scans_are_written_in_every_style_and_slice_by_slice(tmp_path):
    values = np.random.default_rng(0).normal(40, 50, (40, 44, 3)).astype(np.int16)
    path = nifti(tmp_path / "ct.nii.gz", values, np.eye(4))
    styles = [nifti(tmp_path / f"s{i}.nii", values[:, ::-1] // (i + 2)) for i in range(2)]
    words = ("--style", *styles, "--window", "soft", "--each-style", "-o", tmp_path / "each")
    grid = tmp_path / "grid.png"
    assert run("stylize", path, *words, "--stylizer", "colorist", "--grid", grid) == 0
    outs = [nibabel.load(out).get_fdata() for out in sorted((tmp_path / "each").rglob("ct.nii.gz"))]
    assert len(outs) == 2
    assert grid.exists()
    assert not np.array_equal(outs[0], outs[1])
    bank = tmp_path / "bank.safetensors"
    assert run("bank", styles[0], "--slices", 2, "--window", "soft", "-o", bank) == 0
    assert len(StyleBank.load(bank)) == 2
    assert run("stylize", path, "--style", bank, "--window", "soft", "-o", tmp_path / "m") == 0
    out = nibabel.load(tmp_path / "m" / "ct.nii.gz")
    assert out.get_data_dtype() == np.int16
    assert (np.asarray(out.dataobj) != values).mean() > 0.5
    assert run("stylize", path, "--style", bank, "--size", 32, "-o", tmp_path / "small") == 1
    assert run("stylize", path, "--style", bank, "--slices", "none", "-o", tmp_path / "n") == 2


def test_a_slice_that_is_cut_off_leaves_out_its_series_and_what_was_written_stays(tmp_path, capsys):
    for index in range(3):
        made_ct(tmp_path / "in" / "a", f"{index}.dcm", z=index, series="1.1", seed=index)
        made_ct(tmp_path / "in" / "b", f"{index}.dcm", z=index, series="1.2", seed=index)
    cut = tmp_path / "in" / "b" / "1.dcm"
    cut.write_bytes(cut.read_bytes()[:-900])
    words = ("--style", tmp_path / "in" / "a" / "0.dcm", "--stylizer", "colorist")
    assert run("stylize", tmp_path / "in", *words, "-o", tmp_path / "out") == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "and 2 more slices" in said
    assert "1.dcm" in said
    assert "end too early" in said
    written = sorted(
        path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*.dcm")
    )
    assert written == [Path("a") / f"{index}.dcm" for index in range(3)]
