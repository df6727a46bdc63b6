"""Toy jets for tests: a few prongs, each a spray of particles whose pt falls by shares."""

from __future__ import annotations

import awkward as ak
import numpy as np

from hepmtp.events.particles import CONSTITUENT_TYPES
from hepmtp.events.record import Role, behavior, make_events


def toy_jets(
    n: int, *, prongs: int = 1, seed: int = 0, role: Role | None = "background", source: int = 7
) -> ak.Array:
    """Jets of 500 to 1000 GeV and about eight constituents for each prong, with ``Jet``, label."""
    rng = np.random.default_rng(seed)
    counts = np.zeros(n, dtype=np.int64)
    columns: list[np.ndarray] = []
    for jet in range(n):
        pt = rng.uniform(500, 1000)
        axis = rng.uniform(-1.5, 1.5), rng.uniform(-np.pi, np.pi)
        parts = []
        for share in rng.dirichlet(np.full(prongs, 3.0)):
            centre = rng.normal(0, 0.25, 2) * (prongs > 1)
            m = 1 + rng.poisson(7)
            shares = rng.dirichlet(np.full(m, 0.6)) * share * pt + 0.3
            spread = rng.normal(0, 0.06, (2, m)) + centre[:, None]
            parts.append(np.stack([shares, axis[0] + spread[0], axis[1] + spread[1]]))
        one = np.concatenate(parts, axis=1)
        counts[jet] = one.shape[1]
        columns.append(one[:, np.argsort(-one[0], kind="stable")])
    pt, eta, phi = np.concatenate(columns, axis=1)
    phi = (phi + np.pi) % (2 * np.pi) - np.pi
    energy = np.hypot(pt * np.cosh(eta), 0.14)
    nothing = np.zeros(n)
    events = make_events(
        counts=counts, pt=pt, eta=eta, phi=phi, energy=energy, type=np.full(len(pt), 7),
        met=nothing, met_phi=nothing, source=source, types=CONSTITUENT_TYPES,
        dataset=f"toy{prongs}", role=role,
    )  # fmt: skip
    total = ak.zip(
        {
            "px": ak.sum(events.Particle.px, axis=1), "py": ak.sum(events.Particle.py, axis=1),
            "pz": ak.sum(events.Particle.pz, axis=1),
            "energy": ak.sum(events.Particle.energy, axis=1),
        },
        with_name="Momentum4D", behavior=behavior,
    )  # fmt: skip
    jet = {name: getattr(total, name) for name in ("pt", "eta", "phi", "energy")}
    events = ak.with_field(events, ak.zip(jet, with_name="Momentum4D", behavior=behavior), "Jet")
    return ak.with_field(events, np.full(n, 0 if prongs == 1 else 8, dtype=np.int8), "label")
