"""Figures of a score in regions: stacked histograms and the comparison of shapes.

The rule: contents come from histograms and comparisons; flow bins are drawn in the outer bins.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import mplhep
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hepmtp.events.regions import REGIONS
from hepmtp.plotting.style import (
    COLOURS,
    LINES,
    SIMULATION,
    Caption,
    corner,
    panels,
    process_style,
    ratio_limits,
    styled,
)
from hepmtp.statistics.comparison import Comparison
from hepmtp.statistics.histograms import Histogram, spectrum


@styled
def score_regions(
    h: Histogram,
    comparison: Comparison,
    *,
    background: Sequence[str],
    signals: Sequence[str] = (),
    signal_scale: float = 1.0,
    thresholds: Mapping[str, float] | None = None,
    labels: Mapping[str, str] | None = None,
    caption: Caption = SIMULATION,
) -> Figure:
    """Score in two regions, one above the other, and the ratio of the background's shapes.

    Parameters
    ----------
    h
        score histogram of one detector; events beyond the axis are drawn in the outer bins.
    comparison
        what ``compare(h, "SR", "CR", datasets=background)`` gave; its regions are the panels.
    background, signals
        data sets that are stacked, and drawn as lines.
    signal_scale
        factor on the signals, stated in the legend if it is not 1.
    thresholds
        name -> score of cuts that are marked.
    labels
        name -> TeX text of each region; by default those of :data:`hepmtp.events.regions.REGIONS`.
    """
    second, first = comparison.regions
    figure, axes = panels(8.0, (3, 3, 1.5))
    order = sorted(
        background, key=lambda name: float(spectrum(h, name, first).sum(flow=True).value)
    )
    if labels is None:
        labels = {region.name: region.label for region in REGIONS}
    tops = []
    for axis, region in zip(axes[:2], (first, second), strict=True):
        tops.append(_stack(axis, h, region, order, signals, signal_scale))
        corner(axis, caption if region == first else None, labels.get(region) or region)
    for axis in axes[:2]:
        axis.set_ylim(max(max(tops) * 1e-5, 2e-3), max(tops) * 3e2)
    axes[0].legend(loc="upper right", ncols=2, fontsize="x-small", borderpad=0.6)
    _ratio(axes[2], comparison)
    axes[2].text(
        0.025,
        0.88,
        "shape of the background",
        transform=axes[2].transAxes,
        va="top",
        fontsize="x-small",
    )
    marks = [
        [axis.axvline(cut, ymax=height, color="black", linestyle=line, linewidth=1.2, label=name)
         for axis, height in zip(axes, (0.64, 0.64, 1.0), strict=True)]
        for (name, cut), line in zip((thresholds or {}).items(), itertools.cycle(LINES[1:]), strict=False)
    ]  # fmt: skip
    if marks:
        axes[1].legend(
            handles=[mark[1] for mark in marks],
            loc="upper right",
            fontsize="x-small",
            borderpad=0.6,
        )
    return figure


@styled
def shape_comparison(
    comparison: Comparison, *, caption: Caption = SIMULATION, what: str = "Background"
) -> Figure:
    """Score of two regions on top of each other with ratio and pulls; chi2 of the comparison in the corner."""
    figure, axes = panels(7.0, (3, 1.2, 1.2))
    pairs = (
        (comparison.first, comparison.first_error),
        (comparison.second, comparison.second_error),
    )
    for (values, errors), name, colour, line in zip(
        pairs, comparison.regions, COLOURS, LINES, strict=False
    ):
        mplhep.histplot(values, comparison.edges, ax=axes[0], yerr=errors, color=colour, linestyle=line, label=name,
                        flow="none", linewidth=1.8)  # fmt: skip
    axes[0].set(
        ylabel="Share of the region / bin" if comparison.normalised else "Events / bin", xlabel=""
    )
    axes[0].set_ylim(0, 1.75 * max(float(np.max(values + errors)) for values, errors in pairs))
    p_value = f"p = {comparison.p_value:.2g}" if comparison.p_value > 1e-4 else "p < 0.0001"
    chi2 = rf"$\chi^2$ / ndof = {comparison.chi2:.1f} / {comparison.ndof}, {p_value}"
    corner(axes[0], caption, f"{what}, {chi2}")
    axes[0].legend(loc="upper right", fontsize="small", borderpad=0.6)
    _ratio(axes[1], comparison)
    axes[1].set_xlabel("")
    centres = (comparison.edges[1:] + comparison.edges[:-1]) / 2
    axes[2].axhspan(-1, 1, color="0.85")
    axes[2].axhline(0, color="black", linewidth=1)
    axes[2].errorbar(centres, comparison.pull, fmt="o", color="black", markersize=4)
    limit = max(3.5, 1.15 * float(np.nanmax(np.abs(comparison.pull), initial=0.0)))
    axes[2].set(ylabel="Pull", xlabel=comparison.label, ylim=(-limit, limit))
    return figure


def _stack(
    axis: Axes,
    h: Histogram,
    region: str,
    background: Sequence[str],
    signals: Sequence[str],
    scale: float,
) -> float:
    """Stacked background with its error and the signals as lines, on a logarithmic axis; the highest content."""
    style = process_style([*background, *signals])
    mplhep.histplot([spectrum(h, name, region) for name in background], ax=axis, stack=True, histtype="fill",
                    color=[style[name][1] for name in background], label=[style[name][0] for name in background],
                    flow="sum", edgecolor="black", linewidth=0.5)  # fmt: skip
    content, error = _contents(spectrum(h, background, region))
    _band(axis, np.asarray(h.axes["score"].edges), content, error, label="MC stat. unc.")
    for name, line in zip(signals, itertools.cycle(LINES), strict=False):
        label = style[name][0] + ("" if scale == 1 else f" x {scale:g}")
        mplhep.histplot(spectrum(h, name, region) * scale, ax=axis, histtype="step", color=style[name][1], label=label,
                        flow="sum", linestyle=line, linewidth=2, yerr=False)  # fmt: skip
    axis.set_yscale("log")
    axis.set(ylabel="Events / bin", xlabel="")
    return float(content.max())


def _contents(h: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Contents and errors with the flow bins in the outer bins, as mplhep's flow="sum" draws them."""
    parts = []
    for values in (h.values(flow=True), h.variances(flow=True)):
        inner = np.array(values[1:-1])
        inner[0] += values[0]
        inner[-1] += values[-1]
        parts.append(inner)
    return parts[0], np.sqrt(parts[1])


def _band(axis: Axes, edges: NDArray[np.float64], values: NDArray[np.float64], errors: NDArray[np.float64],
          label: str | None = None) -> None:  # fmt: skip
    axis.stairs(values + errors, edges, baseline=np.maximum(values - errors, 1e-9), fill=True, facecolor="none",
                edgecolor="0.25", hatch="//////", linewidth=0, label=label)  # fmt: skip


def _ratio(axis: Axes, comparison: Comparison) -> None:
    """first / second with its errors; the band is the error of second."""
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.nan_to_num(
            np.where(comparison.second > 0, comparison.second_error / comparison.second, 0.0)
        )
    error = np.sqrt(np.maximum(comparison.ratio_error**2 - (comparison.ratio * relative) ** 2, 0.0))
    _band(axis, comparison.edges, np.ones_like(relative), relative)
    axis.axhline(1, color="0.4", linewidth=1)
    centres = (comparison.edges[1:] + comparison.edges[:-1]) / 2
    axis.errorbar(
        centres, comparison.ratio, error, fmt="o", color="black", markersize=4, linewidth=1.4
    )
    axis.set(ylabel=f"{comparison.regions[0]} / {comparison.regions[1]}", xlabel=comparison.label)
    axis.set_xlim(comparison.edges[0], comparison.edges[-1])
    ratio_limits(axis, comparison.ratio)
