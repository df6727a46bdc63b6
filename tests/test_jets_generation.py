"""Jets drawn from a model: known distributions come back, stops are stops, seeds are seeds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import chi2
from test_autoregressive import FORMS, jets, log_prob, make

from hepmtp.errors import OptionError, TokenError
from hepmtp.events.tokens import TokenBatch
from hepmtp.jets.generation import sample, stream
from hepmtp.models.autoregressive import AutoregressiveModel
from hepmtp.models.growing import State
from hepmtp.training.next_token import Jets, NextTokenOptions, mean_loss, train

#: A Markov chain over 3 x 2 x 2 tokens, with a stop of 0.2 after each; its first digit never rises.
STOP = 0.2


def chain(seed: int = 3) -> np.ndarray:
    """Probabilities of the next id or stop (12), given the last id or the start (12)."""
    rng = np.random.default_rng(seed)
    table = rng.dirichlet(np.ones(12), size=13)
    first = np.arange(12) // 4
    table[:12] *= first <= first[:, None]
    table *= (1 - STOP) / table.sum(axis=1, keepdims=True)
    return np.concatenate([table, np.full((13, 1), STOP)], axis=1)


def draw(table: np.ndarray, n: int, rng: np.random.Generator) -> TokenBatch:
    """Jets of a chain, one after the other."""
    total = table.cumsum(axis=1)
    values, counts = [], []
    for _ in range(n):
        last, length = 12, 0
        while (last := int(np.searchsorted(total[last], rng.random() * total[last, -1]))) < 12:
            values.append(last)
            length += 1
        counts.append(length)
    return TokenBatch.from_counts(values, counts)


def bigrams(tokens: TokenBatch) -> np.ndarray:
    """How often each id or stop follows each id or the start, (13, 13)."""
    sentences = np.full(len(tokens.values) + 2 * len(tokens), 12)
    sentences[np.arange(len(tokens.values)) + 2 * tokens.owner + 1] = tokens.values
    inside = np.ones(len(sentences) - 1, dtype=bool)
    inside[np.cumsum(tokens.counts + 2)[:-1] - 1] = False
    found = np.zeros((13, 13))
    np.add.at(found, (sentences[:-1][inside], sentences[1:][inside]), 1)
    return found


def p_value(found: np.ndarray, expected: np.ndarray) -> float:
    """Of chi2 over cells where five are expected; nothing may be where nothing is."""
    assert (found[expected == 0] == 0).all()
    cells = expected > 5
    value = ((found - expected)[cells] ** 2 / expected[cells]).sum()
    return float(chi2.sf(value, int(cells.sum()) - 1))


def exact(table: np.ndarray) -> AutoregressiveModel:
    """A joint model that is this chain: it reads the last id, and no other."""
    model = make((3, 2, 2), form="joint", ordered=False, width=16, heads=1, layers=1)
    with torch.no_grad():
        for one in model.parameters():
            one.zero_()
        model.norm.weight.fill_(1)
    rows = torch.as_tensor(np.log(np.maximum(table, 1e-30)), dtype=torch.float32)

    def first(hidden: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
        return torch.log_softmax(rows[hidden.argmax(dim=1)], dim=1)

    # the hidden state names the last id: one-hot embeddings that the norm does not move
    basis = torch.eye(13, 16)
    model._first = first  # type: ignore[method-assign]
    model._embed = lambda values: basis[values]  # type: ignore[method-assign]
    model.start.data = basis[12:13].clone()
    return model


def test_the_exact_model_gives_the_exact_frequencies() -> None:
    table = chain()
    model = exact(table)
    tokens = sample(model, 20_000, seed=5, batch_jets=5000)
    found = bigrams(tokens)
    assert p_value(found, table * found.sum(axis=1, keepdims=True)) > 1e-3
    lengths = np.bincount(tokens.counts, minlength=60)[:60]
    geometric = 20_000 * STOP * (1 - STOP) ** np.arange(60)
    assert p_value(lengths, geometric) > 1e-3


@pytest.fixture(scope="module")
def learned() -> tuple[AutoregressiveModel, np.ndarray]:
    """A product model trained on 6000 jets of the chain."""
    table = chain()
    rng = np.random.default_rng(0)
    some = [Jets.leading(draw(table, n, rng)) for n in (5000, 500)]
    model = make((3, 2, 2), running=False, layers=1)
    options = NextTokenOptions(epochs=8, batch_events=64, learning_rate=3e-3)
    train(model, *some, options=options)
    return model, table


def test_training_recovers_the_chain(learned: tuple[AutoregressiveModel, np.ndarray]) -> None:
    model, table = learned
    held_out = Jets.leading(draw(table, 1000, np.random.default_rng(9)))
    seen = bigrams(held_out.tokens)
    best = -(seen[seen > 0] * np.log(table[seen > 0])).sum() / seen.sum()
    assert mean_loss(model, held_out) == pytest.approx(best, abs=0.04)
    tokens = sample(model, 20_000, seed=1, batch_jets=5000)
    found = bigrams(tokens)
    expected = table * found.sum(axis=1, keepdims=True)
    assert np.abs(found - expected).sum() < 0.1 * found.sum()
    assert found[:, -1].sum() == pytest.approx(expected[:, -1].sum(), rel=0.05)
    assert tokens.counts.mean() == pytest.approx((1 - STOP) / STOP, rel=0.05)


def test_samples_are_as_surprising_as_the_model_expects(
    learned: tuple[AutoregressiveModel, np.ndarray],
) -> None:
    """On its own jets, the mean of sum(-log p - entropy) is 0."""
    model, _ = learned
    tokens = sample(model, 2000, seed=2)
    sums = []
    for length in np.unique(tokens.counts):
        some = tokens.select(tokens.counts == length)
        values = torch.as_tensor(some.values)
        with torch.no_grad():
            hidden = model.hidden(values, torch.as_tensor(some.offsets))
            _, last = model._rows(values, torch.as_tensor(some.offsets))
            log_p = model.next_ids(State(hidden, last, [], None)).double()
            terms = log_prob(model, some).sum(dim=1).double()
        entropy = -torch.nan_to_num(log_p.exp() * log_p, nan=0.0).sum(dim=1)
        sums.append((-terms - entropy).reshape(-1, length + 1).sum(dim=1).numpy())
    found = np.concatenate(sums)
    assert len(found) == 2000
    assert abs(found.mean()) < 4 * found.std() / np.sqrt(2000)


@FORMS
def test_the_seed_gives_the_same_jets_for_every_batch_size(form: str) -> None:
    model = make(form=form, large=False).double()
    with torch.no_grad():
        model.table[:, -1] += 3  # short jets
    whole = sample(model, 60, seed=4)
    assert whole == sample(model, 60, seed=4, batch_jets=7)
    parts = [sample(model, 20, seed=4, first=first) for first in (0, 20, 40)]
    assert TokenBatch.concatenate(parts) == whole
    assert sample(model, 60, seed=5) != whole
    assert len(list(stream(model, 60, batch_jets=25))) == 3
    digit = model.digits.numpy()[whole.values, 0]
    assert (np.diff(digit)[np.diff(whole.owner) == 0] <= 0).all()


@FORMS
def test_a_model_that_always_stops_gives_empty_jets(form: str) -> None:
    """A sampler that takes the stop for an id, or looks for it at another place, fails here."""
    model = make(form=form)
    with torch.no_grad():
        model.table[:, -1] = 1e4
    tokens = sample(model, 30)
    assert (len(tokens), len(tokens.values)) == (30, 0)


@FORMS
def test_a_model_that_never_stops_is_an_error(form: str) -> None:
    model = make(form=form)
    with torch.no_grad():
        model.table[:, -1] = -1e4
    with pytest.raises(TokenError, match=r"30 of 30 jets have not stopped after 12 constituents"):
        sample(model, 30, max_constituents=12)


def test_a_jet_of_exactly_the_most_constituents_is_legal() -> None:
    """Stops once the first digit is 0: with one digit, after some constituents."""
    model = make((3, 2, 2), running=False)
    with torch.no_grad():
        model.table[:, -1] = -1e4
        model.table[0] = torch.tensor([-1e4, -1e4, -1e4, 1e4])
        model.table[1] = torch.tensor([1e4, -1e4, -1e4, -1e4])
        model.table[2] = torch.tensor([-1e4, 1e4, -1e4, -1e4])
        model.table[3] = torch.tensor([-1e4, -1e4, 1e4, -1e4])
    tokens = sample(model, 5, max_constituents=3)
    assert tokens.counts.tolist() == [3] * 5
    assert (tokens.values // 4).tolist() == [2, 1, 0] * 5
    with pytest.raises(TokenError, match=r"5 of 5 jets"):
        sample(model, 5, max_constituents=2)


def test_temperature_sharpens() -> None:
    model = make((3, 2, 2))
    with torch.no_grad():
        model.table[:, -1] = torch.tensor([5.0, 5.0, 5.0, -5.0])
    cold = sample(model, 300, temperature=0.01)
    assert len(np.unique(cold.values[cold.offsets[:-1][cold.counts > 0]])) == 1
    warm = sample(model, 300)
    assert len(np.unique(warm.values)) > 6
    for wrong in ({"temperature": 0.0}, {"batch_jets": 0}, {"max_constituents": 0}):
        with pytest.raises(OptionError, match=r"must be 1 or more, and the temperature above 0"):
            sample(model, 1, **wrong)
    with pytest.raises(OptionError, match=r"found 0, 256"):
        sample(model, 0)


def test_the_table_of_a_digit_that_cannot_follow_is_never_drawn() -> None:
    model, tokens = make(), jets([40])
    state = model.begin(1)
    with torch.no_grad():
        state = model.step(torch.as_tensor(tokens.values[-1:]), state)
        risen = model.first(state)[0, :-1][int(state.last) + 1 :]
    assert torch.isinf(risen).all()
