"""Observables of jets from their constituents: mass, width, energy correlators, leading shares.

The rule: constituents are massless and angles are those to the axis of the jet, so that true jets
and those that a model has made are measured alike. Everything is finite; what a jet of no or one
constituent does not have is 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import awkward as ak
import numpy as np

from hepmtp.events.constituents import Constituents, constituents
from hepmtp.events.ragged import Floats, Ints, owner, ragged_arange, starts, wrap_phi

#: Pairs of constituents that are in memory at once.
_PAIRS = 2_000_000


class Observable(NamedTuple):
    """Text for axes and tables."""

    label: str
    unit: str = ""


#: What `observables` gives, in its order.
OBSERVABLES: dict[str, Observable] = {
    "pt": Observable("jet $p_T$", "GeV"),
    "mass": Observable("jet mass", "GeV"),
    "mass_over_pt": Observable("jet mass / $p_T$"),
    "multiplicity": Observable("constituents"),
    "width": Observable("width"),
    "pt_dispersion": Observable("$p_T^D$"),
    "e2": Observable("$e_2$"),
    "e3": Observable("$e_3$"),
    "d2": Observable("$D_2$"),
    "lead_1": Observable("share of the leading constituent"),
    "lead_2": Observable("share of the second constituent"),
    "lead_3": Observable("share of the third constituent"),
}


def observables(jets: Constituents) -> dict[str, Floats]:
    """The `OBSERVABLES` of each jet, shape (n_jets,) each.

    ``width`` is sum pt dR / sum pt, ``pt_dispersion`` is sqrt(sum pt^2) / sum pt. ``e2`` and
    ``e3`` are the energy correlation functions of beta = 1, with shares of pt, and ``d2`` is
    e3 / e2^3 (Larkoski, Moult and Neill, arXiv:1409.6298).

    Examples
    --------
    >>> one = Constituents(np.log([60.0, 40.0]), np.array([0.1, -0.1]), np.zeros(2), np.array([2]))
    >>> {name: round(float(found[0]), 3) for name, found in observables(one).items()}["e2"]
    0.048
    """
    pt, counts = np.exp(jets.log_pt), jets.counts
    jet = owner(counts)

    def total(values: Floats) -> Floats:
        return np.bincount(jet, values, minlength=len(counts)).astype(np.float64)

    px, py, pz = total(pt * np.cos(jets.phi)), total(pt * np.sin(jets.phi)), total(
        pt * np.sinh(jets.eta)
    )  # fmt: skip
    energy, scalar = total(pt * np.cosh(jets.eta)), total(pt)
    vector = np.hypot(px, py)
    mass = np.sqrt(np.maximum(energy**2 - vector**2 - pz**2, 0.0))
    mass[counts < 2] = 0.0
    e2, e3 = _correlators(jets, pt / np.maximum(scalar, 1e-30)[jet])
    found = {
        "pt": vector,
        "mass": mass,
        "mass_over_pt": _ratio(mass, vector),
        "multiplicity": counts.astype(np.float64),
        "width": _ratio(total(pt * np.hypot(jets.eta, jets.phi)), scalar),
        "pt_dispersion": _ratio(np.sqrt(total(pt**2)), scalar),
        "e2": e2,
        "e3": e3,
        "d2": _ratio(e3, e2**3),
    }
    for place in range(3):
        has = counts > place
        found[f"lead_{place + 1}"] = np.zeros(len(counts))
        found[f"lead_{place + 1}"][has] = pt[starts(counts)[has] + place] / scalar[has]
    return found


def jet_pt(events: ak.Array) -> Floats:
    """pt of the sum of the constituents [GeV], shape (n_jets,)."""
    px, py, _, _ = _sum(events)
    return np.asarray(np.hypot(px, py))


def jet_mass(events: ak.Array) -> Floats:
    """Mass of the sum of the constituents [GeV], with their energies, shape (n_jets,)."""
    px, py, pz, energy = _sum(events)
    return np.asarray(np.sqrt(np.maximum(energy**2 - px**2 - py**2 - pz**2, 0.0)))


def multiplicity(events: ak.Array) -> Ints:
    """Number of constituents, shape (n_jets,)."""
    return np.asarray(ak.to_numpy(ak.num(events.Particle)), dtype=np.int64)


def jet_width(events: ak.Array) -> Floats:
    """Width, shape (n_jets,)."""
    one = constituents(events)
    pt, jet = np.exp(one.log_pt), owner(one.counts)
    angle, scalar = (
        np.bincount(jet, values, minlength=len(one.counts)).astype(np.float64)
        for values in (pt * np.hypot(one.eta, one.phi), pt)
    )
    return _ratio(angle, scalar)


def _sum(events: ak.Array) -> tuple[Floats, Floats, Floats, Floats]:
    """px, py, pz and energy of the sum of the constituents, (n_jets,) each.

    In plain numpy: vectors add up at ten times the cost in chunks of few jets.
    """
    pt, eta, phi, energy = (
        np.asarray(ak.to_numpy(ak.flatten(events.Particle[name])), dtype=np.float64)
        for name in ("pt", "eta", "phi", "energy")
    )
    jet = owner(multiplicity(events))
    px, py, pz, total = (
        np.bincount(jet, one, minlength=len(events)).astype(np.float64)
        for one in (pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), energy)
    )
    return px, py, pz, total


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.zeros(len(above)), where=below > 0)


def _correlators(jets: Constituents, share: Floats) -> tuple[Floats, Floats]:
    """e2 and e3 of each jet, with beta = 1; shares of pt, (n_particles,)."""
    e2, e3 = np.zeros(len(jets.counts)), np.zeros(len(jets.counts))
    for some, rows in _equal(jets.counts):
        z, eta, phi = (one[rows] for one in (share, jets.eta, jets.phi))
        distance = np.hypot(
            eta[:, :, None] - eta[:, None], np.asarray(wrap_phi(phi[:, :, None] - phi[:, None]))
        )
        # sum over i < j < k of z z z d d d is a sixth of the trace of this matrix to the third
        matrix = np.sqrt(z[:, :, None] * z[:, None]) * distance
        e2[some] = (z[:, :, None] * z[:, None] * distance).sum(axis=(1, 2)) / 2
        e3[some] = ((matrix @ matrix) * matrix).sum(axis=(1, 2)) / 6
    return e2, e3


def _equal(counts: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Jets of one multiplicity n at a time, and where their constituents are, (n_some, n)."""
    first = starts(counts)
    for n in np.unique(counts[counts > 1]):
        same, most = np.flatnonzero(counts == n), max(1, _PAIRS // int(n) ** 2)
        for begin in range(0, len(same), most):
            some = same[begin : begin + most]
            yield some, ragged_arange(counts[some], first[some]).reshape(len(some), n)
