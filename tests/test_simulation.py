"""The simulation recipe.

Numbers of the detector by hand, colour flows that close, and small samples that every reader takes.
"""

from __future__ import annotations

import doctest
import gzip
import re
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import awkward as ak
import numpy as np
import pytest

NEEDS = "needs the extra hepmtp[simulation]: pythia8mc and fastjet"
pytest.importorskip("pythia8mc", reason=NEEDS)
pytest.importorskip("fastjet", reason=NEEDS)

FOLDER = Path(__file__).parent.parent / "examples" / "simulation"
sys.path.insert(0, str(FOLDER))

# the scripts import each other by name, as they do when one of them is run
import colour
import compare
import detector
import filters
import generate
import jets
import processes
import showers

from hepmtp.events.observables import n_jets
from hepmtp.events.particles import PARTICLE_TYPES
from hepmtp.events.record import check_events, make_events
from hepmtp.readers.darkmachines.reader import DarkMachinesCSV
from hepmtp.readers.jetclass import JET_LABELS, JetClass


def particles(*events: list[tuple[int, float, float, float]]) -> ak.Array:
    """Massless particles of some events from (PDG code, pt, eta, phi)."""
    flat = [particle for event in events for particle in event]
    code, pt, eta, phi = (
        np.array([particle[i] for particle in flat], dtype=float) for i in range(4)
    )
    columns = {
        "pt": pt,
        "eta": eta,
        "phi": phi,
        "energy": pt * np.cosh(eta),
        "id": code.astype(int),
    }
    return ak.unflatten(ak.zip(columns), [len(event) for event in events])


def record(*events: list[tuple[int, int, float, float, float]]) -> ak.Array:
    """Massless particles as Pythia gives them from (PDG code, status, pt, eta, phi)."""
    found = particles(
        *([(code, pt, eta, phi) for code, _, pt, eta, phi in event] for event in events)
    )
    status = ak.unflatten(
        np.array([one[1] for event in events for one in event]), [len(event) for event in events]
    )
    p = {
        "px": found.pt * np.cos(found.phi),
        "py": found.pt * np.sin(found.phi),
        "pz": found.pt * np.sinh(found.eta),
    }
    return ak.zip(
        {"id": found.id, "status": status, "p": ak.zip({**p, "e": found.energy})}, depth_limit=2
    )


@pytest.mark.parametrize("script", [colour, detector, filters, generate])
def test_examples_in_docstrings(script: ModuleType) -> None:
    found = doctest.testmod(script)
    assert found.attempted > 0
    assert found.failed == 0


class TestDetector:
    def test_visible(self) -> None:
        event = [
            (211, 1, 5.0, 1.0, 2.0),
            (12, 1, 9.0, 0, 0),
            (1000022, 1, 9.0, 0, 0),
            (22, -23, 9.0, 0, 0),
            (22, 1, 1.0, 5.0, 0),
            (22, 1, 0.0, 0.0, 0),  # as Pythia writes some soft photons
        ]
        seen = detector.visible(record(event, []))
        assert seen.id.to_list() == [[211], []]
        assert [float(seen[name][0, 0]) for name in ("pt", "eta", "phi")] == pytest.approx(
            [5, 1, 2]
        )
        assert seen.energy[0, 0] == pytest.approx(5 * np.cosh(1))

    def test_resolutions_by_hand(self) -> None:
        table = [  # code, energy, eta, relative resolution
            (11, 25.0, 1.0, 0.02),
            (-13, 25.0, 1.0, 0.01),
            (13, 25.0, -2.6, 0.02),
            (211, 25.0, -2.4, 0.02),
            (-211, 25.0, 2.6, 0.142),
            (130, 25.0, 1.6, 0.104),
            (2112, 25.0, 3.0, 0.142),
            (2112, 25.0, 4.0, 0.188),
        ]
        code, energy, eta, expected = (np.array(column) for column in zip(*table, strict=True))
        assert detector.resolution(code, energy, eta) == pytest.approx(expected)

    def test_smearing_keeps_mean_and_direction(self) -> None:
        many = particles([(130, 4.0, 0.0, 0.5)] * 20_000)
        smeared = detector.smear(many, np.random.default_rng(1))
        energy = ak.to_numpy(smeared.energy[0])
        assert energy.min() > 0
        assert energy.mean() == pytest.approx(4, abs=5 * 1.04 / np.sqrt(20_000))
        assert energy.std() == pytest.approx(1.04, rel=0.05)  # 52 %/sqrt(4) of 4
        assert ak.all(smeared.pt == smeared.energy)
        assert ak.all(smeared.phi == 0.5)

    def test_lepton_thresholds(self) -> None:
        table = [
            (11, 9.9, 0.0),
            (11, 10.1, 2.48),
            (13, 10.1, 2.69),
            (13, 10.1, 2.71),
            (22, 30.0, 2.38),
            (211, 50.0, 0.0),
        ]
        code, pt, eta = (np.array(column) for column in zip(*table, strict=True))
        assert detector.lepton_efficiency(code, pt, eta) == pytest.approx([0, 0, 0.833, 0, 0, 0])

    def test_tags_by_hand(self) -> None:
        # 0.8 tanh(0.15) 30 / 5.3; 0.2 tanh(1) / 1.17; 0.002 + 0.000365
        found = detector.tag_efficiency(
            np.full(4, 50.0), np.array([0, 2.4, -1, -2.51]), np.array([5, 4, 0, 5])
        )
        assert found == pytest.approx([0.67420, 0.13019, 0.002365, 0], abs=1e-5)

    def test_isolation(self) -> None:
        around = [
            (211, 2.3, 0.0, 0.2),
            (13, 50.0, 0.0, -0.31),
            (211, 0.4, 0.1, 0.0),
            (211, 9.0, 0.0, 0.31),
        ]
        seen = particles(
            [(11, 20.0, 0.0, 0.0), *around],  # 2.3 < 0.12 * 20
            [(11, 19.0, 0.0, 0.0), *around],
            [(-13, 10.0, 0.0, 0.0), *around],  # 2.3 < 0.25 * 10
            [(22, 20.0, 0.0, -3.14), (130, 3.0, 0.0, 3.1)],
            [(22, 20.0, 0.0, 0.0), (11, 30.0, 0.0, 0.1)],
        )
        numbered = ak.with_field(seen, ak.local_index(seen), "at")
        found = detector.isolated(numbered[:, :1], numbered).to_list()
        assert found == [[True], [False], [True], [False], [False]]

    def test_heavy_hadrons(self) -> None:
        event = [
            (-521, -91, 40.0, 0.5, 1.0),
            (5122, -91, 4.0, 0.0, 0.0),
            (421, -91, 20.0, 0.0, 0.0),
            (1000021, -22, 90.0, 0, 0),
        ]
        prt = record(event)
        assert detector.heavy_hadrons(prt, 5).eta.to_list() == [[pytest.approx(0.5)]]
        assert len(detector.heavy_hadrons(prt, 4)[0]) == 1

    def test_an_event_by_hand(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(detector, "log_normal", lambda spread, _: np.ones(len(spread)))
        monkeypatch.setattr(
            detector, "lepton_efficiency", lambda code, *_: ((code == -11) | (code == 13)) * 1.0
        )
        monkeypatch.setattr(
            detector, "tag_efficiency", lambda _pt, _eta, flavour: (flavour == 5) * 1.0
        )
        event = [
            *[
                (211, 1, 60.0, 0.0, 0.0),
                (22, 1, 40.0, 0.0, 0.1),
                (-521, -91, 80.0, 0.0, 0.0),
            ],  # a b-jet of about 100 GeV
            *[(130, 1, 30.0, 2.9, 2.0), (130, 1, 19.0, 1.0, -2.0)],  # too far forward, too soft
            (-11, 1, 30.0, 1.0, 2.0),
            (13, 1, 15.0, 0.39, 0.05),  # within 0.4 of the jet, not within 0.3 of its particles
            (12, 1, 20.0, 0.0, -1.0),
        ]
        found, met = detector.reconstruct(record(event, []), np.random.default_rng(0))
        assert [PARTICLE_TYPES[i] for i in found["type"][0]] == ["b", "e+"]
        assert found.pt.to_list()[0] == pytest.approx(
            [np.hypot(60 + 40 * np.cos(0.1), 40 * np.sin(0.1)), 30]
        )
        seen = [(60, 0), (40, 0.1), (30, 2), (19, -2), (30, 2), (15, 0.05)]
        px, py = (sum(pt * turn(phi) for pt, phi in seen) for turn in (np.cos, np.sin))
        assert [met.pt[0], met.phi[0]] == pytest.approx([np.hypot(px, py), np.arctan2(-py, -px)])
        assert len(found[1]) == met.pt[1] == 0


@pytest.mark.parametrize(
    ("codes", "incoming"),
    [
        ([21, 21, 6, -6, 25], 2),
        ([2, -1, 6, -6, 24], 2),
        ([21, 21, 6, -6, 6, -6], 2),
        ([-2, 2, 6, -6, 6, -6], 2),
    ],
)
def test_colour_flows_close(codes: list[int], incoming: int) -> None:
    rng = np.random.default_rng(3)
    goes_in = [i < incoming for i in range(len(codes))]
    seen = set()
    for _ in range(50):
        flow = colour.colour_flow(codes, goes_in, rng)
        seen.add(tuple(flow))
        assert all(
            (c > 0, a > 0) == (k == 21 or 0 < k < 7, k == 21 or -7 < k < 0)
            for k, (c, a) in zip(codes, flow, strict=True)
        )
        assert all(c != a for c, a in flow if c)
        # a line begins at a colour that goes out or an anticolour that goes in, and ends once
        begins = Counter(a if into else c for (c, a), into in zip(flow, goes_in, strict=True))
        ends = Counter(c if into else a for (c, a), into in zip(flow, goes_in, strict=True))
        begins.pop(0, None)
        ends.pop(0, None)
        assert begins == ends
        assert set(begins.values()) == {1}
    assert len(seen) == {5: 2 if 21 in codes else 1}.get(len(codes), len(seen))


def test_colour_that_is_not_conserved() -> None:
    with pytest.raises(ValueError, match="2 lines begin, 1 end"):
        colour.colour_flow([21, 6], [False, False], np.random.default_rng(0))


def test_slha_and_settings_that_cannot_be() -> None:
    text = processes.gluino_slha(1600, 800)
    assert re.search(r"1000021\s+1\.6", text)
    assert "1.0  3  1000022  6  -6" in text
    with pytest.raises(ValueError, match="cannot decay to two tops"):
        processes.gluino_slha(1000, 800)
    text = processes.sbottom_slha(900, 350, 100)
    assert re.findall(r"^DECAY (\d+) [\d.]+\n +(.+)$", text, re.MULTILINE) == [
        ("1000005", "1.0  2  -1000024  6"),
        ("1000024", "1.0  2  1000022  24"),
    ]
    assert "  1000022  1.00000000e+02" in text
    for masses in ((500, 350, 100), (900, 150, 100)):
        with pytest.raises(ValueError, match=r"must be able to decay to top and chargino"):
            processes.sbottom_slha(*masses)
    with pytest.raises(ValueError, match="seed is 0"):
        showers.start((), seed=0)
    with pytest.raises(ValueError, match="does not know the setting 'Tops:all = on'"):
        showers.start(("Tops:all = on",), seed=1)
    with pytest.raises(ValueError, match="no matrix elements for 4top: give an LHE file"):
        showers.start_process(processes.PROCESSES["4top"], seed=1)
    with pytest.raises(SystemExit):
        generate.main(["ttbarW", "--events", "1", "--output", "x.csv", "--lhe", "nowhere.lhe"])


def test_filter_that_cannot_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "MAX_DRAWS", 20)
    process = processes.PROCESSES["ttbar"]._replace(
        leptons="multilepton"
    )  # two tops have one lepton of each sign
    with pytest.raises(ValueError, match="no decay of 20 of an event passes the lepton filter"):
        generate.generate(process, 1, seed=1)


def test_preselection() -> None:
    # e+ mu+ and three jets; e+ e-; one jet less; no b; too soft
    lines = [
        ("b j j e+ m+", 90),
        ("b j j e+ e-", 90),
        ("b j e+ m+", 90),
        ("j j j e+ m+", 90),
        ("b j j e+ m+", 60),
    ]
    types = [[PARTICLE_TYPES.index(label) for label in labels.split()] for labels, _ in lines]
    flat = [kind for event in types for kind in event]
    pt = np.concatenate(
        [np.full(len(event), pt, float) for event, (_, pt) in zip(types, lines, strict=True)]
    )
    zero, none = np.zeros(len(flat)), np.zeros(len(lines))
    events = make_events(
        counts=[len(event) for event in types],
        pt=pt,
        eta=zero,
        phi=zero,
        energy=pt,
        type=flat,
        met=none,
        met_phi=none,
    )
    assert generate.preselected(events, "multilepton").tolist() == [
        True,
        False,
        False,
        False,
        False,
    ]
    assert generate.preselected(events, "lepton").tolist() == [True, True, False, False, False]


def lhe_without_colours(n: int) -> str:
    """Undecayed ttH events of Pythia as an LHE file in which no particle has a colour."""
    pythia = showers.start(
        (
            *processes.PROCESSES["ttbarHiggs"].settings,
            "PartonLevel:all = off",
            "ProcessLevel:resonanceDecays = off",
        ),
        seed=2,
    )
    lines = [
        '<LesHouchesEvents version="3.0">',
        "<init>",
        "2212 2212 6500 6500 0 0 0 0 3 1",
        "0.5 0.01 1 1",
        "</init>",
    ]
    for _ in range(n):
        pythia.next()
        outside: list[Any] = [pythia.process[i] for i in range(3, pythia.process.size())]
        lines += ["<event>", f"{len(outside)} 1 1 200 0.0078 0.118"]
        for one in outside:
            head = (
                f"{one.id()} {-1 if one.status() == -21 else 1} "
                f"{'0 0' if one.status() == -21 else '1 2'} 0 0"
            )
            lines.append(
                f"{head} {one.px()!r} {one.py()!r} {one.pz()!r} {one.e()!r} {one.m()!r} 0 9"
            )
        lines.append("</event>")
    return "\n".join([*lines, "</LesHouchesEvents>", ""])


@pytest.mark.slow
def test_a_whole_sample(tmp_path: Path, capsys: pytest.CaptureFixture[str], sample: Path) -> None:
    path = tmp_path / "ttbarHiggs.csv.gz"
    generate.main(["ttbarHiggs", "--events", "80", "--seed", "5", "--output", str(path)])
    assert "80 events of" in capsys.readouterr().out
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    events = DarkMachinesCSV().read(str(path))
    check_events(events)
    assert len(events) == 80
    assert generate.preselected(events, "multilepton").all()
    assert ak.all(events.Particle.pt[:, 1:] <= events.Particle.pt[:, :-1])
    with gzip.open(path, "rt") as file:
        assert file.readline().startswith("1;ttbarHiggs;")
    reference = DarkMachinesCSV().read(str(sample / "ttbarHiggs.csv.gz"))
    rows = compare.compare(events, reference)
    assert {row.name for row in rows} >= {"multiplicity", "n_b", "ht", "met", "expected events"}
    assert max(abs(row.pull) for row in rows) < 5
    assert len(compare.table(rows, ("new", "reference")).splitlines()) == len(rows) + 1


@pytest.mark.slow
def test_events_of_a_file_without_colours(tmp_path: Path) -> None:
    path = tmp_path / "tth.lhe.gz"
    path.write_bytes(gzip.compress(lhe_without_colours(30).encode()))
    process = processes.PROCESSES["ttbarHiggs"]
    sample = generate.generate(process, 1000, seed=1, lhe=path)  # the file ends before
    assert sample.showered == sample.weight == 30
    assert 1 <= len(sample.events) <= 30
    again = generate.generate(process, 1000, seed=1, lhe=path)
    assert again.events.to_list() == sample.events.to_list()
    assert again.efficiency == sample.efficiency
    events = generate.weighted(sample, process.cross_section)
    expected = len(events) / 30 * sample.efficiency * 0.507 * 139_000
    assert ak.sum(events.weight) == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
def test_jets_in_the_layout_of_jetclass(tmp_path: Path) -> None:
    jets.main(["QCDJets", "TTBar_Tbqq", "--events", "100", "--output", str(tmp_path)])
    masses = {}
    for name, label in (("QCDJets", "QCD"), ("TTBar_Tbqq", "Tbqq")):
        events = JetClass(weight="event_weight").read(str(tmp_path / f"{name}.root"))
        check_events(events)
        assert len(events) == 100
        assert {JET_LABELS[i] for i in events.label} == {label}
        assert ak.all((events.Jet.pt > 500) & (events.Jet.pt < 1000) & (abs(events.Jet.eta) < 2))
        assert ak.all(events.Particle.pt[:, 1:] <= events.Particle.pt[:, :-1] * (1 + 1e-5))
        whole = ak.sum(events.Particle.energy, axis=1)
        assert ak.to_numpy(whole) == pytest.approx(ak.to_numpy(events.Jet.energy), rel=1e-4)
        assert ak.all(events.weight > 0)
        assert ak.all(n_jets(events) == 0)
        masses[label] = ak.to_numpy(events.Jet.mass)
    assert np.median(masses["Tbqq"]) == pytest.approx(173, abs=15)
    assert np.median(masses["QCD"]) < 130
