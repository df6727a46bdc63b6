"""What the tables of a submission have in common: words, units, qualifiers, bins.

The rule: energy, luminosity and "events" are claimed where the run claims them.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hepmtp.events.region_info import RegionInfo
from hepmtp.report.drawn_figures import coarse
from hepmtp.report.info import RunInfo
from hepmtp.statistics.hepdata import Column, Qualifier
from hepmtp.statistics.histograms import Histogram

_UNIT = re.compile(r"\s*\[(.+)\]\s*$")


@dataclass(frozen=True)
class Numbers:
    """What the tables of a run have in common: its words, units and qualifiers."""

    info: RunInfo

    @property
    def units(self) -> str:
        """Of a yield: events, or sums of weights."""
        return self.info.content.lower()

    def qualifiers(self, region: str = "") -> list[Qualifier]:
        """Region, energy and luminosity, as far as the run claims them."""
        caption = self.info.caption or {}
        known: list[Qualifier] = [("Region", region, "")] if region else []
        if caption.get("energy"):
            known.append(("SQRT(S)", 1000 * caption["energy"], "GeV"))
        if caption.get("luminosity"):
            known.append(("Luminosity", caption["luminosity"], "fb$^{-1}$"))
        return known

    def keywords(self, observable: str) -> dict[str, list[str | float]]:
        """Words that HEPData is searched by."""
        caption = self.info.caption or {}
        found: dict[str, list[str | float]] = {
            "observables": [observable],
            "phrases": ["anomaly detection", "masked-token prediction"],
        }
        if caption.get("energy"):
            found["cmenergies"] = [1000 * caption["energy"]]
        return found

    def describe(self, text: str) -> str:
        """A description; that of an incomplete run says so."""
        return f"{text} The run is incomplete." if self.info.incomplete else text

    def names(self, found: Sequence[str] | Mapping[str, Any]) -> list[str]:
        """Data sets that were found, by role."""
        order = [*self.info.background, *self.info.signals, *self.info.data]
        return [name for name in order if name in found]


def bins_of(h: Histogram) -> tuple[Column, str]:
    """The score axis as a column, and what is to be said of its ends.

    Counts are numbers, all else bins.
    """
    axis = h.axes["score"]
    edges = np.asarray(axis.edges)
    label = str(axis.label or h.name)
    unit = _UNIT.search(label)
    name, units = (_UNIT.sub("", label), unit[1]) if unit else (label, "")
    if _counts(h):
        values = [round(one) for one in (edges[:-1] + 0.5).tolist()]
        return Column(name, values), f"The last row also holds what lies above {values[-1]}."
    pairs = [(float(low), float(high)) for low, high in itertools.pairwise(edges)]
    ends = f"below {edges[0]:g} and above {edges[-1]:g}"
    return Column(name, pairs, units), f"The outer bins also hold what lies {ends}."


def joined_bins(h: Histogram) -> Histogram:
    """The same histogram in the bins of a table: those of figures, and counts one by one."""
    return h if _counts(h) else coarse(h)


def _counts(h: Histogram) -> bool:
    axis = h.axes["score"]
    first, last = float(axis.edges[0]), float(axis.edges[-1])
    return first % 1 == 0.5 and last - first == len(axis)


def defined(region: RegionInfo) -> str:
    """Name and selection of a region; labels of most begin with the name."""
    label = region.label or region.name
    return label if label.startswith(region.name) else f"{region.name}: {label}"
