"""Upper limits by CLs: on a signal's strength, and on any signal above a threshold.

The rule: asymptotic formulas of arXiv:1007.1727 for the test statistic q-tilde, as pyhf's. Where
fewer than about five events are expected, toys would give a weaker limit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from hepmtp.errors import FitError, OptionError
from hepmtp.events.ragged import Floats
from hepmtp.statistics.compilation import compiled
from hepmtp.statistics.likelihood import Likelihood
from hepmtp.statistics.minimum import Fit, minimise

#: Standard deviations of the band of an expected limit.
BAND = (-2, -1, 0, 1, 2)
#: 1 - confidence level.
LEVEL = 0.05


class Limit(NamedTuple):
    """Upper limits at 95 % CL, in units of what `mu` is; `observed` is None without data."""

    observed: float | None
    expected: float
    minus_two: float
    minus_one: float
    plus_one: float
    plus_two: float

    def times(self, factor: float) -> Limit:
        """The limits in other units."""
        return Limit._make(None if one is None else one * factor for one in self)


def upper_limit(likelihood: Likelihood, data: Floats | None = None) -> Limit:
    """CLs upper limit on the signal strength at 95 %, with the band expected without signal.

    Parameters
    ----------
    data
        counts, (n_bins,); without them the limit is expected, from the nominal background.

    Raises
    ------
    FitError
        if no strength is excluded: the channels say nothing about the signal.
    """
    poi = likelihood.poi
    scan = _Scan(likelihood, data)
    step = _first_step(likelihood, scan)

    def excess(mu: float, n: int) -> float:
        return scan.root_asimov(mu) - (n + float(-ndtri(LEVEL * ndtr(n))))

    bands = [_root(partial(excess, n=n), step, poi) for n in BAND]
    observed = None
    if data is not None:
        observed = _root(lambda mu: LEVEL - scan.cls(mu), step, poi)
    return Limit(observed, bands[2], bands[0], bands[1], bands[3], bands[4])


def counting_limit(background: float, error: float, observed: float | None = None) -> Limit:
    """Limit on the number of events of any signal in a single bin.

    Parameters
    ----------
    background, error
        expected events without signal, and their error (Gaussian).
    observed
        counted events; without them the limit is expected only.

    Examples
    --------
    >>> round(counting_limit(100.0, 10.0).expected, 1)
    28.4
    """
    if not (background > 0 and error >= 0):
        raise OptionError(
            f"a limit needs background > 0 and an error >= 0, found {background} and {error}"
        )
    mu = {"name": "mu", "type": "normfactor", "data": None}
    own = {"name": "error", "type": "staterror", "data": [max(error, 1e-6 * background)]}
    samples = [
        {"name": "signal", "data": [1.0], "modifiers": [mu]},
        {"name": "background", "data": [background], "modifiers": [own]},
    ]
    high = 100.0 + 20 * background + 20 * error
    settings = [{"name": "mu", "bounds": [[0.0, high]], "inits": [1.0]}]
    data = background if observed is None else observed
    likelihood = compiled(
        {
            "channels": [{"name": "bin", "samples": samples}],
            "observations": [{"name": "bin", "data": [data]}],
            "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": settings}}],
        }
    )
    return upper_limit(likelihood, None if observed is None else np.array([float(observed)]))


class _Scan:
    """Test statistics of data and of the Asimov data set without signal, along the strength."""

    def __init__(self, likelihood: Likelihood, data: Floats | None) -> None:
        self.likelihood, self.data = likelihood, data
        zero = {likelihood.poi: 0.0}
        if data is None:
            start = likelihood.centre
            start[likelihood.place(likelihood.poi)] = 0.0
        else:
            start = minimise(likelihood, data, fixed=zero).values
            self.best = minimise(likelihood, data)
            self.last_data = self.best.values
        self.asimov, self.auxiliary = likelihood.expected(start), start
        self.lowest = likelihood.nll(start, self.asimov, auxiliary=start)
        self.last = start

    def root_asimov(self, mu: float) -> float:
        """Root of q-tilde of the Asimov data set without signal."""
        found = self._fit(self.asimov, mu, self.last, self.auxiliary)
        self.last = found.values
        return float(np.sqrt(max(2 * (found.nll - self.lowest), 0.0)))

    def cls(self, mu: float) -> float:
        """CLs of the data at a signal strength (arXiv:1007.1727, eq. 65 and 66)."""
        assert self.data is not None
        q = 0.0
        if mu > self.best.values[self.likelihood.place(self.likelihood.poi)]:
            found = self._fit(self.data, mu, self.last_data, None)
            self.last_data = found.values
            q = max(2 * (found.nll - self.best.nll), 0.0)
        root, asimov = float(np.sqrt(q)), self.root_asimov(mu)
        if asimov == 0:
            return 1.0
        if root <= asimov:
            both, background = ndtr(-root), ndtr(asimov - root)
        else:
            both = ndtr(-(q + asimov**2) / (2 * asimov))
            background = ndtr((asimov**2 - q) / (2 * asimov))
        return float(both / background)

    def _fit(self, data: Floats, mu: float, start: Floats, auxiliary: Floats | None) -> Fit:
        fixed = {self.likelihood.poi: mu}
        return minimise(self.likelihood, data, fixed=fixed, start=start, auxiliary=auxiliary)


def _first_step(likelihood: Likelihood, scan: _Scan) -> float:
    """About two standard deviations of the signal strength without signal."""
    fit = minimise(likelihood, scan.asimov, start=scan.auxiliary, auxiliary=scan.auxiliary)
    error = float(fit.errors[likelihood.place(likelihood.poi)])
    return 2 * error if np.isfinite(error) and error > 0 else 1.0


def _root(function: Callable[[float], float], step: float, poi: str) -> float:
    """Where a function, negative at small strengths, becomes positive."""
    low, high = 0.0, step
    for _ in range(40):
        if function(high) > 0:
            return float(brentq(function, low, high, xtol=1e-4 * high, rtol=1e-4))
        low, high = high, 1.6 * high
    raise FitError(
        f"no {poi} up to {high:.3g} is excluded: these channels say nothing about the signal; add "
        "a region that it reaches"
    )
