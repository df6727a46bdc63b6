"""A prepared model against its reference: random models, sharp ones too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings, strategies as st
from test_masked import TOKENIZER, events_of, make_model

from hepmtp.detectors.masked_token.surprise import _moments, surprises
from hepmtp.errors import TokenError
from hepmtp.events.tokens import TokenBatch
from hepmtp.models.attention import Block
from hepmtp.models.masked import MaskedTokenModel, ModelOptions
from hepmtp.models.one_pass import OnePass, can_be_prepared

ONE_PASS = {"attention": "leave_one_out"}


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
@given(seed=st.integers(0, 2**16), sharpness=st.sampled_from([10.0, 100.0, 1000.0]))
def test_sharp_models_in_float64(seed: int, sharpness: float) -> None:
    # logits of hundreds: in float32 their own rounding is more than what is compared
    model = made(seed=seed, sharpness=sharpness).double()
    tokens = by_multiplicity(events_of([0, 1, 2, 5, 5, 12], seed=seed))
    everywhere = np.arange(len(tokens.values))
    with torch.no_grad():
        truth = model.predict(tokens, everywhere)
    for fast, slow in zip(OnePass(model, tokens.values)(tokens, everywhere), truth, strict=True):
        torch.testing.assert_close(fast, slow, rtol=1e-9, atol=1e-9)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**16), scale=st.sampled_from([0.1, 3.0, 30.0, 300.0]))
def test_moments_of_any_sharpness(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    logits = torch.as_tensor(rng.normal(0, scale, (7, 20)), dtype=torch.float32)
    log_p, true = torch.log_softmax(logits, dim=0), rng.integers(0, 7, 20)
    s, expected, variance, tail, most = (one.numpy() for one in _moments(log_p, true))
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


def test_what_it_refuses() -> None:
    model, tokens = made(), events_of([3, 1])
    with pytest.raises(TokenError, match="rising multiplicity"):
        OnePass(model, tokens.values)(tokens, np.arange(8))
    other = TokenBatch.from_counts([*range(870, 875), 876, 881], [7])
    with pytest.raises(TokenError, match="prepared for other ids"):
        OnePass(model, tokens.values)(other, np.arange(7))


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
    shape = ModelOptions(width=16, feedforward=32, heads=2)
    own = Derived(TOKENIZER.factors, TOKENIZER.digits, shape).eval()
    assert own.predictor(tokens) == own.predict
