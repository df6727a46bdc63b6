"""Packed text: every packing gives the same bytes, and nothing that is wrong passes for an end."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from contracts import damaged

from hepmtp.errors import ReadError
from hepmtp.readers.darkmachines.reader import DarkMachinesCSV
from hepmtp.readers.formats import reader_name
from hepmtp.readers.inspect_file import inspect
from hepmtp.readers.lines import open_file, packing

LINE = "{};ttbarW;0.5;20000;-1.5;j,60000,50000,0.1,1.0;b,70000,60000,0.2,-1.0;\n"
TEXT = "".join(LINE.format(i) for i in range(1000)).encode()


def zstd(data: bytes) -> bytes:
    return bytes(pa.Codec("zstd").compress(data))


PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd,
}


@pytest.mark.parametrize("name", PACKINGS)
def test_packed_lines_are_the_lines(tmp_path: Path, name: str) -> None:
    path = tmp_path / "some.data"  # the name does not matter
    pack = PACKINGS[name]
    path.write_bytes(pack(TEXT[:5000]) + pack(b"") + pack(TEXT[5000:]))
    assert packing(str(path)) == name
    assert reader_name(str(path)) == "hepmtp:DarkMachinesCSV"
    reader = DarkMachinesCSV()
    assert reader.num_events(str(path)) == 1000
    assert reader.read(str(path)).event.to_list() == list(range(1000))
    chunk = reader.chunks(str(path), 300)[3]
    assert reader.read_chunk(str(path), chunk).event.to_list() == list(range(900, 1000))
    assert [len(events) for events in reader.iterate(str(path), 400)] == [400, 400, 200]
    how = "gzipped" if name == "gzip" else f"packed by {name}"
    found = inspect(path)
    assert found.format == f"Dark Machines CSV, layout challenge, {how}"
    assert found.processes == {"ttbarW": 1000}


@pytest.mark.parametrize("name", PACKINGS)
def test_places_are_found_forwards_and_backwards(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(PACKINGS[name](TEXT))
    with open_file(str(path)) as file:
        for at in (40_000, 10, 70_000, 0, len(TEXT), 5):
            file.seek(at)
            assert file.tell() == at
            assert file.read(20) == TEXT[at : at + 20]
        assert file.read() == TEXT[25:]
        assert file.read(1) == b""


@pytest.mark.parametrize("name", PACKINGS)
def test_what_follows_is_a_member_or_an_error(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.csv"
    reader, packed = DarkMachinesCSV(), PACKINGS[name](TEXT)
    message = rf"a\.csv line \d+ or later: the {name} data are damaged or cut short"
    for data in (packed + b"more", packed + packed[:20], packed[:-3], packed[: len(packed) // 2]):
        path.write_bytes(data)
        with pytest.raises(ReadError, match=message):
            reader.read(str(path))


@pytest.mark.parametrize("name", ["bzip2", "xz"])
def test_zeros_after_a_member_are_padding(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.csv"
    packed = PACKINGS[name](TEXT)
    path.write_bytes(packed + bytes(400_000) + packed + bytes(8))
    assert DarkMachinesCSV().num_events(str(path)) == 2000


@pytest.mark.parametrize("name", PACKINGS)
def test_damaged_files_are_refused_or_right(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.csv"
    noise = np.random.default_rng(2).integers(10_000, 99_999, 1000)
    lines = [LINE.format(i).replace("50000", str(n)) for i, n in enumerate(noise)]
    packed = PACKINGS[name]("".join(lines).encode())
    path.write_bytes(packed)
    expected = DarkMachinesCSV().read(str(path)).Particle.pt.to_list()
    refused = 0
    for data in damaged(packed, np.random.default_rng(3), 40):
        path.write_bytes(data)
        try:
            found = DarkMachinesCSV().read(str(path)).Particle.pt.to_list()
            # the checksum of zstd is optional, and pyarrow writes none
            assert name == "zstd" or found == expected
        except ReadError as error:
            refused += 1
            assert str(path) in str(error)  # noqa: PT017
    assert refused >= 35


def test_an_xz_file_that_wants_too_much_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    # 12 bytes of the stream, then the header of the block: its size in units of four bytes, ...,
    # the filter (LZMA2, one byte of options: the size of its dictionary), padding, its checksum
    data = bytearray(lzma.compress(TEXT))
    size = (data[12] + 1) * 4
    data[data.index(b"\x21\x01") + 2] = 37  # 1.5 GiB
    data[8 + size : 12 + size] = zlib.crc32(data[12 : 8 + size]).to_bytes(4, "little")
    path.write_bytes(bytes(data))
    with pytest.raises(ReadError, match=r"a\.csv line 1 .*: the xz data are .*Memory usage limit"):
        DarkMachinesCSV().read(str(path))
