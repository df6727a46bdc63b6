"""Fetch the files of data sets and records.

In parallel, resumed where a transfer broke, checked by their digests.

The rule: a file gets its name only when it is whole and its digest is right. The first download's
sha256 is locked, and from then on a file that differs is refused.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import pooch

from hepmtp.datasets.archives import is_packed, unpack
from hepmtp.datasets.files import check_files
from hepmtp.datasets.lockfile import (
    LOCK,
    Locked,
    check_locked,
    digest,
    read_lock,
    write_lock,
)
from hepmtp.datasets.manifest import Dataset
from hepmtp.datasets.published import Download, Record
from hepmtp.datasets.records import Item, items_of, wanted_files
from hepmtp.datasets.transfer import ByteProgress, Resumed, Transfer
from hepmtp.errors import FetchError, ManifestError

#: Bytes that one archive may unpack to.
LIMIT = 100 * 10**9


def fetch(
    names: Iterable[str],
    datasets: Sequence[Dataset],
    records: Sequence[Record],
    *,
    folder: str | Path,
    jobs: int = 4,
    limit: int = LIMIT,
    transfer: Transfer | None = None,
    progress: ByteProgress | None = None,
) -> list[Path]:
    """Download data sets, records or groups into a folder.

    Returns their files, those that were there already too.

    Parameters
    ----------
    names
        each the name of a data set, the name or DOI of a record, or a group. A group is what the
        names of several data sets begin with (``chan1`` for ``chan1-background``, ...), or a
        pattern of them.
    datasets, records
        of a manifest, as `hepmtp.datasets.manifest.load_manifest` (with this folder) and
        `load_records` give them.
    jobs
        files that are downloaded at a time.
    limit
        bytes that one archive may unpack to, and a file may have whose size is not known.
    progress
        told how far each file is, from several threads.

    Raises
    ------
    ManifestError
        if a name is unknown, or a record does not hold what a data set needs.
    FetchError
        if a file cannot be had, or a digest is not the one that is known. The other files are
        fetched all the same. What came of a broken one is kept: the next call goes on from there.
    """
    job = _Job(Path(folder), limit, transfer or Transfer(), progress)
    chosen, wanted = wanted_files(names, datasets, records)
    done: list[Path] = []
    items: list[Item] = []
    for record, downloads in wanted:
        missing: list[Download] = []
        for one in downloads:
            here = job.here(one)
            done += here
            missing += [] if here else [one]
        items += items_of(record, missing, job.transfer) if missing else []
    done += _in_parallel(job, items, jobs)
    for dataset in chosen:
        _check_found(dataset, done)
    return sorted(set(done))


@dataclass
class _Job:
    """What all files of one `fetch` share."""

    folder: Path
    limit: int
    transfer: Transfer
    progress: ByteProgress | None
    stop: threading.Event = field(default_factory=threading.Event)
    one_at_a_time: threading.Lock = field(default_factory=threading.Lock)
    locked: dict[str, Locked] = field(init=False)

    def __post_init__(self) -> None:
        self.locked = read_lock(self.folder)

    def here(self, wanted: Download) -> list[Path]:
        """The files of a download that is here and checked.

        None if it is not, or if nothing is known to check it by.
        """
        path, entry = self.folder / wanted.target, self.locked.get(wanted.target)
        if entry is not None and entry.holds:
            members = {name: self.folder / name for name in entry.holds}
            if not all(
                member.is_file() and name in self.locked for name, member in members.items()
            ):
                return []
            for name, member in members.items():
                check_locked(member, self.locked[name], self.folder)
            return list(members.values())
        packed = wanted.unpack is not None and is_packed(wanted.name, wanted.unpack)
        if packed or not path.is_file() or (entry is None and wanted.sha256 is None):
            return []
        if entry is not None:
            check_locked(path, entry, self.folder)
        _check_published(path, wanted)
        return [path]

    def download(self, item: Item) -> list[Path]:
        """Download, check, lock and unpack one file.

        What is there already is only checked and locked.
        """
        wanted = item.wanted
        if here := self.here(wanted):
            return here
        path = self.folder / wanted.target
        if path.is_file():  # put here by hand, or left from an unpacking that failed
            _check_published(path, wanted)
        else:
            self._retrieve(item, path)
        entry = self.locked.get(wanted.target)
        if entry is not None:
            check_locked(path, entry, self.folder)
        sha256 = digest(path) if entry is None else entry.sha256
        found = Locked(sha256, path.stat().st_size, item.url)
        if wanted.unpack is None:
            self._lock({wanted.target: found})
            return [path]
        members = unpack(path, path.parent, kind=wanted.unpack, limit=self.limit)
        names = [member.relative_to(self.folder).as_posix() for member in members]
        inside = {
            name: Locked(digest(member), member.stat().st_size, wanted.target)
            for name, member in zip(names, members, strict=True)
        }
        self._lock(inside | {wanted.target: replace(found, holds=tuple(names))})
        path.unlink()
        return members

    def _retrieve(self, item: Item, path: Path) -> None:
        wanted, entry = item.wanted, self.locked.get(item.wanted.target)
        known = (
            wanted.sha256
            or (entry and entry.sha256)
            or (wanted.md5 and f"md5:{wanted.md5}")
            or None
        )
        downloader = Resumed(
            path.with_name(f".{path.name}.part"),
            self.transfer,
            trusted=known is not None,
            stop=self.stop,
            name=wanted.target,
            progress=self.progress,
            size=self.limit if wanted.size is None else wanted.size,
            exact=wanted.size is not None,
        )
        try:
            pooch.retrieve(
                item.url, known_hash=known, fname=path.name, path=path.parent, downloader=downloader
            )
        except FetchError:
            raise
        except ValueError as error:  # pooch's word for another digest; it names both
            why = (
                f"{LOCK} has from when it was first fetched"
                if entry and not wanted.sha256
                else "is published"
            )
            raise FetchError(
                f"{item.url}: {' '.join(str(error).split())}. The second one is not what {why}: "
                "the transfer was damaged, or the file has changed. Fetch again; if it stays so "
                "and the new file is wanted, correct "
                f"{self.folder / LOCK if entry and not wanted.sha256 else 'the manifest'}"
            ) from None

    def _lock(self, files: Mapping[str, Locked]) -> None:
        with self.one_at_a_time:
            self.locked = {
                **read_lock(self.folder),
                **files,
            }  # another process may have fetched something else
            write_lock(self.folder, self.locked)


def _in_parallel(job: _Job, items: Sequence[Item], jobs: int) -> list[Path]:
    done: list[Path] = []
    failures: list[str] = []
    with _quiet_pooch(), ThreadPoolExecutor(max_workers=jobs) as pool:
        futures = [pool.submit(job.download, item) for item in items]
        try:
            for future in futures:
                try:
                    done += future.result()
                except (FetchError, ManifestError, OSError) as error:
                    failures.append(str(error))
        except BaseException:  # Ctrl-C: end the threads, they keep what has come
            job.stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if failures:
        of = f"{len(failures)} of {len(items)} files were not fetched: " if len(items) > 1 else ""
        raise FetchError(of + " | ".join(failures))
    return done


def _check_published(path: Path, wanted: Download) -> None:
    for algorithm, known in (("sha256", wanted.sha256), ("md5", wanted.md5)):
        if known and (found := digest(path, algorithm)) != known:
            raise FetchError(
                f"{path} has {algorithm} {found}, but {known} is published: it is another file or "
                "a damaged one. Move it away and fetch it again"
            )


def _check_found(dataset: Dataset, files: Iterable[Path]) -> None:
    try:
        check_files([dataset], digests=False)
    except ManifestError:
        shown = [path.as_posix() for path in sorted(files)][:6]
        raise ManifestError(
            f"data set {dataset.name!r}: its record was fetched, but {', '.join(dataset.files)} is "
            f"not in it; it holds {', '.join(shown)}, ...: correct 'files' in a manifest of your "
            "own"
        ) from None


@contextlib.contextmanager
def _quiet_pooch() -> Iterator[None]:
    """Without the lines that pooch writes for every file.

    Ours say more, and only if something is wrong.
    """
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
