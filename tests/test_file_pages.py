"""The pages "I have a ... file": every command of each, on small files of the page's format."""

from __future__ import annotations

import functools
import gzip
import itertools
import json
import re
from pathlib import Path
from typing import Any

import awkward as ak
import pytest
import test_delphes
import test_nanoaod
import test_physlite
from contracts import hepmtp

from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import embedded
from hepmtp.readers.formats import reader_for

pytestmark = pytest.mark.usefixtures("short_training")

DOCS = Path(__file__).parents[1] / "docs"
#: What the tests add to a command, to be short.
MORE = {"train": ("--epochs", "1"), "run": ("--variations", "none")}
#: Page -> reader of its files.
PAGES = {
    "from_nanoaod.md": "NanoAOD",
    "from_physlite.md": "Physlite",
    "from_delphes.md": "Delphes",
    "from_csv.md": "DarkMachinesCSV",
}
#: Events of each file. A ROOT file has an identity of its own, so that which of them are analysed
#: is another draw in each run, and no region may be empty.
N = 1500
KINDS = {"jets": (0, 1), "electrons": (2, 3), "muons": (4, 5), "photons": (6,)}
MOMENTUM = ("pt", "eta", "phi")


def commands(page: str) -> list[list[str]]:
    """Words of each command of a page, without ``hepmtp``."""
    blocks = re.findall(r"```console\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    assert all(line.startswith("$ hepmtp ") for line in lines)
    return [line.split()[2:] for line in lines]


def collections(events: Any) -> dict[str, Any]:
    """Particles of each collection."""
    kind = events.Particle["type"]
    return {
        name: events.Particle[functools.reduce(lambda a, b: a | b, [kind == one for one in kinds])]
        for name, kinds in KINDS.items()
    }


def charge(leptons: Any) -> Any:
    return 1 - 2 * (leptons["type"] % 2)


def write_nanoaod(path: Path, events: Any) -> None:
    of = collections(events)
    always = {name: ak.ones_like(one.pt) for name, one in of.items()}
    columns = {
        f"{name[:-1].capitalize()}_{field}": one[field]
        for name, one in of.items()
        for field in MOMENTUM
    }
    columns |= {
        "Jet_mass": of["jets"].mass,
        "Jet_btagDeepFlavB": 0.9 * of["jets"]["type"],
        "Jet_jetId": 6 * always["jets"],
        "Electron_charge": charge(of["electrons"]),
        "Electron_cutBased": 4 * always["electrons"],
        "Muon_charge": charge(of["muons"]),
        "Muon_mediumId": always["muons"] > 0,
        "Muon_pfRelIso04_all": 0 * always["muons"],
        "Photon_mvaID_WP90": always["photons"] > 0,
        "Photon_electronVeto": always["photons"] > 0,
        "genWeight": events.weight,
        "GenMET_pt": events.MET.pt,
    }
    columns |= {
        f"{met}_{one}": events.MET[one] for met in ("MET", "PuppiMET") for one in MOMENTUM[::2]
    }
    test_nanoaod.write(path, **{name: one.to_list() for name, one in columns.items()})


def write_physlite(path: Path, events: Any) -> None:
    of = collections(events)
    columns: dict[str, Any] = {}
    for name, one in of.items():
        container = f"Analysis{name.capitalize()}AuxDyn."
        columns |= {f"{container}{field}": one[field] for field in MOMENTUM[1:]}
        columns[f"{container}pt"] = 1e3 * one.pt
    tagged = of["jets"]["type"]
    flavours = {"pb": 0.9 * tagged, "pc": 0.05 + 0 * tagged, "pu": 0.5 - 0.45 * tagged}
    columns |= {f"{test_physlite.B}.GN2v01_{name}": one for name, one in flavours.items()}
    leptons = {"Electrons": of["electrons"], "Muons": of["muons"]}
    for name, one in leptons.items():
        columns[f"Analysis{name}AuxDyn.charge"] = charge(one)
        columns[f"Analysis{name}AuxDyn.{test_physlite.AROUND[name]}"] = 0 * one.pt
    source = ak.Array([[69664, 81952]] * len(events))
    missing = {"mpx": events.MET.px, "mpy": events.MET.py}
    columns |= {
        "AnalysisJetsAuxDyn.m": 1e3 * of["jets"].mass,
        "AnalysisJetsAuxDyn.NNJvtPass": ak.ones_like(tagged),
        test_physlite.LINK: ak.local_index(tagged),
        f"{test_physlite.B}.GN2v01_ptau": 0.01 + 0 * tagged,
        "AnalysisElectronsAuxDyn.DFCommonElectronsLHMedium": ak.ones_like(of["electrons"]["type"]),
        "AnalysisMuonsAuxDyn.quality": 0 * of["muons"]["type"],
        "AnalysisPhotonsAuxDyn.DFCommonPhotonsIsEMTight": ak.ones_like(of["photons"]["type"]),
        "MET_Core_AnalysisMETAuxDyn.source": source,
        "EventInfoAuxDyn.mcEventWeights": events.weight[:, None],
        "TruthEvents": 0 * events.event,
    }
    columns |= {
        f"MET_Core_AnalysisMETAuxDyn.{name}": 1e3 * one[:, None] * (source == 81952)
        for name, one in missing.items()
    }
    values = {name.replace(".", "__"): one.to_list() for name, one in columns.items()}
    test_physlite.write(path, rntuple=True, **values)


def write_delphes(path: Path, events: Any) -> None:
    of = collections(events)
    names = dict(zip(("PT", "Eta", "Phi"), MOMENTUM, strict=True))
    groups: dict[str, Any] = {
        name[:-1].capitalize(): {key: one[field] for key, field in names.items()}
        for name, one in of.items()
    }
    groups["Jet"] |= {"Mass": of["jets"].mass, "BTag": of["jets"]["type"]}
    groups["Electron"]["Charge"] = charge(of["electrons"])
    groups["Muon"]["Charge"] = charge(of["muons"])
    groups["Photon"]["E"] = of["photons"].energy
    groups["MissingET"] = {"MET": events.MET.pt[:, None], "Phi": events.MET.phi[:, None]}
    groups["Event"] = {"Weight": events.weight[:, None]}
    lists = {g: {n: one.to_list() for n, one in fields.items()} for g, fields in groups.items()}
    test_delphes.write(path, lists)


WRITERS = {
    "from_nanoaod.md": write_nanoaod,
    "from_physlite.md": write_physlite,
    "from_delphes.md": write_delphes,
}


@pytest.fixture(scope="module")
def chosen() -> dict[str, Any]:
    """Events of backgrounds, half and half so that no region is empty, and of a signal."""
    of = {one.name: one for one in embedded()}
    mixed = read([of["ttbarW"], of["ttbarZ"]], stop=N // 2)
    return {"ttW": mixed, "run": mixed, "sus": read([of["4top"]], stop=N)}


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_the_page_works(
    page: str,
    chosen: dict[str, Any],
    sample: Path,
    tmp_path: Path,
    undrawn: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    lines_of = {"ttW": ("ttbarW", "ttbarZ"), "sus": ("4top",)}
    asked = {word.partition("=")[2] or word for words in commands(page) for word in words}
    for name in ("ttW", "sus", "run"):
        if f"{name}.root" in asked and page in WRITERS:
            WRITERS[page](Path(f"{name}.root"), chosen[name])
        elif f"{name}.csv" in asked:
            text = ""
            for dataset in lines_of[name]:
                with gzip.open(sample / f"{dataset}.csv.gz", "rt") as lines:
                    text += "".join(itertools.islice(lines, N // len(lines_of[name])))
            Path(f"{name}.csv").write_text(text)
    ended = [hepmtp(*words, *MORE.get(words[0], ())) for words in commands(page)]
    assert ended == [0] * len(ended)
    assert PAGES[page] in capsys.readouterr().out  # what inspect says of the first file
    cutflow = json.loads(Path("results/cutflow.json").read_text())
    assert cutflow["sus"]["all"]["raw"] == N
    assert 0 < cutflow["ttW"]["all"]["raw"] < N  # what trained is left out
    assert reader_for("ttW_events.root").num_events("ttW_events.root") == N
