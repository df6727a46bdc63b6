"""Figures of a run: the score that it is about in its regions, and how it separates each signal."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hepmtp import plotting
from hepmtp.events.regions import RegionInfo, named
from hepmtp.plotting import OWN_FILES, SIMULATION, Caption
from hepmtp.report.info import SIMULATION_NOTE, FigureText, RunInfo
from hepmtp.statistics.comparison import compare, threshold
from hepmtp.statistics.histograms import Histogram, rebin, yields
from hepmtp.statistics.performance import scores as per_event

Output = Mapping[str, Any]


#: Scores whose ROC and SIC are drawn beside the one that a run is about.
CURVES = ("token_rarity", "multiplicity", "n_b", "ht", "met")


def pairs(regions: Iterable[RegionInfo]) -> list[tuple[str, str]]:
    """(signal, control): every signal region of a run with every control region."""
    return list(itertools.product(named(regions, "signal"), named(regions, "control")))


def draw_scores(
    folder: str | Path, output: Output, histograms: Mapping[str, Histogram], info: RunInfo
) -> list[FigureText]:
    """Draw the score that a run is about, and how it separates each signal.

    For each pair of a signal and a control region the score in both and their shapes; for each signal region, or each
    region without purpose if there is none, ROC and SIC of each signal. Names of files end in those of the regions if
    there are several.
    """
    h, caption = histograms[info.detector], caption_of(info)
    labels = {one.name: one.label for one in info.regions}
    texts = []
    for i, (first, second) in enumerate(pairs(info.regions)):
        if not (holds(h, info.background, first) and holds(h, info.background, second)):
            continue
        end = f"-{first}-{second}" if i else ""
        texts.append(
            draw_regions(
                folder,
                h,
                info.background,
                info.signals,
                regions=(first, second),
                name=f"score{end}",
                labels=labels,
                caption=caption,
            )
        )
        shape = compare(coarse(h), first, second, datasets=info.background)
        figure = plotting.shape_comparison(shape, caption=caption)
        plotting.save(figure, Path(folder) / "figures", f"shape{end}")
        text = (
            f"Shape of {shape.label} in {first} against {second}, background: chi2 / ndof = "
            f"{shape.chi2:.1f} / {shape.ndof}, p = {shape.p_value:.2g}."
        )
        texts.append(FigureText(f"shape{end}", text, text))
    shown = named(info.regions, "signal") or named(info.regions, "")
    for i, region in enumerate(shown):
        texts += _draw_curves(folder, output, histograms, info, region, f"-{region}" if i else "")
    return texts


def _draw_curves(
    folder: str | Path,
    output: Output,
    histograms: Mapping[str, Histogram],
    info: RunInfo,
    region: str,
    end: str,
) -> list[FigureText]:
    """ROC and SIC of each signal in a region."""
    h, texts = histograms[info.detector], []
    if not holds(h, info.background, region):
        return []
    for signal in (name for name in info.signals if holds(h, [name], region)):
        curves = {
            name: per_event(
                output["columns"], name, signal=signal, background=info.background, region=region
            ).roc()
            for name in dict.fromkeys((info.detector, *CURVES))
            if name in histograms
        }
        for kind, draw in (("roc", plotting.roc), ("sic", plotting.sic)):
            name = f"{kind}_{signal}{end}"
            figure = draw(curves, title=f"{signal}, {region}", caption=caption_of(info))
            plotting.save(figure, Path(folder) / "figures", name)
            text = (
                f"{kind.upper()} of {signal} in {region}, weighted by cross-section, where at least "
                "25 raw background events pass."
            )
            texts.append(FigureText(name, text, text))
    return texts


def caption_of(info: RunInfo) -> Caption:
    """Whose events the figures of a run show."""
    return SIMULATION if info.note == SIMULATION_NOTE else OWN_FILES


def coarse(h: Histogram, *, bins: int = 20) -> Histogram:
    """The same histogram with neighbouring bins joined as far as at least `bins` are left: for figures and shapes."""
    found = len(h.axes["score"])
    return rebin(
        h, max(n for n in range(1, found + 1) if found % n == 0 and (found // n >= bins or n == 1))
    )


def draw_regions(
    folder: str | Path,
    h: Histogram,
    background: Sequence[str],
    signals: Sequence[str],
    *,
    regions: tuple[str, str],
    quantile: float = 0.99,
    name: str = "score",
    labels: Mapping[str, str] | None = None,
    caption: Caption = SIMULATION,
) -> FigureText:
    """Draw a score in two regions, with the threshold that the second gives, into the run's folder ``figures``."""
    cut = threshold(h, background=background, region=regions[1], quantile=quantile)
    h = coarse(h)
    comparison = compare(h, *regions, datasets=background)
    marks = {cut.rule: cut.value}
    figure = plotting.score_regions(
        h,
        comparison,
        background=background,
        signals=signals,
        thresholds=marks,
        labels=labels,
        caption=caption,
    )
    plotting.save(figure, Path(folder) / "figures", name)
    text = f"{comparison.label} in {regions[1]} and {regions[0]}"
    return FigureText(
        name,
        f"The {text}: background stacked, signal as lines, ratio of the background's shapes.",
        text,
    )


def holds(h: Histogram, names: Sequence[str], region: str) -> bool:
    """Whether these data sets together have an event in the region; a region that was not filled has none."""
    return bool(names) and region in h.axes["region"] and yields(h, names, region).error > 0
