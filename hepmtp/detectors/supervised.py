"""The supervised ceiling: a classifier that was told which events are signal.

The rule: it is no anomaly detector. It has seen the very signal that it is asked for, so that the league shows it apart, as a measure
of what labels can reach from these inputs: another classifier may reach somewhat more, but an anomaly detector above both points to a
leak. Of signal and background alike only the train and validation parts are used.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar, Self

import awkward as ak
import numpy as np
from hist.axis import Regular
from numpy.typing import NDArray

from hepmtp import storage
from hepmtp.detectors import axis_from, plain_axis, score_axis, training_events
from hepmtp.errors import NotFittedError, TrainingError
from hepmtp.events import metadata
from hepmtp.metrics import balanced_weights
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
from hepmtp.split import Part, part_of
from hepmtp.threads import torch_threads
from hepmtp.training import History


@dataclass(eq=False)
class SupervisedDetector:
    """Logit of "signal" of a transformer trained with labels: the ceiling, no anomaly detector.

    Every process counts alike within its class, a process being one file's events (their ``source``), and both classes count alike.

    Parameters
    ----------
    signal
        events with the role "signal"; needed to fit, and not saved.
    model, training
        shape of the classifier and how it is trained.

    Attributes
    ----------
    supervised
        True: the league shows this detector apart.
    model_, history_
        the trained classifier and its training curve.
    """

    supervised: ClassVar[bool] = True

    signal: ak.Array | None = field(default=None, repr=False)
    model: ClassifierOptions = field(default_factory=ClassifierOptions)
    training: ClassifierTraining = field(default_factory=ClassifierTraining)
    name: str = "supervised"
    history_: History = field(default_factory=list, init=False, repr=False)
    model_: EventClassifier | None = field(default=None, init=False, repr=False)
    axis_: Regular | None = field(default=None, init=False, repr=False)

    @property
    def description(self) -> str:
        """What the score is, in a sentence."""
        return "Logit of a transformer trained with labels on this signal and the background: the ceiling, no anomaly detector."

    @property
    def axis(self) -> Regular:
        """Axis of the score."""
        if self.axis_ is None:
            raise NotFittedError("this SupervisedDetector has no axis yet: call fit(background events) first")
        return self.axis_

    @property
    def fitted_model(self) -> EventClassifier:
        """The trained classifier."""
        if self.model_ is None:
            raise NotFittedError("this SupervisedDetector is not trained yet: call fit(background events) first")
        return self.model_

    @property
    def n_parameters(self) -> int:
        """Trainable parameters."""
        return sum(one.numel() for one in self.fitted_model.parameters())

    def fit(self, events: ak.Array, *, progress: Progress | None = None) -> Self:
        """Train on background events against the signal of the constructor; validation events decide when to stop.

        Parameters
        ----------
        events
            background, shape (n_events,).
        progress
            called after each batch.

        Raises
        ------
        TrainingError
            if `events` are not background, the signal is missing or not signal, or a part of either is empty.
        """
        training, validation = training_events(events), training_events(events, "validation")
        sets = [
            _against(training, _signal_events(self.signal, "train")),
            _against(validation, _signal_events(self.signal, "validation")),
        ]
        model = new_classifier(self.model, self.training.seed)
        with torch_threads(self.training.threads):
            self.history_ = train_classifier(model, *sets, options=self.training, progress=progress)
        self.model_ = model
        self.axis_ = score_axis(self.score(training), label="logit of signal (supervised)")
        return self

    def score(self, events: ak.Array) -> NDArray[np.float64]:
        """Logit of "signal" of each event, shape (n_events,)."""
        model = self.fitted_model
        with torch_threads(self.training.threads):
            return model.logits(inputs_of(events))

    def save(self, path: str | Path) -> None:
        """Write classifier, axis and training curve to a folder, but not the signal events."""
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
        """Read what `save` wrote: it scores, but has no signal to be fitted with again."""
        meta, arrays = storage.read(path, storage.kind_of(cls))
        detector = cls(None, ClassifierOptions(**meta["model"]), ClassifierTraining(**meta["training"]), meta["name"])
        detector.model_ = EventClassifier.from_arrays(detector.model, arrays)
        detector.history_, detector.axis_ = meta["history"], axis_from(meta["axis"])
        return detector


def _signal_events(signal: ak.Array | None, part: Part) -> ak.Array:
    """The signal events of one part, sorted by (source, event) so that reading order has no effect."""
    if signal is None:
        raise TrainingError(
            "a SupervisedDetector is fitted with labels: give it signal events, SupervisedDetector(signal)"
        )
    if (found := metadata(signal)).get("role") != "signal":
        raise TrainingError(
            f"the signal of a SupervisedDetector is data set {found.get('dataset', '(unnamed)')!r} with role "
            f"{found.get('role')!r}, expected 'signal'; give the role to make_events, with_metadata or the manifest"
        )
    chosen = part_of(signal, part)
    if len(chosen) == 0:
        raise TrainingError(f"none of the {len(signal)} signal events is in the {part} part: give more events")
    return chosen[np.lexsort((ak.to_numpy(chosen.event), ak.to_numpy(chosen.source)))]


def _against(background: ak.Array, signal: ak.Array) -> Labelled:
    """Background as class 0 against signal as class 1, every process of a class with the same sum of weights."""
    weights = (balanced_weights(ak.to_numpy(events.source)) for events in (background, signal))
    return labelled(inputs_of(background), inputs_of(signal), *weights)
