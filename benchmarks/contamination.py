"""Signal in the training background: what it costs in AUC and in expected significance.

A share of the training events, counted in number, is signal that is called background. Everything
that is fitted sees it: models, tails, ranks and bin edges. Judged are the events of the analysis
part, the same for all shares; the histograms of the fit hold the true processes.

    python benchmarks/contamination.py --folder contamination \
        --out benchmarks/results/contamination.md

Each fit is kept in --folder, so that an interrupted run goes on. Other detectors are named by
--detectors, as in `hepmtp league --only`, or by --add, as there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import awkward as ak
import numpy as np
from outcome import show

from hepmtp.datasets.manifest import embedded
from hepmtp.events.record import concatenate, with_metadata
from hepmtp.events.regions import SR
from hepmtp.events.split import in_one_order
from hepmtp.report.tables import rounded
from hepmtp.studies.league.entries import ENTRIES, choose
from hepmtp.studies.league.entry import Entry
from hepmtp.studies.league.fits import Fitting, LeagueEvents
from hepmtp.studies.league.table import LeagueRow, enter, league_rows

#: Shares of the training events that are signal.
SHARES = (0.0, 0.001, 0.01, 0.05)


def contaminated(events: LeagueEvents, signal: str, share: float) -> tuple[LeagueEvents, int]:
    """The same with so much signal among the training events, and how many events that is.

    Events of a smaller share are among those of a larger one.
    """
    if share == 0:
        return events, 0
    found = in_one_order(events.signals[signal])
    wanted = round(share / (1 - share) * len(events.training))
    if wanted > len(found):
        sys.exit(f"{signal} has {len(found)} events that may train, and {share:g} needs {wanted}")
    chosen = found[np.sort(np.random.default_rng(1).permutation(len(found))[:wanted])]
    called = with_metadata(chosen, dataset=signal, role="background")
    return replace(events, training=concatenate([events.training, called])), wanted


def rows_of(
    folder: Path, events: LeagueEvents, entries: Sequence[Entry], signal: str, seed: int
) -> list[LeagueRow]:
    """AUC and significance of each entry for a signal."""
    registry = {**ENTRIES, **{one.name: one for one in entries}}
    fitting = Fitting(folder, events, registry)
    fits = {(one.name, ""): [fitting.fit(one, seed)] for one in entries}
    how = {"background": events.background, "signal": signal, "region": SR.name}
    entrants = enter(entries, fits, events.columns, **how)
    fitted, remarks = events.search.fits(entrants, events.background, signal)
    for sentence in remarks:
        sys.stderr.write(f"{sentence}\n")
    rows = {row.detector: row for row in league_rows(entrants, fits=fitted)}
    return [rows[one.name] for one in entries]


def line(row: LeagueRow, share: float, wanted: int) -> str:
    """Of the table."""
    numbers = [(row.auc_balanced, row.auc_balanced_error), (row.z, row.z_error)]
    cells = [rounded(value, error) if value is not None else "-" for value, error in numbers]
    return f"| {row.signal} | {row.detector} | {100 * share:g} % | {wanted} | {' | '.join(cells)} |"


def main() -> None:
    """Fit what is missing and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path("contamination"))
    parser.add_argument("--detectors", nargs="+", default=["masked_token", "observables"])
    parser.add_argument("--add", nargs="+", default=[], help="your own, as pkg.module:Class")
    parser.add_argument("--quick", action="store_true", help="tiny detectors, for a look")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    entries = choose(only=options.detectors, add=options.add, quick=options.quick)
    events = LeagueEvents.read(embedded(), [SR], None, 1)
    found: dict[tuple[str, str, float], str] = {}
    for share in SHARES:
        for signal in events.signals:
            given, wanted = contaminated(events, signal, share)
            name = "none" if share == 0 else f"{signal}-{share:g}"
            for row in rows_of(options.folder / name, given, entries, signal, options.seed):
                found[signal, row.detector, share] = line(row, share, wanted)
                sys.stderr.write(f"{found[signal, row.detector, share]}\n")
    head = "| signal | score | signal in training | events | AUC, balanced | significance |"
    rows = [
        found[signal, one.name, share]
        for signal in events.signals
        for one in entries
        for share in SHARES
    ]
    inside = {name: int(ak.sum(one["region:SR"])) for name, one in events.columns.items()}
    lines = [
        (f"Seed {options.seed}, one training each, {len(events.training)} background events that "
        f"may train. Events in the SR: {sum(inside[one] for one in events.background)} background, "
        f"{', '.join(f'{inside[one]} {one}' for one in events.signals)}."),
        "", head, "|---" * 6 + "|", *rows, "",
    ]  # fmt: skip
    show("\n".join(lines), options.out)


if __name__ == "__main__":
    main()
