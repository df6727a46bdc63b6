"""Shifts of particles: events as they would be with another energy scale or resolution.

The rule: a four-momentum is multiplied as a whole, and MET gives back what the particles take. No
particle comes or goes unless `least_pt` asks for it, and each keeps its place in the event.

Readers write particles by falling pt, the record promises no order, and models see a set by
default. One that is told positions sees those of the events without a shift.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import awkward as ak
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from hepmtp.errors import EventError
from hepmtp.events.folds import hashed, mixed
from hepmtp.events.particles import B_JET, JET, LEPTONS
from hepmtp.events.ragged import Floats, owner, ragged_arange
from hepmtp.events.record import behavior

#: A relative size of each particle from its pt [GeV] and eta, all of shape (n_particles,).
Size = Callable[[Floats, Floats], Floats]

#: Jet energy scale: 4 % at 20 GeV, 2 % for hard jets, 2 % more (in quadrature) beyond a tracker.
#: Our choice, in the range of ATLAS: for central jets 5 % at 20 GeV, 1 % from 250 GeV to 2 TeV
#: (arXiv:2007.02645).
JES_HARD, JES_SOFT, JES_FORWARD = 0.02, 0.7, 0.02
#: Between these absolute eta the forward part grows.
JES_ETA = (1.2, 2.5)
#: Jet energy resolution: noise [GeV], stochastic [sqrt(GeV)] and constant term. They give 24 % at
#: 20 GeV and 6 % at 300 GeV, as measured by ATLAS (arXiv:2007.02645).
JER_NOISE, JER_STOCHASTIC, JER_CONSTANT = 3.1, 0.8, 0.04
#: Share by which the resolution may be worse; ATLAS: 0.06 at 20 GeV, 0.08 at 300 GeV (as above).
JER_GROWTH = 0.08
#: Below this pt [GeV] sizes of jets are those at it: nobody calibrates softer jets.
SOFTEST = 20.0
#: Relative uncertainty of the energy scale of electrons and muons; our choice.
LEPTON_SCALE = 0.005
#: Relative uncertainty of what is in MET but in no particle; our choice.
UNCLUSTERED = 0.1

JETS = (JET, B_JET)


def jet_scale_size(pt: Floats, eta: Floats) -> Floats:
    """Relative uncertainty of the energy of jets, shape (n_particles,).

    Parameters
    ----------
    pt, eta
        of the jets [GeV], each (n_particles,).

    Examples
    --------
    >>> pt, eta = np.array([20.0, 100.0, 500.0, 100.0]), np.array([0.0, 0.0, 0.0, -4.0])
    >>> jet_scale_size(pt, eta).round(4).tolist()
    [0.0403, 0.0212, 0.02, 0.0291]
    """
    low, high = JES_ETA
    forward = JES_FORWARD * np.clip((np.abs(eta) - low) / (high - low), 0.0, 1.0)
    soft = JES_SOFT / np.maximum(pt, SOFTEST)
    return np.asarray(np.sqrt(JES_HARD**2 + soft**2 + forward**2))


def jet_resolution(pt: Floats, eta: Floats) -> Floats:  # noqa: ARG001 (a Size has both)
    """Relative resolution of the energy of jets, shape (n_particles,); pt in GeV.

    Examples
    --------
    >>> jet_resolution(np.array([20.0, 300.0]), np.zeros(2)).round(3).tolist()
    [0.24, 0.062]
    """
    pt = np.maximum(pt, SOFTEST)
    squared = (JER_NOISE / pt) ** 2 + JER_STOCHASTIC**2 / pt + JER_CONSTANT**2
    return np.asarray(np.sqrt(squared))


def rescaled(events: ak.Array, factor: ArrayLike) -> ak.Array:
    """The same events with each four-momentum times a factor, and MET with what that leaves.

    Parameters
    ----------
    events
        shape (n_events,).
    factor
        of each particle of all events, shape (n_particles,), above 0. Energy over pt and the order
        of the particles stay. Where all factors of an event are 1, so does its MET.

    Raises
    ------
    EventError
        for factors of another shape, or one that is not finite and above 0.

    Examples
    --------
    A jet of 100 GeV along x becomes one of 103 GeV: MET loses 3 GeV along x.

    >>> from hepmtp.events.record import make_events
    >>> events = make_events(
    ...     counts=[1], pt=[100.0], eta=[0.0], phi=[0.0], energy=[101.0], type=[0],
    ...     met=[50.0], met_phi=[0.0],
    ... )
    >>> found = rescaled(events, [1.03])
    >>> round(float(found.Particle.pt[0, 0]), 6), round(float(found.MET.pt[0]), 6)
    (103.0, 47.0)
    """
    particles = events.Particle
    counts = _counts(events)
    factor = np.asarray(factor, dtype=np.float64)
    if factor.shape != (counts.sum(),):
        raise EventError(
            f"factors of particles have shape {factor.shape}, expected ({counts.sum()},): one for "
            "each particle of all events"
        )
    if bad := int((~(np.isfinite(factor) & (factor > 0))).sum()):
        raise EventError(
            f"{bad} of {len(factor)} factors of particles are not finite and above 0 (smallest: "
            f"{np.min(factor)}): make the shift smaller"
        )
    for name in ("pt", "energy"):
        changed = ak.unflatten(_flat(particles, name) * factor, counts)
        particles = ak.with_field(particles, changed, name)
    gained = _flat(events.Particle, "pt") * (factor - 1.0)
    x, y = _summed(events, gained)
    return with_met(ak.with_field(events, particles, "Particle"), -x, -y)


def with_met(events: ak.Array, x: Floats, y: Floats) -> ak.Array:
    """The same events with this added to MET [GeV], each (n_events,).

    MET to which nothing is added keeps every digit.
    """
    pt, phi = (np.asarray(ak.to_numpy(events.MET[name])) for name in ("pt", "phi"))
    new_x, new_y = pt * np.cos(phi) + x, pt * np.sin(phi) + y
    moved = (x != 0) | (y != 0)
    columns = {
        "pt": np.where(moved, np.hypot(new_x, new_y), pt),
        "phi": np.where(moved, np.arctan2(new_y, new_x), phi),
    }
    met = events.MET
    for name, column in columns.items():
        met = ak.with_field(met, column, name)
    return ak.with_field(events, met, "MET", behavior=behavior)


@dataclass(frozen=True)
class EnergyScale:
    """Particles of some types with another energy scale: four-momentum times 1 + sign * size.

    Parameters
    ----------
    types
        indices of `PARTICLE_TYPES` that are shifted.
    size
        relative size of one sigma: a number, or a function (pt [GeV], eta) of a module.
    sign
        how many sigma: 1 up, -1 down.
    least_pt
        shifted particles below this pt [GeV] are lost, as by the cut of an analysis. By default
        none is. A file has no particles from below its own cut that a shift upwards could bring
        in: use it for one direction only (see docs/systematics.md).

    Examples
    --------
    >>> from hepmtp.events.record import make_events
    >>> events = make_events(
    ...     counts=[2], pt=[50.0, 20.0], eta=[0.1, 0.0], phi=[1.0, 2.0], energy=[60.0, 20.0],
    ...     type=[0, 0], met=[20.0], met_phi=[0.0],
    ... )
    >>> EnergyScale(JETS, 0.1, -1)(events).Particle.pt.to_list()
    [[45.0, 18.0]]
    >>> EnergyScale(JETS, 0.1, -1, least_pt=20)(events).Particle.pt.to_list()
    [[45.0]]
    """

    types: tuple[int, ...]
    size: float | Size
    sign: float = 1.0
    least_pt: float = 0.0

    def __call__(self, events: ak.Array) -> ak.Array:
        """The shifted events, shape (n_events,)."""
        pt, chosen = _flat(events.Particle, "pt"), _of_types(events, self.types)
        size = self.size(pt, _flat(events.Particle, "eta")) if callable(self.size) else self.size
        shifted = rescaled(events, np.where(chosen, 1.0 + self.sign * size, 1.0))
        lost = chosen & (_flat(shifted.Particle, "pt") < self.least_pt)
        if not lost.any():
            return shifted
        kept = shifted.Particle[ak.unflatten(~lost, _counts(events))]
        return ak.with_field(shifted, kept, "Particle")


@dataclass(frozen=True)
class EnergyResolution:
    """Particles of some types with a worse resolution: each four-momentum times a random factor.

    The factor is log-normal of mean 1. Its width is what makes a relative resolution r become
    (1 + growth) r. Random numbers follow from (source, event, place of the particle) and the seed
    alone: they are the same in each chunk, executor and run.

    Parameters
    ----------
    types
        indices of `PARTICLE_TYPES` that are smeared.
    resolution
        a function (pt [GeV], eta) of a module that gives the relative resolution.
    growth
        share by which the resolution is worse.
    seed
        another one gives other random numbers.
    """

    types: tuple[int, ...]
    resolution: Size
    growth: float
    seed: int = 1

    def __call__(self, events: ak.Array) -> ak.Array:
        """The smeared events, shape (n_events,)."""
        pt, eta = (_flat(events.Particle, name) for name in ("pt", "eta"))
        width = self.resolution(pt, eta) * np.sqrt((1.0 + self.growth) ** 2 - 1.0)
        factor = np.exp(width * particle_normal(events, self.seed) - width**2 / 2)
        return rescaled(events, np.where(_of_types(events, self.types), factor, 1.0))


@dataclass(frozen=True)
class UnclusteredMET:
    """MET with another share of what is in no particle: soft energy, and particles below cuts.

    What is in MET but in no particle is minus the sum of MET and all particles. It is multiplied by
    1 + sign * size; particles stay.
    """

    size: float
    sign: float = 1.0

    def __call__(self, events: ak.Array) -> ak.Array:
        """The shifted events, shape (n_events,)."""
        x, y = _summed(events, _flat(events.Particle, "pt"))
        met, phi = (np.asarray(ak.to_numpy(events.MET[name])) for name in ("pt", "phi"))
        share = self.sign * self.size
        return with_met(events, share * (x + met * np.cos(phi)), share * (y + met * np.sin(phi)))


def particle_normal(events: ak.Array, seed: int) -> Floats:
    """A standard normal number for each particle of all events, shape (n_particles,).

    It follows from (source, event, place of the particle in its event) and the seed alone.
    """
    counts = _counts(events)
    x = mixed(hashed(events) + np.uint64(seed))[owner(counts)]
    x = mixed(x + ragged_arange(counts).astype(np.uint64))
    return np.asarray(ndtri(((x >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52))


def _counts(events: ak.Array) -> NDArray[np.int64]:
    return np.asarray(ak.to_numpy(ak.num(events.Particle)), dtype=np.int64)


def _flat(particles: ak.Array, name: str) -> Floats:
    return np.asarray(ak.to_numpy(ak.flatten(particles[name])), dtype=np.float64)


def _of_types(events: ak.Array, types: tuple[int, ...]) -> NDArray[np.bool_]:
    return np.isin(ak.to_numpy(ak.flatten(events.Particle["type"])), types)


def _summed(events: ak.Array, pt: Floats) -> tuple[Floats, Floats]:
    """Components of the sum of these pt along their particles, each (n_events,)."""
    phi, event = _flat(events.Particle, "phi"), owner(_counts(events))
    x, y = (
        np.bincount(event, pt * along(phi), minlength=len(events)).astype(np.float64)
        for along in (np.cos, np.sin)
    )
    return x, y


#: The types of leptons, as `EnergyScale` takes them.
LEPTON_TYPES = tuple(LEPTONS)
