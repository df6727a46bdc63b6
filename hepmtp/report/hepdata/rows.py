"""Yields, cutflows and the tables of a run as tables of HEPData.

The rule: what is not quoted is a dash, and a text says which row it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hepmtp.events.region_info import wholes
from hepmtp.report.hepdata.words import Numbers
from hepmtp.report.tables import MARK, Record, read_csv
from hepmtp.statistics.hepdata import NONE, Column, Table, Uncertainty

#: Columns of a run's tables that say which row it is.
KEYS = ("score", "detector", "signal", "region", "rule", "counts")
Counts = Mapping[str, Mapping[str, Any]]


def yields(numbers: Numbers, cutflow: Mapping[str, Counts]) -> Iterator[Table]:
    """What each region holds of each data set: its yield, and the events behind it."""
    labels = {one.name: one.label for one in wholes(numbers.info.regions)}
    found = {region for of in cutflow.values() for region in of}
    regions = [one for one in ("all", *labels) if one in found]
    text = "of each data set in each region; all: before any region."
    rows = {
        name: {region: of[region] for region in regions if region in of}
        for name, of in cutflow.items()
    }
    keys = [
        Column("Region", regions),
        Column("Selection", [labels.get(one) or NONE for one in regions]),
    ]
    where = "cutflow.json of the run"
    yield from _of_counts(numbers, ("Yields", "Raw events"), text, keys, rows, where)


def cutflows(numbers: Numbers, cuts: Mapping[str, Counts]) -> Iterator[Table]:
    """What each cut of each region leaves of each data set, after those before it."""
    for region in wholes(numbers.info.regions):
        rows = {name: of[region.name]["cutflow"] for name, of in cuts.items() if region.name in of}
        order: Mapping[str, Any] = next(iter(rows.values()), {})
        if order:
            name = f"Cutflow of {region.name}"
            text = f"of each data set after each cut of {region.name} and those before it."
            keys = [Column("Cut", list(order))]
            both = (name, f"Raw events, cutflow of {region.name}")
            yield from _of_counts(numbers, both, text, keys, rows, "cuts.json of the run")


def _of_counts(
    numbers: Numbers,
    names: tuple[str, str],
    text: str,
    keys: list[Column],
    counts: Mapping[str, Counts],
    where: str,
) -> Iterator[Table]:
    """Two tables: sums of weights with their errors, and raw events."""
    order = [str(one) for one in keys[0].values]
    shown = numbers.names(counts)
    blind = " Blind data have none." if numbers.info.data and numbers.info.blind else ""
    weighted, raw = [], []
    for name in shown:
        found = [counts[name].get(key) for key in order]
        error = [float(np.sqrt(one["sumw2"])) if one else None for one in found]
        values = [one["sumw"] if one else NONE for one in found]
        stat = [] if name in numbers.info.data else [Uncertainty("stat", error)]
        weighted.append(Column(name, values, numbers.units, stat, numbers.qualifiers()))
        raw.append(Column(name, [one["raw"] if one else NONE for one in found], "events"))
    if not shown:
        return
    for title, kind, columns in (
        (names[0], numbers.info.content, weighted),
        (names[1], "Events without their weights", raw),
    ):
        said = numbers.describe(f"{kind} {text}{blind}")
        yield Table(title, said, keys, columns, where, numbers.keywords("N"))


def rows_of(path: Path) -> list[Record]:
    """Rows of a csv file without the column that says that a run is incomplete."""
    return [{key: one for key, one in row.items() if key != MARK} for row in read_csv(path)]


def of_rows(
    numbers: Numbers,
    name: str,
    text: str,
    rows: Sequence[Record],
    *,
    titles: Mapping[str, str],
    label: str = "stat",
) -> Table:
    """A table of a run as one of HEPData: texts say which row it is, `x_error` is that of `x`.

    Parameters
    ----------
    name, text
        name and description of the table.
    rows
        texts by column; a column without any is left out.
    titles
        column -> what it is called.
    label
        of the errors: "stat" or "total".
    """
    fields = [key for key in (rows[0] if rows else ()) if any(row[key] for row in rows)]
    independent = [key for key in fields if key in KEYS or not _numeric(rows, key)]
    errors = {f"{key}_error" for key in fields} & set(fields)
    dependent = []
    for key in fields:
        if key in errors or key in independent:
            continue
        values = [NONE if (one := _number(row[key])) is None else one for row in rows]
        error = f"{key}_error"
        found = [_number(row[error]) for row in rows] if error in errors else []
        of = [Uncertainty(label, found)] if any(found) else []
        dependent.append(Column(titles.get(key, key), values, "", of))
    return Table(
        name,
        numbers.describe(text),
        [Column(titles.get(key, key), [row[key] or NONE for row in rows]) for key in independent],
        dependent,
        keywords=numbers.keywords("SIG"),
    )


def _number(text: str) -> float | None:
    """A number of a table; None if it is not quoted, or not finite."""
    value = float(text) if text else math.nan
    return value if math.isfinite(value) else None


def _numeric(rows: Sequence[Record], key: str) -> bool:
    try:
        return bool([float(row[key]) for row in rows if row[key]])
    except ValueError:
        return False
