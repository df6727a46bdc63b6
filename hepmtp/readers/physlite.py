"""ATLAS DAOD_PHYSLITE, as TTree (CollectionTree) or RNTuple (EventData).

The rule: MeV in the file, GeV in the events, and what the file does not hold is made in the open.
There is no missing energy in it, only its soft term, so MET is that term minus the chosen
particles. There are scores of b-taggers but no decision. A jet is a b-jet if b is the most
probable of its flavours, or if its discriminant passes a cut that is given. Layout:
ATL-PHYS-PUB-2020-013 and ATLAS open data (https://opendata.atlas.cern).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import awkward as ak
import numpy as np

from hepmtp.errors import ReadError
from hepmtp.events.assembling import Particles
from hepmtp.events.particles import ANTIMUON, PHOTON, POSITRON
from hepmtp.events.ragged import Bools, Floats, Ints, starts
from hepmtp.readers.branches import Branches
from hepmtp.readers.naming import Collection
from hepmtp.readers.options import Cut
from hepmtp.readers.particles import (
    Momenta,
    events_from_branches,
    finite,
    leptons,
    momenta,
    per_event,
    without_overlap,
)
from hepmtp.readers.trees import TreeReader

logger = logging.getLogger(__name__)

#: b-taggers in the order they are looked for.
TAGGERS = ("GN2v01", "GN2v00", "DL1dv01")
#: Terms of the missing energy: a final one if there is one, else the soft one and the particles.
FINAL_TERMS, SOFT_TERM = ("FinalTrk", "Final"), "PVSoftTrkCore"
#: Sums of the pt of tracks around a lepton, in a cone of at most 0.3 that shrinks with its pt.
ISOLATION = {
    "AnalysisElectrons": "ptvarcone30_Nonprompt_All_MaxWeightTTVALooseCone_pt1000",
    "AnalysisMuons": "ptvarcone30_Nonprompt_All_MaxWeightTTVA_pt1000",
}
_MEV = 1000.0
_BOOKKEEPERS = "CutBookkeepersAux"
_B_TAGGING = "BTagging_AntiKt4EMPFlowAuxDyn"


@dataclass(frozen=True)
class Physlite(TreeReader):
    r"""Reader of DAOD_PHYSLITE files.

    Parameters
    ----------
    jets, electrons, muons, photons
        cuts (smallest pt [GeV], largest \|eta\|).
    b_tagger
        "GN2v01" or another with scores in the file; "first" of `TAGGERS` that it has; None calls no
        jet a b-jet.
    b_cut
        smallest discriminant ``log(pb / (c pc + tau ptau + (1 - c - tau) pu))`` of a b-jet, as the
        working points of ATLAS are given. By default a jet is a b-jet if pb is larger than each of
        the others.
    b_fractions
        c and tau in the discriminant.
    jet_id, electron_id, photon_id
        branches that must not be 0, without their container; None for all.
    muon_quality
        worst quality: 0 tight, 1 medium, 2 loose, 3 very loose; None for all.
    lepton_isolation
        largest sum of the pt of tracks around an electron or muon (`ISOLATION`) in units of its own
        pt, by default that of ATLAS's Loose. None takes all; then a b-jet with a muon of its
        decay inside is lost to that muon.
    overlap
        jets nearer than this in (eta, phi) to a chosen electron, muon or photon are left out; 0
        keeps all, and then the missing energy counts such a particle twice.
    weight
        branch of the event weights, of which the first counts; None for 1. Data have none and get
        1.
    tree, names
        as of every `hepmtp.readers.trees.TreeReader`.
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

    unit = 1e-3
    trees = ("CollectionTree", "EventData")
    branches = ("AnalysisJetsAuxDyn.pt", "AnalysisElectronsAuxDyn.pt")
    collections: ClassVar[dict[str, Collection]] = {
        "jets": Collection("AnalysisJetsAuxDyn.", "pt eta phi mass:m"),
        "electrons": Collection("AnalysisElectronsAuxDyn.", "pt eta phi charge"),
        "muons": Collection("AnalysisMuonsAuxDyn.", "pt eta phi charge quality"),
        "photons": Collection("AnalysisPhotonsAuxDyn.", "pt eta phi"),
        "b_tagging": Collection(f"{_B_TAGGING}.", ""),
        "met": Collection("MET_Core_AnalysisMETAuxDyn.", "x:mpx y:mpy"),
    }
    through: ClassVar[dict[str, str]] = {"weight": "EventInfoAuxDyn.{}"}

    def generated_weight(self, path: str) -> float | None:
        """Sum of the first weights of all generated events, from the CutBookkeepers of the file.

        The number of events if the option weight is None; None for any other weight. None too if
        there are incomplete bookkeepers, for then the file was made from a part of its input.
        """
        what = {None: "nAcceptedEvents", "mcEventWeights": "sumOfEventWeights"}.get(self.weight)
        if what is None:
            return None
        with self._beside(path, "MetaData") as (known, metadata):
            if not _simulated(known) or metadata is None or not len(metadata):
                return None
            if f"{_BOOKKEEPERS}.{what}" not in metadata:
                return None
            incomplete = f"Incomplete{_BOOKKEEPERS}.name"
            if incomplete in metadata and len(ak.flatten(metadata.array(incomplete))):
                logger.warning(
                    "%s has incomplete CutBookkeepers: the sum of its generated weights is not "
                    "known",
                    path,
                )
                return None
            columns = (
                metadata.array(f"{_BOOKKEEPERS}.{name}").to_list()
                for name in ("name", "inputStream", "cycle", what)
            )
            # an entry for each file that was merged
            sums = [_of_all_events(*entry) for entry in zip(*columns, strict=True)]
        return None if None in sums else float(sum(one for one in sums if one is not None))

    def _events(self, branches: Branches) -> ak.Array:
        others = [self._electrons(branches), self._muons(branches), self._photons(branches)]
        jets = without_overlap(self._jets(branches), others, self.overlap, len(branches))
        collections = [jets, *others]
        px, py = _missing(branches, collections)
        return events_from_branches(
            branches,
            collections,
            met=np.hypot(px, py),
            met_phi=np.arctan2(py, px),
            weight=self._weight(branches),
        )

    def _jets(self, branches: Branches) -> Particles:
        jets = _momenta(branches, "AnalysisJets")
        mass = finite(branches, "AnalysisJetsAuxDyn.m", like="AnalysisJetsAuxDyn.pt") / _MEV
        tagged = np.zeros(len(jets.pt), dtype=bool)
        if self.b_tagger is not None:
            tagged = self._tagged(branches, self.b_tagger)
        keep = jets.passes(self.jets) & _passes(branches, "AnalysisJets", self.jet_id)
        return jets.take(keep, type=tagged, mass=mass)

    def _tagged(self, branches: Branches, tagger: str) -> Bools:
        """Whether each jet is a b-jet; its link says where in another container its scores are."""
        if tagger == "first":
            known = {f"{_B_TAGGING}.{name}_pb": name for name in TAGGERS}
            advice = "name one with b_tagger, or None for no b-jets"
            tagger = known[branches.first_of(known, "scores of a b-tagger", advice)]
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
        name = "AnalysisElectrons"
        electrons = _momenta(branches, name)
        keep = electrons.passes(self.electrons) & _passes(branches, name, self.electron_id)
        keep &= self._isolated(branches, name, electrons)
        return _leptons(branches, name, electrons, keep, positive=POSITRON)

    def _muons(self, branches: Branches) -> Particles:
        name = "AnalysisMuons"
        muons = _momenta(branches, name)
        keep = muons.passes(self.muons) & self._isolated(branches, name, muons)
        if self.muon_quality is not None:
            quality = branches.like("AnalysisMuonsAuxDyn.quality", "AnalysisMuonsAuxDyn.pt")
            keep &= quality & 7 <= self.muon_quality  # the other bits are flags
        return _leptons(branches, name, muons, keep, positive=ANTIMUON)

    def _isolated(self, branches: Branches, name: str, found: Momenta) -> Bools | np.bool_:
        if self.lepton_isolation is None:
            return np.True_
        around = finite(branches, f"{name}AuxDyn.{ISOLATION[name]}", like=f"{name}AuxDyn.pt")
        return np.asarray(around / _MEV <= self.lepton_isolation * found.pt)

    def _photons(self, branches: Branches) -> Particles:
        photons = _momenta(branches, "AnalysisPhotons")
        keep = photons.passes(self.photons) & _passes(branches, "AnalysisPhotons", self.photon_id)
        return photons.take(keep, type=PHOTON)

    def _weight(self, branches: Branches) -> Floats | float:
        if self.weight is None:
            return 1.0
        name = f"EventInfoAuxDyn.{self.weight}"
        if self.weight == "mcEventWeights" and not _simulated(branches.known):
            return 1.0
        counts, weights = branches.lists(name)
        branches.require(counts > 0, name, counts, "at least one weight", per_event=True)
        return per_event(branches, name, weights[starts(counts)])


def _simulated(known: Mapping[str, str]) -> bool:
    return "EventInfoAuxDyn.mcEventWeights" in known or "TruthEvents" in known


def _of_all_events(
    names: list[str], streams: list[str], cycles: list[int], values: list[float]
) -> float | None:
    """The value of the bookkeeper of all executed events, the last time that they were AOD."""
    found = [
        (cycle, value)
        for name, stream, cycle, value in zip(names, streams, cycles, values, strict=True)
        if (name, stream) == ("AllExecutedEvents", "StreamAOD")
    ]
    return max(found)[1] if found else None


def _momenta(branches: Branches, container: str) -> Momenta:
    names = (f"{container}AuxDyn.{name}" for name in ("pt", "eta", "phi"))
    return momenta(branches, *names, unit=_MEV)


def _leptons(
    branches: Branches, name: str, found: Momenta, keep: Bools, *, positive: int
) -> Particles:
    charge, like = f"{name}AuxDyn.charge", f"{name}AuxDyn.pt"
    return leptons(branches, found, keep, charge=charge, like=like, positive=positive)


def _passes(branches: Branches, container: str, name: str | None) -> Bools | np.bool_:
    if name is None:
        return np.True_
    return np.asarray(branches.like(f"{container}AuxDyn.{name}", f"{container}AuxDyn.pt") != 0)


def _scores(branches: Branches, name: str, tagger: str) -> Floats:
    return finite(branches, f"{_B_TAGGING}.{name}", like=f"{_B_TAGGING}.{tagger}_pb")


def _places(branches: Branches, scores: str) -> Ints:
    """Where in the scores of all events each jet's are."""
    name = "AnalysisJetsAuxDyn.btaggingLink.m_persIndex"
    index = branches.like(name, "AnalysisJetsAuxDyn.pt").astype(np.int64)
    jets, counts = branches.lists(name).counts, branches.lists(scores).counts
    expected = f"below the number of {scores} in the event"
    branches.require(index < np.repeat(counts, jets), name, index, expected)
    return index + np.repeat(starts(counts), jets)


def _missing(branches: Branches, collections: Sequence[Particles]) -> tuple[Floats, Floats]:
    """x and y of the missing momentum: the final term, or the soft one minus all particles."""
    container, n = "MET_Core_AnalysisMETAuxDyn", len(branches)
    if n == 0:
        return np.zeros(0), np.zeros(0)
    terms = [str(term) for term in branches.array(f"{container}.name", branches.start + 1)[0]]
    term = next((term for term in (*FINAL_TERMS, SOFT_TERM) if term in terms), None)
    first = f"in entry {branches.start}"
    if term is None:
        raise ReadError(
            f"{branches.path} entry {branches.start}: {container} has the terms {terms}, expected "
            f"one of {', '.join((*FINAL_TERMS, SOFT_TERM))}"
        )
    counts = branches.lists(f"{container}.source").counts
    what, expected = f"number of terms of {container}", f"{len(terms)}, as {first}"
    branches.require(counts == len(terms), what, counts, expected, per_event=True)

    def of_term(name: str) -> Any:
        values = branches.like(f"{container}.{name}", f"{container}.source")
        return values.reshape(n, len(terms))[:, terms.index(term)]

    source, name = of_term("source"), f"{container}.source"
    expected = f"{source[0]} ({term}), as {first}"
    branches.require(source == source[0], name, source, expected, per_event=True)
    x, y = (
        per_event(branches, f"{container}.{name}", of_term(name)) / _MEV for name in ("mpx", "mpy")
    )
    if term == SOFT_TERM:
        for one in collections:
            x = x - np.bincount(one.event, one.pt * np.cos(one.phi), minlength=n)
            y = y - np.bincount(one.event, one.pt * np.sin(one.phi), minlength=n)
    return x, y
