"""Commands that train, and the demo that does all of an analysis.

The rule: what is scored has trained nothing.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hepmtp.cli.chosen import chosen_datasets
from hepmtp.cli.found import say_found
from hepmtp.cli.options import (
    Cluster,
    Executor,
    Folder,
    Lists,
    Manifest,
    MostEvents,
    Names,
    Output,
    Overwrite,
    Pdf,
    ReaderOption,
    ReaderOptions,
    RoleOption,
    Scheduler,
    Seed,
    SkipBad,
    TreeOption,
    Workers,
    opened_executor,
)
from hepmtp.cli.progress import epoch_bars
from hepmtp.cli.resuming import ResumeTraining, keeping_training
from hepmtp.cli.terminal import say

if TYPE_CHECKING:
    from hepmtp.detectors import Detector


def demo(
    output: Output = Path("hepmtp-demo"),
    quick: Annotated[
        bool, typer.Option("--quick", help="A tiny model, for a look: under a minute.")
    ] = False,
    seed: Seed = 0,
    pdf: Pdf = False,
    overwrite: Overwrite = False,
) -> None:
    """Do everything once on the embedded sample: train, score, compare, report.

    It takes two to five minutes. Writes histograms, tables, figures, the trained detector and
    report.html into the output folder. The events are hepmtp's own simulation. An older demo is
    replaced.

    Example: `hepmtp demo --output hepmtp-demo`
    """
    from hepmtp.cli.demo import run_demo

    with epoch_bars() as show:
        run_demo(output, quick=quick, seed=seed, pdf=pdf, progress=show, overwrite=overwrite)
    say_found(output)


def train(
    names: Names = None,
    output: Output = Path("detectors"),
    role: RoleOption = "background",
    files: Lists = None,
    reader: ReaderOption = None,
    option: ReaderOptions = None,
    tree: TreeOption = None,
    skip_bad: SkipBad = False,
    overwrite: Overwrite = False,
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
    processes: Annotated[
        int,
        typer.Option(
            help="Processes that share each batch of the masked-token model, on the CPU.", min=1
        ),
    ] = 1,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="Folder from which an interrupted training of the masked-token model goes on; "
            "written after each epoch. Without it, `--resume` finds what was kept beside the "
            "output folder."
        ),
    ] = None,
    resume: ResumeTraining = False,
    scratch: Annotated[
        Path | None,
        typer.Option(
            help="Folder that all workers see, where tokens of more events than memory holds are "
            "while they train; left empty."
        ),
    ] = None,
    most_events: MostEvents = 150_000,
    executor: Executor = "iterative",
    workers: Workers = None,
    scheduler: Scheduler = None,
    cluster: Cluster = None,
    folder: Folder = None,
    manifest: Manifest = None,
) -> None:
    """Train the default score on background, and fit what it is compared with.

    The default score, `anomaly`, combines networks that know background from background made
    stranger, plain observables, and a masked-token model. These, their parts and token rarity are
    saved as well. Only the training and validation parts of the events
    are used (70 %); the rest stays unseen for `hepmtp run`. With `--folds` each event stays unseen
    by one training, which then scores it. Signal is refused, and so are data, but for a sideband
    that is named. Writes one folder per detector, and a list of them, into the output folder.

    Example: `hepmtp train ttbarW ttbarWW ttbarZ ttbarHiggs --output detectors`
    """
    from hepmtp.datasets.files import fileset
    from hepmtp.detectors.masked_token.detector import MaskedTokenDetector
    from hepmtp.models.masked import ModelOptions
    from hepmtp.run.checkpoint import key_of
    from hepmtp.run.own_code import region_of
    from hepmtp.run.stamps import stamps_of
    from hepmtp.run.train import train_detectors
    from hepmtp.run.trained import new_training, save_detectors
    from hepmtp.tokenizers.lookup import LookupTokenizer
    from hepmtp.training.loop import usable
    from hepmtp.training.masking import TrainingOptions
    from processors.corpus import CorpusProcessor

    usable(device)
    region = None if sideband is None else region_of(sideband, "--sideband")
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
    masked = MaskedTokenDetector(
        LookupTokenizer.preset(tokens),
        ModelOptions(output=model_output),
        TrainingOptions(epochs=epochs, seed=seed, device=device, processes=processes),
    )
    found_files = fileset(chosen, missing_ok=skip_bad)
    stamps = stamps_of(path for one in found_files.values() for path in one["files"])
    key = key_of(
        {
            "files": [found_files, stamps],
            "words": [sideband, model_output, tokens, device],
            "numbers": [folds, epochs, seed, skip_bad, processes, most_events],
        },
        modules=() if sideband is None else (sideband,),
    )
    with (
        new_training(output, overwrite=overwrite) as place,
        keeping_training(place, key, resume=resume) as kept,
        opened_executor(executor, workers, scheduler, cluster) as opened,
        epoch_bars() as show,
    ):
        if checkpoint is not None and checkpoint.resolve().is_relative_to(place.path):
            checkpoint = place.kept / checkpoint.resolve().relative_to(place.path)
        detectors = train_detectors(
            chosen,
            masked,
            corpus=CorpusProcessor,
            executor=opened,
            checkpoint=checkpoint,
            progress=show,
            skip_bad=skip_bad,
            scratch=scratch,
            most_events=most_events,
            sideband=region,
            folds=folds,
            kept=kept,
        )
        save_detectors(place.new, detectors, command=f"hepmtp {shlex.join(sys.argv[1:])}")
    said = "\n".join(_trainings(detectors))
    say(f"{said}; {len(detectors)} detectors in {output}")


def _trainings(detectors: Iterable[Detector]) -> Iterator[str]:
    """How long each masked-token model was trained, and where its loss [nat] ended."""
    from hepmtp.detectors.cross_fitted import CrossFitted
    from hepmtp.detectors.masked_token.detector import MaskedTokenDetector

    for one in detectors:
        for part in one.members_ if isinstance(one, CrossFitted) else (one,):
            if isinstance(part, MaskedTokenDetector):
                loss = part.history_[-1]["validation_loss"]
                yield f"trained for {len(part.history_)} epochs, validation loss {loss:.4f}"
