"""Weights of both signs and of 0: effective counts, and no share of a sum that is noise."""

from __future__ import annotations

import numpy as np
import pytest
from hist.axis import Regular

from hepmtp.errors import ScoreError
from hepmtp.report.problems import signs
from hepmtp.statistics.histograms import book, fill
from hepmtp.statistics.metrics import auc, roc
from hepmtp.statistics.thresholds import apply, threshold
from hepmtp.statistics.working_points import working_point


def test_weights_of_both_signs_make_no_nonsense() -> None:
    rng = np.random.default_rng(2)
    refused = 0
    for share in np.linspace(0.0, 0.5, 200):  # of weights below 0
        score = [rng.normal(size=60), rng.normal(0.5, size=60)]
        weight = [np.where(rng.random(60) < share, -1.0, 1.0) for _ in score]
        h = book(Regular(20, -4, 5, name="score"), name="x")
        for name, s, w in zip(("b", "s"), score, weight, strict=True):
            for region in ("CR", "SR"):
                fill(h, dataset=name, region=region, score=s, weight=w)
        try:
            area = auc(score[1], score[0], signal_weight=weight[1], background_weight=weight[0])
            cut = threshold(h, background=["b"], region="CR", quantile=0.9)
            found = apply(h, cut, background=["b"], signal=["s"], region="SR")
        except ScoreError:
            refused += 1
            assert share > 0.2
            continue
        assert 0 <= area.value <= 1
        assert area.error > 0.02
        for value, error in ((found.eps_s, found.eps_s_error), (found.eps_b, found.eps_b_error)):
            assert -2 * error < value < 1 + 2 * error
        assert found.z is None or np.isfinite(found.z)
        assert found.n_signal <= 60
    assert 20 < refused < 120


def test_a_sum_that_is_noise_has_no_shares() -> None:
    score, weight = np.arange(101.0), np.where(np.arange(101) % 2 == 0, 1.0, -1.0)
    with pytest.raises(
        ScoreError, match=r"weights of 101 events have both signs and sum to 1 ± 10"
    ):
        roc(score, score, signal_weight=weight)
    h = book(Regular(101, -0.5, 100.5, name="score"), name="x")
    fill(h, dataset="b", region="CR", score=score, weight=weight)
    with pytest.raises(ScoreError, match=r"of b in region CR have both signs and sum to 1 ± 10"):
        threshold(h, background=["b"], region="CR")
    # one event of weight 5 is a sum that is certain
    assert roc([1.0], [0.0], signal_weight=[5.0]).eps_s.tolist() == [0.0, 1.0, 1.0]


def test_events_of_weight_0_count_for_no_working_point() -> None:
    score = np.arange(100.0)
    weight = np.where(score < 30, 1.0, 0.0)
    curve = roc(score, score, background_weight=weight)
    assert curve.n_background[-1] == 30
    point = working_point(curve, 0.5)
    assert (point.n_background, point.eps_s) == (15, None)
    assert point.reason == "15 raw background events pass, 25 are needed"


def test_a_page_says_how_many_weights_are_below_0() -> None:
    columns = {
        "ttW": {"weight": np.array([1.0, 1.0, 1.0, 1.0, -1.0])},
        "ttZ": {"weight": np.array([0.0, 2.0])},
        "ttH": {"weight": np.array([2.0])},
    }
    assert list(signs(columns)) == [
        (
            "1 of 5 events of ttW have a weight below 0: they count as 2 effective events, and "
            "shares may lie a little below 0 or above 1."
        ),
        "1 of 2 events of ttZ have the weight 0: they count for nothing.",
    ]
