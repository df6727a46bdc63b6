"""What all figures of a run have in common: what they claim, and how one is written with its words.

The rule: a figure of an incomplete run says so. Where a run is drawn again without PDF, none of
before stays beside a new figure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from hepmtp import plotting
from hepmtp.plotting import OWN_FILES, SIMULATION, Caption
from hepmtp.plotting.style import is_count
from hepmtp.report.info import SIMULATION_NOTE, FigureText, RunInfo
from hepmtp.statistics.histograms import Histogram, rebin
from hepmtp.storage import file_name

Output = Mapping[str, Any]
#: A figure and its caption.
Drawn = tuple[Figure, str]


def caption_of(info: RunInfo) -> Caption:
    """What the figures of a run claim."""
    if info.caption is not None:
        return Caption(**info.caption)
    return SIMULATION if info.note == SIMULATION_NOTE else OWN_FILES


def shown_with(info: RunInfo) -> dict[str, Any]:
    """What figures of regions are told of a run."""
    return {
        "background": info.background,
        "signals": info.signals,
        "data": info.data,
        "blind": info.blind,
        "labels": {one.name: one.label for one in info.regions},
        "names": info.labels,
        "content": info.content,
        "caption": caption_of(info),
    }


def draw(folder: str | Path, name: str, make: Callable[[], Drawn], info: RunInfo) -> FigureText:
    """Draw a figure into `folder`."""
    figure, text = make()
    name = file_name(name)
    write(figure, folder, name, pdf=info.pdf)
    if info.incomplete:
        text += " Incomplete: not everything was read."
    return FigureText(name, text, shortly(text))


def shortly(caption: str) -> str:
    """What one who cannot see a figure is told before its caption: what it is of.

    Examples
    --------
    >>> shortly("The score in SR: background stacked, signal as lines.")
    'Figure: the score in SR'
    """
    of = re.split(r"[:;.] ", caption.removesuffix("."), maxsplit=1)[0]
    return f"Figure: {of[:1].lower() + of[1:] if of[1:2].islower() else of}"


def write(figure: Figure, folder: str | Path, name: str, *, pdf: bool) -> None:
    """Write a figure of a run as PNG, and as PDF if the run wants it."""
    plotting.save(figure, folder, name, pdf=pdf)
    if not pdf:
        (Path(folder) / f"{file_name(name)}.pdf").unlink(missing_ok=True)


def label_of(dataset: str, info: RunInfo) -> str:
    """TeX label of a data set of a run."""
    return plotting.process_style([dataset], info.labels)[dataset][0]


def coarse(h: Histogram, *, bins: int = 20, keep: Collection[float] = ()) -> Histogram:
    """The same histogram for figures and shapes: as few bins as can be joined, at least `bins`.

    One of whole numbers stays as it is. Values of `keep` that are edges stay edges.
    """
    edges = np.asarray(h.axes["score"].edges)
    if is_count(edges):
        return h
    found = len(edges) - 1
    wanted = [one for one in keep if np.isclose(edges, one).any()]

    def fits(n: int) -> bool:
        kept = all(np.isclose(edges[::n], one).any() for one in wanted)
        return n == 1 or (found % n == 0 and found // n >= bins and kept)

    return rebin(h, max(filter(fits, range(1, found + 1))))
