"""Chunks of any file as TTrees in memory, so that coffea's Runner reads them like ROOT.

The rule: the name of a chunk says which entries of which file it holds, and by which reader.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

import awkward as ak
import uproot
from uproot.source.fsspec import FSSpecSource
from uproot.source.object import ObjectSource

from hepmtp.errors import ReadError
from hepmtp.readers import ChunkReader
from hepmtp.readers.formats import load_reader
from hepmtp.readers.lines import Chunk
from hepmtp.readers.root import write_tree


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
        return (
            super().__new__(cls) if "?entries=" in file_path else FSSpecSource(file_path, **options)
        )

    def __init__(self, file_path: str, **options: Any) -> None:
        super().__init__(io.BytesIO(tree_bytes(_read_named(file_path))), **options)


def _read_named(name: str) -> ak.Array:
    path, _, query = name.rpartition("?entries=")
    entries, *rest = query.split("&")
    options = dict(option.split("=", 1) for option in rest)
    reader = load_reader(options["reader"], **json.loads(unquote(options.get("options", "{}"))))
    start, stop = (int(number) for number in entries.split("-"))
    if "bytes" not in options:
        return reader.read(path, start, stop)
    if not isinstance(reader, ChunkReader):
        raise ReadError(f"{path}: {options['reader']} does not read chunks")
    byte_start, byte_stop = (int(number) for number in options["bytes"].split("-"))
    return reader.read_chunk(path, Chunk(start, stop - start, byte_start, byte_stop))
