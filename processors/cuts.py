"""The cuts of regions, each evaluated once: what passes, cut by cut, and without one of them.

The rule: cuts of one name are one cut. Different cuts of one name get that of their region, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import awkward as ak
import numpy as np
from coffea.analysis_tools import PackedSelection

from hepmtp.errors import RegionError
from hepmtp.events.ragged import Bools, Floats
from hepmtp.events.regions import Region
from hepmtp.statistics.histograms import NOMINAL, Histogram, axis_of, book, fill_all

#: What coffea packs the cuts of all regions into holds so many.
MOST_CUTS = 64


class Cuts:
    """The cuts of some regions; `names` are those of each region, in its order.

    Raises
    ------
    RegionError
        for two cuts of one name in a region, or more cuts than can be packed.
    """

    def __init__(self, regions: Sequence[Region]) -> None:
        self.regions = tuple(regions)
        self.names: dict[str, tuple[str, ...]] = {}
        known: dict[str, Any] = {}
        for region in self.regions:
            names = []
            for cut in region.cuts:
                same = known.setdefault(cut.name, cut.select) == cut.select
                names.append(cut.name if same else f"{region.name}: {cut.name}")
                known.setdefault(names[-1], cut.select)
            if len(set(names)) < len(names):
                raise RegionError(
                    f"region {region.name!r} has two cuts of one name: {', '.join(names)}"
                )
            self.names[region.name] = tuple(names)
        if len(known) > MOST_CUTS:
            raise RegionError(
                f"{len(known)} cuts in all regions, at most {MOST_CUTS} can be packed"
            )

    def packed(self, events: ak.Array) -> PackedSelection:
        """Every cut of every region, once."""
        found = PackedSelection(dtype="uint64")
        for region in self.regions:
            names = dict(
                zip((one.name for one in region.cuts), self.names[region.name], strict=True)
            )
            wanted = [one for one in region.cuts if names[one.name] not in found.names]
            for name, mask in region.masks(events, wanted).items():
                found.add(names[name], mask)
        return found

    def masks(self, packed: PackedSelection) -> dict[str, Bools]:
        """Region -> whether each event is in it, shape (n_events,)."""
        return {name: packed.all(*cuts) for name, cuts in self.names.items()}

    def one_by_one(
        self, packed: PackedSelection, weight: Floats
    ) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
        """Region -> what each cut leaves after those before it, and all others without it."""
        return {name: _one_by_one(packed, cuts, weight) for name, cuts in self.names.items()}

    def n_minus_one(
        self, dataset: str, events: ak.Array, weight: Floats, packed: PackedSelection
    ) -> dict[str, Histogram]:
        """Each variable that is cut on, with all cuts of each region but those on it applied."""
        found: dict[str, Histogram] = {}
        for region in self.regions:
            if region.part_of:
                continue
            cuts = list(zip(region.cuts, self.names[region.name], strict=True))
            variables = {one.variable.name: one.variable for one, _ in cuts if one.variable}
            for name, variable in variables.items():
                others = [cut for one, cut in cuts if one.variable != variable]
                mask = packed.all(*others) if others else np.ones(len(weight), dtype=bool)
                h = found.setdefault(name, book(axis_of(variable), name=name))
                values, weights = variable.values(events)[mask], {NOMINAL: weight[mask]}
                fill_all(h, dataset=dataset, region=region.name, score=values, weights=weights)
        return found


def count(weight: Floats) -> dict[str, float]:
    """Raw events, sum of their weights and of the squares."""
    return {"raw": len(weight), "sumw": float(weight.sum()), "sumw2": float((weight**2).sum())}


def _one_by_one(
    packed: PackedSelection, names: Sequence[str], weight: Floats
) -> dict[str, dict[str, dict[str, float]]]:
    after = packed.cutflow(*names).result().maskscutflow
    without = packed.nminusone(*names).result().masks
    if len(names) == 1:  # coffea gives the cut itself
        without = [np.ones(len(weight), dtype=bool)]
    return {
        "cutflow": {name: count(weight[mask]) for name, mask in zip(names, after, strict=True)},
        "n_minus_one": {
            name: count(weight[mask])
            for name, mask in zip(names, without[: len(names)], strict=True)
        },
    }
