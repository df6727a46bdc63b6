"""A leave-one-out model prepared for scoring: what events share is computed once.

The rule: it gives what `MaskedTokenModel.log_probabilities` gives, to float tolerance. That is the
reference, and what gradients, positions, features and other devices take.

Keys and values belong to ids, not to places, since embeddings never mix: those of each layer are a
table with one row an id. The first query depends on the kind of a token alone, so that the first
layer looks its logits up. Attention is a batch of small products, one for each event and head;
torch's own is slow for so few keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from hepmtp.errors import TokenError
from hepmtp.events.ragged import Ints
from hepmtp.events.tokens import TokenBatch
from hepmtp.models.attention import Block, Group, sort_by_multiplicity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hepmtp.models.masked import MaskedTokenModel

#: glibc keeps freed memory up to twice the largest block below 32 MiB that was ever freed. What it
#: does not keep goes back to the system after each layer, which takes a fifth of the time.
_FREED = 31 << 20


class _Layer(NamedTuple):
    """A block, and what it sees of each row of the memory."""

    block: Block
    keys: Tensor  # (width, n_rows), over sqrt(width of a head)
    values: Tensor  # (n_rows, width)


class OnePass:
    """A model prepared for some ids; its weights must stay as they are while it is in use.

    Parameters
    ----------
    model
        one that `can_be_prepared`.
    values
        the ids that there are, int64, (n_tokens,), in any order.
    """

    @torch.no_grad()
    def __init__(self, model: MaskedTokenModel, values: Ints) -> None:
        torch.empty(_FREED, dtype=torch.uint8)
        self.model, self.heads = model, model.options.heads
        table, width = model.design @ model.embedding, model.options.width
        ids = torch.as_tensor(np.unique(values))
        self.row_of = torch.full((model.vocab_size,), -1)
        self.row_of[ids] = torch.arange(1, 1 + len(ids))
        self.start = table[model.vocab_size :]  # of each kind
        self.layers: list[_Layer] = []
        memory = torch.cat([model.null, table[ids]])  # the null token is row 0
        for block in cast("Iterable[Block]", model.blocks):
            memory = block._each_alone(memory)
            keys, seen = _project(block, memory, slice(width, None)).chunk(2, dim=1)
            keys = keys / (width // self.heads) ** 0.5
            self.layers.append(_Layer(block, keys.T.contiguous(), seen.contiguous()))
        first, keys, _ = self.layers[0]
        q = _project(first, self.start, slice(width)).reshape(len(self.start), self.heads, -1)
        # first logits of each head, (heads, n_kinds * n_rows)
        self.first = (q.transpose(0, 1) @ keys.reshape(self.heads, -1, len(memory))).flatten(1)

    @torch.no_grad()
    def __call__(self, tokens: TokenBatch, at: Ints) -> list[Tensor]:
        """As `TokenModel.predict`; raises TokenError for other ids than it was prepared for."""
        groups, values = groups_of(tokens.counts), torch.as_tensor(tokens.values)
        rows, kinds = self.row_of[values], self.model.own_mask[values] - self.model.vocab_size
        if len(rows) and int(rows.min()) < 0:
            raise TokenError("the model was prepared for other ids: prepare it for these events")
        spans = [n_events * n for n_events, n in groups]
        seen = [
            F.pad(part.reshape(n_events, n), (1, 0))  # the null token first
            for part, (n_events, n) in zip(torch.split(rows, spans), groups, strict=True)
        ]
        x = self.start.index_select(0, kinds)
        for i, (block, keys, told) in enumerate(self.layers):
            asked = kinds if i == 0 else _project(block, x, slice(x.shape[1]))
            found = [
                _attended(self._products(part, keys, one), told, one)
                for part, one in zip(torch.split(asked, spans), seen, strict=True)
            ]
            attended = torch.cat(found) if len(found) > 1 else [*found, x][0]
            x = block._each_alone(block.attention.out(attended).add_(x))
        encoded = self.model.norm(x if len(at) == len(x) else x[torch.as_tensor(at)])
        head = self.model.head  # a row each class: over many tokens a sum of few rows is fast
        parts = torch.addmm(head.bias[:, None], head.weight, encoded.T)
        sizes = [size for _, size in self.model.heads]
        return [torch.log_softmax(part, dim=0).T for part in torch.split(parts, sizes)]

    def _products(self, asked: Tensor, keys: Tensor, seen: Tensor) -> Tensor:
        """Logits of each head, (heads, n_events, n, 1 + n), of what events of n tokens each ask.

        Parameters
        ----------
        asked
            kinds, (n_events * n,), in the first layer, or else queries, (n_events * n, width).
        seen
            rows of the memory, (n_events, 1 + n).
        """
        n_events, n = len(seen), seen.shape[1] - 1
        if asked.ndim == 1:
            rows = asked.reshape(n_events, n, 1) * keys.shape[1] + seen[:, None, :]
            return self.first.index_select(1, rows.ravel()).reshape(-1, n_events, n, n + 1)
        k = keys.index_select(1, seen.ravel()).reshape(self.heads, -1, n_events, n + 1)
        q = asked.reshape(n_events, n, self.heads, -1)
        out = q.new_empty(self.heads, n_events, n, n + 1)
        for head, logits in enumerate(out):
            torch.bmm(q[:, :, head], k[head].transpose(0, 1), out=logits)
        return out


def _attended(logits: Tensor, told: Tensor, seen: Tensor) -> Tensor:
    """Mean of what each position hears of all others, (n_events * n, width).

    Parameters
    ----------
    logits
        (heads, n_events, n, 1 + n); overwritten.
    told
        values of each row of the memory, (n_rows, width).
    """
    n_events, n = len(seen), seen.shape[1] - 1
    logits.diagonal(1, 2, 3).fill_(-torch.inf)  # its own token is left out
    # torch.softmax is slow over so few: this is the same
    weights = logits.sub_(logits.amax(-1, keepdim=True)).exp_()
    weights /= weights.sum(-1, keepdim=True)
    v = told.index_select(0, seen.ravel()).reshape(n_events, n + 1, len(logits), -1)
    means = [torch.bmm(one, v[:, :, head]) for head, one in enumerate(weights)]
    return torch.cat(means, dim=2).reshape(n_events * n, -1)


def _project(block: Block, x: Tensor, columns: slice) -> Tensor:
    """Some columns of queries, keys and values, (n, n_columns), of x (n, width)."""
    qkv = block.attention.qkv
    return F.linear(block.norm1(x), qkv.weight[columns], qkv.bias[columns])


def can_be_prepared(model: MaskedTokenModel) -> bool:
    """Whether it scores ids without order on a CPU in one pass."""
    options = model.options
    return (
        model.one_pass
        and not model.training
        and options.position == "none"
        and options.inputs == "tokens"
        and model.null.device.type == "cpu"
    )


def groups_of(counts: Ints) -> list[Group]:
    """The groups of events that come by rising multiplicity; raises TokenError if they do not."""
    if (np.diff(counts) < 0).any():
        raise TokenError("a model needs events by rising multiplicity: sort them first")
    return sort_by_multiplicity(counts)[1]
