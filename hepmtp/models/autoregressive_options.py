"""Options of the autoregressive model, and the vocabularies that they fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from hepmtp.errors import OptionError
from hepmtp.events.ragged import Ints

Form = Literal["product", "joint"]


@dataclass(frozen=True, kw_only=True)
class AutoregressiveOptions:
    """Shape of a model; the default has about 0.6 million parameters.

    Parameters
    ----------
    form
        "product": one softmax for each digit of an id; "joint": one for all ids.
    width, heads, layers, feedforward, dropout
        of :class:`hepmtp.models.attention.Block`.
    ordered
        the first digit never rises, so that no probability is given to jets that cannot be.
    running
        sums over the tokens so far (:class:`hepmtp.models.running_sums.RunningSums`) are read, too.
    counts
        the first digit starts from the frequencies of the training jets, counted given the last
        one; the network learns what differs.

    Raises
    ------
    OptionError
        if a value is none of these, a size is below 1, or the width does not fit the heads.
    """

    form: Form = "product"
    width: int = 128
    heads: int = 4
    layers: int = 4
    feedforward: int = 256
    dropout: float = 0.0
    ordered: bool = True
    running: bool = True
    counts: bool = True

    def __post_init__(self) -> None:
        if self.form not in get_args(Form):
            raise OptionError(f"form is one of {', '.join(get_args(Form))}, found {self.form!r}")
        if min(self.width, self.heads, self.layers, self.feedforward) < 1:
            raise OptionError(f"sizes of a model must be 1 or more, found {self}")
        if self.width % self.heads or not 0 <= self.dropout < 1:
            raise OptionError(
                f"width must be a multiple of heads, and dropout in [0, 1), found {self}"
            )


def check_vocabulary(options: AutoregressiveOptions, sizes: list[int], digits: Ints) -> None:
    """Raise OptionError for digits that these options cannot predict."""
    if digits.ndim != 2 or digits.shape[1] != len(sizes) or (digits < 0).any():
        raise OptionError(
            f"an autoregressive model needs {len(sizes)} digits of every id, found an array of "
            f"shape {digits.shape} with {int((digits < 0).sum())} missing: choose a tokenizer "
            "without MET tokens"
        )
    if options.form == "product" and len(np.unique(digits, axis=0)) != np.prod(sizes):
        raise OptionError(
            f"the product form needs an id for each of {np.prod(sizes)} combinations of digits, "
            f"found {len(digits)} ids: choose form='joint'"
        )
