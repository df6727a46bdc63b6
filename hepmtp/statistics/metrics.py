"""How well a score separates signal from background: ROC, AUC, eps_S at eps_B, SIC; each with its error.

The rule: larger score = stranger = signal-like; events of equal score stay together (one straight segment of the ROC), so
the order of the input never matters; a working point is quoted only if at least `MIN_RAW` raw background events pass.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hepmtp.errors import OptionError, ScoreError

Floats = NDArray[np.float64]

#: Fewest raw background events behind a quoted working point.
MIN_RAW = 25


class Roc(NamedTuple):
    """One point per distinct score, from "nothing passes" to "everything passes"; all arrays (n_points,)."""

    threshold: Floats  #: events with score >= threshold pass; the first is infinite
    eps_b: Floats
    eps_s: Floats
    eps_b_error: Floats
    eps_s_error: Floats
    n_background: NDArray[np.int64]  #: raw events that pass
    n_signal: NDArray[np.int64]


class Auc(NamedTuple):
    """Area under the ROC, its error, and the raw events behind it."""

    value: float
    error: float
    n_signal: int
    n_background: int


class WorkingPoint(NamedTuple):
    """Efficiencies at one cut; `eps_s`, `si` and their errors are None, with a `reason`, if too few events pass."""

    eps_b: float
    eps_s: float | None
    eps_s_error: float | None
    si: float | None  #: significance improvement eps_S / sqrt(eps_B)
    si_error: float | None
    n_signal: int
    n_background: int
    reason: str = ""


def balanced_weights(process: ArrayLike, weight: ArrayLike | None = None) -> Floats:
    """Weights that give every process the same sum, 1 / number of processes; shape (n_events,).

    Parameters
    ----------
    process
        name or number of each event's process, shape (n_events,).
    weight
        event weights, kept relative to each other inside a process; 1 if not given.

    Examples
    --------
    >>> balanced_weights(["ttZ", "ttZ", "ttW"]).tolist()
    [0.25, 0.25, 0.5]
    """
    names, index = np.unique(np.asarray(process), return_inverse=True)
    given = np.ones(len(index)) if weight is None else np.asarray(weight, dtype=np.float64)
    total = np.bincount(index, weights=given, minlength=len(names))
    if np.any(total <= 0):
        raise ScoreError(
            f"process {names[np.argmax(total <= 0)]} has no positive sum of weights: it cannot be balanced"
        )
    return np.asarray(given / total[index] / len(names), dtype=np.float64)


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
        for a score or weight that is not finite, no events, or a sum of weights that is not positive.

    Examples
    --------
    >>> roc([2.0, 1.0], [1.0, 0.0]).eps_s.tolist()
    [0.0, 0.5, 1.0, 1.0]
    """
    s, ws = _scores(signal, signal_weight, "signal")
    b, wb = _scores(background, background_weight, "background")
    values, block = np.unique(np.concatenate([s, b]), return_inverse=True)
    block = len(values) - 1 - block  # largest score first
    eps_s, s_error, n_s = _pass(block[: len(s)], ws, len(values))
    eps_b, b_error, n_b = _pass(block[len(s) :], wb, len(values))
    threshold = np.concatenate([[np.inf], values[::-1]])
    return Roc(threshold, eps_b, eps_s, b_error, s_error, n_b, n_s)


def auc(
    signal: ArrayLike,
    background: ArrayLike,
    *,
    signal_weight: ArrayLike | None = None,
    background_weight: ArrayLike | None = None,
    rng: np.random.Generator | None = None,
    replicas: int = 200,
) -> Auc:
    """Area under the ROC: the chance that a signal event scores above a background event, ties counted half.

    Parameters
    ----------
    signal, background, signal_weight, background_weight
        as in `roc`.
    rng
        if given, the error is the spread of `replicas` bootstrap samples of the events; else it is Hanley and McNeil's
        (Radiology 143 (1982) 29) with the effective numbers of events (sum w)^2 / sum w^2.

    Examples
    --------
    >>> auc([2.0, 1.0], [1.0, 0.0]).value
    0.875
    """
    s, ws = _scores(signal, signal_weight, "signal")
    b, wb = _scores(background, background_weight, "background")
    values, block = np.unique(np.concatenate([s, b]), return_inverse=True)
    block_s, block_b = block[: len(s)], block[len(s) :]
    value = _area(block_s, ws, block_b, wb, len(values))
    if rng is None:
        error = hanley_mcneil(value, effective_events(ws), effective_events(wb))
    else:
        areas = [
            _area(
                block_s,
                ws * _resample(len(s), rng),
                block_b,
                wb * _resample(len(b), rng),
                len(values),
            )
            for _ in range(replicas)
        ]
        error = float(np.std(areas, ddof=1))
    return Auc(value, error, len(s), len(b))


def auc_difference(
    signal: tuple[ArrayLike, ArrayLike],
    background: tuple[ArrayLike, ArrayLike],
    *,
    signal_weight: ArrayLike | None = None,
    background_weight: ArrayLike | None = None,
) -> Auc:
    """AUC of a first score minus AUC of a second one on the same events, with the error of the difference.

    Parameters
    ----------
    signal, background
        (first score, second score) of the same events, shapes (n_signal,) and (n_background,) each.
    signal_weight, background_weight
        as in `roc`.

    Notes
    -----
    The two areas are correlated; the error is that of the mean difference of the placement values (DeLong, DeLong and
    Clarke-Pearson, Biometrics 44 (1988) 837), with event weights.
    """
    pairs = []
    for s_score, b_score in zip(signal, background, strict=True):
        s, ws = _scores(s_score, signal_weight, "signal")
        b, wb = _scores(b_score, background_weight, "background")
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


def hanley_mcneil(area: float, n_signal: float, n_background: float) -> float:
    """Error of an AUC (Hanley and McNeil, Radiology 143 (1982) 29, eq. 1).

    Examples
    --------
    >>> round(hanley_mcneil(0.67, 10_000, 10_000), 4)
    0.0038
    """
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (
        area * (1 - area) + (n_signal - 1) * (q1 - area**2) + (n_background - 1) * (q2 - area**2)
    )
    return float(np.sqrt(max(variance, 0.0) / (n_signal * n_background)))


def efficiency_error(
    sumw_pass: ArrayLike, sumw2_pass: ArrayLike, sumw: float, sumw2: float
) -> Floats:
    """Error of eps = sumw_pass / sumw, one sigma; shape of `sumw_pass`.

    var = [(1 - eps)^2 sum_pass w^2 + eps^2 sum_fail w^2] / (sum w)^2, with Wilson's correction (J. Am. Stat. Assoc. 22
    (1927) 209) for n = (sum w)^2 / sum w^2 effective events, so that eps = 0 and eps = 1 have an error too.

    Examples
    --------
    >>> round(float(efficiency_error(0, 0, 99, 99)), 6)
    0.005
    """
    eps, passed = (
        np.asarray(sumw_pass, dtype=np.float64) / sumw,
        np.asarray(sumw2_pass, dtype=np.float64),
    )
    n = sumw**2 / sumw2
    variance = ((1 - eps) ** 2 * passed + eps**2 * (sumw2 - passed)) / sumw**2
    return np.asarray(np.sqrt(np.maximum(variance, 0.0) + 0.25 / n**2) / (1 + 1 / n))


def effective_events(weight: Floats) -> float:
    """Number of events of weight 1 with the same relative error: (sum w)^2 / sum w^2."""
    return float(np.sum(weight) ** 2 / np.sum(weight**2))


def working_point(curve: Roc, eps_b: float, *, min_raw: int = MIN_RAW) -> WorkingPoint:
    """eps_S and significance improvement at this eps_B.

    Between two points of the ROC it is the exact efficiency of a randomised cut: of the events of equal score at the
    threshold, the fraction passes that gives eps_B. The error is that of eps_S at the threshold plus, in quadrature,
    half the change of eps_S when eps_B moves by plus and minus its own error.

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
    """The working point of largest significance improvement eps_S / sqrt(eps_B), over all thresholds.

    None if fewer than `min_raw` raw background events exist at all. A maximum over points is biased upwards by up to
    about its error.
    """
    quoted = np.flatnonzero((curve.n_background >= min_raw) & (curve.eps_b > 0))
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
            f"{what}: {np.sum(~np.isfinite(x))} of {len(x)} scores are not finite; mend the detector"
        )
    if not np.isfinite(w).all() or np.sum(w) <= 0:
        raise ScoreError(
            f"{what}: {len(x)} events with a sum of weights of {np.sum(w)}: a positive one is needed"
        )
    return x, w


def _pass(
    block: NDArray[np.int64], w: Floats, n_blocks: int
) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Efficiency, its error and raw count after each block of equal scores; shapes (n_blocks + 1,)."""

    def running(values: Floats | None) -> NDArray[np.float64]:
        return np.concatenate(
            [[0.0], np.cumsum(np.bincount(block, weights=values, minlength=n_blocks))]
        )

    sumw, sumw2 = running(w), running(w**2)
    eps = sumw / sumw[-1]
    return eps, efficiency_error(sumw, sumw2, sumw[-1], sumw2[-1]), running(None).astype(np.int64)


def _area(
    block_s: NDArray[np.int64], ws: Floats, block_b: NDArray[np.int64], wb: Floats, n_blocks: int
) -> float:
    s = np.bincount(block_s, weights=ws, minlength=n_blocks)
    b = np.bincount(block_b, weights=wb, minlength=n_blocks)
    return float(np.sum(s * (np.cumsum(b) - b / 2)) / (np.sum(s) * np.sum(b)))


def _resample(n: int, rng: np.random.Generator) -> Floats:
    return np.bincount(rng.integers(n, size=n), minlength=n).astype(np.float64)


def _below(x: Floats, other: Floats, w: Floats) -> Floats:
    """Share of `other` (weights `w`) below each of `x`, ties counted half; shape of `x`."""
    order = np.argsort(other)
    total = np.concatenate([[0.0], np.cumsum(w[order])])
    left, right = (total[np.searchsorted(other[order], x, side=side)] for side in ("left", "right"))
    return np.asarray((left + right) / 2 / total[-1], dtype=np.float64)


def _at(curve: Roc, eps_b: float, values: NDArray[np.float64] | NDArray[np.int64]) -> float:
    """`values` of the ROC's points at this eps_B, straight between points, the far end of a vertical step."""
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
