"""Shards: the tokens of a training on disk, for more events than memory holds.

The rule: a worker writes the tokens of a chunk as one file, and nothing but the names of its pieces
is sent. They are glued by (source, event), piece by piece, into what would else be in memory. So
the number of shards has no effect, and no process holds more than the events of a few chunks.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors.numpy

from hepmtp.errors import StorageError, TokenError, TrainingError
from hepmtp.events.ragged import Ints
from hepmtp.events.stored_tokens import StoredTokens, store
from hepmtp.events.tokens import TokenBatch
from hepmtp.run.scratch import scratch_folder
from hepmtp.storage import new_file

#: Said where the same event came twice.
TWICE = (
    "some {part} events were read twice: give each file once, raw or converted; a copy counts as "
    "the same file, whatever its name"
)


class Rows(NamedTuple):
    """The events of one part of a chunk: their tokens and names, each shape (n_events,)."""

    tokens: TokenBatch
    source: Ints
    event: Ints


class Piece(NamedTuple):
    """The events [start, stop) of a part in a shard: of one source, `first` to `last` event."""

    source: int
    first: int
    last: int
    start: int
    stop: int
    n_tokens: int
    dtype: str  #: that holds the ids
    n_features: int  #: of a token; -1 if there are none
    shard: str


@contextlib.contextmanager
def shards_folder(scratch: str | Path | None) -> Iterator[Path | None]:
    """A new folder for shards within `scratch`, gone at the end; None for None.

    Shards of processes that were killed are removed: see `hepmtp.run.scratch`.

    Raises
    ------
    StorageError
        if nothing can be written there.
    """
    if scratch is None:
        yield None
        return
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(scratch_folder("shards", scratch))
        except OSError as error:
            raise StorageError(
                f"no tokens can be kept in {scratch} ({error.strerror}): choose another scratch "
                "folder"
            ) from None
        yield folder


def write_shard(folder: str | Path, parts: Mapping[str, Rows]) -> dict[str, set[Piece]]:
    """Write the tokens of a chunk, on the worker: part -> the pieces to be glued.

    A shard is named by its content, so that a chunk that is done twice is there once.

    Raises
    ------
    StorageError
        if the worker cannot write there.
    """
    arrays, runs = {}, {}
    for part, rows in parts.items():
        order = np.lexsort((rows.event, rows.source))
        tokens, source, event = rows.tokens.select(order), rows.source[order], rows.event[order]
        values, features = tokens.values, tokens.features
        ends = (values.min(), values.max()) if len(values) else (0, 0)
        dtype = np.result_type(*map(np.min_scalar_type, ends))
        arrays[f"{part}.values"] = values.astype(dtype)
        most = tokens.counts.max(initial=0)
        arrays[f"{part}.counts"] = tokens.counts.astype(np.min_scalar_type(most))
        arrays[f"{part}.event"] = event
        if features is not None:
            arrays[f"{part}.features"] = features
        edges = [0, *(np.flatnonzero(np.diff(source)) + 1), len(source)]
        runs[part] = [
            Piece(
                *(int(source[start]), int(event[start]), int(event[stop - 1])),
                *(int(start), int(stop)),
                n_tokens=int(tokens.offsets[stop] - tokens.offsets[start]),
                dtype=dtype.name,
                n_features=-1 if features is None else features.shape[1],
                shard="",
            )
            for start, stop in itertools.pairwise(edges)
            if start < stop
        ]
    if not any(runs.values()):
        return {part: set() for part in parts}
    data = safetensors.numpy.save(arrays)
    name = f"{hashlib.sha256(data).hexdigest()}.safetensors"
    try:
        with new_file(Path(folder) / name) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise StorageError(
            f"a worker cannot write tokens into {folder} ({error.strerror}): make room, or choose "
            "a scratch folder that all workers see"
        ) from None
    return {part: {one._replace(shard=name) for one in found} for part, found in runs.items()}


def glued(folder: str | Path, part: str, pieces: Collection[Piece]) -> StoredTokens:
    """The tokens of a part, by (source, event), written beside the shards.

    Raises
    ------
    TrainingError
        if the same event came twice.
    StorageError
        if a shard is missing or damaged, or the disk is full.
    TokenError
        if some tokens have features and others not.
    """
    folder = Path(folder)
    widths = {one.n_features for one in pieces} or {-1}
    if len(widths) > 1:
        raise TokenError(f"shards with {sorted(widths)} features: encode all with one tokenizer")
    width = widths.pop()
    dtypes = [np.dtype(one.dtype) for one in pieces] or [np.dtype(np.uint8)]
    try:
        (folder / part).mkdir(exist_ok=True)
        return store(
            folder / part,
            (_in_order(folder, part, group) for group in _overlapping(sorted(pieces))),
            n_events=sum(one.stop - one.start for one in pieces),
            n_tokens=sum(one.n_tokens for one in pieces),
            dtype=np.result_type(*dtypes),
            n_features=None if width < 0 else width,
        )
    except OSError as error:
        raise StorageError(
            f"tokens cannot be kept in {folder} ({error.strerror}): make room, or choose another "
            "scratch folder"
        ) from None


def _overlapping(pieces: list[Piece]) -> Iterator[list[Piece]]:
    """Pieces that must be sorted together: of one source, with events among those of another."""
    group: list[Piece] = []
    last = 0
    for one in pieces:
        if group and (one.source != group[0].source or one.first > last):
            yield group
            group = []
        last = max(last, one.last) if group else one.last
        group.append(one)
    if group:
        yield group


def _in_order(folder: Path, part: str, group: list[Piece]) -> TokenBatch:
    """The events of some pieces of one source by their numbers; TrainingError if one is twice."""
    rows = [_read(folder, part, one) for one in group]
    event = np.concatenate([numbers for _, numbers in rows])
    order = np.argsort(event)
    if (np.diff(event[order]) == 0).any():
        raise TrainingError(TWICE.format(part=part))
    return TokenBatch.concatenate(tokens for tokens, _ in rows).select(order)


def _read(folder: Path, part: str, piece: Piece) -> tuple[TokenBatch, Ints]:
    path = folder / piece.shard
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise StorageError(
            f"a worker has written tokens where {folder} is another folder: choose a scratch "
            "folder that all workers see"
        ) from None
    if hashlib.sha256(data).hexdigest() != path.stem:
        raise StorageError(f"{path} has changed since it was written: check the disk, train again")
    found = safetensors.numpy.load(data)
    counts = found[f"{part}.counts"]
    tokens = TokenBatch.from_counts(found[f"{part}.values"], counts, found.get(f"{part}.features"))
    here = np.arange(piece.start, piece.stop)
    return tokens.select(here), found[f"{part}.event"][here]
