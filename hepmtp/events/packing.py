"""Packed files unpacked as they are read: gzip, bzip2, xz and zstd, known by their first bytes.

The rule: bounded memory, any number of members one after the other, and bytes that are no member
are an error wherever they stand. Python's own readers of bzip2 and xz end in silence there.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

#: The bytes that packed files begin with.
MAGIC: dict[str, bytes] = {
    "gzip": b"\x1f\x8b",
    "bzip2": b"BZh",
    "xz": b"\xfd7zXZ\x00",
    "zstd": b"\x28\xb5\x2f\xfd",
}
#: What is raised for packed bytes that are damaged.
ERRORS: tuple[type[Exception], ...] = (EOFError, OSError, zlib.error, lzma.LZMAError)
_BLOCK = 1 << 18
_MEMORY = 1 << 28  # bytes that an xz file may ask for; its strongest setting takes a quarter of it


def packing_of(start: bytes) -> str | None:
    """How a file that begins with these bytes is packed; None if it is not.

    Examples
    --------
    >>> packing_of(b"BZh91AY"), packing_of(b"1;ttbarW;")
    ('bzip2', None)
    """
    return next((name for name, magic in MAGIC.items() if start.startswith(magic)), None)


def unpacked(file: IO[bytes], packing: str) -> IO[bytes]:
    """The bytes of a packed file, which is closed with it."""
    if packing == "gzip":
        return cast("IO[bytes]", _Gzip(fileobj=file))
    return cast("IO[bytes]", io.BufferedReader(_Unpacked(file, packing), _BLOCK))


class _Gzip(gzip.GzipFile):
    """A gzipped file that closes what it was given."""

    def close(self) -> None:
        packed: Any = self.fileobj
        super().close()
        if packed is not None:
            packed.close()


class _Unpacked(io.RawIOBase):
    """Members unpacked one after the other; going back starts again from the first."""

    def __init__(self, file: IO[bytes], packing: str) -> None:
        self.file, self.packing = file, packing
        self._start()

    def _start(self) -> None:
        self.file.seek(0)
        self._place = 0
        if self.packing == "zstd":
            import pyarrow as pa  # noqa: PLC0415 (slow, and only for these)

            stream = pa.input_stream(_Open(self.file), compression="zstd")
            self._next: Callable[[int], bytes] = stream.read
        else:
            make = bz2.BZ2Decompressor if self.packing == "bzip2" else _xz
            self._next = _Members(self.file, make).read

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes, if slowly."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill a buffer."""
        with memoryview(buffer) as view:
            data = self._next(len(view))
            view[: len(data)] = data
        self._place += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place: what is before it is unpacked and thrown away."""
        if whence == io.SEEK_CUR:
            offset += self._place
        elif whence != io.SEEK_SET:
            raise io.UnsupportedOperation("the end of a packed file is not known")
        if offset < self._place:
            self._start()
        while self._place < offset and (data := self._next(min(_BLOCK, offset - self._place))):
            self._place += len(data)
        return self._place

    def tell(self) -> int:
        """Where it is."""
        return self._place

    def close(self) -> None:
        """Close the packed file."""
        if not self.closed:
            self.file.close()
        super().close()


class _Open:
    """What pyarrow reads of a file, which it may not close."""

    closed = False

    def __init__(self, file: IO[bytes]) -> None:
        self.read = file.read

    def close(self) -> None:
        """Stay open."""


class _Members:
    """The bytes of all members of a bzip2 or xz file."""

    def __init__(self, file: IO[bytes], make: Callable[[], Any]) -> None:
        self.file, self.make = file, make
        self.member = make()

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end."""
        while True:
            packed = b""
            if self.member.eof:
                # zeros between members are padding
                packed = self.member.unused_data.lstrip(b"\x00")
                while not packed:
                    block = self.file.read(_BLOCK)
                    if not block:
                        return b""
                    packed = block.lstrip(b"\x00")
                self.member = self.make()
            elif self.member.needs_input:
                packed = self.file.read(_BLOCK)
                if not packed:
                    raise EOFError("the data end before their end is marked")
            if data := self.member.decompress(packed, size):
                return cast("bytes", data)


def _xz() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(memlimit=_MEMORY)
