"""The event record: what every reader returns and everything else takes.

The rule: GeV and radians, one row an event, any number of particles. The metadata (dataset, role)
travels with the array, so that signal can be refused where only background may be used::

    Particle: var * Momentum4D[pt, eta, phi, energy, type]
    MET:      Momentum2D[pt, phi]
    weight:   float64, adds up to the expected yield
    event:    int64, entry number in the file that the event was first read from
    source:   int64, identity of that file (`source_id`); (source, event) names an event for ever

A particle's type is its index in `PARTICLE_TYPES`. Write ``Particle["type"]``: ``.type`` is
awkward's own name for the type of an array. Numbers are float64: a Dark Machines number has six
digits, and masses stay usable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, cast, get_args

import awkward as ak
import numpy as np
import vector
from numpy.typing import ArrayLike, NDArray

from hepmtp.errors import EventError
from hepmtp.events.legal import check_values
from hepmtp.events.particles import CONSTITUENT_TYPES, PARTICLE_TYPES
from hepmtp.events.source import names_of_files

Role = Literal["background", "signal", "data"]
ROLES: tuple[str, ...] = get_args(Role)

#: Fields of an event, and of a particle.
RECORD: tuple[str, ...] = ("Particle", "MET", "weight", "event", "source")
PARTICLE_FIELDS: tuple[str, ...] = ("pt", "eta", "phi", "energy", "type")

#: Keys of metadata that say whether events are simulated, and what true means in each.
SIMULATED = {"isMC": True, "is_mc": True, "isData": False, "is_data": False}
_TRUTH = {"true": True, "1": True, "false": False, "0": False}

#: Vector's behaviours: ``events.Particle.mass``, ``.deltaR(...)``, ``+`` work on every event array.
behavior: dict[Any, Any] = vector.backends.awkward.behavior


def make_events(
    *,
    counts: ArrayLike,
    pt: ArrayLike,
    eta: ArrayLike,
    phi: ArrayLike,
    energy: ArrayLike,
    type: ArrayLike,
    met: ArrayLike,
    met_phi: ArrayLike,
    weight: ArrayLike | float = 1.0,
    event: ArrayLike | None = None,
    source: ArrayLike | int = 0,
    dataset: str = "",
    role: Role | None = None,
    types: tuple[str, ...] = PARTICLE_TYPES,
) -> ak.Array:
    """Build events from flat columns.

    Parameters
    ----------
    counts
        particles per event, shape (n_events,).
    pt, eta, phi, energy, type
        one value per particle, shape (n_particles,); GeV, radians; `type` indexes `PARTICLE_TYPES`.
    met, met_phi, weight, event, source
        one value per event, shape (n_events,), or one value for all (weight, source); `event`
        counts from 0 if not given.
    dataset, role
        metadata; a role that is not given is unknown, and nothing can be trained on such events.
    types
        the types that are legal: `PARTICLE_TYPES`, or `CONSTITUENT_TYPES` for jets as events.

    Raises
    ------
    EventError
        if lengths do not fit or a value breaks the record (see `check_events`).

    Examples
    --------
    >>> events = make_events(
    ...     counts=[1, 0], pt=[50.0], eta=[0.1], phi=[1.0], energy=[60.0], type=[1],
    ...     met=[20.0, 30.0], met_phi=[0.0, 1.0], dataset="ttbarW", role="background",
    ... )
    >>> events.Particle.pt.to_list(), metadata(events)["role"]
    ([[50.0], []], 'background')
    """
    n_particles = np.asarray(counts, dtype=np.int64)
    n = len(n_particles)
    if n_particles.ndim != 1 or (n and n_particles.min() < 0):
        found = n_particles.tolist()
        raise EventError(f"counts are {found}, expected a number of particles for each event")
    columns = {"pt": pt, "eta": eta, "phi": phi, "energy": energy}
    flat = {name: np.asarray(column, dtype=np.float64) for name, column in columns.items()}
    particles: dict[str, NDArray[Any]] = {**flat, "type": np.asarray(type, dtype=np.int8)}
    for name, column in particles.items():
        if column.shape != (n_particles.sum(),):
            raise EventError(
                f"{name} has shape {column.shape}, expected ({n_particles.sum()},): counts says so"
            )
    per_event = {
        "weight": np.broadcast_to(np.asarray(weight, dtype=np.float64), (n,)).copy(),
        "event": np.arange(n, dtype=np.int64)
        if event is None
        else np.asarray(event, dtype=np.int64),
        "source": np.broadcast_to(np.asarray(source, dtype=np.int64), (n,)).copy(),
    }
    missing = {
        "pt": np.asarray(met, dtype=np.float64),
        "phi": np.asarray(met_phi, dtype=np.float64),
    }
    for name, column in {**per_event, "met": missing["pt"], "met_phi": missing["phi"]}.items():
        if column.shape != (n,):
            raise EventError(
                f"{name} has shape {column.shape}, expected ({n},): one value per event"
            )
    check_values(n_particles, particles, {**missing, "weight": per_event["weight"]}, len(types))
    # from their contents: ak.zip looks at every column for what could be broadcast
    offsets = ak.index.Index64(np.concatenate([[0], np.cumsum(n_particles)]))
    record = {
        "Particle": ak.contents.ListOffsetArray(offsets, _record(particles, "Momentum4D")),
        "MET": _record(missing, "Momentum2D"),
        **{name: ak.contents.NumpyArray(column) for name, column in per_event.items()},
    }
    whole = ak.contents.RecordArray(list(record.values()), list(record), length=n)
    return with_metadata(ak.Array(whole), dataset=dataset, role=role)


def _record(columns: Mapping[str, NDArray[Any]], name: str) -> ak.contents.RecordArray:
    """Columns of the same length as records of this name."""
    contents = [ak.contents.NumpyArray(column) for column in columns.values()]
    return ak.contents.RecordArray(contents, list(columns), parameters={"__record__": name})


def role_of(found: Mapping[str, Any]) -> Role | None:
    """The role that metadata of events, of a data set or of a fileset give; None if none.

    It is their "role", or follows from "isMC", as CMS users write it: false is data. Simulation
    (``isMC: true``) may be background or signal, which only "role" says.

    Raises
    ------
    EventError
        for a role that does not exist, an isMC that is not true or false, or a role against it.

    Examples
    --------
    >>> role_of({"role": "signal"}), role_of({"isMC": False}), role_of({})
    ('signal', 'data', None)
    >>> role_of({"role": "Data"})
    Traceback (most recent call last):
    hepmtp.errors.EventError: role 'Data' is unknown; the roles are background, signal, data
    """
    role = found.get("role")
    if role is not None and role not in ROLES:
        raise EventError(f"role {role!r} is unknown; the roles are {', '.join(ROLES)}")
    for key, simulated in SIMULATED.items():
        if key not in found:
            continue
        value = str(found[key]).lower()
        if value not in _TRUTH:
            raise EventError(f"{key} is {found[key]!r}, expected true or false")
        is_data = _TRUTH[value] is not simulated
        if role is not None and is_data != (role == "data"):
            raise EventError(f"{key} is {found[key]!r}, but the role is {role!r}: correct one")
        role = "data" if is_data else role
    return cast("Role | None", role)


def with_metadata(events: ak.Array, *, dataset: str, role: str | None) -> ak.Array:
    """The same events with this dataset name and role, and vector's behaviours."""
    role_of({"role": role})
    fields = {"dataset": dataset} if role is None else {"dataset": dataset, "role": role}
    return with_fields(events, fields)


def with_fields(events: ak.Array, fields: Mapping[str, Any]) -> ak.Array:
    """The same events with these metadata instead of theirs, and vector's behaviours."""
    return ak.with_parameter(events, "metadata", dict(fields), behavior=behavior)


def metadata(events: ak.Array) -> dict[str, Any]:
    """Metadata of events, ours or coffea's.

    Empty if arrays of different metadata were glued together by awkward.

    It is kept in the array's parameters: slices and cuts keep it. ``ak.concatenate`` of different
    data sets drops it, so that a signal cannot take over the role of a background: use
    `concatenate`.
    """
    found: Mapping[str, Any] | None = events.layout.purelist_parameter("metadata")
    return dict(found or {})


def concatenate(parts: Iterable[ak.Array]) -> ak.Array:
    """Events one after the other.

    Dataset names are joined with ``+``; the role stays if all parts share it. Of several names,
    ``datasets`` in the metadata says which source has which.
    """
    parts = list(parts)
    if not parts:
        raise EventError("there is nothing to concatenate: no events were given")
    found = [metadata(part) for part in parts]
    names = list(dict.fromkeys(str(one.get("dataset", "")) for one in found))
    shared = {key: {one.get(key) for one in found} for key in ("role", "sideband", "fold")}
    kept = {key: values.pop() for key, values in shared.items() if len(values) == 1}
    fields = {"dataset": "+".join(names), **kept}
    fields["datasets"] = (
        names_of_files(parts, found) if len(names) > 1 else found[0].get("datasets")
    )
    return with_fields(
        ak.concatenate(parts), {key: value for key, value in fields.items() if value is not None}
    )


def check_events(events: ak.Array) -> None:
    """Raise EventError naming the first event that breaks the record.

    Fields, finite numbers, pt, phi, type.

    Parameters
    ----------
    events
        shape (n_events,), as this module's docstring says; zero events are fine, and so are
        hadrons.
    """
    check_fields(events)
    check_columns(events)


def check_fields(events: ak.Array) -> None:
    """Raise EventError if a field of the record is missing."""
    for name in RECORD:
        if name not in events.fields:
            raise EventError(
                f"events have no field {name!r} (found: {', '.join(events.fields)}); use "
                "make_events"
            )
    for name in PARTICLE_FIELDS:
        if name not in events.Particle.fields:
            raise EventError(
                f"events.Particle has no field {name!r} (found: "
                f"{', '.join(events.Particle.fields)})"
            )


def check_columns(events: ak.Array) -> None:
    """Raise EventError naming the first event with a value that breaks the record."""
    counts, particles = flat_particles(events)
    check_flat(events, counts, particles)


def flat_particles(events: ak.Array) -> tuple[NDArray[np.int64], dict[str, NDArray[Any]]]:
    """Number of particles of each event, (n_events,), and columns of all, each (n_particles,)."""
    particles = events.Particle
    rows = ak.flatten(particles)  # once: of cut events, each field would be gathered anew
    columns = {name: ak.to_numpy(rows[name]) for name in PARTICLE_FIELDS}
    return ak.to_numpy(ak.num(particles)), columns


def check_flat(
    events: ak.Array, counts: NDArray[np.int64], particles: Mapping[str, NDArray[Any]]
) -> None:
    """`check_columns` of events whose particles are `flat_particles`."""
    check_values(
        counts,
        particles,
        {
            name: ak.to_numpy(column)
            for name, column in (
                ("pt", events.MET.pt),
                ("phi", events.MET.phi),
                ("weight", events.weight),
            )
        },
        len(CONSTITUENT_TYPES),
    )
