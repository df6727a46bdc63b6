"""Chunks of any file as TTrees in memory, so that coffea's Runner reads them like ROOT.

The rule: the name of a chunk says which entries of which file it holds, and by which reader.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

import awkward as ak
import uproot
from uproot.source.fsspec import FSSpecSource
from uproot.source.object import ObjectSource

from hepmtp.errors import ReadError
from hepmtp.readers import ChunkReader
from hepmtp.readers.darkmachines.reader import DarkMachinesCSV
from hepmtp.readers.formats import load_reader
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


# what was skipped of the chunks that this process has read and nobody has asked for yet
_skipped: dict[str, Skipped] = {}


def skipped_of(name: str) -> Skipped | None:
    """What the reader left out of a chunk that this process has just read; told once."""
    return _skipped.pop(name, None)


def is_chunk(name: str) -> bool:
    """Whether this is a `chunk_name`, and no file of that name."""
    return _NAME.fullmatch(name) is not None


def path_of(name: str) -> str:
    """The file that a chunk is of; a name of another kind is a file itself."""
    found = _NAME.fullmatch(name)
    return name if found is None else found["path"]


def _read_named(name: str) -> ak.Array:
    found = _NAME.fullmatch(name)
    if found is None:
        raise ReadError(f"{name} is no chunk of a file")
    path, start, stop = found["path"], int(found["start"]), int(found["stop"])
    options = json.loads(unquote(found["options"] or "{}"))
    reader = load_reader(found["reader"], **options)
    if found["first"] is None:
        return reader.read(path, start, stop)
    if not isinstance(reader, ChunkReader):
        raise ReadError(f"{path}: {found['reader']} does not read chunks")
    chunk = Chunk(start, stop - start, int(found["first"]), int(found["last"]))
    if not isinstance(reader, DarkMachinesCSV):
        return reader.read_chunk(path, chunk)
    events, report = reader.read_chunk_with_report(path, chunk)
    if report.lines:
        weight = None if report.unreadable else report.sumw
        _skipped[name] = Skipped(report.lines, weight, report.reasons[0])
    return events
