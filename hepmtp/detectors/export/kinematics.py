"""The numbers of an event that networks read, as a graph; the truth is hepmtp.events.kinematics.

The rule: one particle that is of no type is put in front, so that no event is empty.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor
from torch.nn.functional import pad

from hepmtp.detectors.export.parts import Graph, Tails
from hepmtp.detectors.stranger import StrangerDetector
from hepmtp.errors import fitted
from hepmtp.events.kinematics import FALLING, HARD, KINEMATICS
from hepmtp.events.particles import B_JET, LEPTONS, PHOTON

#: A type that no particle has.
_NONE = 99.0
#: pt of so many particles of a kind are read at most.
_MOST = 6


class Networks(Graph):
    """Numbers of an event, their tails in background, and the mean logit of the networks."""

    def __init__(self, detector: StrangerDetector) -> None:
        super().__init__()
        # onnxruntime has no GELU in float64
        self.network = copy.deepcopy(fitted(detector.network_, detector)).float()
        self.tails = Tails(fitted(detector.tails_, detector))
        self.plain = {"kind": "stranger", "reads": list(KINEMATICS), "tails": self.tails.plain}

    def forward(self, particles: Tensor, met: Tensor) -> Tensor:
        """Scores, (n_events,)."""
        x = torch.stack(self.tails.surprises(numbers(particles, met)), dim=1)
        logits: Tensor = self.network(x.float()).double().mean(dim=0)
        return logits


def numbers(particles: Tensor, met: Tensor) -> Tensor:
    """`KINEMATICS` of each event, (n_events, n_features), `FALLING` negative."""
    particles = pad(particles, (0, 0, 1, 0))
    pt, eta, phi, energy, kind = particles.unbind(dim=2)
    kind = torch.cat([torch.full_like(kind[:, :1], _NONE), kind[:, 1:]], dim=1)
    jet, b_jet = kind <= B_JET, kind == B_JET
    lepton = (kind >= LEPTONS[0]) & (kind <= LEPTONS[-1])
    missing, angle = met.unbind(dim=1)
    ht = pt.sum(dim=1)
    masses = _masses(pt, eta, phi, energy)
    of_jets, of_b = (_pairs(one) for one in (jet, b_jet))
    mt = torch.sqrt(2 * pt * missing[:, None] * (1 - torch.cos(phi - angle[:, None])))
    # as where there is no lepton, 0
    smallest = torch.where(lepton, mt, torch.inf).amin(dim=1)
    n_jets, n_pairs = (one.double().sum(dim=1) for one in (jet, of_jets.flatten(1)))
    found = {
        "n_jets": n_jets,
        "n_b": b_jet.double().sum(dim=1),
        "n_leptons": lepton.double().sum(dim=1),
        "n_photons": (kind == PHOTON).double().sum(dim=1),
        "ht": ht,
        "met": missing,
        "jet_abs_eta": torch.where(jet, eta.abs(), 0.0).sum(dim=1) / n_jets.clamp(min=1),
        "jet_ht": torch.where(jet, pt, 0.0).sum(dim=1),
        "n_hard_jets": (jet & (pt > HARD)).double().sum(dim=1),
        "met_significance": missing / ht.clamp(min=1).sqrt(),
        "smallest_mt": torch.where(lepton.any(dim=1), smallest, 0.0),
        "largest_mt": torch.where(lepton, mt, 0.0).amax(dim=1),
        "largest_mass": torch.where(of_jets, masses, 0.0).flatten(1).amax(dim=1),
        "mean_mass": torch.where(of_jets, masses, 0.0).flatten(1).sum(dim=1) / n_pairs.clamp(min=1),
        "largest_b_mass": torch.where(of_b, masses, 0.0).flatten(1).amax(dim=1),
    }
    for name, chosen in (("jet_pt", jet), ("b_pt", b_jet), ("lepton_pt", lepton)):
        leading = _leading(torch.where(chosen, pt, 0.0))
        found |= {f"{name}_{i + 1}": one for i, one in enumerate(leading.unbind(dim=1))}
    columns = [-found[name] if name in FALLING else found[name] for name in KINEMATICS]
    return torch.stack(columns, dim=1)


def _leading(pt: Tensor) -> Tensor:
    """The largest `_MOST` of each event, falling, 0 where there is none."""
    return torch.topk(pad(pt, (0, _MOST)), _MOST, dim=1).values


def _masses(pt: Tensor, eta: Tensor, phi: Tensor, energy: Tensor) -> Tensor:
    """Of all pairs, (n_events, n, n)."""
    sinh = (eta.exp() - (-eta).exp()) / 2  # which onnxruntime does not have in float64
    squared = (energy[:, :, None] + energy[:, None, :]) ** 2
    for one in (pt * torch.cos(phi), pt * torch.sin(phi), pt * sinh):
        squared = squared - (one[:, :, None] + one[:, None, :]) ** 2
    return squared.clamp(min=0.0).sqrt()


def _pairs(chosen: Tensor) -> Tensor:
    """Which pairs of places are two chosen ones, each pair once, (n_events, n, n)."""
    place = torch.ones_like(chosen, dtype=torch.int64).cumsum(dim=1)
    return chosen[:, :, None] & chosen[:, None, :] & (place[:, :, None] < place[:, None, :])
