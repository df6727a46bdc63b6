"""Detectors that score events by the logit of a classifier: all but what they are trained on.

The rule: class 0 is background, and the score is the logit of the other class, whatever that is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar, Self, Unpack

import awkward as ak

from hepmtp import storage
from hepmtp.detectors import (
    BaseDetector,
    axis_from,
    plain_axis,
    score_axis,
    training_events,
)
from hepmtp.errors import fitted
from hepmtp.events.ragged import Floats
from hepmtp.events.split import trained_by
from hepmtp.models.classifier import (
    ClassifierOptions,
    EventClassifier,
    Labelled,
    inputs_of,
    new_classifier,
)
from hepmtp.training.classify import ClassifierTraining, Draw, train_classifier
from hepmtp.training.loop import History, Watch
from hepmtp.training.threads import torch_threads


@dataclass(eq=False, kw_only=True)
class ClassifierDetector(BaseDetector, ABC):
    """A detector that is a classifier; a subclass says what it learns from.

    Parameters
    ----------
    model, training
        shape of the classifier and how it is trained.

    Attributes
    ----------
    model_, history_
        the trained classifier and its training curve.
    """

    label: ClassVar[str]  #: of the axis

    model: ClassifierOptions = field(default_factory=ClassifierOptions)
    training: ClassifierTraining = field(default_factory=ClassifierTraining)
    name: str
    history_: History = field(default_factory=list, init=False, repr=False)
    model_: EventClassifier | None = field(default=None, init=False, repr=False)

    @property
    def fitted_model(self) -> EventClassifier:
        """The trained classifier."""
        return fitted(self.model_, self)

    @property
    def n_parameters(self) -> int:
        """Trainable parameters."""
        return sum(one.numel() for one in self.fitted_model.parameters())

    @abstractmethod
    def _sets(self, training: ak.Array, validation: ak.Array) -> tuple[Draw, Labelled]:
        """What is learned from, and what decides when to stop; both parts are background."""

    def fit(self, events: ak.Array, **watch: Unpack[Watch]) -> Self:
        """Train on the train and validation parts of background events, shape (n_events,).

        `watch` is that of :class:`hepmtp.training.loop.Watch`. TrainingError is raised if events
        are not background, a part is empty, or the training fails.
        """
        training, validation = (training_events(events, part) for part in ("train", "validation"))
        self.trained_ = trained_by(events)
        sets = self._sets(training, validation)
        model = new_classifier(self.model, self.training.seed)
        self.history_ = train_classifier(model, *sets, options=self.training, **watch)
        self.model_ = model
        self.axis_ = score_axis(self.score(training), label=self.label)
        self.describe(training)
        return self

    def score(self, events: ak.Array) -> Floats:
        """Logit of the class that is not background of each event, shape (n_events,)."""
        model = self.fitted_model
        with torch_threads(self.training.threads):
            return model.logits(inputs_of(self._entering(events)))

    def save(self, path: str | Path) -> None:
        """Write classifier, axis and training curve to a folder, but no events."""
        meta = {
            "name": self.name,
            "model": asdict(self.model),
            "training": asdict(self.training),
            "history": self.history_,
            "axis": plain_axis(self.axis),
        }
        with storage.new_folder(path) as folder:
            self._write(folder, meta, self.fitted_model.arrays())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote; StorageError if it is damaged or of another version."""
        meta, arrays = storage.read(path, storage.kind_of(cls))
        options = ClassifierOptions(**meta["model"])
        training = ClassifierTraining.from_saved(meta["training"])
        detector = cls(model=options, training=training, name=meta["name"])
        detector.model_ = EventClassifier.from_arrays(options, arrays)
        detector.history_, detector.axis_ = meta["history"], axis_from(meta["axis"])
        detector._recall(meta)
        return detector
