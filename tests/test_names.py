"""Names that others chose: as names of files, on a terminal, in tables and pages."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from matplotlib.figure import Figure

import hepmtp as hm
from hepmtp import plotting
from hepmtp.cli import main
from hepmtp.cli.terminal import PlainFormatter, plain
from hepmtp.datasets.filesets import read_fileset
from hepmtp.errors import ManifestError
from hepmtp.notebook import in_markdown
from hepmtp.report.tables import Cells, markdown
from hepmtp.storage import file_name

SCREEN = "\x1b[2J\x1b]0;evil\x07"


@pytest.mark.parametrize(
    "name", ["ttbarW", "glgl1600_neutralino800", "4top η", "t\u0304t", "score-SR-CR", "质子", "a.b"]
)
def test_usual_names_are_names_of_files(name: str) -> None:
    assert file_name(name) == name


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("x/../../EVIL", "x_.._.._EVIL-"), ("..", "__-"), ("", "-"),
        ("/etc/passwd", "_etc_passwd-"),
        ("a\\b", "a_b-"), ("a\0b", "a_b-"), ("\x1b[2J", "_[2J-"), (".hidden", "_hidden-"),
        ("dot.", "dot-"), ("\u202egnp", "_gnp-"), ("C:x", "C_x-"),
    ],
)  # fmt: skip
def test_other_names_are_made_such(name: str, start: str) -> None:
    assert re.fullmatch(re.escape(start) + "[0-9a-f]{8}", file_name(name))


@given(st.text(max_size=300), st.text(max_size=300))
def test_every_name_is_one_file_of_the_folder(one: str, other: str) -> None:
    made = file_name(one)
    assert Path(made).name == made
    assert made not in ("", ".", "..")
    assert len(made.encode()) <= 150
    assert file_name(made) == made
    assert (made == file_name(other)) == (one == other)


def test_a_figure_lies_in_its_folder(tmp_path: Path) -> None:
    paths = plotting.save(Figure(), tmp_path / "run" / "figures", "roc-x/../../../EVIL")
    assert {path.parent for path in paths} == {tmp_path / "run" / "figures"}
    assert all(path.is_file() for path in paths)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("name", ["a\x1b[2J", "a\nb", "a\x9bb", "a\u2028b", "x" * 201])
def test_a_name_of_a_data_set_has_no_control_characters(name: str) -> None:
    with pytest.raises(ManifestError, match="a name has no control characters, and at most 200"):
        hm.Dataset(name, "x", "background", ("a.csv",))
    with pytest.raises(ManifestError, match="a name has no control characters"):
        read_fileset({name: ["a.csv"]}, missing_ok=True)


@given(st.text())
def test_what_is_printed_has_no_control_characters(text: str) -> None:
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", plain(text))


def test_no_escape_sequence_reaches_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"a{SCREEN}.csv"
    path.write_bytes(b"1;p\x1b[31m;1.0;100;0.5;j,5e4,4e4,0.3,0.1\n" * 3)
    manifest = tmp_path / "m.yaml"
    manifest.write_text(
        "datasets:\n- {name: x, process: p, role: background, files: [a.csv], "
        'doi: "10\\e[2J", label: "[red]\\e[31m"}\n'
    )
    for words in (
        ["inspect", str(path)],
        ["inspect", str(path.with_name(f"b{SCREEN}.csv"))],
        ["datasets", "--manifest", str(manifest)],
        ["run", f"x{SCREEN}", "--detectors", "none"],
    ):
        with pytest.raises(SystemExit):
            main(words)
        found = capsys.readouterr()
        assert "\x1b" not in found.out + found.err
        assert "\x07" not in found.out + found.err
        assert found.out + found.err


def test_the_log_has_none_either() -> None:
    record = logging.LogRecord("a", logging.WARNING, "f", 1, "file %s", (SCREEN,), None)
    assert PlainFormatter("%(message)s").format(record) == r"file \x1b[2J\x1b]0;evil\x07"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("![x](http://a.b/c.png)", r"![x]\(http://a.b/c.png)"),
        ("a|b\n| c | d |", r"a\|b \| c \| d \|"),
        ("p < 0.05 & z > 3", "p &lt; 0.05 &amp; z &gt; 3"),
        ("HT [GeV]", "HT [GeV]"),
    ],
)
def test_markdown_shows_text_as_text(text: str, expected: str) -> None:
    assert in_markdown(text) == expected
    assert markdown(Cells([text], [])).splitlines()[0] == f"| {expected} |"
