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
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hepmtp.darkmachines import BadLineError, Line, parse_line, weight_of
from hepmtp.errors import ReadError
from hepmtp.events import PARTICLE_TYPES, PHI_ROUNDING, make_events, source_id
from hepmtp.files import Chunk, check_range, open_file, read_bytes, scan

logger = logging.getLogger(__name__)

_PIECE = 10_000  # lines parsed in one go: what a processor's cache holds, and little memory
_BOM = b"\xef\xbb\xbf"
_MEV = 1000.0

# what a byte is: part of a field, one of the separators, or a reason to look at each line by itself
_FIELD, _COMMA, _SEMICOLON, _NEWLINE, _ODD = range(5)
_SEPARATORS = b",;\n"
_KIND = bytes(
    1 + _SEPARATORS.index(byte) if byte in _SEPARATORS else _FIELD if 0x21 <= byte <= 0x7E else _ODD
    for byte in range(256)
)
# the first two bytes of a particle, as a number, to its type; -1 is unknown
_TYPE_OF = np.full(1 << 16, -1, dtype=np.int8)
_TYPE_OF[[int.from_bytes(label.encode().ljust(2, b","), "big") for label in PARTICLE_TYPES]] = range(7)


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
    entry: NDArray[np.int64]  # (n_events,)
    counts: NDArray[np.int64]  # (n_events,)
    head: NDArray[np.float64]  # (3, n_events): weight, MET, METphi
    type: NDArray[np.int8]  # (n_particles,)
    particles: NDArray[np.float64]  # (4, n_particles): E, pt, eta, phi


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
        events, report = self._read(path, scan(path, start, _PIECE, stop))
        if not len(events) and not report.lines:
            self.num_events(path)  # raises if it is not the range but the file that is empty
        return events, report

    def read_chunk(self, path: str, chunk: Chunk) -> ak.Array:
        """Events of one of the `chunks`; of a plain file only its own bytes are read."""
        return self._read(path, [chunk])[0]

    def iterate(self, path: str, size: int) -> Iterator[ak.Array]:
        """Events of each chunk in turn, the file unpacked once."""
        with open_file(path) as file:
            for chunk in self.chunks(path, size):
                yield self._events(path, [self._parse(path, chunk, read_bytes(path, file, chunk))])[0]

    def _read(self, path: str, chunks: Iterable[Chunk]) -> tuple[ak.Array, SkipReport]:
        with open_file(path) as file:
            return self._events(path, [self._parse(path, chunk, read_bytes(path, file, chunk)) for chunk in chunks])

    def _parse(self, path: str, chunk: Chunk, data: bytes) -> tuple[_Columns, SkipReport]:
        if chunk.first_entry == 0:
            data = data.removeprefix(_BOM)
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n")
        columns, report = _parse_fast(data), SkipReport()
        if columns is None:
            columns, report = _parse_lines(path, data, chunk.first_entry, skip=self.on_bad == "skip")
        return columns._replace(entry=columns.entry + chunk.first_entry), report

    def _events(self, path: str, parsed: list[tuple[_Columns, SkipReport]]) -> tuple[ak.Array, SkipReport]:
        report = sum((skipped for _, skipped in parsed), SkipReport())
        if report.lines:
            logger.warning(
                "%s: skipped %d lines with weights %g (%d unreadable); first: %s",
                *(path, report.lines, report.sumw, report.unreadable, report.reasons[0]),
            )
        pieces = [columns for columns, _ in parsed] or [_columns([])]
        columns = _Columns(*(np.concatenate(column, axis=-1) for column in zip(*pieces, strict=True)))
        weight, met, met_phi = columns.head
        energy, pt, eta, phi = columns.particles
        events = make_events(
            counts=columns.counts,
            pt=pt / _MEV,
            eta=eta,
            phi=phi,
            energy=energy / _MEV,
            type=columns.type,
            met=met / _MEV,
            met_phi=met_phi,
            weight=weight,
            event=columns.entry,
            source=source_id(path),
        )
        return events, report


#: A reader that skips bad lines, to be named where a reader is a text: ``hepmtp.readers.darkmachines_csv:SKIP_BAD``.
SKIP_BAD = DarkMachinesCSV(on_bad="skip")


def _parse_fast(data: bytes) -> _Columns | None:
    """All lines at once; None if anything is not plain, without saying what."""
    if data.endswith(b";"):
        data += b"\n"
    kind = np.frombuffer(data.translate(_KIND), np.uint8)
    if not data.endswith(b"\n") or kind.max() == _ODD:
        return None
    fields = _fields(kind)
    if fields is None:
        return None
    starts, lengths, counts = fields
    heads = np.cumsum(counts + 1) - counts - 1  # a row of five fields for the head of each line and for each particle
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
    buffers = [
        pa.py_buffer(np.packbits(valid, bitorder="little")),
        pa.py_buffer(np.concatenate([[0], np.cumsum(lengths)])),
        pa.py_buffer(data.translate(None, _SEPARATORS)),
    ]
    try:
        numbers = pc.cast(pa.Array.from_buffers(pa.large_string(), valid.size, buffers), pa.float64())
    except pa.ArrowInvalid:
        return None
    values = np.frombuffer(numbers.buffers()[1], np.float64, valid.size).reshape(-1, 5).T
    columns = _Columns(np.arange(len(counts)), counts, values[2:, heads], types, values[1:].take(rows, axis=1))
    return columns if np.isfinite(values[0, heads]).all() and _legal(columns.head, columns.particles) else None


def _fields(kind: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]] | None:
    """Starts and lengths of the fields, (n_rows, 5), and particles per line, (n_lines,); None if the structure is broken."""
    at = np.flatnonzero(kind != _FIELD)
    separator = kind[at]
    starts = np.concatenate([[0], at[:-1] + 1])
    # a ';' before the newline ends its line, and the newline ends nothing
    extra = np.flatnonzero((separator[1:] == _NEWLINE) & (separator[:-1] == _SEMICOLON) & (at[1:] == starts[1:])) + 1
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
        np.array([line.head for _, line in good], dtype=np.float64).reshape(-1, 3).T,
        np.array([kind for kind, _ in particles], dtype=np.int8),
        np.array([numbers for _, numbers in particles], dtype=np.float64).reshape(-1, 4).T,
    )
