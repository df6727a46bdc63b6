"""Figures of a run: its score in the regions, and how it separates each signal.

Each is written into the run's folder ``figures`` and comes with the words that a reader needs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from hepmtp import plotting
from hepmtp.events.regions import RegionInfo, named
from hepmtp.plotting import OWN_FILES, SIMULATION, Caption
from hepmtp.report.info import SIMULATION_NOTE, FigureText, RunInfo
from hepmtp.statistics.comparison import compare, threshold
from hepmtp.statistics.histograms import Histogram, rebin, yields
from hepmtp.statistics.metrics import MIN_RAW
from hepmtp.statistics.performance import scores as per_event

Output = Mapping[str, Any]
#: Name of a figure's files, the figure, its caption.
Drawn = tuple[str, Figure, str]
#: Scores whose ROC and SIC are drawn beside the one that a run is about.
CURVES = ("token_rarity", "multiplicity", "n_b", "ht", "met")


def pairs(regions: Iterable[RegionInfo]) -> list[tuple[str, str]]:
    """(signal, control): every signal region of a run with every control region."""
    return list(itertools.product(named(regions, "signal"), named(regions, "control")))


def draw_scores(
    folder: str | Path, output: Output, histograms: Mapping[str, Histogram], info: RunInfo
) -> list[FigureText]:
    """Draw the score that a run is about, and how it separates each signal.

    For each pair of a signal and a control region: the score in both, and their shapes. Without
    such a pair: the score in every region. For each signal region, or else each region without
    purpose: ROC and SIC of each signal. Regions without background are left out.

    Names of files end in those of the regions, but for the first pair and the first region.
    """
    h = histograms[info.detector]
    filled = [one for one in info.regions if holds(h, info.background, one.name)]
    drawn: list[Drawn] = []
    for i, pair in enumerate(pairs(filled)):
        drawn += _pair(h, info, pair, "-".join(["", *pair]) if i else "")
    if filled and not drawn:
        drawn.append(_every_region(h, info, [one.name for one in filled]))
    for i, region in enumerate(named(filled, "signal") or named(filled, "")):
        drawn += _curves(output, histograms, info, region, f"-{region}" if i else "")
    return [_save(folder, *one) for one in drawn]


def draw_regions(
    folder: str | Path,
    h: Histogram,
    info: RunInfo,
    regions: tuple[str, str],
    *,
    quantile: float = 0.99,
    name: str = "score",
) -> FigureText:
    """Draw a score in two regions, with the threshold that the second gives."""
    return _save(folder, name, *_two_regions(h, info, regions, quantile))


def caption_of(info: RunInfo) -> Caption:
    """Whose events the figures of a run show."""
    return SIMULATION if info.note == SIMULATION_NOTE else OWN_FILES


def coarse(h: Histogram, *, bins: int = 20) -> Histogram:
    """The same histogram for figures and shapes: as few bins as can be joined, at least `bins`."""
    found = len(h.axes["score"])
    return rebin(
        h, max(n for n in range(1, found + 1) if found % n == 0 and (found // n >= bins or n == 1))
    )


def holds(h: Histogram, names: Sequence[str], region: str) -> bool:
    """Whether these data sets have an event in the region; one that was not filled has none."""
    return bool(names) and region in h.axes["region"] and yields(h, names, region).error > 0


def _pair(h: Histogram, info: RunInfo, regions: tuple[str, str], end: str) -> Iterator[Drawn]:
    """Score and shape of a signal and a control region."""
    yield f"score{end}", *_two_regions(h, info, regions, 0.99)
    shape = compare(coarse(h), *regions, datasets=info.background)
    where = f"{regions[0]} against {regions[1]}"
    text = f"Shape of {shape.label} in {where}, background: {shape.verdict}."
    yield f"shape{end}", plotting.shape_comparison(shape, caption=caption_of(info)), text


def _two_regions(
    h: Histogram, info: RunInfo, regions: tuple[str, str], quantile: float
) -> tuple[Figure, str]:
    cut = threshold(h, background=info.background, region=regions[1], quantile=quantile)
    h = coarse(h)
    comparison = compare(h, *regions, datasets=info.background)
    figure = plotting.score_regions(
        h, comparison, thresholds={cut.rule: cut.value}, **_shown_with(info)
    )
    text = (
        f"The {comparison.label} in {regions[1]} and {regions[0]}: "
        "background stacked, signal as lines, ratio of the background's shapes."
    )
    return figure, text


def _every_region(h: Histogram, info: RunInfo, regions: Sequence[str]) -> Drawn:
    figure = plotting.score_panels(coarse(h), regions, **_shown_with(info))
    text = (
        f"The {h.axes['score'].label} in {', '.join(regions)}: background stacked, signal as lines."
    )
    return "score", figure, text


def _shown_with(info: RunInfo) -> dict[str, Any]:
    return {
        "background": info.background,
        "signals": info.signals,
        "labels": {one.name: one.label for one in info.regions},
        "caption": caption_of(info),
    }


def _curves(
    output: Output, histograms: Mapping[str, Histogram], info: RunInfo, region: str, end: str
) -> Iterator[Drawn]:
    """ROC and SIC of each signal in a region."""
    for signal in info.signals:
        if not holds(histograms[info.detector], [signal], region):
            continue
        where: dict[str, Any] = {"signal": signal, "background": info.background, "region": region}
        curves = {
            name: per_event(output["columns"], name, **where).roc()
            for name in dict.fromkeys((info.detector, *CURVES))
            if name in histograms
        }
        for kind, draw in (("roc", plotting.roc), ("sic", plotting.sic)):
            figure = draw(curves, title=f"{signal}, {region}", caption=caption_of(info))
            text = (
                f"{kind.upper()} of {signal} in {region}, weighted by cross-section, "
                f"where at least {MIN_RAW} raw background events pass."
            )
            yield f"{kind}_{signal}{end}", figure, text


def _save(folder: str | Path, name: str, figure: Figure, text: str) -> FigureText:
    plotting.save(figure, Path(folder) / "figures", name)
    return FigureText(name, text, text)
