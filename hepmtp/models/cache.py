"""Keys and values of the tokens so far, so that a causal model grows events token by token.

The rule: what was computed for a token is never computed again.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Cache:
    """Keys and values of the tokens so far, for `SelfAttention.step`.

    Parameters
    ----------
    keys, values
        (n_events, heads, room, width of a head); the first `filled` places are in use.
    """

    keys: Tensor
    values: Tensor
    filled: int = 0

    @classmethod
    def empty(cls, like: Tensor, heads: int, room: int = 32) -> Cache:
        """For as many events as `like` has rows, (n_events, width)."""
        shape = (len(like), heads, room, like.shape[1] // heads)
        return cls(like.new_zeros(shape), like.new_zeros(shape))

    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """All keys and all values with those of one more token, (n_events, heads, 1, width)."""
        if self.filled == self.keys.shape[2]:  # room for as many again
            self.keys, self.values = (
                torch.cat([one, torch.zeros_like(one)], dim=2) for one in (self.keys, self.values)
            )
        end = self.filled + 1
        self.keys[:, :, self.filled : end], self.values[:, :, self.filled : end] = key, value
        self.filled = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def select(self, events: Tensor) -> Cache:
        """Of these events only."""
        return Cache(self.keys[events], self.values[events], self.filled)
