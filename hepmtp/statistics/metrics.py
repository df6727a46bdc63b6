"""How well a score separates signal from background: ROC and AUC, with errors.

The rule: a larger score is stranger, that is signal-like. Events of equal score stay together, as
one straight segment of the ROC, so the order of the input never matters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from hepmtp.errors import ScoreError
from hepmtp.events.ragged import Floats, Ints
from hepmtp.statistics.uncertainties import (
    cancels,
    effective_events,
    efficiency_error,
    hanley_mcneil,
)


class Roc(NamedTuple):
    """A point per distinct score, from none passing to all; arrays (n_points,)."""

    threshold: Floats  #: events with score >= threshold pass; the first is infinite
    eps_b: Floats
    eps_s: Floats
    eps_b_error: Floats
    eps_s_error: Floats
    n_background: Ints  #: raw events that pass
    n_signal: Ints


class Auc(NamedTuple):
    """Area under the ROC, its error, and the raw events behind it, without those of weight 0."""

    value: float
    error: float
    n_signal: int
    n_background: int


def balanced_weights(
    process: ArrayLike, weight: ArrayLike | None = None, *, names: Sequence[str] = ()
) -> Floats:
    """Weights that give every process the same sum, 1 / number of processes; shape (n_events,).

    Parameters
    ----------
    process
        name or number of each event's process, shape (n_events,).
    weight
        event weights, kept relative to each other inside a process; 1 if not given.
    names
        what process 0, 1, ... is called in an error, where they are numbers.

    Examples
    --------
    >>> balanced_weights(["ttZ", "ttZ", "ttW"]).tolist()
    [0.25, 0.25, 0.5]
    """
    found, index = np.unique(np.asarray(process), return_inverse=True)
    given = np.ones(len(index)) if weight is None else np.asarray(weight, dtype=np.float64)
    total = np.bincount(index, weights=given, minlength=len(found))
    if np.any(total <= 0):
        first = found[np.argmax(total <= 0)]
        raise ScoreError(
            f"process {names[first] if names else first} has no positive sum of weights: "
            "it cannot be balanced"
        )
    return np.asarray(given / total[index] / len(found), dtype=np.float64)


def roc(
    signal: ArrayLike,
    background: ArrayLike,
    *,
    signal_weight: ArrayLike | None = None,
    background_weight: ArrayLike | None = None,
) -> Roc:
    """The weighted ROC of scores, ties exact.

    Parameters
    ----------
    signal, background
        scores, shapes (n_signal,) and (n_background,).
    signal_weight, background_weight
        event weights, same shapes; 1 if not given. Their normalisation cancels.

    Raises
    ------
    ScoreError
        for a score or weight that is not finite, or a sum of weights that is not positive.

    Examples
    --------
    >>> roc([2.0, 1.0], [1.0, 0.0]).eps_s.tolist()
    [0.0, 0.5, 1.0, 1.0]
    """
    values, *both = _ranked(signal, background, signal_weight, background_weight)
    (eps_s, s_error, n_s), (eps_b, b_error, n_b) = (_pass(*one, len(values)) for one in both)
    threshold = np.concatenate([[np.inf], values[::-1]])
    return Roc(threshold, eps_b, eps_s, b_error, s_error, n_b, n_s)


def auc(
    signal: ArrayLike,
    background: ArrayLike,
    *,
    signal_weight: ArrayLike | None = None,
    background_weight: ArrayLike | None = None,
) -> Auc:
    """Area under the ROC: the chance that a signal event scores above a background event.

    Ties count half.

    Parameters
    ----------
    signal, background, signal_weight, background_weight
        as in `roc`.

    Notes
    -----
    The error is that of `hanley_mcneil` with the effective numbers of events, (sum w)^2 / sum w^2.

    Raises
    ------
    ScoreError
        as in `roc`, or if negative weights make an area that is no chance: below 0 or above 1.

    Examples
    --------
    >>> auc([2.0, 1.0], [1.0, 0.0]).value
    0.875
    """
    values, *both = _ranked(signal, background, signal_weight, background_weight)
    s, b = (np.bincount(rank, weights=w, minlength=len(values)) for rank, w in both)
    value = float(np.sum(s * (np.cumsum(b) - b / 2)) / (np.sum(s) * np.sum(b)))
    if not -1e-9 < value < 1 + 1e-9:
        raise ScoreError(
            f"negative weights make an area of {value:.4g} under the ROC, which lies between 0 "
            "and 1: analyse more events"
        )
    (_, ws), (_, wb) = both
    error = hanley_mcneil(value, effective_events(ws), effective_events(wb))
    return Auc(value, error, int(np.count_nonzero(ws)), int(np.count_nonzero(wb)))


def auc_difference(
    signal: tuple[ArrayLike, ArrayLike],
    background: tuple[ArrayLike, ArrayLike],
    *,
    signal_weight: ArrayLike | None = None,
    background_weight: ArrayLike | None = None,
) -> Auc:
    """AUC of a first score minus that of a second one on the same events, with its error.

    Parameters
    ----------
    signal, background
        (first score, second score) of the same events, shapes (n_signal,) and (n_background,) each;
        weights as in `roc`.

    Notes
    -----
    The two areas are correlated. The error is that of the mean difference of the placement values
    (DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988) 837), with event weights.
    """
    pairs = []
    for one in zip(signal, background, strict=True):
        (s, ws), (b, wb) = _both(*one, signal_weight, background_weight)
        pairs.append((_below(s, b, wb), 1.0 - _below(b, s, ws)))
    if len({len(p) for p, _ in pairs}) != 1 or len({len(p) for _, p in pairs}) != 1:
        raise ScoreError(
            "the two scores are not of the same events: their numbers of events differ"
        )
    d_s, d_b = pairs[0][0] - pairs[1][0], pairs[0][1] - pairs[1][1]
    value = float(np.average(d_s, weights=ws))
    variance = sum(
        np.sum((w * (d - value)) ** 2) / np.sum(w) ** 2 for d, w in ((d_s, ws), (d_b, wb))
    )
    return Auc(value, float(np.sqrt(variance)), len(d_s), len(d_b))


def _scores(score: ArrayLike, weight: ArrayLike | None, what: str) -> tuple[Floats, Floats]:
    x = np.asarray(score, dtype=np.float64)
    w = np.ones(len(x)) if weight is None else np.asarray(weight, dtype=np.float64)
    if x.ndim != 1 or w.shape != x.shape:
        raise ScoreError(
            f"{what}: scores of shape {x.shape} and weights of shape {w.shape} do not fit"
        )
    if not np.isfinite(x).all():
        raise ScoreError(
            f"{what}: {np.sum(~np.isfinite(x))} of {len(x)} scores are not finite; "
            "mend the detector"
        )
    if not np.isfinite(w).all() or np.sum(w) <= 0:
        raise ScoreError(
            f"{what}: {len(x)} events with a sum of weights of {np.sum(w)}: "
            "a positive one is needed"
        )
    total, squares = float(np.sum(w)), float(np.sum(w**2))
    if cancels(total, squares):
        raise ScoreError(
            f"{what}: the weights of {len(x)} events have both signs and sum to {total:.4g} ± "
            f"{np.sqrt(squares):.4g}, of which shares mean nothing: analyse more events"
        )
    return x, w


def _both(
    signal: ArrayLike, background: ArrayLike, ws: ArrayLike | None, wb: ArrayLike | None
) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    """Scores and weights of signal and background, checked."""
    return _scores(signal, ws, "signal"), _scores(background, wb, "background")


def _ranked(
    signal: ArrayLike, background: ArrayLike, ws: ArrayLike | None, wb: ArrayLike | None
) -> tuple[Floats, tuple[Ints, Floats], tuple[Ints, Floats]]:
    """Distinct scores, ascending, and (rank of each event among them, weight) of both kinds."""
    (s, ws), (b, wb) = _both(signal, background, ws, wb)
    values, rank = np.unique(np.concatenate([s, b]), return_inverse=True)
    return values, (rank[: len(s)], ws), (rank[len(s) :], wb)


def _pass(rank: Ints, w: Floats, n_ranks: int) -> tuple[Floats, Floats, Ints]:
    """Efficiency, its error and raw count of cuts from above, shapes (n_ranks + 1,)."""

    def running(values: Floats) -> Floats:
        sums = np.bincount(n_ranks - 1 - rank, weights=values, minlength=n_ranks)
        return np.concatenate([[0.0], np.cumsum(sums)])

    sumw, sumw2 = running(w), running(w**2)
    error = efficiency_error(sumw, sumw2, sumw[-1], sumw2[-1])
    counted = np.rint(running((w != 0).astype(np.float64)))
    return sumw / sumw[-1], error, counted.astype(np.int64)


def _below(x: Floats, other: Floats, w: Floats) -> Floats:
    """Share of `other` (weights `w`) below each of `x`, ties counted half; shape of `x`."""
    order = np.argsort(other)
    total = np.concatenate([[0.0], np.cumsum(w[order])])
    left, right = (total[np.searchsorted(other[order], x, side=side)] for side in ("left", "right"))
    return np.asarray((left + right) / 2 / total[-1], dtype=np.float64)
