"""The classifier of jets: against a slow version, its training, labels, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import torch
from toy_jets import toy_jets

import hepmtp as hm
from hepmtp.errors import OptionError, StorageError, TrainingError
from hepmtp.events.split import split_of
from hepmtp.events.tokens import TokenBatch
from hepmtp.jets.tagger import JetTagger, choose_labels, name_of
from hepmtp.models.autoregressive import AutoregressiveModel
from hepmtp.models.autoregressive_options import AutoregressiveOptions
from hepmtp.models.jet_classifier import JetClassifier
from hepmtp.statistics.metrics import auc, roc
from hepmtp.statistics.rejection import rejection
from hepmtp.tokenizers.constituents import ConstituentTokenizer
from hepmtp.training.classify_jets import (
    JetClassifierTraining,
    LabelledJets,
    features_of,
    logits_of,
    train_jet_classifier,
)
from hepmtp.training.next_token import NextTokenOptions

SHAPE = AutoregressiveOptions(width=16, heads=2, layers=1, feedforward=32)


def make(**options: Any) -> JetTagger:
    training = {"epochs": 3, "batch_events": 32, "steps": 1, "learning_rate": 5e-3, **options}
    return JetTagger(
        ConstituentTokenizer(pt_edges=12, eta_edges=8, phi_edges=8),
        SHAPE,
        JetClassifierTraining(**training),
    )


@pytest.fixture(scope="module")
def qcd() -> ak.Array:
    return toy_jets(500)


@pytest.fixture(scope="module")
def top() -> ak.Array:
    return toy_jets(400, prongs=3, role="signal", seed=1, source=8)


@pytest.fixture(scope="module")
def language(qcd: ak.Array) -> hm.JetLanguageModel:
    tokenizer = ConstituentTokenizer(pt_edges=12, eta_edges=8, phi_edges=8)
    options = NextTokenOptions(epochs=1, batch_events=32, neighbours=8, learning_rate=5e-3)
    return hm.JetLanguageModel(tokenizer, SHAPE, options).fit(qcd)


@pytest.fixture(scope="module")
def fitted(qcd: ak.Array, top: ak.Array) -> JetTagger:
    return make().fit(qcd, top)


def test_logits_equal_those_of_single_jets(fitted: JetTagger, top: ak.Array) -> None:
    """No jet sees another one, an empty one is legal, and the order of jets has no effect."""
    model = fitted.fitted_model
    tokens = fitted.tokenizer.encode(top[:20]) + TokenBatch.from_counts([], [0])
    found = fitted.logits(tokens)
    for jet in range(21):
        one = tokens.select([jet])
        with torch.no_grad():
            hidden = model.backbone.hidden(*map(torch.as_tensor, (one.values, one.offsets)))
            slow = model.head(torch.cat([hidden.mean(dim=0), hidden[-1]]))
        assert found[jet] == pytest.approx(float(slow[0]), abs=1e-5)
    np.testing.assert_allclose(
        fitted.logits(tokens.select(np.arange(21)[::-1])), found[::-1], atol=1e-5
    )
    assert len(fitted.logits(tokens.select([]))) == 0


def test_both_classes_count_alike() -> None:
    jets = LabelledJets.of(
        TokenBatch.from_counts([5], [1]), TokenBatch.from_counts([6, 7, 8], [1] * 3)
    )
    assert jets.labels.tolist() == [0, 1, 1, 1]
    assert jets.weights.tolist() == pytest.approx([2, 2 / 3, 2 / 3, 2 / 3])
    with pytest.raises(TrainingError, match=r"jets of both classes, found 1 and 0: give more"):
        LabelledJets.of(TokenBatch.from_counts([5], [1]), TokenBatch.from_counts([], []))


def test_trainings_see_mirror_images_unless_told_otherwise(
    fitted: JetTagger, language: hm.JetLanguageModel, qcd: ak.Array, top: ak.Array
) -> None:
    assert len(fitted.tokenizer.mirrors) == len(language.tokenizer.mirrors) == 4
    as_they_are = make(mirrored=False).fit(qcd, top)
    assert as_they_are.history_[0] != fitted.history_[0]
    options = replace(language.training, mirrored=False)
    plain = hm.JetLanguageModel(language.tokenizer, SHAPE, options).fit(qcd)
    assert plain.history_[0] != language.history_[0]
    again = hm.JetLanguageModel(language.tokenizer, SHAPE, language.training).fit(qcd)
    assert again.history_ == language.history_


def test_a_tagger_tells_what_it_was_trained_on(
    fitted: JetTagger, qcd: ak.Array, top: ak.Array, tmp_path: Path
) -> None:
    sides = [one[split_of(one) == "analysis"] for one in (qcd, top)]
    scores = [fitted.score(one) for one in sides]
    assert auc(scores[1], scores[0]).value > 0.9
    assert fitted.classes_ == ("toy1", "toy3")
    assert {(one.source, one.start, one.stop) for one in fitted.trained_} == {
        (7, 0, 500),
        (8, 0, 400),
    }
    fitted.save(tmp_path / "tagger")
    again = JetTagger.load(tmp_path / "tagger")
    np.testing.assert_array_equal(again.score(sides[1]), scores[1])
    assert (again.classes_, again.history_, again.start_) == (
        fitted.classes_,
        fitted.history_,
        "scratch",
    )
    assert name_of(again) == "classifier of toy1 and toy3"
    with pytest.raises(StorageError, match=r"holds a .*JetTagger', expected a .*JetLanguageModel'"):
        hm.JetLanguageModel.load(tmp_path / "tagger")


def test_jets_of_the_analysis_part_have_no_effect(
    fitted: JetTagger, qcd: ak.Array, top: ak.Array
) -> None:
    without = [one[split_of(one) != "analysis"] for one in (qcd, top)]
    again = make().fit(*without)
    np.testing.assert_array_equal(again.score(top[:9]), fitted.score(top[:9]))


def test_a_frozen_backbone_stays_what_it_was(
    language: hm.JetLanguageModel, qcd: ak.Array, top: ak.Array
) -> None:
    before = {name: one.clone() for name, one in language.fitted_model.state_dict().items()}
    frozen = make(frozen=True, steps=40).fit(qcd, top, start_from=language, labels=40)
    whole = make().fit(qcd, top, start_from=language, labels=40)
    of_frozen, of_whole = (one.fitted_model.backbone.state_dict() for one in (frozen, whole))
    assert all(torch.equal(one, of_frozen[name]) for name, one in before.items())
    assert not all(torch.equal(one, of_whole[name]) for name, one in before.items())
    # the language model itself is no part of it
    assert all(
        torch.equal(one, before[name]) for name, one in language.fitted_model.state_dict().items()
    )
    assert frozen.start_ == "language model of toy1"
    assert frozen.tokenizer.identity == language.tokenizer.identity
    assert len(frozen.history_) > 3  # few labels take more epochs
    on = make(frozen=True).fit(qcd, top, start_from=frozen, labels=20)
    assert on.start_ == "classifier of toy1 and toy3"


def test_features_give_the_logits_of_the_whole(fitted: JetTagger, top: ak.Array) -> None:
    tokens = fitted.tokenizer.encode(top[:30])
    features = features_of(fitted.fitted_model, tokens)
    assert features.shape == (30, 32)
    np.testing.assert_allclose(
        logits_of(fitted.fitted_model, tokens, features), fitted.logits(tokens), atol=1e-5
    )


def test_a_head_learns_the_same_from_features_as_from_a_frozen_backbone(
    language: hm.JetLanguageModel, qcd: ak.Array, top: ak.Array
) -> None:
    def start() -> JetClassifier:
        torch.manual_seed(0)
        model = AutoregressiveModel(
            language.tokenizer.factors, language.tokenizer.digits, SHAPE,
            centres=language.tokenizer.centres,
        )  # fmt: skip
        return JetClassifier(model)

    tokens = [language.tokenizer.encode(one[:60]) for one in (qcd, top)]
    jets, models = LabelledJets.of(*tokens), (start(), start())
    options = JetClassifierTraining(epochs=2, batch_events=32, steps=1, frozen=True)
    first = train_jet_classifier(models[0], jets, jets, options=options)
    given = jets.frozen(features_of(models[1], jets.tokens))
    assert train_jet_classifier(models[1], given, given, options=options) == first


def test_labels_are_drawn_outside_the_analysis_part(qcd: ak.Array) -> None:
    some = choose_labels(qcd, 50, seed=1)
    assert (len(some.training), len(some.validation)) == (40, 10)
    both = np.concatenate(some)
    assert len(np.unique(both)) == 50
    assert "analysis" not in split_of(qcd)[both]
    assert set(both) != set(np.concatenate(choose_labels(qcd, 50, seed=2)))
    # the same jets, in whatever order they are read
    turned = choose_labels(qcd[::-1], 50, seed=1)
    assert (499 - turned.training).tolist() == some.training.tolist()
    everything = choose_labels(qcd, None, seed=0)
    assert set(split_of(qcd)[everything.training]) == {"train"}
    assert set(split_of(qcd)[everything.validation]) == {"validation"}
    n = len(everything.training) + len(everything.validation)
    for wrong in (n + 1, 4):
        with pytest.raises(OptionError, match=rf"{wrong} labels of toy1 .* there are {n} of 500"):
            choose_labels(qcd, wrong, seed=0)


class Killed(Exception):
    """What ends a training in the middle of its second epoch."""


def kill(epoch: int, step: int, steps: int, loss: float) -> None:
    if (epoch, step) == (2, 2):
        raise Killed("in the second epoch")


def test_resumed_equals_uninterrupted(
    fitted: JetTagger, qcd: ak.Array, top: ak.Array, tmp_path: Path
) -> None:
    folder = tmp_path / "checkpoint"
    with pytest.raises(Killed, match=r"in the second epoch"):
        make().fit(qcd, top, checkpoint=folder, progress=kill)
    resumed = make().fit(qcd, top, checkpoint=folder)
    assert resumed.history_ == fitted.history_
    np.testing.assert_array_equal(resumed.score(top[:9]), fitted.score(top[:9]))
    with pytest.raises(TrainingError, match=r"is of other events, options or model"):
        make().fit(qcd, top, labels=60, checkpoint=folder)


def test_what_does_not_fit_is_refused(
    language: hm.JetLanguageModel, qcd: ak.Array, top: ak.Array
) -> None:
    other = make()
    other.tokenizer.fit(qcd[:100])
    with pytest.raises(TrainingError, match=r"bins are not those of the model to start from"):
        other.fit(qcd, top, start_from=language)
    with pytest.raises(TrainingError, match=r"only background may be fitted on"):
        make().fit(top, qcd)
    with pytest.raises(OptionError, match=r"batch_events a multiple of it"):
        make(batch_events=30)


def test_rejection_is_that_of_the_least_background() -> None:
    # all signals tie with half of the background: a randomised cut takes as much of both
    signal, background = np.ones(100), np.repeat([1.0, 0.0], [50, 50])
    assert rejection(roc(signal, background), 0.5).value == pytest.approx(4)
    # above a signal of 400 lie 0.6 of the signal and 100 of 1000 jets of background
    curve = roc(np.arange(1000.0), np.arange(1000.0) - 500)
    found = rejection(curve, 0.6)
    assert found.value == pytest.approx(10, rel=0.02)
    assert found.n_background == pytest.approx(100, abs=1)
    # relative errors of eps_B, and of the threshold where eps_S moves by its error
    assert found.error == pytest.approx(10 * np.hypot(0.095, 0.155), rel=0.02)
    assert rejection(curve, 0.49).value is None
    with pytest.raises(OptionError, match=r"eps_S = 1 is not between 0 and 1"):
        rejection(curve, 1)
