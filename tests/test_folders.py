"""A folder is one transaction: killed at any rename, locked, and with nothing of a user's lost."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hepmtp import folders
from hepmtp.errors import StorageError
from hepmtp.folders import beside, kept_of, recover, writing

#: A writer that is killed at its rename of this number.
KILLED = """
import os, signal, sys
from hepmtp.folders import writing
path, left = sys.argv[1], int(sys.argv[2])
def replace(source, target, real=os.replace):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    real(source, target)
os.replace = replace
with writing(path, ours=lambda _: True, owned=os.listdir, overwrite=True) as place:
    (place.new / "run.json").write_text("new")
    (place.new / "second").write_text("new")
"""
#: A writer that has the lock until it is told to end.
HOLDS = """
import sys
from hepmtp.folders import writing
with writing(sys.argv[1], ours=lambda _: True, owned=lambda _: [], overwrite=True) as place:
    (place.new / "run.json").write_text("first")
    print("locked", flush=True)
    sys.stdin.readline()
"""


def has_run(folder: Path) -> bool:
    return (folder / "run.json").is_file()


def written(folder: Path, text: str, *, overwrite: bool = False) -> None:
    with writing(folder, ours=has_run, owned=lambda _: {"run.json"}, overwrite=overwrite) as place:
        (place.new / "run.json").write_text(text)


@pytest.mark.parametrize("rename", [0, 1, 2])
@pytest.mark.parametrize("older", [True, False])
def test_a_kill_at_any_rename_leaves_the_old_or_the_new(
    tmp_path: Path, rename: int, older: bool
) -> None:
    folder = tmp_path / "run"
    if older:
        written(folder, "old")
    words = [sys.executable, "-c", KILLED, str(folder), str(rename)]
    killed = subprocess.run(words, check=False, capture_output=True)
    assert killed.returncode == (-signal.SIGKILL if rename < 1 + older else 0), killed.stderr
    recover(folder)
    found = {one.name: one.read_text() for one in folder.iterdir()} if folder.exists() else {}
    new = {"run.json": "new", "second": "new"}
    assert found == (new if rename > 0 else {"run.json": "old"} if older else {})
    written(folder, "next", overwrite=True)  # the next start cleans
    assert (folder / "run.json").read_text() == "next"
    assert [one.name for one in tmp_path.iterdir()] == ["run"]


def test_two_writers_of_one_folder(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    words = [sys.executable, "-c", HOLDS, str(folder)]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "locked\n"
        with pytest.raises(StorageError, match="is being written by another process of hepmtp"):
            written(folder, "second")
        first.communicate("end\n")
    assert (folder / "run.json").read_text() == "first"
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as killed:
        assert killed.stdout is not None
        killed.stdout.readline()
        killed.kill()
    written(folder, "second", overwrite=True)  # the lock ends with its process
    assert (folder / "run.json").read_text() == "second"


def test_what_is_in_the_way_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    written(folder, "old")
    with pytest.raises(StorageError, match=r"holds what hepmtp wrote before: .* --overwrite"):
        written(folder, "new")
    thesis = tmp_path / "thesis"
    thesis.mkdir()
    (thesis / "thesis.tex").write_text("years")
    with pytest.raises(StorageError, match="not a folder that hepmtp wrote"):
        written(thesis, "new", overwrite=True)
    with pytest.raises(StorageError, match="exists and is no folder"):
        written(thesis / "thesis.tex", "new")
    long = tmp_path / ("x" * 250)
    with pytest.raises(StorageError, match=r"nothing can be written .*File name too long"):
        written(long, "new")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["run", "thesis"]


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    written(tmp_path / "run", "new")
    assert (tmp_path / "run" / "run.json").read_text() == "new"


def test_the_folder_that_one_is_in_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path / "run", "old")
    monkeypatch.chdir(tmp_path / "run")
    with pytest.raises(StorageError, match=r"is the folder that you are in: go up"):
        written(Path(), "new", overwrite=True)


def test_files_of_a_user_are_kept_with_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "run"
    written(folder, "old")
    (folder / "notes").mkdir()
    (folder / "notes" / "mine.txt").write_text("mine")
    (folder / "link").symlink_to("notes/mine.txt")
    written(folder, "new", overwrite=True)
    assert (folder / "run.json").read_text() == "new"
    assert (folder / "link").read_text() == "mine"
    assert f"{folder} keeps what hepmtp did not write: link, notes/mine.txt" in caplog.text


def test_a_failure_leaves_the_old_folder_and_what_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    written(folder, "old")

    def failing(*, keep: bool) -> None:
        with writing(folder, ours=has_run, owned=lambda _: [], overwrite=True) as place:
            (place.new / "run.json").write_text("half")
            if keep:
                place.kept.mkdir()
                (place.kept / "chunk").write_text("finished")
            raise InterruptedError("in the middle")

    with pytest.raises(InterruptedError):
        failing(keep=False)
    assert [one.name for one in tmp_path.iterdir()] == ["run"]
    with pytest.raises(InterruptedError):
        failing(keep=True)
    assert (folder / "run.json").read_text() == "old"
    assert (kept_of(folder) / "chunk").read_text() == "finished"
    written(folder, "new", overwrite=True)  # complete: nothing is left to go on from
    assert not beside(folder).exists()


def test_a_full_disk_is_found_first(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a small disk can be mounted by root only")
    try:
        with (
            pytest.raises(StorageError, match=r"0 MB are free there, and 24 MB are needed"),
            writing(disk / "run", ours=has_run, owned=lambda _: [], least=24_000_000),
        ):
            pytest.fail("it has begun")
        with (
            pytest.raises(OSError, match="No space left"),
            writing(disk / "run", ours=has_run, owned=lambda _: []) as place,
        ):
            (place.new / "large").write_bytes(bytes(1_000_000))
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_folder_that_is_read_only_is_found_first(tmp_path: Path) -> None:
    mine, nobody = os.geteuid(), 65534
    tmp_path.chmod(0o500)
    try:
        if mine == 0:  # who may write everywhere
            os.seteuid(nobody)
        with pytest.raises(StorageError, match=r"nothing can be written .*Permission denied"):
            written(tmp_path / "run", "new")
    finally:
        os.seteuid(mine)
        tmp_path.chmod(0o700)


def test_a_disk_of_its_own_cannot_be_replaced() -> None:
    with pytest.raises(StorageError, match=r"/proc is a disk of its own: name a folder in it"):
        written(Path("/proc"), "new")
    assert not folders.beside(Path("/proc")).exists()


def test_each_promise_has_its_test() -> None:
    root = Path(__file__).parents[1]
    rows = [
        one for one in (root / "docs" / "faults.md").read_text().splitlines() if "`test_" in one
    ]
    tests = "".join(path.read_text() for path in (root / "tests").glob("test_*.py"))
    named = {name for row in rows for name in re.findall(r"`(test_\w+)`", row)}
    assert len(rows) > 20
    assert {name for name in named if f"def {name}(" not in tests} == set()
