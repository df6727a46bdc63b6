"""What a file was when its chunks were made, by which a worker sees that it still is.

The rule: a file that changes during a run is refused, or left out as any that cannot be read. Of a
local one, size, time of change and a digest of some of its bytes are compared, before a chunk is
read and after. Of a remote one, what its server says without sending the file.

What this does not see: a change of bytes between those of the digest, if the time of change was set
back, too. Converted files carry digests of every event (:mod:`hepmtp.readers.digests`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec

from hepmtp.errors import ReadError
from hepmtp.readers.coffea_names import WorkItem
from hepmtp.readers.lines import is_remote
from hepmtp.readers.root import RootReader
from hepmtp.run.chunks import path_of

#: Key of the metadata of a chunk.
STAMP = "file_stamp"
#: What the stamp of a file that hepmtp wrote, and coffea opens itself, ends in.
OURS = " ours"
_AT_ONCE = 16  # questions to servers
_ENDS = 1 << 14  # bytes at the beginning and the end
_PLACES, _PIECE = 16, 1 << 9  # pieces between them
_SAID = ("size", "ETag", "etag", "mtime", "modified", "LastModified", "updated", "md5", "checksum")


def stamp_of(path: str) -> str:
    """Size, time of change and digest of a file, as text; what its server says of a remote one.

    Empty if that is nothing.
    """
    if is_remote(path):
        try:
            file_system, place = fsspec.core.url_to_fs(path)
            said = file_system.info(place)
        except Exception:  # noqa: BLE001 (each protocol has its own; who reads the file will tell)
            return ""
        return " ".join(f"{key}={said[key]}" for key in _SAID if said.get(key) is not None)
    try:
        stat = Path(path).stat()
        return f"{stat.st_size} {stat.st_mtime_ns} {_digest(path, stat.st_size)}"
    except OSError:
        return ""


def stamps_of(paths: Iterable[str]) -> dict[str, str]:
    """The stamp of each file; servers are asked side by side."""
    paths = list(paths)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return dict(zip(paths, pool.map(stamp_of, paths), strict=True))


def check_stamp(item: WorkItem) -> None:
    """Raise ReadError if the file of a chunk is another one than when its chunks were made."""
    before = str((item.usermeta or {}).get(STAMP, "")).removesuffix(OURS)
    path = path_of(item.filename)
    if before and (now := stamp_of(path)) and now != before:
        raise ReadError(
            f"{path} has changed since this run looked at it ({before} then, {now} now): run again "
            "when it is written, or keep its times where you copy it"
        )


def check_digests(item: WorkItem) -> None:
    """Raise ReadError if a bit of a chunk has changed that coffea reads of a file of ours."""
    if str((item.usermeta or {}).get(STAMP, "")).endswith(OURS):
        RootReader(tree=item.treename).check(item.filename, item.entrystart, item.entrystop)


def _digest(path: str, size: int) -> str:
    """Of the ends of a file and of pieces between them."""
    found = hashlib.blake2b(digest_size=8)
    with Path(path).open("rb") as file:
        found.update(file.read(_ENDS))
        for i in range(_PLACES if size > 2 * _ENDS else 0):
            file.seek(_ENDS + (size - 2 * _ENDS) * i // _PLACES)
            found.update(file.read(_PIECE))
        file.seek(max(size - _ENDS, 0))
        found.update(file.read(_ENDS))
    return found.hexdigest()
