"""Files are written whole or not at all, and what killed processes leave behind goes."""

import resource
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from styleaug import _files
from styleaug._files import replacing, write_text

WRITER = """
import sys, time
from pathlib import Path
from styleaug._files import replacing
with replacing(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print("writing", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def writer(tmp_path):
    """A process in the middle of a file."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "tile.png")], stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"writing\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture(autouse=True)
def _another_process():
    _files._sweep.cache_clear()


def test_a_file_takes_its_place_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "x.txt"
    with replacing(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert [item.name for item in path.parent.iterdir()] == ["x.txt"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, OSError])
def test_a_writer_that_stops_leaves_what_was_there(tmp_path, error):
    path = tmp_path / "x.txt"
    path.write_text("before")

    def write():
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        write()
    assert path.read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 1


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path, writer):
    assert len(list(tmp_path.glob(".tile.*"))) == 1
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    (tmp_path / ".mine.part").write_text("of the user")
    (tmp_path / ".tile.backup").write_text("of the user")
    write_text(tmp_path / "other.txt", "x")
    names = sorted(item.name for item in tmp_path.iterdir())
    assert names == [".mine.part", ".tile.backup", "other.txt"]


def test_what_another_process_is_writing_stays(tmp_path, writer):
    write_text(tmp_path / "other.txt", "x")
    assert len(list(tmp_path.glob(".tile.*"))) == 1


@pytest.mark.parametrize("moment", ["before it is locked", "while it is locked"])
def test_a_new_file_that_another_thread_sweeps_away_is_made_again(tmp_path, monkeypatch, moment):
    lock, begun = _files._lock, []

    def late(file):
        if begun:
            return lock(file)
        (path,) = tmp_path.glob(".*.part")
        begun.append(path)
        if moment == "before it is locked":
            path.unlink()
            return lock(file)
        with path.open("rb") as sweeper:
            lock(sweeper.fileno())
            path.unlink()
            return lock(file)

    monkeypatch.setattr(_files, "_lock", late)
    with monkeypatch.context() as patch:
        patch.setattr(_files, "_sweep", lambda folder: None)
        writing = replacing(tmp_path / "x.txt")
        temporary = writing.__enter__()
    assert temporary.exists()
    assert temporary != begun[0]
    assert not begun[0].exists()
    writing.__exit__(None, None, None)
    assert [item.name for item in tmp_path.iterdir()] == ["x.txt"]


def test_threads_that_write_to_a_new_folder_at_once_lose_nothing(tmp_path):
    for round_ in range(40):
        folder = tmp_path / str(round_)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda i, to=folder: write_text(to / f"{i}.txt", str(i)), range(8)))
        assert {item.name for item in folder.iterdir()} == {f"{i}.txt" for i in range(8)}


def test_long_names_can_be_written(tmp_path):
    path = tmp_path / ("é" * 120 + ".txt")
    write_text(path, "x")
    assert path.read_text() == "x"


def test_a_disk_that_is_full_leaves_no_half_file(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            write_text(tmp_path / "x.txt", "x" * 10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())
