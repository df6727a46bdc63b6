"""Figures of curves: ROC, significance improvement, training.

The rule: a curve is drawn only where enough raw background events pass. A score of whole numbers
has no cuts between these: its points are drawn, joined by steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hepmtp.plotting.colours import COLOURS, LINES
from hepmtp.plotting.names import words
from hepmtp.plotting.style import UNKNOWN, Caption, legend_above, panels, styled
from hepmtp.statistics.metrics import Roc
from hepmtp.statistics.working_points import MIN_RAW, WorkingPoint, working_point

#: A score of more whole numbers than these is drawn as any other.
MOST_STEPS = 100


@styled
def roc(curves: Mapping[str, Roc], *, title: str = "", caption: Caption = UNKNOWN) -> Figure:
    """eps_S against eps_B with error bands, one curve per name."""
    figure, axis = _against_eps_b(
        curves, r"Signal efficiency $\epsilon_S$", lambda point: (point.eps_s, point.eps_s_error), 1
    )
    axis.set_ylim(0, 1.02)
    legend_above(axis, caption, title)
    return figure


@styled
def sic(curves: Mapping[str, Roc], *, title: str = "", caption: Caption = UNKNOWN) -> Figure:
    """Significance improvement eps_S / sqrt(eps_B) against eps_B with error bands."""
    figure, axis = _against_eps_b(
        curves, "Significance improvement", lambda point: (point.si, point.si_error), 0.5
    )
    axis.set_ylim(0, 1.15 * axis.get_ylim()[1])
    legend_above(axis, caption, title)
    return figure


@styled
def training_curve(
    history: Sequence[Mapping[str, Any]], *, per: str = "hidden token", caption: Caption = UNKNOWN
) -> Figure:
    """Loss per epoch, the best one marked; `history` holds epoch, train_loss, validation_loss.

    Parameters
    ----------
    per
        what the loss is a mean over.
    """
    figure, (axis,) = panels(5.0, (1,))
    epoch = [int(one["epoch"]) for one in history]
    losses = {"train_loss": "training", "validation_loss": "validation"}
    for (key, name), colour, line in zip(losses.items(), COLOURS, LINES, strict=False):
        how: dict[str, Any] = {"color": colour, "linestyle": line, "label": name}
        axis.plot(epoch, [one[key] for one in history], marker="o", markersize=4, **how)
    best = int(min(history, key=lambda one: float(one["validation_loss"]))["epoch"])
    axis.axvline(best, color="0.4", linestyle=":", linewidth=1.2, label=f"best: epoch {best}")
    axis.set(xlabel="Epoch", ylabel=f"Loss [nat / {per}]")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.xaxis.set_tick_params(which="minor", bottom=False, top=False)
    axis.margins(x=0.03)
    legend_above(axis, caption._replace(luminosity=None), "")
    return figure


def _against_eps_b(
    curves: Mapping[str, Roc],
    ylabel: str,
    of: Callable[[WorkingPoint], tuple[float | None, float | None]],
    power: float,
) -> tuple[Figure, Axes]:
    """One line with its band per ROC, from the smallest quoted eps_B to 1, and eps_B^power."""
    figure, (axis,) = panels(6.0, (1,))
    lowest = 0.1
    for i, (name, curve) in enumerate(curves.items()):
        steps = _counts(curve)
        wanted = curve.eps_b[curve.eps_b > 0] if steps else np.geomspace(1e-4, 1, 161)
        points = [working_point(curve, float(min(eps_b, 1.0))) for eps_b in wanted]
        quoted = [point for point in points if point.eps_s is not None]
        x = np.array([point.eps_b for point in quoted])
        value, error = np.array([of(point) for point in quoted]).reshape(-1, 2).T
        lowest = min(lowest, float(x.min(initial=0.1)))
        how: dict[str, Any] = {"color": COLOURS[i % len(COLOURS)]}
        line: dict[str, Any] = {"linestyle": LINES[i % len(LINES)], "label": words(name)}
        if steps:
            line |= {"drawstyle": "steps-post", "marker": "o", "markersize": 4}
        axis.plot(x, value, **line, **how)
        step: Any = "post" if steps else None
        shade: dict[str, Any] = {"alpha": 0.2, "linewidth": 0, "step": step}
        axis.fill_between(x, value - error, value + error, **shade, **how)
    axis.set_xlim(lowest, 1)
    note = f"drawn where at least {MIN_RAW} raw background events pass"
    place: dict[str, Any] = {"transform": axis.transAxes, "ha": "right", "fontsize": "x-small"}
    axis.text(0.98, 0.03, note, color="0.35", **place)
    guide = np.geomspace(lowest, 1, 200)
    dotted: dict[str, Any] = {"color": "0.5", "linewidth": 1, "linestyle": ":"}
    axis.plot(guide, guide**power, label="no separation", **dotted)
    axis.set(xscale="log", xlabel=r"Background efficiency $\epsilon_B$", ylabel=ylabel)
    return figure, axis


def _counts(curve: Roc) -> bool:
    """Whether the score of a curve is a whole number, of few values."""
    finite = curve.threshold[np.isfinite(curve.threshold)]
    return len(finite) <= MOST_STEPS and bool(np.all(finite == np.round(finite)))
