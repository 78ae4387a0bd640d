"""Options are typed: what does not fit is refused, by name, before anything is built or written."""

import dataclasses
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from styleaug import create_stylizer
from styleaug._records import check_fields, read_record
from styleaug.training import TrainConfig, Trainer
from styleaug.training.recipes import RECIPES
from styleaug.weights import save_tensors

THREE = {"style_layers": ["relu1_1", "relu2_1", "relu3_1"]}


@pytest.mark.parametrize(
    ("recipe", "options", "message"),
    [
        ("micro", {"jitter": "strong"}, "jitter must be a finite number"),
        ("micro", {"jitter": 2.0}, "jitter must be a number in .0, 1."),
        ("micro", {"jiter": 1.0}, "unknown keys .'jiter'."),
        ("contextual-adain", {"bandwidth": "wide"}, "bandwidth must be a finite number"),
        ("contextual-adain", {"bandwidth": 0.0}, "bandwidth must be a number over 0"),
        ("contextual-adain", {**THREE, "scales": [2.0]}, "scales must be one number over 0"),
        ("contextual-adain", {"style_layers": "relu1_1"}, "style_layers must be a list"),
        ("contextual-adain", {"direction": "up"}, "direction must be one of"),
        ("contextual-adain", {"backbone": "vgg11"}, "backbone must be one of"),
        ("contextual-adain", {"feature_scal": 2.0}, "unknown keys .'feature_scal'."),
        ("rast", {"detach_target": "no"}, "detach_target must be true or false"),
        ("rast", {"discriminator_scales": 1.5}, "discriminator_scales must be a whole number"),
        ("rast", {"discriminator_scales": 0}, "discriminator_scales must be a whole number"),
        ("rast", {**THREE, "scales": [1.0] * 5}, "scales must be one number over 0"),
        ("rast", {"low_res_scales": [0.5, -0.5]}, "low_res_scales must be a number over 0"),
        ("rast", {"lpips_target": "styles"}, "lpips_target must be one of"),
        ("style-kernel", {"heads": "8"}, "heads must be a whole number"),
        ("style-kernel", {"gate": "open"}, "gate must be one of"),
        ("style-kernel", {"scales": [1.0, 1.0, 1.0, 0.0]}, "scales must be one number over 0"),
        ("stylex", {"temperature": "hot"}, "temperature must be a finite number"),
        ("stylex", {"pipelines": []}, "pipelines must name one or more"),
        ("stylizing-vit-tiny", {"mean": [0.5]}, "mean must be three numbers"),
        ("stylizing-vit-tiny", {"layers": ["relu1_2"], "scales": [1, 2]}, "scales must be one"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_starts(
    folder, tmp_path, recipe, options, message
):
    images = (str(folder / "images"),)
    config = TrainConfig(recipe, images, str(tmp_path / "run"), options=options)
    with pytest.raises(ValueError, match=rf"^options.*{message}.*(got|known)"):
        Trainer(config)
    assert not (tmp_path / "run").exists()


def test_unknown_losses_are_refused_before_anything_starts(folder, tmp_path):
    images = (str(folder / "images"),)
    config = TrainConfig("micro", images, str(tmp_path / "run"), weights={"styl": 1.0})
    with pytest.raises(ValueError, match=r"weights has unknown keys \['styl'\]; known are"):
        Trainer(config)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", RECIPES)
def test_options_are_frozen_and_scales_are_one_where_none_are_given(name):
    options = RECIPES[name].options_type()
    assert getattr(options, "scales", ()) == ()
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.scales = (2.0,)


@dataclasses.dataclass(frozen=True)
class _Record:
    text: str = ""
    number: float = 0.0
    numbers: tuple[float, ...] = ()

    def __post_init__(self):
        check_fields(self)


@pytest.mark.parametrize(("name", "kind"), [("text", str), ("number", float), ("numbers", tuple)])
@given(value=st.one_of(st.none(), st.integers(), st.floats(), st.text(), st.booleans()))
def test_a_record_holds_its_types_or_is_refused(name, kind, value):
    for one in (value, [value]):
        fits = {
            "text": isinstance(one, str),
            "number": type(one) in (int, float) and math.isfinite(one),
            "numbers": type(one) is list and type(one[0]) in (int, float) and math.isfinite(one[0]),
        }
        if fits[name]:
            found = getattr(read_record(_Record, {name: one}, "here"), name)
            assert type(found) is kind
            assert found == (tuple(one) if kind is tuple else one)
        else:
            with pytest.raises(ValueError, match=f"here: {name} must be"):
                read_record(_Record, {name: one}, "here")


@pytest.mark.parametrize("name", ["contextual-adain", "rast", "style-kernel"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"feature_scal": 2.0}', r"has unknown keys \['feature_scal'\]; known are"),
        ('{"feature_scale": "large"}', "feature_scale must be a number over 0, got 'large'"),
        ('{"layer": 4}', "layer must be a text, got 4"),
    ],
)
def test_a_wrong_configuration_beside_weights_is_refused(tmp_path, name, text, message):
    path = tmp_path / "model.safetensors"
    save_tensors({"decoder.0.weight": torch.ones(1)}, path, {})
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=rf"config\.json beside .*{message}"):
        create_stylizer(name, weights=str(path))
