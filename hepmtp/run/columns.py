"""Columns of many chunks: they add up as lists of parts, and are glued once, when asked for.

The rule: they behave as coffea's ``column_accumulator``, which copies all that was there at each
sum; so do tokens. That takes time that grows as the square of the number of chunks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from coffea.processor import AccumulatorABC, column_accumulator
from numpy.typing import NDArray

from hepmtp.events.tokens import TokenBatch


class Column(column_accumulator):  # type: ignore[misc]
    """A column of numbers, one row per event.

    Parameters
    ----------
    value
        of one chunk, (n_events, ...).

    Examples
    --------
    >>> import numpy as np
    >>> (Column(np.array([1.0, 2.0])) + Column(np.array([3.0]))).value
    array([1., 2., 3.])
    """

    def __init__(self, value: NDArray[Any]) -> None:
        self._parts: list[NDArray[Any]] = []
        super().__init__(value)

    def identity(self) -> Column:
        """No rows of the same kind."""
        return Column(self._empty)

    def add(self, other: Any) -> None:
        """Take the rows of another column behind these; ValueError if theirs have another shape."""
        if isinstance(other, Column) and other._empty.shape == self._empty.shape:
            self._parts.extend(other._parts)
        else:
            super().add(other)

    @property
    def _value(self) -> NDArray[Any]:
        if len(self._parts) > 1:
            self._parts = [np.concatenate(self._parts)]
        return self._parts[0]

    @_value.setter
    def _value(self, value: NDArray[Any]) -> None:
        self._parts = [value]


class TokenColumn(AccumulatorABC):  # type: ignore[misc]
    """Tokens of the events of many chunks.

    Parameters
    ----------
    parts
        tokens of a chunk each.

    Examples
    --------
    >>> one, two = TokenBatch.from_counts([7, 3], [2]), TokenBatch.from_counts([9], [1])
    >>> (TokenColumn(one) + TokenColumn(two)).value
    <TokenBatch of 2 events: 3 tokens>
    """

    def __init__(self, *parts: TokenBatch) -> None:
        self._parts = list(parts)

    def identity(self) -> TokenColumn:
        """No events."""
        return TokenColumn()

    def add(self, other: TokenColumn) -> None:
        """Take the events of another column behind these."""
        self._parts.extend(other._parts)

    @property
    def value(self) -> TokenBatch:
        """The tokens of all events; TokenError if parts have different numbers of features."""
        if len(self._parts) != 1:
            self._parts = [TokenBatch.concatenate(self._parts)]
        return self._parts[0]
