"""Commands that judge models of jets: classify, and the studies.

The rule: jets of the analysis part judge, and they trained nothing.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hepmtp.cli.jet_files import read_jets
from hepmtp.cli.options import Folder, Manifest, Names, Output, RoleOption, Seed
from hepmtp.cli.terminal import say
from hepmtp.errors import OptionError

if TYPE_CHECKING:
    from hepmtp.jets.language_model import JetLanguageModel
    from hepmtp.jets.tagger import JetTagger

SignalModel = Annotated[
    Path | None,
    typer.Option(help="Language model of the signal, for the likelihood ratio beside."),
]


def classify(
    names: Names = None,
    output: Output = Path("classify"),
    start_from: Annotated[
        Path | None,
        typer.Option(help="Language model or tagger whose bins, shape and backbone are taken up."),
    ] = None,
    signal_model: SignalModel = None,
    labels: Annotated[
        int | None,
        typer.Option(help="Labelled jets of each class; by default all but the analysis part."),
    ] = None,
    frozen: Annotated[
        bool, typer.Option("--frozen", help="Train the head alone, on the backbone as it is.")
    ] = False,
    width: Annotated[int, typer.Option(help="Features per token, from scratch.", min=1)] = 128,
    layers: Annotated[int, typer.Option(help="Blocks, from scratch.", min=1)] = 4,
    heads: Annotated[int, typer.Option(help="Attention heads, from scratch.", min=1)] = 4,
    epochs: Annotated[int, typer.Option(help="At most so many; few labels take more.", min=1)] = 10,
    steps: Annotated[
        int, typer.Option(help="At least so many, so that few labels are enough.", min=1)
    ] = 300,
    learning_rate: Annotated[float, typer.Option(help="Its largest value.")] = 1e-3,
    seed: Seed = 0,
    device: Annotated[str, typer.Option(help="Where to train, cpu or cuda.")] = "cpu",
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="Folder written after each epoch; called again, training goes on."),
    ] = None,
    role: RoleOption = "background",
    folder: Folder = None,
    manifest: Manifest = None,
) -> None:
    """Tell two data sets of jets apart with labels, by a transformer and by trees.

    The backbone is that of a language model, from scratch or trained, with a small head. Writes a
    table, the ROC and the trained tagger into the output folder.

    Example: `hepmtp jets classify QCD=QCDJets.root top:signal=TTBar_Tbqq.root --start-from lm/qcd`
    """
    from hepmtp.cli.progress import epoch_bars
    from hepmtp.jets.language_model import JetLanguageModel
    from hepmtp.jets.tagger import JetTagger
    from hepmtp.models.autoregressive_options import AutoregressiveOptions
    from hepmtp.studies.jets.classification import classification
    from hepmtp.studies.jets.found import write_found
    from hepmtp.training.classify_jets import JetClassifierTraining
    from hepmtp.training.loop import usable

    usable(device)
    start = None if start_from is None else _trained(start_from)
    models = None
    if signal_model is not None:
        if not isinstance(start, JetLanguageModel):
            raise OptionError(
                "--signal-model is for a likelihood ratio, which needs the language model of the "
                "background: give it with --start-from"
            )
        models = start, JetLanguageModel.load(signal_model)
    found = read_jets(names, role, folder, manifest)
    if len(found) != 2:
        raise OptionError(
            f"two data sets are told apart, found {', '.join(found)}: give background first, and "
            "signal as NAME:signal=FILE"
        )
    background, signal = found.values()
    tagger = JetTagger(
        model=AutoregressiveOptions(width=width, layers=layers, heads=heads),
        training=JetClassifierTraining(
            epochs=epochs,
            steps=steps,
            learning_rate=learning_rate,
            frozen=frozen,
            seed=seed,
            device=device,
        ),
    )
    with epoch_bars() as show:
        tagger.fit(
            background,
            signal,
            start_from=start,
            labels=labels,
            checkpoint=checkpoint,
            progress=show,
        )
    judged = classification(tagger, background, signal, labels=labels, models=models)
    tagger.save(output / "tagger")
    say(write_found(output, "classification", judged, command=_command()))
    say(output / "classification.md")


def study(
    name: Annotated[
        Literal[
            "binning",
            "generation",
            "ratio",
            "transfer",
            "transfer-generation",
            "extrapolation",
            "hyperparameters",
            "all",
        ],
        typer.Argument(metavar="STUDY", help="Which one, or all.", show_default=False),
    ],
    names: Names = None,
    output: Output = Path("study"),
    background_model: Annotated[
        Path | None,
        typer.Option(help="Trained language model of the background, instead of a new one."),
    ] = None,
    signal_model: Annotated[
        Path | None,
        typer.Option(help="The same of the signal; it has the bins of the other."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Tiny models and few jets: a look, not numbers.")
    ] = False,
    epochs: Annotated[
        int | None, typer.Option(help="Of each language model.", min=1, show_default=False)
    ] = None,
    made: Annotated[
        int | None,
        typer.Option(help="Jets that are drawn from each model.", min=100, show_default=False),
    ] = None,
    draws: Annotated[
        int | None, typer.Option(help="Draws of the labels.", min=1, show_default=False)
    ] = None,
    sizes: Annotated[
        list[str] | None,
        typer.Option(
            "--size",
            metavar="NAME=VALUE",
            help="Any other number, as judged=4000 or labels=50,all; may be repeated.",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="Where to train, cpu or cuda.")] = "cpu",
    seed: Seed = 0,
    role: RoleOption = "background",
    folder: Folder = None,
    manifest: Manifest = None,
) -> None:
    """Studies of language models of jets, each with a table, its data and figures.

    binning, generation, ratio, transfer, transfer-generation, extrapolation, hyperparameters, or
    all. Data sets are background, signal, and a second signal that is transferred to. What is
    finished is kept in the output folder; called again, a study goes on.

    Example: `hepmtp jets study ratio QCD=QCDJets.root top:signal=TTBar_Tbqq.root --quick`
    """
    from dataclasses import replace

    from hepmtp.cli.progress import progress_bar
    from hepmtp.jets.language_model import JetLanguageModel
    from hepmtp.studies.jets.bench import Bench
    from hepmtp.studies.jets.run import chosen, run_studies
    from hepmtp.studies.jets.scale import FULL, QUICK
    from hepmtp.training.loop import usable

    usable(device)
    scale = QUICK if quick else FULL
    training = replace(scale.training, device=device)
    scale = replace(
        scale,
        training=training if epochs is None else replace(training, epochs=epochs),
        classifier=replace(scale.classifier, device=device),
        made=made or scale.made,
        draws=draws or scale.draws,
    ).resized(sizes or ())
    found = read_jets(names, role, folder, manifest)
    given = {
        list(found)[place]: JetLanguageModel.load(path)
        for place, path in enumerate((background_model, signal_model))
        if path is not None and place < len(found)
    }
    with progress_bar(name, "steps") as (bar, task):
        bench = Bench(
            output,
            found,
            scale,
            given,
            seed=seed,
            said=lambda text: bar.update(task, description=text),
        )
        left = chosen("all", bench) if name == "all" else {}
        texts = run_studies(name, bench, command=_command())
    for text in texts.values():
        say(text)
    for one in texts:
        say(output / f"{one}.md")
    if name == "all" and "transfer" not in left:
        say(
            "studies that need more data sets were left out: give background, a signal, and a "
            "second signal for all of them",
            err=True,
        )


def _trained(path: Path) -> JetLanguageModel | JetTagger:
    """What a folder holds, if one can start from it."""
    from hepmtp import storage
    from hepmtp.jets.language_model import JetLanguageModel
    from hepmtp.jets.tagger import JetTagger

    kind = storage.read(path)[0]["kind"]
    for one in (JetLanguageModel, JetTagger):
        if kind == storage.kind_of(one):
            return one.load(path)
    raise OptionError(
        f"{path} holds a {kind!r}: expected a language model (hepmtp jets train) or a tagger "
        "(hepmtp jets classify)"
    )


def _command() -> str:
    return f"hepmtp {shlex.join(sys.argv[1:])}"
