"""VQ-VAE tokens: every particle becomes the nearest of a few hundred learned vectors.

The rule: while training goes on, codes that fall out of use are moved to where particles are. The
codebook then is in use as a whole; without that most of it dies.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F
from vector_quantize_pytorch import VectorQuantize

from hepmtp.errors import OptionError
from hepmtp.tokenizers.learned import LearnedTokenizer
from hepmtp.tokenizers.networks import Quantiser

#: A code that fewer particles of a batch take, in its moving average, is dead. With 512 codes each
#: gets about eight.
DEAD_BELOW = 2


@dataclass(eq=False, kw_only=True)
class VQVAETokenizer(LearnedTokenizer):
    """Tokens of a vector-quantised autoencoder (van den Oord et al., arXiv:1711.00937).

    The codebook starts from k-means on the encoder's output, follows the particles by moving
    averages and compares by cosine (Yu et al., arXiv:2110.04627). Dead codes are replaced by
    particles of the batch. Trained on the embedded background, the default has all 512 codes in use
    on the held-out part of it, with a perplexity of 504.

    Parameters
    ----------
    codebook_size
        number of codes.
    codebook_dim
        numbers in a code's vector; few, such as 8 to 32, help to keep codes alive.
    options, met_bins, met_phi_bins
        of `LearnedTokenizer`.

    Examples
    --------
    >>> VQVAETokenizer().factors
    (('type', 7), ('code', 512), ('MET', 5), ('METphi', 5))
    """

    codebook_size: int = 512
    codebook_dim: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.codebook_size < 2 or self.codebook_dim < 2:
            raise OptionError(
                "codebook_size and codebook_dim must be 2 or more, "
                f"found {self.codebook_size} and {self.codebook_dim}"
            )

    @property
    def code_factors(self) -> tuple[tuple[str, int], ...]:
        """The code is one digit."""
        return (("code", self.codebook_size),)

    def quantiser(self) -> Quantiser:
        """A new codebook."""
        return Codebook(self.codebook_size, self.codebook_dim)


class Codebook(Quantiser):
    """Vectors on the unit sphere; a code is the one with the largest cosine."""

    def __init__(self, n_codes: int, dim: int) -> None:
        super().__init__()
        self.n_codes, self.dim = n_codes, dim
        self.quantise = VectorQuantize(
            dim,
            n_codes,
            decay=0.9,
            kmeans_init=True,
            use_cosine_sim=True,
            threshold_ema_dead_code=DEAD_BELOW,
            commitment_weight=0.25,
        )

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors of the codes of z, (n, dim), and how far z is from them."""
        vectors, _, loss = self.quantise(z[None])
        return vectors[0], loss

    def codes(self, z: Tensor) -> Tensor:
        """Codes of z, (n,); the library's own search runs in float32."""
        return (F.normalize(z, dim=1) @ self.vectors().T).argmax(dim=1)

    def vectors(self) -> Tensor:
        """The codebook, (n_codes, dim)."""
        codebook: Tensor = self.quantise.codebook
        return codebook
