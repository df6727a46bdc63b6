"""Convert: the same events, to the last bit, whatever the file format."""

from __future__ import annotations

import gzip
import itertools
import tracemalloc
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
from contracts import columns
from hypothesis import HealthCheck, given, settings, strategies as st

from hepmtp.errors import OptionError, ReadError
from hepmtp.events.particles import CONSTITUENT_TYPES
from hepmtp.events.record import make_events
from hepmtp.readers import Reader
from hepmtp.readers.convert import convert
from hepmtp.readers.darkmachines.reader import SKIP_BAD, DarkMachinesCSV
from hepmtp.readers.darkmachines.write import write_csv
from hepmtp.readers.formats import load_reader, reader_for
from hepmtp.readers.parquet import ParquetReader
from hepmtp.readers.root import RootReader, write_root


@pytest.fixture
def source(sample: Path, tmp_path: Path) -> Path:
    with gzip.open(sample / "4top.csv.gz", "rb") as file:
        data = b"".join(itertools.islice(file, 500))
    (tmp_path / "4top.csv.gz").write_bytes(gzip.compress(data))
    (tmp_path / "4top.csv").write_bytes(data)
    return tmp_path / "4top.csv"


def test_all_formats_hold_the_same_numbers(source: Path, tmp_path: Path) -> None:
    expected = columns(DarkMachinesCSV().read(str(source)))
    seen = []
    files = {"t/4top.root": False, "n/4top.root": True, "4top.parquet": False}
    for name, rntuple in files.items():
        for start in (source, source.with_suffix(".csv.gz")):
            n = convert(start, tmp_path / name, rntuple=rntuple, chunk=150, progress=seen.append)
            assert n == 500
            assert columns(reader_for(name).read(str(tmp_path / name))) == expected
    assert seen == [150, 150, 150, 50] * 6
    convert(tmp_path / "n" / "4top.root", tmp_path / "again.parquet", chunk=77)
    convert(tmp_path / "again.parquet", tmp_path / "again.root", chunk=33)
    assert (
        columns(RootReader().read(str(tmp_path / "again.root"))) == expected
    )  # the source is that of 4top.csv
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("4top.csv", "4top.csv.gz", "4top.parquet", "again.parquet", "again.root", "n", "t")
    ]


HUGGED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
particles = st.lists(
    st.tuples(
        st.sampled_from(["j", "b", "e+", "e-", "m+", "m-", "g"]),
        *[st.floats(0, 1e12) for _ in range(2)],
        st.floats(-10, 10),
        st.floats(-3.14, 3.14),
    ),
    max_size=6,
)


@settings(HUGGED, max_examples=25)
@given(st.lists(particles, min_size=1, max_size=6), st.integers(1, 7))
def test_any_events(
    tmp_path: Path, events: list[list[tuple[str, float, float, float, float]]], chunk: int
) -> None:
    lines = [
        ";".join(["1;p;-2e-8;3;1", *(f"{l},{e!r},{p!r},{a!r},{f!r}" for l, e, p, a, f in one)])
        for one in events
    ]
    (tmp_path / "sim.csv").write_text("\n".join(lines) + "\n")
    expected = columns(DarkMachinesCSV().read(str(tmp_path / "sim.csv")))
    for name, rntuple in (("sim.root", False), ("sim.root", True), ("sim.parquet", False)):
        convert(tmp_path / "sim.csv", tmp_path / name, rntuple=rntuple, chunk=chunk)
        assert columns(reader_for(name).read(str(tmp_path / name))) == expected


@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
def test_csv_gives_back_what_came_from_csv(source: Path, tmp_path: Path, ending: str) -> None:
    expected = columns(DarkMachinesCSV().read(str(source)))
    convert(source, tmp_path / "4top.root")
    seen: list[int] = []
    n = convert(
        tmp_path / "4top.root", tmp_path / "new" / f"4top.{ending}", chunk=150, progress=seen.append
    )
    assert (n, seen) == (500, [150, 150, 150, 50])
    assert columns(DarkMachinesCSV().read(str(tmp_path / "new" / f"4top.{ending}"))) == expected
    first = source.read_text().splitlines()[0].split(";")
    with (gzip.open if ending == "csv.gz" else open)(
        tmp_path / "new" / f"4top.{ending}", "rt"
    ) as file:
        lines = list(file)
    assert lines[0] == ";".join(["0", *first[1:]]) + "\n"  # the text itself, but for the event ID
    assert all(line.endswith(";\n") for line in lines)
    bytes_of = (tmp_path / "new" / f"4top.{ending}").read_bytes()
    convert(tmp_path / "new" / f"4top.{ending}", tmp_path / "again" / f"4top.{ending}")
    assert (tmp_path / "again" / f"4top.{ending}").read_bytes() == bytes_of


def test_csv_says_when_events_move(
    source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    convert(source, tmp_path / "other.csv", chunk=100)
    assert not caplog.records
    events = DarkMachinesCSV().read(str(source))
    write_root(tmp_path / "mixed.root", [events[3:]])
    convert(tmp_path / "mixed.root", tmp_path / "mixed.csv", chunk=100)
    assert caplog.text.count("they are numbered anew, and fall into other parts of the train") == 1


@settings(HUGGED, max_examples=40)
@given(st.lists(st.floats(0, 1e12), min_size=1, max_size=20), st.booleans())
def test_csv_of_any_numbers(tmp_path: Path, numbers: list[float], single: bool) -> None:
    gev = np.array(numbers, dtype=np.float32 if single else np.float64).astype(np.float64)
    n = len(gev)
    events = make_events(
        counts=[n],
        pt=gev,
        eta=-gev,
        phi=gev / 1e12,
        energy=gev,
        type=[i % 7 for i in range(n)],
        met=gev[:1],
        met_phi=[-3.1],
        weight=-gev[:1],
    )
    write_csv(tmp_path / "sim.csv", [events], process="sim", packed=False)
    found = DarkMachinesCSV().read(str(tmp_path / "sim.csv"))
    for name in ("eta", "phi", "type"):
        assert found.Particle[name].to_list() == events.Particle[name].to_list()
    assert found.weight.to_list() == events.weight.to_list()
    pt = ak.to_numpy(found.Particle.pt[0])
    assert np.array_equal(pt, ak.to_numpy(found.Particle.energy[0]))
    if single:  # what float32 files hold has a text in MeV for each number
        assert np.array_equal(pt, gev)
    else:  # of others one in forty has none: float64 is coarser above 1000 times a number
        assert (np.abs(pt - gev) <= np.spacing(gev)).all()


def test_csv_cannot_hold_hadrons(tmp_path: Path) -> None:
    events = make_events(
        counts=[1],
        pt=[1.0],
        eta=[0.0],
        phi=[0.0],
        energy=[1.0],
        type=[7],
        met=[0.0],
        met_phi=[0.0],
        types=CONSTITUENT_TYPES,
    )
    write_root(tmp_path / "jets.root", [events])
    with pytest.raises(
        ReadError, match=r"jets\.csv: Dark Machines CSV has no label for hadrons; choose a \.root"
    ):
        convert(tmp_path / "jets.root", tmp_path / "jets.csv")
    assert not list(tmp_path.glob("*.csv"))


def test_bad_input_leaves_nothing_behind(source: Path, tmp_path: Path) -> None:
    good = tmp_path / "4top.root"
    convert(source, good)
    before = good.read_bytes()
    source.write_bytes(source.read_bytes() + b"rubbish\n")
    with pytest.raises(ReadError, match=r"4top\.csv line 501: 1 fields"):
        convert(source, good, chunk=100)
    assert good.read_bytes() == before
    assert not list(tmp_path.glob(".*"))
    assert convert(source, good, reader=SKIP_BAD) == 500


def test_wrong_questions(source: Path, tmp_path: Path) -> None:
    with pytest.raises(
        OptionError,
        match=r"4top\.h5: cannot write this kind of file; .* ends in \.root, \.parquet, \.csv",
    ):
        convert(source, tmp_path / "4top.h5")
    with pytest.raises(OptionError, match=r"an RNTuple lives in a \.root file"):
        convert(source, tmp_path / "4top.parquet", rntuple=True)
    with pytest.raises(OptionError, match=r"4top\.csv is what is read; choose another name"):
        convert(source, source)
    with pytest.raises(
        OptionError, match=r"'a;b' cannot be a process ID: it is empty or holds a separator"
    ):
        convert(source, tmp_path / "a;b.csv")
    with pytest.raises(OptionError, match=r"chunk is 0, expected at least 1"):
        convert(source, tmp_path / "4top.root", chunk=0)
    with pytest.raises(ReadError, match=r"events\.txt does not exist"):
        convert("events.txt", tmp_path / "4top.root")
    with pytest.raises(
        ReadError,
        match=r"a\.txt: no reader is known for this name, only for \.csv\.bz2, .*, \.hdf5",
    ):
        convert("https://b.c/a.txt", tmp_path / "4top.root")


def test_readers_by_name() -> None:
    assert reader_for("a/b.csv") == reader_for("b.csv.gz") == DarkMachinesCSV()
    assert reader_for("b.root") == RootReader()
    assert reader_for("b.parquet") == load_reader("hepmtp:ParquetReader") == ParquetReader()
    assert load_reader("hepmtp.readers.darkmachines.reader:SKIP_BAD") == SKIP_BAD
    assert isinstance(SKIP_BAD, Reader)
    for name in (
        "hepmtp.readers.nothing:Reader",
        "hepmtp.readers.root:Nothing",
        "not a name",
        "",
        "hepmtp.readers:Reader",
    ):
        with pytest.raises(
            OptionError, match=r"cannot be made \(.*\); expected 'package\.module:Class'"
        ):
            load_reader(name)
    with pytest.raises(
        OptionError, match=r"'math:pi' is not a reader: it has no num_events or no read"
    ):
        load_reader("math:pi")


@pytest.mark.parametrize("ending", ["root", "parquet", "csv"])
def test_ten_times_the_file_in_the_same_memory(source: Path, tmp_path: Path, ending: str) -> None:
    peaks = []
    text = source.read_bytes()
    convert(source, tmp_path / "new" / f"4top.{ending}")  # imports and caches
    for times in (3, 30):
        source.write_bytes(text * times)
        tracemalloc.start()
        convert(source, tmp_path / "new" / f"4top.{ending}", chunk=500)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
