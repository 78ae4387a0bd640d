"""Sources of styles: the batch and the bank."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from styleaug import BatchStyles, StyleBank, StyleCode, StyleTransfer, create_stylizer
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
    generator = torch.Generator().manual_seed(seed)
    uniforms = torch.rand(count, generator=generator, dtype=torch.float64)
    applied = torch.rand(count, generator=generator) < 0.6
    ids = BatchStyles(within).draw(uniforms, applied)
    assert all(style != row and 0 <= style < count for row, style in enumerate(ids))


@given(st.integers(2, 12), st.integers(0, 2**31))
def test_applied_images_pass_their_styles_round(count, seed):
    uniforms = torch.rand(12, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    applied = torch.arange(12) < count
    ids = BatchStyles("applied").draw(uniforms, applied)
    visited, row = [], 0
    for _ in range(count):
        visited.append(row)
        row = ids[row]
    assert row == 0
    assert sorted(visited) == list(range(count))


def test_every_other_image_of_the_batch_is_drawn():
    uniforms = torch.rand(2000, 5, dtype=torch.float64)
    applied = torch.ones(5, dtype=torch.bool)
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
