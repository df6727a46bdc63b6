"""What a fit says: discovery significance, signal strength, pulls, goodness, expected events.

The rule: without data, everything is expected: of the Asimov data set at the nominal parameters. A
number that is expected has the error that the finite simulation gives it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import chdtrc, gammaln, xlogy

from hepmtp.errors import FitError
from hepmtp.events.ragged import Bools, Floats
from hepmtp.statistics.likelihood import Likelihood
from hepmtp.statistics.minimum import Fit, minimise


class Significance(NamedTuple):
    """Discovery significance; the error is that of the simulated events, None for data."""

    z: float
    z_error: float | None


class Strength(NamedTuple):
    """Signal strength and its errors, from the profile likelihood (a rise of 1/2 in nll)."""

    mu: float
    up: float
    down: float


class Goodness(NamedTuple):
    """Likelihood ratio to the saturated model, and its asymptotic p-value."""

    statistic: float
    ndof: int
    p_value: float


class Pull(NamedTuple):
    """A parameter after the fit; `pull` and `constraint` are in units of its width before."""

    parameter: str
    value: float
    value_error: float
    pull: float | None
    constraint: float | None


class Expected(NamedTuple):
    """Events of a sample in a channel before and after the fit; "background" is their sum."""

    channel: str
    sample: str
    before: float
    before_error: float
    after: float
    after_error: float
    observed: float | None


def asimov_data(likelihood: Likelihood, mu: float) -> Floats:
    """Expected counts at the nominal parameters and a signal strength, (n_bins,)."""
    values = likelihood.centre
    values[likelihood.place(likelihood.poi)] = mu
    return likelihood.expected(values)


def discovery(
    likelihood: Likelihood, data: Floats | None = None, *, variances: Floats | None = None
) -> Significance:
    """Discovery significance, the root of q0 (arXiv:1007.1727, eq. 12 and 52).

    Parameters
    ----------
    data
        counts, (n_bins,); without them the expected one, of the Asimov data set of `mu` = 1.
    variances
        of the simulated expected events, (n_samples, n_bins): they give the error of the expected
        significance, to first order.

    Notes
    -----
    The error moves each template by its own statistical error; relative variations stay. With the
    fit without signal at expected counts nu of the Asimov counts n, and the factor f of a sample::

        d q0 / d y = 2 [ln(n / nu) + (1 - n / nu) f]
    """
    if data is None:
        counts, best = asimov_data(likelihood, 1.0), likelihood.centre
        best[likelihood.place(likelihood.poi)] = 1.0
        lowest = likelihood.nll(best, counts)
    else:
        counts = data
        free = minimise(likelihood, counts)
        best, lowest = free.values, free.nll
    if best[likelihood.place(likelihood.poi)] <= 0:
        return Significance(0.0, None)
    without = minimise(likelihood, counts, fixed={likelihood.poi: 0.0}, start=best)
    q0 = max(2 * (without.nll - lowest), 0.0)
    z = float(np.sqrt(q0))
    if data is not None or variances is None or z == 0:
        return Significance(z, None)
    rates, nu = likelihood.by_sample(without.values), likelihood.expected(without.values)
    nominal = likelihood.nominal
    factor = np.divide(rates, nominal, out=np.zeros_like(rates), where=nominal > 0)
    slope = (np.log(counts / nu) + (1 - counts / nu) * factor) / z
    return Significance(z, float(np.sqrt((slope**2 * variances).sum())))


def strength(
    likelihood: Likelihood, data: Floats | None = None, *, auxiliary: Floats | None = None
) -> Strength:
    """Signal strength with errors, within the bounds of the workspace: it is not negative.

    An interval that the bound cuts off ends there: `down` is then the distance to 0.

    Parameters
    ----------
    data
        counts, (n_bins,); the Asimov data set of `mu` = 1 by default.
    auxiliary
        where the constraints are centred, (n_parameters,), for toys that draw them.

    Raises
    ------
    FitError
        if the profile never rises by 1/2: the data say nothing about this signal.
    """
    counts = asimov_data(likelihood, 1.0) if data is None else data
    best = minimise(likelihood, counts, auxiliary=auxiliary)
    place = likelihood.place(likelihood.poi)
    mu, error = float(best.values[place]), float(best.errors[place])
    up, down = (
        _crossing(likelihood, counts, best, mu, sign * error, auxiliary) for sign in (1, -1)
    )
    return Strength(mu, up - mu, mu - down)


def goodness(likelihood: Likelihood, data: Floats, fit: Fit) -> Goodness:
    """How well a fit describes data: -2 ln(L / L of the saturated model)."""
    saturated = likelihood.constraints(likelihood.centre) + _poisson(data, data)
    statistic = max(2 * (fit.nll - saturated), 0.0)
    free = sum(not np.isfinite(one.sigma) and not one.fixed for one in likelihood.parameters)
    ndof = max(len(data) - free, 0)
    return Goodness(statistic, ndof, float(chdtrc(ndof, statistic)) if ndof else float("nan"))


def pulls(likelihood: Likelihood, fit: Fit, *, statistical: bool = False) -> list[Pull]:
    """Values, pulls and constraints of the parameters, those of simulated statistics on request."""
    rows = []
    for one, value, error in zip(likelihood.parameters, fit.values, fit.errors, strict=True):
        if one.fixed or (one.kind == "staterror" and not statistical):
            continue
        held = bool(np.isfinite(one.sigma))
        pull = float((value - one.centre) / one.sigma) if held else None
        constraint = float(error / one.sigma) if held else None
        rows.append(Pull(one.name, float(value), float(error), pull, constraint))
    return rows


def covariance_before(likelihood: Likelihood) -> Floats:
    """Covariance of the parameters before any fit: free ones do not move."""
    sigma = likelihood.sigma
    return np.diag(np.where(np.isfinite(sigma), sigma, 0.0) ** 2)


def error_of_sum(
    likelihood: Likelihood, values: Floats, covariance: Floats, used: Bools
) -> tuple[float, float]:
    """Expected events of some bins together, and their error by a covariance of the parameters."""
    expected, jacobian = likelihood.derivatives(values)
    slope = jacobian[used].sum(axis=0)
    return float(expected[used].sum()), float(np.sqrt(max(slope @ covariance @ slope, 0.0)))


def expected_events(
    likelihood: Likelihood, fit: Fit, signal: str, data: Floats | None = None
) -> list[Expected]:
    """Events of every sample in every channel, before and after a fit."""
    rows = []
    before = covariance_before(likelihood)
    centre = likelihood.centre
    channels = np.array([name for name, _ in likelihood.bins])
    for channel in dict.fromkeys(channels):
        used = channels == channel
        observed = None if data is None else float(data[used].sum())
        for sample in (*likelihood.samples, "background"):
            nominal = np.zeros_like(likelihood.nominal)
            for i, name in enumerate(likelihood.samples):
                if sample == name or (sample == "background" and name != signal):
                    nominal[i] = likelihood.nominal[i]
            alone = likelihood.with_nominal(nominal)
            rows.append(
                Expected(
                    str(channel), sample,
                    *error_of_sum(alone, centre, before, used),
                    *error_of_sum(alone, fit.values, fit.covariance, used),
                    observed if sample == "background" else None,
                )
            )  # fmt: skip
    return rows


def _crossing(
    likelihood: Likelihood,
    data: Floats,
    best: Fit,
    mu: float,
    step: float,
    auxiliary: Floats | None,
) -> float:
    """Where the profile of the signal strength has risen by 1/2, in the direction of `step`.

    The bound of the strength, if it has not risen so far there.
    """
    place = likelihood.place(likelihood.poi)
    low, high = (getattr(likelihood.parameters[place], bound) for bound in ("low", "high"))
    slope = best.covariance[place] / max(best.covariance[place, place], 1e-30)

    def rise(at: float) -> float:
        start = best.values + slope * (at - mu)
        found = minimise(
            likelihood, data, fixed={likelihood.poi: at}, start=start, auxiliary=auxiliary
        )
        return found.nll - best.nll - 0.5

    step = step if abs(step) > 1e-6 else float(np.copysign(0.1, step))
    while True:
        end = float(np.clip(mu + step, low, high))
        if end != mu and rise(end) > 0:
            return float(brentq(rise, mu, end, xtol=1e-4 * abs(end - mu)))
        if end == low:
            return end
        if end == high:
            break
        step *= 1.5
    raise FitError(
        f"the likelihood rises by less than 1/2 up to a signal strength of {end:.3g}: these "
        "channels say nothing about the signal; add a region that it reaches"
    )


def _poisson(expected: Floats, data: Floats) -> float:
    """Negative log-likelihood of counts, where 0 ln 0 is 0."""
    return float(np.sum(expected - xlogy(data, expected) + gammaln(data + 1)))
