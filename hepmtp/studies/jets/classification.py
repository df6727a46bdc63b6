"""Two data sets of jets told apart: a tagger, trees on observables, the likelihood ratio.

The rule: all are judged on the same jets of the analysis part, which trained nothing, and the trees
have the labels of the tagger.
"""

from __future__ import annotations

from typing import NamedTuple

import awkward as ak
import numpy as np

from hepmtp.errors import TrainingError
from hepmtp.events.constituents import constituents
from hepmtp.events.ragged import Floats, Ints
from hepmtp.events.record import metadata
from hepmtp.events.split import in_one_order, part_of
from hepmtp.jets.density import log_ratio
from hepmtp.jets.language_model import JetLanguageModel
from hepmtp.jets.observables import observables
from hepmtp.jets.tagger import JetTagger, choose_labels, name_of
from hepmtp.plotting.curves import roc as draw_roc
from hepmtp.plotting.style import OWN_FILES, Caption
from hepmtp.statistics.metrics import auc, roc
from hepmtp.statistics.rejection import rejection
from hepmtp.studies.jets.found import Found
from hepmtp.studies.jets.trees import trained_trees

#: Scores of jets of the first and of the second data set.
Scores = tuple[Floats, Floats]


class Row(NamedTuple):
    """How well a score tells two data sets apart."""

    method: str
    labels: str  #: of each class
    auc: float
    auc_error: float
    r30: float | None
    r30_error: float | None
    r50: float | None
    r50_error: float | None
    n_background: int
    n_signal: int


def row(method: str, labels: str, scores: Scores) -> Row:
    """The row of a score; a rejection is None if fewer than 25 jets of background pass."""
    background, signal = scores
    curve, area = roc(signal, background), auc(signal, background)
    r30, r50 = (rejection(curve, eps_s) for eps_s in (0.3, 0.5))
    numbers = (r30.value, r30.error, r50.value, r50.error)
    return Row(method, labels, area.value, area.error, *numbers, area.n_background, area.n_signal)


def tree_scores(background: ak.Array, signal: ak.Array, labels: int | None, seed: int) -> Scores:
    """Of jets of the analysis part, from trees that have these labels."""
    sides = background, signal
    chosen = [
        np.concatenate(choose_labels(one, labels, seed)) if labels else _training(one)
        for one in sides
    ]
    tables = [_table(one[some]) for one, some in zip(sides, chosen, strict=True)]
    label = np.repeat([0.0, 1.0], [len(one) for one in tables])
    weight = np.repeat([1 / len(one) for one in tables], [len(one) for one in tables])
    weight *= len(label) / 2
    trees = trained_trees(np.concatenate(tables), label, seed=seed, weight=weight)
    found = [trees.decision_function(_table(judged(one))) for one in sides]
    return found[0], found[1]


def judged(events: ak.Array) -> ak.Array:
    """Jets of the analysis part; TrainingError if there are none."""
    some = in_one_order(part_of(events, "analysis"))
    if not len(some):
        raise TrainingError(
            f"{metadata(events).get('dataset', '(unnamed)')}: none of {len(events)} jets is in the "
            "analysis part: give more"
        )
    return some


def classification(
    tagger: JetTagger,
    background: ak.Array,
    signal: ak.Array,
    *,
    labels: int | None = None,
    models: tuple[JetLanguageModel, JetLanguageModel] | None = None,
    caption: Caption = OWN_FILES,
) -> Found:
    """Judge a trained tagger, trees with as many labels, and the ratio of two models.

    Parameters
    ----------
    background, signal
        what the tagger was trained on, (n_jets,) each.
    labels
        that it had of each class.
    models
        of background and of signal, for the likelihood ratio.
    """
    said, names = "all" if labels is None else str(labels), tagger.classes_
    sides = judged(background), judged(signal)
    how = "frozen backbone" if tagger.training.frozen else "whole"
    start = f"transformer, {tagger.start_}, {how}"
    scores: dict[str, Scores] = {start: (tagger.score(sides[0]), tagger.score(sides[1]))}
    scores["trees on observables"] = tree_scores(background, signal, labels, tagger.training.seed)
    rows = [row(name, said, one) for name, one in scores.items()]
    remarks = [f"{names[0]} is the background, {names[1]} the signal. Judged on the analysis part."]
    if models is not None:
        of_background, of_signal = models
        ratio = [log_ratio(of_signal.density(one), of_background.density(one)) for one in sides]
        name = f"likelihood ratio, {name_of(of_signal)} to {name_of(of_background)}"
        scores[name] = ratio[0], ratio[1]
        rows.append(row(name, "none", scores[name]))
        remarks.append(
            "A likelihood ratio exaggerates the separation where models are not exact "
            "(arXiv:2511.15779)."
        )
    curves = {name: roc(one[1], one[0]) for name, one in scores.items()}
    title = f"{names[1]} against {names[0]}"
    figure = draw_roc(curves, title=title, caption=caption)
    return Found(title, {"Classifiers": rows}, remarks, {"roc": figure})


def _training(events: ak.Array) -> Ints:
    return choose_labels(events, None, 0).training


def _table(events: ak.Array) -> Floats:
    """Observables, (n_jets, n_observables)."""
    return np.stack(list(observables(constituents(events)).values()), axis=1)
