"""Figures of a fit: significances, bins before and after it, pulls, impacts, the calibrated score.

The rule: one that cannot be drawn stops no other.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from hepmtp.plotting import Caption
from hepmtp.plotting.fit import channels, impacts, pulls, significances
from hepmtp.plotting.names import words
from hepmtp.report.attempts import Attempts
from hepmtp.report.calibrated_figures import (
    Expected,
    calibrated,
    calibrated_of,
    compared_regions,
)
from hepmtp.report.drawn_figures import draw, label_of, write
from hepmtp.report.info import FigureText, RunInfo
from hepmtp.report.numbers import load_replicas
from hepmtp.report.run_fit import NO_SCORE, FullFit, RunFit
from hepmtp.report.run_workspace import Run
from hepmtp.report.story import CALIBRATED, FIT
from hepmtp.report.tables import rounded
from hepmtp.storage import file_name


def draw_fit(run: Run, found: RunFit, attempt: Attempts) -> list[FigureText]:
    """Draw all figures of a fit into its folder, with their words; see `Attempts`."""
    folder, caption = run.folder / FIT, Caption(**(run.info.caption or {}))
    figures: list[FigureText] = []
    for signal in dict.fromkeys(row.signal for row in found.rows):
        of_rows = partial(_draw_rows, folder, run.info, found, signal, caption)
        figures += attempt(f"the figure of significances for {signal}", of_rows) or []
    for one in found.full:
        if one.score != NO_SCORE or all(other.score == NO_SCORE for other in found.full):
            of_fit = partial(_draw, folder, run.info, one, found, caption)
            figures += attempt(f"the figures of the fit of {one.score}", of_fit) or []
    after = attempt("the calibrated score after the fit", partial(draw_after, run, found.expected))
    return figures if after is None else [*figures, after]


def draw_after(run: Run, expected: Expected) -> FigureText | None:
    """Draw the calibrated score of a run with its normalisation after a fit; None without one.

    Parameters
    ----------
    expected
        what `RunFit` holds.
    """
    h = calibrated_of(run.histograms, run.info)
    if h is None or not expected or not compared_regions(h, run.info):
        return None
    replicas = load_replicas(run.folder).get(str(h.name))
    make = partial(calibrated, h, run.info, replicas=replicas, expected=expected)
    return draw(run.folder / FIT, CALIBRATED, make, run.info)


def file_of(one: FullFit) -> str:
    """What names of files say of the fit of a signal and a score."""
    return file_name(f"{one.result.signal}-{one.score}")


def _draw_rows(
    folder: Path, info: RunInfo, found: RunFit, signal: str, caption: Caption
) -> list[FigureText]:
    rows = [row for row in found.rows if row.signal == signal]
    figure = significances(
        {row.score: (row.z, row.z_error) for row in rows},
        marked=[row.score for row in rows if row.score == NO_SCORE],
        title=label_of(signal, info),
        caption=caption,
    )
    name = f"significance-{signal}".replace("/", "_")
    write(figure, folder, name, pdf=info.pdf)
    best = rows[0]
    text = f"Expected discovery significance of {label_of(signal, info)} by each score."
    return [
        FigureText(
            name,
            f"{text} Grey: numbers of jets and b-jets alone, without any score. The error is that "
            "of the simulated events.",
            f"Bars, the longest {best.score}: {rounded(best.z, best.z_error)} sigma.",
        )
    ]


def _draw(
    folder: Path, info: RunInfo, one: FullFit, found: RunFit, caption: Caption
) -> list[FigureText]:
    result, name = one.result, file_of(one)
    what = "data" if found.observed else "expected"
    title = f"{label_of(result.signal, info)}, {what}"
    of = f"the fit of {words(one.score)} for {label_of(result.signal, info)} ({what})"
    shown: dict[str, Any] = {"title": title, "names": info.labels, "caption": caption}
    drawn = []
    for after in (False, True):
        figure = channels(
            result.bins, result.signal, after=after, observed=found.observed, names=info.labels,
            content=info.content, caption=caption,
        )  # fmt: skip
        when = "after" if after else "before"
        drawn.append(FigureText(
            f"{when}-{name}",
            f"All bins of {of}, {when} it. The band is the uncertainty of the background.",
            f"Stacked processes in {len(result.bins.channels)} bins of {len(one.channels)} "
            "channels.",
        ))  # fmt: skip
        write(figure, folder, drawn[-1].name, pdf=info.pdf)
    largest = result.impacts[0].parameter if result.impacts else "none"
    drawn.append(FigureText(
        f"pulls-{name}", f"Pulls and constraints of {of}.", "Points with errors, one a parameter.",
    ))  # fmt: skip
    write(pulls(result.pulls, **shown), folder, drawn[-1].name, pdf=info.pdf)
    drawn.append(FigureText(
        f"impacts-{name}", f"Impacts on the signal strength of {of}.",
        f"Bars, the longest {largest}.",
    ))  # fmt: skip
    write(impacts(result.impacts, **shown), folder, drawn[-1].name, pdf=info.pdf)
    return drawn
