"""The static control: a model that gives every token the same probabilities, whatever is around it.

The rule: nothing is read. It learns how frequent each class of each head is in background, and no
more, so that the difference to a transformer is what the rest of the event tells.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hepmtp.events.ragged import Ints
from hepmtp.models import TokenModel, check_ids


@dataclass(frozen=True)
class MarginalOptions:
    """What a `MarginalModel` is made from: nothing to choose."""

    def build(self, factors: tuple[tuple[str, int], ...], digits: Ints) -> MarginalModel:
        """The model, all classes of a head alike."""
        return MarginalModel(factors, digits)


class MarginalModel(TokenModel):
    """One number for each class of each head: the logarithm of its frequency.

    Parameters
    ----------
    factors, digits
        of :class:`hepmtp.tokenizers.Tokenizer`.
    """

    def __init__(self, factors: tuple[tuple[str, int], ...], digits: Ints) -> None:
        super().__init__()
        self.heads, self.targets, self.vocab_size = factors, digits, len(digits)
        self.one_pass = True
        self.logits = nn.ParameterList(torch.zeros(size) for _, size in factors)

    def log_probabilities(
        self,
        values: Tensor,
        offsets: Tensor,  # noqa: ARG002
        at: Tensor,
        features: Tensor | None = None,  # noqa: ARG002
    ) -> list[Tensor]:
        """As `TokenModel` says."""
        check_ids(values, self.vocab_size + len(self.kinds))
        return [torch.log_softmax(one, dim=0).expand(len(at), -1) for one in self.logits]
