"""What a run is bound to: digests of its files, inputs and detectors, in a signed run.json.

The rule: numbers are checked before they are read. Who writes into a finished run changes a linked
copy of its folder, which then takes the name as a whole.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path

from hepmtp import folders, storage
from hepmtp.datasets.lockfile import digest
from hepmtp.errors import HepmtpError, OptionError, StorageError
from hepmtp.folders import Place
from hepmtp.report.info import RUN, RunInfo, plain, read_info
from hepmtp.storage import new_file

log = logging.getLogger(__name__)
#: What a run of before digests were kept may hold, as files and folders.
FORMER = frozenset((
    *("accounting.json", "columns.safetensors", "cutflow.json", "cuts.json", "histograms.json"),
    *("more.coffea", "n_minus_one.json", "replicas.zip", "report.html", "variations.zip"),
    *(f"{table}.{kind}" for table in ("performance", "selection", "observed")
      for kind in ("csv", "md")),
    *("figures", "fit", "detector", "masked_token", "calibrated", "checkpoint", RUN),
))  # fmt: skip
#: Bytes that must be free for a run: its numbers, tables and figures, and chunks that are kept.
LEAST = 48_000_000
#: Bytes of the name of a file around those of a data set and a score, which may be short of it.
_AROUND = 64


def new_run(path: str | Path, *, overwrite: bool = False) -> AbstractContextManager[Place]:
    """The place of a run that is to be written; see :func:`hepmtp.folders.writing`."""
    return folders.writing(path, ours=is_run, owned=owned, overwrite=overwrite, least=LEAST)


def check_names(folder: Path, datasets: Iterable[str], scores: Iterable[str]) -> None:
    """Raise OptionError if names of data sets and scores are too long for those of files."""
    dataset, score = (
        max(names, key=lambda one: len(os.fsencode(one)), default="")
        for names in (datasets, scores)
    )
    most = os.pathconf(folder, "PC_NAME_MAX") - _AROUND
    if (found := len(os.fsencode(dataset)) + len(os.fsencode(score))) > most:
        raise OptionError(
            f"data set {dataset!r} and score {score!r} are too long for the names of files here: "
            f"{found} bytes, at most {most}; give a shorter name, NAME=FILE"
        )


def is_run(folder: Path) -> bool:
    """Whether a folder holds a run."""
    return (folder / RUN).is_file()


def owned(folder: Path) -> Collection[str]:
    """What of a run's folder hepmtp has written."""
    try:
        outputs = read_info(folder).outputs
    except StorageError:
        outputs = {}
    return {*outputs, RUN} if outputs else FORMER


def seal(folder: Path, *, but: Collection[str] = ()) -> None:
    """Write the digests of all files of a run, `but` some, into its run.json, and sign that."""
    outputs = {name: digest(folder / name) for name in _files(folder) if name not in {RUN, *but}}
    content = plain(asdict(replace(read_info(folder), outputs=outputs)))
    with new_file(folder / RUN) as temporary:
        temporary.write_text(storage.signed(content, ensure_ascii=False), encoding="utf-8")


def check_run(folder: str | Path, *, but: Collection[str] = ()) -> RunInfo:
    """What a run says of itself, once its files are those that were written.

    Parameters
    ----------
    but
        files, or folders of it, that are about to be made anew. The page always is one of them.

    Raises
    ------
    StorageError
        naming the first file that is missing or has changed, and what to do.
    """
    folder = Path(folder)
    folders.recover(folder)
    info = read_info(folder)
    if not info.outputs:
        log.warning(
            "%s was written before runs kept digests: nothing tells whether its files have changed",
            folder,
        )
        return info
    if not storage.is_signed((folder / RUN).read_text(encoding="utf-8")):
        raise StorageError(
            f"{folder / RUN} has changed since it was written (its sha256 differs): copy it again, "
            "or run again"
        )
    for name, sha256 in info.outputs.items():
        if name in {"report.html", *but} or name.split("/")[0] in but:
            continue
        path = folder / name
        if not path.is_file() or digest(path) != sha256:
            found = "has changed since it was written" if path.is_file() else "is missing"
            raise StorageError(f"{path} {found}: {_remedy(name)}")
    return info


def _remedy(name: str) -> str:
    if name.startswith("fit/"):
        return "hepmtp fit writes it again"
    if name.startswith("figures/"):
        return "hepmtp report draws it again, or run again"
    return "copy the folder again, or run again to write it"


@contextlib.contextmanager
def changed(folder: str | Path, info: RunInfo) -> Iterator[Path]:
    """A linked copy of a run's folder, to write into; it replaces the run when the block succeeds.

    Nothing may be changed in place there: every file is written anew under its name.

    Parameters
    ----------
    info
        what the run said when its numbers were read.

    Raises
    ------
    StorageError
        if another run has taken its place since, or somebody writes there now.
    """
    folder, linked = Path(folder).resolve(), set[str]()
    with folders.writing(
        folder, ours=is_run, owned=lambda _: linked, overwrite=True, keep=True
    ) as place:
        if _text(read_info(folder)) != _text(info):
            raise StorageError(f"{folder} has been replaced by another run: start again")
        mine = owned(folder)
        linked.update(_files(folder))
        extra = [
            name
            for name in linked
            if name not in mine and not {one.as_posix() for one in Path(name).parents} & set(mine)
        ]
        shutil.copytree(
            folder, place.new, copy_function=folders.link, symlinks=True, dirs_exist_ok=True
        )
        before = {name: (place.new / name).lstat().st_ino for name in extra}
        yield place.new
        seal(
            place.new,
            but=[
                name
                for name, inode in before.items()
                if (place.new / name).exists() and (place.new / name).lstat().st_ino == inode
            ],
        )


@contextlib.contextmanager
def without_digests(folder: str | Path, info: RunInfo) -> Iterator[None]:
    """Call what an old, damaged folder leads to by its name; a checked one has no such errors."""
    try:
        yield
    except (HepmtpError, OSError, MemoryError):
        raise
    except Exception as error:
        if info.outputs:
            raise
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise StorageError(
            f"{folder} has no digests and seems to be damaged ({what}): run again to write it"
        ) from error


def _text(info: RunInfo) -> str:
    """What a run says of itself as text, in which numbers that are none are alike."""
    return json.dumps(asdict(info), default=dict, sort_keys=True)


def _files(folder: Path) -> list[str]:
    """Names of all files below a folder, links too, relative to it."""
    return sorted(
        (Path(top) / name).relative_to(folder).as_posix()
        for top, _, names in os.walk(folder)
        for name in names
    )
