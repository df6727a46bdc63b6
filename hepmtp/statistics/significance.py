"""Expected significance of a count: the Asimov formula, exact down to the smallest s/b."""

from __future__ import annotations

import numpy as np

from hepmtp.errors import OptionError


def asimov(s: float, b: float, *, sigma_b: float = 0.0) -> float:
    """Median expected significance of `s` events over `b`.

    arXiv:1007.1727, eq. 97; with an error `sigma_b` of the background, its authors' note of 2012.
    It is written so that nothing cancels at small s/b, with v = sigma_b^2::

        Z^2 / 2 = b h(s/b) - b (b + v)/v h(v s / (b (b + v)))
        h(x) = (1 + x) ln(1 + x) - x

    Examples
    --------
    >>> round(asimov(10, 100), 3), round(asimov(10, 100, sigma_b=10), 3)
    (0.984, 0.69)
    """
    if not (np.isfinite([s, b, sigma_b]).all() and b > 0 and s >= 0 and sigma_b >= 0):
        raise OptionError(
            "Asimov significance needs s >= 0, b > 0, sigma_b >= 0; "
            f"found s={s}, b={b}, sigma_b={sigma_b}"
        )
    half = b * _h(s / b)
    variance = sigma_b**2
    if variance > 0:
        half -= b * (b + variance) / variance * _h(variance * s / (b * (b + variance)))
    return float(np.sqrt(2 * max(half, 0.0)))


def _h(x: float) -> float:
    """(1 + x) ln(1 + x) - x; below 1e-2 by its series sum_k (-x)^k / (k (k - 1))."""
    if x > 1e-2:
        return float((1 + x) * np.log1p(x) - x)
    return float(sum((-x) ** k / (k * (k - 1)) for k in range(2, 10)))
