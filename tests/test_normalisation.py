"""Weights become events: sigma x L x w / sum(w), on every format, or they are called what they are.

The values are written out by hand.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest
import uproot
from hist.axis import Regular

from hepmtp.detectors import BaseDetector
from hepmtp.errors import OptionError
from hepmtp.events.ragged import Floats
from hepmtp.events.regions import Region
from hepmtp.readers.convert import convert
from hepmtp.readers.darkmachines.reader import DarkMachinesCSV
from hepmtp.readers.root import HepmtpSchema, write_root
from hepmtp.run.executors import make_executor
from hepmtp.run.runner import HepRunner
from hepmtp.statistics.histograms import yields
from hepmtp.statistics.normalisation import (
    Known,
    Normalisation,
    events_or_weights,
    known,
    normalisation,
    tally,
)
from processors.anomaly import AnomalyProcessor


class Multiplicity(BaseDetector):
    """A score that nobody trains."""

    name, description = "n", "number of particles"
    axis_ = Regular(10, -0.5, 9.5, name="score", label="n")
    trained_ = ()

    def fit(self, _: Any) -> Any:
        return self

    def score(self, events: Any) -> Floats:
        return np.array([len(one) for one in events.Particle.pt.to_list()], dtype=np.float64)

    def save(self, path: Any) -> None:
        raise NotImplementedError

    @classmethod
    def load(cls, path: Any) -> Any:
        raise NotImplementedError


def everything(events: Any) -> Any:
    return np.ones(len(events), dtype=bool)


ALL = Region("all events", "all", everything)


@pytest.fixture
def executor() -> Iterator[Any]:
    with make_executor("iterative", status=False) as opened:
        yield opened


def run(
    executor: Any, path: Path | str, *, luminosity: float | None = None, **metadata: Any
) -> Any:
    processor = AnomalyProcessor(
        [Multiplicity()], regions=[ALL], columns=True, luminosity=luminosity
    )
    fileset = {"x": {"files": [str(path)], "metadata": metadata}}
    return HepRunner(executor, chunksize=20)(fileset, processor)


def total(output: Any) -> float:
    """The yield, which histogram, cutflow and columns must agree on."""
    value = yields(output["scores"]["n"], "x", "all events").value
    assert output["cutflow"]["x"]["all"]["sumw"] == pytest.approx(value)
    assert output["columns"]["x"]["weight"].value.sum() == pytest.approx(value)
    return value


@pytest.fixture(scope="module")
def files(in_every_format: Callable[..., Any]) -> Any:
    return in_every_format({"ttbarW": 50}, chunk=30, rntuple=True)


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "root", "rntuple", "parquet"])
def test_twice_the_cross_section_is_twice_the_events(files: Any, executor: Any, kind: str) -> None:
    path = files[kind]["ttbarW"]
    for sigma in (0.25, 0.5):
        output = run(executor, path, role="signal", cross_section_pb=sigma, luminosity_ifb=10)
        assert total(output) == pytest.approx(sigma * 1000 * 10)
        found = output["normalisation"]["x"]
        assert (found.kind, found.counted, found.events) == ("cross-section", True, 50)
        assert found.weight == pytest.approx(50 * 1339.966178 / 10522)  # as the file has it
        assert "right only if these are all that were generated" in found.note


def test_a_sum_of_weights_that_is_given_wins(files: Any, executor: Any) -> None:
    """Selected events: half of what was generated is in the file."""
    weight = 50 * 1339.966178 / 10522
    output = run(executor, files["csv"]["ttbarW"], xsec=0.5, lumi=10, sum_genweights=2 * weight)
    assert total(output) == pytest.approx(0.5 * 0.5 * 1000 * 10)
    assert not output["normalisation"]["x"].counted
    assert output["normalisation"]["x"].note == ""


def test_without_numbers_weights_stay_what_they_are(files: Any, executor: Any) -> None:
    output = run(executor, files["csv"]["ttbarW"], role="background")
    assert total(output) == pytest.approx(50 * 1339.966178 / 10522)
    assert output["normalisation"]["x"].kind == "none"
    assert events_or_weights(output["normalisation"].values()) == "Sum of weights"


def test_another_luminosity(files: Any, executor: Any) -> None:
    """Weights that stand for 139 /fb, asked for 300; and a cross-section that has none."""
    path = files["csv"]["ttbarW"]
    weight = 50 * 1339.966178 / 10522
    output = run(executor, path, luminosity=300, role="background", luminosity_ifb=139)
    assert total(output) == pytest.approx(weight * 300 / 139)
    assert output["normalisation"]["x"][:3] == ("weights", 300 / 139, 300)
    assert total(run(executor, path, luminosity=300, xsec=0.5)) == pytest.approx(0.5e3 * 300)
    output = run(executor, path, xsec=0.5)
    assert total(output) == pytest.approx(weight)
    assert output["normalisation"]["x"].note.startswith("it has a cross-section, but no luminosity")


def test_data_are_counted(files: Any, executor: Any) -> None:
    output = run(executor, files["csv"]["ttbarW"], luminosity=300, isMC=False, lumi=139)
    assert output["normalisation"]["x"].kind == "data"
    assert output["normalisation"]["x"].factor == 1.0
    assert output["cutflow"]["x"]["all"]["raw"] == 50  # nothing is split off


@pytest.mark.parametrize(("weight", "said"), [(1.0, ""), (0.5, "these data have weights other")])
def test_data_of_other_weights_are_no_counts_and_that_is_said(weight: float, said: str) -> None:
    found = tally({"isMC": False}, np.full(4, weight), events=4)
    note = normalisation(found).note
    assert note.startswith(said)
    assert bool(note) == bool(said)


def nano(path: Path, *, n: int, total: float | None) -> Path:
    """A NanoAOD file of `n` events of weight 2 and, in its Runs tree, their sum before a skim."""
    one = {"pt": [50.0], "eta": [0.1], "phi": [0.2], "mass": [5.0], "btagDeepFlavB": [0.9]}
    events: dict[str, Any] = {f"Jet_{key}": [value] * n for key, value in one.items()}
    events |= {"Jet_jetId": [[6]] * n, "genWeight": [2.0] * n}
    for name in ("Electron", "Muon", "Photon"):
        events |= {f"{name}_{key}": [[]] * n for key in ("pt", "eta", "phi", "charge")}
    events |= {"Electron_cutBased": [[]] * n, "Muon_mediumId": [[]] * n}
    events |= {"Muon_pfRelIso04_all": [[]] * n, "Photon_mvaID_WP90": [[]] * n}
    events |= {"Photon_electronVeto": [[]] * n, "MET_pt": [30.0] * n, "MET_phi": [1.0] * n}
    with uproot.recreate(path) as file:
        kinds = {
            name: "var * float64" if isinstance(column[0], list) else "float64"
            for name, column in events.items()
        }
        import awkward as ak  # noqa: PLC0415

        tree = file.mktree("Events", kinds)
        tree.extend(
            {
                name: ak.values_astype(ak.Array(column), np.float64)
                for name, column in events.items()
            }
        )
        if total is not None:
            runs = file.mktree("Runs", {"run": "int32", "genEventSumw": "float64"})
            runs.extend({"run": [1, 2], "genEventSumw": [total / 4, 3 * total / 4]})
    return path


def test_nanoaod_says_what_was_generated(tmp_path: Path, executor: Any) -> None:
    """100 events of weight 2 were generated, 50 passed a skim."""
    path = nano(tmp_path / "nano.root", n=50, total=200.0)
    output = run(executor, path, role="signal", xsec=0.5, lumi=10)
    assert total(output) == pytest.approx(0.5 * 1000 * 10 * (50 * 2) / 200)
    found = output["normalisation"]["x"]
    assert (found.sum_weights, found.counted) == (pytest.approx(200.0), False)


@pytest.mark.parametrize("ending", [".root", ".parquet"])
def test_a_converted_file_says_so_too(tmp_path: Path, executor: Any, ending: str) -> None:
    nano(tmp_path / "nano.root", n=50, total=200.0)
    path = tmp_path / f"converted{ending}"
    convert(tmp_path / "nano.root", path)
    assert total(run(executor, path, xsec=0.5, lumi=10)) == pytest.approx(2500.0)


def test_a_csv_cannot_and_that_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    nano(tmp_path / "nano.root", n=5, total=200.0)
    convert(tmp_path / "nano.root", tmp_path / "converted.csv")
    assert "give sum_weights: 200.0 with the file" in caplog.text


def test_of_part_of_a_file_the_sum_is_a_part(tmp_path: Path, executor: Any) -> None:
    """Two of three chunks are read: as many events as of all three."""
    path = nano(tmp_path / "nano.root", n=60, total=240.0)
    processor = AnomalyProcessor([Multiplicity()], regions=[ALL], columns=True)
    fileset = {"x": {"files": [str(path)], "metadata": {"xsec": 0.5, "lumi": 10}}}
    output = HepRunner(executor, chunksize=20, maxchunks=2)(fileset, processor)
    assert output["cutflow"]["x"]["all"]["raw"] == 40
    assert total(output) == pytest.approx(0.5 * 1000 * 10 * 120 / 240)
    assert output["normalisation"]["x"].sum_weights == pytest.approx(160.0)


def test_what_is_lost_is_no_part_of_the_sum(files: Any, executor: Any, tmp_path: Path) -> None:
    """One of two files, and a line of the other, cannot be read: as many events as of both."""
    lines = files["csv"]["ttbarW"].read_text().splitlines(keepends=True)
    weight = 50 * 1339.966178 / 10522
    (tmp_path / "a.csv").write_text("".join(lines[:30]) + "not an event\n" + "".join(lines[31:]))
    (tmp_path / "b.csv").write_text("")
    fileset = {
        "x": {
            "files": [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")],
            "metadata": {"xsec": 0.5, "lumi": 10, "sum_weights": 4 * weight},
        }
    }
    processor = AnomalyProcessor([Multiplicity()], regions=[ALL], columns=True)
    output = HepRunner(executor, chunksize=20, skipbadfiles=True)(fileset, processor)
    assert output["cutflow"]["x"]["all"]["raw"] == 49
    # half of what was generated is in the two files, and 49 of 50 events of one were read
    assert output["normalisation"]["x"].sum_weights == pytest.approx(4 * weight * 0.5 * 0.98)
    assert total(output) == pytest.approx(0.5 * 1000 * 10 / 2)


def test_files_that_say_it_and_files_that_do_not(tmp_path: Path, executor: Any) -> None:
    paths = [nano(tmp_path / f"{n}.root", n=n, total=n * 4.0 if n == 5 else None) for n in (5, 6)]
    processor = AnomalyProcessor([Multiplicity()], regions=[ALL], columns=True)
    fileset = {"x": {"files": [str(one) for one in paths], "metadata": {"xsec": 1.0, "lumi": 10}}}
    found = HepRunner(executor)(fileset, processor)["normalisation"]["x"]
    assert found.kind == "none"
    assert found.note.startswith("some of its files say how much was generated")


def test_number_of_generated_events(tmp_path: Path, executor: Any, files: Any) -> None:
    """It is a sum of weights only where each weight is 1."""
    lines = [f"{i};x;1;20000;0.1;j,60000,50000,0.5,0.2" for i in range(10)]
    (tmp_path / "x.csv").write_text("\n".join(lines) + "\n")
    output = run(executor, tmp_path / "x.csv", xsec=0.5, lumi=10, nevts=40)
    assert total(output) == pytest.approx(0.5 * 1000 * 10 * 10 / 40)
    output = run(executor, files["csv"]["ttbarW"], xsec=0.5, lumi=10, nevts=40)
    assert output["normalisation"]["x"].kind == "none"
    assert "weights other than 1: give sum_weights" in output["normalisation"]["x"].note


def plain_csv(path: Path, n: int) -> str:
    """Events of weight 1 with one jet each."""
    lines = [f"{i};x;1;20000;0.1;j,60000,{50000 - i},0.5,0.2" for i in range(n)]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


@pytest.mark.parametrize("ending", [".csv", ".root"])
@pytest.mark.parametrize("maxchunks", [None, 1])
def test_of_steps_the_sum_is_a_part(
    tmp_path: Path, executor: Any, ending: str, maxchunks: int | None
) -> None:
    """The sum of weights is that of the data set: 10 of its 100 events stand for all."""
    path = plain_csv(tmp_path / "x.csv", 100)
    if ending == ".root":
        convert(path, path := str(tmp_path / "x.root"))
    one = {"object_path": None if ending == ".csv" else "Events", "steps": [[50, 60]]}
    metadata = {"xsec": 0.5, "lumi": 10, "sum_weights": 100}
    fileset = {"x": {"files": {path: one}, "metadata": metadata}}
    processor = AnomalyProcessor([Multiplicity()], regions=[ALL], columns=True)
    output = HepRunner(executor, chunksize=20, maxchunks=maxchunks)(fileset, processor)
    assert output["cutflow"]["x"]["all"]["raw"] == 10
    assert output["columns"]["x"]["event"].value.tolist() == list(range(50, 60))
    assert total(output) == pytest.approx(0.5 * 1000 * 10)
    assert output["normalisation"]["x"].sum_weights == pytest.approx(10.0)


class Other(HepmtpSchema):
    """A schema of a user."""


def test_of_chunks_by_another_schema_the_sum_is_a_part(tmp_path: Path, executor: Any) -> None:
    convert(plain_csv(tmp_path / "x.csv", 100), tmp_path / "x.root")
    metadata = {"xsec": 0.5, "lumi": 10, "sum_weights": 100}
    fileset: Any = {"x": {"files": {str(tmp_path / "x.root"): "Events"}, "metadata": metadata}}
    processor = AnomalyProcessor([Multiplicity()], regions=[ALL], columns=True)
    runner = HepRunner(executor, chunksize=20, maxchunks=2, schema=Other)
    output = runner(fileset, processor)
    assert output["cutflow"]["x"]["all"]["raw"] == 40
    assert total(output) == pytest.approx(5000.0)
    metadata["reader_options"] = {"names": "met=x"}  # type: ignore[assignment]
    with pytest.raises(OptionError, match="with the schema Other coffea opens ROOT files itself"):
        runner(fileset, processor)


def test_a_file_without_events_as_coffea_steps_it(tmp_path: Path, executor: Any) -> None:
    """All of its 100 generated events failed a selection, but they were generated."""
    plain = HepRunner(executor)
    events = DarkMachinesCSV().read(plain_csv(tmp_path / "x.csv", 50))
    write_root(tmp_path / "none.root", [events[:0]], generated=100.0)
    write_root(tmp_path / "all.root", [events], generated=100.0)
    files = {
        str(tmp_path / name): {"object_path": "Events", "steps": steps}
        for name, steps in (("none.root", [[0, 0]]), ("all.root", [[0, 25], [25, 50]]))
    }
    fileset = {"x": {"files": files, "metadata": {"xsec": 0.5, "lumi": 10}}}
    processor = AnomalyProcessor([Multiplicity()], regions=[ALL], columns=True)
    output = plain(fileset, processor)
    assert total(output) == pytest.approx(5000 * 50 / 200)
    assert plain.accounting["x"].files_read == 2


class Quarter(AnomalyProcessor):
    """Cuts events before the processor sees them."""

    def process(self, events: Any) -> Any:
        return super().process(events[events.event % 4 == 0])


def test_events_that_were_cut_before_are_not_events_that_a_reader_left_out(
    tmp_path: Path, executor: Any
) -> None:
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    path = plain_csv(tmp_path / "x.csv", 100)
    for more, expected in (({"sum_weights": 100.0}, 5000 / 4), ({}, 25.0)):
        metadata = {"xsec": 0.5, "lumi": 10, **more}
        fileset = {"x": {"files": [path], "metadata": metadata}}
        processor = Quarter([Multiplicity()], regions=[ALL], columns=True)
        output = HepRunner(executor, chunksize=20)(fileset, processor)
        assert total(output) == pytest.approx(expected)
    assert output["normalisation"]["x"].note == (
        "events were cut before their weights were counted: give sum_weights"
    )


def test_weights_that_sum_to_nothing_lose_nothing() -> None:
    found = tally({"xsec": 1.0, "lumi": 1.0}, np.array([1.0, -2.0]), events=2)
    one = normalisation(found)
    assert (one.kind, one.factor, one.note) == ("none", 1.0, "the sum of its weights is -1")


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (
            {"xsec": 1.0, "cross_section_pb": 1.0},
            r"data set 'x' has both cross_section_pb and xsec",
        ),
        ({"xsec": -1.0}, r"data set 'x': xsec is -1\.0, expected a number above 0"),
        ({"xsec": "1 pb"}, r"data set 'x': xsec is '1 pb', expected a number above 0"),
        ({"xsec": True}, r"xsec is True, expected a number above 0"),
        ({"lumi": 59740.0}, r"must be in 1/fb and looks like 1/pb"),
        ({"sum_weights": 1.0, "nevts": 2}, r"keep the sum of weights"),
    ],
)
def test_numbers_that_cannot_be(metadata: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        known(metadata, "x")


def test_runs_of_other_numbers_do_not_add_up() -> None:
    one = Normalisation("cross-section", 2.0)
    assert one + one == one
    with pytest.raises(OptionError, match="runs with different normalisations were added up"):
        one + Normalisation("cross-section", 3.0)
    assert known({"xsec": 0.5, "lumi": 139, "other": "x"}) == Known(0.5, 139.0)
