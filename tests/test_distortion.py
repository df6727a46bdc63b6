"""The DDD-style detector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contracts import check_detector

from hepmtp.detectors import load_detector
from hepmtp.detectors.combination import Combination
from hepmtp.detectors.distortion import VALIDATION_COPIES, DistortionDetector, _copies
from hepmtp.detectors.observables import Observable
from hepmtp.errors import NotFittedError
from hepmtp.events.distortions import distort
from hepmtp.events.split import part_of
from hepmtp.models.classifier import ClassifierOptions, inputs_of
from hepmtp.statistics.metrics import auc
from hepmtp.training.classify import ClassifierTraining


def tiny(**training: Any) -> DistortionDetector:
    return DistortionDetector(
        model=ClassifierOptions(width=16, heads=2, layers=1, feedforward=32),
        training=ClassifierTraining(**{"epochs": 1, **training}),
    )


# sums of float32 depend on the order of the particles and on the events beside
def test_contract(background: Any, tmp_path: Path) -> None:
    check_detector(tiny, background[::3], tmp_path, rtol=2e-5)


def test_distorted_events_score_higher(background: Any) -> None:
    detector = tiny(epochs=4, batch_events=64, learning_rate=1e-2).fit(background)
    held_out = part_of(background, "analysis")
    distorted = distort(held_out, np.random.default_rng(5))
    area = auc(detector.score(distorted), detector.score(held_out))
    assert area.value > 0.55 + 2 * area.error
    assert [row["epoch"] for row in detector.history_] == [1, 2, 3, 4]


def test_validation_events_are_drawn_once(background: Any) -> None:
    found = _copies(background[:50], np.random.default_rng(1))
    assert found.labels.tolist() == [0] * 50 + [1] * 50 * VALIDATION_COPIES
    assert found.weights[0] == pytest.approx(VALIDATION_COPIES * found.weights[-1])
    assert found.weights.mean() == pytest.approx(1)
    np.testing.assert_array_equal(found.inputs.met[:50], inputs_of(background[:50]).met)
    copies = found.inputs.met[50:].reshape(VALIDATION_COPIES, 50, 3)
    assert not np.array_equal(copies[0], copies[1])


def test_everything_is_saved(background: Any, tmp_path: Path) -> None:
    detector = tiny(seed=4).fit(background[:400])
    detector.save(tmp_path / "detector")
    loaded = load_detector(tmp_path / "detector")
    assert isinstance(loaded, DistortionDetector)
    for name in ("model", "training", "name", "history_"):
        assert getattr(loaded, name) == getattr(detector, name)
    np.testing.assert_array_equal(
        loaded.fit(background[:400]).score(background), detector.score(background)
    )
    assert "DDD-style" in detector.description


def test_parameters_are_counted_in_a_combination_too(background: Any) -> None:
    # two inputs, a block (norms, queries keys and values, output, two layers), norm, output
    expected = (
        12 * 16
        + 16
        + 4 * 16
        + 16
        + 64
        + 16 * 48
        + 48
        + 16 * 16
        + 16
        + 16 * 32
        + 32
        + 32 * 16
        + 16
        + 32
        + 17
    )
    detector = tiny().fit(background[:400])
    assert detector.n_parameters == expected
    assert Combination([detector, Observable("ht")], "or").n_parameters == expected


def test_before_fit(background: Any, tmp_path: Path) -> None:
    with pytest.raises(
        NotFittedError, match=r"this DistortionDetector is not fitted yet: call fit"
    ):
        tiny().score(background)
    with pytest.raises(
        NotFittedError, match=r"this DistortionDetector is not fitted yet: call fit"
    ):
        tiny().save(tmp_path / "x")
