"""The ablations of RAST and StyleKernel: what their variants are, and what is measured."""

import argparse
import json
from pathlib import Path

import pytest
import torch

from benchmarks import studies, tables
from styleaug import create_stylizer
from styleaug.training import TrainConfig
from styleaug.training.recipes import RECIPES


@pytest.mark.parametrize("study", studies.STYLIZERS)
def test_every_variant_is_a_run_that_can_be_configured(study):
    found = studies.variants_of(study, {})
    recipe = studies.STYLIZERS[study]
    seen = set()
    for changes in found.values():
        config = TrainConfig(recipe, ("x",), "y", **changes)
        RECIPES[recipe].read_options(config)
        assert set(config.weights) <= set(RECIPES[recipe].default_weights)
        seen.add(str((sorted(config.weights.items()), sorted(config.options.items()))))
    assert len(seen) == len(found) > 3


def test_style_kernel_grows_from_attention_alone_to_what_it_is():
    found = studies.style_kernel_parts()
    first, last = found["base"], found["+ shuffled groups"]
    assert first["options"] == {"kernel": 0, "gate": "none", "groups": 1}
    assert first["weights"] == {"adversarial": 0.0, "remd": 0.0}
    assert last["options"] == {"kernel": 3, "gate": "ste", "groups": 8}  # its defaults
    recipe = RECIPES["style-kernel"]
    assert last["weights"] == {key: recipe.default_weights[key] for key in last["weights"]}
    changed = [
        sum(a[key] != b[key] for a, b in ((p[k], n[k]) for k in n) for key in b)
        for p, n in zip(list(found.values()), list(found.values())[1:], strict=False)
    ]
    assert changed == [1] * 5


def test_rast_is_trained_without_losses_that_the_settings_weigh():
    found = studies.losses({"edges": 2.0, "adversarial": 0.5, "contrastive_style": 1.0})
    assert all(changes["weights"]["edges"] == 2.0 for changes in found.values())
    assert found["all"]["weights"]["adversarial"] == 0.5
    assert found["without adversarial"]["weights"]["adversarial"] == 0.0
    assert found["without contrastive"]["weights"]["contrastive_style"] == 0.0
    assert "without LPIPS" not in found


def test_restoration_is_measured_on_smaller_copies_too():
    judges = studies.Judges(argparse.Namespace(study="rast-ablation", alexnet="", device="cpu"))
    content, style = torch.rand(2, 1, 3, studies.SIDE, studies.SIDE)
    found = studies.evaluate(create_stylizer("mkl"), [(content, style)], judges)
    assert found["restored, 64 px"] == pytest.approx(found["restored, 32 px"], abs=0.2)
    assert 0.5 < found["restored, 64 px"] <= 1.0
    assert "style" not in found


def test_a_record_tells_what_the_runs_have_in_common_and_no_paths(tmp_path):
    config = tmp_path / "study.toml"
    config.write_text(
        'recipe = "rast"\ncontent = ["x"]\noutput = "y"\nsteps = 7\nstart = "medical"\n'
    )
    (tmp_path / "held" / "skin").mkdir(parents=True)
    options = argparse.Namespace(config=str(config), held_out=str(tmp_path / "held"))
    found = studies.settings(options)
    assert found["steps"] == 7
    assert found["start"] == "medical"
    assert found["kinds"] == ["skin"]
    weights = tmp_path / "run.safetensors"
    weights.touch()
    config.write_text(config.read_text().replace("medical", str(weights)))
    found = studies.settings(options)
    assert found["start"] == "run.safetensors"
    assert str(tmp_path) not in str(found)
    table = tables._study({"settings": found, "variants": {"all": {"edges": 0.5, "ssim": 0.25}}})
    assert "| all | 0.500 | 0.250 |" in table
    assert "LPIPS" not in table


def test_what_is_beside_says_its_name_and_its_detail():
    (row, plain), (other, whole) = (
        *studies.beside(["rast, as it ships"], detail=False).items(),
        *studies.beside(["contextual-adain=ct"]).items(),
    )
    assert row == "beside: rast, as it ships, without detail"
    assert plain.detail is False
    assert other == "beside: contextual-adain"
    assert whole.detail is True
    assert whole.weights_id == create_stylizer("contextual-adain", weights="ct").weights_id


def test_the_digest_of_the_start_is_that_of_its_stylizer(tmp_path):
    config = tmp_path / "study.toml"
    config.write_text(
        'recipe = "rast"\ncontent = ["x"]\noutput = "y"\nsteps = 7\nstart = "medical"\n'
    )
    options = argparse.Namespace(study="rast-ablation", config=str(config))
    assert studies.begun(options) == {"start": create_stylizer("rast").weights_id}
    config.write_text(config.read_text().replace("medical", ""))
    assert studies.begun(options) == {}


@pytest.mark.parametrize("study", ["rast-ablation", "style-kernel-ablation"])
def test_the_settings_of_the_records_are_in_the_repository(study):
    folder = Path(studies.__file__).parent
    text = (folder / "configs" / f"{study}.toml").read_text()
    assert "/" not in text.split("[weights]")[0].split("\n", 1)[1]  # of no machine
    config = TrainConfig.from_file(folder / "configs" / f"{study}.toml")
    record = json.loads((folder / "results" / "0.1.0" / f"{study}--cpu.json").read_text())
    found = record["results"]["settings"]
    assert {key: getattr(config, key) for key in found if key != "kinds"} == {
        key: value for key, value in found.items() if key != "kinds"
    }


def test_a_clip_moves_by_two_pixels():
    content = torch.rand(1, 3, 40, 48)
    clip = studies.moving(content)
    assert clip.shape == (5, 3, 40, 40)
    assert torch.equal(clip[1, ..., :-2], clip[0, ..., 2:])
