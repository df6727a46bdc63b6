"""The Dark Machines ntuple: the flags of objects become types, one object the missing energy."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot
from contracts import check_reader, columns

from hepmtp.errors import ReadError
from hepmtp.readers.dm_ntuple import DMNtuple
from hepmtp.readers.formats import reader_for, reader_name

FLAGS = ("isJet", "isBJet", "isElectron", "isPositron", "isMuon", "isAntiMuon", "isMET", "isPhoton")
Thing = tuple[tuple[str, ...], float, float, float, float]  # flags, pt, eta, phi, mass


def three_events() -> list[list[Thing]]:
    """Every type of object; MET alone; a jet, a positron and MET in between."""
    return [
        [
            (("isJet", "isBJet"), 80.0, 0.5, 1.0, 10.0),
            (("isJet",), 90.0, -1.0, -2.0, 8.0),
            (("isElectron",), 20.0, 2.0, 0.0, 0.0),
            (("isMuon",), 25.0, 0.0, 3.0, 0.0),
            (("isAntiMuon",), 15.0, 1.0, -3.0, 0.0),
            (("isPhoton",), 30.0, -2.0, 2.0, 0.0),
            (("isMET",), 50.0, 0.0, -1.0, 0.0),
        ],
        [(("isMET",), 10.0, 0.0, 2.0, 0.0)],
        [
            (("isBJet",), 40.0, 3.0, 1.0, 5.0),
            (("isMET",), 20.0, 0.0, 0.5, 0.0),
            (("isPositron",), 35.0, 1.0, 1.0, 0.0),
        ],
    ]


def branches(events: list[list[Thing]]) -> dict[str, list[list[float]]]:
    found: dict[str, list[list[float]]] = {}
    for event in events:
        rows = [
            {
                "obj_px": pt * math.cos(phi),
                "obj_py": pt * math.sin(phi),
                "obj_pz": pt * math.sinh(eta),
                "obj_Energy": math.hypot(pt * math.cosh(eta), mass),
                "obj_eta": eta,
                "obj_phi": phi,
                **{name: float(name in flags) for name in FLAGS},
            }
            for flags, pt, eta, phi, mass in event
        ]
        for name in rows[0]:
            found.setdefault(name, []).append([row[name] for row in rows])
    return found


def write(
    path: Path, found: dict[str, list[list[float]]], *, tree: str = "mytree", **more: Any
) -> str:
    values: dict[str, Any] = {}
    for name, lists in found.items():
        flat = np.array(
            [v for one in lists for v in one],
            dtype=np.int32 if name.startswith("is") else np.float64,
        )
        values[name] = ak.unflatten(flat, [len(one) for one in lists])
    values |= {name: np.array(one) for name, one in more.items()}
    types = {name: f"var * {'int32' if name.startswith('is') else 'float64'}" for name in found}
    with uproot.recreate(path) as file:
        file.mktree(tree, types | dict.fromkeys(more, "float64")).extend(values)
    return str(path)


def test_contract(tmp_path: Path) -> None:
    path = write(tmp_path / "sim.root", branches(three_events()))
    check_reader(DMNtuple(), path, tmp_path)
    assert reader_name(path) == "hepmtp:DMNtuple"
    assert columns(reader_for(path).read(path)) == columns(DMNtuple().read(path))


def test_three_events(tmp_path: Path) -> None:
    events = DMNtuple().read(write(tmp_path / "sim.root", branches(three_events())))
    assert events.Particle["type"].to_list() == [[0, 1, 6, 5, 3, 4], [], [1, 2]]
    np.testing.assert_allclose(events.Particle.pt[0], [90.0, 80.0, 30.0, 25.0, 20.0, 15.0])
    np.testing.assert_allclose(events.Particle.mass[0, :2], [8.0, 10.0], rtol=1e-9)
    np.testing.assert_allclose(events.Particle.phi[2], [1.0, 1.0])
    np.testing.assert_allclose(events.MET.pt, [50.0, 10.0, 20.0])
    np.testing.assert_allclose(events.MET.phi, [-1.0, 2.0, 0.5])
    assert events.weight.to_list() == [1.0, 1.0, 1.0]


def test_a_weight_of_its_own(tmp_path: Path) -> None:
    path = write(tmp_path / "sim.root", branches(three_events()), weight=[0.5, -1.0, 2.0])
    assert DMNtuple(weight="weight").read(path).weight.to_list() == [0.5, -1.0, 2.0]
    with pytest.raises(
        ReadError, match=r"tree mytree, has no branch 'weights' \(near it are .*weight"
    ):
        DMNtuple(weight="weights").read(path)


def test_the_missing_energy_has_no_direction_along_the_beam(tmp_path: Path) -> None:
    found = branches(three_events())
    found["obj_eta"][1] = [math.nan]
    found["obj_phi"][1] = [-999.0]
    np.testing.assert_allclose(
        DMNtuple().read(write(tmp_path / "sim.root", found)).MET.phi, [-1.0, 2.0, 0.5]
    )


@pytest.mark.parametrize(
    ("name", "entry", "values", "message"),
    [
        ("obj_px", 1, [math.nan], r"entry 1: obj_px is nan, expected a finite number"),
        (
            "obj_Energy",
            2,
            [1.0, 1.0, math.inf],
            r"entry 2: obj_Energy is inf, expected a finite number",
        ),
        (
            "obj_eta",
            2,
            [1.0, 0.0, -999.0],
            r"entry 2: obj_eta is -999\.0, expected a number from -30 to 30",
        ),
        ("obj_phi", 2, [7.0, 0.0, 0.0], r"entry 2: obj_phi is 7\.0, expected a number from -3\.14"),
        (
            "isMET",
            1,
            [0],
            r"entry 1: isMET is 0, expected one flag of an object \(isMET, isBJet, isJet, isP",
        ),
        ("isMET", 2, [0, 1, 1], r"entry 2: isMET is 2, expected one flag of an object"),
        ("isPhoton", 2, [1, 0, 0], r"entry 2: isMET is 2, expected one flag of an object"),
        ("obj_py", 2, [1.0, 2.0], r"entry 2: 2 values of obj_py but 3 of obj_px"),
    ],
)
def test_impossible_values_are_named(
    tmp_path: Path, name: str, entry: int, values: list[float], message: str
) -> None:
    found = branches(three_events())
    found[name][entry] = values
    with pytest.raises(ReadError, match=rf"sim\.root {message}"):
        DMNtuple().read(write(tmp_path / "sim.root", found))


def test_one_missing_energy_an_event(tmp_path: Path) -> None:
    events = three_events()
    events[1] = [(("isJet",), 10.0, 0.0, 2.0, 0.0)]
    with pytest.raises(ReadError, match=r"entry 1: number of objects with isMET is 0, expected 1"):
        DMNtuple().read(write(tmp_path / "sim.root", branches(events)))
    events[1] = [(("isMET",), 10.0, 0.0, 2.0, 0.0)] * 2
    with pytest.raises(ReadError, match=r"entry 1: number of objects with isMET is 2, expected 1"):
        DMNtuple().read(write(tmp_path / "sim.root", branches(events)), 1)


@pytest.mark.parametrize("name", [name for name in branches(three_events()) if name != "obj_pz"])
def test_missing_branches_are_named(tmp_path: Path, name: str) -> None:
    found = branches(three_events())
    del found[name]
    with pytest.raises(ReadError, match=rf"sim\.root, tree mytree, has no branch '{name}'"):
        DMNtuple().read(write(tmp_path / "sim.root", found))
    layout = name in DMNtuple.branches
    message = r"has no tree 'mytree' \(found: Other\); name an" if layout else f"no branch '{name}'"
    with pytest.raises(ReadError, match=rf"sim\.root.* {message}"):
        DMNtuple().read(write(tmp_path / "sim.root", found, tree="Other"))
