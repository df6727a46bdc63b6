"""The published design of a language model of jets, with torch's own layers.

From the description of arXiv:2303.07364. Embeddings of the three digits are summed, and a start is
in front. A causal pre-norm transformer reads jets that are cut and padded. One softmax over all ids
and stop predicts what comes next. With one digit it is the design of a vocabulary of learned codes
(arXiv:2403.05618).

The rule: what a user of torch would write. Padding stands behind the jet, where causal attention
needs no other mask for it.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hepmtp.events.ragged import Ints
from hepmtp.events.tokens import TokenBatch

#: Of a place without a token, which has no loss.
NOTHING = -100


class PaddedTransformer(nn.Module):
    """Predicts the next id or stop, of jets of at most so many tokens.

    Parameters
    ----------
    sizes
        values of each digit of an id.
    digits
        of all ids, (vocab_size, n_digits).
    """

    def __init__(
        self,
        sizes: list[int],
        digits: Ints,
        *,
        width: int,
        layers: int,
        heads: int,
        feedforward: int,
    ) -> None:
        super().__init__()
        self.digits: Tensor
        self.register_buffer("digits", torch.as_tensor(digits))
        self.stop = len(digits)
        self.start = nn.Parameter(torch.zeros(1, 1, width))
        self.embeddings = nn.ModuleList(nn.Embedding(size, width) for size in sizes)
        layer = nn.TransformerEncoderLayer(
            width, heads, feedforward, 0.0, activation="gelu", batch_first=True, norm_first=True
        )
        norm = nn.LayerNorm(width)
        self.encoder = nn.TransformerEncoder(layer, layers, norm, enable_nested_tensor=False)
        self.output = nn.Linear(width, self.stop + 1)

    def forward(self, ids: Tensor) -> Tensor:
        """Logits of what follows start and each id, (n_jets, 1 + n, vocab_size + 1)."""
        return self.output(self.hidden(ids))

    def hidden(self, ids: Tensor) -> Tensor:
        """The same before the last map, (n_jets, 1 + n, width)."""
        digits = self.digits[ids]
        x = sum(one(digits[..., i]) for i, one in enumerate(self.embeddings))
        x = torch.cat([self.start.expand(len(ids), -1, -1), x], dim=1)
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
        out: Tensor = self.encoder(x, mask=mask, is_causal=True)
        return out

    def loss(self, ids: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy of tokens and stops."""
        return F.cross_entropy(self(ids).flatten(0, 1), targets.flatten(), ignore_index=NOTHING)

    @torch.no_grad()
    def draw(self, n_jets: int, constituents: int, *, last_only: bool) -> Tensor:
        """Jets of so many constituents, each from all before it anew, (n_jets, constituents).

        Parameters
        ----------
        last_only
            compute logits of the last place alone, not all that the model gives.
        """
        ids = torch.zeros(n_jets, 0, dtype=torch.int64)
        for _ in range(constituents):
            logits = self.output(self.hidden(ids)[:, -1]) if last_only else self(ids)[:, -1]
            p = torch.softmax(logits[:, :-1], dim=1)
            ids = torch.cat([ids, torch.multinomial(p, 1)], dim=1)
        return ids


def padded(tokens: TokenBatch, longest: int, stop: int) -> tuple[Tensor, Tensor]:
    """Ids of jets, cut and padded, (n_jets, longest), and what follows, (n_jets, longest + 1).

    As published, a jet that was cut stops where it was cut.
    """
    counts = np.minimum(tokens.counts, longest)
    real = np.arange(longest) < counts[:, None]
    ids = np.zeros((len(tokens), longest), dtype=np.int64)
    ids[real] = tokens.values[(np.arange(longest) + tokens.offsets[:-1, None])[real]]
    targets = np.full((len(tokens), longest + 1), NOTHING)
    targets[:, :-1][real] = ids[real]
    targets[np.arange(len(tokens)), counts] = stop
    return torch.as_tensor(ids), torch.as_tensor(targets)
