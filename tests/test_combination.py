"""Combinations: ranks in background, joined by a rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contracts import check_detector, no_particles

from hepmtp import storage
from hepmtp.detectors import load_detector, training_events
from hepmtp.detectors.combination import (
    Combination,
    _rank,
    background_ranks,
)
from hepmtp.detectors.deep_svdd import DeepSVDD
from hepmtp.detectors.ecod import ECOD
from hepmtp.detectors.event_network import NetworkTraining
from hepmtp.detectors.observables import Observable
from hepmtp.errors import NotFittedError, OptionError, StorageError
from hepmtp.run.rivals import plain_observables
from hepmtp.statistics.fisher import TailCombination


@pytest.fixture(scope="module")
def events(background: Any) -> Any:
    return background[::3]


def two(rule: Any = "and") -> Combination:
    return Combination([Observable("met"), Observable("n_jets")], rule)


@pytest.mark.parametrize("rule", ["and", "or", "prod", "avg", "fisher"])
def test_contract(events: Any, tmp_path: Path, rule: str) -> None:
    check_detector(lambda: two(rule), events, tmp_path)


def test_rules_are_minimum_maximum_product_and_mean(events: Any) -> None:
    met = Observable("met").fit(events)
    jets = Observable("n_jets").fit(events)
    found = {
        rule: Combination([met, jets], rule).fit(events).score(events)
        for rule in ("and", "or", "prod", "avg")
    }
    training = training_events(events)
    ranks = []
    for detector in (met, jets):
        known, scores = detector.score(training), detector.score(events)
        below = np.array([np.mean(known < one) for one in scores])
        upto = np.array([np.mean(known <= one) for one in scores])
        ranks.append((below + upto) / 2)
    expected = {"and": np.minimum(*ranks), "or": np.maximum(*ranks), "prod": ranks[0] * ranks[1]}
    expected["avg"] = (ranks[0] + ranks[1]) / 2
    for rule, scores in found.items():
        # every tenth event is a point of the map: ranks are right to some events of these hundreds
        np.testing.assert_allclose(scores, expected[rule], atol=10 / len(training))
        assert ((scores > 0) & (scores < 1)).all()


def test_fishers_method_is_the_product_of_the_upper_tails(events: Any, tmp_path: Path) -> None:
    combined = plain_observables().fit(events)
    assert combined.name == "observables"
    members = [Observable(name).fit(events) for name in ("n_jets", "n_b", "ht", "met")]
    training = training_events(events)
    expected = np.zeros(len(events))
    for one in members:
        known, scores = one.score(training), one.score(events)
        beyond = np.array([np.mean(known > x) + np.mean(known == x) / 2 for x in scores])
        expected -= np.log(np.maximum(beyond, 0.5 / len(training)))
    found = combined.score(events)
    middle = expected < np.quantile(expected, 0.9)
    np.testing.assert_allclose(found[middle], expected[middle], rtol=0.1, atol=0.1)
    combined.save(tmp_path / "combined")
    assert Combination.load(tmp_path / "combined").name == "observables"
    np.testing.assert_array_equal(Combination.load(tmp_path / "combined").score(events), found)


def test_fishers_method_goes_on_beyond_all_of_background(events: Any) -> None:
    far = no_particles([1e3, 2e3, 1e4, 1e6], "signal")
    assert (np.diff(two("fisher").fit(events).score(far)) > 0).all()


def test_a_member_that_is_fishers_combination_brings_its_parts(events: Any, tmp_path: Path) -> None:
    class Parts(Observable):
        def parts(self, events: Any) -> Any:
            return np.stack([self.score(events), -self.score(events)], axis=1)

    found = Combination([Parts("met"), Observable("n_jets")], "fisher").fit(events)
    training = training_events(events)
    met, jets = (Observable(name).score(training) for name in ("met", "n_jets"))
    expected = TailCombination().fit(np.stack([met, -met, jets], axis=1))
    met, jets = (Observable(name).score(events) for name in ("met", "n_jets"))
    np.testing.assert_array_equal(
        found.score(events), expected.score(np.stack([met, -met, jets], axis=1))
    )
    assert Combination([Parts("met"), Observable("n_jets")], "or").fit(events).ranks_[1:]


def test_fishers_method_of_an_earlier_version_is_refused(events: Any, tmp_path: Path) -> None:
    found = two("or").fit(events)
    found.rule = "fisher"
    found.tails_ = TailCombination().fit(np.arange(20.0)[:, None])
    found.save(tmp_path / "old")
    meta, arrays = storage.read(tmp_path / "old", storage.kind_of(found))
    with storage.new_folder(tmp_path / "old") as folder:
        left = {name: one for name, one in arrays.items() if not name.startswith("tails.")}
        storage.write(folder, storage.kind_of(found), meta, {**left, "spread": np.ones(2)})
        for i, member in enumerate(found.members):
            member.save(folder / f"member{i}")
    with pytest.raises(StorageError, match="saved without its tails, by an earlier version"):
        Combination.load(tmp_path / "old")


def test_ranks_of_numbers_written_out() -> None:
    points = background_ranks(np.repeat([1.0, 2.0, 4.0], [20, 10, 10]))
    np.testing.assert_allclose(points, [[1, 2, 4], [0.25, 0.625, 0.875]])
    found = _rank(np.array([0.0, 1.0, 1.5, 4.0, 6.0, 10.0]), points, 2.0)
    np.testing.assert_allclose(
        found, [0.25 / 1.5, 0.25, 0.4375, 0.875, 1 - 0.125 / 2, 1 - 0.125 / 4]
    )


def test_stranger_events_than_all_of_background_do_not_tie(events: Any) -> None:
    far = no_particles([1e3, 2e3, 1e4, 1e6, 1e8], "signal")
    scores = two("or").fit(events).score(far)
    assert (np.diff(scores) > 0).all()
    assert scores[-1] < 1
    assert (np.diff(two("prod").fit(events).score(far)) > 0).all()


def test_the_unit_of_a_member_does_not_matter(events: Any) -> None:
    class InMeV(Observable):
        def score(self, events: Any) -> Any:
            return 1000 * super().score(events)

    other = Combination([InMeV("met"), Observable("n_jets")]).fit(events)
    np.testing.assert_allclose(other.score(events), two().fit(events).score(events), rtol=1e-12)


def test_fitted_members_stay_as_they_are(events: Any) -> None:
    svdd = DeepSVDD(
        ("ht", "met"), hidden=(4,), outputs=2, members=1, training=NetworkTraining(epochs=1)
    ).fit(events)
    network = svdd.network_
    combination = Combination([svdd, ECOD(("ht", "met"))], "avg").fit(events)
    assert svdd.network_ is network
    assert combination.members[1].axis is not None
    assert combination.name == "deep_svdd_avg_ecod"
    assert combination.n_parameters == svdd.n_parameters == 2 * 4 + 4 * 2


def test_members_are_saved_with_it(events: Any, tmp_path: Path) -> None:
    combination = Combination([ECOD(("ht", "met")), two("or")], "prod").fit(events)
    combination.save(tmp_path / "nested")
    loaded = load_detector(tmp_path / "nested")
    assert isinstance(loaded, Combination)
    assert loaded.name == combination.name == "ecod_prod_met_or_n_jets"
    np.testing.assert_array_equal(loaded.score(events), combination.score(events))
    np.testing.assert_array_equal(loaded.fit(events).score(events), combination.score(events))
    (tmp_path / "nested" / "member1" / "member0" / "hepmtp.json").unlink()
    with pytest.raises(StorageError, match=r"member0 cannot be read"):
        load_detector(tmp_path / "nested")


def test_what_is_no_combination_is_refused(events: Any) -> None:
    with pytest.raises(
        OptionError, match=r"rule must be one of and, or, prod, avg, fisher, found 'sum'"
    ):
        two("sum")
    for members in ([Observable("met")], [Observable("met"), Observable("met")]):
        with pytest.raises(
            OptionError, match=r"needs two or more detectors of different names, found \['met'"
        ):
            Combination(members)
    with pytest.raises(NotFittedError, match=r"this Combination is not fitted yet: call fit"):
        two().score(events)
