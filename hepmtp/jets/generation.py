"""Jets drawn from an autoregressive model, constituent by constituent until their stop.

The rule: neither truncation nor top-k; each digit is drawn from the model's distribution. Each jet
has random numbers of its own, of (seed, number of the jet). So it is the same whatever is drawn
beside it, but for the rounding of sums.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from hepmtp.errors import OptionError, TokenError
from hepmtp.events.ragged import Floats, Ints
from hepmtp.events.tokens import TokenBatch
from hepmtp.models.autoregressive import AutoregressiveModel
from hepmtp.models.growing import State
from hepmtp.training.loop import device_of
from hepmtp.training.threads import torch_threads

#: A jet that is longer has a model that does not stop; the longest of a million jets has about 250.
MAX_CONSTITUENTS = 600
#: Random numbers that are drawn at once for each jet.
_DRAWN = 64


def sample(
    model: AutoregressiveModel,
    n_jets: int,
    *,
    seed: int = 0,
    first: int = 0,
    batch_jets: int = 256,
    max_constituents: int = MAX_CONSTITUENTS,
    temperature: float = 1.0,
    keep_unstopped: bool = False,
) -> TokenBatch:
    """Jets ``first, first + 1, ...`` of this seed, as tokens.

    Parameters
    ----------
    batch_jets
        jets that grow together.
    max_constituents
        where a jet must have stopped.
    temperature
        logits are divided by it; anything but 1 draws from another distribution.
    keep_unstopped
        jets that have not stopped by then end there. They are no samples of the model: count them.

    Raises
    ------
    OptionError
        for a number below 1, or a temperature that is not above 0.
    TokenError
        if jets have not stopped.
    """
    return TokenBatch.concatenate(
        stream(
            model,
            n_jets,
            seed=seed,
            first=first,
            batch_jets=batch_jets,
            max_constituents=max_constituents,
            temperature=temperature,
            keep_unstopped=keep_unstopped,
        )
    )


def stream(
    model: AutoregressiveModel,
    n_jets: int,
    *,
    seed: int = 0,
    first: int = 0,
    batch_jets: int = 256,
    max_constituents: int = MAX_CONSTITUENTS,
    temperature: float = 1.0,
    keep_unstopped: bool = False,
) -> Iterator[TokenBatch]:
    """As `sample`, batch by batch in bounded memory."""
    if min(n_jets, batch_jets, max_constituents) < 1 or not temperature > 0:
        raise OptionError(
            "the numbers of jets, jets in a batch and constituents must be 1 or more, and the "
            f"temperature above 0, found {n_jets}, {batch_jets}, {max_constituents}, {temperature}"
        )
    for start in range(first, first + n_jets, batch_jets):
        numbers = np.arange(start, min(start + batch_jets, first + n_jets))
        with torch_threads(1), torch.inference_mode():
            yield _grown(
                model, numbers, seed, max_constituents, temperature, keep_unstopped=keep_unstopped
            )


def _grown(
    model: AutoregressiveModel,
    numbers: Ints,
    seed: int,
    most: int,
    temperature: float,
    *,
    keep_unstopped: bool,
) -> TokenBatch:
    """Jets of these numbers."""
    streams = [np.random.default_rng([seed, number]) for number in numbers]
    n_draws, device = len(model.outputs), device_of(model)
    jets, alive = np.arange(len(numbers)), np.ones(len(numbers), dtype=bool)
    values, owners = [], []
    state = model.begin(len(numbers))
    for place in range(most + 1):
        if place % _DRAWN == 0:
            block = [streams[jet].random((_DRAWN, n_draws), dtype=np.float64) for jet in jets]
            uniform = np.stack(block)
        ids = _draw(model, state, uniform[:, place % _DRAWN], temperature)
        alive &= ids.numpy(force=True) < model.vocab_size
        if not alive.any():
            break
        if place == most and keep_unstopped:
            break
        if place == most:
            raise TokenError(
                f"{int(alive.sum())} of {len(numbers)} jets have not stopped after {most} "
                "constituents: train longer, or raise max_constituents"
            )
        # what has stopped is carried along until it is many
        if alive.mean() < 0.75:
            keep = torch.as_tensor(np.flatnonzero(alive), device=device)
            state, ids = state.select(keep), ids[keep]
            jets, uniform, alive = jets[alive], uniform[alive], alive[alive]
        owners.append(jets[alive])
        values.append(ids.numpy(force=True)[alive])
        state = model.step(ids.clamp(max=model.vocab_size - 1), state)
    owner = np.concatenate([np.zeros(0, dtype=np.int64), *owners])
    found = np.concatenate([np.zeros(0, dtype=np.int64), *values])
    counts = np.bincount(owner, minlength=len(numbers))
    return TokenBatch.from_counts(found[np.argsort(owner, kind="stable")], counts)


def _draw(model: AutoregressiveModel, state: State, uniform: Floats, temperature: float) -> Tensor:
    """The next id of each jet, (n_jets,); vocab_size where it stops."""
    at = torch.as_tensor(uniform, device=state.hidden.device)
    first = _inverse(model.first(state), at[:, 0], temperature)
    if not model.product:
        return first
    stops = first == model.n_first
    digits = [first.clamp(max=model.n_first - 1)]
    for factor in range(1, len(model.factors)):
        log_p = model.other(factor, state, torch.stack(digits, dim=1))
        digits.append(_inverse(log_p, at[:, factor], temperature))
    return torch.where(stops, model.vocab_size, model.ids_of(digits))


def _inverse(log_p: Tensor, uniform: Tensor, temperature: float) -> Tensor:
    """The outcome whose share of [0, 1) holds each number, (n,); those of probability 0 never."""
    p = torch.softmax(log_p.double() / temperature, dim=1)
    total = p.cumsum(dim=1)
    top = total[:, -1:]
    # rounding may give the sum of all, which no outcome that can be lies behind
    at = torch.minimum(uniform[:, None] * top, torch.nextafter(top, torch.zeros_like(top)))
    return torch.searchsorted(total, at, right=True)[:, 0]
