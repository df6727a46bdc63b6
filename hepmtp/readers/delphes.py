"""Delphes output: jets with tags, electrons, muons, photons and MET of a fast simulation.

The rule: a jet is a b-jet if its BTag is not 0. Nothing is cut or cleaned that is not asked for,
because a Delphes card has its own cuts and its own UniqueObjectFinder. Layout: arXiv:1307.6346,
tree ``Delphes``, GeV.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import awkward as ak
import numpy as np

from hepmtp.events.assembling import Particles
from hepmtp.events.particles import ANTIMUON, PHOTON, POSITRON
from hepmtp.readers.branches import Branches
from hepmtp.readers.naming import Collection
from hepmtp.readers.options import Cut
from hepmtp.readers.particles import (
    NO_CUT,
    events_from_branches,
    finite,
    leptons,
    missing,
    momenta,
    per_event,
    without_overlap,
)
from hepmtp.readers.trees import TreeReader


@dataclass(frozen=True)
class Delphes(TreeReader):
    r"""Reader of Delphes ROOT files.

    Parameters
    ----------
    jets, electrons, muons, photons
        cuts (smallest pt [GeV], largest \|eta\|); none by default.
    b_tag_bits
        which bits of Jet.BTag count, one per working point of the card; all by default.
    overlap
        jets nearer than this in (eta, phi) to an electron, muon or photon are left out; 0 keeps
        all.
    weight
        branch of the event weight; None for 1.
    tree, names
        as of every `hepmtp.readers.trees.TreeReader`.
    """

    jets: Cut = NO_CUT
    electrons: Cut = NO_CUT
    muons: Cut = NO_CUT
    photons: Cut = NO_CUT
    b_tag_bits: int = 0xFFFFFFFF
    overlap: float = 0.0
    weight: str | None = "Event.Weight"

    trees = ("Delphes",)
    branches = ("Jet.PT", "Jet.BTag", "MissingET.MET")
    collections: ClassVar[dict[str, Collection]] = {
        "jets": Collection("Jet.", "pt:PT eta:Eta phi:Phi mass:Mass btag:BTag"),
        "electrons": Collection("Electron.", "pt:PT eta:Eta phi:Phi charge:Charge"),
        "muons": Collection("Muon.", "pt:PT eta:Eta phi:Phi charge:Charge"),
        "photons": Collection("Photon.", "pt:PT eta:Eta phi:Phi energy:E"),
        "met": Collection("MissingET.", "pt:MET phi:Phi"),
    }
    through: ClassVar[dict[str, str]] = {"weight": "{}"}

    def _events(self, branches: Branches) -> ak.Array:
        photon = momenta(branches, "Photon.PT", "Photon.Eta", "Photon.Phi")
        energy = finite(branches, "Photon.E", like="Photon.PT")
        others = [
            _leptons(branches, "Electron", self.electrons, positive=POSITRON),
            _leptons(branches, "Muon", self.muons, positive=ANTIMUON),
            photon.take(photon.passes(self.photons), type=PHOTON, energy=energy),
        ]
        jet = momenta(branches, "Jet.PT", "Jet.Eta", "Jet.Phi")
        tagged = branches.like("Jet.BTag", "Jet.PT").astype(np.int64) & self.b_tag_bits != 0
        mass = finite(branches, "Jet.Mass", like="Jet.PT")
        jets = jet.take(jet.passes(self.jets), type=tagged, mass=mass)
        jets = without_overlap(jets, others, self.overlap, len(branches))
        met, met_phi = missing(branches, "MissingET.MET", "MissingET.Phi", lists=True)
        weight = (
            1.0
            if self.weight is None
            else per_event(branches, self.weight, branches.single(self.weight))
        )
        return events_from_branches(
            branches, [jets, *others], met=met, met_phi=met_phi, weight=weight
        )


def _leptons(branches: Branches, name: str, cut: Cut, *, positive: int) -> Particles:
    found = momenta(branches, f"{name}.PT", f"{name}.Eta", f"{name}.Phi")
    keep = found.passes(cut)
    charge, like = f"{name}.Charge", f"{name}.PT"
    return leptons(branches, found, keep, charge=charge, like=like, positive=positive)
