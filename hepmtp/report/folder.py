"""From a processor's output to the folder of a run: numbers, tables, figures and the report.

The rule: roles of data sets tell background, signal and data apart, and purposes of regions where
thresholds come from and are applied. What holds no events makes no row.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from hepmtp.datasets.manifest import Dataset
from hepmtp.errors import ScoreError
from hepmtp.events.regions import RegionInfo, named, regions_of
from hepmtp.report.figures import Output, draw_scores, holds, pairs
from hepmtp.report.info import SIMULATION_NOTE, FigureText, RunInfo, versions
from hepmtp.report.page import TITLES, write_page
from hepmtp.report.tables import write_csv, write_markdown
from hepmtp.statistics.comparison import Selection, apply, best_separation, threshold
from hepmtp.statistics.histograms import Histogram, canonical, save
from hepmtp.statistics.performance import Columns, PerformanceRow, performance
from hepmtp.storage import new_file

#: Said of a run that nothing more is known of.
SUMMARY = (
    "Only events that trained nothing are shown, with weights scaled up to stand for all events.",
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
        what `processors.anomaly.AnomalyProcessor` gave, with columns.
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
        the score that the run is about (the first one if it is not there), and the observable that
        it must beat.

    Raises
    ------
    ScoreError
        if the output has no columns.
    """
    if "columns" not in output:
        raise ScoreError(
            "a report needs the scores event by event: run AnomalyProcessor with columns=True"
        )
    histograms = {name: canonical(h) for name, h in output["scores"].items()}
    regions = regions_of(output)
    detector = detector if detector in histograms else next(iter(histograms))
    background, signals = (names_of(datasets, role) for role in ("background", "signal"))
    own = "These are the events of your own files."
    info = RunInfo(
        title=title or f"{detector} on {', '.join(dataset.name for dataset in datasets)}",
        summary=summary,
        note=SIMULATION_NOTE if all(one.embedded for one in datasets) else own,
        command=command,
        background=background,
        signals=signals,
        detector=detector,
        reference=reference,
        datasets=[_dataset_row(one) for one in datasets],
        scores=scores or {name: str(h.axes["score"].label) for name, h in histograms.items()},
        versions=versions(),
        regions=regions,
        remarks=list(remarks(histograms[detector], regions, background)),
    )
    drawn = draw_scores(folder, output, histograms, info)
    table = separation(output, info)
    selection = [
        row
        for pair in pairs(regions)
        for h in histograms.values()
        for row in passing(h, info, pair, columns=output["columns"])
    ]
    seconds = time.perf_counter() - started
    write_numbers(
        folder,
        info=dataclasses.replace(info, figures=[*drawn, *figures], seconds=seconds),
        histograms=histograms,
        cutflow=output["cutflow"],
        performance=table,
        selection=selection,
    )
    return RunResult(write_page(folder), table, selection, seconds)


def _dataset_row(dataset: Dataset) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "role": dataset.role,
        "files": len(dataset.files),
        "events": dataset.events or "",
        "cross-section [pb]": dataset.cross_section_pb or "",
        "from": "hepmtp simulation" if dataset.embedded else dataset.doi or "",
    }


def remarks(
    h: Histogram, regions: Sequence[RegionInfo], background: Sequence[str]
) -> Iterator[str]:
    """Sentences on what a run's regions and data sets do not allow."""
    nothing = "there are no thresholds and no comparison of regions"
    if not background:
        yield f"No data set of this run is background: {nothing}."
        return
    missing = [purpose for purpose in ("signal", "control") if not named(regions, purpose)]
    if missing:
        yield f"No region of this run has the purpose {' or '.join(missing)}: {nothing}."
    empty = [one.name for one in regions if not holds(h, background, one.name)]
    if empty:
        yield f"Regions without background events: {', '.join(empty)}."


def names_of(datasets: Sequence[Dataset], role: str) -> list[str]:
    """Names of the data sets of this role."""
    return [dataset.name for dataset in datasets if dataset.role == role]


def separation(output: Output, info: RunInfo) -> list[PerformanceRow]:
    """How every detector separates every signal from the background.

    In signal regions and those without a purpose, such as a preselection. Without columns no row.
    """
    h = next(iter(output["scores"].values()))
    rows: list[PerformanceRow] = []
    for region in named(info.regions, "signal", ""):
        if "columns" in output and holds(h, info.background, region):
            rows += performance(
                output["columns"],
                background=info.background,
                signals=[name for name in info.signals if holds(h, [name], region)],
                regions=[region],
                reference=info.reference,
            )
    return rows


def passing(
    h: Histogram,
    info: RunInfo,
    regions: tuple[str, str],
    *,
    quantile: float = 0.99,
    columns: Columns | None = None,
) -> list[Selection]:
    """What passes, in the first region, thresholds from the second; two rows per signal.

    The first threshold is a quantile of the background and knows no signal. The second separates
    labelled signal from background best, and is what the method's authors showed.
    """
    first, second = regions
    background = info.background
    found = [name for name in info.signals if holds(h, [name], first)]
    if not (found and holds(h, background, first) and holds(h, background, second)):
        return []
    blind = threshold(h, background=background, region=second, quantile=quantile)
    rows = []
    for name in found:
        cuts = [blind]
        if holds(h, [name], second):
            cuts.append(best_separation(h, background=background, signal=name, region=second))
        rows += [
            apply(h, cut, background=background, signal=name, region=first, columns=columns)
            for cut in cuts
        ]
    return rows


def write_numbers(
    folder: str | Path,
    *,
    info: RunInfo,
    histograms: Mapping[str, Histogram],
    cutflow: Mapping[str, Mapping[str, Mapping[str, float]]],
    performance: Sequence[PerformanceRow] = (),
    selection: Sequence[Selection] = (),
) -> None:
    """Write everything of a run's folder but the figures, the detector and the page."""
    folder = Path(folder)
    save(folder / "histograms.json", histograms)
    for name, content in (("cutflow.json", cutflow), ("run.json", asdict(info))):
        with new_file(folder / name) as temporary:
            temporary.write_text(
                json.dumps(content, indent=1, ensure_ascii=False, default=dict) + "\n",
                encoding="utf-8",
            )
    tables: dict[str, Sequence[Any]] = {"performance": performance, "selection": selection}
    for name, rows in tables.items():
        if rows:
            write_csv(folder / f"{name}.csv", rows)
            write_markdown(folder / f"{name}.md", rows, titles=TITLES)
