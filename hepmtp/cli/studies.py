"""Commands that judge methods rather than data.

Detectors against each other, and what a tokenizer keeps.

The rule: all are measured on the same events, none of which trained anything.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.box import SIMPLE
from rich.table import Table

from hepmtp.cli.options import (
    Folder,
    Manifest,
    MostEvents,
    Output,
    Pdf,
    RoleOption,
    Seed,
    SomeNames,
)
from hepmtp.cli.progress import progress_bar
from hepmtp.cli.terminal import add_row, say, show
from hepmtp.errors import ManifestError


def tokenizer_report(
    tokenizer: Annotated[
        str,
        typer.Argument(
            metavar="TOKENIZER",
            help=(
                "Folder of a saved tokenizer, or of a saved detector for its tokenizer; a look-up "
                "table (no_azimuth, tails, visive2025, ...); or pkg.module:Class. The last two "
                "are fitted on the background first."
            ),
            show_default=False,
        ),
    ],
    names: SomeNames = None,
    output: Output = Path("hepmtp-tokenizer"),
    classifiers: Annotated[
        list[str] | None,
        typer.Option(
            "--classifier",
            help="Reads true and decoded events: trees or transformer; may be repeated.",
        ),
    ] = None,
    max_events: Annotated[
        int | None,
        typer.Option(
            help="At most so many events of each part of each sample, for a quick look.", min=1
        ),
    ] = None,
    seed: Seed = 0,
    pdf: Pdf = False,
    role: RoleOption = "background",
    folder: Folder = None,
    manifest: Manifest = None,
) -> None:
    """Measure what a tokenizer keeps of events.

    Ids in use, residuals, correlations, separation of signals.

    Measured on events that trained nothing. Writes report.md, report.json and figures into the
    output folder.

    Example: `hepmtp tokenizer-report visive2025 --output visive2025`
    """
    from hepmtp.datasets.files import read
    from hepmtp.datasets.manifest import embedded, load_manifest
    from hepmtp.datasets.names import select
    from hepmtp.plotting import OWN_FILES, SIMULATION
    from hepmtp.studies.tokenizer.folder import tokenizer_of, write_tokenizer_report
    from hepmtp.studies.tokenizer.text import report_markdown

    chosen = (
        select(names, load_manifest(manifest, folder=folder), role=role) if names else embedded()
    )
    plain = [dataset for dataset in chosen if dataset.role == "background"]
    if not plain:
        raise ManifestError(
            f"no data set with role background among {', '.join(one.name for one in chosen)}: a "
            "tokenizer is measured on one"
        )
    background = read(plain)
    name, fitted = tokenizer_of(tokenizer, background)
    found = write_tokenizer_report(
        output,
        fitted,
        background,
        {dataset.name: read([dataset]) for dataset in chosen if dataset.role == "signal"},
        name=name,
        classifiers=classifiers or ("trees",),
        max_events=max_events,
        seed=seed,
        pdf=pdf,
        caption=SIMULATION if all(dataset.embedded for dataset in chosen) else OWN_FILES,
    )
    say(report_markdown(found))
    say(output / "report.md")


def league(
    names: SomeNames = None,
    output: Output = Path("hepmtp-league"),
    group: Annotated[
        Literal["main", "tokenizers"],
        typer.Option(help="Detectors, or tokenizers of one detector."),
    ] = "main",
    only: Annotated[
        list[str] | None, typer.Option(help="Only this entry, of any group; may be repeated.")
    ] = None,
    add: Annotated[
        list[str] | None,
        typer.Option(
            help=(
                "Your own: pkg.module:Class or a saved detector's folder, also NAME=...; may be "
                "repeated."
            )
        ),
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="Entry that all others are compared with, too.")
    ] = None,
    seeds: Annotated[
        int, typer.Option(help="Trainings of each entry, with seeds 0, 1, ...", min=1)
    ] = 3,
    folds: Annotated[
        int | None,
        typer.Option(
            help="Trainings of each entry and seed, each without another fold of the events, so "
            "that all are scored; 1: one training, scored on 30 %. 5, or 1 with --quick.",
            min=0,
            show_default=False,
        ),
    ] = None,
    regions: Annotated[
        list[str] | None, typer.Option("--region", help="May be repeated; preselection and SR.")
    ] = None,
    published: Annotated[
        list[Path] | None,
        typer.Option(
            help="Results of the Dark Machines challenge (csv) to stand beside; may be repeated."
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Tiny models and few events: a look, not numbers.")
    ] = False,
    most_events: MostEvents = 150_000,
    pdf: Pdf = False,
    role: RoleOption = "background",
    folder: Folder = None,
    manifest: Manifest = None,
) -> None:
    """Compare all detectors on the same events.

    Every signal and region, several seeds, with errors.

    All are trained on the same background and scored on events that trained none. Writes tables,
    figures and the trained detectors into the output folder; called again, it goes on where it was
    interrupted. The events lie there, too, as long as it runs.

    Example: `hepmtp league --only masked_token --only ht --seeds 1 --output league`
    """
    from hepmtp.datasets.manifest import embedded, load_manifest
    from hepmtp.datasets.names import select
    from hepmtp.studies.league.challenge import read_challenge
    from hepmtp.studies.league.entries import AGAINST, choose
    from hepmtp.studies.league.run import FOLDS, run_league

    chosen = (
        select(names, load_manifest(manifest, folder=folder), role=role) if names else embedded()
    )
    rows = [row for path in published or () for row in read_challenge(path)]
    entries = choose(group, only=only or (), add=add or (), quick=quick)
    with progress_bar("league", "fits") as (bar, task):
        found = run_league(
            output,
            chosen,
            entries,
            seeds=range(seeds),
            regions=regions or ("preselection", "SR"),
            folds=(1 if quick else FOLDS) if folds is None else folds,
            stop=1500 if quick else None,
            most_events=most_events,
            published=rows,
            command=f"hepmtp {shlex.join(sys.argv[1:])}",
            against=against or AGAINST[group],
            quick=quick,
            pdf=pdf,
            progress=lambda text, done, total: bar.update(
                task, description=text, completed=done, total=total
            ),
        )
    for heading, text in found.tables:
        table = Table(*text.header[:8], title=heading, box=SIMPLE, title_justify="left")
        for line in text.rows:
            add_row(table, *line[:8])
        show(table)
    for one in found.places:
        say(
            f"{one.row.signal}: {one.row.model} in {one.row.chan} (AUC {one.row.auc:.3f}) would be "
            f"number {one.place} of {one.of} in channel {one.chan}, whose best is {one.best.model} "
            f"({one.best.auc:.3f})"
        )
    say(output / "league.md")
