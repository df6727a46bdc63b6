"""A folder is one transaction: written beside its name, and renamed when it is complete.

The rule: whatever kills a writer, the name holds the old folder or the new one. Beside ``results``
stands ``.results-hepmtp`` while somebody writes, and only he has its lock::

    new/    what is being written, and takes the name at the end
    old/    what had the name, for the moment between two renames
    kept/   what an interrupted writer leaves for the next one

Files that hepmtp did not write are carried over into the new folder, and named.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from hepmtp.errors import StorageError

log = logging.getLogger(__name__)
#: Names or paths, relative to a folder, of what hepmtp wrote into it; a folder counts as a whole.
Owned = Callable[[Path], Collection[str]]
_SHOWN = 5


class Place(NamedTuple):
    """A folder that is being written: its name, and where its content goes until it is complete."""

    path: Path  #: the name that it takes
    new: Path  #: what to write into
    kept: Path  #: for what an interrupted writer may leave


def beside(path: Path) -> Path:
    """The hidden folder that stands beside one that is being written."""
    return path.with_name(f".{path.name}-hepmtp")


@contextlib.contextmanager
def writing(
    path: str | Path,
    *,
    ours: Callable[[Path], bool],
    owned: Owned,
    overwrite: bool = False,
    least: int = 0,
    keep: bool = False,
) -> Iterator[Place]:
    """A place whose content takes the name `path` when the block succeeds.

    Parameters
    ----------
    path
        a folder; what is in the way of its name is refused before anything is written.
    ours
        whether a folder is of the kind that is written here, and may be replaced by it.
    owned
        what hepmtp wrote into the folder that has the name now; all else in it is carried over.
    overwrite
        replace a folder of this kind. An empty folder is always replaced, any other never.
    least
        bytes that must be free on the disk.
    keep
        leave what an interrupted writer has kept: this one does not replace its work.

    Raises
    ------
    StorageError
        if there is such a folder, or another one, or somebody writes it now, or nothing can be
        written there.
    """
    path = Path(path).resolve()
    side = beside(path)
    with _said(path):
        made = [one for one in path.parents if not one.exists()]
        side.parent.mkdir(parents=True, exist_ok=True)
        lock = _locked(side, path)
    try:
        with _said(path):
            finish(path)
            _check(path, ours, overwrite=overwrite, least=least)
            place = Place(path, side / "new", side / "kept")
            shutil.rmtree(place.new, ignore_errors=True)
            place.new.mkdir()
            (place.new / ".tried").write_bytes(b"tried")
            (place.new / ".tried").unlink()
        yield place
        if path.exists():
            _carry(path, place.new, owned(path))
        commit(place)
        if not keep:
            shutil.rmtree(place.kept, ignore_errors=True)
    finally:
        shutil.rmtree(side / "new", ignore_errors=True)
        with contextlib.suppress(OSError):
            side.rmdir()  # unless something is kept
            for one in made:
                one.rmdir()
        os.close(lock)


def commit(place: Place) -> None:
    """Give what was written its name, and remove what had it; safe against a loss of power."""
    side = beside(place.path)
    sync(place.new)
    if place.path.exists() and any(place.path.iterdir()):
        os.replace(place.path, side / "old")
        _sync_one(side)
    os.replace(place.new, place.path)
    _sync_one(place.path.parent)
    shutil.rmtree(side / "old", ignore_errors=True)


def finish(path: Path) -> None:
    """Finish a `commit` that was killed between its renames, or clean behind it; holds the lock."""
    side = beside(path)
    if (side / "old").exists():
        if not path.exists() and (side / "new").exists():
            os.replace(side / "new", path)
            log.warning("%s was complete, but did not have its name yet: it has now", path)
        shutil.rmtree(side / "old", ignore_errors=True)


def recover(path: str | Path) -> None:
    """Before a folder is read: finish a writer that was killed between its renames, if one was."""
    path = Path(path).resolve()
    if path.exists() or not (beside(path) / "old").exists():
        return
    with contextlib.suppress(OSError):
        lock = os.open(beside(path), os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)  # a living writer is done in a moment
            finish(path)
            beside(path).rmdir()
        finally:
            os.close(lock)


def kept_of(path: str | Path) -> Path:
    """Where an interrupted writer of this folder has left what the next one can use."""
    return beside(Path(path).resolve()) / "kept"


def sync(folder: Path) -> None:
    """Have the disk keep all files of a folder, and their names, even if power is lost now."""
    for top, _, files in os.walk(folder):
        for name in files:
            if not (place := Path(top) / name).is_symlink():
                _sync_one(place)
        _sync_one(Path(top))


def _sync_one(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _locked(side: Path, path: Path) -> int:
    """An open handle of the hidden folder, whose lock ends with this process at the latest."""
    while True:
        side.mkdir(exist_ok=True)
        handle = os.open(side, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(handle), os.stat(side)):  # noqa: PTH116
                return handle
        except FileNotFoundError:
            pass  # whoever had it has just removed it
        except BlockingIOError:
            os.close(handle)
            raise StorageError(
                f"{path} is being written by another process of hepmtp: wait until it ends, or "
                "choose another name"
            ) from None
        os.close(handle)


@contextlib.contextmanager
def _said(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"nothing can be written into the folder {path} "
            f"({error.strerror or type(error).__name__}): choose another one for the output"
        ) from None


def _check(path: Path, ours: Callable[[Path], bool], *, overwrite: bool, least: int) -> None:
    """Raise StorageError for what is in the way of a new folder."""
    free = shutil.disk_usage(path.parent).free
    if free < least:
        raise StorageError(
            f"{path}: {free / 1e6:.0f} MB are free there, and {least / 1e6:.0f} MB are needed; "
            "make room, or choose another folder for the output"
        )
    if path.exists() and not path.is_dir():
        raise StorageError(f"{path} exists and is no folder: choose another name or remove it")
    if not path.exists():
        return
    if path.stat().st_dev != path.parent.stat().st_dev:
        raise StorageError(f"{path} is a disk of its own: name a folder in it for the output")
    if Path.cwd().is_relative_to(path):
        raise StorageError(f"{path} is the folder that you are in: go up (cd ..) to replace it")
    if not any(path.iterdir()):
        return
    if not ours(path):
        raise StorageError(
            f"{path} exists and is not a folder that hepmtp wrote: choose another name or remove it"
        )
    if not overwrite:
        raise StorageError(
            f"{path} holds what hepmtp wrote before: replace it as a whole with --overwrite "
            "(overwrite=True), or choose another name"
        )


def _carry(old: Path, new: Path, owned: Collection[str]) -> None:
    """Take files that hepmtp did not write over from the folder that is replaced."""
    kept = []
    for file in sorted(one for one in old.rglob("*") if one.is_symlink() or not one.is_dir()):
        name = file.relative_to(old)
        if name.as_posix() in owned or any(one.as_posix() in owned for one in name.parents):
            continue
        target = new / name
        if target.exists():
            target = target.with_name(f"{target.name}.before")
        target.parent.mkdir(parents=True, exist_ok=True)
        link(file, target)
        kept.append(target.relative_to(new).as_posix())
    if kept:
        more = f" and {len(kept) - _SHOWN} more" if len(kept) > _SHOWN else ""
        log.warning("%s keeps what hepmtp did not write: %s%s", old, ", ".join(kept[:_SHOWN]), more)


def link(source: str | Path, target: str | Path) -> str | Path:
    """The same file under another name, or a copy where a file has one name only."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)
    return target
