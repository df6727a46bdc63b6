"""JetClass: jets as events and their constituents as particles, with the label of each jet.

The rule: a jet is an event without MET (it is 0), and what it was made from is in two further
fields::

    label: int8, index into JET_LABELS
    Jet: Momentum4D[pt, eta, phi, energy], the jet itself, GeV

Layout: TTree ``tree`` of JetClass (Qu, Li, Qian, arXiv:2202.03772). Types are those of
`CONSTITUENT_TYPES`: charged hadrons h+ and h-, neutral hadrons h0, and the electrons, muons and
photons of every other event.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import awkward as ak
import numpy as np
import uproot
from numpy.typing import NDArray

from hepmtp.errors import ReadError
from hepmtp.events import CONSTITUENT_TYPES, make_events
from hepmtp.events.particles import UNSPECIFIED
from hepmtp.events.ragged import Floats, wrap_phi
from hepmtp.readers.branches import Branches
from hepmtp.readers.particles import finite, per_event, weights
from hepmtp.readers.trees import TreeReader

#: What jets are made from; ``label`` is an index into this. A file may hold some of these only.
JET_LABELS: tuple[str, ...] = (
    *("QCD", "Hbb", "Hcc", "Hgg", "H4q", "Hqql", "Zqq", "Wqq", "Tbqq", "Tbl"),
)
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
_LIKE = "part_px"  # every branch of the particles has as many values as this one


@dataclass(frozen=True)
class JetClass(TreeReader):
    """Reader of JetClass files; the events have the further fields ``label`` and ``Jet``.

    Parameters
    ----------
    weight
        branch of the weight of each jet, ``"event_weight"`` for instance; by default each counts 1.
    untyped
        take constituents without any flag, which a model has made, as of the type "unspecified".
    tree, names
        as of every `hepmtp.readers.trees.TreeReader`.
    """

    weight: str | None = None
    untyped: bool = False

    labels = JET_LABELS
    trees = ("tree",)
    branches = ("part_px", "part_energy", "label_QCD")
    singles: ClassVar[dict[str, str]] = {
        name: name
        for name in (
            *("part_px", "part_py", "part_pz", "part_energy", "part_charge", *_FLAGS),
            *("jet_pt", "jet_eta", "jet_phi", "jet_energy"),
        )
    }
    through: ClassVar[dict[str, str]] = {"weight": "{}"}

    def _events(self, branches: Branches) -> ak.Array:
        label, types = _labels(branches), _types(branches, untyped=self.untyped)
        px, py, pz, energy = (
            finite(branches, f"part_{name}", like=_LIKE) for name in ("px", "py", "pz", "energy")
        )
        pt = np.hypot(px, py)
        # a particle along the beam is refused by its eta
        with np.errstate(divide="ignore", invalid="ignore"):
            eta = np.arcsinh(pz / pt)
        nothing = np.zeros(len(branches))
        events = make_events(
            counts=branches.lists(_LIKE).counts,
            pt=pt,
            eta=eta,
            phi=np.arctan2(py, px),
            energy=energy,
            type=types,
            met=nothing,
            met_phi=nothing,
            weight=weights(branches, self.weight),
            event=np.arange(branches.start, branches.stop),
            source=branches.source,
            types=CONSTITUENT_TYPES,
        )
        names = {name: f"jet_{name}" for name in ("pt", "eta", "phi", "energy")}
        jet = {
            name: per_event(branches, branch, branches.numbers(branch))
            for name, branch in names.items()
        }
        branches.require(jet["pt"] >= 0, "jet_pt", jet["pt"], "a pt of at least 0", per_event=True)
        events = ak.with_field(events, ak.zip(jet, with_name="Momentum4D"), "Jet")
        return ak.with_field(events, label, "label")


def _labels(branches: Branches) -> NDArray[np.int8]:
    """Index into `JET_LABELS` of each jet, (n_jets,), from branches of which exactly one is 1."""
    known = {f"label_{name}": i for i, name in enumerate(JET_LABELS)}
    names = [name for name in known if name in branches]
    if not names:
        raise ReadError(f"{branches.where} has no label: none of {', '.join(known)}")
    table = np.stack([branches.numbers(name) for name in names]).astype(np.float64)
    bad = np.flatnonzero(((table != 0) & (table != 1)).any(axis=0) | (table.sum(axis=0) != 1))
    if len(bad):
        says = ", ".join(
            f"{name} {value:g}" for name, value in zip(names, table[:, bad[0]], strict=True)
        )
        raise ReadError(
            f"{branches.path} entry {branches.start + bad[0]}: expected exactly one label that is "
            f"1, found {says}"
        )
    order = np.array([known[name] for name in names], dtype=np.int8)
    return np.asarray(order[table.argmax(axis=0)])


def _types(branches: Branches, *, untyped: bool) -> NDArray[np.int8]:
    """Type of each particle, (n_particles,), from its charge and its flags, one of which is 1.

    Where none is, and there is no charge, it is "unspecified" if that is allowed.
    """
    charge: Floats = branches.like("part_charge", _LIKE).astype(np.float64)
    flags = {name: branches.like(name, _LIKE) for name in _FLAGS}
    n_flags = np.zeros(len(charge), dtype=np.int8)
    kind = np.zeros(len(charge), dtype=np.int8)
    legal = np.abs(charge) <= 1
    for i, flag in enumerate(flags.values()):
        is_set = flag == 1
        legal &= is_set | (flag == 0)
        n_flags += is_set
        kind[is_set] = i
    sign = np.where(legal, charge, 0).astype(np.int8)
    fits = legal & (sign == charge) & (n_flags == 1)
    types = np.where(fits, _TYPE_OF[kind, sign], np.int8(-1))
    made = legal & (charge == 0) & (n_flags == 0)
    if untyped:
        types[made] = UNSPECIFIED
    bad = np.flatnonzero(types < 0)
    if len(bad):
        entry = branches.start + branches.event_of(_LIKE, bad[0])
        says = ", ".join(f"{name} {float(flag[bad[0]]):g}" for name, flag in flags.items())
        raise ReadError(
            f"{branches.path} entry {entry}: a particle of charge {charge[bad[0]]:g} with {says}; "
            "expected one flag that is 1 and a charge that fits it"
            + ("; jets that a model has made need the option untyped=true" if made[bad[0]] else "")
        )
    return types


def write_jetclass(
    path: str | Path, chunks: Iterable[ak.Array], *, label: str, about: str = ""
) -> int:
    """Write jets to a new file in this layout, chunk by chunk; gives their number.

    The axis of each jet is ``Jet``; all are given this label. Constituents of the type
    "unspecified" have no flag and charge 0, and need the option `untyped` to be read.

    Parameters
    ----------
    label
        one of `JET_LABELS`.
    about
        a sentence that is kept beside the tree, as the text ``about``.
    """
    n_jets, tree = 0, None
    with uproot.recreate(path, compression=uproot.ZSTD(3)) as file:
        if about:
            file["about"] = about
        for events in chunks:
            columns = _columns(events, label)
            if tree is None:
                tree = file.mktree("tree", {name: _kind(one) for name, one in columns.items()})
            tree.extend(columns)
            n_jets += len(events)
    return n_jets


def _kind(column: Any) -> str:
    kind = "int32" if "int" in str(ak.type(column)) else "float32"
    return f"var * {kind}" if ak.Array(column).ndim == 2 else kind


def _columns(events: ak.Array, label: str) -> dict[str, Any]:
    """The branches of jets, float32 as in the files of others."""
    particles, jet = events.Particle, events.Jet
    types = particles["type"]
    numbers = {
        "part_px": particles.px,
        "part_py": particles.py,
        "part_pz": particles.pz,
        "part_energy": particles.energy,
        "part_deta": particles.eta - jet.eta,
        "part_dphi": wrap_phi(particles.phi - jet.phi),
        "part_charge": ak.zeros_like(particles.pt),
    }
    flags = {}
    for flag, names in _FLAGS.items():
        kinds = [CONSTITUENT_TYPES.index(name) if name else -1 for name in names]
        flags[flag] = (types == kinds[0]) | (types == kinds[1]) | (types == kinds[2])
        sign = ak.values_astype(types == kinds[0], np.int8) - (types == kinds[1])
        numbers["part_charge"] = numbers["part_charge"] + sign
    numbers |= {f"jet_{name}": jet[name] for name in ("pt", "eta", "phi", "energy")}
    numbers["jet_nparticles"] = ak.num(particles)
    found = {name: ak.values_astype(one, np.float32) for name, one in numbers.items()}
    found |= {name: ak.values_astype(one, np.int32) for name, one in flags.items()}
    found[f"label_{label}"] = ak.values_astype(ak.ones_like(jet.pt), np.int32)
    for other in {"QCD"} - {label}:
        found[f"label_{other}"] = ak.values_astype(ak.zeros_like(jet.pt), np.int32)
    return {name: ak.without_parameters(ak.to_packed(one)) for name, one in found.items()}
