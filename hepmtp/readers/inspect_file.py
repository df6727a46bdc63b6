"""Inspection: what a file is, found from its bytes and not from its name, and which reader takes it.

The rule: only the first events are read, and the rest is counted; what cannot be known from the file is guessed from
values, and the guess is told with the value that it comes from.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import awkward as ak
import fsspec
import numpy as np

from hepmtp.errors import ReadError
from hepmtp.events.particles import CONSTITUENT_TYPES
from hepmtp.events.record import metadata
from hepmtp.readers import Reader
from hepmtp.readers.formats import ENDINGS, identify, load_reader, reader_name
from hepmtp.readers.lines import check_file, is_remote, open_file, size_of, take
from hepmtp.storage import current_name

_CSV, _ROOT, _PARQUET, _HDF5 = (ENDINGS[ending] for ending in (".csv", ".root", ".parquet", ".h5"))
# median of the highest pt of each event, GeV: of events at a collider and of jets
_LEADING = (5.0, 5000.0)
# what one unit of energy in a file is to its reader, GeV
_UNIT = {_CSV: 1e-3, "hepmtp:Physlite": 1e-3}


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

    ``reader`` and ``options`` are what `hepmtp.readers.formats.load_reader` takes; ``processes`` is None if the file names none;
    ``units`` is what the energies in the file are, by ``units_from``, and ``notes`` are doubts.
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
    name = current_name(reader or kind_of_file(path))
    if name == _HDF5:
        given = _fourtops_options(path, given)
    made = load_reader(name, **given)
    try:
        counted = made.num_events(path)
        events = made.read(path, 0, look_at)
    except ReadError as error:
        raise ReadError(f"{error}; this was read by {name}, which may take options") from None
    units, units_from, notes = _units(events, _UNIT.get(name, 1.0))
    notes += _notes(events, given if name == _HDF5 else {}, dict(options or {}))
    return Inspection(
        path=path,
        size=size_of(path),
        format=_format(path, name, made),
        reader=name,
        options={key: str(value) for key, value in given.items()},
        events=counted,
        looked_at=len(events),
        processes=_processes(path, name, made, events, look_at),
        multiplicity=_multiplicity(events),
        units=units,
        units_from=units_from,
        pt=_spread(ak.to_numpy(ak.flatten(events.Particle.pt))),
        met=_spread(ak.to_numpy(events.MET.pt)),
        weights=_weights(ak.to_numpy(events.weight)),
        role=metadata(events).get("role"),
        notes=notes,
    )


def to_json(found: Inspection) -> str:
    """What was found as one JSON object."""
    plain = {key: _plain(value) for key, value in found._asdict().items()}
    return json.dumps(plain, indent=1)


def summary(found: Inspection) -> list[tuple[str, str]]:
    """What was found as (what, text) for the reader."""
    rows = [
        ("file", f"{found.path} ({found.size:,} bytes)"),
        ("format", found.format),
        (
            "reader",
            found.reader
            + "".join(f" --option {key}={value}" for key, value in found.options.items()),
        ),
        (
            "events",
            f"{found.events:,}"
            + (
                f"; what follows is of the first {found.looked_at:,}"
                if found.looked_at < found.events
                else ""
            ),
        ),
        (
            "processes",
            ", ".join(f"{name} {n:,}" for name, n in (found.processes or {}).items())
            or "the file names none",
        ),
        ("units", f"{found.units} in the file: {found.units_from}"),
    ]
    if found.pt is not None:
        rows.append(("particle pt", _in_short(found.pt)))
    if found.met is not None:
        rows.append(("MET", _in_short(found.met)))
    if found.weights is not None:
        total, low, high, negative = found.weights
        rows.append(
            (
                "weights",
                f"sum {total:.6g}, from {low:.6g} to {high:.6g}, {100 * negative:.3g} % negative",
            )
        )
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


def kind_of_file(path: str) -> str:
    """Name of the reader for a file, by its first bytes, and by its trees or lines; for an address by the end of its name.

    Raises
    ------
    ReadError
        saying what the first bytes are.
    """
    if is_remote(path):
        return reader_name(path)
    check_file(path)
    with Path(path).open("rb") as file:
        start = file.read(8)
    if start.startswith(b"root"):
        return identify(path)
    if start.startswith(b"PAR1"):
        return _PARQUET
    if start == b"\x89HDF\r\n\x1a\n":
        return _HDF5
    with open_file(path) as file:
        unpacked = take(path, file, 1 << 16, line=0)
    lines = unpacked.split(b"\n")
    fixed = len(lines[0].split()) == 9 and all(field.isdigit() for field in lines[0].split())
    if fixed or any(line.count(b";") >= 2 for line in lines[:20]):
        return _CSV
    packed = " when unpacked" if start.startswith(b"\x1f\x8b") else ""
    raise ReadError(
        f"{path} is of no known kind: it begins with {unpacked[:8]!r}{packed}. Known are Dark Machines CSV (plain or gzipped), ROOT,"
        " parquet that hepmtp wrote, and the four-top HDF5; name a reader of your own for it"
    )


def _fourtops_options(path: str, given: dict[str, Any]) -> dict[str, Any]:
    """Options with which the four-top file can be looked at: the scale that fits, and some order of the leptons."""
    from hepmtp.readers.fourtops import LEPTONS, SCALES, FourTopsHDF5  # noqa: PLC0415 (h5py only when asked)

    given = {"lepton_order": ",".join(LEPTONS), **given}
    if "scale" in given:
        return given
    refused: ReadError | None = None
    for scale, met_scale in itertools.product(SCALES, [None, *SCALES]):
        tried = {**given, "scale": scale} | ({} if met_scale is None else {"met_scale": met_scale})
        try:
            FourTopsHDF5(**tried).read(path, 0, 10)
        except ReadError as error:
            if refused is None or "do not fit" in str(refused):
                refused = error
            continue
        return tried
    raise ReadError(str(refused))


def _format(path: str, name: str, reader: Reader) -> str:
    module, _, cls = name.partition(":")
    with fsspec.open(path, "rb") as file:  # as it is, not unpacked
        start = file.read(4)
    packed, rooted = start[:2] == b"\x1f\x8b", start == b"root"
    if name == _CSV:
        layout = reader.layout_of(path)  # type: ignore[attr-defined]
        return f"Dark Machines CSV, layout {layout.name}" + (", gzipped" if packed else "")
    known = {
        _ROOT: "ROOT that hepmtp wrote",
        _PARQUET: "parquet that hepmtp wrote",
        _HDF5: "four-top HDF5",
    }
    what = cls or module
    return known.get(name, f"ROOT, layout {what}" if rooted else what)


def _units(events: ak.Array, unit: float) -> tuple[str, str, tuple[str, ...]]:
    """What energies in the file are, what tells it, and a doubt if the reader takes them for something else."""
    leading = ak.drop_none(ak.max(events.Particle.pt, axis=1))
    if not len(leading):
        return "unknown", "no particles", ()
    median = float(np.median(ak.to_numpy(leading))) / unit  # as the file has it
    said = "MeV" if unit == 1e-3 else "GeV"
    low, high = _LEADING
    units = (
        "GeV"
        if low <= median <= high
        else "MeV"
        if low * 1e3 <= median <= high * 1e3 and median > high
        else "unknown"
    )
    units_from = f"the median of the highest pt of each event is {median:.4g}"
    if units == said:
        return units, units_from, ()
    return (
        units,
        units_from,
        (f"the reader takes energies for {said}, but they look like {units}: {units_from}",),
    )


def _notes(events: ak.Array, used: Mapping[str, Any], given: Mapping[str, Any]) -> tuple[str, ...]:
    notes = []
    if "lepton_order" in used and "lepton_order" not in given:
        notes.append(
            f"the file does not say which lepton is which; shown as if {used['lepton_order']}"
        )
    weight = ak.to_numpy(events.weight)
    if len(weight) and (weight == 0).any():
        notes.append(f"{int((weight == 0).sum())} events have weight 0")
    empty = int(ak.sum(ak.num(events.Particle) == 0))
    if empty:
        notes.append(f"{empty} events have no particles")
    return tuple(notes)


def _processes(
    path: str, name: str, reader: Any, events: ak.Array, look_at: int
) -> dict[str, int] | None:
    if name == _CSV and reader.layout_of(path).name == "challenge":
        with open_file(path) as file:
            lines = itertools.islice(file, look_at)
            return dict(
                Counter(
                    line.split(b";", 2)[1].decode(errors="replace")
                    for line in lines
                    if line.count(b";") > 1
                )
            )
    if "label" not in events.fields:
        return None
    if name == _HDF5:
        from hepmtp.readers.fourtops import PROCESSES as NAMES  # noqa: PLC0415
    else:
        from hepmtp.readers.jetclass import JET_LABELS as NAMES  # noqa: PLC0415
    counts = Counter(events.label.to_list())
    return {NAMES[label]: counts[label] for label in sorted(counts)}


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
    return (
        Spread(float(values.min()), float(np.median(values)), float(values.max()))
        if len(values)
        else None
    )


def _weights(weight: Any) -> Weights | None:
    if not len(weight):
        return None
    return Weights(
        float(weight.sum()), float(weight.min()), float(weight.max()), float((weight < 0).mean())
    )
