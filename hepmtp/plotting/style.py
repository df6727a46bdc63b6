"""The style of all figures: ATLAS, said to be hepmtp's, with labels in one place.

The rule: the style holds inside functions marked `styled` only, and leaves the caller's as it was.
"""

from __future__ import annotations

import functools
import importlib
import io
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar

import matplotlib as mpl
import mplhep
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, MultipleLocator, NullLocator

from hepmtp.events.ragged import Floats
from hepmtp.plotting.names import words
from hepmtp.statistics.histograms import Histogram
from hepmtp.storage import file_name, new_file

P = ParamSpec("P")

R = TypeVar("R")

#: What differs from the ATLAS style: smaller text, signs that its fonts lack, and titles that stay
#: where they are put: to find them a better place, all texts of a figure would be laid out twice.
CHANGES: dict[str, Any] = {
    "axes.labelsize": "medium",
    "xtick.labelsize": "medium",
    "ytick.labelsize": "medium",
    "ytick.major.size": 7,
    "ytick.minor.size": 4,
    "axes.autolimit_mode": "data",
    "mathtext.fontset": "stixsans",
    "axes.titley": 1.0,
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


#: Said of bins that hold what lies beyond the axis.
FLOW = "outer bins: with under- and overflow"
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


@styled
def save(figure: Figure, folder: str | Path, name: str, *, pdf: bool = False) -> list[Path]:
    """Write a figure as ``name.png`` (150 dpi), and as ``name.pdf`` too if asked for.

    Equal figures give equal bytes. The files lie in the folder whatever the name is
    (`hepmtp.storage.file_name`).
    """
    endings = (".png", *((".pdf",) * pdf))
    paths = [Path(folder) / f"{file_name(name)}{suffix}" for suffix in endings]
    for path in paths:
        how: dict[str, Any] = {"metadata": {"CreationDate": None}}
        if path.suffix == ".png":  # a tenth larger than at the usual level, and sooner there
            how = {"metadata": {"Software": None}, "pil_kwargs": {"compress_level": 2}}
        with new_file(path) as temporary:
            figure.savefig(temporary, dpi=150, **how)
    return paths


def panels(
    height: float, ratios: Sequence[float], *, below: float = 0.75
) -> tuple[Figure, list[Axes]]:
    """Panels that share their x axis, one above the other, and inches below them."""
    figure = StyledFigure(figsize=(8, height))
    grid = {
        "height_ratios": ratios,
        "hspace": 0.08,
        "left": 0.13,
        "right": 0.97,
        "top": 1 - 0.45 / height,
        "bottom": below / height,
    }
    axes = figure.subplots(len(ratios), 1, sharex=True, squeeze=False, gridspec_kw=grid)[:, 0]
    for axis in axes:
        axis.yaxis.set_label_coords(-0.09, 1.0)
    return figure, list(axes)


def above(axis: Axes, caption: Caption, title: str = "") -> None:
    """Whose events above the axes, the same place in all figures; on the right what is shown.

    That is a title, energy and luminosity, as far as they are known.
    """
    lumi = ", ".join(filter(None, (title, _conditions(caption))))
    names, sizes = (caption.experiment, caption.text), (17, 16, 13, 12)
    place: dict[str, Any] = {"loc": 0, "scilocator_adjust": False, "fontsize": sizes}
    mplhep.label.exp_text(*names, lumi=lumi, ax=axis, **place)


def inside(axis: Axes, text: str) -> None:
    """A text in the upper left corner, of what is drawn there."""
    mplhep.label.add_text(text, loc="upper left", ax=axis, fontsize=12, ypad=6, xpad=3.5)


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


def per_bin(content: str, edges: Floats, label: str) -> str:
    """Text of a y axis: the content per width of a bin, with its unit.

    Examples
    --------
    >>> per_bin("Events", np.linspace(0, 3000, 61), "$H_T$ [GeV]")
    'Events / 50 GeV'
    >>> per_bin("Events", np.arange(4) - 0.5, "number of jets")
    'Events'
    """
    widths = np.diff(edges)
    if not np.allclose(widths, widths[0]):
        return f"{content} / bin"
    if is_count(edges):
        return content
    unit = re.search(r"\[([^][]+)\]$", label)
    short = float(f"{widths[0]:.3g}")
    if not np.isclose(short, widths[0], rtol=1e-6):  # no round number
        short = float(f"{widths[0]:.2g}")
    return " ".join([f"{content} / {short:g}", *(unit.groups() if unit else ())])


def is_count(edges: Floats) -> bool:
    """Whether an axis has a bin for each whole number.

    Examples
    --------
    >>> is_count(np.arange(4) - 0.5), is_count(np.arange(4.0))
    (True, False)
    """
    return bool(np.allclose(np.diff(edges), 1.0) and edges[0] % 1 == 0.5)


def x_axis(axis: Axes, edges: Floats, label: str) -> None:
    """Label and limits of the x axis; one of whole numbers has ticks at these alone."""
    axis.set_xlabel(words(label))
    axis.set_xlim(edges[0], edges[-1])
    if is_count(edges):
        axis.xaxis.set_major_locator(MaxNLocator(10, integer=True))
        few = edges[-1] - edges[0] <= 20
        axis.xaxis.set_minor_locator(MultipleLocator(1) if few else NullLocator())


def log_limits(axis: Axes, contents: Iterable[Floats], *, room: float = 0.36) -> None:
    """A logarithmic axis from the smallest content to the largest, with room for texts above.

    Six orders of magnitude at most; what is not above 0 lies below the axis.
    """
    values = np.concatenate([np.ravel(one) for one in contents])
    seen = values[np.isfinite(values) & (values > 0)]
    high = float(seen.max()) if len(seen) else 1.0
    low = max(float(seen.min()) / 2, high * 1e-6) if len(seen) else 0.1
    axis.set_yscale("log")
    axis.set_ylim(low, high * (2 * high / low) ** (room / (1 - room)))


def flow_of(spectra: Iterable[Histogram]) -> str:
    """Which of the outer bins hold what lies beyond the axis that these spectra have."""
    flow = [one.view(flow=True)["variance"][[0, -1]] > 0 for one in spectra]
    under, over = np.any(flow, axis=0) if flow else (False, False)
    return {
        (True, True): FLOW,
        (True, False): "first bin: with underflow",
        (False, True): "last bin: with overflow",
    }.get((bool(under), bool(over)), "")


def note(axis: Axes, text: str) -> None:
    """A small text below an axis, on the left."""
    how: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
    below: dict[str, Any] = {"ha": "left", "va": "top", "fontsize": "x-small", "color": "0.35"}
    axis.annotate(text, (0, 0), (0, -30), **how, **below)


def errorbar(
    axis: Axes, edges: Floats, values: Floats, errors: Floats, label: str | None = None
) -> None:
    """Points where something was seen."""
    seen, centres = values > 0, (edges[1:] + edges[:-1]) / 2
    how: dict[str, Any] = {"fmt": "o", "color": "black", "markersize": 4, "linewidth": 1.4}
    axis.errorbar(centres[seen], values[seen], errors[:, seen], label=label, zorder=5, **how)
