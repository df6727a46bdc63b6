"""Events as flat columns, the form in which ROOT and parquet files hold them.

The rule: float64 in GeV, so that what is read is what was written, to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import awkward as ak
import numpy as np

from hepmtp.errors import EventError, ReadError
from hepmtp.events import CONSTITUENT_TYPES, PARTICLE_FIELDS, make_events

#: Columns of events in files: one value an event, or one list an event for ``Particle_*``.
COLUMNS: tuple[str, ...] = (
    *("event", "source", "weight", "MET_pt", "MET_phi"),
    *(f"Particle_{name}" for name in PARTICLE_FIELDS),
)
#: Columns that events have beside these if they are jets: what each was made from, and the jet.
MORE: dict[str, tuple[str, ...]] = {
    "label": ("label",),
    "Jet": ("Jet_pt", "Jet_eta", "Jet_phi", "Jet_energy"),
}
_SHOWN = 20  # names in an error: files of others have thousands of columns


def more_of(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The fields of `MORE` all of whose columns are among these names."""
    there = set(names)
    return {field: columns for field, columns in MORE.items() if there.issuperset(columns)}


def _more_columns(events: ak.Array) -> dict[str, ak.Array]:
    """The columns of `MORE` that events have, as whole numbers and float64."""
    found = {}
    if "label" in events.fields and events.label.ndim == 1:
        label = ak.to_numpy(events.label)
        if label.dtype.kind in "iu":
            found["label"] = ak.Array(label.astype(np.int8))
    if "Jet" in events.fields and events.Jet.ndim == 1:
        parts = {name: name.removeprefix("Jet_") for name in MORE["Jet"]}
        if set(parts.values()) <= set(events.Jet.fields):
            found |= {
                name: ak.values_astype(events.Jet[part], np.float64) for name, part in parts.items()
            }
    return found


def flat(events: ak.Array) -> dict[str, ak.Array]:
    """Events as `COLUMNS`, the counter ``nParticle`` and what there is of `MORE`, to be written."""
    columns = {name: events[name] for name in ("event", "source", "weight")}
    columns |= {f"MET_{name}": events.MET[name] for name in ("pt", "phi")}
    columns["nParticle"] = ak.values_astype(ak.num(events.Particle), np.int32)
    columns |= {f"Particle_{name}": events.Particle[name] for name in PARTICLE_FIELDS}
    columns |= _more_columns(events)
    return {name: ak.to_packed(ak.without_parameters(column)) for name, column in columns.items()}


def check_columns(where: str, found: Iterable[str]) -> None:
    """Raise ReadError if one of `COLUMNS` is not among the names that were found."""
    found = list(found)
    for name in COLUMNS:
        if name not in found:
            more = f", ... {len(found)} in all" if len(found) > _SHOWN else ""
            raise ReadError(
                f"{where} has no column {name!r} (found: {', '.join(found[:_SHOWN]) or 'none'}"
                f"{more}); expected what hepmtp convert writes"
            )


def events_of(path: str, first_entry: int, columns: Mapping[str, ak.Array]) -> ak.Array:
    """Events from the `COLUMNS` of a file, and `MORE`, checked.

    `first_entry` is where they begin in it.

    Raises
    ------
    ReadError
        if the columns of the particles differ in length, or a value breaks the event record.
    """
    more = {
        field: some
        for field, some in more_of(columns).items()
        if all(columns[one].ndim == 1 for one in some)  # a user's own may be lists
    }
    for name in (*COLUMNS, *(one for some in more.values() for one in some)):
        depth = 2 if name.startswith("Particle_") else 1
        if (
            columns[name].ndim != depth
            or ak.to_numpy(ak.flatten(columns[name], axis=None)).dtype.kind not in "iuf"
        ):
            expected = "a list of numbers" if depth == 2 else "a number"
            raise ReadError(
                f"{path}: column {name!r} is {ak.type(columns[name])}, expected {expected} per "
                "event"
            )
    lists = {name: columns[f"Particle_{name}"] for name in PARTICLE_FIELDS}
    counts = ak.to_numpy(ak.num(lists["pt"]))
    for name, column in lists.items():
        differs = np.flatnonzero(ak.to_numpy(ak.num(column)) != counts)
        if len(differs):
            at = differs[0]
            raise ReadError(
                f"{path} entry {first_entry + at}: {ak.num(column)[at]} values of Particle_{name} "
                f"but {counts[at]} of Particle_pt; write the file again"
            )
    try:
        events = make_events(
            counts=counts,
            met=columns["MET_pt"],
            met_phi=columns["MET_phi"],
            **{name: columns[name] for name in ("weight", "event", "source")},
            **{name: ak.to_numpy(ak.flatten(column)) for name, column in lists.items()},
            types=CONSTITUENT_TYPES,  # converted jets are read like any other events
        )
    except EventError as error:
        raise ReadError(f"{path}, entries from {first_entry} on: {error}") from None
    if "label" in more:
        events = ak.with_field(events, columns["label"], "label")
    if "Jet" in more:
        jet = {name.removeprefix("Jet_"): columns[name] for name in more["Jet"]}
        events = ak.with_field(events, ak.zip(jet, with_name="Momentum4D"), "Jet")
    return events
