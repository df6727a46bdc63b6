"""Parts that graphs of detectors are made of: tokens, curves, tails, surprises.

The rule: tensors in, tensors out, by steps that ONNX knows, whatever the number of events and of
particles. Bins and tails are computed in float64, as those of the detectors are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from hepmtp.errors import OptionError, fitted
from hepmtp.events.particles import PARTICLE_TYPES
from hepmtp.events.ragged import Floats
from hepmtp.statistics.fisher import TailCombination
from hepmtp.tokenizers import Tokenizer
from hepmtp.tokenizers.lookup import LookupTokenizer

#: Columns of a particle and of the missing momentum, float64.
PARTICLE_COLUMNS = ("pt [GeV]", "eta", "phi [rad]", "energy [GeV]", "type")
MET_COLUMNS = ("pt [GeV]", "phi [rad]")
PT, ETA, PHI, ENERGY, TYPE = range(5)


class Graph(nn.Module):
    """A torch module of (n_events, n, 5) particles and (n_events, 2) MET that gives (n_events,).

    Attributes
    ----------
    plain
        what it was made from, as plain data.
    """

    plain: dict[str, Any]

    def array(self, name: str, values: ArrayLike) -> None:
        """Keep numbers as a buffer of this name."""
        self.register_buffer(name, torch.as_tensor(np.ascontiguousarray(values)))


class Lookup(Graph):
    """Ids of each event's particles, then of MET, then of METphi, int64, (n_events, n_tokens)."""

    place: Tensor  #: of each particle type in the order of the tokenizer
    pt: Tensor  #: edges, as those of eta
    eta: Tensor
    met_edges: Tensor

    def __init__(self, tokens: LookupTokenizer) -> None:
        super().__init__()
        bins = fitted(tokens.bins_, tokens)
        self.abs_eta, self.phi_bins = tokens.abs_eta, tokens.phi_bins
        self.met_phi_bins = tokens.met_phi_bins
        self.array("place", np.argsort([PARTICLE_TYPES.index(one) for one in tokens.types]))
        self.array("pt", bins["pt"].edges)
        self.array("eta", bins["eta"].edges)
        self.n_ids = len(tokens.particle_digits)
        self.met = tokens.met_ is not None
        if tokens.met_ is not None:
            self.array("met_edges", tokens.met_.edges)
        self.plain = {
            "kind": "lookup",
            "types": list(tokens.types),
            "pt_edges": bins["pt"].edges.tolist(),
            "abs_eta" if self.abs_eta else "eta": True,
            "eta_edges": bins["eta"].edges.tolist(),
            "phi_bins": self.phi_bins,
            "met_edges": tokens.met_.edges.tolist() if tokens.met_ is not None else None,
            "met_phi_bins": self.met_phi_bins,
            "id": "((type * n_pt + pt) * n_eta + eta) * n_phi + phi, then MET, then METphi",
        }

    def forward(self, particles: Tensor, met: Tensor) -> Tensor:
        eta = particles[:, :, ETA]
        eta = eta.abs() if self.abs_eta else eta
        ids = self.place[particles[:, :, TYPE].long()]
        ids = ids * (len(self.pt) + 1) + digitize(particles[:, :, PT], self.pt)
        ids = ids * (len(self.eta) + 1) + digitize(eta, self.eta)
        if self.phi_bins:
            ids = ids * self.phi_bins + _phi_bin(particles[:, :, PHI], self.phi_bins)
        parts, first = [ids], self.n_ids
        if self.met:
            parts.append(first + digitize(met[:, :1], self.met_edges))
            first += len(self.met_edges) + 1
        if self.met_phi_bins:
            parts.append(first + _phi_bin(met[:, 1:], self.met_phi_bins))
        return torch.cat(parts, dim=1)


def tokens_of(tokenizer: Tokenizer) -> Lookup:
    """The graph of a tokenizer; raises OptionError for one that has none."""
    if type(tokenizer) is LookupTokenizer:
        return Lookup(tokenizer)
    raise OptionError(
        f"a tokenizer of the kind {type(tokenizer).__name__} cannot be exported: only look-up "
        "tables (LookupTokenizer) can; train the detector with one"
    )


def digitize(values: Tensor, edges: Tensor) -> Tensor:
    """Number of rising edges that are not above each value, as numpy.digitize."""
    return (values[..., None] >= edges).long().sum(dim=-1)


def _phi_bin(phi: Tensor, n: int) -> Tensor:
    index = torch.ceil((phi + np.pi) * (n / (2 * np.pi))).long() - 1
    return (index + n) % n


class Curve(Graph):
    """Straight lines between points, and the end values beyond them, as numpy.interp."""

    x: Tensor
    y: Tensor
    slope: Tensor

    def __init__(self, x: Floats, y: Floats) -> None:
        super().__init__()
        slope = np.diff(y) / np.diff(x) if len(x) > 1 else np.zeros(1)
        for name, values in (("x", x), ("y", y), ("slope", slope)):
            self.array(name, values)

    def forward(self, asked: Tensor) -> Tensor:
        asked = torch.minimum(torch.maximum(asked, self.x[0]), self.x[-1])
        index = digitize(asked, self.x[1:-1])
        return self.y[index] + (asked - self.x[index]) * self.slope[index]


def curves(points: Iterable[Iterable[Floats]]) -> nn.ModuleList:
    """A `Curve` of each pair of x and y."""
    return nn.ModuleList(Curve(*one) for one in points)


class Tails(Graph):
    """Fisher's combination of tail probabilities, (n_events, n) to (n_events,)."""

    def __init__(self, tails: TailCombination) -> None:
        super().__init__()
        slopes = fitted(tails.slope_, tails)
        points = list(zip(tails.values_, tails.surprise_, strict=True))
        self.curves = curves(points)
        self.slopes = slopes.tolist()
        self.plain = {
            "values": [values.tolist() for values, _ in points],
            "minus_ln_p": [surprise.tolist() for _, surprise in points],
            "slope_beyond": self.slopes,
        }

    def forward(self, x: Tensor) -> Tensor:
        total = torch.zeros_like(x[:, 0])
        for column in self.surprises(x):
            total = total + column
        return total

    def surprises(self, x: Tensor) -> list[Tensor]:
        """-ln p of each component."""
        found = []
        lines = cast("Iterable[Curve]", self.curves)
        for column, (curve, slope) in enumerate(zip(lines, self.slopes, strict=True)):
            beyond = torch.clamp(x[:, column] - curve.x[-1], min=0.0)
            found.append(curve(x[:, column]) + beyond * slope)
        return found


def moments(log_p: Tensor, true: Tensor) -> tuple[Tensor, ...]:
    """Surprise, expected, variance and tail, as hepmtp.detectors.masked_token.surprise has them."""
    truth, p = true.clamp(min=0)[:, None], log_p.exp()
    entropy = -(p * log_p).sum(dim=1)
    variance = ((p * log_p**2).sum(dim=1) - entropy**2).clamp(min=0)
    own = log_p.gather(1, truth)[:, 0]
    at_least = torch.arange(log_p.shape[1]) >= truth
    above = torch.where(at_least, p, 0.0).sum(dim=1) - own.exp() / 2
    return -own, entropy, variance, -above.log()
