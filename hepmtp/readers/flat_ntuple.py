"""Flat ntuples of ATLAS: a list per event for each number of jets, electrons, muons and photons.

The rule: such files have no standard. What they usually call a thing is looked for in a fixed
order, the choice stands in the log, and the option names tells the rest. What no name can tell,
the units, must be said. Nothing is cut or cleaned that is not asked for.

Names are those of AnalysisTop (``jet_pt``, ``el_pt``, ``mu_pt``, ``met_met``, ``weight_mc``) and of
ATLAS open data (``lep_pt`` with ``lep_type``, ``met_et``, ``mcWeight``):
https://opendata.atlas.cern.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

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
    NO_CUT,
    Momenta,
    events_from_branches,
    finite,
    leptons,
    missing,
    momenta,
    weights,
    without_overlap,
)
from hepmtp.readers.trees import TreeReader

logger = logging.getLogger(__name__)

#: Branches that tell b-jets, in the order they are looked for: flags (None), or scores with the
#: value above which a jet is one. MV2c10: 70 % of b-jets, the working point of the open data.
B_TAGS: dict[str, float | None] = {
    "jet_isbtagged_DL1r_77": None,
    "jet_isbtagged_GN2v01_77": None,
    "jet_isbtagged_MV2c10_77": None,
    "jet_isbtagged": None,
    "jet_MV2c10": 0.8244273,
}
#: Weights of the generator, in the order they are looked for.
WEIGHTS = ("weight_mc", "mcWeight", "mc_weight", "weight")
#: Missing energies in the order they are looked for.
MISSING = ("met_met", "met_et", "met_pt", "met")
#: Energies and masses of jets in the order they are looked for.
ENERGIES, MASSES = ("jet_e", "jet_E"), ("jet_m", "jet_mass")
_FIRST = ("first",)
_UNITS = {"MeV": 1000.0, "GeV": 1.0}
_LEADING = 1000.0  # the median pt of the hardest jet is below it in GeV, and above it in MeV
_SAMPLE = 1000  # events


@dataclass(frozen=True)
class FlatNtuple(TreeReader):
    r"""Reader of flat ntuples.

    Parameters
    ----------
    units
        what the energies in the file are, "MeV" or "GeV". Must be given; an error says which one
        the values fit.
    jets, electrons, muons, photons
        cuts (smallest pt [GeV], largest \|eta\|); none by default.
    b_tag, working_point
        branch of a flag, or of a score and the value above which a jet is a b-jet. By default the
        first of `B_TAGS` that the file has; None calls no jet a b-jet.
    overlap
        jets nearer than this in (eta, phi) to an electron, muon or photon are left out; 0 keeps
        all.
    weight
        branches whose product is the event weight, as text ``weight_mc,weight_pileup``; None for 1.
        By default the first of `WEIGHTS` that the file has. Data have no branch of a weight and
        get 1.
    tree, names
        as of every `hepmtp.readers.trees.TreeReader`.
    """

    units: Literal["MeV", "GeV"] | None = None
    jets: Cut = NO_CUT
    electrons: Cut = NO_CUT
    muons: Cut = NO_CUT
    photons: Cut = NO_CUT
    b_tag: str | None = "first"
    working_point: float | None = None
    overlap: float = 0.0
    weight: tuple[str, ...] | None = _FIRST

    trees = ("nominal", "mini", "analysis")
    branches = ("jet_pt", "jet_eta", "jet_phi")
    collections: ClassVar[dict[str, Collection]] = {
        "jets": Collection("jet_", "pt eta phi energy:e mass:m"),
        "electrons": Collection("el_", "pt eta phi charge"),
        "muons": Collection("mu_", "pt eta phi charge"),
        "leptons": Collection("lep_", "pt eta phi charge type"),
        "photons": Collection("ph_", "pt eta phi"),
    }
    singles: ClassVar[dict[str, str]] = {"met": "met_met", "met_phi": "met_phi"}
    through: ClassVar[dict[str, str]] = {"weight": "{}"}

    def __post_init__(self) -> None:
        super().__post_init__()
        weight: Any = self.weight
        if isinstance(weight, str):  # as the option names has it
            object.__setattr__(self, "weight", (weight,))
        if self.b_tag in ("first", None) and self.working_point is not None:
            raise refusal(self, "working_point", "the b_tag that it is of with it")
        object.__setattr__(self, "unit", 1.0 / _UNITS[self.units or "GeV"])

    def guess(self, path: str) -> tuple[dict[str, Any], tuple[str, ...]]:
        """The units that fit the values."""
        if self.units is not None:
            return {}, ()
        with self._open(path) as branches:
            fits = _fitting(branches)
        note = "the file does not say its units; shown as if they were those that the jets fit"
        return {"units": fits or "GeV"}, (note,)

    def generated_weight(self, path: str) -> float | None:
        """Sum of weight_mc over all generated events, from the tree sumWeights of AnalysisTop.

        Scale factors change it by nothing. The number of events if the option weight is None; None
        for other weights.
        """
        with self._beside(path, "sumWeights") as (known, sums):
            if sums is None or not len(sums):
                return None
            chosen = next((name for name in WEIGHTS if name in known), None)
            mc = "weight_mc" in ((chosen,) if self.weight == _FIRST else self.weight or ())
            what = "totalEventsWeighted" if mc else "totalEvents"
            if what not in sums or not (mc or self.weight is None):
                return None
            return float(np.sum(weights(sums, what)))

    def _check(self, branches: Branches) -> None:
        names = [f"{prefix}pt" for prefix in ("el_", "mu_", "lep_")]
        if all(branches.lacks(name) for name in names):
            raise ReadError(
                f"{branches.where} has no leptons ({', '.join(names)}); name them with the option "
                "names, or say names=leptons=none"
            )

    def _events(self, branches: Branches) -> ak.Array:
        unit = self._unit(branches)
        others = [*self._leptons(branches, unit), *self._photons(branches, unit)]
        jets = self._jets(branches, unit)
        jets = without_overlap(jets, others, self.overlap, len(branches))
        advice = "name it with the option names, met=...,met_phi=..."
        name = branches.first_of(MISSING, "missing energy", advice)
        met, met_phi = missing(branches, name, "met_phi", unit=unit)
        return events_from_branches(
            branches, [jets, *others], met=met, met_phi=met_phi, weight=self._weights(branches)
        )

    def _unit(self, branches: Branches) -> float:
        if self.units is None:
            fits = _fitting(branches)
            said = f"the jets fit units={fits}" if fits else "there are no jets to tell it"
            raise ReadError(
                f"{branches.where} does not say its units: give the option units, MeV or GeV; "
                f"{said}"
            )
        return _UNITS[self.units]

    def _jets(self, branches: Branches, unit: float) -> Particles:
        jets = momenta(branches, "jet_pt", "jet_eta", "jet_phi", unit=unit)
        tagged = self._tagged(branches)
        advice = "name one with the option names, jet_energy=... or jet_mass=..."
        name = branches.first_of((*ENERGIES, *MASSES), "energy or mass of jets", advice)
        values = finite(branches, name, like="jet_pt") / unit
        keep = jets.passes(self.jets)
        if name in ENERGIES:
            return jets.take(keep, type=tagged, energy=values)
        return jets.take(keep, type=tagged, mass=values)

    def _tagged(self, branches: Branches) -> Bools:
        name, above = self.b_tag, self.working_point
        if name is None:
            return np.zeros(len(branches.lists("jet_pt").values), dtype=bool)
        if name == "first":
            advice = "name it with the option b_tag, or say b_tag=none for no b-jets"
            name = branches.first_of(B_TAGS, "b-tag that is known", advice)
            above = B_TAGS[name]
        logger.info("%s: b-jets are those of %s", branches.path, name)
        values = branches.like(name, "jet_pt")
        if above is not None:
            return np.asarray(finite(branches, name, like="jet_pt") > above)
        is_flag = (values == 0) | (values == 1)
        expected = "0 or 1: give the working_point of a score"
        branches.require(is_flag, name, values, expected)
        return np.asarray(values == 1)

    def _leptons(self, branches: Branches, unit: float) -> list[Particles]:
        kinds = (("el_", self.electrons, POSITRON), ("mu_", self.muons, ANTIMUON))
        if not all(branches.lacks(f"{prefix}pt") for prefix, *_ in kinds):
            return [
                _charged(branches, prefix, found, found.passes(cut), positive)
                for prefix, cut, positive in kinds
                for found in [_momenta(branches, prefix, unit)]
            ]
        found = _momenta(branches, "lep_", unit)
        kind = np.abs(branches.like("lep_type", "lep_pt").astype(np.int64))
        branches.require(np.isin(kind, (11, 13)), "lep_type", kind, "11 (electron) or 13 (muon)")
        return [
            _charged(branches, "lep_", found, found.passes(cut) & (kind == code), positive)
            for code, (_, cut, positive) in zip((11, 13), kinds, strict=True)
        ]

    def _photons(self, branches: Branches, unit: float) -> list[Particles]:
        prefixes = [name for name in ("ph_", "photon_") if not branches.lacks(f"{name}pt")]
        if not prefixes:
            logger.info("%s has no photons", branches.path)
            return []
        photons = _momenta(branches, prefixes[0], unit)
        return [photons.take(photons.passes(self.photons), type=PHOTON)]

    def _weights(self, branches: Branches) -> Floats | float:
        names: Sequence[str] = self.weight or ()
        if names == _FIRST:
            names = [name for name in WEIGHTS if name in branches][:1]
            others = [name for name in branches.known if "weight" in name.lower()]
            if not names and others:
                raise ReadError(
                    f"{branches.where} has none of the weights {', '.join(WEIGHTS)}, but "
                    f"{', '.join(others[:8])}; say which with the option weight, or weight=none"
                )
            logger.info("%s: events have the weight %s", branches.path, *(names or ["1"]))
        product: Floats | float = 1.0
        for name in names:
            product = product * weights(branches, name)
        return product


def _momenta(branches: Branches, prefix: str, unit: float) -> Momenta:
    return momenta(branches, *(f"{prefix}{name}" for name in ("pt", "eta", "phi")), unit=unit)


def _charged(
    branches: Branches, prefix: str, found: Momenta, keep: Bools, positive: int
) -> Particles:
    charge, like = f"{prefix}charge", f"{prefix}pt"
    return leptons(branches, found, keep, charge=charge, like=like, positive=positive)


def _fitting(branches: Branches) -> Literal["MeV", "GeV"] | None:
    """The units in which the hardest jets of the first events are such of a collider."""
    some = branches.part(branches.start, branches.start + _SAMPLE)
    if some.lacks("jet_pt") or not len(some):
        return None
    counts, pts = some.lists("jet_pt")
    hardest = ak.max(ak.unflatten(pts, counts), axis=1)
    hardest = ak.to_numpy(ak.drop_none(hardest))
    if not len(hardest):
        return None
    return "MeV" if float(np.median(hardest)) > _LEADING else "GeV"
