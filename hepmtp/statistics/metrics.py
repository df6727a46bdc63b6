"""How well a score separates signal from background: ROC, AUC, eps_S at eps_B, SIC, with errors.

The rule: a larger score is stranger, that is signal-like. Events of equal score stay together, as
one straight segment of the ROC, so the order of the input never matters. A working point is quoted
only if at least `MIN_RAW` raw background events pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from hepmtp.errors import OptionError, ScoreError
from hepmtp.events.ragged import Floats, Ints
from hepmtp.statistics.uncertainties import (
    cancels,
    effective_events,
    efficiency_error,
    hanley_mcneil,
)

#: Fewest raw background events behind a quoted working point.
MIN_RAW = 25


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


class WorkingPoint(NamedTuple):
    """Efficiencies at one cut.

    If too few events pass, `eps_s`, `si` and their errors are None, and `reason` says why.
    """

    eps_b: float
    eps_s: float | None
    eps_s_error: float | None
    si: float | None  #: significance improvement eps_S / sqrt(eps_B)
    si_error: float | None
    n_signal: int
    n_background: int
    reason: str = ""


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


def working_point(curve: Roc, eps_b: float, *, min_raw: int = MIN_RAW) -> WorkingPoint:
    """eps_S and significance improvement at this eps_B.

    Between two points of the ROC it is the exact efficiency of a randomised cut: of the events of
    equal score at the threshold, the fraction passes that gives eps_B. The error is that of eps_S
    at the threshold plus, in quadrature, half the change of eps_S when eps_B moves by its error.

    Examples
    --------
    >>> point = working_point(roc(range(50, 150), range(100)), 0.5)
    >>> point.eps_s, point.n_background
    (1.0, 50)
    """
    if not 0 < eps_b <= 1:
        raise OptionError(f"eps_B = {eps_b} is not in (0, 1]")
    n_b, n_s = _at(curve, eps_b, curve.n_background), _at(curve, eps_b, curve.n_signal)
    raw = round(n_s), round(n_b)
    if n_b < min_raw - 1e-6:
        reason = f"{n_b:.4g} raw background events pass, {min_raw} are needed"
        return WorkingPoint(eps_b, None, None, None, None, *raw, reason)
    sigma = _at(curve, eps_b, curve.eps_b_error)
    low, value, high = (_at(curve, x, curve.eps_s) for x in (eps_b - sigma, eps_b, eps_b + sigma))
    error = float(np.hypot(_at(curve, eps_b, curve.eps_s_error), (high - low) / 2))
    root = float(np.sqrt(eps_b))
    return WorkingPoint(eps_b, value, error, value / root, error / root, *raw)


def max_sic(curve: Roc, *, min_raw: int = MIN_RAW) -> WorkingPoint | None:
    """The working point of largest significance improvement eps_S / sqrt(eps_B).

    None if fewer than `min_raw` raw background events exist at all. A maximum over points is biased
    upwards by up to about its error. With negative weights, an eps_B below twice its error counts
    as nothing: it can be zero by chance, whatever passes.
    """
    least = 2 * curve.eps_b_error if np.any(np.diff(curve.eps_b) < 0) else 0.0
    quoted = np.flatnonzero((curve.n_background >= min_raw) & (curve.eps_b > least))
    if not len(quoted):
        return None
    best = int(quoted[np.argmax(curve.eps_s[quoted] / np.sqrt(curve.eps_b[quoted]))])
    eps_b, eps_s = float(curve.eps_b[best]), float(curve.eps_s[best])
    eps_b_error, eps_s_error = float(curve.eps_b_error[best]), float(curve.eps_s_error[best])
    si = eps_s / np.sqrt(eps_b)
    si_error = float(np.hypot(eps_s_error / np.sqrt(eps_b), si * eps_b_error / (2 * eps_b)))
    raw = int(curve.n_signal[best]), int(curve.n_background[best])
    return WorkingPoint(eps_b, eps_s, eps_s_error, float(si), si_error, *raw)


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


def _at(curve: Roc, eps_b: float, values: Floats | Ints) -> float:
    """`values` at this eps_B: straight between points, the far end of a vertical step."""
    eps_b = min(max(eps_b, 0.0), 1.0)
    reach = np.maximum.accumulate(curve.eps_b)  # negative weights may make a step backwards
    right = int(np.searchsorted(reach, eps_b * (1 + 1e-12), side="right"))
    if right == len(reach):
        return float(values[-1])
    left = right - 1
    fraction = np.clip(
        (eps_b - curve.eps_b[left]) / (curve.eps_b[right] - curve.eps_b[left]), 0.0, 1.0
    )
    return float(values[left] + fraction * (values[right] - values[left]))
