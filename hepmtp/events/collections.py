"""Events made of a user's own jets, leptons, photons and MET: `events_from`.

The rule: what is not there is said, by None, or refused. Only the columns that a score needs are
touched, so virtual arrays stay virtual but for these.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import awkward as ak
import numpy as np
from numpy.typing import ArrayLike

from hepmtp.errors import EventError
from hepmtp.events.assembling import Particles, assembled, energy_of
from hepmtp.events.entering import may_miss
from hepmtp.events.naming import Identity, names_of
from hepmtp.events.particles import (
    ANTIMUON,
    B_JET,
    ELECTRON_MASS,
    JET,
    MUON_MASS,
    PHOTON,
    POSITRON,
)
from hepmtp.events.ragged import Bools, Floats, Ints, owner, wrap_phi
from hepmtp.events.record import metadata, role_of

#: Range of the median pt of particles [GeV], which tells MeV and GeV apart.
PLAUSIBLE = (1.0, 5000.0)
_SCALE = {"GeV": 1.0, "MeV": 1e-3}
#: Names that a column may have: those of vector, and of layouts that have others.
_ENERGY, _MASS, _CHARGE = ("energy", "E"), ("mass", "m"), ("charge", "Charge")

#: Which jets are b-jets: a field of the jets, one and the value it must exceed, or one bool a jet.
BTag: TypeAlias = str | tuple[str, float] | ak.Array | None


def events_from(
    events: ak.Array,
    *,
    jets: ak.Array | None,
    electrons: ak.Array | None,
    muons: ak.Array | None,
    photons: ak.Array | None,
    met: ak.Array,
    b_tag: BTag,
    unit: Literal["GeV", "MeV"] = "GeV",
    weight: ArrayLike = 1.0,
    identity: Identity = "numbers",
) -> ak.Array:
    """Our event record of a user's own collections, which every detector scores.

    The collections are those of the analysis: calibrated, selected, without overlap. What trained
    the detector should have been chosen alike. Masked particles (``ak.mask``) are left out.

    Parameters
    ----------
    events
        NanoEvents of any schema, or any array of events, shape (n_events,). Only its metadata and
        its numbers of run, luminosity block and event are used.
    jets, electrons, muons, photons
        records with pt, eta, phi, shape (n_events, any number); None for none at all. Jets have a
        mass too (or an energy, which is used if there is no mass), leptons a charge of 1 or -1.
    met
        record with pt and phi, shape (n_events,).
    b_tag
        which jets are b-jets: the name of a field that is true for them, (name, value) of a
        discriminator and its working point, or one bool for each jet. None: no jet is one.
    unit
        of pt, masses, energies and MET: "MeV" for PHYSLITE.
    weight
        of each event, or of all; 1 unless given, whatever weight the events have themselves.
    identity
        "numbers": events are called by run, luminosity block and event, where they have these. It
        survives cuts and skims, and is unique within a data set. "entries", or without numbers: by
        file and entry, as readers do it, of a whole chunk of coffea's Runner. Only this tells which
        events have trained what was fitted on files. Events with neither can be scored, but are
        refused by whatever splits events.

    Returns
    -------
    ak.Array
        shape (n_events,), in the order of `events`; cuts of these work on it. Data set and role
        are those of the metadata of `events`.

    Raises
    ------
    EventError
        if a collection lacks a field, has another number of events, a value that breaks the
        record, or a typical pt that no particle has in this unit.

    Examples
    --------
    >>> jets = ak.Array([[{"pt": 50.0, "eta": 0.1, "phi": 1.0, "mass": 7.0, "tag": 0.9}], []])
    >>> met = ak.Array([{"pt": 20.0, "phi": 0.0}, {"pt": 35.0, "phi": 1.0}])
    >>> x = events_from(
    ...     ak.Array([{}, {}]), jets=jets, electrons=None, muons=None, photons=None, met=met,
    ...     b_tag=("tag", 0.5),
    ... )
    >>> x.Particle["type"].to_list(), x.MET.pt.to_list()
    ([[1], []], [20.0, 35.0])
    """
    if unit not in _SCALE:
        raise EventError(f"unit is {unit!r}, expected 'GeV' or 'MeV'")
    n, scale = len(events), _SCALE[unit]
    found = [
        _jets(jets, b_tag, n, scale),
        _leptons("electrons", electrons, n, scale, positive=POSITRON, mass=ELECTRON_MASS),
        _leptons("muons", muons, n, scale, positive=ANTIMUON, mass=MUON_MASS),
        _photons(photons, n, scale),
    ]
    missing = _of_events("met", met, "pt", n) * scale
    _check_unit(found, missing, unit)
    if np.shape(weight) not in ((), (n,)):
        raise EventError(f"weight has shape {np.shape(weight)}, expected one number or {n}")
    source, event = names_of(events, identity)
    fields = metadata(events)
    return assembled(
        found,
        met=missing,
        met_phi=_angle(_of_events("met", met, "phi", n)),
        weight=weight,
        event=event,
        source=source,
        dataset=str(fields.get("dataset", "")),
        role=role_of(fields),
    )


_NONE = Particles(*(np.zeros(0, kind) for kind in (np.int64, *[np.float64] * 4, np.int8)))


def _jets(jets: ak.Array | None, b_tag: BTag, n: int, scale: float) -> Particles:
    if jets is None:
        if b_tag is not None:
            raise EventError("b_tag is given, but jets is None: give both, or None for both")
        return _NONE
    columns = _Columns("jets", jets, n)
    pt, eta, phi = columns.momentum(scale)
    name = columns.find((*_MASS, *_ENERGY), "mass or energy")
    energy = columns.of(name) * scale
    if name in _MASS:
        energy = energy_of(pt, eta, energy)
    kinds = np.full(len(pt), JET, dtype=np.int8)
    kinds[_tagged(columns, b_tag)] = B_JET
    return Particles(columns.event, pt, eta, phi, energy, kinds)


def _tagged(columns: _Columns, b_tag: BTag) -> Bools:
    if b_tag is None:
        return np.zeros(len(columns.pt), dtype=bool)
    if isinstance(b_tag, str):
        tags = columns.of(b_tag)
        if not np.isin(tags, np.arange(256)).all():  # Delphes has a bit for each working point
            raise EventError(
                f"b_tag={b_tag!r} of {columns.name} is no flag but a discriminator: give its "
                f"working point too, b_tag=({b_tag!r}, value)"
            )
        return np.asarray(tags != 0)
    if isinstance(b_tag, tuple):
        name, working_point = b_tag
        return np.asarray(columns.of(name) > working_point)
    values: Bools = columns.flat("b_tag", ak.Array(b_tag))
    if values.dtype != np.bool_:
        raise EventError(
            f"b_tag has values of type {values.dtype}, expected bool: compare a discriminator with "
            "its working point"
        )
    return values


def _leptons(
    name: str, given: ak.Array | None, n: int, scale: float, *, positive: int, mass: float
) -> Particles:
    if given is None:
        return _NONE
    columns = _Columns(name, given, n)
    pt, eta, phi = columns.momentum(scale)
    charge = columns.of(*_CHARGE)
    if (bad := np.abs(charge) != 1).any():
        raise EventError(
            f"event {columns.event[bad.argmax()]}: charge of {name} is {charge[bad.argmax()]}, "
            "expected 1 or -1"
        )
    kinds = (positive + (charge < 0)).astype(np.int8)
    energy = energy_of(pt, eta, np.full(len(pt), mass))
    return Particles(columns.event, pt, eta, phi, energy, kinds)


def _photons(given: ak.Array | None, n: int, scale: float) -> Particles:
    if given is None:
        return _NONE
    columns = _Columns("photons", given, n)
    pt, eta, phi = columns.momentum(scale)
    kinds = np.full(len(pt), PHOTON, dtype=np.int8)
    return Particles(columns.event, pt, eta, phi, pt * np.cosh(eta), kinds)


class _Columns:
    """Flat columns of a collection, of which all must have the same particles."""

    def __init__(self, name: str, particles: ak.Array, n: int) -> None:
        if not isinstance(particles, ak.Array) or particles.ndim != 2:
            raise EventError(f"{name} must be a list of records in each event, or None")
        if len(particles) != n:
            raise EventError(f"{name} has {len(particles)} events, expected {n}, those of events")
        self.name, self.particles = name, particles
        self.counts, self.pt = _counted(f"pt of {name}", getattr(particles, self.find(("pt",))))
        self.event: Ints = owner(self.counts)

    def momentum(self, scale: float) -> tuple[Floats, Floats, Floats]:
        """Pt [GeV], eta and phi."""
        return self.pt.astype(np.float64) * scale, self.of("eta"), _angle(self.of("phi"))

    def find(self, names: Sequence[str], called: str = "") -> str:
        """The first of these names that a field has, or else what a vector has."""
        fields = self.particles.fields
        for name in names:
            if name in fields:
                return name
        for name in names:
            if hasattr(self.particles, name):
                return name
        raise EventError(
            f"{self.name} has no field {called or names[0]!r} (found: {', '.join(fields)}); give "
            "records that have it, or None to say that there are none"
        )

    def of(self, *names: str) -> Floats:
        """The first of these columns that there is, float64."""
        name = self.find(names)
        values = self.flat(f"{name} of {self.name}", getattr(self.particles, name))
        return np.asarray(values, dtype=np.float64)

    def flat(self, what: str, column: ak.Array) -> Any:
        """The values of a column, one for each particle."""
        counts, values = _counted(what, column)
        if len(counts) != len(self.counts) or (counts != self.counts).any():
            raise EventError(f"{what}: not one value for each of {self.name}, event by event")
        return values


def _counted(what: str, column: ak.Array) -> tuple[Ints, Any]:
    """Number of values in each event, and all values; masked ones are left out."""
    if column.ndim != 2:
        raise EventError(f"{what} has {column.ndim} dimensions, expected a list in each event")
    if may_miss(column.layout.form):
        if (absent := ak.to_numpy(ak.is_none(column, axis=0))).any():
            raise EventError(
                f"event {absent.argmax()}: {what} is missing: cut the event, or give []"
            )
        column = ak.drop_none(column, axis=1)
    return np.asarray(ak.num(column), np.int64), ak.to_numpy(ak.flatten(column))


def _of_events(what: str, record: ak.Array, name: str, n: int) -> Floats:
    """A field with one number for each event; a list of one each, as Delphes has it, will do."""
    column = getattr(record, name, None)
    if column is None:
        raise EventError(f"{what} has no field {name!r} (found: {', '.join(record.fields)})")
    if column.ndim == 2 and (ak.num(column) == 1).to_numpy().all():
        column = ak.flatten(column)
    if column.ndim != 1 or len(column) != n or ak.any(ak.is_none(column)):
        raise EventError(f"{name} of {what} must be one number for each of {n} events")
    return np.asarray(ak.to_numpy(column), dtype=np.float64)


def _angle(phi: Floats) -> Floats:
    """Phi in (-pi, pi] where rounding or a shift has left it; other values are left to checks."""
    outside = (np.abs(phi) > np.pi) & (np.abs(phi) < 4 * np.pi)
    return np.where(outside, wrap_phi(phi), phi)


def _check_unit(found: Sequence[Particles], met: Floats, unit: str) -> None:
    pt = np.concatenate([one.pt for one in found])
    low, high = PLAUSIBLE
    typical = float(np.median(pt)) if len(pt) else low
    if not low <= typical <= high and np.isfinite(typical):
        other = "MeV" if unit == "GeV" else "GeV"
        raise EventError(
            f"the typical pt is {typical:.4g} GeV if the unit is {unit}: that looks like {other}, "
            f"so say unit={other!r}"
        )
    if len(met) and np.median(met) > high:
        raise EventError(
            f"the typical MET is {np.median(met):.4g} GeV if the unit is {unit}, and the typical "
            f"pt {typical:.4g} GeV: give both in one unit"
        )
