"""A transformer that tells two classes of events apart: particles in, one logit per event out.

The rule: no padding; the logit depends neither on the order of the particles nor, beyond rounding,
on the other events that are scored with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import awkward as ak
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hepmtp.errors import OptionError, StorageError, TrainingError
from hepmtp.events.features import MET_FEATURES, PARTICLE_FEATURES, met_features, particle_features
from hepmtp.events.ragged import owner, ragged_arange, starts
from hepmtp.models.attention import Block
from hepmtp.models.groups import Group, sort_by_multiplicity

Floats = NDArray[np.float32]

#: Columns that are brought to mean 0 and standard deviation 1; sine, cosine and type stay.
SCALED = tuple(PARTICLE_FEATURES.index(name) for name in ("log pt", "eta", "log energy"))


#: Where eta, sine and cosine of phi stand among the features of a particle.
_ETA, _SIN, _COS = (PARTICLE_FEATURES.index(name) for name in ("eta", "sin phi", "cos phi"))


@dataclass(frozen=True)
class ClassifierOptions:
    """Shape of a classifier; the default has about 205 000 parameters.

    Parameters
    ----------
    width, heads, layers, feedforward, dropout
        of the transformer: features per token, attention heads, blocks, hidden features of a block,
        share of features dropped in training.
    """

    width: int = 112
    heads: int = 4
    layers: int = 2
    feedforward: int = 224
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if (
            min(self.width, self.heads, self.layers, self.feedforward) < 1
            or self.width % self.heads
        ):
            raise OptionError(
                f"sizes of a model must be 1 or more and width a multiple of heads, found {self}"
            )


class EventInputs(NamedTuple):
    """What the classifier reads of events."""

    particles: Floats  #: (n_particles, n_features), as `particle_features` gives them
    met: Floats  #: (n_events, 3), as `met_features` gives them
    counts: NDArray[np.int64]  #: (n_events,), particles of each event

    def select(self, events: NDArray[np.int64]) -> EventInputs:
        """The inputs of these events, in this order."""
        counts = self.counts[events]
        particles = ragged_arange(counts, starts(self.counts)[events])
        return EventInputs(self.particles[particles], self.met[events], counts)

    def and_(self, other: EventInputs) -> EventInputs:
        """The inputs of these events and then of the others."""
        return EventInputs(
            np.concatenate([self.particles, other.particles]),
            np.concatenate([self.met, other.met]),
            np.concatenate([self.counts, other.counts]),
        )

    def turned(self, rng: np.random.Generator) -> EventInputs:
        """The same events, each turned in phi and reflected in eta and phi at random.

        Nothing that happens in a collision of two equal beams depends on it, so that a model may
        learn from all of them.
        """
        n = len(self.counts)
        angle = rng.uniform(0, 2 * np.pi, n)
        eta = rng.choice([-1.0, 1.0], n)
        phi = rng.choice([-1.0, 1.0], n)
        of = owner(self.counts)
        particles, met = self.particles.copy(), self.met.copy()
        particles[:, _ETA] *= eta[of]
        particles[:, _SIN], particles[:, _COS] = _turn(
            particles[:, _SIN], particles[:, _COS], angle[of], phi[of]
        )
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


def labelled(
    zero: EventInputs, one: EventInputs, zero_weights: Any = 1.0, one_weights: Any = 1.0
) -> Labelled:
    """Events of class 0 and of class 1 as one set; each class gets the same sum of weights.

    On average, an event has the weight 1.

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
                f"a class of {len(column)} events has no positive sum of weights:"
                " nothing can be learned"
            )
        parts.append(column * (len(labels) / 2 / column.sum()))
    return Labelled(inputs, labels, np.concatenate(parts).astype(np.float32))


class EventClassifier(nn.Module):
    """Transformer over an event's particles and one token of its MET and particle count.

    That token is read after the last block; every event has it, one without particles too. There
    is no position: order has no effect.

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
            Block(options.width, options.heads, options.feedforward, options.dropout)
            for _ in range(options.layers)
        )
        self.norm = nn.LayerNorm(options.width)
        self.out = nn.Linear(options.width, 1)

    def standardise(self, inputs: EventInputs) -> Self:
        """Take mean and standard deviation of the inputs; they are saved with the weights."""
        event = _event_columns(inputs)
        n = inputs.particles.shape[1]
        for columns, chosen, start in (
            (inputs.particles, SCALED, 0),
            (event, (0, event.shape[1] - 1), n),
        ):
            if len(columns):
                for i in chosen:
                    self.mean[start + i] = float(columns[:, i].mean(dtype=np.float64))
                    self.scale[start + i] = max(float(columns[:, i].std(dtype=np.float64)), 1e-3)
        return self

    def forward(self, inputs: EventInputs) -> Tensor:
        """Logit of class 1 of each event, shape (n_events,)."""
        device = self.mean.device
        particles = torch.from_numpy(inputs.particles).to(device)
        event = torch.from_numpy(_event_columns(inputs)).to(device)
        n = particles.shape[1]
        tokens = torch.cat(
            [
                self.particle((particles - self.mean[:n]) / self.scale[:n]),
                self.event((event - self.mean[n:]) / self.scale[n:]),
            ]
        )
        order, groups = sort_by_multiplicity(inputs.counts + 1)
        rank = np.argsort(order)
        of = np.concatenate([np.repeat(rank, inputs.counts), rank])
        # (n_tokens, width): events by multiplicity, in each its particles and then its own token
        x = tokens[torch.from_numpy(np.argsort(of, kind="stable")).to(device)]
        last = torch.from_numpy(np.cumsum(inputs.counts[order] + 1) - 1).to(device)
        for block in self.blocks[:-1]:
            x = block(x, groups)
        x = self.blocks[-1](x, groups, last)  # (n_events, width)
        logits: Tensor = self.out(self.norm(x))[:, 0]
        return logits[torch.from_numpy(rank).to(device)]

    def of_one_multiplicity(self, particles: Tensor, event: Tensor) -> Tensor:
        """Logit of each of events of n particles, (n_events,): features as tensors.

        Particles are (n_events, n, n_features), what describes the event (n_events, 4). Every step
        is one of tensors, whatever the shape, so that it can be written as a graph.
        """
        n_events, n, columns = particles.shape
        tokens = torch.cat(
            [
                self.particle((particles - self.mean[:columns]) / self.scale[:columns]),
                self.event((event - self.mean[columns:]) / self.scale[columns:])[:, None],
            ],
            dim=1,
        )
        groups, x = [Group(n_events, n + 1)], tokens.reshape(n_events * (n + 1), -1)
        last = torch.arange(n_events, device=x.device) * (n + 1) + n
        for block in self.blocks[:-1]:
            x = block(x, groups)
        logits: Tensor = self.out(self.norm(self.blocks[-1](x, groups, last)))[:, 0]
        return logits

    @torch.no_grad()
    def logits(self, inputs: EventInputs, batch_events: int = 512) -> NDArray[np.float64]:
        """Logit of each event in evaluation mode, shape (n_events,).

        Events of like multiplicity are done together.
        """
        self.eval()
        order, _ = sort_by_multiplicity(inputs.counts)
        found = np.zeros(len(order))
        for first in range(0, len(order), batch_events):
            some = order[first : first + batch_events]
            found[some] = self(inputs.select(some)).numpy(force=True)
        return found

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Weights and standardisation as plain arrays; `from_arrays` gives the model back."""
        return {
            f"model.{name}": value.numpy(force=True) for name, value in self.state_dict().items()
        }

    @classmethod
    def from_arrays(cls, options: ClassifierOptions, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The model of these arrays; raises StorageError if they are of another shape."""
        with torch.random.fork_rng(devices=[]):  # first weights are drawn, then replaced
            model = cls(options)
        try:
            model.load_state_dict(
                {
                    name[6:]: torch.as_tensor(value)
                    for name, value in arrays.items()
                    if name.startswith("model.")
                }
            )
        except RuntimeError as error:
            raise StorageError(
                f"the weights do not fit a classifier of {options} ({error}); save it again"
            ) from None
        return model.eval()


def new_classifier(options: ClassifierOptions, seed: int) -> EventClassifier:
    """A classifier with random weights of this seed; torch's global generator stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return EventClassifier(options)


def _event_columns(inputs: EventInputs) -> Floats:
    """Features of the event's own token: MET and log(1 + particles), shape (n_events, 4)."""
    return np.concatenate([inputs.met, np.log1p(inputs.counts)[:, None]], axis=1, dtype=np.float32)


def _turn(sine: Any, cosine: Any, angle: Any, side: Any) -> tuple[Any, Any]:
    sine = sine * side
    return sine * np.cos(angle) + cosine * np.sin(angle), cosine * np.cos(angle) - sine * np.sin(
        angle
    )
