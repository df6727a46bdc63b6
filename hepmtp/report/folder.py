"""From a processor's output to the folder of a run: numbers, tables, figures and the report.

The rule: roles of data sets tell background, signal and data apart, and purposes of regions where
thresholds come from and are applied. What holds no events makes no row. Numbers are written before
any table or figure is tried, and one that cannot be made is a remark.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from hepmtp.datasets.manifest import Dataset
from hepmtp.errors import ScoreError
from hepmtp.events.region_info import regions_of, wholes
from hepmtp.folders import Place
from hepmtp.plotting import Caption
from hepmtp.report.attempts import Attempts
from hepmtp.report.blind import blind_regions, blinded
from hepmtp.report.bound import inputs_of
from hepmtp.report.drawn_figures import Output
from hepmtp.report.figures import draw_scores, pairs
from hepmtp.report.info import RUN, FigureText, RunInfo, versions, write_json
from hepmtp.report.known import INCOMPLETE, about_datasets, doubts, names_of, normalisations
from hepmtp.report.numbers import write_first
from hepmtp.report.page import write_page
from hepmtp.report.problems import problems, remarks, signs, twice
from hepmtp.report.rows import (
    in_common,
    observations,
    passing,
    separation,
    write_tables,
)
from hepmtp.report.seal import new_run, seal
from hepmtp.statistics.accounting import Accounting, incomplete
from hepmtp.statistics.histograms import Histogram, canonical, variations_of
from hepmtp.statistics.normalisation import Normalisation
from hepmtp.statistics.performance import PerformanceRow
from hepmtp.statistics.thresholds import Observation, Selection

#: Said of a run that nothing more is known of.
SUMMARY = (
    "Only events that trained nothing are shown, with weights scaled up to stand for all events.",
)


class RunResult(NamedTuple):
    """Where the report of a run lies, its tables, and what to know of it.

    Parameters
    ----------
    report
        the page.
    performance, selection, observed
        rows of the tables.
    seconds
        wall time.
    problems
        a sentence for each thing that makes the result empty; a run with any is no success.
    complete
        whether everything was read.
    """

    report: Path
    performance: list[PerformanceRow]
    selection: list[Selection]
    seconds: float
    problems: tuple[str, ...] = ()
    complete: bool = True
    observed: tuple[Observation, ...] = ()


class _Rows(NamedTuple):
    """Rows of the tables: every score against every signal, what thresholds select, and data."""

    separated: list[PerformanceRow]
    selected: list[Selection]
    observed: list[Observation]


def write_run(
    folder: str | Path | Place,
    output: Output,
    datasets: Sequence[Dataset],
    *,
    command: str,
    started: float,
    title: str = "",
    summary: Sequence[str] = SUMMARY,
    scores: Mapping[str, str] | None = None,
    figures: Callable[[Path], Sequence[FigureText]] | None = None,
    detector: str = "anomaly",
    reference: str = "multiplicity",
    accounting: Accounting | None = None,
    unblind: bool = False,
    caption: Caption | None = None,
    pdf: bool = False,
    overwrite: bool = False,
    detectors: Mapping[str, str] | None = None,
    trainings: Mapping[str, Sequence[str]] | None = None,
    supervised: Sequence[str] = (),
) -> RunResult:
    """Write the folder of a run and its report, as one transaction.

    Parameters
    ----------
    folder
        a new one, or the place of :func:`hepmtp.report.seal.new_run`, which its owner completes.
    output
        what `processors.anomaly.AnomalyProcessor` gave. Without columns there is no table of the
        separation and no ROC.
    datasets
        what it ran on.
    command
        command line that makes this run again.
    started
        ``time.perf_counter()`` when the run began.
    title, summary, scores
        words of the report: heading, paragraphs, what each score is.
    figures
        what draws more of them into the folder that it is given; shown behind those of the scores.
    detector, reference
        the score that the run is about (the first one if it is not there), and the observable that
        it must beat.
    accounting
        what was read, skipped and lost, by data set; if anything was, everything says so.
    unblind
        also show data where a signal could be; see :mod:`hepmtp.report.blind`.
    caption
        what the figures claim; by default what all data sets say alike.
    pdf
        whether figures are written as PDF, too; also those that are drawn later.
    overwrite
        replace an older run as a whole.
    detectors
        folder of each saved detector that scored -> its digest (:mod:`hepmtp.report.bound`).
    trainings
        score of which there are several trainings -> the names of these: a table says which events
        all of them select (:func:`hepmtp.detectors.named.trainings_of`).
    supervised
        scores that have learned from signal: what is said of the others sets them apart.

    Raises
    ------
    ScoreError
        if the output holds no histogram, as nothing was read.
    StorageError
        if the folder cannot be written, or holds an older run or what hepmtp did not write.
    """
    if not output.get("scores"):
        raise ScoreError(
            f"no event of {', '.join(one.name for one in datasets)} was read, so there is nothing "
            f"to report. {' '.join(incomplete(accounting or {}))}".rstrip()
        )
    regions, data = regions_of(output), names_of(datasets, "data")
    blind = blind_regions(output, regions) if data and not unblind else []
    output = blinded(output, data, blind)
    histograms = {name: canonical(h) for name, h in output["scores"].items()}
    about = detector if detector in histograms else next(iter(histograms))
    empty = problems(
        output,
        [one.name for one in datasets],
        regions,
        background=names_of(datasets, "background"),
        accounting=accounting,
    )
    normalisation = normalisations(output, datasets)
    info = RunInfo(
        title=title or f"{about} on {', '.join(dataset.name for dataset in datasets)}",
        summary=summary,
        command=command,
        detector=about,
        reference=reference,
        scores=scores or {name: str(h.axes["score"].label) for name, h in histograms.items()},
        versions=versions(),
        regions=regions,
        blind=blind,
        overlaps=sorted(output.get("overlaps", ())),
        variations=variations_of(histograms[about]),
        incomplete=incomplete(accounting or {}),
        pdf=pdf,
        inputs=inputs_of(datasets),
        detectors=detectors or {},
        trainings=trainings or {},
        supervised=supervised,
        **about_datasets(datasets, normalisation, histograms[about].axes["dataset"]),
    )
    said = _said(output, datasets, normalisation, info, histograms[about])
    info = replace(
        info, caption=_claimed(caption, info), remarks=list(dict.fromkeys([*empty, *said]))
    )
    with contextlib.ExitStack() as stack:
        if not isinstance(folder, Place):
            folder = stack.enter_context(new_run(folder, overwrite=overwrite))
        seconds, tables = _fill(folder.new, info, output, histograms, accounting, figures, started)
    return RunResult(
        folder.path / "report.html",
        tables.separated,
        tables.selected,
        seconds,
        problems=tuple(empty),
        complete=not info.incomplete,
        observed=tuple(tables.observed),
    )


def _fill(
    folder: Path,
    info: RunInfo,
    output: Output,
    histograms: Mapping[str, Histogram],
    accounting: Accounting | None,
    figures: Callable[[Path], Sequence[FigureText]] | None,
    started: float,
) -> tuple[float, _Rows]:
    """Write all of a run's folder; gives the seconds since it began, and the rows of its tables."""
    write_first(folder, info, histograms, output, accounting)
    attempt = Attempts()
    tables = _tables(folder, output, histograms, info, attempt)
    drawn = draw_scores(folder, output, histograms, info, attempt)
    if figures is not None:
        make = partial(figures, folder)
        drawn += attempt("the figures beside those of the scores", make) or ()
    seconds = time.perf_counter() - started
    remarks = [*info.remarks, *attempt.remarks]
    info = replace(info, figures=drawn, seconds=seconds, remarks=remarks)
    write_json(folder / RUN, asdict(info))
    attempt("the page", partial(write_page, folder))
    seal(folder)
    return seconds, tables


def _claimed(caption: Caption | None, info: RunInfo) -> dict[str, Any]:
    """What figures claim; those of an incomplete run say so."""
    claimed = Caption(**(info.caption or {})) if caption is None else caption
    if info.incomplete:
        claimed = claimed._replace(text=", ".join(filter(None, (claimed.text, INCOMPLETE))))
    return claimed._asdict()


def _said(
    output: Output,
    datasets: Sequence[Dataset],
    normalisation: Mapping[str, Normalisation],
    info: RunInfo,
    h: Histogram,
) -> Iterator[str]:
    """Sentences on what the run does not allow, does not know, and does not show."""
    yield from remarks(h, info.regions, names_of(datasets, "background"))
    yield from twice(output.get("columns", {}))
    yield from signs(output.get("columns", {}))
    yield from doubts(datasets, normalisation)
    if info.blind:
        shown = [one.name for one in wholes(info.regions) if one.name in info.blind]
        yield (
            f"Data are blind in {', '.join(shown)}: no figure, table or file shows them "
            "there. Regions of the purposes control and validation show them; so does unblind "
            "(--unblind) everywhere."
        )
    if "columns" not in output:
        yield (
            "There are no scores event by event, so there is no separation and no ROC: run without "
            "--columns, or AnomalyProcessor with columns=True."
        )


def _tables(
    folder: str | Path,
    output: Output,
    histograms: Mapping[str, Histogram],
    info: RunInfo,
    attempt: Attempts,
) -> _Rows:
    """Make and write the tables, each as far as it can be made."""
    separated = separation(output, info, attempt)
    selected: list[Selection] = []
    for pair in pairs(info.regions):
        for h in histograms.values():
            make = partial(passing, h, info, pair, columns=output.get("columns"))
            selected += attempt(f"the selection by {h.name} in {pair[0]}", make) or []
    observed: list[Observation] = []
    for h in histograms.values():
        of_data = partial(observations, h, info)
        observed += attempt(f"the table of data above thresholds of {h.name}", of_data) or []
    common = in_common(output, info, attempt)
    write = partial(write_tables, folder, info, separated, selected, observed, common)
    attempt("a file of the tables", write)
    return _Rows(separated, selected, observed)
