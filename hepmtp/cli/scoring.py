"""The command that scores data sets with trained detectors.

The rule: what is scored has trained nothing.
"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hepmtp.cli.chosen import chosen_datasets, wanted_luminosity
from hepmtp.cli.found import say_found
from hepmtp.cli.options import (
    Cluster,
    Executor,
    Folder,
    Lists,
    Manifest,
    Names,
    Output,
    Overwrite,
    Pdf,
    ReaderOption,
    ReaderOptions,
    RoleOption,
    Scheduler,
    SkipBad,
    TreeOption,
    Workers,
    opened_executor,
    ranges_of,
    variations_of,
)
from hepmtp.cli.own import (
    Columns,
    ProcessorOption,
    Regions,
    Variables,
    columns_place,
    processor_of,
    write_columns,
)
from hepmtp.cli.resuming import Resume, interrupted, keeping
from hepmtp.cli.terminal import say
from hepmtp.errors import ScoreError
from hepmtp.folders import Place

if TYPE_CHECKING:
    from hepmtp.datasets.manifest import Dataset
    from hepmtp.report.folder import RunResult


def run(
    detectors: Annotated[
        list[str],
        typer.Option(
            "--detectors",
            "-d",
            help="Folder that `hepmtp train` wrote, or one detector's, which may get a name: "
            "NAME=FOLDER; may be repeated.",
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
    overwrite: Overwrite = False,
    resume: Resume = False,
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
    cluster: Cluster = None,
    chunksize: Annotated[int, typer.Option(help="Events in one piece of work.", min=1)] = 20_000,
    folder: Folder = None,
    manifest: Manifest = None,
) -> None:
    """Score data sets with trained detectors and fill histograms in every region, as a coffea job.

    Only events that trained nothing are used, with weights scaled up. Writes histograms, cutflow,
    tables, figures and report.html into the output folder. A form of the masked-token score, or of
    the density of jets, is named after #: detectors/masked_token#sum. Other trainings of a score
    get names (seed1=other/anomaly), and the report says what they select in common.

    Example: `hepmtp run ttbarW ttbarZ 4top --detectors detectors --output results`
    """
    from hepmtp.datasets.files import fileset
    from hepmtp.detectors.named import trainings_of
    from hepmtp.report.bound import detectors_of, path_of
    from hepmtp.report.seal import check_names, new_run
    from hepmtp.run.checkpoint import key_of
    from hepmtp.run.own_code import are_of_jets, regions_of, variables_of, write_more
    from hepmtp.run.runner import HepRunner
    from hepmtp.run.score_files import parts_folder
    from hepmtp.run.trained import saved_detectors
    from hepmtp.statistics.accounting import incomplete

    start = time.perf_counter()
    chosen = chosen_datasets(
        names,
        role=role,
        folder=folder,
        manifest=manifest,
        lists=files,
        reader=reader,
        option=option,
        tree=tree,
    )
    saved = saved_detectors(detectors)
    loaded, bound = [one.load() for one in saved], detectors_of(one.path for one in saved)
    ranged = ranges_of(ranges, [one.name for one in loaded])
    scaled = wanted_luminosity(chosen, luminosity)
    shifts, found_files = variations_of(variations), fileset(chosen, missing_ok=skip_bad)
    jets = are_of_jets(regions)
    inside, beside, kind = (
        regions_of(regions),
        variables_of(variables, jets=jets),
        processor_of(processor, jets=jets),
    )
    scoring = [[one.name, one.path.partition("#")[2], bound[path_of(one.path)]] for one in saved]
    words = {
        "detectors": scoring,
        "words": [regions, variables, processor, variations],
        "numbers": [bins, ranged, scaled, columns is None],
    }
    own = [*(regions or ()), *(variables or ()), *([processor] if processor else ())]
    key = key_of(words, modules=own)
    with new_run(output, overwrite=overwrite) as place:
        check_names(place.new, [one.name for one in chosen], [one.name for one in loaded])
        target = columns_place(columns, place)
        with keeping(place, key, resume=resume) as kept, parts_folder(target, kept) as parts:
            filled = kind(
                loaded,
                regions=inside,
                variables=beside,
                columns=parts or True,
                bins=bins,
                ranges=ranged,
                luminosity=scaled,
                variations=shifts,
            )
            with opened_executor(executor, workers, scheduler, cluster) as opened:
                runner = HepRunner(
                    opened, chunksize=chunksize, skipbadfiles=skip_bad, checkpointer=kept
                )
                with interrupted(kept, runner):
                    found = runner(found_files, filled)
            if target is not None and parts is not None:
                write_columns(target, parts, found, chosen, unblind=unblind)
                say(columns)
            more = write_more(place.new, found)
            result = _reported(
                place,
                found,
                chosen,
                started=start,
                accounting=runner.accounting,
                unblind=unblind,
                detectors=bound,
                trainings=trainings_of(loaded),
                supervised=[one.name for one in loaded if one.supervised],
                pdf=pdf,
                detector="jet_density" if jets else "anomaly",
                reference="observables" if jets else "multiplicity",
            )
    say_found(output, but=result.problems)
    for sentence in [*incomplete(runner.accounting), *result.problems]:
        say(f"problem: {sentence}", err=True)
    if more is not None:
        say(f"What your processor filled beside: {output / more.name}")
    if result.problems:  # what is lost without --skip-bad has ended the run before
        raise typer.Exit(1)


def _reported(
    place: Place, found: dict[str, Any], chosen: Sequence[Dataset], **told: Any
) -> RunResult:
    """The report of a run; one that has filled no score ends with this problem."""
    from hepmtp.report.folder import write_run

    command = f"hepmtp {shlex.join(sys.argv[1:])}"
    try:
        return write_run(place, found, chosen, command=command, **told)
    except ScoreError as error:
        if found.get("scores"):
            raise
        say(f"problem: {error}", err=True)
        raise typer.Exit(1) from None
