"""Weights: safe reading, atomic writing, records, and the Hub's cache and interface."""

import hashlib
import http.server
import json
import os
import pickle
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch

import styleaug
from styleaug import StyleBank, StyleTransfer, create_stylizer
from styleaug.stylex import StyleX
from styleaug.stylex.encoder import PACKAGED as STYLEX
from styleaug.stylizers.adain_network import AdaINConfig
from styleaug.stylizers.micro import PACKAGED, Micro
from styleaug.weights import (
    EXTRA,
    Weights,
    at_hand,
    check_file,
    fetch,
    file_digest,
    load_strictly,
    load_tensors,
    locate_weights,
    parse_hub_reference,
    read_state_dict,
    save_tensors,
    weights_digest,
)

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def tensors():
    return {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(4, dtype=torch.bfloat16)}


def _equal(first, second):
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


def test_what_is_saved_comes_back(tensors, tmp_path):
    path = tmp_path / "x.safetensors"
    save_tensors(tensors, path, {"made": "here"})
    loaded, header = load_tensors(path)
    assert _equal(loaded, tensors)
    assert header == {"made": "here"}


def test_a_failed_write_leaves_the_old_file_and_no_other(tensors, tmp_path):
    path = tmp_path / "x.safetensors"
    save_tensors(tensors, path, {})
    before = path.read_bytes()
    with pytest.raises(Exception, match="str"):
        save_tensors({"a": torch.zeros(1)}, path, {"number": 1})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("wrapper", [None, "model", "state_dict"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_wrapped_checkpoints_are_unwrapped(tensors, tmp_path, wrapper, prefix):
    state = {prefix + name: tensor for name, tensor in tensors.items()}
    torch.save({wrapper: state} if wrapper else state, tmp_path / "x.pth")
    assert _equal(read_state_dict(tmp_path / "x.pth"), tensors)


class _Payload:
    """Unpickling this would create a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_nothing_is_unpickled(tmp_path):
    trap = tmp_path / "executed"
    torch.save({"model": _Payload(trap)}, tmp_path / "evil.pth")
    (tmp_path / "raw.pth").write_bytes(pickle.dumps(_Payload(trap)))
    for name in ("evil.pth", "raw.pth"):
        with pytest.raises(ValueError, match=name):
            read_state_dict(tmp_path / name)
    assert not trap.exists()


def test_truncated_files_are_refused(tensors, tmp_path):
    path = tmp_path / "x.safetensors"
    save_tensors(tensors, path, {})
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ValueError, match="whole safetensors file"):
        read_state_dict(path)
    torch.save(tensors, tmp_path / "x.pth")
    (tmp_path / "x.pth").write_bytes((tmp_path / "x.pth").read_bytes()[:200])
    with pytest.raises(ValueError, match="whole"):
        read_state_dict(tmp_path / "x.pth")


def test_unfit_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing\.pth"):
        read_state_dict(tmp_path / "missing.pth")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ValueError, match=r"\.safetensors file"):
        read_state_dict(tmp_path / "notes.txt")
    torch.save({"lr": 0.1}, tmp_path / "x.pth")
    with pytest.raises(ValueError, match="dict of tensors"):
        read_state_dict(tmp_path / "x.pth")


def test_size_and_digest_are_checked(tensors, tmp_path):
    path = tmp_path / "x.safetensors"
    save_tensors(tensors, path, {})
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    assert file_digest(path) == digest
    record = Weights("x", path.name, "CC0", "none", sha256=digest, size=len(content))
    check_file(path, record)
    path.write_bytes(content[:-1] + b"\x07")
    with pytest.raises(ValueError, match=f"sha256 {digest}"):
        check_file(path, record)
    path.write_bytes(content[:-1])
    with pytest.raises(ValueError, match=f"{len(content)} bytes"):
        check_file(path, record)


def test_strict_loading_lists_what_does_not_fit():
    module = torch.nn.Linear(2, 3)
    state = {"weight": torch.zeros(3, 5), "scale": torch.zeros(1)}
    with pytest.raises(ValueError, match=r"missing \['bias'\], unexpected \['scale'\].*\(3, 5\)"):
        load_strictly(module, state, origin="'here'")
    load_strictly(module, {"weight": torch.ones(3, 2), "bias": torch.ones(3)}, origin="'here'")
    assert torch.equal(module.weight, torch.ones(3, 2))


def test_digests_see_names_shapes_and_values():
    states = [
        {"a": torch.zeros(4)},
        {"b": torch.zeros(4)},
        {"a": torch.zeros(2, 2)},
        {"a": torch.full((4,), 1e-7)},
        {"a": torch.zeros(4, dtype=torch.float64)},
    ]
    assert len({weights_digest(state) for state in states}) == len(states)
    both = {"a": torch.zeros(1), "b": torch.ones(1)}
    assert weights_digest(both) == weights_digest(dict(reversed(both.items())))


def test_hub_references():
    record = parse_hub_reference("hf:me/demo@abc")
    assert (record.repository, record.revision) == ("me/demo", "abc")
    assert record.url == "https://huggingface.co/me/demo/resolve/abc/model.safetensors"
    for wrong in ("hf:demo", "me/demo", "hf:a/b/c"):
        with pytest.raises(ValueError, match="owner/name@revision"):
            parse_hub_reference(wrong)


def test_names_files_and_nonsense_are_told_apart(tensors, tmp_path):
    records = (Weights("one", "model.safetensors", "CC0", "none", repository="me/one"),)
    with pytest.raises(ValueError, match=r"'alias', 'one'.*a file.*hf:.*got 'two'"):
        locate_weights("two", records, {"alias": "one"})
    path = tmp_path / "own.safetensors"
    save_tensors(tensors, path, {})
    (tmp_path / "config.json").write_text('{"mean": [0.1, 0.2, 0.3]}')
    found = locate_weights(path, records)
    assert found.path == path
    assert found.record is None
    assert found.config == {"mean": [0.1, 0.2, 0.3]}


@pytest.fixture
def hub_cache(tmp_path, monkeypatch, tensors):
    """A cache as the Hub's own client lays it out, with one repository in it."""
    folder = tmp_path / "hub" / "models--me--one"
    snapshot = folder / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(COMMIT)
    save_tensors(tensors, snapshot / "model.safetensors", {})
    (snapshot / "config.json").write_text(json.dumps({"std": [0.2, 0.2, 0.2]}))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return snapshot


def test_the_cache_is_used_offline(hub_cache, tensors):
    records = (Weights("one", "model.safetensors", "CC0", "none", repository="me/one"),)
    for text in ("one", "alias", "hf:me/one", f"hf:me/one@{COMMIT}"):
        found = locate_weights(text, records, {"alias": "one"})
        assert found.path == hub_cache / "model.safetensors"
        assert found.config == {"std": [0.2, 0.2, 0.2]}
        assert _equal(read_state_dict(found.path), tensors)


def test_a_tampered_cache_is_refused(hub_cache):
    records = (
        Weights("one", "model.safetensors", "CC0", "none", repository="me/one", sha256="0" * 64),
    )
    with pytest.raises(ValueError, match="damaged or another file"):
        locate_weights("one", records)


def test_a_file_of_the_cache_has_the_digest_that_names_it(hub_cache, tensors):
    published = hub_cache / "model.safetensors"
    blobs = hub_cache.parents[1] / "blobs"
    blobs.mkdir()
    blob = blobs / file_digest(published)
    published.rename(blob)
    published.symlink_to(blob)
    records = (Weights("one", "model.safetensors", "CC0", "none", repository="me/one"),)
    for text in ("one", "hf:me/one"):
        assert _equal(read_state_dict(locate_weights(text, records).path), tensors)
    content = blob.read_bytes()
    blob.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    for text in ("one", "hf:me/one"):
        with pytest.raises(ValueError, match=f"must have sha256 {blob.name}"):
            locate_weights(text, records)


def test_weights_of_the_package_are_those_that_were_published(tmp_path, monkeypatch):
    (record,) = PACKAGED
    shipped = fetch(record)
    swapped = tmp_path / "stylizers" / "data" / record.file
    swapped.parent.mkdir(parents=True)
    content = bytearray(shipped.read_bytes())
    content[-1] ^= 1
    swapped.write_bytes(content)
    monkeypatch.setattr(styleaug.weights, "__file__", str(tmp_path / "weights.py"))
    with pytest.raises(ValueError, match=f"must have sha256 {record.sha256}"):
        create_stylizer("micro")


def _without_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, EXTRA, None)  # what import says where it is not installed


def test_large_weights_are_a_distribution_of_their_own(monkeypatch):
    (record,) = STYLEX
    assert fetch(record).parent.name == EXTRA
    assert at_hand(record)
    _without_extra(monkeypatch)
    assert not at_hand(record)
    with pytest.raises(FileNotFoundError, match=r"not installed.*: pip install 'styleaug\[wei"):
        StyleX()


def test_an_older_distribution_of_weights_is_called_so(tmp_path, monkeypatch):
    (tmp_path / EXTRA).mkdir()
    (tmp_path / EXTRA / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, EXTRA, raising=False)
    with pytest.raises(FileNotFoundError, match=r"older one.*pip install 'styleaug\[weights\]'"):
        fetch(STYLEX[0])
    (tmp_path / EXTRA / STYLEX[0].file).write_bytes(b"x" * STYLEX[0].size)
    with pytest.raises(ValueError, match=f"must have sha256 {STYLEX[0].sha256}"):
        fetch(STYLEX[0])
    monkeypatch.delitem(sys.modules, EXTRA)


def test_the_record_of_an_installed_file_holds_the_settings_of_its_network():
    record = replace(PACKAGED[0], config={"layer": "relu3_1"})
    located = locate_weights(record.name, [record])
    assert located.config == {"layer": "relu3_1"}
    assert located.read_config(AdaINConfig).layer == "relu3_1"
    wrong = replace(record, config={"layr": "relu3_1"})
    with pytest.raises(ValueError, match="layr"):
        locate_weights(record.name, [wrong]).read_config(AdaINConfig)
    assert hash(record) == hash(wrong)


def test_what_is_over_two_megabytes_is_not_in_the_core():
    core = Path(styleaug.__file__).parent
    assert max(path.stat().st_size for path in core.rglob("*")) < 2_000_000


def test_the_cache_of_the_hub_is_at_hand(hub_cache):
    assert at_hand(Weights("one", "model.safetensors", "CC0", "none", repository="me/one"))
    assert not at_hand(Weights("two", "model.safetensors", "CC0", "none", repository="me/two"))


def test_a_file_that_is_swapped_for_another_of_its_size_is_seen(tmp_path):
    path = tmp_path / "model.safetensors"
    state = Micro().network.state_dict()
    images = torch.rand(2, 3, 32, 32)
    save_tensors(state, path, {})
    size = path.stat().st_size
    before = StyleTransfer("micro", weights=str(path), p=1.0, seed=0)
    bank = StyleBank.from_images(images, create_stylizer("micro", weights=str(path)))
    old = before(images)
    save_tensors({name: 0.9 * tensor for name, tensor in state.items()}, path, {})
    assert path.stat().st_size == size
    after = StyleTransfer("micro", weights=str(path), p=1.0, seed=0)
    assert not torch.equal(after(images), old)
    with pytest.raises(ValueError, match="styles must be a bank encoded by"):
        StyleTransfer("micro", weights=str(path), styles=bank, p=1.0)(images)


def test_a_miss_names_file_address_and_the_way_offline(hub_cache):
    with pytest.raises(FileNotFoundError) as raised:
        locate_weights("hf:me/two@v1", ())
    text = str(raised.value)
    assert "'model.safetensors'" in text
    assert "https://huggingface.co/me/two/resolve/v1/model.safetensors" in text
    assert "HF_HOME" in text


class _Hub(http.server.BaseHTTPRequestHandler):
    """The part of the Hub's HTTP interface that downloading a file needs."""

    files: dict[str, bytes] = {}  # noqa: RUF012
    asked: list[str] = []  # noqa: RUF012

    def do_HEAD(self):
        self._answer()

    def do_GET(self):
        self.asked.append(self.path)
        self.wfile.write(self._answer())

    def _answer(self):
        content = self.files.get(self.path)
        self.send_response(200 if content is not None else 404)
        if content is None:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(content or b"").hexdigest()}"')
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        return content or b""

    def log_message(self, *arguments):
        pass


_CLIENT = """
from styleaug.weights import Weights, locate_weights
records = (Weights("one", "model.safetensors", "CC0", "x", repository="me/one", sha256={digest!r}),)
print(locate_weights("one", records).path.read_bytes().hex())
"""


def test_downloads_once_from_the_hub_then_from_its_cache(tmp_path, tensors):
    save_tensors(tensors, tmp_path / "x.safetensors", {})
    content = (tmp_path / "x.safetensors").read_bytes()
    _Hub.files = {"/me/one/resolve/main/model.safetensors": content}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    script = _CLIENT.format(digest=hashlib.sha256(content).hexdigest())
    environment = {
        **os.environ,
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "HF_HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(Path(styleaug.__file__).parents[1]),
    }
    try:
        for offline in ("0", "1"):
            done = subprocess.run(
                [sys.executable, "-c", script],
                env={**environment, "HF_HUB_OFFLINE": offline},
                capture_output=True,
                text=True,
            )
            assert done.stdout.strip() == content.hex(), done.stderr
    finally:
        server.shutdown()
        server.server_close()
    assert _Hub.asked.count("/me/one/resolve/main/model.safetensors") == 1
