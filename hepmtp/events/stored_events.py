"""StoredEvents: more events than memory holds, in files, some at a time.

The rule: what comes back is what was given, to the last bit, with all fields and metadata.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from hepmtp.events.record import behavior


class StoredEvents:
    """Events in a folder of their own; a loop over them has one chunk in memory.

    Parameters
    ----------
    folder
        empty, or not there yet. Who gives it removes it.

    Examples
    --------
    >>> import tempfile
    >>> from hepmtp.events.record import make_events
    >>> nothing = dict.fromkeys(("pt", "eta", "phi", "energy", "type"), [])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     stored = StoredEvents(folder)
    ...     for met in ([3.0, 2.0], [1.0]):
    ...         stored.append(make_events(counts=[0] * len(met), **nothing, met=met, met_phi=met))
    ...     len(stored), [chunk.MET.pt.to_list() for chunk in stored]
    (3, [[3.0, 2.0], [1.0]])
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._chunks: list[tuple[Any, int]] = []  # form and number of events

    def __len__(self) -> int:
        return sum(n for _, n in self._chunks)

    def __repr__(self) -> str:
        return f"<StoredEvents, {len(self):,} in {len(self._chunks)} chunks>"

    def __iter__(self) -> Iterator[ak.Array]:
        for i, (form, n) in enumerate(self._chunks):
            with np.load(self._path(i), allow_pickle=False) as columns:
                yield ak.from_buffers(form, n, columns, behavior=behavior)

    def append(self, events: ak.Array) -> None:
        """Write events behind the others, as a chunk; OSError if the disk does not take them."""
        form, n, columns = ak.to_buffers(ak.to_packed(events))
        np.savez(self._path(len(self._chunks)), **columns)
        self._chunks.append((form, n))

    def clear(self) -> None:
        """Remove all events."""
        for i in range(len(self._chunks)):
            self._path(i).unlink()
        self._chunks = []

    def _path(self, chunk: int) -> Path:
        return self._folder / f"{chunk}.npz"
