"""ROOT: events in a TTree or an RNTuple, for our readers and for coffea's own Runner.

The rule: the columns are those of `hepmtp.readers.columns.COLUMNS`, float64 in GeV, so what is read
is what was written, to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import awkward as ak
import uproot
from coffea.nanoevents import BaseSchema

from hepmtp.errors import ReadError
from hepmtp.events.record import PARTICLE_FIELDS, behavior
from hepmtp.readers.branches import Branches
from hepmtp.readers.coffea_names import base, zip_forms
from hepmtp.readers.columns import COLUMNS, MORE, check_columns, events_of, flat, more_of
from hepmtp.readers.digests import DIGEST, check_digests, digest_of, digests
from hepmtp.readers.opening import GENERATED, WRITTEN
from hepmtp.readers.trees import TreeReader

TREE = "Events"


class HepmtpSchema(BaseSchema):  # type: ignore[misc]
    """Coffea's view of our columns: Particle (Momentum4D), MET (Momentum2D), weight, event, source.

    For coffea's own ``Runner(schema=HepmtpSchema, format="root")`` or ``"parquet"``; further
    columns stay as they are.
    """

    def __init__(self, base_form: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        super().__init__(base_form, *args, **kwargs)
        columns = dict(zip(self._form["fields"], self._form["contents"], strict=True))
        check_columns("the tree", columns)
        particles = {name: columns.pop(f"Particle_{name}") for name in PARTICLE_FIELDS}
        missing = {name: columns.pop(f"MET_{name}") for name in ("pt", "phi")}
        for counted in ("nParticle", DIGEST):
            columns.pop(counted, None)
        for name in {"Jet"} & set(more_of(columns)):
            parts = {one.removeprefix("Jet_"): columns.pop(one) for one in MORE[name]}
            columns[name] = zip_forms(parts, name, record_name="Momentum4D")
        columns["Particle"] = zip_forms(particles, "Particle", record_name="Momentum4D")
        columns["MET"] = zip_forms(missing, "MET", record_name="Momentum2D")
        self._form["fields"], self._form["contents"] = list(columns), list(columns.values())

    @classmethod
    def behavior(cls) -> dict[Any, Any]:
        """Coffea's behaviours and vector's."""
        return {**base.behavior, **behavior}


@dataclass(frozen=True)
class RootReader(TreeReader):
    """Reader of what `write_root` wrote, TTree or RNTuple.

    Parameters
    ----------
    tree, names
        as of every `hepmtp.readers.trees.TreeReader`.
    """

    format = "ROOT that hepmtp wrote"
    trees = (TREE,)
    branches = COLUMNS
    singles: ClassVar[dict[str, str]] = {name.lower(): name for name in COLUMNS}

    @classmethod
    def knows(cls, start: bytes) -> bool:
        """Whether it is a ROOT file; parquet that hepmtp wrote has a reader of its own."""
        return start.startswith(cls.magic)

    def num_events(self, path: str) -> int:
        """Number of entries of the tree; ReadError if it is not the number that was written."""
        with self._beside(path, WRITTEN) as (names, found):
            if found is None and DIGEST in names:
                raise ReadError(
                    f"{path} has lost its tree {WRITTEN}, which is written last: copy or convert "
                    "it again"
                )
            said = None if found is None else int(found.numbers("events").sum())
        n = super().num_events(path)
        if said is not None and said != n:
            raise ReadError(
                f"{path} has {n} entries, but {said} were written: it is damaged; copy or convert "
                "it again"
            )
        return n

    def check(self, path: str, start: int, stop: int) -> None:
        """Raise ReadError if one of these entries has not its digest; older files have none."""
        with self._open(path) as branches:
            if DIGEST not in branches:
                return
            names = _written(branches)
            columns = branches.part(start, stop).arrays((*names, DIGEST))
            check_digests(path, start, columns, names)

    def generated_weight(self, path: str) -> float | None:
        """What the file that this one was converted from said."""
        with self._beside(path, WRITTEN) as (_, found):
            expected = found is not None and bool(found.numbers("generated").any())
        with self._beside(path, GENERATED) as (_, found):
            if found is None and expected:
                raise ReadError(
                    f"{path} has lost its tree {GENERATED}: it is damaged; copy or convert it again"
                )
            if found is None:
                return None
            weights = found.numbers("sum_weights")
            if DIGEST in found and found.numbers(DIGEST).tolist() != [digest_of(weights)]:
                raise ReadError(
                    f"{path}: a bit of the sum of weights has changed since it was written; copy "
                    "or convert it again"
                )
            return float(weights.sum())

    def _check(self, branches: Branches) -> None:
        check_columns(branches.where, branches.known)

    def _events(self, branches: Branches) -> ak.Array:
        names = _written(branches)
        own = not set(self.names) & set(names)  # digests are of the columns that were written
        checked = (DIGEST,) if own and DIGEST in branches else ()  # files of before had none
        columns = branches.arrays((*names, *checked))
        events = events_of(branches.path, branches.start, columns)
        if checked:
            check_digests(branches.path, branches.start, columns, names)
        return events


def _written(branches: Branches) -> tuple[str, ...]:
    """Columns of the events of a file, which its digests are of."""
    return (*COLUMNS, *(one for some in more_of(branches.known).values() for one in some))


def write_root(
    path: str | Path,
    chunks: Iterable[ak.Array],
    *,
    rntuple: bool = False,
    generated: float | None = None,
) -> None:
    """Write events, chunk by chunk, to the TTree (or RNTuple) `TREE` of a new file, by ZSTD.

    Parameters
    ----------
    generated
        sum of the weights of all generated events, if it is known; kept in the tree `GENERATED`.
    """
    with uproot.recreate(path, compression=uproot.ZSTD(3)) as file:
        written = write_tree(file, chunks, rntuple=rntuple, checked=True)
        said = {"events": written, "generated": int(generated is not None)}
        tree = file.mktree(WRITTEN, dict.fromkeys(said, "int64"))
        tree.extend({name: [one] for name, one in said.items()})
        if generated is not None:
            tree = file.mktree(GENERATED, {"sum_weights": "float64", DIGEST: "int64"})
            tree.extend({"sum_weights": [generated], DIGEST: [digest_of([generated])]})


def write_tree(
    file: Any, chunks: Iterable[ak.Array], *, rntuple: bool, checked: bool = False
) -> int:
    """Write events to the TTree (or RNTuple) `TREE` of an open file; gives their number.

    What all of them have beside the record (`MORE`) is that of the first chunk. If `checked`, the
    digest of each event is written with it.
    """
    per_event = dict.fromkeys(("event", "source", *((DIGEST,) if checked else ())), "int64")
    n_events = 0
    per_event |= dict.fromkeys(("weight", "MET_pt", "MET_phi"), "float64")
    fields = {name: "int8" if name == "type" else "float64" for name in PARTICLE_FIELDS}
    tree: Any = None
    for events in chunks:
        columns = flat(events)
        if tree is None:
            more = [one for some in more_of(columns).values() for one in some]
            per_event |= {name: "int8" if name == "label" else "float64" for name in more}
            tree = _new_tree(file, per_event, fields, rntuple=rntuple)
        if checked:
            columns[DIGEST] = ak.Array(digests(columns, [*COLUMNS, *more]))
        n_events += len(events)
        if not rntuple:  # one counter for all columns of the particles
            columns = {name: columns[name] for name in per_event}
            columns["Particle"] = ak.zip({name: events.Particle[name] for name in PARTICLE_FIELDS})
        tree.extend(columns)
    if tree is None:
        _new_tree(file, per_event, fields, rntuple=rntuple)
    return n_events


def _new_tree(
    file: Any, per_event: dict[str, str], fields: dict[str, str], *, rntuple: bool
) -> Any:
    """The empty tree of columns of these types."""
    if rntuple:
        jagged = {f"Particle_{name}": f"var * {kind}" for name, kind in fields.items()}
        return file.mkrntuple(TREE, {**per_event, "nParticle": "int32", **jagged})
    # as a type: awkward takes longer to parse the words for it than to write a small chunk
    record = ak.types.RecordType([ak.types.NumpyType(kind) for kind in fields.values()], [*fields])
    return file.mktree(TREE, {**per_event, "Particle": ak.types.ListType(record)})
