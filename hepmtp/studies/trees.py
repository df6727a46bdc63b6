"""Boosted trees in one thread.

The rule: threads of OpenMP wait for each other in a busy loop, many times for each tree. Where
another process has one of the cores, trees that took a fifth of a second take minutes.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from hepmtp.events.ragged import Floats


class Trees(HistGradientBoostingClassifier):  # type: ignore[misc]
    """scikit-learn's classifier, fitted and asked in one thread."""

    def fit(self, X: Any, y: Any, sample_weight: Floats | None = None) -> Self:
        """As that of scikit-learn."""
        with _one_thread():
            super().fit(X, y, sample_weight=sample_weight)
        return self

    def decision_function(self, X: Any) -> Floats:
        """Log-odds of the second class, (n,)."""
        with _one_thread():
            return np.asarray(super().decision_function(X))


def _one_thread() -> Any:
    return threadpool_limits(1, user_api="openmp")
