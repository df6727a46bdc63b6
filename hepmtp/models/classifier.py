"""A transformer that tells two classes of events apart: numbers of the particles in, one logit per event out.

The rule: no padding; the logit depends neither on the order of the particles nor, beyond rounding, on the other events that are
scored with it. Training ends with the weights of the epoch of lowest validation loss, and the same seed gives the same model.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import awkward as ak
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from hepmtp.errors import ScoreError, TrainingError
from hepmtp.features import MET_FEATURES, PARTICLE_FEATURES, met_features, particle_features
from hepmtp.models.attention import Block, sort_by_multiplicity

log = logging.getLogger(__name__)

Floats = NDArray[np.float32]
#: Called after each batch with (epoch, batches done, batches in an epoch, mean loss so far).
Progress = Callable[[int, int, int, float], None]

#: Columns that are brought to mean 0 and standard deviation 1; sine, cosine and type stay as they are.
SCALED = tuple(PARTICLE_FEATURES.index(name) for name in ("log pt", "eta", "log energy"))
#: Where eta, sine and cosine of phi stand among the features of a particle.
_ETA, _SIN, _COS = (PARTICLE_FEATURES.index(name) for name in ("eta", "sin phi", "cos phi"))


@dataclass(frozen=True)
class ClassifierOptions:
    """Shape of a classifier; the default has about 205 000 parameters.

    Parameters
    ----------
    width, heads, layers, feedforward, dropout
        of the transformer: features per token, attention heads, blocks, hidden features of a block, share of features dropped in
        training.
    """

    width: int = 112
    heads: int = 4
    layers: int = 2
    feedforward: int = 224
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if min(self.width, self.heads, self.layers, self.feedforward) < 1 or self.width % self.heads:
            raise TrainingError(f"sizes of a model must be 1 or more and width a multiple of heads, found {self}")


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
            raise TrainingError(f"epochs, patience, batch_events and threads must be 1 or more, found {self}")


class EventInputs(NamedTuple):
    """What the classifier reads of events."""

    particles: Floats  #: (n_particles, n_features), as `particle_features` gives them
    met: Floats  #: (n_events, 3), as `met_features` gives them
    counts: NDArray[np.int64]  #: (n_events,), particles of each event

    def select(self, events: NDArray[np.int64]) -> EventInputs:
        """The inputs of these events, in this order."""
        counts = self.counts[events]
        starts = (np.cumsum(self.counts) - self.counts)[events]
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return EventInputs(self.particles[np.repeat(starts, counts) + within], self.met[events], counts)

    def and_(self, other: EventInputs) -> EventInputs:
        """The inputs of these events and then of the others."""
        return EventInputs(
            np.concatenate([self.particles, other.particles]),
            np.concatenate([self.met, other.met]),
            np.concatenate([self.counts, other.counts]),
        )

    def turned(self, rng: np.random.Generator) -> EventInputs:
        """The same events, each turned in phi by an angle of its own and reflected in eta and phi at random.

        Nothing that happens in a collision of two equal beams depends on it, so that a model may learn from all of them.
        """
        n = len(self.counts)
        angle, eta, phi = rng.uniform(0, 2 * np.pi, n), rng.choice([-1.0, 1.0], n), rng.choice([-1.0, 1.0], n)
        owner = np.repeat(np.arange(n), self.counts)
        particles, met = self.particles.copy(), self.met.copy()
        particles[:, _ETA] *= eta[owner]
        particles[:, _SIN], particles[:, _COS] = _turn(particles[:, _SIN], particles[:, _COS], angle[owner], phi[owner])
        met[:, 1], met[:, 2] = _turn(met[:, 1], met[:, 2], angle, phi)
        return EventInputs(particles, met, self.counts)


def inputs_of(events: ak.Array) -> EventInputs:
    """What a classifier reads of these events."""
    counts = ak.to_numpy(ak.num(events.Particle)).astype(np.int64)
    return EventInputs(particle_features(events), met_features(events), counts)


class Labelled(NamedTuple):
    """Events of two classes to learn from."""

    inputs: EventInputs
    labels: Floats  #: (n_events,), 0 or 1
    weights: Floats  #: (n_events,), how much each counts in the loss


def labelled(zero: EventInputs, one: EventInputs, zero_weights: Any = 1.0, one_weights: Any = 1.0) -> Labelled:
    """Events of class 0 and of class 1 as one set; each class gets the same sum of weights, on average 1 an event.

    Parameters
    ----------
    zero_weights, one_weights
        relative to each other inside a class; shape (n_events,) or one number.
    """
    inputs = zero.and_(one)
    labels = np.repeat([0, 1], [len(zero.counts), len(one.counts)]).astype(np.float32)
    parts = []
    for events, weights in ((zero, zero_weights), (one, one_weights)):
        column = np.broadcast_to(np.asarray(weights, dtype=np.float64), len(events.counts))
        if not column.sum() > 0:
            raise TrainingError(
                f"a class of {len(column)} events has no positive sum of weights: nothing can be learned"
            )
        parts.append(column * (len(labels) / 2 / column.sum()))
    return Labelled(inputs, labels, np.concatenate(parts).astype(np.float32))


class EventClassifier(nn.Module):
    """Transformer over an event's particles and one token of its missing momentum and particle count.

    That token is read after the last block; every event has it, one without particles too. There is no position: order has no
    effect.

    Parameters
    ----------
    options
        shape of the model.
    """

    mean: Tensor  # (n_features,) of the particles, then that of the event's token
    scale: Tensor

    def __init__(self, options: ClassifierOptions | None = None) -> None:
        super().__init__()
        self.options = options = options or ClassifierOptions()
        n_particle, n_event = len(PARTICLE_FEATURES), len(MET_FEATURES) + 1
        self.register_buffer("mean", torch.zeros(n_particle + n_event))
        self.register_buffer("scale", torch.ones(n_particle + n_event))
        self.particle = nn.Linear(n_particle, options.width)
        self.event = nn.Linear(n_event, options.width)
        self.blocks = nn.ModuleList(
            Block(options.width, options.heads, options.feedforward, options.dropout) for _ in range(options.layers)
        )
        self.norm = nn.LayerNorm(options.width)
        self.out = nn.Linear(options.width, 1)

    def standardise(self, inputs: EventInputs) -> Self:
        """Take mean and standard deviation of the inputs from these events; they are saved with the weights."""
        event = _event_columns(inputs)
        n = inputs.particles.shape[1]
        for columns, chosen, start in ((inputs.particles, SCALED, 0), (event, (0, event.shape[1] - 1), n)):
            if len(columns):
                for i in chosen:
                    self.mean[start + i] = float(columns[:, i].mean(dtype=np.float64))
                    self.scale[start + i] = max(float(columns[:, i].std(dtype=np.float64)), 1e-3)
        return self

    def forward(self, inputs: EventInputs) -> Tensor:
        """Logit of class 1 of each event, shape (n_events,)."""
        particles, event = torch.from_numpy(inputs.particles), torch.from_numpy(_event_columns(inputs))
        n = particles.shape[1]
        tokens = torch.cat(
            [
                self.particle((particles - self.mean[:n]) / self.scale[:n]),
                self.event((event - self.mean[n:]) / self.scale[n:]),
            ]
        )
        order, groups = sort_by_multiplicity(inputs.counts + 1)
        rank = np.argsort(order)
        owner = np.concatenate([np.repeat(rank, inputs.counts), rank])
        # (n_tokens, width): events by multiplicity, in each its particles and then its own token
        x = tokens[torch.from_numpy(np.argsort(owner, kind="stable"))]
        last = torch.from_numpy(np.cumsum(inputs.counts[order] + 1) - 1)
        for block in self.blocks[:-1]:
            x = block(x, groups)
        x = self.blocks[-1](x, groups, last)  # (n_events, width)
        logits: Tensor = self.out(self.norm(x))[:, 0]
        return logits[torch.from_numpy(rank)]

    @torch.no_grad()
    def logits(self, inputs: EventInputs, batch_events: int = 512) -> NDArray[np.float64]:
        """Logit of each event in evaluation mode, shape (n_events,); events of like multiplicity are done together."""
        self.eval()
        order, _ = sort_by_multiplicity(inputs.counts)
        found = np.zeros(len(order))
        for first in range(0, len(order), batch_events):
            some = order[first : first + batch_events]
            found[some] = self(inputs.select(some)).numpy()
        return found

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Weights and standardisation as plain arrays; `from_arrays` gives the model back."""
        return {f"model.{name}": value.numpy(force=True) for name, value in self.state_dict().items()}

    @classmethod
    def from_arrays(cls, options: ClassifierOptions, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The model of these arrays; raises ScoreError if they are of another shape."""
        with torch.random.fork_rng(devices=[]):  # first weights are drawn, then replaced
            model = cls(options)
        try:
            model.load_state_dict(
                {name[6:]: torch.as_tensor(value) for name, value in arrays.items() if name.startswith("model.")}
            )
        except RuntimeError as error:
            raise ScoreError(f"the weights do not fit a classifier of {options} ({error}); save it again") from None
        return model.eval()


def new_classifier(options: ClassifierOptions, seed: int) -> EventClassifier:
    """A classifier with random weights drawn from this seed; torch's global generator stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return EventClassifier(options)


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

    def __init__(self, model: EventClassifier, validation: Labelled, options: ClassifierTraining) -> None:
        self.model, self.validation, self.options = model, validation, options
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay, betas=(0.9, 0.98)
        )
        self.history: list[dict[str, float]] = []
        self.best: dict[str, Tensor] = {}

    def epoch(self, events: Labelled, rng: np.random.Generator, number: int, progress: Progress | None) -> bool:
        """One pass over the events; whether to go on."""
        order = rng.permutation(len(events.labels))
        steps = -(-len(order) // self.options.batch_events)
        total = 0.0
        self.model.train()
        # dropout draws from torch's global generator: leave it as it was
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**63)))
            for step in range(steps):
                chosen = order[step * self.options.batch_events : (step + 1) * self.options.batch_events]
                loss = self._step(events, chosen, rng, ((number - 1) + step / steps) / self.options.epochs)
                total += loss * len(chosen)
                if not np.isfinite(total):
                    raise TrainingError(
                        f"the loss became {loss} in epoch {number}, step {step + 1}: lower learning_rate"
                    )
                if progress is not None:
                    done = min((step + 1) * self.options.batch_events, len(order))
                    progress(number, step + 1, steps, total / done)
        row = {"epoch": number, "train_loss": total / len(order), "validation_loss": self._validate()}
        log.info("epoch %d: train %.4f, validation %.4f", number, row["train_loss"], row["validation_loss"])
        if all(row["validation_loss"] < old["validation_loss"] for old in self.history):
            self.best = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        self.history.append(row)
        losses = [one["validation_loss"] for one in self.history]
        return len(losses) - 1 - int(np.argmin(losses)) < self.options.patience

    def _step(self, events: Labelled, chosen: NDArray[np.int64], rng: np.random.Generator, done: float) -> float:
        shape = min(1.0, (done + 1e-3) / 0.05) * 0.5 * (1 + np.cos(np.pi * done))
        for group in self.optimizer.param_groups:
            group["lr"] = self.options.learning_rate * shape
        logits = self.model(events.inputs.select(chosen).turned(rng))
        truth, weights = torch.from_numpy(events.labels[chosen]), torch.from_numpy(events.weights[chosen])
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


def _event_columns(inputs: EventInputs) -> Floats:
    """Features of the event's own token: those of MET and log(1 + particles), shape (n_events, 4)."""
    return np.concatenate([inputs.met, np.log1p(inputs.counts)[:, None]], axis=1, dtype=np.float32)


def _turn(sine: Any, cosine: Any, angle: Any, side: Any) -> tuple[Any, Any]:
    sine = sine * side
    return sine * np.cos(angle) + cosine * np.sin(angle), cosine * np.cos(angle) - sine * np.sin(angle)
