"""The masked-token model: a small encoder-only transformer that predicts hidden tokens from all others of an event.

The rule: particles are a set. No position is told by default, so the order of the tokens has no effect; what the
model knows of a hidden token is only its kind (particle, MET or METphi), by a mask id of its own for each kind.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hepmtp.errors import TokenError
from hepmtp.models.attention import Block, Group, sort_by_multiplicity

Form = Literal["product", "joint"]
Position = Literal["none", "rope", "learned"]

#: Learned positions beyond this many share the last one: no event is cut short.
LEARNED_POSITIONS = 64


@dataclass(frozen=True)
class ModelOptions:
    """Shape of a model; the default has about 270 000 parameters.

    Parameters
    ----------
    form
        "product": a token is the sum of its digits' embeddings and is predicted digit by digit, one head each;
        "joint": one embedding and one output per id, as published.
    position
        "none": particles are a set; "rope" or "learned": their order in the event is told.
    width, heads, layers, feedforward
        features per token, attention heads, blocks, hidden features of a block's two-layer network.
    dropout
        share of features dropped in training.
    """

    form: Form = "product"
    position: Position = "none"
    width: int = 128
    heads: int = 4
    layers: int = 2
    feedforward: int = 256
    dropout: float = 0.05

    def __post_init__(self) -> None:
        if self.form not in get_args(Form) or self.position not in get_args(Position):
            raise TokenError(
                f"form must be one of {get_args(Form)} and position one of {get_args(Position)}, found {self.form!r} "
                f"and {self.position!r}"
            )
        step = self.heads * (2 if self.position == "rope" else 1)  # rope turns pairs of features
        if min(self.width, self.heads, self.layers, self.feedforward) < 1 or self.width % step:
            raise TokenError(
                f"sizes of a model must be 1 or more and width a multiple of {step} ({self.heads} heads, position "
                f"{self.position!r}), found {self}"
            )


class Head(NamedTuple):
    """One softmax of a model: the name of what it predicts and the number of classes."""

    name: str
    size: int


class MaskedTokenModel(nn.Module):
    """Encoder-only transformer over ragged token batches.

    Parameters
    ----------
    factors, digits
        of the tokenizer: ``((name, size), ...)`` and int64 (vocab_size, n_factors), -1 where an id has no such digit.
    options
        shape of the model.

    Notes
    -----
    The kind of an id is the set of digits that it has; ids of kind k are hidden by mask id ``vocab_size + k``.
    """

    design: Tensor  # (vocab_size + n_kinds, n_columns): which embeddings add up to an id's input
    kind_of: Tensor  # (vocab_size + n_kinds,)
    targets: Tensor  # (vocab_size, n_heads): digit of an id in each head, -1 where it has none

    def __init__(
        self, factors: tuple[tuple[str, int], ...], digits: NDArray[np.int64], options: ModelOptions | None = None
    ) -> None:
        super().__init__()
        self.options = options or ModelOptions()
        self.vocab_size = len(digits)
        kinds = kinds_of(digits)
        self.n_kinds = int(kinds.max()) + 1
        self.heads, targets = output_heads(self.options.form, factors, digits)
        self.register_buffer("targets", torch.as_tensor(targets), persistent=False)
        self.register_buffer("kind_of", torch.as_tensor(np.r_[kinds, np.arange(self.n_kinds)]), persistent=False)
        self.register_buffer("design", torch.as_tensor(self._design(targets)), persistent=False)
        width = self.options.width
        self.embedding = nn.Parameter(torch.randn(self.design.shape[1], width) * 0.5)
        if self.options.position == "learned":
            self.positions = nn.Parameter(torch.randn(LEARNED_POSITIONS, width) * 0.1)
        options = self.options
        self.blocks = nn.ModuleList(
            Block(width, options.heads, options.feedforward, options.dropout, rope=options.position == "rope")
            for _ in range(options.layers)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, sum(head.size for head in self.heads))

    def mask_id(self, values: Tensor) -> Tensor:
        """The mask id that hides each of these ids: vocab_size + its kind; raises TokenError for what is no id."""
        _check(values, self.vocab_size)
        return self.vocab_size + self.kind_of[values]

    def forward(self, values: Tensor, offsets: Tensor) -> Tensor:
        """Log-probabilities of every id at every position, given the position's kind, (n_tokens, vocab_size).

        -inf for ids of another kind. In the product form this is the sum over an id's digits.
        """
        log_p = self.log_probabilities(self.encode(values, offsets))
        total = torch.zeros(len(values), self.vocab_size, device=values.device)
        for part, digit in zip(log_p, self.targets.T, strict=True):
            total += part[:, digit.clamp(min=0)] * (digit >= 0)
        other = self.kind_of[values][:, None] != self.kind_of[: self.vocab_size]
        return total.masked_fill(other, -torch.inf)

    def encode(self, values: Tensor, offsets: Tensor) -> Tensor:
        """Features of every token, in the order given, (n_tokens, width)."""
        counts = offsets.diff()
        order, groups = sort_by_multiplicity(counts.cpu().numpy())
        flat = _flat_index(offsets, torch.as_tensor(order, device=values.device))
        sorted_ = self.encode_sorted(values[flat], groups)
        return torch.empty_like(sorted_).index_copy_(0, flat, sorted_)

    def encode_sorted(self, values: Tensor, groups: list[Group], at: Tensor | None = None) -> Tensor:
        """As `encode`, for values that lie sorted by multiplicity; for the tokens `at` only, one per event, if given."""
        _check(values, len(self.design))
        x = (self.design @ self.embedding)[values]
        if self.options.position == "learned":
            places = [torch.arange(n, device=values.device).repeat(size) for size, n in groups]
            x = x + self.positions[torch.cat([*places, values[:0]]).clamp(max=LEARNED_POSITIONS - 1)]
        for i, block in enumerate(self.blocks):
            x = block(x, groups, at if i == len(self.blocks) - 1 else None)
        features: Tensor = self.norm(x)
        return features

    def log_probabilities(self, features: Tensor) -> list[Tensor]:
        """Log-probabilities of the digits of each head, a list of (n_tokens, size)."""
        parts = self.head(features).split([head.size for head in self.heads], dim=1)
        return [torch.log_softmax(part, dim=1) for part in parts]

    def config(self) -> dict[str, Any]:
        """Options as plain data."""
        return asdict(self.options)

    def _design(self, targets: NDArray[np.int64]) -> NDArray[np.float32]:
        sizes = [head.size for head in self.heads]
        design = np.zeros((self.vocab_size + self.n_kinds, sum(sizes) + self.n_kinds), dtype=np.float32)
        first = 0
        for column, size in zip(targets.T, sizes, strict=True):
            has = np.flatnonzero(column >= 0)
            design[has, first + column[has]] = 1
            first += size
        masks = np.arange(self.n_kinds)
        design[self.vocab_size + masks, first + masks] = 1
        return design


def output_heads(
    form: Form, factors: tuple[tuple[str, int], ...], digits: NDArray[np.int64]
) -> tuple[list[Head], NDArray[np.int64]]:
    """The heads of a model of this form, and the digit of each id in each of them, (vocab_size, n_heads), -1 where none."""
    if form == "product":
        return [Head(name, size) for name, size in factors], digits
    heads, columns = [], []
    kinds = kinds_of(digits)
    for kind in range(int(kinds.max()) + 1):
        members = np.flatnonzero(kinds == kind)
        column = np.full(len(kinds), -1, dtype=np.int64)
        column[members] = np.arange(len(members))
        columns.append(column)
        names = [name for (name, _), has in zip(factors, digits[members[0]] >= 0, strict=True) if has]
        heads.append(Head("token" if len(names) > 1 else names[0], len(members)))
    return heads, np.stack(columns, axis=1)


def kinds_of(digits: NDArray[np.int64]) -> NDArray[np.int64]:
    """Kind of each id, shape (vocab_size,): ids with the same set of digits; numbered in the order of the ids."""
    _, first, index = np.unique(digits >= 0, axis=0, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[index.ravel()])  # numpy 2.0 gives index a second axis


def _check(values: Tensor, n: int) -> None:
    if values.numel() and not 0 <= int(values.min()) <= int(values.max()) < n:
        raise TokenError(f"ids must lie in 0..{n - 1}, found {values.min()}..{values.max()}")


def _flat_index(offsets: Tensor, events: Tensor) -> Tensor:
    """Flat positions of the tokens of these events, one after the other."""
    counts = offsets.diff()[events]
    ends = counts.cumsum(0)
    within = torch.arange(int(counts.sum()), device=offsets.device) - (ends - counts).repeat_interleave(counts)
    return offsets[events].repeat_interleave(counts) + within
