"""What a language model expects next in a jet: the same probabilities as those of its terms."""

from __future__ import annotations

import numpy as np
import pytest
from toy_jets import toy_jets

import hepmtp as hm
from hepmtp.errors import OptionError
from hepmtp.jets.expectation import expected_next
from hepmtp.studies.jets.next_constituent import next_figure


@pytest.fixture(scope="module")
def model() -> hm.JetLanguageModel:
    shape = hm.AutoregressiveOptions(width=16, heads=2, layers=1, feedforward=16)
    training = hm.NextTokenOptions(epochs=1, batch_events=32, learning_rate=3e-3)
    return hm.JetLanguageModel(model=shape, training=training).fit(toy_jets(200))


def test_expectations_are_sums_of_the_terms_of_the_jet(model: hm.JetLanguageModel) -> None:
    jet = model.tokenizer.encode(toy_jets(1, seed=5))
    n = len(jet.values)
    terms = np.exp(model.terms(jet))  # of pt or stop, eta, phi
    digits = model.tokenizer.digits[jet.values]
    found = expected_next(model, jet, range(n + 1))
    assert [one.place for one in found] == list(range(n + 1))
    for one, term in zip(found, terms, strict=True):
        assert one.by_angle.sum() + one.stop == pytest.approx(1, abs=1e-5)
        assert one.by_pt.sum() + one.stop == pytest.approx(1, abs=1e-5)
        if one.place < n:
            assert one.by_pt[digits[one.place, 0]] == pytest.approx(term[0], rel=1e-4)
        else:
            assert one.stop == pytest.approx(term[0], rel=1e-4)
    assert found[0].by_angle.shape == (31, 31)


def test_only_places_of_one_jet_are_asked_for(model: hm.JetLanguageModel) -> None:
    two = model.tokenizer.encode(toy_jets(2))
    with pytest.raises(OptionError, match="one jet is looked at, found 2"):
        expected_next(model, two, [0])
    one = two.select(np.array([0]))
    with pytest.raises(OptionError, match=rf"from 0 to {len(one.values)}, found \[0, 99\]"):
        expected_next(model, one, [0, 99])


def test_a_figure_shows_a_jet_that_is_long_enough(model: hm.JetLanguageModel) -> None:
    jets = toy_jets(40, seed=6, source=8)
    figure = next_figure(model, jets, places=(0, 2))
    assert figure is not None
    assert [one.get_xlim() for one in figure.axes[:2]] == [(-0.85, 0.85)] * 2
    assert next_figure(model, jets, places=(0, 300)) is None
