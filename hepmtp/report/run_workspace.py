"""A run opened for fits, and the workspace of one of its scores and signals.

The rule: data in blind regions enter no workspace.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, NamedTuple

from hepmtp.errors import OptionError
from hepmtp.events.ragged import Floats
from hepmtp.report.bound import changes
from hepmtp.report.info import RunInfo, read_json
from hepmtp.report.numbers import load_histograms
from hepmtp.report.page import read_accounting
from hepmtp.report.seal import check_run, without_digests
from hepmtp.report.story import FIT
from hepmtp.statistics.channels import Channel, choose_channels
from hepmtp.statistics.histograms import Histogram
from hepmtp.statistics.workspace import (
    Uncertainties,
    free_backgrounds,
    lacking_variations,
    make_workspace,
    simulated_variances,
)

log = logging.getLogger(__name__)
#: A smaller share of analysed background events is said, with what helps.
FEW = 0.9


class Run(NamedTuple):
    """What a run's folder holds for a fit."""

    folder: Path
    info: RunInfo
    histograms: dict[str, Histogram]


def open_run(folder: str | Path) -> Run:
    """What `hepmtp run` or `hepmtp demo` wrote, for fits.

    Raises
    ------
    StorageError
        if the folder is none of a finished run, or its files have changed; a fit is not looked at.
    """
    info = check_run(folder, but=(FIT,))
    for sentence in changes(info):
        log.warning("%s", sentence)
    with without_digests(folder, info):
        return Run(Path(folder), info, load_histograms(folder))


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
    return prepared(
        run, signal_named(run, signal), detector or run.info.detector, validation=validation,
        uncertainties=uncertainties or Uncertainties(), unblind=unblind,
    )[0]  # fmt: skip


def prepared(
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
    hidden = sorted({one.region for one in channels} & blind_of(info))
    if data and hidden:
        raise OptionError(
            f"the data of {run.folder} are blind in {', '.join(hidden)}, so the folder does not "
            "hold them: run again with --unblind, and fit that"
        )
    made = make_workspace(
        run.histograms, channels, background=info.background, signal=signal, data=data,
        uncertainties=uncertainties,
    )  # fmt: skip
    if uncertainties.variations is None and (
        lacking := lacking_variations(run.histograms, channels)
    ):
        said.append(
            f"The histograms lack the variations {', '.join(lacking)}: the simulation is believed "
            "in that without an uncertainty, and every significance here is too large. Run again "
            "with --variations weights."
        )
    free = free_backgrounds(info.background, channels, uncertainties.free)
    said.append(
        f"Normalisations that are fitted: {', '.join(free) or 'none'}; all other backgrounds have "
        "an uncertainty on their cross-section."
    )
    variances = simulated_variances(run.histograms, channels, [*info.background, signal])
    return made, channels, variances, said


def blind_of(info: RunInfo) -> set[str]:
    """Blind regions, and their parts."""
    blind = set(info.blind)
    return blind | {one.name for one in info.regions if one.part_of in blind}


def signal_named(run: Run, name: str | None) -> str:
    """The signal of this name, or the only one; OptionError with those that there are."""
    known = run.info.signals
    if name is None and len(known) == 1:
        return known[0]
    if name is None or name not in known:
        raise OptionError(
            f"{run.folder}: the signal is {name!r}; name one of {', '.join(known) or '(none)'}"
        )
    return name


def _analysed(run: Run) -> float:
    """The share of the background events that were read and had trained nothing; 1 if unknown."""
    accounts = read_accounting(run.folder)
    read = sum(accounts[one].events_read for one in run.info.background if one in accounts)
    cutflow = read_json(run.folder / "cutflow.json")
    left = sum(cutflow.get(one, {}).get("all", {}).get("raw", 0) for one in run.info.background)
    return left / read if read else 1.0


def remarks_of(run: Run, unblind: bool) -> list[str]:
    """What to know of a run before it is fitted."""
    info, said = run.info, [f"Incomplete: {one}" for one in run.info.incomplete]
    if info.content != "Events":
        said.append(
            "Weights of this run are not known to be events. A fit takes them for events: give "
            "cross-section and luminosity, or its numbers mean nothing."
        )
    if (share := _analysed(run)) < FEW:
        said.append(
            f"Only {100 * share:.0f} % of the background events are analysed, as the others have "
            "trained a detector. All are, and errors shrink, after training with folds "
            "(hepmtp train --folds 5)."
        )
    if info.data and not unblind:
        said.append("Data are blind: all numbers are expected ones.")
    if unblind and not info.data:
        said.append("The run has no data: all numbers are expected ones.")
    return said
