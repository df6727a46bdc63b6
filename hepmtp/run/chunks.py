"""Chunks of any file as TTrees in memory, so that coffea's Runner reads them like ROOT.

The rule: the name of a chunk says which entries of which file it holds, and by which reader.
"""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

import awkward as ak
import uproot
from uproot.source.fsspec import FSSpecSource
from uproot.source.object import ObjectSource

from hepmtp.errors import ReadError
from hepmtp.readers import ChunkReader
from hepmtp.readers.coffea_names import WorkItem
from hepmtp.readers.darkmachines.reader import DarkMachinesCSV
from hepmtp.readers.formats import reader_from_file
from hepmtp.readers.lines import Chunk
from hepmtp.readers.root import write_tree

# what `chunk_name` writes; a path may hold anything, so the name is matched from its end
_NAME = re.compile(
    r"(?P<path>.+)\?entries=(?P<start>\d+)-(?P<stop>\d+)(&bytes=(?P<first>\d+)-(?P<last>\d+))?"
    r"(&options=(?P<options>[^&]+))?&reader=(?P<reader>[^&?]+)",
    re.DOTALL,
)


def tree_bytes(events: ak.Array) -> bytes:
    """The bytes of a ROOT file with these events in an uncompressed TTree."""
    buffer = _Kept()
    with uproot.recreate(buffer, compression=None) as file:
        write_tree(file, [events], rntuple=False)
    return buffer.getvalue()


class _Kept(io.BytesIO):
    def close(self) -> None:
        """Stay open: uproot closes what it has written."""


def chunk_name(
    path: str, reader: str, chunk: Chunk, *, options: Mapping[str, Any], bytes_known: bool
) -> str:
    """A name that `ChunkSource` opens: which entries (and bytes) of which file, by which reader."""
    stop = chunk.first_entry + chunk.n_entries
    where = f"&bytes={chunk.byte_start}-{chunk.byte_stop}" if bytes_known else ""
    how = f"&options={quote(json.dumps(options, sort_keys=True), safe='')}" if options else ""
    return f"{path}?entries={chunk.first_entry}-{stop}{where}{how}&reader={reader}"


class ChunkSource(ObjectSource):  # type: ignore[misc]
    """What ``uproot.open(..., handler=ChunkSource)`` opens.

    A `chunk_name` as a TTree in memory, and any other file as it is.
    """

    def __new__(cls, file_path: str, **options: Any) -> Any:
        if is_chunk(file_path):
            return super().__new__(cls)
        return FSSpecSource(file_path, **options)

    def __init__(self, file_path: str, **options: Any) -> None:
        super().__init__(io.BytesIO(tree_bytes(_read_named(file_path))), **options)


class Skipped(NamedTuple):
    """Events that the reader of a chunk left out as it was told."""

    events: int
    weight: float | None
    reason: str


class _Here(threading.local):
    """What was skipped of the chunk that this thread has read last: two may read the same one."""

    name, skipped = "", None


_here: Any = _Here()


def skipped_of(name: str) -> Skipped | None:
    """What the reader left out of a chunk; None for any but the last that this thread has read."""
    skipped: Skipped | None = _here.skipped if _here.name == name else None
    return skipped


def skipped_in(items: Iterable[WorkItem]) -> dict[WorkItem, tuple[Any, ...]]:
    """What the readers of these chunks left out, of those that this thread has read last."""
    found = {item: skipped_of(item.filename) for item in items}
    return {item: tuple(one) for item, one in found.items() if one is not None}


def is_chunk(name: str) -> bool:
    """Whether this is a `chunk_name`, and no file of that name."""
    return _NAME.fullmatch(name) is not None


def path_of(name: str) -> str:
    """The file that a chunk is of; a name of another kind is a file itself."""
    found = _NAME.fullmatch(name)
    return name if found is None else found["path"]


def first_entry_of(name: str) -> tuple[int, str | None]:
    """The first entry of a chunk in its file, and the tree that its reader was told to read."""
    found = _NAME.fullmatch(name)
    if found is None:
        return 0, None
    tree = json.loads(unquote(found["options"] or "{}")).get("tree")
    return int(found["start"]), tree


def _read_named(name: str) -> ak.Array:
    found = _NAME.fullmatch(name)
    if found is None:
        raise ReadError(f"{name} is no chunk of a file")
    path, start, stop = found["path"], int(found["start"]), int(found["stop"])
    options = json.loads(unquote(found["options"] or "{}"))
    reader = reader_from_file(found["reader"], options)
    _here.name, _here.skipped = name, None
    by_bytes = found["first"] is not None
    if by_bytes and not isinstance(reader, ChunkReader):
        raise ReadError(f"{path}: {found['reader']} does not read chunks")
    chunk = Chunk(start, stop - start, int(found["first"] or 0), int(found["last"] or 0))
    if not isinstance(reader, DarkMachinesCSV):
        if by_bytes and isinstance(reader, ChunkReader):
            return reader.read_chunk(path, chunk)
        return reader.read(path, start, stop)
    events, report = (
        reader.read_chunk_with_report(path, chunk)
        if by_bytes
        else reader.read_with_report(path, start, stop)
    )
    if report.lines:
        weight = None if report.unreadable else report.sumw
        _here.skipped = Skipped(report.lines, weight, report.reasons[0])
    return events
