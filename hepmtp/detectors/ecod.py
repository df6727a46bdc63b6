"""ECOD on event features: how far an event lies in the tails of each one in background.

The rule: the distributions are those of background training events alone. The implementation of
pyod adds the events that it scores to them, so that its scores depend on the chunk (pyod issue
401).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepmtp.detectors.event_features_input import EventFeatureDetector
from hepmtp.errors import OptionError, fitted
from hepmtp.events.ragged import Bools, Floats, Ints

Aggregate = Literal["event", "feature"]


@dataclass(eq=False)
class ECOD(EventFeatureDetector):
    """Sum of -log tail probabilities over the features (Li et al., arXiv:2201.00382, algorithm 1).

    With F a feature's distribution in background, its left tail is F(x), and its right tail the
    share of events at or above x. Its own tail is the left one where it is skewed to the left, else
    the right one.

    Parameters
    ----------
    aggregate
        ``"event"``: the largest of three sums over the features, of left, right and own tails, as
        in the paper. ``"feature"``: the sum over the features of the larger of both tails, as pyod
        does (its issue 453).
    """

    name: str = "ecod"
    aggregate: Aggregate = "event"
    sorted_: Floats | None = field(default=None, init=False, repr=False)
    left_skewed_: Bools | None = field(default=None, init=False, repr=False)

    label = "ECOD score"

    def __post_init__(self) -> None:
        if self.aggregate not in get_args(Aggregate):
            raise OptionError(
                f"aggregate must be one of {get_args(Aggregate)}, found {self.aggregate!r}"
            )

    @property
    def description(self) -> str:
        """What the score is, in a sentence."""
        return (
            "How far out the event lies in the background distributions of "
            f"{len(self.features)} features, each by itself (ECOD)."
        )

    def _fit(self, training: Floats, events: ak.Array) -> None:  # noqa: ARG002 - no early stopping
        self.sorted_ = np.sort(training.T, axis=1)
        self.left_skewed_ = ((training - training.mean(axis=0)) ** 3).sum(axis=0) < 0

    def _score(self, x: Floats) -> Floats:
        left, right = np.empty_like(x), np.empty_like(x)
        for i, (values, column) in enumerate(zip(fitted(self.sorted_, self), x.T, strict=True)):
            left[:, i] = _surprise(np.searchsorted(values, column, side="right"), len(values))
            right[:, i] = _surprise(
                len(values) - np.searchsorted(values, column, side="left"), len(values)
            )
        if self.aggregate == "feature":
            return np.asarray(np.maximum(left, right).sum(axis=1))
        own = np.where(fitted(self.left_skewed_, self), left, right)
        return np.asarray(np.max([tail.sum(axis=1) for tail in (left, right, own)], axis=0))

    def _arrays(self) -> dict[str, NDArray[Any]]:
        skewed = fitted(self.left_skewed_, self)
        return {"sorted": fitted(self.sorted_, self), "left_skewed": skewed}

    def _restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        self.sorted_, self.left_skewed_ = arrays["sorted"], arrays["left_skewed"]


def _surprise(count: Ints, n: int) -> Floats:
    """-log of the share of background in a tail.

    An event beyond all of background counts as one among n + 1.
    """
    return np.asarray(-np.log(np.maximum(count, n / (n + 1)) / n))
