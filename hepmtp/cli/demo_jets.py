"""Jets on the embedded sample: train, generate, compare, density and a run, in a few minutes.

The rule: it calls what a user would call. Jets that trained a model are in no number.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import awkward as ak

from hepmtp import plotting
from hepmtp.datasets.files import fileset, read
from hepmtp.datasets.manifest import Dataset, embedded_jets
from hepmtp.detectors import Detector
from hepmtp.detectors.density import JetDensityDetector
from hepmtp.detectors.likelihood import JetRatioDetector
from hepmtp.detectors.observables import Observable
from hepmtp.events.split import in_one_order, part_of
from hepmtp.folders import Place
from hepmtp.jets.files import write_generated
from hepmtp.jets.language_model import JetLanguageModel
from hepmtp.jets.regions import JET_REGIONS
from hepmtp.models.autoregressive_options import AutoregressiveOptions
from hepmtp.plotting import Caption
from hepmtp.plotting.names import words
from hepmtp.report.drawn_figures import shortly
from hepmtp.report.folder import RunResult, write_run
from hepmtp.report.info import FigureText, is_made_by
from hepmtp.report.seal import new_run
from hepmtp.report.tables import rounded
from hepmtp.run.executors import make_executor
from hepmtp.run.rivals import PLAIN_OF_JETS, plain_observables
from hepmtp.run.runner import HepRunner
from hepmtp.run.trained import save_detectors
from hepmtp.statistics.performance import performance
from hepmtp.studies.jets.folder import write_comparison, write_densities
from hepmtp.training.loop import Progress
from hepmtp.training.next_token import NextTokenOptions
from processors.jets import JetProcessor

#: Forms of the anomaly score that the tables show beside the default one.
FORMS = ("sum", "excess")
#: Jets that each model makes, in a quick demo too.
MADE, FEW = 500, 100
#: Spectra of made and true jets that the report shows.
SHOWN = ("log_pt", "multiplicity", "mass", "jets")
SIMULATION = Caption("hepmtp", "simulation", energy=13)


class Models(NamedTuple):
    """Language models of both data sets, and their detectors, the anomaly score first."""

    qcd: JetLanguageModel
    top: JetLanguageModel
    detectors: list[Detector]


def run_demo_jets(
    folder: str | Path,
    *,
    quick: bool = False,
    seed: int = 0,
    pdf: bool = False,
    status: bool = True,
    progress: Progress | None = None,
    overwrite: bool = False,
) -> RunResult:
    """Train on the embedded jets, generate, compare, take densities, compare regions, report.

    Parameters
    ----------
    folder
        the models (``lm``), the ``detectors``, ``generated`` jets, their comparison with true ones
        (``compare``), their ``density``, and all of a run with report.html are written here. A demo
        that was interrupted goes on with the training where it ended.
    quick
        tiny models and two epochs: seconds instead of minutes, for a look and not for numbers.
    seed
        of the trainings and of the generated jets.
    pdf
        write figures of the run as PDF, too.
    status
        draw coffea's progress bars.
    progress
        called after each training batch.
    overwrite
        replace a folder that holds a run, of the demo or not; one of the demo always is.
    """
    again = overwrite or is_demo_jets(folder)
    with new_run(folder, overwrite=again) as place:
        return _run(place, quick=quick, seed=seed, pdf=pdf, status=status, progress=progress)


def is_demo_jets(folder: str | Path) -> bool:
    """Whether a folder holds a demo of jets, which a new one replaces."""
    return is_made_by(folder, "hepmtp jets demo")


def trained(
    events: Mapping[str, ak.Array],
    *,
    quick: bool = False,
    seed: int = 0,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> Models:
    """A model of QCD and, from it, one of top; `events` are name of the data set -> jets."""
    shape = (
        AutoregressiveOptions(width=16, heads=2, layers=1, feedforward=32)
        if quick
        else AutoregressiveOptions(width=64, layers=2, feedforward=128)
    )
    options = NextTokenOptions(
        epochs=2 if quick else 16, batch_events=32, neighbours=8, learning_rate=2e-3, seed=seed
    )
    qcd, top = events.values()
    first = JetLanguageModel(model=shape, training=options)
    second = JetLanguageModel(training=options)
    for model, jets, start in ((first, qcd, None), (second, top, first)):
        name = "top" if start else "qcd"
        model.fit(
            jets,
            start_from=start,
            checkpoint=None if checkpoint is None else checkpoint / name,
            progress=progress,
        )
    training = in_one_order(part_of(qcd, "train"))
    density = JetDensityDetector(first).take(training)
    plain: list[Detector] = [*map(Observable, PLAIN_OF_JETS), plain_observables(PLAIN_OF_JETS)]
    detectors: list[Detector] = [density, *(density.with_score(form) for form in FORMS)]
    detectors += [one.fit(qcd) for one in plain]
    return Models(first, second, [*detectors, JetRatioDetector(second, first).fit_to_held_out()])


def _run(
    place: Place, *, quick: bool, seed: int, pdf: bool, status: bool, progress: Progress | None
) -> RunResult:
    """All of it, into a place that becomes the folder."""
    start = time.perf_counter()
    datasets = embedded_jets()
    events = {one.name: read([one]) for one in datasets}
    models = trained(
        events, quick=quick, seed=seed, checkpoint=place.kept / "checkpoint", progress=progress
    )
    for model, name in zip(models[:2], events, strict=True):
        model.save(place.new / "lm" / name)
    for folder in ("detectors", "generated"):
        (place.new / folder).mkdir()
    save_detectors(
        place.new / "detectors",
        [
            one
            for one in models.detectors
            if one.name not in {f"jet_density_{form}" for form in FORMS}
        ],
    )
    for one, name in zip(models[:2], events, strict=True):
        made = FEW if quick else MADE
        write_generated(place.new / "generated" / f"{name}.root", one, made, seed=seed)
        write_comparison(
            place.new / "compare" / name, one, events[name], name=name,
            jets=FEW if quick else None, seed=seed,
            caption=SIMULATION,
        )  # fmt: skip
    write_densities(place.new / "density", models.qcd, events, caption=SIMULATION)
    processor = JetProcessor(models.detectors, regions=JET_REGIONS, columns=True)
    with make_executor("iterative", status=status) as executor:
        runner = HepRunner(executor)
        output = runner(fileset(datasets), processor)
    return write_run(
        place,
        output,
        datasets,
        command=f"hepmtp jets demo --seed {seed}{' --quick' if quick else ''}",
        title="Language models of jets: QCD, and hadronic top quarks over QCD",
        summary=[*_summary(models, datasets, output["columns"], quick=quick)],
        scores={one.name: one.description for one in models.detectors},
        supervised=[one.name for one in models.detectors if one.supervised],
        figures=lambda new: list(_figures(new, models, list(events), pdf=pdf)),
        detector=models.detectors[0].name,
        reference="observables",
        started=start,
        accounting=runner.accounting,
        pdf=pdf,
    )


def _summary(
    models: Models, datasets: Sequence[Dataset], columns: Mapping[str, Any], *, quick: bool
) -> Iterator[str]:
    """Paragraphs of the report: what was done, with what, and what it has shown."""
    qcd, top = models[:2]
    size = qcd.fitted_model.n_parameters
    numbers = " and ".join(f"{one.events} jets of {one.process}" for one in datasets)
    yield (
        f"Two transformers of {size:,} parameters read jets constituent by constituent, as a "
        f"language model reads words. One was trained on QCD jets for {len(qcd.history_)} epochs; "
        f"the other started from it and was trained on top jets for {len(top.history_)}. The "
        f"sample is small: {numbers}, of which 60 % train. More jets and more steps are what "
        "these models lack most."
    )
    yield (
        "The anomaly score jet_density is -log p per constituent under the model of QCD, which has "
        f"seen no top. {models.detectors[-1].name} is the likelihood ratio of both models: it is "
        "supervised, and no anomaly score. All numbers are from jets that trained nothing, with "
        "weights that stand for all."
    )
    yield _verdict(models, datasets, columns)
    yield (
        "Beside this page lie the models (lm), the detectors, generated jets (generated), their "
        "comparison with true ones (compare), and the densities of true ones (density)."
    )
    if quick:
        yield "This was a quick look with tiny models: its numbers mean nothing."


def _verdict(models: Models, datasets: Sequence[Dataset], columns: Mapping[str, Any]) -> str:
    """Whether the anomaly score sees more than mass, multiplicity, width and all of these."""
    qcd, top = (one.name for one in datasets)
    plain = {*PLAIN_OF_JETS, "observables"}
    name = models.detectors[0].name

    def rows(reference: str) -> dict[str, Any]:
        found = performance(
            columns, background=[qcd], signals=[top], regions=["inclusive"], reference=reference
        )
        return {one.detector: one for one in found}

    found = rows("observables")
    best = max((found[one] for one in plain), key=lambda one: float(one.auc_balanced))
    mine = rows(best.detector)[name]
    sigmas = mine.gain / mine.gain_error if mine.gain_error else 0.0
    verdict = "less than" if sigmas <= -2 else "more than" if sigmas >= 2 else "no more than"
    says = {
        one: rounded(found[one].auc_balanced, found[one].auc_balanced_error)
        for one in (name, *PLAIN_OF_JETS, "observables")
    }
    return (
        f"Does the density see more than mass, multiplicity and width? It sees {verdict} the best "
        f"of these. The AUC of top against QCD, over all jets, is {says[name]}; that of the mass "
        f"is {says['jet_mass']}, of the multiplicity {says['multiplicity']}, of the width "
        f"{says['jet_width']}, of Fisher's combination of the three {says['observables']}. On the "
        f"same jets the difference to {best.detector} is {rounded(mine.gain, mine.gain_error)} "
        f"({abs(sigmas):.1f} standard deviations; {mine.n_signal} top and {mine.n_background} QCD "
        "jets)."
    )


def _figures(
    folder: Path, models: Models, names: Sequence[str], *, pdf: bool
) -> Iterator[FigureText]:
    """Training curves, and those figures of the comparison that the report shows."""
    for model, name in zip(models[:2], names, strict=True):
        curve = plotting.training_curve(model.history_, caption=SIMULATION, per="term")
        figure = f"training_curve_{name}"
        plotting.save(curve, folder / "figures", figure, pdf=pdf)
        text = (
            f"Training of the model of {words(name)}: loss per term in training and validation "
            "jets; the model of the best epoch is kept."
        )
        yield FigureText(figure, text, shortly(text))
    for name in names:
        for one in SHOWN:
            figure = f"made_{name}_{one}"
            shutil.copyfile(
                folder / "compare" / name / "figures" / f"{one}.png",
                folder / "figures" / f"{figure}.png",
            )
            text = _text(one, words(name))
            yield FigureText(figure, text, shortly(text))


def _text(figure: str, name: str) -> str:
    if figure == "jets":
        return (
            f"Jets of {name} in eta and phi around their axes: true ones above, made ones below; "
            "areas grow with pt, and lines are the edges of the bins."
        )
    what = {"log_pt": "pt of constituents", "mass": "jet mass"}.get(figure, figure)
    return (
        f"{what[0].upper()}{what[1:]} of {name}: jets that the model makes, and true ones that did "
        "not train it."
    )
