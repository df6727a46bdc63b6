from __future__ import annotations

import gc
import gzip
import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from contracts import hepmtp
from typer.testing import CliRunner

from hepmtp import __version__
from hepmtp.cli import app, main
from hepmtp.cli.chosen import options_of, wanted_luminosity
from hepmtp.datasets.manifest import embedded
from hepmtp.datasets.names import select
from hepmtp.detectors import load_detector
from hepmtp.errors import OptionError
from hepmtp.events.regions import REGIONS
from hepmtp.readers.formats import reader_for
from hepmtp.report.info import read_info
from hepmtp.report.tables import read_csv
from hepmtp.statistics.histogram_files import load
from hepmtp.tokenizers import load_tokenizer

pytestmark = pytest.mark.usefixtures("short_training")

COMMANDS = (
    "demo",
    "datasets",
    "fetch",
    "inspect",
    "convert",
    "train",
    "run",
    "compare",
    "report",
    "hepdata",
    "export",
    "tokenizer-report",
    "league",
)


def fails(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    """The one line that a command with wrong input ends with."""
    assert hepmtp(*words) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    return error


def test_the_entry_point_as_a_user_starts_it() -> None:
    command = Path(sys.executable).with_name("hepmtp")
    run = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert run.stdout == f"hepmtp {__version__}\n"
    run = subprocess.run(
        [command, "datasets", "--manifest", "no.yaml"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert run.stderr.startswith("error: no.yaml cannot be read as a manifest")
    assert len(run.stderr.splitlines()) == 1
    run = subprocess.run(
        [command, "datasets", "--manifest", "no.yaml", "--debug"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert "Traceback" in run.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_has_an_example(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"], prog_name="hepmtp")
    assert result.exit_code == 0
    assert f"Example: hepmtp {command}" in " ".join(result.output.split())


def test_unused_objects_are_looked_for_less_often_in_a_command_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inside: list[int] = []
    monkeypatch.setattr("hepmtp.cli.app", lambda *_, **__: inside.append(gc.get_threshold()[0]))
    before = gc.get_threshold()
    main(["--version"])
    assert inside == [10_000]
    assert gc.get_threshold() == before


def test_the_commands_are_listed() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    listed = [
        line.split()[1]
        for line in result.output.partition("─ Commands ")[2].splitlines()
        if line.startswith("│ ")
    ]
    assert [one for one in listed if one in COMMANDS] == list(COMMANDS)


@pytest.mark.parametrize("words", [["nothing"], ["datasets", "--nothing"], ["train"]])
def test_wrong_words_end_with_code_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert hepmtp(*words) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_an_unexpected_error_ends_with_code_1_and_no_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hepmtp.datasets.manifest.load_manifest", None)
    assert hepmtp("datasets") == 1
    assert capsys.readouterr().err.startswith("error: unexpected TypeError")
    with pytest.raises(TypeError, match="not callable"):
        main(["datasets", "--debug"])


def test_datasets_lists_the_embedded_sample_and_the_records(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert hepmtp("datasets") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["ttbarW", "background", "10522", "0.722", "139", "hepmtp", "simulation"] in lines
    assert ["fourtops-4top", "signal", "152000", "zenodo.7277951"] in lines


def test_datasets_sees_what_was_downloaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "4top.csv").write_text("")
    assert hepmtp("datasets", "--folder", tmp_path) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["fourtops-4top", "signal", "152000", "here"] in lines


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Path:
    """The first 1500 events of two backgrounds and a signal."""
    folder = tmp_path_factory.mktemp("files")
    for name in ("ttbarZ", "ttbarHiggs", "4top"):
        with gzip.open(sample / f"{name}.csv.gz", "rt") as file:
            (folder / f"{name}.csv").write_text("".join(itertools.islice(file, 1500)))
    return folder


@pytest.fixture(scope="module")
def detectors(files: Path) -> Path:
    """What `hepmtp train` writes."""
    folder = files / "detectors"
    assert (
        hepmtp(
            "train", files / "ttbarZ.csv", files / "ttbarHiggs.csv", "--epochs", "1", "-o", folder
        )
        == 0
    )
    return folder


@pytest.fixture(scope="module")
def results(files: Path, detectors: Path) -> Path:
    """What `hepmtp run` writes."""
    folder = files / "results"
    names = [files / f"{name}.csv" for name in ("ttbarZ", "ttbarHiggs", "4top")]
    assert hepmtp("run", *names, "-d", detectors, "-o", folder, "--executor", "iterative") == 0
    return folder


@pytest.mark.parametrize("ending", ["root", "parquet"])
def test_convert(
    files: Path, tmp_path: Path, ending: str, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / f"ttbarZ.{ending}"
    assert hepmtp("convert", files / "ttbarZ.csv", target) == 0
    assert capsys.readouterr().out == f"{target}: 1500 events\n"
    assert reader_for(str(target)).num_events(str(target)) == 1500


def test_convert_stops_at_a_bad_line_unless_told_to_skip_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("1;x;1;2000;0.1;j,60000,50000,0.1,1.0;\n2;x;1;2000;0.1;q,60000,50000,0.1,1.0;\n")
    assert "bad.csv line 2" in fails(capsys, "convert", bad, tmp_path / "bad.root")
    assert not (tmp_path / "bad.root").exists()
    assert hepmtp("convert", bad, tmp_path / "bad.root", "--skip-bad") == 0
    assert capsys.readouterr().out.endswith("bad.root: 1 events\n")


def test_train_writes_every_detector(detectors: Path) -> None:
    names = {"anomaly", "masked_token", "masked_token_calibrated", "token_rarity"}
    names |= {"multiplicity", "n_jets", "n_b", "ht", "met", "observables"}
    assert {folder.name for folder in detectors.iterdir()} == names | {"detectors.json"}
    assert all(load_detector(detectors / name).name == name for name in names)


def test_signal_does_not_train(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = fails(capsys, "train", files / "4top.csv", "-o", tmp_path / "detectors")
    assert "'4top' with role 'signal': only background may be fitted on" in error
    error = fails(
        capsys,
        "train",
        files / "ttbarZ.csv",
        f"x:signal={files / '4top.csv'}",
        "-o",
        tmp_path / "detectors",
    )
    assert "only background may be fitted on" in error
    assert not (tmp_path / "detectors").exists()


def test_run_writes_a_run_that_can_be_reported(results: Path) -> None:
    assert {"run.json", "histograms.json", "cutflow.json", "report.html"} <= {
        path.name for path in results.iterdir()
    }
    info = read_info(results)
    assert (info.detector, info.background, info.signals) == (
        "anomaly",
        ["ttbarZ", "ttbarHiggs"],
        ["4top"],
    )
    assert "your own files" in info.note
    cutflow = json.loads((results / "cutflow.json").read_text())
    assert set(cutflow) == {"ttbarZ", "ttbarHiggs", "4top"}
    # 30 % of 1500 events of what trained, each weighted with 1 / 0.3; all events of a signal
    assert abs(cutflow["ttbarZ"]["all"]["raw"] - 450) < 5 * np.sqrt(1500 * 0.3 * 0.7)
    assert cutflow["ttbarZ"]["all"]["sumw"] == pytest.approx(
        cutflow["ttbarZ"]["all"]["raw"] * 0.0789456 / 0.3
    )
    assert cutflow["4top"]["all"]["raw"] == 1500
    assert cutflow["4top"]["all"]["sumw"] == pytest.approx(1500 * 0.00790155)
    assert (results / "report.html").read_text().startswith("<!")


def test_converted_files_in_many_chunks_give_the_same_counts(
    files: Path, detectors: Path, results: Path, tmp_path: Path, undrawn: None
) -> None:
    assert hepmtp("convert", files / "4top.csv", tmp_path / "4top.root") == 0
    names = [files / "ttbarZ.csv", f"ttbarHiggs={files / 'ttbarHiggs.csv'}", tmp_path / "4top.root"]
    assert hepmtp("run", *names, "-d", detectors, "-o", tmp_path / "run", "--chunksize", "800") == 0
    ours, others = (
        json.loads((folder / "cutflow.json").read_text()) for folder in (tmp_path / "run", results)
    )
    assert {n: {r: c["raw"] for r, c in one.items()} for n, one in ours.items()} == {
        n: {r: c["raw"] for r, c in one.items()} for n, one in others.items()
    }


def test_run_takes_single_detectors_and_forms(
    files: Path, detectors: Path, tmp_path: Path, undrawn: None
) -> None:
    words = [
        "-d",
        detectors / "ht",
        "-d",
        f"{detectors / 'masked_token'}#mean",
        "--executor",
        "iterative",
    ]
    assert hepmtp("run", files / "ttbarZ.csv", *words, "-o", tmp_path / "run") == 0
    filled = load(tmp_path / "run" / "histograms.json")
    assert sorted(filled) == ["ht", "masked_token_mean", "n_b", "n_jets"]
    assert read_info(tmp_path / "run").detector in {"ht", "masked_token_mean"}


def test_run_takes_filesets_and_lists_of_files(
    files: Path, detectors: Path, results: Path, tmp_path: Path, undrawn: None
) -> None:
    content = {
        "ttbarZ": {"files": {str(files / "ttbarZ.csv"): None}, "metadata": {"isMC": True}},
        "4top": {"files": [str(files / "4top.csv")], "metadata": {"role": "signal"}},
    }
    packed = tmp_path / "year=2018" / "all.json.gz"
    packed.parent.mkdir()
    packed.write_bytes(gzip.compress(json.dumps(content).encode()))
    listed = tmp_path / "list.txt"
    listed.write_text(f"# one path a line\n{files / 'ttbarHiggs.csv'}\n")
    words = ("--files", f"ttbarHiggs={listed}", "-d", detectors, "-o", tmp_path / "run")
    assert hepmtp("run", packed, *words) == 0
    ours, others = (
        json.loads((folder / "cutflow.json").read_text()) for folder in (tmp_path / "run", results)
    )
    assert {name: one["all"]["raw"] for name, one in ours.items()} == {
        name: one["all"]["raw"] for name, one in others.items()
    }
    info = read_info(tmp_path / "run")
    assert (sorted(info.background), info.signals) == (["ttbarHiggs", "ttbarZ"], ["4top"])


def test_readers_options_and_bad_lines_of_run_and_train(
    files: Path, detectors: Path, tmp_path: Path, undrawn: None, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "ttbarZ"  # without an ending, and with a bad line
    lines = (files / "ttbarZ.csv").read_text().splitlines(keepends=True)
    bad.write_text("".join([lines[0], "2;x;1;2000;0.1;q,60000,50000,0.1,1.0;\n", *lines[1:]]))
    reader = ("--reader", "hepmtp:DarkMachinesCSV")
    run = ("run", bad, *reader, "-d", detectors / "ht", "-o", tmp_path / "run")
    train = ("train", bad, *reader, "--epochs", "1", "-o", tmp_path / "detectors")
    for words in (run, train):
        assert "line 2: particle 1 has the label 'q'" in fails_at_last(capsys, *words)
        for skip in (("--skip-bad",), ("--option", "on_bad=skip", "--overwrite")):
            assert hepmtp(*words, *skip) == 0
            capsys.readouterr()
    assert "option on_bad is 'no'" in fails_at_last(
        capsys, *run, "--overwrite", "--option", "on_bad=no"
    )
    assert "has no option 'nothing'" in fails_at_last(
        capsys, *run, "--overwrite", "--option", "nothing=1"
    )


def fails_at_last(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    """The line that a command with wrong input ends with, whatever it said before."""
    assert hepmtp(*words) == 2
    return capsys.readouterr().err.splitlines()[-1]


def test_the_luminosity_of_a_run_is_that_of_its_simulation() -> None:
    chosen = select(["ttbarW", "d:data=a.csv"], embedded())
    assert wanted_luminosity(chosen, None) is None
    assert wanted_luminosity(chosen, 300.0) == 300.0
    with pytest.raises(OptionError, match=r"--luminosity 300: x have no cross-section"):
        wanted_luminosity(select(["x:signal=a.csv"], ()), 300.0)
    with pytest.raises(OptionError, match=r"looks like 1/pb"):
        wanted_luminosity(chosen, 59740.0)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("x=false", False),
        ("x=FALSE", False),
        ("x=True", True),
        ("x=none", None),
        ("x=3", 3),
        ("x=0.5", 0.5),
        ("x=30,2.4", (30, 2.4)),
        ("x=jets=JetPUPPI,photons=none", "jets=JetPUPPI,photons=none"),
        ("x={1}", "{1}"),
        ("x=", ""),
    ],
)
def test_values_of_options(word: str, value: object) -> None:
    found = options_of([word])["x"]
    assert (found, type(found)) == (value, type(value))


def test_words_that_are_no_option() -> None:
    with pytest.raises(OptionError, match=r"--option x: expected KEY=VALUE, for instance"):
        options_of(["x"])
    with pytest.raises(OptionError, match=r"--option x is given twice: keep one"):
        options_of(["x=1", "x=2"])


def test_compare_prints_and_writes_what_passes(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        hepmtp(
            "compare",
            results,
            "--regions",
            "SR",
            "CR",
            "--detector",
            "ht",
            "--threshold-quantile",
            "0.9",
        )
        == 0
    )
    out = capsys.readouterr().out
    assert out.startswith("background, shape in SR against CR: chi2 / ndof = ")
    assert "90 % of CR background below" in out
    rows = read_csv(results / "ht-SR-CR.csv")
    assert [(row["detector"], row["region"], row["signal"]) for row in rows] == [
        ("ht", "SR", "4top")
    ] * 2
    assert [row["rule"][:4] for row in rows] == ["90 %", "best"]
    assert (results / "figures" / "ht-SR-CR.png").is_file()


def test_compare_names_what_is_unknown(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "no score 'mass'; it has anomaly, ht, masked_token" in fails(
        capsys, "compare", results, "--detector", "mass"
    )
    assert "no region XX; it has CR" in fails(capsys, "compare", results, "--regions", "SR", "XX")
    assert f"it has {', '.join(sorted(one.name for one in REGIONS))}" in fails(
        capsys, "compare", results, "--regions", "tight", "loose"
    )
    assert "not a finished run" in fails(capsys, "compare", tmp_path)
    assert "quantile 2.0 is not between 0 and 1" in fails(
        capsys, "compare", results, "--threshold-quantile", "2"
    )


def test_compare_takes_its_regions_from_the_run(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert hepmtp("compare", results, "--detector", "n_b", "--threshold-quantile", "0.9") == 0
    assert capsys.readouterr().out.startswith("background, shape in SR against CR: ")
    assert (results / "n_b-SR-CR.csv").is_file()
    content = json.loads((results / "run.json").read_text())
    content["regions"] = [[*one[:3], "", *one[4:]] for one in content["regions"]]
    del content["sha256"], content["outputs"]
    (tmp_path / "run.json").write_text(json.dumps(content))
    (tmp_path / "histograms.json").write_bytes((results / "histograms.json").read_bytes())
    error = fails(capsys, "compare", tmp_path)
    assert "no signal and control region: name two of preselection, CR, VR, SR, ttW+" in error


def test_report_makes_the_page_again(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = results / "report.html"
    before = page.read_text()
    page.unlink()
    assert hepmtp("report", results) == 0
    assert capsys.readouterr().out.strip() == str(page)
    assert page.read_text() == before
    assert "not a finished run" in fails(capsys, "report", tmp_path)


def test_tokenizer_report_of_what_was_saved(
    files: Path, detectors: Path, tmp_path: Path, undrawn: None, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [files / "ttbarZ.csv", files / "ttbarHiggs.csv", files / "4top.csv"]
    words = ["tokenizer-report", detectors / "masked_token", *names, "--max-events", "200"]
    assert hepmtp(*words, "-o", tmp_path / "report") == 0
    out = capsys.readouterr().out
    assert out.startswith("# Tokenizer report: masked_token\n")
    assert out.endswith(f"{tmp_path / 'report' / 'report.md'}\n")
    assert {path.name for path in (tmp_path / "report").iterdir()} == {
        "figures",
        "report.json",
        "report.md",
    }
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert (report["name"], report["n_events"], report["vocab_size"]) == ("masked_token", 200, 360)
    assert [(one["signal"], one["classifier"]) for one in report["separations"]] == [
        ("4top", "trees")
    ]
    assert load_tokenizer(detectors / "masked_token" / "tokenizer").vocab_size == 360


def test_tokenizer_report_fits_what_is_named(files: Path, tmp_path: Path) -> None:
    assert hepmtp("tokenizer-report", "met3", files / "ttbarZ.csv", "-o", tmp_path / "report") == 0
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert (report["name"], report["vocab_size"], report["separations"]) == ("met3", 878, [])


def test_tokenizer_report_names_what_is_wrong(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def error(*words: str | Path) -> str:
        return fails(capsys, "tokenizer-report", *words, "-o", tmp_path / "report")

    assert "'nothing' is neither the folder of a saved tokenizer" in error(
        "nothing", files / "ttbarZ.csv"
    )
    assert "no data set with role background among 4top: a tokenizer is" in error(
        "met3", files / "4top.csv"
    )
    assert "classifiers ['oracle'] are unknown" in error(
        "met3", files / "ttbarZ.csv", "--classifier", "oracle"
    )
    assert not (tmp_path / "report").exists()


def test_league_on_files_of_your_own(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    published = tmp_path / "published.csv"
    published.write_text("Signal,Model,Chan,AUC,1e-2,1e-3,1e-4\n4top,paper,3,0.999,0.9,0.5,0.1\n")
    names = [files / "ttbarZ.csv", files / "ttbarHiggs.csv", files / "4top.csv"]
    words = ["--only", "ht", "--only", "multiplicity", "--add", "rare=hepmtp:TokenRarity"]
    words += [
        "--region",
        "preselection",
        "--seeds",
        "2",
        "--against",
        "ht",
        "--published",
        str(published),
    ]
    assert hepmtp("league", *names, *words, "-o", tmp_path / "league") == 0
    out = capsys.readouterr().out
    assert "4top, preselection: " in out
    assert "4top: multiplicity in preselection (AUC 0." in out
    assert "would be number 2 of 2 in channel 3, whose best is paper (0.999)" in out
    assert out.endswith(f"{tmp_path / 'league' / 'league.md'}\n")
    rows = read_csv(tmp_path / "league" / "league.csv")
    assert {(row["detector"], row["kind"], row["against"]) for row in rows} == {
        ("ht", "observable", ""),
        ("multiplicity", "observable", "ht"),
        ("rare", "background-only", "ht"),
    }
    assert (tmp_path / "league" / "figures" / "auc_4top_preselection.png").is_file()


def test_league_names_what_is_wrong(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = ("-o", tmp_path / "league")
    assert "entry 'nothing' is unknown" in fails(capsys, "league", "--only", "nothing", *output)
    assert "'nothing' is neither the folder" in fails(capsys, "league", "--add", "nothing", *output)
    assert "no.csv cannot be read" in fails(capsys, "league", "--published", "no.csv", *output)
    error = fails(capsys, "league", files / "ttbarZ.csv", "--only", "ht", *output)
    assert "no data set with role signal among ttbarZ" in error
    assert not (tmp_path / "league").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["convert", "no.csv", "x.root"], "no.csv does not exist"),
        (["convert", ".", "x.root"], ". is a folder; name the files in it"),
        (["train", "ttbarX"], "data set 'ttbarX' is unknown; there are ttbarZ, ttbarW"),
        (["train", "fourtops-ttbarW"], "download it from https://doi.org/10.5281/zenodo.7277951"),
        (["train", "no.csv"], "data set 'no': no file no.csv"),
        (["run", "ttbarW", "--detectors", "nowhere"], "nowhere cannot be read as a hepmtp folder"),
    ],
)
def test_wrong_input_ends_with_one_line(
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEPMTP_DATA", raising=False)
    assert message in fails(capsys, *words)
    assert list(tmp_path.iterdir()) == []
