"""Every line of docs/compatibility.md is a row here, and the page is what the rows gave.

The rule: a row that gives something else than the page says is either a fault or a new truth. To
write the page anew::

    WRITE_COMPATIBILITY=1 pytest tests/test_compatibility.py
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import fields
from inspect import signature
from pathlib import Path
from typing import Any

import cloudpickle
import compatibility
import pytest
from compatibility import GROUPS, ROOT, ROWS, Place, cell, outcome
from compatibility.files import Files

pytestmark = pytest.mark.usefixtures("short_training")

for _group in GROUPS:
    importlib.import_module(f"compatibility.{_group}")

PAGE = ROOT / "docs" / "compatibility.md"
#: What the page begins with; `{rows}` is their number.
INTRODUCTION = """# Compatibility

What you may write, and what comes of it: {rows} lines, each of which is a test. Outcomes are what
the tests saw: numbers after *works*, the message itself after *refused*. An argument has an effect
or is refused; none is ignored. The page is written by `tests/test_compatibility.py`, and no line
by hand.
"""

seen: dict[int, str] = {}
for _module in (compatibility, *(sys.modules[f"compatibility.{name}"] for name in GROUPS)):
    cloudpickle.register_pickle_by_value(_module)  # a worker cannot import a test module


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("compatibility"))


@pytest.fixture(scope="module")
def executor() -> Iterator[Any]:
    from hepmtp.run.executors import make_executor  # noqa: PLC0415 (coffea only when asked)

    with make_executor("iterative", status=False) as opened:
        yield opened


def _name(i: int) -> str:
    words = f"{ROWS[i].group} {ROWS[i].subject} {ROWS[i].tried}"
    return "".join(one if one.isalnum() else "-" for one in words)[:70]


@pytest.mark.parametrize("i", range(len(ROWS)), ids=_name)
def test_row(
    i: int,
    tmp_path: Path,
    files: Files,
    executor: Any,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    undrawn: None,
) -> None:
    monkeypatch.delenv("HEPMTP_DATA", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # a machine without one
    monkeypatch.setattr(sys, "argv", ["hepmtp"])
    seen[i] = outcome(ROWS[i], Place(tmp_path, files, executor, request))


def _table(name: str) -> Iterator[str]:
    heading, subject, text = GROUPS[name]
    yield from ("", f"## {heading}", "", text, "", f"| {subject} | tried | outcome |")
    yield "|---|---|---|"
    before = ""
    for i, one in enumerate(ROWS):
        if one.group == name:
            shown = "" if one.subject == before else cell(one.subject)
            word, _, rest = seen[i].partition(": ")
            yield f"| {shown} | {cell(one.tried)} | *{word}*: {cell(rest)} |"
            before = one.subject


def test_the_page_is_what_the_rows_gave() -> None:
    if len(seen) < len(ROWS):
        pytest.skip("only some of the rows were run")
    lines = [line for name in GROUPS for line in _table(name)]
    page = INTRODUCTION.format(rows=len(ROWS)) + "\n".join(lines) + "\n"
    if os.environ.get("WRITE_COMPATIBILITY"):
        PAGE.write_text(page, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8").splitlines() == page.splitlines(), (
        "run WRITE_COMPATIBILITY=1 pytest tests/test_compatibility.py, and read what has changed"
    )


def test_rows_are_different() -> None:
    keys = [(one.group, one.subject, one.tried) for one in ROWS]
    assert len(set(keys)) == len(keys)


def test_no_option_of_a_reader_is_missing() -> None:
    from hepmtp.readers.formats import shipped  # noqa: PLC0415 (awkward is slow)

    known = {
        f"{cls.__name__} `{field.name}`"
        for cls in shipped().values()
        for field in fields(cls)  # type: ignore[arg-type]
        if field.init
    }
    assert known - {one.subject for one in ROWS if one.group == "options"} == set()
    for works in (True, False):
        rows = {one.subject for one in ROWS if (one.works is not None) is works}
        assert known - rows == set(), (
            "an option has a legal value that is tried, and an illegal one"
        )


def test_no_key_of_a_manifest_is_missing() -> None:
    schema = json.loads((ROOT / "hepmtp" / "data" / "data_manifest.schema.json").read_text())
    known = {f"`{key}`" for key in schema["properties"]}
    for name, shown in (("dataset", "data set"), ("record", "record"), ("download", "download")):
        known |= {f"{shown} `{key}`" for key in schema["$defs"][name]["properties"]}
    assert known - {one.subject for one in ROWS if one.group == "manifest"} == set()


def test_no_key_of_metadata_is_missing() -> None:
    from hepmtp.datasets.metadata import PLACED  # noqa: PLC0415 (awkward is slow)

    known = {*PLACED, "isMC"}
    assert {f"`{key}`" for key in known} - {one.subject for one in ROWS} == set()


def test_no_argument_of_the_runner_is_missing() -> None:
    from hepmtp.run.runner import HepRunner  # noqa: PLC0415 (coffea is slow)

    known = {field.name for field in fields(HepRunner) if field.init}
    known |= {"treename", "uproot_options", "iteritems_options", "trace"}
    known -= {"self", "fileset", "processor_instance"}
    called = {*signature(HepRunner.run).parameters, *signature(HepRunner.preprocess).parameters}
    assert called - {"self", "fileset", "processor_instance"} <= known
    assert {f"`{name}`" for name in known} - {one.subject for one in ROWS} == set()


def test_no_option_of_a_command_is_missing() -> None:
    from typer.main import get_command  # noqa: PLC0415 (only here)

    from hepmtp.cli import app  # noqa: PLC0415 (only here)

    top: Any = get_command(app)
    known = {("", one.opts[0]) for one in top.params}
    for name, command in top.commands.items():
        known |= {(name, one.opts[0]) for one in command.params if one.opts[0].startswith("-")}
    found = set()
    for one in ROWS:
        if one.group == "commands":
            command, _, options = one.subject.partition("`")
            found |= {(command.strip(), option) for option in options.rstrip("`").split("`, `")}
    assert known - found == set()
