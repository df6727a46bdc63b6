"""AUC, efficiencies, significances: against written-out numbers and slow pair counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from hepmtp.errors import OptionError, ScoreError
from hepmtp.statistics import metrics
from hepmtp.statistics.metrics import auc, auc_difference, roc
from hepmtp.statistics.uncertainties import effective_events, hanley_mcneil
from hepmtp.statistics.working_points import max_sic, working_point

SCORES = st.lists(st.integers(0, 4), min_size=1, max_size=12)


def pair_count(signal, background, ws, wb):
    """The slow AUC: every pair."""
    pairs = [
        (x, a, y, b)
        for x, a in zip(signal, ws, strict=True)
        for y, b in zip(background, wb, strict=True)
    ]
    won = sum(a * b * ((x > y) + 0.5 * (x == y)) for x, a, y, b in pairs)
    return won / (sum(ws) * sum(wb))


@given(SCORES, SCORES, st.integers(0, 1000))
def test_auc_is_the_weighted_pair_count_and_the_area_of_the_roc(signal, background, seed):
    rng = np.random.default_rng(seed)
    ws, wb = rng.uniform(0.1, 2, len(signal)), rng.uniform(0.1, 2, len(background))
    expected = pair_count(signal, background, ws, wb)
    assert auc(signal, background, signal_weight=ws, background_weight=wb).value == pytest.approx(
        expected, abs=1e-12
    )
    curve = roc(signal, background, signal_weight=ws, background_weight=wb)
    assert np.trapezoid(curve.eps_s, curve.eps_b) == pytest.approx(expected, abs=1e-12)
    assert (curve.eps_s[0], curve.eps_b[0]) == (0, 0)
    assert (curve.eps_s[-1], curve.eps_b[-1]) == (1, 1)
    assert (curve.n_signal[-1], curve.n_background[-1]) == (len(signal), len(background))


def test_a_tie_block_is_one_segment():
    curve = roc([1, 1, 2], [1, 0, 2, 1])
    assert curve.threshold.tolist() == [np.inf, 2, 1, 0]
    assert curve.eps_s.tolist() == [0, 1 / 3, 1, 1]
    assert curve.eps_b.tolist() == [0, 0.25, 0.75, 1]
    assert curve.n_background.tolist() == [0, 1, 3, 4]


def test_scores_that_are_all_equal_gain_nothing():
    curve = roc(np.zeros(100), np.zeros(1000))
    assert auc(np.zeros(100), np.zeros(1000)).value == 0.5
    for eps_b in (0.5, 0.1, 0.03):
        point = working_point(curve, eps_b)
        assert point.eps_s == pytest.approx(eps_b)
        assert point.n_background == round(1000 * eps_b)


def test_hanley_mcneil():
    assert hanley_mcneil(0.67, 10_000, 10_000) == pytest.approx(0.004, abs=3e-4)  # the known figure
    # by hand: A = 0.75, Q1 = 0.6, Q2 = 9/14, n = 2, 3
    variance = (0.1875 + 1 * (0.6 - 0.5625) + 2 * (9 / 14 - 0.5625)) / 6
    assert hanley_mcneil(0.75, 2, 3) == pytest.approx(variance**0.5)


def test_errors_of_the_auc_agree_with_a_bootstrap_and_with_repetition():
    rng = np.random.default_rng(1)
    ws, wb = rng.uniform(0.5, 1.5, 400), rng.exponential(1, 800)

    def sample():
        return rng.normal(0.6, 1, 400), rng.normal(0, 1, 800)

    def drawn_again(w):
        return w * np.bincount(rng.integers(len(w), size=len(w)), minlength=len(w))

    values = [auc(*sample(), signal_weight=ws, background_weight=wb).value for _ in range(300)]
    spread = np.std(values)
    one = sample()
    found = auc(*one, signal_weight=ws, background_weight=wb)
    assert (found.n_signal, found.n_background) == (400, 800)
    assert found.error == pytest.approx(spread, rel=0.15)
    bootstrap = [
        auc(*one, signal_weight=drawn_again(ws), background_weight=drawn_again(wb)).value
        for _ in range(200)
    ]
    assert np.std(bootstrap) == pytest.approx(found.error, rel=0.2)


def test_auc_difference_knows_the_correlation():
    rng = np.random.default_rng(3)

    def sample():
        truth_s, truth_b = rng.normal(0.5, 1, 300), rng.normal(0, 1, 600)
        signal = truth_s, truth_s + rng.normal(0, 0.3, 300)
        background = truth_b, truth_b + rng.normal(0, 0.3, 600)
        return signal, background, {"background_weight": wb}

    wb = rng.uniform(0.2, 2, 600)
    results = [auc_difference(s, b, **w) for s, b, w in (sample() for _ in range(200))]
    spread = np.std([one.value for one in results])
    assert np.mean([one.error for one in results]) == pytest.approx(spread, rel=0.15)
    signal, background, weight = sample()
    expected = (
        auc(signal[0], background[0], **weight).value
        - auc(signal[1], background[1], **weight).value
    )
    found = auc_difference(signal, background, **weight)
    assert found.value == pytest.approx(expected, abs=1e-12)
    assert found.error < 0.5 * auc(signal[0], background[0], **weight).error
    assert auc_difference((signal[0], signal[0]), (background[0], background[0])).error == 0
    with pytest.raises(ScoreError, match="not of the same events"):
        auc_difference((signal[0], signal[0][:9]), (background[0], background[0]))


def test_balanced_weights():
    weight = metrics.balanced_weights(["a", "b", "a", "c"], [3.0, 7.0, 1.0, 0.2])
    assert weight == pytest.approx([0.25, 1 / 3, 1 / 12, 1 / 3])
    assert effective_events(np.array([2.0, 2.0, 2.0])) == 3
    with pytest.raises(ScoreError, match="process b has no positive"):
        metrics.balanced_weights(["a", "b"], [1.0, 0.0])


def test_working_point_is_the_exact_randomised_cut():
    signal = np.repeat([3, 2, 1], [10, 30, 60])
    background = np.repeat([3, 2, 1], [100, 400, 500])
    curve = roc(signal, background)
    assert working_point(curve, 0.1).eps_s == pytest.approx(0.1)
    point = working_point(curve, 0.3)  # half of the block at 2
    assert point.eps_s == pytest.approx(0.1 + 0.5 * 0.3)
    assert (point.n_signal, point.n_background, point.reason) == (25, 300, "")
    assert point.si == pytest.approx(0.25 / 0.3**0.5)
    sigma_b = (0.3 * 0.7 / 1000) ** 0.5
    # half of the block at 2: errors of 0.03 and 0.049 at its ends, 0.0394 between (Wilson's term)
    assert point.eps_s_error == pytest.approx(np.hypot(0.0394, 0.75 * sigma_b), rel=0.02)


def test_a_vertical_step_counts_to_its_end():
    curve = roc([5, 4, 3, 1], [*range(-98, 0), 2.5, 4.5])
    assert working_point(curve, 0.01, min_raw=1).eps_s == 0.75
    assert working_point(curve, 1.0).eps_s == 1


def test_the_error_of_a_working_point_is_the_spread_of_repetitions():
    rng = np.random.default_rng(4)
    points = [
        working_point(roc(rng.normal(1, 1, 500), rng.normal(0, 1, 3000)), 0.02) for _ in range(200)
    ]
    assert np.mean([p.eps_s_error for p in points]) == pytest.approx(
        np.std([p.eps_s for p in points]), rel=0.2
    )


def test_a_working_point_needs_25_raw_background_events():
    curve = roc(np.arange(100), np.arange(2499))
    point = working_point(curve, 0.01)
    assert (point.eps_s, point.si, point.n_background) == (None, None, 25)
    assert point.reason == "24.99 raw background events pass, 25 are needed"
    assert working_point(roc(np.arange(100), np.arange(2500)), 0.01).eps_s == 0
    with pytest.raises(OptionError, match="not in"):
        working_point(curve, 0.0)


def test_max_sic():
    background = np.arange(100)
    signal = np.concatenate(
        [np.arange(200, 210), np.arange(10)]
    )  # half above everything, half at the bottom
    point = max_sic(roc(signal, background))
    assert (point.eps_b, point.eps_s, point.n_background) == (
        0.25,
        0.5,
        25,
    )  # not eps_B = 0.01, with SI = 5
    assert point.si == pytest.approx(1.0)
    assert max_sic(roc(signal, background[:24])) is None


def test_bad_input_is_refused():
    with pytest.raises(ScoreError, match="signal: 1 of 2 scores are not finite"):
        auc([1.0, np.nan], [0.0])
    with pytest.raises(ScoreError, match="background: 1 of 1 scores are not finite"):
        roc([1.0], [np.inf])
    with pytest.raises(ScoreError, match="a positive one is needed"):
        roc([], [1.0])
    with pytest.raises(ScoreError, match="do not fit"):
        roc([1.0], [1.0], signal_weight=[1.0, 2.0])


def test_negative_weights_that_make_no_chance_are_refused():
    # the area is (1 x 12 + 0 x -1) / (1 x 11)
    with pytest.raises(ScoreError, match=r"negative weights make an area of 1\.091 under the ROC"):
        auc([1.0], [0.0, 0.0, 0.0, 0.0, 2.0], background_weight=[3, 3, 3, 3, -1])
    found = auc([1.0, 2.0], [0.0, 3.0, 3.0], background_weight=[4, 2, -1])
    assert found.value == pytest.approx(0.8)


def test_an_efficiency_that_negative_weights_cancel_makes_no_significance():
    # above 3: 26 events of sum 2; above 2: 52 of sum 0.01; above 0: 92 of sum 40.01
    score = np.repeat([3.0, 2.0, 0.0], [26, 26, 40])
    weight = np.repeat([1, -1, 1, -1, -0.99, 1], [14, 12, 12, 13, 1, 40])
    curve = roc(np.full(40, 2.0), score, background_weight=weight)
    assert curve.eps_b == pytest.approx([0, 2 / 40.01, 0.01 / 40.01, 1])
    point = max_sic(curve)  # 1 / sqrt(0.01 / 40.01) = 63 at the second would be no significance
    assert (point.eps_b, point.si) == (1, 1)
