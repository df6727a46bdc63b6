"""Folders that are gone at the end, however their process ends.

The rule: a folder is locked while its process lives. What a killed one has left is removed by the
next that makes one there, on the same machine: locks of another one cannot be seen.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

log = logging.getLogger(__name__)


@contextlib.contextmanager
def scratch_folder(kind: str, place: str | Path) -> Iterator[Path]:
    """A new hidden folder within `place`, which others may read, gone at the end.

    Parameters
    ----------
    kind
        word for its name: "shards" gives ``.hepmtp-shards-MACHINE-...``.
    place
        is made if it is not there.

    Raises
    ------
    OSError
        if nothing can be written there.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as place, scratch_folder("shards", place) as folder:
    ...     folder.is_dir(), folder.name.startswith(".hepmtp-shards-")
    (True, True)
    """
    place = Path(place).resolve()
    place.mkdir(parents=True, exist_ok=True)
    begins = f".hepmtp-{kind}-{platform.node()}-"
    _clean(place, begins)
    folder, lock = _made(place, begins)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _made(place: Path, begins: str) -> tuple[Path, int]:
    """A new folder with its lock; one that `_clean` of another process has met has to be new."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=begins, dir=place))
        with contextlib.suppress(FileNotFoundError):
            folder.chmod(0o755)
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            with contextlib.suppress(OSError):  # a disk without locks: nobody cleans there
                fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.is_dir():
                return folder, lock
            os.close(lock)


def _clean(place: Path, begins: str) -> None:
    """Remove the folders of processes that are gone."""
    for one in place.glob(f"{begins}*"):
        with contextlib.suppress(OSError):
            lock = os.open(one, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(one)
                log.warning("%s was left by a process that was killed, and is removed", one)
            finally:
                os.close(lock)
