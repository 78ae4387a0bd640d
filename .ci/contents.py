"""What the sdist and the wheel hold beside Python files of the package is exactly this."""

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
    "styleaug/stylizers/data/stylex.md",
    "styleaug/stylizers/data/stylex.safetensors",
}
BESIDE = {"LICENSE", "NOTICE.md", "README.md", "CHANGELOG.md", "CITATION.cff", "MANIFEST.in"} | {
    "PKG-INFO",
    "pyproject.toml",
    "setup.cfg",
}

folder = Path(sys.argv[1])
(wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
in_wheel = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
with tarfile.open(sdist) as archive:
    files = [member.name.split("/", 1)[1] for member in archive if member.isfile()]
in_sdist = {name for name in files if ".egg-info/" not in name}
for kind, found, expected in (
    ("wheel", in_wheel, DATA),
    ("sdist", in_sdist, DATA | BESIDE),
):
    code = {name for name in found if name.startswith("styleaug/") and name.endswith(".py")}
    if found - code != expected:
        raise SystemExit(f"{kind}: {sorted((found - code) ^ expected)}")
print("contents as meant:", len(in_wheel), "files in the wheel,", len(in_sdist), "in the sdist")
