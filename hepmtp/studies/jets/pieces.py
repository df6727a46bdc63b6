"""Pieces of a study: what is finished is kept as JSON, and not done again.

The rule: a piece is of use for the same jets, options and version of hepmtp only; any other is made
again. It says how much CPU time it took.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hepmtp import storage

#: What a piece holds: plain data.
Piece = dict[str, Any]


@dataclass(frozen=True)
class Pieces:
    """A folder of pieces.

    Parameters
    ----------
    folder
        for the files.
    of
        says which jets and options all of them share.
    """

    folder: Path
    of: str

    def get(self, name: str, key: object, make: Callable[[], Piece]) -> Piece:
        """A piece by its name: from its file if that is of the same key, or made and kept.

        Parameters
        ----------
        key
            what else it depends on; its repr must say all.
        """
        path, mark = self.path(name), self.mark(key)
        kept = self._kept(path, mark)
        if kept is not None:
            return kept
        start = time.process_time()
        found = {"cpu_seconds": 0.0, **make()}
        found["cpu_seconds"] = round(found["cpu_seconds"] or time.process_time() - start, 2)
        with storage.new_file(path) as temporary:
            text = storage.signed({"name": name, "mark": mark, "piece": found})
            temporary.write_text(text, encoding="utf-8")
        # as it is read the next time
        return dict(json.loads(json.dumps(found)))

    def path(self, name: str) -> Path:
        """Its file."""
        return self.folder / f"{storage.file_name(name)}.json"

    def mark(self, key: object) -> str:
        """Says what would be made."""
        words = [importlib.metadata.version("hepmtp"), self.of, repr(key)]
        return hashlib.sha256(json.dumps(words).encode()).hexdigest()

    @staticmethod
    def _kept(path: Path, mark: str) -> Piece | None:
        """What the file holds, if it is whole and of this mark."""
        try:
            text = path.read_text(encoding="utf-8")
        except OSError:
            return None
        if not storage.is_signed(text):
            return None
        found = json.loads(text)
        return dict(found["piece"]) if found["mark"] == mark else None
