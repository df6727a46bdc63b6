"""Figures of a fit: significances, pulls, impacts, and all bins before and after it.

The rule: numbers come from :mod:`hepmtp.statistics.results`; what is expected says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import mplhep
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hepmtp.events.ragged import Floats
from hepmtp.plotting.colours import COLOURS, process_style
from hepmtp.plotting.names import parameter, words
from hepmtp.plotting.ratio import band, named_ticks, ratio_limits, ratio_points
from hepmtp.plotting.style import (
    UNKNOWN,
    Caption,
    StyledFigure,
    above,
    errorbar,
    inside,
    log_limits,
    panels,
    styled,
)
from hepmtp.statistics.fits import Pull
from hepmtp.statistics.impacts import Impact
from hepmtp.statistics.results import Bins

#: At most so many parameters in a figure, and channels whose names fit beside each other.
MOST, MOST_SLANTED = 20, 8


@styled
def significances(
    rows: Mapping[str, tuple[float, float]],
    *,
    marked: Sequence[str] = (),
    title: str = "",
    caption: Caption = UNKNOWN,
) -> Figure:
    """Expected discovery significance of each score with its error, in the order given.

    `marked` scores, those that need no model for instance, have another colour.
    """
    figure, axis = _list(len(rows))
    for place, (name, (z, error)) in enumerate(rows.items()):
        colour = COLOURS[1] if name not in marked else "#999999"
        axis.barh(place, z, height=0.72, color=colour, alpha=0.75, linewidth=0)
        axis.errorbar(z, place, xerr=error, color="black", elinewidth=1.4, capsize=3)
    highest = max((z + error for z, error in rows.values()), default=1.0)
    for place, (z, error) in enumerate(rows.values()):
        text = rf"{z:.2f} $\pm$ {error:.2f}"
        axis.text(1.06 * highest, place, text, va="center", fontsize="small")
    axis.set_xlim(0, 1.32 * max(highest, 0.1))
    _names(axis, [words(one) for one in rows])
    axis.set_xlabel(r"Expected discovery significance [$\sigma$]", loc="right")
    _above(axis, caption, title)
    return figure


@styled
def pulls(
    rows: Sequence[Pull],
    *,
    title: str = "",
    names: Mapping[str, str] | None = None,
    caption: Caption = UNKNOWN,
) -> Figure:
    """Pull and constraint of each constrained parameter; `names` are TeX texts of data sets."""
    held = [one for one in rows if one.pull is not None]
    figure, axis = _list(len(held))
    axis.axvspan(-2, 2, color="#f0e442", alpha=0.35, linewidth=0)
    axis.axvspan(-1, 1, color="#009e73", alpha=0.35, linewidth=0)
    axis.axvline(0, color="black", linewidth=1)
    for place, one in enumerate(held):
        error = one.constraint or 0.0
        axis.errorbar(one.pull or 0.0, place, xerr=error, fmt="o", color="black", capsize=3)
    furthest = max((abs(one.pull or 0.0) + (one.constraint or 0.0) for one in held), default=0.0)
    axis.set_xlim(-max(2.5, 1.1 * furthest), max(2.5, 1.1 * furthest))
    _names(axis, [parameter(one.parameter, names) for one in held])
    axis.set_xlabel("Pull, and error after the fit, in units of that before", loc="right")
    _above(axis, caption, title)
    return figure


@styled
def impacts(
    rows: Sequence[Impact],
    *,
    title: str = "",
    names: Mapping[str, str] | None = None,
    caption: Caption = UNKNOWN,
) -> Figure:
    """Shift of the signal strength by each parameter, the largest on top; `names` as in `pulls`."""
    shown = rows[:MOST]
    figure, axis = _list(len(shown))
    for place, one in enumerate(shown):
        for value, colour, label in (
            (one.up, COLOURS[1], "parameter up"), (one.down, COLOURS[5], "parameter down"),
        ):  # fmt: skip
            how: dict[str, Any] = {"height": 0.66, "color": colour, "alpha": 0.8, "linewidth": 0}
            axis.barh(place, value, label=label if place == 0 else None, **how)
    furthest = max((one.size for one in shown), default=1.0) or 1.0
    axis.set_xlim(-1.2 * furthest, 1.2 * furthest)
    axis.axvline(0, color="black", linewidth=1)
    _names(axis, [parameter(one.parameter, names) for one in shown])
    axis.set_xlabel(r"Shift of the signal strength $\mu$", loc="right")
    axis.legend(loc="lower right", fontsize="small")
    _above(axis, caption, title)
    return figure


@styled
def channels(
    bins: Bins,
    signal: str,
    *,
    after: bool = True,
    observed: bool = False,
    names: Mapping[str, str] | None = None,
    content: str = "Events",
    caption: Caption = UNKNOWN,
) -> Figure:
    """All bins of a fit side by side: samples stacked, counts as points, and their ratio.

    Parameters
    ----------
    after
        as they are after the fit, else before it.
    observed
        whether the counts are data; those of an Asimov data set are not drawn.
    names
        sample -> TeX text.
    content
        what a sum of the weights is.
    """
    contents, error = (bins.after, bins.after_error) if after else (bins.before, bins.before_error)
    crowded = len(set(bins.channels)) > MOST_SLANTED
    figure, (axis, ratio) = panels(7.5, (3, 1.3), below=1.6 if crowded else 0.75)
    edges: Floats = np.arange(len(bins.channels) + 1, dtype=np.float64) - 0.5
    background = [one for one in bins.samples if one != signal]
    total = contents[[bins.samples.index(one) for one in background]].sum(axis=0)
    order = sorted(background, key=lambda one: contents[bins.samples.index(one)].sum())
    style = process_style(bins.samples, names, signals=[signal])
    labels, colours = zip(*(style[one] for one in [*order, signal]), strict=True)
    stack = [contents[bins.samples.index(one)] for one in [*order, signal]]
    fill: dict[str, Any] = {"histtype": "fill", "edgecolor": "black", "linewidth": 0.5}
    mplhep.histplot(
        stack, edges, ax=axis, stack=True, color=colours, label=labels, flow="none", **fill
    )
    what = "uncertainty after the fit" if after else "uncertainty before the fit"
    band(axis, edges, total, error, what)
    if observed:
        from mplhep.error_estimation import poisson_interval  # noqa: PLC0415 (scipy.stats is slow)

        low, high = poisson_interval(bins.counts, bins.counts)
        errors = np.stack([bins.counts - low, high - bins.counts])
        errorbar(axis, edges, bins.counts, errors, label="data")
    log_limits(axis, [total, *([bins.counts] if observed else []), np.sum(stack, axis=0)])
    axis.set(ylabel=f"{content} / bin", xlabel="")
    axis.legend(loc="upper right", fontsize="x-small", ncols=2)
    above(axis, caption)
    inside(axis, "after the fit" if after else "before the fit")
    if observed:
        counts = bins.counts, bins.counts
        how: dict[str, Any] = {"method": "poisson", "ylabel": "Data / bkg."}
        ratio_points(ratio, edges, counts, (total, error**2), **how)
    else:
        scale = np.where(total > 0, total, np.nan)
        drawn = np.asarray(np.sum(stack, axis=0) / scale)
        band(ratio, edges, np.ones_like(total), np.nan_to_num(error / scale))
        line: dict[str, Any] = {"baseline": None, "color": style[signal][1], "linewidth": 1.8}
        ratio.stairs(drawn, edges, **line)
        ratio.set_ylabel("(S + B) / B")
        ratio_limits(ratio, drawn)
    _channel_names(ratio, bins.channels, edges, rotation=90 if crowded else 20)
    for one in (axis, ratio):
        for i in range(1, len(bins.channels)):
            if bins.channels[i] != bins.channels[i - 1]:
                one.axvline(edges[i], color="0.5", linewidth=1, linestyle=":")
    return figure


def _channel_names(axis: Axes, channels_: Sequence[str], edges: Floats, rotation: int) -> None:
    """The name of each channel below the middle of its bins."""
    places = {}
    for name in dict.fromkeys(channels_):
        inside = [i for i, one in enumerate(channels_) if one == name]
        places[name] = (edges[inside[0]] + edges[inside[-1] + 1]) / 2
    names = [words(one) for one in places]
    named_ticks(axis, list(places.values()), names, fontsize="small", rotation=rotation)
    axis.tick_params(axis="x", which="both", length=0)
    axis.set_xlim(edges[0], edges[-1])
    axis.set_xlabel("")


def _list(n: int) -> tuple[Figure, Axes]:
    """Axes for a list of names."""
    height = 1.95 + 0.34 * max(n, 2)
    figure = StyledFigure(figsize=(9, height))
    margins = {"left": 0.32, "right": 0.97, "top": 1 - 0.75 / height, "bottom": 0.9 / height}
    return figure, figure.subplots(gridspec_kw=margins)


def _above(axis: Axes, caption: Caption, title: str) -> None:
    """As `above`, with the title on a line of its own: these axes are narrow."""
    above(axis, caption)
    where: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
    axis.annotate(title, (1, 1), (0, 27), ha="right", fontsize=12, **where)


def _names(axis: Axes, names: Sequence[str]) -> None:
    axis.tick_params(axis="y", which="both", left=False, right=False)
    axis.set_yticks(range(len(names)), list(names), fontsize="small")
    axis.set_ylim(max(len(names), 2) - 0.3, -0.7)
