"""Boosted trees: those of scikit-learn, in one thread."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_info

from hepmtp.studies.trees import Trees


def test_trees_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 3))
    label, weight = x[:, 0] + rng.normal(size=300) > 0, rng.uniform(size=300)
    options = {"max_iter": 5, "early_stopping": False, "random_state": 1}
    ours = Trees(**options).fit(x, label, sample_weight=weight)
    theirs = HistGradientBoostingClassifier(**options).fit(x, label, sample_weight=weight)
    np.testing.assert_array_equal(ours.decision_function(x), theirs.decision_function(x))


@pytest.mark.parametrize("work", ["fit", "decision_function"])
def test_trees_take_one_thread(work: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several wait for each other in a busy loop, minutes long where a core is taken."""
    x = np.arange(40.0)[:, None]
    trees = Trees(max_iter=2, min_samples_leaf=2).fit(x, x[:, 0] > 9)
    seen = []

    def count(self: Any, *_: Any, **__: Any) -> Any:
        openmp = [one for one in threadpool_info() if one["user_api"] == "openmp"]
        seen.extend(one["num_threads"] for one in openmp)
        return self

    monkeypatch.setattr(HistGradientBoostingClassifier, work, count)
    getattr(trees, work)(*((x, x[:, 0] > 9) if work == "fit" else (x,)))
    assert set(seen) == {1}
