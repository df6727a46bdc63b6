"""ROOT: events in a TTree or an RNTuple, for our readers and for coffea's own Runner.

The rule: the columns are those of `hepmtp.readers.columns.COLUMNS`, float64 in GeV, so what is read is what was written, to the
last bit.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import uproot
from coffea.nanoevents.methods import base
from coffea.nanoevents.schemas.base import BaseSchema, zip_forms

from hepmtp.errors import ReadError
from hepmtp.events.record import PARTICLE_FIELDS, behavior
from hepmtp.readers.columns import COLUMNS, check_columns, events_of, flat
from hepmtp.readers.lines import check_range
from hepmtp.readers.trees import damage, entries, open_root

TREE = "Events"


class HepmtpSchema(BaseSchema):  # type: ignore[misc]
    """Coffea's view of our columns: ``events.Particle`` (Momentum4D), ``events.MET`` (Momentum2D), weight, event, source.

    For coffea's own ``Runner(schema=HepmtpSchema, format="root")`` or ``"parquet"``; further columns stay as they are.
    """

    def __init__(self, base_form: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        super().__init__(base_form, *args, **kwargs)
        columns = dict(zip(self._form["fields"], self._form["contents"], strict=True))
        check_columns("the tree", columns)
        particles = {name: columns.pop(f"Particle_{name}") for name in PARTICLE_FIELDS}
        missing = {name: columns.pop(f"MET_{name}") for name in ("pt", "phi")}
        columns.pop("nParticle", None)
        columns["Particle"] = zip_forms(particles, "Particle", record_name="Momentum4D")
        columns["MET"] = zip_forms(missing, "MET", record_name="Momentum2D")
        self._form["fields"], self._form["contents"] = list(columns), list(columns.values())

    @classmethod
    def behavior(cls) -> dict[Any, Any]:
        """Coffea's behaviours and vector's."""
        return {**base.behavior, **behavior}


@dataclass(frozen=True)
class RootReader:
    """Reader of what `write_root` wrote, TTree or RNTuple.

    Parameters
    ----------
    tree
        name of the TTree or RNTuple.
    """

    tree: str = TREE

    def num_events(self, path: str) -> int:
        """Number of entries."""
        with self._open(path) as tree:
            return int(tree.num_entries)

    def read(self, path: str, start: int = 0, stop: int | None = None) -> ak.Array:
        """Events [start, stop) of a file; the whole file by default.

        Raises
        ------
        ReadError
            naming file, entry or branch, what was found and what to do.
        """
        check_range(path, start, stop)
        with self._open(path) as tree:
            start, stop = entries(tree, start, stop)
            arrays = tree.arrays(list(COLUMNS), entry_start=start, entry_stop=stop, library="ak")
            return events_of(path, start, {name: arrays[name] for name in COLUMNS})

    @contextlib.contextmanager
    def _open(self, path: str) -> Iterator[Any]:
        with open_root(path) as file, damage(path):
            yield self._tree(path, file)

    def _tree(self, path: str, file: Any) -> Any:
        if self.tree not in file:
            raise ReadError(
                f"{path} has no tree {self.tree!r} (found: {', '.join(file.keys()) or 'none'}); name another"
            )
        check_columns(f"{path}, tree {self.tree},", file[self.tree].keys())
        return file[self.tree]


def write_root(path: str | Path, chunks: Iterable[ak.Array], *, rntuple: bool = False) -> None:
    """Write events, chunk by chunk, to the TTree (or RNTuple) `TREE` of a new file, compressed by ZSTD."""
    with uproot.recreate(path, compression=uproot.ZSTD(3)) as file:
        write_tree(file, chunks, rntuple=rntuple)


def write_tree(file: Any, chunks: Iterable[ak.Array], *, rntuple: bool) -> None:
    """Write events, chunk by chunk, to the TTree (or RNTuple) `TREE` of an open file."""
    if rntuple:
        jagged = {f"Particle_{name}": f"var * {_dtype(name)}" for name in PARTICLE_FIELDS}
        tree = file.mkrntuple(TREE, {**_PER_EVENT, "nParticle": "int32", **jagged})
    else:
        fields = ", ".join(f"{name}: {_dtype(name)}" for name in PARTICLE_FIELDS)
        tree = file.mktree(TREE, {**_PER_EVENT, "Particle": f"var * {{{fields}}}"})
    for events in chunks:
        columns = flat(events)
        if not rntuple:  # one counter for all columns of the particles
            columns = {name: columns[name] for name in _PER_EVENT}
            columns["Particle"] = ak.zip({name: events.Particle[name] for name in PARTICLE_FIELDS})
        tree.extend(columns)


def _dtype(name: str) -> str:
    return "int8" if name == "type" else "float64"


_PER_EVENT = {
    "event": "int64",
    "source": "int64",
    "weight": "float64",
    "MET_pt": "float64",
    "MET_phi": "float64",
}
