"""What events of coffea are called: numbers of the experiment, or entries of their file.

The rule: (source, event) names an event, as in every event record. Readers name it by its file
and entry, and detectors remember those that trained them. Numbers of the experiment are another
name of the same event, under a source of their own, so that nobody takes one for the other.
"""

from __future__ import annotations

import uuid
from typing import Any, Literal

import awkward as ak
import numpy as np

from hepmtp.errors import EventError
from hepmtp.events.folds import BY_NUMBERS, NAMELESS, mixed
from hepmtp.events.ragged import Ints
from hepmtp.events.record import metadata
from hepmtp.events.source import root_source

Identity = Literal["numbers", "entries"]

#: Fields with the numbers of run, luminosity block and event: NanoAOD, PHYSLITE (also without
#: a schema) and TreeMaker.
NUMBERS = (
    ("run", "luminosityBlock", "event"),
    ("EventInfo.runNumber", "EventInfo.lumiBlock", "EventInfo.eventNumber"),
    ("EventInfoAuxDyn.runNumber", "EventInfoAuxDyn.lumiBlock", "EventInfoAuxDyn.eventNumber"),
    ("RunNum", "LumiBlockNum", "EvtNum"),
)
#: The usual trees of the layouts whose files may have others, too: these are not part of the name.
USUAL_TREES = ("Events", "CollectionTree", "Delphes")


def names_of(events: ak.Array, identity: Identity) -> tuple[Ints, Ints]:
    """Source and event of each event, int64, shape (n_events,) each.

    Events of our own record keep theirs. `identity` is that of
    :func:`hepmtp.events.collections.events_from`.
    """
    if identity not in ("numbers", "entries"):
        raise EventError(f"identity is {identity!r}, expected 'numbers' or 'entries'")
    n = len(events)
    if {"source", "event"} <= set(events.fields):
        source, event = (ak.to_numpy(events[name]) for name in ("source", "event"))
        return source.astype(np.int64), event.astype(np.int64)
    if identity == "numbers" and (numbers := _numbers(events)) is not None:
        return np.full(n, BY_NUMBERS), numbers
    if (named := _entries(events)) is not None:
        return named
    if identity == "entries":
        raise EventError(
            f"identity='entries' needs a whole chunk of coffea's Runner, found {n} events of "
            f"{_said(metadata(events))}: call events_from before a cut, and cut what it gives"
        )
    return np.full(n, NAMELESS), np.arange(n)


def _numbers(events: ak.Array) -> Ints | None:
    """A 64-bit mix of run, luminosity block and event, without its sign."""
    for names in NUMBERS:
        columns = [_field(events, name) for name in names]
        if any(one is None for one in columns):
            continue
        bits = np.zeros(len(events), dtype=np.uint64)
        for column in columns:
            bits = mixed(bits + np.asarray(ak.to_numpy(column)).astype(np.uint64))
        return (bits >> np.uint64(1)).astype(np.int64)
    return None


def _field(events: Any, name: str) -> Any:
    """The column of this name, which a schema may have put into a record; None if there is none."""
    if name in events.fields:
        return events[name]
    record, _, rest = name.partition(".")
    inside = record in events.fields and rest in events[record].fields
    return events[record, rest] if inside else None


def _entries(events: ak.Array) -> tuple[Ints, Ints] | None:
    """File and entries, as readers number them; None if the events are no whole chunk."""
    found = metadata(events)
    if not {"fileuuid", "treename", "entrystart", "entrystop"} <= found.keys():
        return None
    start, stop = int(found["entrystart"]), int(found["entrystop"])
    file = uuid.UUID(str(found["fileuuid"]))
    if stop - start != len(events) or not file.int:
        return None
    tree = str(found["treename"]).strip("/")
    source = root_source(file.bytes, "" if tree in USUAL_TREES else tree)
    return np.full(len(events), source), np.arange(start, stop)


def _said(found: dict[str, Any]) -> str:
    if "entrystop" not in found:
        return "no file"
    return f"entries {found['entrystart']} to {found['entrystop']}"
