"""Dropout: which share, which scale, which seed."""

from __future__ import annotations

import pytest
import torch

from hepmtp.models.dropout import Dropout


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_the_share_and_the_mean(share: float) -> None:
    torch.manual_seed(1)
    x = torch.ones(400_000)
    found = Dropout(share)(x)
    assert found.unique().tolist() == pytest.approx([0, 1 / (1 - share)], rel=1e-3)
    error = (share / (1 - share) / len(x)) ** 0.5
    assert float(found.mean()) == pytest.approx(1, abs=5 * error)
    assert float((found == 0).float().mean()) == pytest.approx(share, abs=5 * error)


def test_what_is_dropped_has_no_gradient_and_the_rest_has_its_scale() -> None:
    x = torch.randn(7, 3, requires_grad=True)
    found = Dropout(0.5)(x)
    torch.autograd.backward(found.sum())
    assert x.grad is not None
    torch.testing.assert_close(found, x * x.grad)
    assert set(x.grad.unique().tolist()) == {0.0, 2.0}


def test_a_seed_gives_one_mask_and_each_call_another() -> None:
    x, dropout = torch.ones(64), Dropout(0.5)
    masks = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        masks += [dropout(x), dropout(x)]
    assert torch.equal(masks[0], masks[2])
    assert torch.equal(masks[1], masks[3])
    assert not torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[4])


def test_neighbours_are_independent() -> None:
    """Four masks come from one draw."""
    torch.manual_seed(5)
    kept = Dropout(0.5)(torch.ones(100_000, 4)).bool().float()
    correlation = torch.corrcoef(kept.T) - torch.eye(4)
    assert float(correlation.abs().max()) < 5 / 100_000**0.5


def test_nothing_is_drawn_where_nothing_is_dropped() -> None:
    x = torch.randn(0, 4)
    assert Dropout(0.3)(x).shape == (0, 4)
    x = torch.randn(5, 4, dtype=torch.float64)
    state = torch.get_rng_state()
    assert Dropout(0.0)(x) is x
    assert Dropout(0.3).eval()(x) is x
    assert torch.equal(torch.get_rng_state(), state)
    assert Dropout(0.3)(x).dtype == torch.float64
    assert str(Dropout(0.3)) == "Dropout(share=0.3)"
