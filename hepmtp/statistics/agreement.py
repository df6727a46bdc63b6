"""Do trainings of one detector select the same events? The share that all of them have in common.

The rule: each training selects the same share of the background by its own scores, so that its
scale does not matter. All score the same events, which none of them has seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hepmtp.errors import OptionError, ScoreError
from hepmtp.events.ragged import Bools, Floats
from hepmtp.statistics.performance import Scores
from hepmtp.statistics.uncertainties import efficiency_error

#: Upper parts of the background that are selected.
SELECTED = (0.1, 0.02)


class Agreement(NamedTuple):
    """What trainings select in common.

    Parameters
    ----------
    sample
        "background", or the name of a signal.
    upper
        share of the background that each training selects.
    selected
        share of the sample that a training selects, mean over trainings.
    common, common_error
        of what a training selects, the share that all of them select.
    by_two
        the same for two trainings, mean over pairs.
    by_chance
        `common` if each selected as many at random.
    n_common
        raw events that all of them select.
    """

    score: str
    region: str
    sample: str
    upper: float
    trainings: int
    selected: float
    common: float
    common_error: float
    by_two: float
    by_chance: float
    n_common: int


def agreements(
    trainings: Sequence[Scores], *, score: str, region: str, signal: str
) -> list[Agreement]:
    """The background and a signal in each of the `SELECTED` parts; nothing for a single training.

    Parameters
    ----------
    trainings
        scores of the same events by each training.

    Raises
    ------
    OptionError
        if trainings have scored different numbers of events.
    """
    if len(trainings) < 2:
        return []
    if len({(len(one.signal), len(one.background)) for one in trainings}) > 1:
        raise OptionError(
            f"trainings of {score} have scored different events in {region}: give each the same"
        )
    rows = []
    for upper in SELECTED:
        cuts = [threshold_of(one.background, one.background_weight, upper) for one in trainings]
        for sample, scores, weight in (
            ("background", [one.background for one in trainings], trainings[0].background_weight),
            (signal, [one.signal for one in trainings], trainings[0].signal_weight),
        ):
            selected = np.stack([values >= cut for values, cut in zip(scores, cuts, strict=True)])
            if selected.any():
                found = _in_common(selected, weight)
                rows.append(Agreement(score, region, sample, upper, len(trainings), *found))
    return rows


def threshold_of(score: Floats, weight: Floats, upper: float) -> float:
    """The largest score that at least a share `upper` of the events reaches.

    Examples
    --------
    >>> threshold_of(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 1.0, 1.0, 2.0]), 0.5)
    3.0
    """
    order = np.argsort(-score, kind="stable")
    above = np.cumsum(weight[order])
    if not (len(above) and above[-1] > 0):
        raise ScoreError("the weights of the background sum to nothing, so there are no shares")
    return float(score[order[int(np.argmax(above >= upper * above[-1] - 1e-12))]])


def _in_common(selected: Bools, weight: Floats) -> tuple[float, float, float, float, float, int]:
    """From `selected` on of `Agreement`, of (n_trainings, n_events)."""
    n = len(selected)
    every = selected.all(axis=0)
    sums, squares = (selected @ one for one in (weight, weight**2))
    mean, total = float(sums.mean()), float(weight.sum())
    error = efficiency_error(
        weight[every].sum(), (weight[every] ** 2).sum(), mean, float(squares.mean())
    )
    both = (selected * weight) @ selected.T
    by_two = float(both[~np.eye(n, dtype=bool)].mean()) / mean
    by_chance = float(np.prod(sums / total)) * total / mean
    common = float(weight[every].sum()) / mean
    return mean / total, common, float(error), by_two, by_chance, int(every.sum())
