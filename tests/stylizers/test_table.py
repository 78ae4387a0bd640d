"""The table of stylizers and what builds from it."""

import copy
import pickle

import pytest
import torch

from styleaug import StyleTransfer, Stylizer, create_stylizer, list_stylizers
from styleaug.stylizers import STYLIZERS
from styleaug.stylizers.lazy import LazyStylizer


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"colorist.*reinhard.*got 'nope'"):
        create_stylizer("nope")


def test_unknown_options_are_refused():
    with pytest.raises(ValueError, match=r"'colorist' takes .* got \['beta'\]"):
        create_stylizer("colorist", beta=0.1)
    with pytest.raises(ValueError, match=r"stylizer must be one of .* got \['colorist'\]"):
        create_stylizer(["colorist"])
    with pytest.raises(ValueError, match="has no weights"):
        create_stylizer("colorist", weights="camelyon17wilds")


@pytest.mark.parametrize("argument", [{"precision": "int8"}, {"max_batch": 0}])
def test_common_arguments_are_checked(argument):
    with pytest.raises(ValueError, match=next(iter(argument))):
        create_stylizer("colorist", **argument)


def test_names_are_unique_and_in_order():
    names = list_stylizers()
    assert names[:5] == ["colorist", "reinhard", "mkl", "histogram", "fda"]
    assert len(names) == len(set(names))


def test_equal_requests_share_one_network():
    first, second = LazyStylizer("fda", {"beta": 0.1}), LazyStylizer("fda", {"beta": 0.1})
    assert first.on("cpu") is second.on("cpu")
    assert first.on("cpu") is not LazyStylizer("fda", {"beta": 0.2}).on("cpu")
    assert copy.deepcopy(first) is first
    assert pickle.loads(pickle.dumps(first)).on("cpu") is first.on("cpu")


def test_a_stylizer_of_your_own_is_carried_along():
    lazy = LazyStylizer(create_stylizer("fda", beta=0.3), {})
    again = pickle.loads(pickle.dumps(lazy))
    assert again.on("cpu").beta == 0.3
    with pytest.raises(ValueError, match="built already"):
        LazyStylizer(lazy.on("cpu"), {"weights": "x"})


def test_precision_resolves_by_device():
    stylizer = create_stylizer("colorist")
    assert stylizer.compute_precision(torch.device("cpu")) == "fp32"
    assert create_stylizer("colorist", precision="bf16").compute_precision(torch.device("cpu")) == (
        "bf16"
    )


def test_flags_are_read_without_building(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("a stylizer was built")

    monkeypatch.setattr("styleaug.stylizers.lazy.create_stylizer", refuse)
    for name, entry in STYLIZERS.items():
        kind = LazyStylizer(name, {}).kind
        assert issubclass(kind, Stylizer)
        assert kind is not Stylizer, f"{name} does not say what {entry.build} returns"
    assert LazyStylizer("histogram", {}).kind.pointwise
    assert not LazyStylizer("stylizing-vit-tiny", {}).kind.pointwise
    with pytest.raises(ValueError, match="would undo 'colorist'"):
        StyleTransfer("colorist", preserve_color=True)
