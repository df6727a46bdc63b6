"""The main job on the embedded sample: files to a comparison of regions, in a few minutes.

The rule: it calls what a user would call, with the defaults that a user would get.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from hepmtp.datasets.files import fileset, read
from hepmtp.datasets.manifest import embedded
from hepmtp.detectors import Detector
from hepmtp.detectors.calibrated.detector import Calibrated
from hepmtp.detectors.masked_token.detector import MaskedTokenDetector
from hepmtp.detectors.stranger import StrangerDetector, StrangerTraining
from hepmtp.events.variations import variations_named
from hepmtp.folders import Place
from hepmtp.models.masked import ModelOptions
from hepmtp.plotting import SIMULATION
from hepmtp.report.fit_folder import write_fit
from hepmtp.report.folder import RunResult, write_run
from hepmtp.report.info import is_made_by
from hepmtp.report.run_fit import fit_run
from hepmtp.report.run_workspace import open_run
from hepmtp.report.seal import new_run
from hepmtp.report.token_figures import draw_tokens
from hepmtp.run.executors import make_executor
from hepmtp.run.runner import HepRunner
from hepmtp.run.train import train_detectors
from hepmtp.training.loop import Progress
from hepmtp.training.masking import TrainingOptions
from processors.anomaly import AnomalyProcessor
from processors.corpus import CorpusProcessor

#: Forms of the masked-token score that the tables show beside the joined one.
FORMS = ("jets", "sum", "mean", "excess", "type", "pt", "eta", "MET")


def run_demo(
    folder: str | Path,
    *,
    quick: bool = False,
    seed: int = 0,
    pdf: bool = False,
    status: bool = True,
    progress: Progress | None = None,
    overwrite: bool = False,
) -> RunResult:
    """Train on the embedded backgrounds, score all six data sets, compare regions, report.

    Parameters
    ----------
    folder
        histograms, tables, figures, the trained detector and report.html are written here. A demo
        that was interrupted goes on with the training where it ended.
    quick
        a small model and two epochs: seconds instead of minutes, for a look and not for numbers.
    seed
        of the training.
    pdf
        write figures as PDF, too.
    status
        draw coffea's progress bars.
    progress
        called after each training batch.
    overwrite
        replace a folder that holds a run, of the demo or not; one of the demo always is.
    """
    again = overwrite or is_demo(folder)
    with new_run(folder, overwrite=again) as place:
        return _run(place, quick=quick, seed=seed, pdf=pdf, status=status, progress=progress)


def trained(
    executor: Any,
    *,
    quick: bool = False,
    seed: int = 0,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> tuple[list[Detector], MaskedTokenDetector]:
    """All detectors of the demo, the default score first, and the masked-token one of them."""
    detector = MaskedTokenDetector(
        model=ModelOptions(width=32, feedforward=64, layers=1) if quick else ModelOptions(),
        training=TrainingOptions(epochs=2 if quick else 8, seed=seed),
    )
    detectors = train_detectors(
        [dataset for dataset in embedded() if dataset.role == "background"],
        detector,
        corpus=CorpusProcessor,
        executor=executor,
        stranger=StrangerDetector(training=StrangerTraining(epochs=2 if quick else 24, seed=seed)),
        checkpoint=checkpoint,
        progress=progress,
    )
    return detectors, detector


def is_demo(folder: str | Path) -> bool:
    """Whether a folder holds a demo, which a new one replaces."""
    return is_made_by(folder, "hepmtp demo")


def _run(
    place: Place, *, quick: bool, seed: int, pdf: bool, status: bool, progress: Progress | None
) -> RunResult:
    """All of it, into a place that becomes the folder."""
    start = time.perf_counter()
    datasets = embedded()
    background = [dataset for dataset in datasets if dataset.role == "background"]
    with make_executor("iterative", status=status) as executor:
        detectors, detector = trained(
            executor, quick=quick, seed=seed, checkpoint=place.kept / "checkpoint",
            progress=progress,
        )  # fmt: skip
        for one in detectors:
            if isinstance(one, Calibrated):
                one.save(place.new / "calibrated")
        detectors[0].save(place.new / "detector")
        detector.save(place.new / "masked_token")
        detectors += [detector.with_score(form) for form in FORMS]
        processor = AnomalyProcessor(
            detectors, variations=variations_named("weights"), columns=True
        )
        runner = HepRunner(executor)
        output = runner(fileset(datasets), processor)
    shown = [
        read(part, stop=2500) for part in (background, [d for d in datasets if d.name == "4top"])
    ]
    size = sum(parameter.numel() for parameter in detector.fitted_model.parameters())
    epochs = len(detector.history_)
    summary = [
        (
            f"A transformer of {size:,} parameters was trained for {epochs} epochs on simulated "
            "Standard Model background (ttW, ttZ, ttH, ttWW). It predicts a hidden particle of an "
            "event from the others. Networks learned to tell that background from background made "
            "stranger: more jets, b-jets, momentum or MET. The anomaly score combines "
            "both with four plain observables. It ran as a step of a coffea processor."
        ),
        (
            "All numbers are from events that trained nothing: of the background 30 %, weighted "
            "to stand for all, and all events of the signals."
        ),
    ]
    if quick:
        summary.append("This was a quick look with a tiny model: its numbers mean nothing.")
    result = write_run(
        place,
        output,
        datasets,
        command=f"hepmtp demo --seed {seed}{' --quick' if quick else ''}",
        title="Anomaly search: four tops and gluino pairs over ttW, ttZ, ttH, ttWW",
        summary=summary,
        scores={one.name: one.description for one in detectors},
        figures=lambda new: draw_tokens(new, detector, *shown, pdf=pdf, caption=SIMULATION),
        started=start,
        accounting=runner.accounting,
        pdf=pdf,
    )
    run = open_run(place.new)
    write_fit(run, fit_run(run))
    return result
