"""Training of the classifier of jets, whole or its head alone.

The rule: both classes count alike, however many jets each has. A frozen backbone gives each jet's
features once, and the head is trained on these.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Self, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from hepmtp.errors import OptionError, TrainingError
from hepmtp.events.ragged import Floats, Ints
from hepmtp.events.tokens import TokenBatch
from hepmtp.models.groups import sort_by_multiplicity
from hepmtp.models.jet_classifier import JetClassifier
from hepmtp.training import loop
from hepmtp.training.loop import History, Watch, device_of, usable
from hepmtp.training.next_token import RunOptions, batches, mirrored, neighbours
from hepmtp.training.schedules import warm_up_from_2_percent
from hepmtp.training.threads import torch_threads


class LabelledJets(NamedTuple):
    """Tokens of jets, their class 0 or 1, weights, and the features of a frozen backbone."""

    tokens: TokenBatch
    labels: NDArray[np.float32]  #: (n_jets,)
    weights: NDArray[np.float32]  #: each class has the same sum, and the mean is 1
    features: NDArray[np.float32] | None = None  #: (n_jets, n_features)

    @classmethod
    def of(cls, background: TokenBatch, signal: TokenBatch) -> Self:
        """Jets of class 0, and those of class 1.

        Raises
        ------
        TrainingError
            if there are none of a class.
        """
        sizes = len(background), len(signal)
        if not min(sizes):
            raise TrainingError(
                f"a classifier needs jets of both classes, found {sizes[0]} and {sizes[1]}: give "
                "more"
            )
        weights = np.repeat([sum(sizes) / 2 / n for n in sizes], sizes)
        labels = np.repeat([0.0, 1.0], sizes)
        return cls(background + signal, labels.astype(np.float32), weights.astype(np.float32))

    def frozen(self, features: NDArray[np.float32]) -> Self:
        """The same jets with the features of a backbone that is not trained."""
        return self._replace(features=features)


@dataclass(frozen=True, kw_only=True)
class JetClassifierTraining(RunOptions):
    """How a classifier of jets is trained.

    Parameters
    ----------
    frozen
        train the head alone.
    steps
        at least so many in all: few jets take more epochs.
    epochs, patience, batch_events, learning_rate, weight_decay, seed, threads, device
        of :class:`hepmtp.training.loop.LoopOptions`.
    neighbours, mirrored
        of :class:`hepmtp.training.next_token.RunOptions`; the head alone takes jets as they are.
    """

    epochs: int = 10
    patience: int = 4
    learning_rate: float = 1e-3
    frozen: bool = False
    steps: int = 300
    neighbours: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps < 1:
            raise OptionError(f"steps must be 1 or more, found {self}")

    def of(self, n_jets: int) -> Self:
        """The options for so many training jets: with the epochs that `steps` asks for."""
        epochs = -(-self.steps * self.batch_events // max(n_jets, 1))
        if epochs <= self.epochs:
            return self
        return replace(self, epochs=epochs, patience=max(self.patience, epochs // 5))


def train_jet_classifier(
    model: JetClassifier,
    training: LabelledJets,
    validation: LabelledJets,
    *,
    options: JetClassifierTraining | None = None,
    mirrors: Ints | None = None,
    **watch: Unpack[Watch],
) -> History:
    """Train in place; the model ends with the weights of its best epoch.

    Losses are weighted mean cross-entropies [nat].

    Parameters
    ----------
    training, validation
        the second only decides when to stop. With features, the head alone is trained on these.
    mirrors
        ids of each id's mirror images, (n_mirrors, vocab_size), for ``options.mirrored``.
    watch
        ``checkpoint`` and ``progress`` of :func:`hepmtp.training.loop.train`.

    Raises
    ------
    TrainingError
        if the loss is not finite, or the checkpoint belongs to another training.
    """
    options = (options or JetClassifierTraining()).of(len(training.labels))
    if options.frozen and training.features is None:
        model.to(usable(options.device))
        training, validation = (
            one.frozen(features_of(model, one.tokens)) for one in (training, validation)
        )
    images = mirrors if options.mirrored and training.features is None else None
    task = _JetClassification(model, training, validation, options.neighbours, images)
    return loop.train(task, options.in_runs(), schedule=warm_up_from_2_percent, **watch)


@dataclass(eq=False)
class _JetClassification:
    """The task: weighted cross-entropy of the class, of jets of neighbouring multiplicity."""

    model: JetClassifier
    training: LabelledJets
    validation: LabelledJets
    neighbours: int
    mirrors: Ints | None = None
    runs: list[Ints] = field(default_factory=list)
    drawn: TokenBatch = field(init=False)

    def draw(self, _: int, rng: np.random.Generator) -> int:
        """Runs of jets of neighbouring multiplicity."""
        tokens = self.training.tokens
        self.runs = neighbours(tokens.counts, self.neighbours, rng)
        self.drawn = mirrored(tokens, self.mirrors, rng)
        return len(self.runs)

    def loss(self, events: Ints, _: np.random.Generator) -> tuple[Tensor, int]:
        """Over the jets of these runs."""
        jets = np.concatenate([self.runs[one] for one in events])
        device = device_of(self.model)
        if self.training.features is not None:
            features = torch.as_tensor(self.training.features[jets], device=device)
            logits = self.model.of_features(features)
        else:
            jets = jets[sort_by_multiplicity(self.drawn.counts[jets])[0]]
            logits = _forward(self.model, self.drawn.select(jets))
        truth, weights = (torch.as_tensor(one[jets], device=device) for one in self.training[1:3])
        loss = binary_cross_entropy_with_logits(logits, truth, weights, reduction="sum")
        return loss, len(jets)

    def validation_loss(self) -> float:
        """The same of held-out jets."""
        found = logits_of(self.model, self.validation.tokens, self.validation.features)
        truth, weights = (torch.as_tensor(one).double() for one in self.validation[1:3])
        return float(binary_cross_entropy_with_logits(torch.as_tensor(found), truth, weights))

    def identity(self) -> Iterator[object]:
        """The jets, and the shape of the model."""
        yield repr(self.model)
        yield self.neighbours
        if self.mirrors is not None:
            yield self.mirrors
        for one in (self.training, self.validation):
            yield from (one.tokens.values, one.tokens.offsets, one.labels, one.weights)
            yield "whole" if one.features is None else one.features


def logits_of(
    model: JetClassifier, tokens: TokenBatch, features: NDArray[np.float32] | None = None
) -> Floats:
    """Logit of each jet, (n_jets,), from its features if these are known."""
    if features is not None:
        with torch_threads(1), torch.no_grad():
            of = model.of_features(torch.as_tensor(features, device=device_of(model)))
        return of.double().numpy(force=True)
    return _in_batches(model, tokens, whole=True)[:, 0].astype(np.float64)


def features_of(model: JetClassifier, tokens: TokenBatch) -> NDArray[np.float32]:
    """What the head reads of each jet, (n_jets, n_features), without gradients or dropout."""
    return _in_batches(model, tokens, whole=False)


def _in_batches(model: JetClassifier, tokens: TokenBatch, *, whole: bool) -> NDArray[np.float32]:
    """Logits, (n_jets, 1), or features of all jets."""
    columns = 1 if whole else 2 * model.backbone.options.width
    found = np.zeros((len(tokens), columns), dtype=np.float32)
    training = model.training
    model.eval()
    with torch_threads(1), torch.no_grad():
        for some in batches(tokens):
            jets = some[sort_by_multiplicity(tokens.counts[some])[0]]
            out = _forward(model, tokens.select(jets), whole=whole)
            found[jets] = out.reshape(len(jets), columns).numpy(force=True)
    model.train(training)
    return found


def _forward(model: JetClassifier, tokens: TokenBatch, *, whole: bool = True) -> Tensor:
    device = device_of(model)
    given = (torch.as_tensor(one, device=device) for one in (tokens.values, tokens.offsets))
    out: Tensor = model(*given) if whole else model.features(*given)
    return out
