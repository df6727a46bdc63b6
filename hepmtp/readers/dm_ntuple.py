"""The ntuple form of Dark Machines events: tree ``mytree``, one list of objects an event, with a flag for each type.

The rule: an object is what exactly one of its flags says (isJet is set for a b-jet too); the missing energy is one of the
objects, and every event has one. GeV.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepmtp.readers.particles import (
    MAX_ETA,
    MAX_PHI,
    Momenta,
    events_from,
    finite,
    per_event,
    within,
)
from hepmtp.readers.trees import Branches, TreeReader

# in the order of the types of particles, without the b-jets
_FLAGS = {"isJet": 0, "isPositron": 2, "isElectron": 3, "isAntiMuon": 4, "isMuon": 5, "isPhoton": 6}


@dataclass(frozen=True)
class DMNtuple(TreeReader):
    """Reader of the Dark Machines ntuple.

    Parameters
    ----------
    weight
        branch of the event weight; None for 1, for the layout has none.
    """

    weight: str | None = None

    trees: ClassVar[tuple[str, ...]] = ("mytree",)

    def _events(self, branches: Branches) -> ak.Array:
        px, py, energy = (
            finite(branches, f"obj_{name}", like="obj_px") for name in ("px", "py", "Energy")
        )
        is_met, kind = _types(branches)
        # the direction of the missing energy along the beam means nothing
        eta, phi = (
            np.where(is_met, 0.0, branches.like(f"obj_{name}", "obj_px")) for name in ("eta", "phi")
        )
        within(branches, "obj_eta", eta, MAX_ETA)
        within(branches, "obj_phi", phi, MAX_PHI)
        event = np.repeat(np.arange(len(branches)), branches.lists("obj_px").counts)
        found = np.bincount(event[is_met], minlength=len(branches))
        branches.require(found == 1, "number of objects with isMET", found, "1", per_event=True)
        particles = Momenta(event, np.hypot(px, py), eta, phi).take(
            ~is_met, type=kind, energy=energy
        )
        return events_from(
            branches,
            [particles],
            met=np.hypot(px[is_met], py[is_met]),
            met_phi=np.arctan2(py[is_met], px[is_met]),
            weight=1.0
            if self.weight is None
            else per_event(branches, self.weight, branches.numbers(self.weight)),
        )


def _types(branches: Branches) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Whether each object is the missing energy, and what type of particle it is if not."""
    is_met = branches.like("isMET", "obj_px") != 0
    is_b = branches.like("isBJet", "obj_px") != 0
    flags = {name: branches.like(name, "obj_px") != 0 for name in _FLAGS}
    flags["isJet"] = flags["isJet"] | is_b
    n_flags = np.asarray(np.sum([is_met, *flags.values()], axis=0, dtype=np.int64))
    branches.require(
        n_flags == 1,
        "isMET",
        n_flags,
        f"one flag of an object (isMET, isBJet, {', '.join(_FLAGS)})",
    )
    kind = np.sum([flags[name] * number for name, number in _FLAGS.items()], axis=0, dtype=np.int64)
    return is_met, np.asarray(kind + is_b)
