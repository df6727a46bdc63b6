"""Numbers of run, luminosity block and event of a ROOT file's entries, where it has them.

The rule: they are read apart from the events, whose record names them by file and entry.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import uproot
from numpy.typing import NDArray

from hepmtp.readers.lines import is_remote

#: Names that the numbers have in NanoAOD and in PHYSLITE, and the usual trees of these.
NUMBERS = (
    ("run", "luminosityBlock", "event"),
    ("EventInfoAuxDyn.runNumber", "EventInfoAuxDyn.lumiBlock", "EventInfoAuxDyn.eventNumber"),
)
TREES = ("Events", "CollectionTree", "EventData")
#: What they are called here: "event" is the entry number in every event record.
CALLED = ("run", "luminosity_block", "event_number")


def event_numbers(path: str, start: int, stop: int, tree: str | None) -> dict[str, NDArray[Any]]:
    """The numbers of these entries, int64, shape (stop - start,) each; empty if there are none."""
    if not is_remote(path):
        with Path(path).open("rb") as file:
            if file.read(4) != b"root":
                return {}
    elif not str(path).endswith(".root"):
        return {}
    with uproot.open(path) as opened:
        known = {name.partition(";")[0] for name in opened.keys(recursive=True)}
        name = next((one for one in (tree, *TREES) if one in known), None)
        if name is None:
            return {}
        for names in NUMBERS:
            columns = {one: opened[name].get(one) for one in names}
            if None not in columns.values():
                found = (
                    one.array(entry_start=start, entry_stop=stop, library="np")
                    for one in columns.values()
                )
                numbers = (np.asarray(one).astype(np.int64) for one in found)
                return dict(zip(CALLED, numbers, strict=True))
    return {}
