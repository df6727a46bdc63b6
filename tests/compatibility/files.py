"""The same three events in every format and layout, written once and only when they are asked for.

The rule: 0.5, 1 and 2 are their weights. The first has a jet of 50 GeV and a b-jet of 60, the
second a muon of 20 and a photon of 30, the third an electron of 25.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import awkward as ak
import h5py
import numpy as np
import pyarrow as pa
import uproot

from hepmtp.readers.convert import convert

#: Lines of the challenge's layout, MeV.
LINES = (
    "1;tt;0.5;20000;0.1;j,60000,50000,0.1,1;b,70000,60000,0.2,-1;",
    "2;tt;1;30000;0.2;m+,23000,20000,-0.5,0;g,47000,30000,1,-2;",
    "3;tt;2;40000;0.3;e-,30000,25000,0.5,2;",
)
#: The same in the other layouts.
LAYOUTS = {
    "challenge": LINES,
    "bare": tuple(line.split(";", 2)[2] for line in LINES),
    "generator": (
        "===1=== xsec 1",
        "0.5;20000;0.1;j,50000,0.1,1;b,60000,0.2,-1;",
        "1;30000;0.2;m+,20000,-0.5,0;g30000,1,-2;",
        "2;40000;0.3;e-,25000,0.5,2;",
        "3",
    ),
    "fixed": (
        "1 1 3 3 0 3 3 0 3",
        "20000,0.1,50000,0.1,1,60000,0.2,-1,0,0,0,0,0,0,0,0,0",
        "30000,0.2,0,0,0,0,0,0,0,0,0,20000,-0.5,0,30000,1,-2",
        "40000,0.3,0,0,0,0,0,0,25000,0.5,2,0,0,0,0,0,0",
    ),
}
PACK: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda data: pa.compress(data, codec="zstd", asbytes=True),
}
JETS = {"pt": [[50.0, 60.0], [], []], "eta": [[0.1, 0.2], [], []], "phi": [[1.0, -1.0], [], []]}
ELECTRONS = {"pt": [[], [], [25.0]], "eta": [[], [], [0.5]], "phi": [[], [], [2.0]]}
NEAR = {"pt": [[25.0], [], []], "eta": [[0.2], [], []], "phi": [[-1.1], [], []]}
MUONS = {"pt": [[], [20.0], []], "eta": [[], [-0.5], []], "phi": [[], [0.0], []]}
PHOTONS = {"pt": [[], [30.0], []], "eta": [[], [1.0], []], "phi": [[], [-2.0], []]}
MASS = [[10.0, 8.0], [], []]
MET = {"pt": [20.0, 30.0, 40.0], "phi": [0.1, 0.2, 0.3]}
WEIGHTS = [0.5, 1.0, 2.0]

NANO: dict[str, Any] = {
    **{f"Jet_{name}": values for name, values in JETS.items()},
    "Jet_mass": MASS,
    "Jet_btagDeepFlavB": [[0.1, 0.9], [], []],
    "Jet_jetId": [[6, 6], [], []],
    **{f"Electron_{name}": values for name, values in ELECTRONS.items()},
    "Electron_charge": [[], [], [-1]],
    "Electron_cutBased": [[], [], [4]],
    **{f"Muon_{name}": values for name, values in MUONS.items()},
    "Muon_charge": [[], [1], []],
    "Muon_mediumId": [[], [1], []],
    "Muon_tightId": [[], [0], []],
    "Muon_pfRelIso04_all": [[], [0.1], []],
    **{f"Photon_{name}": values for name, values in PHOTONS.items()},
    "Photon_mvaID_WP80": [[], [0], []],
    "Photon_mvaID_WP90": [[], [1], []],
    "Photon_electronVeto": [[], [1], []],
    **{f"PuppiMET_{name}": values for name, values in MET.items()},
    "genWeight": WEIGHTS,
}
_B = "BTagging_AntiKt4EMPFlowAuxDyn"
_CORE = "MET_Core_AnalysisMETAuxDyn"


FLAT: dict[str, Any] = {
    **{f"jet_{name}": values for name, values in JETS.items()},
    "jet_m": MASS,
    "jet_isbtagged_DL1r_77": [[0, 1], [], []],
    "jet_score": [[0.2, 0.9], [], []],
    **{f"el_{name}": values for name, values in ELECTRONS.items()},
    "el_charge": [[], [], [-1]],
    **{f"mu_{name}": values for name, values in MUONS.items()},
    "mu_charge": [[], [1], []],
    **{f"ph_{name}": values for name, values in PHOTONS.items()},
    "met_met": MET["pt"],
    "met_phi": MET["phi"],
    "weight_mc": WEIGHTS,
    "weight_pileup": [2.0, 2.0, 2.0],
}


def _mev(values: list[Any]) -> list[Any]:
    return [[1000.0 * value for value in one] for one in values]


def _analysis(name: str, values: dict[str, Any], **more: Any) -> dict[str, Any]:
    momenta = {**values, "pt": _mev(values["pt"])}
    return {f"Analysis{name}AuxDyn.{key}": one for key, one in {**momenta, **more}.items()}


PHYSLITE: dict[str, Any] = {
    **_analysis("Jets", JETS, m=_mev(MASS), NNJvtPass=[[1, 1], [], []]),
    "AnalysisJetsAuxDyn.btaggingLink.m_persIndex": [[0, 1], [], []],
    f"{_B}.GN2v01_pb": [[0.1, 0.8], [], []],
    f"{_B}.GN2v01_pc": [[0.1, 0.1], [], []],
    f"{_B}.GN2v01_pu": [[0.8, 0.1], [], []],
    f"{_B}.GN2v01_ptau": [[0.0, 0.0], [], []],
    **_analysis(
        "Electrons",
        ELECTRONS,
        charge=[[], [], [-1]],
        DFCommonElectronsLHMedium=[[], [], [1]],
        ptvarcone30_Nonprompt_All_MaxWeightTTVALooseCone_pt1000=[[], [], [0.0]],
    ),
    **_analysis(
        "Muons",
        MUONS,
        charge=[[], [1], []],
        quality=[[], [1], []],
        ptvarcone30_Nonprompt_All_MaxWeightTTVA_pt1000=[[], [2e3], []],
    ),
    **_analysis("Photons", PHOTONS, DFCommonPhotonsIsEMTight=[[], [1], []]),
    f"{_CORE}.mpx": [[1e3], [1e3], [1e3]],
    f"{_CORE}.mpy": [[1e3], [1e3], [1e3]],
    f"{_CORE}.source": [[1], [1], [1]],
    "EventInfoAuxDyn.mcEventWeights": [[weight] for weight in WEIGHTS],
    "TruthEvents": [0, 0, 0],
}
_INTEGERS = {
    "jetId": np.int32, "charge": np.int32, "cutBased": np.int32, "m_persIndex": np.uint32,
    "quality": np.uint8, "source": np.uint64, "BTag": np.uint32, "Charge": np.int32,
}  # fmt: skip


def typed(name: str, values: Any, times: int = 1) -> ak.Array:
    """A branch of numbers, or of lists of numbers, of the type that such files have."""
    values = list(values) * times
    lists = isinstance(values[0], list)
    flat = np.array([v for one in values for v in one] if lists else values, dtype=np.float64)
    kind = _INTEGERS.get(name.rpartition(".")[2].rpartition("_")[2], np.float64)
    if name.startswith("is"):
        kind = np.int32
    flat = flat.astype(np.int8 if "DFCommon" in name or "NNJvt" in name else kind)
    return ak.unflatten(flat, [len(one) for one in values]) if lists else ak.Array(flat)


def columns(branches: dict[str, Any], times: int = 1) -> dict[str, ak.Array]:
    """All branches, typed."""
    return {name: typed(name, values, times) for name, values in branches.items()}


def write_trees(path: Path, **trees: dict[str, Any]) -> Path:
    """A ROOT file of TTrees; ``__`` in a name stands for the / of a folder."""
    with uproot.recreate(path) as file:
        for tree, branches in trees.items():
            made = columns(branches)
            kinds = {
                name: f"var * {one.type.content.content}"
                if one.ndim == 2
                else str(one.type.content)
                for name, one in made.items()
            }
            file.mktree(tree.replace("__", "/"), kinds).extend(made)
    return path


class Files:
    """Paths of files in one folder; each is written when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def text(self, name: str, lines: tuple[str, ...], pack: str | None = None) -> Path:
        """A file of these lines, each with its newline."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = "".join(f"{line}\n" for line in lines).encode()
        path.write_bytes(PACK[pack](data) if pack else data)
        return path

    @cached_property
    def csv(self) -> Path:
        """The three events as the challenge writes them."""
        return self.text("tt.csv", LINES)

    @cached_property
    def twelve(self) -> Path:
        """Four times the three events."""
        return self.text("twelve.csv", LINES * 4)

    def converted(self, ending: str, *, rntuple: bool = False, of: Path | None = None) -> Path:
        """What `hepmtp convert` writes of them."""
        source = of or self.csv
        kind = "rntuple" if rntuple else ending.strip(".").replace(".", "")
        path = self.folder / "converted" / kind / f"{source.stem}{ending}"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            convert(source, path, rntuple=rntuple, chunk=5)
        return path

    def nano(self, name: str = "nano.root", tree: str = "Events", **more: Any) -> Path:
        """NanoAOD as a TTree."""
        path = self.folder / name
        return path if path.exists() else write_trees(path, **{tree: {**NANO, **more}})

    @cached_property
    def nano_rntuple(self) -> Path:
        """NanoAOD as an RNTuple."""
        path = self.folder / "nano_rntuple.root"
        with uproot.recreate(path) as file:
            made = columns(NANO)
            kinds = {
                name: f"var * {one.type.content.content}"
                if one.ndim == 2
                else str(one.type.content)
                for name, one in made.items()
            }
            file.mkrntuple("Events", kinds).extend(made)
        return path

    @cached_property
    def nano_parquet(self) -> Path:
        """NanoAOD as columns of parquet."""
        path = self.folder / "nano.parquet"
        ak.to_parquet(ak.zip(columns(NANO), depth_limit=1), path)
        return path

    def flat(self, name: str = "flat.root", tree: str = "nominal", **more: Any) -> Path:
        """A flat ntuple of ATLAS, in GeV."""
        path = self.folder / name
        return path if path.exists() else write_trees(path, **{tree: {**FLAT, **more}})

    def physlite(self, name: str = "physlite.root", **more: Any) -> Path:
        """PHYSLITE as an RNTuple; uproot writes no lists of text into a TTree."""
        path = self.folder / name
        if path.exists():
            return path
        made: dict[str, Any] = columns({**PHYSLITE, **more})
        link = "AnalysisJetsAuxDyn.btaggingLink"
        made[link] = ak.zip({"m_persIndex": made.pop(f"{link}.m_persIndex")})
        made[f"{_CORE}.name"] = ak.Array([["PVSoftTrkCore"]] * 3)
        with uproot.recreate(path) as file:
            named = {name.replace(".", ":"): one for name, one in made.items()}
            assert file.mkrntuple("EventData", ak.zip(named, depth_limit=1)) is not None
        return path

    def delphes(
        self,
        name: str = "delphes.root",
        *,
        tree: str = "Delphes",
        times: int = 1,
        near: bool = False,
    ) -> Path:
        """Delphes, with branches as Delphes names them; `near` puts the electron at the b-jet."""
        path = self.folder / name
        if path.exists():
            return path
        lepton = {"PT": "pt", "Eta": "eta", "Phi": "phi"}
        groups: dict[str, dict[str, Any]] = {
            "Jet": {key: JETS[one] for key, one in lepton.items()},
            "Electron": {key: (NEAR if near else ELECTRONS)[one] for key, one in lepton.items()},
            "Muon": {key: MUONS[one] for key, one in lepton.items()},
            "Photon": {key: PHOTONS[one] for key, one in lepton.items()},
            "MissingET": {
                "MET": [[one] for one in MET["pt"]],
                "Phi": [[one] for one in MET["phi"]],
            },
            "Event": {"Weight": [[one] for one in WEIGHTS]},
        }
        groups["Jet"] |= {"Mass": MASS, "BTag": [[0, 1], [], []]}
        groups["Electron"]["Charge"] = [[-1], [], []] if near else [[], [], [-1]]
        groups["Muon"]["Charge"], groups["Photon"]["E"] = [[], [1], []], [[], [47.0], []]
        arrays = {
            name: ak.zip({key: typed(key, one, times) for key, one in parts.items()})
            for name, parts in groups.items()
        }
        kinds = {
            name: "var * {"
            + ", ".join(f"{key}: {array[key].type.content.content}" for key in array.fields)
            + "}"
            for name, array in arrays.items()
        }
        options: dict[str, Any] = {
            "field_name": "{0}.{1}".format,
            "counter_name": "{0}_size".format,
        }
        with uproot.recreate(path) as file:
            file.mktree(tree, kinds, **options).extend(arrays)
        return path

    @cached_property
    def ntuple(self) -> Path:
        """The ntuple of Dark Machines."""
        flags = (
            *("isJet", "isBJet", "isElectron", "isPositron", "isMuon", "isAntiMuon", "isMET"),
            "isPhoton",
        )
        rows = [
            [("isJet", 50.0, 0.1, 1.0), ("isBJet", 60.0, 0.2, -1.0), ("isMET", 20.0, 0.0, 0.1)],
            [
                ("isAntiMuon", 20.0, -0.5, 0.0),
                ("isMET", 30.0, 0.0, 0.2),
                ("isPhoton", 30.0, 1.0, -2.0),
            ],
            [("isElectron", 25.0, 0.5, 2.0), ("isMET", 40.0, 0.0, 0.3)],
        ]
        found: dict[str, Any] = {
            "obj_px": [[pt * np.cosh(0) * np.cos(phi) for _, pt, _, phi in one] for one in rows],
            "obj_py": [[pt * np.sin(phi) for _, pt, _, phi in one] for one in rows],
            "obj_pz": [[pt * np.sinh(eta) for _, pt, eta, _ in one] for one in rows],
            "obj_Energy": [[pt * np.cosh(eta) for _, pt, eta, _ in one] for one in rows],
            "obj_eta": [[eta for _, _, eta, _ in one] for one in rows],
            "obj_phi": [[phi for _, _, _, phi in one] for one in rows],
        }
        for flag in flags:
            found[flag] = [[float(flag == name) for name, *_ in one] for one in rows]
        return write_trees(self.folder / "ntuple.root", mytree=found | {"w": WEIGHTS})

    @cached_property
    def jets(self) -> Path:
        """JetClass: a jet is an event."""
        pt = np.array([50.0, 60.0, 20.0, 30.0, 25.0])
        eta = np.array([0.1, 0.2, -0.5, 1.0, 0.5])
        phi = np.array([1.0, -1.0, 0.0, -2.0, 2.0])
        flat = {
            "part_px": pt * np.cos(phi),
            "part_py": pt * np.sin(phi),
            "part_pz": pt * np.sinh(eta),
            "part_energy": pt * np.cosh(eta),
            "part_charge": np.array([1.0, -1.0, 1.0, 0.0, -1.0]),
            "part_isChargedHadron": np.array([1, 1, 0, 0, 0]),
            "part_isNeutralHadron": np.zeros(5, np.int32),
            "part_isPhoton": np.array([0, 0, 0, 1, 0]),
            "part_isElectron": np.array([0, 0, 0, 0, 1]),
            "part_isMuon": np.array([0, 0, 1, 0, 0]),
        }
        found: dict[str, Any] = {name: ak.unflatten(one, [2, 2, 1]) for name, one in flat.items()}
        found |= {
            "jet_pt": np.array([110.0, 1.0, 25.0]),
            "jet_eta": np.zeros(3),
            "jet_phi": np.zeros(3),
            "jet_energy": np.array([120.0, 2.0, 30.0]),
            "event_weight": np.array(WEIGHTS),
            "label_QCD": np.array([1, 1, 0]),
            "label_Hbb": np.array([0, 0, 1]),
        }
        path = self.folder / "jets.root"
        with uproot.recreate(path) as file:
            file["tree"] = found
        return path

    def fourtops(self, name: str = "4tops.h5", *, met: float = 1e3, val: bool = False) -> Path:
        """The four-top data set: a 4top and two ttbarW to train, and with `val` a 4top to validate.

        The logarithm of MET is that of its value [GeV] times `met`.
        """
        path = self.folder / name
        table = np.zeros((3, 92))
        table[0, :2], table[1, :2], table[2, 0] = [1, 2], [5, 7], 4
        table[:, 18], table[:, 19] = np.log(met * np.array(MET["pt"])), MET["phi"]
        for event, slot, energy, pt, eta, phi in (
            (0, 0, 60.0, 50.0, 0.1, 1.0),
            (0, 1, 70.0, 60.0, 0.2, -1.0),
            (1, 0, 23.0, 20.0, -0.5, 0.0),
            (1, 1, 47.0, 30.0, 1.0, -2.0),
            (2, 0, 30.0, 25.0, 0.5, 2.0),
        ):
            place = 20 + 4 * slot
            table[event, place : place + 4] = np.log(1e3 * energy), np.log(1e3 * pt), eta, phi
        found: dict[str, Any] = {"X_train": table, "y_train": [1, 3, 3]}
        found |= {"X_val": table[:1], "y_val": [1]} if val else {}
        with h5py.File(path, "w") as file:
            for key, values in found.items():
                file[key] = values
        return path
