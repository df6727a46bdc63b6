"""Tail probabilities and Fisher's combination, against scipy and against numbers by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import combine_pvalues, spearmanr

from hepmtp.errors import NotFittedError, TrainingError
from hepmtp.statistics.fisher import EVENTS_PER_POINT, POINTS, TailCombination


def background(seed: int, n_components: int, n: int = 3000) -> np.ndarray:
    """Correlated normal numbers, shape (n, n_components)."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(n_components, n_components)) + np.eye(n_components)
    return rng.normal(size=(n, n_components)) @ mixing


def test_numbers_by_hand() -> None:
    """Of ten values 0..9, 9.5 are at least 0, the event itself counting half; 0.5 at least 9."""
    tails = TailCombination().fit(np.arange(10.0)[:, None])
    found = tails.surprises(np.array([[0.0], [9.0], [-5.0]]))[:, 0]
    np.testing.assert_allclose(found, -np.log([0.95, 0.05, 0.95]))
    # beyond the largest: an exponential, its mean that of the ten largest values over the tenth
    assert tails.surprises(np.array([[18.0]]))[0, 0] == pytest.approx(-np.log(0.05) + 9 / 4.5)


def test_events_of_one_value_share_their_rank() -> None:
    column = np.repeat([2.0, 3.0, 5.0], [60, 30, 10])[:, None]
    found = TailCombination().fit(column).surprises(np.array([[2.0], [3.0], [5.0]]))[:, 0]
    np.testing.assert_allclose(found, -np.log([0.7, 0.25, 0.05]))


def test_the_score_is_fishers_statistic() -> None:
    x = np.random.default_rng(1).exponential(size=(100_000, 3))
    tails = TailCombination().fit(x)
    # of an exponential variable x the share that is at least as large is exp(-x)
    asked = np.array([[0.1, 1.0, 3.0], [2.0, 2.0, 2.0], [5.0, 0.01, 0.5]])
    expected = [combine_pvalues(np.exp(-one), method="fisher").statistic / 2 for one in asked]
    np.testing.assert_allclose(tails.score(asked), expected, rtol=0.03)
    np.testing.assert_allclose(tails.score(asked), asked.sum(axis=1), rtol=0.03)
    far = tails.score(np.array([[30.0, 0.0, 0.0]]))[0]
    assert far == pytest.approx(30.0, rel=0.1), "the exponential goes on"


def test_rising_with_each_component_and_never_below_0() -> None:
    tails = TailCombination().fit(background(1, 4))
    x = 2 * background(2, 4)
    scores = tails.score(x)
    assert (scores >= 0).all()
    for component in range(4):
        assert (tails.score(x + np.eye(4)[component]) >= scores).all()


def test_no_plateau_beyond_background() -> None:
    tails = TailCombination().fit(background(5, 4))
    line = np.linspace(3, 1e4, 200)[:, None] * np.ones(4)
    assert (np.diff(tails.score(line)) > 0).all()


def test_a_count_that_is_cut_off_goes_on_in_steps() -> None:
    column = np.repeat([1.0, 2.0, 4.0], [500, 300, 200])[:, None]
    found = TailCombination().fit(column).surprises(np.array([[4.0], [6.0], [8.0]]))[:, 0]
    np.testing.assert_allclose(found, -np.log(0.1) + np.array([0.0, 1.0, 2.0]))


def test_any_shape_of_background_gives_the_same_ranks() -> None:
    x = background(3, 3, n=10_000)
    plain, mapped = TailCombination().fit(x), TailCombination().fit(np.exp(x))
    assert len(plain.values_[0]) == POINTS == 10_000 // EVENTS_PER_POINT + 1
    assert spearmanr(plain.score(x[:500]), mapped.score(np.exp(x[:500]))).statistic > 0.995


@pytest.mark.parametrize("n", [300, 3000])
def test_rounding_of_the_components_does_not_show(n: int) -> None:
    """Two events that lie close by chance would make the map so steep that it does."""
    x = background(8, 4, n=n)
    tails = TailCombination().fit(x)
    np.testing.assert_allclose(tails.score(x + 1e-6), tails.score(x), rtol=1e-4, atol=1e-4)


def test_the_arrays_hold_everything() -> None:
    tails = TailCombination().fit(background(1, 3))
    again = TailCombination.from_arrays(tails.arrays())
    x = 3 * background(2, 3)
    np.testing.assert_array_equal(again.score(x), tails.score(x))
    assert tails.score(np.zeros((0, 3))).shape == (0,)


def test_what_cannot_be_fitted() -> None:
    with pytest.raises(
        NotFittedError, match=r"these tail probabilities are not fitted yet: call fit"
    ):
        TailCombination().score(np.zeros((1, 2)))
    with pytest.raises(NotFittedError, match=r"there is nothing to save"):
        TailCombination().arrays()
    with pytest.raises(
        TrainingError, match=r"9 events are too few for tail probabilities; give more"
    ):
        TailCombination().fit(background(1, 3)[:9])


def test_a_component_that_never_varies_is_strange_above_its_value_alone() -> None:
    """Such as the count, where all of background has four particles."""
    found = (
        TailCombination().fit(np.full((50, 1), 4.0)).score(np.array([[3.0], [4.0], [5.0], [7.0]]))
    )
    np.testing.assert_allclose(found, -np.log(0.5) + np.array([0, 0, 1, 3]))
