"""A workspace fitted in all respects: significance, strength, limit, pulls, impacts, events.

The rule: what is expected is computed without data, and what is observed only from a workspace
whose observations are data.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hepmtp.events.ragged import Bools, Floats
from hepmtp.statistics.compilation import compiled
from hepmtp.statistics.fits import (
    Expected,
    Goodness,
    Pull,
    Significance,
    Strength,
    asimov_data,
    covariance_before,
    discovery,
    expected_events,
    goodness,
    pulls,
    strength,
)
from hepmtp.statistics.impacts import Group, Impact, grouped, impacts
from hepmtp.statistics.likelihood import Likelihood, Workspace
from hepmtp.statistics.limits import Limit, upper_limit
from hepmtp.statistics.minimum import minimise
from hepmtp.statistics.workspace import CROSS_SECTION, MODELLING


class FitResult(NamedTuple):
    """What a workspace says of its signal; `observed` and `goodness` are None without data.

    Parameters
    ----------
    expected, observed
        discovery significance.
    strength
        fitted signal strength: of the data, or expected.
    limit
        upper limit on the strength at 95 % CL.
    goodness
        of the fit with signal.
    pulls, impacts, groups
        of the parameters: of the data, or expected of a signal of its nominal strength.
    events
        before and after the fit.
    bins
        expected counts of each bin: see `Bins`.
    """

    signal: str
    expected: Significance
    observed: Significance | None
    strength: Strength
    limit: Limit
    goodness: Goodness | None
    pulls: list[Pull]
    impacts: list[Impact]
    groups: list[Group]
    events: list[Expected]
    bins: Bins


class Bins(NamedTuple):
    """Counts of all bins; arrays (n_bins,), `before` and `after` (n_samples, n_bins)."""

    channels: list[str]
    samples: list[str]
    before: Floats
    before_error: Floats  #: of the background together
    after: Floats
    after_error: Floats
    counts: Floats  #: data, or the Asimov data set that was fitted


def fit(workspace: Workspace, *, data: bool = False, variances: Floats | None = None) -> FitResult:
    """Fit a workspace of one signal in all respects; see `FitResult`.

    Parameters
    ----------
    workspace
        of :func:`hepmtp.statistics.workspace.make_workspace`, or another with its modifiers.
    data
        whether its observations are data; by default nothing is observed.
    variances
        of the simulated expected events, for the error of the expected significance.

    Raises
    ------
    FitError
        if a fit does not arrive, or the channels say nothing about the signal.
    """
    likelihood = compiled(workspace)
    signal = signal_of(likelihood)
    counts = likelihood.observed if data else None
    fitted = asimov_data(likelihood, 1.0) if counts is None else counts
    best = minimise(likelihood, fitted)
    return FitResult(
        signal=signal,
        expected=discovery(likelihood, variances=variances),
        observed=None if counts is None else discovery(likelihood, counts),
        strength=strength(likelihood, counts),
        limit=upper_limit(likelihood, counts),
        goodness=None if counts is None else goodness(likelihood, counts, best),
        pulls=pulls(likelihood, best),
        impacts=impacts(likelihood, counts),
        groups=grouped(likelihood, best, groups_of(likelihood)),
        events=expected_events(likelihood, best, signal, counts),
        bins=_bins(likelihood, best.values, best.covariance, fitted, signal),
    )


def signal_of(likelihood: Likelihood) -> str:
    """The sample that the signal strength scales."""
    place = likelihood.place(likelihood.poi)
    (mask,) = (scaled for where, scaled in likelihood.factors if where == place)
    return likelihood.samples[int(np.flatnonzero(mask.any(axis=1))[0])]


def groups_of(likelihood: Likelihood) -> dict[str, list[str]]:
    """Parameters by what they stand for."""
    kinds = {
        "normfactor": "fitted normalisations",
        "lumi": "luminosity",
        "staterror": "simulated statistics",
    }
    found: dict[str, list[str]] = {}
    for one in likelihood.parameters:
        if one.name == likelihood.poi or one.fixed:
            continue
        name = kinds.get(one.kind) or _group(one.name)
        found.setdefault(name, []).append(one.name)
    return found


def _group(name: str) -> str:
    """What a constrained parameter of a workspace of ours stands for, by its name."""
    if name.startswith(CROSS_SECTION):
        return "cross-sections"
    return "jets, b-jets, MET and HT of the background" if name in MODELLING else "variations"


def without_signal(likelihood: Likelihood, signal: str) -> Likelihood:
    """The likelihood with no event of the signal expected."""
    nominal = likelihood.nominal.copy()
    nominal[likelihood.samples.index(signal)] = 0.0
    return likelihood.with_nominal(nominal)


def in_channels(likelihood: Likelihood, names: set[str]) -> Bools:
    """Whether each bin is of one of these channels, (n_bins,)."""
    return np.array([channel in names for channel, _ in likelihood.bins])


def _bins(
    likelihood: Likelihood, values: Floats, covariance: Floats, counts: Floats, signal: str
) -> Bins:
    background = without_signal(likelihood, signal)
    before, errors = covariance_before(likelihood), []
    for at, matrix in ((likelihood.centre, before), (values, covariance)):
        slope = background.derivatives(at)[1]
        errors.append(np.sqrt(np.einsum("bi,ij,bj->b", slope, matrix, slope).clip(0)))
    return Bins(
        [channel for channel, _ in likelihood.bins], list(likelihood.samples),
        likelihood.by_sample(likelihood.centre), errors[0],
        likelihood.by_sample(values), errors[1], counts,
    )  # fmt: skip
