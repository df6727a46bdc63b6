"""Particles and MET of events as flat columns, to be changed and put together again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepmtp.events.ragged import Floats, Ints, owner, ragged_arange, wrap_phi
from hepmtp.events.record import behavior, flat_particles, metadata


class FlatParticles(NamedTuple):
    """Columns of all particles, each (n_particles,), and their number per event, (n_events,)."""

    columns: dict[str, NDArray[Any]]
    counts: NDArray[np.int64]

    @property
    def owner(self) -> NDArray[np.int64]:
        return owner(self.counts)

    def keep(self, chosen: NDArray[np.bool_]) -> FlatParticles:
        counts = np.bincount(self.owner[chosen], minlength=len(self.counts))
        return FlatParticles(
            {name: column[chosen] for name, column in self.columns.items()}, counts
        )

    def and_(self, other: FlatParticles) -> FlatParticles:
        """The particles of both, event by event."""
        order = np.argsort(np.concatenate([self.owner, other.owner]), kind="stable")
        columns = {
            name: np.concatenate([self.columns[name], other.columns[name]])[order]
            for name in self.columns
        }
        return FlatParticles(columns, self.counts + other.counts)

    def moved(
        self, *, pt: Floats | None = None, eta: Floats | None = None, phi: Floats | None = None
    ) -> FlatParticles:
        """Particles of another pt, eta or phi.

        Energy follows the momentum, so that massless stays massless.
        """
        old = self.columns
        factor = np.ones(len(old["pt"]))
        if pt is not None:
            factor *= np.divide(pt, old["pt"], out=factor.copy(), where=old["pt"] > 0)
        if eta is not None:
            factor *= np.cosh(eta) / np.cosh(old["eta"])
        new = {
            "pt": pt,
            "eta": eta,
            "phi": None if phi is None else wrap_phi(phi),
            "energy": old["energy"] * factor,
        }
        return FlatParticles(
            {**old, **{name: column for name, column in new.items() if column is not None}},
            self.counts,
        )

    def ranks(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Place of each particle in a random order of its event: 0, 1, 2, ..."""
        order = np.lexsort((rng.random(len(self.owner)), self.owner))
        ranks = np.empty(len(order), dtype=np.int64)
        ranks[order] = ragged_arange(self.counts)
        return ranks


def particles_of(events: ak.Array) -> FlatParticles:
    """The particles of events, shape (n_events,)."""
    counts, columns = flat_particles(events)
    return FlatParticles(columns, counts.astype(np.int64))


def met_of(events: ak.Array) -> tuple[Floats, Floats]:
    """Components of MET [GeV], each (n_events,)."""
    pt, phi = ak.to_numpy(events.MET.pt), ak.to_numpy(events.MET.phi)
    return pt * np.cos(phi), pt * np.sin(phi)


def with_particles(events: ak.Array, flat: FlatParticles) -> ak.Array:
    """The events with these particles instead."""
    particles = ak.unflatten(
        ak.zip(flat.columns, with_name="Momentum4D", behavior=behavior), flat.counts
    )
    return ak.with_field(events, particles, "Particle")


def with_met(events: ak.Array, x: Floats, y: Floats) -> ak.Array:
    """The events with MET of these components instead."""
    met = ak.zip(
        {"pt": np.hypot(x, y), "phi": np.arctan2(y, x)}, with_name="Momentum2D", behavior=behavior
    )
    return ak.with_field(events, met, "MET")


def each_by_one(
    events: ak.Array,
    rng: np.random.Generator,
    changes: Sequence[Callable[[ak.Array, np.random.Generator], ak.Array]],
) -> ak.Array:
    """Every event after one of the changes, drawn at random in equal shares, in the same order."""
    if not len(events):
        return events
    chosen, parts = zip(*changed(events, rng, changes), strict=True)
    mixed = ak.concatenate(parts)[np.argsort(np.concatenate(chosen))]
    return ak.with_parameter(mixed, "metadata", metadata(events), behavior=behavior)


def changed(
    events: ak.Array,
    rng: np.random.Generator,
    changes: Sequence[Callable[[ak.Array, np.random.Generator], ak.Array]],
) -> Iterator[tuple[Ints, ak.Array]]:
    """The events of `each_by_one`, change by change: which they are, (n,), and they, (n,)."""
    drawn = rng.permutation(np.arange(len(events)) % len(changes))
    for i, change in enumerate(changes):
        if len(where := np.flatnonzero(drawn == i)):
            yield where, change(events[where], rng)
