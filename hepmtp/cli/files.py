"""Commands about files: what there is, what is in them, other formats.

The rule: a file is what its content says, not its name.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.table import Table

from hepmtp.cli.chosen import options_of
from hepmtp.cli.options import Folder, Manifest, ReaderOption, ReaderOptions
from hepmtp.cli.progress import download_bars, progress_bar
from hepmtp.cli.terminal import add_row, plain, say, show
from hepmtp.errors import ManifestError


def datasets(folder: Folder = None, manifest: Manifest = None) -> None:
    """List the data sets that hepmtp knows.

    hepmtp simulation is shipped and can be used at once; `hepmtp fetch` downloads the others, and
    --folder says where they lie.

    Example: `hepmtp datasets --folder ~/darkmachines`
    """
    from hepmtp.datasets.files import check_files
    from hepmtp.datasets.manifest import load_manifest

    table = Table(
        box=SIMPLE,
        padding=(0, 1, 0, 0),
        caption="zenodo.N is to be had from https://doi.org/10.5281/zenodo.N",
    )
    table.add_column("name", overflow="fold")
    table.add_column("role", no_wrap=True)
    for column in ("events", "pb", "1/fb"):
        table.add_column(column, justify="right")
    table.add_column("where", no_wrap=True)
    for dataset in load_manifest(manifest, folder=folder):
        try:
            check_files([dataset], digests=False)
            where = "hepmtp simulation" if dataset.embedded else "here"
        except ManifestError:
            where = (dataset.doi or "not found").removeprefix("10.5281/")
        numbers = (dataset.events, dataset.cross_section_pb, dataset.luminosity_ifb)
        add_row(
            table,
            dataset.name,
            dataset.role,
            *("" if n is None else f"{n:g}" for n in numbers),
            where,
        )
    show(table, width=120)


def fetch(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME...",
            help=(
                "Data sets from `hepmtp datasets`, what several of their names begin with (chan1, "
                "fourtops), or records of the manifest (challenge, challenge-sm, "
                "10.5281/zenodo.7277951)."
            ),
            show_default=False,
        ),
    ],
    folder: Annotated[
        Path | None,
        typer.Option(help="Folder that the files are put into; else the variable HEPMTP_DATA."),
    ] = None,
    jobs: Annotated[int, typer.Option(help="Files that are downloaded at a time.", min=1)] = 4,
    timeout: Annotated[
        float, typer.Option(help="Seconds without a byte that are waited.", min=0.1)
    ] = 60.0,
    retries: Annotated[
        int, typer.Option(help="Attempts after one that brought nothing new.", min=0)
    ] = 4,
    max_gb: Annotated[
        float,
        typer.Option(
            help="Gigabytes that one archive may unpack to, and a file may have of unknown size."
        ),
    ] = 100.0,
    host: Annotated[
        list[str] | None,
        typer.Option(help="Another host that a server may send us on to; may be repeated."),
    ] = None,
    manifest: Manifest = None,
) -> None:
    """Download data sets: resumed where it broke, in parallel, checked, unpacked.

    What is there already is checked and not downloaded again. Where no digest is published, the
    first download's sha256 is kept in data_manifest.lock, and a file that differs later is refused.

    Example: `hepmtp fetch fourtops --folder ~/darkmachines`
    """
    from hepmtp.datasets.fetch import fetch as fetch_files
    from hepmtp.datasets.manifest import data_folder, load_manifest
    from hepmtp.datasets.published import load_records
    from hepmtp.datasets.transfer import Transfer

    place = data_folder(manifest, folder)
    with download_bars() as show:
        files = fetch_files(
            names,
            load_manifest(manifest, folder=place),
            load_records(manifest),
            folder=place,
            jobs=jobs,
            limit=int(max_gb * 1e9),
            transfer=Transfer((min(timeout, 10.0), timeout), retries, hosts=tuple(host or ())),
            progress=show,
        )
    if not files:
        say("Nothing to download: these data sets come with hepmtp")
        return
    say(f"{len(files)} files are in {place}; use them with --folder {shlex.quote(str(place))}")


def inspect(
    file: Annotated[
        str,
        typer.Argument(
            help="A file of any kind, the address of a CSV or ROOT file, or a detector's folder.",
            show_default=False,
        ),
    ],
    reader: ReaderOption = None,
    option: ReaderOptions = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")] = False,
) -> None:
    """Say what a file is: format, reader, events, processes, multiplicities, units, weights.

    Found from what is in the file, not from its name. The first 10 000 events are read, the rest is
    counted. Of the folder of a detector, its model card is shown: what trained it, where it is
    valid, how background scores.

    Example: `hepmtp inspect ttbarW.csv.gz`
    """
    from hepmtp.readers.inspect_file import inspect as inspect_file, summary, to_json

    if Path(file).is_dir():
        _show_card(Path(file), as_json)
        return
    found = inspect_file(file, reader=reader, options=options_of(option))
    if as_json:
        say(to_json(found))
        return
    table = Table(box=SIMPLE, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in summary(found):
        add_row(table, name, text)
    show(table, width=120)


def _show_card(folder: Path, as_json: bool) -> None:
    """Print what the detector in a folder was saved with."""
    from rich.markdown import Markdown

    from hepmtp import storage
    from hepmtp.detectors.card_text import page_of

    meta, _ = storage.read(folder)
    if as_json:
        say(json.dumps({"kind": meta["kind"], "card": meta.get("card")}, indent=1))
        return
    show(Markdown(plain(page_of(meta))), width=120)


def convert(
    source: Annotated[
        str,
        typer.Argument(
            help="A file of any kind that has a reader, or an address.", show_default=False
        ),
    ],
    target: Annotated[
        Path,
        typer.Argument(help="The new file: .root, .parquet, .csv or .csv.gz.", show_default=False),
    ],
    reader: ReaderOption = None,
    option: ReaderOptions = None,
    rntuple: Annotated[
        bool, typer.Option("--rntuple", help="Write a ROOT RNTuple instead of a TTree.")
    ] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out CSV lines that are not events.")
    ] = False,
    chunk: Annotated[int, typer.Option(help="Events in memory at a time.")] = 100_000,
) -> None:
    """Write a file as ROOT or parquet, which is read much faster, or as Dark Machines CSV.

    Any format in.

    Do it once for files that you use often. Every number stays the same to the last bit, and every
    event stays in its part of the training / analysis split.

    Example: `hepmtp convert ttbarW.csv.gz ttbarW.root`
    """
    from hepmtp.readers.convert import convert as convert_file
    from hepmtp.readers.formats import load_reader, reader_name

    options = options_of(option) | ({"on_bad": "skip"} if skip_bad else {})
    made = load_reader(reader or reader_name(source), **options)
    with progress_bar(f"{Path(source).name} -> {target.name}", "events") as (bar, task):
        n_events = convert_file(
            source,
            target,
            reader=made,
            rntuple=rntuple,
            chunk=chunk,
            progress=lambda n: bar.advance(task, n),
        )
    say(f"{target}: {n_events} events")
