"""The masked-token model: a small encoder-only transformer over the tokens of an event.

The rule: particles are a set. No position is told by default, so the order of the tokens has no
effect. What the model knows of a hidden token is only its kind (particle, MET or METphi).

There are two kinds of attention. In "full", every token sees every token, so what is to be
predicted must be hidden, one token at a time. In "leave_one_out" (the idea of T-TA, Shin et al.,
arXiv:2004.08097) a position starts from its mask embedding and sees all tokens but its own. The
embeddings of these never mix with each other: one pass predicts each of n tokens from the others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import InitVar, dataclass
from typing import Literal, cast, get_args

import numpy as np
import torch
from torch import Tensor, nn

from hepmtp.errors import OptionError, TokenError
from hepmtp.events.ragged import Ints
from hepmtp.events.tokens import TokenBatch
from hepmtp.models import Predict, TokenModel, check_ids
from hepmtp.models.attention import Block
from hepmtp.models.groups import Group
from hepmtp.models.heads import Factors, Output, design, output_heads
from hepmtp.models.one_pass import OnePass, can_be_prepared, groups_of, loops_pay

Position = Literal["none", "rope", "learned"]
Attention = Literal["full", "leave_one_out"]
Inputs = Literal["tokens", "continuous"]

#: Learned positions beyond this many share the last one: no event is cut short.
LEARNED_POSITIONS = 64


class _Default(str):
    """A text that tells that nobody gave it."""

    __slots__ = ()


_DEFAULT_OUTPUT = cast("Output", _Default("product"))


@dataclass(frozen=True)
class ModelOptions:
    """Shape of a model; the default has about 270 000 parameters.

    Parameters
    ----------
    output
        what the probability of an id is. "product": of its digits', one softmax each; the embedding
        of an id is the sum of theirs. "joint": one softmax and one embedding per id, as published.
    position
        "none": particles are a set; "rope" or "learned": their order in the event is told.
    width, heads, layers, feedforward
        features per token, attention heads, blocks, hidden features of a block's two-layer network.
    dropout
        share of features dropped in training.
    attention
        "full": a token is predicted where it is hidden, n passes for an event of n tokens;
        "leave_one_out": all n are predicted in one pass. There, every token is a target in training
        and mask_fraction is not used.
    inputs
        "tokens": the model reads ids; "continuous": it reads the features of a token, such as
        :class:`hepmtp.tokenizers.continuous.ContinuousInputs` gives, and ids are targets only
        (arXiv:2512.04149).
    n_features
        columns of these features.
    form
        former name of `output`; both at once are refused.

    Raises
    ------
    OptionError
        if a value is none of these, a size is below 1, or the width does not fit the heads.
    """

    output: Output = _DEFAULT_OUTPUT
    position: Position = "none"
    width: int = 128
    heads: int = 4
    layers: int = 2
    feedforward: int = 256
    dropout: float = 0.05
    attention: Attention = "leave_one_out"
    inputs: Inputs = "tokens"
    n_features: int = 15
    form: InitVar[Output | None] = None

    def __post_init__(self, form: Output | None) -> None:
        if form is not None and self.output is not _DEFAULT_OUTPUT:
            raise OptionError(
                f"a model has both output={self.output!r} and form={form!r}, its former name: "
                "give output only"
            )
        object.__setattr__(self, "output", form if form is not None else str(self.output))
        for name, allowed in (
            ("output", get_args(Output)),
            ("position", get_args(Position)),
            ("attention", get_args(Attention)),
            ("inputs", get_args(Inputs)),
        ):
            if getattr(self, name) not in allowed:
                raise OptionError(
                    f"{name} of a model must be one of {allowed}, found {getattr(self, name)!r}"
                )
        step = self.heads * (2 if self.position == "rope" else 1)  # rope turns pairs of features
        sizes = (self.width, self.heads, self.layers, self.feedforward, self.n_features)
        if min(sizes) < 1 or self.width % step:
            raise OptionError(
                "sizes of a model must be 1 or more and width a multiple of "
                f"{step} ({self.heads} heads, position {self.position!r}), found {self}"
            )

    def build(self, factors: Factors, digits: Ints) -> MaskedTokenModel:
        """The model, with random weights of torch's global generator."""
        return MaskedTokenModel(factors, digits, self)


class MaskedTokenModel(TokenModel):
    """Encoder-only transformer over ragged token batches.

    Parameters
    ----------
    factors, digits
        of :class:`hepmtp.tokenizers.Tokenizer`.
    options
        shape of the model.
    """

    #: (vocab_size + n_kinds, n_columns): which embeddings add up to what is read of an id.
    design: Tensor
    own_mask: Tensor  #: (vocab_size + n_kinds,): the mask id of each id, and of each mask id itself

    def __init__(self, factors: Factors, digits: Ints, options: ModelOptions | None = None) -> None:
        super().__init__()
        self.options = options = options or ModelOptions()
        self.one_pass = options.attention == "leave_one_out"
        self.heads, self.targets = output_heads(options.output, factors, digits)
        self.vocab_size = len(digits)
        masks = self.vocab_size + np.arange(len(self.kinds))
        own = torch.as_tensor(np.r_[masks[self.kind_of], masks])
        self.register_buffer("own_mask", own, persistent=False)
        read_of = None if options.inputs == "continuous" else self.targets
        sums = torch.as_tensor(design(self.kind_of, self.heads, read_of))
        self.register_buffer("design", sums, persistent=False)
        width = options.width
        self.embedding = nn.Parameter(torch.randn(self.design.shape[1], width) * 0.5)
        if options.position == "learned":
            self.positions = nn.Parameter(torch.randn(LEARNED_POSITIONS, width) * 0.1)
        shape = (width, options.heads, options.feedforward, options.dropout)
        self.blocks = nn.ModuleList(
            Block(*shape, rope=options.position == "rope") for _ in range(options.layers)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, sum(size for _, size in self.heads))
        if self.one_pass:
            self.null = nn.Parameter(torch.randn(1, width) * 0.5)
        if options.inputs == "continuous":
            self.read = nn.Sequential(
                nn.Linear(options.n_features, width), nn.GELU(), nn.Linear(width, width)
            )

    def predictor(self, tokens: TokenBatch) -> Predict:
        """As `TokenModel` says; a derived class computes what it says itself."""
        prepared = type(self) is MaskedTokenModel and can_be_prepared(self)
        pays = prepared and loops_pay(len(tokens.values))
        return OnePass(self, tokens.values) if pays else self.predict

    def log_probabilities(
        self, values: Tensor, offsets: Tensor, at: Tensor, features: Tensor | None = None
    ) -> list[Tensor]:
        """As `TokenModel` says; raises TokenError if events do not come by rising multiplicity."""
        return self.classify(self.encode(values, offsets, at, features))

    def encode(
        self, values: Tensor, offsets: Tensor, at: Tensor, features: Tensor | None = None
    ) -> Tensor:
        """Hidden features at the positions `at`, (n_asked, width); parameters as before."""
        check_ids(values, len(self.design))
        groups = groups_of(offsets.diff().numpy(force=True))
        table = self.design @ self.embedding
        if self.one_pass:
            x = self._one_pass(table, values, groups, features)[at]
        else:
            *blocks, last = self.blocks
            x = self._place(self._embed(table, values, features), groups)
            for block in blocks:
                x = block(x, groups)
            # where one token of each event is asked for, the last block looks at these alone
            x = last(x, groups, at) if _one_each(at, offsets) else last(x, groups)[at]
        encoded: Tensor = self.norm(x)
        return encoded

    def of_one_multiplicity(self, values: Tensor) -> list[Tensor]:
        """Log-probabilities of each token from the others, events of n tokens each; no features.

        `values` is (n_events, n), what is given a list of (n_events * n, size). Every step is one
        of tensors, whatever the shape, so that it can be written as a graph.
        """
        n_events, n = values.shape
        table = self.design @ self.embedding
        if self.one_pass:
            groups = [Group(n_events, n)]
            x = self._one_pass(table, values.reshape(-1), groups, None, distinct=False)
            return self.classify(self.norm(x))
        own = torch.eye(n, dtype=torch.bool, device=values.device)
        masks = self.own_mask[values][:, None, :]
        hidden = torch.where(own, masks, values[:, None, :]).reshape(-1)  # n copies of each event
        groups = [Group(n_events * n, n)]
        x = self._place(table[hidden], groups)
        for block in self.blocks:
            x = block(x, groups)
        x = x.reshape(n_events, n, n, -1).diagonal(dim1=1, dim2=2).transpose(1, 2)
        return self.classify(self.norm(x.reshape(n_events * n, -1)))

    def classify(self, encoded: Tensor) -> list[Tensor]:
        """Log-probabilities of the classes of each head, a list of (n_asked, size)."""
        parts = self.head(encoded).split([size for _, size in self.heads], dim=1)
        return [torch.log_softmax(part, dim=1) for part in parts]

    def extra_repr(self) -> str:
        """The options, for a repr that tells models apart."""
        return repr(self.options)

    def _one_pass(
        self,
        table: Tensor,
        values: Tensor,
        groups: list[Group],
        features: Tensor | None,
        *,
        distinct: bool = True,
    ) -> Tensor:
        """What each position knows of all others, (n_tokens, width).

        The memory is of the ids that there are or, if not `distinct`, of all.
        """
        at: Tensor | None = None
        masks = self.own_mask[values]
        if self.options.position == "learned" or self.options.inputs == "continuous":
            x = self._place(table[masks], groups)
            memory = self._place(self._embed(table, values, features), groups)
            rows = torch.arange(values.shape[0], device=values.device)
        else:  # what is equal is computed once: the first query of a kind, the memory of an id
            x, at = table[self.vocab_size :], masks - self.vocab_size
            memory, rows = table[: self.vocab_size], values
            if distinct:
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
                f"a model of continuous inputs needs {n} features a token, found {found} for "
                f"{len(values)} tokens: encode with hepmtp.tokenizers.continuous.ContinuousInputs "
                "and set n_features to what it gives"
            )
        # what is hidden is taken out before it is read
        shown = (values < self.vocab_size)[:, None]
        read: Tensor = self.read(torch.where(shown, features, 0.0))
        return table[values] + torch.where(shown, read, 0.0)

    def _place(self, x: Tensor, groups: list[Group]) -> Tensor:
        """Add the learned embedding of each token's place, if there is one; (n_tokens, width)."""
        if self.options.position != "learned":
            return x
        none = torch.arange(0, device=x.device)
        places = [torch.arange(n, device=x.device).expand(size, n).ravel() for size, n in groups]
        place = torch.cat([*places, none]).clamp(max=LEARNED_POSITIONS - 1)
        return x + self.positions[place]


def _one_each(at: Tensor, offsets: Tensor) -> bool:
    """Whether the positions are one in each event that has tokens."""
    some = offsets.diff() > 0
    first, end = offsets[:-1][some], offsets[1:][some]
    return len(at) == len(first) and bool(((at >= first) & (at < end)).all())
