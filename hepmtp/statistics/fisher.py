r"""Tail probabilities of several components in background, and Fisher's combination of them.

The rule: only values *larger* than those of background make an event strange. No component has a
weight: what is rare counts as much as it is rare.

With :math:`p_k` the share of background training events whose component k is at least as large,
the score is

.. math:: \sum_k -\ln p_k

(R. A. Fisher, Statistical Methods for Research Workers, 4th ed. (1932), section 21.1). Twice the
sum would follow a chi-square distribution if components were independent. Correlations spoil that,
but not the ranking of events: thresholds come from the control region, never from chi-square.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from hepmtp.errors import NotFittedError, TrainingError
from hepmtp.events.ragged import Floats

#: At most so many points of a component's distribution are kept, and one for each ten events: where
#: one or two events tell points apart, the map is so steep that rounding shows in the score.
POINTS, EVENTS_PER_POINT = 1001, 10
#: Share of the largest training values from which the tail beyond all of them is taken.
TAIL = 0.01


@dataclass(eq=False)
class TailCombination:
    """Fisher's combination of the background tail probabilities of components.

    Attributes
    ----------
    values_, surprise_
        for each component, rising values and -ln of the share of background that is at least as
        large (an event of the same value counts half).
    slope_
        rise of -ln p per unit beyond the largest value, shape (n_components,). The tail goes on as
        an exponential. Its mean is that of the largest hundredth of the training values; where
        these are all the same, the step to the next lower value (1 if there is none).

    Examples
    --------
    >>> x = np.random.default_rng(1).normal(size=(2000, 2))
    >>> asked = np.array([[3.0, 0.0], [3.0, 3.0], [-3.0, -3.0], [9.0, 9.0]])
    >>> scores = TailCombination().fit(x).score(asked)
    >>> bool(scores[3] > scores[1] > scores[0] > scores[2] >= 0)
    True
    """

    values_: tuple[Floats, ...] = ()
    surprise_: tuple[Floats, ...] = ()
    slope_: Floats | None = None

    def fit(self, x: Floats) -> Self:
        """Fit on background training events, shape (n_events, n_components)."""
        if len(x) < EVENTS_PER_POINT:
            raise TrainingError(f"{len(x)} events are too few for tail probabilities; give more")
        grids = [_grid(column) for column in x.T]
        self.values_ = tuple(values for values, _ in grids)
        self.surprise_ = tuple(surprise for _, surprise in grids)
        self.slope_ = np.array([_slope(column) for column in x.T])
        return self

    def surprises(self, x: Floats) -> Floats:
        """-ln p of each component, 0 or more, shape (n_events, n_components)."""
        if self.slope_ is None:
            raise NotFittedError(
                "these tail probabilities are not fitted yet: call fit(components of background "
                "events) first"
            )
        columns = []
        for column, values, surprise, slope in zip(
            x.T, self.values_, self.surprise_, self.slope_, strict=True
        ):
            beyond = np.maximum(column - values[-1], 0.0)
            columns.append(np.interp(column, values, surprise) + beyond * slope)
        return np.stack(columns, axis=1)

    def score(self, x: Floats) -> Floats:
        """Sum of -ln p over the components, shape (n_events,)."""
        return np.asarray(self.surprises(x).sum(axis=1))

    def arrays(self) -> dict[str, Floats]:
        """What was fitted as named arrays; `from_arrays` gives it back."""
        if self.slope_ is None:
            raise NotFittedError(
                "these tail probabilities are not fitted yet: there is nothing to save"
            )
        arrays = {"slope": self.slope_} | {
            f"values.{i}": values for i, values in enumerate(self.values_)
        }
        return arrays | {f"surprise.{i}": surprise for i, surprise in enumerate(self.surprise_)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, Floats]) -> Self:
        """The combination whose `arrays` these are."""
        index = range(len(arrays["slope"]))
        values, surprise = (
            tuple(arrays[f"{name}.{i}"] for i in index) for name in ("values", "surprise")
        )
        return cls(values, surprise, arrays["slope"])


def _grid(column: Floats) -> tuple[Floats, Floats]:
    """Distinct values and -ln of the share of events at least as large, thinned to POINTS."""
    values, counts = np.unique(column, return_counts=True)
    larger = len(column) - np.cumsum(counts)
    surprise = -np.log((larger + counts / 2) / len(column))
    points = min(POINTS, len(column) // EVENTS_PER_POINT + 1)
    rank = np.unique(np.linspace(0, len(values) - 1, points).round().astype(np.int64))
    return values[rank], surprise[rank]


def _slope(column: Floats) -> float:
    top = np.sort(column)[-max(EVENTS_PER_POINT, round(TAIL * len(column))) :]
    excess = (top - top[0]).mean()
    if excess == 0:  # all the same, such as a count that is cut off: one step is a factor e
        excess = top[0] - max(column[column < top[0]], default=top[0] - 1)
    return float(1 / excess)
