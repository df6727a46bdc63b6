"""The tokenizer and the detector of docs/extending.md: run as shown, and held to the contracts.

The rule: a block that begins with the comment ``# name.py`` is that file. Every other block of its
section runs in a fresh process beside it, one after the other.
"""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import awkward as ak
import pytest
from contracts import check_detector, check_particle_tokenizer, no_particles

from hepmtp.detectors import training_events
from hepmtp.events.record import concatenate
from hepmtp.studies.league.entries import entry_of

ROOT = Path(__file__).parents[1]


def blocks(title: str) -> list[str]:
    """The Python blocks of a section of docs/extending.md."""
    text = (ROOT / "docs" / "extending.md").read_text()
    (section,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    found: list[str] = re.findall(r"^```python\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    return found


def file_name(block: str) -> str | None:
    """Name of the file that a block is, if it is one."""
    named = re.match(r"# (\w+\.py)\n", block)
    return named and named[1]


def class_of(title: str, name: str, folder: Path, patch: pytest.MonkeyPatch) -> Any:
    """The class of this name from the file that a section shows."""
    (block,) = [one for one in blocks(title) if file_name(one)]
    module = str(file_name(block))
    (folder / module).write_text(block)
    patch.syspath_prepend(folder)
    return getattr(importlib.import_module(module.removesuffix(".py")), name)


@pytest.mark.slow
@pytest.mark.parametrize("title", ["A tokenizer", "A detector"])
def test_a_section_runs_as_shown(title: str, tmp_path: Path) -> None:
    path = os.pathsep.join([str(tmp_path), str(ROOT), os.environ.get("PYTHONPATH", "")])
    for block in blocks(title):
        if name := file_name(block):
            (tmp_path / name).write_text(block)
            continue
        command = [sys.executable, "-W", "error", "-c", block]
        run = subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr
    assert (tmp_path / "results" / "report.html").stat().st_size > 1000
    (folder,) = (tmp_path / "detectors").iterdir()
    files = [one for one in folder.rglob("*") if one.is_file()]
    assert {one.suffix for one in files} == {".json", ".safetensors"}


def test_the_tokenizer_keeps_its_contract(
    background: ak.Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = class_of("A tokenizer", "TypeAndPt", tmp_path, monkeypatch)
    events = concatenate([training_events(background), no_particles([50.0, 60.0])])
    for options in ({}, {"pt_bins": 2, "met_bins": 0}, {"met_phi_bins": 4}):
        check_particle_tokenizer(made(**options), events, tmp_path)


def test_the_detector_keeps_its_contract(
    background: ak.Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = class_of("A detector", "PCAError", tmp_path, monkeypatch)
    check_detector(made, background[::4], tmp_path, rtol=1e-9)
    entry = entry_of("pca_error:PCAError")
    assert (entry.name, entry.kind) == ("pca_error", "background-only")
