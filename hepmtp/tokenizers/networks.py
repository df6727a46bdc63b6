"""Parts of the networks of learned tokenizers: quantisers, and residual layers over particles."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from torch import Tensor, nn

from hepmtp.models.attention import Block
from hepmtp.models.groups import Group

if TYPE_CHECKING:
    from hepmtp.tokenizers.autoencoder import AutoencoderOptions


class Quantiser(nn.Module, ABC):
    """Turns a latent vector into one of `n_codes` codes, each standing for `dim` numbers."""

    dim: int
    n_codes: int

    @abstractmethod
    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors of the codes of z with gradients to z, (n, dim), and the quantiser's own loss."""

    @abstractmethod
    def codes(self, z: Tensor) -> Tensor:
        """Codes of z, int64, (n,), in the precision of z."""

    @abstractmethod
    def vectors(self) -> Tensor:
        """The vector of each code, (n_codes, dim)."""


class Layers(nn.Module):
    """Residual blocks over particles: an MLP of each by itself, or a transformer over the event."""

    def __init__(self, inputs: int, outputs: int, options: AutoencoderOptions) -> None:
        super().__init__()
        width = options.width
        self.first = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList(
            Block(width, options.heads, 2 * width) if options.context else _ResidualMLP(width)
            for _ in range(options.layers)
        )
        self.last = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, outputs))

    def forward(self, x: Tensor, groups: list[Group]) -> Tensor:
        """(n_particles, inputs) to (n_particles, outputs); particles sorted as `groups` says."""
        x = self.first(x)
        for block in self.blocks:
            x = block(x, groups)
        out: Tensor = self.last(x)
        return out


class _ResidualMLP(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor, groups: list[Group]) -> Tensor:  # noqa: ARG002 - as Block has it
        out: Tensor = x + self.layers(x)
        return out
