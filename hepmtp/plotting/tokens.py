"""Figures of tokens: how often they occur, how they are predicted, what they keep of an event.

The rule: counts are raw; shares are taken here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import awkward as ak
import mplhep
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from hepmtp.events.ragged import Floats
from hepmtp.plotting.colours import COLOURS, LINES
from hepmtp.plotting.names import PARTICLES
from hepmtp.plotting.ratio import beyond, named_ticks, ratio_limits
from hepmtp.plotting.style import UNKNOWN, Caption, StyledFigure, above, panels, per_bin, styled


@styled
def token_occupancy(
    background_counts: ArrayLike,
    signal_counts: ArrayLike,
    *,
    labels: Sequence[str] | None = None,
    xlabel: str = "Token",
    names: tuple[str, str] = ("background", "signal"),
    caption: Caption = UNKNOWN,
) -> Figure:
    """How often each token (or digit) occurs in background and signal, and the ratio with errors.

    Parameters
    ----------
    background_counts, signal_counts
        raw counts, shape (n_tokens,) each.
    labels
        text of each token on the axis, if they are few.
    """
    counts = [np.asarray(one, dtype=np.float64) for one in (background_counts, signal_counts)]
    edges = np.arange(len(counts[0]) + 1) - 0.5
    figure, axes = panels(6.0, (3, 1.3))
    shares, errors = (
        [100 * part(one) / one.sum() for one in counts] for part in (np.asarray, np.sqrt)
    )
    many = len(counts[0]) > 60
    for share, error, name, colour, line in zip(
        shares, errors, names, (COLOURS[1], COLOURS[0]), LINES, strict=False
    ):
        how: dict[str, Any] = {"color": colour, "label": name, "alpha": 0.85, "flow": "none"}
        lines = (
            {"linestyle": "-", "linewidth": 1} if many else {"linestyle": line, "linewidth": 1.8}
        )
        yerr = None if many else error
        mplhep.histplot(share, edges, ax=axes[0], yerr=yerr, **lines, **how)
    axes[0].set(ylabel="Share of the tokens [%]", xlabel="")
    top = float(max(np.max(share) for share in shares))
    if many:
        axes[0].set(yscale="log", ylim=(1e-3, 30 * top))
    else:
        axes[0].ticklabel_format(axis="y", style="plain")
        axes[0].set_ylim(0, 1.25 * top)
    axes[0].legend(loc="upper right", fontsize="small", borderpad=0.6)
    above(axes[0], caption._replace(luminosity=None))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(counts[0] > 0, shares[1] / shares[0], np.nan)
        error = ratio * np.sqrt(1 / counts[0] + 1 / counts[1])
    axes[1].axhline(1, color="0.4", linewidth=1)
    points: dict[str, Any] = {"fmt": "o", "color": "black", "linewidth": 1.2}
    size, error = (1.5, None) if many else (4, error)
    axes[1].errorbar(np.arange(len(ratio)), ratio, error, markersize=size, **points)
    axes[1].set(ylabel="Ratio", xlabel=xlabel, xlim=(edges[0], edges[-1]))
    ratio_limits(axes[1], ratio)
    beyond(axes[1], np.arange(len(ratio)), ratio)
    if labels is not None:
        rotation = 0 if len(labels) <= 12 else 60
        named_ticks(axes[1], range(len(labels)), labels, rotation=rotation)
    return figure


@styled
def confusion(
    matrix: ArrayLike,
    *,
    labels: Sequence[str] | None = None,
    what: str = "token",
    show_counts: bool = False,
    title: str = "",
    caption: Caption = UNKNOWN,
) -> Figure:
    """True token (row) against predicted token (column), each row divided by its sum.

    Parameters
    ----------
    matrix
        counts or summed probabilities, shape (n_tokens, n_tokens).
    labels
        text of each token, or its particle type; its number if not given.
    what
        is true and predicted, for the axes: ``"MET [GeV]"`` for instance.
    show_counts
        also write what `matrix` holds, below each share; where there are twelve tokens at most.
    """
    counts = np.asarray(matrix, dtype=np.float64)
    sums = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, sums, out=np.zeros_like(counts), where=sums > 0)
    given = map(str, range(len(shares))) if labels is None else labels
    ticks = [PARTICLES.get(one, one) for one in given]
    longest = max(len(tick.strip("$\\")) for tick in ticks)
    left = 0.12 + 0.015 * longest
    crowded = longest * min(len(shares), 10) > 40
    figure = StyledFigure(figsize=(7.2, 6.4))
    axis = figure.add_axes((left, 0.14, 0.8 - left, 0.72))
    image = axis.pcolormesh(shares, cmap="cividis", vmin=0)
    bar = figure.colorbar(image, cax=figure.add_axes((0.83, 0.14, 0.03, 0.72)))
    bar.set_label("Share of the row")
    bar.ax.ticklabel_format(style="plain")
    bar.ax.yaxis.set_tick_params(which="minor", right=False)
    n = len(shares)
    axis.set(xlabel=f"Predicted {what}", ylabel=f"True {what}", xlim=(0, n), ylim=(n, 0))
    axis.yaxis.set_label_coords((0.03 - left) / (0.8 - left), 1.0)
    centres = np.arange(n) + 0.5
    every = 1 if n <= 12 else n // 10
    slanted: dict[str, Any] = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"}
    axis.set_xticks(centres[::every], ticks[::every], **(slanted if crowded else {}))
    axis.set_yticks(centres[::every], ticks[::every])
    axis.tick_params(which="both", length=0)
    if crowded:
        axis.tick_params(labelsize="small")
    if n <= 12:
        for row, column in zip(*np.nonzero(shares if show_counts else shares >= 0), strict=True):
            dark = shares[row, column] < 0.6 * shares.max()
            place: dict[str, Any] = {
                "ha": "center",
                "va": "center",
                "color": "white" if dark else "black",
            }
            share = f"{shares[row, column]:.2f}"
            share += f"\n{counts[row, column]:.0f}" if show_counts else ""
            size = "xx-small" if show_counts and n > 7 else "small"
            axis.text(column + 0.5, row + 0.5, share, fontsize=size, **place)
    above(axis, caption._replace(luminosity=None), "")
    axis.set_title(title, pad=34, fontsize="medium")  # too long to stand beside the label
    return figure


@styled
def tokens_before_after(before: ak.Array, after: ak.Array, *, caption: Caption = UNKNOWN) -> Figure:
    """pt, abs(eta), phi and MET of events before tokenisation and after encode and decode."""
    figure = StyledFigure(figsize=(10, 7.6))
    margins = {"left": 0.09, "right": 0.98, "top": 0.88, "bottom": 0.09}
    axes = figure.subplots(2, 2, gridspec_kw={**margins, "hspace": 0.3, "wspace": 0.22})
    columns: dict[str, Callable[[ak.Array], ak.Array]] = {
        r"Particle $p_T$ [GeV]": lambda events: ak.flatten(events.Particle.pt),
        r"Particle $|\eta|$": lambda events: np.abs(ak.flatten(events.Particle.eta)),
        r"Particle $\phi$": lambda events: ak.flatten(events.Particle.phi),
        r"$E_T^{miss}$ [GeV]": lambda events: events.MET.pt,
    }
    for axis, (label, of) in zip(axes.flat, columns.items(), strict=True):
        pair = [ak.to_numpy(of(events)) for events in (before, after)]
        edges = _edges(np.concatenate(pair), "GeV" in label)
        for values, name, colour, line in zip(
            pair, ("before", "after encode, decode"), COLOURS[1::-1], LINES, strict=False
        ):
            inside = np.clip(values, edges[0], np.nextafter(edges[-1], -np.inf))
            content = np.histogram(inside, edges)[0]
            how: dict[str, Any] = {"color": colour, "linestyle": line, "label": name}
            mplhep.histplot(content, edges, ax=axis, flow="none", yerr=False, **how)
        axis.set(xlabel=label, ylabel=per_bin("Entries", edges, label), yscale="log")
        axis.set_ylim(0.7, axis.get_ylim()[1] * 3)
    axes[0, 0].legend(loc="upper right", fontsize="small", borderpad=0.4)
    above(axes[0, 0], caption._replace(luminosity=None), "")
    return figure


def _edges(values: Floats, positive: bool) -> Floats:
    low, high = np.quantile(values, (0.0, 0.998)) if positive else (values.min(), values.max())
    return np.linspace(0.0 if positive else low, max(high, low + 1e-9), 51)
