"""Trees of another name or in a folder, branches of other names, friends, columns of parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot
from coffea.processor import IterativeExecutor, ProcessorABC
from contracts import check_reader, columns, hepmtp

from hepmtp.errors import ReadError
from hepmtp.events.record import make_events
from hepmtp.readers.delphes import Delphes
from hepmtp.readers.dm_ntuple import DMNtuple
from hepmtp.readers.formats import load_reader, reader_for, reader_name
from hepmtp.readers.inspect_file import inspect
from hepmtp.readers.nanoaod import NanoAOD
from hepmtp.readers.root import RootReader
from hepmtp.run.runner import HepRunner

NOTHING: list[list[float]] = [[], []]
NANO: dict[str, Any] = {
    "Jet_pt": [[80.0, 60.0], []],
    "Jet_eta": [[0.5, -1.0], []],
    "Jet_phi": [[1.0, 3.0], []],
    "Jet_mass": [[10.0, 8.0], []],
    "Jet_btagDeepFlavB": [[0.9, 0.1], []],
    "Jet_jetId": [[6, 6], []],
    **{f"Electron_{name}": NOTHING for name in ("pt", "eta", "phi", "charge", "cutBased")},
    **{f"Muon_{name}": NOTHING for name in ("pt", "eta", "phi", "charge", "mediumId")},
    "Muon_pfRelIso04_all": NOTHING,
    **{f"Photon_{name}": NOTHING for name in ("pt", "eta", "phi", "mvaID_WP90", "electronVeto")},
    "PuppiMET_pt": [11.0, 21.0],
    "PuppiMET_phi": [0.5, 1.5],
    "genWeight": [2.0, -1.0],
}
PUPPI = {name.replace("Jet_", "JetPUPPI_"): v for name, v in NANO.items() if name[:4] == "Jet_"}
PUPPI["JetPUPPI_pt"] = [[70.0, 50.0], []]


def typed(values: list[Any]) -> ak.Array:
    if isinstance(values[0], list):
        kind = type(next((v for one in values for v in one), 0.0))
        flat = np.array([v for one in values for v in one], dtype=kind)
        return ak.unflatten(flat, [len(one) for one in values])
    return ak.Array(np.array(values))


def write(path: Path, **trees: dict[str, Any]) -> str:
    """A ROOT file with these trees; "__" in a name stands for a folder."""
    with uproot.recreate(path) as file:
        for name, branches in trees.items():
            arrays = {branch: typed(values) for branch, values in branches.items()}
            types = {
                branch: f"var * {array.type.content.content}"
                if array.ndim == 2
                else str(array.type.content)
                for branch, array in arrays.items()
            }
            counter = "n{}".format
            tree = file.mktree(name.replace("__", "/"), types, counter_name=counter)
            if len(next(iter(branches.values()))):
                tree.extend(arrays)
    return str(path)


def nano(names: Any) -> NanoAOD:
    return NanoAOD(names=names)


def pts(reader: Any, path: str) -> Any:
    return reader.read(path).Particle.pt.to_list()


@pytest.mark.parametrize("name", ["Events", "nominal__Events", "skim", "a__b__skim"])
def test_a_tree_of_any_name_in_any_folder(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "sim.root", Runs={"run": [1, 2]}, **{name: NANO})
    assert reader_name(path) == "hepmtp:NanoAOD"
    assert pts(reader_for(path), path) == [[80.0, 60.0], []]
    assert inspect(path).events == 2


def test_the_tree_that_is_named(tmp_path: Path) -> None:
    other = {**NANO, "Jet_pt": [[90.0, 40.0], []]}
    path = write(tmp_path / "sim.root", nominal__Events=NANO, up__Events=other, skim=other)
    for reader in (NanoAOD(), RootReader(), Delphes()):
        assert reader.tree is None
    message = r"has several trees of the layout NanoAOD: nominal/Events, up/Events, skim; name one"
    with pytest.raises(ReadError, match=message):
        NanoAOD().num_events(path)
    assert pts(NanoAOD(tree="nominal/Events"), path) == [[80.0, 60.0], []]
    assert pts(NanoAOD(tree="up/Events;1"), path) == [[90.0, 40.0], []]
    assert pts(NanoAOD(tree="skim"), path) == [[90.0, 40.0], []]
    with pytest.raises(ReadError, match=r"several trees 'Events': nominal/Events, up/Events; name"):
        NanoAOD(tree="Events").read(path)
    with pytest.raises(ReadError, match=r"no tree 'down' \(found: nominal/Events, up/Events, skim"):
        NanoAOD(tree="down").read(path)
    assert hepmtp("inspect", path, "--option", "tree=nominal/Events") == 0
    assert hepmtp("inspect", path) == 2


def test_the_usual_name_at_the_top_comes_first_and_empty_trees_last(tmp_path: Path) -> None:
    other = {**NANO, "Jet_pt": [[90.0, 40.0], []]}
    path = write(tmp_path / "sim.root", skim=other, Events=NANO, up__Events=other)
    assert pts(NanoAOD(), path) == [[80.0, 60.0], []]
    empty: dict[str, list[float]] = {name: [] for name in ("Jet_pt", "Electron_pt", "Muon_pt")}
    with uproot.recreate(tmp_path / "two.root") as file:
        file.mktree("cut/Events", dict.fromkeys(empty, "var * float32"))
    with uproot.update(tmp_path / "two.root") as file:
        types = {
            name: f"var * {typed(v).type.content.content}" if typed(v).ndim == 2 else "float64"
            for name, v in other.items()
        }
        file.mktree("full/Events", types).extend({name: typed(v) for name, v in other.items()})
    assert pts(NanoAOD(), str(tmp_path / "two.root")) == [[90.0, 40.0], []]


def test_our_own_tree_in_a_folder(tmp_path: Path) -> None:
    events = make_events(
        counts=[1, 0],
        pt=[50.0],
        eta=[0.0],
        phi=[0.0],
        energy=[50.0],
        type=[1],
        met=[1.0, 2.0],
        met_phi=[0.0, 0.0],
    )
    flat = columns(events)
    particles = {f"Particle_{name}": flat[name] for name in ("pt", "eta", "phi", "energy")}
    others = {name: flat[name] for name in ("MET_pt", "MET_phi", "weight", "event", "source")}
    kinds = {"Particle_type": flat["type"]}
    write(tmp_path / "sim.root", nominal__mine={**particles, **others, **kinds})
    assert reader_name(str(tmp_path / "sim.root")) == "hepmtp:RootReader"
    assert columns(RootReader().read(str(tmp_path / "sim.root"))) == columns(events)
    assert RootReader().tree_name(str(tmp_path / "sim.root")) == "nominal/mine"


def test_trees_of_several_layouts_are_not_chosen_from(tmp_path: Path) -> None:
    dark = dict.fromkeys(DMNtuple.branches, [[1.0], [2.0]])  # noqa: RUF024 (not changed)
    path = write(tmp_path / "sim.root", skim=NANO, other=dark)
    with pytest.raises(ReadError, match=r"several layouts: skim of NanoAOD, other of DMNtuple;"):
        reader_name(path)


def test_collections_and_branches_of_other_names(tmp_path: Path) -> None:
    path = write(tmp_path / "sim.root", Events={**NANO, **PUPPI, "Jet_pt_nom": [[81.0, 61.0], []]})
    assert pts(nano("jets=JetPUPPI"), path) == [[70.0, 50.0], []]
    assert pts(NanoAOD(names={"jet_pt": "Jet_pt_nom"}), path) == [[81.0, 61.0], []]
    assert pts(nano("jets=JetPUPPI, jet_pt=Jet_pt_nom"), path) == [[81.0, 61.0], []]
    events = load_reader("hepmtp:NanoAOD", names="jets=none,weight=none").read(path)
    assert events.Particle.pt.to_list() == [[], []]
    assert events.weight.to_list() == [1.0, 1.0]
    assert nano("weight=Jet_x").weight == "Jet_x"
    option = "names=jets=JetPUPPI,weight=none"
    assert hepmtp("convert", path, tmp_path / "new.root", "--option", option) == 0
    assert pts(RootReader(), str(tmp_path / "new.root")) == [[70.0, 50.0], []]


def test_a_skim_of_what_is_left(tmp_path: Path) -> None:
    left = ("Jet_", "PuppiMET_", "Muon_")
    some = {name: values for name, values in NANO.items() if name.startswith(left)}
    path = write(tmp_path / "sim.root", mini={**some, "Jet_genJetIdx": [[0, 0], []]})
    names = "electrons=none,photons=none,weight=none"
    assert pts(nano(names), path) == [[80.0, 60.0], []]
    with pytest.raises(ReadError, match=r"no tree 'Events' \(found: mini\)"):
        NanoAOD().read(path)


def test_names_that_the_file_lacks(tmp_path: Path) -> None:
    path = write(tmp_path / "sim.root", Events={**NANO, **PUPPI})
    for names, message in (
        ("jets=JetPUPI", r"no collection 'JetPUPI' \(near it are JetPUPPI.*names for jets"),
        (
            "jet_pt=Jet_ptt",
            r"tree Events, has no branch 'Jet_ptt' \(near it are Jet_pt.* for jet_pt",
        ),
        ("weight=genWeigt", r"has no branch 'genWeigt' \(near it are genWeight\); correct the opt"),
        ("met=PupiMET", r"has no branch 'PupiMET_pt' \(near it are PuppiMET_pt"),
        ("jet_pt=friend/pt", r"has no tree 'friend' \(found: Events\)"),
    ):
        with pytest.raises(ReadError, match=message):
            nano(names).read(path)
    # what a collection that is replaced has, is not taken for what the new one lacks
    del PUPPI["JetPUPPI_mass"]
    path = write(tmp_path / "sim.root", Events={**NANO, **PUPPI})
    with pytest.raises(ReadError, match=r"has no branch 'Jet_mass'"):
        nano("jets=JetPUPPI").read(path)


def test_friends(tmp_path: Path) -> None:
    friend = {
        "pt_up": [[88.0, 66.0], []],
        "w": [0.5, 0.25],
        "met_pt": [5.0, 6.0],
        "met_phi": [0.0, 1.0],
    }
    path = write(tmp_path / "sim.root", Events=NANO, friends__up=friend, short={"w": [1.0]})
    write(tmp_path / "friend.root", tree={"pt_down": [[70.0, 50.0], []]})
    assert pts(nano("jet_pt=friends/up/pt_up"), path) == [[88.0, 66.0], []]
    assert pts(nano("jet_pt=up/pt_up"), path) == [[88.0, 66.0], []]
    other = "jet_pt=friend.root:tree/pt_down"
    assert pts(nano(other), path) == [[70.0, 50.0], []]
    assert pts(nano(other), path)[1:] == nano(other).read(path, 1).Particle.pt.to_list()
    events = nano("weight=up/w,met=up/met").read(path)
    assert (events.weight.to_list(), events.MET.pt.to_list()) == ([0.5, 0.25], [5.0, 6.0])
    with pytest.raises(
        ReadError, match=r"tree short, has 1 entries, but .* tree Events, has 2: the"
    ):
        nano("weight=short/w").read(path)
    with pytest.raises(ReadError, match=r"tree up, has no branch 'pt_upp' \(near it are pt_up"):
        nano("jet_pt=up/pt_upp").read(path)
    with pytest.raises(ReadError, match=r"gone\.root does not exist"):
        nano("jet_pt=gone.root:tree/pt").read(path)


def records() -> ak.Array:
    """The events of NANO as a skim that was written by ak.to_parquet."""
    groups: dict[str, dict[str, Any]] = {}
    for name, values in NANO.items():
        group, _, part = name.partition("_")
        groups.setdefault(group, {})[part] = typed(values)
    weight = groups.pop("genWeight")[""]
    return ak.zip(
        {name: ak.zip(parts) for name, parts in groups.items()} | {"genWeight": weight},
        depth_limit=1,
    )


@pytest.mark.parametrize("form", ["flat", "records"])
def test_columns_of_parquet(tmp_path: Path, form: str) -> None:
    path = str(tmp_path / "a.parquet")
    flat = ak.zip({name: typed(values) for name, values in NANO.items()}, depth_limit=1)
    events = records() if form == "records" else flat
    ak.to_parquet(ak.concatenate([events] * 5), path, row_group_size=3)
    assert reader_name(path) == "hepmtp:NanoAOD"
    check_reader(NanoAOD(), path, tmp_path)
    root = write(tmp_path / "a.root", Events={name: values * 5 for name, values in NANO.items()})
    for start, stop in ((0, None), (2, 7), (3, 3), (9, 20)):
        one, two = (NanoAOD().read(p, start, stop) for p in (path, root))
        assert {**columns(one), "source": None} == {**columns(two), "source": None}
    assert [len(events) for events in NanoAOD().iterate(path, 4)] == [4, 4, 2]
    assert inspect(path).format == "parquet, layout NanoAOD"
    with pytest.raises(
        ReadError, match=r"is a parquet file and has no trees; leave out the option"
    ):
        NanoAOD(tree="Events").read(path)
    assert nano("jets=none").read(path).Particle.pt.to_list() == [[]] * 10


def test_records_of_an_rntuple(tmp_path: Path) -> None:
    path = str(tmp_path / "a.root")
    with uproot.recreate(path) as file:  # what uproot makes of a record is an RNTuple
        file["skim"] = {name: records()[name] for name in records().fields}
    root = write(tmp_path / "b.root", Events=NANO)
    assert reader_name(path) == "hepmtp:NanoAOD"
    expected = columns(NanoAOD().read(root))
    for name, values in columns(NanoAOD().read(path)).items():
        assert name == "source" or values == expected[name]


def test_other_layouts_as_parquet(tmp_path: Path, shared: Path) -> None:
    real = str(shared / "data" / "real" / "coffea" / "delphes.root")
    wanted = ("Jet", "Electron", "Muon", "Photon", "MissingET", "Event")
    with uproot.open(real) as file:
        keys = [
            key
            for key in file["Delphes"].keys()  # noqa: SIM118 (a tree is no dict)
            if "/" in key
            and "fBits" not in key
            and key.startswith(wanted)
            and key.rpartition(".")[2]
            in ("PT", "Eta", "Phi", "Mass", "BTag", "Charge", "E", "MET", "Weight")
        ]
        arrays = {key.rpartition("/")[2]: file["Delphes"][key].array() for key in keys}
    path = str(tmp_path / "delphes.parquet")
    ak.to_parquet(ak.zip(arrays, depth_limit=1), path)
    assert reader_name(path) == "hepmtp:Delphes"
    expected = columns(Delphes().read(real))
    for name, values in columns(Delphes().read(path)).items():
        assert name == "source" or values == expected[name]


class Count(ProcessorABC):  # type: ignore[misc]
    def process(self, events: Any) -> Any:
        return {"events": len(events), "pt": float(ak.sum(events.Particle.pt))}

    def postprocess(self, accumulator: Any) -> Any:
        return accumulator


def test_a_run_over_parquet_with_names(tmp_path: Path) -> None:
    path = str(tmp_path / "a.parquet")
    ak.to_parquet(ak.concatenate([records()] * 5), path)
    runner = HepRunner(IterativeExecutor(status=False), chunksize=4)
    assert runner({"mine": [path]}, Count()) == {"events": 10, "pt": 5 * 140.0}
    metadata = {"reader": "hepmtp:NanoAOD", "reader_options": {"names": {"jets": None}}}
    fileset = {"mine": {"files": [path], "metadata": metadata}}
    assert runner(fileset, Count()) == {"events": 10, "pt": 0.0}


def test_foreign_parquet_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "a.parquet")
    ak.to_parquet(ak.Array([{"Jet_pt": [1.0], "x": 1}]), path)
    message = (
        r"a\.parquet has no events of a known layout; found: 2 columns \(Jet_pt, x; NanoAOD needs "
        r"Electron_pt, Muon_pt too: "
    )
    with pytest.raises(ReadError, match=message):
        reader_name(path)
    with pytest.raises(ReadError, match=r"a\.parquet has no branch 'Electron_pt'"):
        NanoAOD().read(path)


@pytest.mark.parametrize("name", ["nano_dimuon", "nano_dy"])
def test_real_nanoaod_as_parquet(shared: Path, name: str) -> None:
    folder = shared / "data" / "real" / "coffea"
    assert reader_name(str(folder / f"{name}.parquet")) == "hepmtp:NanoAOD"
    one, two = (NanoAOD().read(str(folder / f"{name}.{end}")) for end in ("parquet", "root"))
    assert len(one) == len(two) > 0
    expected = columns(two)
    for field, values in columns(one).items():
        assert field == "source" or values == expected[field]
