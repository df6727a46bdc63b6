"""Every argument of HepRunner and of its call: what it does, and what it cannot be."""

from __future__ import annotations

from functools import partial
from typing import Any

import awkward as ak

from compatibility import Place, row, told

runner = partial(row, "runner")
TWELVE = "12 events, weight 14, 740 GeV"


def _value(argument: str, value: Any, *, works: str | None = None, refused: str | None = None,
           tried: str = "", **more: Any) -> None:  # fmt: skip
    """A row for a value of an argument, with CSV; `works` says the chunks too if it says any."""

    @runner(f"`{argument}`", tried or f"`{value!r}`", works=works, refused=refused)
    def _(place: Place) -> str:
        return _told(place, place.files.twelve, {"chunksize": 5, argument: value, **more})


def _told(place: Place, path: Any, options: dict[str, Any]) -> str:
    found = place.look(path, **options)
    account = place.runner.accounting["x"]
    return f"{found['events']} events in {account.chunks_read} chunks"


_value("chunksize", 5, works="12 events in 3 chunks")
_value("chunksize", 20_000, works="12 events in 1 chunks")
_value("chunksize", 0, refused="expected a whole number")
_value("chunksize", "5", refused="expected a whole number")
_value("maxchunks", 2, works="10 events in 2 chunks")
_value("maxchunks", None, works="12 events in 3 chunks")
_value("maxchunks", 0, refused="expected a whole number")
_value("maxchunks", -1, refused="expected a whole number")
_value("executor", "futures", refused="expected an executor")
_value("pre_executor", "futures", refused="expected an executor")
_value("metadata_cache", "a.json", refused="expected a mapping")
_value("skipbadfiles", False, works="12 events in 3 chunks")
_value("skipbadfiles", OSError, tried="`OSError`", refused="a tuple of exception types")
_value("xrootdtimeout", 30, works="12 events in 3 chunks", tried="`30`, a local file")
_value("xrootdtimeout", "30", refused="a number of seconds")
_value("align_clusters", True, tried="`True`, CSV", refused="for ROOT files that hepmtp wrote")
_value("align_clusters", "yes", refused="True or False")
_value("savemetrics", 1, refused="True or False")
_value("use_result_type", True, refused="set skipbadfiles")
_value("use_result_type", "yes", refused="True or False")
_value("schema", None, refused="expected a schema")
_value("schema", "NanoAODSchema", refused="expected a schema")
_value("processor_compression", None, works="12 events in 3 chunks")
_value("processor_compression", 9, works="12 events in 3 chunks")
_value("processor_compression", "high", refused="a whole number or None")
_value("format", "parquet", refused="finds the format of every file itself")
_value("checkpointer", "folder", refused="expected a checkpointer")
_value("cachestrategy", "memory", refused="expected a function")
_value("cachestrategy", "dask-worker", refused="needs a DaskExecutor")
_value("treename", "Events", works="12 events in 3 chunks", tried="`'Events'`, CSV has no trees")
_value("treename", 4, refused="expected the name of a tree")
_value("uproot_options", {"timeout": 30}, works="12 events in 3 chunks")
_value("iteritems_options", {"full_paths": True}, works="12 events in 3 chunks")
_value("trace", 5, refused="expected a function")


@runner("`executor`", "each of `make_executor`", works="see the executors above")
def _(place: Place) -> str:
    assert place.run(place.files.twelve) == TWELVE
    return "see the executors above"


@runner("`pre_executor`", "`IterativeExecutor(status=False)`, ROOT", works=TWELVE)
def _(place: Place) -> str:
    from coffea.processor import IterativeExecutor  # noqa: PLC0415 (coffea only when asked)

    root = place.files.converted(".root", of=place.files.twelve)
    return place.run(root, pre_executor=IterativeExecutor(status=False))


@runner("`metadata_cache`", "a `dict`, ROOT", works="1 file is remembered")
def _(place: Place) -> str:
    cache: dict[Any, Any] = {}
    root = place.files.converted(".root", of=place.files.twelve)
    for _ in range(2):
        assert place.run(root, metadata_cache=cache) == TWELVE
    return f"{len(cache)} file is remembered"


@runner("`skipbadfiles`", "`True`, a file of junk beside", works="12 events, 1 file lost")
def _(place: Place) -> str:
    place.folder.joinpath("junk.root").write_bytes(b"junk" * 100)
    files = {"x": ["junk.root", str(place.files.twelve)]}
    found = place.look(files, skipbadfiles=True)
    return f"{found['events']} events, {len(place.runner.accounting['x'].losses)} file lost"


@runner("`skipbadfiles`", "`(OSError, KeyError)`", works=TWELVE)
def _(place: Place) -> str:
    return place.run(place.files.twelve, skipbadfiles=(OSError, KeyError))


@runner("`align_clusters`", "`True`, ROOT with clusters of 5", works="12 events in 3 chunks")
def _(place: Place) -> str:
    root = place.files.converted(".root", of=place.files.twelve)
    found = _told(place, root, {"chunksize": 4, "align_clusters": True})
    assert _told(place, root, {"chunksize": 6}) == "12 events in 2 chunks"
    return found


@runner("`align_clusters`", "`True`, Delphes", refused="hepmtp:Delphes reads chunks")
def _(place: Place) -> str:
    return place.run(place.files.delphes(), align_clusters=True)


@runner("`savemetrics`", "`True`", works="12 entries, 3 chunks")
def _(place: Place) -> str:
    found, metrics = place.look(place.files.twelve, savemetrics=True, chunksize=5)
    assert told(found) == TWELVE
    return f"{metrics['entries']} entries, {metrics['chunks']} chunks"


@runner("`use_result_type`", "`True`, with `skipbadfiles=True`", works=f"Ok: {TWELVE}")
def _(place: Place) -> str:
    found = place.look(place.files.twelve, use_result_type=True, skipbadfiles=True)
    assert found.is_ok()
    return f"Ok: {told(found.unwrap())}"


@runner("`use_result_type`", "the same, of a damaged file", works="Err: ReadError")
def _(place: Place) -> str:
    place.folder.joinpath("bad.csv").write_text("1;tt;much;1;1;\n")
    found = place.look("bad.csv", use_result_type=True, skipbadfiles=(ValueError,))
    assert not found.is_ok()
    return f"Err: {type(found.exception).__name__}"


def _met(events: Any) -> dict[str, float]:
    return {"events": len(events), "met": float(ak.sum(events.PuppiMET.pt))}


@runner("`schema`", "`NanoAODSchema`, NanoAOD as ROOT", works="3 events, MET 90 GeV")
def _(place: Place) -> str:
    from coffea.nanoevents import NanoAODSchema  # noqa: PLC0415 (coffea only when asked)

    class Quiet(NanoAODSchema):  # type: ignore[misc]
        warn_missing_crossrefs = False

    numbers = {name: [1, 2, 3] for name in ("run", "luminosityBlock", "event")}
    options: dict[str, Any] = {"schema": Quiet, "treename": "Events", "function": _met}
    found = place.look(place.files.nano("nano_schema.root", **numbers), **options)
    return f"{found['events']} events, MET {found['met']:g} GeV"


@runner("`schema`", "`BaseSchema` with `reader_options`, ROOT", refused="or the schema")
def _(place: Place) -> Any:
    from coffea.nanoevents import BaseSchema  # noqa: PLC0415 (coffea only when asked)

    metadata = {"reader_options": {"jets": "30,2.4"}}
    return place.look(
        {"x": {"files": [place.files.nano()], "metadata": metadata}}, schema=BaseSchema
    )


@runner("`checkpointer`", "`SimpleCheckpointer('FOLDER')`, twice", works="3 chunks are kept")
def _(place: Place) -> str:
    from coffea.processor import SimpleCheckpointer  # noqa: PLC0415 (coffea only when asked)

    kept = SimpleCheckpointer(str(place.folder / "kept"))
    for _ in range(2):
        assert place.run(place.files.twelve, checkpointer=kept, chunksize=5) == TWELVE
    return f"{len(list(place.folder.rglob('*.coffea')))} chunks are kept"


@runner("`checkpointer`", "the same, `on_bad: skip`", works="1 event skipped, both times")
def _(place: Place) -> str:
    from coffea.processor import SimpleCheckpointer  # noqa: PLC0415 (coffea only when asked)

    place.folder.joinpath("bad.csv").write_text("1;tt;1;1;1;\n2;tt;1;much;1;\n")
    options = {"checkpointer": SimpleCheckpointer(str(place.folder / "kept"))}
    files = {"x": {"files": ["bad.csv"], "metadata": {"reader_options": {"on_bad": "skip"}}}}
    for _ in range(2):
        assert place.look(files, **options)["events"] == 1
        (loss,) = place.runner.accounting["x"].losses
        assert (loss.kind, loss.events) == ("skipped", 1)
    return "1 event skipped, both times"


@runner("`cachestrategy`", "`lambda: cache`, ROOT", works="6 columns are kept")
def _(place: Place) -> str:
    cache: dict[Any, Any] = {}
    for _ in range(2):
        options = {"cachestrategy": lambda: cache, "chunksize": 6}
        root = place.files.converted(".root", of=place.files.twelve)
        assert place.run(root, **options) == TWELVE
    return f"{len(cache)} columns are kept"


@runner("`treename`", "`'skim'`, of two trees of NanoAOD", works="3 events, weight 3.5, 185 GeV")
def _(place: Place) -> str:
    from compatibility.files import NANO, write_trees  # noqa: PLC0415 (only here)

    empty = {**NANO, "genWeight": [9.0, 9.0, 9.0]}
    path = write_trees(place.folder / "two.root", full=empty, skim=NANO)
    return place.run(path, treename="skim")


@runner("`treename`", "`'Mine'`, ROOT", refused="has no tree 'Mine'")
def _(place: Place) -> str:
    return place.run(place.files.converted(".root"), treename="Mine")


@runner("`treename`", "with chunks of `preprocess`", refused="give it to preprocess")
def _(place: Place) -> Any:
    from hepmtp.run.runner import HepRunner  # noqa: PLC0415 (coffea only when asked)

    made = HepRunner(place.executor)
    return made.run(made.preprocess({"x": [place.files.csv]}), len, treename="Events")


def _weights(_: Any, __: Any) -> list[str]:
    return ["weight"]


@runner("`trace`", "a function, ROOT", works=TWELVE)
def _(place: Place) -> str:
    return place.run(place.files.converted(".root", of=place.files.twelve), trace=_weights)


@runner("`trace`", "a function, CSV, which is read whole", works=TWELVE)
def _(place: Place) -> str:
    return place.run(place.files.twelve, trace=_weights)


for _kind in ("ROOT", "CSV, which is read whole"):

    @runner("`preload` of the fileset", f"`['weight']`, {_kind}", works=TWELVE)
    def _(place: Place, kind: str = _kind) -> str:
        root = place.files.converted(".root", of=place.files.twelve)
        path = root if kind == "ROOT" else place.files.twelve
        return place.run({"x": {"files": [str(path)], "preload": ["weight"]}})


@runner("what is run", "chunks of `preprocess`", works=TWELVE)
def _(place: Place) -> str:
    from compatibility import look  # noqa: PLC0415 (only here)
    from hepmtp.run.runner import HepRunner  # noqa: PLC0415 (coffea only when asked)

    made = HepRunner(place.executor, chunksize=5)
    return told(made.run(made.preprocess({"x": [place.files.twelve]}), look)["out"])


@runner("what is run", "a processor that is no function", refused="single-argument callable")
def _(place: Place) -> str:
    return place.run(place.files.csv, function=5)
