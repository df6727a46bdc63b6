"""The masked-token model: a small encoder-only transformer that predicts hidden tokens from all others of an event.

The rule: particles are a set. No position is told by default, so the order of the tokens has no effect; what the
model knows of a hidden token is only its kind (particle, MET or METphi), by a mask id of its own for each kind.

There are two kinds of attention. In "full", every token sees every token, so what is to be predicted must be hidden, one token at
a time. In "leave_one_out" (the idea of T-TA, Shin et al., arXiv:2004.08097) a position starts from its mask embedding and sees all
tokens but its own, whose embeddings never mix with each other: one pass predicts each of n tokens from the n - 1 others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hepmtp.errors import OptionError, TokenError
from hepmtp.events.ragged import ragged_arange
from hepmtp.models import TokenModel, check_ids
from hepmtp.models.attention import Block, Group, sort_by_multiplicity
from hepmtp.models.heads import Output, kind_names, kinds_of, output_heads

Position = Literal["none", "rope", "learned"]
Attention = Literal["full", "leave_one_out"]
Inputs = Literal["tokens", "continuous"]

#: Learned positions beyond this many share the last one: no event is cut short.
LEARNED_POSITIONS = 64


@dataclass(frozen=True)
class ModelOptions:
    """Shape of a model; the default has about 270 000 parameters.

    Parameters
    ----------
    output
        "product": a token is the sum of its digits' embeddings and is predicted digit by digit, one
        head each; "joint": one embedding and one output per id, as published.
    position
        "none": particles are a set; "rope" or "learned": their order in the event is told.
    width, heads, layers, feedforward
        features per token, attention heads, blocks, hidden features of a block's two-layer network.
    dropout
        share of features dropped in training.
    attention
        "full": a token is predicted where it is hidden, n passes for an event of n tokens; "leave_one_out": all n are predicted
        in one pass. There, every token is a target in training and mask_fraction is not used.
    inputs
        "tokens": the model reads ids; "continuous": it reads the features that :class:`TokenBatch` brings, such as those of
        :class:`hepmtp.tokenizers.continuous.ContinuousInputs`, and ids are targets only (arXiv:2512.04149).
    n_features
        columns of these features.
    """

    output: Output = "product"
    position: Position = "none"
    width: int = 128
    heads: int = 4
    layers: int = 2
    feedforward: int = 256
    dropout: float = 0.05
    attention: Attention = "leave_one_out"
    inputs: Inputs = "tokens"
    n_features: int = 15

    def __post_init__(self) -> None:
        for name, kind in _CHOICES.items():
            if (given := getattr(self, name)) not in get_args(kind):
                raise OptionError(f"{name} must be one of {get_args(kind)}, found {given!r}")
        step = self.heads * (2 if self.position == "rope" else 1)  # rope turns pairs of features
        if (
            min(self.width, self.heads, self.layers, self.feedforward, self.n_features) < 1
            or self.width % step
        ):
            raise OptionError(
                f"sizes of a model must be 1 or more and width a multiple of {step} ({self.heads} heads, position "
                f"{self.position!r}), found {self}"
            )

    def build(
        self, factors: tuple[tuple[str, int], ...], digits: NDArray[np.int64]
    ) -> MaskedTokenModel:
        """A model of this shape with random weights, for the ids of a tokenizer."""
        return MaskedTokenModel(factors, digits, self)


_CHOICES: dict[str, object] = {
    "output": Output,
    "position": Position,
    "attention": Attention,
    "inputs": Inputs,
}


class MaskedTokenModel(TokenModel):
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

    design: Tensor  # (vocab_size + n_kinds, n_columns): which embeddings add up to an id's input, but for its features
    kind_of: Tensor  # (vocab_size + n_kinds,)
    targets: Tensor  # (vocab_size, n_heads): digit of an id in each head, -1 where it has none

    def __init__(
        self,
        factors: tuple[tuple[str, int], ...],
        digits: NDArray[np.int64],
        options: ModelOptions | None = None,
    ) -> None:
        super().__init__()
        self.options = options or ModelOptions()
        self.vocab_size = len(digits)
        self.one_pass = self.options.attention == "leave_one_out"
        kinds = kinds_of(digits)
        self.heads, targets = output_heads(self.options.output, factors, digits)
        self.kinds = kind_names(self.heads, targets)
        self.n_kinds = len(self.kinds)
        self.register_buffer("targets", torch.as_tensor(targets), persistent=False)
        self.register_buffer(
            "kind_of", torch.as_tensor(np.r_[kinds, np.arange(self.n_kinds)]), persistent=False
        )
        self.register_buffer(
            "design", torch.as_tensor(self._design(targets, kinds)), persistent=False
        )
        width = self.options.width
        self.embedding = nn.Parameter(torch.randn(self.design.shape[1], width) * 0.5)
        if self.options.position == "learned":
            self.positions = nn.Parameter(torch.randn(LEARNED_POSITIONS, width) * 0.1)
        options = self.options
        self.blocks = nn.ModuleList(
            Block(
                width,
                options.heads,
                options.feedforward,
                options.dropout,
                rope=options.position == "rope",
            )
            for _ in range(options.layers)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, sum(head.size for head in self.heads))
        if options.attention == "leave_one_out":
            self.null = nn.Parameter(torch.randn(1, width) * 0.5)
        if options.inputs == "continuous":
            self.read = nn.Sequential(
                nn.Linear(options.n_features, width), nn.GELU(), nn.Linear(width, width)
            )

    def mask_id(self, values: Tensor) -> Tensor:
        """The mask id that hides each of these ids: vocab_size + its kind; raises TokenError for what is no id."""
        check_ids(values, self.vocab_size)
        return self.vocab_size + self.kind_of[values]

    def forward(self, values: Tensor, offsets: Tensor, features: Tensor | None = None) -> Tensor:
        """Log-probabilities of every id at every position, given the position's kind, (n_tokens, vocab_size).

        -inf for ids of another kind. In the product form this is the sum over an id's digits. With the attention
        "leave_one_out" they are those given all other tokens, hidden or not.

        Parameters
        ----------
        values, offsets
            ids or mask ids, (n_tokens,), and (n_events + 1,).
        features
            float32, (n_tokens, n_features), for continuous inputs; what stands at a mask id has no effect.
        """
        log_p = self.log_probabilities(self.encode(values, offsets, features))
        total = torch.zeros(len(values), self.vocab_size, device=values.device)
        for part, digit in zip(log_p, self.targets.T, strict=True):
            total += part[:, digit.clamp(min=0)] * (digit >= 0)
        other = self.kind_of[values][:, None] != self.kind_of[: self.vocab_size]
        return total.masked_fill(other, -torch.inf)

    def predict(
        self,
        values: Tensor,
        offsets: Tensor,
        at: Tensor | None = None,
        features: Tensor | None = None,
    ) -> list[Tensor]:
        """Log-probabilities of the digits of each head, a list of (n_asked, size)."""
        counts = offsets.diff().cpu().numpy()
        if (counts[1:] < counts[:-1]).any():
            encoded = self.encode(values, offsets, features)
            return self.log_probabilities(encoded if at is None else encoded[at])
        groups = sort_by_multiplicity(counts)[1]
        if at is not None and _one_an_event(at, offsets):  # the last block looks at these alone
            return self.log_probabilities(self.encode_sorted(values, groups, at, features))
        encoded = self.encode_sorted(values, groups, None, features)
        return self.log_probabilities(encoded if at is None else encoded[at])

    def encode(self, values: Tensor, offsets: Tensor, features: Tensor | None = None) -> Tensor:
        """Features of every token, in the order given, (n_tokens, width)."""
        counts = offsets.diff()
        order, groups = sort_by_multiplicity(counts.cpu().numpy())
        flat = _flat_index(offsets, torch.as_tensor(order, device=values.device))
        sorted_ = self.encode_sorted(
            values[flat], groups, None, None if features is None else features[flat]
        )
        return torch.empty_like(sorted_).index_copy_(0, flat, sorted_)

    def encode_sorted(
        self,
        values: Tensor,
        groups: list[Group],
        at: Tensor | None = None,
        features: Tensor | None = None,
    ) -> Tensor:
        """As `encode`, for values that lie sorted by multiplicity; for the tokens `at` only, one per event, if given."""
        check_ids(values, len(self.design))
        table = self.design @ self.embedding
        if self.one_pass:
            x = self._one_pass(table, values, groups, features)
            x = x if at is None else x[at]
        else:
            x = self._place(self._embed(table, values, features), groups)
            for i, block in enumerate(self.blocks):
                x = block(x, groups, at if i == len(self.blocks) - 1 else None)
        encoded: Tensor = self.norm(x)
        return encoded

    def _one_pass(
        self, table: Tensor, values: Tensor, groups: list[Group], features: Tensor | None
    ) -> Tensor:
        """What each position knows of all others, (n_tokens, width)."""
        at: Tensor | None = None
        if self.options.position == "learned" or self.options.inputs == "continuous":
            x = self._place(table[self.vocab_size + self.kind_of[values]], groups)
            memory = self._place(self._embed(table, values, features), groups)
            rows = torch.arange(len(values), device=values.device)
        else:  # what is equal is computed once: the first query of a kind, the memory of an id
            x, at = table[self.vocab_size :], self.kind_of[values]
            ids, rows = torch.unique(values, return_inverse=True)
            memory = table[ids]
        memory = torch.cat([self.null, memory])
        for block in cast("Iterable[Block]", self.blocks):
            x, memory = block.leave_one_out(x, memory, rows + 1, groups, at)
            at = None
        return x

    def _embed(self, table: Tensor, values: Tensor, features: Tensor | None) -> Tensor:
        """What the model reads of each token, (n_tokens, width), before its position."""
        if self.options.inputs == "tokens":
            return table[values]
        n = self.options.n_features
        if features is None or features.shape != (len(values), n):
            found = "none" if features is None else f"features of shape {tuple(features.shape)}"
            raise TokenError(
                f"a model of continuous inputs needs {n} features a token, found {found} for {len(values)} tokens: encode "
                "with hepmtp.tokenizers.continuous.ContinuousInputs and set n_features to what it gives"
            )
        # what is hidden is taken out before it is read
        shown = (values < self.vocab_size)[:, None]
        read: Tensor = self.read(torch.where(shown, features, 0.0))
        return table[values] + torch.where(shown, read, 0.0)

    def _place(self, x: Tensor, groups: list[Group]) -> Tensor:
        """Add the learned embedding of each token's place in its event, (n_tokens, width), if there is one."""
        if self.options.position != "learned":
            return x
        places = [torch.arange(n, device=x.device).repeat(size) for size, n in groups]
        return (
            x
            + self.positions[
                torch.cat([*places, torch.arange(0, device=x.device)]).clamp(
                    max=LEARNED_POSITIONS - 1
                )
            ]
        )

    def log_probabilities(self, features: Tensor) -> list[Tensor]:
        """Log-probabilities of the digits of each head, a list of (n_tokens, size)."""
        parts = self.head(features).split([head.size for head in self.heads], dim=1)
        return [torch.log_softmax(part, dim=1) for part in parts]

    def extra_repr(self) -> str:
        """The options, so that the text of two models of different shape differs."""
        return repr(self.options)

    def _design(self, targets: NDArray[np.int64], kinds: NDArray[np.int64]) -> NDArray[np.float32]:
        if self.options.inputs == "continuous":  # an id tells its kind alone
            each, rows = (
                np.eye(self.n_kinds, dtype=np.float32),
                np.r_[kinds, np.arange(self.n_kinds)],
            )
            hidden = (np.arange(len(rows)) >= self.vocab_size)[:, None]
            return np.hstack([each[rows] * ~hidden, each[rows] * hidden])
        sizes = [head.size for head in self.heads]
        design = np.zeros(
            (self.vocab_size + self.n_kinds, sum(sizes) + self.n_kinds), dtype=np.float32
        )
        first = 0
        for column, size in zip(targets.T, sizes, strict=True):
            has = np.flatnonzero(column >= 0)
            design[has, first + column[has]] = 1
            first += size
        masks = np.arange(self.n_kinds)
        design[self.vocab_size + masks, first + masks] = 1
        return design


def _one_an_event(at: Tensor, offsets: Tensor) -> bool:
    """Whether these rising flat positions are one of each event that has tokens."""
    first, end = offsets[:-1], offsets[1:]
    some = end > first
    if len(at) != int(some.sum()):
        return False
    return bool(((at >= first[some]) & (at < end[some])).all())


def _flat_index(offsets: Tensor, events: Tensor) -> Tensor:
    """Flat positions of the tokens of these events, one after the other."""
    first, counts = (part[events].cpu().numpy() for part in (offsets[:-1], offsets.diff()))
    return torch.as_tensor(ragged_arange(counts, first), device=offsets.device)
