"""Figures of a tokenizer's report.

Residuals, types, correlations before and after, tokens of background and signal.

The rule: they show what `hepmtp.studies.tokenizer.measure` has measured; only shares and ratios are
taken here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import mplhep
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, MaxNLocator
from numpy.typing import NDArray

from hepmtp.events.particles import PARTICLE_TYPES
from hepmtp.plotting.colours import COLOURS, LINES, process_style
from hepmtp.plotting.names import PARTICLES
from hepmtp.plotting.ratio import beyond, ratio_limits
from hepmtp.plotting.style import UNKNOWN, Caption, StyledFigure, above, inside, panels, styled

if TYPE_CHECKING:  # the module loads torch and scikit-learn
    from hepmtp.studies.tokenizer.measure import TokenizerReport

#: TeX text of the residuals, and of the observables that are correlated, in their order.
RESIDUALS = {
    "pt": r"$p_T$ decoded / true $-$ 1",
    "eta": r"$\eta$ decoded $-$ true",
    "abs_eta": r"$|\eta|$ decoded $-$ true",
    "phi": r"$\phi$ decoded $-$ true",
    "met": r"$E_T^{miss}$ decoded / true $-$ 1",
    "met_phi": r"$\phi(E_T^{miss})$ decoded $-$ true",
}
OBSERVABLES = {
    "jet_pt_1": r"$p_T(j_1)$",
    "jet_pt_2": r"$p_T(j_2)$",
    "jet_pt_3": r"$p_T(j_3)$",
    "ht": r"$H_T$",
    "met": r"$E_T^{miss}$",
    "largest_mass": r"max $m_{jj}$",
    "min_delta_phi_met": r"min $\Delta\phi(j, E_T^{miss})$",
    "delta_r_12": r"$\Delta R(j_1, j_2)$",
}
TYPES = [PARTICLES[one] for one in PARTICLE_TYPES]


@styled
def residuals(report: TokenizerReport, *, caption: Caption = UNKNOWN) -> Figure:
    """Decoded minus true values of each particle and of MET.

    The outer bins hold what lies beyond.
    """
    rows = -(-len(report.residuals) // 3)
    height = 0.9 + 3.0 * rows
    figure = StyledFigure(figsize=(12, height))
    axes = figure.subplots(rows, 3, squeeze=False, gridspec_kw={
        "left": 0.075, "right": 0.985, "top": 1 - 0.45 / height, "bottom": 0.65 / height,
        "hspace": 0.36, "wspace": 0.27,
    })  # fmt: skip
    for axis, (name, one) in zip(axes.flat, report.residuals.items(), strict=False):
        share = 100 * one.counts / one.counts.sum()
        mplhep.histplot(
            share, one.edges, ax=axis, color=COLOURS[1], histtype="fill", alpha=0.35, flow="none"
        )
        mplhep.histplot(share, one.edges, ax=axis, color=COLOURS[1], flow="none", yerr=False)
        axis.axvline(0, color="0.4", linewidth=1, linestyle=":")
        axis.set(
            xlabel=RESIDUALS[name], ylabel="Share / bin [%]", xlim=(one.edges[0], one.edges[-1])
        )
        axis.set_ylim(0, 1.4 * share.max())
        axis.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        axis.yaxis.set_major_formatter(FormatStrFormatter("%g"))
        axis.yaxis.set_label_coords(-0.12, 1.0)
        text = f"median {one.median:z.3f}\nhalf of 68 %: {one.half_width:.3f}"
        axis.text(
            0.96, 0.93, text, transform=axis.transAxes, ha="right", va="top", fontsize="small"
        )
    for axis in axes.flat[len(report.residuals) :]:
        axis.set_visible(False)
    above(axes[0, 0], caption._replace(luminosity=None), "")
    _named(axes[0, 2] if len(report.residuals) > 2 else axes[0, -1], report)
    return figure


@styled
def type_confusion(report: TokenizerReport, *, caption: Caption = UNKNOWN) -> Figure:
    """True type (row) against decoded type (column), each row divided by its sum."""
    sums = report.type_confusion.sum(axis=1, keepdims=True)
    shares = np.divide(
        report.type_confusion, sums, out=np.zeros(report.type_confusion.shape), where=sums > 0
    )
    figure = StyledFigure(figsize=(6.8, 6.2))
    axis = figure.add_axes((0.16, 0.13, 0.64, 0.72))
    image = _matrix(axis, shares, TYPES, cmap="cividis", low=0, high=1)
    bar = figure.colorbar(image, cax=figure.add_axes((0.83, 0.13, 0.03, 0.72)))
    bar.set_label("Share of the row")
    bar.ax.yaxis.set_tick_params(which="minor", right=False)
    axis.set(xlabel="Decoded type", ylabel="True type")
    above(axis, caption._replace(luminosity=None), "")
    axis.set_title(_title(report), pad=34, fontsize="medium")
    return figure


@styled
def correlations(report: TokenizerReport, *, caption: Caption = UNKNOWN) -> Figure:
    """Correlation matrices of events before and after decoding, and what has changed.

    Empty where nothing varies.
    """
    before, after = report.correlation_before, report.correlation_after
    figure = StyledFigure(figsize=(17, 6.4))
    margins = {"left": 0.115, "right": 0.915, "top": 0.87, "bottom": 0.21, "wspace": 0.06}
    axes = figure.subplots(1, 3, sharey=True, gridspec_kw=margins)
    labels = list(OBSERVABLES.values())
    panels = {"before": before, "after encode, decode": after, "after $-$ before": after - before}
    for axis, (title, matrix) in zip(axes, panels.items(), strict=True):
        image = _matrix(axis, matrix, labels, cmap="PuOr", low=-1, high=1)
        axis.set_xticks(axis.get_xticks(), labels, rotation=45, ha="right", rotation_mode="anchor")
        if axis is not axes[0]:
            axis.text(
                1, 1.02, title, transform=axis.transAxes, ha="right", va="bottom", fontsize="medium"
            )
    bar = figure.colorbar(image, cax=figure.add_axes((0.925, 0.21, 0.012, 0.66)))
    bar.set_label("Correlation")
    bar.ax.yaxis.set_tick_params(which="minor", right=False)
    above(axes[0], caption._replace(luminosity=None), "before")
    figure.suptitle(_title(report), fontsize="medium", y=0.985)
    return figure


@styled
def token_histogram(report: TokenizerReport, *, caption: Caption = UNKNOWN) -> Figure:
    """How often each id occurs in background and in the signals, and the ratios.

    Ids stand by falling share in background.
    """
    counts = report.token_counts
    order = np.argsort(-counts["background"], kind="stable")
    figure, axes = panels(6.4, (3, 1.5))
    edges = np.arange(report.vocab_size + 1) - 0.5
    signals = [name for name in counts if name != "background"]
    styles = process_style(signals, signals=signals)
    shares = {name: 100 * one[order] / max(one.sum(), 1) for name, one in counts.items()}
    for name, line in zip(shares, (*LINES, *LINES), strict=False):
        label, colour = styles.get(name, ("background", COLOURS[6]))
        look = {"color": colour, "linestyle": line if len(order) < 60 else "-"}
        width = 1.6 if name == "background" else 0.9
        mplhep.histplot(shares[name], edges, ax=axes[0], label=label, flow="none", yerr=False,
                        linewidth=width, **look)  # fmt: skip
    top = max(float(share.max()) for share in shares.values())
    axes[0].set(yscale="log", ylim=(1e-3, 40 * top), ylabel="Share of the tokens [%]", xlabel="")
    axes[0].legend(loc="upper right", fontsize="small", borderpad=0.6)
    above(axes[0], caption._replace(luminosity=None))
    inside(axes[0], _title(report))
    ratios = [np.ones(1)]
    axes[1].axhline(1, color="0.4", linewidth=1)
    for name, (_, colour) in styles.items():
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(shares["background"] > 0, shares[name] / shares["background"], np.nan)
        axes[1].plot(np.arange(len(ratio)), ratio, "o", color=colour, markersize=1.8)
        ratios.append(ratio)
    axes[1].set(ylabel="Ratio", xlabel="Rank of the id in background", xlim=(edges[0], edges[-1]))
    ratio_limits(axes[1], np.concatenate(ratios))
    for one, (_, colour) in zip(ratios[1:], styles.values(), strict=True):
        beyond(axes[1], np.arange(len(one)), one, color=colour)
    return figure


def _matrix(
    axis: Axes,
    values: NDArray[np.float64],
    labels: Sequence[str],
    *,
    cmap: str,
    low: float,
    high: float,
) -> QuadMesh:
    """A square matrix with its numbers, first row on top."""
    n = len(values)
    image = axis.pcolormesh(np.ma.masked_invalid(values), cmap=cmap, vmin=low, vmax=high)
    axis.set(xlim=(0, n), ylim=(n, 0))
    axis.set_xticks(np.arange(n) + 0.5, labels)
    axis.set_yticks(np.arange(n) + 0.5, labels)
    axis.tick_params(which="both", length=0)
    for row, column in np.ndindex(n, n):
        value = values[row, column]
        if np.isfinite(value):
            dark = sum(image.cmap(image.norm(value))[:3]) < 1.4
            axis.text(column + 0.5, row + 0.5, f"{value:z.2f}", ha="center", va="center",
                      color="white" if dark else "black", fontsize="small")  # fmt: skip
    return image


def _title(report: TokenizerReport) -> str:
    return f"{report.name}, {report.vocab_size} ids{', supervised' if report.supervised else ''}"


def _named(axis: Axes, report: TokenizerReport) -> None:
    axis.text(
        1,
        1.02,
        _title(report),
        transform=axis.transAxes,
        ha="right",
        va="bottom",
        fontsize="medium",
    )
