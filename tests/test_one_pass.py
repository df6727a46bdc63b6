"""A prepared model against its reference: random models, sharp ones too."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings, strategies as st
from test_masked import TOKENIZER, events_of, make_model

from hepmtp.detectors.masked_token.surprise import _moments, surprises
from hepmtp.errors import TokenError
from hepmtp.events.tokens import TokenBatch
from hepmtp.models import loops, one_pass
from hepmtp.models.attention import Block
from hepmtp.models.masked import MaskedTokenModel, ModelOptions
from hepmtp.models.one_pass import OnePass, can_be_prepared, loops_pay

ONE_PASS = {"attention": "leave_one_out"}


@pytest.fixture(autouse=True, scope="module")
def _loops_for_few() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(one_pass, "MANY", 1)
        yield


def made(*, sharpness: float = 1.0, **options: Any) -> MaskedTokenModel:
    """A random model of one pass, its queries and its head times `sharpness`."""
    model = make_model(**{**ONE_PASS, **options})
    with torch.no_grad():
        model.head.weight *= sharpness
        for block in model.blocks:
            assert isinstance(block, Block)
            block.attention.qkv.weight[: model.options.width] *= sharpness
    return model


def by_multiplicity(tokens: TokenBatch) -> TokenBatch:
    return tokens.select(np.argsort(tokens.counts, kind="stable"))


def reference(model: MaskedTokenModel, tokens: TokenBatch) -> np.ndarray:
    """All numbers but the most probable digit, (4, n_tokens, n_heads), of the textbook sums."""
    with torch.no_grad():
        log_ps = model.predict(tokens, np.arange(len(tokens.values)))
    out = np.zeros((4, len(tokens.values), len(model.heads)))
    for column, part in enumerate(log_ps):
        true = model.targets[tokens.values, column]
        for token in np.flatnonzero(true >= 0):
            log_p = torch.log_softmax(part[token].double(), dim=0).numpy()  # to the last digit
            p, digit = np.exp(log_p), true[token]
            entropy = -(p @ log_p)
            tail = p[digit + 1 :].sum() + p[digit] / 2
            variance = max(p @ log_p**2 - entropy**2, 0)
            out[:, token, column] = -log_p[digit], entropy, variance, -np.log(tail)
    return out


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**16),
    layers=st.integers(1, 3),
    heads=st.sampled_from([1, 2, 4]),
    output=st.sampled_from(["product", "joint"]),
    particles=st.lists(st.integers(0, 20), min_size=1, max_size=6),
)
@example(seed=64, layers=2, heads=4, output="joint", particles=[0, 11, 20, 20])
def test_equal_to_the_reference(
    seed: int, layers: int, heads: int, output: str, particles: list[int]
) -> None:
    model = made(seed=seed, layers=layers, heads=heads, output=output)
    tokens = by_multiplicity(events_of(particles, seed=seed))
    found = np.stack(surprises(model, tokens, max_tokens=30)[:4])
    np.testing.assert_allclose(found, reference(model, tokens), rtol=0, atol=1e-5)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**16), sharp=st.sampled_from([(3.0, 1e-5), (10.0, 5e-5), (100.0, 3e-2)])
)
def test_sharp_models(seed: int, sharp: tuple[float, float]) -> None:
    # logits of hundreds: what float32 itself rounds away grows, in the reference as well
    model = made(seed=seed, sharpness=sharp[0])
    tokens = by_multiplicity(events_of([0, 1, 2, 5, 5, 12], seed=seed))
    fast, truth = surprises(model, tokens).surprise, reference(model.double(), tokens)[0]
    np.testing.assert_allclose(fast, truth, rtol=0, atol=sharp[1])


@settings(max_examples=50)
@given(
    counts=st.lists(st.sampled_from([0, 1, 2, 3, 4, 7, 15, 16, 17, 40]), min_size=1, max_size=5),
    size=st.integers(1, 40),
    heads=st.integers(1, 3),
    scale=st.sampled_from([1, 30, 3000]),
    seed=st.integers(0, 2**16),
)
def test_attended_is_the_textbook_sum(
    counts: list[int], size: int, heads: int, scale: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    ends = np.cumsum([0, *counts])
    queries = scale * rng.integers(-3, 4, (ends[-1], heads * size))  # products are exact
    keys = rng.integers(-3, 4, (9, heads * size)) / 64
    values, rows = rng.normal(size=keys.shape), rng.integers(0, 9, ends[-1])
    single = [one.astype(np.float32) for one in (queries, keys, values)]
    places = [one.astype(np.uint64) for one in (rows, ends)]
    found = loops.attended(*single, *places, heads)
    for start, end in itertools.pairwise(ends):
        for token in range(start, end):
            others = np.r_[0, np.delete(rows[start:end], token - start)]  # the null token is row 0
            for head in range(heads):
                columns = slice(head * size, (head + 1) * size)
                logits = keys[others, columns] @ queries[token, columns]
                p = np.exp(logits - logits.max())
                mean = p / p.sum() @ values[others, columns]
                np.testing.assert_allclose(found[token, columns], mean, rtol=0, atol=3e-6)


@settings(max_examples=50)
@given(
    counts=st.lists(st.integers(0, 20), min_size=1, max_size=5),
    size=st.integers(1, 40),
    spread=st.sampled_from([0.1, 5.0, 59.0]),
    seed=st.integers(0, 2**16),
)
def test_attended_by_kind_is_the_textbook_sum(
    counts: list[int], size: int, spread: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    ends, heads = np.cumsum([0, *counts]), 3
    weights = np.exp(-spread * rng.random((3, 9, heads))).astype(np.float32)
    values = rng.normal(size=(9, heads * size)).astype(np.float32)
    rows, kinds = rng.integers(0, 9, ends[-1]), rng.integers(0, 3, ends[-1])
    found = loops.attended_by_kind(
        weights, values, *(one.astype(np.uint64) for one in (rows, kinds, ends))
    )
    for start, end in itertools.pairwise(ends):
        for token in range(start, end):
            others = np.r_[0, np.delete(rows[start:end], token - start)]
            p = weights[kinds[token], others].astype(float)
            shares = np.repeat(p / p.sum(axis=0), size, axis=1)
            mean = (shares * values[others]).sum(axis=0)
            np.testing.assert_allclose(found[token], mean, rtol=0, atol=3e-6)


def test_logits_far_apart_are_not_summed() -> None:
    ids = np.arange(8)
    assert OnePass(made(), ids).weights is not None
    assert OnePass(made(sharpness=1000.0), ids).weights is None


def test_a_nan_is_handed_on() -> None:
    for where in ("null", "blocks.0.attention.qkv.weight", "blocks.1.norm2.bias", "head.bias"):
        model = made()
        with torch.no_grad():
            model.get_parameter(where).view(-1)[0] = torch.nan
        assert np.isnan(surprises(model, events_of([3, 1])).surprise).any(), where


@settings(max_examples=25)
@given(seed=st.integers(0, 2**16), scale=st.sampled_from([0.1, 3.0, 30.0, 300.0]))
@example(seed=4659, scale=30.0)  # what is above the true class has a probability of exp(-104)
def test_moments_of_any_sharpness(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    logits = torch.as_tensor(rng.normal(0, scale, (7, 20)), dtype=torch.float32)
    log_p, true = torch.log_softmax(logits, dim=0), rng.integers(0, 7, 20)
    filled = *np.zeros((4, 20)), np.zeros(20, dtype=np.int64)
    loops.moments(log_p.numpy(), true, np.arange(20), *filled)
    check_moments(log_p, true, filled)
    check_moments(log_p, true, [one.numpy() for one in _moments(log_p, true)])


def check_moments(log_p: torch.Tensor, true: np.ndarray, found: Sequence[np.ndarray]) -> None:
    s, expected, variance, tail, most = found
    exact = log_p.double().numpy()
    p = np.exp(exact)
    own = exact[true, np.arange(20)]
    above = np.where(np.arange(7)[:, None] > true, exact, -np.inf)
    terms = np.vstack([above, own - np.log(2)])
    np.testing.assert_allclose(s, -own, rtol=0, atol=1e-5)
    np.testing.assert_allclose(expected, -(p * exact).sum(axis=0), rtol=1e-5, atol=1e-5)
    mean = (p * exact).sum(axis=0)
    np.testing.assert_allclose(
        variance, (p * (exact - mean) ** 2).sum(axis=0), rtol=1e-5, atol=1e-5
    )
    if -own.min() < 700:  # what float64 can tell from 0
        slow = -np.logaddexp.reduce(terms, axis=0)
        np.testing.assert_allclose(tail, slow, rtol=1e-5, atol=1e-5)
    assert np.array_equal(most, exact.argmax(axis=0))


@pytest.mark.parametrize("particles", [[3, 1, 0, 7, 20], [0], []])
def test_bfloat16_is_near_the_reference(particles: list[int]) -> None:
    model, tokens = made(), by_multiplicity(events_of(particles))
    at = np.arange(len(tokens.values))
    plain, low = OnePass(model, tokens.values), OnePass(model, tokens.values, "bfloat16")
    with torch.no_grad():
        expected = model.predict(tokens, at)
    for one, other, slow in zip(low(tokens, at), plain(tokens, at), expected, strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one, slow, rtol=0, atol=0.05)
        assert not len(one) or float((one - other).abs().max()) > 1e-5
    assert {weight.dtype for weight in model.state_dict().values()} == {torch.float32}


def test_some_positions_only() -> None:
    model, tokens = made(), by_multiplicity(events_of([3, 1, 0, 7]))
    prepared = OnePass(model, tokens.values)
    whole, some = (prepared(tokens, at) for at in (np.arange(19), np.arange(1, 19, 3)))
    for one, part in zip(whole, some, strict=True):
        torch.testing.assert_close(part, one[1::3])
    nothing = tokens.select([])
    assert [one.shape for one in prepared(nothing, nothing.values)] == [
        (0, size) for _, size in model.heads
    ]


def test_moments_go_where_they_are_told() -> None:
    log_p = torch.log_softmax(torch.tensor([[0.0, 1, 2], [3, 1, 0]]), dim=0)
    filled = *np.zeros((4, 4)), np.full(4, -1)
    loops.moments(log_p.numpy(), np.array([1, -1, 0]), np.array([3, 1, 0]), *filled)
    assert filled[4].tolist() == [0, -1, -1, 1]  # no class, or not asked
    for one, other in zip(filled, _moments(log_p, np.array([1, 0, 0])), strict=True):
        np.testing.assert_allclose(one[[3, 0]], other[[0, 2]].numpy(), atol=1e-7)
        assert one[1] == one[2] or one is filled[4]


def test_moments_are_of_probabilities_that_add_up_to_one() -> None:
    rng = np.random.default_rng(0)
    log_p = torch.log_softmax(torch.as_tensor(rng.normal(0, 40, (7, 2000))).float(), dim=0)
    rows, lowest = np.arange(2000), np.zeros(2000, dtype=np.int64)
    filled, shifted = ((*np.zeros((4, 2000)), lowest.copy()) for _ in range(2))
    loops.moments(log_p.numpy(), lowest, rows, *filled)
    loops.moments((log_p + 0.5).numpy(), lowest, rows, *shifted)
    np.testing.assert_allclose(filled[:4], shifted[:4], rtol=1e-5, atol=1e-4)
    assert (filled[3] >= 0).all()  # though what is above the lowest may add up to more than one


def test_any_order_of_events() -> None:
    model, tokens = made(), events_of([3, 0, 20, 1, 7])
    at = np.arange(len(tokens.values))
    rising = np.argsort(tokens.counts, kind="stable")
    places = TokenBatch(at, tokens.offsets).select(rising).values
    prepared = OnePass(model, tokens.values)
    expected = model.predict(tokens.select(rising), at)
    for one, other in zip(prepared(tokens, at), expected, strict=True):
        torch.testing.assert_close(one[places], other, rtol=0, atol=1e-5)


def test_what_it_refuses() -> None:
    model, tokens = made(), events_of([3, 1])
    other = TokenBatch.from_counts([*range(870, 875), 876, 881], [7])
    with pytest.raises(TokenError, match="prepared for other ids"):
        OnePass(model, tokens.values)(other, np.arange(7))


def test_loops_are_for_many_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_pass, "MANY", 5_000)
    assert loops_pay(5_000)
    assert not loops_pay(4_999)
    model = made()
    assert model.predictor(events_of([3])) == model.predict


class Derived(MaskedTokenModel):
    """A user's own."""


@pytest.mark.parametrize(
    ("options", "fits"),
    [
        ({}, True),
        ({"output": "joint"}, True),
        ({"position": "rope"}, False),
        ({"position": "learned"}, False),
        ({"inputs": "continuous"}, False),
        ({"attention": "full"}, False),
    ],
)
def test_which_models_are_prepared(options: dict[str, Any], fits: bool) -> None:
    model = make_model(**{**ONE_PASS, **options})
    tokens = events_of([3])
    assert isinstance(model.predictor(tokens), OnePass) == can_be_prepared(model) == fits
    assert not can_be_prepared(model.train())
    assert not can_be_prepared(model.eval().double())
    shape = ModelOptions(width=16, feedforward=32, heads=2)
    own = Derived(TOKENIZER.factors, TOKENIZER.digits, shape).eval()
    assert own.predictor(tokens) == own.predict
