"""TokenBatch: the tokens of many events in two flat arrays, with no padding.

The rule: event i owns ``values[offsets[i]:offsets[i + 1]]``; an event may own none. A tokenizer may
add a row of plain numbers to every token, ``features``, for models that read these and take the ids
as targets alone. Either all batches have them or none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import awkward as ak
import numpy as np
from numpy.typing import ArrayLike, NDArray

from hepmtp.errors import TokenError
from hepmtp.events.ragged import owner, ragged_arange


@dataclass(frozen=True, eq=False)
class TokenBatch:
    """Token ids of many events, ragged.

    Parameters
    ----------
    values
        token ids, int64, shape (n_tokens,).
    offsets
        int64, shape (n_events + 1,), starting at 0, never falling, ending at n_tokens.
    features
        float32, shape (n_tokens, n_features), or None.

    Raises
    ------
    TokenError
        if offsets or features do not fit the values.

    Examples
    --------
    >>> batch = TokenBatch.from_counts([7, 3, 9, 9, 2], [2, 0, 3])
    >>> len(batch), batch.counts.tolist(), batch.select([True, False, True]).values.tolist()
    (3, [2, 0, 3], [7, 3, 9, 9, 2])
    """

    values: NDArray[np.int64]
    offsets: NDArray[np.int64]
    features: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        for name in ("values", "offsets"):
            array = np.asarray(getattr(self, name))
            if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
                raise TokenError(
                    f"{name} must be whole numbers in one dimension, found {array.dtype} "
                    f"{array.shape}"
                )
            object.__setattr__(self, name, np.ascontiguousarray(array, dtype=np.int64))
        fits = (
            len(self.offsets) > 0 and self.offsets[0] == 0 and self.offsets[-1] == len(self.values)
        )
        if not fits or (np.diff(self.offsets) < 0).any():
            raise TokenError(
                f"offsets must rise from 0 to n_tokens = {len(self.values)}, found {self.offsets}"
            )
        if self.features is not None:
            features = np.ascontiguousarray(self.features, dtype=np.float32)
            if features.ndim != 2 or len(features) != len(self.values):
                raise TokenError(
                    f"features must have one row for each of {len(self.values)} tokens: "
                    f"{features.shape}"
                )
            object.__setattr__(self, "features", features)

    @classmethod
    def from_counts(
        cls, values: ArrayLike, counts: ArrayLike, features: NDArray[np.float32] | None = None
    ) -> TokenBatch:
        """From the flat ids, the number of tokens of each event and the features, if any."""
        offsets = np.concatenate([[0], np.cumsum(np.asarray(counts, dtype=np.int64))])
        return cls(np.asarray(values), offsets, features)

    @classmethod
    def from_awkward(cls, array: ak.Array) -> TokenBatch:
        """From an awkward array of type ``n_events * var * int``."""
        return cls.from_counts(ak.to_numpy(ak.flatten(array)), ak.to_numpy(ak.num(array)))

    def to_awkward(self) -> ak.Array:
        """The ids as an awkward array of type ``n_events * var * int64``; they are not copied."""
        offsets = ak.index.Index64(self.offsets)
        return ak.Array(ak.contents.ListOffsetArray(offsets, ak.contents.NumpyArray(self.values)))

    @classmethod
    def concatenate(cls, batches: Iterable[TokenBatch]) -> TokenBatch:
        """The events of all batches, one after the other.

        TokenError if they do not have the same number of features.
        """
        batches = list(batches)
        values = [np.zeros(0, dtype=np.int64), *(batch.values for batch in batches)]
        counts = [np.zeros(0, dtype=np.int64), *(batch.counts for batch in batches)]
        widths = {0 if batch.features is None else batch.features.shape[1] for batch in batches}
        if len(widths) > 1:
            raise TokenError(
                f"batches with {sorted(widths)} features cannot be glued: encode all with one "
                "tokenizer"
            )
        features = [batch.features for batch in batches if batch.features is not None]
        return cls.from_counts(
            np.concatenate(values),
            np.concatenate(counts),
            np.concatenate(features) if features else None,
        )

    def select(self, events: ArrayLike) -> TokenBatch:
        """The events under a bool mask of shape (n_events,), or at indices, in their order."""
        index = np.asarray(events)
        if index.dtype == np.bool_:
            if index.shape != (len(self),):
                raise TokenError(
                    f"mask has shape {index.shape}, expected ({len(self)},): one bool per event"
                )
            index = np.flatnonzero(index)
        index = index.astype(np.int64)
        counts = self.counts[index]
        flat = ragged_arange(counts, self.offsets[index])
        features = None if self.features is None else self.features[flat]
        return TokenBatch.from_counts(self.values[flat], counts, features)

    @property
    def counts(self) -> NDArray[np.int64]:
        """Tokens per event, shape (n_events,)."""
        return np.diff(self.offsets)

    @property
    def owner(self) -> NDArray[np.int64]:
        """Index of the event that owns each token, shape (n_tokens,)."""
        return owner(self.counts)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __repr__(self) -> str:
        more = "" if self.features is None else f", {self.features.shape[1]} features each"
        return f"<TokenBatch of {len(self):,} events: {len(self.values):,} tokens{more}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TokenBatch):
            return NotImplemented
        if (self.features is None) != (other.features is None):
            return False
        ids = np.array_equal(self.values, other.values) and np.array_equal(
            self.offsets, other.offsets
        )
        if self.features is None or other.features is None:
            return ids
        return ids and np.array_equal(self.features, other.features)

    __hash__ = None  # type: ignore[assignment]

    def __add__(self, other: TokenBatch) -> TokenBatch:
        return TokenBatch.concatenate([self, other])
