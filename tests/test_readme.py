"""The Python of the README and of the documentation runs, and its links lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    *(ROOT / name for name in ("CONTRIBUTING.md", "NOTICE.md", "benchmarks/README.md")),
    *(ROOT / name for name in ("CHANGELOG.md", "CODE_OF_CONDUCT.md", "SECURITY.md")),
    *sorted((ROOT / "styleaug").rglob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "weights").glob("*.md")),
    *sorted((ROOT / "weights" / "styleaug_weights").glob("*.md")),
]


def _blocks(page):
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), flags=re.DOTALL | re.MULTILINE)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::UserWarning:lightning")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_python_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__page__"}
    for block in _blocks(page):
        exec(compile(block, str(page), "exec"), names)


@pytest.mark.parametrize(
    ("page", "program"),
    [
        ("torchvision", "from torchvision.transforms import v2"),
        ("albumentations", "import albumentations as A"),
        ("monai", "from monai.transforms import"),
        ("lightning", "trainer.fit("),
        ("timm", "timm.create_model("),
        ("hugging-face", "from transformers import"),
        ("command-line", "from styleaug.cli import main"),
    ],
)
def test_every_host_has_a_program_that_runs(page, program):
    assert program in "".join(_blocks(ROOT / "docs" / "how-to" / f"{page}.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_to_files_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_readme_names_every_stylizer():
    from styleaug import list_stylizers

    text = PAGES[0].read_text()
    assert [name for name in list_stylizers() if f"`{name}`" not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_pages_install_from_the_checkout(page):
    assert not re.search(r"pip install '?styleaug", page.read_text())  # it is not on PyPI yet


def test_what_is_not_for_ct_says_so():
    from styleaug.stylizers import STYLIZERS

    cautious = {name for name, entry in STYLIZERS.items() if "CT" in entry.caution}
    documented = {name for name, entry in STYLIZERS.items() if "Not for CT" in entry.build.__doc__}
    assert cautious == documented == {"histogram", "fda"}
