"""A variational autoencoder on event features: how badly a few latent variables tell an event.

The rule: the score is the negative evidence lower bound with the latent variables at their mean,
so that it is not random.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from hepmtp.detectors.event_network import EventNetwork, NetworkDetector
from hepmtp.errors import OptionError

#: Smallest standard deviation of a reconstructed feature, in units of background's: keeps the
#: density bounded.
SMALLEST_SIGMA = 0.1


class VariationalAutoencoder(EventNetwork):
    """Encoder to normal latent variables; decoder with a standard deviation for each feature."""

    def __init__(self, n_features: int, hidden: tuple[int, ...], latent: int) -> None:
        super().__init__()
        self.latent = latent
        self.encoder = perceptron((n_features, *hidden, 2 * latent))
        self.decoder = perceptron((latent, *reversed(hidden), n_features))
        self.log_sigma = nn.Parameter(torch.zeros(n_features, dtype=torch.float64))

    def loss(self, x: Tensor) -> Tensor:
        """Negative evidence lower bound of each event, random latent variables, (n_events,)."""
        mean, log_sigma = self._encode(x)
        return self._bound(x, mean, log_sigma, mean + log_sigma.exp() * torch.randn_like(mean))

    def score(self, x: Tensor) -> Tensor:
        """The negative bound with latent variables at their mean, shape (n_events,)."""
        mean, log_sigma = self._encode(x)
        return self._bound(x, mean, log_sigma, mean)

    def _encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_sigma = self.encoder(x).split(self.latent, dim=1)
        return mean, log_sigma.clamp(
            -8.0, 8.0
        )  # an event far out must not give an infinite variance

    def _bound(self, x: Tensor, mean: Tensor, log_sigma: Tensor, z: Tensor) -> Tensor:
        sigma = self.log_sigma.exp() + SMALLEST_SIGMA
        pull = (x - self.decoder(z)) / sigma
        missed: Tensor = (0.5 * pull**2 + sigma.log() + 0.5 * math.log(2 * math.pi)).sum(dim=1)
        divergence: Tensor = (0.5 * (mean**2 + (2 * log_sigma).exp() - 1) - log_sigma).sum(dim=1)
        return missed + divergence


def perceptron(sizes: tuple[int, ...]) -> nn.Sequential:
    """Linear layers of these widths with SiLU between them, float64."""
    layers: list[nn.Module] = []
    for n, m in pairwise(sizes):
        layers += [nn.Linear(n, m, dtype=torch.float64), nn.SiLU()]
    return nn.Sequential(*layers[:-1])


@dataclass(eq=False)
class VAE(NetworkDetector):
    """Reconstruction error plus Kullback-Leibler divergence (Kingma and Welling, arXiv:1312.6114).

    The decoder's standard deviations are learned, one for each feature (Rybkin et al.,
    arXiv:2006.13202), so that no weight between the two terms has to be chosen.

    Parameters
    ----------
    hidden
        widths of the encoder's hidden layers; the decoder's are the same, the other way round.
    latent
        number of latent variables.
    """

    name: str = "vae"
    hidden: tuple[int, ...] = (128, 128)
    latent: int = 10

    label = "VAE score"

    def __post_init__(self) -> None:
        if min(*self.hidden, self.latent) < 1:
            raise OptionError(
                f"hidden and latent must be 1 or more, found {self.hidden} and {self.latent}"
            )

    @property
    def description(self) -> str:
        """What the score is, in a sentence."""
        return (
            "Reconstruction error plus divergence of a variational autoencoder of"
            f" {len(self.features)} event features with {self.latent} latent variables."
        )

    def _network(self) -> VariationalAutoencoder:
        return VariationalAutoencoder(len(self.features), self.hidden, self.latent)
