"""What the sdist and the wheels hold beside Python files of the packages is exactly this."""

import sys
import tarfile
import zipfile
from pathlib import Path

DATA = {
    "styleaug/py.typed",
    "styleaug/samples/nuclei-pink.png",
    "styleaug/samples/nuclei-purple-on-purple.png",
    "styleaug/samples/nuclei-purple-on-white.png",
    "styleaug/samples/skin-cool.jpg",
    "styleaug/samples/skin-vignette.jpg",
    "styleaug/samples/skin-warm.jpg",
    "styleaug/stylizers/data/appearance.md",
    "styleaug/stylizers/data/appearance.safetensors",
    "styleaug/stylizers/data/micro.md",
    "styleaug/stylizers/data/micro.safetensors",
}
WEIGHTS = {
    "styleaug_weights/contextual-adain-ct.safetensors",
    "styleaug_weights/contextual-adain.md",
    "styleaug_weights/contextual-adain.safetensors",
    "styleaug_weights/rast.md",
    "styleaug_weights/rast.safetensors",
    "styleaug_weights/style-kernel.md",
    "styleaug_weights/style-kernel.safetensors",
    "styleaug_weights/stylex.md",
    "styleaug_weights/stylex.safetensors",
    "styleaug_weights/stylizing-vit-tiny.md",
    "styleaug_weights/stylizing-vit-tiny.safetensors",
}
BESIDE = {"LICENSE", "NOTICE.md", "README.md", "CHANGELOG.md", "CITATION.cff", "MANIFEST.in"} | {
    "PKG-INFO",
    "pyproject.toml",
    "setup.cfg",
}
LARGEST = 2_000_000
"""Bytes of the largest file of the core; larger weights go to ``styleaug-weights``."""

folder = Path(sys.argv[1])


def one(pattern: str) -> Path:
    """Return the only file of a pattern."""
    (found,) = folder.glob(pattern)
    return found


def in_wheel(path: Path) -> dict[str, int]:
    """Return the sizes of the files of a wheel by name."""
    with zipfile.ZipFile(path) as archive:
        files = {f.filename: f.file_size for f in archive.infolist()}
    return {name: size for name, size in files.items() if ".dist-info/" not in name}


def in_sdist(path: Path) -> dict[str, int]:
    """Return the sizes of the files of an sdist by name."""
    with tarfile.open(path) as archive:
        files = {m.name.split("/", 1)[1]: m.size for m in archive if m.isfile()}
    return {name: size for name, size in files.items() if ".egg-info/" not in name}


core, sdist = in_wheel(one("styleaug-*.whl")), in_sdist(one("styleaug-*.tar.gz"))
weights = in_wheel(one("styleaug_weights-*.whl"))
for kind, files, package, expected in (
    ("wheel", core, "styleaug", DATA),
    ("sdist", sdist, "styleaug", DATA | BESIDE),
    ("wheel of weights", weights, "styleaug_weights", WEIGHTS),
):
    code = {name for name in files if name.startswith(f"{package}/") and name.endswith(".py")}
    if set(files) - code != expected:
        raise SystemExit(f"{kind}: {sorted((set(files) - code) ^ expected)}")
too_large = sorted(name for name, size in (core | sdist).items() if size > LARGEST)
if too_large:
    raise SystemExit(f"over {LARGEST} bytes, for styleaug-weights: {too_large}")
print(f"contents as meant: {len(core)} files in the wheel, {len(sdist)} in the sdist")
