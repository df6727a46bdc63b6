"""Training of the event classifier."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Unpack

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from hepmtp.events.ragged import Ints
from hepmtp.models.classifier import EventClassifier, Labelled
from hepmtp.training import loop
from hepmtp.training.loop import History, LoopOptions, Watch
from hepmtp.training.schedules import warm_up_from_2_percent

#: Events of both classes, or a function that draws those of an epoch.
Draw = Labelled | Callable[[np.random.Generator], Labelled]


@dataclass(frozen=True, kw_only=True)
class ClassifierTraining(LoopOptions):
    """How a classifier is trained: `hepmtp.training.loop.LoopOptions` with other defaults."""

    epochs: int = 12
    patience: int = 5
    batch_events: int = 256
    learning_rate: float = 1e-3


def train_classifier(
    model: EventClassifier,
    training: Draw,
    validation: Labelled,
    *,
    options: ClassifierTraining | None = None,
    **watch: Unpack[Watch],
) -> History:
    """Train in place; the model ends with the weights of its best epoch.

    It takes its standardisation from the first epoch. Losses: weighted mean cross-entropies [nat].

    Parameters
    ----------
    training
        events of both classes, or a function that draws those of an epoch.
    validation
        only decides when to stop.
    watch
        ``checkpoint`` and ``progress`` of :func:`hepmtp.training.loop.train`.

    Raises
    ------
    TrainingError
        if the loss is not finite, or the checkpoint belongs to another training.
    """
    return loop.train(
        _Classification(model, training, validation),
        options or ClassifierTraining(),
        schedule=warm_up_from_2_percent,
        **watch,
    )


@dataclass(eq=False)
class _Classification:
    """The task: weighted cross-entropy of the class, each event turned and reflected at random."""

    model: EventClassifier
    training: Draw
    validation: Labelled
    events: Labelled = field(init=False)

    def draw(self, epoch: int, rng: np.random.Generator) -> int:
        """Events of both classes; the first ones give the standardisation."""
        self.events = self.training(rng) if callable(self.training) else self.training
        if epoch == 1:
            self.model.standardise(self.events.inputs)
        return len(self.events.labels)

    def loss(self, events: Ints, rng: np.random.Generator) -> tuple[Tensor, int]:
        """In float64: sum and mean tell the same to the last digit."""
        logits = self.model(self.events.inputs.select(events).turned(rng))
        truth, weights = (
            torch.from_numpy(part[events]).to(logits.device) for part in self.events[1:]
        )
        mean = binary_cross_entropy_with_logits(logits, truth, weights)
        return mean.double() * len(events), len(events)

    def validation_loss(self) -> float:
        """Without turning."""
        logits = torch.from_numpy(self.model.logits(self.validation.inputs))
        truth, weights = (torch.from_numpy(part).double() for part in self.validation[1:])
        return float(binary_cross_entropy_with_logits(logits, truth, weights))

    def identity(self) -> Iterator[object]:
        """Both sets of events; one draw stands for the function that draws."""
        draw = self.training
        drawn = draw(np.random.default_rng(0)) if callable(draw) else draw
        yield self.model.options
        for events in (drawn, self.validation):
            yield from (*events.inputs, events.labels, events.weights)
