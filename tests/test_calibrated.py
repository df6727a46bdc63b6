"""The calibrated score: flat in background, whatever an event has of jets, b-jets, HT, leptons."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
from coffea.processor import accumulate
from contracts import check_detector, no_particles

from hepmtp.detectors import BaseDetector, load_detector, score_axis, training_events
from hepmtp.detectors.calibrated.detector import BINS, END, Calibrated, counts
from hepmtp.detectors.calibrated.quantile import (
    ConditionalTail,
    NormalScores,
    Tail,
    Upper,
    basis,
    conditions,
    linear,
)
from hepmtp.detectors.combination import Combination
from hepmtp.detectors.cross_fitted import CrossFitted
from hepmtp.detectors.observables import Observable
from hepmtp.errors import NotFittedError, OptionError, StorageError, TrainingError
from hepmtp.events.folds import fold_of
from hepmtp.events.observables import n_b, n_jets
from hepmtp.events.record import make_events, with_metadata
from hepmtp.events.split import split_of, trained_by
from hepmtp.statistics.flatness import shares
from hepmtp.statistics.histograms import spectrum
from processors.anomaly import AnomalyProcessor

#: Particle types.
JET, B, ELECTRON, POSITRON = 0, 1, 3, 2
N = 20_000


def made_of(seed: int, n: int, *, role: str = "background", weight: Any = 1.0) -> ak.Array:
    """Events of 3 to 9 jets, 1 to 3 of them b, and two electrons; MET is left to the caller."""
    rng = np.random.default_rng(seed)
    jets = 3 + rng.poisson(2.0, n).clip(0, 6)
    b = 1 + rng.binomial(2, 0.25, n)
    types = [[B] * k + [JET] * (j - k) + [ELECTRON] * 2 for j, k in zip(jets, b, strict=True)]
    counts = jets + 2
    pt = rng.exponential(60.0, counts.sum()) + 30.0
    return make_events(
        counts=counts,
        pt=pt,
        eta=np.zeros(len(pt)),
        phi=np.zeros(len(pt)),
        energy=pt,
        type=np.concatenate([np.array(one) for one in types]),
        met=np.full(n, 30.0),
        met_phi=np.zeros(n),
        weight=np.broadcast_to(np.asarray(weight, dtype=np.float64), n),
        source=np.full(n, 1000 + seed),
        role=role,
        dataset=f"made{seed}",
    )


class Known(BaseDetector):
    """A score that is known: 2 n_jets + n_b, and noise whose spread grows with n_jets."""

    name = "known"
    description = "Twice the jets, the b-jets, and noise from MET and the entry number."

    def __init__(self, shift: float = 0.0) -> None:
        self.shift = shift

    def fit(self, events: Any) -> Known:
        scores, self.trained_ = self.score(training_events(events)), trained_by(events)
        self.axis_ = score_axis(scores, label="known")
        return self

    def score(self, events: Any) -> Any:
        entry, source = (ak.to_numpy(events[name]) for name in ("event", "source"))
        uniform = ((entry * 0.6180339887 + source * 0.7548776662) % 1.0).clip(1e-9, 1 - 1e-9)
        noise = -np.log(uniform)  # exponential: the upper tail is longer than the lower one
        return 2.0 * n_jets(events) + n_b(events) + (1 + 0.2 * n_jets(events)) * noise + self.shift

    def save(self, path: Any) -> None:
        raise NotImplementedError

    @classmethod
    def load(cls, path: Any) -> Known:
        raise NotImplementedError


@pytest.fixture(scope="module")
def training() -> Any:
    return made_of(1, N)


@pytest.fixture(scope="module")
def calibrated(training: Any) -> Calibrated:
    return Calibrated(Known()).fit(training)


def test_contract(background: Any, tmp_path: Path) -> None:
    check_detector(
        lambda: Calibrated(Observable("met"), bootstrap=3), background, tmp_path, order=1e-9
    )


def above(scores: Any, level: float) -> tuple[float, float]:
    """Share of the scores above a level, and its error."""
    p = float(np.mean(scores > level))
    return p, max(np.sqrt(p * (1 - p) / len(scores)), 1e-4)


def test_background_is_flat_in_every_class_of_events(calibrated: Calibrated) -> None:
    """On events that did not fit it, where the score itself has moved by many spreads."""
    other = made_of(2, 60_000)
    raw, scores = Known().score(other), calibrated.score(other)
    jets, b = n_jets(other), n_b(other)
    few, many = (jets >= 4) & (jets <= 5) & (b >= 2), (jets >= 6) & (b >= 2)
    assert np.median(raw[many]) > np.quantile(raw[few], 0.9)
    replicas = calibrated.replicas(other)
    for level in (0.301, 1.0, 1.699):
        for inside in (few, many, (jets >= 6) & (b == 1), (jets == 3), b == 3):
            share, error = above(scores[inside], level)
            band = np.std([above(one[inside], level)[0] for one in replicas])
            tolerance = 3.5 * np.hypot(error, band) + 0.1 * 10**-level
            assert share == pytest.approx(10**-level, abs=tolerance)


def test_a_stranger_event_has_a_larger_score(calibrated: Calibrated) -> None:
    other = made_of(3, 500)
    before = calibrated.score(other)
    known = calibrated.detector
    assert isinstance(known, Known)
    previous = before
    try:
        for known.shift in (2.0, 10.0, 50.0, 1000.0):  # the last are beyond all of background
            scores = calibrated.score(other)
            assert (scores > previous).all()
            previous = scores
    finally:
        known.shift = 0.0
    assert np.isfinite(previous).all()
    assert previous.min() > 4
    np.testing.assert_array_equal(calibrated.score(other), before)


def test_axis_and_words(calibrated: Calibrated) -> None:
    axis = calibrated.axis
    assert (axis.size, axis.edges[0], axis.edges[-1]) == (BINS, 0.0, END)
    for share in (0.5, 0.1, 0.02, 0.01):
        assert np.abs(10**-axis.edges / share - 1).min() < 0.003
    assert "known" in axis.label
    assert calibrated.name == "known_calibrated"
    assert "known" in calibrated.description
    assert calibrated.trained_ == trained_by(made_of(1, N))


def test_events_count_with_their_weights(training: Any) -> None:
    """Weights that follow the score, and nothing else, move shares as they must."""
    noise = Known().score(training) - 2.0 * n_jets(training) - n_b(training)
    strange = noise / (1 + 0.2 * n_jets(training)) > -np.log(0.1)  # a tenth of each class
    weight = np.where(strange, 9.0, 1.0)  # is half of it now
    weighted = Calibrated(Known(), bootstrap=0).fit(ak.with_field(training, weight, "weight"))
    other = made_of(4, 30_000)
    uniform = Calibrated(Known(), bootstrap=0).fit(training).score(other)
    share, _ = above(weighted.score(other), np.log10(2))
    assert share == pytest.approx(0.1, abs=0.02)
    assert above(uniform, 1.0)[0] == pytest.approx(0.1, abs=0.01)
    doubled = Calibrated(Known(), bootstrap=0).fit(ak.with_field(training, 2 * weight, "weight"))
    np.testing.assert_allclose(doubled.score(other), weighted.score(other), rtol=1e-6, atol=1e-9)


def test_negative_weights_give_finite_scores(training: Any) -> None:
    weight = np.where(np.arange(len(training)) % 5 == 0, -1.0, 1.0)
    found = Calibrated(Known(), bootstrap=2).fit(ak.with_field(training, weight, "weight"))
    other = made_of(5, 5000)
    assert np.isfinite(found.score(other)).all()
    assert np.isfinite(found.replicas(other)).all()
    assert above(found.score(other), 1.0)[0] == pytest.approx(0.1, abs=0.03)


def test_replicas_spread_as_the_fits_of_other_samples_do(calibrated: Calibrated) -> None:
    """The bootstrap's error of a share is that of fits to independent training events."""
    other = made_of(6, 20_000)
    inside = (n_jets(other) >= 6) & (n_b(other) >= 2)
    replicas = calibrated.replicas(other)
    assert replicas.shape == (20, len(other))
    assert not (replicas == calibrated.score(other)).all(axis=1).any()
    fits = [Calibrated(Known(), bootstrap=0).fit(made_of(20 + k, N)).score(other) for k in range(8)]
    spread = np.std([above(one[inside], 1.0)[0] for one in replicas], ddof=1)
    truth = np.std([above(one[inside], 1.0)[0] for one in fits], ddof=1)
    assert 0.4 < spread / truth < 2.5


def test_what_was_fitted_depends_on_the_seed_only_in_its_replicas(training: Any) -> None:
    other = made_of(7, 300)
    one, same, another = (
        Calibrated(Known(), bootstrap=2, seed=seed).fit(training) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one.score(other), another.score(other))
    np.testing.assert_array_equal(one.replicas(other), same.replicas(other))
    assert (one.replicas(other) != another.replicas(other)).any()
    fewer = Calibrated(Known(), bootstrap=0, most_events=3000).fit(training)
    assert fewer.replicas(other).shape == (0, 300)
    assert np.abs(fewer.score(other) - one.score(other)).mean() < 0.1


def test_the_detector_within_is_kept_or_fitted(background: Any, tmp_path: Path) -> None:
    met = Observable("met").fit(background)
    axis = met.axis_
    found = Calibrated(met, bootstrap=2).fit(background[::2])
    assert met.axis_ is axis
    assert found.trained_ == trained_by(background)  # of both
    unknown = Observable("met").fit(background)
    unknown.trained_ = None
    assert Calibrated(unknown, bootstrap=0).fit(background).trained_ is None
    found.save(tmp_path / "one")
    loaded = load_detector(tmp_path / "one")
    assert isinstance(loaded, Calibrated)
    assert loaded.trained_ == found.trained_
    np.testing.assert_array_equal(loaded.replicas(background), found.replicas(background))
    (tmp_path / "one" / "detector" / "hepmtp.json").unlink()
    with pytest.raises(StorageError, match=r"detector cannot be read"):
        load_detector(tmp_path / "one")
    both = Combination([found, Observable("n_jets")], "or").fit(background)
    assert both.name == "met_calibrated_or_n_jets"


def test_events_far_from_training_have_finite_scores(background: Any) -> None:
    found = Calibrated(Observable("met"), bootstrap=1).fit(background)
    many = make_events(
        counts=[60, 1],
        pt=[5000.0] * 61,
        eta=[0.1] * 61,
        phi=[0.0] * 61,
        energy=[5100.0] * 61,
        type=[B] * 30 + [JET] * 31,
        met=[1e5, 0.0],
        met_phi=[0.0, 0.0],
    )
    for events in (many, no_particles([0.0, 1e6])):
        scores = found.score(events)
        assert np.isfinite(scores).all()
        assert (scores >= 0).all()
    assert found.score(background[:0]).shape == (0,)
    assert found.replicas(background[:0]).shape == (1, 0)


@pytest.mark.parametrize("name", ["n_b", "n_jets", "ht"])
def test_a_score_that_is_one_of_the_conditions_is_refused(background: Any, name: str) -> None:
    with pytest.raises(TrainingError, match=rf"the score {name} is told by jets, b-jets, HT"):
        Calibrated(Observable(name)).fit(background)


def test_what_cannot_be_fitted_is_refused(background: Any) -> None:
    with pytest.raises(TrainingError, match=r"are too few for a calibration, which needs 100"):
        Calibrated(Observable("met")).fit(background[:60])
    nothing = ak.with_field(background, np.zeros(len(background)), "weight")
    with pytest.raises(TrainingError, match=r"training events sum to 0: a share of background"):
        Calibrated(Observable("met")).fit(nothing)
    with pytest.raises(OptionError, match=r"bootstrap is -1, expected a whole number, 0 or more"):
        Calibrated(Observable("met"), bootstrap=-1)
    with pytest.raises(OptionError, match=r"str is no Detector"):
        Calibrated("met")  # type: ignore[arg-type]
    for ask in (Calibrated.score, Calibrated.replicas):
        with pytest.raises(NotFittedError, match=r"this Calibrated is not fitted yet"):
            ask(Calibrated(Observable("met")), background)


def test_shares_of_numbers_written_out() -> None:
    found = Upper.of(np.array([3.0, 1.0, 1.0, 2.0]), np.array([1.0, 1.0, 1.0, 2.0]))
    np.testing.assert_allclose(found.values, [1, 2, 3])
    np.testing.assert_allclose(found.share, [(3 + 1) / 5, (1 + 1) / 5, 0.5 / 5])
    assert found.effective == pytest.approx(25 / 7)


def test_tail_goes_on_as_an_exponential() -> None:
    """Of exponential values the share falls by e per unit, down to that of one event."""
    values = -np.log((np.arange(100_000) + 0.5) / 100_000)
    tail = Tail.fit(values, np.ones(len(values)))
    asked = np.array([0.0, 0.5, 2.0, 5.0, 9.0, 11.5])
    np.testing.assert_allclose(tail(asked), asked / np.log(10), atol=0.01, rtol=0.02)
    assert tail.level[-1] == pytest.approx(4.0, abs=0.05)  # ten of these events lie beyond
    same = Tail.fit(np.full(50, 3.0), np.ones(50))
    assert same(np.array([1.0, 3.0, 3.0])).tolist() == [same.level[-1]] * 3
    assert np.isfinite(same(np.array([1e9]))).all()


def test_few_events_know_no_tiny_share() -> None:
    """Beyond the share of one event the answer rises slowly, whatever the slope."""
    tail = Tail.fit(np.linspace(0.0, 1.0, 200), np.ones(200))
    asked = np.linspace(1.0, 2.0, 50)
    found = tail(asked)
    assert (np.diff(found) > 0).all()
    assert found[-1] < np.log10(200) + np.log(1 + tail.slope * (asked[-1] - tail.values[-1]))


def test_normal_scores_undo_a_stretched_axis() -> None:
    rng = np.random.default_rng(1)
    normal = rng.normal(size=50_000)
    for stretch in (lambda v: v, np.exp, lambda v: v**3):
        assert_normal(normal, stretch)


def assert_normal(normal: Any, stretch: Callable[[Any], Any]) -> None:
    found = NormalScores.fit(stretch(normal), np.ones(len(normal)))
    asked = np.array([-2.0, -1.0, 0.5, 2.0, 3.0])
    np.testing.assert_allclose(
        found(stretch(asked)), asked, atol=0.12
    )  # at 3 the sample itself is uncertain by 0.1
    far = found(stretch(np.array([-5.0, 4.5, 5.0, 6.0])))
    assert far[0] <= found.normal[0]
    assert (np.diff(far[1:]) > 0).all()
    assert far[1] > found.normal[-1]


def test_columns_of_events_written_out() -> None:
    """The pair of leptons has the mass of 100 GeV, within the window of the Z."""
    one = make_events(
        counts=[8, 0],
        pt=[700 / 6] * 6 + [50.0] * 2,
        eta=[0.0] * 8,
        phi=[0.0] * 7 + [np.pi],
        energy=[700 / 6] * 6 + [50.0] * 2,
        type=[JET] * 3 + [B] * 3 + [ELECTRON, POSITRON],
        met=[0.0, 0.0],
        met_phi=[0.0, 0.0],
    )
    x = conditions(one)
    np.testing.assert_allclose(x, [[6, 3, 2, 1, np.log(800)], [0, 0, 0, 0, 0]])
    columns = basis(x)
    a, v, h, u = 1.0, 1.5, np.log(800) - 6.2, -0.4
    expected = [1, a, v, h, u, a * a, v * v, h * h, a * v, a * h, v * h, u * a, u * v, u * h]
    expected += [h**3, 0, 0, 0, 1, a, h, 0, 0, 1, a, v, h]
    np.testing.assert_allclose(columns[:, 0], expected)
    np.testing.assert_allclose(
        linear(np.arange(len(expected)), columns)[0], np.arange(len(expected)) @ expected
    )


def test_mean_and_spread_are_found() -> None:
    rng = np.random.default_rng(3)
    x = np.stack([rng.integers(3, 11, 40_000), rng.integers(1, 4, 40_000)], axis=1).astype(float)
    lepton, z, log_ht = np.full(len(x), 2.0), np.zeros(len(x)), rng.normal(6.2, 0.3, len(x))
    x = np.column_stack([x, lepton, z, log_ht])
    columns = basis(x)
    mean, spread = 0.3 * (x[:, 0] - 5), 0.5 + 0.1 * (x[:, 0] - 5)
    y = mean + np.maximum(spread, 0.3) * rng.normal(size=len(x))
    fit = ConditionalTail.fit(y, columns, np.ones(len(x)))
    assert np.abs(linear(fit.mean, columns) - mean).mean() < 0.02
    found = linear(fit.spread, columns) / np.sqrt(2 / np.pi)
    assert np.abs(found / np.maximum(spread, 0.3) - 1).mean() < 0.05
    share, _ = above(fit(y, columns), 1.0)
    assert share == pytest.approx(0.1, abs=0.001)


def test_training_events_are_those_of_the_training_part(training: Any) -> None:
    known = Calibrated(Known(), bootstrap=1).fit(training)
    without = Calibrated(Known(), bootstrap=1).fit(training[split_of(training) != "analysis"])
    other = made_of(8, 100)
    np.testing.assert_array_equal(known.score(other), without.score(other))
    np.testing.assert_array_equal(known.replicas(other), without.replicas(other))


def test_a_run_fills_the_replicas_of_background(background: Any) -> None:
    """Each replica's histogram holds the same events as the nominal one; the signal has none."""
    met = Observable("met").fit(background)
    detector = Calibrated(met, bootstrap=2).fit(background)
    chunks = [background[:700], background[700:]]
    signal = with_metadata(made_of(1, 200), dataset="other", role="signal")
    processor = AnomalyProcessor([detector, met])
    out = processor.postprocess(accumulate([processor.process(one) for one in [*chunks, signal]]))
    assert list(out["replicas"]) == ["met_calibrated"]
    h, replicas = out["scores"]["met_calibrated"], out["replicas"]["met_calibrated"]
    names = sorted(replicas.axes["variation"])
    assert names == ["replica_00", "replica_01"]
    (dataset,) = replicas.axes["dataset"]
    assert sorted(h.axes["dataset"]) == sorted([dataset, "other"])
    for region in ("CR", "SR", "CR1b"):
        nominal = spectrum(h, dataset, region).values(flow=True)
        for name in names:
            found = spectrum(replicas, dataset, region, name).values(flow=True)
            assert found.sum() == pytest.approx(nominal.sum())
        assert shares(h, region, datasets=[dataset], replicas=replicas).replicas.shape[0] == 2
    both = [spectrum(replicas, dataset, "CR", name).values(flow=True) for name in names]
    assert (both[0] != both[1]).any()


def test_cross_fitted_replicas_are_those_of_the_members(background: Any) -> None:
    found = CrossFitted(Calibrated(Observable("met"), bootstrap=2), folds=3).fit(background)
    replicas = found.replicas
    assert replicas is not None
    fold, each = fold_of(background, 3), replicas(background)
    for number, member in enumerate(found.members_):
        assert isinstance(member, Calibrated)
        mine = background[fold == number]
        np.testing.assert_array_equal(each[:, fold == number], member.replicas(mine))
        np.testing.assert_array_equal(found.score(mine), member.score(mine))
    assert CrossFitted(Observable("met"), folds=3).replicas is None
    with pytest.raises(OptionError, match=r"met is fitted already, to events of all folds"):
        CrossFitted(Calibrated(Observable("met").fit(background)), folds=3).fit(background)
    processor = AnomalyProcessor([found])
    assert set(processor.process(background[:200])["replicas"]) == {"met_calibrated"}


def test_a_bootstrap_takes_an_event_alike_wherever_it_is() -> None:
    events = made_of(9, 50_000)
    found = counts(events, 7)
    np.testing.assert_array_equal(counts(events[::3], 7), found[::3])
    assert (counts(events, 8) != found).any()
    expected = np.exp(-1.0) / np.array([1, 1, 2, 6])
    np.testing.assert_allclose(np.bincount(found)[:4] / len(found), expected, atol=0.01)
    assert found.mean() == pytest.approx(1.0, abs=0.02)
