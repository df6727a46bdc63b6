"""The masked-token model: a small encoder-only transformer that predicts hidden tokens from all others of an event.

The rule: particles are a set. No position is told by default, so the order of the tokens has no effect; what the
model knows of a hidden token is only its kind (particle, MET or METphi), by a mask id of its own for each kind.

There are two kinds of attention. In "full", every token sees every token, so what is to be predicted must be hidden, one token at
a time. In "leave_one_out" (the idea of T-TA, Shin et al., arXiv:2004.08097) a position starts from its mask embedding and sees all
tokens but its own, whose embeddings never mix with each other: one pass predicts each of n tokens from the n - 1 others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hepmtp.errors import TokenError
from hepmtp.models.attention import Block, Group, sort_by_multiplicity

Form = Literal["product", "joint"]
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
    form
        "product": a token is the sum of its digits' embeddings and is predicted digit by digit, one head each;
        "joint": one embedding and one output per id, as published.
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

    form: Form = "product"
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
        if self.form not in get_args(Form) or self.position not in get_args(Position):
            raise TokenError(
                f"form must be one of {get_args(Form)} and position one of {get_args(Position)}, found {self.form!r} "
                f"and {self.position!r}"
            )
        if self.attention not in get_args(Attention) or self.inputs not in get_args(Inputs):
            raise TokenError(
                f"attention must be one of {get_args(Attention)} and inputs one of {get_args(Inputs)}, found "
                f"{self.attention!r} and {self.inputs!r}"
            )
        step = self.heads * (2 if self.position == "rope" else 1)  # rope turns pairs of features
        if (
            min(self.width, self.heads, self.layers, self.feedforward, self.n_features) < 1
            or self.width % step
        ):
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
        kinds = kinds_of(digits)
        self.kinds = kind_names(factors, digits)
        self.n_kinds = len(self.kinds)
        self.heads, targets = output_heads(self.options.form, factors, digits)
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

    @property
    def one_pass(self) -> bool:
        """Whether each position is predicted from the others though nothing is hidden."""
        return self.options.attention == "leave_one_out"

    def mask_id(self, values: Tensor) -> Tensor:
        """The mask id that hides each of these ids: vocab_size + its kind; raises TokenError for what is no id."""
        _check(values, self.vocab_size)
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
        _check(values, len(self.design))
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

    def config(self) -> dict[str, Any]:
        """Options as plain data."""
        return asdict(self.options)

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
        names = [
            name for (name, _), has in zip(factors, digits[members[0]] >= 0, strict=True) if has
        ]
        heads.append(Head("token" if len(names) > 1 else names[0], len(members)))
    return heads, np.stack(columns, axis=1)


def kinds_of(digits: NDArray[np.int64]) -> NDArray[np.int64]:
    """Kind of each id, shape (vocab_size,): ids with the same set of digits; numbered in the order of the ids."""
    _, first, index = np.unique(digits >= 0, axis=0, return_index=True, return_inverse=True)
    return np.asarray(
        np.argsort(np.argsort(first))[index.ravel()]
    )  # numpy 2.0 gives index a second axis


def kind_names(factors: tuple[tuple[str, int], ...], digits: NDArray[np.int64]) -> tuple[str, ...]:
    """Name of each kind: "MET" or "METphi" if it has that digit alone, otherwise "particle"."""
    kinds = kinds_of(digits)
    names = []
    for kind in range(int(kinds.max()) + 1):
        has = digits[np.argmax(kinds == kind)] >= 0
        found = [name for (name, _), one in zip(factors, has, strict=True) if one]
        names.append(found[0] if found in (["MET"], ["METphi"]) else "particle")
    return tuple(names)


def _check(values: Tensor, n: int) -> None:
    if values.numel() and not 0 <= int(values.min()) <= int(values.max()) < n:
        raise TokenError(f"ids must lie in 0..{n - 1}, found {values.min()}..{values.max()}")


def _flat_index(offsets: Tensor, events: Tensor) -> Tensor:
    """Flat positions of the tokens of these events, one after the other."""
    counts = offsets.diff()[events]
    ends = counts.cumsum(0)
    within = torch.arange(int(counts.sum()), device=offsets.device) - (
        ends - counts
    ).repeat_interleave(counts)
    return offsets[events].repeat_interleave(counts) + within
