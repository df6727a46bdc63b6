r"""The background quantile of a score, given jets, b-jets, HT and leptons of the event.

The rule: a score is compared among events that are alike. A region of more jets or b-jets has no
larger answers by that alone.

The steps, each fitted with the weights of background training events:

1. the score s goes to its normal score y, the standard deviations that its rank among all
   background would have;
2. mean and spread of y follow the conditions: two linear models in the columns of `basis`, by
   three rounds of least squares with weights :math:`w / \sigma^2` (M. Davidian and R. J. Carroll,
   J. Am. Stat. Assoc. 82 (1987) 1079);
3. of the residual :math:`z = (y - \mu) / \sigma`, the share p of the background that is at least
   as large is found, and the answer is :math:`-\log_{10} p`.

Beyond the last ten effective events the tail goes on as an exponential, down to the share of one.
Below that share nothing is known, and the answer rises as a logarithm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import awkward as ak
import numpy as np
from scipy.special import ndtr, ndtri

from hepmtp.errors import TrainingError
from hepmtp.events.dileptons import has_z
from hepmtp.events.observables import ht, n_b, n_jets, n_leptons
from hepmtp.events.ragged import Floats

#: What the score is compared at, as far as regions cut on it: numbers of jets, b-jets and leptons
#: (above these they count as so many), a pair of leptons from a Z, and HT, as the logarithm of GeV.
CONDITIONS: dict[str, float] = {"n_jets": 10, "n_b": 4, "n_leptons": 3, "z": 1, "log_ht": np.inf}
#: Rounds of least squares, and the least spread as a share of the mean absolute residual.
ROUNDS, FLOOR = 3, 0.15
#: Effective events that the far end of a tail is not resolved within, and the share of events that
#: gives the slope beyond.
FAR, TOP = 10.0, 0.01
#: Steps of the grids that distributions are kept on: in normal scores, and in -log10 of a share.
NORMAL_STEP, SHARE_STEP = 0.05, 0.01
#: Fewer training events than this do not fit two linear models.
FEWEST = 100
#: A score whose mean residual is a smaller share of its spread is one of the conditions.
LEFT = 0.1


def conditions(events: ak.Array) -> Floats:
    """Jets, b-jets, leptons, Z and ln(HT / GeV) of each event, shape (n_events, 5).

    Z is 1 for a pair of leptons with its mass (:mod:`hepmtp.events.dileptons`). Large numbers are
    cut as `CONDITIONS` says; HT below 1 GeV counts as 1 GeV.
    """
    columns = (
        n_jets(events),
        n_b(events),
        n_leptons(events),
        has_z(events),
        np.log(np.maximum(ht(events), 1.0)),
    )
    found = np.stack([np.asarray(one, dtype=np.float64) for one in columns], axis=1)
    return np.minimum(found, list(CONDITIONS.values()))


def basis(x: Floats) -> Floats:
    """Columns of the linear models, shape (n_columns, n_events), of conditions (n_events, 5).

    All products of two of jets, b-jets, leptons and ln HT, and the cube of ln HT. Steps are at one
    b-jet or none, three or more, and a Z, each with jets and HT.
    """
    jets, b, leptons, z, log_ht = x.T
    a, h, v, u = jets - 5.0, log_ht - 6.2, b - 1.5, leptons - 2.4
    few, many, three = (b <= 1) * 1.0, (b >= 3) * 1.0, (leptons >= 3) * 1.0
    return np.stack(
        [
            *(np.ones_like(a), a, v, h, u),
            *(a * a, v * v, h * h, a * v, a * h, v * h, u * a, u * v, u * h, h**3),
            *(few, few * a, few * h, many, many * a, many * h, many * three, b * three),
            *(z, z * a, z * v, z * h),
        ]
    )


class Upper(NamedTuple):
    """Distinct values, rising, and the share of background above each; an equal one counts half."""

    values: Floats
    share: Floats
    effective: float  #: (sum w)^2 / sum w^2

    @classmethod
    def of(cls, values: Floats, weight: Floats) -> Upper:
        """Of values with weights, shapes (n_events,); the sum of the weights must be positive."""
        distinct, which = np.unique(values, return_inverse=True)
        w = np.bincount(which, weight)
        total = w.sum()
        share = (total - np.cumsum(w) + w / 2) / total
        # weights may be negative: shares that do not fall would give strange events small scores
        share = np.minimum.accumulate(np.clip(share, 0.0, 1.0))
        return cls(distinct, share, float(total**2 / np.square(weight).sum()))

    def between(self, least: float, most: float) -> tuple[Floats, Floats]:
        """Values and shares where the share is in [least, most]; if nowhere, the median's."""
        kept = (self.share >= least) & (self.share <= most)
        if not kept.any():
            kept[np.searchsorted(-self.share, -0.5).clip(0, len(kept) - 1)] = True
        return self.values[kept], self.share[kept]


@dataclass(frozen=True, eq=False)
class NormalScores:
    """A score in standard deviations of its rank in background; a straight line beyond the ends.

    Parameters
    ----------
    values, normal
        points of the map, both rising, shape (n_points,).
    """

    values: Floats
    normal: Floats

    @classmethod
    def fit(cls, scores: Floats, weight: Floats) -> Self:
        """The map of background training events, shapes (n_events,)."""
        found = Upper.of(scores, weight)
        end = -ndtri(min(FAR / found.effective, 0.25))
        points, share = found.between(ndtr(-end), ndtr(end))
        known = -ndtri(np.clip(share, ndtr(-end), ndtr(end)))
        grid = np.unique([*np.arange(known[0], known[-1], NORMAL_STEP), known[-1]])
        return cls(*_rising(np.interp(grid, known, points), grid))

    def __call__(self, scores: Floats) -> Floats:
        """Normal scores, shape (n_events,)."""
        found = np.interp(scores, self.values, self.normal)
        for end, step, beyond in (
            (0, slice(None, 10), np.minimum(scores - self.values[0], 0.0)),
            (-1, slice(-10, None), np.maximum(scores - self.values[-1], 0.0)),
        ):
            v, n = self.values[step], self.normal[step]
            slope = (n[-1] - n[0]) / (v[-1] - v[0]) if len(v) > 1 else 1.0
            found = np.where(beyond == 0, found, self.normal[end] + beyond * slope)
        return np.asarray(found)


@dataclass(frozen=True, eq=False)
class Tail:
    """-log10 of the share of background that is at least as large; exponential beyond its end.

    The exponential holds down to the share of one effective event. Beyond, the answer still rises,
    but as a logarithm: a few hundred events cannot say that one in a million is as strange.

    Parameters
    ----------
    values, level
        points of the map, both rising, shape (n_points,).
    slope
        rise per unit beyond the last of them.

    Examples
    --------
    >>> tail = Tail.fit(np.arange(1000.0), np.ones(1000))
    >>> tail(np.array([-5.0, 499.5, 899.5])).round(2).tolist()
    [0.0, 0.3, 1.0]
    """

    values: Floats
    level: Floats
    slope: float

    @classmethod
    def fit(cls, values: Floats, weight: Floats) -> Self:
        """The map of background training events, shapes (n_events,)."""
        found = Upper.of(values, weight)
        end = -np.log10(min(FAR / found.effective, 0.5))
        points, share = found.between(10**-end, 1.0)
        known = -np.log10(np.maximum(share, 10**-end))
        grid = np.unique([*np.arange(known[0], known[-1], SHARE_STEP), known[-1]])
        points, level = _rising(np.interp(grid, known, points), grid)
        return cls(points, level, _slope(values, weight, float(points[-1])))

    def __call__(self, values: Floats) -> Floats:
        """-log10 of the share, 0 or more, shape (n_events,)."""
        beyond = self.slope * np.maximum(values - self.values[-1], 0.0)
        known = np.minimum(beyond, np.log10(FAR))
        unknown = np.log1p(np.maximum(beyond - known, 0.0))
        return np.asarray(np.interp(values, self.values, self.level) + known + unknown)


@dataclass(frozen=True, eq=False)
class ConditionalTail:
    """The third step for normal scores: linear models of mean and spread, and the residual's tail.

    Parameters
    ----------
    mean, spread
        coefficients of the columns of `basis`, shape (n_columns,).
    least
        least spread.
    tail
        of the residual.
    """

    mean: Floats
    spread: Floats
    least: float
    tail: Tail

    @classmethod
    def fit(cls, y: Floats, columns: Floats, weight: Floats) -> Self:
        """Fit on normal scores (n_events,) and what `basis` gives of the same events."""
        used = weight != 0  # of a bootstrap's sample, about two thirds
        y, columns, weight = y[used], columns[:, used], weight[used]
        sigma = np.ones_like(y)
        for _ in range(ROUNDS):
            mean = _least_squares(columns, y, weight / sigma**2)
            away = np.abs(y - linear(mean, columns))
            spread = _least_squares(columns, away, weight / sigma**2)
            least = FLOOR * max(float(away.mean()), 1e-9)
            sigma = np.maximum(linear(spread, columns), least)
        return cls(mean, spread, least, Tail.fit((y - linear(mean, columns)) / sigma, weight))

    def __call__(self, y: Floats, columns: Floats) -> Floats:
        """-log10 of the share of background of the same conditions, shape (n_events,)."""
        sigma = np.maximum(linear(self.spread, columns), self.least)
        return self.tail((y - linear(self.mean, columns)) / sigma)

    def arrays(self) -> dict[str, Floats]:
        """What was fitted as named arrays; `from_arrays` gives it back."""
        return {
            "mean": self.mean,
            "spread": self.spread,
            "values": self.tail.values,
            "level": self.tail.level,
            "numbers": np.array([self.least, self.tail.slope]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> Self:
        """The map whose `arrays` these are."""
        least, slope = arrays["numbers"].tolist()
        tail = Tail(arrays["values"], arrays["level"], slope)
        return cls(arrays["mean"], arrays["spread"], least, tail)


def linear(coefficients: Floats, columns: Floats) -> Floats:
    """Sum of coefficient times column, shape (n_events,).

    Column by column: a matrix product may round an event in a chunk otherwise than alone.
    """
    found = np.zeros(columns.shape[1])
    for one, column in zip(coefficients, columns, strict=True):
        found += one * column
    return found


def check_enough(weight: Floats) -> None:
    """Raise TrainingError for too few training events, or weights that sum to nothing."""
    if len(weight) < FEWEST:
        raise TrainingError(
            f"{len(weight)} training events are too few for a calibration, which needs {FEWEST}: "
            "give more background"
        )
    if not weight.sum() > 0:
        raise TrainingError(
            f"the weights of the {len(weight)} training events sum to {weight.sum():g}: a share "
            "of background needs a positive sum"
        )


def check_left(y: Floats, columns: Floats, weight: Floats, name: str) -> None:
    """Raise TrainingError for normal scores that the conditions tell almost fully."""
    mean = linear(_least_squares(columns, y, weight), columns)
    spread, left = (float(np.abs(one).mean()) for one in (y - y.mean(), y - mean))
    if not left > LEFT * spread:
        raise TrainingError(
            f"the score {name} is told by jets, b-jets, HT and leptons but for {left:.2g} of "
            f"{spread:.2g} standard deviations: given these, nothing of it is left to calibrate"
        )


def _least_squares(columns: Floats, y: Floats, weight: Floats) -> Floats:
    """Coefficients; columns that say nothing here (no event has three b-jets) get none."""
    matrix = (columns * weight) @ columns.T
    return np.asarray(np.linalg.lstsq(matrix, columns @ (weight * y), rcond=1e-10)[0])


def _rising(values: Floats, level: Floats) -> tuple[Floats, Floats]:
    """The points whose values rise; of equal ones the last."""
    keep = np.append(np.diff(values) > 0, True)
    return values[keep], level[keep]


def _slope(values: Floats, weight: Floats, last: float) -> float:
    """Rise of -log10 of the share per unit, beyond the last point: that of an exponential.

    Its mean is that of what lies above the last `TOP` of the values, or above the last point.
    """
    start = min(float(np.quantile(values, 1 - TOP)), last)
    above = values > start
    total = float(weight[above].sum())
    mean = float((weight[above] @ (values[above] - start)) / total) if total > 0 else 0.0
    if mean <= 0:  # all the same, or weights that cancel: a spread of the whole
        mean = max(float(values.std()), 1e-9)
    return float(1 / (mean * np.log(10)))
