"""JetClass: jets as events and their constituents as particles, with the label of each jet.

The rule: a jet is an event without MET (it is 0), and what it was made from is in two further fields::

    label: int8, index into JET_LABELS           Jet: Momentum4D[pt, eta, phi, energy], the jet itself, GeV

Layout: TTree ``tree`` of JetClass (Qu, Li, Qian, arXiv:2202.03772). Types are those of `CONSTITUENT_TYPES`: charged
hadrons h+ and h-, neutral hadrons h0, and the electrons, muons and photons of every other event.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepmtp.errors import EventError, ReadError
from hepmtp.events.particles import CONSTITUENT_TYPES
from hepmtp.events.record import make_events, source_id
from hepmtp.readers.lines import check_range
from hepmtp.readers.options import check_options
from hepmtp.readers.trees import damage, entries, open_root

#: What jets are made from; ``label`` is an index into this. A file may hold some of these only.
JET_LABELS: tuple[str, ...] = (
    "QCD",
    "Hbb",
    "Hcc",
    "Hgg",
    "H4q",
    "Hqql",
    "Zqq",
    "Wqq",
    "Tbqq",
    "Tbl",
)

_MOMENTUM = ("part_px", "part_py", "part_pz", "part_energy")
_JET = ("jet_pt", "jet_eta", "jet_phi", "jet_energy")
# branch of a flag to the type of positive, negative and neutral particles; "" is impossible
_FLAGS = {
    "part_isChargedHadron": ("h+", "h-", ""),
    "part_isNeutralHadron": ("", "", "h0"),
    "part_isPhoton": ("", "", "g"),
    "part_isElectron": ("e+", "e-", ""),
    "part_isMuon": ("m+", "m-", ""),
}
# (flag, sign of the charge: 0, 1, -1) to the type
_TYPE_OF = np.array(
    [
        [CONSTITUENT_TYPES.index(name) if name else -1 for name in (neutral, positive, negative)]
        for positive, negative, neutral in _FLAGS.values()
    ],
    dtype=np.int8,
)


@dataclass(frozen=True)
class JetClass:
    """Reader of JetClass files; reads only the branches that it needs, and only the entries that are asked for.

    Parameters
    ----------
    weight
        name of a branch with the weight of each jet, ``"event_weight"`` for instance; by default each counts 1.
    tree
        name of the TTree.
    """

    weight: str | None = None
    tree: str = "tree"

    def __post_init__(self) -> None:
        check_options(self)

    def num_events(self, path: str) -> int:
        """Number of jets."""
        with self._open(path) as tree:
            return int(tree.num_entries)

    def read(self, path: str, start: int = 0, stop: int | None = None) -> ak.Array:
        """Jets [start, stop) of a file as events with the further fields ``label`` and ``Jet``; all by default.

        Raises
        ------
        ReadError
            naming file, entry or branch, what was found and what to do.
        """
        check_range(path, start, stop)
        with self._open(path) as tree:
            start, stop = entries(tree, start, stop)
            labels = [name for name in JET_LABELS if f"label_{name}" in tree]
            names = [
                *_MOMENTUM,
                "part_charge",
                *_FLAGS,
                *_JET,
                *(f"label_{name}" for name in labels),
            ]
            names += [] if self.weight is None else [self.weight]
            arrays = tree.arrays(names, entry_start=start, entry_stop=stop, library="ak")
            return self._events(path, start, arrays, labels)

    def _events(self, path: str, start: int, arrays: Any, labels: list[str]) -> ak.Array:
        counts = ak.to_numpy(ak.num(arrays["part_px"]))
        for name in (*_MOMENTUM, "part_charge", *_FLAGS):
            differs = np.flatnonzero(ak.to_numpy(ak.num(arrays[name])) != counts)
            if len(differs):
                raise ReadError(
                    f"{path} entry {start + differs[0]}: {name} and part_px differ in length; fetch it again"
                )
        label = _labels(path, start, {name: _column(arrays[f"label_{name}"]) for name in labels})
        flat = {name: _column(ak.flatten(arrays[name])) for name in (*_MOMENTUM, "part_charge")}
        flags = {name: ak.to_numpy(ak.flatten(arrays[name])) for name in _FLAGS}
        types = _types(path, start, counts, flat["part_charge"], flags)
        px, py, pz, energy = (flat[name] for name in _MOMENTUM)
        pt = np.hypot(px, py)
        with np.errstate(
            divide="ignore", invalid="ignore"
        ):  # a particle along the beam is refused by its eta
            eta = np.arcsinh(pz / pt)
        n = len(counts)
        try:
            events = make_events(
                counts=counts,
                pt=pt,
                eta=eta,
                phi=np.arctan2(py, px),
                energy=energy,
                type=types,
                met=np.zeros(n),
                met_phi=np.zeros(n),
                weight=1.0 if self.weight is None else _column(arrays[self.weight]),
                event=start + np.arange(n),
                source=source_id(path),
                types=CONSTITUENT_TYPES,
            )
        except EventError as error:
            raise ReadError(f"{path}, entries from {start} on: {error}") from None
        jet = {name: _column(arrays[f"jet_{name}"]) for name in ("pt", "eta", "phi", "energy")}
        for name, column in jet.items():
            bad = np.flatnonzero(~np.isfinite(column) | (column < 0 if name == "pt" else False))
            if len(bad):
                raise ReadError(
                    f"{path} entry {start + bad[0]}: jet_{name} is {column[bad[0]]}; fetch the file again"
                )
        events = ak.with_field(events, ak.zip(jet, with_name="Momentum4D"), "Jet")
        return ak.with_field(events, label, "label")

    @contextlib.contextmanager
    def _open(self, path: str) -> Iterator[Any]:
        with open_root(path) as file, damage(path):
            yield self._checked(path, file)

    def _checked(self, path: str, file: Any) -> Any:
        if self.tree not in file:
            raise ReadError(
                f"{path} has no tree {self.tree!r} (found: {', '.join(file.keys()) or 'none'}); name another"
            )
        tree = file[self.tree]
        for name in (*_MOMENTUM, "part_charge", *_FLAGS, *_JET, *filter(None, [self.weight])):
            if name not in tree:
                known = tree.keys()
                found = ", ".join(known[:20]) + (
                    f", ... {len(known)} in all" if len(known) > 20 else ""
                )
                raise ReadError(
                    f"{path}, tree {self.tree}, has no branch {name!r} (found: {found}); expected the layout of JetClass"
                )
        if not any(f"label_{name}" in tree for name in JET_LABELS):
            known = ", ".join(f"label_{name}" for name in JET_LABELS)
            raise ReadError(f"{path}, tree {self.tree}, has no label: none of {known}")
        return tree


def _column(values: Any) -> NDArray[np.float64]:
    """Any of the mixed types of the branches (float32, int32, bool) as float64."""
    return np.asarray(ak.to_numpy(values), dtype=np.float64)


def _labels(path: str, start: int, found: dict[str, NDArray[np.float64]]) -> NDArray[np.int8]:
    """Index into `JET_LABELS` of each jet, (n_jets,), from columns of which exactly one is 1."""
    table = np.stack(list(found.values()))  # (n_labels, n_jets)
    bad = np.flatnonzero(((table != 0) & (table != 1)).any(axis=0) | (table.sum(axis=0) != 1))
    if len(bad):
        at = bad[0]
        says = ", ".join(f"label_{name} {column[at]:g}" for name, column in found.items())
        raise ReadError(
            f"{path} entry {start + at}: expected exactly one label that is 1, found {says}"
        )
    order = np.array([JET_LABELS.index(name) for name in found], dtype=np.int8)
    return np.asarray(order[table.argmax(axis=0)])


def _types(
    path: str,
    start: int,
    counts: NDArray[np.int64],
    charge: NDArray[np.float64],
    flags: dict[str, NDArray[Any]],
) -> NDArray[np.int8]:
    """Type of each particle, (n_particles,), from its charge and its flags, one of which is 1."""
    set_flags = np.zeros(len(charge), dtype=np.int8)
    kind = np.zeros(len(charge), dtype=np.int8)
    legal = np.abs(charge) <= 1
    for i, flag in enumerate(flags.values()):
        is_set = flag == 1
        legal &= is_set | (flag == 0)
        set_flags += is_set
        kind[is_set] = i
    sign = np.where(legal, charge, 0).astype(np.int8)
    types = np.where(legal & (sign == charge) & (set_flags == 1), _TYPE_OF[kind, sign], -1).astype(
        np.int8
    )
    bad = np.flatnonzero(types < 0)
    if len(bad):
        at = bad[0]
        entry = start + np.searchsorted(np.cumsum(counts), at, side="right")
        says = ", ".join(f"{name} {float(flag[at]):g}" for name, flag in flags.items())
        raise ReadError(
            f"{path} entry {entry}: a particle of charge {charge[at]:g} with {says}; expected one flag that is 1 and a"
            " charge that fits it"
        )
    return types
