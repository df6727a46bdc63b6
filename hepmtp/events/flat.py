"""Particles of events as flat columns, to be changed and put together again."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hepmtp.events.ragged import Floats, owner, ragged_arange, wrap_phi


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
