"""The figure of two shapes: the score in two regions, each normalised, their ratio and pulls."""

from __future__ import annotations

from typing import Any

import mplhep
import numpy as np
from matplotlib.figure import Figure

from hepmtp.plotting.colours import COLOURS, LINES
from hepmtp.plotting.names import words
from hepmtp.plotting.ratio import pulls, shape_ratio
from hepmtp.plotting.style import (
    FLOW,
    UNKNOWN,
    Caption,
    above,
    inside,
    note,
    panels,
    per_bin,
    styled,
    x_axis,
)
from hepmtp.statistics.comparison import Comparison


@styled
def shape_comparison(
    comparison: Comparison,
    *,
    caption: Caption = UNKNOWN,
    what: str = "Background",
    content: str = "Sum of weights",
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
        how: dict[str, Any] = {"color": colour, "linestyle": line, "linewidth": 1.8}
        how["label"] = words(name)
        mplhep.histplot(values, comparison.edges, ax=axes[0], yerr=errors, flow="none", **how)
    what_is_drawn = "Share of the region" if comparison.normalised else content
    ylabel = per_bin(what_is_drawn, comparison.edges, comparison.label)
    axes[0].set(ylabel=ylabel, xlabel="")
    lowest = min(float(np.min(values - errors * (values < 0))) for values, errors in pairs)
    highest = max(float(np.max(values + errors)) for values, errors in pairs)
    axes[0].set_ylim(1.1 * min(lowest, 0.0), 1.45 * highest)
    verdict = comparison.verdict.replace("chi2", r"$\chi^2$")
    above(axes[0], caption)
    inside(axes[0], f"{what}, {verdict}")
    axes[0].legend(loc="upper right", fontsize="small", borderpad=0.6)
    shape_ratio(axes[1], comparison)
    pulls(axes[2], comparison)
    x_axis(axes[2], comparison.edges, comparison.label)
    note(axes[2], FLOW)
    return figure
