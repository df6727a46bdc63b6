"""The identity of a file follows from what is in it: not from folder, name or packing."""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
from pathlib import Path

import pytest
import uproot

from hepmtp.datasets.manifest import embedded
from hepmtp.errors import EventError
from hepmtp.events import source_id
from hepmtp.events.source import former_id, root_source
from hepmtp.readers.convert import convert
from hepmtp.readers.darkmachines.reader import DarkMachinesCSV
from hepmtp.readers.parquet import ParquetReader
from hepmtp.readers.root import RootReader

LINES = [f"{i};4top;0.5;20000;0.1;j,{i + 60000},50000,0.5,0.2" for i in range(3)]


def text(lines: list[str], end: str = "\n") -> bytes:
    return "".join(f"{line}{end}" for line in lines).encode()


def packed(data: bytes) -> bytes:
    """Packed without the time, which would make another test of it in each process."""
    return gzip.compress(data, mtime=0)


def test_hepmtps_own_sample_keeps_its_identity() -> None:
    """For ever: the split of the events that the shipped numbers are from hangs on it."""
    found = {one.name: source_id(one.files[0]) for one in embedded()}
    assert found["ttbarW"] == 5_367_773_698_015_894_397
    assert found == {name: former_id(name) for name in found}


def test_a_name_is_no_identity(tmp_path: Path) -> None:
    """Two runs of MadGraph both write tag_1_delphes_events.root."""
    paths = [tmp_path / run / "events.csv" for run in ("run_01", "run_02")]
    for path, mass in zip(paths, (50000, 70000), strict=True):
        path.parent.mkdir()
        path.write_bytes(text([line.replace("50000", str(mass)) for line in LINES]))
    one, other = (source_id(str(path)) for path in paths)
    assert one != other
    assert all(0 <= number < 2**63 for number in (one, other))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("b/another name", text(LINES)),
        ("windows.csv", b"\xef\xbb\xbf" + text(LINES, "\r\n")),
        ("semicolons.csv", text(LINES, ";\n")),
        ("no_newline.csv", text(LINES)[:-1]),
        ("ids.csv", text([line.replace(";4top;", "00;other;", 1) for line in LINES])),
        ("packed.gz", packed(text(LINES))),
        ("twice.gz", b"".join(packed(one) for one in (text(LINES)[:70], text(LINES)[70:]))),
        ("packed.bz2", bz2.compress(text(LINES))),
        ("packed.xz", lzma.compress(text(LINES))),
    ],
)
def test_a_copy_of_a_text_is_the_same_file(tmp_path: Path, name: str, data: bytes) -> None:
    original, copy = tmp_path / "a.csv", tmp_path / name
    copy.parent.mkdir(exist_ok=True)
    original.write_bytes(text(LINES))
    copy.write_bytes(data)
    assert source_id(str(copy)) == source_id(str(original))


def test_a_zstd_copy_is_the_same_file(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    (tmp_path / "a.csv").write_bytes(text(LINES))
    with pa.CompressedOutputStream(str(tmp_path / "a.zst"), "zstd") as file:
        file.write(text(LINES))
    assert source_id(str(tmp_path / "a.zst")) == source_id(str(tmp_path / "a.csv"))


def test_a_text_that_was_cut_or_has_grown_is_the_same_file(sample: Path, tmp_path: Path) -> None:
    whole = gzip.decompress((sample / "4top.csv.gz").read_bytes())
    (tmp_path / "cut.csv").write_bytes(b"".join(whole.splitlines(keepends=True)[:500]))
    assert source_id(str(tmp_path / "cut.csv")) == former_id("4top")


def test_a_rewritten_file_is_another(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(text(LINES))
    before = source_id(str(path))
    path.write_bytes(text(LINES[1:]))
    assert source_id(str(path)) != before


def test_root_is_known_by_its_uuid(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with uproot.recreate(tmp_path / f"{name}.root") as file:
            file.mktree("t", {"x": "int32"}).extend({"x": [1, 2, 3]})
    shutil.copy(tmp_path / "a.root", tmp_path / "c.root")
    a, b, c = (source_id(str(tmp_path / f"{name}.root")) for name in "abc")
    assert a == c != b
    with uproot.open(tmp_path / "a.root") as file:
        assert root_source(file.file.uuid.bytes) == a
    assert source_id(str(tmp_path / "a.root"), "other tree") != a


def test_root_without_a_uuid_is_known_by_its_bytes(tmp_path: Path) -> None:
    """As ROOT writes a reproducible file."""
    found = []
    for x in (1, 2):
        path = tmp_path / f"{x}.root"
        with uproot.recreate(path) as file:
            file.mktree("t", {"x": "int32"}).extend({"x": [x]})
        data = bytearray(path.read_bytes())
        data[47:63] = bytes(16)
        path.write_bytes(data)
        with uproot.open(path) as file:
            assert not any(file.file.uuid.bytes)
        found.append(source_id(str(path)))
    assert found[0] != found[1]


def test_a_missing_file_has_no_identity(tmp_path: Path) -> None:
    with pytest.raises(EventError, match=r"gone\.csv has no identity: it cannot be opened"):
        source_id(str(tmp_path / "gone.csv"))


def test_it_is_carried_through_convert(tmp_path: Path) -> None:
    """Whatever the new file is called, and back to the text that it came from."""
    (tmp_path / "a.csv").write_bytes(text(LINES))
    original = source_id(str(tmp_path / "a.csv"))
    convert(tmp_path / "a.csv", tmp_path / "b.root")
    convert(tmp_path / "b.root", tmp_path / "c.parquet")
    convert(tmp_path / "c.parquet", tmp_path / "d.csv.gz")
    for reader, name in (
        (RootReader(), "b.root"),
        (ParquetReader(), "c.parquet"),
        (DarkMachinesCSV(), "d.csv.gz"),
    ):
        events = reader.read(str(tmp_path / name))
        assert events.source.to_list() == [original] * 3
        assert events.event.to_list() == [0, 1, 2]
