"""Observables: numbers of an event as a whole, from counts to masses.

The rule: a number is finite for every legal event, one without particles too, and does not depend
on the order of the particles.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepmtp.errors import EventError
from hepmtp.events.once import once
from hepmtp.events.pairs import distances, masses
from hepmtp.events.particles import (
    ANTIMUON,
    B_JET,
    CONSTITUENT_TYPES,
    ELECTRON,
    LEPTONS,
    MUON,
    PARTICLE_TYPES,
    PHOTON,
    POSITRON,
)
from hepmtp.events.ragged import Floats, Ints, owner, starts
from hepmtp.events.record import metadata

#: Largest difference in eta that enters a massless mass: beyond it cosh would overflow.
WIDEST = 20.0


class Feature(NamedTuple):
    """What an event observable is.

    Function of the events, its unit ("" for a pure number) and its meaning.
    """

    function: Callable[[ak.Array], NDArray[np.float64] | NDArray[np.int64]]
    unit: str
    meaning: str


def particle_types(events: ak.Array) -> NDArray[np.int64]:
    """Type of each particle of all events, shape (n_particles,): one of the `PARTICLE_TYPES`.

    Raises
    ------
    EventError
        if there are hadrons among them, as in jets' constituents.
    """
    found = np.asarray(ak.to_numpy(ak.flatten(events.Particle["type"])), dtype=np.int64)
    if len(others := np.unique(found[found >= len(PARTICLE_TYPES)])):
        names = ", ".join(
            CONSTITUENT_TYPES[one] if one < len(CONSTITUENT_TYPES) else str(one) for one in others
        )
        raise EventError(
            f"data set {metadata(events).get('dataset', '(unnamed)')!r}: "
            f"{np.isin(found, others).sum()} of {len(found)} particles are of type {names}, known "
            f"here are {', '.join(PARTICLE_TYPES)}. Leave them out of events.Particle "
            f"(Particle[Particle['type'] < {len(PARTICLE_TYPES)}]), or use a tokenizer or detector "
            "of your own that knows them"
        )
    return found


@once
def type_counts(events: ak.Array) -> Ints:
    """Number of particles of each of the `CONSTITUENT_TYPES`, shape (n_events, n_types).

    Of events as :func:`hepmtp.events.entering.as_events` gives them.
    """
    n, types = len(events), len(CONSTITUENT_TYPES)
    kind = np.asarray(ak.to_numpy(ak.flatten(events.Particle["type"])), dtype=np.int64)
    place = owner(np.asarray(ak.num(events.Particle))) * types + kind
    return np.bincount(place, minlength=n * types).reshape(n, types)


def jets(events: ak.Array) -> ak.Array:
    """The jets of each event, b-jets included."""
    return events.Particle[events.Particle["type"] <= B_JET]


def b_jets(events: ak.Array) -> ak.Array:
    """The b-tagged jets of each event."""
    return events.Particle[events.Particle["type"] == B_JET]


def leptons(events: ak.Array) -> ak.Array:
    """The electrons and muons of each event."""
    return events.Particle[_is_lepton(events)]


def _is_lepton(events: ak.Array) -> ak.Array:
    kind = events.Particle["type"]
    return (kind >= LEPTONS[0]) & (kind <= LEPTONS[-1])


@once
def n_jets(events: ak.Array) -> NDArray[np.int64]:
    """Number of jets, b-jets included, shape (n_events,)."""
    return _per_event(events.Particle["type"] <= B_JET)


@once
def n_b(events: ak.Array) -> NDArray[np.int64]:
    """Number of b-tagged jets, shape (n_events,)."""
    return _per_event(events.Particle["type"] == B_JET)


@once
def n_leptons(events: ak.Array) -> NDArray[np.int64]:
    """Number of electrons and muons, shape (n_events,)."""
    return _per_event(_is_lepton(events))


@once
def _n_photons(events: ak.Array) -> NDArray[np.int64]:
    return _per_event(events.Particle["type"] == PHOTON)


@once
def lepton_charge(events: ak.Array) -> NDArray[np.int64]:
    """Sum of the electron and muon charges, shape (n_events,)."""
    kind = events.Particle["type"]
    positive = (kind == POSITRON) | (kind == ANTIMUON)
    negative = (kind == ELECTRON) | (kind == MUON)
    return _per_event(positive) - _per_event(negative)


@once
def ht(events: ak.Array) -> NDArray[np.float64]:
    """HT: scalar sum of pt over all particles [GeV], shape (n_events,)."""
    return np.asarray(ak.sum(events.Particle.pt, axis=1), dtype=np.float64)


@once
def met(events: ak.Array) -> NDArray[np.float64]:
    """Missing transverse momentum [GeV], shape (n_events,)."""
    return np.asarray(events.MET.pt, dtype=np.float64)


@once
def _lepton_ht(events: ak.Array) -> Floats:
    return np.asarray(ak.sum(leptons(events).pt, axis=1), dtype=np.float64)


def pt_of(particles: Callable[[ak.Array], ak.Array], number: int) -> Callable[[ak.Array], Floats]:
    """A function of events: pt of the leading (1), second (2), ... particle [GeV], else 0."""

    falling = _falling_pt(particles)

    def pt(events: ak.Array) -> Floats:
        by_pt, counts = falling(events)
        there = counts >= number
        found = np.zeros(len(counts))
        found[there] = by_pt[(starts(counts) + number - 1)[there]]
        return found

    return pt


@functools.cache
def _falling_pt(
    particles: Callable[[ak.Array], ak.Array],
) -> Callable[[ak.Array], tuple[Floats, Ints]]:
    """A function of events: pt of all these particles, falling in each event, and their numbers."""

    @once
    def falling(events: ak.Array) -> tuple[Floats, Ints]:
        by_pt = ak.sort(particles(events).pt, axis=1, ascending=False)
        counts = np.asarray(ak.to_numpy(ak.num(by_pt)), dtype=np.int64)
        return np.asarray(ak.to_numpy(ak.flatten(by_pt)), dtype=np.float64), counts

    return falling


@once
def _mean_abs_eta(events: ak.Array) -> Floats:
    eta = np.abs(jets(events).eta)
    total = np.asarray(ak.sum(eta, axis=1), dtype=np.float64)
    return np.asarray(total / np.maximum(ak.to_numpy(ak.num(eta)), 1))


@once
def _min_delta_r(events: ak.Array) -> Floats:
    return or_0(ak.min(distances(jets(events)), axis=1))


@once
def _largest_mass(events: ak.Array) -> Floats:
    return or_0(ak.max(masses(jets(events)), axis=1))


@once
def _massless_mass(events: ak.Array) -> Floats:
    particles = jets(events)
    first, second = ak.unzip(
        ak.combinations(ak.zip({name: particles[name] for name in ("pt", "eta", "phi")}), 2)
    )
    opening = np.cosh(np.minimum(np.abs(first.eta - second.eta), WIDEST)) - np.cos(
        first.phi - second.phi
    )
    return or_0(np.sqrt(np.maximum(ak.max(2 * first.pt * second.pt * opening, axis=1), 0.0)))


@once
def _min_delta_phi_met(events: ak.Array) -> Floats:
    return or_0(ak.min(np.abs(jets(events).deltaphi(events.MET)), axis=1))


def _per_event(particles: ak.Array) -> NDArray[np.int64]:
    return np.asarray(ak.sum(particles, axis=1), dtype=np.int64)


def or_0(values: ak.Array) -> Floats:
    """Numbers of events, shape (n_events,), 0 where there is nothing to measure."""
    return np.asarray(ak.to_numpy(ak.fill_none(values, 0.0)), dtype=np.float64)


#: The event observables, in the order of the columns of `event_features`. Jets include b-jets.
EVENT_FEATURES: dict[str, Feature] = {
    "n_jets": Feature(n_jets, "", "number of jets"),
    "n_b": Feature(n_b, "", "number of b-jets"),
    "n_leptons": Feature(n_leptons, "", "number of electrons and muons"),
    "n_photons": Feature(_n_photons, "", "number of photons"),
    "jet_pt_1": Feature(pt_of(jets, 1), "GeV", "pt of the leading jet"),
    "jet_pt_2": Feature(pt_of(jets, 2), "GeV", "pt of the second jet"),
    "jet_pt_3": Feature(pt_of(jets, 3), "GeV", "pt of the third jet"),
    "jet_pt_4": Feature(pt_of(jets, 4), "GeV", "pt of the fourth jet"),
    "b_pt_1": Feature(pt_of(b_jets, 1), "GeV", "pt of the leading b-jet"),
    "b_pt_2": Feature(pt_of(b_jets, 2), "GeV", "pt of the second b-jet"),
    "lepton_pt_1": Feature(pt_of(leptons, 1), "GeV", "pt of the leading lepton"),
    "lepton_pt_2": Feature(pt_of(leptons, 2), "GeV", "pt of the second lepton"),
    "lepton_pt_3": Feature(pt_of(leptons, 3), "GeV", "pt of the third lepton"),
    "ht": Feature(ht, "GeV", "scalar sum of pt over all particles"),
    "met": Feature(met, "GeV", "missing transverse momentum"),
    "lepton_ht": Feature(_lepton_ht, "GeV", "scalar sum of pt over the leptons"),
    "jet_abs_eta": Feature(_mean_abs_eta, "", "mean |eta| of the jets"),
    "min_jet_delta_r": Feature(_min_delta_r, "", "smallest distance of two jets in eta and phi"),
    "largest_mass": Feature(_largest_mass, "GeV", "largest mass of two jets"),
    "min_delta_phi_met": Feature(
        _min_delta_phi_met, "", "smallest angle in phi between a jet and MET"
    ),
    "lepton_charge": Feature(lepton_charge, "", "sum of the lepton charges"),
}


#: What detectors that were saved before, and users, may name beside these.
FORMER_FEATURES: dict[str, Feature] = {
    "max_dijet_mass": Feature(_massless_mass, "GeV", "largest mass of two jets taken as massless"),
}


#: All that can be asked for by name.
KNOWN_FEATURES: dict[str, Feature] = EVENT_FEATURES | FORMER_FEATURES


@once
def event_features(events: ak.Array) -> Floats:
    """The observables `EVENT_FEATURES` of each event, shape (n_events, n_features).

    0 where there is nothing to measure.

    Examples
    --------
    >>> from hepmtp.events import make_events
    >>> events = make_events(
    ...     counts=[1, 0], pt=[50.0], eta=[0.1], phi=[1.0], energy=[60.0], type=[1],
    ...     met=[20.0, 30.0], met_phi=[0.0, 1.0],
    ... )
    >>> found = dict(zip(EVENT_FEATURES, event_features(events).T.tolist(), strict=True))
    >>> found["jet_pt_1"], found["jet_pt_2"], found["met"]
    ([50.0, 0.0], [0.0, 0.0], [20.0, 30.0])
    """
    columns = [
        np.asarray(feature.function(events), dtype=np.float64)
        for feature in EVENT_FEATURES.values()
    ]
    return np.stack(columns, axis=1)
