"""A run as a submission to HEPData: what is in it is what is in the run's folder."""

from __future__ import annotations

import csv
import json
import os
import sys
import tarfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import yaml
from coffea.processor import accumulate

from hepmtp.cli import failures
from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import Dataset, embedded
from hepmtp.detectors import load_detector
from hepmtp.detectors.observables import Observable
from hepmtp.errors import OptionError, StorageError
from hepmtp.events.observables import n_jets
from hepmtp.events.record import with_metadata
from hepmtp.events.regions import CR, PRESELECTION, SR
from hepmtp.report.folder import write_run
from hepmtp.report.hepdata.rows import of_rows
from hepmtp.report.hepdata.submission import Written, write_hepdata
from hepmtp.report.hepdata.words import Numbers
from hepmtp.report.info import read_info, write_json
from hepmtp.report.numbers import load_histograms
from hepmtp.statistics import hepdata
from hepmtp.statistics.hepdata import (
    Column,
    Resource,
    Table,
    Uncertainty,
    pack,
    validate,
    write_submission,
)
from hepmtp.statistics.histograms import fill, spectrum, yields
from hepmtp.statistics.thresholds import threshold
from processors.anomaly import AnomalyProcessor

BACKGROUND = ["ttbarW", "ttbarZ"]
RUN2 = Dataset(name="run2", process="run2", role="data", label="Data 2022", files=("x.root",))
WORKSPACE = {
    "channels": [{"name": "SR", "samples": [{"name": "4top", "data": [1.0], "modifiers": []}]}],
    "observations": [{"name": "SR", "data": [3.0]}],
    "measurements": [{"name": "fit", "config": {"poi": "mu", "parameters": []}}],
    "version": "1.0.0",
}


@pytest.fixture(scope="module")
def events() -> dict[str, Any]:
    """1 500 events of two backgrounds and a signal, and 300 of data with weight 1."""
    known = {one.name: one for one in embedded()}
    found = {name: read([known[name]], stop=1500) for name in (*BACKGROUND, "4top")}
    data = ak.with_field(found["ttbarZ"][:300], np.ones(300), "weight")
    return found | {"run2": with_metadata(data, dataset="run2", role="data")}


@pytest.fixture(scope="module")
def output(events: dict[str, Any]) -> Any:
    """What a processor gives, with a variation in both directions and one of a single one."""
    detectors = [Observable(name).fit(events["ttbarW"]) for name in ("ht", "n_jets")]
    found = accumulate(
        [AnomalyProcessor(detectors, columns=True).process(one) for one in events.values()]
    )
    h = found["scores"]["ht"]
    for name in (*BACKGROUND, "4top"):
        for region in list(h.axes["region"]):
            content = spectrum(h, name, region)
            edges, centres = content.axes[0].edges, content.axes[0].centers
            places = [edges[0] - 1, *centres, edges[-1] + 1]
            for variation, factor in (("b_up", 1.2), ("b_down", 0.9), ("scale_up", 1.5)):
                fill(
                    h,
                    dataset=name,
                    region=region,
                    score=places,
                    weight=factor * content.values(flow=True),
                    variation=variation,
                )
    return found


@pytest.fixture(scope="module")
def run(output: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder with data, variations, a trained detector and a workspace."""
    known = {one.name: one for one in embedded()}
    folder = tmp_path_factory.mktemp("run")
    datasets = [*(known[name] for name in (*BACKGROUND, "4top")), RUN2]
    write_run(folder, output, datasets, command="hepmtp run", started=time.perf_counter())
    load_detector(Path(__file__).parent / "saved" / "ht").save(folder / "detector")
    (folder / "fit").mkdir()
    write_json(folder / "fit" / "workspace-4top-ht.json", WORKSPACE)
    (folder / "fit" / "limits.csv").write_text(
        "signal,score,z,z_error,limit_observed\n4top,ht,1.5,0.1,\n4top,n_jets,inf,,2.5\n"
    )
    return folder


@pytest.fixture(scope="module")
def written(run: Path) -> Written:
    return write_hepdata(run)


@pytest.fixture(scope="module")
def unpacked(written: Written, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("submission")
    return unpack(written.path, folder)


def unpack(path: Path, folder: Path) -> Path:
    with tarfile.open(path) as archive:
        archive.extractall(folder, filter="data")
    return folder


def documents(folder: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((folder / "submission.yaml").read_text()))


def table(folder: Path, name: str) -> dict[str, dict[str, Any]]:
    """Columns of a table by their name, with its description as "text"."""
    (found,) = (one for one in documents(folder) if one.get("name") == name)
    content = yaml.safe_load((folder / found["data_file"]).read_text())
    columns = content["independent_variables"] + content["dependent_variables"]
    return {one["header"]["name"]: one for one in columns} | {"text": found["description"]}


def numbers(column: dict[str, Any]) -> list[float]:
    return [one["value"] for one in column["values"]]


def errors(column: dict[str, Any], label: str) -> list[Any]:
    return [
        one.get("symerror", one.get("asymerror"))
        for value in column["values"]
        for one in value.get("errors", [])
        if one["label"] == label
    ]


def test_the_archive_is_a_valid_submission_of_all_tables(unpacked: Path, written: Written) -> None:
    validate(unpacked)
    first, *tables = documents(unpacked)
    assert tuple(one["name"] for one in tables) == written.tables
    assert "hepmtp simulation" in first["comment"]
    assert "SR: $\\geq 6$ jets, $\\geq 2$ b, $H_T > 500$ GeV" in first["comment"]
    assert first["data_license"]["name"] == "CC0"
    assert written.remarks == ()
    wanted = {"Yields", "Raw events", "Cutflow of SR", "Separation", "Selection", "Observed"}
    wanted |= {f"{name} in {one}" for name in ("ht", "n_jets") for one in ("CR", "SR", "ttW+")}
    wanted |= {f"Efficiency of 4top in SR by {name}" for name in ("ht", "n_jets")} | {"Limits"}
    assert wanted <= set(written.tables)
    assert not any("MET0" in name for name in written.tables)
    assert (
        tables[0]["keywords"][-1] == {"name": "cmenergies", "values": [13000]}
        or (read_info(written.path.parent).caption or {}).get("energy") is None
    )


def test_a_histogram_is_that_of_the_run(unpacked: Path, run: Path) -> None:
    h = load_histograms(run)["ht"]
    found = table(unpacked, "ht in SR")
    assert found["$H_T$"]["header"]["units"] == "GeV"
    edges = found["$H_T$"]["values"]
    assert all(one["low"] < one["high"] for one in edges)
    for name, members in (("ttbarW", "ttbarW"), ("Total background", BACKGROUND), ("4top", "4top")):
        expected = yields(h, members, "SR")
        assert sum(numbers(found[name])) == pytest.approx(expected.value, rel=1e-6)
        square = sum(one**2 for one in errors(found[name], "stat"))
        assert square == pytest.approx(expected.error**2, rel=1e-6)
    assert found["ttbarW"]["qualifiers"][0] == {"name": "Region", "value": "SR"}
    counted = table(unpacked, "n_jets in SR")
    jets = numbers(counted["number of jets"])
    assert jets == list(range(6, 6 + len(jets)))  # edges are -0.5 + 21 * k / 21, nearly


def test_variations_are_errors_of_the_sum_and_of_signals(unpacked: Path, run: Path) -> None:
    found = table(unpacked, "ht in SR")
    assert "one for each variation" in found["text"]
    for name in ("Total background", "4top"):
        filled = [one for one in found[name]["values"] if one["value"]]
        both, mirrored = (errors({"values": filled}, f"sys,{one}") for one in ("b", "scale"))
        for one, b, scale in zip(filled, both, mirrored, strict=True):
            assert b["plus"] == pytest.approx(0.2 * one["value"], rel=1e-6)
            assert b["minus"] == pytest.approx(-0.1 * one["value"], rel=1e-6)
            assert scale == pytest.approx(0.5 * one["value"], rel=1e-6)
    assert errors(found["ttbarW"], "sys,b") == []
    assert "variations.zip" in {one["location"] for one in documents(unpacked)[0][
        "additional_resources"]}  # fmt: skip
    assert {"histograms.json"} & {path.name for path in unpacked.iterdir()} == set()


def test_blind_data_are_nowhere(unpacked: Path, run: Path, output: Any) -> None:
    info = read_info(run)
    assert {"SR", "preselection"} <= set(info.blind)
    shown, hidden = table(unpacked, "ht in CR"), table(unpacked, "ht in SR")
    assert "Data" not in hidden
    assert "Data are blind here." in hidden["text"]
    raw = output["cutflow"]["run2"]
    assert sum(numbers(shown["Data"])) == raw["CR"]["raw"] > 0
    (one, *_) = (i for i, value in enumerate(numbers(shown["Data"])) if value == 1)
    error = shown["Data"]["values"][one]["errors"][0]["asymerror"]
    assert error["minus"] == pytest.approx(-0.8272, abs=1e-4)  # Garwood's interval of one event
    assert error["plus"] == pytest.approx(2.2995, abs=1e-4)
    found = table(unpacked, "Raw events")
    places = [one["value"] for one in found["Region"]["values"]]
    of = dict(zip(places, numbers(found["run2"]), strict=True))
    assert (of["SR"], of["CR"]) == ("-", raw["CR"]["raw"])
    assert "run2" not in table(unpacked, "Cutflow of SR")


def test_yields_are_those_of_the_cutflow(unpacked: Path, output: Any) -> None:
    found = table(unpacked, "Yields")
    regions = [one["value"] for one in found["Region"]["values"]]
    assert regions[:2] == ["all", "preselection"]
    at = regions.index("SR")
    count = output["cutflow"]["ttbarZ"]["SR"]
    value = found["ttbarZ"]["values"][at]
    assert value["value"] == pytest.approx(count["sumw"], rel=1e-6)
    assert value["errors"][0]["symerror"] == pytest.approx(count["sumw2"] ** 0.5, rel=1e-6)
    cuts = table(unpacked, "Cutflow of SR")
    assert [one["value"] for one in cuts["Cut"]["values"]] == [one.name for one in SR.cuts]
    assert numbers(cuts["ttbarZ"])[-1] == value["value"]


def test_efficiencies_are_shares_of_events(
    unpacked: Path, run: Path, events: dict[str, Any]
) -> None:
    signal = events["4top"]
    inside, every, jets = SR.select(signal), PRESELECTION.select(signal), n_jets(signal)
    h = load_histograms(run)["ht"]
    cut = threshold(h, background=BACKGROUND, region=CR.name)
    above = inside & (Observable("ht").score(signal) >= cut.value)
    weight = np.asarray(signal.weight)
    found = table(unpacked, "Efficiency of 4top in SR by n_jets")
    (second,) = (name for name in found if name.startswith("ht above"))
    rows = dict(zip(numbers(found["number of jets"]), range(99), strict=False))
    for k in (5, 6, 7, 8):
        of = {
            "SR / preselection": (inside, every),
            second: (above, inside),
        }
        for name, (part, whole) in of.items():
            value = found[name]["values"][rows[k]]
            here = jets == k
            if not (here & whole).any():
                assert value == {"value": "-"}
                continue
            share = weight[here & part].sum() / weight[here & whole].sum()
            assert value["value"] == pytest.approx(share, rel=1e-6, abs=1e-12)
            assert 0 < value["errors"][0]["symerror"] < 0.5
    assert "99 % of the background of CR" in found["text"]


def test_files_beside_the_tables(unpacked: Path, run: Path, tmp_path: Path) -> None:
    beside = {one["location"]: one for one in documents(unpacked)[0]["additional_resources"]}
    assert beside["workspace-4top-ht.json"]["type"] == "HistFactory"
    assert json.loads((unpacked / "workspace-4top-ht.json").read_text()) == WORKSPACE
    size = (unpacked / "detector.tar.gz").stat().st_size
    assert f"({size} bytes, sha256 " in beside["detector.tar.gz"]["description"]
    detector = load_detector(unpack(unpacked / "detector.tar.gz", tmp_path) / "detector")
    assert detector.name == "ht"
    path = unpacked / "variations.zip"
    assert path.read_bytes() == (run / "variations.zip").read_bytes()


def test_tables_of_the_run_are_taken_with_their_errors(unpacked: Path, run: Path) -> None:
    with (run / "performance.csv").open() as file:
        rows = list(csv.DictReader(file))
    found = table(unpacked, "Separation")
    value = found["AUC, balanced"]["values"][0]
    assert value["value"] == pytest.approx(float(rows[0]["auc_balanced"]), rel=1e-6)
    error = value["errors"][0]["symerror"]
    assert error == pytest.approx(float(rows[0]["auc_balanced_error"]), rel=1e-6)
    limits = table(unpacked, "Limits")
    assert numbers(limits["score"]) == ["ht", "n_jets"]
    assert limits["significance"]["values"] == [
        {"value": 1.5, "errors": [{"label": "stat", "symerror": 0.1}]},
        {"value": "-"},
    ]
    assert numbers(limits["observed limit"]) == ["-", 2.5]


def test_the_same_run_gives_the_same_bytes(run: Path, written: Written, tmp_path: Path) -> None:
    before = set(Path.cwd().iterdir())
    again = write_hepdata(run, tmp_path / "again.tar.gz")
    assert again.path.read_bytes() == written.path.read_bytes()
    assert set(Path.cwd().iterdir()) == before
    assert [path.name for path in tmp_path.iterdir()] == ["again.tar.gz"]


def test_a_bare_run_says_what_is_missing(run: Path, tmp_path: Path) -> None:
    """No cuts, columns, variations, detector or fit; no number of jets; and not all was read."""
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("histograms.json", "cutflow.json"):
        bare.joinpath(name).write_bytes((run / name).read_bytes())
    lost = "one.csv was not read."
    content = json.loads((bare / "histograms.json").read_text())
    del content["histograms"]["n_jets"]
    (bare / "histograms.json").write_text(json.dumps(content))
    write_json(bare / "run.json", asdict(replace(read_info(run), incomplete=[lost], outputs={})))
    found = write_hepdata(bare)
    folder = unpack(found.path, tmp_path / "files")
    assert found.remarks == (
        lost,
        "There are no efficiencies of the threshold: the run kept no scores event by event.",
        "There are no efficiencies by n_jets: the run did not fill it.",
        f"There is no workspace: hepmtp fit {bare} writes it.",
        f"There is no trained detector in {bare}, so the submission has none.",
    )
    assert found.files == ("histograms.json",)
    assert f"This run is incomplete. {lost}" in documents(folder)[0]["comment"]
    assert all("The run is incomplete." in one["description"] for one in documents(folder)[1:])
    assert "Cutflow of SR" not in found.tables


def test_the_command_writes_tables_of_one_score(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from hepmtp.cli import main  # noqa: PLC0415 (typer only here)

    path = tmp_path / "one.tar.gz"
    with pytest.raises(SystemExit, match="0"):
        main(["hepdata", str(run), "--score", "n_jets", "--output", str(path)])
    *_, count, last = capsys.readouterr().out.splitlines()
    assert last == str(path)
    assert count.endswith("files: workspace-4top-ht.json, variations.zip, detector.tar.gz")
    names = [one.get("name", "") for one in documents(unpack(path, tmp_path / "files"))]
    assert "n_jets in SR" in names
    assert "ht in SR" not in names
    with pytest.raises(SystemExit, match="2"):
        main(["hepdata", str(run), "--score", "mass"])
    assert "has no score mass; it has ht" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["hepdata", str(tmp_path)])
    assert "is not a finished run" in capsys.readouterr().err


PLAIN = Table("Yields", "Events.", [Column("Region", ["SR"])], [Column("ttW", [54.3])])


def test_what_the_validator_refuses_is_not_written(tmp_path: Path) -> None:
    wrong = PLAIN._replace(keywords={"colour": ["red"]})
    with pytest.raises(
        StorageError, match=r"hepdata-validator refuses .*submission.yaml: .*colour"
    ):
        write_submission(tmp_path / "x.tar.gz", [wrong], comment="x")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_submission_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.tar.gz"
    with pytest.raises(OptionError, match=r"a name that ends in .tar.gz"):
        write_submission(tmp_path / "x.zip", [PLAIN], comment="x")
    with pytest.raises(OptionError, match="without tables"):
        write_submission(path, [], comment="x")
    with pytest.raises(OptionError, match="of one length, found Region: 1, ttW: 2"):
        write_submission(path, [PLAIN._replace(dependent=[Column("ttW", [1, 2])])], comment="x")
    with pytest.raises(OptionError, match="columns of both kinds"):
        write_submission(path, [PLAIN._replace(independent=[])], comment="x")
    file = tmp_path / "a.json"
    file.write_text("{}")
    twice = [Resource(file, "a"), Resource(tmp_path / "b" / "a.json", "b")]
    with pytest.raises(OptionError, match=r"two files are named a.json"):
        write_submission(path, [PLAIN], comment="x", resources=twice)
    monkeypatch.setattr(hepdata, "LARGEST_FILE", 1)
    with pytest.raises(OptionError, match=r"a.json has .* MB; HEPData takes"):
        write_submission(path, [PLAIN], comment="x", resources=[Resource(file, "a")])
    assert not path.exists()


def test_names_that_hepdata_does_not_take_are_cut(tmp_path: Path) -> None:
    long = "x" * 70
    tables = [PLAIN._replace(name=name) for name in (long, long, "a/b", "A-B")]
    path = write_submission(tmp_path / "x.tar.gz", tables, comment="x")
    names = [one["name"] for one in documents(unpack(path, tmp_path / "files"))[1:]]
    assert names == [long[:64], f"{long[:60]} (2)", "a-b", "A-B (2)"]


def test_an_uncertainty_may_be_missing_in_a_row(tmp_path: Path) -> None:
    columns = [Column("n", [1, "-"], "", [Uncertainty("stat", [0.5, None])])]
    two = PLAIN._replace(independent=[Column("x", [(0, 1), (1, 2)], "GeV")], dependent=columns)
    path = write_submission(tmp_path / "x.tar.gz", [two], comment="x")
    found = table(unpack(path, tmp_path / "files"), "Yields")
    assert found["x"]["values"] == [{"low": 0, "high": 1}, {"low": 1, "high": 2}]
    assert found["n"]["values"] == [
        {"value": 1, "errors": [{"label": "stat", "symerror": 0.5}]},
        {"value": "-"},
    ]


def test_without_the_libraries_it_is_said_what_to_install(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("hepdata_lib", "hepdata_validator"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, name, None)
            advice = rf'{name} is not installed: run pip install "hepmtp\[hepdata\]"'
            with pytest.raises(OptionError, match=advice) as found:
                write_hepdata(run)
            assert failures.told(found.value)[1] == failures.WRONG


def test_a_packed_folder_names_no_owner_and_no_time(tmp_path: Path) -> None:
    folder = tmp_path / "detector"
    folder.mkdir()
    folder.joinpath("a").write_text("1")
    first = pack(tmp_path / "x.tar.gz", [folder]).read_bytes()
    os.utime(folder / "a", (0, 0))
    assert pack(tmp_path / "y.tar.gz", [folder]).read_bytes() == first
    with tarfile.open(tmp_path / "x.tar.gz") as archive:
        found = [(one.name, one.uname, one.uid, one.mtime) for one in archive]
    assert found == [("detector", "", 0, 0), ("detector/a", "", 0, 0)]


def test_a_column_without_anything_is_left_out(run: Path) -> None:
    rows = [{"signal": "4top", "n": "3", "n_error": "1", "z": ""}]
    words = {"n": "events"}
    found = of_rows(Numbers(read_info(run)), "A", "B.", rows, titles=words, label="total")
    assert [one.name for one in found.independent] == ["signal"]
    assert found.dependent == [Column("events", [3.0], "", [Uncertainty("total", [1.0])])]
