"""Generation: jets of the models of two data sets beside true ones.

The rule: distances stand beside their floors, and true against made beside true against true.
"""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from hepmtp.jets.tagger import new_classifier, train_as
from hepmtp.plotting.style import OWN_FILES, Caption
from hepmtp.statistics.metrics import auc
from hepmtp.studies.jets.bench import Bench, Trained
from hepmtp.studies.jets.comparison import QUANTITIES, Distance
from hepmtp.studies.jets.figures import rows_of_points
from hepmtp.studies.jets.found import Found
from hepmtp.studies.jets.hyperparameters import measured
from hepmtp.studies.jets.pieces import Piece
from hepmtp.training.classify_jets import LabelledJets, logits_of


class DistanceRow(NamedTuple):
    """A Wasserstein distance of made and true jets."""

    jets: str
    quantity: str
    w: float
    w_error: float
    floor: float
    floor_error: float
    w_over_floor: float
    n_jets: int


class ToldRow(NamedTuple):
    """A classifier of two sides."""

    jets: str
    classifier: str
    sides: str
    auc: float
    auc_error: float
    n_jets: int


def run(bench: Bench, caption: Caption = OWN_FILES) -> Found:
    """The model of background, and that of the signal if there is one."""
    models = bench.pair() if len(bench.samples) > 1 else (bench.language_model(bench.name(0)),)
    rows: list[DistanceRow] = []
    told: list[ToldRow] = []
    remarks, ratios = [], {}
    for one in models:
        name = one.model.dataset_
        key = (one.digest, bench.scale.made, bench.scale.judged)
        piece = bench.pieces.get(f"generation {name}", key, partial(measured, bench, one))
        network = bench.pieces.get(
            f"generation {name}, transformer",
            (*key, bench.scale.classifier),
            partial(_transformer, bench, one),
        )
        for each in (Distance(**row) for row in piece["distances"]):
            unit = f" [{each.unit}]" if QUANTITIES[each.quantity] else ""
            rows.append(
                DistanceRow(name, f"{each.quantity}{unit}", *each[2:6], each.ratio, each.n_jets)
            )
            ratios[f"{name}, {each.quantity}"] = (each.ratio, each.w_error / each.floor)
        told += [ToldRow(name, "trees on observables", **_renamed(row)) for row in piece["told"]]
        told.append(ToldRow(name, "transformer", **network["told"]))
        remarks.append(
            f"{name}: loss {piece['loss']:.4f} ± {piece['loss_error']:.4f} per term, "
            f"{piece['n_parameters']:,} parameters, {one.cost}."
        )
    figure = rows_of_points(ratios, xlabel="W / floor", caption=caption)
    tables: dict[str, list[Any]] = {"Distances": rows, "True against made": told}
    return Found("Generation", tables, remarks, {"generation": figure})


def _renamed(row: dict[str, Any]) -> dict[str, Any]:
    return {"auc_error" if key == "error" else key: value for key, value in row.items()}


def _transformer(bench: Bench, one: Trained) -> Piece:
    """A transformer on tokens: trained on half of the judged jets, judged on the other half."""
    tokens = bench.tokens(one.model.dataset_)
    bench.said(f"a transformer for true and made jets of {one.model.dataset_}")
    n = min(len(tokens), bench.scale.made)
    sides = tokens, one.model.sample(n, seed=bench.seed, keep_unstopped=True)
    rng = np.random.default_rng([bench.seed, 11])
    order = [rng.permutation(len(side))[:n] for side in sides]
    cuts = [0, int(0.4 * n), int(0.5 * n), n]
    parts = [
        [side.select(some[first:last]) for side, some in zip(sides, order, strict=True)]
        for first, last in itertools.pairwise(cuts)
    ]
    tagger = bench.tagger(seed=bench.seed)
    model = new_classifier(tagger, None)
    sets = [LabelledJets.of(*part) for part in parts[:2]]
    train_as(tagger, model, *sets)
    scores = [logits_of(model, side) for side in parts[2]]
    found = auc(scores[1], scores[0])
    told = {"sides": "made, true", "auc": found.value, "auc_error": found.error}
    return {"told": {**told, "n_jets": found.n_signal}}
