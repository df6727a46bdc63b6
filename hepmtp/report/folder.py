"""From a processor's output to the folder of a run: histograms, cutflow, tables, one figure, report.

The rule: background, signal and data are told apart by the roles of the data sets; what holds no events makes no row. The
folder is described in :mod:`hepmtp.report`.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hepmtp import plotting
from hepmtp.datasets.manifest import Dataset
from hepmtp.errors import ScoreError
from hepmtp.plotting import OWN_FILES, SIMULATION, Caption
from hepmtp.report.page import (
    SIMULATION_NOTE,
    FigureText,
    RunInfo,
    versions,
    write_report,
    write_results,
)
from hepmtp.statistics.comparison import Selection, apply, best_separation, compare, threshold
from hepmtp.statistics.histograms import Histogram, canonical, rebin, yields
from hepmtp.statistics.performance import PerformanceRow, performance
from hepmtp.statistics.performance import scores as per_event

Output = Mapping[str, Any]
#: Scores whose ROC and SIC are drawn beside the one that a run is about.
CURVES = ("token_rarity", "multiplicity", "n_b", "ht", "met")
#: Said of a run that nothing more is known of.
SUMMARY = (
    "Only events of the analysis part are shown, which trained nothing; their weights are scaled up to stand for all.",
    "A larger score means a stranger event. Thresholds come from the background in the control region.",
)


class RunResult(NamedTuple):
    """Where the report of a run lies, its tables, and the wall time [s]."""

    report: Path
    performance: list[PerformanceRow]
    selection: list[Selection]
    seconds: float


def write_run(
    folder: str | Path,
    output: Output,
    datasets: Sequence[Dataset],
    *,
    command: str,
    started: float,
    title: str = "",
    summary: Sequence[str] = SUMMARY,
    scores: Mapping[str, str] | None = None,
    figures: Sequence[FigureText] = (),
    detector: str = "masked_token",
    reference: str = "multiplicity",
) -> RunResult:
    """Write the folder of a run and its report.

    Parameters
    ----------
    output
        what `processors.anomaly.AnomalyProcessor` gave, with columns; without them it raises ScoreError.
    datasets
        what it ran on.
    command
        command line that makes this run again.
    started
        ``time.perf_counter()`` when the run began.
    title, summary, scores
        words of the report: heading, paragraphs, what each score is.
    figures
        drawn already into the run's folder, shown behind those of the scores.
    detector, reference
        the score that the run is about (the first one if it is not there), and the observable that it must beat.
    """
    if "columns" not in output:
        raise ScoreError(
            "a report needs the scores event by event: run AnomalyProcessor with columns=True"
        )
    histograms = {name: canonical(h) for name, h in output["scores"].items()}
    detector = detector if detector in histograms else next(iter(histograms))
    background, signals = (names_of(datasets, role) for role in ("background", "signal"))
    info = RunInfo(
        title=title or f"{detector} on {', '.join(dataset.name for dataset in datasets)}",
        summary=summary,
        note=SIMULATION_NOTE
        if all(one.embedded for one in datasets)
        else "These are the events of your own files.",
        command=command,
        background=background,
        signals=signals,
        detector=detector,
        reference=reference,
        datasets=[
            {
                "name": d.name,
                "role": d.role,
                "files": len(d.files),
                "events": d.events or "",
                "cross-section [pb]": d.cross_section_pb or "",
                "from": "hepmtp simulation" if d.embedded else d.doi or "",
            }
            for d in datasets
        ],
        scores=scores or {name: str(h.axes["score"].label) for name, h in histograms.items()},
        versions=versions(),
    )
    drawn = draw_scores(folder, output, histograms, info)
    table = separation(output, background, signals, reference=reference)
    selection = [
        row
        for h in histograms.values()
        for row in passing(h, background, signals, columns=output["columns"])
    ]
    seconds = time.perf_counter() - started
    write_results(
        folder,
        info=dataclasses.replace(info, figures=[*drawn, *figures], seconds=seconds),
        histograms=histograms,
        cutflow=output["cutflow"],
        performance=table,
        selection=selection,
    )
    return RunResult(write_report(folder), table, selection, seconds)


def draw_scores(
    folder: str | Path, output: Output, histograms: Mapping[str, Histogram], info: RunInfo
) -> list[FigureText]:
    """Draw the score that a run is about in CR and SR, the shapes of both, and ROC and SIC of each signal in the SR."""
    h, caption = histograms[info.detector], caption_of(info)
    if not (_holds(h, info.background, "CR") and _holds(h, info.background, "SR")):
        return []
    texts = [draw_regions(folder, h, info.background, info.signals, caption=caption)]
    shape = compare(coarse(h), "SR", "CR", datasets=info.background)
    plotting.save(
        plotting.shape_comparison(shape, caption=caption), Path(folder) / "figures", "shape"
    )
    text = f"Shape of {shape.label} in SR against CR, background: chi2 / ndof = {shape.chi2:.1f} / {shape.ndof}, p = {shape.p_value:.2g}."
    texts.append(FigureText("shape", text, text))
    for signal in (name for name in info.signals if _holds(h, [name], "SR")):
        curves = {
            name: per_event(
                output["columns"], name, signal=signal, background=info.background, region="SR"
            ).roc()
            for name in dict.fromkeys((info.detector, *CURVES))
            if name in histograms
        }
        for kind, draw in (("roc", plotting.roc), ("sic", plotting.sic)):
            name = f"{kind}_{signal}"
            plotting.save(
                draw(curves, title=f"{signal}, SR", caption=caption), Path(folder) / "figures", name
            )
            text = f"{kind.upper()} of {signal} in the SR, weighted by cross-section, where at least 25 raw background events pass."
            texts.append(FigureText(name, text, text))
    return texts


def caption_of(info: RunInfo) -> Caption:
    """Whose events the figures of a run show."""
    return SIMULATION if info.note == SIMULATION_NOTE else OWN_FILES


def names_of(datasets: Sequence[Dataset], role: str) -> list[str]:
    """Names of the data sets of this role."""
    return [dataset.name for dataset in datasets if dataset.role == role]


def separation(
    output: Output,
    background: Sequence[str],
    signals: Sequence[str],
    *,
    reference: str = "multiplicity",
) -> list[PerformanceRow]:
    """How every detector separates every signal from the background, in the preselection and the SR; needs columns."""
    h = next(iter(output["scores"].values()))
    rows: list[PerformanceRow] = []
    for region in ("preselection", "SR"):
        found = [name for name in signals if _holds(h, [name], region)]
        if "columns" in output and _holds(h, background, region):
            rows += performance(
                output["columns"],
                background=background,
                signals=found,
                regions=(region,),
                reference=reference,
            )
    return rows


def passing(
    h: Histogram,
    background: Sequence[str],
    signals: Sequence[str],
    *,
    regions: tuple[str, str] = ("SR", "CR"),
    quantile: float = 0.99,
    columns: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Selection]:
    """What passes, in the first region, thresholds from the second; two rows per signal.

    The first threshold is a quantile of the background and knows no signal; the second separates labelled signal from
    background best, and is what the method's authors showed.
    """
    first, second = regions
    found = [name for name in signals if _holds(h, [name], first)]
    if not (found and _holds(h, background, first) and _holds(h, background, second)):
        return []
    blind = threshold(h, background=background, region=second, quantile=quantile)
    rows = []
    for name in found:
        cuts = [blind]
        if _holds(h, [name], second):
            cuts.append(best_separation(h, background=background, signal=name, region=second))
        rows += [
            apply(h, cut, background=background, signal=name, region=first, columns=columns)
            for cut in cuts
        ]
    return rows


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
    regions: tuple[str, str] = ("SR", "CR"),
    quantile: float = 0.99,
    name: str = "score",
    caption: Caption = SIMULATION,
) -> FigureText:
    """Draw a score in two regions, with the threshold that the second gives, into the run's folder ``figures``."""
    cut = threshold(h, background=background, region=regions[1], quantile=quantile)
    h = coarse(h)
    comparison = compare(h, *regions, datasets=background)
    marks = {cut.rule: cut.value}
    figure = plotting.score_regions(
        h, comparison, background=background, signals=signals, thresholds=marks, caption=caption
    )
    plotting.save(figure, Path(folder) / "figures", name)
    text = f"{comparison.label} in {regions[1]} and {regions[0]}"
    return FigureText(
        name,
        f"The {text}: background stacked, signal as lines, ratio of the background's shapes.",
        text,
    )


def _holds(h: Histogram, names: Sequence[str], region: str) -> bool:
    """Whether these data sets together have an event in the region; a region that was not filled has none."""
    return bool(names) and region in h.axes["region"] and yields(h, names, region).error > 0
