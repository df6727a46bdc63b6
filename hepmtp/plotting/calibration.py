"""The figure of a calibrated score: its shares in the regions, and their ratios.

The rule: background that is calibrated well is flat within errors, and so says nothing; a signal
rises. Error bars are those of the simulated events, the hatched band is that of the calibration.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hepmtp.events.ragged import Floats
from hepmtp.plotting.colours import COLOURS, LINES, process_style
from hepmtp.plotting.names import words
from hepmtp.plotting.ratio import band, beyond
from hepmtp.plotting.style import (
    UNKNOWN,
    Caption,
    above,
    flow_of,
    inside,
    log_limits,
    note,
    panels,
    styled,
)
from hepmtp.statistics.flatness import EDGES, Flatness, Shares, flatness, ratio, shares
from hepmtp.statistics.histograms import Histogram, spectrum

#: Colour and marker of the regions, in their order.
REGION_STYLE = (("black", "o"), (COLOURS[2], "s"), ("#882255", "^"), (COLOURS[3], "D"))
#: Ratios are drawn up to the highest point with its error, within these limits.
HIGHEST = (1.8, 4.0)
#: Share of the height of a ratio's panel below its line of text.
TEXT = 0.84
#: Contents are drawn per so much of the score.
UNIT = 0.1


@styled
def calibrated_score(
    h: Histogram,
    regions: Sequence[str] = ("CR", "VR", "SR"),
    *,
    background: Sequence[str],
    signals: Sequence[str] = (),
    replicas: Histogram | None = None,
    expected: Mapping[str, Mapping[str, float]] | None = None,
    edges: Sequence[float] = EDGES,
    names: Mapping[str, str] | None = None,
    content: str = "Events",
    caption: Caption = UNKNOWN,
) -> Figure:
    """Background of a calibrated score in regions, signals, and ratios to the first region.

    Parameters
    ----------
    h
        score histogram of a :class:`hepmtp.detectors.calibrated.detector.Calibrated`.
    regions
        a region to compare with, and those that are compared with it; signals are drawn in the
        last of them.
    background, signals
        data sets that are added up, and each drawn as a line.
    replicas
        histogram whose variations are the replicas of the calibration, for its band: what
        `processors.anomaly.AnomalyProcessor` gives as ``out["replicas"]``.
    expected
        region -> data set -> events, as a fit found them. Then contents are drawn; without it,
        shares of the region. The ratios are of shares in any case.
    edges
        of the bins, from end to end of the axis and each one of it.
    names
        name -> TeX text of data sets that have one of their own.
    content
        what a sum of the weights is: "Events" where that is known.

    Raises
    ------
    ScoreError
        for a region without background or without a signal that is to be drawn there.
    """
    given = expected or {}
    found = {
        one: shares(
            h, one, datasets=background, replicas=replicas, expected=given.get(one), edges=edges
        )
        for one in regions
    }
    others = [found[one] for one in regions[1:]]
    figure, axes = panels(5.0 + 1.6 * len(others), (3.2, *(1.0,) * len(others)))
    lines = {one: shares(h, regions[-1], datasets=one, edges=edges) for one in signals}
    _contents(axes[0], found, lines, names or {}, as_events=expected is not None)
    axes[0].set_ylabel(f"{content if expected else 'Share of the region'} / {UNIT:g}")
    above(axes[0], caption)
    inside(axes[0], "background after the fit" if expected else "normalised to 1")
    for axis, one, style in zip(axes[1:], others[::-1], reversed(_styles(regions)), strict=False):
        _ratio(axis, one, found[regions[0]], style)
    axes[-1].set_xlabel(words(str(h.axes["score"].label)), fontsize="small")
    axes[-1].set_xlim(edges[0], edges[-1])
    drawn = [*background, *signals]
    note(axes[-1], flow_of(spectrum(h, drawn, region) for region in regions))
    return figure


def _contents(
    axis: Axes,
    found: Mapping[str, Shares],
    lines: Mapping[str, Shares],
    names: Mapping[str, str],
    *,
    as_events: bool,
) -> None:
    """Points of each region, what they are expected to be, and the signals."""
    seen: list[Floats] = []
    for (region, one), (colour, marker) in zip(found.items(), _styles(list(found)), strict=True):
        scale = _per_unit(one) * (one.total if as_events else 1.0)
        flat = scale * (10 ** -one.edges[:-1] - np.append(10 ** -one.edges[1:-1], 0.0))
        if as_events or region == next(iter(found)):
            label = "" if seen else "flat"
            axis.stairs(flat, one.edges, color="0.5", linestyle=":", baseline=None, label=label)
        error = scale * np.hypot(one.error, one.calibration_error)
        label = f"{words(region)} background"
        _points(axis, one, scale * one.share, error, (colour, marker), label)
        seen.append(scale * one.share)
    styles = process_style(lines, names, signals=lines)
    for (name, one), line in zip(lines.items(), itertools.cycle(LINES[1:]), strict=False):
        label, colour = styles[name]
        y = _per_unit(one) * one.share * (one.total if as_events else 1.0)
        how: dict[str, Any] = {"color": colour, "linestyle": line, "linewidth": 2}
        axis.stairs(y, one.edges, baseline=None, label=f"{label} in {list(found)[-1]}", **how)
        seen.append(y.max(keepdims=True))
    log_limits(axis, seen)
    axis.legend(loc="upper right", fontsize="x-small", borderpad=0.6)


def _ratio(axis: Axes, one: Shares, first: Shares, style: tuple[str, str]) -> None:
    """Shares of a region over those of the first one, with the verdict on the upper tenth."""
    found = ratio(one, first)
    # no mplhep.comp: the band is the error of the calibration, which no histogram holds
    band(axis, one.edges, np.ones_like(found.ratio), np.nan_to_num(found.calibration_error))
    axis.axhline(1, color="0.4", linewidth=1)
    ends = np.nan_to_num(found.ratio + found.error)
    top = float(np.clip(1.1 * ends.max(initial=0.0), HIGHEST[0], HIGHEST[1])) / TEXT
    axis.set_ylim(0.0, top)
    axis.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10], prune="lower"))
    inside = np.where(found.ratio <= top, found.ratio, np.nan)
    _points(axis, one, inside, found.error, style)
    beyond(axis, (one.edges[1:] + one.edges[:-1]) / 2, found.ratio, color=style[0])
    axis.set_ylabel(f"{words(one.region)} / {words(first.region)}")
    place: dict[str, Any] = {"transform": axis.transAxes, "va": "top", "fontsize": 10}
    axis.text(0.02, 0.95, _verdict(one, first), **place)


def _verdict(one: Shares, first: Shares) -> str:
    """chi2 of the upper parts, as text."""

    def words(found: Flatness) -> str:
        return f"{100 * found.upper:g} %: {found.chi2:.1f} / {found.ndof}"

    parts = [words(flatness(one, first, upper=upper)) for upper in (0.5, 0.1, 0.02)]
    return rf"$\chi^2$ / ndof of the upper {', '.join(parts)}"


def _styles(regions: Sequence[str]) -> list[tuple[str, str]]:
    return [one for one, _ in zip(itertools.cycle(REGION_STYLE), regions, strict=False)]


def _per_unit(one: Shares) -> Floats:
    return UNIT / np.diff(one.edges)


def _points(
    axis: Axes,
    one: Shares,
    y: Floats,
    error: Floats,
    style: tuple[str, str],
    label: str | None = None,
) -> None:
    """Points in the middle of the bins that hold something."""
    colour, marker = style
    seen, centres = np.nan_to_num(y) > 0, (one.edges[1:] + one.edges[:-1]) / 2
    widths = np.diff(one.edges)[seen] / 2
    how: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 4, "linewidth": 1.3}
    axis.errorbar(centres[seen], y[seen], error[seen], widths, linestyle="", label=label, **how)
