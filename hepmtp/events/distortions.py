"""Distorted background: events of which one thing has been changed.

They are the strange class of a DDD-style detector.

The rule: a distortion was fixed before any signal was looked at and knows nothing of one. It keeps
the event record (order, event, source, weight, metadata) and energy over momentum of every
particle.

It also keeps the transverse momentum of all particles and MET together. No collision breaks that
balance, so a classifier must not win by it. This was measured on background with an MET that does
not follow the particles. The imbalance alone then tells distorted events with an AUC of 0.78 to
0.91, except those of swapped types.

The method is that of *DDD* (arXiv:2406.18469): a classifier of background against distorted
background. That paper's list of distortions is not public. This one is ours, and what is made with
it is called "DDD-style".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepmtp.events.flat import (
    FlatParticles,
    each_by_one,
    met_of,
    particles_of,
    with_met,
    with_particles,
)
from hepmtp.events.observables import particle_types
from hepmtp.events.particles import (
    ANTIMUON,
    B_JET,
    ELECTRON,
    JET,
    MUON,
    PARTICLE_TYPES,
    PHOTON,
    POSITRON,
)
from hepmtp.events.ragged import Floats

#: A function of events and a generator that gives as many events.
Apply = Callable[[ak.Array, np.random.Generator], ak.Array]


#: Range of the common factor on all pt of an event.
PT_SCALE = (1.1, 2.5)


#: Width of the Gaussian that is added to log pt of each particle.
PT_SMEAR = 0.3


#: Widths of the Gaussians that are added to eta and phi of each particle.
ETA_SMEAR, PHI_SMEAR = 0.5, 0.5


#: Fewest and most particles that are added, or dropped.
ADDED, DROPPED = (1, 4), (1, 3)


#: Share of the other event's particles in an overlay.
OVERLAID = 0.5


#: The type that each type is taken for: jet and b-jet, electron and muon of the same charge; a
#: photon stays what it is.
SWAPPED: NDArray[np.int8] = np.array(
    [B_JET, JET, ANTIMUON, MUON, POSITRON, ELECTRON, PHOTON], dtype=np.int8
)


#: Share of the particles of each type that are swapped, in the order of the types.
SWAP_SHARE: Floats = np.array([0.25, 0.15, 0.3, 0.3, 0.3, 0.3, 0.0])


#: Range of the factor on MET; what it gains the particles lose.
MET_SCALE = (1.5, 4.0)


#: Width of the Gaussians that are added to both components of MET [GeV].
MET_SHIFT = 60.0


class Distortion(NamedTuple):
    """One way to change events.

    `apply` takes events and a generator and gives as many events in the same order; an event in
    which there is nothing to change stays as it is.
    """

    name: str
    description: str
    apply: Apply


def _momentum(flat: FlatParticles) -> tuple[Floats, Floats]:
    """Components of the summed transverse momentum of each event's particles, each (n_events,)."""
    pt, phi, n = flat.columns["pt"], flat.columns["phi"], len(flat.counts)
    x, y = (
        np.bincount(flat.owner, pt * direction(phi), minlength=n) for direction in (np.cos, np.sin)
    )
    return x.astype(np.float64), y.astype(np.float64)  # integers where no event has a particle


def _balanced(events: ak.Array, flat: FlatParticles) -> ak.Array:
    """Events of these particles, and MET with what they have lost in transverse momentum."""
    parts = zip(met_of(events), _momentum(particles_of(events)), _momentum(flat), strict=True)
    x, y = (met + before - after for met, before, after in parts)
    return with_met(with_particles(events, flat), x, y)


def _recoiled(events: ak.Array, x: Floats, y: Floats) -> ak.Array:
    """Events with this added to MET; the particles recoil in proportion to their pt."""
    flat = particles_of(events)
    pt, phi = flat.columns["pt"], flat.columns["phi"]
    total = np.bincount(flat.owner, pt, minlength=len(events))[flat.owner]
    share = np.divide(pt, total, out=np.zeros_like(pt), where=total > 0)
    px, py = pt * np.cos(phi) - share * x[flat.owner], pt * np.sin(phi) - share * y[flat.owner]
    return _balanced(events, _seen(flat, flat.moved(pt=np.hypot(px, py), phi=np.arctan2(py, px))))


def _seen(before: FlatParticles, after: FlatParticles) -> FlatParticles:
    """The particles `after` a change with at least the smallest pt of their type `before`."""
    threshold = _limit(before.columns["pt"], before.columns["type"], np.minimum, np.inf)
    return after.keep(after.columns["pt"] >= threshold)


def _others(n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """For each of n events another one at random (itself if it is the only one)."""
    return (np.arange(n) + rng.integers(1, max(n, 2), size=n)) % max(n, 1)


def _limit(values: Floats, kind: NDArray[np.int8], extreme: np.ufunc, start: float) -> Floats:
    """The extreme value among all particles of each particle's type, shape (n_particles,)."""
    found = np.full(len(PARTICLE_TYPES), start)
    extreme.at(found, kind, values)
    return np.asarray(found[kind])


def _scale_pt(events: ak.Array, rng: np.random.Generator) -> ak.Array:
    flat = particles_of(events)
    factor = rng.uniform(*PT_SCALE, size=len(events))[flat.owner]
    return _balanced(events, flat.moved(pt=flat.columns["pt"] * factor))


def _smear_pt(events: ak.Array, rng: np.random.Generator) -> ak.Array:
    flat = particles_of(events)
    pt = flat.columns["pt"]
    return _balanced(
        events, _seen(flat, flat.moved(pt=pt * np.exp(rng.normal(0.0, PT_SMEAR, size=len(pt)))))
    )


def _smear_direction(events: ak.Array, rng: np.random.Generator) -> ak.Array:
    flat = particles_of(events)
    eta, phi, kind = (flat.columns[name] for name in ("eta", "phi", "type"))
    edge = _limit(np.abs(eta), kind, np.maximum, 0.0)
    moved = eta + rng.normal(0.0, ETA_SMEAR, size=len(eta))
    beyond = np.maximum(np.abs(moved) - edge, 0.0)
    moved = np.sign(moved) * np.clip(
        np.abs(moved) - 2 * beyond, 0.0, None
    )  # what leaves the detector is reflected
    return _balanced(
        events, flat.moved(eta=moved, phi=phi + rng.normal(0.0, PHI_SMEAR, size=len(phi)))
    )


def _add(events: ak.Array, rng: np.random.Generator) -> ak.Array:
    donors = particles_of(events[_others(len(events), rng)])
    number = rng.integers(ADDED[0], ADDED[1] + 1, size=len(events))[donors.owner]
    return _balanced(events, particles_of(events).and_(donors.keep(donors.ranks(rng) < number)))


def _drop(events: ak.Array, rng: np.random.Generator) -> ak.Array:
    flat = particles_of(events)
    number = rng.integers(DROPPED[0], DROPPED[1] + 1, size=len(events))[flat.owner]
    return _balanced(events, flat.keep(flat.ranks(rng) >= number))


def _overlay(events: ak.Array, rng: np.random.Generator) -> ak.Array:
    donors = particles_of(events[_others(len(events), rng)])
    chosen = rng.random(len(donors.owner)) < OVERLAID
    return _balanced(events, particles_of(events).and_(donors.keep(chosen)))


def _swap_types(events: ak.Array, rng: np.random.Generator) -> ak.Array:
    flat = particles_of(events)
    kind = particle_types(events)
    swapped = rng.random(len(kind)) < SWAP_SHARE[kind]
    columns = {**flat.columns, "type": np.where(swapped, SWAPPED[kind], kind).astype(np.int8)}
    return with_particles(events, FlatParticles(columns, flat.counts))


def _scale_met(events: ak.Array, rng: np.random.Generator) -> ak.Array:
    more = rng.uniform(*MET_SCALE, size=len(events)) - 1
    x, y = met_of(events)
    return _recoiled(events, x * more, y * more)


def _shift_met(events: ak.Array, rng: np.random.Generator) -> ak.Array:
    x, y = (rng.normal(0.0, MET_SHIFT, size=len(events)) for _ in range(2))
    return _recoiled(events, x, y)


#: The distortions of a DDD-style detector; where particles change, MET takes up their transverse
#: momentum, and the other way round.
DISTORTIONS: tuple[Distortion, ...] = (
    Distortion(
        "pt_scale",
        "all pt of the event times a common factor in 1.1..2.5, as if heavier things decayed",
        _scale_pt,
    ),
    Distortion(
        "pt_smear",
        "each pt times exp(N(0, 0.3)); a particle below the smallest pt of its type is lost",
        _smear_pt,
    ),
    Distortion(
        "direction",
        "eta and phi of each particle shifted by N(0, 0.5), reflected at the detector's edge",
        _smear_direction,
    ),
    Distortion("add", "one to four particles of another event added", _add),
    Distortion("drop", "one to three particles removed", _drop),
    Distortion("overlay", "half of another event's particles added, at random", _overlay),
    Distortion(
        "swap_types",
        "a quarter of the jets taken for b-jets, some b-jets for jets, electrons for muons",
        _swap_types,
    ),
    Distortion(
        "met_scale",
        "MET times a factor in 1.5..4; the particles recoil in proportion to their pt",
        _scale_met,
    ),
    Distortion(
        "met_shift",
        "both components of MET shifted by N(0, 60 GeV); the particles recoil likewise",
        _shift_met,
    ),
)


def distort(
    events: ak.Array, rng: np.random.Generator, distortions: Sequence[Distortion] = DISTORTIONS
) -> ak.Array:
    """Every event with one of the distortions, drawn at random in equal shares.

    Shape (n_events,), in the same order.

    Parameters
    ----------
    events
        shape (n_events,); what is added to one of them comes from the others, so give many. The
        order of an event's particles means nothing afterwards: a model that reads it has to see
        both classes in one order, such as that of falling pt.
    rng
        the same state gives the same events.
    distortions
        what to draw from.

    Examples
    --------
    >>> from hepmtp.events import make_events
    >>> events = make_events(
    ...     counts=[1], pt=[50.0], eta=[0.1], phi=[1.0], energy=[60.0], type=[1],
    ...     met=[20.0], met_phi=[0.0],
    ... )
    >>> harder = distort(events, np.random.default_rng(1), DISTORTIONS[:1])
    >>> bool(1.1 <= harder.Particle.pt[0, 0] / 50 <= 2.5), int(harder.event[0])
    (True, 0)
    """
    return each_by_one(events, rng, [one.apply for one in distortions])
