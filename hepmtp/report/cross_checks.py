"""ABCD and transfer factors of a run, beside the simultaneous fit: where they hold.

The rule: cuts and the second variable come from simulated background, and what does not close in
the validation region is the uncertainty. A score that depends on every second variable is refused,
and the table says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from hepmtp.errors import FitError, OptionError
from hepmtp.events.ragged import Floats
from hepmtp.events.region_info import named, threshold_regions
from hepmtp.report.columns import COLUMNS, load_columns
from hepmtp.report.run_workspace import Run
from hepmtp.statistics.abcd import (
    Closure,
    Estimate,
    abcd,
    abcd_workspace,
    closure_of,
    cuts_of,
    four_regions,
    second_variable,
    transfer_factor,
)
from hepmtp.statistics.compilation import compiled
from hepmtp.statistics.fits import discovery
from hepmtp.statistics.histograms import Histogram, yields
from hepmtp.statistics.performance import Columns, in_region

#: Plain observables that ABCD takes as the second variable, if the run has them as scores.
SECOND = ("met", "ht", "n_jets", "n_b", "multiplicity")


class AbcdRow(NamedTuple):
    """ABCD of a score; what could not be made is None, and `verdict` says why.

    `closure` is A D / (B C) of the background in the signal region, `validation` that in the
    validation region. `b` is the estimate, `s` the signal in A.
    """

    signal: str
    score: str
    second: str
    closure: float | None
    closure_error: float | None
    validation: float | None
    validation_error: float | None
    uncertainty: float | None
    b: float | None
    b_error: float | None
    simulated: float | None
    s: float | None
    z: float | None
    verdict: str

    @classmethod
    def refused(cls, signal: str, score: str, second: str, why: OptionError) -> AbcdRow:
        """A row without numbers."""
        return cls(
            signal, score, second, None, None, None, None, None, None, None, None, None, None,
            f"refused: {why}",
        )  # fmt: skip


def abcd_rows(run: Run, scores: Sequence[str]) -> list[AbcdRow]:
    """ABCD of some scores of a run, for each signal; nothing of a run without columns.

    The region is the first signal region; the estimate closes, or not, in the first validation
    region, with the same cuts. The significance is expected, with signal in all four regions.
    """
    regions = named(run.info.regions, "signal"), named(run.info.regions, "validation")
    if not (regions[0] and (run.folder / COLUMNS).is_file()):
        return []
    columns = load_columns(run.folder)
    return [
        _row(run, columns, score, signal, regions[0][0], regions[1][0] if regions[1] else None)
        for signal in run.info.signals
        for score in scores
        if all(f"score:{score}" in table for table in columns.values())
    ]


class TransferRow(NamedTuple):
    """Background of a signal region from the data of a control region; see `transfer_factor`.

    `closure` is data over estimate in the validation region. `observed` is None where data are
    blind.
    """

    region: str
    control: str
    simulated: float
    simulated_error: float
    estimate: float
    estimate_error: float
    closure: float | None
    closure_error: float | None
    observed: float | None


def transfer_rows(run: Run, *, unblind: bool) -> list[TransferRow]:
    """Transfer factors from the first control region with data; nothing of a run without data."""
    info = run.info
    h = run.histograms[info.detector]
    controls = [one for one in threshold_regions(info.regions) if one not in info.blind]
    if not (info.data and controls) or yields(h, info.data, controls[0]).value <= 0:
        return []
    control = controls[0]
    closure: Estimate | None = None
    for tested in named(info.regions, "validation")[:1]:
        if tested not in info.blind and (seen := yields(h, info.data, tested).value) > 0:
            made = _transferred(run, h, tested, control, 0.0)
            relative = float(np.hypot(1 / np.sqrt(seen), made.error / made.value))
            closure = Estimate(seen / made.value, relative * seen / made.value)
    missed = 0.0 if closure is None else max(abs(closure.value - 1), closure.error)
    rows = []
    for region in named(info.regions, "signal"):
        found = _transferred(run, h, region, control, missed)
        visible = unblind and region not in info.blind
        rows.append(
            TransferRow(
                region, control, *yields(h, info.background, region), *found,
                closure and closure.value, closure and closure.error,
                yields(h, info.data, region).value if visible else None,
            )
        )  # fmt: skip
    return rows


def _transferred(run: Run, h: Histogram, region: str, control: str, closure: float) -> Estimate:
    """Estimate of a region from the data of a control region."""
    there, here = (yields(h, run.info.background, one) for one in (region, control))
    return transfer_factor(
        (there.value, there.error**2), (here.value, here.error**2),
        yields(h, run.info.data, control).value, closure=closure,
    )  # fmt: skip


def _row(
    run: Run, columns: Columns, score: str, signal: str, region: str, validation: str | None
) -> AbcdRow:
    background = run.info.background
    known = [one for one in SECOND if one != score and f"score:{one}" in columns[signal]]
    table = _events(columns, background, [score, *known], region)
    try:
        second, _ = second_variable(
            table[score], {one: table[one] for one in known}, table["weight"]
        )
    except OptionError as error:
        return AbcdRow.refused(signal, score, "", error)
    cuts = cuts_of(table[score], table[second], table["weight"])
    values, closure = _closure(table, score, second, cuts)
    tested = None
    if validation is not None:
        try:
            there = _events(columns, background, [score, second], validation)
            tested = _closure(there, score, second, cuts)[1]
        except OptionError as error:
            return AbcdRow.refused(signal, score, second, error)
    judge = tested or closure
    estimate = abcd(*values[1:], closure=judge.uncertainty)
    events = _events(columns, [signal], [score, second], region)
    signals = four_regions(events[score], events[second], events["weight"], cuts)[0]
    return AbcdRow(
        signal, score, second, closure.ratio, closure.error,
        tested and tested.ratio, tested and tested.error, judge.uncertainty,
        estimate.value, estimate.error, float(values[0]), float(signals[0]),
        *_significance(values, signals, judge.uncertainty),
    )  # fmt: skip


def _significance(values: Floats, signals: Floats, closure: float) -> tuple[float | None, str]:
    """Expected significance, and what to know of it."""
    counts = dict(zip("ABCD", (values + signals).tolist(), strict=True))
    workspace = abcd_workspace(
        counts, dict(zip("ABCD", signals.tolist(), strict=True)), closure=min(closure, 0.99)
    )
    try:
        likelihood = compiled(workspace)
        return discovery(likelihood, likelihood.observed).z, "closes within its uncertainty"
    except FitError as error:
        return None, f"no fit: {error}"


def _closure(
    table: Mapping[str, Floats], score: str, second: str, cuts: tuple[float, float]
) -> tuple[Floats, Closure]:
    values, squares = four_regions(table[score], table[second], table["weight"], cuts)
    return values, closure_of(values.tolist(), squares.tolist())


def _events(
    columns: Columns, datasets: Sequence[str], scores: Sequence[str], region: str
) -> dict[str, Floats]:
    """Scores and weights of all these data sets in a region."""
    found: dict[str, Any] = {
        score: np.concatenate([in_region(columns, name, score, region)[0] for name in datasets])
        for score in scores
    }
    found["weight"] = np.concatenate(
        [in_region(columns, name, scores[0], region)[1] for name in datasets]
    )
    return found
