"""Two regions of a score against each other: shapes, thresholds of one, what passes in the other.

The rule: thresholds come from the control region alone. They are edges of the score's bins, so that
a cut on the histogram is exact. Weights may be negative; a share is taken only of a positive sum.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import gammaincc

from hepmtp.errors import OptionError, ScoreError
from hepmtp.events.ragged import Floats
from hepmtp.statistics.histograms import Histogram, Names, dataset_names, folded, spectrum
from hepmtp.statistics.performance import Columns, in_region
from hepmtp.statistics.significance import asimov
from hepmtp.statistics.uncertainties import efficiency_error


class Comparison(NamedTuple):
    """Score of two regions bin by bin; arrays (n_bins,), `edges` (n_bins + 1,).

    NaN stands where a bin says nothing.
    """

    edges: Floats
    first: Floats  #: events, or shares of the region if `normalised`
    first_error: Floats
    second: Floats
    second_error: Floats
    ratio: Floats  #: first / second
    ratio_error: Floats
    pull: Floats  #: difference of the (normalised) contents over its error
    chi2: float
    ndof: int
    p_value: float
    regions: tuple[str, str]
    label: str  #: of the score axis
    normalised: bool

    @property
    def verdict(self) -> str:
        """chi2, ndof and p as text; the smallest p are not meant to be read."""
        p_value = f"p = {self.p_value:.2g}" if self.p_value > 1e-4 else "p < 0.0001"
        return f"chi2 / ndof = {self.chi2:.1f} / {self.ndof}, {p_value}"


class Threshold(NamedTuple):
    """A cut: events with score >= `value` are called anomalous.

    `eps_b` is that of the background of `region`, which it came from.
    """

    value: float
    rule: str
    region: str
    eps_b: float
    eps_b_error: float


class Selection(NamedTuple):
    """What passes a threshold; `z` and `s_over_b` are None if no background is left."""

    detector: str
    rule: str
    threshold: float
    region: str
    signal: str
    s: float
    s_error: float
    b: float
    b_error: float
    eps_s: float
    eps_s_error: float
    eps_b: float
    eps_b_error: float
    s_over_b: float | None
    s_over_b_error: float | None
    z: float | None  #: Asimov significance with `sigma_b`
    sigma_b: float
    n_signal: float
    n_background: float
    counts: str  #: what the two before are: "raw" or "effective"


class Observation(NamedTuple):
    """Observed events above a threshold, beside the expected background.

    `ratio` is observed over background; None if there is nothing of one of them.
    """

    detector: str
    region: str
    rule: str
    threshold: float
    observed: float
    b: float
    b_error: float
    ratio: float | None
    ratio_error: float | None


def compare(
    h: Histogram, first: str, second: str, *, datasets: Names = None, normalise: bool = True
) -> Comparison:
    """Compare the score in two regions, e.g. ``compare(h, "SR", "CR", datasets=background)``.

    Parameters
    ----------
    h
        score histogram of one detector.
    first, second
        names of the regions; the ratio is first / second.
    datasets
        data sets to add up; all of them if None.
    normalise
        compare shapes (each region divided by its sum) or yields.

    Notes
    -----
    Flow bins are added to the outer bins, bins that are empty in both regions are dropped. With
    contents w, sums of squared weights s^2 and totals W (1 if not normalised),
    chi2 = sum (W1 w2 - W2 w1)^2 / (W1^2 s2^2 + W2^2 s1^2). It follows a chi2 distribution of
    (used bins - 1 if normalised) degrees of freedom for about ten or more effective events per bin
    (Gagunashvili, arXiv:physics/0605123, weighted against weighted). `rebin` joins bins that hold
    fewer. The regions share no event, so the two are independent.
    """
    (w1, v1), (w2, v2) = (_contents(h, datasets, region, normalise) for region in (first, second))
    used = (v1 > 0) | (v2 > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        pull = np.where(used, (w1 - w2) / np.sqrt(v1 + v2), np.nan)
        ratio = np.where(w2 > 0, w1 / w2, np.nan)
        ratio_error = np.sqrt(v1 + ratio**2 * v2) / np.where(w2 > 0, w2, np.nan)
    chi2, ndof = float(np.nansum(pull**2)), int(used.sum()) - normalise
    axis = h.axes["score"]
    return Comparison(
        edges=np.asarray(axis.edges, dtype=np.float64),
        first=w1,
        first_error=np.sqrt(v1),
        second=w2,
        second_error=np.sqrt(v2),
        ratio=ratio,
        ratio_error=ratio_error,
        pull=pull,
        chi2=chi2,
        ndof=ndof,
        p_value=float(gammaincc(ndof / 2, chi2 / 2)) if ndof > 0 else 1.0,
        regions=(first, second),
        label=str(axis.label),
        normalised=normalise,
    )


def threshold(h: Histogram, *, background: Names, region: str, quantile: float = 0.99) -> Threshold:
    """The lowest bin edge with at most a share 1 - `quantile` of a region's background above it.

    It needs no signal. With negative weights, no higher edge has a larger share above it either.

    Raises
    ------
    ScoreError
        if more than that lies beyond the axis: it must be wider. Also if the weights of the
        background sum to nothing.
    """
    if not 0 < quantile < 1:
        raise OptionError(f"quantile {quantile} is not between 0 and 1")
    passing, error = _efficiency(h, background, region)
    too_many = np.flatnonzero(passing > 1 - quantile + 1e-12)
    edge = int(too_many[-1]) + 1 if len(too_many) else 0
    if edge == len(passing):
        raise ScoreError(
            f"detector {h.name!r}: {passing[-1]:.3g} of the background in {region} lies above "
            f"the score axis, which ends at {h.axes['score'].edges[-1]:g}, more than "
            f"{1 - quantile:.3g}; book a wider axis (hepmtp run --bins N --range SCORE=LOW,HIGH) "
            "or ask for a lower quantile"
        )
    rule = f"{100 * quantile:g} % of {region} background below"
    return _threshold(h, edge, rule, region, passing, error)


def best_separation(h: Histogram, *, background: Names, signal: Names, region: str) -> Threshold:
    """The bin edge of largest eps_S - eps_B (Youden's J) in a region.

    The choice of the original poster. It is **supervised**: it looks at labelled signal, which data
    do not have; use `threshold` for a search.
    """
    eps_b, error = _efficiency(h, background, region)
    eps_s, _ = _efficiency(h, signal, region)
    rule = f"best separation of labelled {region} background and signal"
    return _threshold(h, int(np.argmax(eps_s - eps_b)), rule, region, eps_b, error)


def apply(
    h: Histogram,
    cut: Threshold | float,
    *,
    background: Names,
    signal: Names,
    region: str,
    systematic: float = 0.0,
    columns: Columns | None = None,
) -> Selection:
    """What a threshold keeps of a region: yields, efficiencies, S/B, Asimov significance.

    Parameters
    ----------
    h
        score histogram of one detector; its name finds the column ``score:<name>``.
    cut
        what `threshold` or `best_separation` gave, or a bin edge.
    background, signal
        data sets of each kind.
    systematic
        relative uncertainty of the background, added in quadrature to that of the simulated sample.
    columns
        the processor's ``out["columns"]``: with it counts are raw, else (sum w)^2 / sum w^2.
    """
    value, rule = (cut.value, cut.rule) if isinstance(cut, Threshold) else (float(cut), "given")
    edge = _edge(h, value)
    s, b = (_passing(h, names, region, edge, columns) for names in (signal, background))
    sigma_b = float(np.hypot(b.error, systematic * b.value))
    s_over_b, s_over_b_error, z = None, None, None
    if b.value > 0:
        s_over_b = s.value / b.value
        s_over_b_error = float(np.hypot(s.error, s_over_b * b.error)) / b.value
        z = asimov(max(s.value, 0.0), b.value, sigma_b=sigma_b)
    return Selection(
        detector=str(h.name),
        rule=rule,
        threshold=value,
        region=region,
        signal="+".join(dataset_names(h, signal)),
        s=s.value,
        s_error=s.error,
        b=b.value,
        b_error=b.error,
        eps_s=s.efficiency,
        eps_s_error=s.efficiency_error,
        eps_b=b.efficiency,
        eps_b_error=b.efficiency_error,
        s_over_b=s_over_b,
        s_over_b_error=s_over_b_error,
        z=z,
        sigma_b=sigma_b,
        n_signal=s.events,
        n_background=b.events,
        counts="effective" if columns is None else "raw",
    )


def observe(
    h: Histogram, cut: Threshold, *, data: Names, background: Names, region: str
) -> Observation:
    """What was observed above a threshold in a region, and the background that is expected there.

    Notes
    -----
    The error of `ratio` holds that of the background and the square root of what was observed.
    """
    above = 1 + _edge(h, cut.value)
    (n, n2), (b, b2) = (
        (float(sums[above]) for sums in _sums(h, names, region)) for names in (data, background)
    )
    ratio, ratio_error = None, None
    if n > 0 and b > 0:
        ratio = n / b
        ratio_error = float(np.sqrt(n2 + ratio**2 * b2)) / b
    return Observation(
        detector=str(h.name),
        region=region,
        rule=cut.rule,
        threshold=cut.value,
        observed=int(n) if n == n2 and n.is_integer() else n,  # no weights but 1
        b=b,
        b_error=float(np.sqrt(b2)),
        ratio=ratio,
        ratio_error=ratio_error,
    )


class _Passing(NamedTuple):
    value: float
    error: float
    efficiency: float
    efficiency_error: float
    events: float


def _passing(
    h: Histogram, names: Names, region: str, edge: int, columns: Columns | None
) -> _Passing:
    """What lies above an edge; raw events are binned by the axis, so that the cut is the same."""
    sumw, sumw2 = _tails(h, names, region)
    eps, error = _efficiency(h, names, region)
    w, w2 = float(sumw[1 + edge]), float(sumw2[1 + edge])
    if columns is None:
        count = w**2 / w2 if w2 > 0 else 0.0
    else:
        found = (in_region(columns, one, str(h.name), region)[0] for one in dataset_names(h, names))
        count = sum(int(np.sum(h.axes["score"].index(score) >= edge)) for score in found)
    return _Passing(w, float(np.sqrt(w2)), float(eps[edge]), float(error[edge]), count)


def _threshold(
    h: Histogram, edge: int, rule: str, region: str, eps_b: Floats, error: Floats
) -> Threshold:
    value = float(h.axes["score"].edges[edge])
    return Threshold(value, rule, region, float(eps_b[edge]), float(error[edge]))


def _sums(h: Histogram, names: Names, region: str) -> tuple[Floats, Floats]:
    """Sums of weights and of their squares from each flow bin up, (n_bins + 2,); [0] is all."""
    bins = spectrum(h, names, region).view(flow=True)
    sumw, sumw2 = (np.cumsum(np.asarray(bins[part])[::-1])[::-1] for part in ("value", "variance"))
    return sumw, sumw2


def _tails(h: Histogram, names: Names, region: str) -> tuple[Floats, Floats]:
    """The same of a region that shares can be taken of; any other raises ScoreError."""
    sumw, sumw2 = _sums(h, names, region)
    if sumw[0] <= 0:
        of_whom = ", ".join(dataset_names(h, names))
        if sumw2[0] <= 0:
            raise ScoreError(f"detector {h.name!r}: region {region} holds no events of {of_whom}")
        raise ScoreError(
            f"detector {h.name!r}: the weights of {of_whom} in region {region} sum to "
            f"{sumw[0]:.4g}, and shares need a positive sum: analyse more events, or join the "
            "data sets or regions"
        )
    return sumw, sumw2


def _efficiency(h: Histogram, names: Names, region: str) -> tuple[Floats, Floats]:
    """Share of events above each bin edge and its error, shapes (n_bins + 1,)."""
    sumw, sumw2 = _tails(h, names, region)
    error = efficiency_error(sumw[1:], sumw2[1:], float(sumw[0]), float(sumw2[0]))
    return sumw[1:] / sumw[0], error


def _contents(h: Histogram, names: Names, region: str, normalise: bool) -> tuple[Floats, Floats]:
    """Contents and variances, flow included, shapes (n_bins,)."""
    if normalise or _sums(h, names, region)[1][0] <= 0:
        total = float(_tails(h, names, region)[0][0])
    else:
        total = 1.0
    values, variances = folded(spectrum(h, names, region))
    return values / total, variances / total**2


def _edge(h: Histogram, value: float) -> int:
    edges = np.asarray(h.axes["score"].edges)
    nearest = int(np.argmin(np.abs(edges - value)))
    if not np.isclose(edges[nearest], value, rtol=1e-9, atol=1e-9 * float(edges[-1] - edges[0])):
        raise OptionError(
            f"detector {h.name!r}: {value} is no bin edge; the nearest is {edges[nearest]}"
        )
    return nearest
