"""Ragged idioms against loops over the events."""

from __future__ import annotations

import math

import awkward as ak
import numpy as np
import pytest
from hypothesis import given, strategies as st

from hepmtp.events.ragged import owner, ragged_arange, starts, wrap_phi

COUNTS = st.lists(st.integers(0, 5), max_size=8)


@given(COUNTS)
def test_owner_is_the_event_of_each_value(counts: list[int]) -> None:
    slow = [event for event, n in enumerate(counts) for _ in range(n)]
    assert owner(np.array(counts, dtype=np.int64)).tolist() == slow


@given(COUNTS)
def test_starts_are_the_values_of_all_events_before(counts: list[int]) -> None:
    slow = [sum(counts[:event]) for event in range(len(counts))]
    assert starts(np.array(counts, dtype=np.int64)).tolist() == slow


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-3, 20)), max_size=8))
def test_ragged_arange_counts_up_in_each_event(events: list[tuple[int, int]]) -> None:
    counts, first = np.array(events, dtype=np.int64).reshape(-1, 2).T
    slow = [start + i for n, start in events for i in range(n)]
    assert ragged_arange(counts, first).tolist() == slow
    assert ragged_arange(counts).tolist() == [i for n, _ in events for i in range(n)]


@given(COUNTS)
def test_starts_and_places_add_up_to_all_values(counts: list[int]) -> None:
    n = np.array(counts, dtype=np.int64)
    assert ragged_arange(n, starts(n)).tolist() == list(range(sum(counts)))


@given(st.floats(-50, 50))
def test_wrapped_angles_are_the_same_direction(angle: float) -> None:
    wrapped = wrap_phi(angle)
    assert -math.pi <= wrapped <= math.pi
    assert math.cos(wrapped) == pytest.approx(math.cos(angle), abs=1e-12)
    assert math.sin(wrapped) == pytest.approx(math.sin(angle), abs=1e-12)


def test_wrap_phi_takes_numbers_and_arrays() -> None:
    found = [wrap_phi(4.0), *wrap_phi(np.array([4.0, -4.0])), wrap_phi(ak.Array([[], [4.0]]))[1, 0]]
    assert found == pytest.approx([4 - 2 * np.pi, 4 - 2 * np.pi, 2 * np.pi - 4, 4 - 2 * np.pi])
    assert wrap_phi(np.pi) == -np.pi
