"""Figures of curves: ROC, significance improvement, training.

The rule: a curve is drawn only where enough raw background events pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hepmtp.plotting.style import COLOURS, LINES, SIMULATION, Caption, legend_above, panels, styled
from hepmtp.statistics.metrics import MIN_RAW, Roc, WorkingPoint, working_point


@styled
def roc(curves: Mapping[str, Roc], *, title: str = "", caption: Caption = SIMULATION) -> Figure:
    """eps_S against eps_B with error bands, one curve per name, where enough raw background events pass."""
    figure, (axis,) = panels(6.0, (1,))
    _curves(axis, curves, lambda point: (point.eps_s, point.eps_s_error))
    guide = np.geomspace(axis.get_xlim()[0], 1, 200)
    axis.plot(guide, guide, color="0.5", linewidth=1, linestyle=":", label="no separation")
    axis.set(
        xscale="log",
        xlabel=r"Background efficiency $\epsilon_B$",
        ylabel=r"Signal efficiency $\epsilon_S$",
    )
    axis.set_ylim(0, 1.02)
    legend_above(axis, caption, title)
    return figure


@styled
def sic(curves: Mapping[str, Roc], *, title: str = "", caption: Caption = SIMULATION) -> Figure:
    """Significance improvement eps_S / sqrt(eps_B) against eps_B with error bands."""
    figure, (axis,) = panels(6.0, (1,))
    _curves(axis, curves, lambda point: (point.si, point.si_error))
    guide = np.geomspace(axis.get_xlim()[0], 1, 200)
    axis.plot(guide, np.sqrt(guide), color="0.5", linewidth=1, linestyle=":", label="no separation")
    axis.set(
        xscale="log",
        xlabel=r"Background efficiency $\epsilon_B$",
        ylabel="Significance improvement",
    )
    axis.set_ylim(bottom=0)
    legend_above(axis, caption, title)
    return figure


@styled
def training_curve(
    history: Sequence[Mapping[str, Any]], *, caption: Caption = SIMULATION
) -> Figure:
    """Loss per epoch; `history` holds epoch, train_loss and validation_loss, the best epoch is marked."""
    figure, (axis,) = panels(5.0, (1,))
    epoch = [int(one["epoch"]) for one in history]
    for key, name, colour, line in zip(("train_loss", "validation_loss"), ("training", "validation"), COLOURS, LINES,
                                       strict=False):  # fmt: skip
        axis.plot(
            epoch,
            [one[key] for one in history],
            color=colour,
            linestyle=line,
            marker="o",
            markersize=4,
            label=name,
        )
    best = min(history, key=lambda one: float(one["validation_loss"]))
    axis.axvline(
        int(best["epoch"]),
        color="0.4",
        linestyle=":",
        linewidth=1.2,
        label=f"best: epoch {best['epoch']}",
    )
    axis.set(xlabel="Epoch", ylabel="Loss [nat / hidden token]")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.xaxis.set_tick_params(which="minor", bottom=False, top=False)
    axis.margins(x=0.03)
    legend_above(axis, caption._replace(luminosity=None), "")
    return figure


def _curves(
    axis: Axes,
    curves: Mapping[str, Roc],
    of: Callable[[WorkingPoint], tuple[float | None, float | None]],
) -> None:
    """One line with its band per ROC, from the smallest eps_B that is quoted to 1."""
    lowest = 0.1
    for i, (name, curve) in enumerate(curves.items()):
        points = [working_point(curve, eps_b) for eps_b in np.geomspace(1e-4, 1, 161)]
        x = np.array([point.eps_b for point in points if point.eps_s is not None])
        value, error = (
            np.array([of(point) for point in points if point.eps_s is not None]).reshape(-1, 2).T
        )
        lowest = min(lowest, float(x.min(initial=0.1)))
        colour = COLOURS[i % len(COLOURS)]
        axis.plot(x, value, color=colour, linestyle=LINES[i % len(LINES)], label=name)
        axis.fill_between(x, value - error, value + error, color=colour, alpha=0.2, linewidth=0)
    axis.set_xlim(lowest, 1)
    axis.text(0.98, 0.03, f"drawn where at least {MIN_RAW} raw background events pass", transform=axis.transAxes,
              ha="right", fontsize="x-small", color="0.35")  # fmt: skip
