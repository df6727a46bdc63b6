"""Pairs of particles: masses and distances, as vector computes them.

The rule: a mass is never below 0, where rounding of a sum of momenta would make it so.
"""

from __future__ import annotations

import awkward as ak
import numpy as np


def masses(particles: ak.Array) -> ak.Array:
    """Masses of all pairs [GeV], n_events * var.

    Examples
    --------
    >>> from hepmtp.events import make_events
    >>> events = make_events(
    ...     counts=[2, 1], pt=[50.0, 40.0, 30.0], eta=[0.1, 0.3, 0.0], phi=[0.0, 3.0, 1.0],
    ...     energy=[60.0, 45.0, 31.0], type=[0, 1, 0], met=[20.0, 30.0], met_phi=[0.0, 1.0],
    ... )
    >>> ak.round(masses(events.Particle), 1).to_list()
    [[102.9], []]
    >>> ak.round(distances(events.Particle), 2).to_list()
    [[3.01], []]
    """
    first, second = _pairs(particles)
    return np.maximum((first + second).mass, 0.0)


def distances(particles: ak.Array) -> ak.Array:
    """Distances in eta and phi of all pairs, n_events * var."""
    first, second = _pairs(particles)
    return first.deltaR(second)


def transverse_masses(particles: ak.Array, met: ak.Array) -> ak.Array:
    """Of each particle, taken as massless, with MET [GeV], n_events * var."""
    return np.sqrt(2 * particles.pt * met.pt * (1 - np.cos(particles.deltaphi(met))))


def _pairs(particles: ak.Array) -> tuple[ak.Array, ak.Array]:
    first, second = ak.unzip(ak.combinations(particles, 2))
    return first, second
