"""The folder of a fit: tables, workspaces, figures, and what the numbers depend on.

The rule: numbers are written before figures. The folder stands in that of the run::

    fit.csv .md          expected significance of every score for every signal
    limits.csv .md       signal strength, significance and upper limits of the run's score
    visible.csv .md      limits on any signal above thresholds of the score
    predictions.csv .md  background of each region as the control regions predict it
    events.csv .md       events before and after the fit
    abcd.csv .md         ABCD as a cross-check, if the run has scores event by event
    transfer.csv .md     transfer factors from a control region, if the run has data
    pulls.csv .md  impacts.csv .md  groups.csv .md
    workspace-<signal>-<score>.json   HistFactory, for pyhf, cabinetry and others
    fit.json             protocol, remarks, versions, events that the control regions predict
    *.png                figures; and .pdf if the run has them
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

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
from hepmtp.report.cross_checks import abcd_rows, transfer_rows
from hepmtp.report.drawn_figures import draw, label_of, write
from hepmtp.report.info import FigureText, RunInfo, versions, write_json
from hepmtp.report.numbers import load_replicas
from hepmtp.report.page import write_page
from hepmtp.report.run_fit import NO_SCORE, FullFit, RunFit
from hepmtp.report.run_workspace import Run
from hepmtp.report.seal import changed, owned
from hepmtp.report.story import CALIBRATED, FIT
from hepmtp.report.tables import rounded, write_csv, write_markdown
from hepmtp.statistics.reference import check_workspace
from hepmtp.storage import file_name

#: Endings of the files of a fit.
ENDINGS = (".csv", ".md", ".json", ".png", ".pdf")
#: Column -> how the reader reads it.
TITLES: Mapping[str, str] = {
    "z": "significance",
    "z_cautious": "with cautious cross-sections",
    "mu": "strength",
    "mu_up": "up",
    "mu_down": "down",
    "limit": "expected limit",
    "minus_two": "-2 sigma",
    "minus_one": "-1 sigma",
    "plus_one": "+1 sigma",
    "plus_two": "+2 sigma",
    "limit_observed": "observed limit",
    "limit_fb": "expected limit [fb]",
    "limit_observed_fb": "observed limit [fb]",
    "z_observed": "observed significance",
}


class LimitRow(NamedTuple):
    """What a fit says of a signal; limits at 95 % CL on the strength, and in femtobarn."""

    signal: str
    score: str
    z: float
    z_error: float
    z_observed: float | None
    mu: float
    mu_up: float
    mu_down: float
    limit: float
    minus_two: float
    minus_one: float
    plus_one: float
    plus_two: float
    limit_observed: float | None
    limit_fb: float | None
    limit_observed_fb: float | None
    p_value: float | None  #: of the goodness of the fit to data


@dataclass(frozen=True)
class Labelled:
    """A row of a fit, with the signal and the score that it is of."""

    signal: str
    score: str
    row: Any

    def _asdict(self) -> dict[str, Any]:
        """Column -> value, as a NamedTuple has it."""
        return {"signal": self.signal, "score": self.score, **self.row._asdict()}


def write_fit(run: Run, found: RunFit, *, pdf: bool = False) -> Path:
    """Write the folder of a fit into that of its run, and the report of the run anew.

    Parameters
    ----------
    pdf
        write figures as PDF, too; those of a run that has them are in any case.

    Returns
    -------
    Path
        the folder.

    Raises
    ------
    StorageError
        if it cannot be written.
    """
    with changed(run.folder, run.info) as new:
        _write(run._replace(folder=new, info=replace(run.info, pdf=pdf or run.info.pdf)), found)
    return run.folder / FIT


def _write(run: Run, found: RunFit) -> None:
    """Write the folder of a fit into a linked copy of that of its run."""
    folder = run.folder / FIT
    folder.mkdir(exist_ok=True)
    mine = owned(run.folder)
    for path in folder.glob("*.*"):
        if f"{FIT}/{path.name}" in mine or (FIT in mine and path.suffix in ENDINGS):
            path.unlink()
    attempt = Attempts()
    scores = list(dict.fromkeys(one.score for one in found.full))
    checks: dict[str, Sequence[Any]] = {
        "abcd": attempt("the table of ABCD", lambda: abcd_rows(run, scores)) or [],
        "transfer": attempt(
            "the table of transfer factors", lambda: transfer_rows(run, unblind=found.observed)
        )
        or [],
    }
    for name, rows in (tables(run.info, found) | checks).items():
        if rows:
            write_csv(folder / f"{name}.csv", rows, incomplete=bool(run.info.incomplete))
            note = " ".join(found.remarks) if name == "fit" else ""
            write_markdown(folder / f"{name}.md", rows, titles=TITLES, note=note)
    for one in found.full:
        check_workspace(one.workspace)
        write_json(folder / f"workspace-{_file(one)}.json", one.workspace)
    kept: dict[str, Any] = {
        "protocol": found.protocol,
        "sentences": sentences(run.info, found),
        "remarks": found.remarks,
        "observed": found.observed,
        "expected": found.expected,
        "versions": versions(("numpy", "scipy", "pyhf", "iminuit")),
        "channels": {
            one.score: [channel._asdict() for channel in one.channels] for one in found.full
        },
    }
    write_json(folder / "fit.json", kept)
    caption = Caption(**(run.info.caption or {}))
    figures: list[FigureText] = []
    for signal in dict.fromkeys(row.signal for row in found.rows):
        draw = partial(_draw_rows, folder, run.info, found, signal, caption)
        figures += attempt(f"the figure of significances for {signal}", draw) or []
    for one in found.full:
        if one.score != NO_SCORE or all(other.score == NO_SCORE for other in found.full):
            drawing = partial(_draw, folder, run.info, one, found, caption)
            figures += attempt(f"the figures of the fit of {one.score}", drawing) or []
    after = attempt("the calibrated score after the fit", partial(draw_after, run, found.expected))
    figures += [] if after is None else [after]
    kept["remarks"] = [*found.remarks, *attempt.remarks]
    write_json(folder / "fit.json", kept | {"figures": figures})
    write_page(run.folder)


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


def tables(info: RunInfo, found: RunFit) -> dict[str, Sequence[Any]]:
    """Rows of all tables of a fit, by the name of their file."""
    labelled: dict[str, list[Labelled]] = {
        name: [
            Labelled(one.result.signal, one.score, row)
            for one in found.full
            for row in getattr(one.result, name)
        ]
        for name in ("events", "pulls", "impacts", "groups")
    }
    return {
        "fit": found.rows,
        "limits": [_limit_row(one, info) for one in found.full],
        "visible": found.visible,
        "predictions": found.predictions,
        **labelled,
    }


def sentences(info: RunInfo, found: RunFit) -> list[str]:
    """What the fit finds, one sentence for each signal and score that is fitted in all respects."""
    said = []
    for one in found.full:
        row = _limit_row(one, info)
        which = "counts of jets and b-jets alone" if one.score == NO_SCORE else one.score
        fb = "" if row.limit_fb is None else f", {row.limit_fb:.3g} fb"
        text = (
            f"{row.signal} with {which}: expected significance {rounded(row.z, row.z_error)} "
            f"sigma; signals above {row.limit:.2f} times the cross-section{fb} are excluded at "
            "95 % CL if there is none"
        )
        if row.z_observed is not None and row.limit_observed is not None:
            text += (
                f". Observed: {row.z_observed:.2f} sigma, strength {row.mu:.2f} "
                f"+{row.mu_up:.2f} -{row.mu_down:.2f}, limit {row.limit_observed:.2f}"
            )
        said.append(f"{text}.")
    return said


def cross_section_fb(info: RunInfo, signal: str) -> float | None:
    """Cross-section of a data set [fb], if the run knows it."""
    for row in info.datasets:
        if row.get("name") == signal and row.get("cross-section [pb]"):
            return 1000 * float(row["cross-section [pb]"])
    return None


def _limit_row(one: FullFit, info: RunInfo) -> LimitRow:
    result, fb = one.result, cross_section_fb(info, one.result.signal)
    limit = result.limit
    return LimitRow(
        signal=result.signal,
        score=one.score,
        z=result.expected.z,
        z_error=result.expected.z_error or 0.0,
        z_observed=None if result.observed is None else result.observed.z,
        mu=result.strength.mu,
        mu_up=result.strength.up,
        mu_down=result.strength.down,
        limit=limit.expected,
        minus_two=limit.minus_two,
        minus_one=limit.minus_one,
        plus_one=limit.plus_one,
        plus_two=limit.plus_two,
        limit_observed=limit.observed,
        limit_fb=None if fb is None else limit.expected * fb,
        limit_observed_fb=None if fb is None or limit.observed is None else limit.observed * fb,
        p_value=None if result.goodness is None else result.goodness.p_value,
    )


def _file(one: FullFit) -> str:
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
    result, name = one.result, _file(one)
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
