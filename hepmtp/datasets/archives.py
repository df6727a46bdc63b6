"""Unpack downloaded tar and gz files that nobody has looked into.

The rule: only plain files, only below the target folder, never more bytes than allowed, and all of
them or none.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Literal, cast

from hepmtp.datasets.lockfile import digest
from hepmtp.errors import FetchError

#: What the names of archives end in.
TAR_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
#: Files and folders that one archive may hold.
MEMBERS = 100_000
_BLOCK = 1 << 20
_HEADER = 1 << 24  # a header of more bytes than this is no header; tarfile would hold it in memory


def is_packed(name: str, kind: Literal["tar", "gz"]) -> bool:
    """Whether a file of this name is unpacked when files of this kind are."""
    is_tar = name.lower().endswith(TAR_ENDINGS)
    return is_tar if kind == "tar" else name.lower().endswith(".gz") and not is_tar


def unpack(path: Path, folder: Path, *, kind: Literal["tar", "gz"], limit: int) -> list[Path]:
    """Unpack a file into a folder; returns the new files.

    Parameters
    ----------
    path
        a tar file (plain, gz, bz2 or xz), or a single gzipped file, whose content gets its name
        without ``.gz``.
    limit
        bytes that all files together may have.

    Raises
    ------
    FetchError
        if a member would lie outside the folder, or is a link or a device. If the limit is passed,
        or there are more than `MEMBERS`. If the file is damaged, or another file of a member's name
        is there already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".unpack-", dir=folder))
    try:
        with _damage(path):
            (_unpack_tar if kind == "tar" else _unpack_gz)(path, temporary, limit)
        found = sorted(one.relative_to(temporary) for one in temporary.rglob("*") if one.is_file())
        for name in found:
            _check_place(path, folder, name, temporary / name)
        for name in found:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(temporary / name, folder / name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    if not found:
        raise FetchError(f"{path} holds no file; fetch it again, or take it out of the manifest")
    return [folder / name for name in found]


class _Bounded(io.RawIOBase):
    """A stream from which no more than a number of bytes is read, and never many in one go."""

    def __init__(self, path: Path, stream: IO[bytes], limit: int) -> None:
        self.path, self.stream, self.limit, self.left = path, stream, limit, limit + _HEADER

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        if not 0 <= size <= _HEADER:
            raise FetchError(
                f"{self.path} has a header of {size} bytes: it is damaged or made to do harm; "
                "remove it"
            )
        found = self.stream.read(size)
        self.left -= len(found)
        if self.left < 0:
            raise _too_large(self.path, self.limit)
        return found

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place."""
        return self.stream.seek(offset, whence)

    def tell(self) -> int:
        """The place."""
        return self.stream.tell()


def _unpack_tar(path: Path, folder: Path, limit: int) -> None:
    size = 0
    with (
        _plain(path) as stream,
        tarfile.open(fileobj=cast("IO[bytes]", _Bounded(path, stream, limit)), mode="r:") as tar,
    ):
        for i, member in enumerate(tar):
            if i >= MEMBERS:
                raise FetchError(
                    f"{path} holds more than {MEMBERS} files and folders: it is damaged or made to "
                    "do harm; unpack it by hand if you trust it"
                )
            if member.isdir():
                _filtered(path, member, folder)
                continue
            if not member.isreg():
                raise FetchError(
                    f"{path}: {member.name!r} is a link or a device, only plain files are "
                    "unpacked; unpack it by hand if you trust it"
                )
            size += member.size
            if size > limit:
                raise _too_large(path, limit)
            tar.extract(_filtered(path, member, folder), folder, filter="data")


def _filtered(path: Path, member: tarfile.TarInfo, folder: Path) -> tarfile.TarInfo:
    """Refuse what tarfile would put elsewhere.

    A path with .. is wrong even if it ends up inside.
    """
    try:
        if member.name.startswith(("/", "\\")) or ".." in Path(member.name).parts:
            raise tarfile.OutsideDestinationError(member, member.name)
        return tarfile.data_filter(member, str(folder))
    except tarfile.FilterError:
        raise FetchError(
            f"{path}: {member.name!r} would lie outside the folder; nothing was unpacked; do not "
            "use this file"
        ) from None


def _unpack_gz(path: Path, folder: Path, limit: int) -> None:
    size = 0
    with gzip.open(path) as packed, (folder / path.name[: -len(".gz")]).open("wb") as plain:
        while block := packed.read(_BLOCK):
            size += len(block)
            if size > limit:
                raise _too_large(path, limit)
            plain.write(block)


@contextlib.contextmanager
def _plain(path: Path) -> Iterator[IO[bytes]]:
    """A tar file as uncompressed bytes; how it is compressed is known by its first bytes."""
    with path.open("rb") as file:
        first = file.read(6)
    openers: dict[bytes, Callable[[Path], Any]] = {
        b"\x1f\x8b": gzip.open,
        b"BZh": bz2.open,
        b"\xfd7zXZ": lzma.open,
    }
    opener = next(
        (opener for magic, opener in openers.items() if first.startswith(magic)),
        lambda path: path.open("rb"),
    )
    with opener(path) as stream:
        yield stream


@contextlib.contextmanager
def _damage(path: Path) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error) as error:
        raise FetchError(
            f"{path} is damaged or no archive ({error}); remove it and fetch it again"
        ) from None


def _check_place(path: Path, folder: Path, name: Path, new: Path) -> None:
    old = folder / name
    if not old.resolve().is_relative_to(folder.resolve()):
        raise FetchError(
            f"{path}: {name} would lie outside {folder}, by a link in it; remove the link"
        )
    if old.exists() and not (old.is_file() and digest(old) == digest(new)):
        raise FetchError(
            f"{path} holds {name}, but {old} exists with other content; move it away and fetch "
            "again"
        )


def _too_large(path: Path, limit: int) -> FetchError:
    return FetchError(
        f"{path} unpacks to more than {limit / 1e9:g} GB; if that is right allow more (option "
        "--max-gb), else remove it"
    )
