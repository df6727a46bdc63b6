"""Results in the form of the Dark Machines challenge, beside its published models.

The challenge is that of arXiv:2105.14027.

The rule: a working point that :mod:`hepmtp.statistics.working_points` does not quote stays an empty
field. A place among published models is no ranking: they saw other events, other cuts and another
detector simulation.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hepmtp.errors import ReadError
from hepmtp.statistics.metrics import Roc
from hepmtp.statistics.working_points import working_point

#: Columns of the challenge's tables, in their order.
COLUMNS = ("Signal", "Model", "Chan", "AUC", "1e-2", "1e-3", "1e-4")


class ChallengeRow(NamedTuple):
    """A row of the Dark Machines challenge tables (arXiv:2105.14027).

    `eps_s` at eps_B = 1e-2, 1e-3, 1e-4.
    """

    signal: str
    model: str
    chan: str
    auc: float
    eps_s: tuple[float | None, float | None, float | None]


class Standing(NamedTuple):
    """Where a row would stand among the published rows of one signal and channel, by AUC."""

    row: ChallengeRow
    chan: str  #: channel of the published rows
    place: int  #: 1 is the best; as many published rows have a larger AUC, and one more
    of: int  #: published rows, and ours
    best: ChallengeRow  #: the published row of the largest AUC


def challenge_row(signal: str, model: str, chan: str, curve: Roc) -> ChallengeRow:
    """The row that sets a model beside the published ones of the Dark Machines challenge."""
    area = float(np.trapezoid(curve.eps_s, curve.eps_b))
    one, two, three = (working_point(curve, eps_b).eps_s for eps_b in (1e-2, 1e-3, 1e-4))
    return ChallengeRow(signal, model, chan, area, (one, two, three))


def challenge_table(rows: Iterable[ChallengeRow]) -> str:
    """Rows as the challenge's csv text; a working point that cannot be quoted is an empty field.

    Examples
    --------
    >>> row = ChallengeRow("4top", "multiplicity", "3", 0.72, (0.05, None, None))
    >>> print(challenge_table([row]), end="")
    Signal,Model,Chan,AUC,1e-2,1e-3,1e-4
    4top,multiplicity,3,0.7200,0.0500,,
    """
    lines = [",".join(COLUMNS)]
    for row in rows:
        points = ["" if eps is None else f"{eps:.4f}" for eps in row.eps_s]
        lines.append(",".join([row.signal, row.model, row.chan, f"{row.auc:.4f}", *points]))
    return "\n".join(lines) + "\n"


def read_challenge(path: str | Path) -> list[ChallengeRow]:
    """Rows of a table in the challenge's format, our own or its authors'.

    Columns are found by name, others may stand beside them; an empty working point is None.

    Raises
    ------
    ReadError
        naming file and line of what is missing or no number.
    """
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            names = [name.strip() for name in reader.fieldnames or ()]
            if missing := [name for name in COLUMNS if name not in names]:
                raise ReadError(
                    f"{path} line 1: no column {', '.join(missing)}; found "
                    f"{', '.join(names) or 'nothing'}, expected {','.join(COLUMNS)}"
                )
            reader.fieldnames = names
            return [_row(row, f"{path} line {reader.line_num}") for row in reader]
    except (OSError, UnicodeError, csv.Error) as error:
        raise ReadError(f"{path} cannot be read as a table of the challenge: {error}") from None


def places(ours: Iterable[ChallengeRow], published: Iterable[ChallengeRow]) -> list[Standing]:
    """Places of our rows among the published ones of the same signal, channel by channel.

    Other signals have none.

    Examples
    --------
    >>> aucs = (("a", 0.9), ("b", 0.7))
    >>> published = [ChallengeRow("glgl", name, "3", auc, (None,) * 3) for name, auc in aucs]
    >>> ours = [ChallengeRow("glgl", "m", "SR", 0.8, (None,) * 3)]
    >>> [(one.place, one.of, one.best.model) for one in places(ours, published)]
    [(2, 3, 'a')]
    """
    groups: dict[tuple[str, str], list[ChallengeRow]] = {}
    for row in published:
        groups.setdefault((row.signal, row.chan), []).append(row)
    found = []
    for row in ours:
        for (signal, chan), rows in sorted(groups.items()):
            if signal == row.signal:
                place = 1 + sum(other.auc > row.auc for other in rows)
                found.append(
                    Standing(
                        row, chan, place, len(rows) + 1, max(rows, key=lambda other: other.auc)
                    )
                )
    return found


def _row(fields: Mapping[str | None, str | None], where: str) -> ChallengeRow:
    if None in fields or None in fields.values():
        expected = sum(name is not None for name in fields)
        raise ReadError(
            f"{where}: {'more' if None in fields else 'less'} than {expected} fields; the header "
            "has so many"
        )
    text = {name: (value or "").strip() for name, value in fields.items() if name is not None}
    if empty := [name for name in COLUMNS[:4] if not text[name]]:
        raise ReadError(
            f"{where}: {empty[0]} is empty; only the working points {', '.join(COLUMNS[4:])} may be"
        )
    one, two, three = (
        _share(text[name], name, where) if text[name] else None for name in COLUMNS[4:]
    )
    return ChallengeRow(
        text["Signal"],
        text["Model"],
        text["Chan"],
        _share(text["AUC"], "AUC", where),
        (one, two, three),
    )


def _share(text: str, name: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value <= 1:
        raise ReadError(f"{where}: {name} is {text!r}, expected a number from 0 to 1")
    return value
