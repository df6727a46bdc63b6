"""Models: ids become probabilities.

The rule: no padding and no event cut short; a hidden token is a mask id, at vocab_size or above.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hepmtp.errors import OptionError, TokenError
from hepmtp.events.tokens import TokenBatch
from hepmtp.models.heads import Head, kinds_of


class TokenModel(nn.Module, ABC):
    """What training and scoring ask of a model: a torch module with these members.

    A detector makes it from a record of options, by ``options.build(factors, digits)`` with those of
    its tokenizer; the record is plain data, so that the model can be saved and made again.

    Attributes
    ----------
    heads
        name and size of each softmax.
    targets
        class of each id in each head, int64, (vocab_size, n_heads), -1 where a head does not apply.
    one_pass
        True: a position is predicted from all others though nothing is hidden. False: what is to be
        predicted is replaced by its mask id, one token at a time in scoring.
    """

    heads: Sequence[Head]
    targets: Tensor
    one_pass: bool

    @abstractmethod
    def predict(
        self,
        values: Tensor,
        offsets: Tensor,
        at: Tensor | None = None,
        features: Tensor | None = None,
    ) -> list[Tensor]:
        """Log-probabilities of the classes of each head, a list of (n_asked, size).

        Parameters
        ----------
        values, offsets
            ids or mask ids, int64, (n_tokens,), and int64, (n_events + 1,). Training and scoring
            give events by rising multiplicity.
        at
            flat positions that are asked for, int64, (n_asked,), rising; None: all tokens.
        features
            float32, (n_tokens, n_features), if the tokenizer gives any.
        """

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def mask_ids(self) -> Tensor:
        """The mask id that hides each id, int64, (vocab_size,): vocab_size + its kind."""
        kinds = torch.as_tensor(kinds_of(self.targets.cpu().numpy()), device=self.device)
        return len(kinds) + kinds


def check_model(model: object) -> TokenModel:
    """The model, if it is one; raises OptionError naming what it lacks."""
    if not isinstance(model, TokenModel):
        raise OptionError(
            f"a {type(model).__name__} is no token model: derive it from hepmtp.models.TokenModel, "
            "with heads, targets, one_pass and predict"
        )
    for name in ("heads", "targets", "one_pass"):
        if not hasattr(model, name):
            raise OptionError(f"model {type(model).__name__} has no {name}: set it in __init__")
    if model.targets.ndim != 2 or model.targets.shape[1] != len(model.heads):
        raise OptionError(
            f"model {type(model).__name__}: targets have shape {tuple(model.targets.shape)}, "
            f"expected (vocab_size, {len(model.heads)}): one column a head"
        )
    return model


def tensors(tokens: TokenBatch, device: torch.device) -> tuple[Tensor, Tensor, Tensor | None]:
    """Values, offsets and features of tokens, on a device."""
    values, offsets = (
        torch.as_tensor(one, device=device) for one in (tokens.values, tokens.offsets)
    )
    features = None if tokens.features is None else torch.as_tensor(tokens.features, device=device)
    return values, offsets, features


def check_ids(values: Tensor, n: int) -> None:
    """Raise TokenError unless all ids are in 0..n - 1."""
    if values.numel() and not 0 <= int(values.min()) <= int(values.max()) < n:
        raise TokenError(f"ids must lie in 0..{n - 1}, found {values.min()}..{values.max()}")
