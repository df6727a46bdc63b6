"""Points of a ROC that are quoted: eps_S and significance improvement at one eps_B, or the largest.

The rule: a working point is quoted only if at least `MIN_RAW` raw background events pass; otherwise
it says why not.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hepmtp.errors import OptionError
from hepmtp.events.ragged import Floats, Ints
from hepmtp.statistics.metrics import Roc

#: Fewest raw background events behind a quoted working point.
MIN_RAW = 25


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


def working_point(curve: Roc, eps_b: float, *, min_raw: int = MIN_RAW) -> WorkingPoint:
    """eps_S and significance improvement at this eps_B.

    Between two points of the ROC it is the exact efficiency of a randomised cut: of the events of
    equal score at the threshold, the fraction passes that gives eps_B. The error is that of eps_S
    at the threshold plus, in quadrature, half the change of eps_S when eps_B moves by its error.

    Raises
    ------
    OptionError
        if eps_b is not in (0, 1].

    Examples
    --------
    >>> from hepmtp.statistics.metrics import roc
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
