"""Figure of a league: a bar per detector, from no separation to its AUC.

The rule: what was trained with labels stands apart, above a line; every bar has its error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from hepmtp.plotting.names import words
from hepmtp.plotting.style import UNKNOWN, Caption, StyledFigure, above, styled

#: Colour of each kind of detector, and what it is called in the legend.
KINDS = {
    "supervised": ("#d55e00", "with labels"),
    "background-only": ("#0072b2", "trained on background"),
    "observable": ("#999999", "plain observable"),
}


class Bar(NamedTuple):
    """One detector: `spread` is the standard deviation over seeds, None for a single one."""

    name: str
    kind: str  #: one of `KINDS`
    auc: float
    error: float
    spread: float | None = None


@styled
def auc_bars(bars: Sequence[Bar], *, title: str = "", caption: Caption = UNKNOWN) -> Figure:
    """AUC of each detector, best on top.

    The statistical error is black, the spread over seeds wide and grey.
    """
    apart = sorted((bar for bar in bars if bar.kind == "supervised"), key=lambda bar: -bar.auc)
    rest = sorted((bar for bar in bars if bar.kind != "supervised"), key=lambda bar: -bar.auc)
    gap = 0.6 if apart and rest else 0.0
    places = [*range(len(apart)), *(len(apart) + gap + i for i in range(len(rest)))]
    ordered = [*apart, *rest]
    height = 1.7 + 0.34 * len(ordered)
    figure = StyledFigure(figsize=(9, height))
    margins = {"left": 0.3, "right": 0.97, "top": 1 - 0.5 / height, "bottom": 1.1 / height}
    axis = figure.subplots(gridspec_kw=margins)
    for place, bar in zip(places, ordered, strict=True):
        axis.barh(
            place,
            bar.auc - 0.5,
            left=0.5,
            height=0.72,
            color=KINDS[bar.kind][0],
            alpha=0.75,
            linewidth=0,
        )
        if bar.spread is not None:
            axis.errorbar(bar.auc, place, xerr=bar.spread, color="0.45", elinewidth=5, alpha=0.6)
        axis.errorbar(bar.auc, place, xerr=bar.error, color="black", elinewidth=1.4, capsize=3)
        axis.text(
            1.015, place, f"{bar.auc:.3f} $\\pm$ {bar.error:.3f}", va="center", fontsize="small"
        )
    if gap:
        axis.axhline(len(apart) - 0.5 + gap / 2, color="black", linewidth=1)
    axis.axvline(0.5, color="black", linewidth=1)
    lowest = min((bar.auc - max(bar.error, bar.spread or 0.0) for bar in ordered), default=0.5)
    axis.set_xlim(min(0.48, lowest - 0.02), 1.19)
    axis.set_xticks([tick / 10 for tick in range(11) if tick / 10 >= axis.get_xlim()[0]])
    axis.tick_params(axis="y", which="both", left=False, right=False)
    axis.tick_params(axis="x", which="minor", bottom=False, top=False)
    axis.set_yticks(places, [words(bar.name) for bar in ordered], fontsize="small")
    axis.set_ylim(max(places, default=0) + 0.7, -0.7)
    axis.set_xlabel("AUC, every background process the same weight", loc="right")
    legend = [
        Patch(color=colour, alpha=0.75, label=text)
        for kind, (colour, text) in KINDS.items()
        if any(bar.kind == kind for bar in ordered)
    ]
    figure.legend(
        handles=legend,
        loc="lower left",
        ncols=3,
        fontsize="small",
        bbox_to_anchor=(0.01, 0.0),
        frameon=False,
    )
    above(axis, caption._replace(luminosity=None), title)
    return figure
