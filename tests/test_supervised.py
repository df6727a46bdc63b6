"""The supervised ceiling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contracts import check_detector

from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import embedded
from hepmtp.detectors import load_detector
from hepmtp.detectors.supervised import SupervisedDetector, _against, _signal_events
from hepmtp.errors import NotFittedError, TrainingError
from hepmtp.events.record import concatenate, with_metadata
from hepmtp.events.split import part_of
from hepmtp.models.classifier import ClassifierOptions
from hepmtp.statistics.metrics import auc
from hepmtp.training.classify import ClassifierTraining


@pytest.fixture(scope="module")
def gluino() -> Any:
    return read([one for one in embedded() if one.name == "glgl1600_neutralino800"], stop=800)


def tiny(signal: Any, **training: Any) -> SupervisedDetector:
    return SupervisedDetector(
        signal,
        model=ClassifierOptions(width=16, heads=2, layers=1, feedforward=32),
        training=ClassifierTraining(**{"epochs": 1, **training}),
    )


# sums of float32 depend on the order of the particles and on the events beside
def test_contract(background: Any, gluino: Any, tmp_path: Path) -> None:
    detector = check_detector(lambda: tiny(gluino[:200]), background[::3], tmp_path, rtol=2e-5)
    assert getattr(detector, "supervised", False)
    assert "no anomaly detector" in detector.description


def test_signal_scores_higher(background: Any, gluino: Any) -> None:
    detector = tiny(gluino, epochs=2, batch_events=64, learning_rate=5e-3).fit(background)
    held_out = (detector.score(part_of(events, "analysis")) for events in (gluino, background))
    assert auc(*held_out).value > 0.9


def test_only_training_and_validation_signal_is_used(background: Any, gluino: Any) -> None:
    some = background[:400]
    scores = tiny(gluino).fit(some).score(some)
    parts = concatenate(
        [part_of(gluino, "validation"), part_of(gluino, "train")[::-1]]
    )  # in another order
    np.testing.assert_array_equal(tiny(parts).fit(some).score(some), scores)
    fewer = concatenate([part_of(gluino, "validation"), part_of(gluino, "train")[1:]])
    assert not np.array_equal(tiny(fewer).fit(some).score(some), scores)


def test_every_process_counts_alike(background: Any, gluino: Any) -> None:
    some = concatenate(
        [background[:300], background[400:500]]
    )  # 300 of one process, 100 of another
    found = _against(some, gluino[:100])
    assert found.labels.sum() == 100
    assert found.weights[:300].sum() == pytest.approx(found.weights[300:400].sum())
    assert found.weights[:400].sum() == pytest.approx(found.weights[400:].sum())


def test_refusals(background: Any, gluino: Any) -> None:
    with pytest.raises(TrainingError, match=r"fitted with labels: give it signal events"):
        SupervisedDetector().fit(background)
    for role in ("background", "data", None):
        wrong = with_metadata(gluino, dataset="glgl", role=role)
        with pytest.raises(
            TrainingError, match=r"is data set 'glgl' with role .*, expected 'signal'"
        ):
            tiny(wrong).fit(background)
    with pytest.raises(
        TrainingError, match=r"none of the \d+ signal events is in the validation part"
    ):
        tiny(part_of(gluino, "train")).fit(background)
    with pytest.raises(TrainingError, match=r"none of the 0 signal events is in the train part"):
        _signal_events(gluino[:0], "train")


def test_the_saved_folder_holds_no_signal(background: Any, gluino: Any, tmp_path: Path) -> None:
    detector = tiny(gluino, seed=4).fit(background[:400])
    detector.save(tmp_path / "detector")
    loaded = load_detector(tmp_path / "detector")
    assert isinstance(loaded, SupervisedDetector)
    assert loaded.signal is None
    assert (
        loaded.n_parameters
        == detector.n_parameters
        == sum(one.numel() for one in detector.fitted_model.parameters())
    )
    for name in ("model", "training", "name", "history_"):
        assert getattr(loaded, name) == getattr(detector, name)
    np.testing.assert_array_equal(loaded.score(background), detector.score(background))
    with pytest.raises(TrainingError, match=r"give it signal events"):
        loaded.fit(background)
    assert sum(path.stat().st_size for path in (tmp_path / "detector").iterdir()) < 100_000


def test_before_fit(background: Any, gluino: Any, tmp_path: Path) -> None:
    with pytest.raises(
        NotFittedError, match=r"this SupervisedDetector is not fitted yet: call fit"
    ):
        tiny(gluino).score(background)
    with pytest.raises(
        NotFittedError, match=r"this SupervisedDetector is not fitted yet: call fit"
    ):
        tiny(gluino).save(tmp_path / "x")
