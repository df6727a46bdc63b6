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

from hepmtp.events.ragged import Floats
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
from hepmtp.statistics.histograms import Histogram, folded, spectrum

#: TeX text of the shipped regions.
LABELS: Mapping[str, str] = {region.name: region.label for region in REGIONS}


@styled
def score_regions(
    h: Histogram,
    comparison: Comparison,
    *,
    background: Sequence[str],
    signals: Sequence[str] = (),
    signal_scale: float = 1.0,
    thresholds: Mapping[str, float] | None = None,
    labels: Mapping[str, str] = LABELS,
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
        name -> TeX text of each region; its name stands before it.
    """
    figure, axes = panels(8.0, (3, 3, 1.5))
    _stacks(
        axes[:2], h, comparison.regions[::-1], background, signals, signal_scale, labels, caption
    )
    _ratio(axes[2], comparison)
    place: dict[str, Any] = {"transform": axes[2].transAxes, "va": "top", "fontsize": "x-small"}
    axes[2].text(0.025, 0.88, "shape of the background", **place)
    marks = []
    for (name, cut), line in zip(
        (thresholds or {}).items(), itertools.cycle(LINES[1:]), strict=False
    ):
        how: dict[str, Any] = {"color": "black", "linestyle": line, "linewidth": 1.2, "label": name}
        _, mark, _ = (
            axis.axvline(cut, ymax=height, **how)
            for axis, height in zip(axes, (0.64, 0.64, 1.0), strict=True)
        )
        marks.append(mark)
    if marks:
        axes[1].legend(handles=marks, loc="upper right", fontsize="x-small", borderpad=0.6)
    return figure


@styled
def score_panels(
    h: Histogram,
    regions: Sequence[str],
    *,
    background: Sequence[str],
    signals: Sequence[str] = (),
    labels: Mapping[str, str] = LABELS,
    caption: Caption = SIMULATION,
) -> Figure:
    """Score in any number of regions, one above the other; parameters as in `score_regions`."""
    figure, axes = panels(1.5 + 2.5 * len(regions), (1,) * len(regions))
    _stacks(axes, h, regions, background, signals, 1.0, labels, caption)
    axes[-1].set_xlabel(h.axes["score"].label)
    axes[-1].set_xlim(h.axes["score"].edges[0], h.axes["score"].edges[-1])
    return figure


@styled
def shape_comparison(
    comparison: Comparison, *, caption: Caption = SIMULATION, what: str = "Background"
) -> Figure:
    """Score of two regions on top of each other, their ratio and pulls; chi2 in the corner."""
    figure, axes = panels(7.0, (3, 1.2, 1.2))
    pairs = (
        (comparison.first, comparison.first_error),
        (comparison.second, comparison.second_error),
    )
    for (values, errors), name, colour, line in zip(
        pairs, comparison.regions, COLOURS, LINES, strict=False
    ):
        how: dict[str, Any] = {"color": colour, "linestyle": line, "linewidth": 1.8, "label": name}
        mplhep.histplot(values, comparison.edges, ax=axes[0], yerr=errors, flow="none", **how)
    what_is_drawn = "Share of the region / bin" if comparison.normalised else "Events / bin"
    axes[0].set(ylabel=what_is_drawn, xlabel="")
    axes[0].set_ylim(0, 1.75 * max(float(np.max(values + errors)) for values, errors in pairs))
    verdict = comparison.verdict.replace("chi2", r"$\chi^2$")
    corner(axes[0], caption, f"{what}, {verdict}")
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


def _stacks(
    axes: Sequence[Axes],
    h: Histogram,
    regions: Sequence[str],
    background: Sequence[str],
    signals: Sequence[str],
    scale: float,
    labels: Mapping[str, str],
    caption: Caption,
) -> None:
    """One panel per region, on one scale; what is largest in the first region on top of all."""
    first = {name: float(spectrum(h, name, regions[0]).sum(flow=True).value) for name in background}
    order = sorted(background, key=first.__getitem__)
    tops = []
    for axis, region in zip(axes, regions, strict=True):
        tops.append(_stack(axis, h, region, order, signals, scale))
        text = labels.get(region, "")
        if not text.startswith(region):
            text = f"{region}: {text}".removesuffix(": ")
        corner(axis, caption if axis is axes[0] else None, text)
    for axis in axes:
        axis.set_ylim(max(max(tops) * 1e-5, 2e-3), max(tops) * 3e2)
    axes[0].legend(loc="upper right", ncols=2, fontsize="x-small", borderpad=0.6)


def _stack(
    axis: Axes,
    h: Histogram,
    region: str,
    background: Sequence[str],
    signals: Sequence[str],
    scale: float,
) -> float:
    """Stacked background with its error and signals as lines, logarithmic; the highest content."""
    style = process_style([*background, *signals])
    labels, colours = zip(*(style[name] for name in background), strict=True)
    fill: dict[str, Any] = {"histtype": "fill", "edgecolor": "black", "linewidth": 0.5}
    stack = [spectrum(h, name, region) for name in background]
    mplhep.histplot(stack, ax=axis, stack=True, color=colours, label=labels, flow="sum", **fill)
    content, variance = folded(spectrum(h, background, region))
    edges = np.asarray(h.axes["score"].edges)
    _band(axis, edges, content, np.sqrt(variance), label="MC stat. unc.")
    step: dict[str, Any] = {"histtype": "step", "linewidth": 2, "yerr": False, "flow": "sum"}
    for name, line in zip(signals, itertools.cycle(LINES), strict=False):
        label, colour = style[name]
        label += "" if scale == 1 else f" x {scale:g}"
        lines = spectrum(h, name, region) * scale
        mplhep.histplot(lines, ax=axis, color=colour, label=label, linestyle=line, **step)
    axis.set_yscale("log")
    axis.set(ylabel="Events / bin", xlabel="")
    return float(content.max())


def _band(
    axis: Axes, edges: Floats, values: Floats, errors: Floats, label: str | None = None
) -> None:
    low, high = np.maximum(values - errors, 1e-9), values + errors
    hatched: dict[str, Any] = {"facecolor": "none", "edgecolor": "0.25", "hatch": "//////"}
    axis.stairs(high, edges, baseline=low, fill=True, linewidth=0, label=label, **hatched)


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
    points: dict[str, Any] = {"fmt": "o", "color": "black", "markersize": 4, "linewidth": 1.4}
    axis.errorbar(centres, comparison.ratio, error, **points)
    axis.set(ylabel=f"{comparison.regions[0]} / {comparison.regions[1]}", xlabel=comparison.label)
    axis.set_xlim(comparison.edges[0], comparison.edges[-1])
    ratio_limits(axis, comparison.ratio)
