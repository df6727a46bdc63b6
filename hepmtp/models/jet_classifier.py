"""A classifier of jets: the backbone of the autoregressive model and a small head.

The rule: the backbone stays as it is, causal and without padding, so that a language model's
weights fit. The head reads the mean over all rows of a jet, and the last one, which has seen all.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hepmtp.models.autoregressive import AutoregressiveModel


class JetClassifier(nn.Module):
    """One logit for each jet: positive for jets of the second class.

    Parameters
    ----------
    backbone
        a language model, trained or not; it becomes a part of the classifier, and is no copy.
    """

    def __init__(self, backbone: AutoregressiveModel) -> None:
        super().__init__()
        width = backbone.options.width
        self.backbone = backbone
        self.head = nn.Sequential(
            nn.LayerNorm(2 * width), nn.Linear(2 * width, width), nn.GELU(), nn.Linear(width, 1)
        )

    @property
    def n_parameters(self) -> int:
        """Parameters that the logit depends on: those of predictions do not count."""
        unused = ("table", "mixers", "given", "outputs")
        return sum(
            one.numel()
            for name, one in self.named_parameters()
            if name.split(".")[0] == "head" or name.split(".")[1] not in unused
        )

    def forward(self, values: Tensor, offsets: Tensor) -> Tensor:
        """Logit of each jet, (n_jets,).

        Parameters
        ----------
        values, offsets
            of :class:`hepmtp.events.tokens.TokenBatch`, jets by rising multiplicity.
        """
        return self.of_features(self.features(values, offsets))

    def features(self, values: Tensor, offsets: Tensor) -> Tensor:
        """What the head reads of each jet, (n_jets, 2 x width)."""
        hidden = self.backbone.hidden(values, offsets)  # (n_tokens + n_jets, width)
        rows = offsets.diff() + 1
        jet = torch.repeat_interleave(torch.arange(len(rows), device=rows.device), rows)
        total = hidden.new_zeros((len(rows), hidden.shape[1])).index_add(0, jet, hidden)
        return torch.cat([total / rows[:, None], hidden[rows.cumsum(0) - 1]], dim=1)

    def of_features(self, features: Tensor) -> Tensor:
        """Logit of jets whose features are known, (n_jets,)."""
        logits: Tensor = self.head(features)[:, 0]
        return logits
