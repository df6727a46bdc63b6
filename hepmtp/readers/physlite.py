"""ATLAS DAOD_PHYSLITE, as TTree (CollectionTree) or RNTuple (EventData).

The rule: MeV in the file, GeV in the events, and what the file does not hold is made in the open: there is no missing energy
in it, only its soft term, so MET is that term minus the chosen particles; and there are scores of b-taggers but no
decision, so a jet is a b-jet if b is the most probable of its flavours, or if the discriminant passes a cut that is given.
Layout: ATL-PHYS-PUB-2020-013 and ATLAS open data (https://opendata.atlas.cern).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepmtp.errors import ReadError
from hepmtp.readers.particles import (
    ELECTRON_MASS,
    MUON_MASS,
    Cut,
    Mask,
    Momenta,
    Particles,
    away_from,
    events_from,
    finite,
    lepton_type,
    momenta,
    per_event,
)
from hepmtp.readers.trees import Branches, TreeReader

logger = logging.getLogger(__name__)

#: b-taggers in the order they are looked for.
TAGGERS = ("GN2v01", "GN2v00", "DL1dv01")
#: Terms of the missing energy: a final one if there is one, else the soft term, to which the particles are added.
FINAL_TERMS, SOFT_TERM = ("FinalTrk", "Final"), "PVSoftTrkCore"
#: The sums of the pt of tracks around a lepton, in a cone of at most 0.3 that shrinks with the lepton's pt.
ISOLATION = {
    "AnalysisElectrons": "ptvarcone30_Nonprompt_All_MaxWeightTTVALooseCone_pt1000",
    "AnalysisMuons": "ptvarcone30_Nonprompt_All_MaxWeightTTVA_pt1000",
}
_MEV = 1000.0
_B_TAGGING = "BTagging_AntiKt4EMPFlowAuxDyn"


@dataclass(frozen=True)
class Physlite(TreeReader):
    r"""Reader of DAOD_PHYSLITE files.

    Parameters
    ----------
    jets, electrons, muons, photons
        cuts (smallest pt [GeV], largest \|eta\|).
    b_tagger
        "GN2v01" or another with scores in the file; "first" of `TAGGERS` that it has; None calls no jet a b-jet.
    b_cut
        smallest discriminant ``log(pb / (c pc + tau ptau + (1 - c - tau) pu))`` of a b-jet, as the working points of ATLAS
        are given; by default a jet is a b-jet if pb is larger than each of the others.
    b_fractions
        c and tau in the discriminant.
    jet_id, electron_id, photon_id
        branches that must not be 0, without their container; None for all.
    muon_quality
        worst quality: 0 tight, 1 medium, 2 loose, 3 very loose; None for all.
    lepton_isolation
        largest sum of the pt of tracks around an electron or muon (`ISOLATION`) in units of its own pt, by default that of
        ATLAS's Loose; None for all, and then a b-jet with a muon of its decay inside is lost to that muon.
    overlap
        jets nearer than this in (eta, phi) to a chosen electron, muon or photon are left out; 0 keeps all, and then the
        missing energy counts such a particle twice.
    weight
        branch of the event weights, of which the first counts; None for 1. Data have none and get 1.
    """

    jets: Cut = (20.0, 4.5)
    electrons: Cut = (10.0, 2.47)
    muons: Cut = (10.0, 2.7)
    photons: Cut = (20.0, 2.37)
    b_tagger: str | None = "first"
    b_cut: float | None = None
    b_fractions: tuple[float, float] = (0.0, 0.0)
    jet_id: str | None = "NNJvtPass"
    electron_id: str | None = "DFCommonElectronsLHMedium"
    muon_quality: int | None = 1
    photon_id: str | None = "DFCommonPhotonsIsEMTight"
    lepton_isolation: float | None = 0.15
    overlap: float = 0.4
    weight: str | None = "mcEventWeights"

    trees: ClassVar[tuple[str, ...]] = ("CollectionTree", "EventData")

    def _events(self, branches: Branches) -> ak.Array:
        others = [self._electrons(branches), self._muons(branches), self._photons(branches)]
        jets = self._jets(branches)
        if self.overlap > 0:
            jets = jets.select(away_from(jets, others, self.overlap, len(branches)))
        collections = [jets, *others]
        px, py = _missing(branches, collections)
        return events_from(
            branches,
            collections,
            met=np.hypot(px, py),
            met_phi=np.arctan2(py, px),
            weight=self._weight(branches),
        )

    def _jets(self, branches: Branches) -> Particles:
        jets = _momenta(branches, "AnalysisJets")
        mass = finite(branches, "AnalysisJetsAuxDyn.m", like="AnalysisJetsAuxDyn.pt") / _MEV
        tagged = (
            np.zeros(len(jets.pt), dtype=bool)
            if self.b_tagger is None
            else self._tagged(branches, self.b_tagger)
        )
        return jets.take(
            jets.passes(self.jets) & _passes(branches, "AnalysisJets", self.jet_id),
            type=tagged,
            mass=mass,
        )

    def _tagged(self, branches: Branches, tagger: str) -> Mask:
        """Whether each jet is a b-jet; its scores are in another container, at the place that the jet's link says."""
        if tagger == "first":
            known = {f"{_B_TAGGING}.{name}_pb": name for name in TAGGERS}
            tagger = known[
                branches.first_of(
                    known, "scores of a b-tagger", "name one with b_tagger, or None for no b-jets"
                )
            ]
        logger.info("%s: b-jets are those of %s", branches.path, tagger)
        place = _places(branches, f"{_B_TAGGING}.{tagger}_pb")
        b, c, light = (
            _scores(branches, f"{tagger}_p{flavour}", tagger)[place] for flavour in "bcu"
        )
        of_c, of_tau = self.b_fractions
        with_tau = f"{_B_TAGGING}.{tagger}_ptau" in branches or (of_tau and self.b_cut is not None)
        tau = _scores(branches, f"{tagger}_ptau", tagger)[place] if with_tau else np.zeros_like(b)
        if self.b_cut is None:
            return np.asarray(b > np.maximum(np.maximum(c, light), tau))
        others = of_c * c + of_tau * tau + (1 - of_c - of_tau) * light
        return np.asarray((b > 0) & (b >= np.exp(self.b_cut) * others))

    def _electrons(self, branches: Branches) -> Particles:
        electrons = _momenta(branches, "AnalysisElectrons")
        keep = electrons.passes(self.electrons) & _passes(
            branches, "AnalysisElectrons", self.electron_id
        )
        keep &= self._isolated(branches, "AnalysisElectrons", electrons)
        return electrons.take(
            keep, type=_charged(branches, "AnalysisElectrons", positive=2), mass=ELECTRON_MASS
        )

    def _muons(self, branches: Branches) -> Particles:
        muons = _momenta(branches, "AnalysisMuons")
        keep = muons.passes(self.muons) & self._isolated(branches, "AnalysisMuons", muons)
        if self.muon_quality is not None:
            quality = branches.like("AnalysisMuonsAuxDyn.quality", "AnalysisMuonsAuxDyn.pt")
            keep &= quality & 7 <= self.muon_quality  # the other bits are flags
        return muons.take(
            keep, type=_charged(branches, "AnalysisMuons", positive=4), mass=MUON_MASS
        )

    def _isolated(self, branches: Branches, container: str, leptons: Momenta) -> Mask | np.bool_:
        if self.lepton_isolation is None:
            return np.True_
        around = (
            finite(
                branches, f"{container}AuxDyn.{ISOLATION[container]}", like=f"{container}AuxDyn.pt"
            )
            / _MEV
        )
        return np.asarray(around <= self.lepton_isolation * leptons.pt)

    def _photons(self, branches: Branches) -> Particles:
        photons = _momenta(branches, "AnalysisPhotons")
        return photons.take(
            photons.passes(self.photons) & _passes(branches, "AnalysisPhotons", self.photon_id),
            type=6,
        )

    def _weight(self, branches: Branches) -> NDArray[np.float64] | float:
        if self.weight is None:
            return 1.0
        name = f"EventInfoAuxDyn.{self.weight}"
        if (
            self.weight == "mcEventWeights"
            and name not in branches
            and "TruthEvents" not in branches
        ):
            return 1.0  # data
        counts, weights = branches.lists(name)
        branches.require(counts > 0, name, counts, "at least one weight", per_event=True)
        return per_event(branches, name, weights[np.cumsum(counts) - counts])


def _momenta(branches: Branches, container: str) -> Momenta:
    names = (f"{container}AuxDyn.{name}" for name in ("pt", "eta", "phi"))
    return momenta(branches, *names, unit=_MEV)


def _charged(branches: Branches, container: str, *, positive: int) -> NDArray[np.int8]:
    return lepton_type(branches, f"{container}AuxDyn.charge", f"{container}AuxDyn.pt", positive)


def _passes(branches: Branches, container: str, name: str | None) -> Mask | np.bool_:
    if name is None:
        return np.True_
    return np.asarray(branches.like(f"{container}AuxDyn.{name}", f"{container}AuxDyn.pt") != 0)


def _scores(branches: Branches, name: str, tagger: str) -> NDArray[np.float64]:
    return finite(branches, f"{_B_TAGGING}.{name}", like=f"{_B_TAGGING}.{tagger}_pb")


def _places(branches: Branches, scores: str) -> NDArray[np.int64]:
    """Where in the scores of all events each jet's are."""
    name = "AnalysisJetsAuxDyn.btaggingLink.m_persIndex"
    index = branches.like(name, "AnalysisJetsAuxDyn.pt").astype(np.int64)
    jets, counts = branches.lists(name).counts, branches.lists(scores).counts
    branches.require(
        index < np.repeat(counts, jets), name, index, f"below the number of {scores} in the event"
    )
    return index + np.repeat(np.cumsum(counts) - counts, jets)


def _missing(
    branches: Branches, collections: Sequence[Particles]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """x and y of the missing momentum: the final term, or the soft one minus all particles."""
    container, n = "MET_Core_AnalysisMETAuxDyn", len(branches)
    if n == 0:
        return np.zeros(0), np.zeros(0)
    terms = [str(term) for term in branches.array(f"{container}.name", branches.start + 1)[0]]
    term = next((term for term in (*FINAL_TERMS, SOFT_TERM) if term in terms), None)
    if term is None:
        wanted = ", ".join((*FINAL_TERMS, SOFT_TERM))
        raise ReadError(
            f"{branches.path} entry {branches.start}: {container} has the terms {terms}, expected one of {wanted}"
        )
    at = terms.index(term)
    counts, sources = branches.lists(f"{container}.source")
    same = counts == len(terms)
    branches.require(
        same,
        f"number of terms of {container}",
        counts,
        f"{len(terms)}, as in entry {branches.start}",
        per_event=True,
    )
    sources = sources.reshape(n, len(terms))[:, at]
    branches.require(
        sources == sources[0],
        f"{container}.source",
        sources,
        f"{sources[0]} ({term}), as in entry {branches.start}",
        per_event=True,
    )
    x, y = (
        per_event(
            branches, name, branches.like(name, f"{container}.source").reshape(n, len(terms))[:, at]
        )
        / _MEV
        for name in (f"{container}.mpx", f"{container}.mpy")
    )
    if term == SOFT_TERM:
        for one in collections:
            x = x - np.bincount(one.event, one.pt * np.cos(one.phi), minlength=n)
            y = y - np.bincount(one.event, one.pt * np.sin(one.phi), minlength=n)
    return x, y
