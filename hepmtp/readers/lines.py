"""Files: what must be true before one is read, and the lines of a plain or packed one in chunks.

The rule: bounded memory, and a chunk knows its entries and its bytes, so that it can be read by
itself. A remote file of lines is read in place, part by part, if its server gives parts.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, cast

import fsspec
import numpy as np

from hepmtp.errors import OptionError, ReadError
from hepmtp.events.freed import keep_freed
from hepmtp.events.packing import ERRORS, packing_of, unpacked
from hepmtp.events.ragged import Ints
from hepmtp.readers.failures import failure, reason_of

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BLOCK = 1 << 18  # bytes looked at in one go when lines are counted, less than the longest line
#: Bytes of a line: 20 000 particles have less.
LONGEST_LINE = 1 << 20


class Chunk(NamedTuple):
    """Entries that follow each other, and (uncompressed) bytes, so that nothing before is read."""

    first_entry: int
    n_entries: int
    byte_start: int
    byte_stop: int


def is_remote(path: str | os.PathLike[str]) -> bool:
    """Whether this is an address such as ``https://...`` or ``root://...``."""
    return "://" in str(path)


def check_file(path: str) -> None:
    """Raise ReadError if this is not a local file with something in it."""
    if is_remote(path):
        raise ReadError(
            f"{path} is remote; files of this kind are not read in place: download it, then name "
            "the copy"
        )
    file = Path(path)
    try:
        if file.is_dir():
            raise ReadError(f"{path} is a folder; name the files in it")
        if not file.exists():
            raise ReadError(f"{path} does not exist; check the name, or fetch the file")
        if not os.access(file, os.R_OK):
            raise ReadError(f"{path} may not be read by you; ask its owner, or change its mode")
        if file.stat().st_size == 0:
            raise ReadError(f"{path} is empty: 0 bytes; fetch or make it again")
    except OSError as error:
        raise failure(path, error, remote=False) or ReadError(
            f"{path} cannot be read ({reason_of(error)}); check its name"
        ) from None


@contextlib.contextmanager
def damage(
    path: str, kind: str, errors: tuple[type[Exception], ...] = (Exception,)
) -> Iterator[None]:
    """Turn what a library raises on damaged bytes into a ReadError.

    What comes from the disk or the server is told as that (`hepmtp.readers.failures`).

    Parameters
    ----------
    kind
        what the file was taken for, such as "a ROOT file".
    errors
        what the library raises; by default anything, for uproot and h5py raise even StopIteration.
    """
    try:
        yield
    except ReadError:
        raise
    except errors as error:
        raise failure(path, error, remote=is_remote(path)) or ReadError(
            f"{path} is not {kind}, or is cut short or damaged ({reason_of(error)}); fetch it "
            "again, or name another reader"
        ) from None


def size_of(path: str) -> int:
    """Bytes of a file, also of one at an address; 0 if the server does not say."""
    if is_remote(path):
        with damage(path, "a file"):
            return int(fsspec.core.url_to_fs(path)[0].size(path) or 0)
    return Path(path).stat().st_size


def check_range(path: str, start: int, stop: int | None) -> None:
    """Raise ReadError if [start, stop) is not a range of entries."""
    if start < 0 or (stop is not None and stop < start):
        raise ReadError(
            f"{path}: entries [{start}, {stop}) were asked for, expected 0 <= start <= stop"
        )


def split(path: str, n_events: int, size: int) -> list[Chunk]:
    """A file of `n_events` as chunks of `size` events; one of none if it has no event."""
    if size < 1:
        raise OptionError(f"{path}: chunks of {size} events were asked for, expected at least 1")
    starts = range(0, max(n_events, 1), size)
    return [Chunk(first, min(size, n_events - first), 0, 0) for first in starts]


def open_file(path: str) -> IO[bytes]:
    """The file as unpacked bytes; how it is packed is known by its first bytes, not by the name.

    An address such as ``https://...`` is opened through fsspec.
    """
    file, packing = _opened(path)
    return unpacked(file, packing) if packing else file


def packing(path: str) -> str | None:
    """How a file is packed: gzip, bzip2, xz or zstd; None if it is not."""
    file, found = _opened(path)
    file.close()
    return found


def look(path: str) -> tuple[str | None, bytes]:
    """How a file is packed, and its first 64 KiB, unpacked."""
    file, found = _opened(path)
    with unpacked(file, found) if found else file as lines:
        return found, take(path, lines, 1 << 16, line=0)


def _opened(path: str) -> tuple[IO[bytes], str | None]:
    """A file as it is, and how it is packed."""
    if is_remote(path):
        file = cast("IO[bytes]", io.BufferedReader(_Remote(path), 1 << 20))
    else:
        check_file(path)
        with damage(path, "a file", (OSError,)):
            file = Path(path).open("rb")  # noqa: SIM115 (the caller closes it)
    with damage(path, "a file", (OSError,)):
        return file, packing_of(cast("io.BufferedReader", file).peek(8)[:8])


class _Remote(io.RawIOBase):
    """A remote file; whatever its protocol raises becomes a ReadError."""

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self.file: Any = fsspec.open(path, "rb").open()
        except Exception as error:  # noqa: BLE001 (each protocol has errors of its own)
            raise self._failed(error) from None
        if not self.file.seekable() or self.file.size is None:
            raise ReadError(
                f"{path}: the server gives no parts of files; download it, then name the copy"
            )
        if self.file.size == 0:
            raise ReadError(f"{path} is empty: 0 bytes")

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill a buffer."""
        with memoryview(buffer) as view:
            try:
                data = self.file.read(len(view))
            except Exception as error:  # noqa: BLE001
                raise self._failed(error) from None
            view[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place."""
        return int(self.file.seek(offset, whence))

    def close(self) -> None:
        """Close the connection."""
        if not self.closed and "file" in self.__dict__:
            self.file.close()
        super().close()

    def _failed(self, error: Exception) -> ReadError:
        return failure(self.path, error, remote=True) or ReadError(
            f"{self.path} cannot be read in place ({reason_of(error)}); check the address, or "
            "download the file"
        )


def take(path: str, file: IO[bytes], n: int, *, line: int) -> bytes:
    """The next `n` bytes; `line` is what an error names."""
    with _undamaged(path, line):
        return file.read(n)


@contextlib.contextmanager
def _undamaged(path: str, line: int) -> Iterator[None]:
    """Turn what reading damaged bytes raises into a ReadError that names a line."""
    try:
        yield
    except ERRORS as error:
        raise failure(path, error, remote=is_remote(path)) or ReadError(
            f"{path} line {line + 1} or later: the {packing(path) or 'file'} data are damaged or "
            f"cut short ({error}); fetch the file again"
        ) from None


def check_lines(path: str, line: int, rest: int, newlines: Ints, size: int) -> int:
    """Raise ReadError if a line is too long to be an event; gives the bytes of the unfinished one.

    Parameters
    ----------
    line, rest
        lines before these bytes, and bytes of the one that they go on with.
    newlines
        where lines end in these bytes, shape (n_lines,).
    size
        how many bytes they are.
    """
    lengths = np.diff(newlines, prepend=-1 - rest, append=size)
    if len(long := np.flatnonzero(lengths > LONGEST_LINE)):
        raise ReadError(
            f"{path} line {line + int(long[0]) + 1} has more than {LONGEST_LINE} bytes, which no "
            "event has; it is damaged, or no file of lines: make it again, or name another reader"
        )
    return int(lengths[-1]) - 1


def head(path: str) -> bytes:
    """The first 64 KiB of a file, unpacked."""
    return look(path)[1]


def pieces(
    path: str, chunks: Iterable[Chunk], *, zeros: int = 0
) -> Iterator[tuple[Chunk, bytearray]]:
    """Chunks of a file of lines, each with its bytes and so many zeros behind them."""
    keep_freed()
    with open_file(path) as file:
        for chunk in chunks:
            size = chunk.byte_stop - chunk.byte_start
            data = bytearray(size + zeros)
            with _undamaged(path, chunk.first_entry), memoryview(data) as view:
                file.seek(chunk.byte_start)  # of a packed file: unpacks what is before it
                n = cast("io.BufferedIOBase", file).readinto(view[:size])
            if n != size:
                raise ReadError(
                    f"{path} has become shorter since its lines were counted; wait until it is "
                    "written, then run again"
                )
            yield chunk, data


def scan(path: str, start: int, size: int, stop: int | None) -> Iterator[Chunk]:
    """Chunks of `size` lines of [start, stop), blank lines at the end of the file left out."""
    check_range(path, start, stop)
    if start == stop:
        return
    # newlines and bytes so far; lines up to the last one that is not blank; bytes of the last one
    line = position = lines = rest = 0
    end: int | None = None  # byte at which that last one ends, its newline included
    begins = (
        [(0, 0)] if start == 0 else []
    )  # (line, byte) of the boundaries that are not yet yielded
    with open_file(path) as file:
        while block := take(path, file, _BLOCK, line=line):
            ends = np.frombuffer(block, np.uint8) == ord("\n")
            n, first = int(np.count_nonzero(ends)), block.find(b"\n")
            wanted = _boundaries(line, line + n, start, size, stop)
            # where all newlines are is asked for only if a line or a chunk may end here
            if wanted or rest + (first if n else len(block)) >= LONGEST_LINE:
                newlines = np.flatnonzero(ends)
                check_lines(path, line, rest, newlines, len(block))
                begins += [(one, position + int(newlines[one - line - 1]) + 1) for one in wanted]
            rest = len(block) - 1 - block.rfind(b"\n") if n else rest + len(block)
            filled = len(block.rstrip(b" \t\r\n"))
            if filled:
                lines, end = line + n - block.count(b"\n", filled) + 1, None
            if end is None and (blank := block.find(b"\n", filled)) >= 0:
                end = position + blank + 1
            while len(begins) > 1 and begins[1][0] <= lines:
                (first, byte), (next_first, next_byte) = begins[:2]
                yield Chunk(first, next_first - first, byte, next_byte)
                del begins[0]
                if next_first == stop:
                    return
            line, position = line + n, position + len(block)
    if begins and begins[0][0] < lines:
        first, byte = begins[0]
        yield Chunk(first, lines - first, byte, position if end is None else end)


def _boundaries(line: int, last: int, start: int, size: int, stop: int | None) -> list[int]:
    """Lines of (line, last] before which a chunk begins or, if it is `stop`, the last one ends."""
    first = start + max(0, -((start - line - 1) // size)) * size
    end = last + 1 if stop is None else min(last + 1, stop)
    found = list(range(max(first, line + 1), end, size))
    return [*found, stop] if stop is not None and line < stop <= last else found
