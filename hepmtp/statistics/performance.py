"""How every detector separates every signal from the background: a table from the events' scores.

The rule: detectors are compared on the same events, with raw counts and errors. Each is compared
with a plain observable, the multiplicity: does a model see more than a count of particles?
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hepmtp.errors import ScoreError
from hepmtp.events.ragged import Floats
from hepmtp.statistics.metrics import Auc, Roc, auc, auc_difference, balanced_weights, roc
from hepmtp.statistics.working_points import max_sic, working_point

#: The processor's ``out["columns"]``, one row per event:
#: data set -> column name -> column_accumulator or array.
Columns = Mapping[str, Mapping[str, Any]]


def values_of(column: Any) -> NDArray[Any]:
    """The values of a column, one per event, whether an accumulator holds them or not."""
    return np.asarray(getattr(column, "value", column))


class Scores(NamedTuple):
    """Scores and weights of a detector in a region; arrays (n_signal,) and (n_background,)."""

    signal: Floats
    background: Floats
    signal_weight: Floats
    background_weight: Floats
    balanced_weight: Floats  #: of the background, every data set the same sum

    def roc(self) -> Roc:
        """The ROC, weighted by cross-section."""
        return roc(self.signal, self.background, **self._weights(balanced=False))

    def auc(self, *, balanced: bool) -> Auc:
        """Its area; balanced: every background process the same weight."""
        return auc(self.signal, self.background, **self._weights(balanced=balanced))

    def gain(self, other: Scores) -> Auc:
        """Balanced AUC minus that of another detector on the same events."""
        signal, background = (self.signal, other.signal), (self.background, other.background)
        return auc_difference(signal, background, **self._weights(balanced=True))

    def _weights(self, *, balanced: bool) -> dict[str, Floats]:
        background = self.balanced_weight if balanced else self.background_weight
        return {"signal_weight": self.signal_weight, "background_weight": background}


class PerformanceRow(NamedTuple):
    """One detector, signal and region; working points and `max_sic` by cross-section."""

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
    columns: Columns, detector: str, *, signal: str, background: Sequence[str], region: str
) -> Scores:
    """Scores of one signal and the background data sets in a region.

    Raises
    ------
    ScoreError
        if a data set or column is missing, or the region holds no signal or no background.
    """
    if not background:
        raise ScoreError(
            f"detector {detector!r}: no background data sets were named; "
            "there is nothing to separate from"
        )
    s, ws = in_region(columns, signal, detector, region)
    parts = [in_region(columns, name, detector, region) for name in background]
    process = np.repeat(np.arange(len(parts)), [len(score) for score, _ in parts])
    b, wb = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    if not (len(s) and len(b)):
        raise ScoreError(
            f"region {region} holds {len(s)} events of {signal} and {len(b)} of the background"
        )
    return Scores(s, b, ws, wb, balanced_weights(process, wb, names=background))


def performance(
    columns: Columns,
    *,
    background: Sequence[str],
    signals: Sequence[str],
    regions: Sequence[str],
    reference: str = "multiplicity",
) -> list[PerformanceRow]:
    """The table of all detectors: AUC, eps_S at eps_B = 0.1, 0.01, 0.001 and largest SIC.

    Parameters
    ----------
    columns
        ``out["columns"]`` of the processor.
    background, signals
        names of the data sets; each signal is taken alone.
    reference
        detector that `gain` is measured against; in its own row, and without it, `gain` is None.

    Notes
    -----
    Errors of AUCs are Hanley and McNeil's; that of `gain` is DeLong's for correlated scores.
    """
    rows = []
    for region in regions:
        for signal in signals:
            found = {
                name: scores(columns, name, signal=signal, background=background, region=region)
                for name in detectors(columns)
            }
            rows += [
                performance_row(name, signal, region, one, found.get(reference))
                for name, one in found.items()
            ]
    return rows


def in_region(columns: Columns, dataset: str, detector: str, region: str) -> tuple[Floats, Floats]:
    """(score, weight) of one data set in a region, shapes (n_events,)."""
    if dataset not in columns:
        raise ScoreError(
            f"there are no score columns of dataset {dataset!r}; "
            f"there are {', '.join(columns) or 'none'}"
        )
    found = columns[dataset]
    keys = (f"score:{detector}", "weight", f"region:{region}")
    missing = [key for key in keys if key not in found]
    if missing:
        raise ScoreError(
            f"dataset {dataset!r} has no column {missing[0]!r}; it has {', '.join(found)}"
        )
    score, weight, inside = (values_of(found[key]) for key in keys)
    inside = inside.astype(bool)
    return score[inside].astype(np.float64), weight[inside].astype(np.float64)


def performance_row(
    detector: str, signal: str, region: str, one: Scores, reference: Scores | None = None
) -> PerformanceRow:
    """The row of `performance` of one detector's scores, with the `gain` over a reference."""
    balanced, weighted = one.auc(balanced=True), one.auc(balanced=False)
    gain = one.gain(reference) if reference is not None and reference is not one else None
    curve = one.roc()
    sic = max_sic(curve)
    points: dict[str, Any] = {}
    for name, eps_b in (("0p1", 0.1), ("0p01", 0.01), ("0p001", 0.001)):
        point = working_point(curve, eps_b)
        points |= {f"eps_s_at_{name}": point.eps_s, f"eps_s_at_{name}_error": point.eps_s_error}
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
        **points,
        max_sic=sic and sic.si,
        max_sic_error=sic and sic.si_error,
        n_signal=weighted.n_signal,
        n_background=weighted.n_background,
    )
