"""Readers: each turns one file format into the event record of :mod:`hepmtp.events`.

The rule: a reader is stateless, reads only the range that it is asked for, and every error names
file and line (or entry).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, ClassVar, Protocol, runtime_checkable

import awkward as ak

from hepmtp.readers.lines import Chunk
from hepmtp.readers.options import check_options


@runtime_checkable
class Reader(Protocol):
    """What a reader can do; on the command line and in a manifest ``"package.module:Class"``."""

    def num_events(self, path: str) -> int:
        """Number of events in a file."""

    def read(self, path: str, start: int = 0, stop: int | None = None) -> ak.Array:
        """Events [start, stop) of a file; all by default, and no more than the file has.

        Raises
        ------
        ReadError
            naming file, line or entry, what was found and what to do.
        """


@runtime_checkable
class ChunkReader(Reader, Protocol):
    """A reader that knows where its chunks are, so that nothing before a chunk need be read."""

    def chunks(self, path: str, size: int) -> list[Chunk]:
        """The file as chunks of `size` events."""

    def read_chunk(self, path: str, chunk: Chunk) -> ak.Array:
        """Events of one of the `chunks`."""

    def iterate(self, path: str, size: int) -> Iterator[ak.Array]:
        """Events of each chunk in turn."""


class FileReader:
    """What the readers of hepmtp share: they check their options and declare what they read.

    A subclass is a frozen dataclass whose fields are its options; it overrides what differs.

    Examples
    --------
    >>> from hepmtp.readers.delphes import Delphes
    >>> Delphes.endings, Delphes.magic, Delphes.branches[:2], Delphes.unit
    (('.root',), b'root', ('Jet.PT', 'Jet.BTag'), 1.0)
    """

    #: What such a file is called.
    format: ClassVar[str] = ""
    #: What the names of such files end in.
    endings: ClassVar[tuple[str, ...]] = ()
    #: The bytes that such a file begins with.
    magic: ClassVar[bytes] = b""
    #: The branches (with "." before a part) that tell that a ROOT tree is of this layout.
    branches: ClassVar[tuple[str, ...]] = ()
    #: What one unit of energy in the file is, GeV.
    unit: ClassVar[float] = 1.0
    #: What the further field ``label`` of the events is an index into; empty if there is none.
    labels: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        check_options(self)

    @classmethod
    def knows(cls, start: bytes) -> bool:
        """Whether a file that begins so is one of these; its first 64 KiB, unpacked if packed."""
        return start.startswith(cls.magic)

    def format_of(self, path: str) -> str:  # noqa: ARG002 (for formats that have several)
        """What this file is called."""
        return self.format

    def processes(self, path: str, events: ak.Array) -> dict[str, int] | None:  # noqa: ARG002
        """Number of events of each process among the first ones; None if the file names none."""
        counts = Counter(events.label.to_list() if self.labels else ())
        return {self.labels[i]: counts[i] for i in sorted(counts)} if self.labels else None

    def generated_weight(self, path: str) -> float | None:  # noqa: ARG002 (for those that say it)
        """Sum of the weights of all events that were generated for this file.

        That is before any selection. The weights are those that the events have by the options of
        this reader. None if the file does not say it, as data do not.
        """
        return None

    def guess(self, path: str) -> tuple[dict[str, Any], tuple[str, ...]]:  # noqa: ARG002
        """Options that must be given, as they fit this file, and notes on those that may not."""
        return {}, ()
