"""Detector: particles of Pythia become jets, b-jets, leptons, photons and MET.

Resolutions are those of Delphes' ATLAS card.

The rule: a parametrisation, not a simulation: every particle is smeared by itself, efficiencies and
tags are drawn, there is neither magnetic field nor material. Functions take flat numpy arrays of
particles or whole batches of events; GeV, radians.
"""

from __future__ import annotations

from typing import Any

import awkward as ak
import fastjet
import numpy as np
from numpy.typing import NDArray

from hepmtp.events.particles import PARTICLE_TYPES
from hepmtp.events.ragged import wrap_phi
from hepmtp.events.record import behavior

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Of what the calorimeters and the tracker see.
MAX_ETA, TRACKER_ETA = 4.9, 2.5
INVISIBLE = (12, 14, 16, 1000022)
#: Those that live long enough to be seen; Pythia decays the others.
CHARGED_HADRONS = (211, 321, 2212)
LEPTON_PT, PHOTON_PT, JET_PT = 10.0, 20.0, 20.0
LEPTON_ETA = {11: 2.47, 13: 2.7}
PHOTON_ETA, JET_ETA = 2.37, 2.8
#: Of jets, and the distance within which a lepton belongs to one.
RADIUS = 0.4
ISOLATION_CONE, ISOLATION_PT = 0.3, 0.5
#: Largest sum of pt in the cone around e, mu and photons, as a fraction of their own pt.
ISOLATION = {11: 0.12, 13: 0.25, 22: 0.12}
#: The hadrons that make a jet a b- or c-jet, and how near they are to it.
FLAVOUR_PT, FLAVOUR_CONE = 5.0, 0.3


def visible(prt: ak.Array) -> ak.Array:
    """Final particles of Pythia that leave something in a perfect detector.

    Pt, eta, phi, energy and id (PDG code).
    """
    # Pythia rounds the energy of some photons to 0
    final = prt[(prt.status > 0) & (prt.p.e > 0)]
    seen = final[~any_of(np.abs(final.id), INVISIBLE)]
    p = seen.p
    pt = np.hypot(p.px, p.py)
    eta = np.arcsinh(
        p.pz / np.maximum(pt, 1e-9)
    )  # what leaves along the beam has no eta, and is cut
    particles = ak.zip(
        {"pt": pt, "eta": eta, "phi": np.arctan2(p.py, p.px), "energy": p.e, "id": seen.id}
    )
    return particles[np.abs(eta) < MAX_ETA]


def any_of(code: ak.Array, chosen: tuple[int, ...]) -> ak.Array:
    """Which of the PDG codes, events * particles, are among `chosen`."""
    return ak.unflatten(np.isin(ak.to_numpy(ak.flatten(code)), chosen), ak.num(code))


def resolution(code: Ints, energy: Floats, eta: Floats) -> Floats:
    """Relative energy resolution of particles with these PDG codes, shape (n_particles,).

    Electrons and photons 10 %/sqrt(E). Muons and charged hadrons with a track (|eta| < 2.5) 1 %, 2
    % beyond |eta| 1.5. Hadrons without one 52 %/sqrt(E) up to |eta| 1.7, 71 % up to 3.2, 94 %
    beyond.

    Examples
    --------
    >>> kinds, energies = np.array([22, 2112, 211]), np.array([100.0, 4.0, 4.0])
    >>> resolution(kinds, energies, np.array([0.0, 0.0, -2.0])).tolist()
    [0.01, 0.26, 0.02]
    """
    code, eta = np.abs(code), np.abs(eta)
    tracked = (code == 13) | (np.isin(code, CHARGED_HADRONS) & (eta < TRACKER_ETA))
    hadronic = np.select([eta < 1.7, eta < 3.2], [0.52, 0.71], 0.94) / np.sqrt(energy)
    found = np.where((code == 11) | (code == 22), 0.10 / np.sqrt(energy), hadronic)
    return np.asarray(np.where(tracked, np.where(eta < 1.5, 0.01, 0.02), found))


def smear(particles: ak.Array, rng: np.random.Generator) -> ak.Array:
    """The same particles with energy and pt smeared by one factor each.

    Log-normal, of mean 1, as in Delphes.
    """
    flat = {name: ak.to_numpy(ak.flatten(particles[name])) for name in ("id", "energy", "eta")}
    spread = resolution(flat["id"], flat["energy"], flat["eta"])
    factor = ak.unflatten(log_normal(spread, rng), ak.num(particles))
    changed = ak.with_field(particles, particles.energy * factor, "energy")
    return ak.with_field(changed, particles.pt * factor, "pt")


def log_normal(spread: Floats, rng: np.random.Generator) -> Floats:
    """Positive random numbers of mean 1 with this standard deviation each."""
    width = np.sqrt(np.log1p(spread**2))
    return np.asarray(np.exp(rng.normal(size=len(spread)) * width - width**2 / 2))


def lepton_efficiency(code: Ints, pt: Floats, eta: Floats) -> Floats:
    """Probability to find e, mu and photons above their thresholds, 0 below.

    Of track and identification together.

    Examples
    --------
    >>> kinds, pt = np.array([11, -13, 22, 22]), np.array([20.0, 20, 50, 15])
    >>> lepton_efficiency(kinds, pt, np.array([2.0, 0, 0, 0])).round(4).tolist()
    [0.7055, 0.9405, 0.95, 0.0]
    """
    code, eta = np.abs(code), np.abs(eta)
    identified = np.where(eta < 1.5, 0.95, 0.85)
    e_track, mu_track = np.where(eta < 1.5, 0.95, 0.83), np.where(eta < 1.5, 0.99, 0.98)
    found = [
        (code == 11) & (pt > LEPTON_PT) & (eta < LEPTON_ETA[11]),
        (code == 13) & (pt > LEPTON_PT) & (eta < LEPTON_ETA[13]),
        (code == 22) & (pt > PHOTON_PT) & (eta < PHOTON_ETA),
    ]
    return np.asarray(
        np.select(found, [identified * e_track, identified * mu_track, identified], 0.0)
    )


def tag_efficiency(pt: Floats, eta: Floats, flavour: Ints) -> Floats:
    """Probability of a b-tag for jets of this pt and flavour (5, 4 or 0).

    None without tracks, beyond |eta| 2.5.

    Examples
    --------
    >>> eta, flavour = np.array([0.0, 0, 0, 2.6]), np.array([5, 4, 0, 5])
    >>> tag_efficiency(np.full(4, 100.0), eta, flavour).round(4).tolist()
    [0.7283, 0.1439, 0.0027, 0.0]
    """
    b = 0.80 * np.tanh(0.003 * pt) * 30 / (1 + 0.086 * pt)
    c = 0.20 * np.tanh(0.02 * pt) / (1 + 0.0034 * pt)
    found = np.select([flavour == 5, flavour == 4], [b, c], 0.002 + 7.3e-6 * pt)
    return np.asarray(np.where(np.abs(eta) < TRACKER_ETA, found, 0.0))


def delta_r(first: ak.Array, second: ak.Array) -> ak.Array:
    """Distance in eta and phi of every one of `first` to every one of `second`.

    Events * first * second.
    """
    a, b = ak.unzip(ak.cartesian([first[["eta", "phi"]], second[["eta", "phi"]]], nested=True))
    return np.hypot(a.eta - b.eta, wrap_phi(a.phi - b.phi))


def near(first: ak.Array, second: ak.Array, distance: float) -> ak.Array:
    """Whether each of `first` has one of `second` within this distance: events * first."""
    return ak.any(delta_r(first, second) < distance, axis=-1)


def isolated(candidates: ak.Array, particles: ak.Array) -> ak.Array:
    """Whether the pt of the other particles around each candidate is a small part of its own.

    `candidates` are among `particles` and have their position there in the field ``at``.
    """
    others = particles[particles.pt > ISOLATION_PT]
    inside = delta_r(candidates, others) < ISOLATION_CONE
    itself, at = ak.unzip(ak.cartesian([candidates.at, others.at], nested=True))
    _, pt = ak.unzip(ak.cartesian([candidates.at, others.pt], nested=True))
    around = ak.sum(pt * (inside & (itself != at)), axis=-1)
    code = np.abs(candidates.id)
    limit = ak.where(code == 11, ISOLATION[11], ak.where(code == 13, ISOLATION[13], ISOLATION[22]))
    return around < limit * candidates.pt


def leptons_and_photons(particles: ak.Array, rng: np.random.Generator) -> ak.Array:
    """Which particles are found as isolated e, mu or photons.

    Bool, as many as there are particles.
    """
    flat = {name: ak.to_numpy(ak.flatten(particles[name])) for name in ("id", "pt", "eta")}
    chance = lepton_efficiency(flat["id"], flat["pt"], flat["eta"])
    found = rng.random(len(chance)) < chance
    counts = ak.num(particles)
    numbered = ak.with_field(particles, ak.local_index(particles, axis=1), "at")
    candidates = numbered[ak.unflatten(found, counts)]
    found[np.flatnonzero(found)[~ak.to_numpy(ak.flatten(isolated(candidates, numbered)))]] = False
    return ak.unflatten(found, counts)


def cluster(particles: ak.Array, radius: float) -> Any:
    """Anti-kt clusters of the particles of each event."""
    momenta = {
        "px": particles.pt * np.cos(particles.phi),
        "py": particles.pt * np.sin(particles.phi),
        "pz": particles.pt * np.sinh(particles.eta),
        "E": particles.energy,
    }
    array = ak.zip(momenta, with_name="Momentum4D", behavior=behavior)
    return fastjet.ClusterSequence(array, fastjet.JetDefinition(fastjet.antikt_algorithm, radius))


def pt_eta_phi(jets: ak.Array) -> dict[str, ak.Array]:
    """The columns pt, eta, phi and energy of jets of fastjet."""
    pt = np.hypot(jets.px, jets.py)
    return {
        "pt": pt,
        "eta": np.arcsinh(jets.pz / pt),
        "phi": np.arctan2(jets.py, jets.px),
        "energy": jets.E,
    }


def heavy_hadrons(prt: ak.Array, quark: int) -> ak.Array:
    """Hadrons with a quark of this flavour (4 or 5) and none heavier.

    Excited ones and those that decay later are included.
    """
    code = np.abs(prt.id)
    digits = [code // 100 % 10, code // 1000 % 10]
    hadrons = prt[(code > 100) & (code < 1_000_000) & ((digits[0] == quark) | (digits[1] == quark))]
    p = hadrons.p
    pt = np.hypot(p.px, p.py)
    hadrons, pt, p = (array[pt > FLAVOUR_PT] for array in (hadrons, pt, p))
    return ak.zip({"eta": np.arcsinh(p.pz / pt), "phi": np.arctan2(p.py, p.px)})


def tagged(jets: ak.Array, prt: ak.Array, rng: np.random.Generator) -> ak.Array:
    """Which jets are b-tagged: events * jets."""
    is_b, is_c = (near(jets, heavy_hadrons(prt, quark), FLAVOUR_CONE) for quark in (5, 4))
    flavour = ak.to_numpy(ak.flatten(ak.where(is_b, 5, ak.where(is_c, 4, 0))))
    chance = tag_efficiency(
        ak.to_numpy(ak.flatten(jets.pt)), ak.to_numpy(ak.flatten(jets.eta)), flavour
    )
    return ak.unflatten(rng.random(len(chance)) < chance, ak.num(jets))


def reconstruct(prt: ak.Array, rng: np.random.Generator) -> tuple[ak.Array, ak.Array]:
    """Particles (pt, eta, phi, energy, type; by falling pt) and MET (pt, phi) of a batch."""
    seen = smear(visible(prt), rng)
    found = leptons_and_photons(seen, rng)
    jets = ak.zip(pt_eta_phi(cluster(seen[~found], RADIUS).inclusive_jets(min_pt=JET_PT)))
    jets = jets[ak.argsort(jets.pt, axis=1, ascending=False)]
    jets = jets[np.abs(jets.eta) < JET_ETA]
    jets = ak.with_field(jets, ak.values_astype(tagged(jets, prt, rng), np.int8), "type")
    single = seen[found]
    single = single[(single.id == 22) | ~near(single, jets, RADIUS)]
    single = ak.with_field(single, particle_type(single.id), "type")
    fields = ["pt", "eta", "phi", "energy", "type"]
    particles = ak.concatenate([jets[fields], single[fields]], axis=1)
    px, py = (-ak.sum(seen.pt * turn(seen.phi), axis=1) for turn in (np.cos, np.sin))
    met = ak.zip({"pt": np.hypot(px, py), "phi": np.arctan2(py, px)})
    return particles[ak.argsort(particles.pt, axis=1, ascending=False)], met


def particle_type(code: ak.Array) -> ak.Array:
    """Index into `PARTICLE_TYPES` of e, mu and photons with these PDG codes."""
    found = ak.full_like(code, PARTICLE_TYPES.index("g"))
    for number, name in ((-11, "e+"), (11, "e-"), (-13, "m+"), (13, "m-")):
        found = ak.where(code == number, PARTICLE_TYPES.index(name), found)
    return ak.values_astype(found, np.int8)
