"""Shapes, thresholds and what passes them, with histograms of a few written-out events."""

from __future__ import annotations

import numpy as np
import pytest
from hist.axis import Regular
from scipy.stats import chi2 as chi2_distribution

from hepmtp.errors import OptionError, RegionError, ScoreError
from hepmtp.statistics.comparison import compare
from hepmtp.statistics.histograms import book, fill
from hepmtp.statistics.significance import asimov
from hepmtp.statistics.thresholds import apply, best_separation, observe, threshold

AXIS = Regular(4, 0, 4, name="score", label="stranger")


@pytest.fixture
def h():
    one = book(AXIS, name="surprise")
    # background "b": CR contents 10, 20, 10, 0 and 1 over; SR 4, 8, 4, 4; weight 0.5
    fill(
        one,
        dataset="b",
        region="CR",
        score=np.repeat([0.5, 1.5, 2.5, 9.0], [10, 20, 10, 1]),
        weight=0.5,
    )
    fill(
        one,
        dataset="b",
        region="SR",
        score=np.repeat([-1.0, 1.5, 2.5, 3.5], [4, 8, 4, 4]),
        weight=0.5,
    )
    # signal "s": CR 0, 1, 2, 3; SR 0, 0, 5, 15; weight 0.1
    fill(one, dataset="s", region="CR", score=np.repeat([1.5, 2.5, 3.5], [1, 2, 3]), weight=0.1)
    fill(one, dataset="s", region="SR", score=np.repeat([2.5, 3.5], [5, 15]), weight=0.1)
    return one


def test_compare_by_hand(h):
    found = compare(h, "SR", "CR", datasets="b")
    first, second = np.array([4, 8, 4, 4]) / 20, np.array([10, 20, 10, 1]) / 41
    assert found.first == pytest.approx(first)
    assert found.second == pytest.approx(second)
    e1, e2 = np.sqrt([4, 8, 4, 4]) / 20, np.sqrt([10, 20, 10, 1]) / 41
    assert found.first_error == pytest.approx(e1)
    assert found.ratio == pytest.approx(first / second)
    assert found.ratio_error == pytest.approx(first / second * np.hypot(e1 / first, e2 / second))
    assert found.pull == pytest.approx((first - second) / np.hypot(e1, e2))
    assert found.chi2 == pytest.approx(sum(((first - second) / np.hypot(e1, e2)) ** 2))
    assert found.ndof == 3
    assert found.p_value == pytest.approx(chi2_distribution.sf(found.chi2, 3))
    assert (found.regions, found.label, found.normalised) == (("SR", "CR"), "stranger", True)
    assert found.edges.tolist() == [0, 1, 2, 3, 4]
    assert found.verdict == f"chi2 / ndof = {found.chi2:.1f} / 3, p = {found.p_value:.2g}"
    assert found._replace(p_value=1e-9).verdict.endswith(" / 3, p < 0.0001")


def test_compare_yields(h):
    found = compare(h, "SR", "CR", datasets="b", normalise=False)
    assert found.first.tolist() == [2, 4, 2, 2]
    assert found.ndof == 4
    assert compare(h, "SR", "SR", normalise=False).chi2 == 0
    assert compare(h, "SR", "SR", normalise=False).p_value == 1


def test_bins_empty_in_both_are_dropped():
    one = book(AXIS, name="surprise")
    fill(one, dataset="b", region="CR", score=[0.5, 1.5], weight=1)
    fill(one, dataset="b", region="SR", score=[0.5, 0.6], weight=1)
    found = compare(one, "SR", "CR")
    assert found.ndof == 1
    assert np.isnan(found.pull).tolist() == [False, False, True, True]
    assert np.isnan(found.ratio).tolist() == [False, False, True, True]
    assert found.ratio[1] == 0
    swapped = compare(one, "CR", "SR")
    assert np.isnan(swapped.ratio[1])
    assert swapped.chi2 == pytest.approx(found.chi2)


def test_chi2_of_equal_shapes_follows_its_distribution():
    rng = np.random.default_rng(1)
    p_values = []
    for _ in range(300):
        one = book(Regular(8, -2, 2, name="score"), name="surprise")
        for region, n in (("CR", 2000), ("SR", 700)):
            fill(
                one,
                dataset="b",
                region=region,
                score=rng.normal(0, 1, n),
                weight=rng.uniform(0.2, 1.8, n),
            )
        p_values.append(compare(one, "SR", "CR").p_value)
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.06)
    assert np.mean(np.array(p_values) < 0.1) == pytest.approx(0.1, abs=0.06)


def test_compare_needs_events(h):
    fill(h, dataset="b", region="VR", score=[], weight=[])
    with pytest.raises(ScoreError, match="'surprise': region VR holds no events of b, s"):
        compare(h, "SR", "VR")
    with pytest.raises(RegionError, match="no region XR"):
        compare(h, "SR", "XR")


def test_threshold_is_the_background_quantile(h):
    # shares of the CR background above 0, 1, 2, 3, 4: 41, 31, 11, 1, 1 of 41
    cut = threshold(h, background="b", region="CR", quantile=0.9)
    assert (cut.value, cut.region) == (3, "CR")
    assert cut.eps_b == pytest.approx(1 / 41)
    assert cut.rule == "90 % of CR background below"
    assert threshold(h, background="b", region="CR", quantile=1 - 11 / 41).value == 2
    assert threshold(h, background="b", region="CR", quantile=0.1).value == 1
    with pytest.raises(
        ScoreError,
        match=r"0\.0244 of the background in CR lies above the score axis, which ends at 4, more "
        r"than 0\.01; book a wider axis \(hepmtp run --bins N --range SCORE=LOW,HIGH\)",
    ):
        threshold(h, background="b", region="CR", quantile=0.99)
    with pytest.raises(OptionError, match="not between 0 and 1"):
        threshold(h, background="b", region="CR", quantile=99)


@pytest.fixture
def negative():
    """CR of "b": 10, 4, -2, 1, sum 13; SR: 3, -1, 0, 0; of "n": -3 and 2 events of weight 1."""
    one = book(AXIS, name="surprise")
    cr = np.repeat([0.5, 1.5, 2.5, 2.5, 3.5], [10, 4, 1, 3, 1])
    fill(
        one,
        dataset="b",
        region="CR",
        score=cr,
        weight=np.repeat([1.0, 1.0, 1.0, -1.0, 1.0], [10, 4, 1, 3, 1]),
    )
    fill(one, dataset="b", region="SR", score=[0.5, 0.5, 0.5, 1.5], weight=[1, 1, 1, -1])
    fill(one, dataset="n", region="SR", score=[0.5, 1.5], weight=[2, -3])
    return one


def test_a_threshold_of_negative_weights_leaves_no_more_above_any_higher_edge(negative):
    # shares above 0, 1, 2, 3, 4: 13, 3, -1, 1, 0 of 13; less than nothing above 2, more above 3
    cut = threshold(negative, background="b", region="CR", quantile=0.95)
    assert cut.value == 4
    assert cut.eps_b == 0
    cut = threshold(negative, background="b", region="CR", quantile=0.9)
    assert cut.value == 2
    assert cut.eps_b == pytest.approx(-1 / 13)
    # (1 + 1/13)^2 of the 5 events that pass, 1/13^2 of the 14 that fail, and Wilson's n = 13^2 / 19
    n = 13**2 / 19
    variance = ((14 / 13) ** 2 * 5 + (1 / 13) ** 2 * 14) / 13**2
    assert cut.eps_b_error == pytest.approx(np.sqrt(variance + 0.25 / n**2) / (1 + 1 / n))


def test_negative_weights_keep_sums_and_squares(negative):
    found = compare(negative, "SR", "CR", datasets="b", normalise=False)
    assert found.first.tolist() == [3, -1, 0, 0]
    assert found.first_error == pytest.approx(np.sqrt([3, 1, 0, 0]))
    assert found.second.tolist() == [10, 4, -2, 1]
    assert found.second_error == pytest.approx([np.sqrt(10), 2, 2, 1])
    assert found.ratio[:2] == pytest.approx([0.3, -0.25])
    assert np.isnan(found.ratio[2])  # nothing is divided by a negative content
    passed = apply(negative, 1.0, background="b", signal="b", region="SR")
    assert (passed.b, passed.eps_b, passed.z, passed.s_over_b) == (-1, -0.5, None, None)


def test_weights_that_sum_to_nothing_are_refused_with_a_sentence(negative):
    text = (
        r"detector 'surprise': the weights of n in region SR sum to -1, and shares need a positive "
        "sum: analyse more events"
    )
    with pytest.raises(ScoreError, match=text):
        threshold(negative, background="n", region="SR")
    with pytest.raises(ScoreError, match=text):
        apply(negative, 1.0, background="b", signal="n", region="SR")
    assert compare(negative, "SR", "CR", normalise=False).first.tolist() == [5, -4, 0, 0]


def test_observed_events_stand_beside_the_background(h):
    fill(h, dataset="run2", region="SR", score=[0.5, 3.5, 3.5, 9.0], weight=1)
    cut = threshold(h, background="b", region="CR", quantile=0.9)
    found = observe(h, cut, data="run2", background="b", region="SR")
    assert found[:5] == ("surprise", "SR", "90 % of CR background below", 3, 3)
    assert isinstance(found.observed, int)
    assert (found.b, found.b_error) == (pytest.approx(2), pytest.approx(1))
    assert found.ratio == pytest.approx(1.5)
    assert found.ratio_error == pytest.approx(1.5 * np.hypot(1 / np.sqrt(3), 0.5))
    fill(h, dataset="run3", region="SR", score=[0.5], weight=1)
    nothing = observe(h, cut, data="run3", background="b", region="SR")
    assert (nothing.observed, nothing.ratio, nothing.ratio_error) == (0, None, None)
    weighted = observe(h, cut, data="s", background="run3", region="SR")
    assert (weighted.observed, weighted.b, weighted.ratio) == (pytest.approx(1.5), 0, None)


def test_best_separation_uses_labels(h):
    # eps_S - eps_B in the CR: 0, 1 - 31/41, 5/6 - 11/41, 3/6 - 1/41, -1/41
    cut = best_separation(h, background="b", signal="s", region="CR")
    assert cut.value == 2
    assert cut.eps_b == pytest.approx(11 / 41)
    assert "labelled CR" in cut.rule


def test_apply(h):
    cut = threshold(h, background="b", region="CR", quantile=0.9)
    found = apply(h, cut, background="b", signal="s", region="SR", systematic=0.3)
    assert (found.detector, found.region, found.signal, found.threshold) == (
        "surprise",
        "SR",
        "s",
        3,
    )
    assert (found.s, found.b) == (pytest.approx(1.5), pytest.approx(2))
    assert found.s_error == pytest.approx(0.1 * np.sqrt(15))
    assert found.b_error == pytest.approx(1)
    assert (found.eps_s, found.eps_b) == (pytest.approx(0.75), pytest.approx(0.2))
    assert found.eps_b_error == pytest.approx(np.sqrt(0.2 * 0.8 / 20), rel=0.05)
    assert found.s_over_b == pytest.approx(0.75)
    assert found.s_over_b_error == pytest.approx(0.75 * np.hypot(1 / np.sqrt(15), 1 / 2))
    assert found.sigma_b == pytest.approx(np.hypot(1, 0.6))
    assert found.z == pytest.approx(asimov(1.5, 2, sigma_b=found.sigma_b))
    assert (found.n_signal, found.n_background) == (pytest.approx(15), pytest.approx(4))
    assert found.counts == "effective"


def test_apply_with_columns_counts_raw_events(h):
    def columns(score, inside):
        score, inside = np.array(score), np.array(inside)
        return {"score:surprise": score, "region:SR": inside, "weight": np.ones(len(score))}

    raw = {
        "b": columns([3.5, 3.0, 9.0, 2.99, 3.5], [True, True, True, True, False]),
        "s": columns([3.5], [True]),
        "other": columns([3.5], [True]),
    }
    found = apply(h, 3.0, background="b", signal="s", region="SR", columns=raw)
    assert (found.n_background, found.n_signal, found.counts, found.rule) == (3, 1, "raw", "given")


def test_apply_without_background_left(h):
    found = apply(h, 4.0, background="b", signal="s", region="SR")
    assert (found.b, found.z, found.s_over_b, found.n_background) == (0, None, None, 0)
    assert found.eps_b_error > 0


def test_a_cut_between_edges_is_refused(h):
    with pytest.raises(OptionError, match=r"2\.2 is no bin edge; the nearest is 2\.0"):
        apply(h, 2.2, background="b", signal="s", region="SR")


def test_raw_counts_agree_with_the_histogram_at_every_edge():
    rng = np.random.default_rng(2)
    axis = Regular(37, -0.7, 1.9, name="score")
    score = np.concatenate([rng.normal(0.5, 1, 500), axis.edges])
    one = book(axis, name="surprise")
    fill(one, dataset="b", region="SR", score=score, weight=1)
    ones = np.ones(len(score))
    columns = {"b": {"score:surprise": score, "region:SR": ones.astype(bool), "weight": ones}}
    for edge in axis.edges:
        found = apply(one, edge, background="b", signal="b", region="SR", columns=columns)
        assert found.n_background == found.b
