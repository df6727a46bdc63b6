"""Folders of plain data that fitted things are saved to.

A json and a safetensors file, never a pickle.

The rule: a folder is written beside its name and renamed (:mod:`hepmtp.folders`), and is refused
when loaded if a byte has changed.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from hepmtp import folders
from hepmtp.errors import HepmtpError, OptionError, StorageError, check_protocol
from hepmtp.plugins import (
    allow_class,
    current_name,
    kind_of as kind_of,  # noqa: PLC0414 - users save with it
    resolve_from_file,
)

#: Changes when what is written can no longer be read by older code.
FORMAT = 1
#: Bytes of a `file_name`: systems take 255, and temporary files have longer names.
_LONGEST = 150
META, ARRAYS = "hepmtp.json", "arrays.safetensors"
#: What stands around the hash that ends META; it is that of the text before it and of ARRAYS.
_SIGNED, _END = ',\n "sha256": "', '"\n}\n'


@contextlib.contextmanager
def new_folder(path: str | Path, mark: str = META) -> Iterator[Path]:
    """A temporary folder that takes the name `path`, and replaces it, when the block succeeds.

    Only a folder in which there is a file `mark` is replaced (:mod:`hepmtp.folders`).
    """
    ours: Callable[[Path], bool] = lambda folder: (folder / mark).is_file()
    with folders.writing(path, ours=ours, owned=_written, overwrite=True) as place:
        yield place.new


def _written(folder: Path) -> set[str]:
    """What `write` wrote into a folder: its files, texts, and saved folders within it."""
    texts: Any = {}
    with contextlib.suppress(OSError, ValueError, AttributeError):
        texts = json.loads((folder / META).read_text(encoding="utf-8")).get("texts", {})
    within = {path.parent.relative_to(folder).as_posix() for path in folder.glob(f"*/{META}")}
    return {META, ARRAYS, *texts, *within}


def file_name(name: str) -> str:
    """A name of a data set, region or score as the name of a file, one for each name.

    Letters of any alphabet stay. Separators, control characters and what some systems refuse become
    ``_``; then, or if it would be too long, a digest of the name follows.

    Examples
    --------
    >>> file_name("4top η"), file_name("x/../../EVIL"), file_name("..")
    ('4top η', 'x_.._.._EVIL-77623f1e', '__-5ec1f7e7')
    """
    kept = "".join(
        "_" if one in '/\\<>:"|?*' or unicodedata.category(one)[0] == "C" else one for one in name
    )
    start = kept.lstrip(". ")
    kept = ("_" * (len(kept) - len(start)) + start).rstrip(". ")
    if name and kept == name and len(name.encode()) <= _LONGEST:
        return name
    short = kept.encode()[: _LONGEST - 9].decode(errors="ignore")
    return f"{short}-{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:8]}"


@contextlib.contextmanager
def new_file(path: str | Path) -> Iterator[Path]:
    """A temporary file name beside `path` that takes its name when the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write(
    folder: Path,
    kind: str,
    meta: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    texts: Mapping[str, str] | None = None,
) -> None:
    """Write `meta` and `arrays` as one thing of this kind into an existing folder.

    `texts`, file name -> what it says, are for readers and lie beside them; they must not change
    either. This process may open what it has written, whatever class it is of.
    """
    allow_class(kind)
    data = safetensors.numpy.save(
        {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    )
    (folder / ARRAYS).write_bytes(data)
    head = {"format": FORMAT, "kind": kind, **meta}
    head.pop("texts", None)  # of a folder that was read
    for name, text in (texts or {}).items():
        (folder / name).write_text(text, encoding="utf-8")
        head.setdefault("texts", {})[name] = hashlib.sha256(text.encode()).hexdigest()
    (folder / META).write_text(signed(head, data), encoding="utf-8")


def signed(content: Mapping[str, Any], data: bytes = b"", *, ensure_ascii: bool = True) -> str:
    """Plain data as json, whose last entry is the hash of the text before it and of `data`."""
    text = json.dumps(content, indent=1, ensure_ascii=ensure_ascii)
    body = text.removesuffix("\n}")
    return body + _SIGNED + _sha256(body, data) + _END


def is_signed(text: str, data: bytes = b"") -> bool:
    """Whether a text is what `signed` gave."""
    body, _, signature = text.rpartition(_SIGNED)
    return signature == _sha256(body, data) + _END


def read(
    folder: str | Path, kind: str | None = None
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """What `write` wrote: (meta, arrays); any kind if `kind` is None.

    Raises
    ------
    StorageError
        if the folder is missing, incomplete, changed, of another kind or of another format version.
    """
    folder = Path(folder)
    what = kind or "hepmtp folder"
    folders.recover(folder)
    try:
        text = (folder / META).read_text(encoding="utf-8")
        meta: Any = json.loads(text)
        data = (folder / ARRAYS).read_bytes()
    except (OSError, ValueError, RecursionError) as error:
        raise StorageError(
            f"{folder} cannot be read as a {what} ({error}); check the path, or save it again"
        ) from None
    if not isinstance(meta, dict):
        raise StorageError(f"{folder / META} is damaged: it holds no description; save it again")
    if meta.get("format") != FORMAT:
        raise StorageError(
            f"{folder} has format {meta.get('format')}, this hepmtp reads {FORMAT}; save it again"
        )
    meta["kind"] = current_name(str(meta.get("kind")))
    if kind is not None and meta["kind"] != kind:
        raise StorageError(f"{folder} holds a {meta['kind']!r}, expected a {kind!r}")
    if not is_signed(text, data) or not _same_texts(folder, meta.get("texts", {})):
        raise StorageError(
            f"{folder} has changed since it was saved (its sha256 differs); copy it again"
        )
    try:
        return meta, safetensors.numpy.load(data)
    except SafetensorError as error:
        raise StorageError(f"{folder / ARRAYS} is damaged: {error}") from None


def _same_texts(folder: Path, texts: Mapping[str, str]) -> bool:
    """Whether the texts beside what was saved are those that were written."""
    try:
        found = {name: (folder / name).read_bytes() for name in texts}
    except OSError:
        return False
    return all(hashlib.sha256(found[name]).hexdigest() == one for name, one in texts.items())


def _sha256(body: str, data: bytes) -> str:
    total = hashlib.sha256(body.encode())
    total.update(data)  # large: not copied
    return total.hexdigest()


def digest(folder: str | Path) -> str:
    """The sha256 of all files of a saved folder, what is saved within it included.

    A missing folder raises StorageError.
    """
    folder = Path(folder)
    read(folder)
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("[!.]*") if path.is_file()):
        total.update(
            f"{path.relative_to(folder).as_posix()}\n".encode()
            + hashlib.sha256(path.read_bytes()).digest()
        )
    return total.hexdigest()


@functools.lru_cache(maxsize=64)  # of a few detectors, and of what each is made of
def open_once(cls: Any, path: str, digest_: str) -> Any:
    """What was saved in a folder, of this class, opened once in each process.

    StorageError if the folder has another digest than it had where it was sent from.
    """
    if digest(path) != digest_:
        raise StorageError(
            f"{path} is not the {cls.__name__} that the processor was made with (its sha256 "
            "differs): copy it again"
        )
    return cls.load(path)


def class_in(path: str | Path, kind: str) -> Any:
    """The class that a saved folder names; raises StorageError if it may not, or there is none."""
    try:
        return resolve_from_file(kind)
    except OptionError as error:
        raise StorageError(f"{path}: {error}") from None
    except (ImportError, AttributeError, ValueError) as error:
        raise StorageError(
            f"{path} holds a {kind!r}, which cannot be imported here ({error}): install its package"
        ) from None


def load(path: str | Path, protocol: type | None = None) -> Any:
    """The fitted thing in a folder, made by the ``load`` of the class that the folder names.

    Raises
    ------
    StorageError
        if it cannot be loaded, is of a class that is not allowed (:mod:`hepmtp.plugins`), or lacks
        something of the protocol, if one is given.
    """
    cls = class_in(path, str(read(path)[0].get("kind")))
    kind, loader = kind_of(cls), getattr(cls, "load", None)
    if not isinstance(cls, type) or loader is None:
        raise StorageError(f"{path} holds a {kind!r}, which is nothing that is saved")
    try:
        found = loader(path)
    except (HepmtpError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 (signed, and yet not what the class writes)
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise StorageError(
            f"{path} holds a {kind!r} that cannot be made from its content ({what}): save it again"
        ) from None
    if protocol is not None:
        try:
            check_protocol(found, protocol)
        except OptionError as error:
            expected = protocol.__name__.lower()
            raise StorageError(f"{path} holds a {kind!r}, expected a {expected}: {error}") from None
    return found
