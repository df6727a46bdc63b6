"""Statistical errors of efficiencies and areas, for weighted events."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from hepmtp.events.ragged import Floats


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

    var = [(1 - eps)^2 sum_pass w^2 + eps^2 sum_fail w^2] / (sum w)^2, with Wilson's correction
    (J. Am. Stat. Assoc. 22 (1927) 209) for n = (sum w)^2 / sum w^2 effective events. With it,
    eps = 0 and eps = 1 have an error too.

    Examples
    --------
    >>> round(float(efficiency_error(0, 0, 99, 99)), 6)
    0.005
    """
    passed = np.asarray(sumw2_pass, dtype=np.float64)
    eps, n = np.asarray(sumw_pass, dtype=np.float64) / sumw, sumw**2 / sumw2
    variance = ((1 - eps) ** 2 * passed + eps**2 * (sumw2 - passed)) / sumw**2
    return np.asarray(np.sqrt(np.maximum(variance, 0.0) + 0.25 / n**2) / (1 + 1 / n))


def cancels(sumw: float, sumw2: float) -> bool:
    """Whether weights of both signs cancel: their sum is no larger than its error.

    Weights of one sign never do: they have one effective event or more.

    Examples
    --------
    >>> cancels(1.0, 101.0), cancels(5.0, 25.0)
    (True, False)
    """
    return sumw**2 < sumw2 * (1 - 1e-9)


def effective_events(weight: Floats) -> float:
    """Number of events of weight 1 with the same relative error: (sum w)^2 / sum w^2."""
    return float(np.sum(weight) ** 2 / np.sum(weight**2))
