"""A leave-one-out model prepared for scoring: what events share is computed once.

The rule: it gives what `MaskedTokenModel.log_probabilities` gives, to float tolerance. That is the
reference, and what few events, gradients, positions, features and other devices take.

Keys and values belong to ids, not to places, since embeddings never mix: those of each layer are a
table with one row an id. Products with weights are torch's; what is ragged is in compiled loops.

In "bfloat16", products with the weights that each token passes have numbers of 8 bits: on
processors that multiply such, they take half the time. Attention, norms and probabilities stay
float32.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hepmtp.errors import TokenError
from hepmtp.events.freed import keep_freed
from hepmtp.events.ragged import Ints
from hepmtp.events.tokens import TokenBatch
from hepmtp.models.attention import Block
from hepmtp.models.groups import Group, sort_by_multiplicity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from hepmtp.models.masked import MaskedTokenModel

#: Of the products with weights that each token passes.
Precision = Literal["float32", "bfloat16"]
#: Tokens that a block's network takes at once: their hidden features stay in the cache of a core.
_PIECE = 1024
#: Tokens that the loops are for: they save about 6 us of CPU time each. To come from disk takes
#: 40 ms, once in a process, and a second if no compiled loop ran before. Whether one has is not
#: asked: the same events have the same scores, to the last bit, in every process.
MANY = 10_000
#: How far apart logits may be for sums of their exponentials to be those of float32.
_SPREAD = 60


class _Layer(NamedTuple):
    """A block, and what it sees of each row of the memory, each (n_rows, width)."""

    block: Block
    products: Block  # the same in the precision of products
    keys: NDArray[np.float32]  # over sqrt(width of a head)
    values: NDArray[np.float32]


class OnePass:
    """A model prepared for some ids; its weights must stay as they are while it is in use.

    Parameters
    ----------
    model
        one that `can_be_prepared`.
    values
        the ids that there are, int64, (n_tokens,), in any order.
    precision
        "float32" or "bfloat16".
    """

    @torch.no_grad()
    def __init__(
        self, model: MaskedTokenModel, values: Ints, precision: Precision = "float32"
    ) -> None:
        from hepmtp.models import loops  # noqa: PLC0415 (numba only for those who score many)

        keep_freed()
        self.model, self.loops, heads = model, loops, model.options.heads
        self.dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        table, width = model.design @ model.embedding, model.options.width
        ids = torch.as_tensor(np.unique(values))
        self.row_of = torch.full((model.vocab_size,), -1)
        self.row_of[ids] = torch.arange(1, 1 + len(ids))
        self.start = table[model.vocab_size :]  # of each kind
        self.layers: list[_Layer] = []
        memory = torch.cat([model.null, table[ids]])  # the null token is row 0
        for block in cast("Iterable[Block]", model.blocks):
            memory = block._each_alone(memory)
            keys, seen = self._project(block, memory, slice(width, None)).chunk(2, dim=1)
            keys = keys / (width // heads) ** 0.5
            products = block if precision == "float32" else copy.deepcopy(block).to(self.dtype)
            self.layers.append(_Layer(block, products, keys.numpy(), seen.contiguous().numpy()))
        block, _, first_keys, _ = self.layers[0]
        self.first = self._project(block, self.start, slice(width))
        q = self.first.reshape(len(self.first), heads, -1)
        k = torch.as_tensor(first_keys).reshape(len(memory), heads, -1)
        logits = torch.einsum("khd,rhd->krh", q, k)
        logits -= logits.amax(1, keepdim=True)
        # exp of what is far below the largest of all would be lost, though an event has no larger
        self.weights = logits.exp().numpy() if logits.min() > -_SPREAD else None

    @torch.no_grad()
    def __call__(self, tokens: TokenBatch, at: Ints) -> list[Tensor]:
        """As `TokenModel.predict`, of events in any order.

        Raises TokenError for other ids than it was prepared for.
        """
        values, ends = torch.as_tensor(tokens.values), tokens.offsets.astype(np.uint64)
        rows, kinds = self.row_of[values], self.model.own_mask[values] - self.model.vocab_size
        if len(rows) and int(rows.min()) < 0:
            raise TokenError("the model was prepared for other ids: prepare it for these events")
        places, heads = rows.numpy().view(np.uint64), self.model.options.heads
        x = self.start.index_select(0, kinds)
        for i, (block, products, keys, told) in enumerate(self.layers):
            if i == 0 and self.weights is not None:
                of_kind = kinds.numpy().view(np.uint64)
                heard = self.loops.attended_by_kind(self.weights, told, places, of_kind, ends)
            else:
                q = self.first[kinds] if i == 0 else self._project(block, x, slice(x.shape[1]))
                heard = self.loops.attended(q.numpy(), keys, told, places, ends, heads)
            x += products.attention.out(torch.as_tensor(heard).to(self.dtype))
            for part in torch.split(x, _PIECE):
                normed = self._normed(block.norm2, part).to(self.dtype)
                part.add_(products.linear2(F.gelu(products.linear1(normed))))
        encoded = self._normed(self.model.norm, x if len(at) == len(x) else x[torch.as_tensor(at)])
        head = self.model.head  # a row each class: over many tokens a sum of few rows is fast
        parts = torch.addmm(head.bias[:, None], head.weight, encoded.T)
        sizes = [size for _, size in self.model.heads]
        return [torch.log_softmax(part, dim=0).T for part in torch.split(parts, sizes)]

    def _project(self, block: Block, x: Tensor, columns: slice) -> Tensor:
        """Some columns of queries, keys and values, (n, n_columns), of x (n, width)."""
        qkv = block.attention.qkv
        return F.linear(self._normed(block.norm1, x), qkv.weight[columns], qkv.bias[columns])

    def _normed(self, norm: nn.LayerNorm, x: Tensor) -> Tensor:
        return torch.as_tensor(self.loops.normed(x.numpy(), norm.weight.numpy(), norm.bias.numpy()))


def can_be_prepared(model: MaskedTokenModel) -> bool:
    """Whether it scores ids without order on a CPU in one pass."""
    options = model.options
    return (
        model.one_pass
        and not model.training
        and options.position == "none"
        and options.inputs == "tokens"
        and model.null.device.type == "cpu"
        and model.null.dtype == torch.float32
    )


def loops_pay(n_tokens: int) -> bool:
    """Whether so many tokens are scored sooner with compiled loops."""
    return n_tokens >= MANY


def groups_of(counts: Ints) -> list[Group]:
    """The groups of events that come by rising multiplicity; raises TokenError if they do not."""
    if (np.diff(counts) < 0).any():
        raise TokenError("a model needs events by rising multiplicity: sort them first")
    return sort_by_multiplicity(counts)[1]
