"""The autoregressive model: exact probabilities, no look ahead, no padding, cache equals full."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from hepmtp.errors import OptionError, TokenError
from hepmtp.events.tokens import TokenBatch
from hepmtp.models.attention import SelfAttention, attend_slowly
from hepmtp.models.autoregressive import AutoregressiveModel
from hepmtp.models.autoregressive_options import AutoregressiveOptions
from hepmtp.models.cache import Cache
from hepmtp.models.groups import Group
from hepmtp.training.next_token import Jets, NextTokenOptions, batch_loss, batches, first_counts

SIZES = (41, 31, 31)
SMALL: dict[str, Any] = {"width": 16, "heads": 2, "layers": 2, "feedforward": 32}
FORMS = pytest.mark.parametrize("form", ["product", "joint"])


def make(
    sizes: tuple[int, ...] = SIZES, seed: int = 0, *, large: bool = False, **options: Any
) -> AutoregressiveModel:
    """A model with random weights, a random table included, so that nothing is 0 by chance."""
    torch.manual_seed(seed)
    digits = np.indices(sizes).reshape(len(sizes), -1).T
    names = ("pt", "eta", "phi")[: len(sizes)]
    ends = ((-1, 5), (-1, 1), (-1, 1))[: len(sizes)]
    centres = [np.linspace(*one, n) for one, n in zip(ends, sizes, strict=True)]
    shape = {} if large else SMALL
    chosen = AutoregressiveOptions(**shape | {"running": len(sizes) == 3} | options)
    factors = tuple(zip(names, sizes, strict=True))
    model = AutoregressiveModel(factors, digits, chosen, centres=centres)
    torch.nn.init.normal_(model.table)
    return model.eval()


def jets(counts: list[int], sizes: tuple[int, ...] = SIZES, seed: int = 1) -> TokenBatch:
    """Random jets whose first digit falls."""
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(len(counts)), counts)
    first = rng.integers(sizes[0], size=len(owner))
    first = first[np.lexsort((-first, owner))]
    ids = first
    for size in sizes[1:]:
        ids = ids * size + rng.integers(size, size=len(ids))
    return TokenBatch.from_counts(ids, counts)


def log_prob(model: AutoregressiveModel, tokens: TokenBatch) -> torch.Tensor:
    with torch.no_grad():
        return model.log_prob(torch.as_tensor(tokens.values), torch.as_tensor(tokens.offsets))


@pytest.mark.parametrize("rope", [True, False])
def test_causal_attention_equals_the_textbook_and_token_by_token(rope: bool) -> None:
    torch.manual_seed(0)
    module = SelfAttention(16, 4, rope=rope, causal=True)
    x = torch.randn(1 + 2 * 40, 16)
    slow = torch.cat([attend_slowly(module, one) for one in x.split([1, 40, 40])])
    torch.testing.assert_close(module(x, [Group(1, 1), Group(2, 40)]), slow, atol=1e-5, rtol=1e-4)
    pair = x[1:].reshape(2, 40, 16)
    cache = Cache.empty(pair[:, 0], 4, room=3)
    grown = torch.stack([module.step(pair[:, i], cache) for i in range(40)], dim=1)
    torch.testing.assert_close(grown.reshape(80, 16), slow[1:], atol=1e-5, rtol=1e-4)
    with pytest.raises(OptionError, match=r"causal attention has no `at`"):
        module(x, [Group(81, 1)], torch.arange(81))


@FORMS
def test_the_cache_equals_the_full_pass_at_every_position(form: str) -> None:
    model, tokens = make(form=form, large=form == "product"), jets([50, 50])
    values = torch.as_tensor(tokens.values).reshape(2, 50)
    with torch.no_grad():
        full = model.hidden(values.reshape(-1), torch.tensor([0, 50, 100])).reshape(2, 51, -1)
        state = model.begin(2)
        for place in range(51):
            torch.testing.assert_close(state.hidden, full[:, place], atol=1e-5, rtol=1e-4)
            if place < 50:
                state = model.step(values[:, place], state)


@FORMS
@pytest.mark.parametrize("ordered", [True, False])
def test_all_next_tokens_and_stop_sum_to_1(form: str, ordered: bool) -> None:
    model, tokens = make(form=form, ordered=ordered).double(), jets([4])
    states = [model.begin(1)]
    with torch.no_grad():
        for value in tokens.values:
            state = states[-1].select(torch.tensor([0]))  # a copy: caches grow in place
            states.append(model.step(torch.tensor([value]), state))
        for state in states:
            found = model.next_ids(state)
            assert found.shape == (1, 39_402)
            assert float(found.exp().sum()) == pytest.approx(1, abs=1e-6)
        last = int(model.digits[tokens.values[-1], 0])
        risen = found[0, :-1][model.digits[:, 0] > last]
        assert len(risen) > 0
        assert bool(torch.isinf(risen).all()) is ordered
        assert torch.isfinite(found[0, -1])


@FORMS
def test_the_terms_are_those_of_token_by_token(form: str) -> None:
    model, tokens = make((3, 2, 2), form=form), jets([0, 1, 5], (3, 2, 2))
    rows = log_prob(model, tokens).sum(dim=1).tolist()
    place = 0
    for jet in range(3):
        with torch.no_grad():
            state = model.begin(1)
            for value in (*tokens.select([jet]).values.tolist(), 12):  # 12 is the stop
                assert rows[place] == pytest.approx(
                    float(model.next_ids(state)[0, value]), abs=1e-5
                )
                place += 1
                if value < 12:
                    state = model.step(torch.tensor([value]), state)
    assert place == len(rows) == len(tokens.values) + len(tokens)


@FORMS
@pytest.mark.parametrize("ordered", [True, False])
def test_probabilities_of_all_jets_sum_to_1(form: str, ordered: bool) -> None:
    """Of at most three constituents of a 2 x 2 x 2 vocabulary, where a third one ends the jet."""
    model = make((2, 2, 2), form=form, ordered=ordered).double()
    all_jets = [one for n in range(4) for one in itertools.product(range(8), repeat=n)]
    tokens = TokenBatch.from_counts([one for jet in all_jets for one in jet], [*map(len, all_jets)])
    rows = log_prob(model, tokens).sum(dim=1)
    stops = tokens.offsets[1:] + np.arange(len(tokens))
    rows[stops[tokens.counts == 3]] = 0  # forced
    jet = np.repeat(np.arange(len(tokens)), tokens.counts + 1)
    log_p = torch.zeros(len(tokens), dtype=torch.float64).index_add(0, torch.as_tensor(jet), rows)
    assert float(log_p.exp().sum()) == pytest.approx(1, abs=1e-9)
    assert (log_p.exp() == 0).any() == ordered


@FORMS
def test_nobody_sees_the_future(form: str) -> None:
    model, tokens = make(form=form), jets([12, 12])
    before = log_prob(model, tokens).reshape(2, 13, -1)
    for place in range(12):
        values = tokens.values.copy()
        values[place] = (values[place] // 961) * 961 + (values[place] + 480) % 961  # eta and phi
        after = log_prob(model, TokenBatch(values, tokens.offsets)).reshape(2, 13, -1)
        assert torch.equal(before[0, :place], after[0, :place])
        assert torch.equal(before[1], after[1])
        assert not torch.equal(before[0, place], after[0, place])
        assert not torch.equal(before[0, place + 1], after[0, place + 1])


def test_gradients_of_a_term_reach_no_later_token() -> None:
    model, tokens = make((3, 2, 2), running=False), jets([6], (3, 2, 2))
    seen: list[torch.Tensor] = []
    embed = model._embed

    def kept(values: torch.Tensor) -> torch.Tensor:
        seen.append(embed(values).detach().requires_grad_())
        return seen[-1]

    model._embed = kept  # type: ignore[method-assign]
    hidden = model.hidden(torch.as_tensor(tokens.values), torch.as_tensor(tokens.offsets))
    some = torch.randn(16)
    for row in range(7):
        (gradient,) = torch.autograd.grad(hidden[row] @ some, seen[0], retain_graph=True)
        assert (gradient[row:] == 0).all()
        assert (gradient[:row].abs().sum(dim=1) > 0).all() or row == 0


def test_running_sums_know_the_past_only_and_grow() -> None:
    sums, tokens = make().sums, jets([9])
    assert sums is not None
    values = torch.as_tensor(tokens.values)
    rows = sums(values, [Group(1, 10)])
    state = sums.zero(1)
    for place in range(10):
        torch.testing.assert_close(rows[place : place + 1], sums.read(state))
        if place < 9:
            state = sums.add(state, values[place : place + 1])
    # two tokens back to back in phi: their sums written out
    sums.terms[:2] = torch.tensor(
        [[1, 10, 2, 3, 0, 0, 0, 13, 5, 0, 0], [1, 10, -2, 3, 0, 0, 0, 13, -5, 0, 0]]
    )
    total = sums.add(sums.add(sums.zero(1), torch.tensor([0])), torch.tensor([1]))
    assert total[0, [0, 1, 2, 3, 7, 8]].tolist() == [2, 20, 0, 6, 26, 0]  # a mass of 26


@FORMS
def test_nothing_is_padded_and_mates_do_not_matter(form: str) -> None:
    model, tokens = make(form=form), jets([0, 11, 11, 60, 204])
    whole = log_prob(model, tokens)
    assert len(whole) == len(tokens.values) + len(tokens)
    for jet in range(5):
        rows = slice(tokens.offsets[jet] + jet, tokens.offsets[jet + 1] + jet + 1)
        alone = log_prob(model, tokens.select([jet]))
        torch.testing.assert_close(alone, whole[rows], atol=1e-4, rtol=1e-4)
    assert torch.isfinite(log_prob(model, jets([500]))).all()
    assert log_prob(model, jets([])).shape == (0, 3 if form == "product" else 1)


@FORMS
def test_the_counted_table_is_where_the_first_digit_starts(form: str) -> None:
    model, tokens = make((3, 2, 2), form=form), jets([0, 1, 2, 2, 3], (3, 2, 2))
    some = Jets(tokens, np.array([True, True, True, False, True]))
    counted = first_counts(model, some)
    model.start_from_counts(counted)
    for one in model.outputs[0].parameters():
        torch.nn.init.zeros_(one)
    first = np.asarray(model.digits)[tokens.values, 0]
    assert first[0] >= 0
    raw = np.full((4, 4), 0.5)  # by a loop
    for jet in range(5):
        sentence = [3, *first[tokens.offsets[jet] : tokens.offsets[jet + 1]].tolist()]
        for last, digit in itertools.pairwise(sentence):
            raw[last, digit] += 1
        if some.whole[jet]:
            raw[sentence[-1], 3] += 1
    np.testing.assert_allclose(counted, raw / raw.sum(axis=1, keepdims=True))
    with torch.no_grad():
        found = model.next_ids(model.begin(1)).exp()[0]
    by_digit = [float(found[:-1][model.digits[:, 0] == one].sum()) for one in range(3)]
    np.testing.assert_allclose([*by_digit, float(found[-1])], counted[3], rtol=1e-5)


@FORMS
def test_the_loss_has_no_stop_of_a_jet_that_was_cut(form: str) -> None:
    model, tokens = make(form=form), jets([5, 3, 8])
    cut = Jets.leading(tokens, 5)
    assert cut.whole.tolist() == [True, True, False]
    assert cut.tokens.counts.tolist() == [5, 3, 5]
    loss, n = batch_loss(model, cut)
    assert n == cut.n_terms == 5 + 1 + 3 + 1 + 5
    by_jet = [log_prob(model, cut.tokens.select([one])).sum(dim=1) for one in range(3)]
    expected = sum(float(one.sum()) for one in by_jet[:2]) + float(by_jet[2][:-1].sum())
    assert float(loss.detach()) == pytest.approx(-expected, rel=1e-5)
    assert Jets.leading(tokens).n_terms == 16 + 3


def test_batches_hold_every_jet_once() -> None:
    tokens = jets([0, 3, 0, 7, 5])
    assert [some.tolist() for some in batches(tokens, 8)] == [[0, 2], [1, 4], [3]]


def test_what_cannot_be_is_refused() -> None:
    digits = np.array([[0, 0], [0, 1], [1, -1]])
    factors = (("pt", 2), ("eta", 2))
    with pytest.raises(OptionError, match=r"needs 2 digits of every id.*1 missing"):
        AutoregressiveModel(factors, digits, AutoregressiveOptions(running=False))
    with pytest.raises(OptionError, match=r"4 combinations of digits, found 3 ids.*form='joint'"):
        AutoregressiveModel(factors, digits.clip(0), AutoregressiveOptions(running=False))
    with pytest.raises(OptionError, match=r"running sums need the centres"):
        AutoregressiveModel(factors, digits.clip(0), AutoregressiveOptions(form="joint"))
    for wrong in ({"form": "x"}, {"width": 0}, {"width": 10}, {"dropout": 1.0}):
        with pytest.raises(OptionError, match=r"found"):
            AutoregressiveOptions(**wrong)
    model = make()
    with pytest.raises(TokenError, match=r"ids must lie in 0\.\.39400, found 39401"):
        model.hidden(torch.tensor([39_401]), torch.tensor([0, 1]))
    with pytest.raises(TokenError, match=r"by rising multiplicity"):
        model.hidden(torch.tensor([1, 1, 1]), torch.tensor([0, 2, 3]))
    with pytest.raises(OptionError, match=r"batch_events a multiple"):
        NextTokenOptions(batch_events=10)
