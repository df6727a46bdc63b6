"""An HTTP server on loopback plays Zenodo, with all that goes wrong there."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from loopback import serving

from hepmtp.cli import main
from hepmtp.datasets.fetch import fetch
from hepmtp.datasets.files import check_files, read
from hepmtp.datasets.lockfile import LOCK, read_lock
from hepmtp.datasets.manifest import data_folder, load_manifest
from hepmtp.datasets.published import load_records
from hepmtp.datasets.transfer import Transfer
from hepmtp.errors import FetchError, ManifestError

PATIENT = Transfer(timeout=(120.0, 120.0), retries=2, wait=0.0)
EVENT = b"{};ttbarW;0.5;20000;-1.5;j,60000,50000,0.1,1.0;b,70000,60000,0.2,-1.0;\n"
BIG = np.random.default_rng(1).bytes(1_000_000)


@dataclass
class Zenodo:
    """What the server has, and how it misbehaves for each name."""

    files: dict[str, bytes] = field(default_factory=dict)
    breaks: dict[str, int] = field(
        default_factory=dict
    )  # how often the connection is closed half way
    status: dict[str, list[int]] = field(default_factory=dict)  # answers before the good ones
    no_range: set[str] = field(default_factory=set)
    no_tag: set[str] = field(default_factory=set)
    hangs: set[str] = field(default_factory=set)
    asked: list[tuple[str, str]] = field(default_factory=list)  # (name, Range)
    md5: dict[str, str] = field(default_factory=dict)  # listed instead of none
    together: threading.Barrier | None = None  # passed when so many files are asked for at once
    closing: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def listing(self) -> bytes:
        rows = [
            {
                "key": name,
                "checksum": f"md5:{self.md5[name]}" if name in self.md5 else "",
                "links": {"self": self.address(name)},
            }
            for name in self.files
        ]
        return json.dumps({"id": 1, "files": rows}).encode()

    def address(self, name: str) -> str:
        return f"{self.url}/files/{name}"


def handler(zenodo: Zenodo) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            self.close_connection = True
            name = self.path.rpartition("/")[2]
            body = zenodo.listing() if self.path == "/api/records/1" else zenodo.files.get(name)
            zenodo.asked.append((name, self.headers.get("Range", "")))
            if zenodo.together is not None and body is not None:
                zenodo.together.wait(timeout=600)
            if name in zenodo.hangs:
                zenodo.closing.wait(timeout=600)
                return
            waiting = zenodo.status.get(name, [])
            status = waiting.pop(0) if waiting else 200 if body is not None else 404
            if body is None or status != 200:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            tag = f'"{hashlib.md5(body).hexdigest()}"'
            start = 0
            wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            if wanted and name not in zenodo.no_range and self.headers.get("If-Range", tag) == tag:
                start = int(wanted[1])
            if start >= len(body) > 0:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(body)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            if name not in zenodo.no_tag:
                self.send_header("ETag", tag)
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            rest = body[start:]
            if zenodo.breaks.get(name, 0):
                zenodo.breaks[name] -= 1
                rest = rest[: len(rest) // 2]
            self.wfile.write(rest)

    return Handler


@pytest.fixture
def zenodo() -> Iterator[Zenodo]:
    played = Zenodo()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(played))
    with serving(server) as played.url:
        yield played
        played.closing.set()


Fetch = Callable[..., list[str]]


@pytest.fixture
def get(zenodo: Zenodo, tmp_path: Path) -> Fetch:
    """Fetch what a record of these files holds.

    The names of the files that are then in the folder.
    """

    def get(
        files: dict[str, Any],
        *names: str,
        datasets: tuple[dict[str, Any], ...] = (),
        base: str = "listing",
        transfer: Transfer = PATIENT,
        **options: Any,
    ) -> list[str]:
        address = (
            {"listing": f"{zenodo.url}/api/records/1"}
            if base == "listing"
            else {"url": f"{zenodo.url}/files"}
        )
        row = {"name": "r", "doi": "10.1/r", "files": files, **address}
        manifest = tmp_path / "manifest.yaml"
        manifest.write_text(
            yaml.safe_dump({"records": [row], "datasets": [{**DATASET, **one} for one in datasets]})
        )
        found = fetch(
            names or ("r",),
            load_manifest(manifest, folder=tmp_path),
            load_records(manifest),
            folder=tmp_path,
            transfer=transfer,
            **options,
        )
        return [path.relative_to(tmp_path).as_posix() for path in found]

    return get


DATASET = {
    "name": "a",
    "process": "ttbarW",
    "role": "background",
    "record": "r",
    "files": ["a.csv"],
}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def tar(*members: tuple[str, bytes] | tarfile.TarInfo, mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as file:  # type: ignore[call-overload]
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                file.addfile(member)
                continue
            info = tarfile.TarInfo(member[0])
            info.size = len(member[1])
            file.addfile(info, io.BytesIO(member[1]))
    return buffer.getvalue()


def left(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {
        "manifest.yaml",
        LOCK,
    }


@pytest.mark.parametrize("base", ["listing", "url"])
def test_a_good_file_is_fetched_locked_and_not_fetched_again(
    zenodo: Zenodo, get: Fetch, tmp_path: Path, base: str
) -> None:
    zenodo.files = {"a b.bin": BIG} if base == "listing" else {"a%20b.bin": BIG}
    if base == "listing":
        zenodo.files = {"a.bin": BIG}
    name = "a.bin" if base == "listing" else "a b.bin"
    told: list[tuple[str, int, int | None]] = []
    assert get({name: None}, base=base, progress=lambda *now: told.append(now)) == [name]
    assert (tmp_path / name).read_bytes() == BIG
    assert left(tmp_path) == {name}
    assert told[-1] == (name, 1_000_000, 1_000_000)
    locked = read_lock(tmp_path)[name]
    assert (locked.sha256, locked.size) == (sha256(BIG), 1_000_000)
    asked = len(zenodo.asked)
    assert get({name: None}, base=base) == [name]
    assert len(zenodo.asked) == asked  # not even the listing


def test_a_broken_transfer_goes_on_where_it_broke(
    zenodo: Zenodo, get: Fetch, tmp_path: Path
) -> None:
    zenodo.files, zenodo.breaks = {"a.bin": BIG}, {"a.bin": 3}
    get({"a.bin": None})
    starts = [
        int(re.sub(r"\D", "", range_) or 0) for name, range_ in zenodo.asked if name == "a.bin"
    ]
    assert len(starts) == 4
    assert 0 == starts[0] < starts[1] < starts[2] < starts[3] < 1_000_000
    assert (tmp_path / "a.bin").read_bytes() == BIG


def test_a_fetch_that_failed_is_continued_by_the_next_one(
    zenodo: Zenodo, get: Fetch, tmp_path: Path
) -> None:
    zenodo.files, zenodo.breaks = {"a.bin": BIG}, {"a.bin": 1}
    zenodo.status = {"a.bin": [200, 503, 503]}
    impatient = Transfer(timeout=(120.0, 120.0), retries=0, wait=0.0)
    with pytest.raises(
        FetchError,
        match=r"a.bin cannot be downloaded: .*503.*after 1 attempts.*kept in .*\.a\.bin\.part",
    ):
        get({"a.bin": None}, transfer=impatient)
    assert left(tmp_path) == {".a.bin.part", ".a.bin.part.tag"}
    zenodo.status = {}
    get({"a.bin": None})
    assert zenodo.asked[-1][1] != ""
    assert (tmp_path / "a.bin").read_bytes() == BIG
    assert left(tmp_path) == {"a.bin"}


def test_a_part_of_a_file_that_has_changed_is_thrown_away(
    zenodo: Zenodo, get: Fetch, tmp_path: Path
) -> None:
    test_part = tmp_path / ".a.bin.part"
    test_part.write_bytes(b"x" * 400_000)
    (tmp_path / ".a.bin.part.tag").write_text('"of another state"')
    zenodo.files = {"a.bin": BIG}
    get({"a.bin": None})
    assert zenodo.asked[-1] == ("a.bin", "bytes=400000-")
    assert (tmp_path / "a.bin").read_bytes() == BIG


def test_a_part_that_nothing_vouches_for_is_not_continued(
    zenodo: Zenodo, get: Fetch, tmp_path: Path
) -> None:
    zenodo.files, zenodo.no_tag, zenodo.breaks = {"a.bin": BIG}, {"a.bin"}, {"a.bin": 1}
    get({"a.bin": None})
    assert [asked for name, asked in zenodo.asked if name == "a.bin"] == ["", ""]
    zenodo.breaks = {"b.bin": 1}
    zenodo.files, zenodo.no_tag = {"b.bin": BIG}, {"b.bin"}
    get({"b.bin": {"sha256": sha256(BIG)}})  # a digest vouches for it
    assert zenodo.asked[-1][1].startswith("bytes=4")
    assert (tmp_path / "b.bin").read_bytes() == BIG


def test_a_part_that_is_whole_already(zenodo: Zenodo, get: Fetch, tmp_path: Path) -> None:
    zenodo.files = {"a.bin": BIG}
    (tmp_path / ".a.bin.part").write_bytes(BIG)
    (tmp_path / ".a.bin.part.tag").write_text(f'"{hashlib.md5(BIG).hexdigest()}"')
    get({"a.bin": None})
    assert (tmp_path / "a.bin").read_bytes() == BIG
    (tmp_path / ".b.bin.part").write_bytes(BIG + b"x")
    (tmp_path / ".b.bin.part.tag").write_text(f'"{hashlib.md5(BIG).hexdigest()}"')
    zenodo.files = {"b.bin": BIG}
    get({"b.bin": None})
    assert (tmp_path / "b.bin").read_bytes() == BIG


def test_a_server_without_range(zenodo: Zenodo, get: Fetch, tmp_path: Path) -> None:
    zenodo.files, zenodo.breaks, zenodo.no_range = {"a.bin": BIG}, {"a.bin": 2}, {"a.bin"}
    get({"a.bin": None})
    assert (tmp_path / "a.bin").read_bytes() == BIG
    zenodo.files, zenodo.breaks, zenodo.no_range = {"b.bin": BIG}, {"b.bin": 99}, {"b.bin"}
    with pytest.raises(
        FetchError, match=r"b.bin cannot be downloaded: .* after 3 attempts without anything new"
    ):
        get({"b.bin": None})
    assert zenodo.breaks["b.bin"] == 99 - 4  # the first brought something new


def test_a_wrong_digest_is_refused(zenodo: Zenodo, get: Fetch, tmp_path: Path) -> None:
    zenodo.files = {"a.bin": BIG}
    with pytest.raises(
        FetchError,
        match=rf"expected {'0' * 64} but got {sha256(BIG)}.*is published.*correct the manifest",
    ):
        get({"a.bin": {"sha256": "0" * 64}})
    assert left(tmp_path) == set()
    zenodo.md5 = {"a.bin": "0" * 32}
    with pytest.raises(
        FetchError, match=rf"expected md5:{'0' * 32} but got {hashlib.md5(BIG).hexdigest()}"
    ):
        get({"a.bin": None})
    assert left(tmp_path) == set()
    zenodo.md5 = {"a.bin": hashlib.md5(BIG).hexdigest()}
    assert get({"a.bin": None}) == ["a.bin"]


def test_a_file_that_changes_on_the_server_is_refused(
    zenodo: Zenodo, get: Fetch, tmp_path: Path
) -> None:
    zenodo.files = {"a.bin": BIG}
    get({"a.bin": None})
    (tmp_path / "a.bin").unlink()
    zenodo.files = {"a.bin": b"another"}
    with pytest.raises(
        FetchError,
        match=(
            rf"expected {sha256(BIG)} but got {sha256(b'another')}.*{LOCK} has .*the file has "
            rf"changed.*correct .*{LOCK}"
        ),
    ):
        get({"a.bin": None})
    assert left(tmp_path) == set()


@pytest.mark.parametrize("new", [b"a" * 1_000_000, b"shorter"])
def test_a_file_that_changes_here_is_refused(
    zenodo: Zenodo, get: Fetch, tmp_path: Path, new: bytes
) -> None:
    zenodo.files = {"a.csv": BIG}
    get({"a.csv": None}, datasets=({},))
    (tmp_path / "a.csv").write_bytes(new)
    told = (
        rf"a.csv has sha256 {sha256(new)}.*{LOCK} has {sha256(BIG)}.*Move it away.*remove its entry"
    )
    with pytest.raises(ManifestError, match=told):
        get({"a.csv": None}, datasets=({},))
    dataset = load_manifest(tmp_path / "manifest.yaml", folder=tmp_path)
    with pytest.raises(ManifestError, match=told):
        check_files(dataset)
    assert check_files(dataset, digests=False) == {"a": [str(tmp_path / "a.csv")]}


def test_a_file_put_there_by_hand_is_checked_and_locked(
    zenodo: Zenodo, get: Fetch, tmp_path: Path
) -> None:
    zenodo.files, zenodo.md5 = {"a.bin": BIG}, {"a.bin": hashlib.md5(BIG).hexdigest()}
    (tmp_path / "a.bin").write_bytes(BIG)
    assert get({"a.bin": None}) == ["a.bin"]
    assert zenodo.asked == [("1", "")]  # the listing, for the md5
    (tmp_path / "a.bin").write_bytes(b"cut")
    (tmp_path / LOCK).unlink()
    with pytest.raises(
        FetchError, match=r"a.bin has md5 \w{32}, but \w{32} is published.*Move it away"
    ):
        get({"a.bin": None})


def test_what_is_not_there(zenodo: Zenodo, get: Fetch) -> None:
    zenodo.files = {"a.bin": BIG}
    with pytest.raises(
        ManifestError,
        match=r"record 'r' has no file 'b.bin'; http://.* lists a.bin; correct the manifest",
    ):
        get({"b.bin": None})
    with pytest.raises(
        FetchError,
        match=r"files/b.bin cannot be downloaded: the server answers 404 Not Found; check the",
    ):
        get({"b.bin": None}, base="url")
    assert [name for name, _ in zenodo.asked].count("b.bin") == 1  # asking again would not help


def test_a_server_that_is_busy_is_asked_again(zenodo: Zenodo, get: Fetch) -> None:
    zenodo.files, zenodo.status = {"a.bin": BIG}, {"a.bin": [503, 429], "1": [500]}
    assert get({"a.bin": None}) == ["a.bin"]
    zenodo.files, zenodo.status = {"b.bin": BIG}, {"b.bin": [503] * 9}
    with pytest.raises(
        FetchError, match=r"the server answers 503 Service Unavailable, after 3 attempts"
    ):
        get({"b.bin": None})


def test_a_server_that_hangs(zenodo: Zenodo, get: Fetch) -> None:
    zenodo.files, zenodo.hangs = {"a.bin": BIG}, {"a.bin"}
    silent = Transfer(timeout=(120.0, 0.2), retries=1, wait=0.0)
    with pytest.raises(
        FetchError,
        match=r"a.bin cannot be downloaded: the server is silent \(timeout\), after 2 attempts",
    ):
        get(
            {"a.bin": None}, base="url", transfer=silent
        )  # no listing: what hangs is all it asks for


def test_a_server_that_is_not_there(get: Fetch, zenodo: Zenodo) -> None:
    zenodo.url = "http://127.0.0.1:9"
    with pytest.raises(FetchError, match=r"127.0.0.1:9.* cannot be downloaded: ConnectionError"):
        get({"a.bin": None})


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"key": "../a.bin"}, r"lists a file '../a.bin', which is no plain name"),
        ({"key": ".hidden"}, r"which is no plain name"),
        (
            {"links": {"self": "file:///etc/passwd"}},
            r"gives the address 'file:///etc/passwd' for a.bin, expected https",
        ),
        ({"links": {}}, r"is not the listing of a record \(KeyError"),
    ],
)
def test_a_listing_that_is_wrong(
    zenodo: Zenodo, get: Fetch, row: dict[str, Any], message: str
) -> None:
    rows = {
        "files": [
            {"key": "a.bin", "checksum": "", "links": {"self": zenodo.address("a.bin")}, **row}
        ]
    }
    zenodo.listing = lambda: json.dumps(rows).encode()  # type: ignore[method-assign]
    with pytest.raises(ManifestError, match=message):
        get({"a.bin": None})
    zenodo.listing = lambda: b"<html>"  # type: ignore[method-assign]
    with pytest.raises(
        ManifestError, match=r"is not the listing of a record.*by hand from https://doi.org/10.1/r"
    ):
        get({"a.bin": None})


def test_files_come_in_parallel_and_one_that_fails_stops_no_other(
    zenodo: Zenodo, get: Fetch, tmp_path: Path
) -> None:
    zenodo.files = {f"{i}.bin": bytes([i]) * 1000 for i in range(4)}
    files = dict.fromkeys(zenodo.files)
    zenodo.together = threading.Barrier(4)  # nothing comes before four are asked for
    assert get(files, base="url", jobs=4) == ["0.bin", "1.bin", "2.bin", "3.bin"]
    zenodo.together = None
    zenodo.files = {f"{name}x": data for name, data in zenodo.files.items() if name != "2.bin"}
    with pytest.raises(
        FetchError, match=r"1 of 4 files were not fetched: .*2.binx cannot be downloaded.*404"
    ):
        get({f"{name}x": None for name in files}, base="url", jobs=2)
    assert left(tmp_path) >= {"0.binx", "1.binx", "3.binx"}
    assert set(read_lock(tmp_path)) == left(tmp_path)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_file_is_unpacked_and_its_files_are_locked(
    zenodo: Zenodo, get: Fetch, tmp_path: Path, mode: str
) -> None:
    lines = [EVENT.replace(b"{}", str(i).encode()) for i in range(3)]
    name = "all.tar" if mode == "w" else "all.tar.gz"  # how it is compressed is known by its bytes
    zenodo.files = {name: tar(("d/a.csv", lines[0]), ("d/b.csv", lines[1] + lines[2]), mode=mode)}
    rows = ({"files": ["in/d/a.csv"]}, {"name": "b", "files": ["in/d/b*.csv"]})
    files = {name: {"into": "in", "unpack": "tar"}}
    assert get(files, "a", "b", datasets=rows) == ["in/d/a.csv", "in/d/b.csv"]
    assert left(tmp_path) == {"in/d/a.csv", "in/d/b.csv"}
    events = read(load_manifest(tmp_path / "manifest.yaml", folder=tmp_path))
    assert events.event.to_list() == [0, 0, 1]
    asked = len(zenodo.asked)
    assert get(files, "b", datasets=rows) == ["in/d/a.csv", "in/d/b.csv"]
    assert len(zenodo.asked) == asked
    (tmp_path / "in/d/b.csv").unlink()
    assert get(files, "b", datasets=rows) == ["in/d/a.csv", "in/d/b.csv"]  # the archive once more
    (tmp_path / "in/d/a.csv").write_bytes(b"changed")
    with pytest.raises(ManifestError, match=r"in/d/a.csv has sha256 .*the file has changed"):
        get(files, "b", datasets=rows)


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (("../evil", b"x"), r"'../evil' would lie outside the folder; nothing was unpacked"),
        (("in/../../evil", b"x"), r"would lie outside the folder"),
        (("/tmp/evil", b"x"), r"'/tmp/evil' would lie outside the folder"),
        (link("l", "/etc/passwd"), r"'l' is a link or a device"),
        (link("l", "good.csv", tarfile.LNKTYPE), r"'l' is a link or a device"),
        (link("null", "", tarfile.CHRTYPE), r"'null' is a link or a device"),
        (link("pipe", "", tarfile.FIFOTYPE), r"'pipe' is a link or a device"),
        (
            ("bomb", bytes(2_000_001)),
            r"unpacks to more than 0.002 GB; if that is right allow more \(option --max-gb\)",
        ),
    ],
)
def test_a_tar_file_that_would_do_harm(
    zenodo: Zenodo,
    get: Fetch,
    tmp_path: Path,
    member: tuple[str, bytes] | tarfile.TarInfo,
    message: str,
) -> None:
    (tmp_path / "data").mkdir()
    zenodo.files = {"all.tgz": tar(("good.csv", b"1"), member, mode="w:gz")}
    with pytest.raises(FetchError, match=message):
        get({"all.tgz": {"into": "data", "unpack": "tar"}}, limit=2_000_000)
    assert left(tmp_path) == {"data/all.tgz"}
    assert not (tmp_path / "evil").exists()


def test_many_small_members_and_long_headers_are_bombs_too(
    zenodo: Zenodo, get: Fetch, tmp_path: Path
) -> None:
    zenodo.files = {"all.tgz": tar(*((f"{i}", bytes(1000)) for i in range(30)), mode="w:gz")}
    with pytest.raises(FetchError, match=r"unpacks to more than 2e-05 GB"):
        get({"all.tgz": {"unpack": "tar"}}, limit=20_000)
    header = tarfile.TarInfo("name")
    header.type, header.size = tarfile.XHDTYPE, 1 << 40
    zenodo.files = {"b.tgz": gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(10_240))}
    with pytest.raises(
        FetchError, match=r"b.tgz has a header of \d+ bytes: it is damaged or made to do harm"
    ):
        get({"b.tgz": {"unpack": "tar"}})
    assert left(tmp_path) == {"all.tgz", "b.tgz"}


def test_a_tar_file_that_is_damaged(zenodo: Zenodo, get: Fetch, tmp_path: Path) -> None:
    whole = tar(("a.csv", BIG), mode="w:gz")
    for name, data in {
        "a.tar.gz": whole[:600_000],
        "b.tar": b"<html>" * 200,
        "c.tar": tar(),
    }.items():
        zenodo.files = {name: data}
        with pytest.raises(FetchError, match=rf"{name} (is damaged or no archive|holds no file)"):
            get({name: {"unpack": "tar"}})
    assert left(tmp_path) == {"a.tar.gz", "b.tar", "c.tar"}


def test_nothing_that_is_there_is_overwritten(zenodo: Zenodo, get: Fetch, tmp_path: Path) -> None:
    zenodo.files = {"all.tar": tar(("a.csv", b"new"), ("b.csv", b"new"))}
    (tmp_path / "b.csv").write_bytes(b"mine")
    with pytest.raises(
        FetchError, match=r"holds b.csv, but .*b.csv exists with other content; move it away"
    ):
        get({"all.tar": {"unpack": "tar"}})
    assert left(tmp_path) == {"all.tar", "b.csv"}
    (tmp_path / "b.csv").unlink()
    zenodo.files = {}
    assert get({"all.tar": {"unpack": "tar"}}, base="url") == [
        "a.csv",
        "b.csv",
    ]  # from the archive that is left


def test_a_gz_file_is_unpacked(zenodo: Zenodo, get: Fetch, tmp_path: Path) -> None:
    zenodo.files = {"a.csv.gz": gzip.compress(EVENT), "b.csv.gz": gzip.compress(bytes(3_000_000))}
    files = {"*.gz": {"unpack": "gz"}}
    assert get(files, "a", datasets=({},)) == ["a.csv"]
    assert (tmp_path / "a.csv").read_bytes() == EVENT
    with pytest.raises(FetchError, match=r"b.csv.gz unpacks to more than 0.002 GB"):
        get(files, limit=2_000_000)
    (tmp_path / "b.csv.gz").unlink()
    zenodo.files["b.csv.gz"] = zenodo.files["b.csv.gz"][:-9]
    with pytest.raises(FetchError, match=r"b.csv.gz is damaged or no archive"):
        get(files)


def test_patterns_are_filled_in_from_the_listing(
    zenodo: Zenodo, get: Fetch, tmp_path: Path
) -> None:
    zenodo.files = {
        "x.csv": b"1",
        "y.csv.gz": b"2",
        "all.tar": tar(("d/z.csv", b"3")),
        "note.txt": b"4",
    }
    rows = ({"files": ["sm/**/*.csv*"]}, {"name": "x", "files": ["sm/x.csv"]})
    files = {"*": {"into": "sm", "unpack": "tar"}}
    assert get(files, "x", datasets=rows) == ["sm/x.csv"]
    assert get(files, "a", datasets=rows) == [
        "sm/d/z.csv",
        "sm/note.txt",
        "sm/x.csv",
        "sm/y.csv.gz",
    ]
    found = check_files(load_manifest(tmp_path / "manifest.yaml", folder=tmp_path))
    assert [Path(path).name for path in found["a"]] == ["z.csv", "x.csv", "y.csv.gz"]


def test_names_of_data_sets_records_and_groups(zenodo: Zenodo, get: Fetch) -> None:
    zenodo.files = {"a.csv": b"1", "b.csv": b"2", "c.csv": b"3"}
    rows = tuple({"name": f"g-{name}", "files": [f"{name}.csv"]} for name in "abc")
    files = dict.fromkeys(zenodo.files)
    assert get(files, "g-b", datasets=rows) == ["b.csv"]
    assert get(files, "g-[ab]", datasets=rows) == ["a.csv", "b.csv"]
    assert (
        get(files, "g", datasets=rows)
        == get(files, "10.1/r", datasets=rows)
        == get(files, "r", "g-a", datasets=rows)
    )
    with pytest.raises(
        ManifestError,
        match=r"'g-d' is no data set, record or group of them; there are g-c, g-b, g-a",
    ):
        get(files, "g-d", datasets=rows)


def test_a_data_set_that_its_record_does_not_hold(zenodo: Zenodo, get: Fetch) -> None:
    zenodo.files = {"all.tar": tar(("d/z.csv", b"3"))}
    with pytest.raises(
        ManifestError,
        match=r"'a': its record was fetched, but .*/a.csv is not in it; it holds .*d/z.csv",
    ):
        get({"all.tar": {"unpack": "tar"}}, "a", datasets=({},))


def test_a_data_set_without_a_record(tmp_path: Path) -> None:
    manifest = tmp_path / "m.yaml"
    row = {key: value for key, value in DATASET.items() if key != "record"}
    manifest.write_text(yaml.safe_dump({"datasets": [{**row, "doi": "10.1/x"}]}))
    with pytest.raises(
        ManifestError, match=r"'a' has no record .* download it by hand from https://doi.org/10.1/x"
    ):
        fetch(["a"], load_manifest(manifest), load_records(manifest), folder=tmp_path)


def test_embedded_data_sets_need_no_download(tmp_path: Path) -> None:
    assert fetch(["ttbarW"], load_manifest(folder=tmp_path), load_records(), folder=tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_hepmtp_itself_is_no_place_for_downloads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("HEPMTP_DATA", raising=False)
    with pytest.raises(
        ManifestError,
        match=r"no folder to fetch into; name one with the option folder or the variable",
    ):
        data_folder()
    monkeypatch.setenv("HEPMTP_DATA", "/data")
    assert data_folder() == Path("/data")
    assert data_folder(folder="/other") == Path("/other")
    monkeypatch.delenv("HEPMTP_DATA")
    assert data_folder("/mine/manifest.yaml") == Path("/mine")


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '{"format": 2, "files": {}}', '{"format": 1, "files": {"a": {"sha256": 1}}}'],
)
def test_a_damaged_lock_file(tmp_path: Path, content: str) -> None:
    (tmp_path / LOCK).write_text(content)
    with pytest.raises(ManifestError, match=rf"{LOCK} (cannot be read|has format 2)"):
        read_lock(tmp_path)


def test_from_the_command_line(
    zenodo: Zenodo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    zenodo.files = {"a.csv": EVENT.replace(b"{}", b"7")}
    manifest, folder = tmp_path / "manifest.yaml", tmp_path / "data"
    record = {"name": "r", "listing": f"{zenodo.url}/api/records/1", "files": {"a.csv": None}}
    manifest.write_text(yaml.safe_dump({"datasets": [DATASET], "records": [record]}))
    words = ["--manifest", str(manifest), "--folder", str(folder)]
    for _ in range(2):
        with pytest.raises(SystemExit, match="0"):
            main(["fetch", "a", *words, "--timeout", "120"])
        assert (
            capsys.readouterr().out == f"1 files are in {folder}; use them with --folder {folder}\n"
        )
    with pytest.raises(SystemExit, match="0"):
        main(["datasets", *words])
    assert "here" in capsys.readouterr().out
    zenodo.files = {}
    with pytest.raises(SystemExit, match="2"):
        main(["fetch", "b", *words])
    assert capsys.readouterr().err.startswith(
        "error: 'b' is no data set, record or group of them; there are "
    )
