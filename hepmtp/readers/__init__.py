"""Readers: each turns one file format into the event record of :mod:`hepmtp.events`.

The rule: a reader is stateless, reads only the range it is asked for, and every error names file and line (or entry).
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import awkward as ak


@runtime_checkable
class Reader(Protocol):
    """What a reader can do. Named in the manifest and on the command line as ``"package.module:Class"``."""

    def num_events(self, path: str) -> int:
        """Number of events in a file."""

    def read(self, path: str, start: int = 0, stop: int | None = None) -> ak.Array:
        """Events [start, stop) of a file; the whole file by default.

        Raises
        ------
        ReadError
            naming file, line or entry, what was found and what to do.
        """
