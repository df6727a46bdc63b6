"""The DDD-style detector: how much an event looks like distorted background.

The rule: a classifier learns background events against distorted copies of the same events, drawn anew in every epoch; its score is
the logit of "distorted". No signal enters, neither here nor in the list of distortions (:mod:`hepmtp.distortions`).

The method is that of *DDD* (arXiv:2406.18469), whose own list of distortions and network are not public: numbers from this file are
those of a re-implementation and are called "DDD-style".
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

import awkward as ak
import numpy as np
from hist.axis import Regular
from numpy.typing import NDArray

from hepmtp import storage
from hepmtp.detectors import axis_from, plain_axis, score_axis, training_events
from hepmtp.distortions import distort
from hepmtp.errors import NotFittedError
from hepmtp.models.classifier import (
    ClassifierOptions,
    ClassifierTraining,
    EventClassifier,
    Labelled,
    Progress,
    inputs_of,
    labelled,
    new_classifier,
    train_classifier,
)
from hepmtp.threads import torch_threads
from hepmtp.training import History

#: Distorted copies of each validation event, so that the loss which stops the training has little noise.
VALIDATION_COPIES = 4


@dataclass(eq=False)
class DistortionDetector:
    """Logit of "distorted" of a transformer trained on background against distorted background.

    Parameters
    ----------
    model, training
        shape of the classifier and how it is trained.

    Attributes
    ----------
    model_, history_
        the trained classifier and its training curve.
    """

    model: ClassifierOptions = field(default_factory=ClassifierOptions)
    training: ClassifierTraining = field(default_factory=ClassifierTraining)
    name: str = "distortion"
    history_: History = field(default_factory=list, init=False, repr=False)
    model_: EventClassifier | None = field(default=None, init=False, repr=False)
    axis_: Regular | None = field(default=None, init=False, repr=False)

    @property
    def description(self) -> str:
        """What the score is, in a sentence."""
        return (
            "DDD-style: logit of a transformer that tells background from distorted background (scaled, smeared, added, dropped or "
            "swapped particles, changed MET)."
        )

    @property
    def axis(self) -> Regular:
        """Axis of the score."""
        if self.axis_ is None:
            raise NotFittedError("this DistortionDetector has no axis yet: call fit(background events) first")
        return self.axis_

    @property
    def fitted_model(self) -> EventClassifier:
        """The trained classifier."""
        if self.model_ is None:
            raise NotFittedError("this DistortionDetector is not trained yet: call fit(background events) first")
        return self.model_

    @property
    def n_parameters(self) -> int:
        """Trainable parameters."""
        return sum(one.numel() for one in self.fitted_model.parameters())

    def fit(self, events: ak.Array, *, progress: Progress | None = None) -> Self:
        """Train on background events; only their train and validation parts are used, the latter to stop.

        Parameters
        ----------
        events
            background, shape (n_events,).
        progress
            called after each batch.
        """
        training, validation = (training_events(events, part) for part in ("train", "validation"))
        plain = inputs_of(training)

        def draw(rng: np.random.Generator) -> Labelled:
            return labelled(plain, inputs_of(distort(training, rng)))

        model = new_classifier(self.model, self.training.seed)
        with torch_threads(self.training.threads):
            held_out = _copies(validation, np.random.default_rng([self.training.seed, 0]))
            self.history_ = train_classifier(model, draw, held_out, options=self.training, progress=progress)
        self.model_ = model
        self.axis_ = score_axis(self.score(training), label="logit of distorted")
        return self

    def score(self, events: ak.Array) -> NDArray[np.float64]:
        """Logit of "distorted" of each event, shape (n_events,)."""
        model = self.fitted_model
        with torch_threads(self.training.threads):
            return model.logits(inputs_of(events))

    def save(self, path: str | Path) -> None:
        """Write classifier, axis and training curve to a folder."""
        meta = {
            "name": self.name,
            "model": asdict(self.model),
            "training": asdict(self.training),
            "history": self.history_,
            "axis": plain_axis(self.axis),
        }
        with storage.new_folder(path) as folder:
            storage.write(folder, storage.kind_of(self), meta, self.fitted_model.arrays())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote; a damaged folder or one of another version raises ScoreError."""
        meta, arrays = storage.read(path, storage.kind_of(cls))
        detector = cls(ClassifierOptions(**meta["model"]), ClassifierTraining(**meta["training"]), meta["name"])
        detector.model_ = EventClassifier.from_arrays(detector.model, arrays)
        detector.history_, detector.axis_ = meta["history"], axis_from(meta["axis"])
        return detector


def _copies(events: ak.Array, rng: np.random.Generator) -> Labelled:
    """These events against `VALIDATION_COPIES` distorted ones of each."""
    zero = inputs_of(events)
    one = inputs_of(distort(events, rng))
    for _ in range(VALIDATION_COPIES - 1):
        one = one.and_(inputs_of(distort(events, rng)))
    return labelled(zero, one)
