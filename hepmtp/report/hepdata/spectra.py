"""Histograms of a run as tables of HEPData.

The rule: a bin at the end of an axis holds what lies beyond it, too. Errors of simulation are
statistical, then one for each variation; data have those of Poisson, and blind data are not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
from hist.intervals import poisson_interval

from hepmtp.events.ragged import Floats
from hepmtp.events.region_info import RegionInfo, wholes
from hepmtp.report.hepdata.words import Numbers, bins_of, defined, joined_bins
from hepmtp.report.problems import holds
from hepmtp.statistics.hepdata import Column, Table, Uncertainty
from hepmtp.statistics.histograms import Histogram, folded, spectrum, variations_of


def spectra(numbers: Numbers, histograms: Mapping[str, Histogram]) -> Iterator[Table]:
    """A table for each histogram and region that holds an event; parts of regions have none."""
    for name, h in histograms.items():
        joined = joined_bins(h)
        for region in wholes(numbers.info.regions):
            if holds(h, numbers.names(h.axes["dataset"]), region.name):
                yield _spectrum(numbers, name, joined, region)


def _spectrum(numbers: Numbers, name: str, h: Histogram, region: RegionInfo) -> Table:
    info = numbers.info
    axis, ends = bins_of(h)
    parts: list[tuple[str, list[str], bool]] = [
        *((one, [one], False) for one in info.background),
        ("Total background", list(info.background), True),
        *((one, [one], True) for one in info.signals),
    ]
    columns = []
    for title, members, varied in parts:
        found = [one for one in members if one in h.axes["dataset"]]
        if found:
            columns.append(_simulated(numbers, h, title, found, region.name, varied=varied))
    data = [one for one in info.data if one in h.axes["dataset"]]
    hidden = bool(data) and region.name in info.blind
    if data and not hidden:
        columns.append(_observed(numbers, h, data, region.name))
    kept = _not_empty(columns)
    said = [
        f"{info.scores.get(name, axis.name).rstrip('.')}.",
        f"{info.content} per bin in {defined(region)}.",
        ends,
        "Bins without any event are left out." if len(kept) < len(axis.values) else "",
        "Errors of simulation are statistical; those of the sum and of signals also have one for "
        "each variation, up and down."
        if info.variations
        else "Errors of simulation are statistical.",
        "Data have the errors of Poisson where something was seen." if data and not hidden else "",
        "Data are blind here." if hidden else "",
    ]
    return Table(
        f"{name} in {region.name}",
        numbers.describe(" ".join(filter(None, said))),
        [_rows(axis, kept)],
        [_rows(one, kept) for one in columns],
        location=f"histograms.json of the run: {name}, region {region.name}",
        keywords=numbers.keywords("N"),
    )


def _simulated(
    numbers: Numbers, h: Histogram, title: str, names: list[str], region: str, *, varied: bool
) -> Column:
    content, variance = folded(spectrum(h, names, region))
    errors = [Uncertainty("stat", np.sqrt(variance).tolist())]
    for variation in variations_of(h) if varied else ():
        down, up = _shifts(h, names, region, variation, content)
        if np.any(down) or np.any(up):
            pairs = list(zip(down.tolist(), up.tolist(), strict=True))
            errors.append(Uncertainty(f"sys,{variation}", pairs))
    return Column(title, content.tolist(), numbers.units, errors, numbers.qualifiers(region))


def _shifts(
    h: Histogram, names: list[str], region: str, variation: str, content: Floats
) -> tuple[Floats, Floats]:
    """What a variation adds, down and up; one that has one direction is mirrored, as in a fit."""
    known = set(h.axes["variation"])
    found = {
        way: folded(spectrum(h, names, region, f"{variation}_{way}"))[0] - content
        for way in ("down", "up")
        if f"{variation}_{way}" in known
    }
    up = found.get("up", -found["down"] if "down" in found else np.zeros_like(content))
    return found.get("down", -up), up


def _observed(numbers: Numbers, h: Histogram, names: list[str], region: str) -> Column:
    content, variance = folded(spectrum(h, names, region))
    errors = []
    for value, squared in zip(content, variance, strict=True):
        low, high = poisson_interval(np.array([value]), np.array([squared]))
        down, up = (float(low[0] - value), float(high[0] - value)) if value > 0 else (0.0, 0.0)
        errors.append((down, up))
    return Column(
        "Data",
        content.tolist(),
        numbers.units,
        [Uncertainty("stat", errors)],
        numbers.qualifiers(region),
    )


def _not_empty(columns: Sequence[Column]) -> list[int]:
    """Rows in which a column has an event; negative weights may cancel, so errors count."""
    rows = range(len(columns[0].values))
    return [
        i
        for i in rows
        if any(one.values[i] or np.any(one.uncertainties[0].values[i]) for one in columns)
    ]


def _rows(column: Column, kept: Sequence[int]) -> Column:
    return column._replace(
        values=[column.values[i] for i in kept],
        uncertainties=[
            u._replace(values=cast("Any", [u.values[i] for i in kept]))
            for u in column.uncertainties
        ],
    )
