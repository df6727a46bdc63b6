"""Lines that the fast path leaves: taken one by one, and what becomes of those that are no events.

The rule: a bad line is refused by its number in the file, or skipped and reported with its weight,
so that nothing is lost without a word.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from hepmtp.errors import ReadError
from hepmtp.readers.darkmachines.chunk import Columns, columns_of
from hepmtp.readers.darkmachines.line import BadLineError, Layout, Line, parse_line, weight_of


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
        lines, sumw = self.lines + other.lines, self.sumw + other.sumw
        unreadable = self.unreadable + other.unreadable
        return SkipReport(lines, sumw, unreadable, (self.reasons + other.reasons)[:10])


def one_by_one(
    path: str,
    layout: Layout,
    data: bytearray,
    numbers: Mapping[int, int],
    on_bad: Literal["raise", "skip"],
) -> tuple[Columns, SkipReport]:
    """Some of these lines as events, and what was skipped of them.

    Parameters
    ----------
    data
        lines that should be events, as bytes.
    numbers
        which of them, counted from 0 -> number of the line in the file, for errors.

    Raises
    ------
    ReadError
        naming the first bad line, if `on_bad` is "raise".
    """
    lines = data.removesuffix(b"\n").split(b"\n")
    good: list[tuple[int, Line]] = []
    report = SkipReport()
    for entry, number in numbers.items():
        text = lines[entry].decode(errors="replace")
        whole = entry < len(lines) - 1 or data.endswith(b"\n")
        try:
            good.append((entry, parse_line(text, whole=whole, layout=layout)))
        except BadLineError as error:
            reason = f"{path} line {number}: {error}"
            if on_bad == "raise":
                raise ReadError(
                    f"{reason}; correct or remove the line, or read with on_bad='skip'"
                ) from None
            report += SkipReport(1, *weight_of(text, layout), (reason,))
    return columns_of(good), report
