"""Leave-one-out surprises: fast against slow, and the moments that the model itself expects."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from test_masked import TOKENIZER, events_of, make_model

from hepmtp.detectors.masked_token.surprise import in_blocks, surprises, surprises_slowly
from hepmtp.errors import TokenError
from hepmtp.events.tokens import TokenBatch
from hepmtp.models.masked import MaskedTokenModel, ModelOptions

OUTPUTS = ("product", "joint")
POSITIONS = ("none", "rope", "learned")
ATTENTIONS = ("full", "leave_one_out")
#: Multiplicities from no particle to many, in no order.
PARTICLES = [3, 0, 12, 1, 3, 7, 0]


def probabilities(model: MaskedTokenModel, tokens: TokenBatch, token: int) -> list[np.ndarray]:
    """Predicted probabilities of each head for one hidden token, its event passed once."""
    event = tokens.select([tokens.owner[token]])
    place = np.array([token - tokens.offsets[tokens.owner[token]]])
    event.values[place] = model.mask_ids(event.values[place])
    with torch.no_grad():
        return [log_p[0].exp().double().numpy() for log_p in model.predict(event, place)]


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("max_tokens", [1, 300, 4096])
def test_fast_equals_slow(output: str, position: str, attention: str, max_tokens: int) -> None:
    # the slow one hides each token, also from a model that needs no hiding
    model = make_model(output=output, position=position, attention=attention)
    tokens = events_of(PARTICLES) + TokenBatch.from_counts(
        [875, 3], [0, 1, 1]
    )  # no tokens; one with nothing around it
    found = surprises(model, tokens, max_tokens=max_tokens)
    np.testing.assert_allclose(
        found.surprise, surprises_slowly(model, tokens), rtol=1e-4, atol=1e-5
    )
    applies = model.targets[tokens.values] >= 0
    for part in found[:4]:
        assert part.shape == applies.shape
        assert part.dtype == np.float64
        assert (part[~applies] == 0).all()
        assert (part[applies] >= 0).all()
    assert ((found.predicted >= 0) == applies).all()


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("n_events", [1, 9, 1000])
def test_blocks_have_the_bits_of_all_events_at_once(attention: str, n_events: int) -> None:
    model = make_model(attention=attention)
    tokens = events_of(np.random.default_rng(3).integers(0, 12, 60).tolist())
    tokens += TokenBatch.from_counts([875], [0, 1, 0])
    whole, predict = surprises(model, tokens, max_tokens=100), model.predictor(tokens)
    blocks = list(in_blocks(model, tokens, n_events, max_tokens=100))
    assert sorted(np.concatenate(blocks)) == list(range(63))
    assert all(len(block) >= n_events for block in blocks[:-1])
    assert len(blocks) > 3 or n_events > 1
    for block in blocks:
        rows = TokenBatch(np.arange(len(tokens.values)), tokens.offsets).select(block).values
        found = surprises(model, tokens.select(block), max_tokens=100, predict=predict)
        for part, expected in zip(found, whole, strict=True):
            np.testing.assert_array_equal(part, expected[rows])


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_expected_variance_and_tail_are_the_sums(output: str, attention: str) -> None:
    model = make_model(output=output, attention=attention)
    tokens = events_of(PARTICLES)
    found = surprises(model, tokens)
    for token in range(len(tokens.values)):
        for column, p in enumerate(probabilities(model, tokens, token)):
            digit = int(model.targets[tokens.values[token], column])
            if digit >= 0:
                entropy = -sum(q * np.log(q) for q in p)
                variance = sum(q * (-np.log(q) - entropy) ** 2 for q in p)
                assert found.surprise[token, column] == pytest.approx(-np.log(p[digit]), rel=1e-4)
                assert found.expected[token, column] == pytest.approx(entropy, rel=1e-4)
                assert found.variance[token, column] == pytest.approx(variance, rel=1e-3, abs=1e-5)
                tail = p[digit + 1 :].sum() + p[digit] / 2
                assert found.tail[token, column] == pytest.approx(-np.log(tail), rel=1e-4, abs=1e-6)
                assert found.predicted[token, column] == p.argmax()


@pytest.mark.parametrize("output", OUTPUTS)
def test_uniform_predictions(output: str) -> None:
    model = make_model(output=output)
    torch.nn.init.zeros_(model.head.weight)
    torch.nn.init.zeros_(model.head.bias)
    tokens = events_of(PARTICLES)
    found = surprises(model, tokens)
    applies = model.targets[tokens.values] >= 0
    logs = np.where(applies, np.log([size for _, size in model.heads]), 0)
    np.testing.assert_allclose(found.surprise, logs, rtol=1e-6)
    np.testing.assert_allclose(found.expected, logs, rtol=1e-6)
    np.testing.assert_allclose(found.variance, 0, atol=1e-6)


def test_sampled_digits_have_the_expected_mean_and_variance() -> None:
    model = make_model(seed=4)
    with torch.no_grad():
        model.head.weight *= 3  # far from uniform
    one = events_of([4])
    hidden, n = 2, 20_000
    digits = TOKENIZER.digits[:875, :4]
    rng = np.random.default_rng(5)
    drawn = [rng.choice(len(p), n, p=p / p.sum()) for p in probabilities(model, one, hidden)[:4]]
    ids = np.ravel_multi_index(drawn, digits.max(axis=0) + 1)
    copies = np.tile(one.values, (n, 1))
    copies[:, hidden] = ids
    # one pass a copy would be 20 000 of them: equal copies have equal surprises
    unique, back = np.unique(ids, return_inverse=True)
    first = np.unique(ids, return_index=True)[1]
    found = surprises(model, TokenBatch.from_counts(copies[first].ravel(), [6] * len(unique)))
    rows = np.arange(len(unique)) * 6 + hidden
    s = found.surprise[rows, :4][back]
    expected, variance = found.expected[rows[0], :4], found.variance[rows[0], :4]
    np.testing.assert_allclose(
        found.expected[rows, :4], np.tile(expected, (len(unique), 1)), rtol=1e-5
    )
    assert (variance > 0.01).all()
    assert (np.abs(s.mean(axis=0) - expected) < 5 * np.sqrt(variance / n)).all()
    spread = ((s - expected) ** 2).std(axis=0) / np.sqrt(n)
    assert (np.abs(s.var(axis=0) - variance) < 5 * spread).all()


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_the_hidden_token_does_not_help_to_predict_itself(attention: str) -> None:
    model = make_model(attention=attention)
    tokens = events_of([5])
    before = surprises(model, tokens)
    for token, other in ((0, 700), (6, 884)):
        values = tokens.values.copy()
        values[token] = other if values[token] != other else other - 1
        after = surprises(model, TokenBatch(values, tokens.offsets))
        assert np.array_equal(after.expected[token], before.expected[token])
        assert np.array_equal(after.predicted[token], before.predicted[token])
        assert not np.array_equal(after.expected[1], before.expected[1]), "the others see it"


def test_one_pass_takes_each_token_once() -> None:
    sizes = []

    class Counting(MaskedTokenModel):
        def encode(self, values: torch.Tensor, *rest: Any) -> torch.Tensor:
            sizes.append(len(values))
            return super().encode(values, *rest)

    options = ModelOptions(width=16, feedforward=32, heads=2, attention="leave_one_out")
    tokens = events_of([3] * 20 + [8] * 5 + [30])
    surprises(Counting(TOKENIZER.factors, TOKENIZER.digits, options).eval(), tokens, max_tokens=60)
    assert sum(sizes) == len(tokens.values) == 20 * 5 + 5 * 10 + 32
    assert sizes == [60, 60, 30, 32]


def test_no_more_tokens_at_once_than_asked_for() -> None:
    passes: list[tuple[int, int]] = []

    class Counting(MaskedTokenModel):
        def encode(self, values: torch.Tensor, offsets: torch.Tensor, *rest: Any) -> torch.Tensor:
            passes.append((len(values), int(offsets[1])))
            return super().encode(values, offsets, *rest)

    surprises(
        Counting(TOKENIZER.factors, TOKENIZER.digits, ModelOptions(attention="full")).eval(),
        events_of([3] * 20 + [8] * 5 + [30]),
        max_tokens=250,
    )
    assert sum(size for size, _ in passes) == 20 * 25 + 5 * 100 + 32**2
    assert all(size <= 250 or size == multiplicity**2 for size, multiplicity in passes)
    assert len(passes) == 2 + 3 + 1


@pytest.mark.parametrize("counts", [[], [0, 0, 0]])
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_empty_batches(counts: list[int], attention: str) -> None:
    found = surprises(make_model(attention=attention), TokenBatch.from_counts([], counts))
    assert {part.shape for part in found} == {(0, 6)}


@pytest.mark.parametrize("values", [[3, 885], [-1], [885]])
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_ids_outside_the_vocabulary(values: list[int], attention: str) -> None:
    with pytest.raises(TokenError, match=r"ids must lie in 0\.\.884"):
        surprises(make_model(attention=attention), TokenBatch.from_counts(values, [len(values)]))


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_batch_size_and_order_of_events_have_no_effect(attention: str) -> None:
    model = make_model(attention=attention)
    tokens = events_of(PARTICLES)
    order = np.array([4, 2, 0, 6, 5, 3, 1])
    whole, moved = surprises(model, tokens), surprises(model, tokens.select(order), max_tokens=7)
    flat = TokenBatch(np.arange(len(tokens.values)), tokens.offsets).select(order).values
    for a, b in zip(whole[:3], moved[:3], strict=True):
        np.testing.assert_allclose(a[flat], b, rtol=1e-4, atol=1e-5)
