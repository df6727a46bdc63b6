"""What a run read, skipped and lost, with file and reason: whatever the format and executor."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import awkward as ak
import cloudpickle
import h5py
import pytest
import uproot

from hepmtp.errors import OptionError, ReadError
from hepmtp.readers import failures
from hepmtp.readers.lines import Chunk
from hepmtp.run.chunks import ChunkSource, chunk_name, skipped_of
from hepmtp.run.executors import make_executor
from hepmtp.run.runner import HepRunner
from hepmtp.statistics.accounting import Account, Loss, incomplete
from hepmtp.statistics.normalisation import tally

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # a worker cannot import a test module
N = 60
DM = "hepmtp.readers.darkmachines.reader:DarkMachinesCSV"


def count(events: Any) -> dict[str, Any]:
    """Reads all that a file has."""
    names = ("weight", "source", "event")
    columns = [*(events[name] for name in names), events.MET.pt, events.MET.phi]
    columns += [events.Particle[name] for name in events.Particle.fields]
    total = sum(float(ak.sum(column)) for column in columns)
    return {"n": {events.metadata["dataset"]: len(events)}, "sum": total}


def broken(events: Any) -> dict[str, Any]:
    raise KeyError("a mistake of the processor")


@pytest.fixture
def executor() -> Iterator[Any]:
    with make_executor("iterative", status=False) as opened:
        yield opened


@pytest.fixture(scope="module")
def files(in_every_format: Callable[..., Any]) -> Any:
    return in_every_format({"ttbarW": N}, chunk=20, rntuple=True)


def damaged(path: Path, folder: Path) -> Path:
    """A copy whose first part is whole; what is behind two thirds of it is not."""
    data = bytearray(path.read_bytes())
    copy = folder / f"damaged {path.name}"
    if path.suffix == ".csv":
        lines = bytes(data).splitlines(keepends=True)
        lines[45] = b"45;ttbarW;0.1;what;0.1;j,1,2,3,4\n"
        copy.write_bytes(b"".join(lines))
    elif path.suffix == ".gz":
        copy.write_bytes(data[: len(data) * 2 // 3])
    elif path.parent.name == "rntuple":  # the last third holds no events
        copy.write_bytes(data[: len(data) // 3])
    else:
        first, last = len(data) // 3, len(data) * 3 // 4
        data[first:last] = bytes(last - first)
        copy.write_bytes(data)
    return copy


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "root", "rntuple", "parquet"])
def test_what_cannot_be_read_is_lost_and_the_rest_is_not(
    files: Any, executor: Any, tmp_path: Path, kind: str
) -> None:
    good = files[kind]["ttbarW"]
    bad = damaged(good, tmp_path)
    fileset = {"good": [str(good)], "mixed": [str(bad), str(good)]}
    with pytest.raises(ReadError, match="damaged ttbarW"):
        HepRunner(executor, chunksize=20)(fileset, count)
    runner = HepRunner(executor, chunksize=20, skipbadfiles=True)
    output = runner(fileset, count)
    assert output["n"]["good"] == N
    assert N <= output["n"]["mixed"] < 2 * N
    account = runner.accounting["mixed"]
    assert (account.files, account.events_read) == (2, output["n"]["mixed"])
    assert not account.complete
    assert {one.kind for one in account.losses} == {"skipped" if kind == "csv" else "lost"}
    assert {one.file for one in account.losses} == {str(bad)}
    assert all("damaged ttbarW" in one.reason for one in account.losses)
    # what is known of the file is accounted for to the last event
    if None not in [one.events for one in account.losses]:
        assert sum(one.events or 0 for one in account.losses) + account.events_read == 2 * N
    assert runner.accounting["good"] == Account(
        files=1, files_read=1, chunks=3, chunks_read=3, events=N, events_read=N
    )
    (said,) = incomplete(runner.accounting)
    assert said.startswith("mixed: ")
    word = "skipped" if kind == "csv" else "lost"
    assert f" in 1 of 2 files were {word}; first: " in said


def test_a_bad_line_costs_itself_alone(files: Any, executor: Any, tmp_path: Path) -> None:
    bad = damaged(files["csv"]["ttbarW"], tmp_path)
    runner = HepRunner(executor, chunksize=20, skipbadfiles=True)
    assert runner({"x": [str(bad)]}, count)["n"] == {"x": 59}
    assert runner.accounting["x"].total("skipped") == (1, 0.1)
    skip = {"x": {"files": [str(bad)], "metadata": {"reader_options": {"on_bad": "skip"}}}}
    runner = HepRunner(executor, chunksize=20)
    assert runner(skip, count)["n"] == {"x": 59}
    account = runner.accounting["x"]
    assert (account.chunks_read, account.events, account.events_read) == (3, 60, 59)
    (loss,) = account.losses
    assert loss[:5] == ("skipped", str(bad), 0, 1, 0.1)
    assert "line 46: MET is 'what'" in loss.reason
    assert incomplete(runner.accounting) == [
        f"x: 1 events of weight 0.1 in 1 of 1 files were skipped; first: {loss.reason}"
    ]


def test_whole_files_are_lost(files: Any, executor: Any, tmp_path: Path) -> None:
    good = files["parquet"]["ttbarW"]
    (tmp_path / "junk.root").write_bytes(b"junk" * 100)
    (tmp_path / "empty.csv").write_bytes(b"")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = [1]
    names = ("junk.root", "empty.csv", "other.h5", "gone.root")
    fileset = {"x": [str(good), *(str(tmp_path / name) for name in names)]}
    runner = HepRunner(executor, skipbadfiles=True)
    assert runner(fileset, count)["n"] == {"x": N}
    account = runner.accounting["x"]
    assert (account.files, account.files_read, account.events) == (5, 1, N)
    reasons = {Path(one.file).name: one.reason for one in account.losses}
    assert list(reasons) == list(names)
    assert "is of no known kind" in reasons["junk.root"]
    assert "is empty: 0 bytes" in reasons["empty.csv"]
    assert "does not exist" in reasons["gone.root"]
    (said,) = incomplete(runner.accounting)
    assert said.startswith("x: 0 events or more in 4 of 5 files were lost; first: ")


@pytest.mark.parametrize("name", ["two_processes", "on_dask"])
def test_every_executor_accounts_alike(
    files: Any, executor: Any, tmp_path: Path, name: str, request: pytest.FixtureRequest
) -> None:
    bad = damaged(files["csv"]["ttbarW"], tmp_path)
    fileset = {
        "x": {"files": [str(bad), str(files["root"]["ttbarW"])], "metadata": {"role": "signal"}},
        "y": {"files": [str(bad)], "metadata": {"reader_options": {"on_bad": "skip"}}},
    }
    runner = HepRunner(executor, chunksize=20, skipbadfiles=True)
    runner(fileset, count)
    other = HepRunner(request.getfixturevalue(name), chunksize=20, skipbadfiles=True)
    other(fileset, count)
    assert other.accounting == runner.accounting
    assert [len(one.losses) for one in other.accounting.values()] == [1, 1]


def no_file(events: Any) -> dict[str, Any]:
    return {"n": len(events), "model": Path("/no/such/model").read_text()}


@pytest.mark.parametrize("kind", ["csv", "root"])
def test_a_mistake_of_the_processor_is_never_left_out(files: Any, executor: Any, kind: str) -> None:
    fileset = {"x": [str(files[kind]["ttbarW"])]}
    with pytest.raises(Exception, match="a mistake of the processor"):
        HepRunner(executor, skipbadfiles=True)(fileset, broken)
    with pytest.raises(Exception, match="FileNotFoundError"):
        HepRunner(executor, skipbadfiles=True)(fileset, no_file)


def test_nothing_that_can_be_read_is_an_error(executor: Any, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1;p;x;2;3;\n")
    runner = HepRunner(executor, skipbadfiles=True)
    with pytest.raises(ReadError, match="nothing of this run could be read"):
        runner({"x": [str(tmp_path / "a.csv")]}, count)
    with pytest.raises(ReadError, match=r"nothing of .* first: .*gone\.csv does not exist"):
        runner({"x": [str(tmp_path / "gone.csv")]}, count)


def test_exceptions_of_a_users_own_choice(files: Any, executor: Any, tmp_path: Path) -> None:
    """As coffea allows: a tuple of types."""
    with pytest.raises(Exception, match="a mistake of the processor"):
        HepRunner(executor, skipbadfiles=(OSError,))({"x": [str(files["csv"]["ttbarW"])]}, broken)
    with pytest.raises(ReadError, match="nothing of this run could be read"):
        HepRunner(executor, skipbadfiles=(KeyError,))({"x": [str(files["csv"]["ttbarW"])]}, broken)


def test_what_may_pass_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "PAUSES", (0.0, 0.0, 0.0))
    calls: list[int] = []

    def weak(events: Any) -> dict[str, Any]:
        calls.append(len(events))
        if len(calls) < 3:
            raise TimeoutError("the disk of the farm is slow today")
        return {"n": len(events)}

    assert failures.tried(weak, "abc") == {"n": 3}
    assert calls == [3, 3, 3]
    calls.clear()
    with pytest.raises(KeyError):
        failures.tried(lambda: calls.append(1) or {}["x"])
    assert calls == [1]


def test_runner_arguments_that_mean_nothing_are_refused(executor: Any) -> None:
    with pytest.raises(OptionError, match="finds the format of every file itself"):
        HepRunner(executor, format="parquet")


def test_events_of_lost_files_that_nobody_counted_are_guessed_and_that_is_said() -> None:
    lost = Loss("lost", "/x/b.root", 0, None, None, "b.root is damaged")
    assert incomplete({"a": Account(files=2, files_read=1, losses=[lost])}) == [
        (
            "a: 0 events or more in 1 of 2 files were lost; first: b.root is damaged (where a sum "
            "of weights is given for the data set, such files are taken for as large as its "
            "others on average)"
        )
    ]


def test_accounts_are_plain_data() -> None:
    one = Account(files=2, losses=[Loss("lost", "a.root", 1, 5, None, "why")])
    assert Account.from_dict(one.as_dict()) == one
    assert one.as_dict()["complete"] is False
    assert one.total("lost") == (5, None)
    assert one.total("skipped") == (0, 0)


def weighed(events: Any) -> dict[str, Any]:
    """What a processor without a postprocess of its own gives."""
    weight = ak.to_numpy(events.weight)
    return {"normalisation": {events.metadata["dataset"]: tally(events.metadata, weight, events=1)}}


def test_lines_that_are_skipped_in_steps_and_twice(executor: Any, tmp_path: Path) -> None:
    lines = [f"{i};x;2;20000;0.1;j,60000,50000,0.5,0.2" for i in range(40)]
    lines[25] = "25;x;2;20000;0.1;j,60000,what,0.5,0.2"
    path = tmp_path / "x.csv"
    path.write_text("\n".join(lines) + "\n")
    one = {"object_path": None, "steps": [[20, 30]]}
    metadata = {"reader_options": {"on_bad": "skip"}}
    runner = HepRunner(executor)
    items = runner.preprocess({"x": {"files": {str(path): one}, "metadata": metadata}})
    for _ in range(2):  # the same pieces of work once more: nothing is lost twice
        runner(items, processor_instance=weighed)
        account = runner.accounting["x"]
        assert (account.events, account.events_read, account.weight_read) == (10, 9, 18.0)
        (loss,) = account.losses
        assert loss[:5] == ("skipped", str(path), 0, 1, 2.0)


def test_two_threads_that_read_the_same_chunk(tmp_path: Path) -> None:
    """Both are told what was skipped of it, and a third, which read nothing, is not."""
    path = tmp_path / "x.csv"
    path.write_text("0;x;2;20000;0.1;j,60000,what,0.5,0.2\n1;x;2;20000;0.1;j,60000,50000,0.5,0.2\n")
    chunk = Chunk(0, 2, 0, path.stat().st_size)
    name = chunk_name(str(path), DM, chunk, options={"on_bad": "skip"}, bytes_known=True)
    both = threading.Barrier(2)

    def read() -> Any:
        with uproot.open({name: "Events"}, handler=ChunkSource) as tree:
            assert tree.num_entries == 1
        both.wait(timeout=60)
        return skipped_of(name)

    with ThreadPoolExecutor(2) as pool:
        found = [one.result() for one in [pool.submit(read), pool.submit(read)]]
    assert [one.events for one in found] == [1, 1]
    assert skipped_of(name) is None


def test_of_a_lost_file_nobody_knows_what_was_generated(
    files: Any, executor: Any, tmp_path: Path
) -> None:
    gone = str(tmp_path / "gone.csv")
    entry = {"files": [str(files["csv"]["ttbarW"]), gone], "metadata": {"sum_weights": 3.0}}
    runner = HepRunner(executor, skipbadfiles=True)
    runner({"x": entry}, count)
    (loss,) = runner.accounting["x"].losses
    assert loss.reason.endswith("taken to have had an average file's share of the generated events")


@pytest.mark.parametrize("kind", ["csv", "root"])
def test_names_that_are_not_ascii(files: Any, executor: Any, tmp_path: Path, kind: str) -> None:
    """Coffea knows files and data sets by their ASCII letters."""
    source = files[kind]["ttbarW"]
    copy = shutil.copy(source, tmp_path / f"été {source.name}")
    runner = HepRunner(executor)
    output = runner({"Z → µµ": [copy], "plain": [source]}, count)
    assert output["n"] == {"Z → µµ": N, "plain": N}
    output = runner({"Z → µµ": [source]}, count)
    assert output["n"] == {"Z → µµ": N}
    assert runner.accounting["Z → µµ"].files_read == 1
