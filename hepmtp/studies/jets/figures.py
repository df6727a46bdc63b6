"""Figures of the studies of jets: curves of points with errors.

The rule: what is drawn was given, with its errors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from hepmtp.plotting.colours import COLOURS, LINES
from hepmtp.plotting.style import UNKNOWN, Caption, above, legend_above, panels, styled

#: Name of the file, without its ending -> what is drawn.
Figures = Mapping[str, Figure]

#: Of no more places than these each has a tick.
MOST_TICKS = 9


class Points(NamedTuple):
    """Values with errors at rising places."""

    x: Sequence[float]
    y: Sequence[float]
    errors: Sequence[float]


@styled
def against(
    series: Mapping[str, Points],
    *,
    xlabel: str,
    ylabel: str,
    title: str = "",
    logx: bool = False,
    logy: bool = False,
    caption: Caption = UNKNOWN,
) -> Figure:
    """Points with error bars, joined, one line for each name; one without a name has no legend."""
    figure, (axis,) = panels(5.5, (1,))
    for i, (name, one) in enumerate(series.items()):
        how: dict[str, Any] = {"color": COLOURS[i % len(COLOURS)], "marker": "o", "markersize": 5}
        line: dict[str, Any] = {"linestyle": LINES[i % len(LINES)], "linewidth": 1.6, "capsize": 3}
        axis.errorbar(one.x, one.y, one.errors, label=name, **how, **line)
    axis.set(xlabel=xlabel, ylabel=ylabel)
    axis.set_xscale("log" if logx else "linear")
    axis.set_yscale("log" if logy else "linear")
    axis.margins(x=0.05)
    places = sorted({x for one in series.values() for x in one.x})
    if logx and len(places) <= MOST_TICKS:
        axis.set_xticks(places, [f"{x:g}" for x in places])
        axis.xaxis.set_minor_locator(NullLocator())
    if any(series):
        legend_above(axis, caption, title)
    else:
        above(axis, caption, title)
    return figure


@styled
def rows_of_points(
    values: Mapping[str, tuple[float, float]],
    *,
    xlabel: str,
    title: str = "",
    caption: Caption = UNKNOWN,
) -> Figure:
    """A value and its error in a row for each name, the first above, and a line at 0."""
    figure, (axis,) = panels(1.8 + 0.5 * len(values), (1,))
    axis.set_position((0.34, axis.get_position().y0, 0.63, axis.get_position().height))
    names = list(values)
    for place, name in enumerate(names):
        value, error = values[name]
        axis.errorbar(value, len(names) - place, xerr=error, fmt="o", color=COLOURS[1], capsize=3)
    axis.axvline(0, color="0.4", linewidth=1)
    axis.set_yticks(range(len(names), 0, -1), names, fontsize="small")
    axis.yaxis.set_tick_params(which="minor", left=False, right=False)
    axis.set(xlabel=xlabel, ylim=(0.3, len(names) + 0.7))
    axis.margins(x=0.08)
    axis.ticklabel_format(axis="x", style="plain", useOffset=False)
    axis.xaxis.set_major_locator(MaxNLocator(5))
    above(axis, caption, title)
    return figure
