"""What works and what is refused, row by row: the table of docs/compatibility.md and its tests.

The rule: a row says what a user writes and what it expects. The page shows what was seen when the
row was run, and nothing is written there by hand but the sentences of `GROUPS`.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import awkward as ak
import pytest

from compatibility.files import Files
from hepmtp.cli import main

ROOT = Path(__file__).parents[2]
SAVED = ROOT / "tests" / "saved"


class Group(NamedTuple):
    """A table of the page: its heading, what its first column is called, and what is said of it."""

    heading: str
    subject: str
    text: str


GROUPS: dict[str, Group] = {
    "formats": Group(
        "Formats and layouts",
        "file",
        "Each file holds the same three events: weights 0.5, 1 and 2, particles of 185 GeV in all. "
        "Formats without weights give each event 1.",
    ),
    "filesets": Group(
        "Filesets",
        "form",
        "What `HepRunner`, `hepmtp train` and `hepmtp run` take as a fileset, in this form or as a "
        "file of it. Each file holds three events.",
    ),
    "executors": Group(
        "Executors",
        "executor",
        "Every format on every executor, twelve events in chunks of five. A file is damaged in a "
        "part of it, which is left out or stops the run.",
    ),
    "runner": Group(
        "Arguments of HepRunner",
        "argument",
        "Arguments of `HepRunner(executor, ...)` and of its call, which are those of coffea's "
        "Runner. Twelve events as CSV and as ROOT that hepmtp wrote.",
    ),
    "manifest": Group(
        "Keys of a manifest",
        "key",
        "Keys of `data_manifest.yaml` or a manifest of your own: of its top, a data set, a record "
        "and a download.",
    ),
    "metadata": Group(
        "Metadata of a data set",
        "key",
        "The metadata of a fileset. Yields are those of three events of weight 3.5 in all.",
    ),
    "options": Group(
        "Options of readers",
        "option",
        "The same on the command line (`--option`), in a manifest (`reader_options`) and in "
        "metadata.",
    ),
    "commands": Group(
        "Commands and their options",
        "option",
        "Refused is exit code 2 and one line. Exit code 1 is said where it comes.",
    ),
}


class Row(NamedTuple):
    """One line of a table, and the function that tries it."""

    group: str
    subject: str
    tried: str
    works: str | None
    refused: str | None
    check: Callable[[Place], Any]


#: In the order of the page.
ROWS: list[Row] = []


def row(
    group: str, subject: str, tried: str, *, works: str | None = None, refused: str | None = None
) -> Callable[[Callable[[Place], Any]], Callable[[Place], Any]]:
    """Register what a user may try.

    Parameters
    ----------
    group
        one of `GROUPS`.
    subject
        what it is about: the key, option or file that the first column shows.
    tried
        what the user writes, as Markdown.
    works
        the text that the function must return: numbers written out, no more.
    refused
        or a pattern of the error that it must end with.
    """
    assert (works is None) != (refused is None), "a row works or is refused"
    assert group in GROUPS

    def register(check: Callable[[Place], Any]) -> Callable[[Place], Any]:
        ROWS.append(Row(group, subject, tried, works, refused, check))
        return check

    return register


class RefusedError(Exception):
    """What a command said when it ended with another code than 0."""


@dataclass
class Place:
    """Where a row is tried: a folder of its own, the shared files, and executors."""

    folder: Path
    files: Files
    executor: Any
    request: pytest.FixtureRequest

    def command(self, *words: object, code: int = 0) -> str:
        """What a command says on stdout; what it says on stderr is raised if that was refused."""
        out, err = io.StringIO(), io.StringIO()
        with (
            redirect_stdout(out),
            redirect_stderr(err),
            pytest.raises(SystemExit) as ended,
        ):
            main([str(word) for word in words])
        found = int(ended.value.code or 0)
        if found == 2 and code == 0:
            raise RefusedError(_one_line(err.getvalue()))
        assert found == code, (found, out.getvalue(), err.getvalue())
        return out.getvalue() + err.getvalue()

    def shown(self, text: str) -> str:
        """A text without the folders of this machine."""
        for folder in (self.folder, self.files.folder, ROOT):
            for path in {str(folder.resolve()), str(folder)}:
                text = text.replace(f"{path}/", "").replace(path, "FOLDER")
        text = re.sub(r"127\.0\.0\.1:\d+", "HOST", text)
        text = re.sub(r"of length \d+", "of length N", text)  # uproot's, in a damaged file
        # which chunk fails first is the executor's matter
        text = re.sub(r"root, entries \d+-\d+: damaged", "root, entries N-M: damaged", text)
        return " ".join(text.split())

    def run(self, files: object, **options: Any) -> str:
        """Events, weight and pt of a run of HepRunner.

        A path is one of events unless `whole` is set; anything else is a fileset. Options of the
        names `_CALL` are those of the call.
        """
        return told(self.look(files, **options))

    def look(self, files: object, **options: Any) -> Any:
        """What the run of `run` gives."""
        from hepmtp.run.runner import HepRunner  # noqa: PLC0415 (coffea only when asked)

        whole = options.pop("whole", False)
        call = {name: options.pop(name) for name in _CALL if name in options}
        function = options.pop("function", look)
        executor = options.pop("executor", self.executor)
        one_file = isinstance(files, str | Path) and not whole
        fileset = {"x": [str(files)]} if one_file else files
        self.runner = HepRunner(executor, **options)
        return self.runner(fileset, function, **call)


_CALL = ("treename", "uproot_options", "iteritems_options", "trace")


def look(events: Any) -> dict[str, Any]:
    """A processor that adds up what `told` says."""
    pt = float(ak.sum(events.Particle.pt))
    return {"events": len(events), "weight": float(ak.sum(events.weight)), "pt": pt}


def told(found: Any) -> str:
    """A sentence of the numbers of `look`."""
    return f"{found['events']} events, weight {found['weight']:g}, {found['pt']:.4g} GeV"


def _one_line(text: str) -> str:
    """The error of a command, also one that typer has drawn a box around."""
    if "╭" in text:
        text = "error: " + " ".join(
            line.strip("│ ") for line in text.splitlines() if line.startswith("│")
        )
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("error: ")


def outcome(one: Row, place: Place) -> str:
    """What the table says of a row: the text that it gave, or the message that it was refused with.

    What it expects is checked.
    """
    before = Path.cwd()
    os.chdir(place.folder)
    try:
        if one.works is not None:
            found = str(one.check(place))
            assert found == one.works
            return f"works: {found}"
        with pytest.raises(Exception, match=one.refused) as raised:
            one.check(place)
    finally:
        os.chdir(before)
    error = raised.value
    assert isinstance(error, (RefusedError, *_legal())), f"{type(error).__name__}: {error}"
    return f"refused: {place.shown(str(error))}"


def _legal() -> tuple[type[Exception], ...]:
    from hepmtp.errors import HepmtpError  # noqa: PLC0415 (as a user catches them)

    return (HepmtpError, ValueError)  # coffea's own are ValueErrors


def cell(text: str) -> str:
    """A text as a cell of a Markdown table."""
    parts = re.split(r"(`[^`]*`)", text)
    plain = [
        part if part.startswith("`") else re.sub(r"([\\*_<>\[\]#$~])", r"\\\1", part)
        for part in parts
    ]
    return "".join(plain).replace("|", r"\|")
