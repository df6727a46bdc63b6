"""Flat ntuples of ATLAS: numbers written out, the names of open data, and what must be said."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot
from contracts import check_reader, hepmtp

from hepmtp.errors import OptionError, ReadError
from hepmtp.readers.flat_ntuple import FlatNtuple
from hepmtp.readers.formats import load_reader, reader_name
from hepmtp.readers.inspect_file import inspect

#: Three events as AnalysisTop names them, MeV.
EVENTS: dict[str, Any] = {
    "jet_pt": [[80e3, 40e3], [], [50e3]],
    "jet_eta": [[0.0, 1.0], [], [-2.0]],
    "jet_phi": [[1.0, -3.0], [], [2.0]],
    "jet_e": [[100e3, 70e3], [], [200e3]],
    "jet_isbtagged_DL1r_77": [[1, 0], [], [0]],
    "el_pt": [[30e3], [], []],
    "el_eta": [[0.5], [], []],
    "el_phi": [[0.1], [], []],
    "el_charge": [[-1.0], [], []],
    "mu_pt": [[], [25e3], [20e3, 35e3]],
    "mu_eta": [[], [1.5], [0.0, 0.1]],
    "mu_phi": [[], [-1.0], [3.0, 0.2]],
    "mu_charge": [[], [1.0], [-1.0, 1.0]],
    "met_met": [250e3, 20e3, 30e3],
    "met_phi": [0.5, -0.5, 1.5],
    "weight_mc": [2.0, -1.0, 4.0],
    "weight_pileup": [0.5, 1.0, 2.0],
}
#: The same as ATLAS open data name them.
LEPTONS = {
    "lep_pt": [[30e3], [25e3], [20e3, 35e3]],
    "lep_eta": [[0.5], [1.5], [0.0, 0.1]],
    "lep_phi": [[0.1], [-1.0], [3.0, 0.2]],
    "lep_charge": [
        [
            -1,
        ],
        [1],
        [-1, 1],
    ],
    "lep_type": [[11], [13], [13, 13]],
}
PHOTONS = {"pt": [[15e3], [], []], "eta": [[1.0], [], []], "phi": [[2.0], [], []]}


def open_data() -> dict[str, Any]:
    found = {
        name: values
        for name, values in EVENTS.items()
        if name.startswith("jet_") and "isb" not in name and name != "jet_e"
    }
    found |= LEPTONS | {f"photon_{name}": values for name, values in PHOTONS.items()}
    found |= {"jet_E": EVENTS["jet_e"], "jet_MV2c10": [[0.9, 0.8], [], [-1.0]]}
    return found | {
        "met_et": EVENTS["met_met"],
        "met_phi": EVENTS["met_phi"],
        "mcWeight": EVENTS["weight_mc"],
        "scaleFactor_PILEUP": EVENTS["weight_pileup"],
    }


def write(
    path: Path, values: dict[str, Any], *, tree: str = "nominal", gev: bool = False, **more: Any
) -> str:
    """A flat ntuple; in GeV if that is asked for."""
    energies = ("_pt", "_e", "_E", "_m", "_met", "_et")
    columns = {}
    for name, one in {**values, **more}.items():
        lists = isinstance(one[0], list)
        flat = np.array([v for event in one for v in event] if lists else one, dtype=np.float64)
        flat = flat / 1000.0 if gev and name.endswith(energies) else flat
        flat = flat.astype(np.int32) if name.endswith(("type", "77")) else flat
        columns[name] = ak.unflatten(flat, [len(event) for event in one]) if lists else flat
    types = {
        name: f"var * {column.type.content.content}"
        if isinstance(column, ak.Array)
        else str(column.dtype)
        for name, column in columns.items()
    }
    with uproot.recreate(path) as file:
        file.mktree(tree, types, counter_name="n{}".format).extend(columns)
    return str(path)


def test_contract(tmp_path: Path) -> None:
    path = write(tmp_path / "sim.root", EVENTS)
    check_reader(FlatNtuple(units="MeV"), path, tmp_path)
    assert reader_name(path) == "hepmtp:FlatNtuple"


@pytest.mark.parametrize("gev", [False, True])
def test_three_events(tmp_path: Path, gev: bool) -> None:
    path = write(tmp_path / "sim.root", EVENTS, gev=gev)
    events = FlatNtuple(units="GeV" if gev else "MeV").read(path)
    assert events.Particle["type"].to_list() == [[1, 0, 3], [4], [0, 4, 5]]
    assert events.Particle.pt.to_list() == [[80.0, 40.0, 30.0], [25.0], [50.0, 35.0, 20.0]]
    assert events.Particle.eta.to_list() == [[0.0, 1.0, 0.5], [1.5], [-2.0, 0.1, 0.0]]
    assert events.Particle.energy[0, :2].to_list() == [100.0, 70.0]
    assert events.Particle.energy[1, 0] == pytest.approx(
        math.hypot(25.0 * math.cosh(1.5), 0.1056583755)
    )
    assert events.MET.pt.to_list() == [250.0, 20.0, 30.0]
    assert events.MET.phi.to_list() == [0.5, -0.5, 1.5]
    assert events.weight.to_list() == [2.0, -1.0, 4.0]


def test_the_names_of_open_data(tmp_path: Path) -> None:
    path = write(tmp_path / "sim.root", open_data(), tree="mini")
    assert reader_name(path) == "hepmtp:FlatNtuple"
    events = FlatNtuple(units="MeV").read(path)
    assert events.Particle["type"].to_list() == [[1, 0, 3, 6], [4], [0, 4, 5]]
    assert events.Particle.pt.to_list() == [[80.0, 40.0, 30.0, 15.0], [25.0], [50.0, 35.0, 20.0]]
    assert events.Particle.energy[0, 3] == pytest.approx(15.0 * math.cosh(1.0))
    assert events.MET.pt.to_list() == [250.0, 20.0, 30.0]
    assert events.weight.to_list() == [2.0, -1.0, 4.0]
    both = FlatNtuple(units="MeV", weight="mcWeight,scaleFactor_PILEUP")  # type: ignore[arg-type]
    assert both.read(path).weight.to_list() == [1.0, -1.0, 8.0]
    bad = write(tmp_path / "bad.root", open_data(), lep_type=[[11], [15], [13, 13]])
    with pytest.raises(ReadError, match=r"entry 1: lep_type is 15, expected 11 \(electron\) or 13"):
        FlatNtuple(units="MeV").read(bad)


@pytest.mark.parametrize("gev", [False, True])
def test_units_must_be_said_and_are_guessed_when_inspected(tmp_path: Path, gev: bool) -> None:
    path = write(tmp_path / "sim.root", EVENTS, gev=gev)
    units = "GeV" if gev else "MeV"
    message = (
        rf"nominal, does not say its units: give the option units, .*; the jets fit units={units}"
    )
    with pytest.raises(ReadError, match=message):
        FlatNtuple().read(path)
    found = inspect(path)
    assert (found.units, found.options) == (units, {"units": units})
    assert found.pt is not None
    assert found.pt.max == 80.0
    assert hepmtp("convert", path, tmp_path / "a.parquet") == 2
    assert hepmtp("convert", path, tmp_path / "a.parquet", "--option", f"units={units}") == 0


def test_what_a_b_jet_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    score = {"jet_score": [[0.5, 0.7], [], [0.2]]}
    path = write(tmp_path / "sim.root", EVENTS, **score)

    def tags(**options: Any) -> Any:
        kinds = FlatNtuple(units="MeV", **options).read(path).Particle["type"]
        return kinds[kinds < 2].to_list()

    with caplog.at_level(logging.INFO):
        assert tags() == [[1, 0], [], [0]]
    assert "b-jets are those of jet_isbtagged_DL1r_77" in caplog.text
    assert tags(b_tag="none") == [[0, 0], [], [0]]
    assert tags(b_tag="jet_score", working_point=0.6) == [[0, 1], [], [0]]
    with pytest.raises(ReadError, match=r"jet_score is 0\.5, expected 0 or 1: give the working"):
        tags(b_tag="jet_score")
    with pytest.raises(OptionError, match=r"option working_point is 0\.5, expected the b_tag that"):
        tags(working_point=0.5)
    del (some := dict(EVENTS))["jet_isbtagged_DL1r_77"]
    path = write(tmp_path / "sim.root", some)
    with pytest.raises(ReadError, match=r"has no b-tag that is known \(.*or say b_tag=none for no"):
        tags()


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    def without(*starts: str) -> str:
        gone = {name for name in EVENTS if name in starts or name.partition("_")[0] + "_" in starts}
        some = {name: values for name, values in EVENTS.items() if name not in gone}
        return write(tmp_path / "sim.root", some)

    for starts, message in (
        (["jet_e"], r"no energy or mass of jets \(jet_e, jet_E, jet_m, jet_mass\); name one"),
        (["met_met"], r"no missing energy \(met_met, met_et, met_pt, met\); name it with"),
        (["el_", "mu_"], r"no leptons \(el_pt, mu_pt, lep_pt\); .* names=leptons=none"),
        (["mu_"], r"has no branch 'mu_pt'"),
        (["weight_mc"], r"none of the weights weight_mc, .*, but weight_pileup; say which"),
    ):
        with pytest.raises(ReadError, match=message):
            FlatNtuple(units="MeV").read(without(*starts))
    path = without("el_", "mu_", "weight_")
    events = load_reader("hepmtp:FlatNtuple", units="MeV", names="leptons=none").read(path)
    assert events.Particle["type"].to_list() == [[1, 0], [], [0]]
    assert events.weight.to_list() == [1.0, 1.0, 1.0]


def test_names(tmp_path: Path) -> None:
    more = {
        "goodjet_pt": [[81e3], [], []],
        "goodjet_eta": [[0.0], [], []],
        "goodjet_phi": [[1.0], [], []],
        "goodjet_m": [[10e3], [], []],
        "MET": [1e3, 2e3, 3e3],
    }
    path = write(tmp_path / "sim.root", EVENTS, **more)
    names = "jets=goodjet,muons=none,met=MET,weight=weight_pileup"
    reader = load_reader("hepmtp:FlatNtuple", units="MeV", names=names, b_tag=None)
    events = reader.read(path)
    assert events.Particle.pt.to_list() == [[81.0, 30.0], [], []]
    assert events.Particle.mass[0, 0] == pytest.approx(10.0)
    assert events.MET.pt.to_list() == [1.0, 2.0, 3.0]
    assert events.weight.to_list() == [0.5, 1.0, 2.0]


def test_cuts_and_overlap(tmp_path: Path) -> None:
    path = write(
        tmp_path / "sim.root",
        EVENTS,
        jet_eta=[[0.5, 1.0], [], [-2.0]],
        jet_phi=[[0.2, -3.0], [], [2.0]],
    )
    cuts = FlatNtuple(units="MeV", jets=(45.0, 1.5), electrons=(40.0, 2.5), muons=(22.0, 1.0))
    assert cuts.read(path).Particle.pt.to_list() == [[80.0], [], [35.0]]
    apart = FlatNtuple(units="MeV", overlap=0.4)
    assert apart.read(path).Particle.pt.to_list()[0] == [40.0, 30.0]


def test_the_weight_of_all_generated_events(tmp_path: Path) -> None:
    path = write(tmp_path / "sim.root", EVENTS)
    assert FlatNtuple().generated_weight(path) is None
    sums = {"totalEventsWeighted": np.array([100.5, 20.0]), "totalEvents": np.array([90, 10])}
    with uproot.update(path) as file:
        types = {name: str(one.dtype) for name, one in sums.items()}
        file.mktree("sumWeights", types).extend(sums)
    assert FlatNtuple().generated_weight(path) == 120.5
    assert FlatNtuple(weight=("weight_mc", "weight_pileup")).generated_weight(path) == 120.5
    assert FlatNtuple(weight=None).generated_weight(path) == 100.0
    assert FlatNtuple(weight=("weight_pileup",)).generated_weight(path) is None
