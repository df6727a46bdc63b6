"""Boosted trees on observables of jets, the plain rival of every network here.

The rule: each jet is judged by trees that have not seen it.
"""

from __future__ import annotations

import numpy as np

from hepmtp.events.ragged import Floats
from hepmtp.studies.trees import Trees

#: Trees of a classifier.
ITERATIONS = 100


def trained_trees(
    x: Floats, label: Floats, *, seed: int = 0, weight: Floats | None = None
) -> Trees:
    """Trees for a table of observables, (n_jets, n_observables), and labels 0 and 1."""
    trees = Trees(
        max_iter=ITERATIONS,
        max_leaf_nodes=15,
        min_samples_leaf=min(20, max(2, len(label) // 10)),
        early_stopping=False,
        random_state=seed,
    )
    return trees.fit(x, label, sample_weight=weight)


def cross_validated(x: Floats, label: Floats, *, seed: int = 0, folds: int = 5) -> Floats:
    """Score of each jet from trees that were trained on the other folds, (n_jets,).

    Jet i has the same fold for every table of as many jets, so that scores can be paired.
    """
    fold = np.random.default_rng(seed).permutation(len(x)) % folds
    score = np.zeros(len(x))
    for left_out in range(folds):
        trees = trained_trees(x[fold != left_out], label[fold != left_out], seed=seed)
        score[fold == left_out] = trees.decision_function(x[fold == left_out])
    return score
