"""Paints with all that is installed and connects to nothing: ``python offline.py core|weights``."""

import importlib
import inspect
import socket
import subprocess
import sys
from pathlib import Path


def refused(*arguments: object) -> None:
    """Stand in for every connection."""
    raise AssertionError(f"a connection was asked for: {arguments}")


socket.socket.connect = refused
socket.getaddrinfo = refused

import torch  # noqa: E402

import styleaug  # noqa: E402
from styleaug.stylizers import STYLIZERS  # noqa: E402
from styleaug.weights import at_hand  # noqa: E402


def painted() -> list[str]:
    """Paint with every stylizer whose weights are at hand; returns their names."""
    images = torch.rand(2, 3, 64, 64)
    names = []
    for name, entry in STYLIZERS.items():
        ready = [record.name for record in entry.weights if at_hand(record)]
        if "weights" in inspect.signature(entry.build).parameters and not ready:
            continue
        weights = ready[0] if ready else None
        out = styleaug.StyleTransfer(name, weights=weights, p=1.0, seed=0)(images)
        assert out.shape == images.shape, name
        assert not torch.equal(out, images), name
        names.append(name)
    return names


def expect(kind: type[Exception], way_out: str, name: str, *arguments: str) -> None:
    """Call what lies under a dotted name: it must raise an error that says what to install."""
    module, _, attribute = name.rpartition(".")
    message = f"{name} works without what it needs"
    try:
        getattr(importlib.import_module(module), attribute)(*arguments)
    except kind as error:
        message = str(error)
    assert way_out in message, message


def main(what: str) -> None:
    """Try the core alone, or the core with the weights."""
    assert "site-packages" in styleaug.__file__, styleaug.__file__
    run = [sys.executable, "-W", "error", "-m", "styleaug"]
    if what == "core":
        expect(ImportError, "pip install torch torchvision", "styleaug.stylex.StyleX")
        expect(FileNotFoundError, "'styleaug[weights]'", "styleaug.create_stylizer", "rast")
        subprocess.run([*run, "demo", "-o", "demo"], check=True)
        assert Path("demo/grid.png").stat().st_size > 0
    else:
        stylex = importlib.import_module("styleaug.stylex").StyleX()
        films = torch.rand(2, 1, 64, 64)
        assert stylex.distance(films, films).max() < 1e-5
    subprocess.run([*run, "list"], check=True)
    print(f"{what}, offline:", ", ".join(painted()))


main(sys.argv[1])
