"""Where the events of a Dark Machines file are whose lines are not all events.

The rule: every other line must be one that belongs between events, and what a run of the generator
says that it wrote must be there.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hepmtp.errors import ReadError
from hepmtp.events.ragged import Bools, Ints
from hepmtp.readers.darkmachines.chunk import BEYOND
from hepmtp.readers.darkmachines.line import FIXED, Layout, is_between
from hepmtp.readers.lines import Chunk, check_lines, check_range, open_file, take

_BLOCK = 1 << 20  # bytes looked at in one go
# what makes a line an event
_MARK = {"generator": b";", FIXED: b"123456789"}


def events_only(data: bytearray, layout: Layout) -> tuple[bytearray, Ints]:
    """The lines of a chunk that are events, and which of its lines they are, counted from 0.

    Both the chunk and these lines have `BEYOND` bytes of 0 behind them.
    """
    if len(data) == BEYOND:
        return data, np.zeros(0, dtype=np.int64)
    ends, is_event = _lines(data[:-BEYOND], layout)
    if is_event.all():
        return data, np.arange(len(ends))
    keep = np.repeat(np.append(is_event, True), np.diff(ends, prepend=0, append=len(data)))
    return bytearray(np.frombuffer(data, np.uint8)[keep]), np.flatnonzero(is_event)


def lines_before(path: str, byte: int) -> int:
    """Number of lines of a file before this byte."""
    lines = 0
    with open_file(path) as file:
        while byte and (block := take(path, file, min(byte, _BLOCK), line=lines)):
            lines, byte = lines + block.count(b"\n"), byte - len(block)
    return lines


def _lines(data: bytes | bytearray, layout: Layout) -> tuple[Ints, Bools]:
    """Where the lines of these bytes end, newline included, and which of them are events."""
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n")) + 1
    if not data.endswith(b"\n"):
        ends = np.append(ends, len(data))
    marks = bytes(int(byte in _MARK[layout.name]) for byte in range(256))
    marked = np.frombuffer(data.translate(marks), np.uint8)
    starts = np.concatenate([[0], ends[:-1]])
    return ends, np.add.reduceat(marked, starts, dtype=np.int64) > 0


def scan_events(
    path: str,
    layout: Layout,
    start: int,
    size: int,
    stop: int | None,
    *,
    check_count: bool,
) -> Iterator[Chunk]:
    """Chunks of `size` events of [start, stop); the other lines are checked on the way.

    Raises
    ------
    ReadError
        at a line that is neither an event nor belongs between them, and where a run of the
        generator holds another number of events than it says at its end.
    """
    check_range(path, start, stop)
    if start == stop:
        return
    line = events = 0  # lines and events so far
    since = 0  # events since a run began
    # first event and byte of the chunk that is not yet yielded
    begin: tuple[int, int] | None = None
    for offset, block in _blocks(path):
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
                    f"{where}: the generator says that it wrote {said} events, found "
                    f"{before[i] - since}; fetch the file again, or read with check_count=False"
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
    """How many events a line between them says that a run wrote; -1 where a run begins."""
    zeros = b",".join([b"0"] * sum(layout.widths))
    if not (text in (b"", zeros) if layout.name == FIXED else is_between(text)):
        short = text[:60].decode(errors="replace")
        raise ReadError(
            f"{where}: {short!r} is neither an event nor a line that belongs between events; "
            "remove it"
        )
    if layout.name == FIXED or not text:
        return None
    return int(text) if text.isdigit() else -1 if text.startswith(b"=") else None


def _blocks(path: str) -> Iterator[tuple[int, bytes]]:
    """Where each block of whole lines begins, the last one perhaps unfinished, and its bytes."""
    offset, line, rest = 0, 0, b""
    with open_file(path) as file:
        while block := take(path, file, _BLOCK, line=line):
            newlines = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n"))
            check_lines(path, line, len(rest), newlines, len(block))
            line += block.count(b"\n")
            whole, newline, left = (rest + block).rpartition(b"\n")
            rest = left
            if newline:
                yield offset, whole + newline
                offset += len(whole) + 1
    if rest:
        yield offset, rest
