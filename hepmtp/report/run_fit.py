"""A run is fitted: a workspace for each score and signal, and the numbers that come out of it.

The rule: data in blind regions enter no fit. Bins, channels and uncertainties are those of the
protocol, whose version is kept beside the numbers, so that they can be compared over time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hepmtp.errors import OptionError
from hepmtp.events.ragged import Floats
from hepmtp.report.run_workspace import Run, blind_of, open_run, prepared, remarks_of, signal_named
from hepmtp.statistics.channels import (
    LEAST_EVENTS,
    LEAST_SHARE,
    MOST_BINS,
    Channel,
    contents,
    in_common_bins,
)
from hepmtp.statistics.compilation import compiled
from hepmtp.statistics.fits import discovery
from hepmtp.statistics.predictions import (
    Prediction,
    VisibleLimit,
    control_fit,
    events_by_region,
    predictions,
    visible_limits,
)
from hepmtp.statistics.results import FitResult, fit
from hepmtp.statistics.workspace import Uncertainties, make_workspace

#: Changes when bins, channels or uncertainties do, so that numbers before and after differ.
PROTOCOL = 2
#: The fit without any score, which every fit is shown beside: counts of jets and b-jets.
NO_SCORE = "n_jets"
#: Relative uncertainty on each other cross-section: the usual one, and a cautious one.
USUAL, CAUTIOUS = 0.10, 0.30


class FitRow(NamedTuple):
    """Expected significance of a score for a signal, with the error by the simulated events.

    `z` and `z_cautious` are those at the usual and at the cautious uncertainty on cross-sections.
    """

    signal: str
    score: str
    z: float
    z_error: float
    z_cautious: float
    z_cautious_error: float
    bins: int


class FullFit(NamedTuple):
    """A score fitted in all respects; see `FitResult`."""

    score: str
    workspace: dict[str, Any]
    channels: list[Channel]
    result: FitResult


class RunFit(NamedTuple):
    """All fits of a run: `rows` in order of the significance, the strongest first.

    `predictions`, `expected` and `visible` are of the run's own score, `full` of it and of no
    score. `expected` are events of each region and background as the control regions predict them.
    """

    rows: list[FitRow]
    full: list[FullFit]
    predictions: list[Prediction]
    expected: dict[str, dict[str, float]]
    visible: list[VisibleLimit]
    remarks: list[str]
    protocol: dict[str, Any]
    observed: bool


def fit_run(
    run: Run | str | Path,
    *,
    signals: Sequence[str] = (),
    detectors: Sequence[str] = (),
    validation: bool = True,
    uncertainties: Uncertainties | None = None,
    cautious: float = CAUTIOUS,
    unblind: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> RunFit:
    """Fit all scores of a run for all its signals; the run's own score in all respects.

    Parameters
    ----------
    run
        what `open_run` gave, or its folder.
    signals, detectors
        names; all by default. The fit without any score is always there, if the run has `n_jets`.
    validation, uncertainties, unblind
        see `workspace`.
    cautious
        uncertainty on cross-sections of the second column of significances.
    progress
        called with a text, fits done and fits wanted.
    """
    run = run if isinstance(run, Run) else open_run(run)
    usual = uncertainties or Uncertainties(cross_section=USUAL)
    wary = replace(usual, cross_section=cautious)
    signals = [signal_named(run, one) for one in signals] or list(run.info.signals)
    if not signals:
        raise OptionError(f"{run.folder} has no data set of role signal: nothing to look for")
    about = detectors[0] if detectors else run.info.detector
    scores = list(dict.fromkeys([about, *(detectors or sorted(run.histograms))]))
    if NO_SCORE in run.histograms and NO_SCORE not in scores:
        scores.append(NO_SCORE)
    rows: list[FitRow] = []
    full: list[FullFit] = []
    remarks = dict.fromkeys(remarks_of(run, unblind))
    total = len(signals) * len(scores)
    for signal in signals:
        for score in scores:
            if progress is not None:
                progress(f"{score}, {signal}", len(rows), total)
            how = {"validation": validation, "unblind": unblind}
            one, made, channels, variances, said = _row(run, signal, score, usual, wary, **how)
            remarks |= dict.fromkeys(said)
            rows.append(one)
            if score in {about, NO_SCORE}:
                found = fit(made, data=unblind and bool(run.info.data), variances=variances)
                full.append(FullFit(score, made, channels, found))
    order = {name: place for place, name in enumerate(signals)}
    rows.sort(key=lambda row: (order[row.signal], -row.z))
    own = next(one for one in full if one.score == about)
    predicted, expected, visible = _predicted(run, own, signals[0], usual, unblind=unblind)
    kept = protocol(usual, cautious, validation=validation)
    return RunFit(
        rows,
        full,
        predicted,
        expected,
        visible,
        list(remarks),
        kept,
        unblind and bool(run.info.data),
    )


def significance(
    run: Run | str | Path,
    *,
    signal: str | None = None,
    detector: str | None = None,
    validation: bool = True,
    uncertainties: Uncertainties | None = None,
    cautious: float = CAUTIOUS,
) -> FitRow:
    """Expected significance of one score for one signal: a row of `fit_run`, and no more.

    Parameters
    ----------
    run, signal, detector, validation, uncertainties
        see `workspace`.
    cautious
        see `fit_run`.

    Raises
    ------
    OptionError
        for a signal, detector or uncertainty that does not exist.
    FitError
        if the fit does not converge.
    """
    run = run if isinstance(run, Run) else open_run(run)
    usual = uncertainties or Uncertainties(cross_section=USUAL)
    return _row(
        run, signal_named(run, signal), detector or run.info.detector,
        usual, replace(usual, cross_section=cautious), validation=validation, unblind=False,
    )[0]  # fmt: skip


def protocol(uncertainties: Uncertainties, cautious: float, *, validation: bool) -> dict[str, Any]:
    """What numbers of a fit depend on, as plain data."""
    return {
        "version": PROTOCOL,
        "bins": {
            "rule": "geometric in the share of background, chosen on background in the whole "
            "signal region; a bin with too few effective events joins the one below it",
            "most": MOST_BINS,
            "least effective events": LEAST_EVENTS,
            "least share": LEAST_SHARE,
        },
        "test statistic": "q0 of the Asimov data set of mu = 1; q-tilde for limits, asymptotic",
        "cross-sections": [uncertainties.cross_section, cautious],
        "luminosity": uncertainties.luminosity,
        "signal cross-section": uncertainties.signal_cross_section,
        "free": uncertainties.free,
        "variations": uncertainties.variations,
        "validation regions in the fit": validation,
    }


def _row(
    run: Run,
    signal: str,
    score: str,
    usual: Uncertainties,
    wary: Uncertainties,
    *,
    validation: bool,
    unblind: bool,
) -> tuple[FitRow, dict[str, Any], list[Channel], Floats, list[str]]:
    """Significances at both uncertainties, and what `prepared` gave for the usual one."""
    made, channels, variances, said = prepared(
        run, signal, score, validation=validation, uncertainties=usual, unblind=unblind
    )
    likelihood = compiled(made)
    first = discovery(likelihood, variances=variances)
    wider = prepared(
        run, signal, score, validation=validation, uncertainties=wary, unblind=unblind
    )[0]
    second = discovery(compiled(wider), variances=variances)
    row = FitRow(
        signal, score, first.z, first.z_error or 0.0, second.z, second.z_error or 0.0,
        len(likelihood.bins),
    )  # fmt: skip
    return row, made, channels, variances, said


def _predicted(
    run: Run, own: FullFit, signal: str, uncertainties: Uncertainties, *, unblind: bool
) -> tuple[list[Prediction], dict[str, dict[str, float]], list[VisibleLimit]]:
    """Background as the control regions predict it, from data where they may be looked at."""
    if all(one.purpose == "signal" for one in own.channels):
        return [], {}, []
    channels = in_common_bins(own.channels, run.histograms, run.info.background)
    likelihood = compiled(
        make_workspace(
            run.histograms, channels, background=run.info.background, signal=signal,
            uncertainties=uncertainties,
        )
    )  # fmt: skip
    seen = None
    if run.info.data and not {one.region for one in channels if one.purpose != "signal"} & blind_of(
        run.info
    ):
        counts = [contents(c, run.histograms[c.histogram], run.info.data)[0] for c in channels]
        seen = np.concatenate(counts)
    fitted = control_fit(likelihood, channels, seen)
    rows = predictions(likelihood, channels, run.histograms, fitted, seen if unblind else None)
    luminosity = (run.info.caption or {}).get("luminosity")
    expected = events_by_region(likelihood, channels, fitted)
    return rows, expected, visible_limits(rows, own.score, luminosity=luminosity)
