"""Every format on every executor: the same numbers, the same errors, the same losses."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from compatibility import Place, row
from compatibility.files import LINES

executors = partial(row, "executors")
TWELVE = "12 events, weight 14, 740 GeV"
FORMATS = {
    "CSV": (".csv", False),
    "packed CSV": (".csv.gz", False),
    "ROOT": (".root", False),
    "RNTuple": (".root", True),
    "parquet": (".parquet", False),
    "Delphes": ("delphes", False),
}


def good(place: Place, kind: str) -> Path:
    """Twelve events."""
    ending, rntuple = FORMATS[kind]
    if kind == "CSV":
        return place.files.twelve
    if kind == "Delphes":
        return place.files.delphes("delphes12.root", times=4)
    return place.files.converted(ending, rntuple=rntuple, of=place.files.twelve)


def damaged(place: Path, path: Path) -> Path:
    """A copy that ends too early, or, of a text, with a line that is no event behind the tenth."""
    copy = place / f"bad{''.join(path.suffixes)}"
    if path.suffix == ".csv":
        lines = [*(LINES * 4)[:10], "11;tt;much;1;1;", LINES[2]]
        copy.write_text("".join(f"{line}\n" for line in lines))
    else:
        data = path.read_bytes()
        copy.write_bytes(data[: len(data) // 3])
    return copy


def _run(place: Place, name: str, files: list[str], **options: Any) -> str:
    executor = place.executor
    if name != "iterative":
        fixture = {"futures": "two_processes", "dask": "on_dask"}[name]
        executor = place.request.getfixturevalue(fixture)
    return place.run({"x": files}, executor=executor, chunksize=5, **options)


for _executor in ("iterative", "futures", "dask"):
    for _kind in FORMATS:

        @executors(f"`{_executor}`", _kind, works=TWELVE)
        def _(place: Place, name: str = _executor, kind: str = _kind) -> str:
            return _run(place, name, [str(good(place, kind))])

        @executors(f"`{_executor}`", f"{_kind}, damaged", refused="bad")
        def _(place: Place, name: str = _executor, kind: str = _kind) -> str:
            path = good(place, kind)
            return _run(place, name, [str(damaged(place.folder, path)), str(path)])

        _read = 23 if _kind == "CSV" else 12

        @executors(
            f"`{_executor}`",
            f"{_kind}, damaged, and a whole file, `skipbadfiles=True`",
            works=f"{_read} of 24 events, 1 of 2 files with losses",
        )
        def _(place: Place, name: str = _executor, kind: str = _kind) -> str:
            path = good(place, kind)
            files = [str(damaged(place.folder, path)), str(path)]
            _run(place, name, files, skipbadfiles=True)
            account = place.runner.accounting["x"]
            lost = {one.file for one in account.losses}
            return f"{account.events_read} of 24 events, {len(lost)} of 2 files with losses"


@executors("`futures`", "a mistake of the processor, `skipbadfiles=True`", refused="a mistake")
def _(place: Place) -> str:
    return _run(place, "futures", [str(place.files.twelve)], skipbadfiles=True, function=mistaken)


def mistaken(events: Any) -> Any:
    """A processor with an error of its own."""
    from hepmtp.errors import ScoreError  # noqa: PLC0415 (on a worker)

    raise ScoreError("a mistake of the processor is never left out")


@executors("`make_executor('grid')`", "another name", refused="unknown")
def _(_: Place) -> None:
    from hepmtp.run.executors import make_executor  # noqa: PLC0415 (coffea only when asked)

    make_executor("grid").__enter__()  # type: ignore[arg-type]
