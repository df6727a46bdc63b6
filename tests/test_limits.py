"""What a few bytes can make large is refused before it is made, and says why."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loopback import serving

from hepmtp.datasets import archives
from hepmtp.datasets.fetch import fetch
from hepmtp.datasets.fileset_files import load_fileset
from hepmtp.datasets.lockfile import LOCK, read_lock
from hepmtp.datasets.manifest import load_manifest
from hepmtp.datasets.published import load_records
from hepmtp.datasets.text import DEEPEST, LARGEST
from hepmtp.datasets.transfer import Transfer, get_json
from hepmtp.errors import FetchError, ManifestError, ReadError, StorageError
from hepmtp.readers.darkmachines.reader import DarkMachinesCSV
from hepmtp.readers.lines import LONGEST_LINE, check_lines, scan
from hepmtp.storage import ARRAYS, META, read

ONCE = Transfer(timeout=(60.0, 60.0), retries=0, wait=0.0)
EVENT = b"1;p;1;20000;0.5;j,60000,50000,0.1,1.0;\n"


def aliases(levels: int) -> str:
    lines = ["datasets: []", "shared:", "  a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"  a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, levels)]
    return "\n".join(lines) + "\n"


def test_aliases_are_counted_before_they_are_written_out(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(aliases(7))  # 400 bytes, 5 million values
    assert path.stat().st_size < 420
    for load in (load_manifest, load_records, load_fileset):
        with pytest.raises(ManifestError, match=r"m\.yaml has more than 1000000 values where its"):
            load(path)
    path.write_text("datasets: &a [*a]\n")
    with pytest.raises(ManifestError, match="has more than 1000000 values"):
        load_manifest(path)
    path.write_text(aliases(4))
    assert load_manifest(path) == ()


@pytest.mark.parametrize("n", [DEEPEST + 1, 5000, 100_000])
def test_nesting_ends(n: int, tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(f"datasets: []\nshared: {'[' * n}{']' * n}\n")
    with pytest.raises(ManifestError, match="mappings and lists lie more than 50 deep"):
        load_manifest(path)
    path = tmp_path / "f.json"
    path.write_text(f'{{"x": {"[" * n}{"]" * n}}}')
    if n > 50_000:
        with pytest.raises(ManifestError, match="mappings and lists lie more than 50 deep"):
            load_fileset(path)
        for name in (META, LOCK):
            (tmp_path / name).write_text("[" * n)
        (tmp_path / ARRAYS).write_bytes(b"")
        with pytest.raises(StorageError, match="cannot be read as a hepmtp folder"):
            read(tmp_path)
        with pytest.raises(ManifestError, match=r"cannot be read .*restore it, or"):
            read_lock(tmp_path)


@pytest.mark.parametrize("value", ["!!int x", "!!timestamp 2020-13-45", "!!float y", "2020-13-45"])
def test_a_value_that_cannot_be_is_told(value: str, tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(f"datasets: []\nshared: {value}\n")
    with pytest.raises(ManifestError, match=r"m\.yaml cannot be read as a manifest: a value"):
        load_manifest(tmp_path / "m.yaml")


def test_a_packed_fileset_has_an_end(tmp_path: Path) -> None:
    path = tmp_path / "f.json.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(LARGEST // 10**7 + 1):
            file.write(b" " * 10**7)
    with pytest.raises(ManifestError, match="has more than 100 MB: it is no manifest and no file"):
        load_fileset(path)


@pytest.mark.parametrize("variant", ["challenge", "generator"])
@pytest.mark.parametrize("before", [0, 3])
def test_a_line_has_an_end(variant: Any, before: int, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(EVENT * before + b"j," * (3 * LONGEST_LINE) + b"\n")
    with pytest.raises(ReadError, match=rf"a\.csv line {before + 1} has more than 1048576 bytes"):
        DarkMachinesCSV(variant=variant, on_bad="skip").num_events(str(path))


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_lines_are_measured_across_blocks(size: int) -> None:
    data = b"".join(b"x" * n + b"\n" for n in (5, 0, 1 << 20, 3)) + b"yy"
    line = rest = 0
    found = None
    for start in range(0, len(data), size * 1000):
        block = data[start : start + size * 1000]
        ends = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n"))
        try:
            rest = check_lines("a", line, rest, ends, len(block))
        except ReadError as error:
            found = str(error)
            break
        line += len(ends)
    assert found is not None
    assert found.startswith("a line 3 has more than")


def test_a_long_line_is_legal(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"1;p;1;20000;0.5" + b";j,60000,50000,0.1,1.0" * 40_000 + b"\n" + EVENT)
    assert [one.n_entries for one in scan(str(path), 0, 10, None)] == [2]
    assert len(DarkMachinesCSV().read(str(path)).Particle[0]) == 40_000


def test_an_archive_has_so_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MEMBERS", 3)
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for i in range(4):
            tar.addfile(tarfile.TarInfo(f"{i}"), io.BytesIO())
    with pytest.raises(FetchError, match=r"a\.tar holds more than 3 files and folders"):
        archives.unpack(tmp_path / "a.tar", tmp_path / "out", kind="tar", limit=1000)
    assert list((tmp_path / "out").iterdir()) == []


class Server(BaseHTTPRequestHandler):
    """Sends on, sends more than it should, and lists without end."""

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        port = self.server.server_port  # type: ignore[attr-defined]
        moved = {
            "host": f"http://localhost:{port}/files/a.csv",
            "here": "/files/a.csv", "loop": "/files/loop", "file": "file:///etc/passwd",
        }.get(name)  # fmt: skip
        self.send_response(302 if moved else 200)
        if moved:
            self.send_header("Location", moved)
        self.end_headers()  # no Content-Length: how much comes is known when it has come
        if not moved:
            try:
                self.wfile.write(EVENT * 3 if name == "a.csv" else b"[" * 60 * 10**6)
            except OSError:
                return


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Server)) as found:
        yield found


def fetched(url: str, folder: Path, name: str, size: int | None = None, **options: Any) -> bytes:
    (folder / "m.yaml").write_text(json.dumps({
        "datasets": [],
        "records": [{"name": "r", "url": f"{url}/files", "files": {name: size and {"size": size}}}],
    }))  # fmt: skip
    options.setdefault("transfer", ONCE)
    records = load_records(folder / "m.yaml")
    (path,) = fetch(["r"], [], records, folder=folder, **options)
    return path.read_bytes()


def test_a_file_has_the_size_that_the_manifest_says(url: str, tmp_path: Path) -> None:
    assert fetched(url, tmp_path, "a.csv", len(EVENT) * 3) == EVENT * 3
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(FetchError, match=rf"has {3 * len(EVENT)} bytes or more, expected 100"):
        fetched(url, other, "a.csv", 100)
    with pytest.raises(FetchError, match=r"expected at most 50: .*allow more \(option --max-gb\)"):
        fetched(url, other, "a.csv", limit=50)
    assert [one.name for one in other.iterdir()] == ["m.yaml"]


def test_a_server_sends_on_to_itself_alone(url: str, tmp_path: Path) -> None:
    assert fetched(url, tmp_path, "here") == EVENT * 3
    with pytest.raises(FetchError, match=r"which is another host; .* --host localhost"):
        fetched(url, tmp_path, "host")
    allowed = Transfer(timeout=(60.0, 60.0), retries=0, wait=0.0, hosts=("localhost",))
    assert fetched(url, tmp_path, "host", transfer=allowed) == EVENT * 3
    with pytest.raises(FetchError, match=r"sends us on to file:///etc/passwd, expected https://"):
        fetched(url, tmp_path, "file")
    with pytest.raises(FetchError, match="sends us on more than 10 times"):
        fetched(url, tmp_path, "loop")


def test_a_listing_has_an_end(url: str) -> None:
    with pytest.raises(FetchError, match="answers with more than 50 MB: that is no listing"):
        get_json(f"{url}/endless", ONCE)
