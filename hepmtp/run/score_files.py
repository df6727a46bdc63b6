"""Scores as columns of a file: a parquet data set, or trees that are friends of the input's.

The rule: workers write a part for each chunk, and nothing but the names of the parts is held. The
parts get their last weights one by one, where all chunks are known: luminosity and cross-section
need the whole. Data in blind regions are in no file.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import re
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import awkward as ak
import numpy as np
import uproot
from numpy.typing import NDArray

from hepmtp.datasets.lockfile import digest
from hepmtp.errors import OptionError, StorageError
from hepmtp.readers.event_numbers import CALLED, event_numbers
from hepmtp.run.chunks import first_entry_of, path_of
from hepmtp.run.scratch import scratch_folder
from hepmtp.storage import new_file

if TYPE_CHECKING:
    from hepmtp.run.checkpoint import KeptChunks

#: Endings of the files that scores can be written to.
ENDINGS = (".parquet", ".root")
#: Begins the names of the files in a parquet data set.
PART = "part-"
Table = dict[str, NDArray[Any]]


class ScorePart(NamedTuple):
    """The scores of one chunk: entries [first, stop) of a file, in a file of the parts' folder."""

    dataset: str
    path: str
    first: int
    stop: int
    name: str
    sha256: str  #: of the file

    def is_there(self, folder: str | Path) -> bool:
        """Whether its file is in the folder, as it was written."""
        try:
            return digest(Path(folder) / self.name) == self.sha256
        except OSError:
            return False


def with_entries(events: ak.Array, found: Mapping[str, Any]) -> ak.Array:
    """The events of a chunk with their entry number in its file, as the field "entry"."""
    first, stop = _entries(found, len(events))
    whole = stop - first == len(events)  # else the reader has left out lines, and names the others
    entry = np.arange(first, stop) if whole else ak.to_numpy(events.event)
    return ak.with_field(events, entry, "entry")


def _entries(found: Mapping[str, Any], n: int) -> tuple[int, int]:
    first = first_entry_of(str(found.get("filename", "")))[0] + int(found.get("entrystart", 0))
    return first, first + int(found.get("entrystop", n)) - int(found.get("entrystart", 0))


def write_part(
    folder: str, found: Mapping[str, Any], events: ak.Array, table: Mapping[str, NDArray[Any]]
) -> ScorePart:
    """Write the columns of a chunk, on the worker.

    Parameters
    ----------
    found
        metadata of the chunk.
    events
        those of `with_entries` that are in any region, shape (n_events,).
    table
        column -> values of these events, shape (n_events,).
    """
    name = str(found.get("filename", ""))
    dataset, path = str(found.get("dataset", "")), path_of(name)
    first, stop = _entries(found, len(events))
    entry = ak.to_numpy(events.entry)
    numbers = event_numbers(path, first, stop, first_entry_of(name)[1]) if len(events) else {}
    columns = {"entry": entry, **{key: one[entry - first] for key, one in numbers.items()}, **table}
    key = hashlib.sha256(f"{dataset} {name} {first} {stop}".encode()).hexdigest()[:16]
    place = Path(folder) / f"{key}.parquet"
    try:
        with new_file(place) as temporary:
            ak.to_parquet(ak.Array(columns), temporary)
        sha256 = digest(place)
    except OSError as error:
        raise StorageError(
            f"a worker cannot write into {folder} ({error.strerror}): choose a place for --columns "
            "that all workers see"
        ) from None
    return ScorePart(dataset, path, first, stop, place.name, sha256)


def check_target(target: str | Path) -> None:
    """Raise OptionError unless scores can be written to a file of this name."""
    path, said = Path(target), f"--columns {target}"
    if path.suffix not in ENDINGS:
        raise OptionError(f"{said}: expected a name that ends in {' or '.join(ENDINGS)}")
    inside = [one.name for one in path.iterdir()] if path.is_dir() else []
    is_other = path.exists() and path.is_dir() != (path.suffix == ".parquet")
    if is_other or not all(one.startswith(PART) for one in inside):
        raise OptionError(f"{said} is there, and not what hepmtp wrote: choose another name")


@contextlib.contextmanager
def parts_folder(target: str | Path | None, kept: KeptChunks | None = None) -> Iterator[str | None]:
    """A folder beside the target for the parts, gone at the end; None for None.

    With `kept` chunks, it stays as long as these: after a failure, until a run succeeds or begins
    anew. They are told to count no chunk as finished whose part is not there.
    """
    if target is None:
        yield None
        return
    check_target(target)
    place = Path(target).resolve()
    if kept is None:
        with scratch_folder("parts", place.parent) as new:
            yield str(new)
        return
    of = f"{place} {Path(kept.checkpoint_dir).parent}"
    folder = place.with_name(f".hepmtp-parts-{hashlib.sha256(of.encode()).hexdigest()[:16]}")
    if not kept.resume:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    kept.is_whole = functools.partial(_parts_are_there, str(folder))
    try:
        yield str(folder)
    except BaseException:
        if not len(kept):
            shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


def _parts_are_there(folder: str, output: Any) -> bool:
    """Whether all parts that belong to the output of a chunk are."""
    return all(part.is_there(folder) for part in output["out"].get("parts", ()))


def write_scores(
    target: str | Path,
    folder: str | Path,
    parts: Collection[ScorePart],
    *,
    factors: Mapping[str, float],
    blind: Sequence[str] = (),
    data: Collection[str] = (),
) -> Path:
    """Make the file of the parts.

    A name that ends in ``.parquet`` is a folder, with a file for each chunk. One in ``.root`` has a
    tree for each input file, ``dataset/name``, aligned to its entries. Entries without a score have
    NaN (whole numbers 0), and ``scored`` is false: outside of all regions, trained on, or blind.
    Numbers of the experiment are 0 for files that have none, if others have them.

    Parameters
    ----------
    factors
        data set -> factor of its weights.
    blind, data
        regions of which these data sets show nothing: events in no other are left out.

    Raises
    ------
    StorageError
        if a part is not there, as a worker that sees another file system has written it.
    """
    target, folder = Path(target), Path(folder)
    ordered = sorted(parts)
    for part in ordered:
        if not (folder / part.name).is_file():
            raise StorageError(
                f"a worker has written scores of {part.path} where {folder} is another folder: "
                "choose a place for --columns that all workers see"
            )
    known = {name for part in ordered for name in _columns_of(folder / part.name)}
    numbers = [name for name in CALLED if name in known]
    tables = (
        (part, _with_numbers(_table(folder, part, factors, blind, data), numbers))
        for part in ordered
    )
    if target.suffix == ".root":
        with new_file(target) as temporary, uproot.recreate(temporary) as file:
            _write_friends(file, tables)
        return target
    if target.is_dir():
        shutil.rmtree(target)
    target.mkdir()
    for i, (part, table) in enumerate(tables):
        names = {"dataset": np.full(len(table["entry"]), part.dataset), **table}
        ak.to_parquet(ak.Array(names), target / f"{PART}{i:05d}.parquet")
    return target


def _table(
    folder: Path,
    part: ScorePart,
    factors: Mapping[str, float],
    blind: Sequence[str],
    data: Collection[str],
) -> Table:
    array = ak.from_parquet(folder / part.name)
    table = {name: ak.to_numpy(array[name]) for name in array.fields}
    table["weight"] = table["weight"] * factors.get(part.dataset, 1.0)
    if part.dataset in data and blind:
        hidden = {f"region:{name}" for name in blind}
        masks = [table[name] for name in table if name.startswith("region:") and name not in hidden]
        shown = np.any(masks, axis=0) if masks else np.zeros(len(table["entry"]), dtype=bool)
        table |= {name: np.zeros_like(shown) for name in hidden}
        table = {name: values[shown] for name, values in table.items()}
    return table


def _columns_of(path: Path) -> list[str]:
    names: list[str] = ak.metadata_from_parquet(path)["form"].fields
    return names


def _with_numbers(table: Table, names: Sequence[str]) -> Table:
    """The same with 0 for numbers that only other parts have: all parts have equal columns."""
    nothing = np.zeros(len(table["entry"]), dtype=np.int64)
    return {"entry": table["entry"], **dict.fromkeys(names, nothing), **table}


def _write_friends(file: Any, tables: Iterator[tuple[ScorePart, Table]]) -> None:
    """A tree for each input file; its parts come one after the other, in the order of entries."""
    trees: dict[tuple[str, str], str] = {}
    at: dict[str, int] = {}
    for part, table in tables:
        key = (part.dataset, part.path)
        if key not in trees:
            trees[key] = _new(f"{_plain(part.dataset)}/{_stem(part.path)}", trees.values())
        tree, first = trees[key], at.get(trees[key], 0)
        columns = _aligned(table, first, part.stop)
        if tree not in at:
            file.mktree(tree, {name: one.dtype for name, one in columns.items()})
        file[tree].extend(columns)
        at[tree] = part.stop


def _aligned(table: Table, first: int, stop: int) -> Table:
    """The columns with one row for each entry [first, stop)."""
    place, n = table["entry"] - first, stop - first
    scored = np.zeros(n, dtype=bool)
    scored[place] = True
    found: Table = {"entry": np.arange(first, stop), "scored": scored}
    for name, values in table.items():
        if name == "entry":
            continue
        empty = np.nan if values.dtype.kind == "f" else 0
        column = np.full(n, empty, dtype=values.dtype)
        column[place] = values
        found[_new(_plain(name), found)] = column
    return found


def _plain(name: str) -> str:
    """A name that C++ takes: ``region:ttW+`` is ``region_ttWplus``."""
    return re.sub(r"\W", "_", name.replace("+", "plus").replace("-", "minus"))


def _stem(path: str) -> str:
    return _plain(Path(path.partition("?")[0]).name.partition(".")[0])


def _new(name: str, known: Collection[str]) -> str:
    """This name, or with a number behind it if it is known already."""
    names = (name if i == 1 else f"{name}_{i}" for i in range(1, len(known) + 2))
    return next(one for one in names if one not in known)
