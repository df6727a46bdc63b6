"""Columns of many chunks: what they give is what coffea's give, and no sum copies what was there.

The rule: see :mod:`hepmtp.run.columns`.
"""

from __future__ import annotations

import numpy as np
import pytest
from coffea.processor import accumulate, column_accumulator

from hepmtp.errors import TokenError
from hepmtp.events.tokens import TokenBatch
from hepmtp.run.columns import Column, TokenColumn

CHUNKS = [np.arange(3.0), np.zeros(0), np.array([7.0]), np.arange(5.0)]


def test_the_sum_of_columns_is_that_of_coffea() -> None:
    ours = accumulate({"a": Column(one)} for one in CHUNKS)
    theirs = accumulate({"a": column_accumulator(one)} for one in CHUNKS)
    assert np.array_equal(ours["a"].value, theirs["a"].value)
    assert np.array_equal((Column(CHUNKS[0]) + column_accumulator(CHUNKS[2])).value, [0, 1, 2, 7])
    assert np.array_equal((column_accumulator(CHUNKS[2]) + Column(CHUNKS[0])).value, [7, 0, 1, 2])


def test_terms_of_a_sum_stay_as_they_were() -> None:
    one, two = Column(CHUNKS[0]), Column(CHUNKS[2])
    total = one + two
    total += two
    assert total.value.tolist() == [0, 1, 2, 7, 7]
    assert (one.value.tolist(), two.value.tolist()) == ([0, 1, 2], [7])


def test_a_sum_keeps_the_arrays_themselves() -> None:
    total = accumulate(Column(one) for one in CHUNKS)
    assert sum(any(part is one for one in CHUNKS) for part in total._parts) == len(CHUNKS)


def test_columns_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="dissimilar shape"):
        Column(np.zeros(3)) + Column(np.zeros((3, 2)))


def test_tokens_add_up_in_their_order() -> None:
    batches = [TokenBatch.from_counts([7, 3, 9], [2, 0, 1]), TokenBatch.from_counts([], [])]
    batches.append(TokenBatch.from_counts([4], [1]))
    total = accumulate(TokenColumn(one) for one in batches)
    assert total.value == TokenBatch.concatenate(batches)
    assert total.identity().value == TokenBatch.from_counts([], [])
    wide = TokenBatch.from_counts([1], [1], np.zeros((1, 2), dtype=np.float32))
    with pytest.raises(TokenError, match="features"):
        (total + TokenColumn(wide)).value  # noqa: B018 (the parts are glued when asked for)
