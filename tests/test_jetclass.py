"""JetClass: what plain uproot reads, as events; what is missing or contradicts itself is named."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot
from coffea.processor import IterativeExecutor, ProcessorABC
from contracts import check_reader, columns

from hepmtp.errors import ReadError
from hepmtp.events.particles import CONSTITUENT_TYPES
from hepmtp.events.record import metadata
from hepmtp.readers.convert import convert
from hepmtp.readers.formats import load_reader, reader_for
from hepmtp.readers.jetclass import JET_LABELS, JetClass, write_jetclass
from hepmtp.run.runner import HepRunner

READER = JetClass()
FLAGS = ("ChargedHadron", "NeutralHadron", "Photon", "Electron", "Muon")
# charge and flag of each particle of four jets; the third has none
JETS = [[(1, 0), (-1, 0), (0, 1)], [(0, 2), (1, 3), (-1, 3)], [], [(1, 4), (-1, 4)]]


def content(**changes: Any) -> dict[str, Any]:
    """Branches of a file of four jets, with the mixed types that the real files have."""
    counts = [len(jet) for jet in JETS]
    n = sum(counts)
    particles = [particle for jet in JETS for particle in jet]
    px = np.arange(1, n + 1, dtype=np.float32)
    flat = {"px": px, "py": -px / 2, "pz": px * 3, "energy": px * 4, "deta": px * 0, "dphi": px * 0}
    flat["charge"] = np.array([charge for charge, _ in particles], dtype=np.float32)
    for i, name in enumerate(FLAGS):
        flat[f"is{name}"] = np.array([flag == i for _, flag in particles], dtype=np.int32)
    branches = {f"part_{name}": ak.unflatten(values, counts) for name, values in flat.items()}
    branches |= {
        f"jet_{name}": np.array([500, 600, 700, 800], np.float32)
        for name in ("pt", "energy", "nparticles")
    }
    branches |= {f"jet_{name}": np.array([0.5, -0.5, 1, -1], np.float32) for name in ("eta", "phi")}
    branches["event_weight"] = np.array([0.5, 1, 2, 4], np.float32)
    branches["label_QCD"] = np.array([1, 0, 0, 0], np.float32)
    branches["label_Hbb"] = np.array([False, True, False, False])
    branches["label_Tbqq"] = np.array([0, 0, 1, 1], np.int32)
    return {name: values for name, values in (branches | changes).items() if values is not None}


def write(folder: Path, branches: dict[str, Any], tree: str = "tree") -> str:
    path = folder / "jets.root"
    with uproot.recreate(path) as file:
        file[tree] = branches
    return str(path)


def test_contract(tmp_path: Path) -> None:
    check_reader(READER, write(tmp_path, content()), tmp_path)


def test_numbers_written_out(tmp_path: Path) -> None:
    events = READER.read(write(tmp_path, content()))
    assert [[CONSTITUENT_TYPES[i] for i in jet] for jet in events.Particle["type"].to_list()] == [
        ["h+", "h-", "h0"],
        ["g", "e+", "e-"],
        [],
        ["m+", "m-"],
    ]
    assert events.Particle.pt[0, 1] == pytest.approx(np.hypot(2, 1))
    assert events.Particle.pz.to_list()[3] == pytest.approx([21, 24])
    assert events.Particle.px.to_list()[1] == pytest.approx([4, 5, 6])
    assert events.Particle.py.to_list()[1] == pytest.approx([-2, -2.5, -3])
    assert events.Particle.energy.to_list() == [[4, 8, 12], [16, 20, 24], [], [28, 32]]
    assert [JET_LABELS[i] for i in events.label] == ["QCD", "Hbb", "Tbqq", "Tbqq"]
    assert events.Jet.pt.to_list() == [500, 600, 700, 800]
    assert events.Jet.eta.to_list() == [0.5, -0.5, 1, -1]
    assert events.Jet.pz[0] == pytest.approx(500 * np.sinh(0.5))
    assert events.MET.pt.to_list() == [0, 0, 0, 0]
    assert events.weight.to_list() == [1, 1, 1, 1]
    assert metadata(events) == {"dataset": ""}
    weighted = load_reader("hepmtp:JetClass", weight="event_weight").read(
        write(tmp_path, content())
    )
    assert weighted.weight.to_list() == [0.5, 1, 2, 4]


@pytest.mark.parametrize(
    ("name", "label"), [("QCDJets", "QCD"), ("TTBar_Tbqq", "Tbqq"), ("ZJets_Zqq", "Zqq")]
)
def test_our_jets_equal_plain_uproot(shared: Path, name: str, label: str) -> None:
    path = str(shared / "data" / "jets" / f"{name}.root")
    events = JetClass(weight="event_weight").read(path, 1000, 1500)
    with uproot.open(path) as file:
        plain = file["tree"].arrays(entry_start=1000, entry_stop=1500)
        assert READER.num_events(path) == file["tree"].num_entries
    assert {JET_LABELS[i] for i in events.label} == {label}
    assert events.event.to_list() == list(range(1000, 1500))
    assert events.weight.to_list() == plain.event_weight.to_list()
    assert events.Particle.energy.to_list() == plain.part_energy.to_list()
    for axis in ("px", "py", "pz"):
        np.testing.assert_allclose(
            ak.flatten(getattr(events.Particle, axis)),
            ak.flatten(plain[f"part_{axis}"]),
            rtol=1e-6,
            atol=1e-6,
        )
    names = np.array(CONSTITUENT_TYPES)[ak.to_numpy(ak.flatten(events.Particle["type"]))]
    for flag, mine in zip(
        FLAGS, (("h+", "h-"), ("h0",), ("g",), ("e+", "e-"), ("m+", "m-")), strict=True
    ):
        assert np.isin(names, mine).tolist() == (ak.flatten(plain[f"part_is{flag}"]) == 1).to_list()
    charge = ak.to_numpy(ak.flatten(plain.part_charge))
    assert [int(name.endswith("+")) - int(name.endswith("-")) for name in names] == charge.tolist()
    # the constituents add up to the jet
    for axis in ("px", "py", "pz", "energy"):
        total = ak.sum(
            events.Particle[axis] if axis == "energy" else getattr(events.Particle, axis), axis=1
        )
        np.testing.assert_allclose(total, getattr(events.Jet, axis), rtol=1e-4, atol=0.1)


@pytest.mark.parametrize("name", ["new.root", "rntuple.root", "new.parquet"])
def test_converted_jets_keep_particles_label_and_jet(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    path = write(tmp_path, content())
    target = tmp_path / name
    convert(path, target, reader=READER, rntuple=name == "rntuple.root", chunk=3)
    expected, found = READER.read(path), reader_for(str(target)).read(str(target))
    assert columns(found) == columns(expected)
    assert found.label.to_list() == expected.label.to_list()
    for part in ("pt", "eta", "phi", "energy", "mass"):
        assert getattr(found.Jet, part).to_list() == getattr(expected.Jet, part).to_list()
    assert "not written" not in caplog.text


def test_jets_as_csv_are_said_to_lose_label_and_jet(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    leptons = content()
    path = write(tmp_path, {name: one[3:] for name, one in leptons.items()})
    convert(path, tmp_path / "new.csv", reader=READER)
    assert "the fields Jet, label are not written" in caplog.text


class Seen(ProcessorABC):  # type: ignore[misc]
    """Gives what it sees of the jets."""

    def process(self, events: ak.Array) -> dict[str, Any]:
        return {"seen": list(zip(events.label.to_list(), events.Jet.mass.to_list(), strict=True))}

    def postprocess(self, accumulator: dict[str, Any]) -> dict[str, Any]:
        return accumulator


@pytest.mark.parametrize("chunksize", [1, 3, 100])
def test_label_and_jet_come_through_coffea(tmp_path: Path, chunksize: int) -> None:
    path = write(tmp_path, content())
    expected = READER.read(path)
    runner = HepRunner(IterativeExecutor(status=False), chunksize=chunksize)
    for one in (path, tmp_path / "converted.root"):
        if one != path:
            convert(path, one)
        found = runner({"jets": {"files": [str(one)], "metadata": {}}}, Seen())["seen"]
        assert [label for label, _ in found] == expected.label.to_list()
        assert [mass for _, mass in found] == pytest.approx(expected.Jet.mass.to_list())


def test_jets_that_were_written_are_read(tmp_path: Path) -> None:
    """Real ones with their types; those of a model with an option only."""
    jets = READER.read(write(tmp_path, content()))
    again = tmp_path / "again.root"
    assert write_jetclass(again, [jets[:1], jets[1:]], label="Hbb") == 4
    found = READER.read(str(again))
    assert found.Particle["type"].to_list() == jets.Particle["type"].to_list()
    np.testing.assert_allclose(
        ak.flatten(found.Particle.eta), ak.flatten(jets.Particle.eta), rtol=1e-5
    )
    assert found.Jet.pt.to_list() == jets.Jet.pt.to_list()
    assert [JET_LABELS[i] for i in found.label] == ["Hbb"] * 4
    made = ak.with_field(jets, jets.Particle, "Particle")
    made["Particle", "type"] = ak.full_like(jets.Particle["type"], 10)
    assert write_jetclass(again, [made], label="QCD", about="made") == 4
    with uproot.open(again) as file:
        assert file["about"] == "made"
    with pytest.raises(ReadError, match=r"jets that a model has made need the option untyped"):
        READER.read(str(again))
    read = JetClass(untyped=True).read(str(again))
    assert read.Particle["type"].to_list() == made.Particle["type"].to_list()
    assert load_reader("hepmtp:JetClass", untyped=True).read(str(again)).fields == read.fields


@pytest.mark.parametrize(
    "name", ["part_px", "part_energy", "part_charge", "part_isPhoton", "jet_phi"]
)
def test_a_missing_branch_is_named(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, content(**{name: None}))
    with pytest.raises(
        ReadError, match=rf"jets\.root, tree tree, has no branch '{name}' \(near it are "
    ):
        READER.read(path)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, content())
    with pytest.raises(ReadError, match=r"has no branch 'weight_2' "):
        JetClass(weight="weight_2").read(path)
    with pytest.raises(ReadError, match=r"has no tree 'Events' \(found: tree\); name another"):
        JetClass(tree="Events").read(path)
    bare = write(tmp_path, content(label_QCD=None, label_Hbb=None, label_Tbqq=None))
    with pytest.raises(
        ReadError, match=r"tree tree, has no label: none of label_QCD, label_Hbb, .*, label_Tbl"
    ):
        READER.read(bare)


def jagged(*values: float) -> ak.Array:
    return ak.unflatten(np.array(values), [3, 3, 0, 2])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"label_Hbb": np.array([0, 0, 0, 0])},
            r"entry 1: expected exactly one label that is 1, found label_QCD 0, label_Hbb 0",
        ),
        (
            {"label_Hbb": np.array([0, 1, 1, 0])},
            r"entry 2: expected exactly one label .* label_Hbb 1, label_Tbqq 1",
        ),
        ({"label_QCD": np.array([np.nan, 0, 0, 0])}, r"entry 0: expected exactly one label"),
        ({"label_QCD": np.array([0.5, 0, 0, 0])}, r"entry 0: expected exactly one label"),
        (
            {"part_charge": jagged(1, 0, 0, 0, 1, -1, 1, -1)},
            r"entry 0: a particle of charge 0 with part_isChargedHadron 1, part_isNeutralHadron 0",
        ),
        (
            {"part_charge": jagged(1, -1, 0, 0, 2, -1, 1, -1)},
            r"entry 1: a particle of charge 2 with .*part_isElectron 1",
        ),
        (
            {"part_charge": jagged(1, -1, 0, 0, 1, -1, 1, np.nan)},
            r"entry 3: a particle of charge nan",
        ),
        (
            {"part_isPhoton": jagged(1, 0, 0, 1, 0, 0, 0, 0)},
            r"entry 0: a particle of charge 1 with part_isChargedHadron 1, .*part_isPhoton 1",
        ),
        (
            {"part_isChargedHadron": jagged(0, 0, 0, 0, 0, 0, 0, 0)},
            r"entry 0: .*expected one flag that is 1 and a charge that fits it",
        ),
        (
            {"part_energy": jagged(1, 2, 3, np.inf, 3, 4, 5, 6)},
            r"entry 1: part_energy is inf, expected a finite number",
        ),
        (
            {"part_pz": jagged(1, 2, 3, 4, 5, 6, 7, np.nan)},
            r"entry 3: part_pz is nan, expected a finite number",
        ),
        ({"jet_pt": np.array([1, 2, -3.0, 4])}, r"entry 2: jet_pt is -3\.0"),
        (
            {"event_weight": np.array([1, 2, np.inf, 4])},
            r"entry 2: event_weight is inf, expected a finite number",
        ),
    ],
)
def test_contradictions_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = write(tmp_path, content(**change))
    with pytest.raises(ReadError, match=rf"^{re.escape(path)}.*({message})"):
        JetClass(weight="event_weight").read(path)


def test_a_file_that_is_cut_short(tmp_path: Path) -> None:
    path = Path(write(tmp_path, content()))
    data = path.read_bytes()
    for size in range(100, len(data) - 200, 400):
        path.write_bytes(data[:size])
        with pytest.raises(ReadError, match=r"jets\.root"):
            READER.read(str(path))


def test_a_type_that_allows_missing_values_is_fine_if_none_is(tmp_path: Path) -> None:
    def of(path: str) -> dict[str, Any]:
        """All columns but the identity of the file, which is another each time."""
        return {**columns(READER.read(path)), "source": None}

    expected = of(write(tmp_path, content()))
    charge = content()["part_charge"]
    optional = ak.mask(charge, charge < 5)
    assert "?" in str(optional.type)
    path = write(tmp_path, content(part_charge=optional))
    assert of(path) == expected
    path = write(tmp_path, content(part_px=ak.mask(content()["part_px"], np.ones(4, dtype=bool))))
    assert of(path) == expected
    with pytest.raises(ReadError, match=r"'part_charge' is 4 \* var \* \?float32, expected a list"):
        READER.read(write(tmp_path, content(part_charge=ak.mask(charge, charge > 0))))
