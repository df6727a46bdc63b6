"""What a file is: every format told by its bytes, and a clear word where nothing takes it."""

from __future__ import annotations

import gzip
import itertools
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import uproot
from contracts import hepmtp

from hepmtp.errors import ReadError
from hepmtp.readers.convert import convert
from hepmtp.readers.formats import load_reader, reader_name
from hepmtp.readers.inspect_file import (
    Inspection,
    Multiplicity,
    Spread,
    Weights,
    inspect,
    summary,
    to_json,
)

LINES = [
    "1;ttbarW;0.5;20000;1.5;b,60000,50000,0.1,-2.5;j,40000,30000,0.1,-2.5;",
    "2;ttbarW;-0.25;30000;1.5;",
    "3;4top;1;10000;1.5;e+,80000,70000,0.1,-2.5;g,20000,10000,0.1,-2.5;b,60000,40000,0.1,-2.5;",
]


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def fourtops(path: Path, scale: float = 1.0) -> Path:
    """Two jets and an electron, and a b-jet; natural logarithms of MeV times `scale`."""
    rows = np.zeros((2, 92))
    rows[:, 18:20] = np.log(80e3 * scale), 1.0
    for row, ids in zip(rows, ([1, 1, 3], [2]), strict=True):
        row[: len(ids)] = ids
        for i in range(len(ids)):
            row[20 + 4 * i : 24 + 4 * i] = np.log(90e3 * scale), np.log(60e3 * scale), 0.5, -1
    with h5py.File(path, "w") as file:
        file["X_train"], file["Y_train"] = rows, [1, 3]
    return path


def test_numbers_written_out(tmp_path: Path) -> None:
    found = inspect(write(tmp_path / "some.txt", LINES))  # the name does not matter
    assert found == Inspection(
        path=str(tmp_path / "some.txt"),
        size=sum(len(line) + 1 for line in LINES),
        format="Dark Machines CSV, layout challenge",
        reader="hepmtp:DarkMachinesCSV",
        options={},
        events=3,
        looked_at=3,
        processes={"ttbarW": 2, "4top": 1},
        multiplicity={
            "all": Multiplicity(0, 5 / 3, 3),
            "j": Multiplicity(0, 1 / 3, 1),
            "b": Multiplicity(0, 2 / 3, 1),
            "e+": Multiplicity(0, 1 / 3, 1),
            "g": Multiplicity(0, 1 / 3, 1),
        },
        units="MeV",
        units_from="the median of the highest pt of each event is 6e+04",
        pt=Spread(10, 40, 70),
        met=Spread(10, 20, 30),
        weights=Weights(1.25, -0.25, 1, 1 / 3),
        role=None,
        notes=("1 events have no particles",),
    )
    part = inspect(tmp_path / "some.txt", look_at=1)
    assert (part.events, part.looked_at, part.processes) == (3, 1, {"ttbarW": 1})
    assert ("events", "3; what follows is of the first 1") in summary(part)
    plain = json.loads(to_json(found))
    assert plain["multiplicity"]["all"] == {"min": 0, "mean": 5 / 3, "max": 3}
    assert plain["weights"]["negative"] == 1 / 3
    assert plain["notes"] == ["1 events have no particles"]


def test_every_format_that_convert_writes(sample: Path, tmp_path: Path) -> None:
    with gzip.open(sample / "ttbarZ.csv.gz", "rb") as file:
        data = b"".join(itertools.islice(file, 300))
    (tmp_path / "ttbarZ.csv.gz").write_bytes(gzip.compress(data))
    first = inspect(tmp_path / "ttbarZ.csv.gz")
    assert first.format == "Dark Machines CSV, layout challenge, gzipped"
    for name, rntuple, said in (
        ("a.root", False, "ROOT that hepmtp wrote"),
        ("b.root", True, "ROOT that hepmtp wrote"),
        ("c.parquet", False, "parquet that hepmtp wrote"),
        ("ttbarZ.csv", False, "Dark Machines CSV, layout challenge"),
    ):
        convert(tmp_path / "ttbarZ.csv.gz", tmp_path / name, rntuple=rntuple)
        (tmp_path / name).rename(tmp_path / "file.bin")
        found = inspect(tmp_path / "file.bin")
        assert found.format == said
        assert found.reader == reader_name(str(tmp_path / "file.bin"))
        assert found.units == ("MeV" if "CSV" in said else "GeV")
        for field in ("events", "multiplicity", "pt", "met", "weights", "notes"):
            assert getattr(found, field) == getattr(first, field)


def test_layouts_of_dark_machines(tmp_path: Path) -> None:
    lines = [
        "===1===",
        "0.5;20000;1.5;j,50000,0.1,-2.5;g30000,0,1;",
        "0.5;20000;1.5;g30000,0,1;",
        "2",
    ]
    found = inspect(write(tmp_path / "a.csv", lines))
    assert (found.format, found.events, found.processes) == (
        "Dark Machines CSV, layout generator",
        2,
        None,
    )
    found = inspect(write(tmp_path / "a.csv", ["1 1 3 0 0 0 0 0 0 ", "20000,1,50000,0.1,-2.5"]))
    assert (found.format, found.events) == ("Dark Machines CSV, layout fixed", 1)


def test_the_four_top_file_is_looked_at_without_options(tmp_path: Path) -> None:
    found = inspect(fourtops(tmp_path / "4tops.h5"))
    assert found.format == "four-top HDF5"
    assert found.options == {"scale": "log_mev", "lepton_order": "e+,e-,m+,m-"}
    assert found.processes == {"4top": 1, "ttbarW": 1}
    assert found.notes == ("the file does not say which lepton is which; shown as if e+,e-,m+,m-",)
    assert found.pt is not None
    assert found.pt.median == pytest.approx(60)
    load_reader(found.reader, **found.options).read(found.path)  # what it says can be used
    assert inspect(fourtops(tmp_path / "4tops.h5", 1e-3)).options["scale"] == "log_gev"
    order = {"lepton_order": "m+,m-,e+,e-"}
    assert "m+" in inspect(tmp_path / "4tops.h5", options=order).multiplicity
    assert inspect(tmp_path / "4tops.h5", options=order).notes == ()
    with pytest.raises(ReadError, match=r"they fit no known scale"):
        inspect(fourtops(tmp_path / "4tops.h5", 1e-9))
    with pytest.raises(ReadError, match=r"do not fit scale='raw_mev'"):
        inspect(fourtops(tmp_path / "4tops.h5"), options={"scale": "raw_mev"})


def test_energies_in_other_units_are_doubted(tmp_path: Path) -> None:
    lines = [
        line.replace("0000,", ".,").replace("0000;", ".;") for line in LINES
    ]  # 60000 MeV as 6. or 60: GeV
    found = inspect(
        write(
            tmp_path / "a.csv",
            [line.replace("6.,5.", "60,50").replace("8.,7.", "80,70") for line in lines],
        )
    )
    assert found.units == "GeV"
    assert found.notes[0].startswith(
        "the reader takes energies for MeV, but they look like GeV: the median of the"
    )
    rows = dict(summary(found))
    assert rows["units"].startswith("GeV in the file: the median of the highest pt")


@pytest.mark.parametrize(
    ("name", "layout", "events", "units"),
    [
        ("jets/QCDJets.root", "JetClass", 8084, "GeV"),
        ("real/coffea/delphes.root", "Delphes", 25, "GeV"),
        ("real/coffea/nano_dy.root", "NanoAOD", 40, "GeV"),
        ("real/coffea/PHYSLITE_example.root", "Physlite", 100, "MeV"),
    ],
)
def test_files_of_others(shared: Path, name: str, layout: str, events: int, units: str) -> None:
    found = inspect(shared / "data" / name, look_at=100)
    assert found.format == f"ROOT, layout {layout}"
    assert (found.events, found.units) == (events, units)
    assert found.processes == ({"QCD": 100} if layout == "JetClass" else None)


def test_a_file_without_events(shared: Path) -> None:
    found = inspect(shared / "data" / "real" / "coffea" / "nano_dy_empty.root")
    assert (found.events, found.multiplicity, found.weights, found.met) == (0, {}, None, None)
    assert ("units", "unknown in the file: no particles") in summary(found)


def test_unknown_files_are_refused(tmp_path: Path) -> None:
    for name, data, message in (
        (
            "a.csv",
            b"eventID,weight\n1,2\n",
            r"a\.csv is of no known kind: it begins with b'eventID,'; known are the files of",
        ),
        ("a.root", b"nothing at all", r"is of no known kind: it begins with b'nothing '"),
        (
            "a.csv.gz",
            gzip.compress(b"1;2;3;4;5;\n" * 999, mtime=0)[:30],
            r"the gzip data are damaged or cut short",
        ),
        (
            "a.csv.gz",
            gzip.compress(b"", mtime=0)[:10] + b"\xff" * 99,
            r"the gzip data are damaged or cut short",
        ),
        (
            "a.csv.gz",
            gzip.compress(b"hello\nworld\n", mtime=0),
            r"no known kind: it begins with b'hello\\nwo'; known are",
        ),
        (
            "a.root.gz",
            gzip.compress(b"root\0" + b";;\n" * 9, mtime=0),
            r"is a \.root file packed by gzip; only text is read as it is packed: unpack it first",
        ),
        ("b.root", b"root and then nothing", r"is not a ROOT file, or is cut short or damaged"),
        (
            "b.h5",
            b"\x89HDF\r\n\x1a\n and nothing",
            r"is not an HDF5 file, or is cut short or damaged",
        ),
        (
            "b.parquet",
            b"PAR1 and nothing",
            r"b\.parquet is not a parquet file, or is cut short or damaged",
        ),
        ("empty", b"", r"is empty: 0 bytes"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ReadError, match=message):
            inspect(tmp_path / name)
    with uproot.recreate(tmp_path / "puppi.root") as file:
        names = ("JetPUPPI.PT", "JetPUPPI.BTag", "MissingET.MET")
        file.mktree("Delphes", dict.fromkeys(names, "float64"))
    with pytest.raises(
        ReadError,
        match=r"Delphes needs Jet\.PT, Jet\.BTag too: if they have other names, give the reader "
        r"and its option names, jets=JetPUPPI say",
    ):
        inspect(tmp_path / "puppi.root")
    with pytest.raises(ReadError, match=r"nothing\.root does not exist"):
        inspect(tmp_path / "nothing.root")
    bad = write(tmp_path / "bad.csv", [*LINES, "1;p;x;2;3;"])
    with pytest.raises(
        ReadError,
        match=r"bad\.csv line 4: weight is 'x'.*; this was read by hepmtp:DarkMachinesCSV",
    ):
        inspect(bad)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "some.csv", LINES)
    assert hepmtp("inspect", path) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "format Dark Machines CSV, layout challenge" in lines
    assert "processes ttbarW 2, 4top 1" in lines
    assert "weights sum 1.25, from -0.25 to 1, 33.3 % negative" in lines
    assert "particles: b 0.667 an event, from 0 to 1" in lines
    assert hepmtp("inspect", path, "--json") == 0
    assert json.loads(capsys.readouterr().out) == json.loads(to_json(inspect(path)))
    assert (
        hepmtp(
            "inspect",
            fourtops(tmp_path / "4tops.h5"),
            "--option",
            "lepton_order=m+,m-,e+,e-",
            "--json",
        )
        == 0
    )
    assert json.loads(capsys.readouterr().out)["options"] == {
        "lepton_order": "m+,m-,e+,e-",
        "scale": "log_mev",
    }
    for words, error in (
        (["--option", "scale"], "error: --option scale: expected KEY=VALUE"),
        (["--option", "depth=3"], "error: hepmtp:DarkMachinesCSV has no option 'depth'"),
        (["--reader", "math:pi"], "error: 'math:pi' is not a reader"),
    ):
        assert hepmtp("inspect", path, *words) == 2
        assert capsys.readouterr().err.startswith(error)


GENERATOR = ["===1===", "0.5;20000;1.5;j,50000,0.1,-2.5;", "2"]  # two events are announced


@pytest.mark.parametrize("word", ["false", "False", "no", "0"])
def test_an_option_that_says_no_means_no(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], word: str
) -> None:
    path = write(tmp_path / "some.csv", GENERATOR)
    assert hepmtp("inspect", path) == 2
    assert "2" in capsys.readouterr().err
    assert hepmtp("inspect", path, "--option", f"check_count={word}", "--json") == 0
    assert json.loads(capsys.readouterr().out)["events"] == 1
    for yes in ("true", "YES", "1"):
        assert hepmtp("inspect", path, "--option", f"check_count={yes}") == 2
    capsys.readouterr()
    assert hepmtp("inspect", path, "--option", "check_count=off") == 2
    assert "option check_count is 'off', expected true or false" in capsys.readouterr().err


def test_units_that_are_told_are_the_units_that_are_said(tmp_path: Path) -> None:
    path = write(tmp_path / "some.csv", ["1;p;1;20;1.5;j,60,50,0.1,-2.5;"])
    found = inspect(path)
    assert (found.units, found.pt) == ("GeV", Spread(0.05, 0.05, 0.05))
    assert found.notes[0].startswith("the reader takes energies for MeV, but they look like")
    found = inspect(path, options={"units": "GeV"})
    assert (found.units, found.pt, found.met) == ("GeV", Spread(50, 50, 50), Spread(20, 20, 20))
    assert found.notes == ()


def test_convert_takes_any_reader(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = fourtops(tmp_path / "4tops.h5")
    assert hepmtp("convert", source, tmp_path / "4tops.root") == 2
    assert "scale must be given, one of log_mev" in capsys.readouterr().err
    assert not (tmp_path / "4tops.root").exists()
    options = ("--option", "scale=log_mev", "--option", "lepton_order=e+,e-,m+,m-")
    assert hepmtp("convert", source, tmp_path / "4tops.root", *options) == 0
    assert capsys.readouterr().out.endswith("4tops.root: 2 events\n")
    name = "hepmtp:FourTopsHDF5"
    words = ("--reader", name, *options, "--option", "process=ttbarW")
    assert hepmtp("convert", source, tmp_path / "ttbarW.csv", *words) == 0
    assert (tmp_path / "ttbarW.csv").read_text().startswith("1;ttbarW;1;79999.9999")
    # a name that says nothing is no hindrance
    write(tmp_path / "some.txt", LINES)
    assert hepmtp("convert", tmp_path / "some.txt", tmp_path / "some.parquet") == 0
    assert inspect(tmp_path / "some.parquet").events == 3
