"""What a model reads of an id and predicts of it: its digits, or the id as a whole.

The rule: an id is read as a sum of embeddings, one of each digit that it has, and so is it
predicted: by one softmax for each. A mask id is read as an embedding of its own.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hepmtp.events.ragged import Ints
from hepmtp.models import kinds_of

Factors = tuple[tuple[str, int], ...]
Output = Literal["product", "joint"]


def output_heads(output: Output, factors: Factors, digits: Ints) -> tuple[Factors, Ints]:
    """The heads of a model with this output, and the class of each id in each of them.

    The second is int64, (vocab_size, n_heads), -1 where an id has no class.
    """
    if output == "product":
        return factors, digits
    heads, columns = [], []
    kinds = kinds_of(digits)
    for kind in range(int(kinds.max()) + 1):
        members = np.flatnonzero(kinds == kind)
        column = np.full(len(kinds), -1, dtype=np.int64)
        column[members] = np.arange(len(members))
        columns.append(column)
        has = digits[members[0]] >= 0
        names = [name for (name, _), one in zip(factors, has, strict=True) if one]
        heads.append(("token" if len(names) > 1 else names[0], len(members)))
    return tuple(heads), np.stack(columns, axis=1)


def design(kind_of: Ints, heads: Factors, targets: Ints | None) -> NDArray[np.float32]:
    """Which embeddings add up to what is read of an id, 0 or 1, (vocab_size + n_kinds, n_columns).

    Parameters
    ----------
    kind_of
        kind of each id, (vocab_size,); the rows of their mask ids come last.
    heads, targets
        of `output_heads`: each class has an embedding. Without targets, an id is read as its kind.

    Examples
    --------
    >>> design(np.array([0, 0]), (("type", 1), ("pt", 2)), np.array([[0, 0], [0, 1]])).tolist()
    [[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
    """
    masks = np.eye(int(kind_of.max()) + 1, dtype=np.float32)
    if targets is None:
        shown = masks[kind_of]
    else:
        of_heads = [
            np.eye(size, dtype=np.float32)[column] * (column >= 0)[:, None]
            for column, (_, size) in zip(targets.T, heads, strict=True)
        ]
        shown = np.hstack(of_heads)
    vocab_size, n_shown = shown.shape
    rows = np.zeros((vocab_size + len(masks), n_shown + len(masks)), dtype=np.float32)
    rows[:vocab_size, :n_shown] = shown
    rows[vocab_size:, n_shown:] = masks
    return rows
