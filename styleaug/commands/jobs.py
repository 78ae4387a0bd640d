"""The files that a run reads and writes, and all checks before it writes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from styleaug.images.files import find_named
from styleaug.images.opening import find_sources


@dataclass(frozen=True)
class Job:
    """One content: a file, or the slices of a DICOM series, which are painted as one volume.

    Attributes:
        files: The files to read.
        name: Name of the first file relative to the output folder; also the id for drawing the
            style.
        views: The files to write, one for each file that is read: once, or once per style.
    """

    files: tuple[Path, ...]
    name: Path
    views: tuple[tuple[Path, ...], ...]

    @property
    def targets(self) -> list[Path]:
        """All files to write."""
        return [target for view in self.views for target in view]

    def __str__(self) -> str:
        more = len(self.files) - 1
        return str(self.files[0]) + (f" and {more} more slices" if more else "")


def plan_jobs(contents: Sequence[str], folder: Path, subfolders: Sequence[str]) -> list[Job]:
    """Return the jobs of a run.

    Args:
        contents: Files, folders or glob patterns.
        folder: Output folder.
        subfolders: One per style when every content gets every style; empty otherwise.

    Raises:
        FileNotFoundError: If a path does not exist.
        ValueError: If two contents would be written to one file.
    """
    named = [pair for content in contents for pair in find_named(content)]
    roots = [folder / sub for sub in subfolders] or [folder]
    _refuse_collisions(named)
    names = dict(named)
    jobs = []
    for files in find_sources([file for file, _ in named]):
        own = [names[file] for file in files]
        views = tuple(tuple(root / name for name in own) for root in roots)
        jobs.append(Job(files, min(own), views))
    return jobs


def check_targets(
    jobs: Sequence[Job], inputs: Iterable[Path], *, overwrite: bool, skip_existing: bool
) -> list[Job]:
    """Return the jobs that are left to do, or refuse before anything is written.

    Args:
        jobs: What this process would do.
        inputs: All files that any process reads, for any purpose.
        overwrite: Whether existing outputs are replaced.
        skip_existing: Whether jobs whose outputs exist are left out.

    Raises:
        FileExistsError: If an output exists and neither ``overwrite`` nor ``skip_existing`` is set.
        ValueError: If an output is one of the inputs.
    """
    targets = [target for job in jobs for target in job.targets]
    check_no_input(targets, inputs)
    existing = [target for target in targets if target.exists()]
    if existing and not (overwrite or skip_existing):
        raise FileExistsError(
            f"{len(existing)} outputs exist, such as {str(existing[0])!r}. Pass --overwrite to "
            "replace them or --skip-existing to keep them."
        )
    if skip_existing and not overwrite:
        return [job for job in jobs if not all(target.exists() for target in job.targets)]
    return list(jobs)


def check_no_input(targets: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Raise ``ValueError`` if a file to be written is also read, for any purpose."""
    read = {path.resolve() for path in inputs}
    for target in targets:
        if target.resolve() in read:
            raise ValueError(
                f"output {str(target)!r} is one of the inputs. Choose another place for it."
            )


def check_output(name: str, path: str | None) -> None:
    """Raise ``ValueError`` if the path of an output is empty, for example an unset variable."""
    if path is not None and not path.strip():
        raise ValueError(f"{name} must name a file or folder, got {path!r}.")


def this_rank(jobs: Sequence[Job]) -> list[Job]:
    """Return the share of this process when several run under ``torchrun``."""
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    return list(jobs[rank::world])


def style_names(names: Iterable[str]) -> list[str]:
    """Return a folder name per style: the stems of the files, numbered where they repeat.

    Example:
        >>> style_names(["a/x.png", "b/x.png", "y.png"])
        ['x', 'x-2', 'y']
    """
    seen: dict[str, int] = {}
    labels = []
    for name in names:
        stem = Path(name).stem
        seen[stem] = seen.get(stem, 0) + 1
        labels.append(stem if seen[stem] == 1 else f"{stem}-{seen[stem]}")
    return labels


def _refuse_collisions(named: Sequence[tuple[Path, Path]]) -> None:
    first: dict[Path, Path] = {}
    for source, name in named:
        other = first.setdefault(name, source)
        if other is not source:
            raise ValueError(
                f"{str(other)!r} and {str(source)!r} would both be written to "
                f"{str(name)!r}. Stylize them in two runs, or give their common folder."
            )
