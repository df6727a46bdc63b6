"""data_manifest.lock: what fetched files were when they were first fetched.

The rule: plain JSON in the folder of the data, written whole or not at all; a file that is in it
and differs is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from hepmtp.errors import ManifestError
from hepmtp.storage import new_file

LOCK = "data_manifest.lock"
_FORMAT = 1


@dataclass(frozen=True)
class Locked:
    """One file as it was: size [bytes], sha256, and where it came from.

    Parameters
    ----------
    source
        its address, or the archive that it was unpacked from.
    holds
        files that were unpacked from it, relative to the folder; it is itself removed then.
    """

    sha256: str
    size: int
    source: str = ""
    holds: tuple[str, ...] = ()


def read_lock(folder: str | Path) -> dict[str, Locked]:
    """What is locked in a folder, by the files' names relative to it.

    Empty if there is no lock file.

    Raises
    ------
    ManifestError
        if the lock file is damaged.
    """
    path = Path(folder) / LOCK
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != _FORMAT:
            raise ManifestError(
                f"{path} has format {content['format']}, this hepmtp reads {_FORMAT}; update hepmtp"
            )
        return {name: _locked(row) for name, row in content["files"].items()}
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        if isinstance(error, ManifestError):
            raise
        raise ManifestError(
            f"{path} cannot be read ({type(error).__name__}: {error}); restore it, or remove it "
            "and fetch again"
        ) from None


def write_lock(folder: str | Path, files: Mapping[str, Locked]) -> None:
    """Write the lock file of a folder, sorted by name."""
    rows = {
        name: {key: value for key, value in asdict(files[name]).items() if value}
        for name in sorted(files)
    }
    with new_file(Path(folder) / LOCK) as temporary:
        temporary.write_text(
            json.dumps({"format": _FORMAT, "files": rows}, indent=1) + "\n", encoding="utf-8"
        )


def digest(path: str | Path, algorithm: str = "sha256") -> str:
    """Hex digest of a file of any size."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def check_locked(path: Path, locked: Locked, folder: str | Path) -> None:
    """Raise ManifestError if a file is not what the lock file of its folder says."""
    size = path.stat().st_size
    found = (
        digest(path)
        if size == locked.size
        else f"{digest(path)} ({size} bytes instead of {locked.size})"
    )
    if found != locked.sha256:
        raise ManifestError(
            f"{path} has sha256 {found}, but {LOCK} has {locked.sha256} from when it was first "
            "fetched: the file has changed. Move it away and fetch it again; or, if the new one "
            f"is wanted, remove its entry from {Path(folder) / LOCK}"
        )


def names_in(folder: str | Path, path: str | Path) -> Iterator[str]:
    """The name of a file in the lock file of a folder; none if it does not lie in the folder."""
    absolute, start = Path(path).absolute(), Path(folder).absolute()
    if absolute.is_relative_to(start):
        yield absolute.relative_to(start).as_posix()


def _locked(row: Mapping[str, object]) -> Locked:
    sha256, size, holds = row["sha256"], row.get("size", 0), row.get("holds", [])
    if not (isinstance(sha256, str) and isinstance(size, int) and isinstance(holds, list)):
        raise TypeError(f"an entry is {row!r}")
    return Locked(sha256, size, str(row.get("source", "")), tuple(str(name) for name in holds))
