"""Scores as columns: parquet and friend trees, written by workers, aligned to the input."""

from __future__ import annotations

import gzip
import itertools
import json
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot
from contracts import hepmtp

import hepmtp as hm
from hepmtp.cli.own import write_columns
from hepmtp.detectors.observables import Observable
from hepmtp.errors import OptionError, StorageError
from hepmtp.readers.event_numbers import event_numbers
from hepmtp.run.score_files import ScorePart, check_target, parts_folder, write_scores
from processors.anomaly import AnomalyProcessor


@pytest.fixture(scope="module")
def folder(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files of one background, a data file, and a detector that knows what trained it."""
    folder = tmp_path_factory.mktemp("scores")
    for name, of, start in (("one", "ttbarZ", 0), ("two", "ttbarZ", 300), ("obs", "ttbarW", 0)):
        with gzip.open(sample / f"{of}.csv.gz", "rt") as file:
            text = "".join(itertools.islice(file, start, start + 300))
        (folder / f"{name}.csv").write_text(text)
        assert hepmtp("convert", folder / f"{name}.csv", folder / f"{name}.root") == 0
    background = hm.DarkMachinesCSV().read(str(folder / "one.csv"), 0, 300)
    background = hm.events.with_metadata(background, dataset="z", role="background")
    Observable("ht").fit(background).save(folder / "ht")
    return folder


def test_parquet_has_the_columns_of_a_run(
    folder: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    z = {"files": [str(folder / name) for name in ("one.root", "two.root")]}
    fileset: dict[str, dict[str, Any]] = {
        "z": {**z, "metadata": {"role": "background"}},
        "obs": {"files": [str(folder / "obs.csv")], "metadata": {"role": "data"}},
    }
    client, target = request.getfixturevalue("dask_client"), tmp_path / "scores.parquet"
    with (
        parts_folder(target) as parts,
        hm.make_executor("dask", client=client, status=False) as executor,
    ):
        processor = AnomalyProcessor([folder / "ht"], columns=parts or "")
        output = hm.HepRunner(executor, chunksize=130)(fileset, processor)
        chosen = [
            hm.Dataset(name=name, process=name, role=one["metadata"]["role"], files=())
            for name, one in fileset.items()
        ]
        assert parts is not None
        assert write_columns(target, parts, output, chosen, unblind=False) == target
    assert "columns" not in output
    assert not list(tmp_path.glob(".hepmtp-parts-*"))
    assert len(list(target.iterdir())) == 7
    found = ak.from_parquet(target)
    names = {"dataset", "entry", "source", "event", "weight", "region:SR", "score:ht"}
    assert names | {"variable:n_jets", "variable:n_b"} <= set(found.fields)
    of_z = found[found.dataset == "z"]
    with hm.make_executor("iterative", status=False) as executor:
        processor = AnomalyProcessor([folder / "ht"], columns=True)
        held = hm.HepRunner(executor)({"z": fileset["z"]}, processor)["columns"]["z"]
    order, other = (
        np.lexsort([np.asarray(ak.to_numpy(one)) for one in keys])
        for keys in ((of_z.event, of_z.source), (held["event"].value, held["source"].value))
    )
    for name in ("source", "event", "weight", "region:CR", "score:ht"):
        np.testing.assert_array_equal(ak.to_numpy(of_z[name])[order], held[name].value[other])
    # what is blind is in no file
    obs = found[found.dataset == "obs"]
    assert set(obs.fields) == set(of_z.fields)
    assert len(obs) > 0
    assert ak.all(obs["region:CR"] | obs["region:VR"] | obs["region:CR1b"] | ttw(obs))
    assert not ak.any(obs["region:SR"] | obs["region:preselection"])


def ttw(found: ak.Array) -> ak.Array:
    """Events of the control regions of ttW and ttZ."""
    return found["region:ttW+"] | found["region:ttW-"] | found["region:ttZ"]


def test_trees_are_friends_of_the_input(folder: Path) -> None:
    target, z = folder / "scores.root", f"z={folder / 'one.root'},{folder / 'two.root'}"
    words = ("-o", folder / "out", "--columns", target, "--chunksize", "130")
    more = ("--variations", "none", "--regions", "preselection,ttW+,ttW-")
    assert hepmtp("run", z, "-d", folder / "ht", *words, *more) == 0
    with uproot.open(target) as file:
        trees = {name: file[f"z/{name}"].arrays(library="np") for name in ("one", "two")}
    n_jets = {}
    for name, tree in trees.items():
        events = hm.RootReader().read(str(folder / f"{name}.root"), 0, 300)
        assert tree["entry"].tolist() == list(range(300))
        scored = tree["scored"]
        np.testing.assert_array_equal(np.isnan(tree["score_ht"]), ~scored)
        np.testing.assert_allclose(tree["score_ht"][scored], hm.events.ht(events)[scored])
        np.testing.assert_array_equal(
            tree["variable_n_jets"][scored], hm.events.n_jets(events)[scored]
        )
        assert tree["event"][scored].tolist() == ak.to_numpy(events.event)[scored].tolist()
        n_jets[name] = scored.sum()
        assert {"region_ttWplus", "region_ttWminus"} <= set(tree)
    assert n_jets["one"] < 0.45 * n_jets["two"]  # what has trained has no score


def test_weights_are_the_last_ones(folder: Path) -> None:
    given = {"role": "background", "xsec": 0.5, "lumi": 139, "sum_weights": 100.0}
    content = {"z": {"files": [str(folder / "two.root")], "metadata": given}}
    (folder / "fs.json").write_text(json.dumps(content))
    more = ("-d", folder / "ht", "-o", folder / "o", "--columns", folder / "w.parquet")
    assert hepmtp("run", folder / "fs.json", *more, "--variations", "none") == 0
    found = ak.from_parquet(folder / "w.parquet")
    cutflow = json.loads((folder / "o" / "cutflow.json").read_text())["z"]["SR"]
    assert ak.sum(found.weight[found["region:SR"]]) == pytest.approx(cutflow["sumw"])


def test_numbers_of_the_experiment(shared: Path, tmp_path: Path) -> None:
    files = shared / "data" / "real" / "coffea"
    path = files / "nano_tt_v12.root"
    ht = Observable("ht").fit(hm.read(hm.embedded()[:1], stop=100))
    every = hm.Region("all", "all", lambda events: np.ones(len(events), dtype=bool), "control")
    processor = AnomalyProcessor([ht], regions=[every], columns=tmp_path)
    fileset = {
        "tt": {
            "files": [str(path)],
            "metadata": {"role": "signal", "reader_options": {"photons": None}},
        }
    }
    with hm.make_executor("iterative", status=False) as executor:
        output = hm.HepRunner(executor, chunksize=120)(fileset, processor)
    target = write_scores(tmp_path / "s.root", tmp_path, output["parts"], factors={})
    with uproot.open(target) as file, uproot.open(path) as source:
        found = file["tt/nano_tt_v12"].arrays(library="np")
        for ours, theirs in (("run", "run"), ("event_number", "event")):
            there = source["Events"][theirs].array(library="np")
            np.testing.assert_array_equal(found[ours], there.astype(np.int64))
    assert found["scored"].all()
    physlite = event_numbers(str(files / "PHYSLITE_example.root"), 3, 5, None)
    assert [len(one) for one in physlite.values()] == [2, 2, 2]
    assert event_numbers(str(files / "delphes.root"), 0, 5, None) == {}
    assert event_numbers(str(files / "nano_dy.parquet"), 0, 5, None) == {}


def test_all_parts_have_equal_columns(tmp_path: Path) -> None:
    # no event of the first chunk is in a region, and only one of the files has such numbers
    number = {"run": [7]}
    tables: dict[str, Any] = {
        "a": {"entry": np.zeros(0, np.int64), "weight": np.zeros(0)},
        "b": {"entry": [5], **number, "weight": [1.0]},
        "c": {"entry": [1], "weight": [2.0]},
    }
    for name, table in tables.items():
        ak.to_parquet(ak.Array(table), tmp_path / name)
    parts = [
        ScorePart("x", "f.root", 0, 4, "a", ""),
        ScorePart("x", "f.root", 4, 6, "b", ""),
        ScorePart("y", "g.csv", 0, 2, "c", ""),
    ]
    found = ak.from_parquet(write_scores(tmp_path / "s.parquet", tmp_path, parts, factors={}))
    assert found.to_list() == [
        {"dataset": "x", "entry": 5, "run": 7, "weight": 1.0},
        {"dataset": "y", "entry": 1, "run": 0, "weight": 2.0},
    ]
    with uproot.open(write_scores(tmp_path / "s.root", tmp_path, parts, factors={})) as file:
        assert file["x/f"]["run"].array().to_list() == [0, 0, 0, 0, 0, 7]
        assert file["y/g"]["run"].array().to_list() == [0, 0]


def test_a_worker_that_sees_another_folder(tmp_path: Path) -> None:
    part = ScorePart("z", "a.root", 0, 10, "there.parquet", "")
    with pytest.raises(StorageError, match="choose a place for --columns that all workers see"):
        write_scores(tmp_path / "s.parquet", tmp_path, {part}, factors={})


def test_targets(tmp_path: Path) -> None:
    (tmp_path / "mine.parquet").mkdir()
    (tmp_path / "mine.parquet" / "other").touch()
    (tmp_path / "one.parquet").touch()
    for name, message in (
        ("scores.csv", r"expected a name that ends in \.parquet or \.root"),
        ("mine.parquet", "is there, and not what hepmtp wrote"),
        ("one.parquet", "is there, and not what hepmtp wrote"),
    ):
        with pytest.raises(OptionError, match=message):
            check_target(tmp_path / name)
    check_target(tmp_path / "new.root")


def test_data_are_blind_where_it_is_said(tmp_path: Path) -> None:
    table: dict[str, Any] = {
        "entry": [0, 1, 2], "weight": [1.0, 1.0, 1.0], "region:CR": [True, False, False],
        "region:SR": [False, True, False], "region:all": [True, True, True],
    }  # fmt: skip
    parts = {ScorePart(name, "f", 0, 3, f"{name}.parquet", "") for name in ("obs", "tt")}
    for part in parts:
        ak.to_parquet(ak.Array(table), tmp_path / part.name)
    target, entries = tmp_path / "s.parquet", {}
    for blind in ([], ["SR", "all"], ["CR", "SR", "all"]):
        write_scores(target, tmp_path, parts, factors={}, blind=blind, data=["obs"])
        found = ak.from_parquet(target)
        assert found.entry[found.dataset == "tt"].to_list() == [0, 1, 2]
        obs = found[found.dataset == "obs"]
        entries[len(blind)] = obs.entry.to_list()
        assert not (blind and ak.any(obs["region:SR"] | obs["region:all"]))
    assert entries == {0: [0, 1, 2], 2: [0], 3: []}


def test_names_of_files_that_are_alike(tmp_path: Path) -> None:
    table: dict[str, Any] = {"entry": [1], "weight": [2.0], "score:a b": [3.0], "score:a+b": [4.0]}
    parts = [ScorePart("x", f"{where}/f.root", 0, 2, f"{where}.parquet", "") for where in "ab"]
    for part in parts:
        ak.to_parquet(ak.Array(table), tmp_path / part.name)
    target = write_scores(tmp_path / "s.root", tmp_path, parts, factors={"x": 2.0})
    with uproot.open(target) as file:
        assert {"x/f;1", "x/f_2;1"} <= set(file.keys())
        np.testing.assert_array_equal(file["x/f_2"]["weight"].array(), [np.nan, 4.0])
        np.testing.assert_array_equal(file["x/f"]["score_a_b"].array(), [np.nan, 3.0])
        np.testing.assert_array_equal(file["x/f"]["score_aplusb"].array(), [np.nan, 4.0])
