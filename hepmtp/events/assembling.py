"""Events put together from collections of particles, those of a file or a user's own.

The rule: within an event come the collections in the order given, each by falling pt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import ArrayLike, NDArray

from hepmtp.events.ragged import Bools, Floats, Ints, starts
from hepmtp.events.record import Role, make_events


class Particles(NamedTuple):
    """Particles of one collection, event after event; GeV."""

    event: Ints  # which event of the chunk
    pt: Floats
    eta: Floats
    phi: Floats
    energy: Floats
    type: NDArray[np.int8]

    def select(self, keep: Bools) -> Particles:
        """Those of them, shape (n_particles,)."""
        return self if keep.all() else self.take(keep)

    def take(self, which: NDArray[Any]) -> Particles:
        """Those at these places."""
        event, pt, eta, phi, energy, kinds = (column[which] for column in self)
        return Particles(event, pt, eta, phi, energy, kinds)


def energy_of(pt: Floats, eta: Floats, mass: Floats) -> Floats:
    """Energies [GeV] of particles of these masses.

    A light particle's mass is negative where its square was; vector does the same.
    """
    return np.sqrt(np.maximum((pt * np.cosh(eta)) ** 2 + mass * np.abs(mass), 0.0))


def assembled(
    collections: Sequence[Particles],
    *,
    met: Floats,
    met_phi: Floats,
    weight: ArrayLike,
    event: Ints,
    source: ArrayLike,
    dataset: str = "",
    role: Role | None = None,
) -> ak.Array:
    """Events of these collections; the rest as `make_events` takes it."""
    n = len(met)
    collections = [_by_falling_pt(one) for one in collections]
    counts, columns = _merged(collections, n)
    return make_events(
        counts=counts,
        **columns,
        met=met,
        met_phi=met_phi,
        weight=weight,
        event=event,
        source=source,
        dataset=dataset,
        role=role,
    )


def _merged(collections: Sequence[Particles], n_events: int) -> tuple[Ints, dict[str, Any]]:
    """How many particles each event has, and their columns, one collection after the other."""
    counts = [np.bincount(one.event, minlength=n_events) for one in collections]
    total: Ints = sum(counts, np.zeros(n_events, dtype=np.int64))
    names = Particles._fields[1:]
    if len(collections) == 1:
        return total, {name: getattr(collections[0], name) for name in names}
    columns: dict[str, Any] = {
        name: np.empty(int(total.sum()), np.int8 if name == "type" else np.float64)
        for name in names
    }
    begin = starts(total)  # where the next particle of each event goes
    for one, count in zip(collections, counts, strict=True):
        place = (begin - starts(count))[one.event] + np.arange(len(one.event))
        for name, column in columns.items():
            column[place] = getattr(one, name)
        begin = begin + count
    return total, columns


def _by_falling_pt(particles: Particles) -> Particles:
    rises = (particles.event[1:] == particles.event[:-1]) & (particles.pt[1:] > particles.pt[:-1])
    if not rises.any():
        return particles
    # only the events that are not in order, which are few in most formats
    odd = np.zeros(int(particles.event[-1]) + 1, dtype=bool)
    odd[particles.event[1:][rises]] = True
    places = np.flatnonzero(odd[particles.event])
    order = np.arange(len(particles.pt))
    order[places] = places[np.lexsort((-particles.pt[places], particles.event[places]))]
    return particles.take(order)
