"""Sums over the constituents so far, as inputs of a causal model.

The rule: they follow from earlier tokens alone, by the centres of their bins, so that causality and
density stay exact.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from hepmtp.events.ragged import Floats, Ints
from hepmtp.models.groups import Group

#: Number of sums, and of what is read of them.
N_SUMS, N_READ = 11, 9


class RunningSums(nn.Module):
    """Number, pt, centroid, second moments and mass of the tokens before each one.

    Parameters
    ----------
    centres
        log pt, eta and phi of each digit.
    digits
        of each id, (vocab_size, 3).
    width
        features that they are mapped to.
    """

    def __init__(self, centres: Sequence[Floats], digits: Ints, width: int) -> None:
        super().__init__()
        log_pt, eta, phi = (one[column] for one, column in zip(centres, digits.T, strict=True))
        pt = np.exp(log_pt)
        terms = [np.ones_like(pt), pt, pt * eta, pt * phi, pt * eta**2, pt * phi**2, pt * eta * phi]
        terms += [pt * np.cosh(eta), pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)]
        # in float64: a mass is a small difference of large numbers
        self.terms: Tensor
        self.register_buffer("terms", torch.as_tensor(np.stack(terms, axis=1)), persistent=False)
        self.map = nn.Linear(N_READ, width)

    def zero(self, n_jets: int) -> Tensor:
        """The sums of so many jets at their start, (n_jets, N_SUMS)."""
        return self.terms.new_zeros((n_jets, N_SUMS))

    def add(self, sums: Tensor, values: Tensor) -> Tensor:
        """The sums with one more token each."""
        return sums + self.terms[values]

    def forward(self, values: Tensor, groups: list[Group]) -> Tensor:
        """What each row reads, (n_tokens + n_jets, width); a group's rows are its tokens and 1."""
        parts, token = [], 0
        for n_jets, rows in groups:
            ids = values[token : token + n_jets * (rows - 1)]
            of_jets = self.terms[ids].reshape(n_jets, rows - 1, N_SUMS).cumsum(dim=1)
            start = self.zero(n_jets)[:, None]
            parts.append(torch.cat([start, of_jets], dim=1).reshape(-1, N_SUMS))
            token += n_jets * (rows - 1)
        return self.read(torch.cat(parts) if parts else self.zero(0))

    def read(self, sums: Tensor) -> Tensor:
        """What the model reads of the sums, (n, width)."""
        number, pt, eta, phi, eta2, phi2, product, energy, px, py, pz = sums.unbind(dim=1)
        scale = 1 / pt.clamp(min=1e-9)
        eta, phi = eta * scale, phi * scale
        mass = (energy**2 - px**2 - py**2 - pz**2).clamp(min=0).sqrt()
        found = [torch.log1p(number) / 4, torch.log1p(pt) / 7, 5 * eta, 5 * phi]
        found += [5 * (eta2 * scale - eta**2).clamp(min=0).sqrt()]
        found += [5 * (phi2 * scale - phi**2).clamp(min=0).sqrt()]
        found += [20 * (product * scale - eta * phi), torch.log1p(mass) / 5, 3 * mass * scale]
        out: Tensor = self.map(torch.stack(found, dim=1).to(self.map.weight.dtype))
        return out
