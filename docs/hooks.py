"""What MkDocs needs to show files outside of ``docs``: the README, cards, the changelog."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
OUTSIDE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "CODE_OF_CONDUCT.md": "conduct.md",
    "SECURITY.md": "security.md",
    "NOTICE.md": "notice.md",
    "benchmarks/README.md": "benchmarks-how.md",
    "styleaug/stylizers/data/micro.md": "weights/micro.md",
    "styleaug/stylizers/data/appearance.md": "weights/appearance.md",
    "weights/README.md": "weights/install.md",
    "weights/styleaug_weights/contextual-adain.md": "weights/contextual-adain.md",
    "weights/styleaug_weights/rast.md": "weights/rast.md",
    "weights/styleaug_weights/style-kernel.md": "weights/style-kernel.md",
    "weights/styleaug_weights/stylex.md": "weights/stylex.md",
    "weights/styleaug_weights/stylizing-vit-tiny.md": "weights/stylizing-vit-tiny.md",
}
_LINK = re.compile(r"(\]\()([^)#:]+)([)#])")


def on_files(files: Files, config: dict) -> Files:
    """Add the pages that are written elsewhere in the repository."""
    for source, target in OUTSIDE.items():
        files.append(File.generated(config, target, content=(ROOT / source).read_text()))
    return files


def on_page_markdown(markdown: str, page: Page, **kwargs: object) -> str:
    """Point links between files of the repository to pages of the site."""
    target = page.file.src_uri
    written = {site: source for source, site in OUTSIDE.items()}.get(target, f"docs/{target}")

    def moved(match: re.Match[str]) -> str:
        file = posixpath.normpath(posixpath.join(posixpath.dirname(written), match[2]))
        there = OUTSIDE.get(file, file.removeprefix("docs/"))
        return match[1] + posixpath.relpath(there, posixpath.dirname(target) or ".") + match[3]

    return _LINK.sub(moved, markdown)
