"""A tag fits package, weights, changelog and repository; prints the notes of the release.

``python .ci/release.py v1.2.3 https://github.com/owner/name``
"""

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def notes(tag: str, repository: str, root: Path = ROOT) -> str:
    """Return the changelog's section of a tag, or exit with what does not fit."""
    code = (root / "styleaug" / "__init__.py").read_text()
    version = re.search(r'^__version__ = "(.+)"$', code, re.MULTILINE)[1]
    if tag != f"v{version}":
        raise SystemExit(f"tag {tag!r} is not the package's version: expected 'v{version}'")
    cited = re.search(r"^version: (.+)$", (root / "CITATION.cff").read_text(), re.MULTILINE)[1]
    if cited != version:
        raise SystemExit(f"CITATION.cff: version {cited!r} is not the package's, {version!r}")
    project = _project(root)
    extra = project["optional-dependencies"]["weights"]
    expected = [f"styleaug-weights=={_project(root / 'weights')['version']}"]
    if extra != expected:
        raise SystemExit(f"pyproject.toml: the extra weights is {extra}, not {expected}")
    source = project["urls"]["Source"]
    if source != repository:
        raise SystemExit(f"pyproject.toml: urls.Source is {source!r}, this is {repository!r}")
    heading = rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d\n(.*?)(?=^## |\Z)"
    section = re.search(heading, (root / "CHANGELOG.md").read_text(), re.MULTILINE | re.DOTALL)
    if section is None:
        raise SystemExit(f"CHANGELOG.md: no heading '## [{version}] - YYYY-MM-DD'")
    return section[1].strip()


def _project(folder: Path) -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    return project


if __name__ == "__main__":
    print(notes(*sys.argv[1:3]))
