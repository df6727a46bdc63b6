"""StoredTokens: the tokens of more events than memory holds, in files that are mapped into it.

The rule: what is asked for is as of a :class:`hepmtp.events.tokens.TokenBatch` of all events, in
memory and with its types. Nothing else is: ids take as few bytes on disk as they need.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from hepmtp.errors import TokenError
from hepmtp.events.ragged import ragged_arange
from hepmtp.events.tokens import TokenBatch

VALUES, OFFSETS, FEATURES = "values.npy", "offsets.npy", "features.npy"


class StoredArray:
    """An array in a file of numpy's; what is taken of it is in memory and has another type.

    What was read for that is given back, so that it is not held by this process: the system keeps
    it as long as it has room. Another process is told the path.

    Parameters
    ----------
    path
        file of :func:`numpy.save`.
    dtype
        of what is taken.
    """

    def __init__(self, path: str | Path, dtype: DTypeLike) -> None:
        self._path, self.dtype = Path(path), np.dtype(dtype)
        self._stored: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        self._pages: Any = self._stored.base

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole array."""
        return self._stored.shape

    def __len__(self) -> int:
        return len(self._stored)

    def __getitem__(self, which: slice | NDArray[np.int64] | list[int]) -> NDArray[Any]:
        taken = np.array(self._stored[which], dtype=self.dtype)
        if hasattr(mmap, "MADV_DONTNEED"):  # the system can be told
            self._pages.madvise(mmap.MADV_DONTNEED)
        return taken

    def __reduce__(self) -> Any:
        return StoredArray, (self._path, self.dtype)


class StoredTokens:
    """Tokens of many events, in a folder.

    Parameters
    ----------
    folder
        that `store` has written.

    Attributes
    ----------
    values, offsets, features
        as of :class:`hepmtp.events.tokens.TokenBatch`, as a `StoredArray` each.

    Examples
    --------
    >>> import tempfile
    >>> batches = [TokenBatch.from_counts([7, 3], [2]), TokenBatch.from_counts([9], [1])]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tokens = store(folder, batches, n_events=2, n_tokens=3, dtype="uint8")
    >>> len(tokens), tokens.select([1, 0]).values.tolist()
    (2, [9, 7, 3])
    """

    def __init__(self, folder: str | Path) -> None:
        folder = Path(folder)
        self.values = StoredArray(folder / VALUES, np.int64)
        self.offsets = StoredArray(folder / OFFSETS, np.int64)
        has_features = (folder / FEATURES).is_file()
        self.features = StoredArray(folder / FEATURES, np.float32) if has_features else None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __repr__(self) -> str:
        return f"<StoredTokens of {len(self):,} events: {len(self.values):,} tokens>"

    def select(self, events: ArrayLike) -> TokenBatch:
        """The events at indices, shape (n,), in their order."""
        index = np.asarray(events, dtype=np.int64)
        first = self.offsets[index]
        counts = self.offsets[index + 1] - first
        flat = ragged_arange(counts, first)
        features = None if self.features is None else self.features[flat]
        return TokenBatch.from_counts(self.values[flat], counts, features)


#: What a training takes.
Tokens = TokenBatch | StoredTokens


def blocks(tokens: Tokens, n_events: int) -> Iterator[tuple[slice, TokenBatch]]:
    """All events, so many at a time, in their order: which of all tokens these are, and they."""
    for first in range(0, len(tokens), n_events):
        events = np.arange(first, min(first + n_events, len(tokens)))
        yield slice(*tokens.offsets[[first, events[-1] + 1]].tolist()), tokens.select(events)


def store(
    folder: str | Path,
    batches: Iterable[TokenBatch],
    *,
    n_events: int,
    n_tokens: int,
    dtype: DTypeLike,
    n_features: int | None = None,
) -> StoredTokens:
    """Write the events of all batches into an existing folder, one batch at a time.

    Parameters
    ----------
    n_events, n_tokens
        of all batches together.
    dtype
        that holds all ids.
    n_features
        of each token; None if there are none.

    Raises
    ------
    TokenError
        if the batches are others than these numbers say.
    OSError
        if the disk does not take them.
    """
    folder, width = Path(folder), -1 if n_features is None else n_features
    seen = np.zeros(2, dtype=np.int64)
    with ExitStack() as stack:

        def new(name: str, kind: DTypeLike, shape: tuple[int, ...]) -> Any:
            file = stack.enter_context((folder / name).open("wb"))
            descr = np.lib.format.dtype_to_descr(np.dtype(kind))
            head = {"descr": descr, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, head)
            return file

        values, offsets = new(VALUES, dtype, (n_tokens,)), new(OFFSETS, np.int64, (n_events + 1,))
        features = None if width < 0 else new(FEATURES, np.float32, (n_tokens, width))
        offsets.write(np.zeros(1, dtype=np.int64).tobytes())
        for batch in batches:
            found = -1 if batch.features is None else batch.features.shape[1]
            if found != width:
                raise TokenError(f"tokens have {found} features, expected {width}; -1 is none")
            values.write(batch.values.astype(dtype).tobytes())
            offsets.write((batch.offsets[1:] + seen[1]).tobytes())
            if features is not None and batch.features is not None:
                features.write(batch.features.tobytes())
            seen += (len(batch), len(batch.values))
    if seen.tolist() != [n_events, n_tokens]:
        raise TokenError(f"{seen} events and tokens came, expected {n_events} and {n_tokens}")
    return StoredTokens(folder)
