"""The ntuple form of Dark Machines events: one list of objects an event, a flag for each type.

The rule: an object is what exactly one of its flags says (isJet is set for a b-jet too). The
missing energy is one of the objects, and every event has one. Tree ``mytree``, GeV.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepmtp.events.legal import MAX_ETA
from hepmtp.events.particles import ANTIMUON, B_JET, ELECTRON, JET, MUON, PHOTON, POSITRON
from hepmtp.events.ragged import Bools, owner
from hepmtp.readers.branches import Branches
from hepmtp.readers.particles import (
    MAX_PHI,
    Momenta,
    events_from_branches,
    finite,
    weights,
    within,
)
from hepmtp.readers.trees import TreeReader

# b-jets have two flags
_FLAGS = {
    "isJet": JET,
    "isPositron": POSITRON,
    "isElectron": ELECTRON,
    "isAntiMuon": ANTIMUON,
    "isMuon": MUON,
    "isPhoton": PHOTON,
}


@dataclass(frozen=True)
class DMNtuple(TreeReader):
    """Reader of the Dark Machines ntuple.

    Parameters
    ----------
    weight
        branch of the event weight; None for 1, for the layout has none.
    tree, names
        as of every `hepmtp.readers.trees.TreeReader`.
    """

    weight: str | None = None

    trees = ("mytree",)
    branches = ("obj_px", "isBJet", "isMET")
    singles: ClassVar[dict[str, str]] = {
        name: name
        for name in (
            *("obj_px", "obj_py", "obj_Energy", "obj_eta", "obj_phi", "isMET", "isBJet"),
            *_FLAGS,
        )
    }
    through: ClassVar[dict[str, str]] = {"weight": "{}"}

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
        event = owner(branches.lists("obj_px").counts)
        found = np.bincount(event[is_met], minlength=len(branches))
        branches.require(found == 1, "number of objects with isMET", found, "1", per_event=True)
        particles = Momenta(event, np.hypot(px, py), eta, phi).take(
            ~is_met, type=kind, energy=energy
        )
        return events_from_branches(
            branches,
            [particles],
            met=np.hypot(px[is_met], py[is_met]),
            met_phi=np.arctan2(py[is_met], px[is_met]),
            weight=weights(branches, self.weight),
        )


def _types(branches: Branches) -> tuple[Bools, NDArray[np.int8]]:
    """Whether each object is the missing energy, and what type of particle it is if not."""
    is_met = branches.like("isMET", "obj_px") != 0
    is_b = branches.like("isBJet", "obj_px") != 0
    flags = {name: branches.like(name, "obj_px") != 0 for name in _FLAGS}
    flags["isJet"] = flags["isJet"] | is_b
    n_flags = is_met.astype(np.int8)
    kind = np.zeros(len(is_met), dtype=np.int8)
    for name, number in _FLAGS.items():
        n_flags += flags[name]
        kind += flags[name] * np.int8(number)
    expected = f"one flag of an object (isMET, isBJet, {', '.join(_FLAGS)})"
    branches.require(n_flags == 1, "isMET", n_flags, expected)
    kind[is_b] = B_JET
    return is_met, kind
