"""Dark Machines CSV: one line an event, any number of particles, plain or packed, in every layout.

The rule: an entry's number is that of its line among the event lines, whatever is skipped, so it
names an event for ever. In the challenge's layout line n is entry n - 1::

    eventID;processID;weight;MET;METphi;label,E,pt,eta,phi;label,E,pt,eta,phi;...;

MeV in the file, unless the option units says GeV; GeV in the events. A ``;`` at the end of a line,
CRLF, a byte order mark, blank lines at the end and scientific notation are fine; there is no
header. A last line without newline is refused, for nobody can tell whether it is whole. Format:
arXiv:2105.14027; the other layouts: :mod:`hepmtp.readers.darkmachines.line`.
"""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import awkward as ak
import numpy as np

from hepmtp.errors import OptionError, ReadError
from hepmtp.events.record import make_events
from hepmtp.events.source import source_id
from hepmtp.readers import FileReader
from hepmtp.readers.darkmachines.chunk import BEYOND, Columns, columns_of, join, parse
from hepmtp.readers.darkmachines.line import LAYOUTS, Layout, fixed_layout, layout_of
from hepmtp.readers.darkmachines.scan import events_only, lines_before, scan_events
from hepmtp.readers.darkmachines.skipped import SkipReport, one_by_one
from hepmtp.readers.lines import Chunk, head, open_file, packing, pieces, scan

logger = logging.getLogger(__name__)

# lines parsed in one go: large arrays, for which numpy asks for large pages, but little memory
_PIECE = 100_000
_BOM = b"\xef\xbb\xbf"
_MEV = 1000.0
# what begins files that are no lines of text
_BINARY = {
    b"root": "ROOT",
    b"PAR1": "parquet",
    b"\x89HDF": "HDF5",
    b"PK\x03\x04": "zip",
}


@dataclass(frozen=True)
class DarkMachinesCSV(FileReader):
    """Reader of Dark Machines CSV files, plain or packed by gzip, bzip2, xz or zstd.

    Several members one after the other are fine. A packed file has no random access: each chunk
    unpacks what lies before it and throws it away. Use ``hepmtp convert`` on files that are read
    more than once.

    In the layouts without energies a particle is massless: E = pt cosh(eta). In those with lines
    that are no events, "generator" and "fixed", entries are counted in events, and not in lines.
    The weight of an event of a generator's file is the cross-section divided by the number of
    events of its run. Divide by the number of runs if there are several. A fixed file has no
    weights: each event counts 1.

    Parameters
    ----------
    on_bad
        what happens to a line that is not an event: "raise" a ReadError that names it, or "skip"
        it, with a warning in the log and a `SkipReport` from `read_with_report`. A damaged packed
        file always raises.
    variant
        "auto": what the first lines look like; or "challenge", "bare", "generator" or "fixed" (see
        :mod:`hepmtp.readers.darkmachines.line`).
    check_count
        whether the number of events that a generator's run says that it wrote must be that of its
        lines. It counts events of negative weight too, and writes none of them.
    units
        what E, pt and MET in the file are: "MeV" or "GeV".
    """

    on_bad: Literal["raise", "skip"] = "raise"
    variant: Literal["auto", "challenge", "bare", "generator", "fixed"] = "auto"
    check_count: bool = True
    units: Literal["MeV", "GeV"] = "MeV"

    endings = (".csv", ".csv.gz", ".csv.bz2", ".csv.xz", ".csv.zst")
    unit = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "unit", 1e-3 if self.units == "MeV" else 1.0)

    @classmethod
    def knows(cls, start: bytes) -> bool:
        """Whether one of the first lines has the semicolons of an event, or the first nine widths.

        It must be asked last: bytes of other formats may have these too.
        """
        lines = start.split(b"\n")[:20]
        is_fixed = fixed_layout(lines[0]) is not None
        return is_fixed or any(line.count(b";") >= 2 for line in lines)

    def format_of(self, path: str) -> str:
        """The layout, and whether the file is gzipped."""
        how = {None: "", "gzip": ", gzipped"}
        packed = packing(path)
        return (
            f"Dark Machines CSV, layout {self.layout_of(path).name}"
            f"{how.get(packed, f', packed by {packed}')}"
        )

    def processes(self, path: str, events: ak.Array) -> dict[str, int] | None:
        """Number of lines of each process ID among the first ones, in the challenge's layout."""
        if self.layout_of(path).name != "challenge":
            return None
        with open_file(path) as file:
            lines = [line.split(b";", 2) for line in itertools.islice(file, len(events))]
        return Counter(line[1].decode(errors="replace") for line in lines if len(line) > 2)

    def layout_of(self, path: str) -> Layout:
        """The layout that this reader was told, or what the first lines of a file look like."""
        if self.variant in LAYOUTS:
            return LAYOUTS[self.variant]
        start = head(path)
        for magic, kind in _BINARY.items():
            if start.startswith(magic):
                raise ReadError(
                    f"{path} holds {kind} data and no lines of text; unpack it if it is packed, or "
                    "name another reader"
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
        """Number of events, those that ``on_bad="skip"`` leaves out included.

        Blank lines at the end do not count.
        """
        return sum(chunk.n_entries for chunk in self.chunks(path, 1 << 62))

    def chunks(self, path: str, size: int) -> list[Chunk]:
        """The file as chunks of `size` events, from one pass over its newlines."""
        if size < 1:
            raise OptionError(
                f"{path}: chunks of {size} events were asked for, expected at least 1"
            )
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
        layout = self.layout_of(path)
        events, report = self._read(path, layout, self._scan(path, layout, start, _PIECE, stop))
        if not len(events) and not report.lines:
            self.num_events(path)  # raises if it is not the range but the file that is empty
        return events, report

    def read_chunk(self, path: str, chunk: Chunk) -> ak.Array:
        """Events of one of the `chunks`, of which a plain file gives the bytes alone."""
        return self.read_chunk_with_report(path, chunk)[0]

    def read_chunk_with_report(self, path: str, chunk: Chunk) -> tuple[ak.Array, SkipReport]:
        """The same events, and what was skipped."""
        return self._read(path, self.layout_of(path), [chunk])

    def iterate(self, path: str, size: int) -> Iterator[ak.Array]:
        """Events of each chunk in turn, the file unpacked once."""
        layout = self.layout_of(path)
        for chunk, data in pieces(path, self.chunks(path, size), zeros=BEYOND):
            yield self._events(path, layout, [self._parse(path, layout, chunk, data)])[0]

    def _scan(
        self, path: str, layout: Layout, start: int, size: int, stop: int | None
    ) -> Iterator[Chunk]:
        if layout.every_line:
            return scan(path, start, size, stop)
        return scan_events(path, layout, start, size, stop, check_count=self.check_count)

    def _read(
        self, path: str, layout: Layout, chunks: Iterable[Chunk]
    ) -> tuple[ak.Array, SkipReport]:
        parsed = [
            self._parse(path, layout, chunk, data)
            for chunk, data in pieces(path, chunks, zeros=BEYOND)
        ]
        return self._events(path, layout, parsed)

    def _parse(
        self, path: str, layout: Layout, chunk: Chunk, data: bytearray
    ) -> tuple[Columns, SkipReport]:
        """The fast path for all lines of a chunk, the slow truth for those that it leaves."""
        if chunk.first_entry == 0 and data.startswith(_BOM):
            data = data.removeprefix(_BOM)
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n")
        lines, which = (data, None) if layout.every_line else events_only(data, layout)
        columns, left = parse(lines, layout)
        report = SkipReport()
        if left:
            before = chunk.first_entry if which is None else lines_before(path, chunk.byte_start)
            numbers = {i: before + 1 + int(i if which is None else which[i]) for i in left}
            slow, report = one_by_one(path, layout, lines[:-BEYOND], numbers, self.on_bad)
            columns = join([columns, slow])
        if len(columns.entry) + report.lines != chunk.n_entries:
            raise ReadError(f"{path} has changed since its lines were counted; run again")
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
        columns = join([columns for columns, _ in parsed] or [columns_of([])])
        weight, met, met_phi = columns.head
        energy, pt, eta, phi = columns.particles
        if "E" not in layout.particle:
            energy = pt * np.cosh(eta)
        if self.units == "MeV":
            for column in (met, pt, energy):  # nobody else has them
                np.divide(column, _MEV, out=column)
        events = make_events(
            counts=columns.counts,
            pt=pt,
            eta=eta,
            phi=phi,
            energy=energy,
            type=columns.type,
            met=met,
            met_phi=met_phi,
            weight=weight,
            event=columns.entry,
            source=source_id(path),
        )
        return events, report


#: A reader that skips bad lines, where a reader is a text: its name is
#: ``hepmtp.readers.darkmachines.reader:SKIP_BAD``.
SKIP_BAD = DarkMachinesCSV(on_bad="skip")
