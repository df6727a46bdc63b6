"""Networks that tell background from background made stranger.

The rule: no signal enters. The strange class is made of the training background itself, anew in
every epoch (:mod:`hepmtp.events.stranger`). What is read is how far out in the tail of background
each of the numbers :data:`hepmtp.events.kinematics.KINEMATICS` lies: -ln of the share of background
beyond it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Self, Unpack

import awkward as ak
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, gelu

from hepmtp import storage
from hepmtp.detectors import (
    BaseDetector,
    axis_from,
    plain_axis,
    score_axis,
    training_events,
)
from hepmtp.detectors.event_features_input import CHUNK
from hepmtp.detectors.event_network import NetworkTraining, scores_of
from hepmtp.errors import OptionError, StorageError, fitted
from hepmtp.events.kinematics import KINEMATICS, kinematics
from hepmtp.events.ragged import Floats, Ints
from hepmtp.events.split import trained_by
from hepmtp.events.stranger import numbers_of_stranger, recipes
from hepmtp.statistics.fisher import TailCombination
from hepmtp.training.loop import History, Watch, device_of, seeded, train
from hepmtp.training.schedules import warm_up_cosine


@dataclass(frozen=True, kw_only=True)
class StrangerTraining(NetworkTraining):
    """How the networks are trained: `LoopOptions` with other defaults."""

    epochs: int = 24
    patience: int = 24
    batch_events: int = 512
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4


class Networks(nn.Module):
    """Several networks of the same inputs, one beside the other; their logits are averaged.

    Parameters
    ----------
    n_features
        columns of the inputs.
    hidden
        widths of the hidden layers.
    members
        number of networks.
    """

    mean: Tensor  # (n_features,) of the inputs in training, and their standard deviation
    scale: Tensor

    def __init__(self, n_features: int, hidden: tuple[int, ...], members: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_features, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(n_features, dtype=torch.float64))
        sizes = list(pairwise([n_features, *hidden, 1]))
        self.weights = nn.ParameterList(
            torch.randn(members, n, m, dtype=torch.float64) * (2 / n) ** 0.5 for n, m in sizes
        )
        self.biases = nn.ParameterList(
            torch.zeros(members, 1, m, dtype=torch.float64) for _, m in sizes
        )

    def standardise(self, x: Floats) -> None:
        """Take mean and standard deviation of inputs, shape (n_events, n_features)."""
        self.mean.copy_(torch.as_tensor(x.mean(axis=0)))
        self.scale.copy_(torch.as_tensor(np.maximum(x.std(axis=0), 1e-3)))

    def forward(self, x: Tensor) -> Tensor:
        """Logits of each network, shape (members, n_events), of inputs (n_events, n_features)."""
        x = ((x - self.mean) / self.scale).expand(len(self.weights[0]), *x.shape)
        *layers, last = zip(self.weights, self.biases, strict=True)
        for weight, bias in layers:
            x = gelu(torch.baddbmm(bias, x, weight))
        return torch.baddbmm(last[1], x, last[0])[..., 0]


@dataclass(eq=False, kw_only=True)
class StrangerDetector(BaseDetector):
    """Mean logit of networks that tell background from background made stranger.

    Parameters
    ----------
    hidden, members
        of `Networks`.
    without
        an operation of :mod:`hepmtp.events.stranger` to leave out, for a study.
    training
        how they are trained; ``device`` is used in training, scores are made on the CPU.
    name
        of the detector.

    Attributes
    ----------
    network_, tails_, history_
        the trained networks, what their inputs are made with, and the training curve.
    """

    hidden: tuple[int, ...] = (64, 64)
    members: int = 8
    without: str = ""
    training: StrangerTraining = field(default_factory=StrangerTraining)
    name: str = "stranger"
    network_: Networks | None = field(default=None, init=False, repr=False)
    tails_: TailCombination | None = field(default=None, init=False, repr=False)
    history_: History = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        self.hidden = tuple(self.hidden)
        if min(*self.hidden, self.members) < 1:
            raise OptionError(f"hidden and members must be 1 or more, found {self}")
        recipes(self.without)

    @property
    def description(self) -> str:
        """What the score is, in a sentence."""
        return (
            f"Logit of {self.members} networks that tell background from background made stranger "
            f"(more jets, b-jets, momentum or MET) by {len(KINEMATICS)} numbers of an "
            "event."
        )

    @property
    def n_parameters(self) -> int:
        """Trainable parameters."""
        return sum(one.numel() for one in fitted(self.network_, self).parameters())

    def fit(self, events: ak.Array, **watch: Unpack[Watch]) -> Self:
        """Fit on the train and validation parts of background events, shape (n_events,).

        Weights count, those below 0 by their size: give the processes in the proportion of their
        cross-sections. `watch` is that of :class:`hepmtp.training.loop.Watch`. TrainingError is
        raised if events are not background, or a part is empty.
        """
        training, validation = (training_events(events, part) for part in ("train", "validation"))
        self.trained_ = trained_by(events)
        options = self.training
        numbers = self._numbers(training)
        tails = TailCombination().fit(numbers)
        with seeded(options.seed):
            network = Networks(numbers.shape[1], self.hidden, self.members)
        del numbers  # as large as what the networks read

        def inputs(events: ak.Array) -> Floats:
            return tails.surprises(self._numbers(events))

        # the task is as large as all else, and goes when it is trained
        self.history_ = train(
            _Task(network, inputs, training, validation, self.without, options.seed),
            options,
            schedule=warm_up_cosine,
            betas=(0.9, 0.999),
            **watch,
        )
        self.network_, self.tails_ = network, tails
        self.axis_ = score_axis(self.score(training), label="logit of stranger")
        self.describe(training)
        return self

    def _numbers(self, events: ak.Array) -> Floats:
        """What the networks read, (n_events, n_features): the larger, the stranger."""
        return kinematics(events)

    def score(self, events: ak.Array) -> Floats:
        """Mean logit of "made stranger" of each event, shape (n_events,)."""
        network, tails = fitted(self.network_, self), fitted(self.tails_, self)
        x = torch.as_tensor(tails.surprises(self._numbers(self._entering(events))))
        return scores_of(lambda part: network(part).mean(dim=0), x)

    def save(self, path: str | Path) -> None:
        """Write options, axis, tails and networks to a folder."""
        meta = {
            "options": {
                "hidden": self.hidden,
                "members": self.members,
                "without": self.without,
                "training": asdict(self.training),
                "name": self.name,
            },
            "history": self.history_,
            "axis": plain_axis(self.axis),
        }
        arrays: dict[str, Any] = {
            f"network.{name}": value.numpy(force=True)
            for name, value in fitted(self.network_, self).state_dict().items()
        }
        arrays |= {f"tails.{name}": one for name, one in fitted(self.tails_, self).arrays().items()}
        with storage.new_folder(path) as folder:
            self._write(folder, meta, arrays)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote; StorageError if it is damaged or of another version."""
        meta, arrays = storage.read(path, storage.kind_of(cls))
        options = dict(meta["options"])
        training = StrangerTraining.from_saved(options.pop("training"))
        detector = cls(**options, training=training)
        parts: dict[str, dict[str, Any]] = {"network": {}, "tails": {}}
        for name, array in arrays.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = array
        tails = TailCombination.from_arrays(parts["tails"])
        network = Networks(len(tails.values_), detector.hidden, detector.members)
        try:
            network.load_state_dict(
                {name: torch.as_tensor(array) for name, array in parts["network"].items()}
            )
        except RuntimeError as error:
            raise StorageError(
                f"{path}: what was saved does not fit the options ({error}); save it again"
            ) from None
        detector.network_, detector.history_ = network.eval(), meta["history"]
        detector.tails_ = tails
        detector.axis_ = axis_from(meta["axis"])
        detector._recall(meta)
        return detector


@dataclass(eq=False)
class _Task:
    """Weighted cross-entropy of background and as many stranger events, drawn in each epoch."""

    model: Networks
    inputs: Callable[[ak.Array], Floats]  # events -> (n_events, n_features)
    training: ak.Array
    validation: ak.Array
    without: str
    seed: int
    x: Tensor = field(init=False, repr=False)  # of an epoch, (n_events, n_features)
    labels: Tensor = field(init=False, repr=False)
    weights: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.plain = self.inputs(self.training)
        rng = np.random.default_rng([self.seed, 0])
        self.held_out = self._both(self.inputs(self.validation), self.validation, rng, copies=4)

    def draw(self, epoch: int, rng: np.random.Generator) -> int:
        """The first epoch gives the standardisation."""
        self.x = torch.empty(0)  # that of the last epoch goes before another is made
        x, self.labels, self.weights = self._both(self.plain, self.training, rng)
        if epoch == 1:
            self.model.standardise(x.numpy())
        self.x = x
        return len(x)

    def loss(self, events: Ints, _: np.random.Generator) -> tuple[Tensor, int]:
        """Mean over events, summed over the networks: each is trained by itself."""
        at = torch.as_tensor(events)
        parts = (self.x[at], self.labels[at], self.weights[at])
        return self._entropy(*parts).mean(dim=1).sum() * len(events), len(events)

    def validation_loss(self) -> float:
        """Summed over the networks, as `loss`."""
        x, labels, weights = self.held_out
        total = torch.zeros(())
        for part in torch.split(torch.arange(len(x)), CHUNK):
            total = total + self._entropy(x[part], labels[part], weights[part]).sum().cpu()
        return float(total) / len(x)

    def identity(self) -> Iterator[object]:
        """The inputs and what the strange class is made of."""
        yield from (self.model.weights, self.without, self.plain, self.held_out[0].numpy())
        yield np.asarray(ak.to_numpy(self.training.weight))

    def _both(
        self, plain: Floats, events: ak.Array, rng: np.random.Generator, copies: int = 1
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs, labels and weights of both classes; each has the same sum of weights."""
        chosen, n = recipes(self.without), len(plain)
        x = np.empty((n * (1 + copies), plain.shape[1]))
        x[:n] = plain
        for first in range(n, len(x), n or 1):
            x[first : first + n] = numbers_of_stranger(events, self.inputs, rng, chosen)
        # by their size: with weights below 0 the loss has no minimum
        weight = np.abs(ak.to_numpy(events.weight).astype(np.float64))
        weight = weight / weight.mean() if weight.any() else np.ones(len(weight))
        weights = np.concatenate([weight * copies, *([weight] * copies)])
        labels = np.repeat([0.0, 1.0], [n, copies * n])
        found = (x, labels, weights * len(x) / weights.sum())
        return tuple(torch.as_tensor(one) for one in found)  # type: ignore[return-value]

    def _entropy(self, x: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        """Of each network and event, shape (members, n_events)."""
        device = device_of(self.model)
        logits = self.model(x.to(device))
        labels, weights = (part.to(device).expand_as(logits) for part in (labels, weights))
        return binary_cross_entropy_with_logits(logits, labels, weights, reduction="none")
