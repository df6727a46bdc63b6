"""Commands that make a statement: is there a signal, and how small a one could be seen?

The rule: data in blind regions enter no fit unless it is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE
from rich.table import Table

from hepmtp.cli.options import Pdf
from hepmtp.cli.progress import progress_bar
from hepmtp.cli.terminal import add_row, say, show


def fit(
    run: Annotated[
        Path,
        typer.Argument(help="Folder that `hepmtp run` or `hepmtp demo` wrote.", show_default=False),
    ],
    signal: Annotated[
        list[str] | None, typer.Option(help="Only this signal; may be repeated.")
    ] = None,
    detector: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this score; may be repeated, and the first one is fitted in all respects. "
            "By default all, and the one that the run is about."
        ),
    ] = None,
    cross_section: Annotated[
        float,
        typer.Option(help="Relative uncertainty on each cross-section that is not fitted."),
    ] = 0.10,
    cautious: Annotated[
        float, typer.Option(help="The same for the second column of significances.")
    ] = 0.30,
    luminosity: Annotated[
        float, typer.Option(help="Relative uncertainty on the luminosity.")
    ] = 0.017,
    free: Annotated[
        list[str] | None,
        typer.Option(
            help="Background whose normalisation is fitted; may be repeated. By default ttW and "
            "ttZ, where the run has regions for them."
        ),
    ] = None,
    hold_out: Annotated[
        bool,
        typer.Option("--hold-out", help="Leave validation regions out of the fit, as its test."),
    ] = False,
    unblind: Annotated[
        bool, typer.Option("--unblind", help="Fit the data, those of the signal regions too.")
    ] = False,
    pdf: Pdf = False,
) -> None:
    """Fit all regions of a run at once: significance, signal strength, upper limits.

    The score in the signal regions, numbers of jets and b-jets in the control regions. Writes
    tables, figures and HistFactory workspaces into RUN/fit, and report.html anew. Nothing is
    observed unless the run has data and --unblind is given.

    Example: `hepmtp fit results`
    """
    from hepmtp.report.fit_folder import TITLES, sentences, tables, write_fit
    from hepmtp.report.run_fit import fit_run
    from hepmtp.report.run_workspace import open_run
    from hepmtp.report.tables import Cells, cells, records
    from hepmtp.statistics.workspace import Uncertainties

    opened = open_run(run)
    sizes = Uncertainties(
        cross_section=cross_section,
        luminosity=luminosity,
        free=None if free is None else tuple(free),
    )
    with progress_bar("fit", "fits") as (bar, task):
        found = fit_run(
            opened,
            signals=signal or (),
            detectors=detector or (),
            validation=not hold_out,
            uncertainties=sizes,
            cautious=cautious,
            unblind=unblind,
            progress=lambda text, done, total: bar.update(
                task, description=text, completed=done, total=total
            ),
        )
    folder = write_fit(opened, found, pdf=pdf)

    def shown(rows: Sequence[Any]) -> Cells:
        return cells(records(rows), titles=TITLES)

    for title, name in (("Expected significance", "fit"), ("Limits at 95 % CL", "limits")):
        _show(title, shown(tables(opened.info, found)[name]))
    for sentence in (*sentences(opened.info, found), *found.remarks):
        say(f"- {sentence}")
    say(folder / "fit.md")
    say(f"The report: {run / 'report.html'}")


def _show(title: str, found: Any) -> None:
    table = Table(*found.header, title=title, box=SIMPLE, title_justify="left")
    for line in found.rows:
        add_row(table, *line)
    show(table)
