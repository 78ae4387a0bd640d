"""The tutorial's program runs, and its pages hold the figures that its text names."""

import importlib.util
import re
from html import unescape
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def _page(name):
    text = (DOCS / "tutorials" / f"audit-{name}.html").read_text()
    assert "http" not in re.sub(r'src="data:[^"]*"', "", text)  # it stands alone
    return unescape(re.sub(r"<[^>]+>", " ", text))


@pytest.mark.parametrize(("name", "row"), [("plain", "without"), ("varied", "[with]")])
def test_the_tutorial_names_the_figures_of_its_pages(name, row):
    text = (DOCS / "tutorials" / "audit-a-classifier.md").read_text()
    line = next(line for line in text.splitlines() if line.startswith(f"| {row}"))
    home, far, drop, worst = (cell.strip(" *") for cell in line.strip("|").split("|")[1:])
    page = " ".join(_page(name).split())
    assert f"On the images as they are the score is {home}" in page
    assert f"give them it is {far} on average" in page
    assert f"(a drop of {drop})" in page
    assert re.search(rf"worst found \+[\d.]+ ± [\d.]+ \d+% – – – {worst} ", page)


def test_the_pages_try_what_is_tried_by_default():
    for name in ("plain", "varied"):
        assert {"colorist", "appearance"} <= set(_page(name).split())
    assert "trained again" in _page("plain")


def test_the_program_runs(capsys):
    path = DOCS / "how-to" / "audit_classifier.py"
    spec = importlib.util.spec_from_file_location("audit_classifier", path)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    program.main()
    assert re.findall(r"^(plain|varied) balanced", capsys.readouterr().out, re.M) == [
        "plain",
        "varied",
    ]
