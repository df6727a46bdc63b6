"""Damaged and hostile files in great number: what each format does with them.

Small good files of each kind are changed at random: bits, bytes, pieces cut out, doubled, replaced
by what has a meaning in the format, ends cut off. Each is read as hepmtp reads it, in a process of
its own that is watched from outside. What can come of it:

- same: it is read, and every number is that of the good file;
- refused: an error of hepmtp;
- other: it is read, with other numbers. In a format that is checked (digests, checksums) this is
  "silent", and a fault. In text without a checksum another digit is another number;
- traceback: an error that is none of hepmtp's;
- hang: no answer in 30 s, or the process has died (memory is limited to 4 GiB).

What was done is kept beside the table, and the command goes on from there: an input follows from
its format and number alone.

    python benchmarks/fuzz.py --inputs 10000 --out benchmarks/results/fuzz.md
    python benchmarks/fuzz.py --show tree 1234 --out benchmarks/results/fuzz.md
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import logging
import random
import resource
import select
import shutil
import subprocess
import sys
import tarfile
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import awkward as ak
import numpy as np

from hepmtp import storage
from hepmtp.datasets.archives import unpack
from hepmtp.datasets.filesets import read_fileset
from hepmtp.datasets.lockfile import read_lock
from hepmtp.datasets.manifest import embedded, load_manifest
from hepmtp.datasets.published import load_records
from hepmtp.errors import HepmtpError
from hepmtp.readers.columns import flat
from hepmtp.readers.darkmachines.reader import DarkMachinesCSV
from hepmtp.readers.formats import load_reader, reader_for
from hepmtp.readers.parquet import write_parquet
from hepmtp.readers.root import write_root

OUTCOMES = ("same", "refused", "other", "silent", "traceback", "hang")
LONGEST, MEMORY = 30.0, 4 << 30  # seconds without an answer; bytes of a process


class Format(NamedTuple):
    """A kind of file: whether every change is to be noticed, good files, and how one is read.

    Parameters
    ----------
    share
        how many inputs it gets, in units of the option --inputs: more where reading is quick.
    name
        of the file that is read.
    words
        what the format gives a meaning to.
    """

    checked: bool
    share: float
    name: str
    make: Callable[[Path], None]
    read: Callable[[Path], Any]
    words: tuple[bytes, ...] = ()


def events(n: int = 6) -> ak.Array:
    """The first events of the embedded sample."""
    return DarkMachinesCSV().read(next(one for one in embedded()).files[0], 0, n)


def text() -> bytes:
    """Lines of the first events."""
    with gzip.open(next(one for one in embedded()).files[0]) as lines:
        return b"".join(line for line, _ in zip(lines, range(6), strict=False))


def numbers(found: ak.Array) -> str:
    """All columns of events, to the last bit."""
    columns = flat(found).values()
    return repr([np.asarray(ak.flatten(one, axis=None)).tobytes() for one in columns])


def read_events(path: Path) -> Any:
    """What a reader gives that is found by what is in the file."""
    reader: Any = reader_for(str(path))
    return reader.num_events(str(path)), numbers(reader.read(str(path)))


def read_own(reader: str) -> Callable[[Path], Any]:
    """A function that reads a converted file: number of events, generated weight, events."""

    def read(path: Path) -> Any:
        made: Any = load_reader(reader)
        n, weight = made.num_events(str(path)), made.generated_weight(str(path))
        return n, weight, numbers(made.read(str(path)))

    return read


def make_folder(path: Path) -> None:
    """A folder that something was saved to."""
    arrays = {"edges": np.linspace(0.0, 1.0, 9), "counts": np.arange(6).reshape(2, 3)}
    with storage.new_folder(path.parent) as folder:
        storage.write(folder, "thing", {"order": ["e+", "e-"], "bins": 5}, arrays)


def read_folder(path: Path) -> Any:
    """What was saved."""
    meta, arrays = storage.read(path.parent)
    return meta, {name: one.tobytes() for name, one in arrays.items()}


MANIFEST = b"""shared:
  ours: &ours {reader: "hepmtp:DarkMachinesCSV", units: MeV}
datasets:
- {<<: *ours, name: a, process: p, role: background, files: [a.csv], cross_section_pb: 0.5}
- {<<: *ours, name: b, process: q, role: signal, files: {b.csv: null}, record: r}
records:
- {name: r, url: "https://a.org/x", files: {b.csv: {into: sub, size: 100}}}
"""
FILESET = {
    "a": {"files": {"/a.root": {"object_path": "Events", "steps": [[0, 5], [5, 9]]}}},
    "b": {"files": ["/b.csv", "/c.csv"], "metadata": {"role": "signal", "cross_section_pb": 0.5}},
}
LOCK = {"format": 1, "files": {"a.csv": {"sha256": "0" * 64, "size": 3, "holds": ["b"]}}}


def make_tar(path: Path) -> None:
    """An archive of two files."""
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as tar:
        for name in ("a.csv", "sub/b.csv"):
            member = tarfile.TarInfo(name)
            member.size = 40
            tar.addfile(member, io.BytesIO(b"x" * 40))


def read_tar(path: Path) -> Any:
    """The files that an archive unpacks to; nothing may lie beside the folder."""
    out = path.parent / "out"
    shutil.rmtree(out, ignore_errors=True)
    before = sorted(path.parent.iterdir())
    found = unpack(path, out, kind="tar", limit=10**6)
    shown = sorted((one.relative_to(out).as_posix(), one.read_bytes()) for one in found)
    shutil.rmtree(out)
    if sorted(path.parent.iterdir()) != before:
        raise AssertionError("something was written beside the folder")
    return shown


def read_manifest(path: Path) -> Any:
    """Data sets and records."""
    return [repr(vars(one)) for one in (*load_manifest(path), *load_records(path))]


JSON_WORDS = (b"null", b"[", b"{", b"1e999", b'"\\ud800"', b"-1", b'"', b"NaN", b"[" * 99, b"\0")
YAML_WORDS = (
    *JSON_WORDS, b"*ours", b"&x ", b"<<: ", b"!!python/object/apply:os.system [ls]", b"!!int x",
    b"subprocess:Popen", b"\t", b"? ", b"!!binary x", b"2020-13-45", b"../../x",
)  # fmt: skip
CSV_WORDS = (
    b";", b",", b"\n", b"\r", b"nan", b"inf", b"1e999", b"-", b"e", b"\0", b"j,1,1,1,1", b"9" * 400,
    b"\xff", b" ", b"0x1", b"1_0", b"\xef\xbb\xbf", b"<event>", b"1.7976931348623157e308",
)  # fmt: skip
FORMATS: dict[str, Format] = {
    "Dark Machines CSV": Format(
        False, 0.15, "a.csv", lambda path: void(path.write_bytes(text())), read_events, CSV_WORDS
    ),
    "CSV, gzip": Format(
        True, 0.05, "a.csv.gz", lambda path: void(path.write_bytes(gzip.compress(text(), mtime=0))),
        read_events,
    ),
    "ROOT, TTree": Format(
        True, 0.006, "a.root", lambda path: write_root(path, [events()], generated=5.0),
        read_own("hepmtp:RootReader"),
    ),
    "ROOT, RNTuple": Format(
        True, 0.006, "b.root",
        lambda path: write_root(path, [events()], rntuple=True, generated=5.0),
        read_own("hepmtp:RootReader"),
    ),
    "parquet": Format(
        True, 0.04, "a.parquet", lambda path: write_parquet(path, [events()], generated=5.0),
        read_own("hepmtp:ParquetReader"),
    ),
    "saved folder, text": Format(
        True, 4, storage.META, make_folder, read_folder, JSON_WORDS
    ),
    "saved folder, arrays": Format(True, 3, storage.ARRAYS, make_folder, read_folder),
    "manifest": Format(
        False, 0.1, "m.yaml", lambda path: void(path.write_bytes(MANIFEST)), read_manifest,
        YAML_WORDS,
    ),
    "fileset": Format(
        False, 2, "f.json", lambda path: void(path.write_text(json.dumps(FILESET))),
        lambda path: read_fileset(path, missing_ok=True), JSON_WORDS,
    ),
    "lock file": Format(
        False, 1.2, "data_manifest.lock", lambda path: void(path.write_text(json.dumps(LOCK))),
        lambda path: read_lock(path.parent), JSON_WORDS,
    ),
    "archive, tar": Format(False, 0.1, "a.tar", make_tar, read_tar, (b"../x\0", b"/etc/x\0", b"2")),
    "archive, tar.gz": Format(False, 0.15, "a.tar.gz", make_tar, read_tar),
}  # fmt: skip


def void(_: Any) -> None:
    """Nothing."""


def changed(good: bytes, words: tuple[bytes, ...], name: str, number: int) -> bytes:
    """The input of this number: the good file with one to three changes."""
    rng = random.Random(f"{name} {number}")
    data = bytearray(good)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at = rng.randrange(len(data) + 1)
        many = rng.choice((1, 1, 4, 16, 64))
        kind = rng.choice(
            ("bit", "bit", "byte", "cut", "double", "end", *(["word"] * 3 * bool(words)))
        )
        if kind == "word":
            data[at : at + rng.choice((0, 0, 1, many))] = rng.choice(words)
        elif kind == "cut":
            del data[at : at + many]
        elif kind == "double":
            data[at:at] = data[at : at + many]
        elif kind == "end" and rng.random() < 0.3:
            del data[at:]
        elif at < len(data):
            data[at] = rng.randrange(256) if kind == "byte" else data[at] ^ 1 << rng.randrange(8)
    return bytes(data)


def outcomes(name: str, first: int, stop: int, folder: Path) -> Iterator[tuple[str, str]]:
    """What comes of each input [first, stop), and what an error that is not ours says."""
    one = FORMATS[name]
    path = folder / "here" / one.name
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(path.parent)
    path.parent.mkdir()
    if path.name in (storage.META, storage.ARRAYS):
        path.parent.rmdir()
    one.make(path)
    good, expected = path.read_bytes(), one.read(path)
    for number in range(first, stop):
        path.write_bytes(changed(good, one.words, name, number))
        try:
            found = one.read(path)
        except HepmtpError:
            yield "refused", ""
        except Exception as error:  # noqa: BLE001 - this is what is looked for
            yield "traceback", f"{type(error).__name__}: {error}"[:200]
        else:
            yield "same" if found == expected else "silent" if one.checked else "other", ""


def child(name: str, first: int, stop: int) -> None:
    """Write the outcomes to standard output, a line each."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    logging.disable()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        for outcome, said in outcomes(name, first, stop, Path(folder)):
            print(json.dumps([outcome, said]), flush=True)


def watched(name: str, first: int, stop: int) -> Iterator[tuple[str, str]]:
    """The outcomes of a process of its own, which is started again behind a hang."""
    while first < stop:
        words = [sys.executable, __file__, "--child", name, str(first), str(stop)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            assert process.stdout is not None
            patience = 10 * LONGEST  # to begin with, for imports on a busy machine
            while first < stop:
                ready, _, _ = select.select([process.stdout], [], [], patience)
                line = process.stdout.readline() if ready else b""
                if not line:
                    process.kill()
                    yield "hang", "no answer" if not ready else "the process died"
                    first += 1
                    break
                outcome, said = json.loads(line)
                yield outcome, said
                first, patience = first + 1, LONGEST


def table(kept: dict[str, Any]) -> str:
    """The counts of every format as markdown."""
    head = ["format", "checked", "inputs", *OUTCOMES]
    rows = [
        [name, "yes" if FORMATS[name].checked else "no", str(one["done"]),
         *(str(one["counts"].get(key, 0)) for key in OUTCOMES)]
        for name, one in kept.items()
    ]  # fmt: skip
    total = [sum(int(row[i]) for row in rows) for i in range(2, len(head))]
    rows.append(["all", "", *map(str, total)])
    lines = [head, ["---"] * 2 + ["---:"] * (len(head) - 2), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Fuzz what is not done yet, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--inputs", type=int, default=10_000, help="of a format of share 1")
    parser.add_argument("--out", type=Path, default=Path("fuzz.md"))
    parser.add_argument("--only", help="a format")
    parser.add_argument("--show", nargs=2, metavar=("FORMAT", "NUMBER"), help="raise its error")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given.child[0], int(given.child[1]), int(given.child[2]))
        return
    if given.show:
        name, number = given.show[0], int(given.show[1])
        with tempfile.TemporaryDirectory() as folder:
            print(*outcomes(name, number, number + 1, Path(folder)))
        return
    state = given.out.with_suffix(".json")
    kept: dict[str, Any] = json.loads(state.read_text()) if state.exists() else {}
    for name, one in FORMATS.items():
        mine = kept.setdefault(name, {"done": 0, "counts": {}, "faults": []})
        stop = int(given.inputs * one.share) if given.only in (None, name) else 0
        for outcome, said in watched(name, mine["done"], stop):
            mine["counts"][outcome] = mine["counts"].get(outcome, 0) + 1
            if outcome in ("silent", "traceback", "hang"):
                mine["faults"] = [*mine["faults"], [mine["done"], outcome, said]][:100]
            mine["done"] += 1
            if mine["done"] % 200 == 0 or mine["done"] == stop:
                state.write_text(json.dumps(kept, indent=1) + "\n")
                given.out.write_text(table(kept))
    print(table(kept))
    faults = [f"{name} {number}: {outcome} {said}" for name, one in kept.items()
              for number, outcome, said in one["faults"]]  # fmt: skip
    print("\n".join(faults) or "No fault: no traceback, no hang, nothing silent.")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
