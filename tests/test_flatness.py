"""Shares of a calibrated score, their ratios and chi2, and the figure that shows them."""

from __future__ import annotations

import itertools
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from hist.axis import Regular

from hepmtp import plotting
from hepmtp.errors import OptionError, ScoreError
from hepmtp.statistics.flatness import EDGES, UPPER, Shares, flatness, ratio, shares
from hepmtp.statistics.histograms import book, fill

BACKGROUND = ["ttbarW", "ttbarZ"]


def empty() -> Any:
    return book(Regular(80, 0, 4, name="score", label="calibrated"), name="known_calibrated")


def filled(seed: int, *, stretch: float = 1.0, n: int = 4000, replicas: bool = False) -> Any:
    """Scores that are flat as -log10 of a share, but for a factor in the SR; a signal rises."""
    rng, h = np.random.default_rng(seed), empty()
    variations = ["replica_00", "replica_01"] if replicas else ["nominal"]
    for region, variation in itertools.product(("CR", "VR", "SR"), variations):
        for name in BACKGROUND:
            score = -np.log10(rng.uniform(size=n)) * (stretch if region == "SR" else 1.0)
            fill(h, dataset=name, region=region, score=score, weight=0.1, variation=variation)
        signal = -np.log10(rng.uniform(size=n) ** 3)
        fill(h, dataset="4top", region=region, score=signal, weight=0.01)
    return h


def test_shares_of_numbers_written_out() -> None:
    h = empty()
    fill(h, dataset="ttbarW", region="SR", score=[0.05, 0.15, 1.5, 9.0], weight=2.0)
    fill(h, dataset="ttbarZ", region="SR", score=[0.05, 0.05], weight=1.0)
    replicas = empty()
    for k, score in enumerate(([0.05, 3.0], [0.05, 0.05, 0.05, 3.0])):
        name = f"replica_{k:02d}"
        fill(replicas, dataset="ttbarW", region="SR", score=score, weight=1.0, variation=name)
        fill(replicas, dataset="ttbarZ", region="SR", score=[], weight=[], variation=name)
    found = shares(h, "SR", datasets=BACKGROUND, replicas=replicas, edges=(0.0, 0.1, 1.0, 4.0))
    np.testing.assert_allclose(found.share, [0.4, 0.2, 0.4])  # 9.0 is beyond the axis
    np.testing.assert_allclose(found.error, np.sqrt([6, 4, 8]) / 10)
    np.testing.assert_allclose(found.replicas, [[0.5, 0.0, 0.5], [0.75, 0.0, 0.25]])
    np.testing.assert_allclose(found.calibration_error, np.array([1, 0, 1]) * 0.25 / np.sqrt(2))
    assert found.total == 10.0


def test_a_fit_changes_the_mixture() -> None:
    h = empty()
    fill(h, dataset="ttbarW", region="SR", score=[0.05] * 3, weight=1.0)
    fill(h, dataset="ttbarZ", region="SR", score=[3.0], weight=1.0)
    found = shares(h, "SR", datasets=BACKGROUND, expected={"ttbarW": 1.5}, edges=(0.0, 1.0, 4.0))
    np.testing.assert_allclose(found.share, [0.6, 0.4])
    np.testing.assert_allclose(found.error, [np.sqrt(3) * 0.5 / 2.5, 1 / 2.5])
    assert found.total == 2.5


def of(share: Any, error: Any, replicas: Any = (), region: str = "SR") -> Shares:
    share = np.array(share, dtype=float)
    replicas = np.array(replicas, dtype=float).reshape(-1, len(share))
    edges = np.array([0.0, 0.3, 1.0, 4.0])
    return Shares(region, edges, share, np.array(error, dtype=float), replicas, 1.0)


def test_ratio_of_numbers_written_out() -> None:
    found = ratio(
        of([0.6, 0.4, 0.0], [0.06, 0.04, 0.0], [[0.5, 0.5, 0.0], [0.7, 0.3, 0.0]]),
        of([0.5, 0.4, 0.0], [0.05, 0.02, 0.0], [[0.5, 0.4, 0.0], [0.5, 0.4, 0.0]], "CR"),
    )
    np.testing.assert_allclose(found.ratio, [1.2, 1.0, np.nan])
    np.testing.assert_allclose(found.error, [1.2 * np.hypot(0.1, 0.1), np.hypot(0.1, 0.05), np.nan])
    np.testing.assert_allclose(
        found.calibration_error, [0.4 / np.sqrt(2), 0.5 / np.sqrt(2), np.nan]
    )


def test_chi2_of_numbers_written_out() -> None:
    first, second = of([0.5, 0.4, 0.1], [0.03] * 3), of([0.5, 0.3, 0.2], [0.04] * 3, region="CR")
    half = flatness(first, second, upper=0.5)
    assert (half.chi2, half.ndof) == (pytest.approx(8.0), 2)  # 0.1 is two errors of 0.05
    assert half.p_value == pytest.approx(np.exp(-4.0))
    assert (half.first, half.second) == (pytest.approx(0.5), pytest.approx(0.5))
    assert half.ratio == pytest.approx(1.0)
    assert half.error == pytest.approx(np.sqrt(2 * 0.03**2 + 2 * 0.04**2) / 0.5)
    tenth = flatness(first, second, upper=0.1)
    assert (tenth.chi2, tenth.ndof, tenth.ratio) == (pytest.approx(4.0), 1, pytest.approx(0.5))
    assert tenth.regions == ("SR", "CR")


def test_the_calibration_moves_bins_together() -> None:
    """Two replicas that trade one bin for another allow that difference, and no other."""
    replicas = [[0.5, 0.4, 0.1], [0.5, 0.2, 0.3]]
    first = of([0.5, 0.35, 0.15], [0.01] * 3, replicas)
    second = of([0.5, 0.3, 0.2], [0.01] * 3, [[0.5, 0.3, 0.2]] * 2, "CR")
    assert flatness(first, second, upper=0.5).chi2 < 0.2
    alone = of([0.5, 0.35, 0.15], [0.01] * 3, [[0.5, 0.3, 0.2]] * 2)
    assert flatness(alone, second, upper=0.5).chi2 > 20
    together = of([0.4, 0.35, 0.25], [0.01] * 3, replicas)
    assert flatness(together, second, upper=0.5).chi2 > 20


def test_what_is_flat_is_found_flat_and_what_is_not_is_found() -> None:
    p_values = []
    for seed in range(20):
        parts = [shares(filled(seed), one, datasets=BACKGROUND) for one in ("SR", "CR")]
        np.testing.assert_allclose(
            parts[0].share[:-1], 10 ** -parts[0].edges[:-2] - 10 ** -parts[0].edges[1:-1], atol=0.02
        )
        p_values += [flatness(*parts, upper=upper).p_value for upper in UPPER]
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.15)
    stretched = filled(1, stretch=1.15)
    parts = [shares(stretched, one, datasets=BACKGROUND) for one in ("SR", "CR")]
    found = [flatness(*parts, upper=upper) for upper in UPPER]
    assert [one.p_value < 1e-3 for one in found] == [True] * 3
    assert found[1].ratio == pytest.approx(10 ** (1 - 1 / 1.15), rel=0.1)


def test_what_has_no_shares_is_refused() -> None:
    h = filled(1)
    with pytest.raises(OptionError, match=r"has 80 bins from 0 to 4; the edges 0, 0.33, 4 are not"):
        shares(h, "SR", datasets=BACKGROUND, edges=(0, 0.33, 4))
    with pytest.raises(OptionError, match=r"are not all among theirs, from end to end"):
        shares(h, "SR", datasets=BACKGROUND, edges=(0, 1, 3))
    fill(h, dataset="ttbarW", region="none", score=[], weight=[])
    with pytest.raises(ScoreError, match=r"the weights of ttbarW, ttbarZ in none sum to 0"):
        shares(h, "none", datasets=BACKGROUND)
    one = shares(h, "SR", datasets=BACKGROUND)
    with_replicas = shares(h, "SR", datasets=BACKGROUND, replicas=filled(2, replicas=True))
    with pytest.raises(OptionError, match=r"SR has 0 replicas and SR has 2: give both those of"):
        flatness(one, with_replicas)
    with pytest.raises(OptionError, match=r"the upper 0.3 of the background is not tested; there"):
        flatness(one, one, upper=0.3)


def texts(figure: Any) -> str:
    return " ".join(text.get_text() for text in figure.findobj(mpl.text.Text))


def test_the_figure_shows_what_it_was_given() -> None:
    h, replicas = filled(1), filled(2, replicas=True)
    figure = plotting.calibrated_score(
        h,
        background=BACKGROUND,
        signals=["4top"],
        replicas=replicas,
        caption=plotting.SIMULATION,
    )
    found = texts(figure)
    words = ["hepmtp", "simulation", "SR / CR", "VR / CR", "Share of the region", "CR background"]
    for expected in (*words, r"$t\bar{t}t\bar{t}$ in SR", "calibrated", "139 fb"):
        assert expected in found
    assert "ATLAS" not in found
    top, first, second = figure.axes
    parts = {one: shares(h, one, datasets=BACKGROUND, replicas=replicas) for one in ("CR", "SR")}
    sr = top.containers[2].lines[0].get_ydata()
    np.testing.assert_allclose(sr, parts["SR"].share * 0.1 / np.diff(EDGES))
    np.testing.assert_allclose(
        first.containers[0].lines[0].get_ydata(), parts["SR"].share / parts["CR"].share
    )
    assert (first.get_ylabel(), second.get_ylabel()) == ("SR / CR", "VR / CR")
    verdict = flatness(parts["SR"], parts["CR"], upper=0.1)
    assert f"10 %: {verdict.chi2:.1f} / {verdict.ndof}" in texts(first)


def test_the_figure_after_a_fit_shows_events() -> None:
    h = filled(1)
    expected = {one: {"ttbarW": 1000.0, "ttbarZ": 500.0} for one in ("CR", "SR")}
    figure = plotting.calibrated_score(
        h, ("CR", "SR"), background=BACKGROUND, expected=expected, caption=plotting.UNKNOWN
    )
    assert "Events / 0.1" in texts(figure)
    assert "after the fit" in texts(figure)
    assert "hepmtp" not in texts(figure)
    y = figure.axes[0].containers[0].lines[0].get_ydata()
    assert (y * np.diff(EDGES) / 0.1).sum() == pytest.approx(1500.0)
