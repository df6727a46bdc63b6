"""Heads: what a model predicts of a token, and the kinds of tokens that follow from it.

The rule: an id has a class in each head that applies to it, and -1 in the others. Ids with the same
heads are of one kind, and ids of kind k are hidden by the mask id ``vocab_size + k``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from hepmtp.events.ragged import Ints

Output = Literal["product", "joint"]


class Head(NamedTuple):
    """One softmax of a model: the name of what it predicts and the number of classes."""

    name: str
    size: int


def output_heads(
    output: Output, factors: tuple[tuple[str, int], ...], digits: Ints
) -> tuple[list[Head], Ints]:
    """Heads for the ids of a tokenizer, and the class of each id in each head.

    Parameters
    ----------
    output
        "product": one head for each factor; "joint": one for all ids of a kind.
    factors, digits
        of the tokenizer: ``((name, size), ...)`` and (vocab_size, n_factors), -1 where an id has no
        such digit.

    Returns
    -------
    heads, targets
        targets has shape (vocab_size, n_heads), -1 where a head does not apply.
    """
    if output == "product":
        return [Head(name, size) for name, size in factors], digits
    heads, columns = [], []
    kinds = kinds_of(digits)
    for kind in range(int(kinds.max()) + 1):
        members = np.flatnonzero(kinds == kind)
        column = np.full(len(kinds), -1, dtype=np.int64)
        column[members] = np.arange(len(members))
        columns.append(column)
        names = [
            name for (name, _), one in zip(factors, digits[members[0]], strict=True) if one >= 0
        ]
        heads.append(Head("token" if len(names) > 1 else names[0], len(members)))
    return heads, np.stack(columns, axis=1)


def kinds_of(table: Ints) -> Ints:
    """Kind of each id, shape (vocab_size,), numbered in the order of the ids.

    Parameters
    ----------
    table
        digits or targets of the ids, (vocab_size, n), -1 where there is none.

    Examples
    --------
    >>> kinds_of(np.array([[0, 4, -1], [1, 2, -1], [-1, -1, 0]])).tolist()
    [0, 0, 1]
    """
    _, first, index = np.unique(table >= 0, axis=0, return_index=True, return_inverse=True)
    # numpy 2.0 gives index a second axis
    return np.asarray(np.argsort(np.argsort(first))[index.ravel()])


def kind_names(heads: Sequence[Head], targets: Ints) -> tuple[str, ...]:
    """Name of each kind: "MET" or "METphi" if it has that head alone, otherwise "particle"."""
    kinds = kinds_of(targets)
    names = []
    for kind in range(int(kinds.max()) + 1):
        row = targets[np.argmax(kinds == kind)]
        found = [head.name for head, target in zip(heads, row, strict=True) if target >= 0]
        names.append(found[0] if found in (["MET"], ["METphi"]) else "particle")
    return tuple(names)
