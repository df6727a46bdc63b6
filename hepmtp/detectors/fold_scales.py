"""Scores of the trainings of a cross-fitting on one scale: factor and shift of each, and the axis.

The rule: a factor and a shift only, from events that neither of two trainings has learned from.
"""

from __future__ import annotations

from collections.abc import Sequence

import awkward as ak
import numpy as np
from hist.axis import Regular

from hepmtp.detectors import Detector
from hepmtp.errors import TrainingError
from hepmtp.events.folds import fold_of
from hepmtp.events.ragged import Floats

#: Background events unseen by two trainings, on which their scores are made comparable, at least.
LEAST_EVENTS = 10


def fold_scales(members: Sequence[Detector], events: ak.Array) -> Floats:
    """Factor and shift that bring each member's score to the scale of the first, (folds, 2).

    Two members are compared on the same events, so that equal scores stay exactly what they are.
    None of these is in the fold of either: what is scored has set no scale. A score that means the
    same in every training (`absolute`), a share of background for instance, stays as it is.
    """
    if getattr(members[0], "absolute", False):
        return np.array([(1.0, 0.0)] * len(members))
    fold, first = fold_of(events, len(members)), np.zeros(len(events))
    first[fold != 0] = members[0].score(events[fold != 0])
    scales = [(1.0, 0.0)]
    for index, member in enumerate(members[1:], start=1):
        both = (fold != 0) & (fold != index)
        if both.sum() < LEAST_EVENTS:
            raise TrainingError(
                f"only {int(both.sum())} background events are unseen by two of {len(members)} "
                f"trainings, at least {LEAST_EVENTS} are needed: give more events"
            )
        mine, its = first[both], member.score(events[both])
        factor = float(mine.std() / its.std()) if min(mine.std(), its.std()) > 0 else 1.0
        scales.append((factor, float(mine.mean() - factor * its.mean())))
    return np.array(scales)


def joint_axis(axes: Sequence[Regular], scales: Floats) -> Regular:
    """An axis over the ranges of all members; counts keep one bin a number."""
    ends = np.array([(axis.edges[0], axis.edges[-1]) for axis in axes])
    ends = ends * scales[:, :1] + scales[:, 1:]
    sizes = np.array([axis.size for axis in axes])
    start, stop = float(ends.min()), float(ends.max())
    counts = (ends % 1 == 0.5).all() and (np.diff(ends)[:, 0] == sizes).all()
    bins = round(stop - start) if counts else int(sizes.max())
    return Regular(bins, start, stop, name="score", label=axes[0].label)
