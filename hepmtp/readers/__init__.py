"""Readers: each turns one file format into the event record of :mod:`hepmtp.events`.

The rule: a reader is stateless, reads only the range it is asked for, and every error names file and line (or entry).
"""

from __future__ import annotations

import pkgutil
from typing import Protocol, runtime_checkable

import awkward as ak

from hepmtp.errors import ReadError


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


#: What the names of files end in, and the reader of each.
ENDINGS: dict[str, str] = {
    ".csv": "hepmtp.readers.darkmachines_csv:DarkMachinesCSV",
    ".csv.gz": "hepmtp.readers.darkmachines_csv:DarkMachinesCSV",
    ".root": "hepmtp.readers.root:RootReader",
    ".parquet": "hepmtp.readers.parquet:ParquetReader",
}


def reader_for(path: str) -> Reader:
    """The reader for a file, by the end of its name."""
    for ending, name in ENDINGS.items():
        if path.endswith(ending):
            return load_reader(name)
    raise ReadError(f"{path}: no reader is known for this name, only for {', '.join(ENDINGS)}; name a reader for it")


def load_reader(name: str) -> Reader:
    """The reader that ``"package.module:Class"`` (made without arguments) or ``"package.module:object"`` names.

    Examples
    --------
    >>> load_reader("hepmtp.readers.darkmachines_csv:DarkMachinesCSV")
    DarkMachinesCSV(on_bad='raise')
    """
    try:
        found = pkgutil.resolve_name(name)
        reader = found() if isinstance(found, type) else found
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise ReadError(f"reader {name!r} cannot be made ({error}); expected 'package.module:Class'") from None
    if not isinstance(reader, Reader):
        raise ReadError(f"{name!r} is not a reader: it has no num_events or no read")
    return reader
