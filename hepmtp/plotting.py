"""Figures of a run: histograms, comparisons, curves and counts become matplotlib figures in the ATLAS style.

The rule: nothing is computed here but shares and ratios of what is given; every figure says whose events it shows, never
"ATLAS". The style holds inside these functions only; write figures with `save`, which uses it too.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar

import awkward as ak
import matplotlib as mpl
import mplhep
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import ArrayLike, NDArray

from hepmtp.comparison import Comparison
from hepmtp.histograms import Histogram, spectrum
from hepmtp.metrics import MIN_RAW, Roc, WorkingPoint, working_point
from hepmtp.regions import REGIONS
from hepmtp.storage import new_file

P = ParamSpec("P")
R = TypeVar("R")

#: TeX label and colour of each process; the colours are Okabe and Ito's, safe for the colour-blind.
PROCESSES: dict[str, tuple[str, str]] = {
    "ttbarW": (r"$t\bar{t}W$", "#56b4e9"),
    "ttbarZ": (r"$t\bar{t}Z$", "#f0e442"),
    "ttbarHiggs": (r"$t\bar{t}H$", "#009e73"),
    "ttbarWW": (r"$t\bar{t}WW$", "#cc79a7"),
    "4top": (r"$t\bar{t}t\bar{t}$", "#d55e00"),
    "glgl1600_neutralino800": (r"$\tilde{g}\tilde{g}$ (1600, 800) GeV", "#0072b2"),
}
#: Colours and line styles of detectors and other curves, in their order.
COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")
LINES = ("-", "--", "-.", ":")
EXTRA = ("#e69f00", "#999999", "#a6761d", "#c7c7c7")


#: What differs from the ATLAS style: smaller text, and signs that its fonts lack.
CHANGES: dict[str, Any] = {
    "axes.labelsize": "medium",
    "xtick.labelsize": "medium",
    "ytick.labelsize": "medium",
    "ytick.major.size": 7,
    "ytick.minor.size": 4,
    "axes.autolimit_mode": "data",
    "mathtext.fontset": "stixsans",
}


class Caption(NamedTuple):
    """What stands in a figure's corner: whose events, luminosity in 1/fb (None: not shown), energy in TeV."""

    experiment: str = "hepmtp"
    text: str = "simulation"
    luminosity: float | None = 139
    energy: float = 13


SIMULATION = Caption()


def _styled(function: Callable[P, R]) -> Callable[P, R]:
    """Run a function in the ATLAS style, and leave the caller's style as it was."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with mpl.rc_context(mplhep.style.ATLAS | CHANGES):
            return function(*args, **kwargs)

    return run


def process_style(datasets: Iterable[str]) -> dict[str, tuple[str, str]]:
    """(TeX label, colour) of each data set; unknown ones get their name and a colour that is left."""
    unknown = sorted(set(datasets := list(datasets)) - set(PROCESSES))
    extra = {name: (name, EXTRA[i % len(EXTRA)]) for i, name in enumerate(unknown)}
    return {name: PROCESSES.get(name) or extra[name] for name in datasets}


@_styled
def score_regions(
    h: Histogram,
    comparison: Comparison,
    *,
    background: Sequence[str],
    signals: Sequence[str] = (),
    signal_scale: float = 1.0,
    thresholds: Mapping[str, float] | None = None,
    caption: Caption = SIMULATION,
) -> Figure:
    """Score in two regions, one above the other, and the ratio of the background's shapes.

    Parameters
    ----------
    h
        score histogram of one detector; events beyond the axis are drawn in the outer bins.
    comparison
        what ``compare(h, "SR", "CR", datasets=background)`` gave; its regions are the panels.
    background, signals
        data sets that are stacked, and drawn as lines.
    signal_scale
        factor on the signals, stated in the legend if it is not 1.
    thresholds
        name -> score of cuts that are marked.
    """
    second, first = comparison.regions
    figure, axes = _panels(8.0, (3, 3, 1.5))
    order = sorted(background, key=lambda name: float(spectrum(h, name, first).sum(flow=True).value))
    labels = {region.name: region.label for region in REGIONS}
    tops = []
    for axis, region in zip(axes[:2], (first, second), strict=True):
        tops.append(_stack(axis, h, region, order, signals, signal_scale))
        _corner(axis, caption if region == first else None, labels.get(region, region))
    for axis in axes[:2]:
        axis.set_ylim(max(max(tops) * 1e-5, 2e-3), max(tops) * 3e2)
    axes[0].legend(loc="upper right", ncols=2, fontsize="x-small", borderpad=0.6)
    _ratio(axes[2], comparison)
    axes[2].text(0.025, 0.88, "shape of the background", transform=axes[2].transAxes, va="top", fontsize="x-small")
    marks = [
        [axis.axvline(cut, ymax=height, color="black", linestyle=line, linewidth=1.2, label=name)
         for axis, height in zip(axes, (0.64, 0.64, 1.0), strict=True)]
        for (name, cut), line in zip((thresholds or {}).items(), itertools.cycle(LINES[1:]), strict=False)
    ]  # fmt: skip
    if marks:
        axes[1].legend(handles=[mark[1] for mark in marks], loc="upper right", fontsize="x-small", borderpad=0.6)
    return figure


@_styled
def shape_comparison(comparison: Comparison, *, caption: Caption = SIMULATION, what: str = "Background") -> Figure:
    """Score of two regions on top of each other with ratio and pulls; chi2 of the comparison in the corner."""
    figure, axes = _panels(7.0, (3, 1.2, 1.2))
    pairs = ((comparison.first, comparison.first_error), (comparison.second, comparison.second_error))
    for (values, errors), name, colour, line in zip(pairs, comparison.regions, COLOURS, LINES, strict=False):
        mplhep.histplot(values, comparison.edges, ax=axes[0], yerr=errors, color=colour, linestyle=line, label=name,
                        flow="none", linewidth=1.8)  # fmt: skip
    axes[0].set(ylabel="Share of the region / bin" if comparison.normalised else "Events / bin", xlabel="")
    axes[0].set_ylim(0, 1.75 * max(float(np.max(values + errors)) for values, errors in pairs))
    p_value = f"p = {comparison.p_value:.2g}" if comparison.p_value > 1e-4 else "p < 0.0001"
    chi2 = rf"$\chi^2$ / ndof = {comparison.chi2:.1f} / {comparison.ndof}, {p_value}"
    _corner(axes[0], caption, f"{what}, {chi2}")
    axes[0].legend(loc="upper right", fontsize="small", borderpad=0.6)
    _ratio(axes[1], comparison)
    axes[1].set_xlabel("")
    centres = (comparison.edges[1:] + comparison.edges[:-1]) / 2
    axes[2].axhspan(-1, 1, color="0.85")
    axes[2].axhline(0, color="black", linewidth=1)
    axes[2].errorbar(centres, comparison.pull, fmt="o", color="black", markersize=4)
    limit = max(3.5, 1.15 * float(np.nanmax(np.abs(comparison.pull), initial=0.0)))
    axes[2].set(ylabel="Pull", xlabel=comparison.label, ylim=(-limit, limit))
    return figure


@_styled
def roc(curves: Mapping[str, Roc], *, title: str = "", caption: Caption = SIMULATION) -> Figure:
    """eps_S against eps_B with error bands, one curve per name, where enough raw background events pass."""
    figure, (axis,) = _panels(6.0, (1,))
    _curves(axis, curves, lambda point: (point.eps_s, point.eps_s_error))
    guide = np.geomspace(axis.get_xlim()[0], 1, 200)
    axis.plot(guide, guide, color="0.5", linewidth=1, linestyle=":", label="no separation")
    axis.set(xscale="log", xlabel=r"Background efficiency $\epsilon_B$", ylabel=r"Signal efficiency $\epsilon_S$")
    axis.set_ylim(0, 1.02)
    _legend_above(axis, caption, title)
    return figure


@_styled
def sic(curves: Mapping[str, Roc], *, title: str = "", caption: Caption = SIMULATION) -> Figure:
    """Significance improvement eps_S / sqrt(eps_B) against eps_B with error bands."""
    figure, (axis,) = _panels(6.0, (1,))
    _curves(axis, curves, lambda point: (point.si, point.si_error))
    guide = np.geomspace(axis.get_xlim()[0], 1, 200)
    axis.plot(guide, np.sqrt(guide), color="0.5", linewidth=1, linestyle=":", label="no separation")
    axis.set(xscale="log", xlabel=r"Background efficiency $\epsilon_B$", ylabel="Significance improvement")
    axis.set_ylim(bottom=0)
    _legend_above(axis, caption, title)
    return figure


@_styled
def training_curve(history: Sequence[Mapping[str, Any]], *, caption: Caption = SIMULATION) -> Figure:
    """Loss per epoch; `history` holds epoch, train_loss and validation_loss, the best epoch is marked."""
    figure, (axis,) = _panels(5.0, (1,))
    epoch = [int(one["epoch"]) for one in history]
    for key, name, colour, line in zip(("train_loss", "validation_loss"), ("training", "validation"), COLOURS, LINES,
                                       strict=False):  # fmt: skip
        axis.plot(
            epoch, [one[key] for one in history], color=colour, linestyle=line, marker="o", markersize=4, label=name
        )
    best = min(history, key=lambda one: float(one["validation_loss"]))
    axis.axvline(int(best["epoch"]), color="0.4", linestyle=":", linewidth=1.2, label=f"best: epoch {best['epoch']}")
    axis.set(xlabel="Epoch", ylabel="Loss [nat / hidden token]")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.xaxis.set_tick_params(which="minor", bottom=False, top=False)
    axis.margins(x=0.03)
    _legend_above(axis, caption._replace(luminosity=None), "")
    return figure


@_styled
def token_occupancy(
    background_counts: ArrayLike,
    signal_counts: ArrayLike,
    *,
    labels: Sequence[str] | None = None,
    xlabel: str = "Token",
    names: tuple[str, str] = ("background", "signal"),
    caption: Caption = SIMULATION,
) -> Figure:
    """How often each token (or digit) occurs in background and in signal, and the ratio with errors.

    Parameters
    ----------
    background_counts, signal_counts
        raw counts, shape (n_tokens,) each.
    labels
        text of each token on the axis, if they are few.
    """
    counts = [np.asarray(one, dtype=np.float64) for one in (background_counts, signal_counts)]
    edges = np.arange(len(counts[0]) + 1) - 0.5
    figure, axes = _panels(6.0, (3, 1.3))
    shares, errors = ([100 * part(one) / one.sum() for one in counts] for part in (np.asarray, np.sqrt))
    many = len(counts[0]) > 60
    for share, error, name, colour, line in zip(shares, errors, names, (COLOURS[1], COLOURS[0]), LINES, strict=False):
        mplhep.histplot(share, edges, ax=axes[0], yerr=None if many else error, color=colour, label=name, flow="none",
                        linestyle="-" if many else line, linewidth=1 if many else 1.8, alpha=0.85)  # fmt: skip
    axes[0].set(ylabel="Share of the tokens [%]", xlabel="")
    top = float(max(np.max(share) for share in shares))
    if many:
        axes[0].set(yscale="log", ylim=(1e-3, 30 * top))
    else:
        axes[0].ticklabel_format(axis="y", style="plain")
        axes[0].set_ylim(0, 1.45 * top)
    axes[0].legend(loc="upper right", fontsize="small", borderpad=0.6)
    _corner(axes[0], caption._replace(luminosity=None), "")
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(counts[0] > 0, shares[1] / shares[0], np.nan)
        error = ratio * np.sqrt(1 / counts[0] + 1 / counts[1])
    axes[1].axhline(1, color="0.4", linewidth=1)
    axes[1].errorbar(np.arange(len(ratio)), ratio, None if many else error, fmt="o", color="black",
                     markersize=1.5 if many else 4, linewidth=1.2)  # fmt: skip
    axes[1].set(ylabel="Ratio", xlabel=xlabel, xlim=(edges[0], edges[-1]))
    _ratio_limits(axes[1], ratio)
    if labels is not None:
        axes[1].set_xticks(np.arange(len(labels)), labels, rotation=0 if len(labels) <= 12 else 60)
        axes[1].xaxis.set_tick_params(which="minor", bottom=False, top=False)
        axes[0].xaxis.set_tick_params(which="minor", bottom=False, top=False)
    return figure


@_styled
def confusion(
    matrix: ArrayLike, *, labels: Sequence[str] | None = None, title: str = "", caption: Caption = SIMULATION
) -> Figure:
    """True token (row) against predicted token (column), each row divided by its sum.

    Parameters
    ----------
    matrix
        counts or summed probabilities, shape (n_tokens, n_tokens).
    """
    counts = np.asarray(matrix, dtype=np.float64)
    sums = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, sums, out=np.zeros_like(counts), where=sums > 0)
    ticks = list(labels) if labels is not None else [str(i) for i in range(len(shares))]
    figure = Figure(figsize=(6.8, 6.2))
    axis = figure.add_axes((0.16, 0.13, 0.64, 0.72))
    image = axis.pcolormesh(shares, cmap="cividis", vmin=0)
    bar = figure.colorbar(image, cax=figure.add_axes((0.83, 0.13, 0.03, 0.72)))
    bar.set_label("Share of the row")
    bar.ax.ticklabel_format(style="plain")
    bar.ax.yaxis.set_tick_params(which="minor", right=False)
    axis.set(xlabel="Predicted token", ylabel="True token", xlim=(0, len(shares)), ylim=(len(shares), 0))
    centres = np.arange(len(shares)) + 0.5
    every = 1 if len(shares) <= 12 else len(shares) // 10
    axis.set_xticks(centres[::every], ticks[::every])
    axis.set_yticks(centres[::every], ticks[::every])
    axis.tick_params(which="both", length=0)
    if len(shares) <= 12:
        for row, column in np.ndindex(*shares.shape):
            dark = shares[row, column] < 0.6 * shares.max()
            axis.text(column + 0.5, row + 0.5, f"{shares[row, column]:.2f}", ha="center", va="center",
                      color="white" if dark else "black", fontsize="small")  # fmt: skip
    _above(axis, caption._replace(luminosity=None), "")
    axis.set_title(title, pad=34, fontsize="medium")  # too long to stand beside the label
    return figure


@_styled
def tokens_before_after(before: ak.Array, after: ak.Array, *, caption: Caption = SIMULATION) -> Figure:
    """pt, abs(eta), phi and MET of events before tokenisation and after encode and decode: what binning keeps."""
    figure = Figure(figsize=(10, 7.6))
    axes = figure.subplots(2, 2, gridspec_kw={"left": 0.09, "right": 0.98, "top": 0.88, "bottom": 0.09,
                                              "hspace": 0.3, "wspace": 0.22})  # fmt: skip
    columns = {
        r"Particle $p_T$ [GeV]": [ak.to_numpy(ak.flatten(one.Particle.pt)) for one in (before, after)],
        r"Particle $|\eta|$": [np.abs(ak.to_numpy(ak.flatten(one.Particle.eta))) for one in (before, after)],
        r"Particle $\phi$": [ak.to_numpy(ak.flatten(one.Particle.phi)) for one in (before, after)],
        r"$E_T^{miss}$ [GeV]": [ak.to_numpy(one.MET.pt) for one in (before, after)],
    }
    for axis, (label, pair) in zip(axes.flat, columns.items(), strict=True):
        edges = _edges(np.concatenate(pair), "GeV" in label)
        for values, name, colour, line in zip(pair, ("before", "after encode, decode"), COLOURS[1::-1], LINES,
                                              strict=False):  # fmt: skip
            content = np.histogram(np.clip(values, edges[0], np.nextafter(edges[-1], -np.inf)), edges)[0]
            mplhep.histplot(content, edges, ax=axis, color=colour, linestyle=line, label=name, flow="none", yerr=False)
        axis.set(xlabel=label, ylabel="Entries / bin", yscale="log")
        axis.set_ylim(0.7, axis.get_ylim()[1] * 3)
    axes[0, 0].legend(loc="upper right", fontsize="small", borderpad=0.4)
    _above(axes[0, 0], caption._replace(luminosity=None), "")
    return figure


@_styled
def save(figure: Figure, folder: str | Path, name: str) -> list[Path]:
    """Write a figure as ``name.png`` (150 dpi) and ``name.pdf``; the same figure gives the same bytes."""
    paths = [Path(folder) / f"{name}{suffix}" for suffix in (".png", ".pdf")]
    for path in paths:
        metadata = {"CreationDate": None} if path.suffix == ".pdf" else {"Software": None}
        with new_file(path) as temporary:
            figure.savefig(temporary, dpi=150, metadata=metadata)
    return paths


def _panels(height: float, ratios: Sequence[float]) -> tuple[Figure, list[Axes]]:
    """Panels that share their x axis, one above the other."""
    figure = Figure(figsize=(8, height))
    grid = {
        "height_ratios": ratios,
        "hspace": 0.06,
        "left": 0.13,
        "right": 0.97,
        "top": 1 - (0.2 if len(ratios) > 1 else 0.45) / height,
        "bottom": 0.75 / height,
    }
    axes = figure.subplots(len(ratios), 1, sharex=True, squeeze=False, gridspec_kw=grid)[:, 0]
    for axis in axes:
        axis.yaxis.set_label_coords(-0.09, 1.0)
    return figure, list(axes)


def _stack(
    axis: Axes, h: Histogram, region: str, background: Sequence[str], signals: Sequence[str], scale: float
) -> float:
    """Stacked background with its error and the signals as lines, on a logarithmic axis; the highest content."""
    style = process_style([*background, *signals])
    mplhep.histplot([spectrum(h, name, region) for name in background], ax=axis, stack=True, histtype="fill",
                    color=[style[name][1] for name in background], label=[style[name][0] for name in background],
                    flow="sum", edgecolor="black", linewidth=0.5)  # fmt: skip
    content, error = _contents(spectrum(h, background, region))
    _band(axis, np.asarray(h.axes["score"].edges), content, error, label="MC stat. unc.")
    for name, line in zip(signals, itertools.cycle(LINES), strict=False):
        label = style[name][0] + ("" if scale == 1 else f" x {scale:g}")
        mplhep.histplot(spectrum(h, name, region) * scale, ax=axis, histtype="step", color=style[name][1], label=label,
                        flow="sum", linestyle=line, linewidth=2, yerr=False)  # fmt: skip
    axis.set_yscale("log")
    axis.set(ylabel="Events / bin", xlabel="")
    return float(content.max())


def _corner(axis: Axes, caption: Caption | None, text: str) -> None:
    """Whose events, energy and luminosity, and a line of text, in the upper left corner."""
    if caption is None:
        mplhep.label.add_text(text, loc="upper left", ax=axis, fontsize=12, ypad=6, xpad=3.5)
        return
    mplhep.label.exp_text(caption.experiment, caption.text, supp=text or None, lumi=_conditions(caption), loc=4, ax=axis,
                          fontsize=(17, 16, 13, 12))  # fmt: skip


def _above(axis: Axes, caption: Caption, title: str) -> None:
    """The same above the axes, and the title on their right."""
    mplhep.label.exp_text(caption.experiment, caption.text, lumi=f"{title}, {_conditions(caption)}".removeprefix(", "),
                          loc=0, ax=axis, fontsize=(17, 16, 13, 12), scilocator_adjust=False)  # fmt: skip


def _conditions(caption: Caption) -> str:
    energy = rf"$\sqrt{{s}}$ = {caption.energy:g} TeV"
    return energy if caption.luminosity is None else rf"{energy}, {caption.luminosity:g} fb$^{{-1}}$"


def _legend_above(axis: Axes, caption: Caption, title: str) -> None:
    _above(axis, caption, title)
    axis.legend(loc="best", fontsize="small", borderpad=0.6)


def _contents(h: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Contents and errors with the flow bins in the outer bins, as mplhep's flow="sum" draws them."""
    parts = []
    for values in (h.values(flow=True), h.variances(flow=True)):
        inner = np.array(values[1:-1])
        inner[0] += values[0]
        inner[-1] += values[-1]
        parts.append(inner)
    return parts[0], np.sqrt(parts[1])


def _band(axis: Axes, edges: NDArray[np.float64], values: NDArray[np.float64], errors: NDArray[np.float64],
          label: str | None = None) -> None:  # fmt: skip
    axis.stairs(values + errors, edges, baseline=np.maximum(values - errors, 1e-9), fill=True, facecolor="none",
                edgecolor="0.25", hatch="//////", linewidth=0, label=label)  # fmt: skip


def _ratio(axis: Axes, comparison: Comparison) -> None:
    """first / second with its errors; the band is the error of second."""
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.nan_to_num(np.where(comparison.second > 0, comparison.second_error / comparison.second, 0.0))
    error = np.sqrt(np.maximum(comparison.ratio_error**2 - (comparison.ratio * relative) ** 2, 0.0))
    _band(axis, comparison.edges, np.ones_like(relative), relative)
    axis.axhline(1, color="0.4", linewidth=1)
    centres = (comparison.edges[1:] + comparison.edges[:-1]) / 2
    axis.errorbar(centres, comparison.ratio, error, fmt="o", color="black", markersize=4, linewidth=1.4)
    axis.set(ylabel=f"{comparison.regions[0]} / {comparison.regions[1]}", xlabel=comparison.label)
    axis.set_xlim(comparison.edges[0], comparison.edges[-1])
    _ratio_limits(axis, comparison.ratio)


def _ratio_limits(axis: Axes, ratio: NDArray[np.float64]) -> None:
    """0 to 2 if the ratio stays there, else a logarithmic axis."""
    seen = ratio[np.isfinite(ratio) & (ratio > 0)]
    low, high = (float(seen.min()), float(seen.max())) if len(seen) else (1.0, 1.0)
    if low > 0.4 and high < 1.9:
        axis.set_ylim(0, 2)
    else:
        bottom, top = max(0.6 * min(low, 0.5), 1e-2), min(1.6 * max(high, 2), 1e2)
        axis.set_yscale("log")
        axis.set_ylim(bottom, top)
        axis.yaxis.set_major_locator(LogLocator(subs=(1.0,) if top / bottom > 50 else (1.0, 2.0, 5.0)))
        axis.yaxis.set_major_formatter(FormatStrFormatter("%g"))
        axis.yaxis.set_minor_formatter(NullFormatter())


def _curves(
    axis: Axes, curves: Mapping[str, Roc], of: Callable[[WorkingPoint], tuple[float | None, float | None]]
) -> None:
    """One line with its band per ROC, from the smallest eps_B that is quoted to 1."""
    lowest = 0.1
    for i, (name, curve) in enumerate(curves.items()):
        points = [working_point(curve, eps_b) for eps_b in np.geomspace(1e-4, 1, 161)]
        x = np.array([point.eps_b for point in points if point.eps_s is not None])
        value, error = np.array([of(point) for point in points if point.eps_s is not None]).reshape(-1, 2).T
        lowest = min(lowest, float(x.min(initial=0.1)))
        colour = COLOURS[i % len(COLOURS)]
        axis.plot(x, value, color=colour, linestyle=LINES[i % len(LINES)], label=name)
        axis.fill_between(x, value - error, value + error, color=colour, alpha=0.2, linewidth=0)
    axis.set_xlim(lowest, 1)
    axis.text(0.98, 0.03, f"drawn where at least {MIN_RAW} raw background events pass", transform=axis.transAxes,
              ha="right", fontsize="x-small", color="0.35")  # fmt: skip


def _edges(values: NDArray[np.float64], positive: bool) -> NDArray[np.float64]:
    low, high = np.quantile(values, (0.0, 0.998)) if positive else (values.min(), values.max())
    return np.linspace(0.0 if positive else low, max(high, low + 1e-9), 51)
