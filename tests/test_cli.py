from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hepmtp import __version__
from hepmtp.cli import app, main

COMMANDS = ("demo", "datasets", "convert", "train", "run", "compare", "report")


def hepmtp(*words: str | Path) -> int:
    """Exit code of a command, run in this process as the entry point runs it."""
    with pytest.raises(SystemExit) as exit_:
        main([str(word) for word in words])
    return int(exit_.value.code or 0)


def fails(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    """The one line that a command with wrong input ends with."""
    assert hepmtp(*words) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    return error


def test_the_entry_point_as_a_user_starts_it() -> None:
    command = Path(sys.executable).with_name("hepmtp")
    run = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert run.stdout == f"hepmtp {__version__}\n"
    run = subprocess.run([command, "datasets", "--manifest", "no.yaml"], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert run.stderr.startswith("error: no.yaml cannot be read as a manifest")
    assert len(run.stderr.splitlines()) == 1
    run = subprocess.run(
        [command, "datasets", "--manifest", "no.yaml", "--debug"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert "Traceback" in run.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_has_an_example(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"], prog_name="hepmtp")
    assert result.exit_code == 0
    assert f"Example: hepmtp {command}" in " ".join(result.output.split())


def test_the_commands_are_listed() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    assert all(f"\n│ {command} " in result.output for command in COMMANDS)


@pytest.mark.parametrize("words", [["nothing"], ["datasets", "--nothing"], ["train"]])
def test_wrong_words_end_with_code_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert hepmtp(*words) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_an_unexpected_error_ends_with_code_1_and_no_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hepmtp.manifest.load_manifest", None)
    assert hepmtp("datasets") == 1
    assert capsys.readouterr().err.startswith("error: unexpected TypeError")
    with pytest.raises(TypeError, match="not callable"):
        main(["datasets", "--debug"])


def test_datasets_lists_the_embedded_sample_and_the_records(capsys: pytest.CaptureFixture[str]) -> None:
    assert hepmtp("datasets") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["ttbarW", "background", "10522", "0.722", "139", "hepmtp", "simulation"] in lines
    assert ["fourtops-4top", "signal", "152000", "0.0096", "zenodo.7277951"] in lines


def test_datasets_sees_what_was_downloaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "4top.csv").write_text("")
    assert hepmtp("datasets", "--folder", tmp_path) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["fourtops-4top", "signal", "152000", "0.0096", "here"] in lines
