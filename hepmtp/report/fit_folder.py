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
from pathlib import Path
from typing import Any, NamedTuple

from hepmtp.report.attempts import Attempts
from hepmtp.report.cross_checks import abcd_rows, transfer_rows
from hepmtp.report.fit_figures import draw_fit, file_of
from hepmtp.report.info import RunInfo, versions, write_json
from hepmtp.report.page import write_page
from hepmtp.report.run_fit import NO_SCORE, FullFit, RunFit
from hepmtp.report.run_workspace import Run
from hepmtp.report.seal import changed, owned
from hepmtp.report.story import FIT
from hepmtp.report.tables import rounded, write_csv, write_markdown

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
    from hepmtp.statistics.reference import check_workspace  # noqa: PLC0415 (pyhf is slow to load)

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
        write_json(folder / f"workspace-{file_of(one)}.json", one.workspace)
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
    figures = draw_fit(run, found, attempt)
    kept["remarks"] = [*found.remarks, *attempt.remarks]
    write_json(folder / "fit.json", kept | {"figures": figures})
    write_page(run.folder)


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
