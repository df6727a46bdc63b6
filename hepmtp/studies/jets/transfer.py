"""Transfer of classification: what a backbone knows of other jets, for few labels.

The rule: all starts have the same labels in a draw, and the same jets of the analysis part judge
them. A fifth of the labels decides when to stop. The gain over scratch is paired draw by draw.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepmtp import storage
from hepmtp.errors import OptionError
from hepmtp.events.ragged import Floats, Ints
from hepmtp.events.split import in_one_order, split_of
from hepmtp.events.tokens import TokenBatch
from hepmtp.jets.language_model import JetLanguageModel
from hepmtp.jets.tagger import HELD_OUT, JetTagger, new_classifier, train_as
from hepmtp.models.jet_classifier import JetClassifier
from hepmtp.plotting.style import OWN_FILES, Caption
from hepmtp.statistics.metrics import auc
from hepmtp.studies.jets.bench import Bench
from hepmtp.studies.jets.comparison import Measured
from hepmtp.studies.jets.figures import Points, against
from hepmtp.studies.jets.found import Found
from hepmtp.studies.jets.pieces import Piece
from hepmtp.studies.jets.trees import trained_trees
from hepmtp.training.classify_jets import (
    LabelledJets,
    features_of,
    logits_of,
)

SCRATCH, LANGUAGE, TAGGER, TREES = "scratch", "language model", "classifier", "trees"


class Row(NamedTuple):
    """A start with a number of labels, over the draws."""

    labels: int  #: of each class
    start: str
    training: str  #: frozen or fine-tuned
    auc: float
    auc_error: float  #: of the mean over draws
    spread: float  #: over draws
    gain: float | None
    gain_error: float | None
    draws: int
    cpu_seconds: float


def run(bench: Bench, caption: Caption = OWN_FILES) -> Found:
    """Every start, frozen and fine-tuned, for each number of labels."""
    names = [bench.name(place) for place in range(3)]
    work = _Work(bench)
    rows = []
    for labels in work.labels:
        found: dict[tuple[str, str], list[Piece]] = {}
        for start, training in _ways():
            found[start, training] = [
                bench.pieces.get(
                    f"transfer {labels} {start} {training} {draw}",
                    work.key(start),
                    partial(work.piece, labels, start, training, draw),
                )
                for draw in range(bench.scale.draws)
            ]
        scratch = {how: _aucs(found[SCRATCH, how]) for how in ("frozen", "fine-tuned")}
        for (start, training), pieces in found.items():
            values = _aucs(pieces)
            gain: tuple[float, float] | tuple[None, None] = None, None
            if start in (LANGUAGE, TAGGER):
                gain = _mean(values - scratch[training])
            cost = sum(one["cpu_seconds"] for one in pieces)
            mean, error = _mean(values)
            numbers = (mean, error, _spread(values), gain[0], gain[1], len(values), cost)
            rows.append(Row(labels, start, training, *numbers))
    series = {
        f"{start}, {training}": Points(*zip(*(
            (one.labels, one.auc, one.auc_error)
            for one in rows if (one.start, one.training) == (start, training)
        ), strict=True))
        for start, training in _ways()
    }  # fmt: skip
    title = f"{names[2]} against {names[0]}"
    figure = against(
        series, xlabel="labels of each class", ylabel="AUC", title=title, logx=True, caption=caption
    )
    judged = [len(one) for one in work.judged]
    remarks = [
        f"{SCRATCH}: a random backbone, another one in each draw.",
        f"{LANGUAGE}: of {names[0]}, {bench.language_model(names[0]).cost}.",
        f"{TAGGER}: of {names[0]} and {names[1]}.",
        f"Judged on {judged[0]} and {judged[1]} jets, the same in all.",
        "Errors are those of the mean over draws of the labels.",
    ]
    return Found(f"Transfer to {title}", {"AUC": rows}, remarks, {"transfer": figure})


def _ways() -> Iterator[tuple[str, str]]:
    """(start, training) of all rows."""
    for training in ("frozen", "fine-tuned"):
        for start in (SCRATCH, LANGUAGE, TAGGER):
            yield start, training
    yield TREES, "on observables"


@dataclass(eq=False)
class _Work:
    """Tokens, starts and features, made once."""

    bench: Bench
    _features: dict[tuple[str, int], list[NDArray[np.float32]]] = field(default_factory=dict)
    _tagger: JetTagger | None = None

    def __post_init__(self) -> None:
        bench = self.bench
        names = bench.name(0), bench.name(2)
        self.judged = [bench.tokens(one) for one in names]
        #: all that may have a label
        self.pool = [bench.tokenizer.encode(in_one_order(_outside(bench, one))) for one in names]
        most = min(len(one) for one in self.pool)
        self.labels = sorted({most if one is None else one for one in bench.scale.labels})
        if self.labels[-1] > most:
            raise OptionError(
                f"{self.labels[-1]} labels of each class were asked for, and {most} jets of "
                f"{' and '.join(names)} are there outside the analysis part: give more files"
            )

    def key(self, start: str) -> tuple[object, ...]:
        """What a piece of this start depends on."""
        bench = self.bench
        found = (bench.shape, bench.scale.classifier, bench.scale.judged)
        return (*found, bench.language_model(bench.name(0)).digest) if start == LANGUAGE else found

    def piece(self, labels: int, start: str, training: str, draw: int) -> Piece:
        """AUC of one training."""
        bench = self.bench
        bench.said(f"{labels} labels, {start}, {training}, draw {draw}")
        rng = np.random.default_rng([bench.seed, 8, draw])
        orders = [rng.permutation(len(one))[:labels] for one in self.pool]
        held_out = max(1, round(HELD_OUT * labels))
        parts = [[one[held_out:] for one in orders], [one[:held_out] for one in orders]]
        if start == TREES:
            scores = self._trees([np.sort(one) for one in orders], draw)
        else:
            scores = self._network(parts, start, training, draw)
        found = auc(scores[1], scores[0])
        return {"auc": found.value, "error": found.error}

    def _trees(self, chosen: list[Ints], draw: int) -> list[Floats]:
        tokenizer, rng = self.bench.tokenizer, np.random.default_rng([self.bench.seed, 9, draw])
        tables = [
            Measured.of(one.select(some), tokenizer, rng).table
            for one, some in zip(self.pool, chosen, strict=True)
        ]
        label = np.repeat([0.0, 1.0], [len(one) for one in tables])
        trees = trained_trees(np.concatenate(tables), label, seed=draw)
        return [
            trees.decision_function(Measured.of(one, tokenizer, rng).table) for one in self.judged
        ]

    def _network(
        self, parts: list[list[Ints]], start: str, training: str, draw: int
    ) -> list[Floats]:
        frozen = training == "frozen"
        model = self._start(start, draw, frozen=frozen)
        features = self._features_of(model, start, draw) if frozen else None
        sets = []
        for chosen in parts:
            jets = LabelledJets.of(
                *(one.select(some) for one, some in zip(self.pool, chosen, strict=True))
            )
            if features is not None:
                some = [one[index] for one, index in zip(features[:2], chosen, strict=True)]
                jets = jets.frozen(np.concatenate(some))
            sets.append(jets)
        train_as(self.bench.tagger(seed=draw, frozen=frozen), model, *sets)
        of_judged: list[NDArray[np.float32] | None] = [None, None]
        if features is not None:
            of_judged = [*features[2:]]
        return [
            logits_of(model, tokens, some)
            for tokens, some in zip(self.judged, of_judged, strict=True)
        ]

    def _start(self, start: str, draw: int, *, frozen: bool) -> JetClassifier:
        """A classifier with a random head of this draw; a scratch backbone is of this draw, too."""
        bench = self.bench
        source: JetLanguageModel | JetTagger | None = None
        if start == LANGUAGE:
            source = bench.language_model(bench.name(0)).model
        if start == TAGGER:
            source = self._first_tagger()
        return new_classifier(bench.tagger(seed=draw, frozen=frozen), source)

    def _features_of(
        self, model: JetClassifier, start: str, draw: int
    ) -> list[NDArray[np.float32]]:
        """Of the pool and of what is judged."""
        key = (start, draw if start == SCRATCH else 0)
        if key not in self._features:
            everything: list[TokenBatch] = [*self.pool, *self.judged]
            self._features[key] = [features_of(model, one) for one in everything]
        return self._features[key]

    def _first_tagger(self) -> JetTagger:
        """The classifier of background and signal that others start from, with all labels."""
        bench = self.bench
        if self._tagger is None:
            folder = bench.folder / "models" / "tagger"

            def make() -> Piece:
                bench.said(f"training a classifier of {bench.name(0)} and {bench.name(1)}")
                sides = [bench.samples[bench.name(place)] for place in (0, 1)]
                tagger = bench.tagger(seed=bench.seed)
                with bench.checkpoint("tagger", key) as checkpoint:
                    tagger.fit(sides[0], sides[1], checkpoint=checkpoint)
                    tagger.save(folder)
                return {"digest": storage.digest(folder), "epochs": len(tagger.history_)}

            key = bench.shape, bench.scale.classifier
            bench.saved("transfer tagger", key, folder, make)
            self._tagger = JetTagger.load(folder)
        return self._tagger


def _outside(bench: Bench, name: str) -> ak.Array:
    """Jets that are not in the analysis part."""
    events = bench.samples[name]
    return events[split_of(events) != "analysis"]


def _aucs(pieces: list[Piece]) -> Floats:
    return np.array([one["auc"] for one in pieces])


def _mean(values: Floats) -> tuple[float, float]:
    """Mean over draws, and its error."""
    return float(values.mean()), _spread(values) / float(np.sqrt(len(values)))


def _spread(values: Floats) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0
