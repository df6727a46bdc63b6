"""The four-top HDF5: read under every scale, spelling and order of leptons, or refused."""

from __future__ import annotations

import re
import tracemalloc
from pathlib import Path
from typing import Any

import awkward as ak
import h5py
import numpy as np
import pytest
from contracts import check_reader, columns
from numpy.typing import NDArray

from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import embedded
from hepmtp.errors import OptionError, ReadError
from hepmtp.events import make_events, metadata, source_id
from hepmtp.events.particles import PARTICLE_TYPES
from hepmtp.readers.formats import load_reader
from hepmtp.readers.fourtops import PROCESSES, FourTopsHDF5

LEPTONS = ("e+", "e-", "m+", "m-")
READER = FourTopsHDF5(scale="log_mev", lepton_order=LEPTONS)
WRITE = {
    "log_mev": lambda gev: np.log(gev * 1e3),
    "log_gev": np.log,
    "raw_mev": lambda gev: gev * 1e3,
    "raw_gev": float,
}


@pytest.fixture(scope="module")
def five() -> ak.Array:
    """The first 60 events of each process, at most 18 particles each, weight 1."""
    sets = {dataset.name: dataset for dataset in embedded()}
    events = ak.concatenate([read([sets[name]], stop=60) for name in PROCESSES])
    assert ak.max(ak.num(events.Particle)) <= 18
    return events


def rows(
    events: ak.Array, scale: str = "log_mev", leptons: tuple[str, ...] = LEPTONS
) -> NDArray[np.float64]:
    """Events as rows of 92 numbers: a loop over particles."""
    order, to = ["j", "b", *leptons, "g"], WRITE[scale]
    table = np.zeros((len(events), 92))
    for row, event in zip(table, events.to_list(), strict=True):
        row[18], row[19] = to(event["MET"]["pt"]), event["MET"]["phi"]
        for i, one in enumerate(event["Particle"]):
            row[i] = 1 + order.index(PARTICLE_TYPES[one["type"]])
            row[20 + 4 * i : 24 + 4 * i] = to(one["energy"]), to(one["pt"]), one["eta"], one["phi"]
    return table


def write(folder: Path, content: dict[str, Any], name: str = "4tops.h5") -> str:
    path = folder / name
    with h5py.File(path, "w") as file:
        for key, values in content.items():
            file[key] = values
    return str(path)


@pytest.fixture(scope="module")
def content(five: ak.Array) -> dict[str, Any]:
    """A file of 200 + 40 + 60 events, processes mixed, with the keys of the real one."""
    order = np.random.default_rng(1).permutation(len(five))
    table, labels = rows(five)[order], (1 + order // 60).astype(np.int64)
    cut = {"train": slice(0, 200), "val": slice(200, 240), "test": slice(240, 300)}
    spelled = {"X_train": "Y_train", "X_val": "y_val", "X_test": "y_test"}
    found = {x: table[cut[x[2:]]] for x in spelled} | {
        y: labels[cut[x[2:]]] for x, y in spelled.items()
    }
    return found | {"order": order}


def expected(five: ak.Array, order: NDArray[np.int64], path: str) -> dict[str, list[object]]:
    """What was written, in this order."""
    found = columns(five[order])
    return found | {
        "event": list(range(len(order))),
        "source": [source_id(path)] * len(order),
        "weight": [1.0] * len(order),
    }


def same(found: dict[str, list[Any]], wanted: dict[str, list[Any]], rel: float) -> None:
    """Equal, up to what logarithms or float32 lose."""
    for name in ("event", "source", "weight", "type"):
        assert found[name] == wanted[name]
    for name in ("pt", "eta", "phi", "energy", "MET_pt", "MET_phi"):
        left, right = (np.hstack([np.ravel(one) for one in side[name]]) for side in (found, wanted))
        np.testing.assert_allclose(
            left, right, rtol=rel, atol=1e-7 if rel > 1e-8 else 0, err_msg=name
        )
    assert [len(one) for one in found["pt"]] == [len(one) for one in wanted["pt"]]


def test_contract(content: dict[str, Any], tmp_path: Path) -> None:
    check_reader(READER, write(tmp_path, content), tmp_path)


@pytest.mark.parametrize("scale", list(WRITE))
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_every_scale(five: ak.Array, tmp_path: Path, scale: str, dtype: Any) -> None:
    table = rows(five, scale).astype(dtype)
    path = write(tmp_path, {"X_train": table, "Y_train": np.repeat(np.arange(1, 6), 60)})
    reader = FourTopsHDF5(scale=scale, lepton_order="e+,e-,m+,m-")
    rel = 1e-12 if dtype == np.float64 else 2e-6
    same(columns(reader.read(path)), expected(five, np.arange(300), path), rel)
    assert [PROCESSES[i] for i in reader.read(path).label] == list(np.repeat(PROCESSES, 60))
    for other in WRITE:
        if other != scale:
            message = rf"/X_train: pt from .* to .* do not fit scale='{other}'; they fit '{scale}'"
            with pytest.raises(ReadError, match=message):
                FourTopsHDF5(scale=other, lepton_order=LEPTONS).read(path)
    with pytest.raises(
        ReadError, match=rf"scale must be given, one of log_mev, .*; the values fit scale='{scale}'"
    ):
        FourTopsHDF5(lepton_order=LEPTONS).read(path)
    with pytest.raises(ReadError, match=r"lepton_order must be given: what the ids 3, 4, 5, 6 are"):
        FourTopsHDF5(scale=scale).read(path)


def test_met_may_have_another_scale(five: ak.Array, tmp_path: Path) -> None:
    table = rows(five)
    table[:, 18] = five.MET.pt
    path = write(tmp_path, {"X_train": table, "Y_train": np.ones(300)})
    with pytest.raises(
        ReadError, match=r"MET from .* do not fit met_scale='log_mev'; they fit 'raw_gev'"
    ):
        READER.read(path)
    reader = FourTopsHDF5(scale="log_mev", met_scale="raw_gev", lepton_order=LEPTONS)
    same(columns(reader.read(path)), expected(five, np.arange(300), path), 1e-12)


@pytest.mark.parametrize("leptons", [("m-", "m+", "e-", "e+"), ("e-", "e+", "m-", "m+")])
def test_leptons_are_what_the_reader_is_told(
    five: ak.Array, tmp_path: Path, leptons: tuple[str, ...]
) -> None:
    path = write(
        tmp_path, {"x_train": rows(five, leptons=leptons), "y_train": np.ones(300, np.int8)}
    )
    reader = FourTopsHDF5(scale="log_mev", lepton_order=leptons)
    assert reader.read(path).Particle["type"].to_list() == five.Particle["type"].to_list()
    assert READER.read(path).Particle["type"].to_list() != five.Particle["type"].to_list()


def test_splits_and_processes(five: ak.Array, content: dict[str, Any], tmp_path: Path) -> None:
    path = write(tmp_path, content)
    order = content["order"]
    same(columns(READER.read(path)), expected(five, order, path), 1e-12)
    for split, first, last in (("train", 0, 200), ("val", 200, 240), ("test", 240, 300)):
        one = FourTopsHDF5(scale="log_mev", lepton_order=LEPTONS, split=split)
        assert one.num_events(path) == last - first
        assert one.read(path).event.to_list() == list(range(first, last))
        assert one.read(path, 3, 7).event.to_list() == list(range(first + 3, first + 7))
    for i, process in enumerate(PROCESSES):
        named = {"scale": "log_mev", "lepton_order": "e+,e-,m+,m-", "process": process}
        one = load_reader("hepmtp:FourTopsHDF5", **named)
        entries = np.flatnonzero(order // 60 == i)
        assert one.num_events(path) == 60
        events = one.read(path)
        assert events.event.to_list() == entries.tolist()
        assert metadata(events) == {
            "dataset": process,
            "role": "signal" if process == "4top" else "background",
        }
        assert columns(one.read(path, 10, 50)) == columns(events[10:50])
        assert columns(events) == columns(READER.read(path)[entries])
    assert metadata(READER.read(path)) == {"dataset": ""}


def test_shuffled_particles_keep_their_order(five: ak.Array, tmp_path: Path) -> None:
    table, wanted = rows(five[:20]), []
    rng = np.random.default_rng(3)
    for row, event in zip(table, five[:20].Particle["type"].to_list(), strict=True):
        slots = rng.permutation(18)  # padding may be anywhere
        row[:18], row[20:] = row[:18][slots], row[20:].reshape(18, 4)[slots].ravel()
        wanted.append([event[i] for i in slots if i < len(event)])
    path = write(tmp_path, {"X_test": table, "Y_test": np.full((20, 1), 2)})
    assert READER.read(path).Particle["type"].to_list() == wanted


@pytest.mark.parametrize(
    "keys",
    [
        ("X_train", "Y_train"),
        ("x_test", "y_test"),
        ("Xval", "Yval"),
        ("X-valid", "y_validation"),
        ("X_TRAIN", "y_Train"),
    ],
)
def test_any_spelling(content: dict[str, Any], tmp_path: Path, keys: tuple[str, str]) -> None:
    path = write(tmp_path, {keys[0]: content["X_val"], keys[1]: content["y_val"], "names": [1, 2]})
    assert READER.num_events(path) == len(READER.read(path)) == 40


BROKEN: dict[str, tuple[Any, str]] = {
    "no labels": ({"X_train": 0}, r"has no data set Y_train \(found: X_train\)"),
    "no rows": ({"Y_train": 0}, r"has no data set X_train \(found: Y_train\)"),
    "nothing": (
        {"events": 0},
        r"has none of the data sets X_train, X_val, X_test \(found: events\)",
    ),
    "twice": (
        {"X_train": 0, "x_train": 0, "Y_train": 0},
        r"has both 'X_train' and 'x_train'; remove one",
    ),
    "columns": (
        {"X_train": np.ones((5, 91)), "Y_train": np.ones(5)},
        r"/X_train: \(5, 91\) of float64, expected \(n, 92\)",
    ),
    "text": (
        {"X_train": np.full((5, 92), b"x"), "Y_train": np.ones(5)},
        r"/X_train: \(5, 92\) of .*S1, expected \(n, 92\) numbers",
    ),
    "fewer labels": (
        {"X_train": np.ones((5, 92)), "Y_train": np.ones(4)},
        r"/Y_train: \(4,\) of float64, expected one label for each of 5 rows",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_layout_is_named(tmp_path: Path, name: str) -> None:
    content, message = BROKEN[name]
    with pytest.raises(ReadError, match=rf"4tops\.h5.*{message}"):
        READER.num_events(write(tmp_path, content))


CHANGES: dict[str, tuple[tuple[int, int], float, str]] = {
    "unknown id": (
        (7, 2),
        8,
        r"/X_train row 7: id of particle 3 is 8, expected a whole number from 0 \(padding\) to 7",
    ),
    "half an id": ((7, 0), 1.5, r"/X_train row 7: id of particle 1 is 1\.5"),
    "lost id": (
        (7, 0),
        0,
        r"/X_train row 7: id of particle 1 is 0, expected a particle, for its four numbers",
    ),
    "id of padding": (
        (7, 17),
        1,
        r"/X_train row 7: id of particle 18 is 1, expected 0, for its four numbers are 0",
    ),
    "NaN": (
        (7, 22),
        np.nan,
        r"/X_train row 7: eta of particle 1 is nan, expected a pseudorapidity",
    ),
    "no pt": (
        (7, 21),
        np.nan,
        r"/X_train row 7: pt of particle 1 is nan, expected something in \(0, 14000\] GeV",
    ),
    "large pt": (
        (7, 21),
        17,
        r"/X_train row 7: pt of particle 1 is 17, expected .* \(0, 14000\] GeV, scale is 'log_mev'",
    ),
    "infinite E": ((7, 20), np.inf, r"/X_train row 7: E of particle 1 is inf"),
    "small E": (
        (7, 20),
        9,
        r"/X_train row 7: E of particle 1 is 9, expected at least pt cosh\(eta\): are E and",
    ),
    "phi": ((7, 23), 4, r"/X_train rows from 0 on: event 7: Particle\.phi is 4\.0"),
    "MET": ((7, 18), 20, r"/X_train row 7: MET is 20, expected \[0, 14000\] GeV as 'log_mev'"),
    "METphi": ((7, 19), 4, r"/X_train rows from 0 on: event 7: MET\.phi is 4\.0"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_bad_value_is_named(content: dict[str, Any], tmp_path: Path, name: str) -> None:
    where, value, message = CHANGES[name]
    table = content["X_train"].copy()
    table[where] = value
    path = write(tmp_path, {"X_train": table, "Y_train": content["Y_train"]})
    with pytest.raises(ReadError, match=rf"^{re.escape(path)}, {message}"):
        READER.read(path)
    assert len(READER.read(path, 8, 20)) == 12


def test_a_bad_label_is_named(content: dict[str, Any], tmp_path: Path) -> None:
    for value, text in ((0, "0"), (6, "6"), (1.5, r"1\.5"), (np.nan, "nan")):
        labels = content["Y_train"].astype(np.float64)
        labels[11] = value
        path = write(tmp_path, {"X_train": content["X_train"], "Y_train": labels})
        with pytest.raises(ReadError, match=rf"/Y_train row 11: label is {text}, expected 1 to 5"):
            READER.read(path)


def test_questions_that_make_no_sense(content: dict[str, Any], tmp_path: Path) -> None:
    for options, message in (
        ({"scale": "log"}, r"scale is 'log', expected 'log_mev', 'log_gev', .* or None"),
        ({"met_scale": "tev"}, r"FourTopsHDF5: option met_scale is 'tev', expected 'log_mev'"),
        ({"split": "valid"}, r"split is 'valid', expected 'all', 'train', 'val' or 'test'"),
        ({"process": "ttH"}, r"process is 'ttH', expected '4top', 'ttbarHiggs', "),
        (
            {"lepton_order": "e+,e-,m+"},
            r"lepton_order is \('e\+', 'e-', 'm\+'\), expected an order of e\+,e-,m\+,m-",
        ),
        ({"lepton_order": ("e+", "e+", "m+", "m-")}, r"expected an order of"),
    ):
        with pytest.raises(OptionError, match=message):
            FourTopsHDF5(**options)  # type: ignore[arg-type]
    path = write(tmp_path, {"X_train": content["X_train"], "Y_train": content["Y_train"]})
    with pytest.raises(ReadError, match=r"has no split 'val' \(found: train\)"):
        FourTopsHDF5(scale="log_mev", lepton_order=LEPTONS, split="val").num_events(path)


def test_memory_does_not_grow_with_the_file(content: dict[str, Any], tmp_path: Path) -> None:
    peaks = []
    for times in (50, 500):
        path = write(
            tmp_path,
            {
                "X_train": np.tile(content["X_val"], (times, 1)),
                "Y_train": np.tile(content["y_val"], times),
            },
        )
        READER.read(path, 0, 10)
        tracemalloc.start()
        for first in range(0, 40 * times, 1000):
            READER.read(path, first, first + 1000)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_an_event_without_particles(tmp_path: Path) -> None:
    table = rows(
        make_events(
            counts=[0, 1],
            pt=[50.0],
            eta=[0.5],
            phi=[1.0],
            energy=[60.0],
            type=[1],
            met=[20.0, 30.0],
            met_phi=[0.0, 1.0],
        )
    )
    path = write(tmp_path, {"X_train": table, "Y_train": [1, 2]})
    assert ak.num(READER.read(path).Particle).to_list() == [0, 1]
    assert ak.num(READER.read(path, 0, 1).Particle).to_list() == [0]
