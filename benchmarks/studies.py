"""What was tried to make the masked-token detector better.

One row a choice, chosen by distorted background, judged by signals.

The criterion looks at no signal: the AUC of distorted background (hepmtp.events.distortions)
against background, both of the validation part, inside the SR and without a selection. The signals'
AUCs stand beside it: SR, analysis part, every background process the same weight, error of Hanley
and McNeil.

    python benchmarks/studies.py --out benchmarks/results/studies.md

Each trained model is kept in --folder, so that an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
from outcome import show
from sklearn.covariance import EmpiricalCovariance
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import embedded
from hepmtp.detectors import training_events
from hepmtp.detectors.masked_token.detector import MaskedTokenDetector
from hepmtp.events.distortions import distort
from hepmtp.events.regions import SR
from hepmtp.events.split import part_of
from hepmtp.models.masked import ModelOptions
from hepmtp.statistics.fisher import TailCombination
from hepmtp.statistics.metrics import Auc, auc, balanced_weights
from hepmtp.studies.trees import Trees
from hepmtp.tokenizers import Tokenizer
from hepmtp.tokenizers.continuous import ContinuousInputs
from hepmtp.tokenizers.lookup import LookupTokenizer
from hepmtp.training.masking import TrainingOptions

#: The parts of a detector's answer that the joins below combine.
COMPONENTS = ("type", "pt", "MET", "count")


class Variant(NamedTuple):
    """A way to train; everything that is not named has its default."""

    what: str
    tokenizer: Callable[[], Tokenizer]
    model: ModelOptions = ModelOptions()
    training: TrainingOptions = TrainingOptions()
    forms: tuple[str, ...] = ("joined", "sum", "mean")


class Sample(NamedTuple):
    """Events of which every score is asked for."""

    events: ak.Array
    region: np.ndarray  # (n_events,), inside the SR


def lookup(name: str) -> Callable[[], Tokenizer]:
    """Maker of a named look-up table."""
    return lambda: LookupTokenizer.preset(name)


DEFAULT = lookup("no_azimuth")
VARIANTS = {
    "default": Variant(
        "look-up table no_azimuth, one pass, tokens in",
        DEFAULT,
        forms=("joined", "sum", "mean", "excess", "type", "pt", "eta", "MET"),
    ),
    "tails": Variant("with phi and METphi", lookup("tails")),
    "visive2025": Variant(
        "published bins: 20 %, phi and METphi",
        lookup("visive2025"),
        forms=("joined", "sum", "mean", "type", "pt", "MET"),
    ),
    "joint": Variant(
        "published bins, one embedding and output an id",
        lookup("visive2025"),
        ModelOptions(output="joint"),
    ),
    "in_turn": Variant(
        "each token hidden in turn, one an event in training",
        DEFAULT,
        ModelOptions(attention="full"),
    ),
    "in_turn_30": Variant(
        "each token hidden in turn, 30 % in training",
        DEFAULT,
        ModelOptions(attention="full"),
        TrainingOptions(mask_fraction=0.3),
    ),
    "continuous": Variant(
        "continuous inputs, azimuth among them",
        lambda: ContinuousInputs(LookupTokenizer.preset("tails")),
        ModelOptions(inputs="continuous"),
    ),
    "two_epochs": Variant("2 epochs", DEFAULT, training=TrainingOptions(epochs=2)),
    "long": Variant("16 epochs", DEFAULT, training=TrainingOptions(epochs=16, patience=16)),
    "narrow": Variant("width 32", DEFAULT, ModelOptions(width=32, feedforward=64)),
    "wide": Variant("width 256", DEFAULT, ModelOptions(width=256, feedforward=512)),
    "half": Variant("half of the training events", DEFAULT),
    "seed1": Variant("seed 1", DEFAULT, training=TrainingOptions(seed=1)),
    "seed2": Variant("seed 2", DEFAULT, training=TrainingOptions(seed=2)),
}


class Judge:
    """The criterion and the signals' AUCs of a score, on the same events for all."""

    def __init__(self, seed: int = 11) -> None:
        background = read(dataset for dataset in embedded() if dataset.role == "background")
        self.training = background
        fitted = training_events(background)
        validation = training_events(background, "validation")
        parts = {
            "train": fitted,
            "train distorted": distort(fitted, np.random.default_rng(seed)),
            "validation": validation,
            "distorted": distort(validation, np.random.default_rng(seed + 1)),
            "background": part_of(background, "analysis"),
        }
        for one in embedded():
            if one.role == "signal":
                events = read([one])
                parts[one.name] = part_of(events, "analysis")
                parts[f"{one.name} train"] = part_of(events, "train")
        self.samples = {name: Sample(events, SR.select(events)) for name, events in parts.items()}
        self.signals = [one.name for one in embedded() if one.role == "signal"]
        self.weight = balanced_weights(
            ak.to_numpy(parts["background"].source)[self.samples["background"].region]
        )

    def row(self, what: str, scores: dict[str, np.ndarray]) -> str:
        """One line of the table from the score of every sample."""
        inside = {name: scores[name][self.samples[name].region] for name in scores}
        criterion = [
            auc(inside["distorted"], inside["validation"]),
            auc(scores["distorted"], scores["validation"]),
        ]
        judged = [
            auc(inside[name], inside["background"], background_weight=self.weight)
            for name in self.signals
        ]
        return f"| {what} | " + " | ".join(_show(one) for one in [*criterion, *judged]) + " |"


def _show(area: Auc) -> str:
    return f"{area.value:.3f} ± {area.error:.3f}"


def trained(name: str, variant: Variant, judge: Judge, folder: Path) -> MaskedTokenDetector:
    """The detector of a variant, from the folder if it is there."""
    path = folder / name
    if path.exists():
        return MaskedTokenDetector.load(path)
    events = judge.training
    if name == "half":
        events = events[np.random.default_rng(3).random(len(events)) < 0.5]
    detector = MaskedTokenDetector(variant.tokenizer(), variant.model, variant.training).fit(events)
    detector.save(path)
    return detector


def joins(components: dict[str, np.ndarray], judge: Judge) -> dict[str, dict[str, np.ndarray]]:
    """Other ways to join the components, each fitted on background unless it says labels."""

    def with_labels(model: Any, one: str, zero: str = "train") -> dict[str, np.ndarray]:
        x = np.concatenate([components[zero], components[one]])
        labels = np.repeat([0, 1], [len(components[zero]), len(components[one])])
        model.fit(x, labels)
        return {name: model.decision_function(part) for name, part in components.items()}

    def each(
        function: Callable[[np.ndarray], np.ndarray], columns: slice = slice(None)
    ) -> dict[str, np.ndarray]:
        return {name: function(part[:, columns]) for name, part in components.items()}

    fitted = components["train"]
    scaler = StandardScaler().fit(fitted)
    mixture = GaussianMixture(5, random_state=0).fit(scaler.transform(fitted))
    distance = EmpiricalCovariance().fit(fitted)
    linear = make_pipeline(
        StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=2000)
    )
    trees = Trees(
        max_iter=150, learning_rate=0.06, max_leaf_nodes=16, min_samples_leaf=100, random_state=0
    )
    found = {
        "Fisher of what, how, missing (the joined form)": each(
            TailCombination().fit(fitted[:, :3]).score, slice(0, 3)
        ),
        "the same and how many": each(TailCombination().fit(fitted).score),
        "the largest of the three tail surprises": each(
            lambda x: TailCombination().fit(fitted[:, :3]).surprises(x).max(axis=1), slice(0, 3)
        ),
        "Mahalanobis distance": each(distance.mahalanobis),
        "Gaussian mixture of 5": each(lambda x: -mixture.score_samples(scaler.transform(x))),
        "logistic regression against distorted background": with_labels(linear, "train distorted"),
        "boosted trees against distorted background": with_labels(trees, "train distorted"),
    }
    for signal in judge.signals:
        name = f"logistic regression with labels of {signal}: what these contain, no search"
        found[name] = with_labels(linear, f"{signal} train")
    return found


def main() -> None:
    """Train what is missing and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path("studies"))
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    judge = Judge()
    head = [
        "| criterion, SR | criterion, all | " + " | ".join(judge.signals) + " |",
        "|---" * (3 + len(judge.signals)) + "|",
    ]
    models, readings = (
        ["| trained | form " + head[0], "|---" + head[1]],
        ["| join " + head[0], head[1]],
    )
    ensemble: list[dict[str, np.ndarray]] = []
    for name in options.only:
        start = time.perf_counter()
        variant = VARIANTS[name]
        detector = trained(name, variant, judge, options.folder)
        columns: dict[str, dict[str, np.ndarray]] = {
            form: {} for form in (*variant.forms, *COMPONENTS[:3])
        }
        for key, sample in judge.samples.items():
            if "train" in key and name != "default":
                continue  # for the joins alone
            for form, column in columns.items():
                if form in detector.forms:
                    column[key] = detector.with_score(form).score(sample.events)
        models += [judge.row(f"{variant.what} | {form}", columns[form]) for form in variant.forms]
        if name in ("default", "seed1", "seed2"):
            ensemble.append(columns["joined"])
        if name == "default":
            components = {
                key: np.stack(
                    [
                        *(columns[one][key] for one in COMPONENTS[:3]),
                        ak.to_numpy(ak.num(sample.events.Particle)),
                    ],
                    axis=1,
                )
                for key, sample in judge.samples.items()
            }
            readings += [
                judge.row(what, scores) for what, scores in joins(components, judge).items()
            ]
        sys.stderr.write(f"{name}: {time.perf_counter() - start:.0f} s\n")
    if len(ensemble) > 1:
        mean = {key: np.mean([one[key] for one in ensemble], axis=0) for key in ensemble[-1]}
        models.append(judge.row(f"mean of {len(ensemble)} seeds | joined", mean))
    sizes = ", ".join(
        f"{sample.region.sum()} {name}"
        for name, sample in judge.samples.items()
        if "train" not in name
    )
    lines = [
        f"Events in the SR: {sizes}. Made by `python benchmarks/studies.py`.", "",
        ("How the answers of the default model (what, how, missing, and how many particles) are "
        "joined; all four unless it is said:"), "", *readings, "",
        "What is trained:", "", *models, "",
    ]  # fmt: skip
    text = "\n".join(lines)
    show(text, options.out)


if __name__ == "__main__":
    main()
