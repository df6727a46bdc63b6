"""What an autoregressive model says of each term of jets, and summed over those of a jet.

The rule: jets come in batches of bounded memory, whose make-up changes nothing but rounding. A jet
of n tokens has n + 1 terms.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from hepmtp.events.ragged import Floats
from hepmtp.events.tokens import TokenBatch
from hepmtp.models.autoregressive import AutoregressiveModel
from hepmtp.models.groups import sort_by_multiplicity
from hepmtp.training.loop import device_of
from hepmtp.training.next_token import batches
from hepmtp.training.threads import torch_threads

#: Tokens, and probabilities of one softmax (128 MB), that are in memory at once.
_TOKENS, _PROBABILITIES = 8192, 2**25


def by_term(
    model: AutoregressiveModel,
    tokens: TokenBatch,
    ask: Callable[[Tensor, Tensor], Tensor],
    kinds: int = 1,
) -> Floats:
    """What the model answers for each term, (kinds, n_tokens + n_jets, n_factors or 1).

    Rows of a jet lie together, its stop last; jets come in the order of the batch.

    Parameters
    ----------
    ask
        ``model.log_prob`` or ``model.moments``, of values and offsets.
    kinds
        how many numbers it gives for a term.
    """
    outcomes = model.n_first if model.product else model.vocab_size
    starts = np.concatenate([[0], np.cumsum(tokens.counts + 1)])
    all_rows = TokenBatch(np.arange(starts[-1]), starts)
    out = np.zeros((kinds, starts[-1], len(model.outputs)))
    with torch_threads(1), torch.no_grad():
        for some in batches(tokens, min(_TOKENS, _PROBABILITIES // outcomes)):
            order = some[sort_by_multiplicity(tokens.counts[some])[0]]
            batch = tokens.select(order)
            found = ask(
                torch.as_tensor(batch.values, device=device_of(model)),
                torch.as_tensor(batch.offsets, device=device_of(model)),
            )
            out[:, all_rows.select(order).values] = found.numpy(force=True)
    return out


def by_jet(
    model: AutoregressiveModel,
    tokens: TokenBatch,
    ask: Callable[[Tensor, Tensor], Tensor],
    kinds: int = 1,
) -> Floats:
    """`by_term`, summed over the terms of each jet, (kinds, n_jets, n_factors or 1)."""
    starts = tokens.offsets[:-1] + np.arange(len(tokens))
    terms = by_term(model, tokens, ask, kinds)
    return np.add.reduceat(terms, starts, axis=1) if len(tokens) else terms[:, :0]
