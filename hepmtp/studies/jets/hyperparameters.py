"""A grid of hyper-parameters: loss, distances and their floors for every combination.

The rule: all are trained on the same jets for as many epochs, and judged on the same jets of the
analysis part. What is chosen from such a table must be judged on other jets.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from hepmtp.errors import OptionError
from hepmtp.models.autoregressive_options import AutoregressiveOptions
from hepmtp.plotting.style import OWN_FILES, Caption
from hepmtp.studies.jets.bench import Bench, Trained
from hepmtp.studies.jets.comparison import Measured, distances, told_apart
from hepmtp.studies.jets.figures import rows_of_points
from hepmtp.studies.jets.found import Found
from hepmtp.studies.jets.loss import loss_of
from hepmtp.studies.jets.pieces import Piece


class Row(NamedTuple):
    """A model of the grid."""

    model: str
    n_parameters: int
    loss: float  #: per term, of jets of the analysis part [nat]
    loss_error: float
    w_log_pt: float
    w_log_pt_error: float
    w_mass: float
    w_mass_error: float
    w_multiplicity: float
    w_multiplicity_error: float
    trees: float  #: AUC of true against made
    trees_error: float
    steps: int
    cpu_seconds: float


def run(bench: Bench, caption: Caption = OWN_FILES) -> Found:
    """Every combination of the grid."""
    name = bench.name(0)
    rows, floors = [], {}
    for words in combinations(bench.scale.grid):
        said = ", ".join(f"{key} {value:g}" for key, value in words.items())
        shape, training = _options(bench, words)
        one = bench.language_model(name, f"{name}, {said}", shape=shape, training=training)
        key = (one.digest, bench.scale.made, bench.scale.judged)
        piece = bench.pieces.get(f"hyperparameters {said}", key, partial(measured, bench, one))
        floors = piece["floors"]
        numbers = {each: piece[each] for each in Row._fields if each in piece}
        numbers |= {"model": said, "steps": one.steps, "cpu_seconds": one.cpu_seconds}
        rows.append(Row(**numbers))
    said = ", ".join(f"{key} {value:.3g}" for key, value in floors.items())
    remarks = [f"Distances of true and true jets: {said}."]
    best = min(one.loss for one in rows)
    losses = {one.model: (one.loss - best, one.loss_error) for one in rows}
    figure = rows_of_points(
        losses, xlabel="loss per term above the best", title=name, caption=caption
    )
    title = f"Hyper-parameters, {name}"
    return Found(title, {"Grid": rows}, remarks, {"hyperparameters": figure})


def combinations(grid: dict[str, tuple[Any, ...]]) -> Iterator[dict[str, Any]]:
    """One value of each name.

    Examples
    --------
    >>> list(combinations({"width": (8, 16), "heads": (2,)}))
    [{'width': 8, 'heads': 2}, {'width': 16, 'heads': 2}]
    """
    for values in itertools.product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def _options(bench: Bench, words: dict[str, Any]) -> tuple[AutoregressiveOptions, Any]:
    """Shape and training with these values."""
    shape, training = asdict(bench.scale.shape), bench.scale.training
    of_shape = {key: value for key, value in words.items() if key in shape}
    of_training = {key: value for key, value in words.items() if key in asdict(training)}
    if unknown := set(words) - set(of_shape) - set(of_training):
        raise OptionError(
            f"{', '.join(sorted(unknown))}: no such hyper-parameter; there are "
            f"{', '.join([*shape, *asdict(training)])}"
        )
    return AutoregressiveOptions(**shape | of_shape), replace(training, **of_training)


def measured(bench: Bench, one: Trained, *, trees: bool = True) -> Piece:
    """Loss and distances of a model, on jets of the analysis part of its data set.

    Parameters
    ----------
    trees
        tell true and made jets apart, too.
    """
    name = one.model.dataset_
    bench.said(f"jets of a model of {name}")
    rng = np.random.default_rng([bench.seed, 10])
    tokens = bench.tokens(name)
    made = one.model.sample(bench.scale.made, seed=bench.seed, keep_unstopped=True)
    true, drawn = (Measured.of(some, bench.tokenizer, rng) for some in (tokens, made))
    found = distances(true, drawn, rng)
    told = told_apart(true, drawn, seed=bench.seed) if trees else []
    loss = loss_of(one.model, tokens)
    piece: Piece = {"n_parameters": one.model.fitted_model.n_parameters}
    piece |= {"loss": loss[0], "loss_error": loss[1]}
    for each in found:
        piece[f"w_{each.quantity}"], piece[f"w_{each.quantity}_error"] = each.w, each.w_error
    if told:
        piece |= {"trees": told[0].auc, "trees_error": told[0].error}
    piece["distances"] = [each._asdict() for each in found]
    piece["told"] = [each._asdict() for each in told]
    piece["floors"] = {each.quantity: each.floor for each in found}
    return piece
