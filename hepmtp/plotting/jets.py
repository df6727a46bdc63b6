"""Figures of jets: spectra of true and made ones, jets side by side, densities, what is next.

The rule: what is drawn was given; only shares, their errors and ratios are made here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hepmtp.events.constituents import Constituents
from hepmtp.plotting.colours import COLOURS, LINES
from hepmtp.plotting.ratio import ratio_limits
from hepmtp.plotting.style import (
    UNKNOWN,
    Caption,
    StyledFigure,
    above,
    legend_above,
    panels,
    styled,
)

Floats = NDArray[np.float64]


class Spectrum(NamedTuple):
    """A quantity of true and of made jets, and where it is drawn."""

    label: str
    true: Floats
    made: Floats
    low: float
    high: float
    log: bool = False


@styled
def spectrum(
    one: Spectrum, *, title: str = "", bins: int = 40, caption: Caption = UNKNOWN
) -> Figure:
    """Shares of true and made jets in bins, with errors, and their ratio."""
    figure, (top, bottom) = panels(6.0, (3, 1.2))
    edges = _edges(one, bins)
    centres = (edges[1:] + edges[:-1]) / 2
    shares, errors = zip(*(_shares(values, edges) for values in (one.true, one.made)), strict=True)
    for share, error, name, colour, line in zip(
        shares, errors, ("true", "made"), COLOURS, LINES, strict=False
    ):
        top.stairs(share, edges, color=colour, linestyle=line, linewidth=1.8, label=name)
        top.errorbar(centres, share, error, fmt="none", ecolor=colour, linewidth=1)
    top.set(ylabel="Share / bin", yscale="log" if one.log else "linear")
    highest = max(float(share.max()) for share in shares)
    top.set_ylim((1e-4 * highest, 30 * highest) if one.log else (0, 1.5 * highest))
    if not one.log:
        top.ticklabel_format(axis="y", style="plain")  # a power of ten is where the label is
    above(top, caption, title)
    top.legend(loc="upper right", fontsize="small")
    seen = (shares[0] > 0) & (shares[1] > 0)
    ratio = np.divide(shares[1], shares[0], out=np.zeros(len(centres)), where=seen)
    error = ratio * np.sqrt(
        sum(
            np.divide(e, s, out=np.zeros(len(centres)), where=seen) ** 2
            for s, e in zip(shares, errors, strict=True)
        )
    )
    bottom.axhline(1, color="0.4", linewidth=1)
    bottom.errorbar(centres[seen], ratio[seen], error[seen], fmt="o", color="black", markersize=4)
    bottom.set(ylabel="made / true", xlabel=one.label, xlim=(edges[0], edges[-1]))
    bottom.ticklabel_format(axis="x", style="plain")
    ratio_limits(bottom, ratio[seen])
    return figure


def _edges(one: Spectrum, bins: int) -> Floats:
    """At most so many equal bins, of whole numbers as many in each."""
    values = np.concatenate([one.true, one.made])
    if not np.array_equal(values, np.round(values)):
        return np.linspace(one.low, one.high, bins + 1)
    low, high = np.floor(one.low), np.ceil(one.high)
    width = np.ceil((high - low + 1) / bins)
    return np.arange(low, high + width + 1, width) - 0.5


@styled
def jets_side_by_side(
    true: Sequence[tuple[Floats, Floats, Floats]],
    made: Sequence[tuple[Floats, Floats, Floats]],
    *,
    edges: tuple[Floats, Floats] | None = None,
    names: tuple[str, str] = ("true", "made"),
    caption: Caption = UNKNOWN,
) -> Figure:
    """Jets in eta and phi around their axes, true ones above and made ones below.

    Parameters
    ----------
    true, made
        (pt [GeV], eta, phi) of the constituents of each jet.
    edges
        of the bins in eta and phi, drawn as a grid.
    names
        of the rows, if they are others.
    """
    n = len(true)
    figure = StyledFigure(figsize=(3.2 * n, 6.8))
    axes = figure.subplots(2, n, sharex=True, sharey=True, squeeze=False)
    for row, (name, some) in enumerate(zip(names, (true, made), strict=True)):
        for axis, (pt, eta, phi) in zip(axes[row], some, strict=True):
            axis.scatter(eta, phi, s=3 * pt, color=COLOURS[row], alpha=0.6, linewidth=0)
            for draw, lines in zip((axis.axvline, axis.axhline), edges or (), strict=False):
                for one in lines:
                    draw(one, color="0.85", linewidth=0.4, zorder=0)
            axis.text(0.08, 0.04, f"{name}, {len(pt)}", transform=axis.transAxes, fontsize=11)
            axis.set(xlim=(-0.85, 0.85), ylim=(-0.85, 0.85))
    for axis in axes[-1]:
        axis.set_xlabel(r"$\Delta\eta$")
    for axis in axes[:, 0]:
        axis.set_ylabel(r"$\Delta\phi$")
    above(axes[0, 0], caption._replace(energy=None, luminosity=None))
    if n > 1:
        above(axes[0, -1], caption._replace(experiment="", text=""))
    figure.subplots_adjust(left=0.08, right=0.98, top=0.93, bottom=0.09, hspace=0.06, wspace=0.06)
    return figure


class Step(NamedTuple):
    """Where the next constituent of a jet is expected, and where it was."""

    by_angle: Floats  #: probability of each bin of eta and phi, (n_eta, n_phi)
    stop: float  #: probability that there is none
    before: Constituents
    after: Constituents  #: of the next one, or none


@styled
def next_constituents(
    steps: Sequence[Step], *, edges: tuple[Floats, Floats], caption: Caption = UNKNOWN
) -> StyledFigure:
    """Maps in eta and phi of the expected constituent, after some constituents of one jet.

    Circles are the constituents before, their areas grow with pt; a cross is the one that came.

    Parameters
    ----------
    edges
        of all bins in eta and phi, the outer ones included.
    """
    figure = StyledFigure(figsize=(3.4 * len(steps) + 1.2, 4.3))
    axes = figure.subplots(1, len(steps), sharey=True, squeeze=False)[0]
    highest = max(float(one.by_angle.max()) for one in steps)
    for axis, one in zip(axes, steps, strict=True):
        norm = LogNorm(1e-4 * highest, highest, clip=True)
        image = axis.pcolormesh(*edges, one.by_angle.T, cmap="Blues", norm=norm)
        size = 8 + 4 * np.exp(one.before.log_pt)
        where = one.before.eta, one.before.phi
        axis.scatter(*where, s=size, facecolor="none", edgecolor=COLOURS[0], linewidth=1.2)
        axis.plot(one.after.eta, one.after.phi, "x", color="black", markersize=9)
        percent = f"{100 * one.stop:.2g} %" if one.stop > 1e-4 else "< 0.01 %"
        said = f"after {len(one.before.log_pt)}: stop {percent}"
        axis.text(0.04, 0.03, said, transform=axis.transAxes, fontsize=11)
        axis.set(xlabel=r"$\Delta\eta$", xlim=(-0.85, 0.85), ylim=(-0.85, 0.85), aspect="equal")
        axis.minorticks_off()
    axes[0].set_ylabel(r"$\Delta\phi$")
    above(axes[0], caption._replace(energy=None, luminosity=None))
    if len(steps) > 1:
        above(axes[-1], caption._replace(experiment="", text=""))
    figure.subplots_adjust(left=0.07, right=0.9, top=0.9, bottom=0.16, wspace=0.06)
    bar = figure.add_axes((0.92, 0.16, 0.015, 0.74))
    figure.colorbar(image, cax=bar, label="probability of the bin")
    return figure


@styled
def densities(
    log_p: Mapping[str, Floats], *, label: str, title: str = "", caption: Caption = UNKNOWN
) -> Figure:
    """Distribution of a density, one line for each data set."""
    figure, (axis,) = panels(5.5, (1,))
    everything = np.concatenate(list(log_p.values()))
    low, high = (float(one) for one in np.quantile(everything, [0.001, 0.999]))
    fewest = min(len(values) for values in log_p.values())
    bins = int(np.clip(fewest // 10, 10, 60))
    edges = np.linspace(low, max(high, low + 1e-6), bins + 1)
    for i, (name, values) in enumerate(log_p.items()):
        share, _ = _shares(values, edges)
        how: dict[str, Any] = {"color": COLOURS[i % len(COLOURS)], "linewidth": 1.8}
        axis.stairs(share, edges, linestyle=LINES[i % len(LINES)], label=name, **how)
    axis.set(xlabel=label, ylabel="Share / bin", xlim=(edges[0], edges[-1]))
    axis.set_ylim(bottom=0)
    axis.ticklabel_format(axis="y", style="plain")
    legend_above(axis, caption, title)
    return figure


def _shares(values: Floats, edges: Floats) -> tuple[Floats, Floats]:
    """Shares in bins and their errors; what lies outside counts in the whole."""
    counts = np.histogram(values, edges)[0]
    return counts / max(len(values), 1), np.sqrt(counts) / max(len(values), 1)
