"""Commands of an analysis: train, score, and the demo that does all of it.

The rule: what is scored has trained nothing.
"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import typer

from hepmtp.cli.options import (
    Executor,
    Folder,
    Lists,
    Manifest,
    Names,
    Output,
    Pdf,
    ReaderOption,
    ReaderOptions,
    RoleOption,
    Scheduler,
    Seed,
    SkipBad,
    TreeOption,
    Workers,
    chosen_datasets,
    opened_executor,
    ranges_of,
    variations_of,
    wanted_luminosity,
)
from hepmtp.cli.own import (
    Columns,
    ProcessorOption,
    Regions,
    Variables,
    processor_of,
    write_columns,
)
from hepmtp.cli.progress import epoch_bars
from hepmtp.cli.terminal import say
from hepmtp.errors import ScoreError


def demo(
    output: Output = Path("hepmtp-demo"),
    quick: Annotated[
        bool, typer.Option("--quick", help="A tiny model, for a look: under a minute.")
    ] = False,
    seed: Seed = 0,
    pdf: Pdf = False,
) -> None:
    """Do everything once on the embedded sample: train, score, compare, report.

    It takes two to five minutes. Writes histograms, tables, figures, the trained detector and
    report.html into the output folder. The events are hepmtp's own simulation.

    Example: `hepmtp demo --output hepmtp-demo`
    """
    from hepmtp.cli.demo import run_demo
    from hepmtp.report.folder import can_write

    can_write(output)
    with epoch_bars() as show:
        run_demo(output, quick=quick, seed=seed, pdf=pdf, progress=show)
    _found(output)


def train(
    names: Names = None,
    output: Output = Path("detectors"),
    role: RoleOption = "background",
    files: Lists = None,
    reader: ReaderOption = None,
    option: ReaderOptions = None,
    tree: TreeOption = None,
    skip_bad: SkipBad = False,
    sideband: Annotated[
        str | None,
        typer.Option(help="Region of data that may train, CR for instance; never a signal region."),
    ] = None,
    folds: Annotated[
        int,
        typer.Option(
            help="Cross-fit: so many trainings (3 or more), each without another fold of the "
            "events, so that `hepmtp run` analyses all of them. 1: one training.",
            min=0,
        ),
    ] = 1,
    model_output: Annotated[
        Literal["product", "joint"],
        typer.Option(
            "--model-output",
            "--form",
            help="How the model reads and predicts a token: digit by digit, or as one id.",
        ),
    ] = "product",
    tokens: Annotated[
        str,
        typer.Option(
            help="Look-up table: no_azimuth, tails, visive2025 (as published), ...; "
            "a wrong name lists all."
        ),
    ] = "no_azimuth",
    epochs: Annotated[
        int, typer.Option(help="Passes of the masked-token model, at most.", min=1)
    ] = 8,
    seed: Seed = 0,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="Folder from which an interrupted training of the masked-token model goes on; "
            "written after each epoch."
        ),
    ] = None,
    executor: Executor = "iterative",
    workers: Workers = None,
    scheduler: Scheduler = None,
    folder: Folder = None,
    manifest: Manifest = None,
) -> None:
    """Train the default score on background, and fit what it is compared with.

    The default score, `anomaly`, combines networks that know background from background made
    stranger, plain observables, and a masked-token model. These, their parts and token rarity are
    saved as well. Only the training and validation parts of the events
    are used (70 %); the rest stays unseen for `hepmtp run`. With `--folds` each event stays unseen
    by one training, which then scores it. Signal is refused, and so are data, but for a sideband
    that is named. Writes one folder per detector into the output folder.

    Example: `hepmtp train ttbarW ttbarWW ttbarZ ttbarHiggs --output detectors`
    """
    from hepmtp.detectors.cross_fitted import CrossFitted
    from hepmtp.detectors.masked_token.detector import MaskedTokenDetector
    from hepmtp.models.masked import ModelOptions
    from hepmtp.report.folder import can_write
    from hepmtp.run.own_code import region_of
    from hepmtp.run.train import train_detectors
    from hepmtp.storage import file_name
    from hepmtp.tokenizers.lookup import LookupTokenizer
    from hepmtp.training.loop import usable
    from hepmtp.training.masking import TrainingOptions
    from processors.corpus import CorpusProcessor

    usable(device)
    can_write(output)
    chosen = chosen_datasets(
        names,
        role=role,
        folder=folder,
        manifest=manifest,
        lists=files,
        reader=reader,
        option=option,
        tree=tree,
        skip_bad=skip_bad,
    )
    masked = MaskedTokenDetector(
        LookupTokenizer.preset(tokens),
        ModelOptions(output=model_output),
        TrainingOptions(epochs=epochs, seed=seed, device=device),
    )
    with opened_executor(executor, workers, scheduler) as opened, epoch_bars() as show:
        detectors = train_detectors(
            chosen,
            masked,
            corpus=CorpusProcessor,
            executor=opened,
            checkpoint=checkpoint,
            progress=show,
            skip_bad=skip_bad,
            sideband=None if sideband is None else region_of(sideband, "--sideband"),
            folds=folds,
        )
    for detector in detectors:
        detector.save(output / file_name(detector.name))
    trainings = [
        part
        for one in detectors
        for part in (one.members_ if isinstance(one, CrossFitted) else (one,))
    ]
    histories = [one.history_ for one in trainings if isinstance(one, MaskedTokenDetector)]
    said = [
        f"trained for {len(history)} epochs, validation loss {history[-1]['validation_loss']:.4f}"
        for history in histories
    ]
    say("\n".join(said) + f"; {len(detectors)} detectors in {output}")


def run(
    detectors: Annotated[
        list[str],
        typer.Option(
            "--detectors",
            "-d",
            help="Folder that `hepmtp train` wrote, or one detector's; may be repeated.",
        ),
    ],
    names: Names = None,
    output: Output = Path("results"),
    role: RoleOption = "background",
    files: Lists = None,
    reader: ReaderOption = None,
    option: ReaderOptions = None,
    tree: TreeOption = None,
    skip_bad: SkipBad = False,
    luminosity: Annotated[
        float | None,
        typer.Option(help="Luminosity [1/fb] that yields are for; by default that of each row."),
    ] = None,
    bins: Annotated[
        int | None, typer.Option(help="Bins of each score; by default the detector's.", min=1)
    ] = None,
    ranges: Annotated[
        list[str] | None,
        typer.Option(
            "--range",
            metavar="SCORE=LOW,HIGH",
            help="Range of a score, by default the detector's; LOW,HIGH will do for a single "
            "score; may be repeated.",
        ),
    ] = None,
    variations: Annotated[
        str,
        typer.Option(
            help="Systematic variations, by comma: none, weights (cheap), objects (each scores all "
            "events again), all, or names; a wrong name lists them."
        ),
    ] = "weights",
    regions: Regions = None,
    variables: Variables = None,
    processor: ProcessorOption = None,
    columns: Columns = None,
    unblind: Annotated[
        bool, typer.Option("--unblind", help="Show data in signal regions, too.")
    ] = False,
    pdf: Pdf = False,
    executor: Executor = "iterative",
    workers: Workers = None,
    scheduler: Scheduler = None,
    chunksize: Annotated[int, typer.Option(help="Events in one piece of work.", min=1)] = 20_000,
    folder: Folder = None,
    manifest: Manifest = None,
) -> None:
    """Score data sets with trained detectors and fill histograms in every region, as a coffea job.

    Only events that trained nothing are used, with weights scaled up. Writes histograms, cutflow,
    tables, figures and report.html into the output folder. A form of the masked-token score is
    named after #: detectors/masked_token#sum.

    Example: `hepmtp run ttbarW ttbarZ 4top --detectors detectors --output results`
    """
    from hepmtp.datasets.files import fileset
    from hepmtp.detectors import load_detector
    from hepmtp.report.folder import can_write, write_run
    from hepmtp.run.own_code import regions_of, variables_of, write_more
    from hepmtp.run.runner import HepRunner
    from hepmtp.run.score_files import parts_folder
    from hepmtp.statistics.accounting import incomplete

    start = time.perf_counter()
    can_write(output)
    chosen = chosen_datasets(
        names,
        role=role,
        folder=folder,
        manifest=manifest,
        lists=files,
        reader=reader,
        option=option,
        tree=tree,
        skip_bad=skip_bad,
    )
    loaded = [load_detector(one) for one in _saved(detectors)]
    ranged = ranges_of(ranges, [one.name for one in loaded])
    scaled = wanted_luminosity(chosen, luminosity)
    shifts, found_files = variations_of(variations), fileset(chosen, missing_ok=skip_bad)
    with parts_folder(columns) as parts, opened_executor(executor, workers, scheduler) as opened:
        filled = processor_of(processor)(
            loaded,
            regions=regions_of(regions),
            variables=variables_of(variables),
            columns=parts or True,
            bins=bins,
            ranges=ranged,
            luminosity=scaled,
            variations=shifts,
        )
        runner = HepRunner(opened, chunksize=chunksize, skipbadfiles=skip_bad)
        found = runner(found_files, filled)
        if columns is not None and parts is not None:
            say(write_columns(columns, parts, found, chosen, unblind=unblind))
    accounting = runner.accounting
    command = f"hepmtp {shlex.join(sys.argv[1:])}"
    try:
        result = write_run(
            output,
            found,
            chosen,
            command=command,
            started=start,
            accounting=accounting,
            unblind=unblind,
            pdf=pdf,
        )
    except ScoreError as error:
        if found.get("scores"):
            raise
        say(f"problem: {error}", err=True)
        raise typer.Exit(1) from None
    _found(output, but=result.problems)
    for sentence in [*incomplete(accounting), *result.problems]:
        say(f"problem: {sentence}", err=True)
    if (path := write_more(output, found)) is not None:
        say(f"What your processor filled beside: {path}")
    if result.problems:  # what is lost without --skip-bad has ended the run before
        raise typer.Exit(1)


def _found(folder: Path, *, but: Iterable[str] = ()) -> None:
    """Say what a run has found, but for the sentences that are said elsewhere."""
    from hepmtp.report.info import read_info
    from hepmtp.report.page import conclusions
    from hepmtp.report.story import fit_story
    from hepmtp.report.tables import read_csv

    table, info = folder / "performance.csv", read_info(folder)
    found = conclusions(read_csv(table), info) if table.exists() else []
    fit = fit_story(folder)
    found += [] if fit is None else fit.sentences
    for sentence in [*found, *(one for one in info.remarks if one not in but)]:
        say(f"- {sentence}")
    say(f"The report: {folder / 'report.html'}")


def _saved(paths: Iterable[str]) -> list[str]:
    """Folders of single detectors: the paths themselves, or what they hold."""
    from hepmtp.storage import META

    found: list[str] = []
    for path in paths:
        inside = [str(one) for one in sorted(Path(path).glob("*/")) if (one / META).is_file()]
        found += [path] if (Path(path.partition("#")[0]) / META).is_file() or not inside else inside
    return found
