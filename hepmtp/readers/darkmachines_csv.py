"""Dark Machines CSV: one line an event, any number of particles, plain or gzipped.

The rule: line n of the file is entry n - 1, whatever is skipped, so an entry number names an event for ever::

    eventID;processID;weight;MET;METphi;label,E,pt,eta,phi;label,E,pt,eta,phi;...;

MeV in the file, GeV in the events. A trailing ``;``, CRLF, a byte order mark, blank lines at the end and scientific
notation are fine; there is no header. Format: arXiv:2105.14027. A chunk is parsed as a whole by numpy (where fields
begin and end) and pyarrow (text to float64, correctly rounded); only when that refuses is each line looked at by
itself, to name the first bad one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hepmtp.darkmachines import BadLineError, Line, parse_line, weight_of
from hepmtp.errors import ReadError
from hepmtp.events import PARTICLE_TYPES, PHI_ROUNDING, concatenate, make_events, source_id
from hepmtp.files import Chunk, check_range, open_file, read_bytes, scan

logger = logging.getLogger(__name__)

_PIECE = 100_000  # lines parsed in one go: bounds the memory of reading a whole file
_BOM = b"\xef\xbb\xbf"
_MEV = 1000.0

# what a byte is: part of a field, one of the separators, or a reason to look at each line by itself
_FIELD, _COMMA, _SEMICOLON, _NEWLINE, _ODD = range(5)
_KIND = np.full(256, _ODD, dtype=np.uint8)
_KIND[0x21:0x7F] = _FIELD
_KIND[[ord(","), ord(";"), ord("\n")]] = _COMMA, _SEMICOLON, _NEWLINE
# a label of one or two bytes, as a number, to its type; -1 is unknown
_TYPE_OF = np.full(1 << 16, -1, dtype=np.int8)
_TYPE_OF[[int.from_bytes(label.encode().ljust(2, b"\0"), "big") for label in PARTICLE_TYPES]] = range(7)


@dataclass(frozen=True)
class SkipReport:
    """Lines that ``on_bad="skip"`` left out; adds up with ``+``.

    Parameters
    ----------
    lines
        number of lines that were skipped.
    sumw
        sum of their weights, of those that can be read.
    unreadable
        number of lines without a weight that can be read.
    reasons
        what was wrong with the first ten, each naming its line.
    """

    lines: int = 0
    sumw: float = 0.0
    unreadable: int = 0
    reasons: tuple[str, ...] = ()

    def __add__(self, other: SkipReport) -> SkipReport:
        reasons = (self.reasons + other.reasons)[:10]
        return SkipReport(self.lines + other.lines, self.sumw + other.sumw, self.unreadable + other.unreadable, reasons)


class _Columns(NamedTuple):
    entry: NDArray[np.int64]  # (n_events,), counted from the first line that was parsed
    counts: NDArray[np.int64]  # (n_events,)
    head: NDArray[np.float64]  # (n_events, 3): weight, MET, METphi
    type: NDArray[np.int8]  # (n_particles,)
    particles: NDArray[np.float64]  # (n_particles, 4): E, pt, eta, phi


@dataclass(frozen=True)
class DarkMachinesCSV:
    """Reader of Dark Machines CSV files, ``.csv`` or ``.csv.gz`` (several gzip members are fine).

    A gzipped file has no random access: each chunk unpacks what lies before it and throws it away. Use ``hepmtp
    convert`` on files that are read more than once.

    Parameters
    ----------
    on_bad
        what happens to a line that is not an event: "raise" a ReadError that names it, or "skip" it, with a warning in
        the log and a `SkipReport` from `read_with_report`. A damaged gzip file always raises.
    """

    on_bad: Literal["raise", "skip"] = "raise"

    def __post_init__(self) -> None:
        if self.on_bad not in ("raise", "skip"):
            raise ReadError(f"on_bad is {self.on_bad!r}, expected 'raise' or 'skip'")

    def num_events(self, path: str) -> int:
        """Number of lines, those that ``on_bad="skip"`` leaves out included; blank lines at the end do not count."""
        return sum(chunk.n_entries for chunk in self.chunks(path, 1 << 62))

    def chunks(self, path: str, size: int) -> list[Chunk]:
        """The file as chunks of `size` lines, from one pass over its newlines in bounded memory."""
        if size < 1:
            raise ReadError(f"{path}: chunks of {size} events were asked for, expected at least 1")
        found = list(scan(path, 0, size, None))
        if not found:
            raise ReadError(f"{path} is empty: it has no line with an event; fetch or make it again")
        return found

    def read(self, path: str, start: int = 0, stop: int | None = None) -> ak.Array:
        """Events of lines [start, stop), counted from 0; the whole file by default.

        Raises
        ------
        ReadError
            naming file, line, what was found and what to do.
        """
        return self.read_with_report(path, start, stop)[0]

    def read_with_report(self, path: str, start: int = 0, stop: int | None = None) -> tuple[ak.Array, SkipReport]:
        """The same events, and what was skipped."""
        check_range(path, start, stop)
        parts, report = [], SkipReport()
        with open_file(path) as file:
            for chunk in scan(path, start, _PIECE, stop):
                events, skipped = self._parse(path, chunk, read_bytes(path, file, chunk))
                parts.append(events)
                report += skipped
        if not parts:
            self.num_events(path)  # raises if it is not the range but the file that is empty
            parts = [_events(path, _columns([]), 0)]
        return (parts[0] if len(parts) == 1 else concatenate(parts)), report

    def read_chunk(self, path: str, chunk: Chunk) -> ak.Array:
        """Events of one of the `chunks`; of a plain file only its own bytes are read."""
        with open_file(path) as file:
            return self._parse(path, chunk, read_bytes(path, file, chunk))[0]

    def iterate(self, path: str, size: int) -> Iterator[ak.Array]:
        """Events of each chunk in turn, the file unpacked once."""
        with open_file(path) as file:
            for chunk in self.chunks(path, size):
                yield self._parse(path, chunk, read_bytes(path, file, chunk))[0]

    def _parse(self, path: str, chunk: Chunk, data: bytes) -> tuple[ak.Array, SkipReport]:
        if chunk.first_entry == 0:
            data = data.removeprefix(_BOM)
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n")
        columns, report = _parse_fast(data), SkipReport()
        if columns is None:
            columns, report = _parse_lines(path, data, chunk.first_entry, skip=self.on_bad == "skip")
        if report.lines:
            logger.warning(
                "%s: skipped %d of %d lines, weights %g (%d unreadable); first: %s",
                *(path, report.lines, chunk.n_entries, report.sumw, report.unreadable, report.reasons[0]),
            )
        return _events(path, columns, chunk.first_entry), report


#: A reader that skips bad lines, to be named where a reader is a text: ``hepmtp.readers.darkmachines_csv:SKIP_BAD``.
SKIP_BAD = DarkMachinesCSV(on_bad="skip")


def _parse_fast(data: bytes) -> _Columns | None:
    """All lines at once; None if anything is not plain, without saying what."""
    if not data.endswith(b"\n"):
        if not data.endswith(b";"):
            return None
        data += b"\n"
    text = np.frombuffer(data, np.uint8)
    kind = _KIND[text]
    if (kind == _ODD).any():
        return None
    fields = _fields(kind)
    if fields is None:
        return None
    starts, lengths, is_head, counts = fields
    particle = ~is_head

    first = starts[particle, 0]
    label = text[first].astype(np.uint16) << 8
    label |= np.where(lengths[particle, 0] == 2, text[first + 1], 0)
    types = np.where(lengths[particle, 0] <= 2, _TYPE_OF[label], -1)

    # labels and process IDs are nulls: everything else must be a number
    valid = np.ones(starts.shape, dtype=bool)
    valid[is_head, 1] = valid[particle, 0] = False
    buffers = [
        pa.py_buffer(np.packbits(valid, bitorder="little")),
        pa.py_buffer(np.concatenate([[0], np.cumsum(lengths)])),
        pa.py_buffer(text[kind == _FIELD]),
    ]
    try:
        numbers = pc.cast(pa.Array.from_buffers(pa.large_string(), valid.size, buffers), pa.float64())
    except pa.ArrowInvalid:
        return None
    values: NDArray[np.float64] = np.frombuffer(numbers.buffers()[1], np.float64, valid.size).reshape(-1, 5)
    columns = _Columns(np.arange(len(counts)), counts, values[is_head, 2:], types, values[particle, 1:])
    legal = (types >= 0).all() and np.isfinite(values[is_head, 0]).all() and _legal(columns.head, columns.particles)
    return columns if legal else None


def _fields(kind: NDArray[np.uint8]) -> tuple[NDArray[np.int64], ...] | None:
    """Where the fields are: starts and lengths (n_rows, 5), head rows (n_rows,), particles per line (n_lines,)."""
    at = np.flatnonzero(kind)
    separator = kind[at]
    starts = np.concatenate([[0], at[:-1] + 1])
    # a ';' before the newline ends its line, and the newline ends nothing
    extra = np.flatnonzero((separator[1:] == _NEWLINE) & (separator[:-1] == _SEMICOLON) & (np.diff(at) == 1)) + 1
    separator[extra - 1] = _NEWLINE
    at, separator, starts = (np.delete(array, extra) for array in (at, separator, starts))

    per_line = np.diff(np.flatnonzero(separator == _NEWLINE), prepend=-1)
    if (per_line % 5).any() or (at == starts).any():
        return None
    rows = separator.reshape(-1, 5)
    counts = per_line // 5 - 1
    is_head = np.zeros(len(rows), dtype=bool)
    is_head[np.cumsum(counts + 1) - counts - 1] = True
    if (rows[:, :4] != np.where(is_head, _SEMICOLON, _COMMA)[:, None]).any() or (rows[:, 4] == _COMMA).any():
        return None
    return starts.reshape(-1, 5), (at - starts).reshape(-1, 5), is_head, counts


def _legal(head: NDArray[np.float64], particles: NDArray[np.float64]) -> bool:
    finite = np.isfinite(head).all() and np.isfinite(particles).all()
    positive = (head[:, 1] >= 0).all() and (particles[:, 1] >= 0).all()
    limit = np.pi + PHI_ROUNDING
    return bool(
        finite and positive and (np.abs(head[:, 2]) <= limit).all() and (np.abs(particles[:, 3]) <= limit).all()
    )


def _parse_lines(path: str, data: bytes, first_entry: int, *, skip: bool) -> tuple[_Columns, SkipReport]:
    """Line by line: raises at the first bad line, or skips the bad ones and says what it skipped."""
    good: list[tuple[int, Line]] = []
    report = SkipReport()
    whole = data.endswith(b"\n")
    lines = data.removesuffix(b"\n").split(b"\n")
    for entry, line in enumerate(lines):
        text = line.decode(errors="replace")
        try:
            good.append((entry, parse_line(text, whole=whole or entry < len(lines) - 1)))
        except BadLineError as error:
            reason = f"{path} line {first_entry + entry + 1}: {error}"
            if not skip:
                raise ReadError(f"{reason}; correct or remove the line, or read with on_bad='skip'") from None
            report += SkipReport(1, *weight_of(text), (reason,))
    return _columns(good), report


def _columns(good: list[tuple[int, Line]]) -> _Columns:
    particles = [particle for _, line in good for particle in line.particles]
    return _Columns(
        np.array([entry for entry, _ in good], dtype=np.int64),
        np.array([len(line.particles) for _, line in good], dtype=np.int64),
        np.array([line.head for _, line in good], dtype=np.float64).reshape(-1, 3),
        np.array([kind for kind, _ in particles], dtype=np.int8),
        np.array([numbers for _, numbers in particles], dtype=np.float64).reshape(-1, 4),
    )


def _events(path: str, columns: _Columns, first_entry: int) -> ak.Array:
    weight, met, met_phi = columns.head.T
    energy, pt, eta, phi = columns.particles.T
    return make_events(
        counts=columns.counts,
        pt=pt / _MEV,
        eta=eta,
        phi=phi,
        energy=energy / _MEV,
        type=columns.type,
        met=met / _MEV,
        met_phi=met_phi,
        weight=weight,
        event=columns.entry + first_entry,
        source=source_id(path),
    )
