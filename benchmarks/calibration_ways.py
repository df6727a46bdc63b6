"""Simpler ways to calibrate a score, fitted on background: what `Calibrated` is set against."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

from hepmtp.detectors.calibrated.quantile import Tail
from hepmtp.events.ragged import Bools, Floats

#: Levels that quantile regression finds, and the options of its trees.
LEVELS = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
TREES: dict[str, Any] = {"max_iter": 80, "max_leaf_nodes": 8, "min_samples_leaf": 100}

#: Fits events and scores to a map from (events, scores) to -log10 of a share.
Method = Callable[["Sample", Floats], Callable[["Sample", Floats], Floats]]


class Sample(NamedTuple):
    """Events with what a calibration reads, shapes (n_events,) and (n_events, 5)."""

    events: ak.Array
    dataset: Any
    weight: Floats
    x: Floats
    regions: dict[str, Bools]


def none(known: Sample, scores: Floats) -> Callable[[Sample, Floats], Floats]:
    """Rank among all background."""
    tail = Tail.fit(scores, known.weight)
    return lambda _, s: tail(s)


def by_class(known: Sample, values: Floats) -> Callable[[Sample, Floats], Floats]:
    """Rank among background with 6 jets or more, or fewer, and 2 b-jets or more, or fewer."""

    def classes(of: Sample) -> Any:
        return 2 * (of.x[:, 0] >= 6) + (of.x[:, 1] >= 2)

    mine = classes(known)
    tails = {k: Tail.fit(values[mine == k], known.weight[mine == k]) for k in np.unique(mine)}

    def apply(of: Sample, values: Floats) -> Floats:
        out, theirs = np.empty(len(values)), classes(of)
        for k, tail in tails.items():
            out[theirs == k] = tail(values[theirs == k])
        return out

    return apply


def four_classes(known: Sample, scores: Floats) -> Callable[[Sample, Floats], Floats]:
    """Linear models of mean and spread in 14 columns; ranks in four classes."""

    def columns(of: Sample) -> Floats:
        jets, b, leptons, _, log_ht = of.x.T
        a, v, u, h = jets - 5, b - 1.5, leptons - 2.4, log_ht - 6.2
        one = np.ones_like(a)
        first = [one, a, v, h, a * a, v * v, h * h, a * v, a * h, v * h]
        return np.stack([*first, u, u * a, u * v, u * h])

    matrix, sigma = columns(known), np.ones_like(scores)
    for _ in range(3):
        w = np.sqrt(known.weight) / sigma
        mean = np.linalg.lstsq((matrix * w).T, scores * w, rcond=None)[0]
        away = np.abs(scores - mean @ matrix)
        spread = np.linalg.lstsq((matrix * w).T, away * w, rcond=None)[0]
        least = 0.15 * away.mean()
        sigma = np.maximum(spread @ matrix, least)

    def residual(of: Sample, s: Floats) -> Floats:
        return np.asarray((s - mean @ columns(of)) / np.maximum(spread @ columns(of), least))

    ranks = by_class(known, residual(known, scores))
    return lambda of, s: ranks(of, residual(of, s))


def trees(known: Sample, scores: Floats) -> Callable[[Sample, Floats], Floats]:
    """Quantile regression by boosted trees at six levels, and ranks in four classes."""
    models = [
        HistGradientBoostingRegressor(loss="quantile", quantile=one, **TREES).fit(
            known.x, scores, known.weight
        )
        for one in LEVELS
    ]
    level = -np.log10(1 - np.array(LEVELS))

    def between(of: Sample, s: Floats) -> Floats:
        found = np.maximum.accumulate([one.predict(of.x) for one in models], axis=0)
        found = found + 1e-6 * np.arange(len(LEVELS))[:, None]
        i, j = np.arange(len(s)), np.clip((s >= found).sum(axis=0) - 1, 0, len(LEVELS) - 2)
        rise = (level[j + 1] - level[j]) / np.maximum(found[j + 1, i] - found[j, i], 1e-3)
        return np.asarray(level[j] + (s - found[j, i]) * rise)

    ranks = by_class(known, between(known, scores))
    return lambda of, s: ranks(of, between(of, s))


METHODS: dict[str, Method] = {
    "none": none,
    "ranks in four classes": by_class,
    "linear mean and spread, four classes": four_classes,
    "boosted trees, six quantiles, four classes": trees,
}
