"""Jets with their constituents in the JetClass layout: QCD, hadronic tops, hadronic Z and W.

    python examples/simulation/jets.py --events 10000 --output jets

makes jets/QCDJets.root and jets/TTBar_Tbqq.root. Anti-kt 0.8 of visible particles (pt > 0.3 GeV,
|eta| < 3, energies smeared by 3 %), 500 < pt < 1000 GeV, |eta| < 2, within 0.6 of the parton, top,
Z or W that the label names.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
import uproot
from detector import CHARGED_HADRONS, any_of, cluster, delta_r, log_normal, pt_eta_phi, visible
from showers import batches, start

from hepmtp import storage
from hepmtp.cli.progress import progress_bar
from hepmtp.events.ragged import wrap_phi

RADIUS, MATCH = 0.8, 0.6
JET_PT, JET_ETA = (500.0, 1000.0), 2.0
PARTICLE_PT, PARTICLE_ETA, SPREAD = 0.3, 3.0, 0.03
#: Labels that are written; a jet has one of them.
LABELS = ("QCD", "Zqq", "Wqq", "Tbqq")
#: Hard scatters fall as pt^-5 or so: they are drawn flat in pt, and `event_weight` undoes it.
_FLAT = (
    *("PhaseSpace:pTHatMin = 480", "PhaseSpace:pTHatMax = 1100"),
    *(
        "PhaseSpace:bias2Selection = on",
        "PhaseSpace:bias2SelectionPow = 5",
        "PhaseSpace:bias2SelectionRef = 500",
    ),
)
BATCH, ROWS = 100, 1000


class Kind(NamedTuple):
    """Jets of one file: settings of Pythia, PDG codes of their origin, and a label.

    Without codes they come from any outgoing parton.
    """

    settings: tuple[str, ...]
    codes: tuple[int, ...]
    label: str


def _hadronic(code: int) -> tuple[str, ...]:
    return (f"{code}:onMode = off", f"{code}:onIfAny = 1 2 3 4 5")


KINDS: dict[str, Kind] = {
    "QCDJets": Kind(("HardQCD:all = on",), (), "QCD"),
    "TTBar_Tbqq": Kind(
        ("Top:gg2ttbar = on", "Top:qqbar2ttbar = on", *_hadronic(24)), (6, -6), "Tbqq"
    ),
    "ZJets_Zqq": Kind(
        (
            *(
                "WeakBosonAndParton:qqbar2gmZg = on",
                "WeakBosonAndParton:qg2gmZq = on",
                "WeakZ0:gmZmode = 2",
            ),
            *_hadronic(23),
        ),
        (23,),
        "Zqq",
    ),
    "WJets_Wqq": Kind(
        ("WeakBosonAndParton:qqbar2Wg = on", "WeakBosonAndParton:qg2Wq = on", *_hadronic(24)),
        (24, -24),
        "Wqq",
    ),
}


def origins(prt: ak.Array, codes: tuple[int, ...]) -> ak.Array:
    """What jets are matched to.

    Outgoing partons of the hard process, or the last copies of these particles before decay.
    """
    found = prt[np.abs(prt.status) == 23]
    if codes:
        found = prt[(np.abs(prt.status) == 62) & (np.abs(prt.id) == abs(codes[0]))]
    pt = np.hypot(found.p.px, found.p.py)
    eta, phi = np.arcsinh(found.p.pz / pt), np.arctan2(found.p.py, found.p.px)
    return ak.zip({"pt": pt, "eta": eta, "phi": phi, "id": found.id})


def particles(prt: ak.Array, rng: np.random.Generator) -> ak.Array:
    """The particles that jets are made of."""
    seen = visible(prt)
    seen = seen[(seen.pt > PARTICLE_PT) & (np.abs(seen.eta) < PARTICLE_ETA)]
    counts = ak.num(seen)
    factor = ak.unflatten(log_normal(np.full(ak.sum(counts), SPREAD), rng), counts)
    return ak.with_field(
        ak.with_field(seen, seen.pt * factor, "pt"), seen.energy * factor, "energy"
    )


def matched_jets(prt: ak.Array, kind: Kind, rng: np.random.Generator) -> ak.Array:
    """The jets of a batch of events of Pythia.

    Pt, eta, phi, energy, their constituents by falling pt, and their origin.

    One entry an event, none or several jets in it.
    """
    seen = particles(prt, rng)
    clusters = cluster(seen, RADIUS)
    jets = clusters.inclusive_jets(min_pt=JET_PT[0])
    index = clusters.constituent_index(min_pt=JET_PT[0])
    sizes = ak.flatten(ak.num(index, axis=2))
    inside = ak.unflatten(seen[ak.flatten(index, axis=2)], sizes, axis=1)
    inside = inside[ak.argsort(inside.pt, axis=2, ascending=False)]
    found = ak.zip({**pt_eta_phi(jets), "particles": inside}, depth_limit=2)
    sources = origins(prt, kind.codes)
    distances = delta_r(found, sources)
    found = ak.with_field(found, sources[ak.argmin(distances, axis=2)], "origin")
    inside_cuts = (
        (found.pt < JET_PT[1]) & (np.abs(found.eta) < JET_ETA) & (ak.min(distances, axis=2) < MATCH)
    )
    return found[inside_cuts]


def columns(jets: ak.Array, weight: ak.Array, label: str) -> dict[str, Any]:
    """The branches of JetClass for flat jets, shape (n_jets,), and their weights."""
    inside = jets.particles
    code = np.abs(inside.id)
    px, py = inside.pt * np.cos(inside.phi), inside.pt * np.sin(inside.phi)
    lepton, hadron = (code == 11) | (code == 13), any_of(code, CHARGED_HADRONS)
    sign = ak.where(inside.id > 0, 1, -1)
    side = ak.where(
        jets.eta < 0, -1, 1
    )  # JetClass: delta eta grows away from the middle of the detector
    mass2 = jets.energy**2 - (jets.pt * np.cosh(jets.eta)) ** 2
    real = {
        "part_px": px,
        "part_py": py,
        "part_pz": inside.pt * np.sinh(inside.eta),
        "part_energy": inside.energy,
        "part_deta": (inside.eta - jets.eta) * side,
        "part_dphi": wrap_phi(inside.phi - jets.phi),
        "part_charge": ak.where(lepton, -sign, ak.where(hadron, sign, 0)),
        **{f"jet_{name}": jets[name] for name in ("pt", "eta", "phi", "energy")},
        "jet_mass": np.sqrt(np.maximum(mass2, 0)),
        "jet_nparticles": ak.num(inside),
        "aux_genpart_pid": jets.origin.id,
        "aux_genpart_pt": jets.origin.pt,
        "event_weight": weight,
    }
    flags = {
        "part_isChargedHadron": hadron,
        "part_isNeutralHadron": ~(hadron | lepton | (code == 22)),
        "part_isPhoton": code == 22,
        "part_isElectron": code == 11,
        "part_isMuon": code == 13,
        **{f"label_{name}": np.full(len(jets), name == label) for name in LABELS},
    }
    found = {name: ak.values_astype(values, np.float32) for name, values in real.items()}
    return found | {name: ak.values_astype(values, np.int32) for name, values in flags.items()}


def generate(
    kind: Kind, n_jets: int, *, seed: int, progress: Callable[[int], None] | None = None
) -> Iterator[dict[str, Any]]:
    """Branches of exactly `n_jets` jets in pieces of about `ROWS`."""
    if n_jets < 1:
        raise ValueError(f"{n_jets} jets were asked for, expected at least 1")
    rng = np.random.default_rng(seed)
    waiting: list[tuple[ak.Array, ak.Array]] = []
    done = n = 0
    for batch in batches(start((*kind.settings, *_FLAT), seed=seed), BATCH):
        jets = matched_jets(batch.prt, kind, rng)
        weight = ak.flatten(ak.broadcast_arrays(batch.info.weights[:, 0], jets.pt)[0])
        flat = ak.flatten(jets)[: n_jets - done - n]
        waiting.append((flat, weight[: len(flat)]))
        n += len(flat)
        if progress is not None:
            progress(len(flat))
        if n >= ROWS or done + n == n_jets:
            yield columns(
                *(ak.concatenate(parts) for parts in zip(*waiting, strict=True)), kind.label
            )
            done, n = done + n, 0
            waiting.clear()
        if done == n_jets:
            return


def write(path: str | Path, pieces: Iterator[dict[str, Any]]) -> None:
    """Write branches to the TTree ``tree`` of a new ROOT file.

    The file takes its name when it is complete.
    """
    with storage.new_file(path) as temporary, uproot.recreate(temporary) as file:
        for i, branches in enumerate(pieces):
            if i == 0:
                file["tree"] = branches
            else:
                file["tree"].extend(branches)


def main(arguments: list[str] | None = None) -> None:
    """Make one file of each kind."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}; by default the first two"
    )
    parser.add_argument("--events", type=int, default=10_000, help="jets in each file")
    parser.add_argument(
        "--seed", type=int, default=1, help="of the first file; the next has the next"
    )
    parser.add_argument("--output", default="jets", help="the folder of the files")
    options = parser.parse_args(arguments)
    if unknown := set(options.kinds) - set(KINDS):
        parser.error(f"unknown kind: {', '.join(sorted(unknown))}; choose from {', '.join(KINDS)}")
    for seed, name in enumerate(options.kinds or list(KINDS)[:2], start=options.seed):
        path = Path(options.output) / f"{name}.root"
        with progress_bar(name, "jets") as (bar, task):
            bar.update(task, total=options.events)
            try:
                write(
                    path,
                    generate(
                        KINDS[name],
                        options.events,
                        seed=seed,
                        progress=lambda n: bar.advance(task, n),
                    ),
                )
            except ValueError as error:
                parser.error(str(error))
        print(f"{path}: {options.events} jets")


if __name__ == "__main__":
    main()
