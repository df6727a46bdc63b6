"""Disks and servers that fail: told as that, never as damage, and what may pass is marked."""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import socket
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from loopback import serving

from hepmtp.errors import NetworkError, ReadError
from hepmtp.events.record import make_events
from hepmtp.readers import Reader
from hepmtp.readers.darkmachines.reader import DarkMachinesCSV
from hepmtp.readers.formats import reader_name
from hepmtp.readers.lines import check_file, damage, open_file, size_of
from hepmtp.readers.root import RootReader, write_root

LINE = "1;ttbarW;0.5;20000;-1.5;j,60000,50000,0.1,1.0;\n"


def zstd(data: bytes) -> bytes:
    return bytes(pa.Codec("zstd").compress(data))


class Playing(ThreadingHTTPServer):
    """Files on loopback: `status` answers all, `cut` halves bodies, `parts` are given or not."""

    folder: Path
    status = 0
    cut = False
    parts = True

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{name}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Playing

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def answer(self, *, with_body: bool) -> None:
        path = self.server.folder / self.path.partition("?")[0].strip("/")
        data = path.read_bytes() if path.is_file() else b""
        there = 206 if self.server.parts else 200
        status = self.server.status or (there if path.is_file() else 404)
        start, stop = 0, len(data)
        if status == 206:
            first, _, last = (
                self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
            )
            start, stop = int(first), min(int(last or stop), stop - 1) + 1
        body = data[start:stop] if status in (200, 206) else b""
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(data)}")
            self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body[: len(body) // 2] if self.server.cut else body)
            self.close_connection = self.close_connection or self.server.cut


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Playing]:
    server = Playing(("127.0.0.1", 0), Handler)
    server.folder = tmp_path
    (tmp_path / "a.csv").write_text(LINE * 1000)
    events = make_events(
        counts=[1],
        pt=[50.0],
        eta=[0.0],
        phi=[0.0],
        energy=[50.0],
        type=[0],
        met=[1.0],
        met_phi=[0.0],
    )
    write_root(tmp_path / "a.root", [events])
    with serving(server):
        yield server


READERS: dict[str, Reader] = {"a.csv": DarkMachinesCSV(), "a.root": RootReader()}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
def test_a_busy_server_may_answer_later(server: Playing, name: str, status: int) -> None:
    server.status = status
    for ask in (READERS[name].num_events, READERS[name].read):
        with pytest.raises(
            NetworkError, match=rf"{name} cannot be read in place .*try again lat"
        ) as e:
            ask(server.url(name))
        assert "damaged" not in str(e.value)
        assert "fetch it again" not in str(e.value)
    server.status = 0
    assert READERS[name].num_events(server.url(name)) == (1000 if name == "a.csv" else 1)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (404, "there is no such file: check the address"),
        (403, "you may not read it: log in"),
        (401, "you may not read it: log in"),
    ],
)
def test_what_stays_wrong_is_said(server: Playing, name: str, status: int, advice: str) -> None:
    server.status = status
    with pytest.raises(ReadError, match=rf"{name} cannot be read in place .*{advice}") as error:
        READERS[name].num_events(server.url(name))
    assert not isinstance(error.value, NetworkError)
    assert "damaged" not in str(error.value)


@pytest.mark.parametrize("name", READERS)
def test_a_connection_that_is_cut(server: Playing, name: str) -> None:
    server.cut = True
    with pytest.raises(NetworkError, match=rf"{name} cannot be read in place .*does not answer"):
        READERS[name].read(server.url(name))


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstd])
def test_a_connection_that_is_cut_in_packed_lines(
    server: Playing, pack: Callable[[bytes], bytes]
) -> None:
    noise = np.random.default_rng(1).integers(10_000, 99_999, 50_000)
    lines = "".join(LINE.replace("50000", str(n)) for n in noise).encode()
    (server.folder / "large").write_bytes(pack(lines))
    with open_file(server.url("large")) as file:
        assert file.read(10) == lines[:10]
        file.seek(0)
        server.cut = True
        with pytest.raises(ReadError, match=r"large") as error:
            DarkMachinesCSV().num_events(server.url("large"))
    assert isinstance(error.value, NetworkError)
    server.cut = False
    assert DarkMachinesCSV().num_events(server.url("large")) == 50_000


@pytest.mark.parametrize("name", READERS)
def test_a_server_that_is_not_there(name: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(NetworkError, match=rf"{name} cannot be read in place .*does not answer"):
        READERS[name].read(f"http://127.0.0.1:{port}/{name}")
    with pytest.raises(NetworkError, match=r"a\.csv cannot be read in place"):
        size_of(f"http://127.0.0.1:{port}/a.csv")


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT])
def test_a_disk_that_does_not_answer(tmp_path: Path, code: int) -> None:
    path = str(tmp_path / "a.root")
    with (
        pytest.raises(NetworkError, match=r"a\.root cannot be read now .*; its disk does not"),
        damage(path, "a ROOT file"),
    ):
        raise OSError(code, "as the system says it")

    said = f"Can't read data (file read failed: errno = {code}, error message = 'x')"
    with (
        pytest.raises(NetworkError, match=r"a\.h5 cannot be read now .*; its disk does not answer"),
        damage(str(tmp_path / "a.h5"), "an HDF5 file"),
    ):
        raise OSError(said)
    with (
        pytest.raises(ReadError, match=r"a\.root is not a ROOT file, or is cut short or damaged"),
        damage(path, "a ROOT file"),
    ):
        raise OSError("not a magic number")


def test_a_server_that_gives_whole_files_only(server: Playing) -> None:
    server.parts = False
    with pytest.raises(ReadError, match=r"gives no parts of files; download it") as found:
        RootReader().read(server.url("a.root"))
    assert "damaged" not in str(found.value)


def test_names_that_the_system_refuses(tmp_path: Path) -> None:
    with pytest.raises(
        ReadError, match=r"cannot be read \(OSError: .*File name too long.*check its"
    ):
        check_file(str(tmp_path / ("a" * 5000)))


@pytest.mark.parametrize("end", ["", "?token=a/b.h5", "?file=x"])
def test_a_remote_file_is_what_its_content_says(server: Playing, end: str) -> None:
    for name, reader in (("a.csv", "DarkMachinesCSV"), ("a.root", "RootReader")):
        wrong = server.folder / "data"
        wrong.write_bytes((server.folder / name).read_bytes())
        assert reader_name(server.url(f"data{end}")) == f"hepmtp:{reader}"
        wrong.rename(server.folder / "b.parquet")
        assert reader_name(server.url(f"b.parquet{end}")) == f"hepmtp:{reader}"
    (server.folder / "data").write_bytes(b"PAR1 and more")
    assert reader_name(server.url("data")) == "hepmtp:ParquetReader"
    (server.folder / "data").write_bytes(b"nothing that is known")
    with pytest.raises(ReadError, match=r"data is of no known kind: it begins with b'nothing"):
        reader_name(server.url("data"))


def test_the_ending_tells_where_the_content_cannot_be_had(server: Playing) -> None:
    server.status = 503
    assert reader_name(server.url("a.csv.xz?x=1.root#y.h5")) == "hepmtp:DarkMachinesCSV"
    assert reader_name(server.url("a.parquet?x=1")) == "hepmtp:ParquetReader"
    with pytest.raises(NetworkError, match=r"a\.root cannot be read in place .*try again later"):
        reader_name(server.url("a.root"))
    with pytest.raises(NetworkError, match=r"no reader is known for this name.*cannot be had: "):
        reader_name(server.url("data"))
    server.status = 404
    with pytest.raises(ReadError, match=r"cannot be had: .*data cannot be .*there is no such file"):
        reader_name(server.url("data"))
