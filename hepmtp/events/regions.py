"""Regions: named selections of same-sign dilepton or three-lepton events.

The rule: CR, VR and SR share no event. A user's own region is a `Region` object; nothing is
registered. Jets include b-jets; HT is the scalar sum of pt over all particles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import awkward as ak
import numpy as np

from hepmtp.errors import OptionError, RegionError
from hepmtp.events.observables import ht, lepton_charge, n_b, n_jets, n_leptons
from hepmtp.events.ragged import Bools
from hepmtp.events.record import metadata, role_of
from hepmtp.events.split import sideband

#: What a region is for: "" says nothing, as for a preselection that holds the other regions.
Purpose = Literal["control", "validation", "signal", ""]


@dataclass(frozen=True)
class Region:
    """A named selection.

    Parameters
    ----------
    name
        short name without "/", category of the histograms' region axis.
    label
        TeX text for plots.
    selection
        function of the events that gives one bool per event; of a module, so that it pickles.
    purpose
        "control": thresholds come from here; "signal": they are applied here; "validation"; or ""
        for none of these.

    Raises
    ------
    OptionError
        for a name that cannot be one of a file, or a purpose that does not exist.
    """

    name: str
    label: str
    selection: Callable[[ak.Array], Bools]
    purpose: Purpose = ""

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name:
            raise OptionError(f"a region's name must be text without '/', found {self.name!r}")
        if self.purpose not in get_args(Purpose):
            known = ", ".join(repr(one) for one in get_args(Purpose))
            raise OptionError(
                f"region {self.name!r}: purpose must be one of {known}, found {self.purpose!r}"
            )

    def select(self, events: ak.Array) -> Bools:
        """Events of this region, bool, shape (n_events,); anything else raises RegionError."""
        mask: Bools = np.asarray(self.selection(events))
        if mask.dtype != np.bool_ or mask.shape != (len(events),):
            raise RegionError(
                f"region {self.name!r} gives {mask.dtype} {mask.shape}, "
                f"expected bool ({len(events)},)"
            )
        return mask


def sideband_of(events: ak.Array, region: Region) -> ak.Array:
    """Data of a region, which may train (see :func:`hepmtp.events.split.sideband`).

    Events of other roles, which train without it or not at all, stay as they are. A signal region
    is refused.
    """
    if region.purpose == "signal":
        raise RegionError(
            f"region {region.name} is a signal region: data of it must not train; name a control "
            "region"
        )
    if role_of(metadata(events)) != "data":
        return events
    return sideband(events, region.name, region.select(events))


def same_sign_or_three_leptons(events: ak.Array) -> Bools:
    """Two leptons of the same charge, or at least three leptons."""
    leptons = n_leptons(events)
    return np.asarray((leptons >= 3) | ((leptons == 2) & (np.abs(lepton_charge(events)) == 2)))


def _preselection(events: ak.Array) -> Bools:
    return _leptons_and_ht(events, 300) & (n_jets(events) >= 3) & (n_b(events) >= 1)


def _control(events: ak.Array) -> Bools:
    few_jets: Bools = (n_jets(events) >= 4) & (n_jets(events) <= 5)
    return _leptons_and_ht(events, 300) & few_jets & (n_b(events) >= 2)


def _validation(events: ak.Array) -> Bools:
    one_b: Bools = n_b(events) == 1
    return _leptons_and_ht(events, 500) & (n_jets(events) >= 6) & one_b


def _signal(events: ak.Array) -> Bools:
    return _leptons_and_ht(events, 500) & (n_jets(events) >= 6) & (n_b(events) >= 2)


def _leptons_and_ht(events: ak.Array, least_ht: float) -> Bools:
    """The lepton selection that all regions share, and HT above a value [GeV]."""
    return same_sign_or_three_leptons(events) & (ht(events) > least_ht)


PRESELECTION = Region("preselection", r"$\geq 3$ jets, $\geq 1$ b, $H_T > 300$ GeV", _preselection)
CR = Region("CR", r"CR: 4-5 jets, $\geq 2$ b, $H_T > 300$ GeV", _control, "control")
VR = Region("VR", r"VR: $\geq 6$ jets, 1 b, $H_T > 500$ GeV", _validation, "validation")
SR = Region("SR", r"SR: $\geq 6$ jets, $\geq 2$ b, $H_T > 500$ GeV", _signal, "signal")

#: The named regions, in the order of a cutflow.
REGIONS: tuple[Region, ...] = (PRESELECTION, CR, VR, SR)


class RegionInfo(NamedTuple):
    """What a run says of one of its regions; `place` is that in the order of its cutflow."""

    place: int
    name: str
    label: str
    purpose: str


def described(regions: Iterable[Region]) -> set[RegionInfo]:
    """What a processor says of its regions: a set, so that the sum over chunks says it once."""
    return {
        RegionInfo(place, one.name, one.label, one.purpose) for place, one in enumerate(regions)
    }


def named(regions: Iterable[RegionInfo], *purposes: str) -> list[str]:
    """Names of the regions of these purposes, in their order.

    Examples
    --------
    >>> named(described(REGIONS), "signal", "")
    ['preselection', 'SR']
    """
    return [one.name for one in sorted(regions) if one.purpose in purposes]


def regions_of(output: Mapping[str, Any]) -> list[RegionInfo]:
    """The regions that a processor's output is about, in their order.

    Those of a processor that does not describe its regions come from its histograms: names alone.

    Raises
    ------
    RegionError
        for a sum of runs that had different regions of one name.
    """
    if "regions" not in output:
        found = dict.fromkeys(name for h in output["scores"].values() for name in h.axes["region"])
        return [RegionInfo(place, name, "", "") for place, name in enumerate(found)]
    regions = sorted(RegionInfo(*one) for one in output["regions"])
    names = [one.name for one in regions]
    if len(set(names)) != len(names):
        raise RegionError(f"runs with different regions were added up: {', '.join(names)}")
    return regions


def region_named(name: str, regions: Iterable[Region] = REGIONS) -> Region:
    """The region of this name; an unknown one raises RegionError with the names that exist."""
    known = {region.name: region for region in regions}
    if name not in known:
        raise RegionError(f"region {name!r} is unknown; the regions are {', '.join(known)}")
    return known[name]
