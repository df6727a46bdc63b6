"""Attention on groups of equal multiplicity, against the textbook formula event by event."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from hepmtp.models.attention import SelfAttention, attend_slowly, leave_one_out_slowly, rotate
from hepmtp.models.groups import Group, buckets, packs, sort_by_multiplicity

counts = st.lists(st.integers(0, 20), max_size=40).map(
    lambda found: np.array(found, dtype=np.int64)
)


@given(counts=counts, max_tokens=st.integers(1, 60))
def test_buckets_hold_every_event_once(counts: np.ndarray, max_tokens: int) -> None:
    found = list(buckets(counts, max_tokens))
    assert sorted(np.concatenate([[], *found]).tolist()) == np.flatnonzero(counts).tolist()
    for events in found:
        multiplicity = set(counts[events].tolist())
        assert len(multiplicity) == 1
        assert len(events) == 1 or len(events) * multiplicity.pop() <= max_tokens


@given(counts=counts, max_tokens=st.integers(1, 60))
def test_packs_hold_every_event_once(counts: np.ndarray, max_tokens: int) -> None:
    found = list(packs(counts, max_tokens))
    together = np.concatenate([np.zeros(0, dtype=int), *found])
    assert sorted(together.tolist()) == np.flatnonzero(counts).tolist()
    assert (np.diff(counts[together]) >= 0).all()
    assert all(counts[events].sum() <= max_tokens or len(events) == 1 for events in found)


def test_packs_written_out() -> None:
    found = [events.tolist() for events in packs(np.array([2, 0, 5, 2, 2, 5]), 9)]
    assert found == [[0, 3, 4], [2], [5]]
    assert list(packs(np.array([0, 0]))) == []


def test_buckets_written_out() -> None:
    found = [events.tolist() for events in buckets(np.array([2, 0, 5, 2, 2, 5]), 4)]
    assert found == [[0, 3], [4], [2], [5]]
    assert list(buckets(np.array([0, 0]))) == []


@given(counts=counts)
def test_groups_describe_the_order(counts: np.ndarray) -> None:
    order, groups = sort_by_multiplicity(counts)
    assert sorted(order.tolist()) == list(range(len(counts)))
    described = [group.multiplicity for group in groups for _ in range(group.n_events)]
    assert described == counts[order][counts[order] > 0].tolist()
    assert len({group.multiplicity for group in groups}) == len(groups)


@settings(max_examples=25)
@given(counts=counts, rope=st.booleans(), seed=st.integers(0, 99))
def test_groups_equal_event_by_event(counts: np.ndarray, rope: bool, seed: int) -> None:
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    module = SelfAttention(16, 4, rope=rope)
    counts = np.sort(counts)
    _, groups = sort_by_multiplicity(counts)
    x = torch.randn(int(counts.sum()), 16)
    events = x.split(counts.tolist())
    slow = torch.cat([attend_slowly(module, event) for event in events if len(event)] or [x])
    fast = module(x, groups)
    torch.testing.assert_close(fast, slow, atol=1e-5, rtol=1e-4)

    full = counts[counts > 0]
    at = torch.as_tensor(np.cumsum(full) - full + rng.integers(0, full) if len(full) else full)
    torch.testing.assert_close(module(x, groups, at), fast[at], atol=1e-5, rtol=1e-4)


def test_events_do_not_see_each_other() -> None:
    module = SelfAttention(16, 2)
    x = torch.randn(6, 16)
    changed = x.clone()
    changed[3:] += 1
    before, after = (module(one, [Group(2, 3)]) for one in (x, changed))
    assert torch.equal(before[:3], after[:3])
    assert (before[3:] - after[3:]).abs().max() > 0.01


@pytest.mark.parametrize("rope", [True, False])
def test_gradients_equal_event_by_event(rope: bool) -> None:
    torch.manual_seed(1)
    module = SelfAttention(16, 4, rope=rope)
    x = torch.randn(7, 16)
    outputs = (
        module(x, [Group(1, 1), Group(2, 3)]),
        torch.cat([attend_slowly(module, e) for e in x.split([1, 3, 3])]),
    )
    weights = list(module.parameters())
    for fast, slow in zip(
        *(torch.autograd.grad((out**2).sum(), weights) for out in outputs), strict=True
    ):
        torch.testing.assert_close(fast, slow, atol=1e-5, rtol=1e-4)


@settings(max_examples=25)
@given(counts=counts, rope=st.booleans(), seed=st.integers(0, 99))
def test_leave_one_out_equals_position_by_position(
    counts: np.ndarray, rope: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    module = SelfAttention(16, 4, rope=rope)
    counts = np.sort(counts)
    _, groups = sort_by_multiplicity(counts)
    x, null = torch.randn(int(counts.sum()), 16), torch.randn(1, 16)
    memory = torch.randn(int(counts.sum()), 16)
    sizes = counts[counts > 0].tolist()
    events = zip(x.split(sizes), memory.split(sizes), strict=True) if sizes else []
    slow = torch.cat(
        [leave_one_out_slowly(module, q, torch.cat([null, m])) for q, m in events] or [x]
    )
    fast = module.leave_one_out(x, torch.cat([null, memory]), torch.arange(len(x)) + 1, groups)
    torch.testing.assert_close(fast, slow, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("rope", [True, False])
def test_gradients_of_leave_one_out_equal_position_by_position(rope: bool) -> None:
    torch.manual_seed(1)
    module = SelfAttention(16, 4, rope=rope)
    x, memory = torch.randn(7, 16), torch.randn(8, 16, requires_grad=True)
    events = zip(x.split([1, 3, 3]), memory[1:].split([1, 3, 3]), strict=True)
    slow = torch.cat(
        [leave_one_out_slowly(module, q, torch.cat([memory[:1], m])) for q, m in events]
    )
    fast = module.leave_one_out(x, memory, torch.arange(7) + 1, [Group(1, 1), Group(2, 3)])
    weights = [*module.parameters(), memory]
    for a, b in zip(
        *(torch.autograd.grad((out**2).sum(), weights) for out in (fast, slow)), strict=True
    ):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_a_token_alone_sees_the_null_token() -> None:
    torch.manual_seed(2)
    module = SelfAttention(16, 4)
    x, memory = torch.randn(1, 16), torch.randn(2, 16)
    value = torch.nn.functional.linear(memory[:1], module.qkv.weight[32:], module.qkv.bias[32:])
    torch.testing.assert_close(
        module.leave_one_out(x, memory, torch.tensor([1]), [Group(1, 1)]), module.out(value)
    )


def test_equal_tokens_may_share_a_row() -> None:
    torch.manual_seed(3)
    module = SelfAttention(16, 4)
    x, memory, rows, groups = (
        torch.randn(5, 16),
        torch.randn(3, 16),
        torch.tensor([1, 2, 2, 1, 2]),
        [Group(1, 5)],
    )
    each = torch.cat([memory[:1], memory[rows]])
    torch.testing.assert_close(
        module.leave_one_out(x, memory, rows, groups),
        module.leave_one_out(x, each, torch.arange(5) + 1, groups),
    )


def test_rotation_tells_differences_of_positions_only() -> None:
    torch.manual_seed(2)
    q, k = torch.randn(2, 8)
    place = torch.arange(10)
    rotated_q, rotated_k = rotate(q.expand(10, 8), place), rotate(k.expand(10, 8), place)
    products = rotated_q @ rotated_k.T
    for difference in range(-9, 10):
        diagonal = products.diagonal(difference)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(rotated_q.norm(dim=1), q.norm().expand(10))
    assert torch.equal(rotated_q[0], q)
    assert (products[0, 1] - products[0, 0]).abs() > 0.01
