"""Is a calibrated score flat? Shares of background per bin, their ratio between regions, chi2.

The rule: three errors are kept apart and used together. These are the simulated events of either
region, and the fit of the calibration, which moves all bins and regions at once. Replicas of the
fit carry the last one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import gammaincc

from hepmtp.errors import OptionError, ScoreError
from hepmtp.events.ragged import Bools, Floats
from hepmtp.statistics.histograms import (
    NOMINAL,
    Histogram,
    Names,
    categories,
    dataset_names,
    fill,
    folded,
    spectrum,
    yields,
)

#: Edges of the bins: half, a tenth and a fiftieth of the background lie above 0.3, 1 and 1.7.
EDGES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.2, 1.4, 1.7, 2.0, 2.4, 4.0)
#: Upper parts of the background that are tested, and where they begin.
UPPER = {0.5: 0.3, 0.1: 1.0, 0.02: 1.7}


class Shares(NamedTuple):
    """A region's background per bin, as shares of the region; arrays (n_bins,)."""

    region: str
    edges: Floats  #: (n_bins + 1,)
    share: Floats
    error: Floats  #: of the simulated events
    replicas: Floats  #: shares by each replica of the calibration, (n_replicas, n_bins)
    total: float  #: sum of weights of the region

    @property
    def calibration_error(self) -> Floats:
        """Spread of the replicas, shape (n_bins,); 0 without any."""
        return _spread(self.replicas)


class Ratio(NamedTuple):
    """Shares of one region over those of another, bin by bin; NaN where the other has none."""

    ratio: Floats
    error: Floats  #: of the simulated events of both
    calibration_error: Floats


class Flatness(NamedTuple):
    """Upper part of the background in a region against the same scores in another region.

    Parameters
    ----------
    upper
        share of the background that the part is meant to hold.
    first, second
        shares of the two regions in it.
    ratio, error, calibration_error
        first / second; errors of the simulated events and of the calibration.
    chi2, ndof, p_value
        of the bins of the part, with all errors.
    """

    regions: tuple[str, str]
    upper: float
    first: float
    second: float
    ratio: float
    error: float
    calibration_error: float
    chi2: float
    ndof: int
    p_value: float


def fill_replicas(
    h: Histogram,
    scores: Floats,
    *,
    dataset: str,
    regions: Mapping[str, Bools],
    weight: Floats,
) -> None:
    """Add events of one data set to a histogram whose variations are replicas of a calibration.

    Parameters
    ----------
    h
        what `book` gave; changed in place.
    scores
        by each replica, shape (n_replicas, n_events).
    regions
        name -> whether each event is in it.
    weight
        shape (n_events,).
    """
    for k, one in enumerate(scores):
        for region, mask in regions.items():
            fill(
                h,
                dataset=dataset,
                region=region,
                score=one[mask],
                weight=weight[mask],
                variation=f"replica_{k:02d}",
            )


def shares(
    h: Histogram,
    region: str,
    *,
    datasets: Names,
    replicas: Histogram | None = None,
    expected: Mapping[str, float] | None = None,
    edges: Sequence[float] = EDGES,
) -> Shares:
    """Background of a region in bins of a calibrated score.

    Parameters
    ----------
    h
        score histogram of a calibrated detector; flow bins count in the outer ones.
    datasets
        background data sets to add up.
    replicas
        as `h`, of the background, with the replicas of the calibration as its variations.
    expected
        data set -> its events in this region, as a fit found them; one that is not named has those
        of `h`.
    edges
        of the bins, each one of the histogram's.

    Raises
    ------
    ScoreError
        if the region's weights do not sum to something positive.
    OptionError
        for an edge that the histogram does not have.
    """
    known = np.asarray(h.axes["score"].edges, dtype=np.float64)
    places = np.abs(known[:, None] - np.asarray(edges)).argmin(axis=0)
    off = np.abs(known[places] - edges) > 1e-6 * (known[-1] - known[0])
    if off.any() or (places[0], places[-1]) != (0, len(known) - 1):
        raise OptionError(
            f"histogram {h.name!r} has {len(known) - 1} bins from {known[0]:g} to {known[-1]:g}; "
            f"the edges {', '.join(f'{one:g}' for one in edges)} are not all among theirs, from "
            "end to end"
        )
    factors = {
        name: _factor(h, name, region, expected or {}) for name in dataset_names(h, datasets)
    }

    def content(of: Histogram, variation: str = NOMINAL) -> tuple[Floats, Floats]:
        """Contents and variances in the bins that are asked for."""
        total = np.zeros((2, len(places) - 1))
        for name, factor in factors.items():
            value, variance = folded(spectrum(of, name, region, variation))
            total[0] += factor * np.add.reduceat(value, places[:-1])
            total[1] += factor**2 * np.add.reduceat(variance, places[:-1])
        return total[0], total[1]

    value, variance = content(h)
    total = float(value.sum())
    if not total > 0:
        raise ScoreError(
            f"histogram {h.name!r}: the weights of {', '.join(factors)} in {region} sum to "
            f"{total:g}, so there are no shares; choose a region that holds them"
        )
    found = [] if replicas is None else [content(replicas, one)[0] for one in _names(replicas)]
    of_replicas = np.array([one / one.sum() for one in found]).reshape(-1, len(value))
    return Shares(
        region,
        np.asarray(edges, dtype=np.float64),
        value / total,
        np.sqrt(variance) / total,
        of_replicas,
        total,
    )


def ratio(first: Shares, second: Shares) -> Ratio:
    """First over second, with the errors of both and that of the calibration.

    Both must have the replicas of one calibration; else OptionError.
    """
    if len(first.replicas) != len(second.replicas):
        raise OptionError(
            f"{first.region} has {len(first.replicas)} replicas and {second.region} has "
            f"{len(second.replicas)}: give both those of the same calibration"
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        below = np.where(second.share > 0, second.share, np.nan)
        found = first.share / below
        error = np.hypot(first.error, found * second.error) / below
        each = first.replicas / np.where(second.replicas > 0, second.replicas, np.nan)
    return Ratio(found, error, np.where(np.isnan(found), np.nan, _spread(each)))


def flatness(first: Shares, second: Shares, *, upper: float = 0.1) -> Flatness:
    """Compare the upper part of two regions' background: half, a tenth or a fiftieth (`UPPER`).

    With d the difference of the shares per bin, chi2 = d C^-1 d. C holds the squared errors of the
    simulated events and the covariance of d over the replicas. Bins that are empty in both regions
    are left out. The regions must share no event.
    """
    if upper not in UPPER:
        raise OptionError(
            f"the upper {upper:g} of the background is not tested; there are "
            f"{', '.join(f'{one:g}' for one in UPPER)}"
        )
    inside = first.edges[:-1] > UPPER[upper] - 1e-9
    used = inside & ((first.error > 0) | (second.error > 0))
    difference = (first.share - second.share)[used]
    whole = ratio(*(_part(one, inside) for one in (first, second)))
    covariance = np.diag((first.error**2 + second.error**2)[used])
    if len(first.replicas) > 1:
        covariance = covariance + np.atleast_2d(
            np.cov((first.replicas - second.replicas)[:, used], rowvar=False)
        )
    chi2 = float(difference @ np.linalg.solve(covariance, difference)) if used.any() else 0.0
    ndof = int(used.sum())
    return Flatness(
        regions=(first.region, second.region),
        upper=upper,
        first=float(first.share[inside].sum()),
        second=float(second.share[inside].sum()),
        ratio=float(whole.ratio[0]),
        error=float(whole.error[0]),
        calibration_error=float(whole.calibration_error[0]),
        chi2=chi2,
        ndof=ndof,
        p_value=float(gammaincc(ndof / 2, chi2 / 2)) if ndof else 1.0,
    )


def _names(replicas: Histogram) -> list[str]:
    return [name for name in categories(replicas, "variation") if name != NOMINAL]


def _part(one: Shares, inside: Bools) -> Shares:
    """Some bins of a region as one."""
    return one._replace(
        edges=one.edges[[0, -1]],
        share=one.share[inside].sum(keepdims=True),
        error=np.sqrt(np.square(one.error[inside]).sum(keepdims=True)),
        replicas=one.replicas[:, inside].sum(axis=1, keepdims=True),
    )


def _factor(h: Histogram, dataset: str, region: str, expected: Mapping[str, float]) -> float:
    """What the events of a data set are scaled with; what has none stays as it is."""
    here = yields(h, dataset, region).value
    return expected[dataset] / here if dataset in expected and here > 0 else 1.0


def _spread(replicas: Floats) -> Floats:
    """Standard deviation over the replicas that say something, per bin; 0 for fewer than two."""
    known = np.isfinite(replicas)
    n = known.sum(axis=0)
    filled = np.where(known, replicas, 0.0)
    mean = filled.sum(axis=0) / np.maximum(n, 1)
    squares = (np.where(known, replicas - mean, 0.0) ** 2).sum(axis=0)
    return np.asarray(np.sqrt(squares / np.maximum(n - 1, 1)))
