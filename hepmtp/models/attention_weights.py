"""Attention weights of a model's pass, taken from the very calls that the pass makes.

The rule: the pass is not changed and nothing of it is computed twice but the softmax.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


class Watched(TorchFunctionMode):
    """Keeps the weights of each attention within the ``with`` block, in the order of the calls.

    Attributes
    ----------
    seen
        softmax(q k^T / sqrt(width of a head)), one of shape (..., n_queries, n_keys) a call.

    Examples
    --------
    >>> q, k, v = torch.ones(1, 2, 4), torch.ones(1, 3, 4), torch.ones(1, 3, 4)
    >>> with Watched() as watched:
    ...     out = F.scaled_dot_product_attention(q, k, v)
    >>> watched.seen[0].shape, torch.allclose(watched.seen[0] @ v, out)
    (torch.Size([1, 2, 3]), True)
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:  # torch's own signature
        """The call as it is; of an attention the weights are kept, too."""
        if func is F.scaled_dot_product_attention:
            self.seen.append(weights(*args, **(kwargs or {})))
        return func(*args, **(kwargs or {}))


def weights(
    q: Tensor, k: Tensor, _: Tensor, attn_mask: Tensor | None = None, *, is_causal: bool = False
) -> Tensor:
    """softmax(q k^T / sqrt(width of a head)) over the keys that each query sees.

    These are the keys of `attn_mask` or, if `is_causal`, those up to the query's own place.
    """
    logits = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
    seen = torch.ones_like(logits, dtype=torch.bool).tril() if is_causal else attn_mask
    if seen is not None:
        logits = logits.masked_fill(~seen, -torch.inf)
    return torch.softmax(logits, dim=-1)
