"""Figures of a run: its score in the regions, data beside background, separation of each signal.

Each is written into the run's folder ``figures`` and comes with the words that a reader needs.

The rule: a figure claims what the run knows, and one that cannot be made stops no other.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from hepmtp import plotting
from hepmtp.events.region_info import RegionInfo, named, threshold_regions, wholes
from hepmtp.plotting.names import words
from hepmtp.report.attempts import Attempts
from hepmtp.report.calibrated_figures import calibrated, calibrated_of, compared_regions
from hepmtp.report.cut_figures import cut_figures
from hepmtp.report.drawn_figures import (
    Drawn,
    Output,
    caption_of,
    coarse,
    draw,
    label_of,
    shown_with,
)
from hepmtp.report.info import FigureText, RunInfo
from hepmtp.report.problems import holds
from hepmtp.report.story import CALIBRATED
from hepmtp.report.strange_figures import strange_figures
from hepmtp.statistics.comparison import compare
from hepmtp.statistics.histograms import Histogram
from hepmtp.statistics.metrics import Roc
from hepmtp.statistics.performance import Columns, scores as per_event
from hepmtp.statistics.thresholds import Threshold, threshold
from hepmtp.statistics.working_points import MIN_RAW

#: Scores whose ROC and SIC are drawn beside the one that a run is about.
CURVES = ("token_rarity", "multiplicity", "n_b", "ht", "met")
#: Share of the background that the threshold in a figure leaves below.
QUANTILE = 0.99
#: How simulated events are drawn.
SIMULATED = "background stacked, signal as lines"


def pairs(regions: Iterable[RegionInfo]) -> list[tuple[str, str]]:
    """(signal, control): every signal region with every control region that has thresholds."""
    regions = list(regions)
    return list(itertools.product(named(regions, "signal"), threshold_regions(regions)))


def draw_scores(
    folder: str | Path,
    output: Output,
    histograms: Mapping[str, Histogram],
    info: RunInfo,
    attempt: Attempts | None = None,
) -> list[FigureText]:
    """Draw the score that a run is about, and how it separates each signal.

    First its calibrated form, if the run has that. For each pair of a signal and a control region:
    the score in both, and their shapes. Without such a pair: the score in every region. For each
    region in which data are not blind: the data beside the background. For each signal region, or
    else each region without purpose: ROC and SIC of each signal. Regions without background are
    left out, but for the data. Each variable that the first signal region cuts on, without the cut.
    The strangest events.

    Names of files end in those of the regions, but for the first pair and the first region.

    Parameters
    ----------
    attempt
        remembers what could not be drawn.
    """
    attempt = attempt or Attempts()
    drawn = (
        attempt(f"figure {name}", partial(draw, Path(folder) / "figures", name, make, info))
        for name, make in _figures(output, histograms, info, attempt)
    )
    return [text for text in drawn if text is not None]


def draw_regions(
    folder: str | Path,
    h: Histogram,
    info: RunInfo,
    regions: tuple[str, str],
    *,
    quantile: float = QUANTILE,
    name: str = "score",
) -> FigureText:
    """Draw a score in two regions, with the threshold that the second gives."""
    cut = threshold(h, background=info.background, region=regions[1], quantile=quantile)
    return draw(Path(folder) / "figures", name, partial(_two_regions, h, info, regions, cut), info)


def _figures(
    output: Output, histograms: Mapping[str, Histogram], info: RunInfo, attempt: Attempts
) -> Iterator[tuple[str, Callable[[], Drawn]]]:
    """Name of each figure, and what draws it."""
    h = histograms[info.detector]
    of_calibrated = calibrated_of(histograms, info)
    if of_calibrated is not None and compared_regions(of_calibrated, info):
        replicas = output.get("replicas", {}).get(of_calibrated.name)
        yield CALIBRATED, partial(calibrated, of_calibrated, info, replicas=replicas)
    filled = [one for one in wholes(info.regions) if holds(h, info.background, one.name)]
    for i, pair in enumerate(pairs(filled)):
        end = "-".join(["", *pair]) if i else ""
        where = f"the threshold of {info.detector} in {pair[1]}"
        of_control: dict[str, Any] = {
            "background": info.background,
            "region": pair[1],
            "quantile": QUANTILE,
        }
        cut = attempt(where, partial(threshold, h, **of_control))
        yield f"score{end}", partial(_two_regions, h, info, pair, cut)
        yield f"shape{end}", partial(_shapes, h, info, pair)
    if filled and not pairs(filled):
        shown = [one.name for one in filled if not one.controls]
        yield "score", partial(_every_region, h, info, shown or [one.name for one in filled])
    for one in wholes(info.regions):
        if one.name not in info.blind and holds(h, info.data, one.name):
            yield f"data-{one.name}", partial(_data, h, info, one.name)
    yield from cut_figures(output.get("n_minus_one", {}), info)
    for i, region in enumerate(named(filled, "signal") or named(filled, "")):
        yield from _separations(
            output, histograms, info, region, f"-{region}" if i else "", attempt
        )
    yield from strange_figures(output.get("strangest", {}), info)


def _two_regions(
    h: Histogram, info: RunInfo, regions: tuple[str, str], cut: Threshold | None
) -> Drawn:
    """Score in a signal and a control region, with the threshold of the latter if it has one."""
    h = coarse(h)
    comparison = compare(h, *regions, datasets=info.background)
    thresholds = {} if cut is None else {cut.rule: cut.value}
    figure = plotting.score_regions(h, comparison, thresholds=thresholds, **shown_with(info))
    text = (
        f"The {words(comparison.label)} in {regions[1]} and {regions[0]}: "
        f"{_what_is_drawn(info)}, ratio of the background's shapes."
    )
    return figure, text


def _shapes(h: Histogram, info: RunInfo, regions: tuple[str, str]) -> Drawn:
    """Shapes of the background in a signal and a control region."""
    shape = compare(coarse(h), *regions, datasets=info.background)
    where = f"{regions[0]} against {regions[1]}"
    text = f"Shape of {words(shape.label)} in {where}, background: {shape.verdict}."
    return plotting.shape_comparison(shape, caption=caption_of(info)), text


def _every_region(h: Histogram, info: RunInfo, regions: Sequence[str]) -> Drawn:
    h = coarse(h)
    figure = plotting.score_panels(h, regions, **shown_with(info))
    text = f"The {words(h.axes['score'].label)} in {', '.join(regions)}: {_what_is_drawn(info)}."
    return figure, text


def _data(h: Histogram, info: RunInfo, region: str) -> Drawn:
    """Data in a region, beside the background if there is any."""
    h = coarse(h)
    label = words(h.axes["score"].label)
    shown = shown_with(info)
    if not holds(h, info.background, region):
        alone = f"The {label} of the data in {region}, with Poisson errors."
        return plotting.score_panels(h, [region], **shown), alone
    del shown["blind"]
    text = (
        f"The {label} in {region}: data as points with Poisson errors, {SIMULATED}, and the "
        "ratio of data and background."
    )
    return plotting.data_and_background(h, region, **shown), text


def _what_is_drawn(info: RunInfo) -> str:
    if not info.data:
        return SIMULATED
    blind = [one.name for one in wholes(info.regions) if one.name in info.blind]
    hidden = f" (blind in {', '.join(blind)})" if blind else ""
    return f"{SIMULATED}, data as points{hidden}"


def _separations(
    output: Output,
    histograms: Mapping[str, Histogram],
    info: RunInfo,
    region: str,
    end: str,
    attempt: Attempts,
) -> Iterator[tuple[str, Callable[[], Drawn]]]:
    """ROC and SIC of each signal in a region."""
    if "columns" not in output:
        return
    wanted = dict.fromkeys((info.detector, *CURVES, info.reference))
    names = [name for name in wanted if name in histograms]
    for signal in info.signals:
        if not holds(histograms[info.detector], [signal], region):
            continue
        where = {"signal": signal, "background": info.background, "region": region}
        make = partial(_rocs, output["columns"], names, where)
        if curves := attempt(f"the ROC of {signal} in {region}", make):
            for kind, draw in (("roc", plotting.roc), ("sic", plotting.sic)):
                yield (
                    f"{kind}_{signal}{end}",
                    partial(_curves, curves, info, (signal, region), (kind, draw)),
                )


def _rocs(columns: Columns, names: Sequence[str], where: Mapping[str, Any]) -> dict[str, Roc]:
    return {name: per_event(columns, name, **where).roc() for name in names}


def _curves(
    curves: Mapping[str, Roc],
    info: RunInfo,
    of_what: tuple[str, str],
    how: tuple[str, Callable[..., Figure]],
) -> Drawn:
    (signal, region), (kind, draw) = of_what, how
    title = f"{label_of(signal, info)}, {words(region)}"
    text = (
        f"{kind.upper()} of {label_of(signal, info)} in {words(region)}, weighted by "
        f"{weighted_by(info.content)}, where at least {MIN_RAW} raw background events pass."
    )
    return draw(curves, title=title, caption=caption_of(info)), text


def weighted_by(content: str) -> str:
    """What events are weighted by, if sums of their weights are this."""
    return "cross-section" if content == "Events" else "the weights of the files"
