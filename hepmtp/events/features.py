"""What networks without tokens read: numbers of each particle and of the missing momentum.

The rule: they are finite for every legal event, and those of a particle tell of it alone.
"""

from __future__ import annotations

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepmtp.events.observables import particle_types
from hepmtp.events.particles import PARTICLE_NAMES
from hepmtp.events.ragged import Floats
from hepmtp.events.record import flat_particles

#: Columns of `particle_features`.
PARTICLE_FEATURES: tuple[str, ...] = (
    "log pt",
    "eta",
    "sin phi",
    "cos phi",
    "log energy",
    *(f"is {name}" for name in PARTICLE_NAMES),
)

#: Columns of `met_features`.
MET_FEATURES: tuple[str, ...] = ("log1p MET", "sin METphi", "cos METphi")

#: Smallest pt and energy whose logarithm is taken [GeV].
SMALLEST = 1e-3


def particle_features(events: ak.Array) -> NDArray[np.float32]:
    """Features of each particle of all events, float32, shape (n_particles, n_features).

    The columns are `PARTICLE_FEATURES`: natural logarithms of pt and energy in GeV, eta, sine and
    cosine of phi. One more column per particle type is 1 for particles of this type.

    Raises
    ------
    EventError
        if there are particles without such a column: hadrons.
    """
    kind = particle_types(events)
    _, flat = flat_particles(events)
    numbers = [
        _log(flat["pt"]),
        flat["eta"],
        np.sin(flat["phi"]),
        np.cos(flat["phi"]),
        _log(flat["energy"]),
    ]
    one_hot = kind[:, None] == np.arange(len(PARTICLE_NAMES))
    return np.concatenate([np.stack(numbers, axis=1), one_hot], axis=1, dtype=np.float32)


def met_features(events: ak.Array) -> NDArray[np.float32]:
    """Features of the missing transverse momentum, float32, shape (n_events, 3).

    Log(1 + MET / GeV), sine and cosine of its phi.
    """
    pt, phi = ak.to_numpy(events.MET.pt), ak.to_numpy(events.MET.phi)
    return np.stack([np.log1p(pt), np.sin(phi), np.cos(phi)], axis=1).astype(np.float32)


def _log(values: NDArray[np.float64]) -> Floats:
    return np.asarray(np.log(np.maximum(values, SMALLEST)))
