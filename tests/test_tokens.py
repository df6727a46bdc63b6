"""TokenBatch: ragged tokens in two flat arrays, against lists of lists."""

from __future__ import annotations

import pickle

import awkward as ak
import numpy as np
import pytest
from hypothesis import given, strategies as st

from hepmtp.errors import TokenError
from hepmtp.events.tokens import TokenBatch

ragged = st.lists(st.lists(st.integers(0, 10**6), max_size=6), max_size=8)


def batch_of(lists: list[list[int]]) -> TokenBatch:
    return TokenBatch.from_counts(
        [token for one in lists for token in one], [len(one) for one in lists]
    )


def lists_of(batch: TokenBatch) -> list[list[int]]:
    return [
        batch.values[a:b].tolist()
        for a, b in zip(batch.offsets[:-1], batch.offsets[1:], strict=True)
    ]


def test_three_events_written_out() -> None:
    batch = TokenBatch(np.array([7, 3, 9, 9, 2]), np.array([0, 2, 2, 5]))
    assert len(batch) == 3
    assert lists_of(batch) == [[7, 3], [], [9, 9, 2]]
    assert batch.counts.tolist() == [2, 0, 3]
    assert batch.owner.tolist() == [0, 0, 2, 2, 2]
    assert lists_of(batch.select([False, True, True])) == [[], [9, 9, 2]]
    assert lists_of(batch.select([2, 0, 2])) == [[9, 9, 2], [7, 3], [9, 9, 2]]
    assert lists_of(batch + batch) == [[7, 3], [], [9, 9, 2]] * 2


@given(ragged)
def test_awkward_and_back(lists: list[list[int]]) -> None:
    batch = batch_of(lists)
    assert lists_of(batch) == lists
    assert batch.to_awkward().to_list() == lists
    assert TokenBatch.from_awkward(batch.to_awkward()) == batch
    assert str(ak.type(batch.to_awkward())) == f"{len(lists)} * var * int64"


@given(ragged, st.data())
def test_select_equals_lists(lists: list[list[int]], data: st.DataObject) -> None:
    batch = batch_of(lists)
    mask = data.draw(st.lists(st.booleans(), min_size=len(lists), max_size=len(lists)))
    kept = [one for one, keep in zip(lists, mask, strict=True) if keep]
    assert lists_of(batch.select(np.array(mask, dtype=bool))) == kept
    assert batch.select(np.array(mask, dtype=bool)) == TokenBatch.from_awkward(
        batch.to_awkward()[np.array(mask, dtype=bool)]
    )
    index = data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=9)) if lists else []
    assert lists_of(batch.select(np.array(index, dtype=int))) == [lists[i] for i in index]


@given(st.lists(ragged, max_size=4))
def test_concatenate_equals_lists(parts: list[list[list[int]]]) -> None:
    whole = TokenBatch.concatenate(batch_of(part) for part in parts)
    assert lists_of(whole) == [one for part in parts for one in part]
    if parts:
        cut = len(whole) // 2
        assert whole.select(np.arange(cut)) + whole.select(np.arange(cut, len(whole))) == whole


def test_features_go_with_their_tokens() -> None:
    features = np.array([[0, 10], [1, 11], [2, 12], [3, 13], [4, 14]])
    batch = TokenBatch.from_counts([7, 3, 9, 9, 2], [2, 0, 3], features)
    assert batch.features is not None
    assert (batch.features.dtype, batch.features.shape) == (np.float32, (5, 2))
    chosen = batch.select([2, 0])
    assert chosen.features is not None
    assert chosen.features.tolist() == [[2, 12], [3, 13], [4, 14], [0, 10], [1, 11]]
    assert batch.select([False, False, True]).select([0]) == batch.select([2])
    assert TokenBatch.concatenate([batch.select([0]), batch.select([1, 2])]) == batch
    assert batch.select([0, 1]) + batch.select([2]) == batch
    none = batch.select([])
    assert none.features is not None
    assert none.features.shape == (0, 2)
    assert none + batch == batch
    assert pickle.loads(pickle.dumps(batch)) == batch


def test_features_count_in_equality() -> None:
    features = np.array([[0.0], [1.0]])
    batch, same = (TokenBatch.from_counts([7, 3], [2], one) for one in (features, features.copy()))
    assert batch == same
    assert batch != TokenBatch.from_counts([7, 3], [2], features + 1)
    assert batch != TokenBatch.from_counts([7, 3], [2])
    assert TokenBatch.from_counts([7, 3], [2]) != batch
    assert batch != TokenBatch.from_counts([7, 4], [2], features)


def test_features_that_do_not_fit() -> None:
    for features in (np.zeros(2), np.zeros((3, 1))):
        with pytest.raises(
            TokenError, match=r"features must have one row for each of 2 tokens: \([23],"
        ):
            TokenBatch.from_counts([1, 2], [2], features)
    batches = [TokenBatch.from_counts([1], [1], features) for features in (None, np.zeros((1, 3)))]
    with pytest.raises(
        TokenError,
        match=r"batches with \[0, 3\] features cannot be glued: encode all with one tokenizer",
    ):
        TokenBatch.concatenate(batches)


def test_no_events_and_empty_events() -> None:
    assert len(TokenBatch.concatenate([])) == 0
    assert TokenBatch.from_counts([], [0, 0]).counts.tolist() == [0, 0]
    assert TokenBatch.from_counts([], []).to_awkward().to_list() == []
    assert TokenBatch.from_counts([], []).select([]) == TokenBatch.from_counts([], [])
    assert TokenBatch.from_counts([], []).values.dtype == np.int64


def test_equality() -> None:
    batch = TokenBatch.from_counts([1, 2, 3], [1, 2])
    assert batch == TokenBatch.from_counts([1, 2, 3], [1, 2])
    assert batch != TokenBatch.from_counts([1, 2, 3], [2, 1])
    assert batch != TokenBatch.from_counts([1, 2, 4], [1, 2])
    assert batch != [1, 2, 3]
    with pytest.raises(TypeError, match=r"unhashable type"):
        hash(batch)


@pytest.mark.parametrize(
    ("values", "offsets", "message"),
    [
        ([1, 2], [0, 3], r"offsets must rise from 0 to n_tokens = 2, found \[0 3\]"),
        ([1, 2], [1, 2], r"offsets must rise from 0"),
        ([1, 2], [0, 2, 1, 2], r"offsets must rise from 0"),
        ([1, 2], [], r"offsets must rise from 0"),
        (
            [1.5, 2.5],
            [0, 2],
            r"values must be whole numbers in one dimension, found float64 \(2,\)",
        ),
        ([[1, 2]], [0, 2], r"values must be whole numbers in one dimension, found int64 \(1, 2\)"),
        ([1, 2], [0.0, 2.0], r"offsets must be whole numbers in one dimension, found float64"),
        ([True, False], [0, 2], r"values must be whole numbers in one dimension, found bool"),
    ],
)
def test_what_is_refused(values: list[float], offsets: list[float], message: str) -> None:
    with pytest.raises(TokenError, match=message):
        TokenBatch(np.array(values), np.array(offsets))


def test_a_mask_of_another_length_is_refused() -> None:
    with pytest.raises(
        TokenError, match=r"mask has shape \(1,\), expected \(2,\): one bool per event"
    ):
        TokenBatch.from_counts([1], [1, 0]).select([True])
