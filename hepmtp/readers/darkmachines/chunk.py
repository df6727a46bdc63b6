"""Whole chunks of Dark Machines lines at once: the fast path.

The rule: numpy finds where fields begin and end, pyarrow turns them into float64, correctly
rounded. If anything is not plain no line is taken, and `hepmtp.readers.darkmachines.line` says line
by line what is wrong. Lines of the other layouts are rewritten as lines of the challenge first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hepmtp.events import PARTICLE_TYPES, PHI_ROUNDING
from hepmtp.events.ragged import Bools, Floats, Ints, ragged_arange, starts
from hepmtp.readers.darkmachines.line import CHALLENGE, FIXED, MAX_ETA, SYNONYMS, Layout, Line

# what a byte is: part of a field, one of the separators, or a reason to look at each line by itself
_FIELD, _COMMA, _SEMICOLON, _NEWLINE, _ODD = range(5)
_SEPARATORS = b",;\n"
_KIND = bytes(
    1 + _SEPARATORS.index(byte) if byte in _SEPARATORS else _FIELD if 0x21 <= byte <= 0x7E else _ODD
    for byte in range(256)
)
# the first two bytes of a particle, as a number, to its type; -1 is unknown
_TYPE_OF = np.full(1 << 16, -1, dtype=np.int8)
_LABELS = [int.from_bytes(label.encode().ljust(2, b","), "big") for label in PARTICLE_TYPES]
_TYPE_OF[_LABELS] = range(len(_LABELS))
_LABEL = re.compile(rb";([jbg]|[em][+-]),")
_SYNONYM = re.compile(rb";(" + b"|".join(re.escape(name.encode()) for name in SYNONYMS) + rb"),")


class Columns(NamedTuple):
    """Events of a chunk, numbers as they are in the file; E is 0 where the layout has none."""

    entry: Ints  # (n_events,): which line of the chunk
    counts: Ints  # (n_events,)
    head: Floats  # (3, n_events): weight, MET, METphi
    type: NDArray[np.int8]  # (n_particles,)
    particles: Floats  # (4, n_particles): E, pt, eta, phi


def parse(data: bytes, layout: Layout) -> tuple[Columns, Sequence[int]]:
    """Events of lines, all of which should be events, and the lines that were not taken.

    Parameters
    ----------
    data
        lines that end in newlines without carriage returns; the last one may lack its newline, and
        is then not taken.

    Returns
    -------
    The events of the lines that were taken, and the places of the others, counted from 0.
    """
    columns = _parse(data, layout) if data.endswith(b"\n") else None
    if columns is not None:
        return columns, ()
    return columns_of([]), range(data.count(b"\n") + (data[-1:] not in (b"", b"\n")))


def columns_of(lines: Sequence[tuple[int, Line]]) -> Columns:
    """Lines that were parsed one by one, with their places, as columns."""
    entries, found = [entry for entry, _ in lines], [line for _, line in lines]
    particles = [particle for line in found for particle in line.particles]
    return Columns(
        np.array(entries, dtype=np.int64),
        np.array([len(line.particles) for line in found], dtype=np.int64),
        np.array([line.head for line in found], dtype=np.float64).reshape(-1, 3).T,
        np.array([kind for kind, _ in particles], dtype=np.int8),
        np.array([numbers for _, numbers in particles], dtype=np.float64).reshape(-1, 4).T,
    )


def join(parts: Sequence[Columns]) -> Columns:
    """The events of all parts, in the order of their entries."""
    entry, counts, head, kinds, particles = (
        np.concatenate(column, axis=-1) for column in zip(*parts, strict=True)
    )
    if (np.diff(entry) > 0).all():
        return Columns(entry, counts, head, kinds, particles)
    order = np.argsort(entry)
    places = ragged_arange(counts[order], starts(counts)[order])
    return Columns(entry[order], counts[order], head[:, order], kinds[places], particles[:, places])


def _parse(data: bytes, layout: Layout) -> Columns | None:
    if layout.name == FIXED:
        return _parse_fixed(data, layout.widths)
    if layout is CHALLENGE:
        return _parse_challenge(data)
    # an event and a process ID for every line, and an energy for every particle
    data = b"0;?;" + data[:-1].replace(b"\n", b"\n0;?;") + b"\n"
    if "E" in layout.particle:
        return _parse_challenge(data)
    if b"mu" in data or b";a" in data:
        data = _SYNONYM.sub(lambda found: f";{SYNONYMS[found[1].decode()]},".encode(), data)
    data = _LABEL.sub(rb";\1,0,", data)
    data = re.sub(rb";g(?=[\d.+-])", b";g,0,", data)
    return _massless(_parse_challenge(data))


def _massless(columns: Columns | None) -> Columns | None:
    good = columns is not None and (np.abs(columns.particles[2]) <= MAX_ETA).all()
    return columns if good else None


def _parse_challenge(data: bytes) -> Columns | None:
    kind = np.frombuffer(data.translate(_KIND), np.uint8)
    fields = _fields(kind) if kind.max() != _ODD else None
    if fields is None:
        return None
    begin, lengths, counts = fields
    # a row of five fields for the head of each line and for each particle
    heads = starts(counts + 1)
    is_head = np.zeros(len(begin), dtype=bool)
    is_head[heads] = True
    rows = np.flatnonzero(~is_head)

    text, first = np.frombuffer(data, np.uint8), begin[rows, 0]
    types = _TYPE_OF[text[first].astype(np.uint16) << 8 | text[first + 1]]
    if (types < 0).any() or (lengths[rows, 0] > 2).any():
        return None
    # labels and process IDs are nulls: everything else must be a number
    valid = np.ones(begin.shape, dtype=bool)
    valid[heads, 1] = valid[rows, 0] = False
    numbers = _numbers(data, lengths, valid)
    if numbers is None:
        return None
    values = numbers.reshape(-1, 5).T
    head, particles = values[2:, heads], values[1:].take(rows, axis=1)
    if not np.isfinite(values[0, heads]).all() or not _legal(head, particles):
        return None
    return Columns(np.arange(len(counts)), counts, head, types, particles)


def _numbers(data: bytes, lengths: Ints, valid: Bools) -> Floats | None:
    """The fields of these lengths as numbers; None if one that is valid is no number."""
    buffers = [
        pa.py_buffer(np.packbits(valid, bitorder="little")),
        pa.py_buffer(np.concatenate([[0], np.cumsum(lengths)])),
        pa.py_buffer(data.translate(None, _SEPARATORS)),
    ]
    try:
        texts = pa.Array.from_buffers(pa.large_string(), valid.size, buffers)
        numbers = pc.cast(texts, pa.float64())
    except pa.ArrowInvalid:
        return None
    return np.frombuffer(numbers.buffers()[1], np.float64, valid.size)


def _fields(kind: NDArray[np.uint8]) -> tuple[Ints, Ints, Ints] | None:
    """Where the fields begin and how long they are, in rows of five, and particles per line.

    Shapes (n_rows, 5), (n_rows, 5), (n_lines,); None if the structure is broken.
    """
    at = np.flatnonzero(kind != _FIELD)
    separator = kind[at]
    begin = np.concatenate([[0], at[:-1] + 1])
    # a ';' before the newline ends its line, and the newline ends nothing
    empty = (separator[1:] == _NEWLINE) & (separator[:-1] == _SEMICOLON) & (at[1:] == begin[1:])
    extra = np.flatnonzero(empty) + 1
    separator[extra - 1] = _NEWLINE
    keep = np.ones(len(at), dtype=bool)
    keep[extra] = False
    at, separator, begin = at[keep], separator[keep], begin[keep]
    lengths = at - begin
    per_line = np.diff(np.flatnonzero(separator == _NEWLINE), prepend=-1)
    if (per_line % 5).any() or not lengths.all():
        return None
    rows, counts = separator.reshape(-1, 5), per_line // 5 - 1
    expected = np.full(len(rows), _COMMA, dtype=np.uint8)
    expected[starts(counts + 1)] = _SEMICOLON
    if (rows[:, :4] != expected[:, None]).any() or (rows[:, 4] == _COMMA).any():
        return None
    return begin.reshape(-1, 5), lengths.reshape(-1, 5), counts


def _legal(head: Floats, particles: Floats) -> bool:
    (_, met, met_phi), (_, pt, _, phi) = head, particles
    finite = np.isfinite(head).all() and np.isfinite(particles).all()
    limit = np.pi + PHI_ROUNDING
    angles = (np.abs(met_phi) <= limit).all() and (np.abs(phi) <= limit).all()
    return bool(finite and angles and (met >= 0).all() and (pt >= 0).all())


def _parse_fixed(data: bytes, widths: tuple[int, ...]) -> Columns | None:
    kind, width = np.frombuffer(data.translate(_KIND), np.uint8), sum(widths)
    if kind.max() == _ODD:
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
    kinds = np.repeat(np.arange(len(PARTICLE_TYPES), dtype=np.int8), np.array(widths[2:]) // 3)
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
    return _massless(columns) if _legal(head, columns.particles) else None
