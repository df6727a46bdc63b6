"""Events that several trainings select in common."""

from __future__ import annotations

import numpy as np
import pytest

from hepmtp.errors import OptionError, ScoreError
from hepmtp.statistics.agreement import agreements, threshold_of
from hepmtp.statistics.performance import Scores


def scores(signal: list[float], background: np.ndarray, weight: float = 1.0) -> Scores:
    w = np.full(len(background), weight)
    return Scores(np.array(signal), background, np.array([1.0, 2.0, 1.0]), w, w)


def test_events_in_common_by_hand() -> None:
    up = np.arange(20.0)
    first = scores([18.0, 19.0, 0.0], up)
    swapped = up.copy()
    swapped[[18, 3]] = swapped[[3, 18]]  # the second training selects events 19 and 3
    second = scores([18.0, 0.0, 0.0], swapped)
    rows = agreements([first, second], score="x", region="SR", signal="4top")
    tenth = {row.sample: row for row in rows if row.upper == 0.1}
    assert tenth["background"][:5] == ("x", "SR", "background", 0.1, 2)
    assert tenth["background"].selected == pytest.approx(0.1)
    assert tenth["background"].common == tenth["background"].by_two == 0.5
    assert tenth["background"].by_chance == pytest.approx(0.1)
    assert tenth["background"].n_common == 1
    assert 0.2 < tenth["background"].common_error < 0.4
    # weights 1, 2, 1: 3 and 1 of 4 are selected, 1 by both
    assert tenth["4top"].common == pytest.approx(1 / 2)
    assert tenth["4top"].by_chance == pytest.approx(3 / 4 * 1 / 4 * 4 / 2)


def test_a_scale_does_not_matter_and_chance_is_chance() -> None:
    rng = np.random.default_rng(1)
    first = scores([1.0, 2.0, 3.0], rng.normal(size=20_000), 0.3)
    scaled = first._replace(signal=5 * first.signal - 1, background=5 * first.background - 1)
    same = agreements([first, scaled, first], score="x", region="SR", signal="s")
    assert [row.common for row in same] == pytest.approx([1.0] * len(same))
    other = first._replace(background=rng.normal(size=20_000))
    for row in agreements([first, other], score="x", region="SR", signal="s"):
        if row.sample == "background":
            assert abs(row.common - row.upper) < 4 * row.common_error
            assert row.by_chance == pytest.approx(row.upper, rel=0.01)


def test_one_training_says_nothing_and_others_events_are_refused() -> None:
    one = scores([1.0, 2.0, 3.0], np.arange(5.0))
    assert agreements([one], score="x", region="SR", signal="s") == []
    with pytest.raises(OptionError, match="trainings of x have scored different events in SR"):
        agreements(
            [one, scores([1.0, 2.0, 3.0], np.arange(6.0))], score="x", region="SR", signal="s"
        )
    with pytest.raises(ScoreError, match="sum to nothing"):
        threshold_of(np.zeros(0), np.zeros(0), 0.1)
