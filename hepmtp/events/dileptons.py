"""Pairs of leptons: is there one that a Z boson could be?"""

from __future__ import annotations

import awkward as ak
import numpy as np

from hepmtp.events.observables import leptons
from hepmtp.events.once import once
from hepmtp.events.ragged import Bools, Floats

#: Mass of the Z boson [GeV] (PDG 2024).
Z_MASS = 91.1880
#: A pair of leptons within this of the mass is taken for a Z [GeV].
Z_WINDOW = 10.0
#: Said of an event without any pair [GeV].
NO_PAIR = 999.0


@once
def distance_to_z(events: ak.Array) -> Floats:
    """Smallest distance of a pair's mass to that of the Z [GeV], shape (n_events,).

    Pairs are of opposite sign and the same flavour; events without any have `NO_PAIR`.
    """
    first, second = ak.unzip(ak.combinations(leptons(events), 2))
    one, other = first["type"], second["type"]
    # both charges of a flavour lie side by side, the first of them at an even number
    pair = (one != other) & (one // 2 == other // 2)
    mass = (first[pair] + second[pair]).mass
    closest = ak.min(abs(mass - Z_MASS), axis=1)
    return np.asarray(ak.to_numpy(ak.fill_none(closest, NO_PAIR)), dtype=np.float64)


def has_z(events: ak.Array) -> Bools:
    """Whether a pair of leptons is within `Z_WINDOW` of the mass of the Z, shape (n_events,)."""
    return distance_to_z(events) < Z_WINDOW
