"""A tagger: the classifier of two data sets of jets, from scratch or from a language model.

The rule: it learns from labels, so it is no anomaly detector. Jets of the analysis part train
nothing. Of few labels a fifth decides when to stop, so that no label is used beyond their number.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple, Self, Unpack

import awkward as ak
import numpy as np

from hepmtp import storage
from hepmtp.errors import OptionError, fitted
from hepmtp.events.ragged import Floats, Ints
from hepmtp.events.record import metadata
from hepmtp.events.split import Trained, in_one_order, joined, part_of, split_of, trained_by
from hepmtp.events.tokens import TokenBatch
from hepmtp.jets.language_model import JetLanguageModel
from hepmtp.jets.weights import check_same_bins, load_bins, weights_of, with_weights
from hepmtp.models.autoregressive import AutoregressiveModel
from hepmtp.models.autoregressive_options import AutoregressiveOptions
from hepmtp.models.jet_classifier import JetClassifier
from hepmtp.tokenizers.constituents import ConstituentTokenizer
from hepmtp.training.classify_jets import (
    JetClassifierTraining,
    LabelledJets,
    logits_of,
    train_jet_classifier,
)
from hepmtp.training.loop import History, Watch, seeded

#: Share of a number of labels that decides when to stop.
HELD_OUT = 0.2
#: Fewest labels of a class: one is held out.
FEWEST_LABELS = 5


class Labels(NamedTuple):
    """Indices of the jets of a class that train, and of those that decide when to stop."""

    training: Ints
    validation: Ints


def choose_labels(events: ak.Array, labels: int | None, seed: int) -> Labels:
    """Which jets of a class, shape (n_jets,), have a label: none of the analysis part.

    Parameters
    ----------
    labels
        so many at random; a fifth of them decides when to stop. None: the train and the validation
        part, whole.

    Raises
    ------
    OptionError
        if there are not so many.
    """
    part = split_of(events)
    order = np.lexsort((ak.to_numpy(events.event), ak.to_numpy(events.source)))
    if labels is None:
        return Labels(*(order[part[order] == one] for one in ("train", "validation")))
    pool = order[part[order] != "analysis"]
    if not FEWEST_LABELS <= labels <= len(pool):
        name = metadata(events).get("dataset", "(unnamed)")
        raise OptionError(
            f"{labels} labels of {name} were asked for: there are {len(pool)} of {len(events)} "
            f"jets outside the analysis part, and {FEWEST_LABELS} are the fewest"
        )
    some = np.random.default_rng([seed, 3]).permutation(pool)[:labels]
    held_out = max(1, round(HELD_OUT * labels))
    return Labels(some[held_out:], some[:held_out])


@dataclass(eq=False)
class JetTagger:
    """Logit of the second of two data sets of jets.

    Parameters
    ----------
    tokenizer
        fitted on the first data set, if it is not fitted and that is background.
    model, training
        shape of the backbone, and how it is trained.

    Attributes
    ----------
    model_, history_
        the trained classifier and its training curve.
    classes_
        names of the two data sets.
    start_
        what it started from: "scratch", or a model of which data sets.
    trained_
        which events were given to train on, those of the start included.
    """

    tokenizer: ConstituentTokenizer = field(default_factory=ConstituentTokenizer)
    model: AutoregressiveOptions = field(default_factory=AutoregressiveOptions)
    training: JetClassifierTraining = field(default_factory=JetClassifierTraining)
    model_: JetClassifier | None = field(default=None, init=False, repr=False)
    history_: History = field(default_factory=list, init=False, repr=False)
    classes_: tuple[str, ...] = field(default=(), init=False, repr=False)
    start_: str = field(default="scratch", init=False)
    trained_: tuple[Trained, ...] = field(default=(), init=False, repr=False)

    @property
    def fitted_model(self) -> JetClassifier:
        """The trained classifier."""
        return fitted(self.model_, self)

    def fit(
        self,
        background: ak.Array,
        signal: ak.Array,
        *,
        start_from: JetLanguageModel | JetTagger | None = None,
        labels: int | None = None,
        **watch: Unpack[Watch],
    ) -> Self:
        """Train on jets of two data sets.

        Parameters
        ----------
        background, signal
            shape (n_jets,) each; the tagger's logit is larger for the second.
        start_from
            a trained model, whose bins, shape and backbone are taken up.
        labels
            jets of each class that have a label; by default all outside the analysis part.
        watch
            ``checkpoint`` and ``progress`` of :func:`hepmtp.training.loop.train`.

        Raises
        ------
        TrainingError
            if a class has no jets, or bins are missing or not those of `start_from`.
        OptionError
            if there are fewer labels.
        """
        if start_from is not None:
            self._take_up(start_from)
        if self.tokenizer.edges_ is None:
            self.tokenizer.fit(in_one_order(part_of(background, "train")))
        sides = background, signal
        chosen = [choose_labels(one, labels, self.training.seed) for one in sides]
        sets = [
            LabelledJets.of(
                *(
                    self.tokenizer.encode(one[index[part]])
                    for one, index in zip(sides, chosen, strict=True)
                )
            )
            for part in (0, 1)
        ]
        model = new_classifier(self, start_from)
        self.history_ = train_as(self, model, *sets, **watch)
        self.model_ = model
        names = [str(metadata(one).get("dataset", "")) for one in sides]
        self.classes_ = tuple(name or f"class {i}" for i, name in enumerate(names))
        before = () if start_from is None else start_from.trained_
        self.trained_ = joined((*before, *trained_by(background), *trained_by(signal)))
        return self

    def score(self, events: ak.Array) -> Floats:
        """Logit of the second data set of each jet, shape (n_jets,)."""
        return self.logits(self.tokenizer.encode(events))

    def logits(self, tokens: TokenBatch) -> Floats:
        """Logit of the second data set of each jet of tokens, shape (n_jets,)."""
        return logits_of(self.fitted_model, tokens)

    def save(self, path: str | Path) -> None:
        """Write classifier, tokenizer, training curve and what trained it to a folder."""
        meta = {
            "classes": list(self.classes_),
            "model": asdict(self.model),
            "training": asdict(self.training),
            "history": self.history_,
            "start": self.start_,
            "trained": self.trained_,
            "bins": self.tokenizer.identity,
        }
        with storage.new_folder(path) as folder:
            storage.write(folder, storage.kind_of(self), meta, weights_of(self.fitted_model))
            self.tokenizer.save(folder / "tokenizer")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote; a damaged folder or one of another kind raises StorageError."""
        meta, arrays = storage.read(path, storage.kind_of(cls))
        one = cls(
            load_bins(path, meta["bins"]),
            AutoregressiveOptions(**meta["model"]),
            JetClassifierTraining.from_saved(meta["training"]),
        )
        one.model_ = with_weights(new_classifier(one, None), arrays, path)
        one.history_ = meta["history"]
        one.classes_, one.start_ = tuple(meta["classes"]), meta["start"]
        one.trained_ = tuple(Trained(*span) for span in meta["trained"])
        return one

    def _take_up(self, other: JetLanguageModel | JetTagger) -> None:
        """Bins and shape of another model."""
        check_same_bins(self.tokenizer, other.tokenizer)
        self.tokenizer, self.model, self.start_ = other.tokenizer, other.model, name_of(other)


def name_of(model: JetLanguageModel | JetTagger) -> str:
    """What a model is of, for tables."""
    if isinstance(model, JetTagger):
        return f"classifier of {' and '.join(model.classes_)}"
    return f"language model of {model.dataset_}"


def new_classifier(
    tagger: JetTagger, start_from: JetLanguageModel | JetTagger | None
) -> JetClassifier:
    """A classifier with the random head of the training's seed, and the backbone of a model.

    Without a model the backbone is random, too.
    """
    tokenizer = tagger.tokenizer
    with seeded(tagger.training.seed):
        backbone = AutoregressiveModel(
            tokenizer.factors, tokenizer.digits, tagger.model, centres=tokenizer.centres
        )
        model = JetClassifier(backbone)
    if start_from is not None:
        trained = start_from.fitted_model
        source = trained.backbone if isinstance(trained, JetClassifier) else trained
        backbone.load_state_dict(source.state_dict())
    return model


def train_as(
    tagger: JetTagger,
    model: JetClassifier,
    training: LabelledJets,
    validation: LabelledJets,
    **watch: Unpack[Watch],
) -> History:
    """Train a classifier in place as this tagger is: by its options, with its bins' mirror images.

    See :func:`hepmtp.training.classify_jets.train_jet_classifier`.
    """
    images = tagger.tokenizer.mirrors
    return train_jet_classifier(
        model, training, validation, options=tagger.training, mirrors=images, **watch
    )
