"""Log p and likelihood ratios of language models: the contract, exact values, what is refused."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import torch
from contracts import check_detector
from test_jet_density import make as make_density
from toy_jets import toy_jets

import hepmtp as hm
from hepmtp.detectors import trained_on
from hepmtp.detectors.likelihood import JetLogDensity, JetRatioDetector
from hepmtp.errors import NotFittedError, OptionError, StorageError, TrainingError
from hepmtp.storage import open_once


def untrained(**changed: Any) -> hm.JetLanguageModel:
    return make_density(**changed).model


@pytest.fixture(scope="module")
def qcd() -> ak.Array:
    return toy_jets(300)


@pytest.fixture(scope="module")
def background(qcd: ak.Array) -> hm.JetLanguageModel:
    return untrained().fit(qcd)


@pytest.fixture(scope="module")
def signal(background: hm.JetLanguageModel) -> hm.JetLanguageModel:
    top = toy_jets(300, prongs=3, role="signal", seed=1, source=9)
    return untrained().fit(top, start_from=background)


def test_contract_of_the_ratio(qcd: ak.Array, signal: hm.JetLanguageModel, tmp_path: Path) -> None:
    def make() -> JetRatioDetector:
        own = hm.JetLanguageModel(signal.tokenizer, signal.model, signal.training)
        return JetRatioDetector(signal, own)

    found = check_detector(make, qcd, tmp_path, rtol=1e-3)
    assert (found.name, found.supervised) == ("jet_ratio_toy3_toy1", True)


def test_contract_of_log_p(qcd: ak.Array, tmp_path: Path) -> None:
    found = check_detector(lambda: JetLogDensity(untrained()), qcd, tmp_path, rtol=1e-4)
    assert (found.name, found.supervised) == ("log_p_toy1", False)
    assert found.with_score("mean").name == "log_p_per_term_toy1"


def test_scores_are_densities(
    qcd: ak.Array, background: hm.JetLanguageModel, signal: hm.JetLanguageModel
) -> None:
    one, other = (model.density(qcd) for model in (signal, background))
    ratio = JetRatioDetector(signal, background).fit_to_held_out()
    np.testing.assert_array_equal(ratio.score(qcd), one.log_p - other.log_p)
    top = toy_jets(100, prongs=3, seed=5)
    assert ratio.score(top).mean() > ratio.score(qcd).mean() + 1
    log_p = JetLogDensity(signal).fit_to_held_out()
    np.testing.assert_array_equal(log_p.score(qcd), one.log_p)
    np.testing.assert_array_equal(log_p.with_score("mean").score(qcd), one.per_term)
    assert log_p.supervised
    # what an array was asked is remembered, and a changed array is another one
    again = background.density(qcd)
    assert background.density(qcd) is again
    turned = ak.with_field(qcd, qcd.Particle[:, ::-1], "Particle")
    assert background.density(turned) is not again


def test_all_that_trained_either_model_is_known(
    qcd: ak.Array, background: hm.JetLanguageModel, signal: hm.JetLanguageModel
) -> None:
    ratio = JetRatioDetector(signal, background).fit_to_held_out()
    spans = trained_on([ratio])
    assert spans is not None
    assert [(one.source, one.start, one.stop) for one in spans] == [(7, 0, 300), (9, 0, 300)]
    log_p = JetLogDensity(signal).fit_to_held_out()
    assert trained_on([log_p]) == spans  # it has started from the model of background


def test_excess_is_observed_minus_expected_surprise(background: hm.JetLanguageModel) -> None:
    """Term by term, from all outcomes of each softmax."""
    jet = toy_jets(3, seed=2)
    tokens, model = background.tokenizer.encode(jet), background.fitted_model
    found = background.density(jet)
    for i in range(3):
        state, expected, variance = model.begin(1), 0.0, 0.0
        with torch.no_grad():
            for value in (*tokens.select([i]).values.tolist(), model.vocab_size):
                for log_p in _asked(model, state, value):
                    p = np.exp(log_p)
                    mean = float((p * np.where(p > 0, log_p, 0)).sum())
                    expected += mean
                    variance += float((p * np.where(p > 0, (log_p - mean) ** 2, 0)).sum())
                if value < model.vocab_size:
                    state = model.step(torch.tensor([value]), state)
        assert found.expected[i] == pytest.approx(expected, abs=1e-3)
        assert found.variance[i] == pytest.approx(variance, rel=1e-4)
        excess = (expected - found.log_p[i]) / np.sqrt(variance)
        assert found.excess[i] == pytest.approx(excess, abs=1e-3)
    _check_own(background, 2000)


def _check_own(model: hm.JetLanguageModel, n: int) -> None:
    """Over the model's own jets surprises are as expected, and spread as expected, in the mean."""
    own = model.density(model.tokenizer.decode(model.sample(n, seed=4)))
    apart = own.expected - own.log_p
    for one in (apart, apart**2 - own.variance):
        assert abs(one.mean()) < 4 * one.std() / np.sqrt(n)


def _asked(model: Any, state: Any, value: int) -> list[np.ndarray]:
    """Log-probabilities of each softmax that this token, or stop, has asked."""
    asked = [model.first(state)[0].numpy()]
    if value < model.vocab_size:
        digits = model.digits[value][None]
        asked += [model.other(factor, state, digits)[0].numpy() for factor in (1, 2)]
    return asked


def test_joint_models_have_an_excess_too(qcd: ak.Array) -> None:
    joint = untrained(form="joint").fit(qcd)
    _check_own(joint, 500)


def test_models_that_make_no_ratio_are_refused(
    qcd: ak.Array, background: hm.JetLanguageModel, signal: hm.JetLanguageModel
) -> None:
    with pytest.raises(TrainingError, match=r"the model of 'toy3' has seen signal"):
        JetRatioDetector(background, signal)
    with pytest.raises(OptionError, match=r"both models are of 'toy1'"):
        JetRatioDetector(background, background)
    other = untrained()
    other.tokenizer.reach = 0.5
    with pytest.raises(OptionError, match=r"have different bins: train one of them with --start"):
        JetRatioDetector(signal, other).fit(qcd)
    with pytest.raises(NotFittedError):
        JetRatioDetector(untrained(), background)
    with pytest.raises(OptionError, match=r"'pt' is unknown; there are sum, mean"):
        JetLogDensity(signal, "pt")


def test_a_saved_model_travels_as_path_and_digest(
    background: hm.JetLanguageModel, signal: hm.JetLanguageModel, tmp_path: Path
) -> None:
    for name, model in (("qcd", background), ("top", signal)):
        model.save(tmp_path / name)
    models = [hm.JetLanguageModel.load(tmp_path / name) for name in ("top", "qcd")]
    ratio = JetRatioDetector(*models).fit_to_held_out()
    data = pickle.dumps(ratio)
    assert len(data) < 3000
    open_once.cache_clear()
    jets = toy_jets(20, seed=3)
    opened = [pickle.loads(data) for _ in range(3)]
    assert open_once.cache_info().misses == 2
    np.testing.assert_array_equal(opened[0].score(jets), ratio.score(jets))
    # a copy is one's own, to train on
    mine = copy.deepcopy(opened[0].background)
    assert mine.fitted_model is not opened[0].background.fitted_model
    signal.save(tmp_path / "qcd")
    open_once.cache_clear()
    with pytest.raises(StorageError, match=r"is not the JetLanguageModel that the processor"):
        pickle.loads(data)


def test_a_model_of_before_has_a_range_from_what_it_makes(
    background: hm.JetLanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hepmtp.detectors.likelihood._MADE", 60)
    background.save(tmp_path / "lm")
    loaded = hm.JetLanguageModel.load(tmp_path / "lm")
    assert loaded.held_out_ == background.held_out_
    expected = JetLogDensity(background).fit_to_held_out().axis
    assert JetLogDensity(loaded).fit_to_held_out().axis == expected
    loaded.held_out_ = None
    axis = JetLogDensity(loaded).fit_to_held_out().axis
    assert axis.edges[0] < background.density(toy_jets(50, seed=8)).log_p.mean() < axis.edges[-1]
