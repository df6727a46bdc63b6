"""The command line: ``hepmtp demo | datasets | fetch | inspect | convert | train | run | compare | report | league``.

The rule: thin. A command turns its words into calls of the library, shows how far it is, and says what came out; wrong
input ends with exit code 2 and one line that says what to do. Commands import what they need, so that --help is quick.
"""

from __future__ import annotations

import ast
import logging
import shlex
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated, Literal

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hepmtp import __version__
from hepmtp.errors import HepmtpError, ManifestError, ReadError, ScoreError
from hepmtp.progress import download_bars, epoch_bars, progress_bar

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Names = Annotated[
    list[str],
    typer.Argument(
        metavar="DATASET...",
        help="Names from `hepmtp datasets`, or files of your own: FILE, NAME=FILE,FILE or NAME:ROLE=FILE; roles are"
        " background, signal and data.",
        show_default=False,
    ),
]
Output = Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")]
RoleOption = Annotated[Literal["background", "signal", "data"], typer.Option(help="Role of files that name none.")]
Executor = Annotated[
    Literal["iterative", "futures", "dask"],
    typer.Option(help="Where the work is done: this process, several, or a Dask cluster."),
]
Workers = Annotated[int, typer.Option(help="Number of processes, for futures and dask.", min=1)]
Scheduler = Annotated[str | None, typer.Option(help="Address of a Dask scheduler (tcp://host:8786) to be used.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Folder = Annotated[Path | None, typer.Option(help="Folder of downloaded files; else the variable HEPMTP_DATA.")]
ReaderOption = Annotated[
    str | None,
    typer.Option(help="Reader by name, pkg.module:Class; by default the one that takes what is in the file."),
]
ReaderOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--option", metavar="KEY=VALUE", help="Option of the reader, scale=log_mev for instance; may be repeated."
    ),
]
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
def demo(
    output: Output = Path("hepmtp-demo"),
    quick: Annotated[bool, typer.Option("--quick", help="A tiny model, for a look: under a minute.")] = False,
    seed: Seed = 0,
) -> None:
    """Do everything once on the embedded sample: train, score, compare, report; two to five minutes.

    Writes histograms, tables, figures, the trained detector and report.html into the output folder. The events are
    hepmtp's own simulation.

    Example: `hepmtp demo --output hepmtp-demo`
    """
    from hepmtp.demo import run_demo

    with epoch_bars() as show:
        run_demo(output, quick=quick, seed=seed, progress=show)
    _found(output)


@app.command()
def datasets(folder: Folder = None, manifest: Manifest = None) -> None:
    """List the data sets that hepmtp knows.

    hepmtp simulation is shipped and can be used at once; `hepmtp fetch` downloads the others, and --folder says where they
    lie.

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
            check_files([dataset], digests=False)
            where = "hepmtp simulation" if dataset.embedded else "here"
        except ManifestError:
            where = (dataset.doi or "not found").removeprefix("10.5281/")
        numbers = (dataset.events, dataset.cross_section_pb, dataset.luminosity_ifb)
        table.add_row(dataset.name, dataset.role, *("" if n is None else f"{n:g}" for n in numbers), where)
    Console(width=None if sys.stdout.isatty() else 120).print(table)


@app.command()
def fetch(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME...",
            help="Data sets from `hepmtp datasets`, what several of their names begin with (chan1, fourtops), or records of"
            " the manifest (challenge, challenge-sm, 10.5281/zenodo.7277951).",
            show_default=False,
        ),
    ],
    folder: Annotated[
        Path | None, typer.Option(help="Folder that the files are put into; else the variable HEPMTP_DATA.")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Files that are downloaded at a time.", min=1)] = 4,
    timeout: Annotated[float, typer.Option(help="Seconds without a byte that are waited.", min=0.1)] = 60.0,
    retries: Annotated[int, typer.Option(help="Attempts after one that brought nothing new.", min=0)] = 4,
    max_gb: Annotated[float, typer.Option(help="Gigabytes that one archive may unpack to.")] = 100.0,
    manifest: Manifest = None,
) -> None:
    """Download data sets: resumed where it broke, in parallel, checked, unpacked.

    What is there already is checked and not downloaded again. Where no digest is published, the first download's sha256 is
    kept in data_manifest.lock, and a file that differs later is refused.

    Example: `hepmtp fetch fourtops --folder ~/darkmachines`
    """
    from hepmtp.download import fetch as fetch_files
    from hepmtp.manifest import data_folder, load_manifest, load_records
    from hepmtp.transfer import Transfer

    place = data_folder(manifest, folder)
    with download_bars() as show:
        files = fetch_files(
            names,
            load_manifest(manifest, folder=place),
            load_records(manifest),
            folder=place,
            jobs=jobs,
            limit=int(max_gb * 1e9),
            transfer=Transfer(timeout=(min(timeout, 10.0), timeout), retries=retries),
            progress=show,
        )
    if not files:
        typer.echo("Nothing to download: these data sets come with hepmtp")
        return
    typer.echo(f"{len(files)} files are in {place}; use them with --folder {shlex.quote(str(place))}")


@app.command()
def inspect(
    file: Annotated[Path, typer.Argument(help="A file of any kind.", show_default=False)],
    reader: ReaderOption = None,
    option: ReaderOptions = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")] = False,
) -> None:
    """Say what a file is: format, reader, events, processes, multiplicities, units, weights.

    Found from what is in the file, not from its name. The first 10 000 events are read, the rest is counted.

    Example: `hepmtp inspect ttbarW.csv.gz`
    """
    from hepmtp.inspection import inspect as inspect_file
    from hepmtp.inspection import summary, to_json

    found = inspect_file(file, reader=reader, options=_options_of(option))
    if as_json:
        typer.echo(to_json(found))
        return
    table = Table(box=SIMPLE, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in summary(found):
        table.add_row(name, Text(text))
    Console(width=None if sys.stdout.isatty() else 120).print(table)


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="A file of any kind that has a reader.", show_default=False)],
    target: Annotated[Path, typer.Argument(help="The new file: .root, .parquet, .csv or .csv.gz.", show_default=False)],
    reader: ReaderOption = None,
    option: ReaderOptions = None,
    rntuple: Annotated[bool, typer.Option("--rntuple", help="Write a ROOT RNTuple instead of a TTree.")] = False,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out CSV lines that are not events.")] = False,
    chunk: Annotated[int, typer.Option(help="Events in memory at a time.")] = 100_000,
) -> None:
    """Write a file as ROOT or parquet, which is read much faster, or as Dark Machines CSV; any format in.

    Do it once for files that you use often. Every number stays the same to the last bit, and every event stays in its part
    of the training / analysis split.

    Example: `hepmtp convert ttbarW.csv.gz ttbarW.root`
    """
    from hepmtp.convert import convert as convert_file
    from hepmtp.inspection import kind_of_file
    from hepmtp.readers import load_reader

    options = _options_of(option) | ({"on_bad": "skip"} if skip_bad else {})
    made = load_reader(reader or kind_of_file(str(source)), **options)
    with progress_bar(f"{source.name} -> {target.name}", "events") as (bar, task):
        n_events = convert_file(
            source,
            target,
            reader=made,
            rntuple=rntuple,
            chunk=chunk,
            progress=lambda n: bar.advance(task, n),
        )
    typer.echo(f"{target}: {n_events} events")


def _options_of(words: Iterable[str] | None) -> dict[str, object]:
    """``key=value`` words as options of a reader: numbers, True, False and None, and all else as text."""
    found: dict[str, object] = {}
    for word in words or ():
        key, equals, value = word.partition("=")
        if not (equals and key.isidentifier()):
            raise ReadError(f"--option {word}: expected KEY=VALUE, for instance scale=log_mev")
        try:
            found[key] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[key] = value
    return found


@app.command()
def train(
    names: Names,
    output: Output = Path("detectors"),
    role: RoleOption = "background",
    form: Annotated[
        Literal["product", "joint"], typer.Option(help="How the model reads a token: digit by digit, or as one id.")
    ] = "product",
    tokens: Annotated[
        str,
        typer.Option(help="Look-up table: no_azimuth, tails, visive2025 (as published), ...; a wrong name lists all."),
    ] = "no_azimuth",
    epochs: Annotated[int, typer.Option(help="At most so many passes over the events.", min=1)] = 8,
    seed: Seed = 0,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    checkpoint: Annotated[
        Path | None, typer.Option(help="Folder from which an interrupted training goes on; written after each epoch.")
    ] = None,
    executor: Executor = "iterative",
    workers: Workers = 2,
    scheduler: Scheduler = None,
    folder: Folder = None,
    manifest: Manifest = None,
) -> None:
    """Train the masked-token detector on background events, and fit the plain observables that it is compared with.

    Only the training and validation parts of the events are used (70 %); the rest stays unseen for `hepmtp run`. Signal
    and data are refused. Writes one folder per detector into the output folder.

    Example: `hepmtp train ttbarW ttbarWW ttbarZ ttbarHiggs --output detectors`
    """
    from hepmtp.detectors.masked_token import MaskedTokenDetector
    from hepmtp.manifest import load_manifest, select
    from hepmtp.models.masked import ModelOptions
    from hepmtp.run import make_executor
    from hepmtp.tokenizers.lookup import LookupTokenizer
    from hepmtp.training import TrainingOptions
    from hepmtp.workflow import train_detectors

    chosen = select(names, load_manifest(manifest, folder=folder), role=role)
    masked = MaskedTokenDetector(
        LookupTokenizer.preset(tokens),
        ModelOptions(form=form),
        TrainingOptions(epochs=epochs, seed=seed, device=device),
    )
    with make_executor(executor, workers=workers, client=scheduler) as opened, epoch_bars() as show:
        detectors = train_detectors(chosen, masked, executor=opened, checkpoint=checkpoint, progress=show)
    for detector in detectors:
        detector.save(output / detector.name)
    last = masked.history_[-1]
    typer.echo(
        f"trained for {len(masked.history_)} epochs, validation loss {last['validation_loss']:.4f};"
        f" {len(detectors)} detectors in {output}"
    )


@app.command()
def run(
    names: Names,
    detectors: Annotated[
        list[str],
        typer.Option("--detectors", "-d", help="Folder that `hepmtp train` wrote, or one detector's; may be repeated."),
    ],
    output: Output = Path("results"),
    role: RoleOption = "background",
    executor: Executor = "iterative",
    workers: Workers = 2,
    scheduler: Scheduler = None,
    chunksize: Annotated[int, typer.Option(help="Events in one piece of work.", min=1)] = 20_000,
    folder: Folder = None,
    manifest: Manifest = None,
) -> None:
    """Score data sets with trained detectors and fill histograms in every region, as a coffea job.

    Only events that trained nothing are used, with weights scaled up. Writes histograms, cutflow, tables, a figure and
    report.html into the output folder. A form of the masked-token score is named after #: detectors/masked_token#sum.

    Example: `hepmtp run ttbarW ttbarZ 4top --detectors detectors --output results`
    """
    from hepmtp.manifest import fileset, load_manifest, select
    from hepmtp.results import write_run
    from hepmtp.run import HepRunner, make_executor

    start = time.perf_counter()
    chosen = select(names, load_manifest(manifest, folder=folder), role=role)
    processor = resolve_name("processors.anomaly:AnomalyProcessor")(_saved(detectors), columns=True)
    files = fileset(chosen)
    with make_executor(executor, workers=workers, client=scheduler) as opened:
        found = HepRunner(opened, chunksize=chunksize)(files, processor)
    command = f"hepmtp {shlex.join(sys.argv[1:])}"
    write_run(output, found, chosen, command=command, started=start)
    _found(output)


@app.command()
def compare(
    run: Annotated[Path, typer.Argument(help="Folder that `hepmtp run` or `hepmtp demo` wrote.", show_default=False)],
    regions: Annotated[
        tuple[str, str], typer.Option(help="Where the cut is applied, and where the threshold comes from.")
    ] = ("SR", "CR"),
    detector: Annotated[
        str | None, typer.Option(help="Name of a score; by default the one that the run is about.")
    ] = None,
    quantile: Annotated[
        float, typer.Option("--threshold-quantile", help="Share of the background below the threshold.")
    ] = 0.99,
) -> None:
    """Compare a score between two regions: the background's shape, and what passes a threshold.

    Prints a table, and writes it and a figure into the run's folder.

    Example: `hepmtp compare results --regions SR CR --threshold-quantile 0.95`
    """
    from hepmtp.comparison import compare as compare_regions
    from hepmtp.histograms import load
    from hepmtp.report import TITLES, read_info
    from hepmtp.results import caption_of, coarse, draw_regions, passing
    from hepmtp.tables import cells, records, write_csv, write_markdown

    info, scores = read_info(run), load(run / "histograms.json")
    detector = detector or info.detector
    if detector not in scores:
        raise ScoreError(f"{run} has no score {detector!r}; it has {', '.join(sorted(scores))}")
    h = scores[detector]
    shape = compare_regions(coarse(h), *regions, datasets=info.background)
    rows = passing(h, info.background, info.signals, regions=regions, quantile=quantile)
    name = f"{detector}-{regions[0]}-{regions[1]}"
    draw_regions(
        run, h, info.background, info.signals, regions=regions, quantile=quantile, name=name, caption=caption_of(info)
    )
    typer.echo(
        f"background, shape in {regions[0]} against {regions[1]}:"
        f" chi2 / ndof = {shape.chi2:.1f} / {shape.ndof}, p = {shape.p_value:.2g}"
    )
    if rows:
        write_csv(run / f"{name}.csv", rows)
        write_markdown(run / f"{name}.md", rows, titles=TITLES)
        text = cells(records(rows), titles=TITLES)
        table = Table(box=SIMPLE, show_header=False)
        for line in zip(text.header, *text.rows, strict=True):
            table.add_row(*line)
        Console().print(table)
    typer.echo(run / "figures" / f"{name}.png")


@app.command()
def report(run: Annotated[Path, typer.Argument(help="Folder that `hepmtp run` or `hepmtp demo` wrote.")]) -> None:
    """Write the report of a run as one page, report.html, that needs no other file.

    Example: `hepmtp report results`
    """
    from hepmtp.report import write_report

    typer.echo(write_report(run))


@app.command()
def league(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[DATASET]...", help="As in `hepmtp train`, signals too; default: the embedded sample."),
    ] = None,
    output: Output = Path("hepmtp-league"),
    group: Annotated[
        Literal["main", "tokenizers"], typer.Option(help="Detectors, or tokenizers of one detector.")
    ] = "main",
    only: Annotated[list[str] | None, typer.Option(help="Only this entry, of any group; may be repeated.")] = None,
    add: Annotated[
        list[str] | None,
        typer.Option(help="Your own: pkg.module:Class or a saved detector's folder, also NAME=...; may be repeated."),
    ] = None,
    against: Annotated[str | None, typer.Option(help="Entry that all others are compared with, too.")] = None,
    seeds: Annotated[int, typer.Option(help="Trainings of each entry, with seeds 0, 1, ...", min=1)] = 3,
    regions: Annotated[list[str] | None, typer.Option("--region", help="May be repeated; preselection and SR.")] = None,
    published: Annotated[
        list[Path] | None,
        typer.Option(help="Results of the Dark Machines challenge (csv) to stand beside; may be repeated."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Tiny models and few events: a look, not numbers.")] = False,
    role: RoleOption = "background",
    folder: Folder = None,
    manifest: Manifest = None,
) -> None:
    """Compare all detectors on the same events: every signal and region, several seeds, with errors.

    All are trained on the same background and scored on events that trained none. Writes tables, figures and the trained
    detectors into the output folder; called again, it goes on where it was interrupted. Events are held in memory.

    Example: `hepmtp league --only masked_token --only ht --seeds 1 --output league`
    """
    from hepmtp.challenge import read_challenge
    from hepmtp.league import run_league
    from hepmtp.league_entries import AGAINST, choose
    from hepmtp.manifest import embedded, load_manifest, select

    chosen = select(names, load_manifest(manifest, folder=folder), role=role) if names else embedded()
    rows = [row for path in published or () for row in read_challenge(path)]
    entries = choose(group, only=only or (), add=add or (), quick=quick)
    with progress_bar("league", "fits") as (bar, task):
        found = run_league(
            output,
            chosen,
            entries,
            seeds=range(seeds),
            regions=regions or ("preselection", "SR"),
            stop=1500 if quick else None,
            published=rows,
            command=f"hepmtp {shlex.join(sys.argv[1:])}",
            against=against or AGAINST[group],
            quick=quick,
            progress=lambda text, done, total: bar.update(task, description=text, completed=done, total=total),
        )
    for heading, text in found.tables:
        table = Table(*text.header[:8], title=heading, box=SIMPLE, title_justify="left")
        for line in text.rows:
            table.add_row(*line[:8])
        Console(width=None if sys.stdout.isatty() else 200).print(table)
    for one in found.places:
        typer.echo(
            f"{one.row.signal}: {one.row.model} in {one.row.chan} (AUC {one.row.auc:.3f}) would be number {one.place} of"
            f" {one.of} in channel {one.chan}, whose best is {one.best.model} ({one.best.auc:.3f})"
        )
    typer.echo(output / "league.md")


def _found(folder: Path) -> None:
    """Say what a run has found."""
    from hepmtp.report import conclusions, read_info
    from hepmtp.tables import read_csv

    table = folder / "performance.csv"
    for sentence in conclusions(read_csv(table), read_info(folder)) if table.exists() else ():
        typer.echo(f"- {sentence}")
    typer.echo(f"The report: {folder / 'report.html'}")


def _saved(paths: Iterable[str]) -> list[str]:
    """Folders of single detectors: the paths themselves, or what they hold."""
    from hepmtp.storage import META

    found: list[str] = []
    for path in paths:
        inside = [str(one) for one in sorted(Path(path).glob("*/")) if (one / META).is_file()]
        found += [path] if (Path(path.partition("#")[0]) / META).is_file() or not inside else inside
    return found
