"""Commands for language models of jets: train, generate, compare, density; and their studies.

The rule: a model is one of a named data set. Jets that trained it judge nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hepmtp.cli.jet_files import read_jets
from hepmtp.cli.jet_studies import classify, study
from hepmtp.cli.jets_demo import demo
from hepmtp.cli.options import Folder, Manifest, Names, Output, RoleOption, Seed
from hepmtp.cli.terminal import say
from hepmtp.errors import OptionError

if TYPE_CHECKING:
    from hepmtp.detectors import Detector

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode="markdown", help="Language models of jets."
)
app.command()(demo)

#: Folders beside `hepmtp.detectors.SCORE`, within that of a model: of the likelihood ratio to the
#: model that one of signal has started from, and of what the anomaly score has to beat.
RATIO, BESIDE = "ratio", "observables"

ModelFolder = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL", help="Folder that `hepmtp jets train` wrote.", show_default=False
    ),
]


@app.command()
def train(
    names: Names = None,
    output: Output = Path("lm"),
    start_from: Annotated[
        Path | None,
        typer.Option(help="Trained model whose bins, shape and weights are taken up."),
    ] = None,
    max_constituents: Annotated[
        int | None, typer.Option(help="Only so many leading constituents of each jet.", min=1)
    ] = None,
    form: Annotated[
        Literal["product", "joint"],
        typer.Option(help="One softmax for each of pt, eta and phi, or one for all ids."),
    ] = "product",
    angle: Annotated[
        Literal["pseudorapidity", "rapidity"],
        typer.Option(help="What eta is of the constituents; published: pseudorapidity."),
    ] = "pseudorapidity",
    width: Annotated[int, typer.Option(help="Features per token.", min=1)] = 128,
    layers: Annotated[int, typer.Option(help="Blocks.", min=1)] = 4,
    heads: Annotated[int, typer.Option(help="Attention heads.", min=1)] = 4,
    epochs: Annotated[int, typer.Option(help="At most so many.", min=1)] = 20,
    learning_rate: Annotated[float, typer.Option(help="Its largest value.")] = 1e-3,
    batch_jets: Annotated[int, typer.Option(help="Jets in a step, a multiple of 8.", min=8)] = 64,
    mirrored: Annotated[
        bool,
        typer.Option(help="Reflect jets in eta and phi at random in each epoch, or not."),
    ] = True,
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
    """Train a language model of one data set of jets.

    Writes the model into the output folder. Beside one of background are the anomaly score
    (`detector`) and what that has to beat (`observables`: mass, multiplicity, width, combined).
    Beside one of signal that starts from background is the likelihood ratio (`ratio`), which is
    supervised. Prints whether the model expects constituents where held-out jets have them. Bins
    come from background: other jets need --start-from.

    Example: `hepmtp jets train QCD=QCDJets.root --output lm/qcd`
    """
    from hepmtp.cli.progress import epoch_bars
    from hepmtp.detectors import SCORE
    from hepmtp.detectors.density import JetDensityDetector
    from hepmtp.detectors.likelihood import JetRatioDetector
    from hepmtp.detectors.observables import Observable
    from hepmtp.events.split import in_one_order, part_of
    from hepmtp.jets.calibration import table
    from hepmtp.jets.language_model import JetLanguageModel
    from hepmtp.models.autoregressive_options import AutoregressiveOptions
    from hepmtp.run.rivals import PLAIN_OF_JETS, plain_observables
    from hepmtp.run.trained import new_training, save_detectors
    from hepmtp.tokenizers.constituents import ConstituentTokenizer
    from hepmtp.training.loop import usable
    from hepmtp.training.next_token import NextTokenOptions

    usable(device)
    start = None if start_from is None else JetLanguageModel.load(start_from)
    model = JetLanguageModel(
        ConstituentTokenizer(angle=angle) if start is None else start.tokenizer,
        AutoregressiveOptions(form=form, width=width, layers=layers, heads=heads)
        if start is None
        else start.model,
        NextTokenOptions(
            epochs=epochs,
            learning_rate=learning_rate,
            batch_events=batch_jets,
            neighbours=8 if batch_jets % 16 or batch_jets < 64 else 16,
            mirrored=mirrored,
            seed=seed,
            device=device,
        ),
        max_constituents,
    )
    found = read_jets(names, role, folder, manifest)
    if len(found) != 1:
        raise OptionError(
            f"a language model is one of one data set, found {', '.join(found)}: join files as "
            "NAME=FILE,FILE"
        )
    (events,) = found.values()
    with epoch_bars() as show:
        model.fit(events, start_from=start, checkpoint=checkpoint, progress=show)
    model.save(output)
    detector = ""
    if start is not None and model.role_ == "signal" and not start.supervised_:
        JetRatioDetector(model, start).fit_to_held_out().save(output / RATIO)
        detector = f"; the likelihood ratio to {start.dataset_} is {output / RATIO}"
    if model.role_ == "background" and not model.supervised_:
        training = in_one_order(part_of(events, "train"))
        JetDensityDetector(model).take(training).save(output / SCORE)
        rivals: list[Detector] = [*map(Observable, PLAIN_OF_JETS), plain_observables(PLAIN_OF_JETS)]
        with new_training(output / BESIDE, overwrite=True) as place:
            save_detectors(place.new, [one.fit(events) for one in rivals])
        detector = f"; the anomaly score is {output / SCORE}"
    best = min(row["validation_loss"] for row in model.history_)
    say(table(model.calibration_))
    say(
        f"{output}: a model of {model.dataset_} with {model.fitted_model.n_parameters:,} "
        f"parameters, {len(model.history_)} epochs, validation loss {best:.4f} per term{detector}"
    )


@app.command()
def generate(
    model: ModelFolder,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="New ROOT file in the layout of JetClass.")
    ] = Path("generated.root"),
    jets: Annotated[int, typer.Option(help="How many.", min=1)] = 20_000,
    seed: Seed = 0,
    label: Annotated[
        str | None, typer.Option(help="Label of the jets (QCD, Tbqq, ...); by default the model's.")
    ] = None,
    temperature: Annotated[
        float,
        typer.Option(help="Anything but 1 biases the jets, and the file says so."),
    ] = 1.0,
) -> None:
    """Write jets that a model makes up, batch by batch.

    They have no types; read them with `--option untyped=true`. The same seed gives the same jets.

    Example: `hepmtp jets generate lm/qcd --jets 20000 --output qcd_generated.root`
    """
    from hepmtp.jets.files import write_generated
    from hepmtp.jets.language_model import JetLanguageModel

    one = JetLanguageModel.load(model)
    about = write_generated(output, one, jets, seed=seed, label=label, temperature=temperature)
    say(f"{output}: {jets} jets {about}")


@app.command()
def compare(
    first: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|DATASET",
            help="Folder that `hepmtp jets train` wrote, or true jets.",
            show_default=False,
        ),
    ],
    names: Names = None,
    output: Output = Path("compare"),
    jets: Annotated[
        int | None,
        typer.Option(
            help="Jets that the model makes; by default half as many as there are true ones.", min=1
        ),
    ] = None,
    bins: Annotated[
        Path | None,
        typer.Option(help="Of two data sets: a model through whose bins both sides go."),
    ] = None,
    seed: Seed = 0,
    role: RoleOption = "background",
    folder: Folder = None,
    manifest: Manifest = None,
) -> None:
    """Compare true jets with those that a model makes up, or with those of another data set.

    Writes distances with their floors, how well trees tell the two apart, and spectra. Jets that
    trained the model are left out, and the same jets on both sides are refused.

    Example: `hepmtp jets compare lm/qcd QCD=QCDJets.root --output compare`

    Example: `hepmtp jets compare QCDJets.root qcd_generated.root --bins lm/qcd`
    """
    from hepmtp.jets.language_model import JetLanguageModel
    from hepmtp.studies.jets.folder import write_comparison, write_two_sides

    if Path(first).is_dir():
        if bins is not None:
            raise OptionError("--bins is for two data sets: jets of a model have its own bins")
        one = JetLanguageModel.load(first)
        found = read_jets(names, role, folder, manifest)
        if len(found) != 1:
            raise OptionError(f"true jets are of one data set, found {', '.join(found)}")
        ((name, events),) = found.items()
        say(write_comparison(output, one, events, name=name, jets=jets, seed=seed))
    else:
        if jets is not None:
            raise OptionError("--jets is for a model; two data sets are compared as they are")
        through = None if bins is None else JetLanguageModel.load(bins).tokenizer
        found = read_jets([first, *(names or ())], role, folder, manifest, untyped=True)
        say(write_two_sides(output, found, tokenizer=through, seed=seed))
    say(output / "comparison.md")


@app.command()
def density(
    model: ModelFolder,
    names: Names = None,
    output: Output = Path("density"),
    columns: Annotated[
        Path | None, typer.Option(help="Also write densities jet by jet, to this parquet file.")
    ] = None,
    role: RoleOption = "background",
    folder: Folder = None,
    manifest: Manifest = None,
) -> None:
    """What a model says of jets of several data sets.

    Densities of tokens and in physical space, correlations, and how well they separate, beside
    mass, multiplicity and width. The first data set is what the others are separated from. A figure
    shows where the model expects the next constituents of one of its jets.

    Example: `hepmtp jets density lm/qcd QCD=QCDJets.root top:signal=TTBar_Tbqq.root`
    """
    from hepmtp.jets.language_model import JetLanguageModel
    from hepmtp.studies.jets.folder import write_densities

    one = JetLanguageModel.load(model)
    found = read_jets(names, role, folder, manifest)
    say(write_densities(output, one, found, columns=columns))
    say(output / "density.md")


for _command in (classify, study):
    app.command()(_command)
