"""Folders of a process that was killed: the next one removes them, and no other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hepmtp.run.scratch import scratch_folder

#: Says which folder it has, and waits for its end.
LIVES = """
import sys
from hepmtp.run.scratch import scratch_folder
with scratch_folder("shards", sys.argv[1]) as folder:
    (folder / "big").touch()
    print(folder, flush=True)
    sys.stdin.readline()
"""


def test_what_a_killed_process_has_left_is_removed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    words = [sys.executable, "-c", LIVES, tmp_path]
    other = tmp_path / ".hepmtp-shards-another.machine-abc"
    other.mkdir()
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(words, encoding="utf-8", **pipes) as process:
        left = Path(process.stdout.readline().rstrip())
        with scratch_folder("shards", tmp_path) as folder:
            assert {folder, left, other} == set(tmp_path.iterdir())
        process.kill()
    assert {left, other} == set(tmp_path.iterdir())
    assert not caplog.records
    with scratch_folder("shards", tmp_path):
        assert not left.exists()
    assert [one.getMessage() for one in caplog.records] == [
        f"{left} was left by a process that was killed, and is removed"
    ]
    assert [other] == list(tmp_path.iterdir())
