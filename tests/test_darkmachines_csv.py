"""Dark Machines CSV: equal to a plain per-line parser, or refused with the right line."""

from __future__ import annotations

import gzip
import itertools
import logging
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from contracts import check_reader, columns
from hypothesis import HealthCheck, given, settings, strategies as st

import hepmtp.readers.darkmachines.reader
import hepmtp.readers.darkmachines.scan
import hepmtp.readers.lines
from hepmtp.errors import OptionError, ReadError
from hepmtp.events import source_id
from hepmtp.readers.darkmachines.chunk import BEYOND, Columns, parse
from hepmtp.readers.darkmachines.line import BARE, BadLineError, Layout, parse_line
from hepmtp.readers.darkmachines.reader import SKIP_BAD, Chunk, DarkMachinesCSV
from hepmtp.readers.darkmachines.skipped import SkipReport

READER = DarkMachinesCSV()
LABELS = ["j", "b", "e+", "e-", "m+", "m-", "g"]
GOOD = [
    (
        "1;ttbarW;0.127349;317922;-2.82482;b,360074,289774,0.671164,0.361727;"
        "e+,101654,72757,0.864127,2.05607;"
    ),
    "2;ttbarW;-0.127349;1.05628e+06;0;",
    "354;4top;2.97e-8;0;3.1416;j,1e5,5e4,-0.3,-3.14159;m-,2.5e4,2.5e4,0,1;g,9.5e4,.9e5,5.,-1",
]
HUGGED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def plain(text: str, source: int) -> dict[str, list[object]]:
    """What today's readers do: split each line. The slow reference."""
    found: dict[str, list[object]] = {
        name: []
        for name in (
            "pt",
            "eta",
            "phi",
            "energy",
            "type",
            "MET_pt",
            "MET_phi",
            "weight",
            "event",
            "source",
        )
    }
    for number, line in enumerate(
        text.removeprefix("\ufeff").rstrip().replace("\r\n", "\n").split("\n")
    ):
        groups = line.split(";")
        particles = [group.split(",") for group in groups[5:] if group]
        found["weight"].append(float(groups[2]))
        found["MET_pt"].append(float(groups[3]) / 1000.0)
        found["MET_phi"].append(float(groups[4]))
        found["type"].append([LABELS.index(particle[0]) for particle in particles])
        found["energy"].append([float(particle[1]) / 1000.0 for particle in particles])
        found["pt"].append([float(particle[2]) / 1000.0 for particle in particles])
        found["eta"].append([float(particle[3]) for particle in particles])
        found["phi"].append([float(particle[4]) for particle in particles])
        found["event"].append(number)
        found["source"].append(source)
    return found


def write(folder: Path, text: str, name: str = "sim.csv") -> str:
    path = folder / name
    data = text.encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return str(path)


def head_of(path: Path, n: int) -> str:
    with gzip.open(path, "rt") as file:
        return "".join(itertools.islice(file, n))


def test_contract(sample: Path, tmp_path: Path) -> None:
    head = head_of(sample / "ttbarW.csv.gz", 50)
    check_reader(READER, write(tmp_path, head), tmp_path)
    check_reader(READER, write(tmp_path, head, "sim.csv.gz"), tmp_path)


def test_numbers_written_out(tmp_path: Path) -> None:
    events = READER.read(write(tmp_path, "\n".join(GOOD) + "\n"))
    assert events.Particle["type"].to_list() == [[1, 2], [], [0, 5, 6]]
    assert events.Particle.pt.to_list() == [[289.774, 72.757], [], [50.0, 25.0, 90.0]]
    assert events.Particle.energy.to_list() == [[360.074, 101.654], [], [100.0, 25.0, 95.0]]
    assert events.Particle.eta.to_list() == [[0.671164, 0.864127], [], [-0.3, 0.0, 5.0]]
    assert events.Particle.phi.to_list() == [[0.361727, 2.05607], [], [-3.14159, 1.0, -1.0]]
    assert events.MET.pt.to_list() == [317.922, 1056.28, 0.0]
    assert events.weight.to_list() == [0.127349, -0.127349, 2.97e-8]
    assert events.event.to_list() == [0, 1, 2]


@pytest.mark.parametrize(
    ("start", "kind"),
    [(b"root\0\0", "ROOT"), (b"PAR1", "parquet"), (b"\x89HDF\r\n", "HDF5"), (b"PK\x03\x04", "zip")],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_other_files_are_called_by_their_name(
    tmp_path: Path, start: bytes, kind: str, pack: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(pack(start + b";;\n" * 9))
    with pytest.raises(
        ReadError,
        match=rf"a\.csv holds {kind} data and no lines of text; .* or name another reader",
    ):
        READER.read(str(path))


@pytest.mark.parametrize("name", ["4top", "ttbarZ"])
def test_the_sample_equals_the_plain_parser(sample: Path, name: str) -> None:
    path = str(sample / f"{name}.csv.gz")
    assert columns(READER.read(path)) == plain(
        gzip.decompress(Path(path).read_bytes()).decode(), source_id(path)
    )


FORMATS = ["{:g}", "{:.6g}", "{:e}", "{:.3E}", "{!r}", "{:+.2f}"]
numbers = st.builds(str.format, st.sampled_from(FORMATS), st.floats(-1e7, 1e7))
positive = st.builds(str.format, st.sampled_from(FORMATS), st.floats(0, 1e9))
angles = st.builds(str.format, st.sampled_from(FORMATS), st.floats(-3.1415, 3.1415))
particle = st.builds(
    "{},{},{},{},{}".format, st.sampled_from(LABELS), numbers, positive, numbers, angles
)
lines = st.builds(
    lambda *parts: ";".join([*parts[:5], *parts[5]]) + parts[6],
    st.integers(0, 10**9).map(str),
    st.sampled_from(["4top", "glgl1600_neutralino800", "7"]),
    numbers,
    positive,
    angles,
    st.lists(particle, max_size=60),
    st.sampled_from([";", ""]),
)


@settings(HUGGED, max_examples=60)
@given(
    st.lists(lines, min_size=1, max_size=8),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.integers(0, 3),
)
def test_any_lines_equal_the_plain_parser(
    tmp_path: Path, found: list[str], newline: str, mark: bool, blanks: int
) -> None:
    text = ("\ufeff" if mark else "") + newline.join(found) + newline * (blanks + 1)
    path = write(tmp_path, text)
    expected = plain(text, source_id(path))
    assert columns(READER.read(path)) == expected
    assert READER.num_events(path) == len(found)
    # the line-by-line path gives the same numbers; a blank in the text leads there
    assert columns(READER.read(write(tmp_path, text.replace(";4top;", "; 4top;")))) == expected


@settings(HUGGED, max_examples=60)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=12),
    block=st.integers(1, 30),
    start=st.integers(0, 14),
    size=st.integers(1, 14),
    stop=st.none() | st.integers(0, 14),
)
def test_chunks_begin_where_lines_do(
    tmp_path: Path, lengths: list[int], block: int, start: int, size: int, stop: int | None
) -> None:
    text = "".join("x" * n + "\n" for n in lengths)
    path = write(tmp_path, text)
    ends = np.cumsum([0, *(n + 1 for n in lengths)]).tolist()
    last = len(lengths) if stop is None else min(stop, len(lengths))
    expected = [
        (first, min(size, last - first), ends[first], ends[min(first + size, last)])
        for first in range(start, last, size)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hepmtp.readers.lines, "_BLOCK", block)
        if stop is not None and stop < start:
            with pytest.raises(ReadError, match=r"expected 0 <= start <= stop"):
                list(hepmtp.readers.lines.scan(str(path), start, size, stop))
            return
        assert list(hepmtp.readers.lines.scan(str(path), start, size, stop)) == expected


@settings(HUGGED, max_examples=60)
@given(
    counts=st.lists(st.integers(0, 2), min_size=1, max_size=12),
    block=st.integers(1, 300),
    size=st.integers(1, 14),
    ending=st.sampled_from(["\n", "\n\n", "\r\n \r\n", "\n" * 400]),
    packed=st.booleans(),
)
def test_chunks_make_up_the_file(
    tmp_path: Path, counts: list[int], block: int, size: int, ending: str, packed: bool
) -> None:
    text = "\n".join("1;p;1;2;3;" + "j,4,3,2,1;" * n for n in counts) + ending
    path = write(tmp_path, text, "sim.csv.gz" if packed else "sim.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hepmtp.readers.lines, "_BLOCK", block)
        chunks = READER.chunks(path, size)
        n = len(counts)
        assert READER.num_events(path) == n
        assert [chunk.first_entry for chunk in chunks] == list(range(0, n, size))
        assert [chunk.n_entries for chunk in chunks] == [
            min(size, n - first) for first in range(0, n, size)
        ]
        assert [chunk.byte_stop for chunk in chunks[:-1]] == [
            chunk.byte_start for chunk in chunks[1:]
        ]
        parts = [READER.read_chunk(path, chunk) for chunk in chunks]
        assert [count for part in parts for count in columns(part)["event"]] == list(range(n))
        assert [len(t) for part in parts for t in part.Particle["type"].to_list()] == counts
        assert [columns(part) for part in READER.iterate(path, size)] == [
            columns(part) for part in parts
        ]
        for start, stop in itertools.combinations(range(n + 2), 2):
            assert READER.read(path, start, stop).event.to_list() == list(
                range(start, min(stop, n))
            )


def test_a_chunk_never_reads_what_is_before_it(tmp_path: Path) -> None:
    path = write(tmp_path, "\n".join(GOOD * 4) + "\n")
    last = READER.chunks(path, 5)[-1]
    assert last == Chunk(10, 2, last.byte_start, Path(path).stat().st_size)
    expected = columns(READER.read_chunk(path, last))
    with Path(path).open("r+b") as file:
        file.write(b"\0" * last.byte_start)
    same(columns(READER.read_chunk(path, last)), expected)
    with pytest.raises(ReadError, match=r"has become shorter"):
        READER.read_chunk(path, last._replace(byte_stop=last.byte_stop + 1))


def test_gzip_of_several_members_and_any_name(tmp_path: Path) -> None:
    text = "\n".join(GOOD) + "\n"
    data = gzip.compress(text.encode()[:70]) + gzip.compress(text.encode()[70:])
    (tmp_path / "sim.csv").write_bytes(data)
    assert columns(READER.read(str(tmp_path / "sim.csv"))) == plain(
        text, source_id(str(tmp_path / "sim.csv"))
    )


#: What messages say at their ends.
KNOWN = r"expected one of j b e\+ e- m\+ m- g"
FIVE = r"expected 5 \(label,E,pt,eta,phi\)"
HEAD = r"expected at least 5 \(event ID;process ID;weight;MET;METphi\)"
HEADER = r"\(a header line must be removed\)"
FINITE, AZIMUTH = r"expected a finite number", r"expected a number in \(-pi, pi\]"
BAD = {
    "unknown label": ("1;p;1;2;3;j,4,3,2,1;a,4,3,2,1;", rf"particle 2 has the label 'a', {KNOWN}"),
    "label of three bytes": ("1;p;1;2;3;e+x,4,3,2,1;", r"particle 1 has the label 'e\+x'"),
    "label in capitals": ("1;p;1;2;3;J,4,3,2,1;", r"particle 1 has the label 'J'"),
    "no label": ("1;p;1;2;3;,4,3,2,1;", r"particle 1 has the label ''"),
    "four fields": (
        "1;p;1;2;3;j,4,3,2,1;j,5.1e4,4.2e4,0.3;",
        rf"particle 2 has 4 fields, {FIVE}: 'j,5\.1e4,4\.2e4,0\.3'",
    ),
    "six fields": ("1;p;1;2;3;j,4,3,2,1,0;", r"particle 1 has 6 fields, expected 5"),
    "photon of the first generator": ("1;p;1;2;3;g123.4,3,2,1;", r"particle 1 has 4 fields"),
    "two semicolons": ("1;p;1;2;3;;j,4,3,2,1;", r"particle 1 has 1 fields"),
    "short head": ("1;p;1;2", rf"4 fields, {HEAD}: '1;p;1;2'"),
    "commas": ("1;p,1;2;3;j,4,3,2,1;", r"MET is '3', expected|weight is '2'|METphi is 'j,4,3,2,1'"),
    "fields in another order": ("1;1,2,3,4;p;j,4,3,2,1;5", rf"weight is 'p', {FINITE}"),
    "semicolons in a particle": ("1;p;1;2;3;j;4;3;2;1;", r"particle 1 has 1 fields"),
    "no process": ("1;;1;2;3;", r"process ID is empty"),
    "no METphi": ("1;p;1;2;", rf"METphi is '', {AZIMUTH}"),
    "weight is a word": ("1;p;heavy;2;3;", rf"weight is 'heavy', {FINITE}"),
    "underscore": ("1;p;1;2;3;j,4,3_0,2,1;", rf"pt of particle 1 is '3_0', {FINITE} >= 0"),
    "hexadecimal": ("1;p;0x10;2;3;", r"weight is '0x10'"),
    "two numbers": ("1;p;1 5;2;3;", r"weight is '1 5'"),
    "NaN": ("1;p;1;nan;3;", rf"MET is 'nan', {FINITE} >= 0"),
    "infinity": ("1;p;1;2;3;j,inf,3,2,1;", rf"E of particle 1 is 'inf', {FINITE}"),
    "too large": ("1;p;1e999;2;3;", rf"weight is '1e999', {FINITE}"),
    "negative pt": ("1;p;1;2;3;j,4,-3,2,1;", rf"pt of particle 1 is '-3', {FINITE} >= 0"),
    "negative MET": ("1;p;1;-2;3;", rf"MET is '-2', {FINITE} >= 0"),
    "phi": ("1;p;1;2;3;j,4,3,2,3.15;", rf"phi of particle 1 is '3\.15', {AZIMUTH}"),
    "METphi": ("1;p;1;2;-3.15;", r"METphi is '-3\.15'"),
    "header": ("eventID;processID;weight;MET;METphi", rf"event ID is 'eventID', {FINITE} {HEADER}"),
    "separator": ("=====1234=====", r"1 fields, expected at least 5"),
    "count": ("152000", r"1 fields, expected at least 5"),
    "blank": ("", r"the line is blank"),
    "carriage return": ("1;p;1;2\r;3;", r"MET is '2\\r'"),
    "not text": ("1;p;1;2;3;j,4,3,2,\udcff;", r"phi of particle 1 is"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_bad_lines_are_named(tmp_path: Path, name: str, newline: str) -> None:
    bad, message = BAD[name]
    text = newline.join([*GOOD, bad, *GOOD, ""])
    path = tmp_path / "ttbarW.csv"
    path.write_bytes(text.encode(errors="surrogateescape"))
    advice = "correct or remove the line, or read with on_bad='skip'"
    where = rf"^{re.escape(str(path))} line 4: .*({message}).*; {advice}$"
    with pytest.raises(ReadError, match=where):
        READER.read(str(path))
    with pytest.raises(ReadError, match=where):
        READER.read(str(path), 2, 5)
    with pytest.raises(ReadError, match=where):
        READER.read_chunk(str(path), READER.chunks(str(path), 3)[1])
    assert len(READER.read(str(path), 4, 7)) == 3
    assert READER.num_events(str(path)) == 7

    events, report = SKIP_BAD.read_with_report(str(path))
    assert events.event.to_list() == [0, 1, 2, 4, 5, 6]
    assert report.lines == 1
    assert re.search(message, report.reasons[0])


def test_a_header_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "eventID;processID;weight;MET;METphi;obj1\n" + "\n".join(GOOD) + "\n")
    with pytest.raises(
        ReadError, match=r"line 1: event ID is 'eventID', .*a header line must be removed"
    ):
        READER.read(path)


@pytest.mark.parametrize("cut", range(25))
def test_a_line_that_ends_in_the_middle(tmp_path: Path, cut: int) -> None:
    text = "\n".join([*GOOD, GOOD[0]])
    path = write(tmp_path, text[: len(text) - cut])
    with pytest.raises(ReadError, match=r"line 4: "):
        READER.read(path)
    assert SKIP_BAD.read(path).event.to_list() == [0, 1, 2]
    assert len(READER.read(write(tmp_path, text + "\n"))) == 4


def test_a_last_line_without_newline_is_refused(tmp_path: Path) -> None:
    cuts = (
        GOOD[0][:-3],
        GOOD[0],
        GOOD[0].split("e+")[0],
    )  # in a number, at the end, and where a particle is lost unseen
    for cut in cuts:
        path = write(tmp_path, GOOD[0] + "\n" + cut)
        with pytest.raises(
            ReadError,
            match=r"line 2: the file ends within this line, which has no newline: .*; add one",
        ):
            READER.read(path)


@pytest.mark.parametrize("text", ["", "\n\n", " \r\n"])
@pytest.mark.parametrize("name", ["sim.csv", "sim.csv.gz"])
def test_empty_files(tmp_path: Path, text: str, name: str) -> None:
    path = write(tmp_path, text, name)
    for ask in (READER.read, READER.num_events, SKIP_BAD.read):
        with pytest.raises(ReadError, match=r"sim\.csv.* is empty"):
            ask(path)


def test_a_gzip_file_cut_short(tmp_path: Path, sample: Path) -> None:
    data = (sample / "ttbarW.csv.gz").read_bytes()
    path = tmp_path / "ttbarW.csv.gz"
    for damaged in (
        data[:-1],
        data[: len(data) // 2],
        data + b"rubbish",
        data[:5000] + b"\0" * 50 + data[5050:],
    ):
        path.write_bytes(damaged)
        for ask in (READER.read, READER.num_events, SKIP_BAD.read):
            with pytest.raises(
                ReadError,
                match=r"ttbarW\.csv\.gz line \d+ or later: the gzip data are damaged or cut",
            ):
                ask(str(path))


def test_questions_that_make_no_sense(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD[0] + "\n")
    with pytest.raises(
        OptionError, match=r"chunks of 0 events were asked for, expected at least 1"
    ):
        READER.chunks(path, 0)
    with pytest.raises(
        OptionError, match=r"DarkMachinesCSV: option on_bad is 'ignore', expected 'raise' or 'skip'"
    ):
        DarkMachinesCSV(on_bad="ignore")  # type: ignore[arg-type]


def test_skipping_reports_lines_and_weights(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad = ["1;p;0.5;2;3;a,4,3,2,1;", "1;p;0.25;x;3;", "rubbish"]
    path = write(tmp_path, "\n".join([bad[0], GOOD[0], bad[1], GOOD[1], bad[2], GOOD[2]]) + "\n")
    with caplog.at_level(logging.WARNING):
        events, report = SKIP_BAD.read_with_report(path)
    assert events.event.to_list() == [1, 3, 5]
    assert events.weight.to_list() == [0.127349, -0.127349, 2.97e-8]
    assert (report.lines, report.sumw, report.unreadable) == (3, 0.75, 1)
    assert [reason.split(": ")[0] for reason in report.reasons] == [
        f"{path} line {n}" for n in (1, 3, 5)
    ]
    assert "skipped 3 lines with weights 0.75 (1 unreadable)" in caplog.text
    assert SKIP_BAD.read_with_report(path, 1, 2)[1] == SkipReport()
    parts = [SKIP_BAD.read_chunk_with_report(path, chunk) for chunk in SKIP_BAD.chunks(path, 2)]
    whole, report = SKIP_BAD.read_with_report(path)
    assert sum((one for _, one in parts), SkipReport()) == report
    assert [entry for events, _ in parts for entry in events.event] == whole.event.to_list()
    assert len(SKIP_BAD.read(path, 4, 5)) == 0


def test_three_hundred_damaged_files_are_read_right_or_refused_right(
    tmp_path: Path, sample: Path
) -> None:
    text = head_of(sample / "ttbarWW.csv.gz", 12)
    alphabet = "0123456789.,;;,,\n\n\r+-eEnaif jbmg\x00\u00e9_"
    rng = np.random.default_rng(20240501)
    refused = 0
    for _ in range(300):
        characters = list(text)
        for _ in range(rng.integers(1, 4)):
            at, other = int(rng.integers(len(characters))), alphabet[rng.integers(len(alphabet))]
            kind = rng.integers(4)
            if kind == 0:
                characters[at] = other
            elif kind == 1:
                characters.insert(at, other)
            elif kind == 2:
                del characters[at : at + int(rng.integers(1, 30))]
            else:
                characters = characters[: at + 1] if rng.integers(3) == 0 else characters
        damaged = "".join(characters)
        path = write(tmp_path, damaged)
        expected = _first_bad(damaged)
        if expected is None:
            assert columns(READER.read(path)) == plain(damaged, source_id(path))
        else:
            refused += 1
            with pytest.raises(ReadError, match=rf"sim\.csv line {expected}: "):
                READER.read(path)
    assert 150 < refused < 300


def _first_bad(text: str) -> int | None:
    lines = text.rstrip(" \t\r\n").replace("\r\n", "\n").split("\n")
    ends = text[len(text.rstrip(" \t\r\n")) :]
    for number, line in enumerate(lines, start=1):
        tail = (
            ends.split("\n")[0].removesuffix("\r" if "\n" in ends else "")
            if number == len(lines)
            else ""
        )
        try:
            parse_line(line + tail, whole=number < len(lines) or "\n" in ends)
        except BadLineError:
            return number
    return None


@settings(HUGGED, max_examples=200)
@given(st.text("0123456789+-.eEnaifx_", max_size=6))
def test_the_fast_path_accepts_no_other_numbers(tmp_path: Path, number: str) -> None:
    line = f"1;p;{number};2;3;j,{number},3,2,1;"
    path = write(tmp_path, line + "\n")
    try:
        parse_line(line)
    except BadLineError:
        with pytest.raises(ReadError, match=r"line 1: weight is"):
            READER.read(path)
    else:
        assert columns(READER.read(path)) == plain(line, source_id(path))


# the other layouts: what the slow functions below write must be read as the challenge's lines hold


def bare(line: str) -> str:
    return line.split(";", 2)[2]


def generator(line: str) -> str:
    """As the generator's own script wrote it: no energies, no comma after a photon's g."""
    weight, met, met_phi, *particles = bare(line).removesuffix(";").split(";")
    groups = [particle.split(",") for particle in particles]
    texts = [
        ("g" if label == "g" else f"{label},") + ",".join(numbers[1:]) for label, *numbers in groups
    ]
    return ";".join([weight, met, met_phi, *texts, ""])


def fixed(text: str) -> str:
    """As its script for fixed lengths did, rows of 0 for lines without event included."""
    rows = []
    for line in text.rstrip("\n").split("\n"):
        groups = line.split(";")
        met = groups[1:3] if ";" in line else []
        found: dict[str, list[str]] = {label: [] for label in LABELS}
        for particle in groups[3:-1]:
            label, *numbers = re.sub("^g(?=[0-9])", "g,", particle).split(",")
            found[label] += numbers
        rows.append([met[:1], met[1:], *found.values()])
    widths = [max(len(row[i]) for row in rows) for i in range(9)]
    padded = [
        [
            block[k] if k < len(block) else "0"
            for block, width in zip(row, widths, strict=True)
            for k in range(width)
        ]
        for row in rows
    ]
    return (
        "".join(f"{width} " for width in widths)
        + "\n"
        + "".join(",".join(row) + "\n" for row in padded)
    )


def massless(expected: dict[str, list[object]]) -> dict[str, list[object]]:
    """The same with E = pt cosh(eta)."""
    pairs = zip(expected["pt"], expected["eta"], strict=True)
    energies = [
        [float(np.float64(p * 1000.0) * np.cosh(e) / 1000.0) for p, e in zip(pt, eta, strict=True)]
        for pt, eta in pairs
    ]
    return expected | {"energy": energies}


def same(found: dict[str, list[object]], expected: dict[str, list[object]]) -> None:
    """Equal, but for the last bits of energies that were computed, and the identity of the file."""
    for one in (found, expected):
        assert len(set(one.pop("source"))) == 1
    for one, other in zip(found.pop("energy"), expected.pop("energy"), strict=True):
        assert one == pytest.approx(other, rel=1e-14)
    assert found == expected


@pytest.fixture(scope="module")
def lines_of_sample(sample: Path) -> list[str]:
    """Lines of which some hold photons."""
    found = head_of(sample / "ttbarZ.csv.gz", 200).splitlines()
    assert sum(";g," in line for line in found) >= 3
    return found


@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
def test_bare_lines(tmp_path: Path, lines_of_sample: list[str], ending: str) -> None:
    text = "\n".join(map(bare, lines_of_sample)) + "\n"
    path = write(tmp_path, text, f"sim.{ending}")
    check_reader(READER, path, tmp_path)
    assert READER.layout_of(path).name == "bare"
    expected = plain("\n".join(lines_of_sample), source_id(path))
    assert (
        columns(READER.read(path))
        == columns(DarkMachinesCSV(variant="bare").read(path))
        == expected
    )
    # line by line: a blank in a field leads there
    assert (
        columns(READER.read(write(tmp_path, text.replace(";", "; ", 1), f"sim.{ending}")))
        == expected
    )


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_lines_of_the_generator(tmp_path: Path, lines_of_sample: list[str], newline: str) -> None:
    lines = list(map(generator, lines_of_sample))
    path = write(tmp_path, newline.join([*lines, ""]))
    check_reader(READER, path, tmp_path)
    expected = massless(plain("\n".join(lines_of_sample), source_id(path)))
    same(columns(READER.read(path)), dict(expected))
    assert READER.layout_of(path).name == "generator"
    slow = newline.join([lines[0].replace(";", " ;", 1), *lines[1:], ""])
    assert columns(READER.read(write(tmp_path, slow))) == columns(READER.read(path))
    # with what stands between events, in several runs, in any chunking
    parts = [
        "ttbar/run_01/tag_1_delphes_events.root",
        "=====1234===== xsec 0.59",
        *lines[:120],
        "120",
        "===99===",
        "===100===",
        *lines[120:],
        "80",
    ]
    for text in (newline.join([*parts, ""]), newline.join(parts)):
        path = write(tmp_path, text)
        same(columns(READER.read(path)), dict(expected))
        assert READER.num_events(path) == 200
        for size in (7, 100, 120, 1000):
            chunks = READER.chunks(path, size)
            assert [chunk.n_entries for chunk in chunks] == [
                min(size, 200 - n) for n in range(0, 200, size)
            ]
            found = [columns(READER.read_chunk(path, chunk)) for chunk in chunks]
            assert [columns(part) for part in READER.iterate(path, size)] == found
            assert [event for part in found for event in part["event"]] == list(range(200))
        for start, stop in ((0, 3), (119, 121), (120, 120), (150, 999), (200, 300)):
            assert READER.read(path, start, stop).event.to_list() == list(
                range(start, min(stop, 200))
            )


def test_blocks_of_any_size_give_the_same_events(
    tmp_path: Path, lines_of_sample: list[str]
) -> None:
    lines = list(map(generator, lines_of_sample[:12]))
    path = write(tmp_path, "\n".join(["=1=", *lines[:5], "5", "=2=", *lines[5:], "7", ""]))
    expected = columns(READER.read(path))
    with pytest.MonkeyPatch.context() as patch:
        for block in (1, 50, 333, 1000):
            patch.setattr(hepmtp.readers.darkmachines.scan, "_BLOCK", block)
            assert columns(READER.read(path)) == expected
            assert [chunk.n_entries for chunk in READER.chunks(path, 5)] == [5, 5, 2]


def test_other_names_of_the_generator(tmp_path: Path) -> None:
    line = "0.5;20000;1.5;j,50000,0.1,-2.5;mu+,30000,0,1;mu-,30000,0,1;"
    line += "a,20000,0,1;g,20000,0,1;g+2e4,0,1;"
    for text in (line, line.replace(";", "; ", 1)):
        events = READER.read(write(tmp_path, text + "\n"))
        assert [LABELS[i] for i in events.Particle["type"][0]] == ["j", "m+", "m-", "g", "g", "g"]
        assert events.Particle.energy[0].to_list() == pytest.approx(
            [50 * np.cosh(0.1), 30, 30, 20, 20, 20]
        )


def test_the_count_of_the_generator_is_checked(tmp_path: Path, lines_of_sample: list[str]) -> None:
    lines = list(map(generator, lines_of_sample[:6]))
    path = write(tmp_path, "\n".join(["===1===", *lines[:4], "4", *lines[4:], "3", ""]))
    for call in (READER.num_events, READER.read, lambda path: READER.chunks(path, 2)):
        with pytest.raises(
            ReadError,
            match=r"sim\.csv line 9: the generator says that it wrote 3 events, found 2; ",
        ):
            call(path)
    assert len(READER.read(path, 0, 3)) == 3  # has not come as far
    assert len(DarkMachinesCSV(check_count=False).read(path)) == 6


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (
            "0.5;20000;1.5;j,1,50000,0.1,-2.5;",
            r"particle 1 has 5 fields, expected 4 \(label,pt,eta,phi\)",
        ),
        ("0.5;20000;1.5;g1,50000,0.1,-2.5;", r"particle 1 has 5 fields"),
        ("0.5;20000;1.5;j50000,0.1,-2.5;", r"particle 1 has 3 fields"),
        ("0.5;20000;1.5;x,50000,0.1,-2.5;", r"particle 1 has the label 'x'"),
        (
            "0.5;20000;1.5;j,50000,21,-2.5;",
            r"eta of particle 1 is '21', expected at most 20 in size, for E is pt cosh",
        ),
        ("0.5;20000;1.5;;", r"particle 1 has 1 fields"),
        ("0.5;20000;", r"METphi is ''"),
        ("heavy;20000;1.5;", r"weight is 'heavy'"),
        ("1;p;0.5;20000;1.5;", r"MET is 'p'"),
        ("rubbish", r"'rubbish' is neither an event nor a line that belongs between events"),
        ("0.5,20000,1.5", r"'0\.5,20000,1\.5' is neither an event"),
        ("==; 2", r"2 fields, expected at least 3 \(weight;MET;METphi\): '==; 2'"),
    ],
)
def test_bad_lines_of_the_generator_are_named(
    tmp_path: Path, lines_of_sample: list[str], bad: str, message: str
) -> None:
    good = list(map(generator, lines_of_sample[:9]))
    path = write(tmp_path, "\n".join(["===1===", *good, bad, ""]))
    with pytest.raises(ReadError, match=rf"sim\.csv line 11: .*{message}"):
        READER.read(path)
    if "belongs" not in message and "neither" not in message:
        with pytest.raises(ReadError, match=rf"sim\.csv line 11: .*{message}"):
            READER.read_chunk(path, READER.chunks(path, 4)[-1])
        events, report = SKIP_BAD.read_with_report(path)
        assert (len(events), report.lines) == (9, 1)


def test_fixed_lengths(tmp_path: Path, lines_of_sample: list[str]) -> None:
    text = fixed("\n".join(map(generator, lines_of_sample)))
    path = write(tmp_path, text)
    check_reader(READER, path, tmp_path)
    assert READER.layout_of(path).name == "fixed"
    assert READER.layout_of(path) == DarkMachinesCSV(variant="fixed").layout_of(path)
    # particles come type by type, and nothing else has changed
    lines = [
        "1;p;1;"
        + ";".join(line.split(";")[3:5])
        + ";"
        + ";".join(sorted(line.split(";")[5:-1], key=lambda p: LABELS.index(p.split(",")[0])))
        for line in lines_of_sample
    ]
    expected = massless(plain("\n".join(lines), source_id(path)))
    same(columns(READER.read(path)), dict(expected))
    slow = text.replace(",0\n", ", 0\n", 3)
    assert slow != text
    assert columns(READER.read(write(tmp_path, slow))) == columns(READER.read(path))
    # rows of 0 stand where a separator was
    rows = text.splitlines()
    zeros = re.sub("[^,]+", "0", rows[1])
    path = write(
        tmp_path, "\n".join([rows[0], zeros, *rows[1:100], zeros, zeros, *rows[100:], zeros, ""])
    )
    same(columns(READER.read(path)), dict(expected))
    assert [chunk.n_entries for chunk in READER.chunks(path, 150)] == [150, 50]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (
            "20000,1,50000,0.1,-2.5,0,0,0,30000,0,1",
            r"11 columns, expected 14 as the first line says",
        ),
        (
            "20000,1,0,0,0,50000,0.1,-2.5,0,0,0,0,0,0",
            r"columns 6 to 8 \(j\) hold a particle after padding",
        ),
        (
            "20000,1,50000,0.1,-2.5,0,0,1,0,0,0,0,0,0",
            r"columns 6 to 8 \(j\) have pt 0 but are not padding: '0,0,1'",
        ),
        ("20000,1,50000,0.1,-2.5,0,0,0,0,0,0,1,99,0", r"eta of columns 12 to 14 \(g\) is '99'"),
        ("20000,1,50000,0.1,-2.5,0,0,0,-1,0,0,0,0,0", r"pt of columns 9 to 11 \(e\+\) is '-1'"),
        ("20000,4,50000,0.1,-2.5,0,0,0,0,0,0,0,0,0", r"METphi is '4'"),
        ("20000,1,50000,0.1,-2.5,0,0,0,0,,0,0,0,0", r"eta of columns 9 to 11 \(e\+\) is ''"),
        ("0,0,0,0,0,0,0", r"'0,0,0,0,0,0,0' is neither an event"),
    ],
)
def test_bad_rows_of_fixed_lengths_are_named(tmp_path: Path, bad: str, message: str) -> None:
    head, good = "1 1 6 0 3 0 0 0 3 ", "20000,1,50000,0.1,-2.5,0,0,0,30000,0,1,20000,0,0"
    path = write(tmp_path, "\n".join([head, good, ",".join("0" * 14), good, bad, good, ""]))
    with pytest.raises(ReadError, match=rf"sim\.csv line 5: {message}"):
        READER.read(path)
    events = READER.read(write(tmp_path, f"{head}\n{good}\n"))
    assert [LABELS[i] for i in events.Particle["type"][0]] == ["j", "e+", "g"]
    assert events.weight.to_list() == [1]
    with pytest.raises(ReadError, match=r"line 1: expected nine numbers of columns"):
        DarkMachinesCSV(variant="fixed").read(write(tmp_path, f"1 1 6 0 3 0 0 0 4\n{good}\n"))
    with pytest.raises(
        OptionError,
        match=r"variant is 'new', expected 'auto', 'challenge', 'bare', 'generator' or 'fixed'",
    ):
        DarkMachinesCSV(variant="new")  # type: ignore[arg-type]


def test_one_damaged_line_does_not_change_the_layout(
    tmp_path: Path, lines_of_sample: list[str]
) -> None:
    path = write(tmp_path, "\n".join([bare(lines_of_sample[0]), *lines_of_sample[1:9], ""]))
    with pytest.raises(
        ReadError, match=r"line 1: weight is '-?[0-9.]+,|line 1: weight is|line 1: .*expected"
    ):
        READER.read(path)
    for write_as, name in ((generator, "generator"), (bare, "bare"), (str, "challenge")):
        empty = (
            ";".join(write_as(lines_of_sample[0]).split(";")[: 5 if name == "challenge" else 3])
            + ";"
        )
        text = "\n".join([empty, *map(write_as, lines_of_sample[1:4]), ""])
        assert READER.layout_of(write(tmp_path, text)).name == name
        assert len(READER.read(write(tmp_path, text))) == 4


def padded(lines: Iterable[bytes]) -> bytearray:
    """Lines as the fast path takes them."""
    return bytearray(b"".join(lines) + bytes(BEYOND))


def test_lines_without_zeros_behind_them_are_refused() -> None:
    with pytest.raises(ValueError, match="not 9 bytes of 0 behind"):
        parse(bytearray(b"1;2;3\n"), BARE)


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("name", ["challenge", "bare", "generator", "fixed"])
def test_many_pieces_are_the_whole(
    tmp_path: Path,
    lines_of_sample: list[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    ending: str,
) -> None:
    write_as = {"challenge": str, "bare": bare}.get(name, generator)
    lines = [write_as(line) for line in lines_of_sample[:50]]
    lines = (
        fixed("\n".join(lines)).splitlines()
        if name == "fixed"
        else ["\ufeff" + lines[0], *lines[1:]]
    )
    lines[20] += " "  # for the slow path
    path = write(tmp_path, "".join(line + ending for line in lines))
    assert READER.layout_of(path).name == name
    expected = columns(READER.read(path, 3, 44))
    monkeypatch.setattr(hepmtp.readers.darkmachines.reader, "_PIECE", 7)
    assert columns(READER.read(path, 3, 44)) == expected
    assert len(expected["weight"]) == 41


@pytest.mark.parametrize("ending", ["", "1;x;1;2000"])
def test_lines_that_the_fast_path_leaves_go_to_the_slow_one(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    with gzip.open(sample / "4top.csv.gz", "rt") as file:
        text = "".join(itertools.islice(file, 100)) + ending
    path = write(tmp_path, text)
    reader = DarkMachinesCSV(on_bad="skip")
    expected, skipped = reader.read_with_report(path)

    def two_of_three(data: bytearray, layout: Layout) -> tuple[Columns, list[int]]:
        """Takes no third line, and not the last one if it has no newline."""
        lines = data[:-BEYOND].split(b"\n")
        left = [i for i in range(len(lines) - (not lines[-1])) if i % 3 == 1 or i == 100]
        taken = [i for i in range(len(lines) - 1) if i not in left]
        columns, rest = parse(padded(lines[i] + b"\n" for i in taken), layout)
        assert not rest
        return columns._replace(entry=np.array(taken)), left

    monkeypatch.setattr(hepmtp.readers.darkmachines.reader, "parse", two_of_three)
    found, report = reader.read_with_report(path)
    assert columns(found) == columns(expected)
    assert report == skipped
    assert report.lines == bool(ending)
