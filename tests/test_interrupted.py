"""Runs that are stopped, lose workers or meet bad files: nothing that is finished is lost."""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import awkward as ak
import pytest
from contracts import hepmtp
from distributed import LocalCluster

from hepmtp.errors import ClusterError, ReadError
from hepmtp.folders import beside, kept_of
from hepmtp.run import cluster
from hepmtp.run.checkpoint import KeptChunks
from hepmtp.run.cluster import WatchedExecutor, connected
from hepmtp.run.executors import make_executor
from hepmtp.run.runner import HepRunner

SAVED = Path(__file__).parent / "saved"
#: A processor that notes each chunk, and is stopped by Ctrl-C before the one of this number.
STOPS = """
import contextlib, os, signal
from pathlib import Path
import numpy as np
from hepmtp.events.regions import Region
from processors.anomaly import AnomalyProcessor

NOTED = Path("noted")
ALL = Region("all", "all events", lambda events: np.ones(len(events), dtype=bool))


class Mine(AnomalyProcessor):
    def process(self, events):
        with NOTED.open("a") as file:
            file.write("x")
        kill = map(int, Path("kill").read_text().split()) if Path("kill").exists() else ()
        for process in sorted(kill, key=os.getpid().__eq__):  # itself as the last
            if len(NOTED.read_text()) > int(Path("after").read_text()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
        if Path("stop").exists() and len(NOTED.read_text()) > int(Path("stop").read_text()):
            os.kill(os.getpid(), signal.SIGINT)
        return super().process(events)
"""


def lines(n: int, *, first: int = 0) -> str:
    """Events with one jet, a little different each."""
    return "".join(
        f"{i};x;1;{90000 + i};3.0;j,{100000 + i},{100000 + i},0.0,-0.1;\n"
        for i in range(first, first + n)
    )


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    Path("x.csv").write_text(lines(240))
    Path("stopping.py").write_text(STOPS)
    yield tmp_path
    sys.modules.pop("stopping", None)


def run(*words: str, detector: str = "ht") -> int:
    common = ("-d", SAVED / detector, "-o", "out", "--chunksize", "40", "--variations", "none")
    return hepmtp("run", "x.csv", *common, "--processor", "stopping.py:Mine", *words)


def noted() -> int:
    """Chunks that were processed since the last time."""
    n = len(Path("noted").read_text())
    Path("noted").write_text("")
    return n


@pytest.mark.usefixtures("place", "undrawn")
def test_a_run_that_is_stopped_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 1  # no background in a region: the result is there, and says so
    assert noted() == 6
    whole = [Path("out", name).read_bytes() for name in ("cutflow.json", "histograms.json")]
    assert run("--resume") == 2
    assert "holds what hepmtp wrote before" in capsys.readouterr().err
    Path("stop").write_text("3")
    assert run("--overwrite") == 130
    assert capsys.readouterr().err.splitlines()[-1] == (
        "stopped; 3 of 6 chunks are kept: the same command with --resume goes on from them"
    )
    assert [Path("out", name).read_bytes() for name in ("cutflow.json",)] == whole[:1]
    Path("stop").unlink()
    assert noted() == 4
    assert run("--overwrite", "--resume") == 1
    assert noted() == 3
    assert "3 finished chunks of this run are there" in capsys.readouterr().err
    assert [Path("out", name).read_bytes() for name in ("cutflow.json", "histograms.json")] == whole
    assert not beside(Path("out").resolve()).exists()


@pytest.mark.usefixtures("place")
def test_chunks_of_another_model_file_or_option_are_not_used() -> None:
    Path("stop").write_text("5")

    def done(*words: str, detector: str = "ht") -> int:
        """Chunks that are processed until the run is stopped in the last one."""
        assert run("--resume", *words, detector=detector) == 130
        return noted()

    assert done() == 6
    assert done(detector="ecod") == 6
    assert done("--regions", "CR,SR") == 6
    text = Path("x.csv").read_text()
    Path("x.csv").write_text(text.replace("90001;", "90002;"))
    assert done() == 6
    Path("stop").write_text("0")
    assert done() == 1  # the last chunk alone was left


@pytest.mark.usefixtures("place", "undrawn")
def test_columns_of_finished_chunks_are_kept() -> None:
    columns = ("--overwrite", "--columns", "scores.parquet", "--regions", "stopping.py:ALL")
    assert run(*columns) == 0
    whole = ak.from_parquet("scores.parquet")
    assert (noted(), len(whole)) == (6, 75)
    Path("stop").write_text("4")
    assert run(*columns) == 130
    (parts,) = Path().glob(".hepmtp-parts-*")
    assert len(list(parts.iterdir())) == 4
    min(parts.iterdir()).unlink()
    max(parts.iterdir()).write_bytes(b"damaged")
    Path("stop").unlink()
    assert noted() == 5
    assert run(*columns, "--resume") == 0
    assert noted() == 4  # two that are new, one that is gone and one that is damaged
    assert ak.from_parquet("scores.parquet").tolist() == whole.tolist()
    assert not list(Path().glob(".hepmtp-parts-*"))


def test_a_damaged_chunk_is_done_again(tmp_path: Path) -> None:
    chunks = KeptChunks(tmp_path / "kept", "key", resume=True)
    chunks.save({"out": 1}, {"dataset": "x"}, None)
    assert (chunks.load({"dataset": "x"}, None), len(chunks)) == ({"out": 1}, 1)
    assert chunks.load({"dataset": "y"}, None) is None
    path = Path(chunks.filepath({"dataset": "x"}, None))
    path.write_bytes(path.read_bytes()[:-1])
    assert chunks.load({"dataset": "x"}, None) is None
    assert not KeptChunks(tmp_path / "kept", "other", resume=True)


#: A client whose worker kills itself once, and which is then killed.
CLIENT = """
import os, pathlib, signal, sys
from hepmtp.run.futures import LastingExecutor, Pool

def work(item, place=sys.argv[1]):
    mark = pathlib.Path(place, "killed")
    if item == 2 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return {"items": {item}, "worker": {os.getpid()}}

if __name__ == "__main__":
    pool = Pool(1)
    found, _ = LastingExecutor(pool=pool, workers=1, status=False)(range(5), work, {"items": set()})
    print("found", "".join(map(str, sorted(found["items"]))), max(found["worker"]), flush=True)
    pool.submit(work, 6)
    sys.stdin.readline()
"""


def test_a_killed_worker_loses_no_chunk_and_a_killed_client_leaves_no_worker(
    tmp_path: Path,
) -> None:
    (tmp_path / "client.py").write_text(CLIENT)
    words = [sys.executable, tmp_path / "client.py", tmp_path]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(words, encoding="utf-8", **pipes) as client:
        assert client.stdout is not None
        said = next(one for one in client.stdout if one.startswith("found "))  # bars before it
        client.kill()
    _, items, process = said.split()
    assert items == "01234"
    assert (tmp_path / "killed").exists()
    worker = Path("/proc", process)
    for _ in range(1200):
        if not worker.exists():
            break
        time.sleep(0.05)
    assert not worker.exists()


def test_a_cluster_without_workers_or_scheduler_ends_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster, "PATIENCE", 1.0)
    with (
        LocalCluster(
            host="127.0.0.1", n_workers=0, dashboard_address="127.0.0.1:0", silence_logs="ERROR"
        ) as empty,
        connected(empty) as client,
    ):
        executor = WatchedExecutor(client=client, status=False)
        with pytest.raises(ClusterError, match=r"has no workers: start some .*--resume"):
            executor([1, 2], str, "")
    with pytest.raises(ClusterError, match=r"no Dask scheduler answers at tcp://127.0.0.1:1 "):
        connected("tcp://127.0.0.1:1").__enter__()


#: Starts a scheduler or a worker, as a process of its own that has all libraries, for each line.
STARTS = """
import asyncio, os, signal, sys
from distributed import Scheduler, Worker
import processors.anomaly

async def live(one):
    async with one():
        await asyncio.Event().wait()

options = {"host": "127.0.0.1", "dashboard": False, "dashboard_address": ":0"}
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:
    kind, port = line.split()
    if not (process := os.fork()):
        os.close(0)
        if kind == "scheduler":
            asyncio.run(live(lambda: Scheduler(port=int(port), **options)))
        asyncio.run(live(lambda: Worker(f"tcp://127.0.0.1:{port}", nthreads=1)))
    print(process, flush=True)
"""


@pytest.fixture
def start(place: Path) -> Iterator[Callable[[str], int]]:
    """A function that starts a "scheduler" or a "worker" of it, and gives the process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (place / "port").write_text(str(port))
    found: list[int] = []
    words = [sys.executable, "-c", STARTS]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(words, stderr=subprocess.DEVNULL, encoding="utf-8", **pipes) as starter:

        def started(kind: str) -> int:
            assert starter.stdin is not None
            assert starter.stdout is not None
            print(kind, port, file=starter.stdin, flush=True)
            found.append(int(starter.stdout.readline()))
            return found[-1]

        yield started
        for one in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        starter.kill()


@pytest.mark.usefixtures("place", "undrawn")
def test_a_run_outlives_its_workers_and_its_scheduler(
    start: Callable[[str], int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cluster.PATIENCE == 20.0
    words = ("--overwrite", "--regions", "stopping.py:ALL")
    assert run(*words) == 0
    names = ("cutflow.json", "histograms.json")
    whole = [Path("out", name).read_bytes() for name in names]
    on_dask = ("--executor", "dask", "--scheduler", f"tcp://127.0.0.1:{Path('port').read_text()}")

    def lost(after: int, *killed: int) -> str:
        """What a run says whose worker kills these processes after so many chunks."""
        assert noted() > 0
        Path("after").write_text(str(after))
        Path("kill").write_text(" ".join(map(str, killed)))
        assert run(*words, *on_dask, "--resume") == 2
        Path("kill").unlink()
        return capsys.readouterr().err

    scheduler = start("scheduler")
    workers = start("worker"), start("worker")
    monkeypatch.setattr(cluster, "PATIENCE", 10.0)
    said = lost(3, *workers)
    assert re.search("[1-4] of 6 chunks are kept: the same command with --resume goes on", said)
    assert "has no workers: start some with dask worker; finished chunks are kept" in said
    assert "Traceback" not in said
    workers = start("worker"), start("worker")
    said = lost(1, scheduler)
    assert "error: the Dask scheduler is gone: start it and its workers again; " in said
    assert "Traceback" not in said
    start("scheduler")
    start("worker")
    assert run(*words, *on_dask, "--resume") == 0
    assert re.search("[1-6] finished chunks of this run are there", capsys.readouterr().err)
    assert [Path("out", name).read_bytes() for name in names] == whole


class Counted:
    """Counts events and weight of each data set."""

    def __init__(self, seen: Path) -> None:
        self.seen = seen

    def __call__(self, events: ak.Array) -> dict[str, Any]:
        self.seen.touch()
        return {"n": len(events), "weight": float(ak.sum(events.weight))}


def test_one_bad_file_of_twenty(tmp_path: Path) -> None:
    paths = []
    for i in range(20):
        paths.append(tmp_path / f"{i}.csv.gz")
        paths[-1].write_bytes(gzip.compress(lines(10, first=10 * i).encode()))
    paths[7].write_bytes(paths[7].read_bytes()[:-30])
    fileset = {"x": {"files": list(map(str, paths)), "metadata": {"role": "data"}}}
    with make_executor("iterative", status=False) as executor:
        seen = tmp_path / "seen"
        with pytest.raises(ReadError, match=r"7\.csv\.gz"):
            HepRunner(executor)(fileset, Counted(seen))
        assert not seen.exists()  # it ends before anything is scored
        runner = HepRunner(executor, skipbadfiles=True)
        assert runner(fileset, Counted(seen)) == {"n": 190, "weight": 190.0}
    account = runner.accounting["x"]
    assert (account.files, account.files_read, account.events_read) == (20, 19, 190)
    (loss,) = account.losses
    assert (loss.kind, Path(loss.file).name, loss.events) == ("lost", "7.csv.gz", None)


def test_a_bad_line_costs_a_line_in_files_of_any_kind(tmp_path: Path, sample: Path) -> None:
    """One data set of CSV with a bad line and of ROOT, which has no lines."""
    from hepmtp.readers.convert import convert  # noqa: PLC0415 (only here)

    (tmp_path / "good.csv").write_text(lines(20))
    convert(tmp_path / "good.csv", tmp_path / "good.root")
    bad = lines(10, first=50) + "1;x;1;2000;0.1;q,60000,50000,0.1,1.0;\n" + lines(5, first=70)
    (tmp_path / "bad.csv").write_text(bad)
    files = [str(tmp_path / name) for name in ("good.root", "bad.csv")]
    with make_executor("iterative", status=False) as executor:
        runner = HepRunner(executor, skipbadfiles=True)
        found = runner({"x": {"files": files}}, Counted(tmp_path / "seen"))
    assert found == {"n": 35, "weight": 35.0}
    (loss,) = runner.accounting["x"].losses
    assert (loss.kind, loss.events) == ("skipped", 1)


def test_names_that_are_too_long_are_found_first(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("run", f"{'x' * 200}=x.csv", "-d", SAVED / "ht", "-o", "out")
    assert hepmtp(*words) == 2
    assert "are too long for the names of files here: 202 bytes, at most 191" in (
        capsys.readouterr().err
    )
    assert not (place / "out").exists()


def test_a_file_that_a_worker_does_not_see(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text(lines(3))
    with make_executor("iterative", status=False) as executor:
        runner = HepRunner(executor)
        items = runner.preprocess({"x": {"files": [str(file)]}})
        file.unlink()
        with pytest.raises(ReadError, match=r"x\.csv is not there for the worker on .*: give"):
            runner.run(items, Counted(tmp_path / "seen"))


def test_kept_chunks_are_gone_with_the_run_that_has_none(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("x.csv").write_text("1;x;1;2000;0.1;q,60000,50000,0.1,1.0;\n")
    assert run() == 2
    assert "line 1" in capsys.readouterr().err
    assert not kept_of("out").exists()
    assert sorted(one.name for one in place.iterdir()) == ["stopping.py", "x.csv"]
