"""Regions: named selections of same-sign dilepton or three-lepton events.

The rule: CR, VR and SR share no event. A user's own region is a `Region` object; nothing is registered.
Jets include b-jets; HT is the scalar sum of pt over all particles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepmtp.errors import RegionError
from hepmtp.events.observables import ht, lepton_charge, n_b, n_jets, n_leptons

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Region:
    """A named selection.

    Parameters
    ----------
    name
        short name, category of the histograms' region axis.
    label
        TeX text for plots.
    selection
        function of the events that gives one bool per event; a module-level function, so that it pickles.
    """

    name: str
    label: str
    selection: Callable[[ak.Array], Mask]

    def select(self, events: ak.Array) -> Mask:
        """Events of this region, bool, shape (n_events,); anything else raises RegionError."""
        mask: Mask = np.asarray(self.selection(events))
        if mask.dtype != np.bool_ or mask.shape != (len(events),):
            raise RegionError(
                f"region {self.name!r} gives {mask.dtype} {mask.shape}, expected bool ({len(events)},)"
            )
        return mask


def same_sign_or_three_leptons(events: ak.Array) -> Mask:
    """Two leptons of the same charge, or at least three leptons."""
    leptons = n_leptons(events)
    return np.asarray((leptons >= 3) | ((leptons == 2) & (np.abs(lepton_charge(events)) == 2)))


def _preselection(events: ak.Array) -> Mask:
    return (
        same_sign_or_three_leptons(events)
        & (n_jets(events) >= 3)
        & (n_b(events) >= 1)
        & (ht(events) > 300)
    )


def _control(events: ak.Array) -> Mask:
    few_jets: Mask = (n_jets(events) >= 4) & (n_jets(events) <= 5)
    return same_sign_or_three_leptons(events) & few_jets & (n_b(events) >= 2) & (ht(events) > 300)


def _validation(events: ak.Array) -> Mask:
    one_b: Mask = n_b(events) == 1
    return same_sign_or_three_leptons(events) & (n_jets(events) >= 6) & one_b & (ht(events) > 500)


def _signal(events: ak.Array) -> Mask:
    return (
        same_sign_or_three_leptons(events)
        & (n_jets(events) >= 6)
        & (n_b(events) >= 2)
        & (ht(events) > 500)
    )


PRESELECTION = Region("preselection", r"$\geq 3$ jets, $\geq 1$ b, $H_T > 300$ GeV", _preselection)
CR = Region("CR", r"CR: 4-5 jets, $\geq 2$ b, $H_T > 300$ GeV", _control)
VR = Region("VR", r"VR: $\geq 6$ jets, 1 b, $H_T > 500$ GeV", _validation)
SR = Region("SR", r"SR: $\geq 6$ jets, $\geq 2$ b, $H_T > 500$ GeV", _signal)

#: The named regions, in the order of a cutflow.
REGIONS: tuple[Region, ...] = (PRESELECTION, CR, VR, SR)


def region_named(name: str, regions: Iterable[Region] = REGIONS) -> Region:
    """The region of this name; an unknown one raises RegionError with the names that exist."""
    known = {region.name: region for region in regions}
    if name not in known:
        raise RegionError(f"region {name!r} is unknown; the regions are {', '.join(known)}")
    return known[name]
