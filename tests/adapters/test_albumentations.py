"""The Albumentations adapter, trap by trap."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import albumentations as A
import numpy as np
import pytest

import styleaug
from styleaug import StyleBank
from styleaug import StyleTransfer as CoreStyleTransfer
from styleaug.adapters.albumentations import StyleTransfer


@pytest.fixture
def images(photos):
    return [(p.permute(1, 2, 0).numpy() * 255).astype(np.uint8) for p in photos]


@pytest.fixture
def bank_file(photos, tmp_path):
    path = tmp_path / "bank.safetensors"
    StyleBank.from_images(photos, "colorist").save(path)
    return str(path)


def _grey(image):
    return image.mean(axis=-1).astype(image.dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("kind", ["HWC", "HW", "HW1"])
def test_layouts_and_types_are_kept(images, dtype, kind):
    image = images[0] if dtype == np.uint8 else (images[0] / 255).astype(np.float32)
    image = {"HWC": image, "HW": _grey(image), "HW1": _grey(image)[..., None]}[kind]
    out = A.Compose([StyleTransfer(styles=images[1:], p=1.0)])(image=image)["image"]
    assert out.dtype == image.dtype
    assert out.shape == image.shape
    assert not np.array_equal(out, image)


def test_only_images_change(images):
    mask = (images[0][..., 0] > 100).astype(np.uint8)
    pipeline = A.Compose(
        [A.NoOp(), A.HorizontalFlip(p=0.0), StyleTransfer(styles=images[1:], p=1.0)],
        bbox_params=A.BboxParams(format="pascal_voc", label_fields=["labels"]),
    )
    out = pipeline(image=images[0], mask=mask, bboxes=[[1, 2, 30, 40]], labels=[7])
    assert np.array_equal(out["mask"], mask)
    assert np.allclose(out["bboxes"], [[1, 2, 30, 40]])
    assert not np.array_equal(out["image"], images[0])


def test_additional_targets_share_the_draw(images):
    pipeline = A.Compose(
        [StyleTransfer(styles=images[1:], alpha=(0.1, 1.0), p=1.0)],
        additional_targets={"second": "image"},
    )
    out = pipeline(image=images[0], second=images[0])
    assert np.array_equal(out["image"], out["second"])


def test_a_batch_goes_through_at_once_in_one_style(images, monkeypatch):
    transform = StyleTransfer(styles=images[2:], p=1.0)
    calls = []
    original = CoreStyleTransfer.apply_transform
    monkeypatch.setattr(
        CoreStyleTransfer,
        "apply_transform",
        lambda self, image, params, **given: (
            calls.append(image.shape) or original(self, image, params, **given)
        ),
    )
    batch = np.stack([images[0], images[0], images[1]])
    out = A.Compose([transform])(images=batch)["images"]
    assert calls == [(3, 48, 64, 3)]
    # a place in a batch changes the order of sums in a convolution: a value may round the other way
    apart = np.abs(out[0].astype(int) - out[1].astype(int))
    assert apart.max() <= 1
    assert apart.mean() < 0.01
    assert not np.array_equal(out[0], batch[0])


def test_a_volume_takes_its_statistics_as_a_whole(images):
    volume = np.stack([images[0] // 2, images[0] // 2 + 100])
    out = A.Compose([StyleTransfer("colorist", styles=images[1:2], p=1.0)])(volume=volume)["volume"]
    assert out.shape == volume.shape
    # slice by slice, both would end at the style's mean; as a volume they keep their order
    assert out[1].mean() > out[0].mean() + 20


def test_references_of_a_call_are_optional_even_when_strict(images):
    pipeline = A.Compose([StyleTransfer(styles=images[:1], p=1.0)], strict=True, seed=0)
    plain = pipeline(image=images[1])["image"]
    for references in (np.stack(images[2:4]), images[2:4], tuple(images[3:4])):
        out = pipeline(image=images[1], style_metadata=references)["image"]
        assert not np.array_equal(out, plain)
    expected = CoreStyleTransfer(styles=images[3:4], p=1.0)(images[1])
    assert np.array_equal(out, expected)
    with pytest.raises(ValueError, match="style_metadata must hold at least one"):
        pipeline(image=images[1], style_metadata=[])


def test_saved_pipelines_are_the_same_pipelines(images, bank_file, tmp_path):
    pipeline = A.Compose([StyleTransfer(styles=bank_file, alpha=(0.2, 1.0), p=0.7)], seed=3)
    twin = A.from_dict(json.loads(json.dumps(A.to_dict(pipeline))))
    A.save(pipeline, tmp_path / "pipeline.json")
    loaded = A.load(tmp_path / "pipeline.json")
    for copy in (pipeline, twin, loaded):
        copy.set_random_seed(3)
    outs = [[c(image=images[0])["image"] for _ in range(4)] for c in (pipeline, twin, loaded)]
    assert np.array_equal(outs[0], outs[1])
    assert np.array_equal(outs[0], outs[2])


def test_pipelines_of_arrays_are_written_with_their_styles(images):
    pipeline = A.Compose([StyleTransfer(styles=images[1:], alpha=(0.2, 1.0), p=1.0)], seed=3)
    assert "3 styles" in repr(pipeline)
    twin = A.from_dict(json.loads(json.dumps(A.to_dict(pipeline))))
    twin.set_random_seed(3)
    pipeline.set_random_seed(3)
    assert np.array_equal(twin(image=images[0])["image"], pipeline(image=images[0])["image"])


def test_banks_too_large_to_be_written_say_how(images, monkeypatch):
    monkeypatch.setattr("styleaug.adapters._inline._LIMIT", 10)
    written = A.to_dict(A.Compose([StyleTransfer(styles=images[1:], p=1.0)]))
    with pytest.raises(ValueError, match=r"StyleBank\.save\('styles\.safetensors'\)"):
        A.from_dict(written)


def test_replay_is_json_and_gives_the_same_pixels(images, bank_file):
    for styles in (bank_file, images[1:]):
        pipeline = A.ReplayCompose([StyleTransfer(styles=styles, alpha=(0.2, 1.0), p=1.0)])
        first = pipeline(image=images[0])
        record = json.loads(json.dumps(first["replay"]))
        again = A.ReplayCompose.replay(record, image=images[0])
        assert np.array_equal(again["image"], first["image"])


def test_the_gate_is_that_of_the_host(images):
    pipeline = A.Compose([StyleTransfer(styles=images[1:], p=0.3)], seed=0)
    changed = [
        not np.array_equal(pipeline(image=images[0])["image"], images[0]) for _ in range(400)
    ]
    assert 0.2 < np.mean(changed) < 0.4


SCRIPT = """
import sys
import albumentations as A, numpy as np, torch
from torch.utils.data import DataLoader, Dataset
from styleaug.adapters.albumentations import StyleTransfer


class Data(Dataset):
    def __init__(self, pipeline):
        self.pipeline = pipeline

    def __len__(self):
        return 8

    def __getitem__(self, index):
        image = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        return self.pipeline(image=image)["image"]


def epochs(context, persistent):
    pipeline = A.Compose([StyleTransfer(styles=sys.argv[1], alpha=(0.1, 1.0), p=1.0)], seed=0)
    torch.manual_seed(0)
    loader = DataLoader(Data(pipeline), num_workers=2, multiprocessing_context=context,
                        persistent_workers=persistent)
    return [image.numpy().tobytes() for _ in range(2) for image in loader]


if __name__ == "__main__":
    context = sys.argv[2]
    for persistent in (False, True) if context == "fork" else (True,):
        first = epochs(context, persistent)
        assert len(set(first)) == len(first), (context, persistent)
        assert context == "spawn" or epochs(context, persistent) == first, (context, persistent)
"""


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_workers_and_epochs_draw_their_own_and_runs_repeat(bank_file, tmp_path, context):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script), bank_file, context],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(styleaug.__file__).parents[1])},
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_pickles_are_small(bank_file):
    assert len(pickle.dumps(StyleTransfer(styles=bank_file))) < 20_000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "a pipeline sees one sample at a time"),
        ({"styles": "x", "alpha": (0.9, 0.1)}, "low <= high"),
        ({"styles": "x", "stylizer": "nope"}, "stylizer must be one of"),
        ({"styles": "x", "p": 2.0}, "less than or equal to 1"),
    ],
)
def test_wrong_arguments_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        StyleTransfer(**arguments)


def test_style_images_are_encoded_and_let_go():
    rng = np.random.default_rng(0)
    styles = [rng.integers(0, 256, (256, 256, 3), dtype=np.uint8) for _ in range(4)]
    transform = StyleTransfer("colorist", styles=styles, p=1.0)
    assert len(pickle.dumps(transform)) < 20_000
    A.Compose([transform])(image=styles[0], style_metadata=styles)
    assert len(pickle.dumps(transform)) < 20_000
    again = pickle.loads(pickle.dumps(A.Compose([transform], seed=1)))
    expected = A.Compose([transform], seed=1)(image=styles[0])["image"]
    assert np.array_equal(again(image=styles[0])["image"], expected)


def test_one_array_of_a_call_is_one_style(images):
    pipeline = A.Compose([StyleTransfer("colorist", styles=images[:1], p=1.0)])
    expected = pipeline(image=images[1], style_metadata=[images[2]])["image"]
    for _ in range(3):
        found = pipeline(image=images[1], style_metadata=images[2])["image"]
        assert np.array_equal(found, expected)
    with pytest.raises(TypeError, match="sequence of arrays, got int"):
        pipeline(image=images[1], style_metadata=3)


def test_the_probability_is_printed_once(images):
    text = repr(StyleTransfer("colorist", styles=images[1:], p=0.25))
    assert text.count("p=") == 1
    assert "p=0.25" in text


@pytest.mark.parametrize("mode", ["each", "joint"])
def test_any_number_of_channels(images, mode):
    image = np.concatenate([images[0] // 3, images[1], images[0] // 3 + 120], axis=-1)[..., :7]
    pipeline = A.Compose([StyleTransfer("colorist", styles=images[1:2], p=1.0, channel_mode=mode)])
    out = pipeline(image=image)["image"]
    assert out.shape == image.shape
    apart = out[..., 6].mean() - out[..., 0].mean()
    assert abs(apart) < 5 if mode == "each" else apart > 20
    batch = pipeline(images=np.stack([image, image]), volume=np.stack([image, image]))
    assert np.array_equal(batch["images"][1], out)
    assert np.abs(batch["volume"][1].astype(int) - out).max() <= 1
    with pytest.raises(ValueError, match="channel_mode='each'"):
        A.Compose([StyleTransfer("colorist", styles=images[1:2], p=1.0)])(image=image)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"seed": 1}, r"A\.Compose\(\.\.\., seed=\)"),
        ({"portion": 0.5}, "StyleLoader.*is p="),
        ({"per_instance": False}, "share a draw"),
    ],
)
def test_arguments_of_batches_are_refused_with_the_reason(images, arguments, words):
    with pytest.raises(TypeError, match=words):
        StyleTransfer("colorist", styles=images, **arguments)


@pytest.mark.parametrize("mode", ["rgb", "each", "joint"])
def test_units_are_those_of_the_core(images, mode):
    arrays = {"image": images[0], "images": np.stack(images[:2]), "volume": np.stack(images[:2])}
    deep = {name: array.astype(np.int16) * 10 - 400 for name, array in arrays.items()}
    settings = {"styles": images[2:3], "channel_mode": mode, "p": 1.0}
    pipeline = A.Compose([StyleTransfer("colorist", **settings, value_range=(-400, 2150))])
    out, plain = pipeline(**deep), A.Compose([StyleTransfer("colorist", **settings)])(**arrays)
    for name, array in out.items():
        assert array.dtype == np.int16
        assert np.abs((array + 400) / 10 - plain[name]).max() <= 0.56
        assert not np.array_equal(array, deep[name])
    twin = A.from_dict(json.loads(json.dumps(A.to_dict(pipeline))))
    assert np.array_equal(twin(**deep)["image"], out["image"])


def test_references_of_a_call_are_in_the_unit_of_the_images(images):
    deep = [image.astype(np.uint16) * 16 for image in images]
    transform = StyleTransfer("colorist", styles=deep[:1], value_range=(0, 4080), p=1.0)
    out = A.Compose([transform])(image=deep[1], style_metadata=deep[2])["image"]
    plain = A.Compose([StyleTransfer("colorist", styles=images[:1], p=1.0)])
    expected = plain(image=images[1], style_metadata=images[2])["image"]
    assert np.abs(out / 16 - expected).max() <= 0.6


@pytest.mark.parametrize("mode", ["rgb", "each"])
def test_floats_outside_are_clamped_where_asked(images, mode):
    image = images[0].astype(np.float32) / 200 - 0.1
    settings = {"styles": images[1:2], "channel_mode": mode, "p": 1.0}
    with pytest.raises(ValueError, match="out_of_range='clamp'"):
        A.Compose([StyleTransfer("colorist", **settings)])(image=image)
    clamped = A.Compose([StyleTransfer("colorist", **settings, out_of_range="clamp")])
    plain = A.Compose([StyleTransfer("colorist", **settings)])
    unit = image.clip(0.0, 1.0)
    expected = plain(image=unit)["image"]
    found = clamped(image=image)["image"]
    assert np.array_equal(found[expected != unit], expected[expected != unit])
