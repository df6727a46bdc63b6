"""Which file events come from: an identity that follows from what is in the file.

The rule: neither folder nor name matters, and not the packing of a text, so a copy, moved, renamed
or unpacked, is the same file. Two files that share their name are two.

- ROOT is known by its UUID, which each written file gets anew and each copy keeps.
- A text, packed or plain, is known by its first lines. Line ends and IDs of events do not count.
- Anything else is known by its size, its first and its last bytes.

A text is known by its beginning alone: a copy that was cut short, or one that has grown, has the
same events under the same numbers.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

import awkward as ak
import fsspec
import numpy as np

from hepmtp.errors import EventError, NetworkError
from hepmtp.events.packing import ERRORS, packing_of, unpacked

_BLOCK = 1 << 16
# first bytes of files that are no text; all of ROOT's have a UUID
_ROOT, _BINARY = b"root", (b"PAR1", b"\x89HDF", b"PK\x03\x04")
_LARGE = 1_000_000  # ROOT's version of files whose header has addresses of 64 bits
# Identities from before they came from the content, when they came from the name, so that the
# events of hepmtp's own sample keep their parts.
_EMBEDDED: dict[int, str] = {
    5925520293590839195: "ttbarW",
    5504934171623828102: "ttbarWW",
    7517520269351103551: "ttbarZ",
    6998039159266570934: "ttbarHiggs",
    3269044835656757273: "4top",
    2770261026427271699: "glgl1600_neutralino800",
}


def source_id(path: str, part: str = "") -> int:
    """Identity of a file that events are read from, in [0, 2**63).

    The same in every process, for every copy of the file, and for a text packed or not. It costs
    one look at the first bytes, and is remembered until the file changes.

    Parameters
    ----------
    path
        a file, or an address that fsspec opens.
    part
        tells parts of one file apart that have other events, such as trees.

    Raises
    ------
    EventError
        if there is no such file.
    NetworkError
        if an address does not answer.
    """
    if "://" in str(path):
        return _remote(str(path), part)
    try:
        stat = Path(path).stat()
    except OSError as error:
        raise EventError(
            f"{path} has no identity: it cannot be opened ({error.strerror}); the source of events "
            "follows from what is in their file"
        ) from None
    return _local(os.path.abspath(path), stat.st_size, stat.st_mtime_ns, part)  # noqa: PTH100


def root_source(uuid: bytes, part: str = "") -> int:
    """Identity of an open ROOT file from the 16 bytes of its UUID; as `source_id`."""
    return _number(_ROOT, uuid, part.encode())


@functools.lru_cache(maxsize=4096)
def _local(path: str, size: int, _changed: int, part: str) -> int:
    with Path(path).open("rb") as file:
        return _identity(file, size, part)


@functools.lru_cache(maxsize=4096)
def _remote(path: str, part: str) -> int:
    try:
        with fsspec.open(path, "rb") as file:
            return _identity(file, int(file.size or 0), part)
    except FileNotFoundError:
        raise EventError(f"{path} has no identity: there is no such file") from None
    except Exception as error:  # noqa: BLE001 (each protocol has errors of its own)
        raise NetworkError(
            f"{path} does not answer ({type(error).__name__}: {error}); check the address, or try "
            "again later"
        ) from None


def _identity(file: Any, size: int, part: str) -> int:
    start = file.read(_BLOCK)
    if start.startswith(_ROOT):
        at = 59 if int.from_bytes(start[4:8], "big") >= _LARGE else 47
        if any(uuid := start[at : at + 16]):  # a reproducible file has none
            return root_source(uuid, part)
    if start.startswith((_ROOT, *_BINARY)):
        file.seek(max(size - _BLOCK, 0))
        return _number(str(size).encode(), start, file.read(_BLOCK), part.encode())
    file.seek(0)
    packing = packing_of(start)
    text = file if packing is None else unpacked(file, packing)
    found = _number(b"text", _first_lines(text), part.encode())
    return former_id(_EMBEDDED[found]) if found in _EMBEDDED else found


def _first_lines(file: IO[bytes]) -> bytes:
    """The beginning of a text, without what a writer may choose.

    That is line ends, a byte order mark, how a number is written, and of events in Dark Machines'
    layout the two IDs and the last ``;``. Events written once more are the same events.
    """
    try:
        text = file.read(_BLOCK)
    except ERRORS:
        return b""  # damaged: its reader says so
    lines = text.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").split(b"\n")
    plain = (line.split(b";", 2)[-1].removesuffix(b";") for line in lines)
    numbers = re.sub(rb"[^,;\n]+", _number_as_python, b"\n".join(plain))
    return numbers[: _BLOCK // 2].rstrip()


def _number_as_python(found: re.Match[bytes]) -> bytes:
    try:
        return repr(float(found[0])).encode()
    except ValueError:
        return found[0]


def names_of_files(
    parts: Iterable[ak.Array], found: Iterable[Mapping[str, Any]]
) -> dict[str, str] | None:
    """Name of the data set of each file, its source as text; not of files of several data sets.

    `found` is the metadata of each part.
    """
    names: dict[str, set[str]] = {}
    for part, one in zip(parts, found, strict=True):
        sources = np.unique(ak.to_numpy(part.source)).tolist()
        alone = {str(source): str(one.get("dataset", "")) for source in sources}
        for source, name in (one.get("datasets") or alone).items():
            names.setdefault(source, set()).add(name)
    return {one: name.pop() for one, name in names.items() if len(name) == 1} or None


def former_id(name: str) -> int:
    """The identity that a file of this name (without extension) had before its content gave it."""
    return _number(name.encode())


def _number(*parts: bytes) -> int:
    return int.from_bytes(hashlib.sha256(b"\0".join(parts)).digest()[:8], "big") >> 1
