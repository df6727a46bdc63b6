"""Tokenizers: each turns events into a ragged `TokenBatch` and back.

The rule: ids are 0..vocab_size-1 and nobody ever shifts them. What an id is made of stands in
`digits`: a model may embed and predict the digits apart (product form) or the id as a whole (joint
form).
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, Self, runtime_checkable

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepmtp import storage
from hepmtp.events.tokens import TokenBatch


@runtime_checkable
class Tokenizer(Protocol):
    """What a tokenizer can do; passed as an object, never looked up by name.

    Attributes
    ----------
    vocab_size
        number of ids.
    factors
        ``((name, size), ...)``: the digits that an id is made of; ``(("token", vocab_size),)`` if
        it has none.
    digits
        int64, shape (vocab_size, n_factors): digit of each id for each factor, in 0..size-1. It is
        -1 where the factor does not apply to that id (a MET token has no eta). Those of a factor
        "type" are the places in ``PARTICLE_TYPES``, or in an attribute ``types`` of that kind.
    supervised
        whether signal is used in its training; a detector that reads its tokens then says so too.
    """

    @property
    def vocab_size(self) -> int: ...

    @property
    def factors(self) -> tuple[tuple[str, int], ...]: ...

    @property
    def digits(self) -> NDArray[np.int64]: ...

    @property
    def supervised(self) -> bool: ...

    def fit(self, events: ak.Array) -> Self:
        """Fit on background training events; raises TrainingError on signal."""

    def encode(self, events: ak.Array) -> TokenBatch:
        """Tokens of each event; raises NotFittedError before `fit`."""

    def decode(self, tokens: TokenBatch) -> ak.Array:
        """Events that encode to the same ids (bin centres); weights 1."""

    def save(self, path: str | Path) -> None:
        """Write to a folder of plain data; never a pickle."""

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote."""


def load_tokenizer(path: str | Path) -> Tokenizer:
    """The tokenizer in a folder, of whatever class it says.

    Raises
    ------
    StorageError
        if the folder is missing or damaged, or holds something else.
    """
    tokenizer: Tokenizer = storage.load(path, Tokenizer)
    return tokenizer
