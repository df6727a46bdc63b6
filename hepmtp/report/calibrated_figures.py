"""The figure of a run's calibrated score: how well the control region predicts the signal region.

The rule: its normalisation is that of the control regions' fit where there is one, and the caption
says which it is. Ratios are of shares, which no fit of normalisations to whole regions moves alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hepmtp import plotting
from hepmtp.events.region_info import named, threshold_regions, wholes
from hepmtp.plotting.names import words
from hepmtp.report.drawn_figures import Drawn, caption_of
from hepmtp.report.info import RunInfo
from hepmtp.report.problems import holds
from hepmtp.report.story import CALIBRATED
from hepmtp.report.tables import rounded
from hepmtp.statistics.flatness import UPPER, flatness, shares
from hepmtp.statistics.histograms import Histogram

#: Region -> data set -> events after a fit.
Expected = Mapping[str, Mapping[str, float]]


def calibrated_of(histograms: Mapping[str, Histogram], info: RunInfo) -> Histogram | None:
    """The calibrated form of the score that a run is about, or else of the first that has one."""
    ending = f"_{CALIBRATED}"
    found = [name for name in histograms if name.endswith(ending)]
    own = f"{info.detector}{ending}"
    return histograms[own if own in found else found[0]] if found else None


def compared_regions(h: Histogram, info: RunInfo) -> list[str]:
    """The first control, the validation and the first signal regions; none without two of them."""
    filled = [one for one in wholes(info.regions) if holds(h, info.background, one.name)]
    controls, signals = threshold_regions(filled)[:1], named(filled, "signal")[:1]
    if not (controls and signals):
        return []
    return [*controls, *named(filled, "validation"), *signals]


def calibrated(
    h: Histogram,
    info: RunInfo,
    *,
    replicas: Histogram | None,
    expected: Expected | None = None,
) -> Drawn:
    """The calibrated score by region; for background its shares are to be the same.

    Parameters
    ----------
    replicas
        of the calibration, for the band.
    expected
        events after the fit of the control regions; without it, shares of the regions are drawn.
    """
    regions = compared_regions(h, info)
    given = expected or {}
    signals = [one for one in info.signals if holds(h, [one], regions[-1])]
    of_each = [
        shares(h, one, datasets=info.background, replicas=replicas, expected=given.get(one))
        for one in (regions[-1], regions[0])
    ]
    parts = [flatness(*of_each, upper=one) for one in UPPER]
    measured = ", ".join(
        f"{rounded(one.ratio, float(np.hypot(one.error, one.calibration_error)))} in the upper "
        f"{100 * one.upper:g} % (p = {one.p_value:.2g})"
        for one in parts
    )
    figure = plotting.calibrated_score(
        h,
        regions,
        background=info.background,
        signals=signals,
        replicas=replicas,
        expected=expected,
        names=info.labels,
        content=info.content,
        caption=caption_of(info),
    )
    of_what = str(h.name).removesuffix(f"_{CALIBRATED}")
    text = (
        f"{words(of_what)}, calibrated: background is flat where {regions[0]} predicts "
        f"{regions[-1]}, and {regions[-1]} over {regions[0]} is {measured}"
    )
    if expected is not None:
        text += "; background is that of the fit of the control regions"
        text += "" if info.data else ", which without data leaves it as simulated"
        if out := [one for one in regions if one not in expected]:
            text += f"; {', '.join(out)} took no part in it"
    return figure, f"{text}." if replicas is not None else f"{text}; its own error is not known."
