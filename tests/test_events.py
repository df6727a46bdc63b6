"""The event record: what it holds, what it refuses, and that its metadata travel."""

from __future__ import annotations

import pickle
from typing import Any

import awkward as ak
import numpy as np
import pytest
from hypothesis import given, strategies as st

from hepmtp.errors import EventError
from hepmtp.events import (
    CHARGES,
    CONSTITUENT_TYPES,
    PARTICLE_NAMES,
    PARTICLE_TYPES,
    check_events,
    concatenate,
    ht,
    jets,
    lepton_charge,
    make_events,
    metadata,
    n_b,
    n_jets,
    n_leptons,
    particle_types,
    with_metadata,
)

THREE: dict[str, Any] = {
    "counts": [2, 0, 3],
    "pt": [30.0, 40.0, 50.0, 25.0, 90.0],
    "eta": [0.0, 1.0, -1.0, 2.0, 0.5],
    "phi": [0.0, 3.14159, -3.14159, 1.0, 2.0],
    "energy": [30.0, 70.0, 80.0, 95.0, 110.0],
    "type": [1, 2, 0, 5, 6],
    "met": [10.0, 20.0, 30.0],
    "met_phi": [0.5, -0.5, 3.1416],
}


def test_three_events_written_out() -> None:
    events = make_events(**THREE, weight=[1.0, -2.0, 0.5], source=7, dataset="4top", role="signal")
    assert events.Particle.pt.to_list() == [[30.0, 40.0], [], [50.0, 25.0, 90.0]]
    assert events.Particle["type"].to_list() == [[1, 2], [], [0, 5, 6]]
    assert events.MET.phi.to_list() == [0.5, -0.5, 3.1416]
    assert events.weight.to_list() == [1.0, -2.0, 0.5]
    assert events.event.to_list() == [0, 1, 2]
    assert events.source.to_list() == [7, 7, 7]
    assert metadata(events) == {"dataset": "4top", "role": "signal"}


def test_vector_behaviours() -> None:
    events = make_events(**THREE)
    first, second = events.Particle[0, 0], events.Particle[0, 1]
    assert first.mass == 0.0
    assert first.px == 30.0
    assert first.deltaR(second) == pytest.approx(np.hypot(1.0, 3.14159))
    assert (first + second).energy == 100.0
    assert ak.sum(events.Particle, axis=1).pt.to_list()[1] == 0.0
    assert events.MET.px.to_list() == pytest.approx(
        [10 * np.cos(0.5), 20 * np.cos(0.5), 30 * np.cos(3.1416)]
    )


def test_observables() -> None:
    events = make_events(**THREE)
    assert n_jets(events).tolist() == [1, 0, 1]
    assert n_b(events).tolist() == [1, 0, 0]
    assert n_leptons(events).tolist() == [1, 0, 1]
    assert lepton_charge(events).tolist() == [1, 0, -1]
    assert ht(events).tolist() == [70.0, 0.0, 165.0]
    assert jets(events).pt.to_list() == [[30.0], [], [50.0]]
    for observable in (n_jets, n_b, n_leptons, lepton_charge, ht):
        assert observable(events[:0]).shape == (0,)


def test_charges_and_names_are_in_the_order_of_the_types() -> None:
    assert PARTICLE_TYPES == ("j", "b", "e+", "e-", "m+", "m-", "g")
    assert PARTICLE_NAMES == ("jet", "b-jet", "e+", "e-", "mu+", "mu-", "photon")
    assert CHARGES.tolist() == [0, 0, 1, -1, 1, -1, 0]
    every = make_events(
        counts=[1] * 7,
        pt=[9.0] * 7,
        eta=[0.0] * 7,
        phi=[0.0] * 7,
        energy=[9.0] * 7,
        type=range(7),
        met=[0.0] * 7,
        met_phi=[0.0] * 7,
    )
    assert lepton_charge(every).tolist() == CHARGES.tolist()


def test_no_events_and_no_particles() -> None:
    empty: dict[str, Any] = {name: [] for name in THREE}
    events = make_events(**empty)
    assert len(events) == 0
    check_events(events)
    check_events(make_events(**{**empty, "counts": [0], "met": [1.0], "met_phi": [0.0]}))
    assert ak.type(events.Particle.pt).content == ak.type(make_events(**THREE).Particle.pt).content


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pt": [1.0]}, r"pt has shape \(1,\), expected \(5,\): counts says so"),
        ({"type": [[1, 2, 0, 5, 6]]}, r"type has shape \(1, 5\), expected \(5,\)"),
        ({"met": [1.0]}, r"met has shape \(1,\), expected \(3,\): one value per event"),
        ({"event": [1, 2]}, r"event has shape \(2,\), expected \(3,\)"),
        (
            {"pt": [30.0, -40.0, 50.0, 25.0, 90.0]},
            r"event 0: Particle\.pt is -40\.0, expected finite and >= 0 \(1 such values\)",
        ),
        ({"eta": [0.0, 1.0, -1.0, np.nan, 0.5]}, r"event 2: Particle\.eta is nan, expected finite"),
        (
            {"energy": [0.0, 1.0, np.inf, np.inf, 0.5]},
            r"event 2: Particle\.energy is inf, expected finite \(2 such values\)",
        ),
        (
            {"phi": [0.0, 3.15, 0.0, 0.0, 0.0]},
            r"event 0: Particle\.phi is 3\.15, expected in \(-pi, pi\]",
        ),
        ({"type": [1, 2, 0, 5, 7]}, r"event 2: Particle\.type is 7, expected 0\.\.6"),
        ({"type": [-1, 2, 0, 5, 6]}, r"event 0: Particle\.type is -1, expected 0\.\.6"),
        ({"met": [10.0, -1.0, 0.0]}, r"event 1: MET\.pt is -1\.0"),
        ({"met_phi": [0.0, 0.0, 4.0]}, r"event 2: MET\.phi is 4\.0"),
        ({"weight": [1.0, np.nan, 1.0]}, r"event 1: weight is nan, expected finite"),
        ({"role": "sginal"}, r"role 'sginal' is unknown; the roles are background, signal, data"),
    ],
)
def test_what_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(EventError, match=message):
        make_events(**{**THREE, **change})


def test_missing_fields_are_named() -> None:
    events = make_events(**THREE)
    with pytest.raises(
        EventError,
        match=(
            r"events have no field 'weight' \(found: Particle, MET, event, source\); use "
            r"make_events"
        ),
    ):
        check_events(ak.without_field(events, "weight"))
    with pytest.raises(
        EventError, match=r"events\.Particle has no field 'type' \(found: pt, eta, phi, energy\)"
    ):
        check_events(ak.without_field(events, ("Particle", "type")))


def test_the_input_is_copied() -> None:
    weight = np.ones(3)
    events = make_events(**THREE, weight=weight)
    weight[:] = 5
    assert events.weight.to_list() == [1.0, 1.0, 1.0]


def test_types_for_what_knows_seven() -> None:
    events = make_events(**THREE, dataset="ttbarW", role="background")
    assert particle_types(events).tolist() == ak.flatten(events.Particle["type"]).to_list()
    assert particle_types(events[:0]).dtype == np.int64
    jet = constituents(types=["h+", "g", "h0", "h+"])
    message = (
        r"data set 'jets': 3 of 4 particles are of type h\+, h0, known here are j, b, e\+, e-, "
        r"m\+, m-, g\. Leave them out of events\.Particle \(Particle\[Particle\['type'\] < 7\]\), "
        r"or use a tokenizer or detector of your own"
    )
    with pytest.raises(EventError, match=message):
        particle_types(jet)
    known = ak.with_field(jet, jet.Particle[jet.Particle["type"] < 7], "Particle")
    assert particle_types(known).tolist() == [PARTICLE_TYPES.index("g")]


def constituents(types: list[str]) -> ak.Array:
    """One jet of these constituents as an event."""
    n = len(types)
    return make_events(
        counts=[n],
        pt=[5.0] * n,
        eta=[0.1] * n,
        phi=[1.0] * n,
        energy=[6.0] * n,
        met=[0.0],
        met_phi=[0.0],
        type=[CONSTITUENT_TYPES.index(one) for one in types],
        types=CONSTITUENT_TYPES,
        dataset="jets",
        role="background",
    )


def test_metadata_travel_with_cuts_and_pickles() -> None:
    events = make_events(**THREE, dataset="ttbarW", role="background")
    for other in (
        events[:2],
        events[ht(events) > 100],
        events[[2, 0]],
        events[:0],
        ak.with_field(events, [1, 2, 3], "n"),
    ):
        assert metadata(other) == {"dataset": "ttbarW", "role": "background"}
    assert metadata(ak.from_buffers(*ak.to_buffers(events))) == metadata(events)
    assert metadata(with_metadata(events, dataset="x", role=None)) == {"dataset": "x"}
    assert metadata(events) == {"dataset": "ttbarW", "role": "background"}
    arrays = pickle.loads(pickle.dumps(ak.to_buffers(events)))
    assert metadata(ak.from_buffers(*arrays)) == metadata(events)


def test_a_signal_cannot_take_over_the_role_of_a_background() -> None:
    background = make_events(**THREE, dataset="ttbarW", role="background")
    other = make_events(**THREE, dataset="ttbarZ", role="background")
    signal = make_events(**THREE, dataset="4top", role="signal")
    assert metadata(concatenate([background, other])) == {
        "dataset": "ttbarW+ttbarZ",
        "role": "background",
    }
    assert metadata(concatenate([background, background])) == {
        "dataset": "ttbarW",
        "role": "background",
    }
    assert metadata(concatenate([background, signal])) == {"dataset": "ttbarW+4top"}
    assert metadata(concatenate([background, make_events(**THREE)])) == {"dataset": "ttbarW+"}
    for mixed in (ak.concatenate([background, signal]), ak.concatenate([signal, background])):
        assert metadata(mixed).get("role") is None
    assert concatenate([background, signal]).Particle.mass.ndim == 2
    with pytest.raises(EventError, match=r"there is nothing to concatenate"):
        concatenate([])


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, bad) for name in ("pt", "eta", "phi", "energy") for bad in (np.nan, np.inf)),
        *((name, -np.inf) for name in ("eta", "energy")),
        *(("pt", -0.1), ("phi", 3.143), ("phi", -3.143), ("type", -1), ("type", 7)),
        *(("met", -0.1), ("met", np.nan), ("met_phi", 3.143), ("weight", np.inf)),
    ],
)
def test_an_illegal_value_is_found_wherever_it_is(name: str, value: float, place: int) -> None:
    given: dict[str, Any] = {key: [5.0, 6.0, 7.0] for key in ("pt", "energy", "met", "weight")}
    given |= {key: [-3.142, 0.0, 3.142] for key in ("eta", "phi", "met_phi")}
    given |= {"type": [0, 3, 6], "counts": [1, 1, 1]}
    make_events(**given)
    column = [*given[name]]
    column[place] = value
    with pytest.raises(EventError, match=rf"^event {place}: .*\(1 such values\)"):
        make_events(**{**given, name: column})


def test_a_number_of_particles_is_not_negative() -> None:
    with pytest.raises(EventError, match=r"counts are \[2, -1, 4\], expected a number"):
        make_events(**{**THREE, "counts": [2, -1, 4]})


@given(st.lists(st.integers(0, 5), max_size=8))
def test_any_multiplicity(counts: list[int]) -> None:
    n = sum(counts)
    events = make_events(
        counts=counts,
        pt=np.arange(n),
        eta=np.zeros(n),
        phi=np.zeros(n),
        energy=np.arange(n),
        type=np.zeros(n, int),
        met=np.zeros(len(counts)),
        met_phi=np.zeros(len(counts)),
    )
    assert ak.num(events.Particle).to_list() == counts
    assert n_jets(events).tolist() == counts
    assert ak.flatten(events.Particle.pt).to_list() == list(range(n))
