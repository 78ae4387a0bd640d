"""What a release checks before it publishes: tag, citation, repository, changelog."""

import re
import runpy
import tomllib
from pathlib import Path

import pytest

import styleaug

ROOT = Path(__file__).parents[1]
HERE = "https://github.com/owner/name"
notes = runpy.run_path(str(ROOT / ".ci" / "release.py"))["notes"]


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "styleaug").mkdir()
    (tmp_path / "styleaug" / "__init__.py").write_text('"""Doc."""\n\n__version__ = "1.2.3"\n')
    (tmp_path / "CITATION.cff").write_text("cff-version: 1.2.0\nversion: 1.2.3\n")
    (tmp_path / "pyproject.toml").write_text(
        f'[project.urls]\nSource = "{HERE}"\n'
        '[project.optional-dependencies]\nweights = ["styleaug-weights==0.4.0"]\n'
    )
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "pyproject.toml").write_text('[project]\nversion = "0.4.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## [Unreleased]\n\n- later\n\n## [1.2.3] - 2026-01-31\n\n- now\n\n"
        "## [1.2.2] - 2025-12-31\n\n- before\n"
    )
    return tmp_path


def test_the_notes_are_the_section_of_the_tag(tree):
    assert notes("v1.2.3", HERE, tree) == "- now"


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("styleaug/__init__.py", "1.2.3", "1.2.4", "expected 'v1.2.4'"),
        ("CITATION.cff", "version: 1.2.3", "version: 1.2.2", "CITATION"),
        ("pyproject.toml", "owner", "other", "urls.Source"),
        ("weights/pyproject.toml", "0.4.0", "0.5.0", "styleaug-weights==0.5.0"),
        ("CHANGELOG.md", "## [1.2.3] - 2026-01-31", "## [1.2.3]", "no heading"),
    ],
)
def test_what_does_not_fit_the_tag_stops_the_release(tree, file, old, new, message):
    text = (tree / file).read_text()
    (tree / file).write_text(text.replace(old, new))
    with pytest.raises(SystemExit, match=re.escape(message)):
        notes("v1.2.3", HERE, tree)


def test_this_tree_names_its_version_once_or_alike():
    cited = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert cited[1] == styleaug.__version__
    weights = tomllib.loads((ROOT / "weights" / "pyproject.toml").read_text())["project"]
    core = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = core["optional-dependencies"]["weights"]
    assert asked == [f"{weights['name']}=={weights['version']}"]
    # without it neither contextual-adain nor rast, style-kernel and StyleX can be built
    assert weights["dependencies"] == core["optional-dependencies"]["torchvision"]


def test_every_dependency_of_tests_and_documentation_is_locked():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras, names, seen = project["optional-dependencies"], set(), ["test", "docs"]
    wanted = [*project["dependencies"], *extras["test"], *extras["docs"]]
    while wanted:
        name, inner = re.match(r"([\w.-]+)(?:\[([\w,]+)\])?", wanted.pop()).groups()
        if name != "styleaug":
            names.add(name.lower().replace("_", "-"))
            continue
        more = [extra for extra in inner.split(",") if extra not in seen]
        seen += more
        wanted += [item for extra in more for item in extras[extra]]
    assert {"dicom", "nifti", "slide"} <= set(seen)
    locked = re.findall(
        r"^([\w.-]+)==", (ROOT / ".ci" / "requirements.txt").read_text(), re.MULTILINE
    )
    assert names <= {name.lower() for name in locked}
