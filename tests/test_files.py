from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coffea.processor import IterativeExecutor, ProcessorABC
from loopback import serving

from hepmtp.datasets.files import fileset, read
from hepmtp.datasets.names import select
from hepmtp.errors import NetworkError, ReadError
from hepmtp.readers.darkmachines.reader import DarkMachinesCSV
from hepmtp.readers.formats import reader_for
from hepmtp.readers.inspect_file import inspect
from hepmtp.readers.lines import open_file
from hepmtp.readers.root import write_root
from hepmtp.run.runner import HepRunner

LINE = "{};ttbarW;0.5;20000;-1.5;j,60000,50000,0.1,1.0;b,70000,60000,0.2,-1.0;\n"


class Served(ThreadingHTTPServer):
    """A folder on loopback, in parts if asked for, as a data server gives it."""

    folder: Path
    in_parts = True
    broken = False  # every part ends half way

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Served

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def answer(self, *, with_body: bool) -> None:
        path = self.server.folder / self.path.strip("/")
        body = path.read_bytes() if path.is_file() else None
        wanted = (
            re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            if self.server.in_parts
            else None
        )
        if body is None:
            self.send_response(404)
            body = b""
        elif wanted:
            start, stop = int(wanted[1]), min(int(wanted[2] or len(body)), len(body) - 1) + 1
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(body)}")
            body = body[start:stop]
        else:
            self.send_response(200)
        if self.server.in_parts:
            self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            broken = self.server.broken and len(body) > 100
            self.wfile.write(body[: len(body) // 2] if broken else body)
            self.close_connection = self.close_connection or broken


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    server = Served(("127.0.0.1", 0), Handler)
    server.folder = tmp_path
    text = "".join(LINE.format(i) for i in range(1000)).encode()
    (tmp_path / "a.csv").write_bytes(text)
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(text))
    with serving(server):
        yield server


@pytest.mark.parametrize("name", ["a.csv", "b.csv.gz"])
def test_remote_lines_are_read_in_place(served: Served, tmp_path: Path, name: str) -> None:
    events = read(select([f"mine={served.url}/{name}"], []))
    here = read(select([f"mine={tmp_path / name}"], []))
    assert events.to_list() == here.to_list()
    assert len(events) == 1000
    reader = DarkMachinesCSV()
    url = f"{served.url}/{name}"
    assert reader.num_events(url) == 1000
    assert reader.read(url, 990, 995).event.to_list() == [990, 991, 992, 993, 994]
    chunk = reader.chunks(url, 300)[3]
    assert reader.read_chunk(url, chunk).event.to_list() == list(range(900, 1000))
    assert select([url], [])[0].name == name.partition(".")[0]


def test_remote_files_that_cannot_be_read(served: Served, tmp_path: Path) -> None:
    with pytest.raises(
        ReadError, match=r"/no.csv cannot be read in place \(FileNotFoundError: .*check the address"
    ):
        open_file(f"{served.url}/no.csv")
    with pytest.raises(
        ReadError,
        match=r"nowhere://a/a.csv cannot be read in place \(ValueError: Protocol not known",
    ):
        open_file("nowhere://a/a.csv")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(ReadError, match=r"empty.csv is empty: 0 bytes|the server gives no parts"):
        open_file(f"{served.url}/empty.csv")


def test_a_server_that_gives_no_parts(served: Served, tmp_path: Path) -> None:
    served.in_parts = False
    assert (
        reader_for("a.csv").num_events(f"{served.url}/a.csv") == 1000
    )  # small enough for one part
    (tmp_path / "large.csv").write_bytes(bytes(20_000_000))
    with open_file(f"{served.url}/large.csv") as file:
        file.seek(15_000_000)
        with pytest.raises(
            ReadError,
            match=r"cannot be read in place \(ValueError: .*range requests.*check the address",
        ):
            file.read(10)


def test_a_remote_file_that_breaks_off(served: Served, tmp_path: Path) -> None:
    (tmp_path / "large.csv").write_bytes(bytes(20_000_000))
    with open_file(f"{served.url}/large.csv") as file:
        served.broken = True
        with pytest.raises(
            NetworkError, match=r"large.csv cannot be read in place \(\w+Error: .*; the server does"
        ):
            file.read()


@pytest.mark.parametrize("name", ["a.parquet", "a.h5"])
def test_other_formats_are_to_be_downloaded(served: Served, name: str) -> None:
    with pytest.raises(
        ReadError, match=rf"{name} is remote; files of this kind are not read in place: download it"
    ):
        reader_for(f"{served.url}/{name}").read(f"{served.url}/{name}")


class Weights(ProcessorABC):  # type: ignore[misc]
    def process(self, events: Any) -> Any:
        return {"events": len(events), "weight": float(np.sum(events.weight))}

    def postprocess(self, accumulator: Any) -> Any:
        return accumulator


def test_other_remote_layouts_are_known_by_their_trees_and_run_over(
    served: Served, tmp_path: Path
) -> None:
    events = read(select([f"mine={tmp_path / 'a.csv'}"], []))
    write_root(tmp_path / "a.root", [events])
    url = f"{served.url}/a.root"
    assert (
        reader_for(url).read(url, 10, 20).to_list()
        == reader_for("a.root").read(str(tmp_path / "a.root"), 10, 20).to_list()
    )
    for name, size in (("a.root", None), ("a.csv", 1000)):
        found = inspect(f"{served.url}/{name}")
        assert (found.events, found.size) == (1000, (tmp_path / name).stat().st_size)
        assert size in (None, found.looked_at)
    datasets = select([f"mine={served.url}/b.csv.gz"], [])
    output = HepRunner(IterativeExecutor(status=False), chunksize=400)(fileset(datasets), Weights())
    assert output == {"events": 1000, "weight": 500.0}
    with pytest.raises(
        ReadError,
        match=r"no.root cannot be read in place \(FileNotFoundError: .*there is no such file: che",
    ):
        reader_for(f"{served.url}/no.root")


def test_a_remote_root_file_is_run_over_in_place(served: Served, tmp_path: Path) -> None:
    write_root(tmp_path / "a.root", [read(select([f"mine={tmp_path / 'a.csv'}"], []))])
    datasets = select([f"mine={served.url}/a.root"], [])
    found = HepRunner(IterativeExecutor(status=False), chunksize=400)(fileset(datasets), Weights())
    assert found == {"events": 1000, "weight": 500.0}
