"""What is asked of the same events twice is computed once."""

from __future__ import annotations

import gc
import pickle
import weakref

import awkward as ak
import numpy as np
import pytest

from hepmtp.events import make_events, n_b, n_jets, n_leptons
from hepmtp.events.dileptons import NO_PAIR, distance_to_z
from hepmtp.events.entering import as_events
from hepmtp.events.kinematics import kinematics
from hepmtp.events.observables import KNOWN_FEATURES, event_features, ht, jets, pt_of, type_counts
from hepmtp.events.once import once
from hepmtp.events.record import behavior


def three_events() -> ak.Array:
    """A jet, an electron and a positron; nothing; two b-jets and a muon."""
    return make_events(
        counts=[3, 0, 3],
        pt=[90.0, 45.0, 46.0, 70.0, 50.0, 20.0],
        eta=[0.1, 0.0, 0.0, -1.0, 0.5, 2.0],
        phi=[1.0, 0.0, 3.1, -2.0, 1.5, 0.3],
        energy=[95.0, 45.0, 46.0, 110.0, 60.0, 76.0],
        type=[0, 3, 2, 1, 1, 5],
        met=[30.0, 5.0, 60.0],
        met_phi=[0.0, 1.0, -1.0],
    )


def anew(events: ak.Array) -> ak.Array:
    """The same events in an array that nothing is known of."""
    return ak.Array(events.layout.copy(), behavior=behavior)


def test_a_function_is_called_once_for_the_same_events_and_again_for_others() -> None:
    asked = []

    @once
    def number(events: ak.Array) -> np.ndarray:
        asked.append(len(events))
        return np.asarray(ak.num(events.Particle))

    events = three_events()
    for one in (events, events, events[:2], anew(events)):
        assert number(one).tolist() == [3, 0, 3][: len(one)]
    assert asked == [3, 2, 3]


def test_a_failure_is_not_kept() -> None:
    answers = iter([ValueError("no number yet"), 7])

    @once
    def number(_: ak.Array) -> int:
        found = next(answers)
        if isinstance(found, Exception):
            raise found
        return found

    events = three_events()
    with pytest.raises(ValueError, match="no number yet"):
        number(events)
    assert number(events) == number(events) == 7


def test_what_a_caller_changes_is_its_own_copy() -> None:
    events = three_events()
    for function in (n_jets, ht, event_features, kinematics):
        found = function(events)
        found[:] = -1
        np.testing.assert_array_equal(function(events), function(anew(events)))


def test_a_new_field_makes_other_events() -> None:
    events = three_events()
    assert n_jets(events).tolist() == [1, 0, 2]
    assert as_events(events) is events
    events["Particle"] = events.Particle[events.Particle.pt > 60]
    assert n_jets(events).tolist() == [1, 0, 1]
    assert ht(events).tolist() == [90.0, 0.0, 70.0]


def test_what_was_found_goes_with_the_events() -> None:
    events = three_events()
    kinematics(events), event_features(events), distance_to_z(events)
    content = weakref.ref(events.layout)
    del events
    gc.collect()
    assert content() is None


def test_the_functions_of_a_module_still_pickle() -> None:
    assert pickle.loads(pickle.dumps(n_b)) is n_b


@pytest.mark.parametrize("name", KNOWN_FEATURES)
def test_an_observable_does_not_depend_on_what_was_asked_before(name: str) -> None:
    events = three_events()
    event_features(events), kinematics(events), n_leptons(events)
    function = KNOWN_FEATURES[name].function
    np.testing.assert_array_equal(function(events), function(anew(events)))


def test_numbers_of_three_events() -> None:
    events = three_events()
    assert [pt_of(jets, i)(events).tolist() for i in (1, 2, 3)] == [
        [90.0, 0.0, 70.0],
        [0.0, 0.0, 50.0],
        [0.0, 0.0, 0.0],
    ]
    assert type_counts(events).sum(axis=0).tolist() == [1, 2, 1, 1, 0, 1, *[0] * 5]
    near, *none = distance_to_z(events)
    assert near < 1.0
    assert none == [NO_PAIR] * 2
