r"""A density of several surprises, fitted on background, and how far beyond it an event lies in the strange direction.

The rule: only a shift towards *larger* surprises makes an event strange; where none makes it likelier, the score is below 0.

Each component is mapped to a normal variable by its background distribution, and their correlations give the density
:math:`p(z) = N(z; 0, C)` (a Gaussian copula). The score is the likelihood ratio of the one-sided test for a shift of its mean
(Kudo, Biometrika 50 (1963) 403; Perlman, Ann. Math. Stat. 40 (1969) 549),

.. math:: \max_{\mu \ge 0}\ 2 \ln \frac{p(z - \mu)}{p(z)} = \max_{\mu \ge 0}\ 2 \mu^T C^{-1} z - \mu^T C^{-1} \mu .

It rises with :math:`C^{-1} z`, so in z itself where components are uncorrelated or anticorrelated. Where two are positively
correlated, one that lags behind the other is strange too: with a correlation of 0.9, z = (0, -3) scores above 0, as the second
component makes us expect -2.7 of the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from hepmtp.errors import NotFittedError, TrainingError

Floats = NDArray[np.float64]

#: At most so many points of a component's distribution are kept, and no more than one for each ten events: between points that
#: one or two events tell apart, the map is so steep that rounding shows in the score.
POINTS, EVENTS_PER_POINT = 1001, 10


@dataclass(eq=False)
class OneSidedDensity:
    """Gaussian copula of background components with a one-sided likelihood-ratio score.

    Attributes
    ----------
    values_, normal_
        for each component, rising values and the normal quantiles that they stand for.
    spread_
        standard deviation of each component: its unit beyond the outermost background event.
    precision_
        inverse correlation matrix of the normal variables, shape (n_components, n_components).

    Examples
    --------
    >>> x = np.random.default_rng(1).normal(size=(2000, 2))
    >>> scores = OneSidedDensity().fit(x).score(np.array([[3.0, 0.0], [3.0, 3.0], [-3.0, -3.0]]))
    >>> bool(scores[1] > scores[0] > 0 > scores[2])
    True
    """

    values_: tuple[Floats, ...] = ()
    normal_: tuple[Floats, ...] = ()
    spread_: Floats | None = None
    precision_: Floats | None = None

    def fit(self, x: Floats) -> Self:
        """Fit on background training events, shape (n_events, n_components); a component that never varies raises."""
        if len(x) < 10 * x.shape[1]:
            raise TrainingError(f"{len(x)} events are too few for a density of {x.shape[1]} components; give more")
        grids = [_normal_grid(column) for column in x.T]
        self.values_, self.normal_ = tuple(v for v, _ in grids), tuple(z for _, z in grids)
        spread: Floats = x.std(axis=0)
        self.spread_ = spread
        z = self._normal(x)
        correlation: Floats = np.corrcoef(z, rowvar=False).reshape(x.shape[1], -1)
        self.precision_ = np.asarray(np.linalg.pinv(correlation), dtype=np.float64)
        return self

    def score(self, x: Floats) -> Floats:
        """One-sided likelihood ratio of each event, shape (n_events,); negative where no shift upwards makes it likelier.

        The maximum over mu >= 0 is taken over the sets of components that may be shifted: for each set the best shift is
        linear algebra, and only shifts without a negative part count. Where none is left, the (negative) square
        of the least unsurprising component is the score, so that such events do not tie.
        """
        if self.precision_ is None:
            raise NotFittedError("this density is not fitted yet: call fit(components of background events) first")
        y = self._normal(x) @ self.precision_
        single = np.sign(y) * y**2 / np.diag(self.precision_)
        best: Floats = single.max(axis=1)
        for size in range(2, x.shape[1] + 1):
            for members in combinations(range(x.shape[1]), size):
                part = self.precision_[np.ix_(members, members)]
                shift = y[:, members] @ np.linalg.pinv(part)
                ratio = np.where((shift >= 0).all(axis=1), (shift * y[:, members]).sum(axis=1), -np.inf)
                best = np.maximum(best, ratio)
        return best

    def arrays(self) -> dict[str, Floats]:
        """The fitted density as named arrays; `from_arrays` gives it back."""
        if self.spread_ is None or self.precision_ is None:
            raise NotFittedError("this density is not fitted yet: there is nothing to save")
        arrays = {"spread": self.spread_, "precision": self.precision_}
        arrays |= {f"values.{i}": values for i, values in enumerate(self.values_)}
        return arrays | {f"normal.{i}": normal for i, normal in enumerate(self.normal_)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, Floats]) -> Self:
        """The density whose `arrays` these are."""
        index = range(len(arrays["spread"]))
        values, normal = (tuple(arrays[f"{name}.{i}"] for i in index) for name in ("values", "normal"))
        return cls(values, normal, arrays["spread"], arrays["precision"])

    def _normal(self, x: Floats) -> Floats:
        assert self.spread_ is not None
        columns = []
        for column, values, normal, spread in zip(x.T, self.values_, self.normal_, self.spread_, strict=True):
            beyond = column - np.clip(column, values[0], values[-1])
            columns.append(np.interp(column, values, normal) + beyond / spread)
        return np.stack(columns, axis=1)


def _normal_grid(column: Floats) -> tuple[Floats, Floats]:
    """Distinct values and the normal quantile of each one's mid-rank, thinned to POINTS."""
    values, counts = np.unique(column, return_counts=True)
    if len(values) < 2:
        raise TrainingError(f"a component is {values} for every event: it holds no information")
    rank = (np.cumsum(counts) - counts / 2) / len(column)
    points = min(POINTS, len(column) // EVENTS_PER_POINT + 1)
    keep = np.unique(np.linspace(0, len(values) - 1, points).round().astype(np.int64))
    return values[keep], ndtri(rank[keep])
