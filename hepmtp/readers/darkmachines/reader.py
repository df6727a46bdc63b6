"""Dark Machines CSV: one line an event, any number of particles, plain or gzipped, in every layout that has been written.

The rule: an entry's number is that of its line among the event lines, whatever is skipped, so it names an event for ever; in the
challenge's layout line n is entry n - 1::

    eventID;processID;weight;MET;METphi;label,E,pt,eta,phi;label,E,pt,eta,phi;...;

MeV in the file, GeV in the events. A ``;`` at the end of a line, CRLF, a byte order mark, blank lines at the end and
scientific notation are fine; there is no header. A last line without newline is refused, for nobody can tell whether it
is whole. Format: arXiv:2105.14027; the other layouts: :mod:`hepmtp.readers.darkmachines.line`. A chunk is parsed as a whole by numpy
and pyarrow; only when that refuses is each line looked at by itself, to name the first bad one.
"""

from __future__ import annotations

import contextlib
import gzip
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepmtp.errors import ReadError
from hepmtp.events.particles import PARTICLE_TYPES
from hepmtp.events.record import make_events, source_id
from hepmtp.readers.darkmachines.chunk import (
    Columns,
    columns_of,
    events_only,
    parse_fast,
    scan_events,
)
from hepmtp.readers.darkmachines.line import (
    FIXED,
    LAYOUTS,
    BadLineError,
    Layout,
    Line,
    fixed_layout,
    layout_of,
    parse_line,
    weight_of,
)
from hepmtp.readers.lines import Chunk, check_range, open_file, read_bytes, scan, take

logger = logging.getLogger(__name__)

_PIECE = 10_000  # lines parsed in one go: what a processor's cache holds, and little memory
_BOM = b"\xef\xbb\xbf"
_MEV = 1000.0
# what begins files that are no lines of text
_BINARY = {
    b"root": "ROOT",
    b"PAR1": "parquet",
    b"\x89HDF": "HDF5",
    b"PK\x03\x04": "zip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
}


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
        return SkipReport(
            self.lines + other.lines,
            self.sumw + other.sumw,
            self.unreadable + other.unreadable,
            reasons,
        )


@dataclass(frozen=True)
class DarkMachinesCSV:
    """Reader of Dark Machines CSV files, ``.csv`` or ``.csv.gz`` (several gzip members are fine).

    A gzipped file has no random access: each chunk unpacks what lies before it and throws it away. Use ``hepmtp
    convert`` on files that are read more than once.

    In the layouts without energies a particle is massless: E = pt cosh(eta). In those with lines that are no events,
    "generator" and "fixed", entries are counted in events, and not in lines. The weight of an event of a generator's file
    is the cross-section divided by the number of events of its run: divide by the number of runs if there are several.
    A fixed file has no weights: each event counts 1.

    Parameters
    ----------
    on_bad
        what happens to a line that is not an event: "raise" a ReadError that names it, or "skip" it, with a warning in
        the log and a `SkipReport` from `read_with_report`. A damaged gzip file always raises.
    variant
        "auto": what the first lines look like; or "challenge", "bare", "generator" or "fixed" (see
        :mod:`hepmtp.readers.darkmachines.line`).
    check_count
        whether the number of events that a generator's run says that it wrote must be that of its lines. It counts
        events of negative weight too, and writes none of them.
    """

    on_bad: Literal["raise", "skip"] = "raise"
    variant: Literal["auto", "challenge", "bare", "generator", "fixed"] = "auto"
    check_count: bool = True

    def __post_init__(self) -> None:
        if self.on_bad not in ("raise", "skip"):
            raise ReadError(f"on_bad is {self.on_bad!r}, expected 'raise' or 'skip'")
        if self.variant not in ("auto", *LAYOUTS, FIXED):
            raise ReadError(
                f"variant is {self.variant!r}, expected one of auto, {', '.join(LAYOUTS)}, {FIXED}"
            )

    def layout_of(self, path: str) -> Layout:
        """How the lines of a file are laid out: what this reader was told, or what the first of them look like."""
        if self.variant in LAYOUTS:
            return LAYOUTS[self.variant]
        with open_file(path) as file:
            start = take(path, file, 1 << 16, line=0)
        binary = next((kind for magic, kind in _BINARY.items() if start.startswith(magic)), None)
        if binary is not None:
            raise ReadError(
                f"{path} holds {binary} data and no lines of text; unpack it if it is packed, or name another reader"
            )
        if self.variant == "auto":
            return layout_of(start)
        found = fixed_layout(start.removeprefix(_BOM).split(b"\n")[0])
        if found is None:
            raise ReadError(
                f"{path} line 1: expected nine numbers of columns, each 1, 1 or a multiple of 3"
            )
        return found

    def num_events(self, path: str) -> int:
        """Number of events, those that ``on_bad="skip"`` leaves out included; blank lines at the end do not count."""
        return sum(chunk.n_entries for chunk in self.chunks(path, 1 << 62))

    def chunks(self, path: str, size: int) -> list[Chunk]:
        """The file as chunks of `size` events, from one pass over its newlines in bounded memory."""
        if size < 1:
            raise ReadError(f"{path}: chunks of {size} events were asked for, expected at least 1")
        found = list(self._scan(path, self.layout_of(path), 0, size, None))
        if not found:
            raise ReadError(
                f"{path} is empty: it has no line with an event; fetch or make it again"
            )
        return found

    def read(self, path: str, start: int = 0, stop: int | None = None) -> ak.Array:
        """Events [start, stop), counted from 0; the whole file by default.

        Raises
        ------
        ReadError
            naming file, line, what was found and what to do.
        """
        return self.read_with_report(path, start, stop)[0]

    def read_with_report(
        self, path: str, start: int = 0, stop: int | None = None
    ) -> tuple[ak.Array, SkipReport]:
        """The same events, and what was skipped."""
        check_range(path, start, stop)
        layout = self.layout_of(path)
        events, report = self._read(path, layout, self._scan(path, layout, start, _PIECE, stop))
        if not len(events) and not report.lines:
            self.num_events(path)  # raises if it is not the range but the file that is empty
        return events, report

    def read_chunk(self, path: str, chunk: Chunk) -> ak.Array:
        """Events of one of the `chunks`; of a plain file only its own bytes are read, and the first ones for the layout."""
        return self._read(path, self.layout_of(path), [chunk])[0]

    def iterate(self, path: str, size: int) -> Iterator[ak.Array]:
        """Events of each chunk in turn, the file unpacked once."""
        layout = self.layout_of(path)
        with open_file(path) as file:
            for chunk in self.chunks(path, size):
                parsed = self._parse(path, layout, chunk, read_bytes(path, file, chunk))
                yield self._events(path, layout, [parsed])[0]

    def _scan(
        self, path: str, layout: Layout, start: int, size: int, stop: int | None
    ) -> Iterator[Chunk]:
        if layout.every_line:
            yield from scan(path, start, size, stop)
        elif start != stop:
            with open_file(path) as file:
                yield from scan_events(
                    path, file, layout, start, size, stop, check_count=self.check_count
                )

    def _read(
        self, path: str, layout: Layout, chunks: Iterable[Chunk]
    ) -> tuple[ak.Array, SkipReport]:
        with open_file(path) as file:
            parsed = [
                self._parse(path, layout, chunk, read_bytes(path, file, chunk)) for chunk in chunks
            ]
        return self._events(path, layout, parsed)

    def _parse(
        self, path: str, layout: Layout, chunk: Chunk, data: bytes
    ) -> tuple[Columns, SkipReport]:
        if chunk.first_entry == 0:
            data = data.removeprefix(_BOM)
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n")
        only = events_only(data, layout)
        columns, report = parse_fast(only, layout), SkipReport()
        if columns is None or len(columns.entry) != chunk.n_entries:
            lines = _numbered(path, layout, chunk, data)
            columns, report = _parse_lines(
                path, layout, lines, whole=only.endswith(b"\n"), skip=self.on_bad == "skip"
            )
        return columns._replace(entry=columns.entry + chunk.first_entry), report

    def _events(
        self, path: str, layout: Layout, parsed: list[tuple[Columns, SkipReport]]
    ) -> tuple[ak.Array, SkipReport]:
        report = sum((skipped for _, skipped in parsed), SkipReport())
        if report.lines:
            logger.warning(
                "%s: skipped %d lines with weights %g (%d unreadable); first: %s",
                *(path, report.lines, report.sumw, report.unreadable, report.reasons[0]),
            )
        pieces = [columns for columns, _ in parsed] or [columns_of([])]
        columns = Columns(
            *(np.concatenate(column, axis=-1) for column in zip(*pieces, strict=True))
        )
        weight, met, met_phi = columns.head
        energy, pt, eta, phi = columns.particles
        if "E" not in layout.particle:
            energy = pt * np.cosh(eta)
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


#: A reader that skips bad lines, to be named where a reader is a text: ``hepmtp.readers.darkmachines.reader:SKIP_BAD``.
SKIP_BAD = DarkMachinesCSV(on_bad="skip")


def _numbered(path: str, layout: Layout, chunk: Chunk, data: bytes) -> list[tuple[int, bytes]]:
    """The lines of a chunk that are events and their numbers in the file, counted from 1."""
    lines = data.removesuffix(b"\n").split(b"\n")
    if layout.every_line:
        return list(enumerate(lines, start=chunk.first_entry + 1))
    before = 0
    with open_file(path) as file:
        left = chunk.byte_start
        while left and (block := take(path, file, min(left, 1 << 20), line=before)):
            before, left = before + block.count(b"\n"), left - len(block)
    return [
        (number, line)
        for number, line in enumerate(lines, start=before + 1)
        if events_only(line, layout)
    ]


def _parse_lines(
    path: str, layout: Layout, lines: list[tuple[int, bytes]], *, whole: bool, skip: bool
) -> tuple[Columns, SkipReport]:
    """Line by line: raises at the first bad line, or skips the bad ones and says what it skipped."""
    good: list[tuple[int, Line]] = []
    report = SkipReport()
    for entry, (number, line) in enumerate(lines):
        text = line.decode(errors="replace")
        try:
            good.append(
                (entry, parse_line(text, whole=whole or entry < len(lines) - 1, layout=layout))
            )
        except BadLineError as error:
            reason = f"{path} line {number}: {error}"
            if not skip:
                raise ReadError(
                    f"{reason}; correct or remove the line, or read with on_bad='skip'"
                ) from None
            report += SkipReport(1, *weight_of(text, layout), (reason,))
    return columns_of(good), report


def write_csv(path: str | Path, chunks: Iterable[ak.Array], *, process: str, packed: bool) -> None:
    """Write events to a new file in the challenge's layout, MeV, gzipped if `packed`.

    The event ID is the entry number, the process ID is `process`; which file an event was first read from is not
    written. A number that came from such a file, or from one of float32, is read back to the last bit.
    """
    if not process.strip() or set(process) & set(";,\r\n"):
        raise ReadError(
            f"{process!r} cannot be a process ID: it is empty or holds a separator; name the file otherwise"
        )
    with Path(path).open("wb") as plain, contextlib.ExitStack() as stack:
        # no name and no time in the file, so that the same events give the same bytes
        file = stack.enter_context(gzip.GzipFile("", "wb", 6, plain, mtime=0)) if packed else plain
        for events in chunks:
            file.write(_text(events, process).encode())


def _text(events: ak.Array, process: str) -> str:
    head = [
        map(str, events.event.to_list()),
        _written(ak.to_numpy(events.weight)),
        _mev(ak.to_numpy(events.MET.pt)),
        _written(ak.to_numpy(events.MET.phi)),
    ]
    flat = {
        name: ak.to_numpy(ak.flatten(events.Particle[name]))
        for name in ("type", "energy", "pt", "eta", "phi")
    }
    columns = [
        (PARTICLE_TYPES[kind] for kind in flat["type"].tolist()),
        *(_mev(flat[name]) for name in ("energy", "pt")),
        *(_written(flat[name]) for name in ("eta", "phi")),
    ]
    particles = iter([",".join(fields) + ";" for fields in zip(*columns, strict=True)])
    counts = ak.num(events.Particle).to_list()
    return "".join(
        f"{event};{process};{weight};{met};{met_phi};"
        + "".join(next(particles) for _ in range(count))
        + "\n"
        for (event, weight, met, met_phi), count in zip(
            zip(*head, strict=True), counts, strict=True
        )
    )


def _mev(values: NDArray[np.float64]) -> list[str]:
    """The shortest text in MeV that is read back as the same number of GeV, or the nearest one where there is none."""
    best = values * _MEV
    texts = _written(best)
    for other in (np.nextafter(best, -np.inf), np.nextafter(best, np.inf)):
        for i in np.flatnonzero(other / _MEV == values):
            text = _written(other[i : i + 1])[0]
            if best[i] / _MEV != values[i] or len(text) < len(texts[i]):
                best[i], texts[i] = other[i], text
    return texts


def _written(values: NDArray[np.float64]) -> list[str]:
    return [text.removesuffix(".0") for text in map(repr, values.astype(np.float64).tolist())]
