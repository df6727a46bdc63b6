"""The autoregressive model: a causal transformer that predicts a jet token by token.

The rule: start and stop are no ids. Start is a learned vector in front of the tokens, stop one more
outcome of what is predicted first. So n tokens have n + 1 terms, and the empty jet is legal. No
position is told: a causal model counts by itself.

In the form "product" it is p(pt or stop | past) p(eta | pt, past) p(phi | pt, eta, past). Each has
one small softmax, and they multiply to a distribution over all ids and stop. In the form "joint"
there is one softmax over all of these (arXiv:2303.07364).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from hepmtp.errors import OptionError, TokenError
from hepmtp.events.ragged import Floats, Ints
from hepmtp.models import check_ids
from hepmtp.models.attention import Block
from hepmtp.models.autoregressive_options import AutoregressiveOptions, check_vocabulary
from hepmtp.models.groups import Group
from hepmtp.models.growing import Growing
from hepmtp.models.running_sums import RunningSums


class AutoregressiveModel(Growing):
    """A causal transformer over tokens of any vocabulary.

    Parameters
    ----------
    factors, digits
        of :class:`hepmtp.tokenizers.Tokenizer`. The product form needs an id for every combination
        of digits.
    options
        its shape.
    centres
        log pt, eta and phi of each digit of the three factors, for running sums.

    Raises
    ------
    OptionError
        if vocabulary and options do not fit.
    """

    def __init__(
        self,
        factors: tuple[tuple[str, int], ...],
        digits: Ints,
        options: AutoregressiveOptions | None = None,
        *,
        centres: Sequence[Floats] | None = None,
    ) -> None:
        super().__init__()
        self.options = options or AutoregressiveOptions()
        self.factors, self.vocab_size = factors, len(digits)
        sizes = [size for _, size in factors]
        check_vocabulary(self.options, sizes, digits)
        width, n = self.options.width, sizes[0]
        self.n_first = n
        self.digits: Tensor
        self.register_buffer("digits", torch.as_tensor(digits), persistent=False)
        self.combined: Tensor
        place = np.ravel_multi_index(tuple(digits.T), sizes)
        self.register_buffer("combined", torch.as_tensor(np.argsort(place)), persistent=False)
        self.start = nn.Parameter(torch.randn(1, width) * 0.1)
        self.embeddings = nn.ModuleList(nn.Embedding(size, width) for size in sizes)
        self.sums: RunningSums | None = None
        if self.options.running:
            if centres is None or [len(one) for one in centres] != sizes or len(sizes) != 3:
                raise OptionError(
                    "running sums need the centres of the bins of pt, eta and phi: give "
                    "centres=tokenizer.centres, or the option running=False"
                )
            self.sums = RunningSums(centres, digits, width)
        self.blocks = nn.ModuleList(
            Block(
                width,
                self.options.heads,
                self.options.feedforward,
                self.options.dropout,
                causal=True,
            )
            for _ in range(self.options.layers)
        )
        self.norm = nn.LayerNorm(width)
        #: Of the first digit, given the last one, the start included; stop is its last outcome.
        self.table = nn.Parameter(torch.zeros(n + 1, n + 1))
        outputs = [n + 1, *sizes[1:]] if self.product else [self.vocab_size + 1]
        self.mixers = nn.ModuleList(nn.Linear(width, width) for _ in outputs)
        self.given = nn.ModuleList(nn.Embedding(size, width) for size in sizes[: len(outputs) - 1])
        self.outputs = nn.ModuleList(nn.Linear(width, size) for size in outputs)

    @property
    def n_parameters(self) -> int:
        """Trainable parameters."""
        return sum(one.numel() for one in self.parameters())

    def start_from_counts(self, frequencies: Floats) -> None:
        """Let the first digit start from frequencies, whatever else is in the past.

        Parameters
        ----------
        frequencies
            of (last first digit or start, next one or stop), (n + 1, n + 1), none of them 0.
        """
        first = cast("nn.Linear", self.outputs[0])
        with torch.no_grad():
            self.table.copy_(torch.as_tensor(np.log(frequencies)))
            first.weight.mul_(0.01)
            first.bias.zero_()

    def log_prob(self, values: Tensor, offsets: Tensor) -> Tensor:
        """Logarithm of the probability of each term, (n_tokens + n_jets, n_factors or 1).

        A jet of n tokens owns n + 1 rows, the last for its stop; in the product form, the columns
        of eta and phi of that row are 0.

        Parameters
        ----------
        values, offsets
            of :class:`hepmtp.events.tokens.TokenBatch`, jets by rising multiplicity.
        """
        n, columns = len(values) + len(offsets) - 1, []
        for rows, log_p, outcome in self._predicted(values, offsets):
            found = log_p.gather(1, outcome[:, None])[:, 0]
            columns.append(found.new_zeros(n).index_put((rows,), found))
        return torch.stack(columns, dim=1)

    def moments(self, values: Tensor, offsets: Tensor) -> Tensor:
        """Log p of each term, and the mean and variance of it that the model itself expects there.

        Shape (3, n_tokens + n_jets, n_factors or 1), rows and columns as those of `log_prob`. The
        mean is minus the entropy of what is predicted, given the past that there was.
        """
        n, columns = len(values) + len(offsets) - 1, []
        for rows, log_p, outcome in self._predicted(values, offsets):
            p = log_p.exp()
            finite = log_p.masked_fill(p == 0, 0.0)  # what cannot be adds nothing
            mean = (p * finite).sum(dim=1)
            variance = (p * (finite - mean[:, None]) ** 2).sum(dim=1)
            found = log_p.new_zeros(3, n)
            found[:, rows] = torch.stack([log_p.gather(1, outcome[:, None])[:, 0], mean, variance])
            columns.append(found)
        return torch.stack(columns, dim=2)

    def first_digits(self, values: Tensor, offsets: Tensor) -> Tensor:
        """Probabilities of the next first digit, or stop, of each row, (n_rows, n_first + 1)."""
        found = self._first(self.hidden(values, offsets), self._rows(values, offsets)[1]).exp()
        if self.product:
            return found
        stop = self.digits.new_full((1,), self.n_first)
        outcome = torch.cat([self.digits[:, 0], stop]).expand(len(found), -1)
        return found.new_zeros((len(found), self.n_first + 1)).scatter_add(1, outcome, found)

    def hidden(self, values: Tensor, offsets: Tensor) -> Tensor:
        """What each row knows of the tokens before it, (n_tokens + n_jets, width).

        Rows are those of `log_prob`.
        """
        check_ids(values, self.vocab_size)
        counts = offsets.diff()
        if len(counts) and (counts.diff() < 0).any():
            raise TokenError("jets must come by rising multiplicity: sort them first")
        groups = [
            Group(int(size), int(n) + 1)
            for n, size in zip(*torch.unique_consecutive(counts, return_counts=True), strict=True)
        ]
        is_token, _ = self._rows(values, offsets)
        place = torch.zeros(len(values) + len(counts), dtype=torch.int64, device=values.device)
        place[is_token + 1] = torch.arange(1, len(values) + 1, device=values.device)
        x = torch.cat([self.start, self._embed(values)])[place]
        if self.sums is not None:
            x = x + self.sums(values, groups)
        for block in self.blocks:
            x = block(x, groups)
        out: Tensor = self.norm(x)
        return out

    def _predicted(
        self, values: Tensor, offsets: Tensor
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Of each softmax: its rows, log-probabilities of all outcomes there, and what came."""
        hidden = self.hidden(values, offsets)
        is_token, last = self._rows(values, offsets)
        stop = self.n_first if self.product else self.vocab_size
        outcome, digits = torch.full_like(last, stop), self.digits[values]
        outcome[is_token] = digits[:, 0] if self.product else values
        yield torch.arange(len(hidden), device=values.device), self._first(hidden, last), outcome
        if self.product:
            inside = hidden[is_token]
            for factor in range(1, len(self.factors)):
                yield is_token, self._other(factor, inside, digits), digits[:, factor]

    def _rows(self, values: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
        """Rows that predict tokens, (n_tokens,), and the last first digit of each row."""
        counts = offsets.diff()
        jet = torch.repeat_interleave(torch.arange(len(counts), device=values.device), counts)
        is_token = torch.arange(len(values), device=values.device) + jet
        last = torch.full((len(values) + len(counts),), self.n_first, device=values.device)
        last[is_token + 1] = self.digits[values, 0]
        return is_token, last

    def extra_repr(self) -> str:
        """The options, for a repr that tells models apart."""
        return repr(self.options)
