"""What made-up runs of the shift benchmark say, and that records are what their runs say."""

import json
import sys

import pytest
from scipy.stats import t

from benchmarks import record, shift, tables
from benchmarks.shift_summary import as_advised, difference, summary

PLAIN, ALIGNED = "as it is", "appearance, nearest"
MEASURED = {"machine": {"cpu": "of then"}, "versions": {"torch": "1.0"}, "commit": "abc"}


def _run(arm, seed, unseen, aligned=None, held=0.9, seconds=60.0):
    """Return a run of source x on the domains a and b; scores by domain."""
    tests = {PLAIN: unseen} | ({ALIGNED: aligned} if aligned else {})
    scores = {
        test: {"held": {"dice": held}, "unseen": {d: {"dice": v} for d, v in found.items()}}
        for test, found in tests.items()
    }
    return {"fold": "x", "seed": seed, "arm": arm, "seconds": seconds, "scores": scores}


@pytest.fixture
def runs():
    return [
        _run("none", 0, {"a": 0.30, "b": 0.40}, {"a": 0.50, "b": 0.42}, 0.90, 60),
        _run("none", 1, {"a": 0.34, "b": 0.40}, {"a": 0.52, "b": 0.40}, 0.88, 120),
        _run("strong jitter", 0, {"a": 0.50, "b": 0.60}, {"a": 0.58, "b": 0.50}, 0.86, 90),
        _run("strong jitter", 1, {"a": 0.52, "b": 0.62}, {"a": 0.60, "b": 0.46}, 0.87, 90),
        _run("other", 0, {"a": 0.54, "b": 0.60}, {"a": 0.58, "b": 0.61}, 0.80, 30),
    ]


def _rows(runs):
    return {(row["arm"], row["test"]): row for row in summary(runs)}


def test_a_difference_is_paired_and_its_interval_is_of_students_t():
    ours, theirs = {"a": 0.5, "b": 0.7, "c": 0.9}, {"b": 0.6, "a": 0.3, "c": 0.9, "d": 0.0}
    found = difference(ours, theirs)
    assert found["mean"] == 0.1
    assert found["runs"] == 3
    half = t.ppf(0.975, 2) * 0.1 / 3**0.5  # changes of .2, .1 and 0 have a deviation of .1
    assert (found["low"], found["high"]) == pytest.approx((0.1 - half, 0.1 + half), abs=1e-4)
    assert found["p"] == pytest.approx(0.23)


def test_a_difference_of_one_run_or_without_spread_has_no_interval():
    assert difference({"a": 0.5}, {"a": 0.3}) == {"mean": 0.2, "runs": 1}
    assert difference({"a": 0.5, "b": 0.4}, {"a": 0.4, "b": 0.3}) == {"mean": 0.1, "runs": 2}
    assert difference({"a": 0.5}, {"b": 0.3}) == {}


def test_rows_have_the_gain_over_none(runs):
    row = _rows(runs)["strong jitter", PLAIN]
    assert row["unseen"] == 0.56
    assert row["gain"] == 0.2
    assert row["standard error"] == pytest.approx(0.0082, abs=1e-4)  # .2, .2, .18 and .22
    assert row["p"] < 1e-3
    assert "gain" not in _rows(runs)["none", PLAIN]


def test_rows_are_compared_with_jitter_that_is_tested_alike(runs):
    rows = _rows(runs)
    assert rows["none", PLAIN]["over strong jitter"]["mean"] == -0.2
    aligned = rows["none", ALIGNED]["over strong jitter"]
    assert aligned["mean"] == pytest.approx((-0.08 - 0.08 - 0.08 - 0.06) / 4)
    assert aligned["low"] < aligned["mean"] < aligned["high"] < 0.0
    assert rows["other", PLAIN]["over strong jitter"]["runs"] == 2  # of the seed that both have
    assert "over strong jitter" not in rows["strong jitter", ALIGNED]
    plain = rows["none", ALIGNED]["over strong jitter as it is"]
    assert plain["mean"] == pytest.approx((0.0 - 0.18 + 0.0 - 0.22) / 4)
    assert "over strong jitter as it is" not in rows["none", PLAIN]


def test_harm_in_one_domain_is_named_where_the_mean_hides_it(runs):
    rows = _rows(runs)
    found = rows["strong jitter", ALIGNED]["over as it is"]
    assert found["mean"] == pytest.approx(-0.025)
    assert found["pairs"] == {"x > a": 0.08, "x > b": -0.13}
    assert found["worst"] == "x > b"
    assert "over as it is" not in rows["strong jitter", PLAIN]


def test_the_cost_at_home_and_the_minutes_are_told(runs):
    rows = _rows(runs)
    home = rows["strong jitter", PLAIN]["home over none"]
    assert home["mean"] == -0.025
    assert home["runs"] == 2
    assert home["low"] < -0.025 < home["high"]
    assert "home over none" not in rows["none", PLAIN]
    assert rows["none", ALIGNED]["home over none"]["mean"] == 0.0
    assert rows["none", PLAIN]["minutes"] == 1.5
    assert rows["other", PLAIN]["minutes"] == 0.5


def test_runs_without_none_or_jitter_have_no_such_comparison(runs):
    rows = _rows([run for run in runs if run["arm"] == "other"])
    assert set(rows["other", PLAIN]).isdisjoint({"gain", "over strong jitter", "home over none"})
    assert rows["other", ALIGNED]["over as it is"]["mean"] == pytest.approx(0.025)


def _record(folder, runs, name="shift-made"):
    old = [{k: v for k, v in r.items() if not isinstance(v, dict) or k == "pairs"} for r in runs]
    path = folder / "9.9.9" / f"{name}--cpu.json"
    path.parent.mkdir()
    results = {"settings": {"steps": 3}, "table": old}
    path.write_text(json.dumps({"benchmark": name, **MEASURED, "results": results}))
    return path


@pytest.fixture
def summarise(tmp_path, runs, monkeypatch):
    """Return a call of the command on runs, and the record that it computes again."""
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    monkeypatch.setattr(record, "_own_version", lambda: "9.9.9")
    path = _record(tmp_path, summary(runs))

    def call(runs, name="shift-made"):
        file = tmp_path / "made.jsonl"
        file.write_text("".join(json.dumps(run) + "\n" for run in runs))
        words = ["shift", "--summarise", str(file), "--record", name, "--device", "cpu"]
        monkeypatch.setattr(sys, "argv", words)
        shift.main()

    return call, path


def test_a_record_is_computed_again_and_says_where_it_was_measured(summarise, runs):
    call, path = summarise
    call(runs)
    found = json.loads(path.read_text())
    assert {key: found[key] for key in MEASURED} == MEASURED
    assert found["recomputed"]
    assert found["results"] == {"settings": {"steps": 3}, "table": summary(runs)}
    kept = path.parent / "runs" / "shift-made--cpu.jsonl"
    assert [json.loads(line) for line in kept.read_text().splitlines()] == runs


def test_runs_of_another_measurement_do_not_replace_a_record(summarise, runs):
    call, path = summarise
    before = path.read_text()
    with pytest.raises(SystemExit, match="differ: none / appearance, nearest; none / as it is"):
        call([_run("none", 0, {"a": 0.9, "b": 0.9}, {"a": 0.9, "b": 0.9}), *runs[1:]])
    with pytest.raises(SystemExit, match="no record"):
        call(runs, "shift-other")
    assert path.read_text() == before
    assert not (path.parent / "runs").exists()


def test_runs_in_their_place_are_kept_once(tmp_path):
    path = tmp_path / "runs" / "shift-made--cpu.jsonl"
    path.parent.mkdir()
    path.write_text("{}\n")
    assert record.keep_runs(path, tmp_path / "shift-made--cpu.json") == path
    assert path.read_text() == "{}\n"


def _lines(rows):
    text = tables._shift({"settings": {"steps": 3, "size": 8, "seeds": 2}, "table": rows})
    return text, [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]


def test_the_table_names_the_domain_that_alignment_harms_most(runs):
    text, lines = _lines(summary(run for run in runs if run["arm"] != "other"))
    assert "not kept" not in text
    harm = [line for line in lines if line[:2] == ["strong jitter", ALIGNED]][-1]
    assert harm[2].startswith("-0.025 (-0.")
    assert harm[4:] == ["x to b -0.130", "1 of 2"]
    gained = next(line for line in lines if line[:2] == ["none", PLAIN])
    assert gained[-4:] == ["-0.200 (-0.226 to -0.174)", "", "4", "1.5"]


def test_the_table_of_a_record_without_runs_has_changes_of_means_alone(runs):
    later = ("over as it is", "home over none", "minutes")
    later += ("over strong jitter", "over strong jitter as it is")
    rows = [{k: v for k, v in row.items() if k not in later} for row in summary(runs)]
    text, lines = _lines(rows)
    assert "not kept" in text
    assert "minutes" not in text
    harm = [line for line in lines if line[:2] == ["strong jitter", ALIGNED]][-1]
    assert harm[2:] == ["-0.025", "", "x to b -0.130", "1 of 2"]


RUNS = sorted(tables.RESULTS.glob("*/runs/*.jsonl"))


@pytest.mark.parametrize("path", RUNS, ids=[path.stem for path in RUNS])
def test_records_are_what_their_runs_say(path):
    runs = [json.loads(line) for line in path.read_text().splitlines()]
    kept = json.loads((path.parents[1] / f"{path.stem}.json").read_text())
    assert summary(runs) == kept["results"]["table"]


def test_runs_of_records_are_there():
    assert RUNS


def _chosen(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["shift", *words])
    return vars(shift._options())


def test_what_is_given_beside_short_counts_more(monkeypatch):
    found = _chosen(monkeypatch, "classes", "--index", "x.csv", "--short", "--seeds", "7")
    assert found["arms"] == ["none", "strong jitter", "changes of appearance of every second image"]
    assert (found["steps"], found["size"], found["seeds"]) == (120, 128, 7)
    assert _chosen(monkeypatch, "masks", "--index", "x.csv", "--short")["backbone"] == "small"


def test_a_task_needs_its_index(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        _chosen(monkeypatch, "classes")
    assert "--index" in capsys.readouterr().err


def test_advice_chooses_domain_by_domain():
    plain = {"held": {"a": 0.9}, "unseen": {"x": {"a": 0.3}, "y": {"a": 0.6}}}
    aligned = {"held": {"a": 0.8}, "unseen": {"x": {"a": 0.5}, "y": {"a": 0.4}}}
    said = {"held": {"align": False}, "unseen": {"x": {"align": True}, "y": {"align": False}}}
    found = as_advised(plain, aligned, said)
    assert found["held"] == {"a": 0.9}
    assert found["unseen"] == {"x": {"a": 0.5}, "y": {"a": 0.6}}
    assert found["advice"] is said
