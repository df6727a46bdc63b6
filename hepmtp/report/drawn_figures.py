"""What all figures of a run have in common: what they claim, and how one is written with its words.

The rule: a figure of an incomplete run says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from hepmtp import plotting
from hepmtp.plotting import OWN_FILES, SIMULATION, Caption
from hepmtp.report.info import SIMULATION_NOTE, FigureText, RunInfo
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
    plotting.save(figure, Path(folder), name)
    if info.incomplete:
        text += " Incomplete: not everything was read."
    return FigureText(name, text, text)
