"""NanoAOD: every event of real files of all versions, and what is said of wrong files."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot
from contracts import check_reader

from hepmtp.errors import OptionError, ReadError
from hepmtp.readers.formats import reader_name
from hepmtp.readers.nanoaod import NanoAOD

Options = dict[str, Any]
MASSES = {"Electron": 0.00051099895, "Muon": 0.1056583755, "Photon": 0.0}
#: Branches of a version 9 file, with values for three events; a list of lists is one of particles.
EVENTS: dict[str, Any] = {
    "Jet_pt": [[80.0, 60.0, 40.0, 26.0], [], [30.0, 100.0]],
    "Jet_eta": [[0.5, -1.0, 2.0, 4.6], [], [1.0, -0.5]],
    "Jet_phi": [[1.0, 3.1, -1.0, 0.0], [], [0.5, 2.0]],
    "Jet_mass": [[10.0, 8.0, 5.0, -0.01], [], [4.0, 12.0]],
    "Jet_btagDeepFlavB": [[0.9, 0.27, 0.29, -1.0], [], [0.1, 0.5]],
    "Jet_jetId": [[6, 6, 2, 6], [], [0, 6]],
    "Electron_pt": [[30.0, 20.0], [], [16.0]],
    "Electron_eta": [[-1.0, 0.0], [], [2.0]],
    "Electron_phi": [[-3.1, 0.0], [], [1.0]],
    "Electron_charge": [[-1, 1], [], [1]],
    "Electron_cutBased": [[4, 2], [], [3]],
    "Muon_pt": [[25.0], [], [18.0, 50.0]],
    "Muon_eta": [[0.0], [], [-2.0, 1.0]],
    "Muon_phi": [[2.0], [], [1.5, -1.5]],
    "Muon_charge": [[1], [], [-1, 1]],
    "Muon_mediumId": [[True], [], [True, True]],
    "Muon_pfRelIso04_all": [[0.5], [], [0.1, 0.0]],
    "Photon_pt": [[50.0], [], [22.0]],
    "Photon_eta": [[1.5], [], [0.0]],
    "Photon_phi": [[0.3], [], [-1.0]],
    "Photon_mvaID_WP90": [[True], [], [False]],
    "Photon_electronVeto": [[True], [], [True]],
    "MET_pt": [10.0, 20.0, 30.0],
    "MET_phi": [0.1, 0.2, 0.3],
    "PuppiMET_pt": [11.0, 21.0, 31.0],
    "PuppiMET_phi": [0.11, 0.21, 0.31],
    "genWeight": [2.5, -2.5, 1.0],
    "GenMET_pt": [1.0, 2.0, 3.0],
}
KINDS = {"jetId": np.int32, "charge": np.int32, "cutBased": np.int32, "chMultiplicity": np.uint8}


def write(
    path: Path, *, rntuple: bool = False, leave_out: tuple[str, ...] = (), **more: Any
) -> str:
    """A NanoAOD file with these branches, one TTree or RNTuple."""
    columns = {}
    for name, values in {**EVENTS, **more}.items():
        if name in leave_out:
            continue
        flat = np.array(
            [v for one in values for v in one] if isinstance(values[0], list) else values
        )
        flat = flat.astype(
            KINDS.get(name.partition("_")[2], bool if flat.dtype == bool else np.float32)
        )
        columns[name] = (
            ak.unflatten(flat, [len(one) for one in values])
            if isinstance(values[0], list)
            else flat
        )
    types = {
        name: f"var * {c.type.content.content}" if ak.Array(c).ndim == 2 else str(c.dtype)
        for name, c in columns.items()
    }
    with uproot.recreate(path) as file:
        make = file.mkrntuple if rntuple else file.mktree
        options = {} if rntuple else {"counter_name": lambda counted: "n" + counted.split("_")[0]}
        make("Events", types, **options).extend(columns)
    return str(path)


@pytest.mark.parametrize("rntuple", [False, True])
def test_contract(tmp_path: Path, rntuple: bool) -> None:
    path = write(tmp_path / "sim.root", rntuple=rntuple)
    check_reader(NanoAOD(), path, tmp_path)
    assert reader_name(path) == "hepmtp:NanoAOD"


@pytest.mark.parametrize("rntuple", [False, True])
def test_three_events(tmp_path: Path, rntuple: bool) -> None:
    events = NanoAOD().read(write(tmp_path / "sim.root", rntuple=rntuple))
    # the second jet of the first event is 0.08 from its electron; the third event's first jet has
    # no id; its electron stays
    assert events.Particle["type"].to_list() == [[1, 1, 0, 3, 6], [], [1, 2, 4, 5]]
    np.testing.assert_array_equal(events.Particle.pt[0], np.float32([80.0, 40.0, 26.0, 30.0, 50.0]))
    assert events.Particle.pt[2].to_list() == [100.0, 16.0, 50.0, 18.0]
    assert events.MET.pt.to_list() == [11.0, 21.0, 31.0]
    assert events.weight.to_list() == [2.5, -2.5, 1.0]
    np.testing.assert_allclose(events.Particle.mass[0, :2], [10.0, 5.0], rtol=1e-6)
    np.testing.assert_allclose(events.Particle.energy[0, 2], events.Particle.p[0, 2])


@pytest.mark.parametrize(
    ("options", "first", "third"),
    [
        ({"overlap": 0.0}, [1, 0, 1, 0, 3, 6], [1, 2, 4, 5]),
        ({"jet_id": None}, [1, 1, 0, 3, 6], [1, 0, 2, 4, 5]),
        ({"jet_id": "tight lepton veto"}, [1, 0, 3, 6], [1, 2, 4, 5]),
        ({"jets": (50.0, 2.5)}, [1, 3, 6], [1, 2, 4, 5]),
        ({"electron_id": None}, [1, 1, 0, 3, 2, 6], [1, 2, 4, 5]),
        ({"electron_id": 4}, [1, 1, 0, 3, 6], [1, 4, 5]),
        ({"electrons": (25.0, 2.5)}, [1, 1, 0, 3, 6], [1, 4, 5]),
        ({"muon_isolation": None}, [1, 1, 0, 3, 4, 6], [1, 2, 4, 5]),
        ({"muon_isolation": 0.05}, [1, 1, 0, 3, 6], [1, 2, 4]),
        ({"muons": (15.0, 1.5)}, [1, 1, 0, 3, 6], [1, 2, 4]),
        ({"photons": None}, [1, 1, 0, 3], [1, 2, 4, 5]),
        ({"photon_id": ("electronVeto",)}, [1, 1, 0, 3, 6], [1, 2, 4, 5, 6]),
        ({"b_tag": "btagDeepFlavB", "working_point": 0.7}, [1, 0, 0, 3, 6], [0, 2, 4, 5]),
    ],
)
def test_options(tmp_path: Path, options: Options, first: list[int], third: list[int]) -> None:
    events = NanoAOD(**options).read(write(tmp_path / "sim.root"))
    assert events.Particle["type"].to_list() == [first, [], third]


def test_missing_energy_in_a_fixed_order(tmp_path: Path) -> None:
    pf = {"PFMET_pt": [5.0, 5.0, 5.0], "PFMET_phi": [1.0, 1.0, 1.0]}
    path = write(tmp_path / "sim.root", **pf)
    assert NanoAOD(met="MET").read(path).MET.pt.to_list() == [10.0, 20.0, 30.0]
    assert NanoAOD(met="PFMET").read(path).MET.pt.to_list() == [5.0, 5.0, 5.0]
    path = write(tmp_path / "sim.root", leave_out=("PuppiMET_pt", "PuppiMET_phi"), **pf)
    assert NanoAOD().read(path).MET.pt.to_list() == [10.0, 20.0, 30.0]
    every = ("PuppiMET_pt", "PuppiMET_phi", "MET_pt", "MET_phi")
    assert NanoAOD().read(write(tmp_path / "sim.root", leave_out=every, **pf)).MET.pt.to_list() == [
        5.0,
        5.0,
        5.0,
    ]
    path = write(tmp_path / "sim.root", leave_out=every)
    with pytest.raises(
        ReadError,
        match=r"has no missing energy \(PuppiMET_pt, MET_pt, PFMET_pt\); name it with the option",
    ):
        NanoAOD().read(path)
    with pytest.raises(ReadError, match=r"has no branch 'DeepMET_pt' \(near it are .*GenMET_pt"):
        NanoAOD(met="DeepMET").read(path)


def test_b_tagger_in_a_fixed_order_that_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # 0.2 is above the working point of UParT alone, 0.25 above that of ParticleNet too
    scores = {
        f"Jet_{name}": [[0.2, 0.0, 0.25, 0.0], [], [0.0, 0.0]]
        for name in ("btagPNetB", "btagUParTAK4B")
    }
    absent = ("Jet_btagDeepFlavB",)
    with caplog.at_level(logging.INFO, "hepmtp.readers.nanoaod"):
        events = NanoAOD().read(write(tmp_path / "sim.root", **scores))
        assert "sim.root: b-jets have Jet_btagDeepFlavB above 0.2783" in caplog.text
        assert events.Particle["type"].to_list()[0] == [1, 1, 0, 3, 6]
        events = NanoAOD().read(write(tmp_path / "sim.root", leave_out=absent, **scores))
        assert "b-jets have Jet_btagPNetB above 0.245" in caplog.text
        assert events.Particle["type"].to_list()[0] == [0, 1, 0, 3, 6]
        events = NanoAOD(b_tag="btagUParTAK4B").read(write(tmp_path / "sim.root", **scores))
        assert "b-jets have Jet_btagUParTAK4B above 0.1272" in caplog.text
        assert events.Particle["type"].to_list()[0] == [1, 1, 0, 3, 6]
    with pytest.raises(
        ReadError,
        match=r"has no b-tag discriminator \(Jet_btagDeepFlavB, .*; name one with the options",
    ):
        NanoAOD().read(write(tmp_path / "sim.root", leave_out=absent))


def test_a_tagger_that_was_not_run_is_refused(tmp_path: Path, shared: Path) -> None:
    scores = [[-3000.0] * 4, [], [-3000.0] * 2]
    with pytest.raises(
        ReadError,
        match=r"entry 0: Jet_btagDeepFlavB is -3000\.0, expected a score: the tagger was not run",
    ):
        NanoAOD().read(write(tmp_path / "sim.root", Jet_btagDeepFlavB=scores))
    forward = [[0.9, 0.0, 0.0, -1000.0], [], [0.1, 0.5]]  # UParT of jets beyond the tracker
    events = NanoAOD().read(write(tmp_path / "sim.root", Jet_btagDeepFlavB=forward))
    assert events.Particle["type"].to_list()[0] == [1, 0, 0, 3, 6]
    real = str(
        shared / "data" / "real" / "scikit-hep-testdata" / "nanoAOD_2015_CMS_Open_Data_ttbar.root"
    )
    with pytest.raises(ReadError, match=r"Jet_btagDeepFlavB is -3000\.0, expected a score"):
        NanoAOD().read(real)
    events = NanoAOD(b_tag="btagCSVV2", working_point=0.8).read(real)
    assert len(events) == 200
    assert ak.sum(events.Particle["type"] == 1) > 0


def test_options_that_cannot_be() -> None:
    with pytest.raises(
        OptionError, match=r"jet_id is 'loose', expected 'tight', 'tight lepton veto' or None"
    ):
        NanoAOD(jet_id="loose")  # type: ignore[arg-type]
    with pytest.raises(
        OptionError,
        match=r"option b_tag is 'btagCSVV2', expected a working_point with it, or one of btagDeep",
    ):
        NanoAOD(b_tag="btagCSVV2")
    with pytest.raises(
        OptionError, match=r"option working_point is 0\.5, expected the b_tag that it is of with it"
    ):
        NanoAOD(working_point=0.5)


def test_weights_of_data_and_of_simulation(tmp_path: Path) -> None:
    data = write(tmp_path / "data.root", leave_out=("genWeight", "GenMET_pt"))
    assert NanoAOD().read(data).weight.to_list() == [1.0, 1.0, 1.0]
    simulated = write(tmp_path / "sim.root", leave_out=("genWeight",))
    with pytest.raises(ReadError, match=r"sim\.root, tree Events, has no branch 'genWeight'"):
        NanoAOD().read(simulated)
    assert NanoAOD(weight=None).read(simulated).weight.to_list() == [1.0, 1.0, 1.0]
    assert NanoAOD(weight="GenMET_pt").read(simulated).weight.to_list() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    "name", [name for name in EVENTS if not name.startswith(("MET", "Gen", "PuppiMET", "gen"))]
)
def test_missing_branches_are_named(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "sim.root", leave_out=(name,))
    expected = {"Jet_btagDeepFlavB": "no b-tag discriminator", "Jet_jetId": "no branch 'Jet_neHEF'"}
    with pytest.raises(ReadError, match=expected.get(name, f"no branch '{name}'")):
        NanoAOD().read(path)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "Jet_pt",
            [[80.0, 60.0, 40.0, 26.0], [], [np.nan, 100.0]],
            r"entry 2: Jet_pt is nan, expected a pt",
        ),
        (
            "Jet_eta",
            [[0.5, -1.0, np.inf, 4.6], [], [1.0, -0.5]],
            r"entry 0: Jet_eta is inf, expected a number from -30",
        ),
        (
            "Jet_btagDeepFlavB",
            [[0.9, np.nan, 0.3, 0.1], [], [0.1, 0.5]],
            r"entry 0: Jet_btagDeepFlavB is nan, expected a fin",
        ),
        ("Muon_charge", [[1], [], [0, 1]], r"entry 2: Muon_charge is 0, expected 1 or -1"),
        (
            "PuppiMET_pt",
            [1.0, np.inf, 3.0],
            r"entry 1: PuppiMET_pt is inf, expected a finite number",
        ),
        ("PuppiMET_pt", [1.0, -1.0, 3.0], r"entry 1: PuppiMET_pt is -1\.0, expected a MET"),
        ("genWeight", [1.0, 1.0, np.nan], r"entry 2: genWeight is nan, expected a finite number"),
    ],
)
def test_impossible_values_are_named(tmp_path: Path, name: str, value: Any, message: str) -> None:
    path = write(tmp_path / "sim.root", **{name: value})
    with pytest.raises(ReadError, match=rf"sim\.root {message}"):
        NanoAOD().read(path)


def test_jet_id_of_version_15(tmp_path: Path) -> None:
    """One jet for each rule, with what is beside it; the numbers are float32 in the file."""
    good = {
        "neHEF": 0.2,
        "neEmEF": 0.2,
        "chHEF": 0.4,
        "muEF": 0.0,
        "chEmEF": 0.0,
        "chMultiplicity": 10.0,
        "neMultiplicity": 10.0,
    }
    jets = [
        (0.0, {}, True),
        (0.0, {"neHEF": 0.99}, False),
        (0.0, {"neEmEF": 0.91}, False),
        (0.0, {"chHEF": 0.01}, False),
        (0.0, {"chMultiplicity": 0.0}, False),
        (0.0, {"chMultiplicity": 1.0, "neMultiplicity": 0.0}, False),
        (2.6, {"neHEF": 0.95, "neEmEF": 0.95}, False),
        (2.65, {"neEmEF": 0.95, "chMultiplicity": 0.0}, True),
        (2.65, {"neHEF": 0.91}, False),
        (2.65, {"neEmEF": 0.99}, False),
        (-2.9, {"neHEF": 0.98, "neEmEF": 1.0}, True),
        (2.9, {"neHEF": 0.99}, False),
        (3.5, {"neHEF": 1.0, "neEmEF": 0.3}, True),
        (-3.5, {"neEmEF": 0.4}, False),
        (3.5, {"neMultiplicity": 1.0}, False),
        (0.0, {"muEF": 0.8}, True),
        (0.0, {"chEmEF": 0.8}, True),
        (2.9, {"muEF": 0.9}, True),
    ]
    n = len(jets)
    columns: dict[str, Any] = {
        f"Jet_{name}": [[{**good, **odd}[name] for _, odd, _ in jets]] for name in good
    }
    columns |= {"Jet_pt": [[100.0 - i for i in range(n)]], "Jet_eta": [[eta for eta, _, _ in jets]]}
    columns |= {"Jet_phi": [[0.0] * n], "Jet_mass": [[1.0] * n], "Jet_btagDeepFlavB": [[0.0] * n]}
    columns |= {
        name: values[1:2]
        for name, values in EVENTS.items()
        if name not in columns and not name.startswith("Jet")
    }
    path = write(tmp_path / "sim.root", leave_out=("Jet_jetId",), **columns)

    kept = NanoAOD().read(path).Particle.pt[0].to_list()
    assert kept == [100.0 - i for i, (_, _, keep) in enumerate(jets) if keep]
    strict = NanoAOD(jet_id="tight lepton veto").read(path).Particle.pt[0].to_list()
    assert sorted(set(kept) - set(strict)) == [84.0, 85.0]


def expected_event(
    found: dict[str, Any], i: int, *, v15: bool, photons: bool
) -> list[tuple[float, ...]]:
    """The particles of an event with the default options, one branch value after the other."""

    def rows(kind: str, *names: str) -> list[tuple[Any, ...]]:
        return list(
            zip(*(found[f"{kind}_{name}"][i] for name in ("pt", "eta", "phi", *names)), strict=True)
        )

    leptons = []
    for pt, eta, phi, charge, level in rows("Electron", "charge", "cutBased"):
        if pt >= 15 and abs(eta) <= 2.5 and level >= 3:
            leptons.append((pt, eta, phi, MASSES["Electron"], 2 if charge > 0 else 3))
    muons = []
    for pt, eta, phi, charge, medium, isolation in rows(
        "Muon", "charge", "mediumId", "pfRelIso04_all"
    ):
        if pt >= 15 and abs(eta) <= 2.4 and medium and isolation <= 0.25:
            muons.append((pt, eta, phi, MASSES["Muon"], 4 if charge > 0 else 5))
    gammas = []
    for pt, eta, phi, good, veto in rows("Photon", "mvaID_WP90", "electronVeto") if photons else ():
        if pt >= 20 and abs(eta) <= 2.5 and good and veto:
            gammas.append((pt, eta, phi, 0.0, 6))
    others = [*leptons, *muons, *gammas]
    jets = []
    for k, (pt, eta, phi, mass, score) in enumerate(rows("Jet", "mass", "btagDeepFlavB")):
        tight = (
            jet_id_15({name: found[f"Jet_{name}"][i][k] for name in V15}, abs(eta))
            if v15
            else found["Jet_jetId"][i][k] & 2
        )
        near = [
            math.hypot(eta - o[1], math.remainder(phi - o[2], 2 * math.pi)) < 0.4 for o in others
        ]
        if pt >= 25 and abs(eta) <= 4.7 and tight and not any(near):
            jets.append((pt, eta, phi, mass, int(score > 0.2783)))
    ordered = [sorted(group, key=lambda one: -one[0]) for group in (jets, leptons, muons, gammas)]
    return [
        (pt, eta, phi, math.sqrt((pt * math.cosh(eta)) ** 2 + mass * abs(mass)), kind)
        for group in ordered
        for pt, eta, phi, mass, kind in group
    ]


V15 = ("neHEF", "neEmEF", "chHEF", "chMultiplicity", "neMultiplicity")


def jet_id_15(jet: dict[str, float], eta: float) -> bool:
    if eta <= 2.6:
        fractions = jet["neHEF"] < 0.99 and jet["neEmEF"] < 0.9 and jet["chHEF"] > 0.01
        return (
            fractions
            and jet["chMultiplicity"] > 0
            and jet["chMultiplicity"] + jet["neMultiplicity"] > 1
        )
    if eta <= 2.7:
        return jet["neHEF"] < 0.9 and jet["neEmEF"] < 0.99
    if eta <= 3.0:
        return jet["neHEF"] < 0.99
    return jet["neMultiplicity"] >= 2 and jet["neEmEF"] < 0.4


@pytest.mark.parametrize(
    ("name", "n", "weight"),
    [
        ("nano_tt_v12", 200, "genWeight"),  # a skim without photons
        ("nano_tt_v15", 200, "genWeight"),
        ("nano_dy", 40, "genWeight"),  # version 5
        ("nano_dy_rntuple", 40, "genWeight"),
        ("nano_dimuon", 40, None),  # data
    ],
)
def test_every_event_of_real_files(shared: Path, name: str, n: int, weight: str | None) -> None:
    path = str(shared / "data" / "real" / "coffea" / f"{name}.root")
    v15, photons = name == "nano_tt_v15", name != "nano_tt_v12"
    names = {
        "Jet": ("pt", "eta", "phi", "mass", "btagDeepFlavB", *(V15 if v15 else ("jetId",))),
        "Electron": ("pt", "eta", "phi", "charge", "cutBased"),
        "Muon": ("pt", "eta", "phi", "charge", "mediumId", "pfRelIso04_all"),
        "Photon": ("pt", "eta", "phi", "mvaID_WP90", "electronVeto") if photons else (),
        "PuppiMET": ("pt", "phi"),
    }
    wanted = [f"{kind}_{one}" for kind, ones in names.items() for one in ones] + (
        [weight] if weight else []
    )
    with uproot.open(path) as file:
        arrays = file["Events"].arrays(wanted)
    found = {one: arrays[one].to_list() for one in wanted}
    reader = NanoAOD() if photons else NanoAOD(photons=None)
    if not photons:
        with pytest.raises(
            ReadError,
            match=r"no branch 'Photon_pt'; a skim without photons is read with .* photons=None",
        ):
            NanoAOD().read(path)
    events = reader.read(path)
    assert len(events) == n
    for i, event in enumerate(events.to_list()):
        got = [(p["pt"], p["eta"], p["phi"], p["energy"], p["type"]) for p in event["Particle"]]
        expected = expected_event(found, i, v15=v15, photons=photons)
        assert len(got) == len(expected)
        if got:
            np.testing.assert_allclose(got, expected, rtol=1e-12)
        assert event["MET"] == {"pt": found["PuppiMET_pt"][i], "phi": found["PuppiMET_phi"][i]}
        assert event["weight"] == (found[weight][i] if weight else 1.0)


def test_a_real_file_without_events(shared: Path) -> None:
    path = str(shared / "data" / "real" / "coffea" / "nano_dy_empty.root")
    assert NanoAOD().num_events(path) == len(NanoAOD().read(path)) == 0
    assert [len(events) for events in NanoAOD().iterate(path, 10)] == [0]


@pytest.mark.parametrize("rntuple", [False, True])
@pytest.mark.parametrize("end", ["", "_"])
def test_the_weight_of_all_generated_events(tmp_path: Path, rntuple: bool, end: str) -> None:
    path = write(tmp_path / "sim.root", rntuple=rntuple)
    assert NanoAOD().generated_weight(path) is None
    runs = {f"genEventSumw{end}": np.array([100.5, -0.5]), f"genEventCount{end}": np.array([7, 5])}
    with uproot.update(path) as file:
        make = file.mkrntuple if rntuple else file.mktree
        make("Runs", {name: str(one.dtype) for name, one in runs.items()}).extend(runs)
    assert NanoAOD().generated_weight(path) == 100.0
    assert NanoAOD(weight=None).generated_weight(path) == 12.0
    assert NanoAOD(names={"weight": None}).generated_weight(path) == 12.0
    assert NanoAOD(weight="GenMET_pt").generated_weight(path) is None  # its sum is not known


def test_the_sum_of_weights_is_that_beside_the_tree(tmp_path: Path) -> None:
    path = write(tmp_path / "sim.root")
    with uproot.open(path) as file:
        tree = file["Events"]
        arrays = {name: tree[name].array() for name in tree.keys()}  # noqa: SIM118
    types = {
        n: f"var * {a.type.content.content}" if a.ndim == 2 else str(a.type.content)
        for n, a in arrays.items()
        if not n.startswith("n")
    }
    with uproot.recreate(path) as file:
        for name, total in (("Runs", 1.0), ("up/Runs", 20.0)):
            file.mktree(name, {"genEventSumw": "float64"}).extend({"genEventSumw": [total]})
        for name in ("up/Events", "down/Events"):
            file.mktree(name, types).extend({n: arrays[n] for n in types})
    assert NanoAOD(tree="up/Events").generated_weight(path) == 20.0
    assert NanoAOD(tree="down/Events").generated_weight(path) == 1.0
    for bad in (np.nan, np.inf):
        with uproot.update(path) as file:
            file.mktree("down/Runs", {"genEventSumw": "float64"}).extend({"genEventSumw": [bad]})
        with pytest.raises(ReadError, match=r"genEventSumw is (nan|inf), expected a finite number"):
            NanoAOD(tree="down/Events").generated_weight(path)


@pytest.mark.parametrize(
    ("name", "sumw", "count"),
    [
        ("nano_dy", 15166686735.858717, 850098.0),
        ("nano_tree", 49919.0, 49919.0),
        ("pfnano", 10.0, 10.0),
        ("nano_dimuon", None, None),  # data
        ("nano_tt_v15", None, None),  # it has lost its tree Runs
    ],
)
def test_the_sum_of_weights_of_real_files(
    shared: Path, name: str, sumw: float | None, count: float | None
) -> None:
    path = str(shared / "data" / "real" / "coffea" / f"{name}.root")
    assert NanoAOD().generated_weight(path) == sumw
    assert NanoAOD(weight=None).generated_weight(path) == count
    if name in ("nano_dy", "nano_dimuon"):
        assert NanoAOD().generated_weight(path.replace(".root", ".parquet")) is None
