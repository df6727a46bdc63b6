"""Results in the form of the Dark Machines challenge (arXiv:2105.14027), to set beside its published models.

The rule: a working point that :mod:`hepmtp.metrics` does not quote stays an empty field.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from hepmtp.metrics import Roc, max_sic, working_point


class ChallengeRow(NamedTuple):
    """A row of the Dark Machines challenge tables (arXiv:2105.14027); `eps_s` at eps_B = 1e-2, 1e-3, 1e-4."""

    signal: str
    model: str
    chan: str
    auc: float
    eps_s: tuple[float | None, float | None, float | None]


def total_improvement(curves: Mapping[str, Roc]) -> float | None:
    """TI of a signal: the largest `max_sic` over its channels (arXiv:2105.14027); None if no channel has enough events."""
    best = [point.si for point in map(max_sic, curves.values()) if point is not None and point.si is not None]
    return max(best, default=None)


def challenge_row(signal: str, model: str, chan: str, curve: Roc) -> ChallengeRow:
    """The row that sets a model beside the published ones of the Dark Machines challenge."""
    area = float(np.trapezoid(curve.eps_s, curve.eps_b))
    one, two, three = (working_point(curve, eps_b).eps_s for eps_b in (1e-2, 1e-3, 1e-4))
    return ChallengeRow(signal, model, chan, area, (one, two, three))


def challenge_table(rows: Iterable[ChallengeRow]) -> str:
    """Rows as the challenge's csv text; a working point that cannot be quoted is an empty field.

    Examples
    --------
    >>> print(challenge_table([ChallengeRow("4top", "multiplicity", "3", 0.72, (0.05, None, None))]), end="")
    Signal,Model,Chan,AUC,1e-2,1e-3,1e-4
    4top,multiplicity,3,0.7200,0.0500,,
    """
    lines = ["Signal,Model,Chan,AUC,1e-2,1e-3,1e-4"]
    for row in rows:
        points = ["" if eps is None else f"{eps:.4f}" for eps in row.eps_s]
        lines.append(",".join([row.signal, row.model, row.chan, f"{row.auc:.4f}", *points]))
    return "\n".join(lines) + "\n"
