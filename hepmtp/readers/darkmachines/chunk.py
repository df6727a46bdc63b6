"""Whole chunks of Dark Machines lines at once, and where the chunks of a file are whose lines are not all events.

The rule: numpy finds where fields begin and end, pyarrow turns them into float64, correctly rounded; anything that is not
plain gives None, and :mod:`hepmtp.readers.darkmachines.line` then says line by line what is wrong. Lines of the other layouts are
rewritten as lines of the challenge first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hepmtp.errors import ReadError
from hepmtp.events.particles import PARTICLE_TYPES
from hepmtp.events.record import PHI_ROUNDING
from hepmtp.readers.darkmachines.line import (
    CHALLENGE,
    FIXED,
    MAX_ETA,
    SYNONYMS,
    Layout,
    Line,
    is_between,
)
from hepmtp.readers.lines import Chunk, take

_BLOCK = 1 << 20  # bytes looked at in one go when events are counted

# what a byte is: part of a field, one of the separators, or a reason to look at each line by itself
_FIELD, _COMMA, _SEMICOLON, _NEWLINE, _ODD = range(5)
_SEPARATORS = b",;\n"
_KIND = bytes(
    1 + _SEPARATORS.index(byte) if byte in _SEPARATORS else _FIELD if 0x21 <= byte <= 0x7E else _ODD
    for byte in range(256)
)
# the first two bytes of a particle, as a number, to its type; -1 is unknown
_TYPE_OF = np.full(1 << 16, -1, dtype=np.int8)
_TYPE_OF[[int.from_bytes(label.encode().ljust(2, b","), "big") for label in PARTICLE_TYPES]] = (
    range(7)
)

# what makes a line an event where not every line is one
_MARK = {"generator": b";", "fixed": b"123456789"}
_LABEL = re.compile(rb";([jbg]|[em][+-]),")
_SYNONYM = re.compile(rb";(" + b"|".join(re.escape(name.encode()) for name in SYNONYMS) + rb"),")


class Columns(NamedTuple):
    """Events of a chunk, numbers as they are in the file; E is 0 where the layout has none."""

    entry: NDArray[np.int64]  # (n_events,)
    counts: NDArray[np.int64]  # (n_events,)
    head: NDArray[np.float64]  # (3, n_events): weight, MET, METphi
    type: NDArray[np.int8]  # (n_particles,)
    particles: NDArray[np.float64]  # (4, n_particles): E, pt, eta, phi


def events_only(data: bytes, layout: Layout) -> bytes:
    """A chunk without the lines that are no events."""
    if layout.every_line or not data:
        return data
    ends, is_event = _lines(data, layout)
    keep = np.repeat(is_event, np.diff(ends, prepend=0))
    return data if keep.all() else np.frombuffer(data, np.uint8)[keep].tobytes()


def _lines(data: bytes, layout: Layout) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Where the lines of these bytes end, newline included, and which of them are events."""
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n")) + 1
    if not data.endswith(b"\n"):
        ends = np.append(ends, len(data))
    marks = bytes(int(byte in _MARK[layout.name]) for byte in range(256))
    marked = np.frombuffer(data.translate(marks), np.uint8)
    starts = np.concatenate([[0], ends[:-1]])
    return ends, np.add.reduceat(marked, starts, dtype=np.int64) > 0


def parse_fast(data: bytes, layout: Layout = CHALLENGE) -> Columns | None:
    """All lines at once; None if anything is not plain, without saying what."""
    if layout.name == FIXED:
        return _parse_fixed(data, layout.widths)
    if layout is CHALLENGE:
        return _parse_challenge(data)
    if not data.endswith(b"\n"):
        return None
    # an event and a process ID for every line, and an energy for every particle
    data = b"0;?;" + data[:-1].replace(b"\n", b"\n0;?;") + b"\n"
    if "E" in layout.particle:
        return _parse_challenge(data)
    if b"mu" in data or b";a" in data:
        data = _SYNONYM.sub(lambda found: f";{SYNONYMS[found[1].decode()]},".encode(), data)
    data = _LABEL.sub(rb";\1,0,", data)
    data = re.sub(rb";g(?=[\d.+-])", b";g,0,", data)
    return _with_eta(_parse_challenge(data))


def _with_eta(columns: Columns | None) -> Columns | None:
    return (
        columns if columns is not None and (np.abs(columns.particles[2]) <= MAX_ETA).all() else None
    )


def _parse_challenge(data: bytes) -> Columns | None:
    kind = np.frombuffer(data.translate(_KIND), np.uint8)
    if not data.endswith(b"\n") or kind.max() == _ODD:
        return None
    fields = _fields(kind)
    if fields is None:
        return None
    starts, lengths, counts = fields
    heads = (
        np.cumsum(counts + 1) - counts - 1
    )  # a row of five fields for the head of each line and for each particle
    is_head = np.zeros(len(starts), dtype=bool)
    is_head[heads] = True
    rows = np.flatnonzero(~is_head)

    text, first = np.frombuffer(data, np.uint8), starts[rows, 0]
    types = _TYPE_OF[text[first].astype(np.uint16) << 8 | text[first + 1]]
    if (types < 0).any() or (lengths[rows, 0] > 2).any():
        return None
    # labels and process IDs are nulls: everything else must be a number
    valid = np.ones(starts.shape, dtype=bool)
    valid[heads, 1] = valid[rows, 0] = False
    numbers = _numbers(data, lengths, valid)
    if numbers is None:
        return None
    values = numbers.reshape(-1, 5).T
    columns = Columns(
        np.arange(len(counts)), counts, values[2:, heads], types, values[1:].take(rows, axis=1)
    )
    return (
        columns
        if np.isfinite(values[0, heads]).all() and _legal(columns.head, columns.particles)
        else None
    )


def _numbers(
    data: bytes, lengths: NDArray[np.int64], valid: NDArray[np.bool_]
) -> NDArray[np.float64] | None:
    """The fields of these lengths as numbers; None if one that is valid is no number."""
    buffers = [
        pa.py_buffer(np.packbits(valid, bitorder="little")),
        pa.py_buffer(np.concatenate([[0], np.cumsum(lengths)])),
        pa.py_buffer(data.translate(None, _SEPARATORS)),
    ]
    try:
        numbers = pc.cast(
            pa.Array.from_buffers(pa.large_string(), valid.size, buffers), pa.float64()
        )
    except pa.ArrowInvalid:
        return None
    return np.frombuffer(numbers.buffers()[1], np.float64, valid.size)


def _fields(
    kind: NDArray[np.uint8],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]] | None:
    """Starts and lengths of the fields, (n_rows, 5), and particles per line, (n_lines,); None if the structure is broken."""
    at = np.flatnonzero(kind != _FIELD)
    separator = kind[at]
    starts = np.concatenate([[0], at[:-1] + 1])
    # a ';' before the newline ends its line, and the newline ends nothing
    extra = (
        np.flatnonzero(
            (separator[1:] == _NEWLINE) & (separator[:-1] == _SEMICOLON) & (at[1:] == starts[1:])
        )
        + 1
    )
    separator[extra - 1] = _NEWLINE
    keep = np.ones(len(at), dtype=bool)
    keep[extra] = False
    at, separator, starts = at[keep], separator[keep], starts[keep]
    lengths = at - starts
    per_line = np.diff(np.flatnonzero(separator == _NEWLINE), prepend=-1)
    if (per_line % 5).any() or not lengths.all():
        return None
    rows, counts = separator.reshape(-1, 5), per_line // 5 - 1
    expected = np.full(len(rows), _COMMA, dtype=np.uint8)
    expected[np.cumsum(counts + 1) - counts - 1] = _SEMICOLON
    if (rows[:, :4] != expected[:, None]).any() or (rows[:, 4] == _COMMA).any():
        return None
    return starts.reshape(-1, 5), lengths.reshape(-1, 5), counts


def _legal(head: NDArray[np.float64], particles: NDArray[np.float64]) -> bool:
    (_, met, met_phi), (_, pt, _, phi) = head, particles
    finite = np.isfinite(head).all() and np.isfinite(particles).all()
    limit = np.pi + PHI_ROUNDING
    angles = (np.abs(met_phi) <= limit).all() and (np.abs(phi) <= limit).all()
    return bool(finite and angles and (met >= 0).all() and (pt >= 0).all())


def _parse_fixed(data: bytes, widths: tuple[int, ...]) -> Columns | None:
    kind, width = np.frombuffer(data.translate(_KIND), np.uint8), sum(widths)
    if not data.endswith(b"\n") or kind.max() == _ODD:
        return None
    at = np.flatnonzero(kind != _FIELD)
    if len(at) % width or (np.diff(at, prepend=-1) == 1).any():
        return None
    separator = kind[at].reshape(-1, width)
    if (separator[:, :-1] != _COMMA).any() or (separator[:, -1] != _NEWLINE).any():
        return None
    numbers = _numbers(data, np.diff(at, prepend=-1) - 1, np.ones(len(at), dtype=bool))
    if numbers is None:
        return None
    values = numbers.reshape(-1, width)
    met = values[:, :2].T
    particles = values[:, 2:].reshape(len(values), -1, 3)  # (n_events, columns, pt eta phi)
    kinds = np.repeat(np.arange(7, dtype=np.int8), np.array(widths[2:]) // 3)
    found = particles[:, :, 0] != 0
    # padding is 0 throughout, and nothing of the same type comes after it
    late = found[:, 1:] & ~found[:, :-1] & (kinds[1:] == kinds[:-1])
    if particles[~found].any() or late.any():
        return None
    event, column = np.nonzero(found)
    flat = particles[event, column].T
    head = np.stack([np.ones(len(values)), *met])
    columns = Columns(
        np.arange(len(values)),
        found.sum(axis=1),
        head,
        kinds[column],
        np.stack([np.zeros(len(event)), *flat]),
    )
    return _with_eta(columns) if _legal(head, columns.particles) else None


def columns_of(good: list[tuple[int, Line]]) -> Columns:
    """Lines that were parsed one by one, with their entries, as columns."""
    particles = [particle for _, line in good for particle in line.particles]
    return Columns(
        np.array([entry for entry, _ in good], dtype=np.int64),
        np.array([len(line.particles) for _, line in good], dtype=np.int64),
        np.array([line.head for _, line in good], dtype=np.float64).reshape(-1, 3).T,
        np.array([kind for kind, _ in particles], dtype=np.int8),
        np.array([numbers for _, numbers in particles], dtype=np.float64).reshape(-1, 4).T,
    )


def scan_events(
    path: str,
    file: IO[bytes],
    layout: Layout,
    start: int,
    size: int,
    stop: int | None,
    *,
    check_count: bool,
) -> Iterator[Chunk]:
    """Chunks of `size` events of [start, stop), of a file that has other lines too; these are checked on the way.

    Raises
    ------
    ReadError
        at a line that is neither an event nor belongs between them, and where a run of the generator holds another
        number of events than it says at its end.
    """
    line = events = 0  # lines and events so far
    since = 0  # events since a run began
    begin: tuple[int, int] | None = (
        None  # first event and byte of the chunk that is not yet yielded
    )
    for offset, block in _blocks(path, file):
        ends, is_event = _lines(block, layout)
        starts = np.concatenate([[0], ends[:-1]])
        between = ~is_event
        if layout.name == FIXED and line == 0:
            is_event[0] = False  # the line of widths
        before = events + np.cumsum(is_event) - is_event  # events before each line
        for i in np.flatnonzero(between if stop is None else between & (before <= stop)):
            where = f"{path} line {line + i + 1}"
            said = _said(where, block[starts[i] : ends[i]].strip(), layout)
            if said is not None and said >= 0 and check_count and said != before[i] - since:
                raise ReadError(
                    f"{where}: the generator says that it wrote {said} events, found {before[i] - since}; fetch the file"
                    " again, or read with check_count=False"
                )
            if said is not None:
                since = int(before[i])
        boundary = is_event & (before >= start) & ((before - start) % size == 0)
        if stop is not None:
            boundary = (boundary & (before < stop)) | (is_event & (before == stop))
        for i in np.flatnonzero(boundary):
            first, byte = int(before[i]), offset + int(starts[i])
            if begin is not None:
                yield Chunk(begin[0], first - begin[0], begin[1], byte)
            if first == stop:
                return
            begin = first, byte
        line, events = line + len(ends), events + int(is_event.sum())
        end = offset + len(block)
    if begin is not None:
        yield Chunk(begin[0], events - begin[0], begin[1], end)


def _said(where: str, text: bytes, layout: Layout) -> int | None:
    """How many events a line that is none says that a run has written; -1 where a run begins; None if it says nothing."""
    zeros = b",".join([b"0"] * sum(layout.widths))
    if not (text in (b"", zeros) if layout.name == FIXED else is_between(text)):
        short = text[:60].decode(errors="replace")
        raise ReadError(
            f"{where}: {short!r} is neither an event nor a line that belongs between events; remove it"
        )
    if layout.name == FIXED or not text:
        return None
    return int(text) if text.isdigit() else -1 if text.startswith(b"=") else None


def _blocks(path: str, file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Blocks of whole lines, the last one perhaps unfinished, and where each begins."""
    offset, line, rest = 0, 0, b""
    while block := take(path, file, _BLOCK, line=line):
        line += block.count(b"\n")
        whole, newline, left = (rest + block).rpartition(b"\n")
        rest = left
        if newline:
            yield offset, whole + newline
            offset += len(whole) + 1
    if rest:
        yield offset, rest
