"""MET, METphi and 4-vector models: what each hides, and its report against counting by hand."""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import pytest

from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import embedded
from hepmtp.detectors.masked_token.detector import MaskedTokenDetector
from hepmtp.errors import OptionError, ScoreError
from hepmtp.events.record import with_metadata
from hepmtp.events.regions import PRESELECTION
from hepmtp.events.split import split_of
from hepmtp.models.masked import ModelOptions
from hepmtp.statistics.metrics import auc, balanced_weights
from hepmtp.studies.prediction import (
    PREDICTIONS,
    prediction_detector,
    prediction_report,
    row_shares,
)
from hepmtp.tokenizers.lookup import LookupTokenizer
from hepmtp.training.masking import TrainingOptions

MODEL = ModelOptions(width=16, feedforward=32, heads=2, layers=1)
TRAINING = TrainingOptions(epochs=2, batch_events=128, seed=5)


@pytest.fixture(scope="module")
def processes() -> dict[str, ak.Array]:
    """The first events of two background data sets."""
    return {one.name: read([one], stop=300) for one in embedded() if one.role == "background"}


@pytest.fixture(scope="module")
def signal() -> ak.Array:
    return read((one for one in embedded() if one.name == "4top"), stop=200)


@pytest.fixture(scope="module")
def fitted(background: ak.Array) -> dict[str, MaskedTokenDetector]:
    return {
        name: prediction_detector(name, model=MODEL, training=TRAINING).fit(background)
        for name in PREDICTIONS
    }


@pytest.mark.parametrize(
    ("name", "kinds", "hide"),
    [
        ("MET-model", ("particle", "MET"), ("MET",)),
        ("METphi-model", ("particle", "METphi"), ("METphi",)),
        ("4VECT-model", ("particle",), ("particle",)),
    ],
)
def test_presets(
    fitted: dict[str, MaskedTokenDetector], name: str, kinds: tuple[str, ...], hide: tuple[str, ...]
) -> None:
    detector = fitted[name]
    assert detector.fitted_model.kinds == kinds
    assert detector.training.hide == hide
    assert (detector.training.seed, detector.model) == (5, MODEL)
    assert detector.form in detector.forms
    assert set(PREDICTIONS) == set(fitted)


@pytest.mark.parametrize(
    ("name", "heads"),
    [
        ("MET-model", ["MET"]),
        ("METphi-model", ["METphi"]),
        ("4VECT-model", ["type", "pt", "eta", "phi"]),
    ],
)
def test_report_equals_counting(
    fitted: dict[str, MaskedTokenDetector],
    processes: dict[str, ak.Array],
    signal: ak.Array,
    name: str,
    heads: list[str],
) -> None:
    detector = fitted[name]
    report = prediction_report(detector, processes, signal)
    assert list(report.background) == list(report.signal) == heads
    factors = [factor for factor, _ in detector.tokenizer.factors]
    found: dict[str, list[Any]] = {"score": [], "process": []}
    counts = {head: np.zeros_like(matrix) for head, matrix in report.background.items()}
    for process, events in processes.items():
        tokens = detector.tokenizer.encode(events[split_of(events) == "analysis"])
        surprises = detector.surprises(tokens)
        surprise, predicted = surprises.surprise, surprises.predicted
        digits = detector.tokenizer.digits[tokens.values]
        for start, stop in zip(tokens.offsets[:-1], tokens.offsets[1:], strict=True):
            rows = [row for row in range(start, stop) if digits[row, factors.index(heads[0])] >= 0]
            found["score"].append(np.mean([surprise[row].sum() for row in rows]))
            found["process"].append(process)
            for row in rows:
                for head in heads:
                    counts[head][
                        digits[row, factors.index(head)], predicted[row, factors.index(head)]
                    ] += 1
    for head, matrix in report.background.items():
        assert np.array_equal(matrix, counts[head])
    tokens = detector.tokenizer.encode(signal[split_of(signal) == "analysis"])
    surprise = (
        detector.surprises(tokens).surprise[:, [factors.index(head) for head in heads]].sum(axis=1)
    )
    has = detector.tokenizer.digits[tokens.values, factors.index(heads[0])] >= 0
    of_signal = np.bincount(tokens.owner[has], surprise[has]) / np.bincount(tokens.owner[has])
    expected = auc(of_signal, found["score"], background_weight=balanced_weights(found["process"]))
    assert report.auc == pytest.approx(expected)


def test_region(
    fitted: dict[str, MaskedTokenDetector], processes: dict[str, ak.Array], signal: ak.Array
) -> None:
    report = prediction_report(fitted["MET-model"], processes, signal, region=PRESELECTION)
    chosen = PRESELECTION.select(signal) & (split_of(signal) == "analysis")
    assert report.signal["MET"].sum() == report.auc.n_signal == chosen.sum() < len(signal)


def test_nothing_left(
    fitted: dict[str, MaskedTokenDetector], processes: dict[str, ak.Array], signal: ak.Array
) -> None:
    with pytest.raises(ScoreError, match=r"found \d+ background and 0 signal events to predict in"):
        prediction_report(fitted["MET-model"], processes, signal[:0])


def test_every_token_where_none_is_named(background: ak.Array, signal: ak.Array) -> None:
    detector = MaskedTokenDetector(LookupTokenizer(), MODEL, TRAINING, tail_events=200).fit(
        background
    )
    report = prediction_report(
        detector, {"all": with_metadata(background, dataset="all", role="background")}, signal
    )
    assert list(report.background) == ["type", "pt", "eta", "phi", "MET", "METphi"]


def test_row_shares() -> None:
    assert row_shares(np.array([[1, 3], [0, 0]])).tolist() == [[0.25, 0.75], [0.0, 0.0]]


def test_unknown_name() -> None:
    with pytest.raises(
        OptionError,
        match=r"prediction 'HT-model' is unknown; there are MET-model, METphi-model, 4VECT",
    ):
        prediction_detector("HT-model")
