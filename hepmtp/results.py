"""From a processor's output to the folder of a run: histograms, cutflow, tables, one figure, report.

The rule: background, signal and data are told apart by the roles of the data sets; what holds no events makes no row. The
folder is described in :mod:`hepmtp.report`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hepmtp import plotting
from hepmtp.comparison import Selection, apply, compare, threshold
from hepmtp.histograms import Histogram, canonical, yields
from hepmtp.manifest import Dataset
from hepmtp.performance import PerformanceRow, performance
from hepmtp.plotting import SIMULATION, Caption
from hepmtp.report import SIMULATION_NOTE, FigureText, RunInfo, versions, write_report, write_results

Output = Mapping[str, Any]


def write_run(
    folder: str | Path,
    output: Output,
    datasets: Sequence[Dataset],
    *,
    command: str,
    detector: str = "masked_token",
    reference: str = "multiplicity",
    seconds: float | None = None,
) -> Path:
    """Write the folder of a run and its report; returns the path of the report.

    Parameters
    ----------
    output
        what `processors.anomaly.AnomalyProcessor` gave.
    datasets
        what it ran on.
    command
        command line that makes this run again.
    detector, reference
        the score that the run is about (the first one if it is not there), and the observable that it must beat.
    seconds
        wall time.
    """
    scores = {name: canonical(h) for name, h in output["scores"].items()}
    detector = detector if detector in scores else next(iter(scores))
    background, signals = (names_of(datasets, role) for role in ("background", "signal"))
    info = RunInfo(
        title=f"{detector} on {', '.join(dataset.name for dataset in datasets)}",
        summary=[
            f"{len(scores)} scores of {len(datasets)} data sets, events of the analysis part only, weighted to stand for all.",
            "A larger score means a stranger event. Thresholds come from the background in the control region.",
        ],
        note=SIMULATION_NOTE if all(one.embedded for one in datasets) else "These are the events of your own files.",
        command=command,
        background=background,
        signals=signals,
        detector=detector,
        reference=reference,
        datasets=[
            {"name": d.name, "process": d.process, "role": d.role, "files": len(d.files), "from": d.note or d.doi or ""}
            for d in datasets
        ],
        scores={name: str(h.axes["score"].label) for name, h in scores.items()},
        seconds=seconds,
        versions=versions(),
    )
    if _holds(scores[detector], background, "CR") and _holds(scores[detector], background, "SR"):
        figure = draw_regions(folder, scores[detector], background, signals, caption=caption_of(info))
        info = dataclasses.replace(info, figures=[figure])
    write_results(
        folder,
        info=info,
        histograms=scores,
        cutflow=output["cutflow"],
        performance=separation(output, background, signals, reference=reference),
        selection=[
            row for h in scores.values() for row in passing(h, background, signals, columns=output.get("columns"))
        ],
    )
    return write_report(folder)


def caption_of(info: RunInfo) -> Caption:
    """Whose events the figures of a run show."""
    return SIMULATION if info.note == SIMULATION_NOTE else Caption("own files", "", luminosity=None)


def names_of(datasets: Sequence[Dataset], role: str) -> list[str]:
    """Names of the data sets of this role."""
    return [dataset.name for dataset in datasets if dataset.role == role]


def separation(
    output: Output, background: Sequence[str], signals: Sequence[str], *, reference: str = "multiplicity"
) -> list[PerformanceRow]:
    """How every detector separates every signal from the background, in the preselection and the SR; needs columns."""
    h = next(iter(output["scores"].values()))
    rows: list[PerformanceRow] = []
    for region in ("preselection", "SR"):
        found = [name for name in signals if _holds(h, [name], region)]
        if "columns" in output and _holds(h, background, region):
            rows += performance(
                output["columns"], background=background, signals=found, regions=(region,), reference=reference
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
    """What passes, in the first region, the threshold from the background of the second; a row per signal."""
    first, second = regions
    if not (_holds(h, background, first) and _holds(h, background, second)):
        return []
    cut = threshold(h, background=background, region=second, quantile=quantile)
    found = [name for name in signals if _holds(h, [name], first)]
    return [apply(h, cut, background=background, signal=name, region=first, columns=columns) for name in found]


def draw_regions(
    folder: str | Path,
    h: Histogram,
    background: Sequence[str],
    signals: Sequence[str],
    *,
    regions: tuple[str, str] = ("SR", "CR"),
    name: str = "score",
    caption: Caption = SIMULATION,
) -> FigureText:
    """Draw a score in two regions into the run's folder ``figures``."""
    comparison = compare(h, *regions, datasets=background)
    figure = plotting.score_regions(h, comparison, background=background, signals=signals, caption=caption)
    plotting.save(figure, Path(folder) / "figures", name)
    text = f"{comparison.label} in {regions[1]} and {regions[0]}"
    return FigureText(name, f"The {text}: background stacked, signal as lines, ratio of the background's shapes.", text)


def _holds(h: Histogram, names: Sequence[str], region: str) -> bool:
    """Whether these data sets together have an event in the region."""
    return bool(names) and yields(h, names, region).error > 0
