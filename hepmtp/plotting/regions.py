"""Figures of a score in regions: stacked histograms, data as points, the comparison of shapes.

The rule: contents come from histograms and comparisons; flow bins are drawn in the outer bins, and
the figure says so. What is drawn is a sum of weights, unless the caller knows that it is events.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import mplhep
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hepmtp.events.ragged import Floats
from hepmtp.events.regions import REGIONS
from hepmtp.plotting.colours import LINES, process_style
from hepmtp.plotting.names import words
from hepmtp.plotting.ratio import band, ratio_points, shape_ratio
from hepmtp.plotting.style import (
    UNKNOWN,
    Caption,
    above,
    errorbar,
    flow_of,
    inside,
    log_limits,
    note,
    panels,
    per_bin,
    styled,
    x_axis,
)
from hepmtp.statistics.comparison import Comparison
from hepmtp.statistics.histograms import Histogram, folded, spectrum

#: TeX text of the shipped regions.
LABELS: Mapping[str, str] = {region.name: region.label for region in REGIONS}


class _Shown(NamedTuple):
    """What the panels of a figure show, and how it is called; see `score_regions`."""

    background: Sequence[str]
    signals: Sequence[str]
    data: Sequence[str]
    blind: Sequence[str]
    names: Mapping[str, str]
    content: str
    signal_scale: float = 1.0


@styled
def score_regions(
    h: Histogram,
    comparison: Comparison,
    *,
    background: Sequence[str],
    signals: Sequence[str] = (),
    data: Sequence[str] = (),
    blind: Sequence[str] = (),
    signal_scale: float = 1.0,
    thresholds: Mapping[str, float] | None = None,
    labels: Mapping[str, str] = LABELS,
    names: Mapping[str, str] | None = None,
    content: str = "Sum of weights",
    caption: Caption = UNKNOWN,
) -> Figure:
    """Score in two regions, one above the other, and the ratio of the background's shapes.

    Parameters
    ----------
    h
        score histogram of one detector; events beyond the axis are drawn in the outer bins.
    comparison
        what ``compare(h, "SR", "CR", datasets=background)`` gave; its regions are the panels.
    background, signals, data
        data sets that are stacked, drawn as lines, and drawn as points with Poisson errors.
    blind
        regions without the points of the data.
    signal_scale
        factor on the signals, stated in the legend if it is not 1.
    thresholds
        name -> score of cuts that are marked.
    labels
        name -> TeX text of each region; its name stands before it.
    names
        name -> TeX text of data sets that have one of their own.
    content
        what a sum of the weights is: "Events" where that is known.
    """
    figure, axes = panels(8.0, (3, 3, 1.5))
    shown = _Shown(background, signals, data, blind, names or {}, content, signal_scale)
    _stacks(axes[:2], h, comparison.regions[::-1], shown, labels, caption)
    shape_ratio(axes[2], comparison)
    _below(axes[2], h, comparison.regions, shown)
    place: dict[str, Any] = {"transform": axes[2].transAxes, "va": "top", "fontsize": "x-small"}
    axes[2].text(0.025, 0.88, "shape of the background", **place)
    marks = []
    for (name, cut), line in zip(
        (thresholds or {}).items(), itertools.cycle(LINES[1:]), strict=False
    ):
        how: dict[str, Any] = {"color": "black", "linestyle": line, "linewidth": 1.2, "label": name}
        _, mark, _ = (
            axis.axvline(cut, ymax=height, **how)
            for axis, height in zip(axes, (0.62, 0.62, 1.0), strict=True)
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
    data: Sequence[str] = (),
    blind: Sequence[str] = (),
    labels: Mapping[str, str] = LABELS,
    names: Mapping[str, str] | None = None,
    content: str = "Sum of weights",
    caption: Caption = UNKNOWN,
) -> Figure:
    """Score in any number of regions, one above the other; parameters as in `score_regions`."""
    figure, axes = panels(1.5 + 2.5 * len(regions), (1,) * len(regions))
    shown = _Shown(background, signals, data, blind, names or {}, content)
    _stacks(axes, h, regions, shown, labels, caption)
    _below(axes[-1], h, regions, shown)
    return figure


@styled
def n_minus_one(
    h: Histogram,
    region: str,
    *,
    windows: Sequence[tuple[float | None, float | None]],
    **shown: Any,
) -> Figure:
    """A variable in a region without the cuts on it; what they remove is grey.

    Parameters
    ----------
    h
        histogram of the variable, one of the processor's ``out["n_minus_one"]``.
    windows
        the cuts: what the variable must lie above, and what it must not exceed; None for no end.
    shown
        as in `score_panels`.
    """
    figure = score_panels(h, [region], **shown)
    (axis,) = figure.axes
    low, high = axis.get_xlim()
    for least, upto in windows:
        for cut, end in ((least, low), (upto, high)):
            if cut is not None:
                axis.axvspan(cut, end, ymax=0.64, color="0.6", alpha=0.35, linewidth=0, zorder=3)
                axis.axvline(cut, color="black", linestyle="--", linewidth=1.4, ymax=0.64, zorder=4)
    axis.set_xlim(low, high)
    return figure


@styled
def data_and_background(
    h: Histogram,
    region: str,
    *,
    data: Sequence[str],
    background: Sequence[str],
    signals: Sequence[str] = (),
    labels: Mapping[str, str] = LABELS,
    names: Mapping[str, str] | None = None,
    content: str = "Sum of weights",
    caption: Caption = UNKNOWN,
) -> Figure:
    """Data and background of one region, and their ratio; parameters as in `score_regions`.

    The band of the ratio is the statistical error of the background, that of the points is the
    data's alone. A bin without background has no ratio.
    """
    figure, axes = panels(6.0, (3, 1.3))
    shown = _Shown(background, signals, data, (), names or {}, content)
    _stacks(axes[:1], h, [region], shown, labels, caption)
    both = [folded(spectrum(h, names, region)) for names in (data, background)]
    edges = np.asarray(h.axes["score"].edges)
    ratio_points(axes[1], edges, both[0], both[1], method="poisson", ylabel="Data / bkg.")
    _below(axes[1], h, [region], shown)
    return figure


def _stacks(
    axes: Sequence[Axes],
    h: Histogram,
    regions: Sequence[str],
    shown: _Shown,
    labels: Mapping[str, str],
    caption: Caption,
) -> None:
    """One panel per region, on one scale; what is largest in the first region on top of all."""
    above(axes[0], caption)
    first = {
        name: float(spectrum(h, name, regions[0]).sum(flow=True).value) for name in shown.background
    }
    shown = shown._replace(background=sorted(shown.background, key=first.__getitem__))
    contents: list[Floats] = []
    for axis, region in zip(axes, regions, strict=True):
        contents += _stack(axis, h, region, shown)
        text = labels.get(region, "").removeprefix(f"{region}: ")
        text = f"{words(region)}: {text}".removesuffix(": ")
        if shown.data and region in shown.blind:
            text += " (data blind)"
        inside(axis, text)
    for axis in axes:
        log_limits(axis, contents)
    handles = dict(
        pair
        for axis in axes
        for pair in zip(*reversed(axis.get_legend_handles_labels()), strict=True)
    )  # a data set that is blind in the first panel has its handle in another
    place: dict[str, Any] = {"loc": "upper right", "fontsize": "x-small", "borderpad": 0.6}
    columns = 2 if len(handles) <= 8 else 3
    axes[0].legend(handles.values(), handles.keys(), ncols=columns, **place)


def _below(axis: Axes, h: Histogram, regions: Sequence[str], shown: _Shown) -> None:
    """The x axis, and what its outer bins hold."""
    label, edges = str(h.axes["score"].label), np.asarray(h.axes["score"].edges)
    x_axis(axis, edges, label)
    drawn = [*shown.background, *shown.signals, *shown.data]
    note(axis, flow_of(spectrum(h, drawn, region) for region in regions))


def _stack(axis: Axes, h: Histogram, region: str, shown: _Shown) -> list[Floats]:
    """Stacked background with its error, signals as lines, data as points; what was drawn.

    The axis is logarithmic: contents of negative weight lie below it.
    """
    drawn = [*shown.background, *shown.signals]
    style = process_style(drawn, shown.names, signals=shown.signals)
    edges, contents = np.asarray(h.axes["score"].edges), [np.zeros(1)]
    if shown.background:
        labels, colours = zip(*(style[name] for name in shown.background), strict=True)
        fill: dict[str, Any] = {"histtype": "fill", "edgecolor": "black", "linewidth": 0.5}
        stack = [spectrum(h, name, region) for name in shown.background]
        mplhep.histplot(stack, ax=axis, stack=True, color=colours, label=labels, flow="sum", **fill)
        content, variance = folded(spectrum(h, shown.background, region))
        band(axis, edges, content, np.sqrt(variance), label="MC stat. unc.")
        contents.append(content)
    step: dict[str, Any] = {"histtype": "step", "linewidth": 2, "yerr": False, "flow": "sum"}
    for name, line in zip(shown.signals, itertools.cycle(LINES), strict=False):
        label, colour = style[name]
        label += "" if shown.signal_scale == 1 else f" x {shown.signal_scale:g}"
        lines = spectrum(h, name, region) * shown.signal_scale
        mplhep.histplot(lines, ax=axis, color=colour, label=label, linestyle=line, **step)
        contents.append(folded(lines)[0])
    if shown.data and region not in shown.blind:
        points, errors = _points(h, shown.data, region)
        errorbar(axis, edges, points, errors, label=_name_of_data(shown))
        contents.append(points)
    axis.set(ylabel=per_bin(shown.content, edges, str(h.axes["score"].label)), xlabel="")
    return contents


def _name_of_data(shown: _Shown) -> str:
    return ", ".join(label for label, _ in process_style(shown.data, shown.names).values())


def _points(h: Histogram, data: Sequence[str], region: str) -> tuple[Floats, Floats]:
    """Contents of the data and their errors below and above, shapes (n_bins,) and (2, n_bins).

    The errors are Poisson's; those of data with weights are scaled by the mean weight of the bin.
    """
    content, variance = folded(spectrum(h, data, region))
    errors, seen = np.zeros((2, len(content))), content > 0
    if seen.any():
        from mplhep.error_estimation import poisson_interval  # noqa: PLC0415 (scipy.stats is slow)

        low, high = poisson_interval(content[seen], variance[seen])
        errors[:, seen] = content[seen] - low, high - content[seen]
    return content, errors
