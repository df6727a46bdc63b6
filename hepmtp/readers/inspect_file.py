"""Inspection: what a file is, found from its bytes, and which reader takes it.

The rule: only the first events are read, and the rest is counted. What cannot be known from the
file is guessed from values, and the guess is told with the value that it comes from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import awkward as ak
import numpy as np

from hepmtp.errors import ReadError
from hepmtp.events import CONSTITUENT_TYPES, metadata
from hepmtp.plugins import current_name
from hepmtp.readers import FileReader
from hepmtp.readers.formats import load_reader, reader_name
from hepmtp.readers.lines import size_of

# median of the highest pt of each event, GeV: of events at a collider and of jets
_LEADING = (5.0, 5000.0)


class Spread(NamedTuple):
    """Some numbers in short."""

    min: float
    median: float
    max: float


class Multiplicity(NamedTuple):
    """Particles of one type, or of all, per event."""

    min: int
    mean: float
    max: int


class Weights(NamedTuple):
    """Weights of the events that were looked at."""

    sum: float
    min: float
    max: float
    negative: float


class Inspection(NamedTuple):
    """What was found; all but `events` is about the first `looked_at` events.

    ``reader`` and ``options`` are what `hepmtp.readers.formats.load_reader` takes; ``processes`` is
    None if the file names none; ``units`` is what the energies in the file are, by ``units_from``,
    and ``notes`` are doubts.
    """

    path: str
    size: int
    format: str
    reader: str
    options: dict[str, str]
    events: int
    looked_at: int
    processes: dict[str, int] | None
    multiplicity: dict[str, Multiplicity]
    units: str
    units_from: str
    pt: Spread | None
    met: Spread | None
    weights: Weights | None
    role: str | None
    notes: tuple[str, ...]


def inspect(
    path: str | Path,
    *,
    reader: str | None = None,
    options: Mapping[str, Any] | None = None,
    look_at: int = 10_000,
) -> Inspection:
    """What a file is.

    Parameters
    ----------
    path
        a file of any kind, or the address of one that is read in place.
    reader, options
        its reader by name (``"package.module:Class"``), if it is known, and what this is made with.
    look_at
        number of events that are read.

    Raises
    ------
    ReadError
        if no reader takes the file, or the reader finds its first events wrong.
    """
    path = str(path)
    given = dict(options or {})
    name = current_name(reader or reader_name(path))
    made = load_reader(name, **given)
    declared = made if isinstance(made, FileReader) else FileReader()
    guessed, doubts = declared.guess(path)
    if guessed:
        given |= guessed
        made = load_reader(name, **given)
        declared = made if isinstance(made, FileReader) else declared
    try:
        counted = made.num_events(path)
        events = made.read(path, 0, look_at)
    except ReadError as error:
        raise ReadError(f"{error}; this was read by {name}, which may take options") from None
    units, units_from, notes = _units(events, declared.unit)
    return Inspection(
        path=path,
        size=size_of(path),
        format=declared.format_of(path) or name.rpartition(":")[2],
        reader=name,
        options={key: str(value) for key, value in given.items()},
        events=counted,
        looked_at=len(events),
        processes=declared.processes(path, events),
        multiplicity=_multiplicity(events),
        units=units,
        units_from=units_from,
        pt=_spread(ak.to_numpy(ak.flatten(events.Particle.pt))),
        met=_spread(ak.to_numpy(events.MET.pt)),
        weights=_weights(ak.to_numpy(events.weight)),
        role=metadata(events).get("role"),
        notes=notes + doubts + _notes(events),
    )


def to_json(found: Inspection) -> str:
    """What was found as one JSON object."""
    plain = {key: _plain(value) for key, value in found._asdict().items()}
    return json.dumps(plain, indent=1)


def summary(found: Inspection) -> list[tuple[str, str]]:
    """What was found as (what, text) for the reader."""
    options = "".join(f" --option {key}={value}" for key, value in found.options.items())
    part = f"; what follows is of the first {found.looked_at:,}"
    processes = ", ".join(f"{name} {n:,}" for name, n in (found.processes or {}).items())
    rows = [
        ("file", f"{found.path} ({found.size:,} bytes)"),
        ("format", found.format),
        ("reader", found.reader + options),
        ("events", f"{found.events:,}{part if found.looked_at < found.events else ''}"),
        ("processes", processes or "the file names none"),
        ("units", f"{found.units} in the file: {found.units_from}"),
    ]
    if found.pt is not None:
        rows.append(("particle pt", _in_short(found.pt)))
    if found.met is not None:
        rows.append(("MET", _in_short(found.met)))
    if found.weights is not None:
        total, low, high, negative = found.weights
        text = f"sum {total:.6g}, from {low:.6g} to {high:.6g}, {100 * negative:.3g} % negative"
        rows.append(("weights", text))
    rows += [
        (f"particles: {name}", f"{n.mean:.3g} an event, from {n.min} to {n.max}")
        for name, n in found.multiplicity.items()
    ]
    return rows + [("note", note) for note in found.notes]


def _in_short(values: Spread) -> str:
    return f"from {values.min:.4g} to {values.max:.4g} GeV, median {values.median:.4g}"


def _plain(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        return value._asdict()
    return {key: _plain(one) for key, one in value.items()} if isinstance(value, dict) else value


def _units(events: ak.Array, unit: float) -> tuple[str, str, tuple[str, ...]]:
    """What energies in the file are, what tells it, and a doubt if the reader differs."""
    leading = ak.drop_none(ak.max(events.Particle.pt, axis=1))
    if not len(leading):
        return "unknown", "no particles", ()
    median = float(np.median(ak.to_numpy(leading))) / unit  # as the file has it
    said = "MeV" if unit == 1e-3 else "GeV"
    low, high = _LEADING
    units = "unknown"
    if low <= median <= high:
        units = "GeV"
    elif high < median <= high * 1e3:
        units = "MeV"
    units_from = f"the median of the highest pt of each event is {median:.4g}"
    doubt = f"the reader takes energies for {said}, but they look like {units}: {units_from}"
    return units, units_from, () if units == said else (doubt,)


def _notes(events: ak.Array) -> tuple[str, ...]:
    notes = []
    weight = ak.to_numpy(events.weight)
    if (weight == 0).any():
        notes.append(f"{int((weight == 0).sum())} events have weight 0")
    empty = int(ak.sum(ak.num(events.Particle) == 0))
    if empty:
        notes.append(f"{empty} events have no particles")
    return tuple(notes)


def _multiplicity(events: ak.Array) -> dict[str, Multiplicity]:
    """Of all particles, and of each type that is there."""
    if not len(events):
        return {}
    kinds = events.Particle["type"]
    counts = {"all": ak.to_numpy(ak.num(kinds))}
    for i, name in enumerate(CONSTITUENT_TYPES):
        of_type = ak.to_numpy(ak.sum(kinds == i, axis=1))
        if of_type.any():
            counts[name] = of_type
    return {
        name: Multiplicity(int(n.min()), float(n.mean()), int(n.max()))
        for name, n in counts.items()
    }


def _spread(values: Any) -> Spread | None:
    if not len(values):
        return None
    return Spread(float(values.min()), float(np.median(values)), float(values.max()))


def _weights(weight: Any) -> Weights | None:
    if not len(weight):
        return None
    negative = float((weight < 0).mean())
    return Weights(float(weight.sum()), float(weight.min()), float(weight.max()), negative)
