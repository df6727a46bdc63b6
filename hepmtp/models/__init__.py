"""Models: each reads tokens with some of them hidden and predicts what every position holds.

The rule: no padding and no event cut short; a hidden token is a mask id of its own, at vocab_size or above.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor


@runtime_checkable
class TokenModel(Protocol):
    """What a token model can do."""

    @property
    def vocab_size(self) -> int: ...

    def __call__(self, values: Tensor, offsets: Tensor) -> Tensor:
        """Log-probabilities of every id at every position, shape (n_tokens, vocab_size).

        Parameters
        ----------
        values
            ids, int64, shape (n_tokens,); vocab_size and above are mask ids.
        offsets
            int64, shape (n_events + 1,).
        """
