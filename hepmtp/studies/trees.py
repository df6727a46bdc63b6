"""Boosted trees in one thread.

The rule: threads of OpenMP wait for each other in a busy loop, many times for each tree. Where
another process has one of the cores, trees that took a fifth of a second take minutes.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from hepmtp.events.ragged import Floats


class Trees:
    """scikit-learn's HistGradientBoostingClassifier of two classes, in one thread.

    Parameters
    ----------
    options
        of that classifier.
    """

    def __init__(self, **options: Any) -> None:
        self._trees = HistGradientBoostingClassifier(**options)

    def fit(self, x: Floats, label: ArrayLike, sample_weight: Floats | None = None) -> Self:
        """Train on a table, (n, n_columns), and labels, (n,)."""
        with _one_thread():
            self._trees.fit(x, label, sample_weight=sample_weight)
        return self

    def decision_function(self, x: Floats) -> Floats:
        """Log-odds of the second class, (n,)."""
        with _one_thread():
            return np.asarray(self._trees.decision_function(x))


def _one_thread() -> Any:
    return threadpool_limits(1, user_api="openmp")
