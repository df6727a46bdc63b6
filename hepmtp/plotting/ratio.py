"""Panels of ratios and pulls, below the contents that they compare: those of `mplhep.comp`.

The rule: points carry the errors of the numerator, the hatched band those of the denominator. A
point beyond the axis is an arrow at its edge, and a bin that is empty in either has no point.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import hist
import matplotlib as mpl
import mplhep
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter, NullLocator
from numpy.typing import NDArray

from hepmtp.events.ragged import Floats
from hepmtp.statistics.comparison import Comparison
from hepmtp.statistics.histograms import Histogram

#: A ratio on a linear axis ends here; beyond, the axis is logarithmic.
LINEAR = 2.0
#: No axis of ratios goes further than this, up and down.
FURTHEST = 100.0
#: Values and variances of the bins, shape (n_bins,) each.
Contents = tuple[Floats, Floats]


def ratio_points(
    axis: Axes,
    edges: Floats,
    first: Contents,
    second: Contents,
    *,
    method: Literal["sqrt", "poisson"] = "sqrt",
    ylabel: str,
    xlabel: str = "",
) -> None:
    """Points first / second with the errors of first, on an axis that fits them.

    Parameters
    ----------
    edges
        of the bins, shape (n_bins + 1,).
    first, second
        values and variances; the variances of second are the band's.
    method
        how errors follow from variances, as in `mplhep.comp.comparison`.
    """
    (values, variances), (scale, scale_variances) = first, second
    shown = (values != 0) & (scale > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(shown, values / scale, np.nan)
        relative = np.where(scale > 0, np.sqrt(scale_variances) / scale, 0.0)
    band(axis, edges, np.ones_like(scale), relative)
    ratio_limits(axis, ratio)
    limits = axis.get_ylim()
    inside = shown & (ratio >= limits[0]) & (ratio <= limits[1])
    if inside.any():
        # not "split_ratio": its band fills bins without a denominator, and knows no log axis
        exact = np.where(inside, scale, 0.0), np.zeros_like(scale)
        pair = _histogram(edges, (values, variances)), _histogram(edges, exact)
        how: dict[str, Any] = {"markersize": 7, "elinewidth": 1.4, "zorder": 5}
        with np.errstate(divide="ignore", invalid="ignore"):
            mplhep.comp.comparison(
                *pair, axis, comparison="ratio", h1_w2method=method, flow="none",
                comparison_ylim=limits, **how,
            )  # fmt: skip
        axis.lines[-1].set(color="0.4", linestyle="-", linewidth=1)  # at 1
    else:
        axis.axhline(1, color="0.4", linewidth=1)
    beyond(axis, (edges[1:] + edges[:-1]) / 2, np.where(shown, ratio, np.nan))
    axis.set(ylabel=ylabel, xlabel=xlabel, xlim=(edges[0], edges[-1]))


def shape_ratio(axis: Axes, comparison: Comparison) -> None:
    """first / second of two regions; the band is the error of second."""
    first = comparison.first, comparison.first_error**2
    second = comparison.second, comparison.second_error**2
    ylabel = " / ".join(comparison.regions)
    ratio_points(axis, comparison.edges, first, second, ylabel=ylabel)


def pulls(axis: Axes, comparison: Comparison) -> None:
    """(first - second) over its error, as bars."""
    first = comparison.first, comparison.first_error**2
    second = comparison.second, comparison.second_error**2
    pair = [_histogram(comparison.edges, one) for one in (first, second)]
    largest = float(np.nanmax(np.abs(comparison.pull), initial=0.0))
    limit = max(3.5, 1.15 * largest)
    with np.errstate(divide="ignore", invalid="ignore"):
        mplhep.comp.comparison(
            *pair, axis, comparison="pull", flow="none", comparison_ylim=(-limit, limit),
            comparison_ylabel="Pull", color="0.7",
        )  # fmt: skip
    axis.lines[-1].set(linestyle="-", linewidth=1)


def ratio_limits(axis: Axes, ratio: Floats) -> None:
    """0 to 2 if the ratio stays there, else a logarithmic axis with its labels at 1."""
    seen = ratio[np.isfinite(ratio) & (ratio > 0)]
    low, high = (float(seen.min()), float(seen.max())) if len(seen) else (1.0, 1.0)
    if low > 0.2 and high < 0.95 * LINEAR:
        axis.set_ylim(0, LINEAR)
        axis.yaxis.set_major_locator(FixedLocator([0.5, 1.0, 1.5]))
        axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        return
    bottom = max(0.6 * min(low, 0.6), 1 / FURTHEST)
    top = min(1.6 * max(high, 1.6), FURTHEST)
    axis.set_yscale("log")
    axis.set_ylim(bottom, top)
    decades = (1.0,) if top / bottom > 50 else (1.0, 2.0, 5.0)
    axis.yaxis.set_major_locator(LogLocator(subs=decades))
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.yaxis.set_minor_formatter(NullFormatter())


def beyond(axis: Axes, x: NDArray[Any], y: Floats, *, color: str = "black") -> None:
    """Arrows at the edge of an axis for points that lie beyond it."""
    low, high = axis.get_ylim()
    place = mpl.transforms.blended_transform_factory(axis.transData, axis.transAxes)
    how: dict[str, Any] = {"color": color, "transform": place, "linestyle": "", "zorder": 6}
    for outside, height, marker in ((y > high, 0.93, "^"), (y < low, 0.07, "v")):
        if outside.any():
            axis.plot(
                x[outside], np.full(outside.sum(), height), marker=marker, markersize=6, **how
            )


def band(
    axis: Axes, edges: Floats, values: Floats, errors: Floats, label: str | None = None
) -> None:
    """Hatched band around values, shape (n_bins,); nothing of it lies below 0."""
    low, high = np.maximum(values - errors, 1e-9), np.maximum(values + errors, 1e-9)
    hatched: dict[str, Any] = {"facecolor": "none", "edgecolor": "0.25", "hatch": "//////"}
    axis.stairs(high, edges, baseline=low, fill=True, linewidth=0, label=label, **hatched)


def named_ticks(axis: Axes, places: Sequence[float], names: Sequence[str], **text: Any) -> None:
    """Names at places of the x axis, without ticks between them."""
    axis.set_xticks(list(places), list(names), **text)
    axis.xaxis.set_minor_locator(NullLocator())


def _histogram(edges: Floats, contents: Contents) -> Histogram:
    h = hist.Hist(hist.axis.Variable(edges, name="x"), storage=hist.storage.Weight())
    h.view()["value"], h.view()["variance"] = contents
    return h
