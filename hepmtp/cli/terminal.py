"""What commands print: a terminal shows it as text, whatever the files say that it comes from.

The rule: no command writes what it was given to a terminal by another way. Control characters and
those that turn the direction of writing around are shown as what they are, ``\\x1b``.
"""

from __future__ import annotations

import logging
import sys
import unicodedata

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

#: Marks of direction, by which a text looks like another.
_TURNS = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def plain(text: object) -> str:
    r"""A text without escape sequences; line breaks and tabs stay.

    Examples
    --------
    >>> print(plain("tt\x1b[2Jbar, \u03b7 < 2.5"))
    tt\x1b[2Jbar, η < 2.5
    """
    return "".join(
        ascii(one)[1:-1]
        if one in _TURNS or (unicodedata.category(one) == "Cc" and one not in "\n\t")
        else one
        for one in str(text)
    )


def say(text: object, *, err: bool = False, color: str | None = None) -> None:
    """Print a line."""
    typer.secho(plain(text), err=err, fg=color)


def add_row(table: Table, *cells: str) -> None:
    """Add cells to a table, which are text and no markup."""
    table.add_row(*(Text(plain(one)) for one in cells))


def show(table: object, *, width: int = 200) -> None:
    """Print a table, as wide as the terminal or, where there is none, as this."""
    Console(width=None if sys.stdout.isatty() else width).print(table)


class PlainFormatter(logging.Formatter):
    """Lines of the log."""

    def format(self, record: logging.LogRecord) -> str:
        """As always, and plain."""
        return plain(super().format(record))
