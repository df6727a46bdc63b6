"""ROOT files: what is read is what was written, through our reader and coffea's own Runner."""

from __future__ import annotations

from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot
from coffea.nanoevents import NanoEventsFactory
from contracts import check_reader, columns, damaged

from hepmtp.errors import ReadError
from hepmtp.events.observables import n_b
from hepmtp.events.record import make_events, metadata
from hepmtp.readers.columns import flat
from hepmtp.readers.root import TREE, HepmtpSchema, RootReader, write_root, write_tree
from hepmtp.run.chunks import ChunkSource, tree_bytes


def three_events(source: int = 5) -> ak.Array:
    return make_events(
        counts=[2, 0, 3],
        pt=[289.774, 72.757, 50.0, 25.0, 1 / 3],
        eta=[0.671164, -0.1, 0.0, 1e-300, 4.87],
        phi=[0.361727, 3.14159, -3.14159, 1.0, 2.0],
        energy=[360.074, 101.654, 51.0, 26.0, 100.0],
        type=[1, 2, 0, 5, 6],
        met=[317.922, 0.0, 1056.28],
        met_phi=[-2.82482, 0.0, 3.1416],
        weight=[0.127349, -2.97e-8, 1.0],
        source=source,
    )


def nano(file: object, start: int | None = None, stop: int | None = None) -> ak.Array:
    return NanoEventsFactory.from_root(
        {file: TREE},
        schemaclass=HepmtpSchema,
        mode="virtual",
        metadata={"dataset": "x", "role": "signal"},
        entry_start=start,
        entry_stop=stop,
    ).events()


@pytest.mark.parametrize("rntuple", [False, True])
def test_contract(tmp_path: Path, rntuple: bool) -> None:
    path = tmp_path / "sim.root"
    write_root(path, [three_events()], rntuple=rntuple)
    check_reader(RootReader(), str(path), tmp_path)
    assert columns(RootReader().read(str(path))) == columns(three_events())


@pytest.mark.parametrize("rntuple", [False, True])
def test_several_chunks_and_empty_ones(tmp_path: Path, rntuple: bool) -> None:
    path = tmp_path / "sim.root"
    events = three_events()
    write_root(path, [events[:1], events[:0], events[1:]], rntuple=rntuple)
    assert columns(RootReader().read(str(path))) == columns(events)
    empty = tmp_path / "empty.root"
    write_root(empty, [events[:0]], rntuple=rntuple)
    assert RootReader().num_events(str(empty)) == len(RootReader().read(str(empty))) == 0


def test_the_branches_are_those_that_are_documented(tmp_path: Path) -> None:
    write_root(tmp_path / "sim.root", [three_events()])
    with uproot.open(tmp_path / "sim.root") as file:
        assert sorted(file[TREE].keys()) == sorted(
            ["event", "source", "weight", "MET_pt", "MET_phi", "nParticle", "digest"]
            + [f"Particle_{name}" for name in ("pt", "eta", "phi", "energy", "type")]
        )
        assert file[TREE]["Particle_pt"].typename == "double[]"


@pytest.mark.parametrize("rntuple", [False, True])
def test_schema_gives_the_same_events_as_the_reader(tmp_path: Path, rntuple: bool) -> None:
    path = tmp_path / "sim.root"
    write_root(path, [three_events()], rntuple=rntuple)
    events = nano(str(path))
    assert columns(events) == columns(three_events())
    assert metadata(events)["role"] == "signal"
    assert metadata(events[1:])["dataset"] == "x"
    assert n_b(events).tolist() == [1, 0, 0]
    np.testing.assert_array_equal(
        ak.flatten(events.Particle.mass), ak.flatten(three_events().Particle.mass)
    )
    assert events.Particle[0, 0].deltaR(events.Particle[0, 1]) > 0
    assert events.MET.px.to_list() == three_events().MET.px.to_list()
    assert ak.sum(events.Particle, axis=1).mass.to_list()[1] == 0
    assert len(nano(str(path), 1, 3)) == 2


def test_schema_refuses_other_trees(shared: Path) -> None:
    path = shared / "data" / "real" / "coffea" / "nano_dy.root"
    with pytest.raises(
        ReadError,
        match=r"the tree has no column 'source' \(found: .*expected what hepmtp convert writes",
    ):
        nano(str(path))
    with pytest.raises(
        ReadError,
        match=r"nano_dy\.root, tree Events, has no column 'source' \(found: run, .*, \.\.\. \d+ in",
    ):
        RootReader().read(str(path))


def test_a_tree_in_memory(tmp_path: Path) -> None:
    for events in (three_events(), three_events()[:0]):
        (tmp_path / "sim.root").write_bytes(tree_bytes(events))
        assert columns(RootReader().read(str(tmp_path / "sim.root"))) == columns(events)


def test_chunk_source_leaves_other_files_alone(tmp_path: Path) -> None:
    write_root(tmp_path / "sim.root", [three_events()])
    with uproot.open({str(tmp_path / "sim.root"): TREE}, handler=ChunkSource) as tree:
        assert tree.num_entries == 3


def test_a_file_that_was_cut_off_says_so(tmp_path: Path) -> None:
    path = str(tmp_path / "cut.root")
    with uproot.recreate(path) as file:
        write_tree(file, [three_events()], rntuple=False, checked=True)
    with pytest.raises(
        ReadError, match=r"cut\.root has lost its tree Written, which is written last"
    ):
        RootReader().num_events(path)


def test_wrong_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "sim.root"
    write_root(path, [three_events()])
    with pytest.raises(
        ReadError, match=r"sim\.root has no tree 'mytree' \(found: Events\); name another"
    ):
        RootReader(tree="mytree").read(str(path))
    columns_ = flat(three_events())
    with uproot.recreate(path) as file:
        file.mktree(TREE, {"event": "int64"}).extend({"event": columns_["event"]})
    with pytest.raises(
        ReadError, match=r"sim\.root, tree Events, has no column 'source' \(found: event\)"
    ):
        RootReader().num_events(str(path))
    with uproot.recreate(path) as file:
        file.mktree("Other", {"event": "int64"})
    with pytest.raises(ReadError, match=r"has no tree 'Events' \(found: Other\)"):
        RootReader().num_events(str(path))


def test_bad_values_are_named(tmp_path: Path) -> None:
    path = tmp_path / "sim.root"
    names = ("pt", "eta", "phi", "energy", "type")
    good = flat(three_events())
    for name, bad, message in (
        (
            "Particle_pt",
            ak.Array([[1.0, -2.0], [], [1.0, 1.0, 1.0]]),
            r"event 0: Particle\.pt is -2\.0",
        ),
        ("weight", ak.Array([1.0, 1.0, np.nan]), r"event 2: weight is nan"),
        (
            "Particle_type",
            ak.Array(np.array([[7], [], []], dtype=object).tolist()),
            r"entry 0: 1 values of Particle_type but 2",
        ),
    ):
        columns_ = {
            **good,
            name: ak.values_astype(bad, ak.to_numpy(ak.flatten(good[name], axis=None)).dtype),
        }
        with uproot.recreate(path) as file:
            types = {
                one: f"var * {'int8' if one == 'Particle_type' else 'float64'}"
                for one in (f"Particle_{n}" for n in names)
            }
            plain = {
                one: str(ak.to_numpy(columns_[one]).dtype)
                for one in ("event", "source", "weight", "MET_pt", "MET_phi")
            }
            file.mkrntuple(TREE, plain | types).extend(
                {one: columns_[one] for one in plain | types}
            )
        with pytest.raises(ReadError, match=rf"sim\.root.*{message}"):
            RootReader().read(str(path))


def test_cut_and_damaged_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    path = tmp_path / "sim.root"
    chunk = ak.concatenate([three_events()] * 60)
    expected = columns(ak.concatenate([chunk] * 5))
    for rntuple in (False, True):
        write_root(path, [chunk] * 5, rntuple=rntuple)
        whole = path.read_bytes()
        refused = 0
        for data in damaged(whole, rng, 60):
            path.write_bytes(data)
            try:
                assert columns(RootReader().read(str(path))).keys() == expected.keys()
            except ReadError as error:
                refused += 1
                assert str(path) in str(error)  # noqa: PT017
        assert refused > 25
