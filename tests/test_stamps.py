"""A data file that changes during a run is noticed, whatever its format."""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path
from typing import Any

import awkward as ak
import pytest
import uproot
from coffea.processor import IterativeExecutor
from test_formats import Sum

import hepmtp as hm
from hepmtp.errors import ReadError
from hepmtp.readers.convert import convert
from hepmtp.run.stamps import STAMP, stamp_of

FORMATS = ("a.csv", "a.csv.gz", "a.root", "a.parquet")


@pytest.fixture(scope="module")
def files(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 events in every format."""
    folder = tmp_path_factory.mktemp("stamps")
    with (folder / "few.csv").open("wb") as few, gzip.open(sample / "ttbarW.csv.gz") as lines:
        few.writelines(line for line, _ in zip(lines, range(60), strict=False))
    for name in FORMATS:
        convert(folder / "few.csv", folder / name)
    return folder


def made(path: Path) -> tuple[Any, list[Any]]:
    runner = hm.HepRunner(IterativeExecutor(status=False), chunksize=25)
    return runner, runner.preprocess({"x": [str(path)]})


def flip(path: Path, at: int, *, keep_times: bool = False) -> None:
    data, stat = bytearray(path.read_bytes()), path.stat()
    data[at] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + (0 if keep_times else 10**9)))


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_that_changes_is_refused(name: str, files: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(files / name, tmp_path / name))
    runner, items = made(path)
    assert runner.run(list(items), Sum())["out"]["events"] == 60
    flip(path, path.stat().st_size // 2)
    with pytest.raises(ReadError, match="has changed since this run looked at it"):
        runner.run(list(items), Sum())
    runner.skipbadfiles = True
    with pytest.raises(ReadError, match="nothing of this run could be read"):
        runner.run(list(items), Sum())


@pytest.mark.parametrize("at", [3, -3])
def test_its_ends_are_compared_where_its_times_are_kept(
    at: int, files: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copy2(files / "a.csv", tmp_path / "a.csv"))
    runner, items = made(path)
    flip(path, at, keep_times=True)
    with pytest.raises(ReadError, match="has changed since"):
        runner.run(list(items), Sum())


def test_a_copy_with_its_times_is_the_same(files: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy2(files / "a.csv", tmp_path / "a.csv"))
    before = stamp_of(str(path))
    path.unlink()
    shutil.copy2(files / "a.csv", path)
    assert stamp_of(str(path)) == before
    assert stamp_of(str(tmp_path / "none")) == ""


def test_a_file_that_changes_while_it_is_read(files: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(files / "a.csv", tmp_path / "a.csv"))
    runner, items = made(path)

    def process(events: ak.Array) -> dict[str, int]:
        flip(path, 3)
        return {"events": len(events)}

    with pytest.raises(ReadError, match="has changed since"):
        runner.run(items[:1], process)


def test_coffea_reads_no_bit_that_has_changed(files: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(files / "a.root", tmp_path / "a.root"))
    with uproot.open(path) as file:
        key = file["Events"]["Particle_pt"].basket_key(0)
        at = key.data_cursor.index + key.data_compressed_bytes - 40
    flip(path, at)
    runner, items = made(path)
    assert all(item.usermeta[STAMP].endswith(" ours") for item in items)
    with pytest.raises(ReadError, match=r"a bit has changed since|damaged"):
        runner.run(items, Sum())
