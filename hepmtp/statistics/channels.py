"""Channels of a fit: regions, each with the variable and the bins that it is fitted in.

The rule: bins are chosen on background alone, and channels share no event. Regions that the
simultaneous fit has no use for, or lacks, are said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from hepmtp.errors import OptionError
from hepmtp.events.ragged import Floats
from hepmtp.events.region_info import RegionInfo
from hepmtp.statistics.histograms import NOMINAL, Histogram, folded, spectrum

#: At most so many bins of a score; the last holds at least so many effective background events.
MOST_BINS, LEAST_EVENTS = 6, 10.0
#: The rarest bin of a score holds at least this share of the background.
LEAST_SHARE = 0.015
#: Counts are joined from these on.
JOINED = {"n_b": 3, "n_jets": 9}
#: What a fit of the shipped regions measures in regions of its own.
CONTROLLED = ("ttW", "ttZ", "jets")


class Channel(NamedTuple):
    """A region in a variable: `bins` are (first, behind the last) bins of its folded histogram.

    `histogram` names a detector or observable; what follows the bins is that of the region.
    """

    name: str
    region: str
    histogram: str
    bins: tuple[tuple[int, int], ...]
    purpose: str = "control"
    controls: str = ""
    part_of: str = ""

    @property
    def starts(self) -> list[int]:
        """First bin of each one in a histogram with flow; the lowest takes in the underflow."""
        return [0, *(start + 1 for start, _ in self.bins[1:])]


class Channels(NamedTuple):
    """Channels of a fit, and what to know of them."""

    channels: list[Channel]
    remarks: list[str]


def choose_channels(
    histograms: Mapping[str, Histogram],
    regions: Sequence[RegionInfo],
    detector: str,
    background: Sequence[str],
    *,
    validation: bool = True,
    overlaps: Sequence[Sequence[str]] = (),
) -> Channels:
    """The channels of the simultaneous fit in the score of a detector.

    Signal regions are fitted in the score, control and validation regions in the histogram that
    they name (`Region.axis`), or in one bin. A region that has parts is fitted in these.

    Parameters
    ----------
    histograms
        of all detectors and observables of the run.
    regions
        of the run.
    detector
        whose score is fitted; "n_jets" makes the fit without any score.
    background
        names of the data sets that bins are chosen on.
    validation
        False holds out the regions of purpose "validation", as a test of the fit.
    overlaps
        pairs of regions that share events: the second one of a pair is left out.

    Raises
    ------
    OptionError
        if there is no such histogram, or no signal region.
    """
    if detector not in histograms:
        raise OptionError(
            f"there is no histogram of {detector!r}; there are {', '.join(sorted(histograms))}"
        )
    there = [one for one in sorted(regions) if one.name in histograms[detector].axes["region"]]
    wholes = {one.part_of for one in there if one.part_of}
    whole_or_part = [one for one in there if one.name not in wholes]
    signal = [one for one in whole_or_part if one.purpose == "signal"]
    if not signal:
        raise OptionError(
            f"none of the regions {', '.join(one.name for one in there) or '(there are none)'} is "
            "a signal region: a fit needs one, Region(..., purpose='signal')"
        )
    purposes = {"control", "validation"} if validation else {"control"}
    controls = [one for one in whole_or_part if one.purpose in purposes]
    remarks = _lacking(controls)
    taken: list[RegionInfo] = []
    channels = []
    lacking: dict[str, list[str]] = {}
    for region in (*signal, *controls):
        if other := _sharing(region, taken, overlaps):
            remarks.append(f"{region.name} shares events with {other}, so the fit leaves it out.")
            continue
        axis = "score" if region.purpose == "signal" else region.axis
        source = detector if axis == "score" else axis
        if source and source not in histograms:
            lacking.setdefault(source, []).append(region.name)
            axis = ""
        channel = _channel(
            histograms[source if axis else detector], region, background,
            chosen_in=region.part_of or region.name, one_bin=not axis,
        )  # fmt: skip
        if channel is None:
            remarks.append(f"{region.name} holds no background event: it is no channel of the fit.")
        else:
            taken.append(region)
            channels.append(channel)
    remarks += [
        f"One bin each: {', '.join(names)}, for there is no histogram of {source} to fit."
        for source, names in lacking.items()
    ]
    if not any(one.purpose == "signal" for one in channels):
        raise OptionError(
            f"the signal regions ({', '.join(one.name for one in signal)}) hold no background "
            "events: nothing can be fitted there"
        )
    return Channels(channels, remarks)


def _lacking(controls: Sequence[RegionInfo]) -> list[str]:
    """What to know of a fit whose regions measure neither ttW nor the number of jets."""
    lacking = [one for one in CONTROLLED if one not in {region.controls for region in controls}]
    if not lacking:
        return []
    said = (
        f"No region of the fit is there to measure {', '.join(lacking)}: the background of the "
        "signal regions rests on the simulation in that."
    )
    return [said]


def _sharing(
    region: RegionInfo, taken: Sequence[RegionInfo], overlaps: Sequence[Sequence[str]]
) -> str:
    """Name of a region, taken before, that shares events with this one; "" if there is none."""
    pairs = {frozenset(pair) for pair in overlaps}
    for other in taken:
        if frozenset((region.name, other.name)) in pairs or region.name == other.part_of:
            return other.name
    return ""


def score_bins(
    h: Histogram,
    region: str,
    background: Sequence[str],
    *,
    most: int = MOST_BINS,
    least: float = LEAST_EVENTS,
) -> tuple[tuple[int, int], ...]:
    """Bins of a score, geometric in the share of the background above them.

    The last one is the rarest that holds `least` effective events, (sum w)^2 / sum w^2, and a share
    of `LEAST_SHARE`. The shares above the lower edges of the others are powers of its own.
    """
    value, variance = folded(spectrum(h, background, region))
    above, squares = (np.cumsum(part[::-1])[::-1] for part in (value, variance))
    total = float(above[0])
    if total <= 0:
        return ()
    share = above / total
    enough = (above > 0) & (above**2 >= least * squares) & (share >= LEAST_SHARE)
    places = np.flatnonzero(enough)
    last = int(places[-1]) if len(places) else 0
    wanted = np.clip(share[last], 1e-12, 1.0) ** (np.arange(most) / (most - 1))
    starts = sorted({0, *(int(np.argmin(np.abs(share - one))) for one in wanted[1:])})
    starts = [one for one in starts if one <= last]
    stops = [*starts[1:], len(value)]
    return tuple(zip(starts, stops, strict=True))


def count_bins(h: Histogram, region: str, background: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """One bin a number, of an axis of whole numbers, joined from `JOINED` on."""
    value, _ = folded(spectrum(h, background, region))
    filled = np.flatnonzero(value > 0)
    if not len(filled):
        return ()
    first, behind = int(filled[0]), int(filled[-1]) + 1
    edges = h.axes["score"].edges
    top = int(np.argmin(np.abs(edges - (JOINED[h.name] - 0.5)))) if h.name in JOINED else behind
    last = max(first, min(top, behind - 1))
    starts = [0, *range(first + 1, last + 1)]
    return tuple(zip(starts, [*starts[1:], len(value)], strict=True))


def merged(
    bins: Sequence[tuple[int, int]],
    h: Histogram,
    region: str,
    background: Sequence[str],
    *,
    least: float = LEAST_EVENTS,
) -> tuple[tuple[int, int], ...]:
    """The same bins, each joined with the one below it until it holds enough background.

    The lowest is joined with the one above it. Nothing is left of a region without background.
    """
    value, variance = folded(spectrum(h, background, region))
    if value.sum() <= 0:
        return ()
    done: list[tuple[int, int]] = []
    stop: int | None = None
    for start, end in reversed(bins):
        stop = end if stop is None else stop
        if _effective(value[start:stop], variance[start:stop]) >= least:
            done.append((start, stop))
            stop = None
    if stop is not None:
        start = bins[0][0]
        if done:
            done[-1] = (start, done[-1][1])
        else:
            done = [(start, bins[-1][1])]
    return tuple(reversed(done))


def in_common_bins(
    channels: Sequence[Channel], histograms: Mapping[str, Histogram], background: Sequence[str]
) -> list[Channel]:
    """The same channels, parts of a signal region in the bins of the whole, however few fill them.

    So the parts add up to the whole above each of its thresholds.
    """

    def common(one: Channel) -> Channel:
        h = histograms[one.histogram]
        if one.purpose != "signal" or one.part_of not in h.axes["region"]:
            return one
        return one._replace(bins=_bins(h, one.part_of, background))

    return [common(one) for one in channels]


def contents(
    channel: Channel, h: Histogram, datasets: Sequence[str], variation: str = NOMINAL
) -> tuple[Floats, Floats]:
    """Sums of weights and of their squares in the bins of a channel, (n_bins,) each.

    Zeros for a data set, region or variation that was never filled.
    """
    n = len(channel.bins)
    if channel.region not in h.axes["region"] or variation not in h.axes["variation"]:
        return np.zeros(n), np.zeros(n)
    rows = [h.axes["dataset"].index(name) for name in datasets if name in h.axes["dataset"]]
    places = h.axes["region"].index(channel.region), h.axes["variation"].index(variation)
    view: Any = np.asarray(h.view(flow=True))[(rows, *places)]
    value, variance = (
        np.add.reduceat(view[part].sum(axis=0), channel.starts) for part in ("value", "variance")
    )
    return value, variance


def _channel(
    h: Histogram,
    region: RegionInfo,
    background: Sequence[str],
    *,
    chosen_in: str,
    one_bin: bool,
) -> Channel | None:
    """A channel with bins chosen in a region that holds this one; None without background."""
    if chosen_in not in h.axes["region"]:
        chosen_in = region.name
    if one_bin:
        bins: tuple[tuple[int, int], ...] = ((0, len(h.axes["score"])),)
    else:
        bins = _bins(h, chosen_in, background)
    bins = merged(bins, h, region.name, background) if bins else ()
    if not bins:
        return None
    name = region.name.replace("+", "_plus").replace("-", "_minus")
    return Channel(name, region.name, h.name or "", bins,
                   region.purpose, region.controls, region.part_of)  # fmt: skip


def _bins(h: Histogram, region: str, background: Sequence[str]) -> tuple[tuple[int, int], ...]:
    return (count_bins if h.name in JOINED else score_bins)(h, region, background)


def _effective(value: Floats, variance: Floats) -> float:
    total, squares = float(value.sum()), float(variance.sum())
    return total**2 / squares if total > 0 and squares > 0 else 0.0
