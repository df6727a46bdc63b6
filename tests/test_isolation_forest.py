"""The isolation forest: our own trees, scikit-learn's scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.ensemble
from contracts import check_detector, no_particles, one_each

from hepmtp.detectors import load_detector, training_events
from hepmtp.detectors.isolation_forest import IsolationForest
from hepmtp.errors import NotFittedError, OptionError
from hepmtp.events.observables import EVENT_FEATURES, event_features


@pytest.fixture(scope="module")
def events(background: Any) -> Any:
    return background[::4]


def test_contract(events: Any, tmp_path: Path) -> None:
    check_detector(lambda: IsolationForest(trees=10), events, tmp_path)


@pytest.mark.parametrize("tree_events", [100, 10_000])
def test_scores_are_those_of_scikit_learn(events: Any, tree_events: int) -> None:
    detector = IsolationForest(trees=30, tree_events=tree_events, seed=3).fit(events)
    training = event_features(training_events(events))
    forest = sklearn.ensemble.IsolationForest(
        n_estimators=30, max_samples=min(tree_events, len(training)), random_state=3
    ).fit(training.astype(np.float32))
    x = event_features(events)
    np.testing.assert_allclose(
        detector.score(events), -forest.score_samples(x.astype(np.float32)), rtol=1e-12
    )
    assert (forest.max_samples_ == 100) == (tree_events == 100)


def test_a_tree_of_three_values_by_hand() -> None:
    """One feature with values 1, 2 and 100: path lengths follow from the cuts."""
    met = np.repeat([1.0, 2.0, 100.0], 40)
    events = no_particles(met.tolist())
    detector = IsolationForest(features=("met",), trees=200).fit(events)
    low, _, high = (detector.score(events[met == value])[0] for value in (1.0, 2.0, 100.0))
    assert high > low  # a cut at random falls between 2 and 100 in 98 of 99 cases


def test_a_seed_gives_the_same_forest(events: Any) -> None:
    first, again, other = (
        IsolationForest(trees=5, seed=seed).fit(events).score(events) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_absurd_numbers_score(events: Any) -> None:
    detector = IsolationForest(trees=5).fit(events)
    event = one_each(pt=[1e200], energy=[1e200], met=[1e300])
    assert np.isfinite(detector.score(event)).all()


def test_options_are_saved_and_checked(events: Any, tmp_path: Path) -> None:
    detector = IsolationForest(
        features=("ht", "met"), name="two", trees=4, tree_events=50, seed=9
    ).fit(events)
    detector.save(tmp_path / "two")
    loaded = load_detector(tmp_path / "two")
    assert isinstance(loaded, IsolationForest)
    options = ("features", "name", "trees", "tree_events", "seed", "n_parameters")
    assert [getattr(loaded, one) for one in options] == [("ht", "met"), "two", 4, 50, 9, 0]
    with pytest.raises(
        OptionError, match=r"trees and tree_events must be 1 or more, found 0 and 256"
    ):
        IsolationForest(trees=0)
    with pytest.raises(
        OptionError, match=r"event features \['mass'\] are unknown or none; there are n_jets, n_b"
    ):
        IsolationForest(features=("ht", "mass")).fit(events)
    with pytest.raises(NotFittedError, match=r"this IsolationForest is not fitted yet: call fit"):
        IsolationForest().score(events)
    assert IsolationForest().features == tuple(EVENT_FEATURES)
