"""Regions: named selections of same-sign dilepton or three-lepton events.

The rule: a region is a tuple of named cuts and a purpose, and regions that one fit uses share no
event. A user's own region is a `Region` object; nothing is registered. Jets include b-jets; HT is
the scalar sum of pt over all particles.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import inf
from typing import Literal, get_args

import awkward as ak
import numpy as np

from hepmtp.errors import OptionError, RegionError
from hepmtp.events.cuts import AllOf, Cut, Selection, window
from hepmtp.events.dileptons import has_z
from hepmtp.events.observables import lepton_charge, n_leptons
from hepmtp.events.ragged import Bools
from hepmtp.events.record import metadata, role_of
from hepmtp.events.split import sideband
from hepmtp.events.variables import HT, MET, N_B, N_JETS

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
        a tuple of cuts that all have to pass, or one function of the events that gives one bool per
        event. It can be called either way.
    purpose
        "control": thresholds come from here; "signal": they are applied here; "validation"; or ""
        for none of these.
    controls
        process or effect that a control region measures, "ttW" for instance. Then thresholds do
        not come from it.
    part_of
        region that this is a part of. Parts are for fits; tables and figures show the whole.
    axis
        histogram that a fit uses here: "score", the name of a variable, or "" for a single bin.
        By default the score in signal regions, and a single bin elsewhere.

    Raises
    ------
    OptionError
        for a name that cannot be one of a file, or a purpose that does not exist.
    """

    name: str
    label: str
    selection: Selection | tuple[Cut, ...]
    purpose: Purpose = ""
    controls: str = ""
    part_of: str = ""
    axis: str | None = None

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name:
            raise OptionError(f"a region's name must be text without '/', found {self.name!r}")
        if self.purpose not in get_args(Purpose):
            known = ", ".join(repr(one) for one in get_args(Purpose))
            raise OptionError(
                f"region {self.name!r}: purpose must be one of {known}, found {self.purpose!r}"
            )
        if not callable(self.selection):
            if not self.selection:
                raise OptionError(f"region {self.name!r} has no cut: give one at least")
            object.__setattr__(self, "selection", AllOf(tuple(self.selection)))

    @property
    def cuts(self) -> tuple[Cut, ...]:
        """The cuts that all have to pass; a function alone is one of the region's name."""
        if isinstance(self.selection, tuple):  # until it is made
            return self.selection
        if isinstance(self.selection, AllOf):
            return self.selection.cuts
        return (Cut(self.name, self.selection),)

    @property
    def fitted_axis(self) -> str:
        """Histogram that a fit uses here, as `axis` says or by default."""
        if self.axis is None:
            return "score" if self.purpose == "signal" else ""
        return self.axis

    def masks(self, events: ak.Array, cuts: Iterable[Cut] | None = None) -> dict[str, Bools]:
        """Cut -> events that pass it, bool, shape (n_events,); anything else raises RegionError.

        All cuts, or those that are given.
        """
        found = {}
        for cut in self.cuts if cuts is None else cuts:
            mask: Bools = np.asarray(cut.select(events))
            if mask.dtype != np.bool_ or mask.shape != (len(events),):
                raise RegionError(
                    f"region {self.name!r} gives {mask.dtype} {mask.shape}, "
                    f"expected bool ({len(events)},)"
                )
            found[cut.name] = mask
        return found

    def select(self, events: ak.Array) -> Bools:
        """Events of this region, bool, shape (n_events,); anything else raises RegionError."""
        passed: Bools = np.all(list(self.masks(events).values()), axis=0)
        return passed


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


def _charge(events: ak.Array, sign: int) -> Bools:
    return np.asarray((n_leptons(events) == 2) & (lepton_charge(events) == 2 * sign))


def _positive(events: ak.Array) -> Bools:
    return _charge(events, 1)


def _negative(events: ak.Array) -> Bools:
    return _charge(events, -1)


def _three_with_z(events: ak.Array) -> Bools:
    return np.asarray((n_leptons(events) >= 3) & has_z(events))


def _three_without_z(events: ak.Array) -> Bools:
    return np.asarray((n_leptons(events) >= 3) & ~has_z(events))


_LEPTONS = Cut("2 same-sign or 3 leptons", same_sign_or_three_leptons)
_HT_300 = window("HT > 300 GeV", HT, above=300)
_HT_500 = window("HT > 500 GeV", HT, above=500)
_JETS_3 = window("at least 3 jets", N_JETS, above=2.5)
_JETS_3_5 = window("3 to 5 jets", N_JETS, above=2.5, upto=5.5)
_JETS_4_5 = window("4 or 5 jets", N_JETS, above=3.5, upto=5.5)
_JETS_6 = window("at least 6 jets", N_JETS, above=5.5)
_B_AT_LEAST_1 = window("at least 1 b", N_B, above=0.5)
_B_AT_LEAST_2 = window("at least 2 b", N_B, above=1.5)
_B_AT_LEAST_3 = window("at least 3 b", N_B, above=2.5)
_B_1 = window("1 b", N_B, above=0.5, upto=1.5)
_B_2 = window("2 b", N_B, above=1.5, upto=2.5)

PRESELECTION = Region(
    "preselection",
    r"$\geq 3$ jets, $\geq 1$ b, $H_T > 300$ GeV",
    (_LEPTONS, _HT_300, _JETS_3, _B_AT_LEAST_1),
)
CR = Region(
    "CR",
    r"CR: 4-5 jets, $\geq 2$ b, $H_T > 300$ GeV",
    (_LEPTONS, _HT_300, _JETS_4_5, _B_AT_LEAST_2),
    "control",
    axis="n_b",
)
VR = Region(
    "VR",
    r"VR: $\geq 6$ jets, 1 b, $H_T > 500$ GeV",
    (_LEPTONS, _HT_500, _JETS_6, _B_1),
    "validation",
    axis="n_jets",
)
SR = Region(
    "SR",
    r"SR: $\geq 6$ jets, $\geq 2$ b, $H_T > 500$ GeV",
    (_LEPTONS, _HT_500, _JETS_6, _B_AT_LEAST_2),
    "signal",
)
#: Same-sign pairs by their charge: ttW gives more positive ones, ttZ, ttH and four tops do not.
TTW_PLUS = Region(
    "ttW+",
    r"ttW+: $\ell^+\ell^+$, 3-5 jets, 1 b, $H_T > 300$ GeV",
    (Cut("2 positive leptons", _positive), _HT_300, _JETS_3_5, _B_1),
    "control",
    controls="ttW",
    axis="n_jets",
)
TTW_MINUS = Region(
    "ttW-",
    r"ttW-: $\ell^-\ell^-$, 3-5 jets, 1 b, $H_T > 300$ GeV",
    (Cut("2 negative leptons", _negative), _HT_300, _JETS_3_5, _B_1),
    "control",
    controls="ttW",
    axis="n_jets",
)
TTZ = Region(
    "ttZ",
    r"ttZ: $\geq 3$ leptons with a Z, 3-5 jets, 1 b, $H_T > 300$ GeV",
    (Cut("3 leptons with a Z", _three_with_z), _HT_300, _JETS_3_5, _B_1),
    "control",
    controls="ttZ",
)
#: What is left of events with one b-jet and the jets of CR.
CR_1B = Region(
    "CR1b",
    r"CR1b: $\geq 3$ leptons without a Z, 4-5 jets, 1 b, $H_T > 300$ GeV",
    (Cut("3 leptons without a Z", _three_without_z), _HT_300, _JETS_4_5, _B_1),
    "control",
    controls="jets",
    axis="n_jets",
)


def _parts(whole: Region, name: str, edges: tuple[float, ...], *cuts: Cut) -> list[Region]:
    """What more cuts leave of a region, in slices of MET that are named by their lower edges."""
    found = []
    for low, high in zip((0.0, *edges), (*edges, inf), strict=True):
        text = f"MET {low:g} to {high:g} GeV" if high < inf else f"MET > {low:g} GeV"
        met = window(text, MET, above=low or -inf, upto=high)
        found.append(
            replace(
                whole,
                name=f"{name}_MET{low:g}",
                label=", ".join((whole.label, *(one.name for one in (*cuts, met)))),
                selection=(*whole.cuts, *cuts, met),
                part_of=whole.name,
            )
        )
    return found


#: Parts of regions, for fits; docs/studies.md says why. Few events have 3 b-jets and much MET.
PARTS: tuple[Region, ...] = (
    *_parts(CR, "CR", (150, 300)),
    *_parts(VR, "VR", (150, 300)),
    *_parts(SR, "SR_2b", (150, 300), _B_2),
    *_parts(SR, "SR_3b", (150,), _B_AT_LEAST_3),
)

#: The regions of runs that do not say which they had.
FORMER: tuple[Region, ...] = (PRESELECTION, CR, VR, SR)
#: The named regions, in the order of a cutflow.
REGIONS: tuple[Region, ...] = (*FORMER, TTW_PLUS, TTW_MINUS, TTZ, CR_1B, *PARTS)


def region_named(name: str, regions: Iterable[Region] = REGIONS) -> Region:
    """The region of this name; an unknown one raises RegionError with the names that exist."""
    known = {region.name: region for region in regions}
    if name not in known:
        raise RegionError(f"region {name!r} is unknown; the regions are {', '.join(known)}")
    return known[name]
