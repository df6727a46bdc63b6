"""The likelihood ratio of two language models, beside what it may be compared with.

The rule: a ratio exaggerates where its models are not exact (arXiv:2511.15779). So the same jets
are judged by direct classifiers (a). On jets that the two models made, the ratio is the best test
there can be (b), which a classifier trained on such jets (c) must not beat.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

from hepmtp.events.ragged import Floats
from hepmtp.events.tokens import TokenBatch
from hepmtp.jets.language_model import JetLanguageModel
from hepmtp.jets.tagger import new_classifier, train_as
from hepmtp.plotting.curves import roc as draw_roc
from hepmtp.plotting.style import OWN_FILES, Caption
from hepmtp.statistics.metrics import auc, auc_difference, roc
from hepmtp.studies.jets.bench import Bench, weights_digest
from hepmtp.studies.jets.classification import Scores
from hepmtp.studies.jets.comparison import Measured
from hepmtp.studies.jets.found import Found
from hepmtp.studies.jets.pieces import Piece
from hepmtp.studies.jets.trees import trained_trees
from hepmtp.training.classify_jets import LabelledJets, logits_of

#: Shares of made jets that train and validate a classifier; the others judge.
SHARES = (0.6, 0.7)
RATIO = "likelihood ratio"


class Row(NamedTuple):
    """A test of jets of two kinds, and how it compares with the ratio on the same jets."""

    jets: str
    test: str
    auc: float
    auc_error: float
    difference: float | None
    difference_error: float | None  #: paired
    n_background: int
    n_signal: int


def run(bench: Bench, caption: Caption = OWN_FILES) -> Found:
    """True jets, and jets that the models have made."""
    background, signal = bench.pair()
    names = bench.name(0), bench.name(1)
    key = (background.digest, signal.digest, bench.scale)
    models = background.model, signal.model
    true = bench.pieces.get("ratio true", key, lambda: _true(bench, models))
    made = bench.pieces.get("ratio made", key, lambda: _made(bench, models))
    rows, curves = [], {}
    for jets, piece in (("true", true), ("made by the models", made)):
        scores = {name: _arrays(one) for name, one in piece["scores"].items()}
        for name, one in scores.items():
            rows.append(_row(jets, name, one, scores[RATIO]))
            curves[f"{name}, {jets}"] = roc(one[1], one[0])
    better = max((one for one in rows[3:] if one.test != RATIO), key=lambda one: one.auc)
    gap, error = better.difference or 0.0, better.difference_error or 0.0
    verdict = "beats it, so something is wrong" if gap > 3 * error else "does not beat it"
    tests = true["cpu_seconds"] + made["cpu_seconds"]
    both = (("true", true), ("made", made))
    remarks = [
        "(a): the classifiers of true jets. (b): the ratio on made jets. (c): the others there.",
        f"The better of (c), {better.test}, less (b): {gap:.4f} ± {error:.4f}. It {verdict}.",
        f"The model of {names[0]}: {background.cost}. That of {names[1]}: {signal.cost}.",
        *(
            f"The transformer of {what} jets: {piece['epochs']} epochs of {piece['jets']} jets."
            for what, piece in both
        ),
        *(
            f"Mean log ratio of {what} jets [nat]: {np.mean(piece['scores'][RATIO][0]):.1f} of "
            f"{names[0]}, {np.mean(piece['scores'][RATIO][1]):.1f} of {names[1]}."
            for what, piece in both
        ),
        f"All tests: {tests:.0f} s of CPU.",
    ]
    title = f"Likelihood ratio, {names[1]} against {names[0]}"
    figure = draw_roc(curves, title=f"{names[1]} against {names[0]}", caption=caption)
    return Found(title, {"Tests": rows}, remarks, {"ratio": figure})


def ratio_of(models: tuple[JetLanguageModel, JetLanguageModel], tokens: TokenBatch) -> Floats:
    """log p under the second model minus that under the first, (n_jets,)."""
    found = [one.log_prob(tokens).sum(axis=1) for one in models]
    return np.asarray(found[1] - found[0])


def _true(bench: Bench, models: tuple[JetLanguageModel, JetLanguageModel]) -> Piece:
    names = bench.name(0), bench.name(1)
    training = [bench.training(one) for one in names]
    n = [len(one) // 7 for one in training]
    parts = [
        [one.select(np.arange(len(one)) >= few) for one, few in zip(training, n, strict=True)],
        [one.select(np.arange(few)) for one, few in zip(training, n, strict=True)],
        [bench.tokens(one) for one in names],
    ]
    return _tests(bench, models, parts, "true")


def _made(bench: Bench, models: tuple[JetLanguageModel, JetLanguageModel]) -> Piece:
    n = bench.scale.made
    bench.said(f"drawing {n} jets of each of two models")
    made = [one.sample(n, seed=bench.seed + i) for i, one in enumerate(models)]
    edges = [0, *(int(share * n) for share in SHARES), n]
    parts = [
        [one.select(np.arange(first, last)) for one in made]
        for first, last in itertools.pairwise(edges)
    ]
    return _tests(bench, models, parts, "made")


def _tests(
    bench: Bench,
    models: tuple[JetLanguageModel, JetLanguageModel],
    parts: list[list[TokenBatch]],
    what: str,
) -> Piece:
    """Scores of the judged jets, by the ratio, a transformer and trees."""
    bench.said(f"classifiers of {what} jets")
    training, validation, judged = parts
    tagger = bench.tagger(seed=bench.seed)
    model = new_classifier(tagger, models[0])
    sets = [LabelledJets.of(*one) for one in (training, validation)]
    key = (bench.scale, *map(weights_digest, models))
    with bench.checkpoint(f"ratio {what}", key) as checkpoint:
        history = train_as(tagger, model, *sets, checkpoint=checkpoint)
    rng = np.random.default_rng([bench.seed, 5])
    tables = [Measured.of(one, bench.tokenizer, rng).table for one in training]
    label = np.repeat([0.0, 1.0], [len(one) for one in tables])
    trees = trained_trees(np.concatenate(tables), label, seed=bench.seed)
    found = {
        RATIO: [ratio_of(models, one) for one in judged],
        "transformer": [logits_of(model, one) for one in judged],
        "trees on observables": [
            trees.decision_function(Measured.of(one, bench.tokenizer, rng).table) for one in judged
        ],
    }
    scores = {
        name: [[float(f"{value:.7g}") for value in side] for side in one]
        for name, one in found.items()
    }
    return {"scores": scores, "epochs": len(history), "jets": len(sets[0].labels)}


def _row(jets: str, name: str, scores: Scores, ratio: Scores) -> Row:
    area = auc(scores[1], scores[0])
    gap = None
    if name != RATIO:
        gap = auc_difference((scores[1], ratio[1]), (scores[0], ratio[0]))
    return Row(
        jets,
        name,
        area.value,
        area.error,
        None if gap is None else gap.value,
        None if gap is None else gap.error,
        area.n_background,
        area.n_signal,
    )


def _arrays(scores: list[list[float]]) -> Scores:
    return np.array(scores[0]), np.array(scores[1])
