"""Delphes: every event of a real file, and what is said of files that are not right."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot
from contracts import check_reader, columns, damaged

from hepmtp.errors import OptionError, ReadError
from hepmtp.readers import Reader
from hepmtp.readers.convert import convert, iterate
from hepmtp.readers.delphes import Delphes
from hepmtp.readers.formats import load_reader, reader_for, reader_name

ELECTRON, MUON = 0.00051099895, 0.1056583755

Columns = dict[str, dict[str, list[list[float]]]]


def three_events() -> Columns:
    """Jets, an electron, a photon; nothing; an electron, muons (the softer first) and jets."""
    return {
        "Jet": {
            "PT": [[60.0, 40.0], [], [50.0, 30.0]],
            "Eta": [[0.5, -2.0], [], [1.0, 4.5]],
            "Phi": [[1.0, -3.0], [], [2.0, 0.0]],
            "Mass": [[10.0, 5.0], [], [8.0, 4.0]],
            "BTag": [[1, 0], [], [0, 2]],
        },
        "Electron": {
            "PT": [[20.0], [], [25.0]],
            "Eta": [[0.1], [], [1.1]],
            "Phi": [[0.0], [], [2.1]],
            "Charge": [[-1], [], [1]],
        },
        "Muon": {
            "PT": [[], [], [10.0, 15.0]],
            "Eta": [[], [], [0.0, 2.0]],
            "Phi": [[], [], [1.0, 1.5]],
            "Charge": [[], [], [1, -1]],
        },
        "Photon": {
            "PT": [[12.0], [], []],
            "Eta": [[-1.0], [], []],
            "Phi": [[3.0], [], []],
            "E": [[18.6], [], []],
        },
        "MissingET": {"MET": [[30.0], [0.0], [80.0]], "Phi": [[1.0], [0.0], [-2.0]]},
        "Event": {"Weight": [[0.5], [-1.0], [2.0]]},
    }


def write(path: Path, groups: Columns, *, tree: str = "Delphes") -> str:
    """Branches as Delphes names them, with one counter for each group."""
    kinds = {"BTag": "uint32", "Charge": "int32"}
    types = {
        name: "var * {"
        + ", ".join(f"{field}: {kinds.get(field, 'float64')}" for field in fields)
        + "}"
        for name, fields in groups.items()
    }
    with uproot.recreate(path) as file:
        options: dict[str, Any] = {
            "field_name": "{0}.{1}".format,
            "counter_name": "{0}_size".format,
        }
        if groups:
            written = {
                name: ak.zip({f: _typed(v, kinds.get(f, "float64")) for f, v in fields.items()})
                for name, fields in groups.items()
            }
            file.mktree(tree, types, **options).extend(written)
        else:
            file.mktree(tree, {"x": "int64"})
    return str(path)


def _typed(values: list[list[float]], kind: str) -> ak.Array:
    return ak.unflatten(
        np.array([v for one in values for v in one], dtype=kind), [len(one) for one in values]
    )


@pytest.fixture
def real(shared: Path) -> str:
    return str(shared / "data" / "real" / "coffea" / "delphes.root")


def test_contract(tmp_path: Path) -> None:
    check_reader(Delphes(), write(tmp_path / "sim.root", three_events()), tmp_path)


def energy(pt: float, eta: float, mass: float) -> float:
    return math.sqrt((pt * math.cosh(eta)) ** 2 + mass**2)


def test_every_event_of_a_real_file(real: str) -> None:
    events = Delphes().read(real)
    with uproot.open(real) as file:
        tree = file["Delphes"]
        found = {
            f"{kind}.{name}": tree[f"{kind}/{kind}.{name}"].array().to_list()
            for kind, names in {
                "Jet": ("PT", "Eta", "Phi", "Mass", "BTag"),
                "Electron": ("PT", "Eta", "Phi", "Charge"),
                "Muon": ("PT", "Eta", "Phi", "Charge"),
                "Photon": ("PT", "Eta", "Phi", "E"),
                "MissingET": ("MET", "Phi"),
                "Event": ("Weight",),
            }.items()
            for name in names
        }
    for i, event in enumerate(events):
        expected = []
        for kind, mass, positive in (
            ("Jet", None, 0),
            ("Electron", ELECTRON, 2),
            ("Muon", MUON, 4),
            ("Photon", 0.0, 6),
        ):
            for k in np.argsort([-pt for pt in found[f"{kind}.PT"][i]], kind="stable"):
                pt, eta, phi = (found[f"{kind}.{name}"][i][k] for name in ("PT", "Eta", "Phi"))
                if kind == "Jet":
                    e, what = (
                        energy(pt, eta, found["Jet.Mass"][i][k]),
                        int(found["Jet.BTag"][i][k] != 0),
                    )
                elif kind == "Photon":
                    e, what = found["Photon.E"][i][k], 6
                else:
                    e, what = energy(pt, eta, mass), positive + (found[f"{kind}.Charge"][i][k] < 0)
                expected.append((pt, eta, phi, e, what))
        got = [
            (p["pt"], p["eta"], p["phi"], p["energy"], p["type"]) for p in event.Particle.to_list()
        ]
        assert len(got) == len(expected)
        np.testing.assert_allclose(got, expected, rtol=1e-14)
        assert [event.MET.pt] == found["MissingET.MET"][i]
        assert [event.MET.phi] == found["MissingET.Phi"][i]
        assert [event.weight] == found["Event.Weight"][i]
    assert ak.sum(events.Particle["type"] == 1) == 12
    photons = events.Particle[events.Particle["type"] == 6]
    np.testing.assert_allclose(
        ak.flatten(photons.energy), ak.flatten(photons.p), rtol=1e-4
    )  # float32 in the file


def test_three_events(tmp_path: Path) -> None:
    events = Delphes().read(write(tmp_path / "sim.root", three_events()))
    assert events.Particle["type"].to_list() == [[1, 0, 3, 6], [], [0, 1, 2, 5, 4]]
    assert events.Particle.pt.to_list() == [
        [60.0, 40.0, 20.0, 12.0],
        [],
        [50.0, 30.0, 25.0, 15.0, 10.0],
    ]
    np.testing.assert_allclose(events.Particle.mass[2, :2], [8.0, 4.0], rtol=1e-9)
    np.testing.assert_allclose(events.Particle.mass[2, 3], MUON, rtol=1e-3)
    assert events.Particle.energy[0, 3] == 18.6
    assert events.MET.pt.to_list() == [30.0, 0.0, 80.0]
    assert events.weight.to_list() == [0.5, -1.0, 2.0]


@pytest.mark.parametrize(
    ("options", "types"),
    [
        ({"jets": (35.0, 2.5)}, [[1, 0, 3, 6], [], [0, 2, 5, 4]]),
        ({"electrons": (22.0, 2.5), "photons": (0.0, 0.5)}, [[1, 0], [], [0, 1, 2, 5, 4]]),
        ({"muons": (0.0, 1.0)}, [[1, 0, 3, 6], [], [0, 1, 2, 4]]),
        ({"b_tag_bits": 2}, [[0, 0, 3, 6], [], [0, 1, 2, 5, 4]]),
        (
            {"overlap": 0.4},
            [[1, 0, 3, 6], [], [1, 2, 5, 4]],
        ),  # the third event's first jet is 0.14 from its electron
        ({"overlap": 0.14}, [[1, 0, 3, 6], [], [0, 1, 2, 5, 4]]),
    ],
)
def test_options(tmp_path: Path, options: dict[str, Any], types: list[list[int]]) -> None:
    reader: Reader = Delphes(**options)
    assert (
        reader.read(write(tmp_path / "sim.root", three_events())).Particle["type"].to_list()
        == types
    )


def test_overlap_across_the_end_of_phi(tmp_path: Path) -> None:
    groups = three_events()
    groups["Jet"]["Phi"][0][1], groups["Photon"]["Phi"][0][0], groups["Photon"]["Eta"][0][0] = (
        -3.1,
        3.1,
        -2.0,
    )
    events = Delphes(overlap=0.1).read(write(tmp_path / "sim.root", groups))
    assert events.Particle["type"].to_list()[0] == [1, 3, 6]


def test_weights(tmp_path: Path) -> None:
    groups = three_events()
    del groups["Event"]
    path = write(tmp_path / "sim.root", groups)
    assert Delphes(weight=None).read(path).weight.to_list() == [1.0, 1.0, 1.0]
    with pytest.raises(ReadError, match=r"sim\.root, tree Delphes, has no branch 'Event\.Weight'"):
        Delphes().read(path)


@pytest.mark.parametrize(
    ("group", "field", "entry", "value", "message"),
    [
        (
            "Jet",
            "PT",
            2,
            np.nan,
            r"entry 2: Jet\.PT is nan, expected a pt from 0 to 100000 \(1 such values in ent",
        ),
        ("Jet", "PT", 0, -1.0, r"entry 0: Jet\.PT is -1\.0, expected a pt"),
        ("Jet", "PT", 0, 2e5, r"entry 0: Jet\.PT is 200000\.0, expected a pt from 0 to 100000"),
        (
            "Electron",
            "Eta",
            2,
            -999.0,
            r"entry 2: Electron\.Eta is -999\.0, expected a number from -30 to 30",
        ),
        (
            "Muon",
            "Phi",
            2,
            4.0,
            r"entry 2: Muon\.Phi is 4\.0, expected a number from -3\.14\d+ to 3\.14\d+",
        ),
        ("Photon", "E", 0, np.inf, r"entry 0: Photon\.E is inf, expected a finite number"),
        ("Jet", "Mass", 2, np.nan, r"entry 2: Jet\.Mass is nan, expected a finite number"),
        ("Electron", "Charge", 2, 0, r"entry 2: Electron\.Charge is 0, expected 1 or -1"),
        ("MissingET", "MET", 1, -5.0, r"entry 1: MissingET\.MET is -5\.0, expected a MET from 0"),
        (
            "MissingET",
            "Phi",
            1,
            np.nan,
            r"entry 1: MissingET\.Phi is nan, expected a finite number",
        ),
        ("Event", "Weight", 2, np.inf, r"entry 2: Event\.Weight is inf, expected a finite number"),
    ],
)
def test_impossible_values_are_named(
    tmp_path: Path, group: str, field: str, entry: int, value: float, message: str
) -> None:
    groups = three_events()
    groups[group][field][entry][0] = value
    path = write(tmp_path / "sim.root", groups)
    with pytest.raises(ReadError, match=rf"sim\.root {message}"):
        Delphes().read(path)
    with pytest.raises(
        ReadError, match=rf"sim\.root {message.partition(',')[0]}"
    ):  # cuts hide nothing, nor do chunks
        Delphes(
            jets=(1000.0, 1.0), electrons=(1000.0, 1.0), muons=(1000.0, 1.0), photons=(1000.0, 1.0)
        ).read(path, entry)


@pytest.mark.parametrize("group", ["Jet", "Electron", "Muon", "Photon", "MissingET"])
def test_missing_branches_are_named(tmp_path: Path, group: str) -> None:
    for field in three_events()[group]:
        groups = three_events()
        groups[group][f"{field}x"] = groups[group].pop(field)
        path = write(tmp_path / "sim.root", groups)
        near = rf"near it are .*{group}\.{field}x"
        with pytest.raises(
            ReadError, match=rf"tree Delphes, has no branch '{group}\.{field}' \({near}"
        ):
            Delphes().read(path)


def test_wrong_files(tmp_path: Path, shared: Path) -> None:
    some = {name: fields for name, fields in three_events().items() if name != "MissingET"}
    with pytest.raises(
        ReadError, match=r"sim\.root has no tree 'Delphes' \(found: Other\); name another reader"
    ):
        Delphes().num_events(write(tmp_path / "sim.root", some, tree="Other"))
    with pytest.raises(ReadError, match=r"bad_delphes\.root has no tree 'Delphes' \(found: none\)"):
        Delphes().read(str(shared / "data" / "real" / "coffea" / "bad_delphes.root"))
    groups = three_events()
    groups["MissingET"] = {"MET": [[1.0], [], [2.0]], "Phi": [[1.0], [], [2.0]]}
    with pytest.raises(
        ReadError, match=r"sim\.root entry 1: 0 values of MissingET\.MET, expected one"
    ):
        Delphes().read(write(tmp_path / "sim.root", groups))
    with uproot.recreate(tmp_path / "sim.root") as file:
        file.mktree("Delphes", {"Photon.PT": "float64"}).extend({"Photon.PT": np.ones(2)})
    with pytest.raises(
        ReadError,
        match=r"branch 'Photon\.PT' is 2 \* float64, expected a list of numbers per event",
    ):
        Delphes().read(str(tmp_path / "sim.root"))


def test_lists_of_different_length(tmp_path: Path) -> None:
    types = {
        f"{group}.{field}": "var * float64"
        for group, fields in three_events().items()
        for field in fields
    }
    values = {
        f"{group}.{f}": _typed(v, "float64")
        for group, fields in three_events().items()
        for f, v in fields.items()
    }
    values["Muon.Eta"] = ak.Array([[], [], [1.0]])
    with uproot.recreate(tmp_path / "sim.root") as file:
        file.mktree("Delphes", types).extend(values)
    with pytest.raises(
        ReadError, match=r"sim\.root entry 2: 1 values of Muon\.Eta but 2 of Muon\.PT"
    ):
        Delphes().read(str(tmp_path / "sim.root"))


def test_cut_and_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "sim.root"
    groups = {
        name: {f: v * 50 for f, v in fields.items()} for name, fields in three_events().items()
    }
    write(path, groups)
    whole, rng, refused = path.read_bytes(), np.random.default_rng(3), 0
    for data in damaged(whole, rng, 30):
        path.write_bytes(data)
        for act in (Delphes().read, reader_name):
            try:
                act(str(path))
            except ReadError as error:
                refused += 1
                assert str(path) in str(error)  # noqa: PT017
    assert refused > 30


def test_found_by_its_branches_and_converted(tmp_path: Path, real: str) -> None:
    assert reader_name(real) == "hepmtp:Delphes"
    path, target = (
        write(tmp_path / "sim.root", three_events()),
        str(tmp_path / "converted" / "sim.root"),
    )
    (tmp_path / "converted").mkdir()
    assert reader_for(path) == Delphes()
    assert convert(path, target, chunk=2) == 3
    assert columns(reader_for(target).read(target)) == columns(Delphes().read(path))
    assert [len(chunk) for chunk in iterate(Delphes(), path, 2)] == [2, 1]
    with pytest.raises(
        OptionError, match=r"chunks of 0 events were asked for, expected at least 1"
    ):
        Delphes().chunks(path, 0)


def test_unknown_layouts_are_described(tmp_path: Path, shared: Path) -> None:
    real = shared / "data" / "real"
    with pytest.raises(
        ReadError,
        match=r"HZZ\.root has no events of a known layout; found: events with 51 branches "
        r"\(Electron_Charge, .*, \.\.\.\)",
    ):
        reader_for(str(real / "scikit-hep-testdata" / "uproot-HZZ.root"))
    groups = three_events()
    del groups["MissingET"]
    with pytest.raises(
        ReadError, match=r"found: Delphes with 23 branches \(.*; Delphes needs MissingET\.MET too: "
    ):
        reader_name(write(tmp_path / "sim.root", groups))
    with pytest.raises(
        ReadError,
        match=r"found: Delphes with 1 branches \(x\); known are the layouts of RootReader, Del",
    ):
        reader_name(write(tmp_path / "sim.root", {}))
    (tmp_path / "empty.root").touch()
    with pytest.raises(ReadError, match=r"empty\.root is empty"):
        reader_for(str(tmp_path / "empty.root"))


def test_names(tmp_path: Path) -> None:
    groups = three_events()
    groups["JetPUPPI"] = {**groups["Jet"], "PT": [[61.0, 41.0], [], [51.0, 31.0]]}
    groups["PuppiMissingET"] = {"MET": [[1.0], [2.0], [3.0]], "Phi": [[0.5], [0.5], [0.5]]}
    groups["Event"]["Other"] = [[3.0], [4.0], [5.0]]
    del groups["Photon"]
    path = write(tmp_path / "sim.root", groups, tree="nominal/Delphes")
    assert reader_name(path) == "hepmtp:Delphes"
    with pytest.raises(ReadError, match=r"has no branch 'Photon\.PT' .* with the option names"):
        Delphes().read(path)
    names = "jets=JetPUPPI,met=PuppiMissingET,photons=none,muons=none,weight=Event.Other"
    events = load_reader(reader_name(path), names=names).read(path)
    assert events.Particle.pt.to_list() == [[61.0, 41.0, 20.0], [], [51.0, 31.0, 25.0]]
    assert events.MET.pt.to_list() == [1.0, 2.0, 3.0]
    assert events.weight.to_list() == [3.0, 4.0, 5.0]
