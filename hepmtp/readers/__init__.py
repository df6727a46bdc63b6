"""Readers: each turns one file format into the event record of :mod:`hepmtp.events`.

The rule: a reader is stateless, reads only the range it is asked for, and every error names file and line (or entry).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import awkward as ak

from hepmtp.readers.lines import Chunk


@runtime_checkable
class Reader(Protocol):
    """What a reader can do. Named in the manifest and on the command line as ``"package.module:Class"``."""

    def num_events(self, path: str) -> int:
        """Number of events in a file."""

    def read(self, path: str, start: int = 0, stop: int | None = None) -> ak.Array:
        """Events [start, stop) of a file; the whole file by default, and no more than the file has.

        Raises
        ------
        ReadError
            naming file, line or entry, what was found and what to do.
        """


@runtime_checkable
class ChunkReader(Reader, Protocol):
    """A reader that knows where in the file its chunks are, so that nothing before a chunk need be read."""

    def chunks(self, path: str, size: int) -> list[Chunk]:
        """The file as chunks of `size` events."""

    def read_chunk(self, path: str, chunk: Chunk) -> ak.Array:
        """Events of one of the `chunks`."""

    def iterate(self, path: str, size: int) -> Iterator[ak.Array]:
        """Events of each chunk in turn."""
