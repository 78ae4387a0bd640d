"""The settings check themselves, and what they write they can read."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from styleaug.commands import arguments
from styleaug.training import TrainConfig
from styleaug.training import config as settings


def _config(**changes):
    return TrainConfig(**{"recipe": "micro", "content": ("a",), "output": "b", **changes})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("recipe", 3),
        ("content", "slides"),
        ("content", ("",)),
        ("content", (3,)),
        ("content", ("\udc80",)),
        ("style", "slides"),
        ("style", ("",)),
        ("output", ""),
        ("output", None),
        ("same_kind", math.nan),
        ("same_kind", -0.1),
        ("steps", 1.5),
        ("steps", True),
        ("steps", "10"),
        ("epochs", math.nan),
        ("epochs", math.inf),
        ("epochs", -1.0),
        ("batch_size", 2.0),
        ("accumulate", 0),
        ("size", 64.5),
        ("learning_rate", math.nan),
        ("learning_rate", -1.0),
        ("learning_rate", "fast"),
        ("warm_up", -1),
        ("weight_decay", -1e-3),
        ("clip", -1.0),
        ("clip", 0.0),
        ("clip", math.inf),
        ("devices", 0),
        ("accelerator", "tpus"),
        ("workers", -1),
        ("workers", 0.5),
        ("seed", -1),
        ("seed", 2**32),
        ("checkpoint_every", 0),
        ("log_every", 0),
        ("images_every", -5),
        ("start", None),
        ("features", 1),
        ("weights", {"style": math.nan}),
        ("weights", {"style": -1.0}),
        ("weights", {"style": "much"}),
        ("weights", [1.0]),
        ("options", {"jitter": math.inf}),
        ("options", {"jitter": None}),
        ("options", {"jitter": {"a": 1}}),
        ("options", {3: 1}),
    ],
)
def test_what_does_not_fit_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"^{name}|^paths") as caught:
        _config(**{name: value})
    assert "got" in str(caught.value)


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
scalars = st.one_of(
    texts, st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False)
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3), max_leaves=4)


@given(
    content=st.lists(texts, min_size=1, max_size=3),
    output=texts,
    rate=st.floats(0.0, 10.0) | st.integers(0, 3),
    weights=st.dictionaries(texts, st.floats(0.0, 100.0) | st.integers(0, 3), max_size=3),
    options=st.dictionaries(texts, values, max_size=3),
)
def test_what_is_written_can_be_read(content, output, rate, weights, options):
    config = _config(
        content=content, output=output, learning_rate=rate, weights=weights, options=options
    )
    assert TrainConfig.from_toml(config.to_toml()) == config


def test_a_file_with_a_wrong_value_names_it():
    with pytest.raises(ValueError, match=r"config: steps must be a whole number, got 1\.5"):
        TrainConfig.from_toml('recipe = "micro"\ncontent = ["a"]\noutput = "b"\nsteps = 1.5')
    with pytest.raises(ValueError, match=r"config must give .'output'., got"):
        TrainConfig.from_toml('recipe = "micro"\ncontent = ["a"]')


def test_the_command_line_offers_what_the_settings_take():
    assert arguments.TRAINING_PRECISIONS == settings.PRECISIONS
    assert arguments.ACCELERATORS == settings.ACCELERATORS
