"""Draws belong to an image: keys decide them, batches do not."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from styleaug._draws import fold_in, generator_keys, id_keys, process_stream, uniforms
from styleaug.params import StyleParams


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(0, 2**40))
def test_generator_keys_do_not_depend_on_the_split(sizes, seed):
    whole = generator_keys(sum(sizes), torch.Generator().manual_seed(seed))
    generator = torch.Generator().manual_seed(seed)
    parts = [generator_keys(size, generator) for size in sizes]
    assert np.array_equal(whole, np.concatenate(parts))


def test_uniforms_are_uniform_and_independent():
    draws = uniforms(id_keys(3, range(20_000)), 4)
    assert draws.min() >= 0.0
    assert draws.max() < 1.0
    for column in draws.T:
        counts, _ = np.histogram(column, bins=20, range=(0, 1))
        assert ((counts - 1000) ** 2 / 1000).sum() < 50  # chi-square, 19 degrees of freedom
    assert np.abs(np.corrcoef(draws.T) - np.eye(4)).max() < 0.03
    assert np.abs(np.corrcoef(draws[:-1, 0], draws[1:, 0])[0, 1]) < 0.03


def test_ids_seeds_and_streams_all_matter():
    keys = id_keys(0, ["a", "b"])
    assert len({*keys.tolist(), *id_keys(1, ["a", "b"]).tolist()}) == 4
    assert np.array_equal(keys[::-1], id_keys(0, ["b", "a"]))
    assert np.array_equal(fold_in(keys, 0), keys)
    assert not np.intersect1d(fold_in(keys, 1), fold_in(keys, 2)).size


def test_negative_and_huge_seeds_are_fine():
    assert len(set(id_keys(-1, [0, -5, 2**70]).tolist())) == 3


@pytest.mark.parametrize("variable", ["RANK", "LOCAL_RANK"])
def test_ranks_have_streams_of_their_own(monkeypatch, variable):
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert process_stream() == 0
    monkeypatch.setenv(variable, "3")
    assert process_stream() != 0


def test_entries_of_params_repeat_and_go_apart():
    params = StyleParams((True, False), (3, 1), (0.5, 0.25), "bank")
    twice = params.repeat(2)
    assert twice.applied == (True, True, False, False)
    assert twice.style == (3, 3, 1, 1)
    assert twice.alpha == (0.5, 0.5, 0.25, 0.25)
    assert [params[0], params[1], params[-1]] == [params[:1], params[1:], params[1:]]
    assert len(params[1]) == 1
