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
_SHOWN = 20  # names in an error: files of others have thousands of columns


def flat(events: ak.Array) -> dict[str, ak.Array]:
    """Events as `COLUMNS` and the counter ``nParticle``, ready to be written."""
    columns = {name: events[name] for name in ("event", "source", "weight")}
    columns |= {f"MET_{name}": events.MET[name] for name in ("pt", "phi")}
    columns["nParticle"] = ak.values_astype(ak.num(events.Particle), np.int32)
    columns |= {f"Particle_{name}": events.Particle[name] for name in PARTICLE_FIELDS}
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
    """Events from the `COLUMNS` of a file, checked; `first_entry` is where they begin in it.

    Raises
    ------
    ReadError
        if the columns of the particles differ in length, or a value breaks the event record.
    """
    for name in COLUMNS:
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
        return make_events(
            counts=counts,
            met=columns["MET_pt"],
            met_phi=columns["MET_phi"],
            **{name: columns[name] for name in ("weight", "event", "source")},
            **{name: ak.to_numpy(ak.flatten(column)) for name, column in lists.items()},
            types=CONSTITUENT_TYPES,  # converted jets are read like any other events
        )
    except EventError as error:
        raise ReadError(f"{path}, entries from {first_entry} on: {error}") from None
