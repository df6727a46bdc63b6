"""ROOT files of any size in each format that is read: real events, again and again.

A file holds the branches that the reader needs, with the compression of the real files (ZLIB 1).
Every copy's numbers are scaled by a random factor of up to one per mille and have the precision of
the real ones: repeated numbers would be unpacked too fast. The Dark Machines ntuple is made of the
embedded sample in the same way.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
import uproot

from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import embedded

DELPHES = {
    "Jet": "PT Eta Phi Mass BTag",
    "Electron": "PT Eta Phi Charge",
    "Muon": "PT Eta Phi Charge",
    "Photon": "PT Eta Phi E",
    "MissingET": "MET Phi",
    "Event": "Weight",
}
NANOAOD = {
    "Jet": "pt eta phi mass btagDeepFlavB neHEF neEmEF chHEF chMultiplicity neMultiplicity",
    "Electron": "pt eta phi charge cutBased",
    "Muon": "pt eta phi charge mediumId pfRelIso04_all",
    "Photon": "pt eta phi mvaID_WP90 electronVeto",
    "PuppiMET": "pt phi",
}
PHYSLITE = {
    "AnalysisJets": "pt eta phi m btaggingLink NNJvtPass",
    "AnalysisElectrons": "pt eta phi charge DFCommonElectronsLHMedium "
    "ptvarcone30_Nonprompt_All_MaxWeightTTVALooseCone_pt1000",
    "AnalysisMuons": "pt eta phi charge quality ptvarcone30_Nonprompt_All_MaxWeightTTVA_pt1000",
    "AnalysisPhotons": "pt eta phi DFCommonPhotonsIsEMTight",
    "BTagging_AntiKt4EMPFlow": "GN2v01_pb GN2v01_pc GN2v01_pu GN2v01_ptau",
    "MET_Core_AnalysisMET": "mpx mpy source",
    "EventInfo": "mcEventWeights",
}


class Format(NamedTuple):
    """A reader, the tree that it reads, and a function that gives some of its events as columns."""

    reader: str
    tree: str
    rntuple: bool
    columns: Callable[[Path], dict[str, Any]]


def branches(
    file: str, tree: str, names: dict[str, str], between: str
) -> Callable[[Path], dict[str, Any]]:
    """What reads these branches of a real file."""

    def columns(folder: Path) -> dict[str, Any]:
        with uproot.open(folder / file) as opened:
            found = opened[tree]
            wanted = [
                group + between + name for group, some in names.items() for name in some.split()
            ]
            wanted += [
                name
                for name in ("genWeight", "MET_Core_AnalysisMETAuxDyn:name")
                if name in found.keys(recursive=False)
            ]
            return {name: found[name].array() for name in wanted}

    return columns


def ntuple(folder: Path) -> dict[str, Any]:  # noqa: ARG001 (as the others)
    """Objects of the embedded sample, the missing energy as the last of each event."""
    events = read(embedded(), stop=400)
    particles, met = events.Particle, events.MET[:, np.newaxis]
    pt, eta, phi, energy = (particles[name] for name in ("pt", "eta", "phi", "energy"))
    kind = ak.concatenate([particles["type"], ak.full_like(met.pt, -1, dtype=np.int8)], axis=1)
    both = {
        "px": (pt * np.cos(phi), met.px),
        "py": (pt * np.sin(phi), met.py),
        "Energy": (energy, met.pt),
    }
    both |= {"eta": (eta, met.pt * 0), "phi": (phi, met.phi)}
    columns = {
        f"obj_{name}": ak.values_astype(ak.concatenate(pair, axis=1), np.float32)
        for name, pair in both.items()
    }
    flags = {
        "isJet": (0, 1),
        "isBJet": (1,),
        "isPositron": (2,),
        "isElectron": (3,),
        "isAntiMuon": (4,),
        "isMuon": (5,),
    }
    for name, kinds in {**flags, "isPhoton": (6,), "isMET": (-1,)}.items():
        columns[name] = ak.values_astype(sum(kind == one for one in kinds) > 0, np.int32)
    return columns


FORMATS = {
    "Delphes, TTree": Format(
        "hepmtp:Delphes", "Delphes", False, branches("coffea/delphes.root", "Delphes", DELPHES, ".")
    ),
    "NanoAOD v15, TTree": Format(
        "hepmtp:NanoAOD",
        "Events",
        False,
        branches("coffea/nano_tt_v15.root", "Events", NANOAOD, "_"),
    ),
    "NanoAOD v15, RNTuple": Format(
        "hepmtp:NanoAOD",
        "Events",
        True,
        branches("coffea/nano_tt_v15.root", "Events", NANOAOD, "_"),
    ),
    "PHYSLITE, RNTuple": Format(
        "hepmtp:Physlite",
        "EventData",
        True,
        branches(
            "scikit-hep-testdata/uproot-physlite-rntuple_v1-0-0-0.root",
            "EventData",
            PHYSLITE,
            "AuxDyn:",
        ),
    ),
    "Dark Machines ntuple, TTree": Format("hepmtp:DMNtuple", "mytree", False, ntuple),
}


def write(path: Path, form: Format, columns: dict[str, Any], events: int) -> int:
    """The events again and again in clusters of about 10 000; returns how many there are."""
    n = len(next(iter(columns.values())))
    rng = np.random.default_rng(0)
    order = np.tile(np.arange(n), max(1, 10_000 // n))
    written = 0
    with uproot.recreate(path, compression=uproot.ZLIB(1)) as file:
        tree = None
        while written < events:
            block = {name: varied(name, column[order], rng) for name, column in columns.items()}
            data = ak.zip(block, depth_limit=1) if form.rntuple else block
            if tree is None and form.rntuple:
                tree = file.mkrntuple(form.tree, data[:0])
            elif tree is None:
                tree = file.mktree(
                    form.tree, {name: ak.type(one).content for name, one in block.items()}
                )
            tree.extend(data)
            written += len(order)
    return written


def varied(name: str, column: ak.Array, rng: np.random.Generator) -> ak.Array:
    """Floating-point numbers a little smaller, with as many bits as they had."""
    column = ak.to_packed(column if name.endswith("name") else ak.without_parameters(column))
    flat = (
        ak.to_numpy(ak.flatten(column) if column.ndim == 2 else column)
        if not column.fields and column.ndim < 3
        else None
    )
    if flat is None or flat.dtype != np.float32 or "charge" in name.lower():
        return column
    used = int(np.bitwise_or.reduce(flat.view(np.uint32)))
    if not used:
        return column
    kept = np.uint32(0xFFFFFFFF ^ ((used & -used) - 1))
    less = (flat * rng.uniform(0.999, 1.0, len(flat)).astype(np.float32)).view(np.uint32) & kept
    return (
        ak.unflatten(less.view(np.float32), ak.num(column))
        if column.ndim == 2
        else ak.Array(less.view(np.float32))
    )
