"""Figures of what is cut on: a variable in the signal region without the cuts on it.

The rule: simulation alone. What lacks a cut is not the region, so that nothing says whether data
may be looked at there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from hepmtp import plotting
from hepmtp.events.region_info import RegionInfo, named
from hepmtp.report.drawn_figures import Drawn, coarse, shown_with
from hepmtp.report.info import RunInfo
from hepmtp.report.problems import holds
from hepmtp.statistics.histograms import Histogram


def cut_figures(
    histograms: Mapping[str, Histogram], info: RunInfo
) -> Iterator[tuple[str, Callable[[], Drawn]]]:
    """Name of each figure and what draws it: each variable that the first signal region cuts on.

    Parameters
    ----------
    histograms
        variable -> its histogram without the cuts on it, as `n_minus_one.json` holds them.
    """
    first = next(iter(named(info.regions, "signal")), None)
    for region in (one for one in info.regions if one.name == first):
        for name in dict.fromkeys(name for name, _, _ in region.windows):
            h = histograms.get(name)
            if h is not None and holds(h, info.background, region.name):
                yield f"n_minus_one-{name}", partial(_without_cut, h, info, region)


def _without_cut(h: Histogram, info: RunInfo, region: RegionInfo) -> Drawn:
    windows = [(above, upto) for name, above, upto in region.windows if name == h.name]
    shown = {**shown_with(info), "data": ()}
    h = coarse(h, keep=[one for window in windows for one in window if one is not None])
    figure = plotting.n_minus_one(h, region.name, windows=windows, **shown)
    text = (
        f"The {h.axes['score'].label} in {region.name} without the cut on it: simulation, "
        "background stacked, signal as lines; the cut keeps what is not grey."
    )
    return figure, text
