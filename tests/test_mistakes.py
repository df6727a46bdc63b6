"""What a user of the command line meets when something is wrong: one line, and its exit code."""

from __future__ import annotations

import errno
import gzip
import itertools
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest
from contracts import hepmtp

from hepmtp.cli.failures import told
from hepmtp.errors import EXTRAS, ReadError, missing_library

pytestmark = pytest.mark.usefixtures("short_training")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Path:
    """The first 1500 events of a background, and fitted detectors."""
    folder = tmp_path_factory.mktemp("failures")
    with gzip.open(sample / "ttbarZ.csv.gz", "rt") as file:
        (folder / "ttbarZ.csv").write_text("".join(itertools.islice(file, 1500)))
    words = ["train", folder / "ttbarZ.csv", "--epochs", "1", "-o", folder / "detectors"]
    assert hepmtp(*words) == 0
    return folder


def line(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    """The one line that a command with wrong input ends with."""
    assert hepmtp(*words) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    return error


#: Runs the commands of its argument one after the other, and says how each ended.
IN_TURN = """\
import json, sys
from hepmtp.cli import main
for words in json.loads(sys.argv.pop()):
    sys.argv[:] = ["hepmtp", *words]
    try:
        main(words)
    except SystemExit as exit_:
        code = exit_.code or 0
    print(f"ended with {code}", file=sys.stderr)
"""


class Ended(NamedTuple):
    """How a command ended, and what it wrote as an error."""

    code: int
    error: str


def started(
    *commands: Iterable[str | Path], shell: str = "", code: str = "", **environment: str
) -> tuple[list[Ended], str]:
    """Commands in one process of their own, after a `shell` command and Python `code`.

    How each ended, and what all wrote.
    """
    words = json.dumps([[str(word) for word in one] for one in commands], ensure_ascii=False)
    run = subprocess.run(
        ["bash", "-c", f'{shell} exec "$0" "$@"', sys.executable, "-c", code + IN_TURN, words],
        capture_output=True,
        encoding="utf-8",
        check=False,
        env={**os.environ, **environment},
    )
    parts = re.split(r"ended with (\d+)\n", run.stderr)
    assert (run.returncode, len(parts), parts[-1]) == (0, 2 * len(commands) + 1, ""), run.stderr
    ended = [Ended(int(n), text) for text, n in zip(parts[::2], parts[1::2], strict=False)]
    return ended, run.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--device", "cuda"), "device 'cuda' cannot be used here"),
        (("--device", "gpu"), "device 'gpu' cannot be used here"),
        (("--scheduler", "tcp://a:1"), "--scheduler tcp://a:1 needs --executor dask, found itera"),
        (("--scheduler", "a", "--executor", "dask"), "expected an address such as tcp://host:8786"),
        (("--workers", "3"), "--workers 3 has no effect: iterative is this process only"),
        (
            ("--workers", "3", "--executor", "dask", "--scheduler", "tcp://a:1"),
            "--workers 3 has no effect: the scheduler has its workers",
        ),
    ],
)
def test_options_that_would_have_no_effect(
    folder: Path, words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch  # noqa: PLC0415 (only here)

    if "cuda" in words and torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    output = folder / "nothing"
    assert message in line(capsys, "train", folder / "ttbarZ.csv", *words, "-o", output)
    assert not output.exists()


def test_options_of_a_run_that_would_have_no_effect(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = folder / "nothing"
    common = ("-d", folder / "detectors", "-o", output)

    def error(*words: str | Path) -> str:
        return line(capsys, "run", *words, *common)

    own = folder / "ttbarZ.csv"
    for given, message in (
        ("ht=3,1", "--range ht=3,1: expected LOW below HIGH"),
        ("ht=3", "--range ht=3: expected two numbers, LOW,HIGH"),
        ("0,3", "--range 0,3: expected SCORE=LOW,HIGH, once for a score; the scores are anomaly, "),
    ):
        assert message in error(own, "--range", given)
    assert "ttbarZ have no cross-section, so there is nothing to scale" in error(
        own, "--luminosity", "300"
    )
    assert "luminosity_ifb is -3.0, expected a number above 0" in error(
        "ttbarW", "--luminosity", "-3"
    )
    assert "looks like 1/pb" in error("ttbarW", "--luminosity", "139000")
    assert "there are only data" in error(f"x:data={own}", "--luminosity", "3")
    assert "--tree: only files of your own take it, and ttbarW are rows of the manifest" in error(
        "ttbarW", "--tree", "x"
    )
    assert "--option check_count is given twice" in error(
        own, "--option", "check_count=true", "--option", "check_count=false"
    )
    assert "has files for hepmtp:DarkMachinesCSV, which has no option tree" in error(
        own, "--tree", "Events"
    )
    assert "no data set is named: give names, files, a fileset" in error()
    assert not output.exists()


def test_too_few_events(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = tmp_path / "few.csv"
    few.write_text("".join((folder / "ttbarZ.csv").read_text().splitlines(True)[:100]))
    error = line(capsys, "train", few, "-o", tmp_path / "detectors")
    assert " events are too few for 10 bins of MET: give more events, or fewer bins" in error


@pytest.mark.slow
@pytest.mark.parametrize(
    "cases",
    [
        {"sklearn": ("tokenizer-report", "visive2025")},
        {
            "vector_quantize_pytorch": ("tokenizer-report", "hepmtp:VQVAETokenizer"),
            "zuko": ("league", "--only", "ht", "--add", "hepmtp:Flow"),
        },
    ],
)
def test_a_missing_extra_is_named(
    folder: Path, tmp_path: Path, cases: dict[str, tuple[str, ...]]
) -> None:
    files = [folder / "ttbarZ.csv", f"s:signal={folder / 'ttbarZ.csv'}", "-o", tmp_path / "out"]
    without = f"import sys\nsys.modules |= dict.fromkeys({list(cases)})\n"
    ended, _ = started(*((*words, *files) for words in cases.values()), code=without)
    for library, (code, error) in zip(cases, ended, strict=True):
        assert code == 2
        assert error.count("\n") == 1
        assert error.startswith("error: ")
        assert f'{library} is not installed: run pip install "hepmtp[league]"' in error


def test_every_extra_is_one_of_the_project() -> None:
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    extras = text.partition("[project.optional-dependencies]")[2].partition("[project.scripts]")[0]
    assert {f"{name} =" in extras for name in EXTRAS.values()} == {True}
    assert missing_library(ImportError("no", name="mine.own")) is None
    assert missing_library(ImportError("no")) is None


@pytest.mark.slow
def test_ascii_terminals(folder: Path, tmp_path: Path) -> None:
    file, results = tmp_path / "ttbarZ.csv", tmp_path / "results"
    file.write_text("".join((folder / "ttbarZ.csv").read_text().splitlines(True)[:400]))
    # figures are made, but not rendered: nobody looks at them
    undrawn = (
        "import pathlib\nfrom matplotlib.figure import Figure\n"
        "Figure.savefig = lambda _, path, **options: pathlib.Path(path).touch()\n"
    )
    ended, printed = started(
        ("datasets",),
        ("inspect", file),
        ("run", file, f"4top={file}", "-d", folder / "detectors", "-o", results),
        ("compare", results, "--detector", "ht", "--threshold-quantile", "0.9"),
        ("report", results),
        ("inspect", tmp_path / "größe.csv"),
        code=undrawn,
        LC_ALL="C",
        PYTHONUTF8="0",
        PYTHONIOENCODING="",
    )
    for code, error in ended[:-1]:
        assert code == 0, error
        assert "Traceback" not in error
    assert " +- " in printed
    assert "epsB" in printed
    assert ended[-1].code == 2
    assert ended[-1].error.startswith("error: ")


@pytest.mark.slow
def test_a_full_disk(folder: Path, tmp_path: Path) -> None:
    (ended,), _ = started(("datasets",), shell="exec >/dev/full;")
    assert ended == (2, "error: the disk is full; make room, or choose another folder\n")
    both, _ = started(
        ("convert", folder / "ttbarZ.csv", tmp_path / "x.root"),
        ("run", folder / "ttbarZ.csv", "-d", folder / "detectors", "-o", tmp_path / "results"),
        shell="ulimit -f 20;",
    )
    for one in both:
        assert one.code == 2
        assert one.error.startswith("error: ")
        assert "make room, or choose another folder" in one.error
    assert not (tmp_path / "x.root").exists()
    assert not (tmp_path / "results").exists()


def test_folders_that_cannot_be_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    taken = folder / "ttbarZ.csv"  # a file, where a folder is wanted
    for words in (
        ("run", taken, "-d", folder / "detectors", "-o", taken),
        ("train", taken, "--epochs", "1", "-o", taken / "x"),
        ("convert", taken, taken / "x.root"),
    ):
        assert hepmtp(*words) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith("error: ")
        assert re.search("not a directory|file exists|is no folder", error, re.IGNORECASE)


#: A command started from a script may ignore Ctrl-C; one that a user starts does not.
INTERRUPTIBLE = """\
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from hepmtp.cli import main
main(sys.argv[1:])
"""


@pytest.mark.slow
@pytest.mark.parametrize("executor", [(), ("--executor", "futures", "--workers", "1")])
def test_ctrl_c_ends_with_one_line(folder: Path, tmp_path: Path, executor: tuple[str, ...]) -> None:
    words = ["train", folder / "ttbarZ.csv", "--epochs", "500", "-o", tmp_path / "detectors"]
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, *words, *executor],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        os.killpg(process.pid, signal.SIGINT)
        rest = [one for one in process.stderr if not one.startswith("epoch ")]
    assert first.startswith("epoch 1: ")
    (said,) = rest
    assert said.startswith("stopped; 1 finished chunks and ")
    assert said.endswith(" models are kept: the same command with --resume goes on from them\n")
    assert process.returncode == 130


def test_what_errors_say() -> None:
    assert told(ReadError("a.csv is\n empty")) == ("error: a.csv is empty", 2)
    full = OSError(errno.ENOSPC, "No space left on device", "/x/y.root")
    assert told(full) == (
        "error: the disk is full where /x/y.root is written; make room, or choose another folder",
        2,
    )
    wrapped = RuntimeError("a library failed")
    wrapped.__cause__ = full
    assert told(wrapped) == told(full)
    denied = PermissionError(errno.EACCES, "Permission denied", "/x")
    assert told(denied) == (
        "error: /x: permission denied; choose another place, or change its mode",
        2,
    )
    letters = UnicodeEncodeError("utf-8", "a\udcc3.csv", 1, 2, "surrogates not allowed")
    assert told(letters) == (
        (
            "error: a name is not ASCII, and this environment has no other letters: set "
            "PYTHONUTF8=1, or LC_ALL=C.UTF-8"
        ),
        2,
    )
    assert told(TimeoutError("the scheduler is silent"))[0] == "error: the scheduler is silent"
    assert told(OSError())[0] == "error: OSError"
    assert "a smaller --chunksize" in told(MemoryError())[0]
    line, code = told(TypeError("x"))
    assert line.startswith("error: unexpected TypeError (hepmtp --debug says more; please report")
    assert code == 1
    assert told(ModuleNotFoundError("No module named 'q'", name="q"))[1] == 1
