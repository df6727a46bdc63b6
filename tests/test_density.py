"""The joined density: Kudo's one-sided likelihood ratio, against a slow optimiser."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls
from scipy.stats import norm, spearmanr

from hepmtp.density import POINTS, OneSidedDensity
from hepmtp.errors import NotFittedError, TrainingError


def background(seed: int, n_components: int, n: int = 3000) -> np.ndarray:
    """Correlated normal numbers, shape (n, n_components)."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(n_components, n_components)) + np.eye(n_components)
    return rng.normal(size=(n, n_components)) @ mixing


def with_precision(precision: np.ndarray) -> OneSidedDensity:
    """A density whose components are normal variables already, in [-50, 50]."""
    n = len(precision)
    line = np.array([-50.0, 50.0])
    return OneSidedDensity((line,) * n, (line,) * n, np.ones(n), precision)


def score_slowly(z: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """max over mu >= 0 of 2 mu P z - mu P mu, as z P z less the least squares |L^T (z - mu)|^2 with mu >= 0; z of shape (n, k)."""
    lower = np.linalg.cholesky(precision)
    return np.array([one @ precision @ one - nnls(lower.T, lower.T @ one)[1] ** 2 for one in z])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 7))
def test_the_score_is_kudos_ratio(seed: int, n_components: int) -> None:
    density = OneSidedDensity().fit(background(seed, n_components, n=500))
    x = 2 * background(seed + 1, n_components, n=40)
    z = density._normal(x)
    assert density.precision_ is not None
    slow, fast = score_slowly(z, density.precision_), density.score(x)
    np.testing.assert_allclose(np.maximum(fast, 0), slow, atol=1e-6 * (1 + np.abs(z).max() ** 2))
    # below 0 exactly where the ratio is stuck at 0
    strange = (z @ density.precision_ > 0).any(axis=1)
    np.testing.assert_array_equal(fast > 0, strange)


def test_numbers_by_hand() -> None:
    """Two components with correlation r: P = [[1, -r], [-r, 1]] / (1 - r^2)."""
    z = np.array([[3.0, 0.0], [2.0, 1.0], [0.0, -3.0], [-1.0, -2.0], [0.0, 0.0]])
    free = with_precision(np.eye(2)).score(z)
    np.testing.assert_allclose(free, [9, 5, 0, -1, 0], atol=1e-12)
    r = 0.6
    found = with_precision(np.array([[1, -r], [-r, 1]]) / (1 - r * r)).score(z)
    # (3, 0): the first alone may shift, (3 - 0.6 * 0)^2 / (1 - 0.36); (2, 1): both; (0, -3): the first lies 1.8 above what
    # the second makes us expect; (-1, -2): 0.2 above
    np.testing.assert_allclose(found, [9 / 0.64, (4 + 1 - 2.4) / 0.64, 1.8**2 / 0.64, 0.2**2 / 0.64, 0], atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 5))
def test_rising_with_each_component_unless_positively_correlated(seed: int, n_components: int) -> None:
    """With P >= 0 in all entries the gradient 2 P mu is too; a positive correlation is a negative entry of P."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(30, n_components)) * 2
    part = rng.random((n_components, n_components))
    density = with_precision(np.eye(n_components) * n_components + part + part.T)
    scores = density.score(z)
    for component in range(n_components):
        step = np.eye(n_components)[component] * 0.5
        assert (density.score(z + step) >= scores - 1e-9).all()
    # for any correlations: a shift v with P v >= 0, such as the direction in which one component alone is strange
    mixing = rng.normal(size=(n_components, n_components))
    covariance = mixing @ mixing.T + 0.1 * np.eye(n_components)
    density = with_precision(np.linalg.inv(covariance))
    scores = density.score(z)
    for column in covariance.T:
        assert (density.score(z + 0.5 * column) >= scores - 1e-6 * (1 + np.abs(scores))).all()


def test_a_lagging_component_is_strange_where_correlation_is_positive() -> None:
    density = with_precision(np.linalg.inv(np.array([[1, 0.9], [0.9, 1]])))
    lagging, together = density.score(np.array([[3.0, 0.0], [3.0, 2.7]]))
    assert lagging > 4 * together
    assert together == pytest.approx(9.0)


def test_any_shape_of_background_gives_the_same_ranks() -> None:
    """A monotone map of a component changes next to nothing within the background's range: a copula, kept at 1001 points."""
    x = background(3, 3, n=10_000)
    plain, mapped = OneSidedDensity().fit(x), OneSidedDensity().fit(np.exp(x))
    inside = x[:500]
    assert spearmanr(plain.score(inside), mapped.score(np.exp(inside))).statistic > 0.995


def test_normal_quantiles() -> None:
    column = np.random.default_rng(1).exponential(size=50_000)
    density = OneSidedDensity().fit(column[:, None])
    assert len(density.values_[0]) == POINTS
    z = density._normal(column[:, None])[:, 0]
    for quantile in (0.01, 0.16, 0.5, 0.84, 0.99, 0.999):
        assert np.quantile(z, quantile) == pytest.approx(norm.ppf(quantile), abs=0.02)
    # beyond the outermost event: one unit a standard deviation
    top = density.values_[0][-1]
    edge, beyond = density._normal(np.array([[top], [top + 3 * column.std()]]))[:, 0]
    assert beyond - edge == pytest.approx(3.0)


@pytest.mark.parametrize("n", [300, 3000])
def test_rounding_of_the_components_does_not_show(n: int) -> None:
    """Two events that lie close by chance would make the map so steep that it does."""
    x = background(8, 4, n=n)
    density = OneSidedDensity().fit(x)
    np.testing.assert_allclose(density.score(x + 1e-6), density.score(x), rtol=1e-4, atol=1e-4)


def test_no_plateaus() -> None:
    """Beyond the background's range, and among events that nothing makes strange, scores still tell events apart."""
    density = OneSidedDensity().fit(background(5, 4))
    x = np.concatenate([background(6, 4), 30 * background(7, 4)])
    scores = density.score(x)
    assert (scores < 0).any()
    assert len(np.unique(scores)) == len(x)
    line = np.linspace(0, 1e4, 200)[:, None] * np.ones(4)
    assert (np.diff(density.score(line)) > 0).all()


def test_a_counting_component_and_one_component() -> None:
    counts = np.random.default_rng(2).poisson(7, size=2000)[:, None].astype(float)
    density = OneSidedDensity().fit(counts)
    scores = density.score(np.arange(0.0, 40.0)[:, None])
    assert (np.diff(scores) > 0).all()
    assert np.isfinite(scores).all()
    assert density.score(np.zeros((0, 1))).shape == (0,)


def test_the_arrays_hold_everything() -> None:
    density = OneSidedDensity().fit(background(1, 3))
    again = OneSidedDensity.from_arrays(density.arrays())
    x = background(2, 3)
    np.testing.assert_array_equal(again.score(x), density.score(x))


def test_two_equal_components_count_once() -> None:
    x = background(1, 1)
    alone, twice = OneSidedDensity().fit(x), OneSidedDensity().fit(np.repeat(x, 2, axis=1))
    np.testing.assert_allclose(twice.score(np.repeat(x, 2, axis=1)), alone.score(x), atol=1e-6)


def test_what_cannot_be_fitted() -> None:
    with pytest.raises(NotFittedError, match=r"this density is not fitted yet: call fit"):
        OneSidedDensity().score(np.zeros((1, 2)))
    with pytest.raises(NotFittedError, match=r"there is nothing to save"):
        OneSidedDensity().arrays()
    x = background(1, 3)
    with pytest.raises(TrainingError, match=r"29 events are too few for a density of 3 components; give more"):
        OneSidedDensity().fit(x[:29])
    x[:, 1] = 4.0
    with pytest.raises(TrainingError, match=r"a component is \[4\.\] for every event: it holds no information"):
        OneSidedDensity().fit(x)
