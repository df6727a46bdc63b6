"""Which uncertainty costs how much: the impact of each parameter, and of groups of them, on mu.

The rule: an impact is the change of the fitted signal strength when a parameter is moved by its
error after the fit, and all others are fitted again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from hepmtp.events.ragged import Bools, Floats
from hepmtp.statistics.fits import asimov_data
from hepmtp.statistics.likelihood import Likelihood
from hepmtp.statistics.minimum import Fit, minimise


class Impact(NamedTuple):
    """Shift of the signal strength by a parameter that moves up and down by its error."""

    parameter: str
    up: float
    down: float

    @property
    def size(self) -> float:
        """The larger of the two, for a ranking."""
        return max(abs(self.up), abs(self.down))


class Group(NamedTuple):
    """Part of the error of the signal strength that a group of parameters makes."""

    group: str
    parameters: int
    error: float
    share: float  #: of the squared error; shares do not add up to 1 where groups are correlated


def impacts(
    likelihood: Likelihood, data: Floats | None = None, *, statistical: bool = False
) -> list[Impact]:
    """Impacts of all parameters, the largest first.

    Parameters
    ----------
    data
        counts, (n_bins,); the Asimov data set of `mu` = 1 by default.
    statistical
        also those of the simulated statistics, one per bin.
    """
    counts = asimov_data(likelihood, 1.0) if data is None else data
    best = minimise(likelihood, counts)
    place = likelihood.place(likelihood.poi)
    rows = []
    for i, one in enumerate(likelihood.parameters):
        if i == place or one.fixed or (one.kind == "staterror" and not statistical):
            continue
        error, shifts = best.errors[i], []
        for value in (best.values[i] + error, best.values[i] - error):
            start = best.values + best.covariance[i] * (value - best.values[i]) / error**2
            fixed = {one.name: float(np.clip(value, one.low, one.high))}
            moved = minimise(likelihood, counts, fixed=fixed, start=start)
            shifts.append(float(moved.values[place] - best.values[place]))
        rows.append(Impact(one.name, *shifts))
    return sorted(rows, key=lambda row: -row.size)


def grouped(likelihood: Likelihood, fit: Fit, groups: Mapping[str, Sequence[str]]) -> list[Group]:
    """Errors of the signal strength by groups of parameters, the largest first.

    That of a group is the part which is gone when its parameters are held at their best values; the
    rest, "data", is what remains when all groups are held.
    """
    place = likelihood.place(likelihood.poi)
    free = np.diag(fit.covariance) > 0
    full = float(fit.covariance[place, place])
    held = [likelihood.place(name) for names in groups.values() for name in names]
    rows = []
    for name, names in groups.items():
        inside = [likelihood.place(one) for one in names]
        part = max(full - _without(fit.covariance, free, inside, place), 0.0)
        rows.append(Group(name, len(names), float(np.sqrt(part)), part / full))
    left = _without(fit.covariance, free, held, place)
    rows.sort(key=lambda row: -row.error)
    return [*rows, Group("data", 0, float(np.sqrt(left)), left / full)]


def _without(covariance: Floats, free: Bools, held: Sequence[int], place: int) -> float:
    """Variance of a parameter when others are held: conditional, of a normal distribution."""
    fixed = [i for i in held if free[i] and i != place]
    if not fixed:
        return float(covariance[place, place])
    cross = covariance[place, fixed]
    inner = np.linalg.solve(covariance[np.ix_(fixed, fixed)], cross)
    return float(max(covariance[place, place] - cross @ inner, 0.0))
