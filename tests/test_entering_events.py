"""Events that a user's code has changed: put right where that is what it means, else refused."""

from __future__ import annotations

from collections.abc import Callable

import awkward as ak
import numpy as np
import pytest
from coffea.nanoevents.methods import base

from hepmtp.detectors.observables import Observable
from hepmtp.errors import EventError
from hepmtp.events.entering import as_events
from hepmtp.events.record import behavior, make_events, metadata


@pytest.fixture
def events() -> ak.Array:
    return make_events(
        counts=[2, 0, 3],
        pt=[50.0, 9.0, 70.0, 30.0, 10.0],
        eta=[0.1, 2.0, -1.0, 0.0, 2.5],
        phi=[1.0, 2.0, -3.0, 0.5, 0.0],
        energy=[60.0, 40.0, 120.0, 31.0, 62.0],
        type=[1, 0, 2, 5, 0],
        met=[20.0, 30.0, 40.0],
        met_phi=[0.0, 1.0, -1.0],
        dataset="mine",
        role="background",
    )


def changed(events: ak.Array, field: str, values: ak.Array) -> ak.Array:
    """The same events with another field of the particles."""
    particles = ak.with_field(events.Particle, values, field)
    return ak.with_field(events, particles, "Particle")


def test_plain_events_are_taken_as_they_are(events: ak.Array) -> None:
    assert as_events(events) is events


def test_masked_particles_are_left_out_as_if_cut(events: ak.Array) -> None:
    hard = events.Particle.pt > 20
    masked = ak.with_field(events, ak.mask(events.Particle, hard), "Particle")
    cut = ak.with_field(events, events.Particle[hard], "Particle")
    found = as_events(masked)
    assert found.to_list() == cut.to_list()
    assert "?" not in str(found.type)
    assert metadata(found) == {"dataset": "mine", "role": "background"}
    assert found.Particle.mass.to_list() == cut.Particle.mass.to_list()
    assert Observable("ht").score(masked).tolist() == [50.0, 0.0, 100.0]
    assert Observable("multiplicity").score(masked).tolist() == [1, 0, 2]


def test_a_type_that_allows_missing_values_is_no_matter(events: ak.Array) -> None:
    """As after ``ak.to_parquet``, or a mask that is true everywhere."""
    optional = changed(events, "pt", ak.mask(events.Particle.pt, events.Particle.pt > 0))
    optional = ak.with_field(optional, ak.mask(events.weight, events.weight > 0), "weight")
    everything = ak.mask(optional, np.ones(3, dtype=bool))
    assert "?" in str(everything.type)
    assert as_events(everything).to_list() == events.to_list()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda e: changed(e, "pt", ak.mask(e.Particle.pt, e.Particle.pt > 20)),
            r"event 0: Particle\.pt is missing, but not the rest of it",
        ),
        (
            lambda e: ak.mask(e, np.array([True, False, True])),
            r"1 of 3 events are missing \(masked, not cut\): leave them out with",
        ),
        (
            lambda e: ak.with_field(e, ak.mask(e.Particle, [True, True, False]), "Particle"),
            r"event 2: Particle is missing \(1 such events\); leave them out with",
        ),
        (
            lambda e: ak.with_field(e, ak.mask(e.weight, [False, True, True]), "weight"),
            r"event 0: weight is missing",
        ),
        (
            lambda e: ak.with_field(e, ak.fill_none(ak.pad_none(e.Particle, 3), 0), "Particle"),
            r"Particle has no field 'pt'|event 0",
        ),
        (
            lambda e: changed(e, "pt", ak.where(e.Particle.pt > 20, e.Particle.pt, -999.0)),
            r"event 0: Particle\.pt is -999\.0, expected finite and >= 0 \(2 such values\)",
        ),
        (
            lambda e: changed(e, "eta", ak.where(e.Particle.pt > 20, e.Particle.eta, -99.0)),
            r"event 0: Particle\.eta is -99\.0, expected at most 30 in size",
        ),
        (
            lambda e: changed(e, "energy", ak.where(e.Particle.pt > 20, e.Particle.energy, 0.0)),
            r"event 0: Particle\.energy is 0\.0, expected above 0, as that of any particle",
        ),
        (
            lambda e: changed(e, "phi", ak.where(e.Particle.pt > 20, e.Particle.phi, np.nan)),
            r"event 0: Particle\.phi is nan, expected in \(-pi, pi\]",
        ),
        (
            lambda e: changed(e, "type", ak.where(e.Particle.pt > 20, e.Particle["type"], 127)),
            r"event 0: Particle\.type is 127, expected 0\.\.",
        ),
        (
            lambda e: ak.with_field(e, ak.with_field(e.MET, [1.0, -1.0, 2.0], "pt"), "MET"),
            r"event 1: MET\.pt is -1\.0, expected finite and >= 0",
        ),
        (lambda e: e[["Particle", "MET", "weight"]], r"events have no field 'event'"),
        (
            lambda e: ak.with_field(e, ak.firsts(e.Particle), "Particle"),
            r"Particle has 1 dimension, expected a list in each event",
        ),
        (
            lambda e: ak.with_field(e, ak.unflatten(e.Particle, [1, 1, 1]), "Particle"),
            r"Particle has 3 dimensions, expected a list in each event",
        ),
        (lambda e: e[0], r"this is a single event, expected an array: take events\[i : i \+ 1\]"),
    ],
)
def test_what_can_mean_anything_is_refused(
    events: ak.Array, change: Callable[[ak.Array], ak.Array], message: str
) -> None:
    with pytest.raises(EventError, match=message):
        Observable("ht").score(change(events))


def test_masks_of_events_that_coffea_has_read(events: ak.Array) -> None:
    """Coffea's record is called "event" in the text of its type, which shows no field."""
    hard = events.Particle.pt > 20
    masked = ak.with_field(events, ak.mask(events.Particle, hard), "Particle")
    masked = ak.with_field(masked, [None, 1.0, 2.0], "mine_alone")
    named = ak.with_name(masked, "NanoEvents", behavior={**base.behavior, **behavior})
    assert str(named.type) == "3 * event"
    found = as_events(named)
    assert found.Particle.pt.to_list() == [[50.0], [], [70.0, 30.0]]
    assert found.mine_alone.to_list() == [None, 1.0, 2.0]  # no part of the record
    with pytest.raises(EventError, match=r"event 0: MET is missing \(1 such events\)"):
        as_events(ak.with_field(named, ak.mask(named.MET, [False, True, True]), "MET"))
