"""Models: ids become probabilities; each predicts tokens of an event from the others.

The rule: no padding and no event cut short. A hidden token has a mask id in place of its own:
vocab_size + its kind, which is all that the model may know of it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import is_dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hepmtp.errors import OptionError, TokenError, check_protocol
from hepmtp.events.ragged import Bools, Ints
from hepmtp.events.tokens import TokenBatch

#: What `TokenModel.predict` is.
Predict = Callable[[TokenBatch, Ints], list[Tensor]]


class TokenModel(nn.Module):
    """A torch module that predicts tokens: three attributes and one method.

    Attributes
    ----------
    heads
        ``((name, size), ...)``: the softmaxes of the model, such as one for each digit of an id.
    targets
        int64, shape (vocab_size, n_heads): the class of each id in each head, -1 where that head
        does not predict this id.
    one_pass
        True: each token is predicted from all others of its event though nothing is hidden, so that
        one pass is enough. False: what is predicted is hidden, in scoring one token at a time.

    Notes
    -----
    The kind of an id is the set of heads that predict it.
    """

    heads: Sequence[tuple[str, int]]
    targets: Ints
    one_pass: bool

    def log_probabilities(
        self, values: Tensor, offsets: Tensor, at: Tensor, features: Tensor | None = None
    ) -> list[Tensor]:
        """Log-probabilities of all classes of each head, a list of (n_asked, size).

        Parameters
        ----------
        values
            ids or mask ids, int64, (n_tokens,).
        offsets
            int64, (n_events + 1,): event i owns ``values[offsets[i]:offsets[i + 1]]``. Events come
            by rising multiplicity, those without tokens first.
        at
            positions in `values` that are asked for, int64, (n_asked,), rising.
        features
            float32, (n_tokens, n_features), if the tokenizer gives any. What stands at a mask id
            must have no effect.
        """
        raise NotImplementedError

    def predict(self, tokens: TokenBatch, at: Ints) -> list[Tensor]:
        """`log_probabilities` of a batch, on the model's device."""
        device = next(self.parameters()).device
        values, offsets, asked = (
            torch.as_tensor(one, device=device) for one in (tokens.values, tokens.offsets, at)
        )
        told = tokens.features
        features = None if told is None else torch.as_tensor(told, device=device)
        return self.log_probabilities(values, offsets, asked, features)

    def predictor(self, tokens: TokenBatch) -> Predict:  # noqa: ARG002 - what may be prepared
        """`predict` for batches of these events, in evaluation and without gradients.

        A model may prepare what they share. Its weights must stay as they are meanwhile.
        """
        return self.predict

    @functools.cached_property
    def kind_of(self) -> Ints:
        """Kind of each id, shape (vocab_size,), numbered in the order of the ids."""
        return kinds_of(self.targets)

    @functools.cached_property
    def kinds(self) -> tuple[str, ...]:
        """Name of each kind: "MET" or "METphi" if that head alone predicts it, else "particle"."""
        names = np.array([name for name, _ in self.heads], dtype=object)
        first = np.unique(self.kind_of, return_index=True)[1]
        predicted_by = [list(names[row >= 0]) for row in self.targets[first]]
        return tuple(
            found[0] if found in (["MET"], ["METphi"]) else "particle" for found in predicted_by
        )

    def is_kind(self, kinds: Sequence[str], values: Ints) -> Bools:
        """Which of these ids are of one of these kinds; raises TokenError for what is no id."""
        check_ids(values, len(self.targets))
        return np.isin(self.kinds, kinds)[self.kind_of[values]]

    def mask_ids(self, values: Ints) -> Ints:
        """The mask id that hides each of these ids; raises TokenError for what is no id."""
        check_ids(values, len(self.targets))
        return len(self.targets) + self.kind_of[values]


class ModelConfig(Protocol):
    """A dataclass of plain data that a model is made from, such as ``hepmtp.ModelOptions``.

    A detector is given it, makes the model when it is fitted, saves it, and makes the model again
    when it is loaded.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def build(self, factors: tuple[tuple[str, int], ...], digits: Ints) -> TokenModel:
        """A model with random weights for ids of these factors and digits.

        Both are those of :class:`hepmtp.tokenizers.Tokenizer`. A model that predicts digit by digit
        has them as its `heads` and `targets`.
        """


def check_config(config: object) -> None:
    """Raise OptionError for what is no `ModelConfig`."""
    check_protocol(config, ModelConfig)
    if isinstance(config, type) or not is_dataclass(config):
        raise OptionError(f"{config!r} is no dataclass with values: it could not be saved")


def build(config: ModelConfig, factors: tuple[tuple[str, int], ...], digits: Ints) -> TokenModel:
    """The model of a configuration; raises OptionError if it is none, or of another vocabulary."""
    model = check_model(config.build(factors, digits))
    if len(model.targets) != len(digits):
        raise OptionError(
            f"{type(config).__name__}.build gives a {type(model).__name__} for "
            f"{len(model.targets)} ids, but its tokenizer has {len(digits)}"
        )
    return model


def check_model(model: object) -> TokenModel:
    """The model itself.

    Raises
    ------
    OptionError
        if it is no `TokenModel`, lacks something, or has targets that do not fit its heads.
    """
    name = type(model).__name__
    if not isinstance(model, TokenModel):
        raise OptionError(f"{name} is no model: derive it from hepmtp.models.TokenModel")
    lacks = [one for one in ("heads", "targets", "one_pass") if not hasattr(model, one)]
    if type(model).log_probabilities is TokenModel.log_probabilities:
        lacks.append("log_probabilities")
    if lacks:
        raise OptionError(f"{name} lacks {', '.join(lacks)}: see hepmtp.models.TokenModel")
    targets, sizes = np.asarray(model.targets), [size for _, size in model.heads]
    if targets.dtype != np.int64 or targets.ndim != 2 or targets.shape[1] != len(sizes):
        raise OptionError(
            f"targets of {name} must be int64 of shape (vocab_size, n_heads), with {len(sizes)} "
            f"heads, found {targets.dtype} {targets.shape}"
        )
    if not ((targets >= -1) & (targets < sizes)).all() or (targets < 0).all(axis=1).any():
        raise OptionError(
            f"targets of {name} must be in 0..size - 1 of a head, or -1, and no row -1 alone"
        )
    return model


def kinds_of(targets: NDArray[np.int64]) -> Ints:
    """Kind of each id, (vocab_size,): ids with targets in the same columns, in order of the ids."""
    _, first, index = np.unique(targets >= 0, axis=0, return_index=True, return_inverse=True)
    # numpy 2.0 gives index a second axis
    return np.asarray(np.argsort(np.argsort(first))[index.ravel()])


def check_ids(values: Ints | Tensor, n: int) -> None:
    """Raise TokenError for what does not lie in 0..n-1."""
    if len(values) and not 0 <= int(values.min()) <= int(values.max()) < n:
        raise TokenError(f"ids must lie in 0..{n - 1}, found {values.min()}..{values.max()}")
