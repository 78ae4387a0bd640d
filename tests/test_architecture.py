"""Imports point down, and importing the package loads nothing that is optional."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import styleaug

ROOT = Path(styleaug.__file__).parent

# Lower layers first. A module may import from its own layer's packages and from those below.
LAYERS = [
    {
        "_checks",
        "_device",
        "_draws",
        "_files",
        "_records",
        "_tensors",
        "weights",
        "samples",
        "presets",
    },
    {"images"},
    {"functional"},
    {"features"},
    {"stylizers"},
    {"styles", "params"},
    {"transform"},
    {"tta", "adapters", "evaluation", "auditing", "export", "slides"},
    {"cli", "commands", "__main__"},
]
BESIDE = {
    "appearance": {0, 1},
    "metrics": {0, 1, 2, 3},
    "stylex": {0, 1, 2, 3},
    "training": {0, 1, 2, 3, 4},
}
PUBLIC = {name: home.split(".")[1] for home, names in styleaug._HOMES.items() for name in names}
PAGE = (ROOT.parent / "docs" / "concepts" / "architecture.md").read_text()
OPTIONAL = ("torchvision", "albumentations", "monai", "lightning", "torchmetrics", "skimage")
OPTIONAL += ("pydicom", "nibabel", "cv2")


def _level(module: str) -> int | None:
    for level, names in enumerate(LAYERS):
        if module in names:
            return level
    return None


def _imports(path: Path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("styleaug."):
            yield node.module.split(".")[1]
        elif isinstance(node, ast.ImportFrom) and node.module == "styleaug":
            for alias in node.names:  # a room, or a public name, whose room it is
                if alias.name != "__version__":  # the package itself loads nothing
                    yield PUBLIC.get(alias.name, alias.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("styleaug."):
                    yield alias.name.split(".")[1]


def _part(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[0]


def test_this_tree_is_tested_here_and_in_processes(tmp_path):
    tree = Path(__file__).parents[1] / "styleaug" / "__init__.py"
    code = "import styleaug; print(styleaug.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert Path(styleaug.__file__) == tree
    assert Path(done.stdout.strip()) == tree


def test_every_module_has_a_place():
    known = set().union(*LAYERS) | set(BESIDE) | {"__init__"}
    assert {_part(path) for path in ROOT.rglob("*.py")} <= known


def _rows(heading):
    """Return the cells of the table under a heading of the page."""
    lines = PAGE.split(f"## {heading}")[1].split("\n## ")[0].splitlines()
    return [line.strip("| ").split(" | ") for line in lines if line.startswith("|")][2:]


def test_the_page_of_the_architecture_names_every_room_in_its_layer():
    rows = [(layer, set(re.findall(r"`(\w+)`", rooms))) for layer, rooms, _ in _rows("The rooms")]
    beside = [rooms for layer, rooms in rows if layer == "beside"]
    assert [rooms for layer, rooms in rows if layer != "beside"] == [
        names - {"__main__"} for names in LAYERS
    ]
    assert set().union(*beside) == set(BESIDE)


def test_what_the_page_of_the_architecture_points_at_exists():
    for _, rooms, what in _rows("The rooms"):
        folders = [ROOT / room for room in re.findall(r"`(\w+)`", rooms)]
        for name in re.findall(r"`([a-z_]+)`", what):
            assert any((f / name).is_dir() or (f / f"{name}.py").is_file() for f in folders), name
    for path in re.findall(r"`((?:styleaug|tests|benchmarks|docs|weights)/[\w/.]*)`", PAGE):
        assert (ROOT.parent / path).exists(), path
    names = re.findall(r"`(\w+\.py|[A-Z]\w+|_?[a-z]+_\w+)`", PAGE)
    sources = "".join(path.read_text() for path in ROOT.rglob("*.py"))
    files = {path.name for path in ROOT.rglob("*.py")}
    for name in names:
        assert name in files if name.endswith(".py") else re.search(rf"\b{name}\b", sources), name


def test_imports_point_down():
    wrong = []
    for path in ROOT.rglob("*.py"):
        part = _part(path)
        level = _level(part)
        if level is None:
            continue
        for target in _imports(path):
            above = _level(target)
            if above is not None and above > level:
                wrong.append(f"{part} imports {target}")
    assert not wrong


def test_packages_beside_the_flow_see_only_what_they_may():
    wrong = []
    for path in ROOT.rglob("*.py"):
        part = _part(path)
        for target in _imports(path):
            seen = part in BESIDE and target != part and target not in BESIDE
            if seen and _level(target) not in BESIDE[part]:
                wrong.append(f"{part} imports {target}")
    assert not wrong


def test_imports_stand_at_the_top_except_where_a_library_is_optional():
    late = {
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*.py")
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("styleaug")
    }
    assert late == {"images/opening.py"}  # the readers of DICOM and NIfTI


def test_no_room_imports_what_is_private_to_another():
    private = []
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("styleaug."):
                room, *inside = node.module.split(".")[1:]
                names = [] if room == _part(path) else inside
                names += [alias.name for alias in node.names]
                private += [f"{path.name}: {name}" for name in names if name.startswith("_")]
    assert not private


def test_benchmarks_use_public_names_only():
    files = list((ROOT.parent / "benchmarks").glob("*.py"))
    assert files
    private = []
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("styleaug"):
                names = [*node.module.split("."), *(alias.name for alias in node.names)]
                private += [f"{path.name}: {name}" for name in names if name.startswith("_")]
    assert not private


def test_import_loads_nothing_optional():
    code = f"import sys, styleaug; print([n for n in {OPTIONAL!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_works_where_torchvision_cannot_be_imported(tmp_path):
    broken = tmp_path / "torchvision"
    broken.mkdir()
    (broken / "__init__.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')"
    )
    code = (
        "import torch, styleaug; "
        "print(styleaug.StyleTransfer(p=1.0, seed=0)(torch.rand(2, 3, 32, 32)).shape)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": f"{tmp_path}:{ROOT.parent}", "PATH": ""},
    )
    assert done.returncode == 0, done.stderr


def test_public_names_exist_and_are_documented():
    for name in styleaug.__all__:
        assert getattr(styleaug, name).__doc__
