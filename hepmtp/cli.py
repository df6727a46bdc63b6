"""The command line: ``hepmtp demo | datasets | convert | train | run | compare | report``.

The rule: thin. A command turns its words into calls of the library, shows how far it is, and says what came out; wrong
input ends with exit code 2 and one line that says what to do. Commands import what they need, so that --help is quick.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from hepmtp import __version__
from hepmtp.errors import HepmtpError, ManifestError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Folder = Annotated[Path | None, typer.Option(help="Folder of downloaded files; else the variable HEPMTP_DATA.")]
Manifest = Annotated[Path | None, typer.Option(help="A manifest of your own instead of hepmtp's.")]


def main(arguments: list[str] | None = None) -> None:
    """Entry point of ``hepmtp``; always raises SystemExit.

    Exit codes: 0 done, 1 an error of hepmtp's own, 2 wrong input.
    """
    words = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in words  # it may stand anywhere
    words = [*["--debug"] * debug, *(word for word in words if word != "--debug")]
    try:
        app(words, prog_name="hepmtp")
    except Exception as error:
        if debug:
            raise
        expected = isinstance(error, (HepmtpError, OSError))
        what = (
            "error"
            if expected
            else f"error: unexpected {type(error).__name__} (hepmtp --debug says more; please report it)"
        )
        typer.secho(f"{what}: {' '.join(str(error).split())}", fg="red", err=True)
        sys.exit(2 if expected else 1)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hepmtp {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error and every log line.")] = False,
    _: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Find LHC events that a transformer, trained on background only, cannot predict.

    Start with `hepmtp demo`: it trains on the embedded sample, scores it and writes a report, in a few minutes.
    """
    logging.basicConfig(level=logging.DEBUG if debug else logging.WARNING, format="%(levelname)s: %(message)s")


@app.command()
def datasets(folder: Folder = None, manifest: Manifest = None) -> None:
    """List the data sets that hepmtp knows.

    hepmtp simulation is shipped and can be used at once; download the others by hand and say with --folder where they lie.

    Example: `hepmtp datasets --folder ~/darkmachines`
    """
    from hepmtp.manifest import check_files, load_manifest

    table = Table(
        box=SIMPLE, padding=(0, 1, 0, 0), caption="zenodo.N is to be had from https://doi.org/10.5281/zenodo.N"
    )
    table.add_column("name", overflow="fold")
    table.add_column("role", no_wrap=True)
    for column in ("events", "pb", "1/fb"):
        table.add_column(column, justify="right")
    table.add_column("where", no_wrap=True)
    for dataset in load_manifest(manifest, folder=folder):
        try:
            check_files([dataset])
            where = "hepmtp simulation" if dataset.embedded else "here"
        except ManifestError:
            where = (dataset.doi or "not found").removeprefix("10.5281/")
        numbers = (dataset.events, dataset.cross_section_pb, dataset.luminosity_ifb)
        table.add_row(dataset.name, dataset.role, *("" if n is None else f"{n:g}" for n in numbers), where)
    Console(width=None if sys.stdout.isatty() else 120).print(table)
