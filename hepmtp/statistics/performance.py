"""How every detector separates every signal from the background: one table from the events' own scores.

The rule: detectors are compared on the same events, with raw counts and errors, and each with a plain reference
observable (the multiplicity), so that the table answers whether a model sees more than the number of particles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hepmtp.errors import ScoreError
from hepmtp.statistics.metrics import (
    Roc,
    auc,
    auc_difference,
    balanced_weights,
    max_sic,
    roc,
    working_point,
)

#: ``out["columns"]`` of the processor: data set -> column name -> column_accumulator or array, one row per event.
Columns = Mapping[str, Mapping[str, Any]]


class Scores(NamedTuple):
    """Scores and weights of one detector in one region; arrays (n_signal,) and (n_background,)."""

    signal: NDArray[np.float64]
    background: NDArray[np.float64]
    signal_weight: NDArray[np.float64]
    background_weight: NDArray[np.float64]
    balanced_weight: NDArray[np.float64]  #: of the background, every data set the same sum

    def roc(self) -> Roc:
        """The ROC, weighted by cross-section."""
        weights = {"signal_weight": self.signal_weight, "background_weight": self.background_weight}
        return roc(self.signal, self.background, **weights)


class PerformanceRow(NamedTuple):
    """One detector, signal and region. Working points and `max_sic` are weighted by cross-section."""

    detector: str
    signal: str
    region: str
    auc_balanced: float  #: every background process the same weight
    auc_balanced_error: float
    auc: float  #: weighted by cross-section
    auc_error: float
    gain: float | None  #: balanced AUC minus that of the reference detector on the same events
    gain_error: float | None
    eps_s_at_0p1: float | None
    eps_s_at_0p1_error: float | None
    eps_s_at_0p01: float | None
    eps_s_at_0p01_error: float | None
    eps_s_at_0p001: float | None
    eps_s_at_0p001_error: float | None
    max_sic: float | None
    max_sic_error: float | None
    n_signal: int
    n_background: int


def detectors(columns: Columns) -> list[str]:
    """Names of the detectors that have a column, in the order of the columns."""
    found = dict.fromkeys(
        key for data in columns.values() for key in data if key.startswith("score:")
    )
    return [key.removeprefix("score:") for key in found]


def scores(
    columns: Columns, detector: str, *, signal: str, background: Sequence[str], region: str = "SR"
) -> Scores:
    """Scores of one signal and the background data sets in a region.

    Raises
    ------
    ScoreError
        if a data set or column is missing, or the region holds no event of the signal or of the background.
    """
    if not background:
        raise ScoreError(
            f"detector {detector!r}: no background data sets were named; there is nothing to separate from"
        )
    s, ws = _column(columns, signal, detector, region)
    parts = [_column(columns, name, detector, region) for name in background]
    process = np.repeat(list(background), [len(score) for score, _ in parts])
    b, wb = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    if not (len(s) and len(b)):
        raise ScoreError(
            f"region {region} holds {len(s)} events of {signal} and {len(b)} of the background"
        )
    return Scores(s, b, ws, wb, balanced_weights(process, wb))


def performance(
    columns: Columns,
    *,
    background: Sequence[str],
    signals: Sequence[str],
    regions: Sequence[str] = ("SR",),
    reference: str = "multiplicity",
) -> list[PerformanceRow]:
    """The table of all detectors: AUC, eps_S at eps_B = 0.1, 0.01, 0.001 and the largest significance improvement.

    Parameters
    ----------
    columns
        ``out["columns"]`` of the processor.
    background, signals
        names of the data sets; each signal is taken alone.
    reference
        detector that `gain` is measured against; None in its own row, and in every row if it is not there.

    Notes
    -----
    Errors of AUCs are Hanley and McNeil's, that of `gain` is DeLong's for correlated scores (see `metrics`).
    """
    rows = []
    for region in regions:
        for signal in signals:
            found = {
                name: scores(columns, name, signal=signal, background=background, region=region)
                for name in detectors(columns)
            }
            rows += [
                _row(name, signal, region, one, found.get(reference)) for name, one in found.items()
            ]
    return rows


def _row(
    detector: str, signal: str, region: str, one: Scores, reference: Scores | None
) -> PerformanceRow:
    ws = one.signal_weight
    balanced = auc(
        one.signal, one.background, signal_weight=ws, background_weight=one.balanced_weight
    )
    weighted = auc(
        one.signal, one.background, signal_weight=ws, background_weight=one.background_weight
    )
    gain = None
    if reference is not None and reference is not one:
        gain = auc_difference(
            (one.signal, reference.signal),
            (one.background, reference.background),
            signal_weight=ws,
            background_weight=one.balanced_weight,
        )
    curve = one.roc()
    loose, middle, tight = (working_point(curve, eps_b) for eps_b in (0.1, 0.01, 0.001))
    sic = max_sic(curve)
    return PerformanceRow(
        detector=detector,
        signal=signal,
        region=region,
        auc_balanced=balanced.value,
        auc_balanced_error=balanced.error,
        auc=weighted.value,
        auc_error=weighted.error,
        gain=gain and gain.value,
        gain_error=gain and gain.error,
        eps_s_at_0p1=loose.eps_s,
        eps_s_at_0p1_error=loose.eps_s_error,
        eps_s_at_0p01=middle.eps_s,
        eps_s_at_0p01_error=middle.eps_s_error,
        eps_s_at_0p001=tight.eps_s,
        eps_s_at_0p001_error=tight.eps_s_error,
        max_sic=sic and sic.si,
        max_sic_error=sic and sic.si_error,
        n_signal=weighted.n_signal,
        n_background=weighted.n_background,
    )


def _column(
    columns: Columns, dataset: str, detector: str, region: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(score, weight) of one data set in a region, shapes (n_events,)."""
    if dataset not in columns:
        raise ScoreError(
            f"there are no score columns of dataset {dataset!r}; there are {', '.join(columns) or 'none'}"
        )
    found = columns[dataset]
    keys = (f"score:{detector}", "weight", f"region:{region}")
    missing = [key for key in keys if key not in found]
    if missing:
        raise ScoreError(
            f"dataset {dataset!r} has no column {missing[0]!r}; it has {', '.join(found)}"
        )
    score, weight, inside = (np.asarray(getattr(found[key], "value", found[key])) for key in keys)
    inside = inside.astype(bool)
    return score[inside].astype(np.float64), weight[inside].astype(np.float64)
