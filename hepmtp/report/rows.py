"""Rows of a run's tables, and its files of numbers.

The rule: thresholds come from control regions and are applied in signal regions. What holds no
events makes no row, and what is no number of events has no significance.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from hepmtp.events.region_info import named, threshold_regions, wholes
from hepmtp.report.attempts import Attempts
from hepmtp.report.drawn_figures import Output
from hepmtp.report.info import RunInfo, write_json
from hepmtp.report.page import TABLES, titles
from hepmtp.report.problems import holds
from hepmtp.report.tables import rounded, write_csv, write_markdown
from hepmtp.statistics.agreement import Agreement, agreements
from hepmtp.statistics.histogram_files import save
from hepmtp.statistics.histograms import Histogram, nominal
from hepmtp.statistics.performance import Columns, PerformanceRow, performance, scores
from hepmtp.statistics.thresholds import (
    Observation,
    Selection,
    apply,
    best_separation,
    observe,
    threshold,
)

#: Histograms of a run with its variations; those of a run without are in histograms.json alone.
VARIATIONS = "variations.zip"


def separation(
    output: Output, info: RunInfo, attempt: Attempts | None = None
) -> list[PerformanceRow]:
    """How every detector separates every signal from the background.

    In signal regions and those without a purpose, such as a preselection. Without columns no row.
    """
    attempt = attempt or Attempts()
    h = next(iter(output["scores"].values()))
    rows: list[PerformanceRow] = []
    for region in named(info.regions, "signal", ""):
        if "columns" not in output or not holds(h, info.background, region):
            continue
        for signal in info.signals:
            if holds(h, [signal], region):
                make = partial(
                    performance,
                    output["columns"],
                    background=info.background,
                    signals=[signal],
                    regions=[region],
                    reference=info.reference,
                )
                rows += attempt(f"the separation of {signal} in {region}", make) or []
    return rows


def in_common(output: Output, info: RunInfo, attempt: Attempts | None = None) -> list[Agreement]:
    """What the trainings of one score select in common in each signal region.

    Without columns, or several trainings of a score, no row.
    """
    attempt = attempt or Attempts()
    found: dict[tuple[str, str, str, float], Agreement] = {}
    for region in named(info.regions, "signal") if "columns" in output else ():
        for (score, names), signal in itertools.product(info.trainings.items(), info.signals):
            what = f"what the trainings of {score} select in common in {region}"
            h = output["scores"][names[0]]
            if holds(h, info.background, region) and holds(h, [signal], region):
                make = partial(_agreement, output["columns"], info, score, region, signal)
                rows = attempt(what, make) or []
                found |= {(one.score, region, one.sample, one.upper): one for one in rows}
    return list(found.values())


def _agreement(
    columns: Columns, info: RunInfo, score: str, region: str, signal: str
) -> list[Agreement]:
    where: dict[str, Any] = {"signal": signal, "background": info.background, "region": region}
    trainings = [scores(columns, one, **where) for one in info.trainings[score]]
    return agreements(trainings, score=score, region=region, signal=signal)


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
    labelled signal from background best, and is what the method's authors showed. Sums of weights
    that are no events have no significance.
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
    return rows if info.content == "Events" else [row._replace(z=None) for row in rows]


def observations(h: Histogram, info: RunInfo, *, quantile: float = 0.99) -> list[Observation]:
    """Data above the threshold of each control region, in each region where they are not blind."""
    rows = []
    shown = [one.name for one in wholes(info.regions) if one.name not in info.blind]
    for control in threshold_regions(info.regions):
        if not (info.data and holds(h, info.background, control)):
            continue
        cut = threshold(h, background=info.background, region=control, quantile=quantile)
        rows += [
            observe(h, cut, data=info.data, background=info.background, region=region)
            for region in shown
            if region in h.axes["region"]
        ]
    return rows


def said_of_data(
    h: Histogram, info: RunInfo, regions: tuple[str, str], *, quantile: float = 0.99
) -> str:
    """Data in the first region above a threshold from the second, in a line; "" without data."""
    first, second = regions
    if not info.data:
        return ""
    if first in info.blind:
        return f"data: blind in {first}"
    cut = threshold(h, background=info.background, region=second, quantile=quantile)
    found = observe(h, cut, data=info.data, background=info.background, region=first)
    return (
        f"data: {found.observed:g} observed above {cut.value:.4g} in {first}, background "
        f"{rounded(found.b, found.b_error)}"
    )


def write_numbers(
    folder: str | Path,
    *,
    info: RunInfo,
    histograms: Mapping[str, Histogram],
    cutflow: Mapping[str, Mapping[str, Mapping[str, float]]],
    performance: Sequence[PerformanceRow] = (),
    selection: Sequence[Selection] = (),
) -> None:
    """Write everything of a run's folder but columns, figures, the detector and the page."""
    folder = Path(folder)
    if info.variations:
        save(folder / VARIATIONS, histograms)
    save(folder / "histograms.json", {name: nominal(h) for name, h in histograms.items()})
    write_json(folder / "cutflow.json", cutflow)
    write_json(folder / "run.json", asdict(info))
    write_tables(folder, info, performance, selection, ())


def write_tables(
    folder: str | Path,
    info: RunInfo,
    performance: Sequence[PerformanceRow],
    selection: Sequence[Selection],
    observed: Sequence[Observation],
    agreement: Sequence[Agreement] = (),
) -> None:
    """Write the tables that have rows, as csv and markdown."""
    for name, rows in zip(TABLES, (performance, selection, observed, agreement), strict=True):
        if rows:
            write_table(Path(folder) / name, rows, info)


def write_table(path: Path, rows: Sequence[Any], info: RunInfo) -> None:
    """Write one table as csv and markdown; that of an incomplete run says so."""
    write_csv(path.with_name(f"{path.name}.csv"), rows, incomplete=bool(info.incomplete))
    write_markdown(
        path.with_name(f"{path.name}.md"),
        rows,
        titles=titles(info.content),
        note=" ".join(["Incomplete.", *info.incomplete]) if info.incomplete else "",
    )
