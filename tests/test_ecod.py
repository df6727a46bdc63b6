"""ECOD: tails of each feature, from background alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contracts import check_detector, no_particles
from pyod.models.ecod import ECOD as PyodECOD

from hepmtp.detectors import training_events
from hepmtp.detectors.ecod import ECOD
from hepmtp.errors import NotFittedError, OptionError
from hepmtp.events.observables import EVENT_FEATURES, event_features


@pytest.fixture(scope="module")
def events(background: Any) -> Any:
    return background[::4]


@pytest.mark.parametrize("aggregate", ["event", "feature"])
def test_contract(events: Any, tmp_path: Path, aggregate: Any) -> None:
    # a sum of pt in another order rounds to another place among the training events
    check_detector(
        lambda: ECOD(("n_jets", "ht", "met"), aggregate=aggregate), events, tmp_path, order=0.1
    )


def test_scores_of_training_events_are_those_of_pyod(events: Any) -> None:
    training = training_events(events)
    expected = PyodECOD().fit(event_features(training)).decision_scores_
    found = ECOD(aggregate="feature").fit(events).score(training)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_score_is_the_largest_of_three_sums(events: Any) -> None:
    """Algorithm 1 of the paper as loops over the features, on 15 events."""
    features = ("met", "lepton_charge", "jet_abs_eta")
    detector = ECOD(features=features).fit(events)
    assert detector.sorted_ is not None
    scores, numbers = detector.score(events[:15]), event_features(events[:15])
    for event in range(15):
        x = {name: numbers[event, i] for i, name in enumerate(EVENT_FEATURES) if name in features}
        left, right, own = [], [], []
        for name, column in zip(features, detector.sorted_, strict=True):
            n = len(column)
            left.append(-np.log(max(np.sum(column <= x[name]), n / (n + 1)) / n))
            right.append(-np.log(max(np.sum(column >= x[name]), n / (n + 1)) / n))
            own.append(left[-1] if np.mean((column - column.mean()) ** 3) < 0 else right[-1])
        assert scores[event] == pytest.approx(max(sum(left), sum(right), sum(own)))


def test_tails_of_numbers_written_out() -> None:
    training = np.arange(1.0, 101.0).tolist()
    detector = ECOD(features=("met",)).fit(no_particles(training))
    assert detector.sorted_ is not None
    kept = detector.sorted_[0]
    n = len(kept)
    events = no_particles([kept[0], kept[-1], kept[-1] + 1, kept[-1] + 1000, kept[n // 2]])
    expected = [np.log(n), np.log(n), np.log(n + 1), np.log(n + 1), np.log(n / (n - n // 2))]
    np.testing.assert_allclose(detector.score(events), expected, rtol=1e-12, atol=0.05)


def test_options_and_use_before_fit(events: Any) -> None:
    with pytest.raises(
        OptionError, match=r"aggregate must be one of \('event', 'feature'\), found 'sum'"
    ):
        ECOD(aggregate="sum")  # type: ignore[arg-type]
    with pytest.raises(NotFittedError, match=r"this ECOD is not fitted yet: call fit"):
        ECOD().score(events)
