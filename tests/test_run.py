"""HepRunner: the same result from every file format and every executor."""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import cloudpickle
import hist
import numpy as np
import pytest
import uproot
from coffea.nanoevents import BaseSchema
from coffea.processor import Runner, SimpleCheckpointer
from coffea.util import coffea_console

from hepmtp.errors import OptionError, ReadError, ScoreError
from hepmtp.events.observables import ht, n_b
from hepmtp.events.record import metadata
from hepmtp.readers.convert import convert
from hepmtp.readers.darkmachines.reader import DarkMachinesCSV
from hepmtp.readers.root import HepmtpSchema
from hepmtp.run.executors import make_executor
from hepmtp.run.runner import HepRunner

if TYPE_CHECKING:
    from distributed import Client

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # a worker cannot import a test module
Files = dict[str, dict[str, Path]]  # of a format, of a data set
N = {"4top": 700, "ttbarW": 501}


def fill(events: ak.Array) -> dict[str, Any]:
    """A small processor: HT weighted, counts, and who the events are."""
    name = metadata(events)["dataset"]
    h = hist.Hist(
        hist.axis.StrCategory([], growth=True, name="dataset"),
        hist.axis.Regular(20, 0, 2000, name="ht"),
        storage=hist.storage.Weight(),
    )
    h.fill(dataset=name, ht=ht(events), weight=ak.to_numpy(events.weight))
    identity = {(int(s), int(e)) for s, e in zip(events.source, events.event, strict=True)}
    n_bs = int(n_b(events).sum())
    return {
        "ht": h,
        "n": {name: len(events)},
        "n_b": {name: n_bs},
        "who": identity,
        "mass": float(ak.sum(events.Particle.mass)),
    }


def who_works(events: ak.Array) -> dict[str, set[tuple[int, str]]]:
    return {"pids": {(os.getpid(), os.environ["OMP_NUM_THREADS"])}}


def count_roles(events: ak.Array) -> dict[str, int]:
    return {metadata(events)["role"]: len(events)}


def break_down(events: ak.Array) -> dict[str, int]:
    if len(events) and int(events.event[0]) >= 300:
        raise ScoreError("score of event 300 is nan; train again")
    return {"n": len(events)}


@pytest.fixture(scope="module")
def files(in_every_format: Callable[..., Files]) -> Files:
    return in_every_format(N, chunk=300, rntuple=True)


def fileset(paths: dict[str, Path], **more: Any) -> dict[str, Any]:
    return {
        name: {
            "files": [str(path)],
            "metadata": {"role": "signal" if name == "4top" else "background", **more},
        }
        for name, path in paths.items()
    }


@pytest.fixture(scope="module")
def expected(files: dict[str, dict[str, Path]]) -> dict[str, Any]:
    """The bare loop over the files."""
    from coffea.processor import accumulate  # noqa: PLC0415

    from hepmtp.events.record import with_metadata  # noqa: PLC0415

    read = DarkMachinesCSV().read
    return accumulate(
        [
            fill(with_metadata(read(str(path)), dataset=name, role=None))
            for name, path in files["csv"].items()
        ]
    )


@pytest.fixture
def iterative() -> Iterator[Any]:
    with make_executor("iterative", status=False) as executor:
        yield executor


def check_same(out: dict[str, Any], expected: dict[str, Any]) -> None:
    assert out["n"] == expected["n"] == N
    assert out["n_b"] == expected["n_b"]
    assert out["who"] == expected["who"]
    assert out["mass"] == pytest.approx(expected["mass"], rel=1e-12)
    for name in N:
        for what in ("value", "variance"):
            found, right = (one["ht"][name, :].view(flow=True)[what] for one in (out, expected))
            np.testing.assert_allclose(found, right, rtol=1e-12)


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "root", "rntuple", "parquet"])
@pytest.mark.parametrize("chunksize", [100, 20_000])
def test_every_format(files: Any, expected: Any, iterative: Any, kind: str, chunksize: int) -> None:
    check_same(HepRunner(iterative, chunksize=chunksize)(fileset(files[kind]), fill), expected)


def test_formats_mixed_in_one_fileset(files: Any, expected: Any, iterative: Any) -> None:
    kinds = ("csv", "csv.gz", "root", "rntuple", "parquet")
    mixed = {
        name: {"files": [str(files[kind][name]) for kind in kinds], "metadata": {}} for name in N
    }
    seen = HepRunner(iterative, chunksize=150)(mixed, fill)
    assert seen["n"] == {name: 5 * n for name, n in N.items()}
    assert seen["n_b"] == {name: 5 * n for name, n in expected["n_b"].items()}
    assert seen["who"] == expected["who"]  # (source, event) is the same in every format
    total, right = (one["ht"].sum(flow=True) for one in (seen, expected))
    assert total.value == pytest.approx(5 * right.value)
    per_dataset = {"4top": files["csv"]["4top"], "ttbarW": files["rntuple"]["ttbarW"]}
    check_same(HepRunner(iterative)(fileset(per_dataset), fill), expected)


def test_futures(files: Any, expected: Any) -> None:
    with make_executor("futures", workers=2, status=False) as executor:
        runner = HepRunner(executor, chunksize=200)
        check_same(runner(fileset(files["csv"] | {"4top": files["root"]["4top"]}), fill), expected)
        threads = runner(fileset(files["csv"]), who_works)
        assert {one for _, one in threads["pids"]} == {"1"}
        assert os.getpid() not in {pid for pid, _ in threads["pids"]}
        with pytest.raises(
            ReadError, match=r"^.*bad\.csv line 3: particle 1 has the label 'x'.*on_bad='skip'$"
        ):
            runner(bad_fileset(files), fill)
        with pytest.raises(ScoreError, match=r"^score of event 300 is nan; train again$"):
            runner(fileset(files["root"]), break_down)


def load_and_wait(module: str) -> int:
    importlib.import_module(module)
    time.sleep(1.1)  # loky measures memory after a task, at most once a second
    return os.getpid()


def test_a_library_is_no_leak() -> None:
    # loky restarts a worker that has grown by 300 MB since its first task, and warns of a leak
    with make_executor("futures", workers=1, status=False) as executor:
        pids = [
            executor.pool.submit(load_and_wait, module).result()
            for module in ("json", "torch", "processors.anomaly", "json")
        ]
    assert len(set(pids)) == 1


def test_dask(files: Any, expected: Any, dask_client: Client) -> None:
    with make_executor("dask", client=dask_client, status=False) as executor:
        runner = HepRunner(executor, chunksize=200)
        check_same(runner(fileset(files["csv"]), fill), expected)
        check_same(
            runner(fileset(files["csv.gz"] | {"4top": files["root"]["4top"]}), fill), expected
        )
        check_same(runner(fileset(files["parquet"]), fill), expected)
        with pytest.raises(
            ReadError, match=r"^.*bad\.csv line 3: particle 1 has the label 'x'.*on_bad='skip'$"
        ):
            runner(bad_fileset(files), fill)
        with pytest.raises(ScoreError, match=r"^score of event 300 is nan; train again$"):
            runner(fileset(files["root"]), break_down)
        assert runner(with_options(files), fill)["n"] == {"bad": 2}
    assert dask_client.status == "running"
    with make_executor("dask", client=dask_client.scheduler.address, status=False) as executor:
        check_same(HepRunner(executor, chunksize=500)(fileset(files["csv"]), fill), expected)


@pytest.mark.slow
def test_a_cluster_of_its_own(files: Any, expected: Any) -> None:
    before = dict(os.environ)
    with make_executor("dask", workers=2, status=False) as executor:
        assert dict(os.environ) == before
        check_same(HepRunner(executor, chunksize=400)(fileset(files["csv"]), fill), expected)
        environment = executor.client.run(
            lambda: {
                name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "MALLOC_TRIM_THRESHOLD_")
            }
        )
        assert (
            list(environment.values())
            == [{"OMP_NUM_THREADS": "1", "MALLOC_TRIM_THRESHOLD_": "1073741824"}] * 2
        )
        client = executor.client
    assert client.status == "closed"


@pytest.mark.parametrize(
    ("kind", "form"), [("root", "root"), ("rntuple", "root"), ("parquet", "parquet")]
)
def test_the_runner_of_coffea(
    files: Any, expected: Any, iterative: Any, kind: str, form: str
) -> None:
    runner = Runner(iterative, schema=HepmtpSchema, format=form, chunksize=250)
    check_same(runner(fileset(files[kind]), fill, treename="Events"), expected)


def bad_fileset(files: Any) -> dict[str, Any]:
    path = files["csv"]["4top"].with_name("bad.csv")
    path.write_text("1;p;1;2;3;\n1;p;1;2;3;\n1;p;1;2;3;x,4,3,2,1;\n")
    return fileset({"4top": files["csv"]["4top"], "bad": path})


def with_options(files: Any) -> dict[str, Any]:
    bad = bad_fileset(files)["bad"]
    return {
        "bad": {
            **bad,
            "metadata": {
                "role": "background",
                "reader_options": {"on_bad": "skip", "variant": "auto"},
            },
        }
    }


def test_a_reader_is_made_with_its_options(
    files: Any, expected: Any, iterative: Any, tmp_path: Path
) -> None:
    out = HepRunner(iterative, chunksize=1)(with_options(files), fill)
    assert out["n"] == {"bad": 2}  # the third chunk has no event
    # coffea opens hepmtp's own ROOT files itself, but not with options
    refused = r"4top\.root has no tree 'mine & ours' \(found: Events\)"
    with pytest.raises(ReadError, match=refused):
        HepRunner(iterative)(fileset(files["root"], reader_options={"tree": "mine & ours"}), fill)
    own = fileset(files["root"], reader_options={"tree": "Events"})
    check_same(HepRunner(iterative, chunksize=300)(own, fill), expected)
    with pytest.raises(
        OptionError,
        match=r"reader 'hepmtp.readers.darkmachines.reader:SKIP_BAD' cannot be made .only a class",
    ):
        HepRunner(iterative)(
            fileset(
                files["csv"],
                reader="hepmtp.readers.darkmachines.reader:SKIP_BAD",
                reader_options={"on_bad": "skip"},
            ),
            fill,
        )


def test_errors_name_what_is_wrong(files: Any, iterative: Any, tmp_path: Path) -> None:
    runner = HepRunner(iterative)
    with pytest.raises(
        ReadError, match=r"^.*bad\.csv line 3: particle 1 has the label 'x'.*on_bad='skip'$"
    ):
        runner(bad_fileset(files), fill)
    skipping = HepRunner(iterative, chunksize=1)
    lenient = {"reader": "hepmtp.readers.darkmachines.reader:SKIP_BAD"}
    bad = files["csv"]["4top"].with_name("bad.csv")
    out = skipping({"bad": {"files": [bad], "metadata": lenient}}, fill)
    assert out["n"] == {"bad": 2}  # the third chunk has no event
    junk = tmp_path / "junk.root"
    junk.write_bytes(b"junk" * 100)
    for path, message in (
        (tmp_path / "no.csv", r"no\.csv does not exist"),
        (tmp_path / "no.root", r"no\.root does not exist"),
        (tmp_path / "events.txt", r"events\.txt does not exist"),
        (junk, r"junk\.root is of no known kind: it begins with b'junkjunk'"),
        (tmp_path, r" is a folder; name the files in it"),
    ):
        with pytest.raises(ReadError, match=message):
            runner(fileset({"x": path}), fill)
    with pytest.raises(ReadError, match=r"has no tree 'mytree'"):
        runner(fileset({"x": files["root"]["4top"]}), fill, treename="mytree")
    with pytest.raises(
        ReadError, match=r"data set '4top': metadata \['filename'\] are coffea's own"
    ):
        runner(fileset(files["csv"], filename="x"), fill)
    with pytest.raises(ScoreError, match=r"^score of event 300 is nan; train again$"):
        HepRunner(iterative, chunksize=100)(fileset(files["csv"]), break_down)
    with pytest.raises(
        OptionError, match=r"executor 'grid' is unknown; the executors are iterative, futures, dask"
    ):
        make_executor("grid").__enter__()  # type: ignore[arg-type]


def test_a_named_reader_is_used(files: Any, expected: Any, iterative: Any, tmp_path: Path) -> None:
    paths = {}
    for name, path in files["csv"].items():
        paths[name] = tmp_path / f"{name}.txt"
        paths[name].write_bytes(path.read_bytes())
    out = HepRunner(iterative)(fileset(paths, reader="hepmtp:DarkMachinesCSV"), fill)
    assert out["n_b"] == expected["n_b"]


def test_root_files_of_others_are_read_by_their_readers(
    files: Any, expected: Any, iterative: Any, tmp_path: Path
) -> None:
    """The layout is seen from the branches; mixed with CSV, in chunks, and with options."""
    columns = {
        name: ak.Array([[60.0, 40.0], [], [30.0]])
        for name in ("Jet.PT", "Jet.Eta", "Jet.Phi", "Jet.Mass")
    }
    columns |= {
        "Jet.Eta": columns["Jet.PT"] * 0,
        "Jet.Phi": columns["Jet.PT"] * 0,
        "Jet.BTag": ak.Array([[1, 0], [], [2]]),
    }
    for name in ("Electron.PT", "Muon.PT", "Photon.PT"):
        fields = ("PT", "Eta", "Phi", "E" if name == "Photon.PT" else "Charge")
        columns |= {name.replace("PT", field): columns["Jet.PT"][:, :0] for field in fields}
    columns |= {
        name: ak.Array([[1.0], [2.0], [3.0]])
        for name in ("MissingET.MET", "MissingET.Phi", "Event.Weight")
    }
    path = tmp_path / "delphes.root"
    with uproot.recreate(path) as file:
        file.mktree(
            "Delphes", {name: ak.type(one).content for name, one in columns.items()}
        ).extend(columns)
    mixed = {
        **fileset(files["csv"]),
        "delphes": {"files": [str(path)], "metadata": {"role": "background"}},
    }
    out = HepRunner(iterative, chunksize=2)({"delphes": mixed["delphes"]}, fill)
    assert (out["n"], out["n_b"], len(out["who"])) == ({"delphes": 3}, {"delphes": 2}, 3)
    assert out["ht"]["delphes", :].sum(flow=True).value == 6.0  # of the weights
    out = HepRunner(iterative)(mixed, fill)
    assert out["n"] == {**N, "delphes": 3}
    assert out["n_b"] == {**expected["n_b"], "delphes": 2}
    # with a schema of its own coffea opens every ROOT file itself
    own = HepRunner(iterative, schema=BaseSchema)
    assert own(
        fileset({"x": path}), lambda events: {"n": len(events["Jet.PT"])}, treename="Delphes"
    ) == {"n": 3}


def test_files_may_be_given_as_coffea_allows(files: Any, expected: Any, iterative: Any) -> None:
    runner = HepRunner(iterative)
    check_same(runner({name: [path] for name, path in files["csv"].items()}, fill), expected)
    check_same(runner({name: [str(path)] for name, path in files["root"].items()}, fill), expected)
    check_same(
        runner(
            {name: {"files": {str(path): "Events"}} for name, path in files["root"].items()}, fill
        ),
        expected,
    )


def test_metadata_arrives(files: Any, iterative: Any) -> None:
    def roles(events: ak.Array) -> dict[str, set[str]]:
        return {
            events.metadata["dataset"]: {metadata(events)["role"], metadata(events[:0])["role"]}
        }

    for kind in ("csv", "root", "parquet"):
        assert HepRunner(iterative)(fileset(files[kind]), roles) == {
            "4top": {"signal"},
            "ttbarW": {"background"},
        }


def test_a_rewritten_file_and_another_role_are_seen(
    files: Any, iterative: Any, tmp_path: Path
) -> None:
    path, runner = tmp_path / "sim.root", HepRunner(iterative)
    for dataset, role in (("4top", "signal"), ("ttbarW", "background")):
        convert(files["csv"][dataset], path)
        out = runner({"x": {"files": [path], "metadata": {"role": role}}}, count_roles)
        assert out == {role: N[dataset]}


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "root", "parquet"])
def test_no_more_than_maxchunks_of_each_dataset(files: Any, iterative: Any, kind: str) -> None:
    out = HepRunner(iterative, chunksize=100, maxchunks=2)(fileset(files[kind]), fill)
    assert set(out["n"]) == set(N)
    assert all(180 <= n <= 204 for n in out["n"].values())


def test_a_checkpoint_is_of_one_chunk(
    files: Any, expected: Any, iterative: Any, tmp_path: Path
) -> None:
    """With one identity for all chunks of a file, the first result would stand for each."""
    runner = HepRunner(iterative, chunksize=100, checkpointer=SimpleCheckpointer(str(tmp_path)))
    for _ in range(2):
        check_same(
            runner(fileset(files["csv"] | {"4top": files["parquet"]["4top"]}), fill), expected
        )
    path = tmp_path / "sim.csv"
    path.write_text("1;p;1;2;3;\n")
    assert runner(fileset({"x": path}), fill)["n_b"] == {"x": 0}
    path.write_text("1;p;1;2;3;b,4,3,2,1;\n")
    assert runner(fileset({"x": path}), fill)["n_b"] == {"x": 1}


def test_chunks_can_be_made_first(files: Any, expected: Any, iterative: Any) -> None:
    runner = HepRunner(iterative, chunksize=300, savemetrics=True)
    items = runner.preprocess(fileset(files["csv"] | {"4top": files["root"]["4top"]}))
    assert [item.dataset for item in items] == ["4top"] * 2 + ["ttbarW"] * 2
    assert len({(item.fileuuid, item.entrystart) for item in items}) == 4
    out = runner.run(items, fill)
    check_same(out["out"], expected)
    assert out["metrics"]["entries"] == sum(N.values())


def test_no_bar_is_drawn_when_none_is_wanted(files: Any, capfd: pytest.CaptureFixture[str]) -> None:
    with make_executor("iterative", status=False) as executor:
        HepRunner(executor)(fileset(files["csv"]), fill)
    assert capfd.readouterr() == ("", "")
    assert not coffea_console.quiet
    with make_executor("iterative") as executor:
        HepRunner(executor)(fileset(files["csv"]), fill)
    assert "Processing" in capfd.readouterr().out
