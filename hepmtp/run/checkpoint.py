"""Chunks of a run that are finished: kept on disk until the run is, for one that goes on.

The rule: a chunk is known by all that its numbers follow from, so what has changed is done again.
That is `key_of`, and what coffea says of the chunk: file, entries, metadata.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import cloudpickle
from coffea.processor import SimpleCheckpointer

from hepmtp.errors import StorageError

_END = ".chunk"


class KeptChunks(SimpleCheckpointer):  # type: ignore[misc]
    """Coffea's checkpointer, whose files are whole or not there, and say what they are of.

    Parameters
    ----------
    folder
        which all workers see; one that does not see it keeps nothing.
    key
        what `key_of` gave for the processor.
    resume
        use what is there already; else it is only written.

    Attributes
    ----------
    is_whole
        whether all that belongs to the output of a chunk is still there, files beside it; by
        default there are none.
    """

    def __init__(self, folder: str | Path, key: str, *, resume: bool) -> None:
        super().__init__(str(Path(folder) / key))
        self.resume = resume
        self.is_whole: Callable[[Any], bool] = _alone
        Path(self.checkpoint_dir).mkdir(parents=True, exist_ok=True)

    def filepath(self, metadata: Any, processor_instance: Any) -> str:  # noqa: ARG002 (in the key)
        """The file of a chunk."""
        text = json.dumps(metadata, sort_keys=True, default=str)
        return str(
            Path(self.checkpoint_dir) / (hashlib.sha256(text.encode()).hexdigest()[:32] + _END)
        )

    def load(self, metadata: Any, processor_instance: Any) -> Any:
        """What was kept of a chunk; None if nothing was, or if a file of it is damaged."""
        path = Path(self.filepath(metadata, processor_instance))
        if not self.resume or not path.is_file():
            return None
        digest, data = path.read_bytes()[:32], path.read_bytes()[32:]
        if hashlib.sha256(data).digest() != digest:
            return None
        output = cloudpickle.loads(zlib.decompress(data))
        return output if self.is_whole(output) else None

    def save(self, output: Any, metadata: Any, processor_instance: Any) -> None:
        """Keep a chunk; StorageError if the disk does not take it."""
        path = Path(self.filepath(metadata, processor_instance))
        if not path.parent.is_dir():
            return
        data = zlib.compress(cloudpickle.dumps(output), level=1)
        temporary = path.with_name(f".{os.getpid()}-{path.name}")
        try:
            temporary.write_bytes(hashlib.sha256(data).digest() + data)
            os.replace(temporary, path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise StorageError(
                f"a finished chunk cannot be kept in {path.parent} ({error.strerror}): make room, "
                "or choose another folder for the output"
            ) from None

    def __len__(self) -> int:
        return sum(1 for _ in Path(self.checkpoint_dir).glob(f"*{_END}"))


def _alone(_: Any) -> bool:
    """Of a chunk that has no files beside its output."""
    return True


def key_of(settings: Mapping[str, Any], *, modules: Iterable[str] = ()) -> str:
    """Name of all that follows from the same processor: its settings, and the code that it runs.

    Parameters
    ----------
    settings
        plain data: digests of detectors, names of regions and variations, and so on.
    modules
        words like ``FILE.py:NAME`` or ``package.module:NAME`` of a user's own code.
    """
    total = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    house = Path(__file__).parents[1]
    ours = [*house.rglob("*.py"), *(house.parent / "processors").rglob("*.py")]
    for path in sorted({*ours, *_own(modules)}):
        total.update(str(path).encode() + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:16]


def _own(modules: Iterable[str]) -> set[Path]:
    """Files of a user's own code, with those beside them that are loaded."""
    found: set[Path] = set()
    for word in modules:
        name = word.rpartition(":")[0]
        module = sys.modules.get(Path(name).stem if name.endswith(".py") else name)
        if not name or module is None or not getattr(module, "__file__", None):
            continue
        folder = Path(str(module.__file__)).parent
        files = (getattr(one, "__file__", None) for one in tuple(sys.modules.values()))
        found |= {
            Path(one) for one in files if one and Path(one).parent == folder and one.endswith(".py")
        }
    return found
