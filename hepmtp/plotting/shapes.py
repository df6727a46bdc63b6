"""The figure of two shapes: the score in two regions, each normalised, their ratio and pulls."""

from __future__ import annotations

from typing import Any

import mplhep
import numpy as np
from matplotlib.figure import Figure

from hepmtp.plotting.style import (
    COLOURS,
    LINES,
    UNKNOWN,
    Caption,
    corner,
    panels,
    shape_ratio,
    styled,
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
        how: dict[str, Any] = {"color": colour, "linestyle": line, "linewidth": 1.8, "label": name}
        mplhep.histplot(values, comparison.edges, ax=axes[0], yerr=errors, flow="none", **how)
    what_is_drawn = "Share of the region" if comparison.normalised else content
    axes[0].set(ylabel=f"{what_is_drawn} / bin", xlabel="")
    lowest = min(float(np.min(values - errors * (values < 0))) for values, errors in pairs)
    highest = max(float(np.max(values + errors)) for values, errors in pairs)
    axes[0].set_ylim(1.1 * min(lowest, 0.0), 1.75 * highest)
    verdict = comparison.verdict.replace("chi2", r"$\chi^2$")
    corner(axes[0], caption, f"{what}, {verdict}")
    axes[0].legend(loc="upper right", fontsize="small", borderpad=0.6)
    shape_ratio(axes[1], comparison)
    axes[1].set_xlabel("")
    centres = (comparison.edges[1:] + comparison.edges[:-1]) / 2
    axes[2].axhspan(-1, 1, color="0.85")
    axes[2].axhline(0, color="black", linewidth=1)
    axes[2].errorbar(centres, comparison.pull, fmt="o", color="black", markersize=4)
    limit = max(3.5, 1.15 * float(np.nanmax(np.abs(comparison.pull), initial=0.0)))
    axes[2].set(ylabel="Pull", xlabel=comparison.label, ylim=(-limit, limit))
    return figure
