"""CMS NanoAOD, versions 9 to 15 and the open data of 2015, as TTree or RNTuple.

The rule: what a file does not say (which b-tagger, which missing energy) is taken from a fixed
order of what it has. The choice stands in the log, and a file without any of them is refused. Its
default working points are those of one year, which a file does not name: give your own for another.
Every collection is in NanoAOD once more as jets, so a jet at a chosen electron, muon or photon is
left out. Layout: https://cms-nanoaod.github.io, GeV.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import ClassVar, Literal

import awkward as ak
import numpy as np

from hepmtp.errors import ReadError
from hepmtp.events.assembling import Particles
from hepmtp.events.particles import ANTIMUON, PHOTON, POSITRON
from hepmtp.events.ragged import Bools, Floats
from hepmtp.readers.branches import Branches
from hepmtp.readers.naming import Collection
from hepmtp.readers.options import Cut, refusal
from hepmtp.readers.particles import (
    events_from_branches,
    finite,
    leptons,
    missing,
    momenta,
    per_event,
    weights,
    without_overlap,
)
from hepmtp.readers.trees import TreeReader

logger = logging.getLogger(__name__)

#: b-taggers in the order they are looked for, and the medium working point (1 % of light jets) of
#: each: DeepJet and DeepCSV of 2018 (Ultra Legacy), ParticleNet of 2022, UParT of 2024. Other years
#: differ by up to 15 %: give your own.
MEDIUM = {"btagDeepFlavB": 0.2783, "btagPNetB": 0.245, "btagUParTAK4B": 0.1272, "btagDeepB": 0.4168}
#: Missing energies in the order they are looked for; PuppiMET first, for all versions have it.
MISSING = {"PuppiMET_pt": "PuppiMET", "MET_pt": "MET", "PFMET_pt": "PFMET"}
# taggers give -1 or -10 to jets that they cannot judge, and -1000 or -3000 where they were not run
_NOT_RUN, _TAGGED_ETA = -100.0, 2.4
# branches of which simulated files have at least one
_SIMULATED = ("Generator_weight", "GenMET_pt", "GenPart_pt", "Jet_genJetIdx")


@dataclass(frozen=True)
class NanoAOD(TreeReader):
    r"""Reader of NanoAOD files.

    Parameters
    ----------
    jets, electrons, muons, photons
        cuts (smallest pt [GeV], largest \|eta\|); None for the photons leaves them out, for files
        that have none.
    b_tag, working_point
        branch of the b-tag discriminator without its ``Jet_``, and the value above which a jet
        is a b-jet. By default the first of `MEDIUM` that the file has, and the value there.
    jet_id
        "tight", "tight lepton veto", or None for all jets. Version 15 has no branch for it: it is
        then computed from the energy fractions as CMS recommends for its PUPPI jets.
    electron_id
        lowest Electron_cutBased: 1 veto, 2 loose, 3 medium, 4 tight; None for all.
    muon_id, muon_isolation
        branch that must be true without its ``Muon_``, and largest Muon_pfRelIso04_all; None for
        all.
    photon_id
        branches that must be true, without their ``Photon_``.
    overlap
        jets nearer than this in (eta, phi) to a chosen electron, muon or photon are left out; 0
        keeps all.
    met
        "MET", "PuppiMET" or any other with ``_pt`` and ``_phi``; by default the first of `MISSING`
        that the file has.
    weight
        branch of the event weight; None for 1. Data have no genWeight and get 1; a simulated file
        without one is refused.
    tree, names
        as of every `hepmtp.readers.trees.TreeReader`.
    """

    jets: Cut = (25.0, 4.7)
    electrons: Cut = (15.0, 2.5)
    muons: Cut = (15.0, 2.4)
    photons: Cut | None = (20.0, 2.5)
    b_tag: str | None = None
    working_point: float | None = None
    jet_id: Literal["tight", "tight lepton veto"] | None = "tight"
    electron_id: int | None = 3
    muon_id: str | None = "mediumId"
    muon_isolation: float | None = 0.25
    photon_id: tuple[str, ...] = ("mvaID_WP90", "electronVeto")
    overlap: float = 0.4
    met: str | None = None
    weight: str | None = "genWeight"

    trees = ("Events",)
    branches = ("Jet_pt", "Electron_pt", "Muon_pt")
    collections: ClassVar[dict[str, Collection]] = {
        "jets": Collection("Jet_", "pt eta phi mass id:jetId"),
        "electrons": Collection("Electron_", "pt eta phi charge id:cutBased"),
        "muons": Collection("Muon_", "pt eta phi charge isolation:pfRelIso04_all"),
        "photons": Collection("Photon_", "pt eta phi"),
    }
    through: ClassVar[dict[str, str]] = {"met": "{}_pt {}_phi", "weight": "{}"}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.b_tag is not None and self.working_point is None and self.b_tag not in MEDIUM:
            raise refusal(self, "b_tag", f"a working_point with it, or one of {', '.join(MEDIUM)}")
        if self.b_tag is None and self.working_point is not None:
            raise refusal(self, "working_point", "the b_tag that it is of with it")

    def generated_weight(self, path: str) -> float | None:
        """Sum of genWeight over all generated events, from the tree Runs beside that of the events.

        The number of events if the option weight is None; None for any other weight.
        """
        wanted = {None: "genEventCount", "genWeight": "genEventSumw"}.get(self.weight)
        if wanted is None:
            return None
        with self._beside(path, "Runs") as (_, runs):
            if runs is None or not len(runs):
                return None
            # older versions have an underscore at the end
            name = next((name for name in (wanted, f"{wanted}_") if name in runs), None)
            if name is None:
                return None
            return float(per_event(runs, name, runs.numbers(name)).sum())

    def _events(self, branches: Branches) -> ak.Array:
        others = [self._electrons(branches), self._muons(branches), *self._photons(branches)]
        jets = without_overlap(self._jets(branches), others, self.overlap, len(branches))
        name = (
            self.met
            or MISSING[branches.first_of(MISSING, "missing energy", "name it with the option met")]
        )
        met, met_phi = missing(branches, f"{name}_pt", f"{name}_phi")
        return events_from_branches(
            branches, [jets, *others], met=met, met_phi=met_phi, weight=self._weights(branches)
        )

    def _jets(self, branches: Branches) -> Particles:
        jets = momenta(branches, "Jet_pt", "Jet_eta", "Jet_phi")
        name, working_point = self._tagger(branches)
        score = finite(branches, name, like="Jet_pt")
        keep = jets.passes(self.jets)
        was_run = (score > _NOT_RUN) | ~keep | (np.abs(jets.eta) > _TAGGED_ETA)
        expected = "a score: the tagger was not run for this file; name another with b_tag"
        branches.require(was_run, name, score, expected)
        if self.jet_id:
            keep &= _jet_id(branches, np.abs(jets.eta), veto=self.jet_id != "tight")
        mass = finite(branches, "Jet_mass", like="Jet_pt")
        return jets.take(keep, type=score > working_point, mass=mass)

    def _tagger(self, branches: Branches) -> tuple[str, float]:
        medium = {f"Jet_{name}": value for name, value in MEDIUM.items()}
        name = f"Jet_{self.b_tag}"
        if self.b_tag is None:
            advice = "name one with the options b_tag and working_point"
            name = branches.first_of(medium, "b-tag discriminator", advice)
        working_point = medium[name] if self.working_point is None else self.working_point
        logger.info("%s: b-jets have %s above %g", branches.path, name, working_point)
        return name, working_point

    def _electrons(self, branches: Branches) -> Particles:
        electrons = momenta(branches, "Electron_pt", "Electron_eta", "Electron_phi")
        keep = electrons.passes(self.electrons)
        if self.electron_id is not None:
            keep &= branches.like("Electron_cutBased", "Electron_pt") >= self.electron_id
        charge, like = "Electron_charge", "Electron_pt"
        return leptons(branches, electrons, keep, charge=charge, like=like, positive=POSITRON)

    def _muons(self, branches: Branches) -> Particles:
        muons = momenta(branches, "Muon_pt", "Muon_eta", "Muon_phi")
        keep = muons.passes(self.muons)
        if self.muon_id is not None:
            keep &= branches.like(f"Muon_{self.muon_id}", "Muon_pt") > 0
        if self.muon_isolation is not None:
            keep &= finite(branches, "Muon_pfRelIso04_all", like="Muon_pt") <= self.muon_isolation
        charge, like = "Muon_charge", "Muon_pt"
        return leptons(branches, muons, keep, charge=charge, like=like, positive=ANTIMUON)

    def _photons(self, branches: Branches) -> list[Particles]:
        if self.photons is None:
            return []
        if branches.lacks("Photon_pt"):
            raise ReadError(
                f"{branches.where} has no branch 'Photon_pt'; a skim without photons is read with "
                "the option photons=None"
            )
        photons = momenta(branches, "Photon_pt", "Photon_eta", "Photon_phi")
        keep = photons.passes(self.photons)
        for name in self.photon_id:
            keep &= branches.like(f"Photon_{name}", "Photon_pt") > 0
        return [photons.take(keep, type=PHOTON)]

    def _weights(self, branches: Branches) -> Floats | float:
        simulated = any(name in branches for name in ("genWeight", *_SIMULATED))
        name = None if self.weight == "genWeight" and not simulated else self.weight
        return weights(branches, name)


def _jet_id(branches: Branches, eta: Floats, *, veto: bool) -> Bools:
    """Whether each jet is a good one.

    Bits 1 and 2 of Jet_jetId, or the recommendation for PUPPI jets of 2022 on.
    """
    if "Jet_jetId" in branches:
        bits = branches.like("Jet_jetId", "Jet_pt").astype(np.int64)
        return np.asarray(bits & (4 if veto else 2) != 0)

    def jets(name: str) -> Floats:
        return finite(branches, f"Jet_{name}", like="Jet_pt")

    neutral, electromagnetic, charged = jets("neHEF"), jets("neEmEF"), jets("chMultiplicity")
    n_neutral = jets("neMultiplicity")
    central = (neutral < 0.99) & (electromagnetic < 0.9) & (charged + n_neutral > 1)
    central &= (jets("chHEF") > 0.01) & (charged > 0)
    forward = np.where(eta > 3.0, (n_neutral >= 2) & (electromagnetic < 0.4), neutral < 0.99)
    between = (neutral < 0.9) & (electromagnetic < 0.99)
    good = np.where(eta > 2.6, np.where(eta > 2.7, forward, between), central)
    if veto:
        good &= (eta > 2.7) | ((jets("muEF") < 0.8) & (jets("chEmEF") < 0.8))
    return np.asarray(good)
