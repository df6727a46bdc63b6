"""Five hundred damaged files of each text format and of HDF5: read as their bytes say, or refused.

The rule: what a file says is read here once more, slowly and apart from the library; the reader
must give just that, or refuse with the same line. It never raises anything but ReadError.
"""

from __future__ import annotations

import gzip
import io
import itertools
import math
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hepmtp.errors import ReadError
from hepmtp.readers.darkmachines.reader import DarkMachinesCSV
from hepmtp.readers.fourtops import FourTopsHDF5

N = 500
LABELS = ["j", "b", "e+", "e-", "m+", "m-", "g"]
MAX_PHI = math.pi + 5e-4
# an event: weight, MET, METphi and (type, E, pt, eta, phi) of each particle; GeV
Event = tuple[float, float, float, list[tuple[int, float, float, float, float]]]


class Refused(Exception):
    """A file that must be refused; names the line, 0 if there is none to name."""


# --- the files, and what is done to them ---


@pytest.fixture(scope="module")
def lines(sample: Path) -> list[str]:
    """Nine lines, some with photons."""
    with gzip.open(sample / "ttbarZ.csv.gz", "rt") as file:
        found = [line.rstrip("\n") for line in itertools.islice(file, 400)]
    photons = [line for line in found if ";g," in line][:3]
    assert len(photons) == 3
    return [found[0], photons[0], *found[1:3], *photons[1:], *found[3:6]]


def _bare(line: str) -> str:
    return line.split(";", 2)[2]


def _generator(line: str) -> str:
    head, particles = _bare(line).split(";")[:3], _bare(line).split(";")[3:-1]
    texts = [
        re.sub("^g,", "g", f"{label},{rest.split(',', 1)[1]}")
        for label, rest in (p.split(",", 1) for p in particles)
    ]
    return ";".join([*head, *texts, ""])


def _fixed(lines: list[str]) -> list[str]:
    rows = []
    for line in lines:
        head, particles = line.split(";")[3:5], [p.split(",") for p in line.split(";")[5:-1]]
        rows.append((head, [[p[2:] for p in particles if p[0] == label] for label in LABELS]))
    most = [max(len(blocks[k]) for _, blocks in rows) for k in range(7)]
    padded = [
        ",".join(
            [
                *head,
                *(
                    x
                    for block, n in zip(blocks, most, strict=True)
                    for p in [*block, *[["0"] * 3] * (n - len(block))]
                    for x in p
                ),
            ]
        )
        for head, blocks in rows
    ]
    return [
        " ".join(map(str, [1, 1, *(3 * n for n in most)])) + " ",
        *padded[:4],
        ",".join("0" * len(padded[0].split(","))),
        *padded[4:],
    ]


def text_of(layout: str, lines: list[str]) -> bytes:
    """A clean file of this layout."""
    written = {
        "challenge": lambda: lines,
        "bare": lambda: [_bare(line) for line in lines],
        "generator": lambda: [
            "===12===",
            *map(_generator, lines[:5]),
            "5",
            "===13=== 0.59",
            *map(_generator, lines[5:]),
            "4",
        ],
        "fixed": lambda: _fixed(lines),
    }[layout]()
    return "".join(f"{line}\n" for line in written).encode()


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Text with one to three things wrong, or none that matters."""
    for _ in range(rng.integers(1, 4)):
        data = _DAMAGES[rng.integers(len(_DAMAGES))](data, rng) or data
    return data


def _byte(alphabet: bytes) -> Callable[[bytes, np.random.Generator], bytes]:
    def change(data: bytes, rng: np.random.Generator) -> bytes:
        at = rng.integers(len(data))
        return (
            data[:at]
            + alphabet[(i := rng.integers(len(alphabet))) : i + 1]
            + data[at + rng.integers(2) :]
        )

    return change


def _flip(data: bytes, rng: np.random.Generator) -> bytes:
    at = rng.integers(len(data))
    return data[:at] + bytes([data[at] ^ 1 << int(rng.integers(8))]) + data[at + 1 :]


def _cut(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: rng.integers(len(data))]


def _cut_after_group(data: bytes, rng: np.random.Generator) -> bytes:
    places = [found.end() for found in re.finditer(b"[;,\n]", data)] or [0]
    return data[: rng.choice(places)]


def _gap(data: bytes, rng: np.random.Generator) -> bytes:
    at = rng.integers(len(data))
    return data[:at] + data[at + rng.integers(1, 40) :]


def _lines(data: bytes, rng: np.random.Generator) -> bytes:
    """A line doubled, deleted, or changed with another one."""
    rows = data.split(b"\n")
    i, j = rng.integers(len(rows), size=2)
    kind = rng.integers(3)
    if kind == 0:
        rows.insert(i, rows[j])
    elif kind == 1:
        del rows[i]
    else:
        rows[i], rows[j] = rows[j], rows[i]
    return b"\n".join(rows)


def _field(data: bytes, rng: np.random.Generator) -> bytes:
    """A field that is another one, or no number."""
    fields = re.split(b"([;,\n])", data)
    i, j = 2 * rng.integers((len(fields) + 1) // 2, size=2)
    words = [
        b"nan",
        b"inf",
        b"-inf",
        b"1e999",
        b"",
        b" ",
        b"0",
        b"-1",
        b"7",
        b"1.5e3",
        b"0x10",
        b"1_0",
        b"j",
        b"g",
        b"e",
        b"g12",
        fields[j],
    ]
    fields[i] = words[rng.integers(len(words))]
    return b"".join(fields)


def _separators(data: bytes, rng: np.random.Generator) -> bytes:
    one, other = [
        (b";", b","),
        (b",", b";"),
        (b"\n", b"\r\n"),
        (b"\n", b";"),
        (b",", b" , "),
        (b";", b";;"),
        (b"\n", b"\n\n"),
    ][rng.integers(7)]
    if rng.integers(4) == 0:
        return data.replace(one, other)
    places = [found.start() for found in re.finditer(re.escape(one), data)] or [0]
    at = rng.choice(places)
    return data[:at] + other + data[at + 1 :]


_DAMAGES = (
    _byte(b"0123456789.,;;,,\n\n\r+-eEnaif jbmg=\x00\xc3_"),
    _flip,
    _cut,
    _cut_after_group,
    _gap,
    _lines,
    _field,
    _separators,
)


# --- what the bytes say ---


def _number(text: str, low: float = -math.inf, high: float = math.inf) -> float:
    text = text.strip(" \t")
    if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text):
        raise ValueError(text)
    value = float(text)
    if not (math.isfinite(value) and low <= value <= high):
        raise ValueError(text)
    return value


def _phi(text: str) -> float:
    return _number(text, -MAX_PHI, MAX_PHI)


def _gev(text: str) -> float:
    return _number(text, 0) / 1000


def _event(text: str, layout: str) -> Event:
    """One line of a layout that is made of groups."""
    groups = text.split(";")
    if layout == "challenge":
        _number(groups[0])
        if not groups[1].strip(" \t"):
            raise ValueError(text)
        groups = groups[2:]
    weight, met, met_phi, *particles = groups
    if particles and not particles[-1].strip(" \t"):
        particles.pop()
    return _number(weight), _gev(met), _phi(met_phi), [_particle(p, layout) for p in particles]


def _particle(text: str, layout: str) -> tuple[int, float, float, float, float]:
    if layout != "generator":
        label, energy, pt, eta, phi = text.split(",")
        return (
            LABELS.index(label.strip(" \t")),
            _number(energy) / 1000,
            _gev(pt),
            _number(eta),
            _phi(phi),
        )
    text = text.lstrip(" \t")
    if text[:1] == "g" and text[1:2] in tuple("0123456789.+-"):
        text = "g," + text[1:]
    label, pt, eta, phi = text.split(",")
    label = {"a": "g", "mu+": "m+", "mu-": "m-"}.get(label.strip(" \t"), label.strip(" \t"))
    return LABELS.index(label), math.nan, _gev(pt), _number(eta, -20, 20), _phi(phi)


def _row(text: str, widths: list[int]) -> Event:
    fields = text.split(",")
    if len(fields) != sum(widths):
        raise ValueError(text)
    found, at = [], 2
    for kind, width in enumerate(widths[2:]):
        triples = [
            (_gev(fields[i]), _number(fields[i + 1], -20, 20), _phi(fields[i + 2]))
            for i in range(at, at + width, 3)
        ]
        filled = [triple for triple in triples if triple[0] > 0]
        if triples[: len(filled)] != filled or any(
            triple != (0, 0, 0) for triple in triples[len(filled) :]
        ):
            raise ValueError(text)
        found += [(kind, math.nan, *triple) for triple in filled]
        at += width
    return 1.0, _gev(fields[0]), _phi(fields[1]), found


def says(data: bytes, layout: str) -> list[Event]:
    """The events of a text file; raises Refused with the first line that makes no sense."""
    data = data.replace(b"\r\n", b"\n")
    rows = data.split(b"\n")
    if rows[-1] == b"":
        rows.pop()
        unfinished = -1
    else:
        unfinished = len(rows) - 1
    first = 0
    widths: list[int] = []
    if layout == "fixed":
        if not rows or not re.fullmatch(rb"[0-9]+( [0-9]+){8} ?", rows[0]):
            raise Refused(1)
        widths, first = [int(width) for width in rows[0].split()], 1
        if widths[:2] != [1, 1] or any(width % 3 for width in widths[2:]):
            raise Refused(1)
    if layout in ("challenge", "bare"):
        while rows and not rows[-1].strip():
            rows.pop()
        wanted = list(range(len(rows)))
    else:
        wanted = _events_among(rows, first, layout, widths)
    if not wanted:
        raise Refused(0)
    found = []
    for i in wanted:
        text = rows[i].decode(errors="replace")
        try:
            found.append(_row(text, widths) if layout == "fixed" else _event(text, layout))
        except (ValueError, IndexError):
            raise Refused(i + 1) from None
        if i == unfinished:
            raise Refused(i + 1)
    return found


def _events_among(rows: list[bytes], first: int, layout: str, widths: list[int]) -> list[int]:
    wanted: list[int] = []
    since = 0
    for i in range(first, len(rows)):
        text = rows[i].strip()
        if (b";" in rows[i]) if layout == "generator" else re.search(b"[1-9]", rows[i]):
            wanted.append(i)
        elif layout == "fixed":
            if text and text != b",".join([b"0"] * sum(widths)):
                raise Refused(i + 1)
        elif text.startswith(b"=") or (text.isdigit() and int(text) == len(wanted) - since):
            since = len(wanted)
        elif text and not (text.endswith(b".root") and b"," not in text):
            raise Refused(i + 1)
    return wanted


# --- the tests ---


def same(events: Any, expected: list[Event]) -> None:
    """Every number of the events, to the last bit, or nearly where an energy was computed."""
    found = events.to_list()
    assert len(found) == len(expected)
    for one, (weight, met, met_phi, particles) in zip(found, expected, strict=True):
        assert (one["weight"], one["MET"]["pt"], one["MET"]["phi"]) == (weight, met, met_phi)
        assert len(one["Particle"]) == len(particles)
        for p, (kind, energy, pt, eta, phi) in zip(one["Particle"], particles, strict=True):
            assert (p["type"], p["pt"], p["eta"], p["phi"]) == (kind, pt, eta, phi)
            assert p["energy"] == (
                pytest.approx(pt * math.cosh(eta), rel=1e-14) if math.isnan(energy) else energy
            )


@pytest.mark.parametrize("layout", ["challenge", "bare", "generator", "fixed"])
def test_text(tmp_path: Path, lines: list[str], layout: str) -> None:
    clean = text_of(layout, lines)
    assert len(says(clean, layout)) == 9
    _check_text(tmp_path / "sim.csv", layout, clean, lambda data: data, damaged, (150, 470))


def test_gzip(tmp_path: Path, lines: list[str]) -> None:
    clean = gzip.compress(text_of("challenge", lines), mtime=0)

    def unpacked(data: bytes) -> bytes:
        if data[:2] != b"\x1f\x8b":
            return data
        try:
            return gzip.decompress(data)
        except (OSError, EOFError, zlib.error):
            raise Refused(0) from None

    def change(data: bytes, rng: np.random.Generator) -> bytes:
        kind = rng.integers(5)
        if kind == 0:  # damaged before it was packed, in several members, too
            text = damaged(gzip.decompress(data), rng)
            at = rng.integers(len(text) + 1)
            return gzip.compress(text[:at]) + gzip.compress(text[at:])
        return [_flip, _cut, _gap, lambda data, rng: data + rng.bytes(9)][kind - 1](data, rng)

    _check_text(tmp_path / "sim.csv.gz", "challenge", clean, unpacked, change, (350, 499))


def _check_text(
    path: Path, layout: Any, clean: bytes, unpack: Any, change: Any, refusals: tuple[int, int]
) -> None:
    """`N` damaged files, of which this many must have been refused, or nothing was damaged."""
    guessing, reader, refused = DarkMachinesCSV(), DarkMachinesCSV(variant=layout), 0
    path.write_bytes(clean)
    assert guessing.layout_of(str(path)).name == layout
    same(guessing.read(str(path)), says(unpack(clean), layout))
    for seed in range(N):
        data = change(clean, np.random.default_rng([20261, seed]))
        path.write_bytes(data)
        line: int | None = None
        expected: list[Event] = []
        try:
            expected = says(unpack(data), layout)
        except Refused as found:
            line = found.args[0]
        events, error = _read(reader, path)
        if events is not None:
            assert line is None, f"seed {seed}: line {line} is damaged and was read"
            same(events, expected)
        else:
            refused += 1
            assert line is not None, f"seed {seed}: refused a good file: {error}"
            place = rf" line {line}: " if line else r"is empty| line \d+"
            assert str(path) in error, seed
            assert re.search(place, error), f"seed {seed}: expected {place!r} in: {error}"
        # without being told the layout: the same, or refused, unless it is now another one
        events, error = _read(guessing, path)
        if events is not None and guessing.layout_of(str(path)).name == layout:
            assert line is None, seed
            same(events, expected)
    assert refusals[0] < refused < refusals[1]


def _read(reader: Any, path: Path) -> tuple[Any, str]:
    """Events, or None and why the file was refused; any other error is one."""
    try:
        return reader.read(str(path)), ""
    except ReadError as error:
        return None, str(error)


# --- HDF5 ---


@pytest.fixture(scope="module")
def hdf5(lines: list[str]) -> bytes:
    """A file of nine rows, six of them for training."""
    table = np.zeros((9, 92))
    for row, line in zip(table, lines, strict=True):
        groups = line.split(";")
        row[18:20] = math.log(float(groups[3])), float(groups[4])
        for i, particle in enumerate(groups[5:-1]):
            label, energy, pt, eta, phi = particle.split(",")
            row[i] = 1 + LABELS.index(label)
            row[20 + 4 * i : 24 + 4 * i] = (
                math.log(float(energy)),
                math.log(float(pt)),
                float(eta),
                float(phi),
            )
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["X_train"], file["Y_train"] = table[:6], np.array([1, 2, 3, 4, 5, 1])
        file["X_test"], file["y_test"] = table[6:], np.array([1, 2, 5])
    return buffer.getvalue()


def _damaged_table(data: bytes, rng: np.random.Generator) -> bytes:
    """A file whose tables are changed: columns swapped, values replaced, rows lost, keys gone."""
    buffer = io.BytesIO(data)
    with h5py.File(buffer, "r+") as file:
        table, labels = file["X_train"][:], file["Y_train"][:].astype(np.float64)
        row, column, other = rng.integers(len(table)), rng.integers(92), rng.integers(92)
        filled = int(rng.integers((table[row] > 0)[:18].sum()))
        value = [np.nan, np.inf, -np.inf, 0.0, -1.0, 8.0, 2.5, 1e5, 11.0][rng.integers(9)]
        kind = rng.integers(9)
        if kind == 0:
            table[:, [column, other]] = table[:, [other, column]]
        elif kind == 1:
            table[row, [column, other]] = table[row, [other, column]]
        elif kind == 2:
            table[row, column] = value
        elif kind == 3:
            table[row, rng.choice([filled, 20 + 4 * filled + rng.integers(4)])] = value
        elif kind == 4:
            labels[row] = value
        elif kind == 5:
            order = rng.permutation(18)  # this is legal
            table[row] = np.hstack(
                [
                    table[row, :18][order],
                    table[row, 18:20],
                    table[row, 20:].reshape(18, 4)[order].ravel(),
                ]
            )
        elif kind == 6:
            table, labels = [
                (table[:-1], labels),
                (table[:, :-1], labels),
                (table.T, labels),
                (table, labels[1:]),
                (table[::-1], labels),
            ][rng.integers(5)]
        elif kind == 7:
            table[:, 20:] -= math.log(1e3) * (table[:, 20:] != 0)  # as log GeV, eta and phi too
        for key, values in (("X_train", table), ("Y_train", labels)):
            del file[key]
            if kind != 8 or rng.integers(2):
                file[key] = values
    return buffer.getvalue()


def _tables(file: Any) -> list[tuple[list[list[float]], list[float]]]:
    """Rows and labels of each split; raises whatever comes if they are not there."""
    keys = {key.lower(): key for key in file}
    splits = [
        split for split in ("train", "val", "test") if {f"x_{split}", f"y_{split}"} & keys.keys()
    ]
    tables = [(file[keys[f"x_{split}"]], file[keys[f"y_{split}"]]) for split in splits]
    assert tables
    for x, y in tables:
        assert (x.shape[1:], y.shape, x.dtype.kind in "iuf", y.dtype.kind in "iuf") == (
            (92,),
            x.shape[:1],
            True,
            True,
        )
    return [(x[:].astype(float).tolist(), y[:].astype(float).tolist()) for x, y in tables]


def says_hdf5(path: Path) -> list[Event]:
    """The events of an HDF5 file, number by number; raises Refused with the rows, 0 for none."""
    found: list[Event] = []
    try:
        with h5py.File(path, "r") as file:
            data = _tables(file)
    except Exception:  # noqa: BLE001 - damaged bytes make HDF5 raise anything
        raise Refused(0) from None
    numbers = [row[21 + 4 * i] for row in data[0][0] for i in range(18) if row[i] > 0]
    for values in (numbers, [row[18] for row in data[0][0]]):
        middle = np.median([value for value in values if math.isfinite(value)] or [99])
        if values and not 15 <= math.exp(min(middle, 99)) / 1e3 <= 1000:
            raise Refused(0)
    for table, labels in data:
        if bad := {i for i, label in enumerate(labels) if label not in (1, 2, 3, 4, 5)}:
            raise Refused(bad)
        for i, row in enumerate(table):
            try:
                found.append(_row92(row))
            except (ValueError, OverflowError):
                bad.add(i)
        if bad:
            raise Refused(bad)
    return found


def _row92(row: list[float]) -> Event:
    particles = []
    for i in range(18):
        kind, numbers = row[i], row[20 + 4 * i : 24 + 4 * i]
        if kind not in range(8) or (kind > 0) != any(value != 0 for value in numbers):
            raise ValueError(i)
        if kind == 0:
            continue
        energy, pt, eta, phi = math.exp(numbers[0]) / 1e3, math.exp(numbers[1]) / 1e3, *numbers[2:]
        if not (0 < energy <= 14000 and 0 < pt <= 14000 and abs(eta) < 20 and abs(phi) <= MAX_PHI):
            raise ValueError(i)
        if energy < 0.99 * pt * math.cosh(eta):
            raise ValueError(i)
        particles.append((int(kind) - 1, energy, pt, eta, phi))
    met = math.exp(row[18]) / 1e3
    if not (met <= 14000 and abs(row[19]) <= MAX_PHI):
        raise ValueError(row[18])
    return 1.0, met, row[19], particles


def test_hdf5(tmp_path: Path, hdf5: bytes) -> None:
    path, refused = tmp_path / "4tops.h5", 0
    reader = FourTopsHDF5(scale="log_mev", lepton_order=("e+", "e-", "m+", "m-"))
    path.write_bytes(hdf5)
    assert len(says_hdf5(path)) == len(reader.read(str(path))) == 9
    changes = (_damaged_table, _damaged_table, _flip, _flip, _cut, _gap)
    for seed in range(N):
        rng = np.random.default_rng([20262, seed])
        data = hdf5
        for _ in range(rng.integers(1, 3)):
            change = changes[rng.integers(len(changes))]
            if change is not _damaged_table or data is hdf5:  # a damaged file may not open
                data = change(data, rng)
        path.write_bytes(data)
        expected: list[Event] | None = None
        bad: set[int] = set()
        try:
            expected = says_hdf5(path)
        except Refused as found:
            bad = found.args[0] or bad
        events, error = _read(reader, path)
        if events is not None:
            assert expected is not None, f"seed {seed}: rows {bad} are damaged and were read"
            _nearly(events, expected)
            continue
        refused += 1
        assert expected is None, f"seed {seed}: refused a good file: {error}"
        assert re.search(
            r"row \d+:|rows from|/[XYxy]_|has no|has none|HDF5 file|is empty", error
        ), f"seed {seed}: {error}"
        named = re.search(r"row (\d+):", error)
        assert not bad or "rows from" in error or (named and int(named[1]) in bad), (
            f"seed {seed}: rows {bad}, but: {error}"
        )
    assert 150 < refused < 480


def _nearly(events: Any, expected: list[Event]) -> None:
    assert len(events) == len(expected)
    for one, (weight, met, met_phi, particles) in zip(events.to_list(), expected, strict=True):
        assert (one["weight"], one["MET"]["phi"], one["MET"]["pt"]) == (
            weight,
            met_phi,
            pytest.approx(met, rel=1e-13),
        )
        assert [p["type"] for p in one["Particle"]] == [p[0] for p in particles]
        numbers = [p[name] for p in one["Particle"] for name in ("energy", "pt", "eta", "phi")]
        assert numbers == pytest.approx([number for p in particles for number in p[1:]], rel=1e-13)
