"""Thresholds of a score: where they come from, and what passes them in another region.

The rule: thresholds come from the control region alone. They are edges of the score's bins, so that
a cut on the histogram is exact.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hepmtp.errors import OptionError, ScoreError
from hepmtp.events.ragged import Floats
from hepmtp.statistics.histograms import Histogram, Names, dataset_names
from hepmtp.statistics.performance import Columns, in_region
from hepmtp.statistics.significance import asimov
from hepmtp.statistics.tails import sums, tails
from hepmtp.statistics.uncertainties import cancels, efficiency_error


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
    """What passes a threshold.

    `z` and `s_over_b` are None if no background is left, or weights of both signs leave none beyond
    its error.
    """

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
    if b.value > 0 and not cancels(b.value, b.error**2):
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
        (float(sums[above]) for sums in sums(h, names, region)) for names in (data, background)
    )
    ratio, ratio_error = None, None
    if n > 0 and b > 0 and not cancels(b, b2):
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
    sumw, sumw2 = tails(h, names, region)
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


def _efficiency(h: Histogram, names: Names, region: str) -> tuple[Floats, Floats]:
    """Share of events above each bin edge and its error, shapes (n_bins + 1,)."""
    sumw, sumw2 = tails(h, names, region)
    error = efficiency_error(sumw[1:], sumw2[1:], float(sumw[0]), float(sumw2[0]))
    return sumw[1:] / sumw[0], error


def _edge(h: Histogram, value: float) -> int:
    edges = np.asarray(h.axes["score"].edges)
    nearest = int(np.argmin(np.abs(edges - value)))
    if not np.isclose(edges[nearest], value, rtol=1e-9, atol=1e-9 * float(edges[-1] - edges[0])):
        raise OptionError(
            f"detector {h.name!r}: {value} is no bin edge; the nearest is {edges[nearest]}"
        )
    return nearest
