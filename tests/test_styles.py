"""Sources of styles: the batch and the bank."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from styleaug import BatchStyles, StyleBank, StyleCode, StyleTransfer, create_stylizer
from styleaug.images import as_volumes
from styleaug.weights import load_tensors, save_tensors


@pytest.fixture
def folder(tmp_path, photos):
    for index, photo in enumerate(photos):
        array = (photo.permute(1, 2, 0).numpy() * 255).astype(np.uint8)
        size = (64 + index, 48)
        Image.fromarray(array).resize(size).save(tmp_path / f"style{index}.png")
    return tmp_path


@given(st.integers(2, 12), st.integers(0, 2**31), st.sampled_from(["batch", "applied"]))
def test_nobody_gets_its_own_style(count, seed, within):
    generator = np.random.default_rng(seed)
    uniforms, applied = generator.random(count), generator.random(count) < 0.6
    ids = BatchStyles(within).draw(uniforms, applied)
    assert all(style != row and 0 <= style < count for row, style in enumerate(ids))


@given(st.integers(2, 12), st.integers(0, 2**31))
def test_applied_images_pass_their_styles_round(count, seed):
    uniforms, applied = np.random.default_rng(seed).random(12), np.arange(12) < count
    ids = BatchStyles("applied").draw(uniforms, applied)
    visited, row = [], 0
    for _ in range(count):
        visited.append(row)
        row = ids[row]
    assert row == 0
    assert sorted(visited) == list(range(count))


def test_every_other_image_of_the_batch_is_drawn():
    uniforms = np.random.default_rng(0).random((2000, 5))
    applied = np.ones(5, dtype=bool)
    drawn = {BatchStyles().draw(row, applied)[0] for row in uniforms}
    assert drawn == {1, 2, 3, 4}


def test_a_bank_of_files_is_a_bank_of_their_images(folder):
    bank = StyleBank.from_files(folder, "colorist")
    assert len(bank) == 4
    assert bank.names[2].endswith("style2.png")
    image = Image.open(folder / "style2.png")
    alone = StyleBank.from_images([image], create_stylizer("colorist"))
    assert torch.equal(bank.code.maps["mean"][2:3], alone.code.maps["mean"])


def test_saved_banks_are_equal_banks(folder):
    bank = StyleBank.from_files(folder, "mkl")
    bank.save(folder / "bank.safetensors")
    again = StyleBank.load(folder / "bank.safetensors")
    assert again.fingerprint(1) == bank.fingerprint(99)
    assert again.names == bank.names
    assert bank[1:].fingerprint(1) != bank.fingerprint(1)


def test_banks_of_another_stylizer_are_refused(folder):
    StyleBank.from_files(folder, "mkl").save(folder / "bank.safetensors")
    with pytest.raises(ValueError, match=r"'colorist'.*'mkl'"):
        StyleTransfer("colorist", styles=folder / "bank.safetensors")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_banks_of_impossible_numbers_are_refused_on_loading(folder, value):
    bank, path = StyleBank.from_files(folder, "colorist"), folder / "bank.safetensors"
    maps = dict(bank.code.maps)
    maps["std"] = maps["std"].long() if value is None else maps["std"].clone()
    if value is not None:
        maps["std"][1, 2] = value
    StyleBank(StyleCode(maps, bank.code.source)).save(path)
    with pytest.raises(ValueError, match="must hold finite floating-point numbers, 'std'"):
        StyleBank.load(path)
    vectors = bank.statistics.clone()
    vectors[0] = float("nan")
    StyleBank(bank.code, statistics=vectors).save(path)
    with pytest.raises(ValueError, match="must hold finite"):
        StyleTransfer("colorist", styles=path)


@pytest.mark.parametrize("change", ["source", "numbers"])
def test_banks_that_were_changed_are_refused_on_loading(folder, change):
    bank, path = StyleBank.from_files(folder, "colorist"), folder / "bank.safetensors"
    bank.save(path)
    tensors, header = load_tensors(path)
    if change == "source":
        header["source"] = "histogram"
    else:
        tensors["mean"] = tensors["mean"] * 2
    save_tensors(tensors, path, header)
    with pytest.raises(ValueError, match="was changed since it was written"):
        StyleBank.load(path)


@pytest.mark.parametrize("kind", ["folder", "files", "tensor", "arrays", "bank", "saved"])
def test_every_way_to_give_styles_is_the_same(folder, kind):
    files = sorted(folder.glob("*.png"))
    arrays = [np.array(Image.open(file)) for file in files]
    bank = StyleBank.from_files(files, "colorist")
    bank.save(folder / "bank.safetensors")
    styles = {
        "folder": folder,
        "files": [str(file) for file in files],
        "tensor": [torch.from_numpy(array).permute(2, 0, 1) for array in arrays],
        "arrays": arrays,
        "bank": bank,
        "saved": str(folder / "bank.safetensors"),
    }[kind]
    transform = StyleTransfer("colorist", styles=styles, p=1.0, seed=3)
    assert transform.source.fingerprint(1) == bank.fingerprint(1)


def test_one_batch_of_images_is_a_bank(photos):
    assert len(StyleTransfer(styles=photos).source) == 4
    assert len(StyleTransfer(styles=photos[0]).source) == 1


@pytest.mark.parametrize("item", ["image", "tuple", "dict"])
def test_datasets_give_their_images(photos, item):
    wrap = {"image": lambda x: x, "tuple": lambda x: (x, 1), "dict": lambda x: {"image": x}}[item]
    dataset = [wrap(photo) for photo in photos]
    bank = StyleBank.from_dataset(dataset, "colorist", count=2, seed=1)
    assert len(bank) == 2
    row = int(bank.names[0])
    assert torch.allclose(bank.code.maps["mean"][0].flatten(), photos[row].mean((1, 2)))


def test_mixing_codes_is_linear(photos):
    code = StyleBank.from_images(photos, "colorist").code
    mixed = code.mix(torch.tensor([[0.5, 0.5, 0.0, 0.0]]))
    assert torch.allclose(mixed.maps["mean"], code.maps["mean"][:2].mean(0, keepdim=True))
    with pytest.raises(ValueError, match="sum to 1"):
        code.mix(torch.ones(1, 4))
    with pytest.raises(ValueError, match=r"\(M, 4\)"):
        code.mix(torch.ones(1, 3))


def test_empty_and_missing_styles_are_refused(tmp_path):
    with pytest.raises(ValueError, match="image"):
        StyleTransfer(styles=tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        StyleTransfer(styles=tmp_path / "nowhere")
    with pytest.raises(ValueError, match="at least one image"):
        StyleTransfer(styles=[])
    with pytest.raises(ValueError, match="count must be between 1 and 2"):
        StyleBank.from_dataset([torch.rand(3, 32, 32)] * 2, "colorist", count=3)


def test_progress_goes_to_the_terminal_only_when_asked(photos, capsys):
    StyleBank.from_images(photos, "colorist")
    assert capsys.readouterr() == ("", "")
    StyleBank.from_images(photos, "colorist", progress=True)
    assert "encoding styles" in "".join(capsys.readouterr())


def test_a_bank_has_a_style_and_a_name_for_each(photos):
    code = StyleBank.from_images(photos, "colorist").code
    with pytest.raises(ValueError, match="at least one style, got 0"):
        StyleBank(code[:0])
    with pytest.raises(ValueError, match="names must hold 4 names, got 3"):
        StyleBank(code, ["a", "b", "c"])


def test_names_go_with_their_styles(photos, tmp_path):
    bank = StyleBank.from_images(photos, "colorist", names=list("abcd"))
    assert bank.names == ("a", "b", "c", "d")
    assert bank[[2, 0]].names == ("c", "a")
    assert bank[1:3].names == ("b", "c")
    assert StyleBank.cat([bank[:1], bank[3:]]).names == ("a", "d")
    assert StyleBank.cat([bank[:1], bank[3:]], ["x", "y"]).names == ("x", "y")
    bank.save(tmp_path / "bank.safetensors")
    assert StyleBank.load(tmp_path / "bank.safetensors").names == bank.names


def test_every_style_is_drawn_equally_often(photos):
    bank = StyleBank.from_images(photos, "colorist")
    drawn = bank.draw(np.arange(400) / 400, np.ones(400, dtype=bool))
    assert [drawn.count(style) for style in range(4)] == [100] * 4


def test_codes_are_of_the_bank_and_for_its_stylizer(photos):
    bank = StyleBank.from_images(photos, "colorist")
    colorist = create_stylizer("colorist")
    picked = bank.codes([3, 1], photos, colorist)
    assert torch.equal(picked.maps["mean"], bank.code.maps["mean"][[3, 1]])
    for wrong in (4, -1):
        with pytest.raises(ValueError, match=rf"style ids must be in 0 \.\.\. 3, got {wrong}"):
            bank.codes([0, wrong], photos, colorist)
    with pytest.raises(ValueError, match=r"encoded by 'mkl.*got one of 'colorist"):
        bank.codes([0], photos, create_stylizer("mkl"))


def test_a_pickled_bank_carries_its_codes_once(photos):
    bank = StyleBank.from_images(photos, "colorist")
    before = len(pickle.dumps(bank))
    bank.codes([0], photos, create_stylizer("colorist"))
    assert len(pickle.dumps(bank)) == before
    assert pickle.loads(pickle.dumps(bank)).fingerprint(1) == bank.fingerprint(1)
    assert len(bank.fingerprint(1)) == len("bank:") + 16  # short, but no chance of a second one


def test_what_a_code_keeps_is_said_to_the_stylizer(photos):
    with pytest.raises(ValueError, match="keep='kv' must be given to create_stylizer"):
        StyleBank.from_images(photos, create_stylizer("colorist"), keep="kv")
    with pytest.raises(ValueError, match=r"'colorist' takes .*, got \['keep'\]"):
        StyleBank.from_images(photos, "colorist", keep="kv")
    with pytest.raises(ValueError, match=r"'colorist' takes .*, got \['keep'\]"):
        StyleBank.from_dataset(list(photos), "colorist", keep="kv")


def test_a_range_is_for_images_of_more_than_eight_bits(photos):
    levels = (photos * 255).round().byte()
    deep = (levels.to(torch.int32) * 16).to(torch.uint16)
    plain = StyleBank.from_images(levels, "colorist")
    ranged = StyleBank.from_images(levels, "colorist", value_range=(0, 4080))
    assert ranged.fingerprint(1) == plain.fingerprint(1)
    deep = StyleBank.from_images(deep, "colorist", value_range=(0, 4080))
    torch.testing.assert_close(deep.code.maps["mean"], plain.code.maps["mean"])


def test_datasets_can_be_described_otherwise(photos):
    bank = StyleBank.from_dataset(list(photos), "colorist", describe=lambda x: x.mean((2, 3)))
    torch.testing.assert_close(bank.statistics, photos.mean((2, 3)))


def test_a_volume_is_described_by_slices_all_over_it():
    ramp = torch.linspace(0, 1, 20).expand(1, 1, 32, 32, 20)
    bank = StyleBank.from_images([as_volumes(ramp)], "colorist", describe=lambda x: x.mean((2, 3)))
    torch.testing.assert_close(bank.statistics, torch.full((1, 3), 0.5), atol=0.03, rtol=0)


def test_thin_volumes_are_refused_in_their_own_shape():
    thin = as_volumes(torch.rand(1, 1, 8, 40, 6))
    with pytest.raises(ValueError, match=r"for 'micro', got shape \(1, 1, 8, 40, 6\)"):
        StyleBank.from_images([thin], "micro")


def test_a_long_domain_goes_on_in_the_next_line_of_the_sheet(tmp_path):
    images = [torch.full((3, 32, 32), level / 20) for level in range(20)]
    labels = ["long"] * 17 + ["short"] * 3
    path = tmp_path / "new" / "sheet.png"
    StyleBank.from_dataset(images, "colorist", domains=labels, sheet=path)
    with Image.open(path) as sheet:
        assert sheet.height == 24 + 4 * 184  # 8, 8 and 1 of one domain, 3 of the other
        seen = [
            [sheet.getpixel((86 + 166 * column, 104 + 184 * row))[0] for column in range(8)]
            for row in range(4)
        ]
    grey = [round(255 * level / 20) for level in range(20)]
    white = [255] * 8
    assert seen == [grey[:8], grey[8:16], [grey[16], *white[1:]], [*grey[17:], *white[3:]]]


def test_slices_of_files_are_drawn_by_the_seed(tmp_path):
    volume = as_volumes(torch.rand(1, 1, 32, 32, 30))
    colorist = create_stylizer("colorist")
    drawn = [
        StyleBank.from_volume(volume, colorist, tmp_path / "a.nii", slices=4, seed=seed).names
        for seed in (0, 0, 1)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    whole = StyleBank.from_volume(volume, colorist, tmp_path / "a.nii")
    assert len(whole) == 1
    assert len(StyleBank.from_volume(volume, create_stylizer("micro"), tmp_path / "a.nii")) == 8
