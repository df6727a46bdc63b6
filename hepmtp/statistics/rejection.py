"""Background rejection 1 / eps_B at an efficiency of the signal, with its error.

The rule: it is quoted only if at least `MIN_RAW` raw background events pass.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hepmtp.errors import OptionError
from hepmtp.events.ragged import Floats, Ints
from hepmtp.statistics.metrics import Roc
from hepmtp.statistics.working_points import MIN_RAW


class Rejection(NamedTuple):
    """1 / eps_B at this eps_S; None if too few background events pass."""

    eps_s: float
    value: float | None
    error: float | None
    n_background: int  #: raw events that pass


def rejection(curve: Roc, eps_s: float, *, min_raw: int = MIN_RAW) -> Rejection:
    """1 / eps_B where eps_S is reached, straight between points of the ROC.

    The error is that of eps_B at the threshold plus, in quadrature, half its change when eps_S
    moves by its own error.

    Examples
    --------
    >>> from hepmtp.statistics.metrics import roc
    >>> rejection(roc(range(50, 150), range(100)), 0.7)
    Rejection(eps_s=0.7, value=None, error=None, n_background=20)
    >>> round(rejection(roc(range(50, 150), range(100)), 0.75).value, 3)
    4.0
    """
    if not 0 < eps_s < 1:
        raise OptionError(f"eps_S = {eps_s} is not between 0 and 1")
    # negative weights may make a step backwards; of equal eps_S the first has the least eps_B
    reach, first = np.unique(np.maximum.accumulate(curve.eps_s), return_index=True)

    def at(x: float, values: Floats | Ints) -> float:
        return float(np.interp(x, reach, values[first]))

    eps_b, n = at(eps_s, curve.eps_b), round(at(eps_s, curve.n_background))
    if n < min_raw:
        return Rejection(eps_s, None, None, n)
    sigma = at(eps_s, curve.eps_s_error)
    slope = (at(eps_s + sigma, curve.eps_b) - at(eps_s - sigma, curve.eps_b)) / 2
    error = float(np.hypot(at(eps_s, curve.eps_b_error), slope))
    return Rejection(eps_s, 1 / eps_b, error / eps_b**2, n)
