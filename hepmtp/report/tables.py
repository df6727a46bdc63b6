"""Tables of results: rows as csv and markdown, and as the text cells that the report shows.

The rule: rows are NamedTuples. A column ``x_error`` belongs to the column ``x`` and is shown with
it as "x ± error", rounded to two digits of the error. What is not quoted (None) is an empty csv
field and a dash for the reader.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hepmtp.errors import OptionError, StorageError
from hepmtp.notebook import in_markdown
from hepmtp.storage import new_file

Record = dict[str, str]
#: Column of a csv file whose numbers are those of a run that has not read everything.
MARK = "incomplete"


class Cells(NamedTuple):
    """A table to be read by people."""

    header: list[str]
    rows: list[list[str]]


def records(rows: Sequence[Any]) -> list[Record]:
    """NamedTuples as text, exact to the last digit."""
    return [{name: _exact(value) for name, value in row._asdict().items()} for row in rows]


def write_csv(path: str | Path, rows: Sequence[Any], *, incomplete: bool = False) -> Path:
    """Write rows (NamedTuples of one type) with full precision.

    If not everything was read, a last column `MARK` says so in every row.
    """
    if not rows:
        raise OptionError(f"{path}: a table without rows has no columns; there is nothing to write")
    text = io.StringIO()
    found = [row | {MARK: "True"} if incomplete else row for row in records(rows)]
    writer = csv.DictWriter(text, fieldnames=list(found[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    with new_file(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
    return Path(path)


def read_csv(path: str | Path) -> list[Record]:
    """Rows of a csv file as text, column name -> field."""
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            return [dict(row) for row in csv.DictReader(file)]
    except (OSError, ValueError, csv.Error) as error:
        raise StorageError(f"{path} cannot be read as a table: {error}") from None


def write_markdown(
    path: str | Path,
    rows: Sequence[Any],
    *,
    titles: Mapping[str, str] | None = None,
    note: str = "",
) -> Path:
    """Write rows as a markdown table with rounded numbers.

    `titles` name columns for the reader, and `note` stands before the table.
    """
    text = f"{note}\n\n" if note else ""
    with new_file(path) as temporary:
        temporary.write_text(text + markdown(cells(records(rows), titles=titles)), encoding="utf-8")
    return Path(path)


def cells(rows: Sequence[Record], *, titles: Mapping[str, str] | None = None) -> Cells:
    """Rounded text for the reader, a value and its error in one cell.

    Examples
    --------
    >>> cells([{"detector": "ht", "auc": "0.70312", "auc_error": "0.0081", "n": "12", "z": ""}])
    Cells(header=['detector', 'auc', 'n', 'z'], rows=[['ht', '0.7031 ± 0.0081', '12', '-']])
    """
    columns = [name for name in (rows[0] if rows else {}) if not _is_error(name, rows[0])]
    header = [(titles or {}).get(name, name) for name in columns]
    return Cells(
        header,
        [[_cell(row[name], row.get(f"{name}_error", "")) for name in columns] for row in rows],
    )


def markdown(table: Cells) -> str:
    """The table in markdown, in which text is text: no HTML, no image, no line of its own."""
    lines = [table.header, ["---"] * len(table.header), *table.rows]
    return "".join("| " + " | ".join(map(in_markdown, line)) + " |\n" for line in lines)


def rounded(value: float, error: float) -> str:
    """Value and error, rounded to two digits of the error.

    Examples
    --------
    >>> rounded(0.70312, 0.0081), rounded(1340.04, 25.2), rounded(5, 0)
    ('0.7031 ± 0.0081', '1340 ± 25', '5 ± 0')
    """
    if not (error > 0 and math.isfinite(error)):
        return f"{value:.4g} ± {error:.4g}"
    digits = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def _is_error(name: str, row: Record) -> bool:
    return name.endswith("_error") and name.removesuffix("_error") in row


def _exact(value: Any) -> str:
    if value is None:
        return ""
    return repr(float(value)) if isinstance(value, float) else str(value)


def _cell(value: str, error: str) -> str:
    if not value:
        return "-"
    if error:
        return rounded(float(value), float(error))
    try:
        return value if float(value).is_integer() else f"{float(value):.4g}"
    except (ValueError, OverflowError):
        return value  # text
