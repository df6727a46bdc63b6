"""An isolation forest on event features: how few random cuts set an event apart.

The rule: scikit-learn grows the trees; they are kept as plain arrays and read by our own code. No
pickle is needed, and the score of a saved forest does not change with scikit-learn.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import awkward as ak
import numpy as np
import sklearn.ensemble
from numpy.typing import NDArray

from hepmtp.detectors.event_features_input import CHUNK, EventFeatureDetector
from hepmtp.errors import OptionError
from hepmtp.events.ragged import Floats, Ints

#: scikit-learn's trees compare numbers in float32.
LARGEST = float(np.finfo(np.float32).max)


@dataclass(eq=False)
class IsolationForest(EventFeatureDetector):
    """2^(-mean depth / expected depth) over random trees, in (0, 1).

    See Liu, Ting and Zhou, ICDM 2008.

    Parameters
    ----------
    trees
        number of trees: more of them lower the noise of the score, not its mean.
    tree_events
        training events that each tree is grown on (the paper's 256), all if there are fewer.
    seed
        of the cuts.
    """

    name: str = "isolation_forest"
    trees: int = 500
    tree_events: int = 256
    seed: int = 0
    forest_: dict[str, NDArray[Any]] = field(default_factory=dict, init=False, repr=False)

    label = "isolation forest score"

    def __post_init__(self) -> None:
        if min(self.trees, self.tree_events) < 1:
            raise OptionError(
                "trees and tree_events must be 1 or more, "
                f"found {self.trees} and {self.tree_events}"
            )

    @property
    def description(self) -> str:
        """What the score is, in a sentence."""
        return (
            f"How few random cuts on {len(self.features)} event features set the event apart from "
            f"background, in {self.trees} trees (isolation forest)."
        )

    def _fit(self, training: Floats, events: ak.Array) -> None:  # noqa: ARG002 - no early stopping
        forest = sklearn.ensemble.IsolationForest(
            n_estimators=self.trees,
            max_samples=min(self.tree_events, len(training)),
            random_state=self.seed,
        )
        trees = [one.tree_ for one in forest.fit(_float32(training)).estimators_]
        first = np.cumsum([0, *(tree.node_count for tree in trees)])
        children = [_children(tree) + start for tree, start in zip(trees, first[:-1], strict=True)]
        self.forest_ = {
            "children": np.concatenate(children, axis=1),
            "feature": np.concatenate([np.maximum(tree.feature, 0) for tree in trees]).astype(int),
            "threshold": np.concatenate([tree.threshold for tree in trees]),
            "path": np.concatenate([_path_length(tree) for tree in trees]),
            "first": first[:-1],
            "steps": np.array([max(tree.max_depth for tree in trees)]),
            "expected": _average_path(np.array([forest.max_samples_])),
        }

    def _score(self, x: Floats) -> Floats:
        data = _float32(x)
        parts = [self._depth(data[start : start + CHUNK]) for start in range(0, len(data), CHUNK)]
        depth = np.concatenate([*parts, np.zeros(0)])
        return np.asarray(2.0 ** (-depth / self.forest_["expected"][0]))

    def _depth(self, data: NDArray[np.float32]) -> Floats:
        """Mean path length of each event over the trees."""
        forest = self.forest_
        left, right = forest["children"]
        node = np.broadcast_to(forest["first"], (len(data), len(forest["first"])))
        rows = np.arange(len(data))[:, None]
        for _ in range(int(forest["steps"][0])):
            goes_left = data[rows, forest["feature"][node]] <= forest["threshold"][node]
            node = np.where(goes_left, left[node], right[node])
        return np.asarray(forest["path"][node].mean(axis=1))

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return self.forest_

    def _restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        self.forest_ = arrays


def _float32(x: Floats) -> NDArray[np.float32]:
    return np.clip(x, -LARGEST, LARGEST).astype(np.float32)


def _children(tree: Any) -> Ints:
    """Left and right child of each node, shape (2, n_nodes).

    A leaf is its own child, so that all trees are walked for as many steps as the deepest one has.
    """
    children = np.stack([tree.children_left, tree.children_right])
    return np.where(children < 0, np.arange(tree.node_count), children)


def _path_length(tree: Any) -> Floats:
    """Cuts up to each node, and those that its training events would still need: (n_nodes,)."""
    depth = np.zeros(tree.node_count)
    for node, (left, right) in enumerate(zip(tree.children_left, tree.children_right, strict=True)):
        if left >= 0:  # a child comes after its parent
            depth[[left, right]] = depth[node] + 1
    return np.asarray(depth + _average_path(tree.n_node_samples))


def _average_path(n: Ints) -> Floats:
    """Mean depth of n events in a random tree, 2 H(n - 1) - 2 (n - 1) / n.

    H is approximated by Euler's constant, as in scikit-learn.
    """
    many = np.maximum(n, 3)
    path = 2.0 * (np.log(many - 1.0) + np.euler_gamma) - 2.0 * (many - 1.0) / many
    return np.asarray(np.select([n <= 1, n == 2], [0.0, 1.0], path), dtype=np.float64)
