"""Particles of several collections put together: cuts, overlap, energies, one column of each.

The rule: within an event come jets, electrons, muons and photons, each by falling pt; every value
is checked before a cut can hide it. No loop over events, no padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import ArrayLike, NDArray

from hepmtp.events.assembling import Particles, assembled, energy_of
from hepmtp.events.legal import MAX_ETA, PHI_ROUNDING
from hepmtp.events.particles import ELECTRON_MASS, MUON_MASS, POSITRON
from hepmtp.events.ragged import Bools, Floats, Ints, owner, ragged_arange, starts, wrap_phi
from hepmtp.readers.branches import Branches
from hepmtp.readers.options import Cut

# what is beyond any collider: another unit, or a value that stands for "none".
_MAX_PT, MAX_PHI = 1e5, np.pi + PHI_ROUNDING
NO_CUT: Cut = (0.0, float("inf"))


class Momenta(NamedTuple):
    """The momenta of all particles of a collection, checked; GeV."""

    event: Ints
    pt: Floats
    eta: Floats
    phi: Floats

    def passes(self, cut: Cut) -> Bools:
        """Whether each particle passes the cut."""
        if cut == NO_CUT:  # pt and eta are checked
            return np.ones(len(self.pt), dtype=bool)
        return np.asarray((self.pt >= cut[0]) & (np.abs(self.eta) <= cut[1]))

    def take(
        self, keep: Bools, *, type: ArrayLike, mass: ArrayLike = 0.0, energy: Floats | None = None
    ) -> Particles:
        """Those that are kept, as particles of a type and a mass, or energy, [GeV].

        Type, mass and energy are one value, or one per particle of the collection.
        """
        chosen = slice(None) if keep.all() else keep
        event, pt, eta, phi = self.event[chosen], *(column[chosen] for column in self[1:])
        if energy is None:
            m = np.asarray(mass, dtype=np.float64)
            m = m[chosen] if m.ndim else m
            energy = energy_of(pt, eta, m)
        else:
            energy = np.asarray(energy, dtype=np.float64)[chosen]
        kinds = np.asarray(type, dtype=np.int8)
        kinds = kinds[chosen] if kinds.ndim else np.full(len(pt), kinds, dtype=np.int8)
        return Particles(event, pt, eta, phi, energy, kinds)


def momenta(branches: Branches, pt: str, eta: str, phi: str, *, unit: float = 1.0) -> Momenta:
    """The momenta of a collection from its three branches; pt is divided by `unit` to be in GeV.

    Raises
    ------
    ReadError
        if lists differ in length or a value is not finite or cannot be, naming branch and entry.
    """
    counts = branches.lists(pt).counts
    columns = {name: _floats(branches.like(name, pt)) for name in (pt, eta, phi)}
    scaled = columns[pt] / unit if unit != 1.0 else columns[pt]
    if len(scaled):
        # NaN is passed on by min and max, and compares as False
        if not (scaled.min() >= 0 and scaled.max() <= _MAX_PT):
            legal = (scaled >= 0) & (scaled <= _MAX_PT)
            branches.require(legal, pt, columns[pt], f"a pt from 0 to {_MAX_PT * unit:g}")
        within(branches, eta, columns[eta], MAX_ETA)
        within(branches, phi, columns[phi], MAX_PHI)
    return Momenta(owner(counts), scaled, columns[eta], columns[phi])


def within(branches: Branches, name: str, values: Floats, limit: float) -> None:
    """Raise ReadError if a value of a branch is not within [-limit, limit]."""
    if len(values) and not np.abs(values).max() <= limit:
        branches.require(
            np.abs(values) <= limit, name, values, f"a number from {-limit:.6g} to {limit:.6g}"
        )


def finite(branches: Branches, name: str, like: str) -> Floats:
    """The values of a branch, one per particle of the collection that `like` is of; all finite."""
    values = _floats(branches.like(name, like))
    if not np.isfinite(values.sum()):
        branches.require(np.isfinite(values), name, values, "a finite number")
    return values


def leptons(
    branches: Branches, found: Momenta, keep: Bools, *, charge: str, like: str, positive: int
) -> Particles:
    """Those that are kept of electrons or muons, with their masses and the types of their charges.

    Parameters
    ----------
    charge, like
        branch of the charge, which must be 1 or -1, and any other branch of the collection.
    positive
        type of those of charge 1; the next one is that of the others.
    """
    values = branches.like(charge, like)
    branches.require(np.abs(values) == 1, charge, values, "1 or -1")
    mass = ELECTRON_MASS if positive == POSITRON else MUON_MASS
    return found.take(keep, type=positive + (values < 0), mass=mass)


def without_overlap(
    jets: Particles, others: Sequence[Particles], distance: float, n_events: int
) -> Particles:
    """The jets farther than `distance` in (eta, phi) from all others of their event; all for 0."""
    if distance <= 0:
        return jets
    keep = np.ones(len(jets.pt), dtype=bool)
    counts = np.bincount(jets.event, minlength=n_events)
    for other in others:
        pairs = counts[other.event]  # every one of the others with every jet of its event
        one, jet = owner(pairs), ragged_arange(pairs, starts(counts)[other.event])
        phi = wrap_phi(jets.phi[jet] - other.phi[one])
        near = (jets.eta[jet] - other.eta[one]) ** 2 + phi**2 < distance**2
        keep[jet[near]] = False
    return jets.select(keep)


def events_from_branches(
    branches: Branches,
    collections: Sequence[Particles],
    *,
    met: Floats,
    met_phi: Floats,
    weight: ArrayLike,
) -> ak.Array:
    """Events of these collections, in the order given, each by falling pt."""
    event = np.arange(branches.start, branches.stop)
    return assembled(
        collections, met=met, met_phi=met_phi, weight=weight, event=event, source=branches.source
    )


def weights(branches: Branches, name: str | None) -> Floats | float:
    """The weight of each event from a branch with one number per event, 1 if None is named."""
    return 1.0 if name is None else per_event(branches, name, branches.numbers(name))


def per_event(branches: Branches, name: str, values: NDArray[np.generic]) -> Floats:
    """One finite number per event, from the values of a branch."""
    numbers = _floats(values)
    branches.require(np.isfinite(numbers), name, numbers, "a finite number", per_event=True)
    return numbers


def missing(
    branches: Branches, pt: str, phi: str, *, lists: bool = False, unit: float = 1.0
) -> tuple[Floats, Floats]:
    """MET, divided by `unit` to be in GeV, and its phi from two branches, checked.

    They are lists of one value each, if `lists`.
    """
    read = branches.single if lists else branches.numbers
    met, met_phi = (per_event(branches, name, read(name)) for name in (pt, phi))
    met = met / unit if unit != 1.0 else met
    branches.require(
        (met >= 0) & (met <= _MAX_PT), pt, met, f"a MET from 0 to {_MAX_PT:g} GeV", per_event=True
    )
    legal = np.abs(met_phi) <= MAX_PHI
    branches.require(legal, phi, met_phi, "a number in (-pi, pi]", per_event=True)
    return met, met_phi


def _floats(values: NDArray[np.generic]) -> Floats:
    return np.asarray(values, dtype=np.float64)
