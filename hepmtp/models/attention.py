"""Attention over events of any multiplicity with no padding and no padding mask.

The rule: tokens of all events lie in one flat array, sorted by the multiplicity of their event.
Every linear map runs on the flat array; attention runs on each group of equal multiplicity n as a
dense (events, n, n) block. Leave-one-out attention has the only mask: it leaves out the diagonal,
so that no position sees itself. It hides no padding. Causal attention sees what came before and
itself; it grows by one token at a time, too, from the `Cache` of the tokens before.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hepmtp.errors import OptionError
from hepmtp.models.cache import Cache
from hepmtp.models.dropout import Dropout
from hepmtp.models.groups import Group


class SelfAttention(nn.Module):
    """Multi-head self-attention of Vaswani et al. (arXiv:1706.03762) within each event.

    Parameters
    ----------
    width
        features per token; a multiple of `heads`.
    rope
        rotate queries and keys by their position (Su et al., arXiv:2104.09864); otherwise order
        has no effect.
    causal
        each token sees those before it and itself only.
    """

    def __init__(self, width: int, heads: int, *, rope: bool = False, causal: bool = False) -> None:
        super().__init__()
        self.heads, self.rope, self.causal = heads, rope, causal
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, groups: list[Group], at: Tensor | None = None) -> Tensor:
        """Attended features, shape of x, or (n_events, width) if `at` names one query per event.

        Parameters
        ----------
        x
            (n_tokens, width), sorted as `groups` says.
        at
            int64, (n_events,): flat index of the one token of each event that is asked for. Not in
            causal attention: there `step` asks for the next one.
        """
        if at is not None and self.causal:
            raise OptionError("causal attention has no `at`: call step for one token at a time")
        width, asked = x.shape[1], [n_events * n for n_events, n in groups]
        if at is None:
            q, k, v = (one.split_with_sizes(asked) for one in self.qkv(x).chunk(3, dim=1))
        else:
            kv = F.linear(x, self.qkv.weight[width:], self.qkv.bias[width:])
            k, v = (one.split_with_sizes(asked) for one in kv.chunk(2, dim=1))
            at_one = F.linear(x[at], self.qkv.weight[:width], self.qkv.bias[:width])
            q = at_one.split_with_sizes([n_events for n_events, _ in groups])
        parts, token, event = [], 0, 0
        # pieces, not slices: the gradient of each slice would be as large as all of them
        for (n_events, n), *of_group in zip(groups, q, k, v, strict=True):
            # (n_events, heads, n or 1, width of a head)
            queries, keys, values = (
                part.reshape(n_events, -1, self.heads, width // self.heads).transpose(1, 2)
                for part in of_group
            )
            if self.rope:
                position = torch.arange(n, device=x.device)
                keys, place = rotate(keys, position), position
                if at is not None:
                    place = ((at[event : event + n_events] - token) % n)[:, None, None]
                queries = rotate(queries, place)
            found = attend(queries, keys, values, causal=self.causal)
            parts.append(found.transpose(1, 2).reshape(-1, width))
            token, event = token + n_events * n, event + n_events
        out: Tensor = self.out(torch.cat(parts) if parts else x[:0])
        return out

    def step(self, x: Tensor, cache: Cache) -> Tensor:
        """Attended features of the next token of each event, (n_events, width).

        As `forward` gives for it if attention is causal; the cache grows by this token.

        Parameters
        ----------
        x
            (n_events, width).
        """
        shape = (3, self.heads, 1, x.shape[1] // self.heads)
        q, k, v = self.qkv(x).unflatten(1, shape).unbind(dim=1)  # (n_events, heads, 1, size)
        if self.rope:
            place = torch.tensor([cache.filled], device=x.device)
            q, k = rotate(q, place), rotate(k, place)
        keys, values = cache.append(k, v)
        # for one query torch's own attention takes twice as long
        weights = torch.softmax(q * shape[-1] ** -0.5 @ keys.transpose(2, 3), dim=3)
        out: Tensor = self.out((weights @ values).reshape(len(x), -1))
        return out

    def leave_one_out(
        self, x: Tensor, memory: Tensor, rows: Tensor, groups: list[Group], at: Tensor | None = None
    ) -> Tensor:
        """As `forward`, for queries that see all tokens of their event but their own.

        Gives (n_tokens, width).

        Parameters
        ----------
        x
            where queries come from, (n_tokens, width), sorted as `groups` says.
        memory
            where keys and values come from, (n_rows, width). The first row is the null token,
            which every position sees: an event of one token has something to look at.
        rows
            the row of memory that each token has, (n_tokens,); equal tokens may share one.
        at
            the row of x that each token has, (n_tokens,), if equal queries share one.
        """
        width = x.shape[1]
        q = F.linear(x, self.qkv.weight[:width], self.qkv.bias[:width])
        q = q if at is None else q[at]
        kv = F.linear(memory, self.qkv.weight[width:], self.qkv.bias[width:])
        parts, token = [], 0
        for n_events, n in groups:
            block = slice(token, token + n_events * n)
            seen = F.pad(rows[block].reshape(n_events, n), (1, 0))  # the null token first
            k, v = kv[seen].chunk(2, dim=2)
            # (n_events, heads, n or 1 + n, width of a head)
            queries, keys, values = (
                part.reshape(n_events, -1, self.heads, width // self.heads).transpose(1, 2)
                for part in (q[block], k, v)
            )
            if self.rope:
                position = torch.arange(n, device=x.device)
                keys, queries = rotate(keys, F.pad(position, (1, 0))), rotate(queries, position)
            others = ~torch.eye(n + 1, dtype=torch.bool, device=x.device)[1:]  # (n, 1 + n)
            parts.append(attend(queries, keys, values, others).transpose(1, 2).reshape(-1, width))
            token += n_events * n
        out: Tensor = self.out(torch.cat(parts) if len(parts) > 1 else [*parts, q][0])
        return out


class Block(nn.Module):
    """Pre-norm transformer block (Xiong et al., arXiv:2002.04745).

    Parameters
    ----------
    width, heads, rope, causal
        of `SelfAttention`.
    feedforward
        hidden features of the two-layer network.
    dropout
        share of features dropped in training.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        feedforward: int,
        dropout: float = 0.0,
        *,
        rope: bool = False,
        causal: bool = False,
    ) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads, rope=rope, causal=causal)
        self.linear1, self.linear2 = nn.Linear(width, feedforward), nn.Linear(feedforward, width)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, groups: list[Group], at: Tensor | None = None) -> Tensor:
        """(n_tokens, width) to the same, or to (n_events, width) for the tokens `at`."""
        attended = self.attention(self.norm1(x), groups, at)
        return self._each_alone((x if at is None else x[at]) + self.dropout(attended))

    def step(self, x: Tensor, cache: Cache) -> Tensor:
        """The next token of each event, (n_events, width) to the same."""
        return self._each_alone(x + self.dropout(self.attention.step(self.norm1(x), cache)))

    def leave_one_out(
        self, x: Tensor, memory: Tensor, rows: Tensor, groups: list[Group], at: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """One step of the queries, to (n_tokens, width), and of the memory.

        A row of the memory moves by itself: it knows no other token.

        Parameters
        ----------
        x, memory, rows, at
            of `SelfAttention.leave_one_out`.
        """
        memory = self._each_alone(memory)
        attended = self.attention.leave_one_out(self.norm1(x), self.norm1(memory), rows, groups, at)
        return self._each_alone((x if at is None else x[at]) + self.dropout(attended)), memory

    def _each_alone(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.dropout(F.gelu(self.linear1(self.norm2(x))))
        out: Tensor = x + self.dropout(self.linear2(hidden))
        return out


def attend(
    q: Tensor, k: Tensor, v: Tensor, seen: Tensor | None = None, *, causal: bool = False
) -> Tensor:
    """softmax(q k^T / sqrt(width of a head)) v, every shape (..., n, width of a head).

    Parameters
    ----------
    seen
        which keys each query sees, bool, (n, n_keys); all of them if not given.
    causal
        query i sees keys 0..i.
    """
    return F.scaled_dot_product_attention(q, k, v, seen, is_causal=causal)


def rotate(x: Tensor, position: Tensor) -> Tensor:
    """Rotary position embedding: rotate pairs of features by position times 10000^(-2i/d)."""
    half = x.shape[-1] // 2
    frequency = 10000.0 ** (-torch.arange(half, device=x.device, dtype=x.dtype) / half)
    angle = position[..., None].to(x.dtype) * frequency
    first, second = x[..., :half], x[..., half:]
    return torch.cat(
        [first * angle.cos() - second * angle.sin(), first * angle.sin() + second * angle.cos()],
        dim=-1,
    )


def attend_slowly(module: SelfAttention, x: Tensor) -> Tensor:
    """The reference: one event, x of shape (n, width), the textbook formula head by head."""
    q, k, v = module.qkv(x).chunk(3, dim=1)
    size = x.shape[1] // module.heads
    outputs = []
    for head in range(module.heads):
        columns = slice(head * size, (head + 1) * size)
        queries, keys = q[:, columns], k[:, columns]
        if module.rope:
            position = torch.arange(len(x), device=x.device)
            queries, keys = rotate(queries, position), rotate(keys, position)
        products = queries @ keys.T / size**0.5
        if module.causal:
            later = torch.ones_like(products, dtype=torch.bool).triu(1)
            products = products.masked_fill(later, -torch.inf)
        weights = torch.softmax(products, dim=1)
        outputs.append(weights @ v[:, columns])
    out: Tensor = module.out(torch.cat(outputs, dim=1))
    return out


def leave_one_out_slowly(module: SelfAttention, x: Tensor, memory: Tensor) -> Tensor:
    """The reference: one event, position by position, its own row really left out.

    x is (n, width), memory (1 + n, width).
    """
    width = x.shape[1]
    q, (k, v) = module.qkv(x)[:, :width], module.qkv(memory)[:, width:].chunk(2, dim=1)
    size = width // module.heads
    rows = []
    for i in range(len(x)):
        others = [j for j in range(len(memory)) if j != 1 + i]
        outputs = []
        for head in range(module.heads):
            columns = slice(head * size, (head + 1) * size)
            query, keys = q[i, columns], k[others, columns]
            if module.rope:
                place = torch.tensor([max(j - 1, 0) for j in others])  # the null token has none
                query, keys = rotate(query, torch.tensor(i)), rotate(keys, place)
            weights = torch.softmax(keys @ query / size**0.5, dim=0)
            outputs.append(weights @ v[others, columns])
        rows.append(torch.cat(outputs))
    out: Tensor = module.out(torch.stack(rows))
    return out
