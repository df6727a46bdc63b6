"""Constituents of jets relative to the axis of their jet, for jets as events.

The rule: the axis is ``events.Jet``, or the sum of the constituents where there is none. They come
by falling pt, however many there are.
"""

from __future__ import annotations

import logging
from typing import Any, Literal, NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepmtp.events.legal import refuse_values
from hepmtp.events.particles import UNSPECIFIED
from hepmtp.events.ragged import Floats, Ints, owner, wrap_phi

logger = logging.getLogger(__name__)

Angle = Literal["pseudorapidity", "rapidity"]

#: A jet whose axis is so far from the sum of its constituents has lost some of them.
APART = 0.01


class Constituents(NamedTuple):
    """Constituents of all jets, by falling pt in each; equal ones in the order of the file."""

    log_pt: Floats  #: natural logarithm of pt / GeV, (n_particles,)
    eta: Floats  #: relative to the axis of the jet
    phi: Floats  #: the same, in [-pi, pi)
    counts: Ints  #: constituents of each jet, (n_jets,)


class _Momenta(NamedTuple):
    pt: Floats
    eta: Floats
    phi: Floats
    energy: Floats


def constituents(events: ak.Array, *, angle: Angle = "pseudorapidity") -> Constituents:
    """Constituents of jets, shape (n_jets,), in the frame of each jet.

    Parameters
    ----------
    angle
        what "eta" is of constituent and axis.

    Raises
    ------
    EventError
        for a constituent of pt 0.
    """
    counts = np.asarray(ak.to_numpy(ak.num(events.Particle)), dtype=np.int64)
    momenta = _Momenta(*(_flat(events, name) for name in _Momenta._fields))
    refuse_values(
        momenta.pt <= 0, momenta.pt, "Particle.pt", counts, "above 0 (cut what has no pt)"
    )
    jet = owner(counts)
    axis_eta, axis_phi = _axis(events, momenta, jet, angle)
    eta = momenta.eta
    if angle == "rapidity":
        eta = _rapidity(momenta.pt * np.sinh(eta), momenta.energy)
    falling = (np.diff(momenta.pt) <= 0) | (np.diff(jet) > 0)
    # most files have this order, and sorting is what takes longest here
    order = slice(None) if falling.all() else np.lexsort((-momenta.pt, jet))
    return Constituents(
        np.log(momenta.pt)[order],
        (eta - axis_eta[jet])[order],
        np.asarray(wrap_phi(momenta.phi - axis_phi[jet]))[order],
        counts,
    )


def _flat(events: ak.Array, name: str) -> Floats:
    return np.asarray(ak.to_numpy(ak.flatten(events.Particle[name])), dtype=np.float64)


def _axis(events: ak.Array, momenta: _Momenta, jet: Ints, angle: Angle) -> tuple[Floats, Floats]:
    """Eta (or rapidity) and phi of the axis of each jet."""
    pt, eta, phi, energy = momenta
    px, py, pz, e = (
        np.bincount(jet, one, minlength=len(events)).astype(np.float64)
        for one in (pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), energy)
    )
    summed = _direction(np.hypot(px, py), pz, e, angle), np.arctan2(py, px)
    if "Jet" not in events.fields:
        return summed
    jet_pt, jet_eta, jet_phi, jet_energy = (
        np.asarray(ak.to_numpy(events.Jet[name]), dtype=np.float64) for name in _Momenta._fields
    )
    given = _direction(jet_pt, jet_pt * np.sinh(jet_eta), jet_energy, angle), jet_phi
    distance = np.hypot(given[0] - summed[0], wrap_phi(given[1] - summed[1]))
    _say_if_apart(events, jet, distance)
    return given


def _direction(pt: Floats, pz: Floats, energy: Floats, angle: Angle) -> Floats:
    if angle == "rapidity":
        return _rapidity(pz, energy)
    return np.asarray(np.arcsinh(np.divide(pz, pt, out=np.zeros(len(pz)), where=pt > 0)))


def _rapidity(pz: NDArray[Any], energy: NDArray[Any]) -> Floats:
    """Rapidity; finite for what flies along the beam, too."""
    share = np.divide(pz, energy, out=np.zeros(len(pz)), where=energy > 0)
    return np.asarray(np.arctanh(np.clip(share, -1 + 1e-15, 1 - 1e-15)))


def _say_if_apart(events: ak.Array, jet: Ints, distance: Floats) -> None:
    """Warn if axes of jets are not the sums of their constituents: some are missing then."""
    real = np.bincount(jet[_flat(events, "type") != UNSPECIFIED], minlength=len(events)) > 0
    apart = real & (distance > APART)
    if apart.sum() > 0.01 * real.sum():
        logger.warning(
            "the axis of %d of %d jets is not the sum of their constituents (by up to %.2f): some "
            "constituents are missing here; angles are relative to Jet",
            int(apart.sum()),
            int(real.sum()),
            float(distance[apart].max()),
        )
