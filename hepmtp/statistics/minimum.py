"""Minima of the likelihood: Fisher scoring, and Minuit where that does not arrive.

The rule: a minimum counts only if its estimated distance is small; else it raises FitError.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from iminuit import Minuit

from hepmtp.errors import FitError
from hepmtp.events.ragged import Bools, Floats
from hepmtp.statistics.likelihood import Likelihood

#: Estimated distance to the minimum in nll at which a fit ends, and which is refused.
CLOSE, FAR = 1e-9, 1e-3
#: The fastest that one step may go, in units of each constraint's width or of 1.
LONGEST = 3.0
STEPS = 60


class Fit(NamedTuple):
    """A fit: `values`, (n_parameters,), their covariance (rows of what is fixed are 0), the nll.

    `covariance` comes from the expected information at the minimum. `by` says which minimiser
    arrived.
    """

    values: Floats
    covariance: Floats
    nll: float
    by: str

    @property
    def errors(self) -> Floats:
        """Errors of the parameters, (n_parameters,); 0 for what is fixed."""
        return np.sqrt(np.maximum(np.diag(self.covariance), 0.0))


def minimise(
    likelihood: Likelihood,
    data: Floats,
    *,
    fixed: Mapping[str, float] | None = None,
    start: Floats | None = None,
    auxiliary: Floats | None = None,
    used: Bools | None = None,
) -> Fit:
    """Fit all parameters but those that are fixed.

    Parameters
    ----------
    data
        counts, (n_bins,); an Asimov data set's are no integers.
    fixed
        parameter -> value that it stays at.
    start
        values to start from, (n_parameters,); `Likelihood.centre` by default.
    auxiliary
        where the constraints are centred, (n_parameters,); by default `Likelihood.centre`.
    used
        bins that count, (n_bins,); all by default.

    Raises
    ------
    FitError
        if neither minimiser arrives.
    """
    values = (likelihood.centre if start is None else start).astype(np.float64)
    free = np.array([not one.fixed for one in likelihood.parameters])
    for i, one in enumerate(likelihood.parameters):
        values[i] = one.centre if one.fixed else np.clip(values[i], one.low, one.high)
    for name, value in (fixed or {}).items():
        values[likelihood.place(name)] = value
        free[likelihood.place(name)] = False
    problem = _Problem(
        likelihood,
        data,
        likelihood.centre if auxiliary is None else auxiliary,
        np.ones(len(data), dtype=bool) if used is None else used,
        free,
    )
    found = problem.score(values)
    if found is None:
        found = problem.minuit(values)
    return found


class _Problem:
    """One minimisation; parameters outside `free` stay where they are."""

    def __init__(
        self, likelihood: Likelihood, data: Floats, auxiliary: Floats, used: Bools, free: Bools
    ) -> None:
        self.likelihood, self.data, self.auxiliary = likelihood, data, auxiliary
        self.used, self.free = used, free
        self.low, self.high = (
            np.array([getattr(one, bound) for one in likelihood.parameters])
            for bound in ("low", "high")
        )
        sigma = likelihood.sigma
        held = np.isfinite(sigma) & (sigma > 0)
        self.scale = np.where(held, sigma, 1.0)
        self.precision = np.divide(1.0, sigma**2, out=np.zeros_like(sigma), where=held)

    def nll(self, values: Floats) -> float:
        return self.likelihood.nll(values, self.data, auxiliary=self.auxiliary, used=self.used)

    def gradient(self, values: Floats) -> tuple[Floats, Floats]:
        """Gradient, (n_parameters,), and expected information of the nll."""
        expected, jacobian = self.likelihood.derivatives(values)
        expected, jacobian = expected[self.used], jacobian[self.used]
        gradient = jacobian.T @ (1 - self.data[self.used] / expected)
        gradient += (values - self.auxiliary) * self.precision
        information = (jacobian.T / expected) @ jacobian
        information[np.diag_indices_from(information)] += self.precision
        return gradient, information

    def score(self, values: Floats) -> Fit | None:
        """Fisher scoring within the bounds; None if it does not arrive."""
        nll = self.nll(values)
        if not np.isfinite(nll):
            return None
        for _ in range(STEPS):
            gradient, information = self.gradient(values)
            outward = ((values <= self.low) & (gradient > 0)) | (
                (values >= self.high) & (gradient < 0)
            )
            moving = self.free & ~outward
            step = np.zeros_like(values)
            step[moving] = -_solved(information[np.ix_(moving, moving)], gradient[moving])
            distance = float(-gradient @ step) / 2
            if distance < CLOSE:
                return Fit(values, _inverse(information, self.free), nll, "Fisher scoring")
            step *= min(1.0, LONGEST / max(float(np.max(np.abs(step / self.scale))), 1e-30))
            for _ in range(25):
                tried = np.clip(values + step, self.low, self.high)
                tried[~self.free] = values[~self.free]
                new = self.nll(tried)
                if new < nll:
                    break
                step /= 2
            else:
                if distance < FAR * 1e-2:  # as low as rounding lets it go
                    return Fit(values, _inverse(information, self.free), nll, "Fisher scoring")
                return None
            values, nll = tried, new
        return None

    def minuit(self, values: Floats) -> Fit:
        """The minimum by Minuit's MIGRAD with the exact gradient."""
        names = self.likelihood.names
        minuit = Minuit(
            lambda x: min(self.nll(x), 1e30),
            values,
            grad=lambda x: self.gradient(x)[0],
            name=names,
        )
        minuit.errordef = Minuit.LIKELIHOOD
        minuit.strategy = 1
        minuit.limits = list(zip(self.low, self.high, strict=True))
        minuit.fixed = list(~self.free)
        minuit.errors = list(self.scale / 10)
        minuit.migrad(ncall=20000)
        found = np.array(minuit.values)
        if not minuit.valid and not (minuit.fmin.edm < FAR):
            raise FitError(
                f"the fit of {int(self.free.sum())} parameters to {int(self.used.sum())} bins did "
                f"not arrive (estimated distance {minuit.fmin.edm:.2g} in nll). Merge bins without "
                "background, or leave out a variation that empties one"
            )
        information = self.gradient(found)[1]
        return Fit(found, _inverse(information, self.free), float(minuit.fval), "Minuit")


def _solved(matrix: Floats, vector: Floats) -> Floats:
    """Solution of a symmetric system; directions without information stay where they are."""
    try:
        return np.asarray(np.linalg.solve(matrix, vector), dtype=np.float64)
    except np.linalg.LinAlgError:
        inverse = np.linalg.pinv(matrix, rcond=1e-12, hermitian=True)
        return np.asarray(inverse @ vector, dtype=np.float64)


def _inverse(information: Floats, free: Bools) -> Floats:
    """Covariance of the free parameters, zero elsewhere."""
    covariance = np.zeros_like(information)
    where = np.ix_(free, free)
    try:
        covariance[where] = np.linalg.inv(information[where])
    except np.linalg.LinAlgError:
        covariance[where] = np.linalg.pinv(information[where], rcond=1e-12, hermitian=True)
    return covariance
