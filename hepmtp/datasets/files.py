"""Data sets become checked files, coffea's fileset, or events.

The rule: files exist and, where a sha256 is known or was locked when they were fetched, have it.
Nothing is downloaded here: the error says how to get the files.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import awkward as ak

from hepmtp.datasets.filesets import Wanted
from hepmtp.datasets.lockfile import check_locked, digest, names_in, read_lock
from hepmtp.datasets.manifest import FOLDER_VARIABLE, Dataset
from hepmtp.datasets.metadata import check_metadata, check_once
from hepmtp.datasets.paths import expand, split_tree
from hepmtp.errors import ManifestError, ReadError
from hepmtp.events.record import concatenate, with_metadata
from hepmtp.plugins import resolve_from_file
from hepmtp.readers import Reader
from hepmtp.readers.convert import iterate
from hepmtp.readers.formats import class_of_reader, reader_from_file, reader_name
from hepmtp.readers.lines import is_remote
from hepmtp.readers.options import leaving_out_lines

_LOG = logging.getLogger(__name__)


def check_files(datasets: Iterable[Dataset], *, digests: bool = True) -> dict[str, list[str]]:
    """Paths of each data set's files, absolute, patterns filled in.

    Raises ManifestError if one is missing, has changed or is there twice.

    Parameters
    ----------
    digests
        also compare the files with their sha256, where it is known or was locked when they were
        fetched; this reads them. What is remote (``https://``, ``root://``) is taken as it is.
    """
    return {
        dataset.name: [one.path for one in files_of(dataset, digests=digests)]
        for dataset in datasets
    }


def fileset(
    datasets: Iterable[Dataset], *, treename: str | None = None, missing_ok: bool = False
) -> dict[str, dict[str, Any]]:
    """What coffea's runners and `HepRunner` take.

    ``{name: {"files": [path, ...], "metadata": {...}}}``, with a treename only where a tree is
    named. Files with trees of their own are ``{path: tree}``, or with steps
    ``{path: {"object_path": tree, "steps": ...}}``.

    The metadata arrives in ``events.metadata``: role, process, reader and its options, as far as
    they are known. So do cross-section, luminosity, sum of weights and energy. Coffea itself adds
    the data set's name.

    Parameters
    ----------
    treename
        tree of data sets that name none, which coffea's own Runner needs for lists of files.
    missing_ok
        whether files that are not there are left to the runner, which counts them as lost.

    Raises
    ------
    ManifestError
        if a file is missing, has changed or is there twice, or units are not those of the reader.
    """
    return {dataset.name: _entry(dataset, treename, missing_ok=missing_ok) for dataset in datasets}


def _entry(dataset: Dataset, treename: str | None, *, missing_ok: bool) -> dict[str, Any]:
    wanted = files_of(dataset, missing_ok=missing_ok)
    own = any(one.tree or one.steps is not None for one in wanted)
    options = _options(dataset, [one.path for one in wanted])
    metadata = dataset.known | ({"reader_options": options} if options else {})
    tree = dataset.tree or (None if own else treename)
    files = {
        one.path: (one.tree or treename)
        if one.steps is None
        else {"object_path": one.tree or treename, "steps": [list(step) for step in one.steps]}
        for one in wanted
    }
    return (
        {"files": files if own else [one.path for one in wanted]}
        | ({} if tree is None else {"treename": tree})
        | {"metadata": check_metadata(dataset.name, metadata)}
        | ({} if dataset.preload is None else {"preload": sorted(dataset.preload)})
    )


def read(
    datasets: Iterable[Dataset], *, stop: int | None = None, skip_bad: bool = False
) -> ak.Array:
    """Events of these data sets, shape (n_events,), in GeV, with name and role in their metadata.

    Parameters
    ----------
    stop
        only the first `stop` events of each file, for a fit that needs no more; all by default.
    skip_bad
        leave out lines, and files, that cannot be read, with a warning for each file.

    Raises
    ------
    ManifestError
        if a file is missing or has changed.
    ReadError
        if a file is not what its reader expects.
    """
    datasets = tuple(datasets)
    wanted = {dataset.name: files_of(dataset, missing_ok=skip_bad) for dataset in datasets}
    return concatenate(
        with_metadata(part, dataset=dataset.name, role=dataset.role)
        for dataset in datasets
        for one in wanted[dataset.name]
        for part in _parts(dataset, one, stop, skip_bad=skip_bad)
    )


def in_chunks(dataset: Dataset, size: int, *, stop: int | None = None) -> Iterator[ak.Array]:
    """The events that `read` gives of one data set, in the same order, some at a time.

    At least one array comes, of no events if there are none.

    Parameters
    ----------
    size
        events that are read at a time, and the fewest of each array but the last: files of fewer
        come together.
    stop
        as of `read`.

    Raises
    ------
    ManifestError, ReadError
        as `read`.
    """
    some: list[ak.Array] = []
    for wanted in files_of(dataset):
        for part in _pieces(_reader(dataset, wanted), wanted, stop, size):
            some.append(with_metadata(part, dataset=dataset.name, role=dataset.role))
            if sum(map(len, some)) >= size:
                yield concatenate(some)
                some = []
    if some:
        yield concatenate(some)


def _pieces(reader: Reader, wanted: Wanted, stop: int | None, size: int) -> Iterator[ak.Array]:
    """Events of one file, at most `size` at a time."""
    if wanted.steps is None and stop is None:
        yield from iterate(reader, wanted.path, size)
        return
    for start, end in _ranges(wanted, stop):
        last = start if end is None else end
        if last - start > size:
            last = max(start, min(last, reader.num_events(wanted.path)))
        for first in range(start, max(last, start + 1), size):
            yield reader.read(wanted.path, first, min(first + size, last))


def num_events(dataset: Dataset, *, skip_bad: bool = False) -> list[int]:
    """Number of events of each file of a data set, those beyond its steps left out.

    With `skip_bad` a file that cannot be read has none.
    """
    found = []
    for wanted in files_of(dataset, digests=False, missing_ok=skip_bad):
        try:
            n = _reader(dataset, wanted, skip_bad=skip_bad).num_events(wanted.path)
        except ReadError:
            if not skip_bad:
                raise
            n = 0
        steps = wanted.steps or ((0, n),)
        found.append(sum(max(min(end, n) - start, 0) for start, end in steps))
    return found


def _parts(dataset: Dataset, wanted: Wanted, stop: int | None, *, skip_bad: bool) -> list[ak.Array]:
    """Events of one file, a part for each range of entries."""
    try:
        reader = _reader(dataset, wanted, skip_bad=skip_bad)
        return [reader.read(wanted.path, start, end) for start, end in _ranges(wanted, stop)]
    except ReadError as error:
        if not skip_bad:
            raise
        _LOG.warning("data set %r: %s is left out: %s", dataset.name, wanted.path, error)
        return []


def _ranges(wanted: Wanted, stop: int | None) -> Iterator[tuple[int, int | None]]:
    """The ranges of entries of a file, the first `stop` of them."""
    if wanted.steps is None:
        yield 0, stop
        return
    left = stop
    for start, end in wanted.steps:
        n = end - start if left is None else min(end - start, left)
        yield start, start + n
        left = None if left is None else left - n


def _reader(dataset: Dataset, wanted: Wanted, *, skip_bad: bool = False) -> Reader:
    """The reader of a file, told the tree that was named for it."""
    name = dataset.reader or reader_name(wanted.path)
    options = _options(dataset, [wanted.path])
    if skip_bad:
        options = leaving_out_lines(class_of_reader(name), options)
    tree = wanted.tree or dataset.tree
    if tree is not None and options.setdefault("tree", tree) != tree:
        raise ManifestError(
            f"data set {dataset.name!r}: the tree is {tree!r}, but the reader's option tree is "
            f"{options['tree']!r}; keep one"
        )
    return reader_from_file(name, options)


def _options(dataset: Dataset, paths: Iterable[str]) -> dict[str, Any]:
    """Options of a data set's reader, that of its units included.

    Raises
    ------
    ManifestError
        if the reader can neither be told the units nor has these.
    """
    options = dict(dataset.reader_options)
    if dataset.units is None:
        return options
    told: dict[str, bool] = {}  # whether each reader must be told
    for name in {dataset.reader or reader_name(path): None for path in paths}:
        reader = resolve_from_file(name)
        option = getattr(reader, "__dataclass_fields__", {}).get("units")
        unit = getattr(reader, "unit", None)
        its = {1e-3: "MeV", 1.0: "GeV"}.get(unit) if isinstance(unit, float) else None
        if option is None and its != dataset.units:
            raise ManifestError(
                f"data set {dataset.name!r}: key 'units' is {dataset.units!r}, but its reader "
                f"{name} {'takes energies for ' + its if its else 'cannot be told units'} and has "
                "no option units; correct the key, or leave it out"
            )
        told[name] = option is not None and option.default != dataset.units
    given = options.get("units", dataset.units)
    if given != dataset.units:
        raise ManifestError(
            f"data set {dataset.name!r}: key 'units' is {dataset.units!r}, but the reader's option "
            f"units is {given!r}; keep one"
        )
    if not any(told.values()):
        return options
    if not all(told.values()):
        raise ManifestError(
            f"data set {dataset.name!r} has files for {' and '.join(told)}, of which only some "
            "must be told units; make it data sets of one format each"
        )
    return options | {"units": dataset.units}


def files_of(dataset: Dataset, *, digests: bool = True, missing_ok: bool = False) -> list[Wanted]:
    """The files of a data set, each with its tree and steps; see `check_files`."""
    found: list[Wanted] = []
    rows = zip(dataset.files, dataset.sha256, dataset.trees, dataset.steps, strict=True)
    for written, sha256, given, steps in rows:
        file, own = split_tree(written)
        if own and given and own != given:
            raise ManifestError(
                f"data set {dataset.name!r}: {written} names the tree {own!r}, but {given!r} is "
                "given for it; keep one"
            )
        paths = expand(file)
        missing = [path for path in paths if not is_remote(path) and not Path(path).is_file()]
        if not paths or (missing and not missing_ok):
            raise ManifestError(f"data set {dataset.name!r}: no file {file}{_advice(dataset)}")
        if digests and sha256 and not missing and (found_sha256 := digest(paths[0])) != sha256:
            raise ManifestError(
                f"data set {dataset.name!r}: {file} has sha256 {found_sha256}, expected {sha256}; "
                "the file has changed: fetch it again, or correct the manifest"
            )
        found += [Wanted(path, own or given, steps) for path in paths]
    paths = [one.path for one in found]
    check_once(dataset.name, paths)
    if digests and dataset.folder:
        _check_lock(dataset.folder, [path for path in paths if Path(path).exists()])
    return found


def _check_lock(folder: str, paths: Iterable[str]) -> None:
    locked = read_lock(folder)
    for path in paths:
        for name in names_in(folder, path):
            if name in locked:
                check_locked(Path(path), locked[name], folder)


def _advice(dataset: Dataset) -> str:
    where = f"; download it from https://doi.org/{dataset.doi}" if dataset.doi else ""
    fetch = f"; hepmtp fetch {dataset.name} downloads it" if dataset.record else ""
    return (
        f"{where}{fetch}. Say where your files lie with the option folder or the variable "
        f"{FOLDER_VARIABLE}"
    )
