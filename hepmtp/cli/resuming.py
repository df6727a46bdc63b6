"""A run or training that was interrupted goes on: what is kept of it, and what is said of that.

The rule: chunks and models are kept by every command and used by one that is told to.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hepmtp.cli.terminal import say

if TYPE_CHECKING:
    from hepmtp.folders import Place
    from hepmtp.run.checkpoint import KeptChunks

Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on from the finished chunks of a run into this folder that was interrupted; those "
        "of other files, detectors, regions or variations are done anew.",
    ),
]
ResumeTraining = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on from the finished chunks and the last epoch of a training into this folder "
        "that was interrupted; with other files or options it begins anew.",
    ),
]


@contextlib.contextmanager
def keeping(place: Place, key: str, *, resume: bool) -> Iterator[KeptChunks]:
    """Where finished chunks of a run are kept, gone when the run is complete or has none."""
    from hepmtp.run.checkpoint import KeptChunks

    chunks = KeptChunks(place.kept, key, resume=resume)
    if resume:
        found = len(chunks) or "no"
        say(f"{found} finished chunks of this run are there", err=True)
    try:
        yield chunks
    finally:
        if not len(chunks):
            _forget(place, chunks.checkpoint_dir)


@contextlib.contextmanager
def interrupted(chunks: KeptChunks | None, runner: Any) -> Iterator[None]:
    """Say how to go on when a run is stopped or fails."""
    try:
        yield
    except BaseException as error:
        n, total = len(chunks or ()), sum(one.chunks for one in runner.accounting.values())
        if not n:
            raise
        _say_how_to_go_on(error, f"{n} of {total} chunks")
        raise


@contextlib.contextmanager
def keeping_training(place: Place, key: str, *, resume: bool) -> Iterator[Path]:
    """Where finished chunks and models of a training are kept; says how to go on if it fails."""
    folder = place.kept / key
    if resume:
        say(f"{_left(folder)} of this training are there", err=True)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    except BaseException as error:
        if not any(one.is_file() for one in folder.rglob("*")):
            _forget(place, folder)
            raise
        _say_how_to_go_on(error, _left(folder))
        raise


def _say_how_to_go_on(error: BaseException, left: str) -> None:
    """Say what is kept of what ended with this error; Ctrl-C ends with that as its one line."""
    said = f"{left} are kept: the same command with --resume goes on from them"
    if isinstance(error, KeyboardInterrupt):
        raise KeyboardInterrupt(f"stopped; {said}") from None
    say(said, err=True)


def _forget(place: Place, folder: str | Path) -> None:
    """Remove a folder of what is kept, and the place of all such folders if it was the last."""
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        place.kept.rmdir()


def _left(folder: Path) -> str:
    """What of a training is in a folder."""
    from hepmtp.run.checkpoint import END
    from hepmtp.storage import META

    chunks = sum(1 for _ in folder.rglob(f"*{END}"))
    models = sum(1 for _ in folder.glob(f"model/**/{META}"))
    return f"{chunks or 'no'} finished chunks and {models or 'no'} models"
