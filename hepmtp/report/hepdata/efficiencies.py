"""Efficiencies of each signal by HT and by number of jets, as tables of HEPData.

The rule: both are observables of the reconstructed event, for files hold no others. The share is
of the events of the region that holds all others, as files may have lost events before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hepmtp.errors import ScoreError
from hepmtp.events.ragged import Floats
from hepmtp.events.region_info import RegionInfo, wholes
from hepmtp.report.columns import COLUMNS, load_columns
from hepmtp.report.figures import QUANTILE, pairs
from hepmtp.report.hepdata.words import Numbers, bins_of, defined, joined_bins
from hepmtp.report.problems import holds
from hepmtp.statistics.hepdata import NONE, Column, Table, Uncertainty
from hepmtp.statistics.histograms import Histogram, book, fill, folded, spectrum
from hepmtp.statistics.performance import Columns
from hepmtp.statistics.thresholds import threshold
from hepmtp.statistics.uncertainties import efficiency_error

#: Observables that efficiencies are a function of.
OBSERVABLES = ("ht", "n_jets")
_Sums = tuple[Floats, Floats]


class Efficiencies(NamedTuple):
    """Tables, and a sentence on each that could not be made."""

    tables: list[Table]
    remarks: list[str]


def efficiencies(run: Path, numbers: Numbers, histograms: Mapping[str, Histogram]) -> Efficiencies:
    """Tables of the efficiency of each signal in each signal region, by HT and number of jets.

    A column is the share of the region within the first region without a purpose. With scores
    event by event, another is the share of the region above the threshold of the run's score.
    """
    found = Efficiencies([], [])
    columns = load_columns(run) if (run / COLUMNS).exists() else None
    base = next((one for one in wholes(numbers.info.regions) if not one.purpose), None)
    signal_regions = [one for one in wholes(numbers.info.regions) if one.purpose == "signal"]
    if not (numbers.info.signals and signal_regions):
        return found
    if base is None:
        found.remarks.append(
            "There are no efficiencies: no region is without a purpose, as a preselection is."
        )
        return found
    for name in OBSERVABLES:
        if name not in histograms:
            found.remarks.append(f"There are no efficiencies by {name}: the run did not fill it.")
            continue
        h = histograms[name]
        for region in signal_regions:
            for signal in numbers.info.signals:
                if not holds(h, [signal], base.name) or not holds(h, [signal], region.name):
                    continue
                if (reason := _outside(h, signal, region, base)) is not None:
                    found.remarks.append(reason)
                    continue
                cuts = list(_cuts(columns, numbers, histograms, region, found.remarks))
                of = (columns or {}).get(signal, {})
                if columns is not None and f"score:{name}" not in of:
                    cuts = []
                    found.remarks.append(
                        f"There are no efficiencies of the threshold by {name}: it is no detector "
                        "of the run, so there is no value of it event by event."
                    )
                found.tables.append(_table(of, numbers, h, signal, region, base, cuts))
    found.remarks[:] = dict.fromkeys(found.remarks)
    return found


def _outside(h: Histogram, signal: str, region: RegionInfo, base: RegionInfo) -> str | None:
    """Why a region has no share of another: it holds what the other does not."""
    inside, every = (folded(spectrum(h, signal, one.name))[1] for one in (region, base))
    if np.all(inside <= every * (1 + 1e-9)):
        return None
    return (
        f"There is no efficiency of {signal} in {region.name}: it holds events that "
        f"{base.name} does not."
    )


class _Cut(NamedTuple):
    """A threshold on the score of the run, from one control region."""

    control: str
    value: float


def _cuts(
    columns: Columns | None,
    numbers: Numbers,
    histograms: Mapping[str, Histogram],
    region: RegionInfo,
    remarks: list[str],
) -> Iterator[_Cut]:
    info = numbers.info
    if columns is None:
        remarks.append(
            "There are no efficiencies of the threshold: the run kept no scores event by event."
        )
        return
    for first, control in pairs(info.regions):
        if first == region.name and holds(histograms[info.detector], info.background, control):
            try:
                cut = threshold(
                    histograms[info.detector],
                    background=info.background,
                    region=control,
                    quantile=QUANTILE,
                )
            except ScoreError as error:
                remarks.append(f"There is no efficiency of the threshold: {error}.")
            else:
                yield _Cut(control, cut.value)


def _table(
    columns: Mapping[str, Any],
    numbers: Numbers,
    h: Histogram,
    signal: str,
    region: RegionInfo,
    base: RegionInfo,
    cuts: Sequence[_Cut],
) -> Table:
    joined = joined_bins(h)
    axis, ends = bins_of(joined)
    whole, part = (folded(spectrum(joined, signal, one.name)) for one in (base, region))
    kept = [i for i, total in enumerate(whole[0]) if total > 0]
    shares = [_share(f"{region.name} / {base.name}", part, whole, kept)]
    said = [f"the share of the events of {base.name} that are in {region.name}"]
    for cut in cuts:
        above = _above(columns, numbers.info.detector, joined, region.name, cut.value)
        name = f"{numbers.info.detector} above {cut.value:.5g} / {region.name}"
        shares.append(_share(name, above, part, kept))
        said.append(
            f"the share of {region.name} above the threshold of {numbers.info.detector} that "
            f"{100 * QUANTILE:g} % of the background of {cut.control} lie below"
        )
    text = (
        f"Efficiency of {signal} by the reconstructed {axis.name}: {'; '.join(said)}. "
        f"{defined(base)}. {defined(region)}. "
        f"{ends} Errors are those of the simulated sample."
    )
    return Table(
        f"Efficiency of {signal} in {region.name} by {h.name}",
        numbers.describe(text),
        [axis._replace(values=[axis.values[i] for i in kept])],
        [one._replace(qualifiers=numbers.qualifiers()) for one in shares],
        location=f"histograms.json and {COLUMNS} of the run",
        keywords=numbers.keywords("EFF"),
    )


def _share(name: str, part: _Sums, whole: _Sums, kept: Sequence[int]) -> Column:
    """Efficiencies with their errors; what has no events has none."""
    values: list[str | float] = []
    errors: list[float | None] = []
    for i in kept:
        total = float(whole[0][i])
        if total > 0:
            values.append(float(part[0][i]) / total)
            error = efficiency_error(part[0][i], part[1][i], total, float(whole[1][i]))
            errors.append(float(error))
        else:
            values.append(NONE)
            errors.append(None)
    return Column(name, values, "", [Uncertainty("stat", errors)])


def _above(
    columns: Mapping[str, Any], detector: str, h: Histogram, region: str, value: float
) -> _Sums:
    """Events of a region above a threshold, in the bins of `h`."""
    wanted = (f"region:{region}", f"score:{detector}", f"score:{h.name}", "weight")
    inside, score, observable, weight = (columns[name] for name in wanted)
    passed = inside.astype(bool) & (score >= value)
    of = book(h.axes["score"], name=str(h.name))
    fill(of, dataset="", region=region, score=observable[passed], weight=weight[passed])
    return folded(spectrum(of, "", region))
