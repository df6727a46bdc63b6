"""What an autoregressive model predicts next, and jets that grow by it token by token.

The rule: it gives what the full pass gives for the same tokens, to float tolerance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hepmtp.models.cache import Cache

if TYPE_CHECKING:
    from hepmtp.models.attention import Block
    from hepmtp.models.autoregressive_options import AutoregressiveOptions
    from hepmtp.models.running_sums import RunningSums


@dataclass
class State:
    """Jets that grow: what the next token is predicted from."""

    hidden: Tensor  #: (n_jets, width)
    last: Tensor  #: first digit of the last token, (n_jets,); its number of values at the start
    caches: list[Cache]
    sums: Tensor | None  #: of `RunningSums`

    def select(self, jets: Tensor) -> State:
        """Of these jets only."""
        sums = None if self.sums is None else self.sums[jets]
        caches = [one.select(jets) for one in self.caches]
        return State(self.hidden[jets], self.last[jets], caches, sums)


class Growing(nn.Module):
    """Predicts the next token; :class:`hepmtp.models.autoregressive.AutoregressiveModel` is one."""

    options: AutoregressiveOptions
    factors: tuple[tuple[str, int], ...]
    vocab_size: int
    n_first: int
    digits: Tensor
    combined: Tensor
    start: nn.Parameter
    sums: RunningSums | None
    embeddings: nn.ModuleList
    blocks: nn.ModuleList
    norm: nn.LayerNorm
    table: nn.Parameter
    mixers: nn.ModuleList
    given: nn.ModuleList
    outputs: nn.ModuleList

    @property
    def product(self) -> bool:
        """Whether each digit has a softmax of its own."""
        return self.options.form == "product"

    def begin(self, n_jets: int) -> State:
        """The start of so many jets."""
        x = self.start.expand(n_jets, -1)
        caches = [Cache.empty(x, self.options.heads) for _ in self.blocks]
        last = torch.full((n_jets,), self.n_first, device=x.device)
        sums = None if self.sums is None else self.sums.zero(n_jets)
        return State(self._next(x, caches, sums), last, caches, sums)

    def step(self, values: Tensor, state: State) -> State:
        """The jets with one token more, (n_jets,); caches are taken over and changed in place."""
        sums = state.sums
        if self.sums is not None and sums is not None:
            sums = self.sums.add(sums, values)
        hidden = self._next(self._embed(values), state.caches, sums)
        return State(hidden, self.digits[values, 0], state.caches, sums)

    def first(self, state: State) -> Tensor:
        """Log-probabilities of the next first digit or stop, or of the next id or stop (joint)."""
        return self._first(state.hidden, state.last)

    def other(self, factor: int, state: State, digits: Tensor) -> Tensor:
        """Log-probabilities of a later digit, (n_jets, size), given those before it.

        Parameters
        ----------
        factor
            1, 2, ...
        digits
            (n_jets, `factor` or more).
        """
        return self._other(factor, state.hidden, digits)

    def next_ids(self, state: State) -> Tensor:
        """Log-probabilities of all ids, and of stop as the last, (n_jets, vocab_size + 1)."""
        first = self.first(state)
        if not self.product:
            return first
        n, ids = len(first), torch.arange(self.vocab_size, device=first.device)
        total = first[:, self.digits[:, 0]]
        for factor in range(1, len(self.factors)):
            # each combination of the digits before it is asked once
            before, row = torch.unique(self.digits[:, :factor], dim=0, return_inverse=True)
            hidden = state.hidden.repeat_interleave(len(before), dim=0)
            asked = self._other(factor, hidden, before.repeat(n, 1)).reshape(n, len(before), -1)
            total = total + asked[:, row, self.digits[ids, factor]]
        return torch.cat([total, first[:, -1:]], dim=1)

    def ids_of(self, digits: Sequence[Tensor]) -> Tensor:
        """The id that has these digits, (n,); of the product form."""
        place = torch.zeros_like(digits[0])
        for (_, size), digit in zip(self.factors, digits, strict=True):
            place = place * size + digit
        return self.combined[place]

    def _next(self, x: Tensor, caches: list[Cache], sums: Tensor | None) -> Tensor:
        if self.sums is not None and sums is not None:
            x = x + self.sums.read(sums)
        for block, cache in zip(self.blocks, caches, strict=True):
            x = cast("Block", block).step(x, cache)
        out: Tensor = self.norm(x)
        return out

    def _embed(self, values: Tensor) -> Tensor:
        """(n_tokens, width)."""
        digits = self.digits[values]
        first, *others = (one(digits[:, i]) for i, one in enumerate(self.embeddings))
        for one in others:
            first = first + one
        return cast("Tensor", first)

    def _first(self, hidden: Tensor, last: Tensor) -> Tensor:
        """Log-probabilities of what is predicted first, (n, n_first + 1 or vocab_size + 1)."""
        logits: Tensor = self.outputs[0](F.gelu(self.mixers[0](hidden)))
        table, n = self.table[last], self.n_first
        outcome = torch.arange(n + 1, device=hidden.device)
        if not self.product:
            outcome = torch.cat([self.digits[:, 0], outcome[-1:]])
            alike = torch.bincount(outcome, minlength=n + 1).to(table.dtype).log()
            table = (table - alike)[:, outcome]
        logits = logits + table
        if self.options.ordered:
            risen = (outcome > last[:, None]) & (outcome < n)
            logits = logits.masked_fill(risen, -torch.inf)
        return torch.log_softmax(logits, dim=1)

    def _other(self, factor: int, hidden: Tensor, digits: Tensor) -> Tensor:
        mixed = self.mixers[factor](hidden)
        for i, one in enumerate(self.given[:factor]):
            mixed = mixed + one(digits[:, i])
        return torch.log_softmax(self.outputs[factor](F.gelu(mixed)), dim=1)
