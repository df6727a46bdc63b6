"""The style of all figures: ATLAS, said to be hepmtp's, in colours that everybody can tell apart.

The rule: the style holds inside functions marked `styled` only, and leaves the caller's as it was.
"""

from __future__ import annotations

import functools
import importlib
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar

import matplotlib as mpl
import mplhep
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from hepmtp.events.ragged import Floats
from hepmtp.statistics.comparison import Comparison
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
    """What stands in a figure's corner; what is not known is not said.

    Parameters
    ----------
    experiment, text
        whose events these are, and what to know of them.
    luminosity
        what the weights stand for [1/fb].
    energy
        of the collisions [TeV].
    """

    experiment: str = ""
    text: str = ""
    luminosity: float | None = None
    energy: float | None = None


#: Nothing is known, and nothing is claimed.
UNKNOWN = Caption()
#: Caption of the embedded sample alone.
SIMULATION = Caption("hepmtp", "simulation", luminosity=139, energy=13)
#: Caption of a user's own events.
OWN_FILES = Caption("own files")


def styled(function: Callable[P, R]) -> Callable[P, R]:
    """Run a function in the ATLAS style, and leave the caller's style as it was."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with mpl.rc_context(mplhep.style.ATLAS | CHANGES):
            return function(*args, **kwargs)

    return run


class StyledFigure(Figure):
    """A figure that a notebook shows in this style, with or without pyplot."""

    def _ipython_display_(self) -> None:
        display = importlib.import_module("IPython.display").display  # there where this is called
        display({"image/png": _png(self), "text/plain": repr(self)}, raw=True)


@styled
def _png(figure: Figure) -> bytes:
    """The picture at 72 dpi, the resolution of a page."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=72)
    return picture.getvalue()


def process_style(
    datasets: Iterable[str], labels: Mapping[str, str] | None = None
) -> dict[str, tuple[str, str]]:
    """(TeX label, colour) of each data set; unknown ones get their name and a spare colour.

    `labels` holds TeX labels that some of them have of their own.
    """
    unknown = sorted(set(datasets := list(datasets)) - set(PROCESSES))
    extra = {name: (name, EXTRA[i % len(EXTRA)]) for i, name in enumerate(unknown)}
    known = {name: PROCESSES.get(name) or extra[name] for name in datasets}
    return {
        name: ((labels or {}).get(name, label), colour) for name, (label, colour) in known.items()
    }


@styled
def save(figure: Figure, folder: str | Path, name: str) -> list[Path]:
    """Write a figure as ``name.png`` (150 dpi) and ``name.pdf``; equal figures give equal bytes."""
    paths = [Path(folder) / f"{name}{suffix}" for suffix in (".png", ".pdf")]
    for path in paths:
        metadata = {"CreationDate": None} if path.suffix == ".pdf" else {"Software": None}
        with new_file(path) as temporary:
            figure.savefig(temporary, dpi=150, metadata=metadata)
    return paths


def panels(height: float, ratios: Sequence[float]) -> tuple[Figure, list[Axes]]:
    """Panels that share their x axis, one above the other."""
    figure = StyledFigure(figsize=(8, height))
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


def corner(axis: Axes, caption: Caption | None, text: str) -> None:
    """Whose events, energy and luminosity, and a line of text, in the upper left corner."""
    conditions = "" if caption is None else _conditions(caption)
    if caption is None or not (caption.experiment or caption.text):
        text = "\n".join(filter(None, (conditions, text)))
        mplhep.label.add_text(text, loc="upper left", ax=axis, fontsize=12, ypad=6, xpad=3.5)
        return
    _label(axis, caption, conditions or None, loc=4, supp=text or None)


def above(axis: Axes, caption: Caption, title: str) -> None:
    """The same above the axes, and the title on their right."""
    lumi = ", ".join(filter(None, (title, _conditions(caption))))
    _label(axis, caption, lumi, loc=0, scilocator_adjust=False)


def _label(axis: Axes, caption: Caption, lumi: str | None, **options: Any) -> None:
    names, sizes = (caption.experiment, caption.text), (17, 16, 13, 12)
    mplhep.label.exp_text(*names, lumi=lumi, ax=axis, fontsize=sizes, **options)


def _conditions(caption: Caption) -> str:
    """Energy and luminosity, as far as they are known."""
    known = []
    if caption.energy is not None:
        known.append(rf"$\sqrt{{s}}$ = {caption.energy:g} TeV")
    if caption.luminosity is not None:
        known.append(rf"{caption.luminosity:g} fb$^{{-1}}$")
    return ", ".join(known)


def legend_above(axis: Axes, caption: Caption, title: str) -> None:
    """Label above the axes, and a legend where the curves leave room."""
    above(axis, caption, title)
    axis.legend(
        loc="best", fontsize="small", borderpad=0.6, bbox_to_anchor=(0, 0.07, 1, 0.93)
    )  # above a line of text


def ratio_limits(axis: Axes, ratio: NDArray[np.float64]) -> None:
    """0 to 2 if the ratio stays there, else a logarithmic axis."""
    seen = ratio[np.isfinite(ratio) & (ratio > 0)]
    low, high = (float(seen.min()), float(seen.max())) if len(seen) else (1.0, 1.0)
    if low > 0.4 and high < 1.9:
        axis.set_ylim(0, 2)
    else:
        bottom, top = max(0.6 * min(low, 0.5), 1e-2), min(1.6 * max(high, 2), 1e2)
        axis.set_yscale("log")
        axis.set_ylim(bottom, top)
        axis.yaxis.set_major_locator(
            LogLocator(subs=(1.0,) if top / bottom > 50 else (1.0, 2.0, 5.0))
        )
        axis.yaxis.set_major_formatter(FormatStrFormatter("%g"))
        axis.yaxis.set_minor_formatter(NullFormatter())


def errorbar(
    axis: Axes, edges: Floats, values: Floats, errors: Floats, label: str | None = None
) -> None:
    """Points where something was seen."""
    seen, centres = values > 0, (edges[1:] + edges[:-1]) / 2
    how: dict[str, Any] = {"fmt": "o", "color": "black", "markersize": 4, "linewidth": 1.4}
    axis.errorbar(centres[seen], values[seen], errors[:, seen], label=label, zorder=5, **how)


def band(
    axis: Axes, edges: Floats, values: Floats, errors: Floats, label: str | None = None
) -> None:
    """Hatched band around values, shape (n_bins,); nothing of it lies below 0."""
    low, high = np.maximum(values - errors, 1e-9), np.maximum(values + errors, 1e-9)
    hatched: dict[str, Any] = {"facecolor": "none", "edgecolor": "0.25", "hatch": "//////"}
    axis.stairs(high, edges, baseline=low, fill=True, linewidth=0, label=label, **hatched)


def shape_ratio(axis: Axes, comparison: Comparison) -> None:
    """first / second with its errors; the band is the error of second."""
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.nan_to_num(
            np.where(comparison.second > 0, comparison.second_error / comparison.second, 0.0)
        )
    error = np.sqrt(np.maximum(comparison.ratio_error**2 - (comparison.ratio * relative) ** 2, 0.0))
    band(axis, comparison.edges, np.ones_like(relative), relative)
    axis.axhline(1, color="0.4", linewidth=1)
    centres = (comparison.edges[1:] + comparison.edges[:-1]) / 2
    points: dict[str, Any] = {"fmt": "o", "color": "black", "markersize": 4, "linewidth": 1.4}
    axis.errorbar(centres, comparison.ratio, error, **points)
    axis.set(ylabel=f"{comparison.regions[0]} / {comparison.regions[1]}", xlabel=comparison.label)
    axis.set_xlim(comparison.edges[0], comparison.edges[-1])
    ratio_limits(axis, comparison.ratio)
