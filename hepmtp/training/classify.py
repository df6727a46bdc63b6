"""Training of the event classifier.

The rule: training ends with the weights of the epoch of lowest validation loss, and the same seed gives the same model.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from hepmtp.errors import TrainingError
from hepmtp.models.classifier import EventClassifier, Labelled, Progress

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClassifierTraining:
    """How a classifier is trained.

    Parameters
    ----------
    epochs, patience
        at most so many epochs; stop after `patience` epochs without a lower validation loss.
    batch_events
        events of mixed multiplicity and of both classes in one optimiser step.
    learning_rate, weight_decay
        of AdamW (Loshchilov and Hutter, arXiv:1711.05101); the rate rises over the first 5 % of the steps and falls to zero along
        a cosine.
    seed
        of everything that is random.
    threads
        torch threads; more than one is many times slower on a busy machine.
    """

    epochs: int = 12
    patience: int = 5
    batch_events: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        if min(self.epochs, self.patience, self.batch_events, self.threads) < 1:
            raise TrainingError(
                f"epochs, patience, batch_events and threads must be 1 or more, found {self}"
            )


def train_classifier(
    model: EventClassifier,
    training: Labelled | Callable[[np.random.Generator], Labelled],
    validation: Labelled,
    *,
    options: ClassifierTraining | None = None,
    progress: Progress | None = None,
) -> list[dict[str, float]]:
    """Train in place; the model ends with the weights of its best epoch and takes its standardisation from the first one.

    Parameters
    ----------
    training
        events of both classes, or a function that draws those of an epoch.
    validation
        only decides when to stop.

    Returns
    -------
    list of dict
        one row an epoch: epoch, train_loss, validation_loss; weighted mean cross-entropies in nats.

    Raises
    ------
    TrainingError
        if the loss is not finite.
    """
    options = options or ClassifierTraining()
    run = _Run(model, validation, options)
    for number in range(1, options.epochs + 1):
        rng = np.random.default_rng([options.seed, number])
        events = training(rng) if callable(training) else training
        if number == 1:
            model.standardise(events.inputs)
        if not run.epoch(events, rng, number, progress):
            break
    model.load_state_dict(run.best)
    model.eval()
    return run.history


class _Run:
    """The state of one training: model, optimiser, history, best weights."""

    def __init__(
        self, model: EventClassifier, validation: Labelled, options: ClassifierTraining
    ) -> None:
        self.model, self.validation, self.options = model, validation, options
        self.optimizer = torch.optim.AdamW(
            model.parameters(),
            lr=options.learning_rate,
            weight_decay=options.weight_decay,
            betas=(0.9, 0.98),
        )
        self.history: list[dict[str, float]] = []
        self.best: dict[str, Tensor] = {}

    def epoch(
        self, events: Labelled, rng: np.random.Generator, number: int, progress: Progress | None
    ) -> bool:
        """One pass over the events; whether to go on."""
        order = rng.permutation(len(events.labels))
        steps = -(-len(order) // self.options.batch_events)
        total = 0.0
        self.model.train()
        # dropout draws from torch's global generator: leave it as it was
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**63)))
            for step in range(steps):
                chosen = order[
                    step * self.options.batch_events : (step + 1) * self.options.batch_events
                ]
                loss = self._step(
                    events, chosen, rng, ((number - 1) + step / steps) / self.options.epochs
                )
                total += loss * len(chosen)
                if not np.isfinite(total):
                    raise TrainingError(
                        f"the loss became {loss} in epoch {number}, step {step + 1}: lower learning_rate"
                    )
                if progress is not None:
                    done = min((step + 1) * self.options.batch_events, len(order))
                    progress(number, step + 1, steps, total / done)
        row = {
            "epoch": number,
            "train_loss": total / len(order),
            "validation_loss": self._validate(),
        }
        log.info(
            "epoch %d: train %.4f, validation %.4f",
            number,
            row["train_loss"],
            row["validation_loss"],
        )
        if all(row["validation_loss"] < old["validation_loss"] for old in self.history):
            self.best = {
                name: value.detach().clone() for name, value in self.model.state_dict().items()
            }
        self.history.append(row)
        losses = [one["validation_loss"] for one in self.history]
        return len(losses) - 1 - int(np.argmin(losses)) < self.options.patience

    def _step(
        self, events: Labelled, chosen: NDArray[np.int64], rng: np.random.Generator, done: float
    ) -> float:
        shape = min(1.0, (done + 1e-3) / 0.05) * 0.5 * (1 + np.cos(np.pi * done))
        for group in self.optimizer.param_groups:
            group["lr"] = self.options.learning_rate * shape
        logits = self.model(events.inputs.select(chosen).turned(rng))
        truth, weights = (
            torch.from_numpy(events.labels[chosen]),
            torch.from_numpy(events.weights[chosen]),
        )
        loss = binary_cross_entropy_with_logits(logits, truth, weights)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return float(loss.detach())

    def _validate(self) -> float:
        logits = torch.from_numpy(self.model.logits(self.validation.inputs))
        truth, weights = (torch.from_numpy(part).double() for part in self.validation[1:])
        loss = float(binary_cross_entropy_with_logits(logits, truth, weights))
        if not np.isfinite(loss):
            raise TrainingError(f"the validation loss became {loss}: lower learning_rate")
        return loss
