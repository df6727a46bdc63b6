"""The command that writes a run as a HEPData submission."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hepmtp.cli.terminal import say


def hepdata(
    run: Annotated[
        Path,
        typer.Argument(help="Folder that `hepmtp run` or `hepmtp demo` wrote.", show_default=False),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Archive to write, .tar.gz; hepdata.tar.gz in the run's folder if not given.",
            show_default=False,
        ),
    ] = None,
    scores: Annotated[
        list[str] | None,
        typer.Option(
            "--score", help="Tables of this score alone; may be repeated. A file holds all."
        ),
    ] = None,
) -> None:
    """Write a run as a HEPData submission: tables, efficiencies, workspaces, the detector.

    One archive, ready for an upload; hepdata-validator has passed it. After `hepmtp fit`, the
    workspaces and tables of the fit are in it. Data stay blind where they are in the run.

    Example: `hepmtp hepdata results --score masked_token`
    """
    from hepmtp.report.hepdata.submission import write_hepdata

    found = write_hepdata(run, output, scores=scores or ())
    for sentence in found.remarks:
        say(f"- {sentence}")
    say(f"{len(found.tables)} tables; files: {', '.join(found.files)}")
    say(found.path)
