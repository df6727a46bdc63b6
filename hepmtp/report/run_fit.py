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
from hepmtp.report.folder import load_histograms
from hepmtp.report.info import RunInfo, read_info
from hepmtp.statistics.channels import (
    LEAST_EVENTS,
    LEAST_SHARE,
    MOST_BINS,
    Channel,
    choose_channels,
    contents,
)
from hepmtp.statistics.compilation import compiled
from hepmtp.statistics.fits import discovery
from hepmtp.statistics.histograms import Histogram
from hepmtp.statistics.predictions import (
    Prediction,
    VisibleLimit,
    control_fit,
    predictions,
    visible_limits,
)
from hepmtp.statistics.results import FitResult, fit
from hepmtp.statistics.workspace import (
    Uncertainties,
    free_backgrounds,
    lacking_steps,
    make_workspace,
    simulated_variances,
)

#: Changes when bins, channels or uncertainties do, so that numbers before and after differ.
PROTOCOL = 1
#: The fit without any score, which every fit is shown beside: counts of jets and b-jets.
NO_SCORE = "n_jets"
#: Relative uncertainty on each other cross-section: the usual one, and a cautious one.
USUAL, CAUTIOUS = 0.10, 0.30


class Run(NamedTuple):
    """What a run's folder holds for a fit."""

    folder: Path
    info: RunInfo
    histograms: dict[str, Histogram]


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

    `predictions` and `visible` are of the run's own score; `full` of it and of no score.
    """

    rows: list[FitRow]
    full: list[FullFit]
    predictions: list[Prediction]
    visible: list[VisibleLimit]
    remarks: list[str]
    protocol: dict[str, Any]
    observed: bool


def open_run(folder: str | Path) -> Run:
    """What `hepmtp run` or `hepmtp demo` wrote, for fits.

    Raises
    ------
    StorageError
        if the folder is none of a finished run.
    """
    return Run(Path(folder), read_info(folder), load_histograms(folder))


def workspace(
    run: Run | str | Path,
    *,
    signal: str | None = None,
    detector: str | None = None,
    validation: bool = True,
    uncertainties: Uncertainties | None = None,
    unblind: bool = False,
) -> dict[str, Any]:
    """The HistFactory workspace of a run, as pyhf, cabinetry and others read it.

    Parameters
    ----------
    run
        what `open_run` gave, or its folder.
    signal
        name of a data set; may be left out if the run has only one.
    detector
        whose score is fitted; by default the one that the run is about.
    validation
        False holds out the validation regions.
    uncertainties
        sizes of what no histogram holds.
    unblind
        the observations are data, in all channels; else Asimov data of the background.

    Raises
    ------
    OptionError
        for a signal, detector or uncertainty that does not exist, or data that are blind.
    """
    run = run if isinstance(run, Run) else open_run(run)
    return _prepared(
        run, _signal(run, signal), detector or run.info.detector, validation=validation,
        uncertainties=uncertainties or Uncertainties(), unblind=unblind,
    )[0]  # fmt: skip


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
    signals = [_signal(run, one) for one in signals] or list(run.info.signals)
    if not signals:
        raise OptionError(f"{run.folder} has no data set of role signal: nothing to look for")
    about = detectors[0] if detectors else run.info.detector
    scores = list(dict.fromkeys([about, *(detectors or sorted(run.histograms))]))
    if NO_SCORE in run.histograms and NO_SCORE not in scores:
        scores.append(NO_SCORE)
    rows: list[FitRow] = []
    full: list[FullFit] = []
    remarks = dict.fromkeys(_remarks(run, unblind))
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
    predicted, visible = _predicted(run, own, unblind=unblind)
    kept = protocol(usual, cautious, validation=validation)
    return RunFit(
        rows, full, predicted, visible, list(remarks), kept, unblind and bool(run.info.data)
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
        run, _signal(run, signal), detector or run.info.detector,
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
    """Significances at both uncertainties, and what `_prepared` gave for the usual one."""
    made, channels, variances, said = _prepared(
        run, signal, score, validation=validation, uncertainties=usual, unblind=unblind
    )
    likelihood = compiled(made)
    first = discovery(likelihood, variances=variances)
    wider = _prepared(
        run, signal, score, validation=validation, uncertainties=wary, unblind=unblind
    )[0]
    second = discovery(compiled(wider), variances=variances)
    row = FitRow(
        signal, score, first.z, first.z_error or 0.0, second.z, second.z_error or 0.0,
        len(likelihood.bins),
    )  # fmt: skip
    return row, made, channels, variances, said


def _prepared(
    run: Run,
    signal: str,
    detector: str,
    *,
    validation: bool,
    uncertainties: Uncertainties,
    unblind: bool,
) -> tuple[dict[str, Any], list[Channel], Floats, list[str]]:
    """Workspace, channels, variances of the simulated events, and what to know of them."""
    info = run.info
    found = choose_channels(
        run.histograms, info.regions, detector, info.background,
        validation=validation, overlaps=info.overlaps,
    )  # fmt: skip
    channels, said = found.channels, list(found.remarks)
    data = list(info.data) if unblind else []
    hidden = sorted({one.region for one in channels} & _blind(info))
    if data and hidden:
        raise OptionError(
            f"the data of {run.folder} are blind in {', '.join(hidden)}, so the folder does not "
            "hold them: run again with --unblind, and fit that"
        )
    made = make_workspace(
        run.histograms, channels, background=info.background, signal=signal, data=data,
        uncertainties=uncertainties,
    )  # fmt: skip
    if uncertainties.variations is None and (lacking := lacking_steps(run.histograms, channels)):
        said.append(
            f"The histograms lack the variations {', '.join(lacking)}: numbers of jets and b-jets "
            "are taken from the simulation without an uncertainty, and every significance here is "
            "too large. Run again with --variations weights."
        )
    free = free_backgrounds(info.background, channels, uncertainties.free)
    said.append(
        f"Normalisations that are fitted: {', '.join(free) or 'none'}; all other backgrounds have "
        "an uncertainty on their cross-section."
    )
    variances = simulated_variances(run.histograms, channels, [*info.background, signal])
    return made, channels, variances, said


def _predicted(
    run: Run, own: FullFit, *, unblind: bool
) -> tuple[list[Prediction], list[VisibleLimit]]:
    """Background as the control regions predict it, from data where they may be looked at."""
    if all(one.purpose == "signal" for one in own.channels):
        return [], []
    likelihood = compiled(own.workspace)
    seen = None
    if run.info.data and not {
        one.region for one in own.channels if one.purpose != "signal"
    } & _blind(run.info):
        counts = [contents(c, run.histograms[c.histogram], run.info.data)[0] for c in own.channels]
        seen = np.concatenate(counts)
    fitted = control_fit(likelihood, own.channels, seen)
    rows = predictions(likelihood, own.channels, run.histograms, fitted, seen if unblind else None)
    luminosity = (run.info.caption or {}).get("luminosity")
    return rows, visible_limits(rows, own.score, luminosity=luminosity)


def _blind(info: RunInfo) -> set[str]:
    """Blind regions, and their parts."""
    blind = set(info.blind)
    return blind | {one.name for one in info.regions if one.part_of in blind}


def _signal(run: Run, name: str | None) -> str:
    known = run.info.signals
    if name is None and len(known) == 1:
        return known[0]
    if name is None or name not in known:
        raise OptionError(
            f"{run.folder}: the signal is {name!r}; name one of {', '.join(known) or '(none)'}"
        )
    return name


def _remarks(run: Run, unblind: bool) -> list[str]:
    """What to know of a run before it is fitted."""
    info, said = run.info, [f"Incomplete: {one}" for one in run.info.incomplete]
    if info.content != "Events":
        said.append(
            "Weights of this run are not known to be events. A fit takes them for events: give "
            "cross-section and luminosity, or its numbers mean nothing."
        )
    if info.data and not unblind:
        said.append("Data are blind: all numbers are expected ones.")
    if unblind and not info.data:
        said.append("The run has no data: all numbers are expected ones.")
    return said
