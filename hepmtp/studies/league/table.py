"""The table of a league.

Every detector's numbers in every region, as means over seeds, with errors and differences.

The rule: two detectors are compared on the same events and the same seed, so that what they share
drops out of the error. A detector is compared with other entries: not with another form of its own
score, and not with what was trained with labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from hepmtp.events.ragged import Floats
from hepmtp.report.run_fit import FitRow
from hepmtp.statistics.metrics import Auc
from hepmtp.statistics.performance import (
    Columns,
    PerformanceRow,
    Scores,
    detectors,
    performance_row,
    scores,
)
from hepmtp.studies.league.challenge import ChallengeRow, challenge_row
from hepmtp.studies.league.entry import Entry


class Fit(NamedTuple):
    """Scores of one fitted detector on the held-out events, and what it cost."""

    scores: dict[str, dict[str, Floats]]  #: row -> data set -> one per event, shape (n_events,)
    fit_seconds: float | None
    events_per_second: float
    parameters: int | None


class LeagueRow(NamedTuple):
    """One detector, signal and region: means over seeds.

    Errors are statistical, of one seed; see `PerformanceRow`.
    """

    detector: str
    kind: str
    signal: str
    region: str
    seeds: int
    folds: int  #: trainings of each seed that share the events; 1: all scored by the same one
    z: float | None  #: expected significance of the simultaneous fit; None outside its region
    z_error: float | None  #: by the simulated events
    z_spread: float | None
    z_cautious: float | None  #: with the cautious uncertainty on cross-sections
    z_cautious_error: float | None
    auc_balanced: float  #: every background process the same weight
    auc_balanced_error: float
    auc_balanced_spread: float | None  #: standard deviation over seeds
    auc: float  #: weighted by cross-section
    auc_error: float
    auc_spread: float | None
    of_ceiling: float | None  #: (AUC - 0.5) / (AUC with labels - 0.5), balanced
    of_ceiling_error: float | None
    rival: str  #: the best other background-only entry
    over_rival: float | None  #: balanced AUC minus its on the same events
    over_rival_error: float | None
    observable: str  #: the best other observable
    over_observable: float | None
    over_observable_error: float | None
    against: str  #: the row that was asked for, in the same form if there is one
    over_against: float | None
    over_against_error: float | None
    over_against_spread: float | None
    eps_s_at_0p1: float | None
    eps_s_at_0p1_error: float | None
    eps_s_at_0p01: float | None
    eps_s_at_0p01_error: float | None
    eps_s_at_0p001: float | None
    eps_s_at_0p001_error: float | None
    max_sic: float | None
    max_sic_error: float | None
    fit_seconds: float | None
    events_per_second: float
    parameters: int | None
    n_signal: int
    n_background: int


class Entrant(NamedTuple):
    """What a row of the table is made from: one detector, signal and region.

    All lists have one item per seed.
    """

    name: str
    entry: Entry
    fits: list[Fit]
    scores: list[Scores]
    rows: list[PerformanceRow]

    @property
    def auc(self) -> float:
        """Balanced AUC, mean over seeds."""
        return float(np.mean([row.auc_balanced for row in self.rows]))


def enter(
    entries: Sequence[Entry],
    fits: Mapping[tuple[str, str], list[Fit]],
    held_out: Columns,
    *,
    background: Sequence[str],
    signal: str,
    region: str,
) -> list[Entrant]:
    """What all rows of one signal and region are made from.

    Parameters
    ----------
    fits
        (entry, signal) -> one per seed; the signal is "" for entries that know none.
    held_out
        data set -> "weight" and "region:<name>" of the events that were scored.
    """
    mine = {one.name: fits[one.name, signal if one.kind == "supervised" else ""] for one in entries}
    found = {row: Entrant(row, one, mine[one.name], [], []) for one in entries for row in one.rows}
    for i in range(max(map(len, mine.values()))):
        columns: dict[str, dict[str, Any]] = {
            name: dict(held_out[name]) for name in (*background, signal)
        }
        for row, one in found.items():
            if i < len(one.fits):
                for name, of_dataset in columns.items():
                    of_dataset[f"score:{row}"] = one.fits[i].scores[row][name]
        _add_seed(found, columns, background, signal, region)
    return list(found.values())


def _add_seed(
    found: Mapping[str, Entrant],
    columns: Columns,
    background: Sequence[str],
    signal: str,
    region: str,
) -> None:
    where: dict[str, Any] = {"signal": signal, "background": background, "region": region}
    for name in detectors(columns):
        one = scores(columns, name, **where)
        # of the same events: one copy of their weights for all
        first = next((other.scores[0] for other in found.values() if other.scores), one)
        one = first._replace(signal=one.signal, background=one.background)
        found[name].scores.append(one)
        found[name].rows.append(performance_row(name, signal, region, one))


def league_rows(
    entrants: Sequence[Entrant],
    *,
    against: str = "",
    folds: int = 1,
    fits: Mapping[str, Sequence[FitRow]] | None = None,
) -> list[LeagueRow]:
    """Rows of one signal and region, the largest significance first.

    Those without any come behind, in the order of their balanced AUC.

    Parameters
    ----------
    against
        entry that each is compared with, too.
    folds
        what the scores were cross-fitted with.
    fits
        row -> its fits, one per seed; what is not in it has no significance.
    """
    fitted = fits or {}
    rows = [
        _league_row(one, entrants, against, folds, fitted.get(one.name, ())) for one in entrants
    ]
    return sorted(rows, key=_order)


def _order(row: LeagueRow) -> tuple[bool, float, float]:
    return row.z is None, -(row.z or 0.0), -row.auc_balanced


#: Columns that are means over seeds of those of `PerformanceRow`.
_MEANS = [
    name
    for name in PerformanceRow._fields
    if name in LeagueRow._fields
    and name not in ("detector", "signal", "region", "n_signal", "n_background")
]


def _league_row(
    one: Entrant,
    entrants: Sequence[Entrant],
    against: str,
    folds: int,
    fits: Sequence[FitRow],
) -> LeagueRow:
    first = one.rows[0]
    others = [other for other in entrants if other.entry.name != one.entry.name]
    compared = {
        "rival": _best([other for other in others if other.entry.kind == "background-only"]),
        "observable": _best([other for other in others if other.entry.kind == "observable"]),
        "against": _chosen(one, entrants, against),
    }
    columns: dict[str, Any] = {
        name: _mean([getattr(row, name) for row in one.rows]) for name in _MEANS
    }
    for name, other in compared.items():
        pairs = [_difference(a, b) for a, b in _same_seed(one, other)] if other else []
        columns[name] = other.name if other else ""
        columns[f"over_{name}"] = _mean([pair.value for pair in pairs])
        columns[f"over_{name}_error"] = _mean([pair.error for pair in pairs])
        if name == "against":
            columns["over_against_spread"] = _spread([pair.value for pair in pairs])
    ceiling = _best([other for other in entrants if other.entry.kind == "supervised"])
    shares = [_share_of(a, b) for a, b in _same_seed(one, ceiling)] if ceiling else []
    return LeagueRow(
        detector=one.name,
        kind=one.entry.kind,
        signal=first.signal,
        region=first.region,
        seeds=len(one.rows),
        folds=folds,
        z=_mean([fit.z for fit in fits]),
        z_error=_mean([fit.z_error for fit in fits]),
        z_spread=_spread([fit.z for fit in fits]),
        z_cautious=_mean([fit.z_cautious for fit in fits]),
        z_cautious_error=_mean([fit.z_cautious_error for fit in fits]),
        auc_balanced_spread=_spread([row.auc_balanced for row in one.rows]),
        auc_spread=_spread([row.auc for row in one.rows]),
        of_ceiling=_mean([value for value, _ in shares]),
        of_ceiling_error=_mean([error for _, error in shares]),
        fit_seconds=_mean([fit.fit_seconds for fit in one.fits]),
        events_per_second=float(np.mean([fit.events_per_second for fit in one.fits])),
        parameters=one.fits[0].parameters,
        n_signal=first.n_signal,
        n_background=first.n_background,
        **columns,
    )


def _chosen(one: Entrant, entrants: Sequence[Entrant], against: str) -> Entrant | None:
    """The same form of the entry `against`, else its own form; never the row itself."""
    form = one.entry.rows[one.name]
    others = {other.name: other for other in entrants if other is not one}
    return others.get(f"{against}_{form}" if form else against) or others.get(against)


def _best(entrants: Sequence[Entrant]) -> Entrant | None:
    return max(entrants, key=lambda one: one.auc, default=None)


def _mean(values: Sequence[float | None]) -> float | None:
    """None if one of them is not quoted, or there are none."""
    quoted = [value for value in values if value is not None]
    return float(np.mean(quoted)) if quoted and len(quoted) == len(values) else None


def _spread(values: Sequence[float]) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def _same_seed(one: Entrant, other: Entrant) -> list[tuple[Scores, Scores]]:
    """Scores of the same seed; a detector without seeds meets every seed of the other."""
    n = max(len(one.scores), len(other.scores))
    return [
        (one.scores[i % len(one.scores)], other.scores[i % len(other.scores)]) for i in range(n)
    ]


def _difference(a: Scores, b: Scores | None) -> Auc:
    """Balanced AUC of `a` minus that of `b` (0.5 if None), same events, with DeLong's error."""
    chance = a._replace(signal=np.zeros(len(a.signal)), background=np.zeros(len(a.background)))
    return a.gain(chance if b is None else b)


def _share_of(one: Scores, ceiling: Scores) -> tuple[float | None, float | None]:
    """(AUC - 0.5) / (AUC of the ceiling - 0.5), and its error.

    The error has the correlation of the two on the same events.
    """
    mine, full, gap = _difference(one, None), _difference(ceiling, None), _difference(one, ceiling)
    if full.value <= 0:
        return None, None
    share = mine.value / full.value
    covariance = (mine.error**2 + full.error**2 - gap.error**2) / 2
    variance = mine.error**2 + (share * full.error) ** 2 - 2 * share * covariance
    return share, float(np.sqrt(max(variance, 0.0))) / full.value


def challenge_mean(one: Entrant) -> ChallengeRow:
    """Mean over seeds in the challenge's form; the region stands for the channel."""
    first = one.rows[0]
    rows = [challenge_row(first.signal, one.name, first.region, each.roc()) for each in one.scores]
    low, middle, high = (_mean([row.eps_s[i] for row in rows]) for i in range(3))
    return ChallengeRow(
        first.signal,
        one.name,
        first.region,
        float(np.mean([row.auc for row in rows])),
        (low, middle, high),
    )
