"""A league's folder: tables, and figures of each signal and region.

What is in it::

    league.csv .json .md    the table: one row per detector, signal and region
    agreement.csv           events that all seeds select in common, if there are several
    challenge.csv           the same in the form of the Dark Machines challenge
    figures/                roc, sic and auc of each signal and region
    detectors/NAME-SEED     the fitted detectors, for `hepmtp run`
    scores/NAME-SEED        their scores: a league that was interrupted goes on from these
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hepmtp import plotting, storage
from hepmtp.notebook import in_markdown
from hepmtp.plotting import UNKNOWN, Caption
from hepmtp.report.info import versions
from hepmtp.report.run_fit import CAUTIOUS, USUAL, protocol
from hepmtp.report.tables import Cells, markdown, write_csv
from hepmtp.statistics.agreement import Agreement
from hepmtp.statistics.workspace import Uncertainties
from hepmtp.studies.league.challenge import ChallengeRow, Standing, challenge_table
from hepmtp.studies.league.entry import Entry
from hepmtp.studies.league.figures import KINDS, Bar, auc_bars
from hepmtp.studies.league.league_events import LeagueEvents
from hepmtp.studies.league.table import Entrant, LeagueRow


class League(NamedTuple):
    """Rows and tables, rows in the challenge's form, and places among published results.

    Detectors trained with labels have no place. `remarks` say what to know of the fits, `agreement`
    which events all seeds select.
    """

    folder: Path
    rows: list[LeagueRow]
    tables: list[tuple[str, Cells]]
    challenge: list[ChallengeRow]
    places: list[Standing]
    remarks: list[str]
    agreement: list[Agreement]


_LEGEND = (
    "Z is the expected significance of the simultaneous fit of the score, given in SR, with 10 % "
    "or 30 % uncertainty on each cross-section that is not fitted; its error is that of the finite "
    "simulation. The row n_jets is the fit of counts of jets and b-jets without any score. Rows "
    "are ordered by Z, and by the balanced AUC where there is none. "
    "± is the statistical error of one seed, 'over seeds' the standard deviation over trainings. "
    "'Over the best other' and 'over the best observable' are differences of the balanced AUC on "
    "the same events to the best background-only entry and the best plain observable that are not "
    "the row's own, 'over the chosen one' to an entry named beforehand; 'of the ceiling' is (AUC "
    "- 0.5) / (AUC with labels - 0.5). Working points and SIC are weighted by cross-section and "
    "given where at least 25 raw background events pass."
)


_BESIDE = (
    "**Beside the published rows of the same signals** (arXiv:2105.14027): the place that each "
    "would have by AUC, weighted by cross-section. That is no contest: those models saw other "
    "events, other cuts and another detector simulation."
)


_AGREEMENT = (
    "**Do the seeds select the same events?** Each selects the upper 10 % or 2 % of the background "
    "of the signal region by its own score. Of what a seed selects, so much do all of them select, "
    "and two of them on average; beside it, what as many selections at random would have in common."
)


def _in_common(rows: Sequence[Agreement]) -> Cells:
    header = ["Score", "Events", "Upper", "Seeds", "Selected", "In common", "By two", "By chance"]
    return Cells(header, [
        [one.score, one.sample, f"{100 * one.upper:g} %", str(one.trainings),
         f"{one.selected:.3f}", f"{one.common:.3f} ± {one.common_error:.3f} ({one.n_common} raw)",
         f"{one.by_two:.3f}", f"{one.by_chance:.2g}"]
        for one in rows
    ])  # fmt: skip


def _places(found: Sequence[Standing]) -> Cells:
    header = [
        "Signal",
        "Region",
        "Detector",
        "AUC",
        "Channel",
        "Place",
        "Best published",
        "Its AUC",
    ]
    return Cells(header, [
        [one.row.signal, one.row.chan, one.row.model, f"{one.row.auc:.3f}", one.chan,
         f"{one.place} of {one.of}", one.best.model, f"{one.best.auc:.3f}"]
        for one in found
    ])  # fmt: skip


def write_league(
    league: League,
    events: LeagueEvents,
    entries: Sequence[Entry],
    seeds: Sequence[int],
    command: str,
) -> None:
    """Tables of a league into its folder."""
    write_csv(league.folder / "league.csv", league.rows)
    (league.folder / "agreement.csv").unlink(missing_ok=True)
    if league.agreement:
        write_csv(league.folder / "agreement.csv", league.agreement)
    counts = {name: len(one) for name, one in events.held_out.items()}
    content = {
        "command": command,
        "versions": versions(),
        "seeds": list(seeds),
        "folds": events.folds,
        "training events": len(events.training),
        "held-out events": counts,
        "fit": protocol(Uncertainties(cross_section=USUAL), CAUTIOUS, validation=True)
        | {"remarks": league.remarks},
        "entries": [{"name": one.name, "kind": one.kind, "note": one.note} for one in entries],
        "rows": [row._asdict() for row in league.rows],
    }
    lines = [f"Made by `{command}`.", ""] if command else []
    size = f"{len(events.training)} background events, scored on {sum(counts.values())} others"
    if events.folds > 1:
        size = (
            f"{len(events.training)} background events in {events.folds} folds: of so many "
            f"trainings, the one that has not seen it scores each of {sum(counts.values())} events"
        )
    lines += [f"Trained on {size}; means over {len(seeds)} seed(s); best first. {_LEGEND}", ""]
    for heading, table in league.tables:
        lines += [
            *(["---", ""] if heading.endswith("ceiling") else []),
            f"**{in_markdown(heading)}**",
            "",
            markdown(table),
        ]
    if league.places:
        lines += [_BESIDE, "", markdown(_places(league.places))]
    if league.agreement:
        lines += [_AGREEMENT, "", markdown(_in_common(league.agreement))]
    if league.remarks:
        lines += ["Of the fits:", "", *(f"- {in_markdown(one)}" for one in league.remarks), ""]
    if notes := [f"- {in_markdown(f'{one.name}: {one.note}')}" for one in entries if one.note]:
        lines += ["What the entries are:", "", *notes, ""]
    texts = {
        "league.json": json.dumps(content, indent=1, ensure_ascii=False) + "\n",
        "league.md": "\n".join(lines),
        "challenge.csv": challenge_table(league.challenge),
    }
    for name, text in texts.items():
        with storage.new_file(league.folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


def draw_league(
    folder: Path,
    entrants: Sequence[Entrant],
    rows: Sequence[LeagueRow],
    *,
    pdf: bool = False,
    caption: Caption = UNKNOWN,
) -> None:
    """Draw ROC and SIC of the best of each kind (first seed), and the AUC of all.

    The entry that all others are compared with is among them.
    """
    signal, region = rows[0].signal, rows[0].region
    title = f"{plotting.process_style([signal])[signal][0]}, {region}"
    best = {kind: [row.detector for row in rows if row.kind == kind] for kind in KINDS}
    compared = [row.against for row in rows if row.against][:1]
    shown = [
        *best["supervised"][:1],
        *best["background-only"][:3],
        *best["observable"][:1],
        *compared,
    ]
    of_name = {one.name: one for one in entrants}
    curves = {name: of_name[name].scores[0].roc() for name in shown}
    bars = [
        Bar(
            row.detector,
            row.kind,
            row.auc_balanced,
            row.auc_balanced_error,
            row.auc_balanced_spread,
        )
        for row in rows
    ]
    for kind, figure in (
        ("roc", plotting.roc(curves, title=title, caption=caption)),
        ("sic", plotting.sic(curves, title=title, caption=caption)),
        ("auc", auc_bars(bars, title=title, caption=caption)),
    ):
        plotting.save(figure, folder / "figures", f"{kind}_{signal}_{region}", pdf=pdf)
