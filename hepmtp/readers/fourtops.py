"""The four-top data set as HDF5: rows of fixed width, zero-padded, with a label for each process.

The rule: what the file does not say is said by whoever reads it. Units and logarithms are checked
against the values and refused when they do not fit; which lepton is which cannot be checked::

    X_train (n, 92): 18 ids (0 is padding) | MET | METphi | 18 x (E, pt, eta, phi)
    Y_train (n,):    1 4top, 2 ttbarHiggs, 3 ttbarW, 4 ttbarWW, 5 ttbarZ

and the same for val and test. Ids are 1 jet, 2 b-jet, 3 to 6 the leptons in an order on which
public codes disagree, 7 photon. The order of particles stays as it is. Data: arXiv:2211.05143, as
``4tops_splitted.h5``.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast, get_args

import awkward as ak
import h5py
import numpy as np
from numpy.typing import NDArray

from hepmtp.errors import EventError, ReadError
from hepmtp.events import PARTICLE_TYPES, concatenate, make_events, source_id, with_metadata
from hepmtp.events.ragged import Bools, Floats, Ints
from hepmtp.readers import FileReader
from hepmtp.readers.lines import check_file, check_range, damage
from hepmtp.readers.options import refusal

Process = Literal["4top", "ttbarHiggs", "ttbarW", "ttbarWW", "ttbarZ"]
#: Processes by label - 1; the extra field ``label`` of the events is an index into this.
PROCESSES: tuple[str, ...] = get_args(Process)
SPLITS: tuple[str, ...] = ("train", "val", "test")
Scale = Literal["log_mev", "log_gev", "raw_mev", "raw_gev"]
#: What E, pt and MET are written as: a factor to GeV, after exp for the natural logarithms.
SCALES: dict[Scale, tuple[bool, float]] = {
    "log_mev": (True, 1e-3),
    "log_gev": (True, 1.0),
    "raw_mev": (False, 1e-3),
    "raw_gev": (False, 1.0),
}
LEPTONS = ("e+", "e-", "m+", "m-")

_SLOTS = 18
_WIDTH = 5 * _SLOTS + 2
_PIECE = 10_000  # rows read in one go
_SAMPLE = 1000  # rows whose median pt tells the scale
_MEDIAN = (15.0, 1000.0)  # GeV; as the four scales write it, no two of these intervals touch
_MAX_GEV = 14_000.0
_ROUNDING = 0.01  # by how much E may be less than pt cosh(eta)
_KEY = re.compile(r"([xy])[_-]?(train|val|valid|validation|test)", re.IGNORECASE)


class _Part(NamedTuple):
    """One split: rows [first, first + n) of the file as a whole, in the order train, val, test."""

    name: str
    first: int
    rows: Any  # h5py.Dataset (n, 92)
    labels: Any  # h5py.Dataset (n,) or (n, 1)


@dataclass(frozen=True)
class FourTopsHDF5(FileReader):
    """Reader of the four-top HDF5 file; reads only the rows that are asked for.

    Parameters
    ----------
    scale
        what E and pt are: "log_mev", "log_gev" (natural logarithms), "raw_mev" or "raw_gev". Must
        be given; an error says which one the values fit.
    lepton_order
        what the ids 3, 4, 5, 6 are, for instance ("e+", "e-", "m+", "m-") or "e+,e-,m+,m-". Must be
        given: nothing in the file tells.
    met_scale
        what MET is; by default the same as `scale`.
    split
        "train", "val", "test", or "all" of them one after the other.
    process
        only events of this one of `PROCESSES`, with its name and role (4top is signal) as metadata;
        by default all, with the further field ``label`` that says which. The labels of the file are
        held in memory, one byte an event.
    """

    scale: Scale | None = None
    lepton_order: tuple[str, ...] | None = None
    met_scale: Scale | None = None
    split: Literal["all", "train", "val", "test"] = "all"
    process: Process | None = None

    format = "four-top HDF5"
    endings = (".h5", ".hdf5")
    magic = b"\x89HDF\r\n\x1a\n"
    labels = PROCESSES

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lepton_order is not None and sorted(self.lepton_order) != sorted(LEPTONS):
            raise refusal(self, "lepton_order", f"an order of {','.join(LEPTONS)}")

    def guess(self, path: str) -> tuple[dict[str, Any], tuple[str, ...]]:
        """The scales that fit the values, and some order of the leptons."""
        found: dict[str, Any] = {"lepton_order": ",".join(self.lepton_order or LEPTONS)}
        if self.scale is None:
            with self._open(path) as parts:
                pt, met = map(_fitting, _sample(parts[0]))
            found["scale"] = pt or met or next(iter(SCALES))
            if self.met_scale is None and met not in (None, found["scale"]):
                found["met_scale"] = met
        note = f"the file does not say which lepton is which; shown as if {found['lepton_order']}"
        return found, () if self.lepton_order else (note,)

    def num_events(self, path: str) -> int:
        """Number of events of the split and the process."""
        with self._open(path) as parts:
            return sum(len(self._entries(path, part)) for part in parts)

    def read(self, path: str, start: int = 0, stop: int | None = None) -> ak.Array:
        """Events [start, stop) of those of the split and the process; all by default.

        ``event`` is the row in the file as a whole (train, val, test), whatever is left out.

        Raises
        ------
        ReadError
            naming file, data set and row, what was found and what to do.
        """
        check_range(path, start, stop)
        with self._open(path) as parts:
            self._check_scale(path, parts)
            found, before = [], 0
            for part in parts:
                rows = self._entries(path, part)
                end = None if stop is None else max(stop - before, 0)
                wanted = rows[max(start - before, 0) : end]
                before += len(rows)
                found += [
                    self._piece(path, part, np.asarray(wanted[i : i + _PIECE], dtype=np.int64))
                    for i in range(0, len(wanted), _PIECE)
                ]
            if not found:
                found.append(self._piece(path, parts[0], np.empty(0, dtype=np.int64)))
        if self.process is None:
            return concatenate(found)
        role = "signal" if self.process == "4top" else "background"
        return with_metadata(concatenate(found), dataset=self.process, role=role)

    def _entries(self, path: str, part: _Part) -> range | Ints:
        """Rows of a part that are wanted."""
        n = len(part.rows)
        if self.process is None:
            return range(n)
        return np.flatnonzero(_labels(path, part, 0, n) == PROCESSES.index(self.process))

    def _piece(self, path: str, part: _Part, rows: Ints) -> ak.Array:
        first, end = (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, 0)
        table = np.asarray(part.rows[first:end], dtype=np.float64)[rows - first]
        label = _labels(path, part, first, end)[rows - first]
        refuse = functools.partial(_refuse, f"{path}, {part.rows.name}", rows)
        try:
            events = self._events(table, refuse, event=rows + part.first, source=source_id(path))
        except EventError as error:
            raise ReadError(f"{path}, {part.rows.name} rows from {first} on: {error}") from None
        return ak.with_field(events, label, "label")

    def _events(self, table: Floats, refuse: Callable[..., None], **columns: Any) -> ak.Array:
        ids, numbers = table[:, :_SLOTS], table[:, _SLOTS + 2 :].reshape(-1, _SLOTS, 4)
        refuse(~np.isin(ids, np.arange(8)), ids, "id", "a whole number from 0 (padding) to 7")
        is_particle = ids > 0
        filled = (numbers != 0).any(axis=2)
        refuse(filled & ~is_particle, ids, "id", "a particle, for its four numbers are not 0")
        refuse(~filled & is_particle, ids, "id", "0, for its four numbers are 0")
        leptons, scale = cast("tuple[str, ...]", self.lepton_order), cast("Scale", self.scale)
        types = np.array([PARTICLE_TYPES.index(name) for name in ("j", "b", *leptons, "g")])
        gev = _to_gev(numbers[:, :, :2], scale)
        for i, name in enumerate(("E", "pt")):
            legal = ~is_particle | ((gev[:, :, i] > 0) & (gev[:, :, i] <= _MAX_GEV))
            expected = f"something in (0, {_MAX_GEV:g}] GeV, scale is {scale!r}"
            refuse(~legal, numbers[:, :, i], name, expected)
        eta, phi = numbers[:, :, 2], numbers[:, :, 3]
        refuse(is_particle & ~(np.abs(eta) < 20), eta, "eta", "a pseudorapidity")  # NaN too
        slow = is_particle & (gev[:, :, 0] < (1 - _ROUNDING) * gev[:, :, 1] * np.cosh(eta))
        refuse(slow, numbers[:, :, 0], "E", "at least pt cosh(eta): are E and pt swapped?")
        met_scale, met = self.met_scale or scale, table[:, _SLOTS]
        met_gev = _to_gev(met, met_scale)
        legal = (met_gev >= 0) & (met_gev <= _MAX_GEV)
        refuse(~legal, met, "MET", f"[0, {_MAX_GEV:g}] GeV as {met_scale!r}")
        return make_events(
            counts=is_particle.sum(axis=1),
            pt=gev[:, :, 1][is_particle],
            eta=eta[is_particle],
            phi=phi[is_particle],
            energy=gev[:, :, 0][is_particle],
            type=types[ids[is_particle].astype(np.int64) - 1],
            met=met_gev,
            met_phi=table[:, _SLOTS + 1],
            **columns,
        )

    def _check_scale(self, path: str, parts: list[_Part]) -> None:
        """Refuse a scale that the first rows of the file do not fit, and say which one does."""
        pt, met = _sample(parts[0])
        met_scale = self.met_scale or self.scale
        for name, scale, values in ("scale", self.scale, pt), ("met_scale", met_scale, met):
            fits = _fitting(values)
            if scale is None:
                what = f"the values fit {name}={fits!r}" if fits else "the values fit none of them"
                raise ReadError(f"{path}: {name} must be given, one of {', '.join(SCALES)}; {what}")
            if fits != scale and len(values):
                what = "pt" if name == "scale" else "MET"
                better = f"they fit {fits!r}" if fits else "they fit no known scale"
                raise ReadError(
                    f"{path}, {parts[0].rows.name}: {what} from {values.min():g} to "
                    f"{values.max():g} do not fit {name}={scale!r}; {better}"
                )
        if self.lepton_order is None:
            raise ReadError(
                f"{path}: lepton_order must be given: what the ids 3, 4, 5, 6 are, for instance "
                f"{','.join(LEPTONS)}"
            )

    @contextlib.contextmanager
    def _open(self, path: str) -> Iterator[list[_Part]]:
        check_file(path)
        with damage(path, "an HDF5 file"), h5py.File(path, "r") as file:
            found = _parts(path, file)
            parts = [part for part in found if self.split in ("all", part.name)]
            if not parts:
                names = ", ".join(part.name for part in found)
                raise ReadError(f"{path} has no split {self.split!r} (found: {names})")
            yield parts


def _refuse(where: str, rows: Ints, bad: Bools, values: Floats, name: str, expected: str) -> None:
    """Raise ReadError for the first of these rows (and its slot) where `bad` is True."""
    if bad.any():
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        slot = f" of particle {at[1] + 1}" if len(at) > 1 else ""
        found = f"{name}{slot} is {values[at]:g}"
        raise ReadError(f"{where} row {rows[at[0]]}: {found}, expected {expected}")


def _sample(part: _Part) -> tuple[Floats, Floats]:
    """The finite values of pt and MET in the first rows; others are refused where they are."""
    table = np.asarray(part.rows[:_SAMPLE], dtype=np.float64)
    pt = table[:, _SLOTS + 2 :].reshape(-1, _SLOTS, 4)[:, :, 1][table[:, :_SLOTS] > 0]
    met = table[:, _SLOTS]
    return pt[np.isfinite(pt)], met[np.isfinite(met)]


def _to_gev(values: Floats, scale: Scale) -> Floats:
    logarithm, factor = SCALES[scale]
    with np.errstate(over="ignore"):  # what is too large is refused
        return (np.exp(values) if logarithm else values) * factor


def _fitting(values: Floats) -> Scale | None:
    """The scale in which the median of these values is one of a particle's pt, or of a MET."""
    for scale in SCALES if len(values) else ():
        if _MEDIAN[0] <= float(_to_gev(np.median(values, keepdims=True), scale)[0]) <= _MEDIAN[1]:
            return scale
    return None


def _labels(path: str, part: _Part, start: int, stop: int) -> NDArray[np.int8]:
    """Index into `PROCESSES` for rows [start, stop)."""
    labels = np.asarray(part.labels[start:stop], dtype=np.float64).reshape(-1)
    bad = np.flatnonzero(~np.isin(labels, np.arange(1, 1 + len(PROCESSES))))
    if len(bad):
        at = bad[0]
        raise ReadError(
            f"{path}, {part.labels.name} row {start + at}: label is {labels[at]:g}, expected 1 to "
            f"{len(PROCESSES)}"
        )
    return (labels - 1).astype(np.int8)


def _parts(path: str, file: Any) -> list[_Part]:
    """The splits of an open file, however their keys are spelled."""
    found: dict[tuple[str, str], str] = {}
    for key in file:
        match = _KEY.fullmatch(key)
        if match is None:
            continue
        split = match[2].lower()
        name = (match[1].lower(), "val" if split.startswith("val") else split)
        if name in found:
            raise ReadError(f"{path} has both {found[name]!r} and {key!r}; remove one")
        found[name] = key
    keys = ", ".join(file) or "none"
    parts: list[_Part] = []
    first = 0
    for split in SPLITS:
        if ("x", split) not in found and ("y", split) not in found:
            continue
        for kind in "xy":
            if (kind, split) not in found:
                raise ReadError(f"{path} has no data set {kind.upper()}_{split} (found: {keys})")
        rows, labels = file[found["x", split]], file[found["y", split]]
        n = len(rows) if getattr(rows, "ndim", 0) else 0  # a group has none
        _check(path, rows, [(n, _WIDTH)], f"(n, {_WIDTH}) numbers")
        _check(path, labels, [(n,), (n, 1)], f"one label for each of {n} rows")
        parts.append(_Part(split, first, rows, labels))
        first += n
    if not parts:
        raise ReadError(f"{path} has none of the data sets X_train, X_val, X_test (found: {keys})")
    return parts


def _check(path: str, data: Any, shapes: list[tuple[int, ...]], expected: str) -> None:
    is_data = isinstance(data, h5py.Dataset)
    if not is_data or data.shape not in shapes or data.dtype.kind not in "iuf":
        found = f"{data.shape} of {data.dtype}" if is_data else "a group"
        raise ReadError(f"{path}, {data.name}: {found}, expected {expected}")
