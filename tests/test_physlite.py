"""PHYSLITE: every event of two real files, a TTree and an RNTuple, and what wrong ones give."""

from __future__ import annotations

import cmath
import logging
import math
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot
from contracts import check_reader

from hepmtp.errors import ReadError
from hepmtp.readers.formats import reader_name
from hepmtp.readers.physlite import Physlite

Options = dict[str, Any]
MASSES = {"Electrons": 0.00051099895, "Muons": 0.1056583755, "Photons": 0.0}
IDS = {
    "Jets": "NNJvtPass",
    "Electrons": "DFCommonElectronsLHMedium",
    "Muons": "quality",
    "Photons": "DFCommonPhotonsIsEMTight",
}
FILES = {
    "TTree": ("coffea/PHYSLITE_example.root", "CollectionTree", ".", "GN2v00"),
    "RNTuple": (
        "scikit-hep-testdata/uproot-physlite-rntuple_v1-0-0-0.root",
        "EventData",
        ":",
        "GN2v01",
    ),
}
B = "BTagging_AntiKt4EMPFlowAuxDyn"
#: Around leptons, in the file and with "." and "Analysis...AuxDyn" before.
AROUND = {
    "Electrons": "ptvarcone30_Nonprompt_All_MaxWeightTTVALooseCone_pt1000",
    "Muons": "ptvarcone30_Nonprompt_All_MaxWeightTTVA_pt1000",
}
LINK = "AnalysisJetsAuxDyn.btaggingLink.m_persIndex"
#: Branches with values for three events; MeV.
EVENTS: dict[str, Any] = {
    "AnalysisJetsAuxDyn.pt": [[80e3, 40e3, 30e3], [], [50e3]],
    "AnalysisJetsAuxDyn.eta": [[0.5, 0.0, -4.0], [], [1.0]],
    "AnalysisJetsAuxDyn.phi": [[0.0, math.pi, 1.0], [], [2.0]],
    "AnalysisJetsAuxDyn.m": [[10e3, 5e3, 4e3], [], [6e3]],
    "AnalysisJetsAuxDyn.NNJvtPass": [[1, 1, 1], [], [1]],
    LINK: [[2, 0, 1], [], [0]],  # the scores are in another order
    f"{B}.GN2v01_pb": [[0.1, 0.2, 0.5], [], [0.4]],
    f"{B}.GN2v01_pc": [[0.1, 0.3, 0.3], [], [0.1]],
    f"{B}.GN2v01_pu": [[0.8, 0.5, 0.1], [], [0.0]],
    f"{B}.GN2v01_ptau": [[0.0, 0.0, 0.1], [], [0.5]],
    "AnalysisElectronsAuxDyn.pt": [[20e3], [], []],
    "AnalysisElectronsAuxDyn.eta": [[1.0], [], []],
    "AnalysisElectronsAuxDyn.phi": [[math.pi / 2], [], []],
    "AnalysisElectronsAuxDyn.charge": [[-1.0], [], []],
    "AnalysisElectronsAuxDyn.DFCommonElectronsLHMedium": [[1], [], []],
    f"AnalysisElectronsAuxDyn.{AROUND['Electrons']}": [[0.0], [], []],
    f"AnalysisMuonsAuxDyn.{AROUND['Muons']}": [[], [], [2e3, 0.0]],
    "AnalysisMuonsAuxDyn.pt": [[], [], [15e3, 12e3]],
    "AnalysisMuonsAuxDyn.eta": [[], [], [0.0, 0.0]],
    "AnalysisMuonsAuxDyn.phi": [[], [], [0.0, 1.0]],
    "AnalysisMuonsAuxDyn.charge": [[], [], [1.0, -1.0]],
    "AnalysisMuonsAuxDyn.quality": [[], [], [0b1000_0001, 0b10]],  # medium with another flag; loose
    "AnalysisPhotonsAuxDyn.pt": [[], [], [25e3]],
    "AnalysisPhotonsAuxDyn.eta": [[], [], [1.0]],
    "AnalysisPhotonsAuxDyn.phi": [[], [], [2.3]],
    "AnalysisPhotonsAuxDyn.DFCommonPhotonsIsEMTight": [[], [], [0]],
    "MET_Core_AnalysisMETAuxDyn.mpx": [[9.0, 1e3], [9.0, 3e3], [9.0, 0.0]],
    "MET_Core_AnalysisMETAuxDyn.mpy": [[9.0, 2e3], [9.0, 4e3], [9.0, 0.0]],
    "MET_Core_AnalysisMETAuxDyn.source": [[69664, 81952]] * 3,
    "EventInfoAuxDyn.mcEventWeights": [[2.0, 9.0], [-1.0, 9.0], [0.5, 9.0]],
    "TruthEvents": [0, 0, 0],
}
TERMS = ("SoftClusCore", "PVSoftTrkCore")
KINDS = {"m_persIndex": np.uint32, "quality": np.uint8, "source": np.uint64, "NNJvtPass": np.int8}


def write(
    path: Path,
    *,
    rntuple: bool = False,
    leave_out: tuple[str, ...] = (),
    terms: tuple[str, ...] = TERMS,
    **more: Any,
) -> str:
    """A PHYSLITE file with these branches; ``__`` in the name of one stands for a point."""
    values = {**EVENTS, **{name.replace("__", "."): one for name, one in more.items()}}
    columns: dict[str, Any] = {}
    for name, one in values.items():
        if name not in leave_out:
            lists = isinstance(one[0], list)
            flat = np.array([v for event in one for v in event] if lists else one)
            flat = flat.astype(
                KINDS.get(name.rpartition(".")[2], np.int8 if "DFCommon" in name else np.float32)
            )
            columns[name] = ak.unflatten(flat, [len(event) for event in one]) if lists else flat
    n = len(values["AnalysisJetsAuxDyn.pt"])
    columns["MET_Core_AnalysisMETAuxDyn.name"] = ak.Array([list(terms)] * n)
    with uproot.recreate(path) as file:
        if rntuple:
            if LINK in columns:
                columns[LINK.rpartition(".")[0]] = ak.zip({"m_persIndex": columns.pop(LINK)})
            names = {name: name.replace(".", ":") for name in columns}
            tree = file.mkrntuple(
                "EventData", ak.zip({names[n]: c for n, c in columns.items()}, depth_limit=1)
            )
            assert tree is not None
        else:
            del columns[
                "MET_Core_AnalysisMETAuxDyn.name"
            ]  # uproot writes no lists of text into a TTree
            types = {
                n: f"var * {c.type.content.content}" if ak.Array(c).ndim == 2 else str(c.dtype)
                for n, c in columns.items()
            }
            file.mktree("CollectionTree", types).extend(columns)
    return str(path)


def small(path: Path, **options: Any) -> str:
    return write(path, rntuple=True, **options)


def test_contract(tmp_path: Path) -> None:
    path = small(tmp_path / "sim.root")
    check_reader(Physlite(), path, tmp_path)
    assert reader_name(path) == "hepmtp:Physlite"
    assert reader_name(write(tmp_path / "tree.root")) == "hepmtp:Physlite"


@pytest.mark.slow  # 0.4 s to open it, each time
def test_contract_on_a_real_tree(tmp_path: Path, shared: Path) -> None:
    path = str(shared / "data" / "real" / FILES["TTree"][0])
    assert reader_name(path) == "hepmtp:Physlite"
    check_reader(Physlite(), path, tmp_path)


def test_three_events(tmp_path: Path) -> None:
    events = Physlite().read(small(tmp_path / "sim.root"))
    # by their links the first jet has pb 0.5 and the last of the first event 0.2; the third event's
    # jet has more ptau
    assert events.Particle["type"].to_list() == [[1, 0, 0, 3], [], [0, 4]]
    assert events.Particle.pt.to_list() == [[80.0, 40.0, 30.0, 20.0], [], [50.0, 15.0]]
    np.testing.assert_allclose(events.Particle.mass[0, :3], [10.0, 5.0, 4.0], rtol=1e-4)
    assert events.weight.to_list() == [2.0, -1.0, 0.5]
    x = 1 - 80 + 40 - 30 * math.cos(1)
    y = 2 - 30 * math.sin(1) - 20
    np.testing.assert_allclose(events.MET.pt[:2], [math.hypot(x, y), 5.0], rtol=1e-6)
    np.testing.assert_allclose(events.MET.phi[:2], [math.atan2(y, x), math.atan2(4, 3)], rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "first", "third"),
    [
        ({"b_tagger": None}, [0, 0, 0, 3], [0, 4]),
        ({"b_cut": math.log(0.5 / 0.1) - 1e-4}, [1, 0, 0, 3], [1, 4]),
        ({"b_cut": math.log(0.5 / 0.1) + 1e-4}, [0, 0, 0, 3], [1, 4]),
        (
            {"b_cut": 0.5, "b_fractions": (0.2, 0.5)},
            [1, 0, 0, 3],
            [0, 4],
        ),  # 0.5 / 0.14 and 0.4 / 0.27
        ({"b_cut": 0.3, "b_fractions": (0.2, 0.5)}, [1, 0, 0, 3], [1, 4]),
        ({"muon_quality": 2}, [1, 0, 0, 3], [0, 4, 5]),
        ({"muon_quality": None, "muons": (14.0, 2.5)}, [1, 0, 0, 3], [0, 4]),
        ({"lepton_isolation": 0.13}, [1, 0, 0, 3], [0]),  # 2 GeV around a muon of 15 GeV
        ({"photon_id": None}, [1, 0, 0, 3], [4, 6]),  # the jet is 0.3 from the photon
        ({"photon_id": None, "overlap": 0.0}, [1, 0, 0, 3], [0, 4, 6]),
        ({"jets": (35.0, 2.5), "electrons": (25.0, 2.5)}, [1, 0], [0, 4]),
    ],
)
def test_options(tmp_path: Path, options: Options, first: list[int], third: list[int]) -> None:
    events = Physlite(**options).read(small(tmp_path / "sim.root"))
    assert events.Particle["type"].to_list() == [first, [], third]


def test_a_b_jet_keeps_the_muon_of_its_decay(tmp_path: Path) -> None:
    around = "AnalysisMuonsAuxDyn." + AROUND["Muons"]
    # a muon of 15 GeV inside the b-jet of 50 GeV of the third event, with 30 GeV of tracks around
    # it, and one without
    near = {
        "AnalysisMuonsAuxDyn.eta": [[], [], [1.0, -2.0]],
        "AnalysisMuonsAuxDyn.phi": [[], [], [2.1, 0.0]],
        "AnalysisMuonsAuxDyn.quality": [[], [], [1, 1]],
        around: [[], [], [30e3, 0.0]],
        f"{B}.GN2v01_pb": [[0.1, 0.2, 0.5], [], [0.9]],
    }
    path = small(
        tmp_path / "sim.root", **{name.replace(".", "__"): value for name, value in near.items()}
    )
    assert Physlite().read(path).Particle["type"].to_list()[2] == [1, 5]
    assert Physlite(lepton_isolation=None).read(path).Particle["type"].to_list()[2] == [4, 5]
    path = small(tmp_path / "sim.root", leave_out=(around,))
    with pytest.raises(ReadError, match=rf"has no branch '{around}'"):
        Physlite().read(path)
    assert len(Physlite(lepton_isolation=None).read(path)) == 3


def test_a_final_term_is_the_missing_energy(tmp_path: Path) -> None:
    events = Physlite().read(small(tmp_path / "sim.root", terms=("PVSoftTrkCore", "FinalTrk")))
    np.testing.assert_allclose(events.MET.pt, [math.hypot(1, 2), 5.0, 0.0], rtol=1e-6)
    with pytest.raises(
        ReadError,
        match=r"entry 0: MET_Core.* has the terms \['A', 'B'\], expected one of FinalTrk, Final",
    ):
        Physlite().read(small(tmp_path / "sim.root", terms=("A", "B")))


def test_b_tagger_in_a_fixed_order_that_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scores = tuple(name for name in EVENTS if "GN2v01" in name)
    older = {
        name.replace("GN2v01", "DL1dv01").replace(".", "__"): EVENTS[name]
        for name in scores
        if "ptau" not in name
    }
    with caplog.at_level(logging.INFO, "hepmtp.readers.physlite"):
        events = Physlite().read(small(tmp_path / "sim.root", leave_out=scores, **older))
    assert "sim.root: b-jets are those of DL1dv01" in caplog.text
    assert events.Particle["type"].to_list()[2] == [1, 4]  # there is no ptau
    path = small(tmp_path / "sim.root", leave_out=scores, **older)
    with pytest.raises(
        ReadError, match=r"has no branch 'BTagging_AntiKt4EMPFlowAuxDyn\.DL1dv01_ptau'"
    ):
        Physlite(b_cut=1.0, b_fractions=(0.1, 0.1)).read(path)
    with pytest.raises(
        ReadError, match=r"has no branch 'BTagging_AntiKt4EMPFlowAuxDyn\.GN3_pb' \(near it are"
    ):
        Physlite(b_tagger="GN3").read(path)
    path = small(tmp_path / "sim.root", leave_out=scores)
    with pytest.raises(
        ReadError,
        match=r"has no scores of a b-tagger \(.*DL1dv01_pb\); name one with b_tagger, or None",
    ):
        Physlite().read(path)
    assert Physlite(b_tagger=None).read(path).Particle["type"].to_list()[0] == [0, 0, 0, 3]


def test_weights_of_data_and_of_simulation(tmp_path: Path) -> None:
    weights = "EventInfoAuxDyn.mcEventWeights"
    simulated = small(tmp_path / "sim.root", leave_out=(weights,))
    with pytest.raises(ReadError, match=r"has no branch 'EventInfoAuxDyn\.mcEventWeights'"):
        Physlite().read(simulated)
    assert Physlite(weight=None).read(simulated).weight.to_list() == [1.0, 1.0, 1.0]
    data = small(tmp_path / "data.root", leave_out=(weights, "TruthEvents"))
    assert Physlite().read(data).weight.to_list() == [1.0, 1.0, 1.0]
    with pytest.raises(
        ReadError,
        match=r"entry 1: EventInfoAuxDyn\.mcEventWeights is 0, expected at least one weight",
    ):
        Physlite().read(
            small(tmp_path / "sim.root", EventInfoAuxDyn__mcEventWeights=[[1.0], [], [2.0]])
        )


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "AnalysisJetsAuxDyn.pt",
            [[80e3, 40e3, 30e3], [], [math.nan]],
            r"entry 2: AnalysisJetsAuxDyn.pt is nan, expected a pt",
        ),
        (
            "AnalysisJetsAuxDyn.pt",
            [[80e3, 2e8, 30e3], [], [1.0]],
            r"entry 0: AnalysisJetsAuxDyn.pt is 200000000.0, expected a pt from 0 to 1e\+08",
        ),
        (
            "AnalysisMuonsAuxDyn.charge",
            [[], [], [1.0, 0.5]],
            r"entry 2: AnalysisMuonsAuxDyn.charge is 0.5, expected 1 or -1",
        ),
        (
            LINK,
            [[2, 0, 3], [], [0]],
            r"entry 0: AnalysisJetsAuxDyn.btaggingLink.m_persIndex is 3, expected below the number",
        ),
        (
            f"{B}.GN2v01_pc",
            [[0.1, 0.3, math.inf], [], [0.1]],
            r"entry 0: .*GN2v01_pc is inf, expected a finite number",
        ),
        (
            "MET_Core_AnalysisMETAuxDyn.mpx",
            [[9.0, 1.0], [9.0, math.nan], [9.0, 0.0]],
            r"entry 1: .*mpx is nan, expected a finite",
        ),
        (
            "MET_Core_AnalysisMETAuxDyn.source",
            [[69664, 81952], [81952, 69664], [69664, 81952]],
            r"entry 1: .*source is 69664, expected 81952 \(PVSoftTrkCore\), as in entry 0",
        ),
        (
            "MET_Core_AnalysisMETAuxDyn.source",
            [[69664, 81952], [69664], [69664, 81952]],
            r"entry 1: number of terms of MET_Core_AnalysisMETAuxDyn is 1, expected 2, as in",
        ),
        (
            "EventInfoAuxDyn.mcEventWeights",
            [[1.0], [math.nan, 1.0], [1.0]],
            r"entry 1: .*mcEventWeights is nan, expected a finite",
        ),
    ],
)
def test_impossible_values_are_named(tmp_path: Path, name: str, value: Any, message: str) -> None:
    path = small(tmp_path / "sim.root", **{name.replace(".", "__"): value})
    with pytest.raises(ReadError, match=rf"sim\.root {message}"):
        Physlite().read(path)


@pytest.mark.parametrize(
    "name",
    [name for name in EVENTS if not name.endswith(("ptau", "TruthEvents", "_pb", "persIndex"))],
)
@pytest.mark.parametrize("rntuple", [False, True])
def test_missing_branches_are_named(tmp_path: Path, name: str, rntuple: bool) -> None:
    path = write(tmp_path / "sim.root", rntuple=rntuple, leave_out=(name,))
    missing = (
        "MET_Core_AnalysisMETAuxDyn.name"
        if name.startswith(("MET", "EventInfo")) and not rntuple
        else name
    )
    with pytest.raises(ReadError, match=f"has no branch '{missing}'"):
        Physlite().read(path)


def expected_event(
    found: dict[str, Any], i: int, tagger: str
) -> tuple[list[tuple[float, ...]], complex]:
    """The particles of an event with the default options, and its missing momentum, one by one."""
    cuts = {"Jets": (20, 4.5), "Electrons": (10, 2.47), "Muons": (10, 2.7), "Photons": (20, 2.37)}
    groups: dict[str, list[tuple[float, ...]]] = {}
    for kind in ("Electrons", "Muons", "Photons", "Jets"):
        groups[kind] = []
        for k, pt in enumerate(found[f"Analysis{kind}AuxDyn.pt"][i]):
            row = {
                name.rpartition(".")[2]: found[name][i][k]
                for name in found
                if name.startswith(f"Analysis{kind}")
            }
            eta, phi = row["eta"], row["phi"]
            good = row["quality"] & 7 <= 1 if kind == "Muons" else row[IDS[kind]]
            good = good and (kind not in AROUND or row[AROUND[kind]] <= 0.15 * pt)
            if pt / 1000 < cuts[kind][0] or abs(eta) > cuts[kind][1] or not good:
                continue
            if kind == "Jets":
                others = [one for name in ("Electrons", "Muons", "Photons") for one in groups[name]]
                if any(
                    math.hypot(eta - o[1], math.remainder(phi - o[2], 2 * math.pi)) < 0.4
                    for o in others
                ):
                    continue
                flavours = {
                    p: found[f"{B}.{tagger}_{p}"][i][row["m_persIndex"]]
                    for p in ("pb", "pc", "pu", "ptau")
                    if f"{B}.{tagger}_{p}" in found
                }
                what, mass = int(max(flavours, key=lambda p: flavours[p]) == "pb"), row["m"] / 1000
            else:
                mass = MASSES[kind]
                what = (
                    6
                    if kind == "Photons"
                    else (2 if kind == "Electrons" else 4) + (row["charge"] < 0)
                )
            groups[kind].append(
                (pt / 1000, eta, phi, math.sqrt((pt / 1000 * math.cosh(eta)) ** 2 + mass**2), what)
            )
    at = found["MET_Core_AnalysisMETAuxDyn.name"][i].index("PVSoftTrkCore")
    missing = complex(
        *(found[f"MET_Core_AnalysisMETAuxDyn.{one}"][i][at] / 1000 for one in ("mpx", "mpy"))
    )
    particles = [
        one
        for kind in ("Jets", "Electrons", "Muons", "Photons")
        for one in sorted(groups[kind], key=lambda p: -p[0])
    ]
    return particles, missing - sum(cmath.rect(one[0], one[2]) for one in particles)


@pytest.mark.parametrize("form", ["TTree", "RNTuple"])
def test_every_event_of_real_files(shared: Path, form: str) -> None:
    name, tree_name, point, tagger = FILES[form]
    path = str(shared / "data" / "real" / name)
    wanted = [
        f"Analysis{kind}AuxDyn.{one}" for kind in IDS for one in ("pt", "eta", "phi", IDS[kind])
    ]
    wanted += [f"Analysis{kind}AuxDyn.{one}" for kind, one in AROUND.items()]
    wanted += [
        "AnalysisJetsAuxDyn.m",
        "AnalysisElectronsAuxDyn.charge",
        "AnalysisMuonsAuxDyn.charge",
    ]
    wanted += [
        f"{B}.{tagger}_{one}"
        for one in ("pb", "pc", "pu", *(("ptau",) if form == "RNTuple" else ()))
    ]
    wanted += [f"MET_Core_AnalysisMETAuxDyn.{one}" for one in ("name", "mpx", "mpy")]
    with uproot.open(path) as file:
        tree = file[tree_name]
        found = {one: tree[one.replace(".", point)].array().to_list() for one in wanted}
        if form == "TTree":
            found[LINK] = (
                tree["AnalysisJetsAuxDyn.btaggingLink/AnalysisJetsAuxDyn.btaggingLink.m_persIndex"]
                .array()
                .to_list()
            )
        else:
            found[LINK] = tree["AnalysisJetsAuxDyn:btaggingLink"].array().m_persIndex.to_list()
        weights = tree[f"EventInfoAuxDyn{point}mcEventWeights"].array()[:, 0].to_list()
    events = Physlite().read(path)
    assert len(events) == 100
    for i, event in enumerate(events.to_list()):
        expected, missing = expected_event(found, i, tagger)
        got = [(p["pt"], p["eta"], p["phi"], p["energy"], p["type"]) for p in event["Particle"]]
        assert len(got) == len(expected)
        if got:
            np.testing.assert_allclose(got, expected, rtol=1e-12)
        assert cmath.rect(event["MET"]["pt"], event["MET"]["phi"]) == pytest.approx(
            missing, rel=1e-9
        )
        assert event["weight"] == weights[i]
    b_jets = int(ak.sum(events.Particle["type"] == 1))
    assert b_jets == {"TTree": 12, "RNTuple": 128}[form]  # Z to ee, and tt


def with_bookkeepers(path: str, *entries: list[tuple[Any, ...]], **more: Any) -> str:
    """The same file with bookkeepers: name, stream, cycle, number of events, sum of weights."""
    columns: dict[str, Any] = {
        f"CutBookkeepersAux:{field}": [[one[i] for one in entry] for entry in entries]
        for i, field in enumerate(
            ("name", "inputStream", "cycle", "nAcceptedEvents", "sumOfEventWeights")
        )
    }
    with uproot.update(path) as file:
        file.mkrntuple("MetaData", ak.zip({**columns, **more}, depth_limit=1))
    return path


ALL = "AllExecutedEvents"
BOOKS = [
    ("PHYSKernel", "StreamAOD", 9, 3, 5.0),
    (ALL, "StreamAOD", 0, 100, 250.5),
    (ALL, "StreamAOD", 1, 80, 200.5),
    (ALL, "StreamDAOD_PHYS", 2, 10, 20.0),
]


def test_the_weight_of_all_generated_events(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert Physlite().generated_weight(small(tmp_path / "a.root")) is None
    path = with_bookkeepers(small(tmp_path / "a.root"), BOOKS, BOOKS[1:2])
    assert Physlite().generated_weight(path) == 200.5 + 250.5
    assert Physlite(weight=None).generated_weight(path) == 80 + 100
    assert Physlite(weight="other").generated_weight(path) is None
    path = with_bookkeepers(small(tmp_path / "a.root"), BOOKS[:1])
    assert Physlite().generated_weight(path) is None
    data = small(tmp_path / "a.root", leave_out=("EventInfoAuxDyn.mcEventWeights", "TruthEvents"))
    assert Physlite().generated_weight(with_bookkeepers(data, BOOKS)) is None
    some = {"IncompleteCutBookkeepersAux:name": [[ALL]]}
    path = with_bookkeepers(small(tmp_path / "a.root"), BOOKS, **some)
    assert Physlite().generated_weight(path) is None
    assert "a.root has incomplete CutBookkeepers" in caplog.text


def test_the_sum_of_weights_of_real_files(shared: Path) -> None:
    folder = shared / "data" / "real"
    path = str(folder / FILES["RNTuple"][0])
    assert Physlite().generated_weight(path) == 81567.26385498047
    assert Physlite(weight=None).generated_weight(path) == 100.0
    assert Physlite().generated_weight(str(folder / FILES["TTree"][0])) is None


@pytest.mark.parametrize("jets", ["OtherJets", "OtherJetsAuxDyn"])
def test_names(tmp_path: Path, jets: str) -> None:
    others = {
        name.replace("AnalysisJetsAuxDyn.", "OtherJetsAuxDyn__"): values
        for name, values in EVENTS.items()
        if name.startswith("AnalysisJetsAuxDyn.") and name != LINK
    }
    others["OtherJetsAuxDyn__pt"] = [[81e3, 41e3, 31e3], [], [51e3]]
    others["EventInfoAuxDyn__more"] = [[2.0, 9.0], [3.0, 9.0], [4.0, 9.0]]
    path = small(tmp_path / "a.root", **others)
    names = {"jets": jets, "muons": None, "weight": "more"}
    events = Physlite(names=names, b_tagger=None, overlap=0.0).read(path)
    assert [one[0] for one in events.Particle.pt.to_list() if one] == [81.0, 51.0]
    assert not ak.any((events.Particle["type"] == 4) | (events.Particle["type"] == 5))
    assert events.weight.to_list() == [2.0, 3.0, 4.0]
    with pytest.raises(ReadError, match=r"no collection 'OtherJetz' \(near it are OtherJets"):
        Physlite(names={"jets": "OtherJetz"}).read(path)
