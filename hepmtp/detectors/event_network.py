"""What the networks on event features share: the scaling of their inputs and their training.

The rule: everything is float64, so that a score does not depend on the chunk that its event comes
in by more than rounding, 1e-9 of it. The same seed gives the same network.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Self, Unpack

import awkward as ak
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hepmtp.detectors import score_axis, training_events
from hepmtp.detectors.event_features_input import (
    CHUNK,
    EventFeatureDetector,
    chosen_features,
)
from hepmtp.errors import fitted
from hepmtp.events.ragged import Floats, Ints
from hepmtp.events.split import trained_by
from hepmtp.training.loop import History, LoopOptions, Watch, device_of, seeded, train
from hepmtp.training.schedules import cosine_by_epoch
from hepmtp.training.threads import torch_threads

#: Largest scaled feature, in units of the background's spread: its square and its exponential in
#: float64 stay finite.
FARTHEST = 1e6
#: A value that at least this share of background has is no accident of rounding.
SHARED = 0.005


@dataclass(frozen=True, eq=False)
class Standardised:
    """Features minus their mean, over their standard deviation, both of background training events.

    With a generator, values that many events share are spread at random, so that a network is
    trained on continuous numbers. Counts are spread by half a unit to both sides. Of another
    feature it is the commonest value, such as the pt of a lepton that is not there, by half the
    distance to its next neighbour. Without a generator they stay in the middle.

    Attributes
    ----------
    mean, scale
        of each feature; a feature that never varies has the scale 1.
    shared, reach
        for each feature, the value that is spread (NaN: all of them) and by how much (0: none is).
    """

    mean: Floats
    scale: Floats
    shared: Floats
    reach: Floats

    @classmethod
    def fit(cls, x: Floats) -> Self:
        """Of background training events, shape (n_events, n_features)."""
        scale = x.std(axis=0)
        shared, reach = np.array([_ties(column) for column in x.T]).T
        return cls(x.mean(axis=0), np.where(scale > 0, scale, 1.0), shared, reach)

    def __call__(self, x: Floats, rng: np.random.Generator | None = None) -> Floats:
        """Standardised features, same shape; with `rng`, shared values are spread at random."""
        if rng is not None:
            spread = np.isnan(self.shared) | (x == self.shared)
            x = x + np.where(spread, rng.uniform(-self.reach, self.reach, x.shape), 0.0)
        return np.asarray(np.clip((x - self.mean) / self.scale, -FARTHEST, FARTHEST))


def _ties(column: Floats) -> tuple[float, float]:
    """Value of a feature to spread (NaN: all of them) and its reach, as in `Standardised`."""
    values, counts = np.unique(column, return_counts=True)
    if len(values) == 1 or (values == np.round(values)).all():
        return np.nan, 0.5
    most = int(np.argmax(counts))
    if counts[most] < SHARED * len(column):
        return float(values[most]), 0.0
    return float(values[most]), float(np.abs(np.delete(values, most) - values[most]).min() / 2)


@dataclass(frozen=True, kw_only=True)
class NetworkTraining(LoopOptions):
    """How a network on event features is trained: `LoopOptions` with other defaults."""

    epochs: int = 40
    patience: int = 8
    learning_rate: float = 3e-3
    weight_decay: float = 0.0


class EventNetwork(nn.Module, ABC):
    """A network that gives every event a loss to train on and a score."""

    def start(self, x: Tensor) -> None:
        """Set what depends on the training events before the first step, (n_events, n_features)."""

    @abstractmethod
    def loss(self, x: Tensor) -> Tensor:
        """Loss of each event, shape (n_events,); may be random."""

    @abstractmethod
    def score(self, x: Tensor) -> Tensor:
        """Score of each event, shape (n_events,); not random."""


def scores_of(score: Callable[[Tensor], Tensor], x: Tensor) -> Floats:
    """Scores of all events, (n_events,), `CHUNK` at a time, of inputs (n_events, n_features)."""
    found = np.empty(len(x))  # a list of parts would keep the memory of each pass apart
    with torch.no_grad(), torch_threads(1):
        for first in range(0, len(x), CHUNK):
            part = slice(first, first + CHUNK)
            found[part] = score(x[part]).numpy()
    return found


@dataclass(eq=False)
class NetworkDetector(EventFeatureDetector, ABC):
    """A network on standardised event features.

    Attributes
    ----------
    network_, scaling_, history_
        the trained network, the map of its inputs and the training curve.
    """

    training: NetworkTraining = field(default_factory=NetworkTraining)
    network_: EventNetwork | None = field(default=None, init=False, repr=False)
    scaling_: Standardised | None = field(default=None, init=False, repr=False)
    history_: History = field(default_factory=list, init=False, repr=False)

    #: Whether training spreads values that events share at random: a density needs it.
    spread_ties: ClassVar[bool] = True

    @abstractmethod
    def _network(self) -> EventNetwork:
        """A network that is not trained, float64."""

    @property
    def n_parameters(self) -> int:
        """Trainable parameters."""
        return sum(one.numel() for one in self._fitted()[0].parameters())

    def fit(self, events: ak.Array, **watch: Unpack[Watch]) -> Self:
        """Fit on the train and validation parts of background events, shape (n_events,).

        `watch` is that of :class:`hepmtp.training.loop.Watch`.
        """
        chosen = training_events(events)
        training = chosen_features(chosen, self.features)
        self.trained_ = trained_by(events)
        self._fit(training, events, **watch)
        self.axis_ = score_axis(self._score(training), label=self.label)
        self.describe(chosen)
        return self

    def _fit(self, training: Floats, events: ak.Array, **watch: Any) -> None:
        validation = chosen_features(training_events(events, "validation"), self.features)
        scaling, options = Standardised.fit(training), self.training

        def inputs(x: Floats, rng: np.random.Generator) -> Floats:
            return scaling(x, rng if self.spread_ties else None)

        with seeded(options.seed), torch_threads(options.threads):
            network = self._network()
            network.start(torch.as_tensor(scaling(training)))
        held_out = inputs(validation, np.random.default_rng([options.seed, 0]))
        task = NetworkTask(network, lambda rng: inputs(training, rng), held_out)
        self.history_ = train(task, options, schedule=cosine_by_epoch, betas=(0.9, 0.999), **watch)
        self.network_, self.scaling_ = network, scaling

    def _score(self, x: Floats) -> Floats:
        network, scaling = self._fitted()
        z = torch.as_tensor(scaling(x))
        return scores_of(network.score, z)

    def _arrays(self) -> dict[str, NDArray[Any]]:
        network, scaling = self._fitted()
        weights = {
            f"network.{name}": value.numpy(force=True)
            for name, value in network.state_dict().items()
        }
        return weights | {f"scaling.{name}": value for name, value in vars(scaling).items()}

    def _restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        groups: dict[str, dict[str, Any]] = {"network": {}, "scaling": {}}
        for name, array in arrays.items():
            group, _, rest = name.partition(".")
            groups[group][rest] = array
        with torch.random.fork_rng(devices=[]):  # first weights are drawn, then replaced
            network = self._network()
        network.load_state_dict(
            {name: torch.as_tensor(array) for name, array in groups["network"].items()}
        )
        self.network_, self.scaling_ = network.eval(), Standardised(**groups["scaling"])

    def _options(self) -> dict[str, Any]:
        return {**super()._options(), "training": asdict(self.training)}

    @classmethod
    def _made_with(cls, options: dict[str, Any]) -> Self:
        return super()._made_with(
            {**options, "training": NetworkTraining.from_saved(options["training"])}
        )

    def _fitted(self) -> tuple[EventNetwork, Standardised]:
        return fitted(self.network_, self), fitted(self.scaling_, self)


@dataclass(eq=False)
class NetworkTask:
    """What :func:`hepmtp.training.loop.train` does with a network: lower its own loss.

    Parameters
    ----------
    model
        the network.
    training
        function that gives the inputs of an epoch, shape (n_events, n_features).
    validation
        inputs that only decide when to stop.
    """

    model: EventNetwork
    training: Callable[[np.random.Generator], Floats]
    validation: Floats
    x: Floats = field(init=False, repr=False)

    def draw(self, _: int, rng: np.random.Generator) -> int:
        """Inputs whose shared values are spread anew."""
        self.x = self.training(rng)
        return len(self.x)

    def loss(self, events: Ints, _: np.random.Generator) -> tuple[Tensor, int]:
        """Mean of a batch: each counts once, however many events the last one has."""
        return self._losses(self.x[events]).mean(), 1

    def validation_loss(self) -> float:
        """Mean over all events."""
        chunks = range(0, len(self.validation), CHUNK)
        losses = [self._losses(self.validation[i : i + CHUNK]).sum() for i in chunks]
        return float(torch.stack(losses).sum()) / len(self.validation)

    def identity(self) -> Iterator[object]:
        """One draw stands for the function that draws."""
        yield from (self.training(np.random.default_rng(0)), self.validation)

    def _losses(self, x: Floats) -> Tensor:
        return self.model.loss(torch.as_tensor(x).to(device_of(self.model)))
