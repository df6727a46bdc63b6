"""Background of the signal regions as the control regions predict it, and limits on anything above.

The rule: the signal regions do not enter the fit that predicts them. A limit on the visible
cross-section knows no signal: it holds for whatever adds events above a threshold of the score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from hepmtp.errors import OptionError
from hepmtp.events.ragged import Bools, Floats
from hepmtp.statistics.channels import Channel
from hepmtp.statistics.fits import covariance_before, error_of_sum
from hepmtp.statistics.histograms import Histogram
from hepmtp.statistics.likelihood import Likelihood
from hepmtp.statistics.limits import counting_limit
from hepmtp.statistics.minimum import Fit, minimise
from hepmtp.statistics.results import in_channels, signal_of, without_signal


class Prediction(NamedTuple):
    """Background of a region above a threshold: simulated, and predicted by control regions.

    `threshold` is a value of the score; None for all of the region. `observed` is None if nothing
    was looked at.
    """

    region: str
    threshold: float | None
    simulated: float
    simulated_error: float
    predicted: float
    predicted_error: float
    observed: float | None


class VisibleLimit(NamedTuple):
    """Upper limits at 95 % CL on events of any signal above a threshold, and in femtobarn.

    The latter are cross-section times acceptance and efficiency; None if no luminosity is known.
    """

    region: str
    score: str
    threshold: float
    background: float
    background_error: float
    observed: float | None
    expected_events: float
    minus_one: float
    plus_one: float
    observed_events: float | None
    expected_fb: float | None
    observed_fb: float | None


def control_fit(
    likelihood: Likelihood, channels: Sequence[Channel], data: Floats | None = None
) -> Fit:
    """Fit of the background alone to the channels that are no signal region.

    Parameters
    ----------
    data
        counts, (n_bins,), of which those of signal regions are not looked at; by default the
        nominal background, for the errors that the fit would have.

    Raises
    ------
    OptionError
        if all channels are signal regions: nothing predicts them.
    """
    controls = {one.name for one in channels if one.purpose != "signal"}
    if not controls:
        raise OptionError("the run has no control region, so nothing predicts its signal region")
    used = in_channels(likelihood, controls)
    background = without_signal(likelihood, signal_of(likelihood))
    counts = background.expected(background.centre) if data is None else data
    return minimise(background, counts, fixed={likelihood.poi: 0.0}, used=used)


def predictions(
    likelihood: Likelihood,
    channels: Sequence[Channel],
    histograms: Mapping[str, Histogram],
    fit: Fit,
    data: Floats | None = None,
) -> list[Prediction]:
    """Background of every channel and whole region, and of signal regions above each threshold."""
    background = without_signal(likelihood, signal_of(likelihood))
    before = covariance_before(background)
    rows = []
    for region, threshold, used in _tails(likelihood, channels, histograms):
        rows.append(
            Prediction(
                region, threshold,
                *error_of_sum(background, background.centre, before, used),
                *error_of_sum(background, fit.values, fit.covariance, used),
                None if data is None else float(data[used].sum()),
            )
        )  # fmt: skip
    return rows


def events_by_region(
    likelihood: Likelihood, channels: Sequence[Channel], fit: Fit
) -> dict[str, dict[str, float]]:
    """Region -> background process -> its events by a fit; parts of a region are its sum, too."""
    signal, by_sample = signal_of(likelihood), likelihood.by_sample(fit.values)
    found: dict[str, dict[str, float]] = {}
    for channel in channels:
        used = in_channels(likelihood, {channel.name})
        for region in filter(None, (channel.region, channel.part_of)):
            events = found.setdefault(region, {})
            for name, rates in zip(likelihood.samples, by_sample, strict=True):
                if name != signal:
                    events[name] = events.get(name, 0.0) + float(rates[used].sum())
    return found


def visible_limits(
    rows: Sequence[Prediction], score: str, *, luminosity: float | None = None
) -> list[VisibleLimit]:
    """Model-agnostic limits (as in arXiv:2508.19778) above each threshold of `predictions`.

    Each is a count in a single bin with the error of its predicted background.

    Parameters
    ----------
    luminosity
        in 1/fb.
    """
    found = []
    for row in rows:
        if row.threshold is None:
            continue
        limit = counting_limit(row.predicted, row.predicted_error, row.observed)
        found.append(
            VisibleLimit(
                row.region, score, row.threshold, row.predicted, row.predicted_error, row.observed,
                limit.expected, limit.minus_one, limit.plus_one, limit.observed,
                limit.expected / luminosity if luminosity else None,
                limit.observed / luminosity if luminosity and limit.observed is not None else None,
            )
        )  # fmt: skip
    return found


def _tails(
    likelihood: Likelihood, channels: Sequence[Channel], histograms: Mapping[str, Histogram]
) -> list[tuple[str, float | None, Bools]]:
    """Sums of bins: channels, regions that they are parts of, signal regions above each edge."""
    found: list[tuple[str, float | None, Bools]] = [
        (one.region, None, in_channels(likelihood, {one.name})) for one in channels
    ]
    wholes = dict.fromkeys(one.part_of for one in channels if one.part_of)
    for whole in wholes:
        parts = {one.name for one in channels if one.part_of == whole}
        found.append((whole, None, in_channels(likelihood, parts)))
    signal = [one for one in channels if one.purpose == "signal"]
    for name in dict.fromkeys(one.part_of or one.region for one in signal):
        parts_of = [one for one in signal if name in {one.part_of, one.region}]
        shared = set.intersection(*({start for start, _ in one.bins} for one in parts_of))
        found += [
            (name, _edge(parts_of[0], histograms, start), _above(parts_of, start, likelihood))
            for start in sorted(shared - {0})
        ]
    return found


def _above(channels: Sequence[Channel], start: int, likelihood: Likelihood) -> Bools:
    """The bins of these channels that begin at a bin of the histogram or later, (n_bins,)."""
    first = {one.name: [low for low, _ in one.bins] for one in channels}
    return np.array(
        [name in first and first[name][i] >= start for name, i in likelihood.bins], dtype=bool
    )


def _edge(channel: Channel, histograms: Mapping[str, Histogram], start: int) -> float:
    return float(histograms[channel.histogram].axes["score"].edges[start])
