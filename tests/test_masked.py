"""The masked-token model: a set in, one softmax a digit out, and what is hidden stays hidden."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
import torch
from contracts import check_model

from hepmtp.errors import OptionError, TokenError
from hepmtp.events.tokens import TokenBatch
from hepmtp.models import TokenModel, kinds_of
from hepmtp.models.attention import Block
from hepmtp.models.groups import Group
from hepmtp.models.heads import output_heads
from hepmtp.models.masked import MaskedTokenModel, ModelOptions
from hepmtp.tokenizers.lookup import LookupTokenizer

TOKENIZER = LookupTokenizer()
OUTPUTS = ("product", "joint")
POSITIONS = ("none", "rope", "learned")
ATTENTIONS = ("full", "leave_one_out")


def make_model(*, seed: int = 1, **options: Any) -> MaskedTokenModel:
    torch.manual_seed(seed)
    shape = {"width": 16, "feedforward": 32, "heads": 2, "attention": "full", **options}
    return MaskedTokenModel(TOKENIZER.factors, TOKENIZER.digits, ModelOptions(**shape)).eval()


def events_of(n_particles: list[int], *, seed: int = 1) -> TokenBatch:
    """Random events of so many particles, each followed by MET and METphi."""
    rng = np.random.default_rng(seed)
    lists = [
        [*rng.integers(0, 875, n), rng.integers(875, 880), rng.integers(880, 885)]
        for n in n_particles
    ]
    return TokenBatch.from_counts(
        np.concatenate([[], *lists]).astype(int), [len(one) for one in lists]
    )


def tensors(tokens: TokenBatch) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.as_tensor(tokens.values), torch.as_tensor(tokens.offsets)


def hidden_as(model: TokenModel, values: torch.Tensor) -> torch.Tensor:
    """The mask ids of these ids."""
    return torch.as_tensor(model.mask_ids(values.reshape(-1).numpy())).reshape(values.shape)


def encode(
    model: MaskedTokenModel,
    values: torch.Tensor,
    offsets: torch.Tensor,
    features: torch.Tensor | None = None,
) -> torch.Tensor:
    """Hidden features of every token, (n_tokens, width), of events in any order."""
    places = TokenBatch(np.arange(len(values)), offsets.numpy())
    placed = places.select(np.argsort(places.counts, kind="stable"))
    flat = torch.as_tensor(placed.values)
    told = None if features is None else features[flat]
    rows = torch.arange(len(flat))
    found = model.encode(values[flat], torch.as_tensor(placed.offsets), rows, told)
    return found[flat.argsort()]


def log_p_of_ids(
    model: MaskedTokenModel,
    values: torch.Tensor,
    offsets: torch.Tensor,
    features: torch.Tensor | None = None,
) -> torch.Tensor:
    """Log-probabilities of every id at every position, given the kind there, (n_tokens, 885)."""
    total = torch.zeros(len(values), len(model.targets))
    parts = model.classify(encode(model, values, offsets, features))
    for part, target in zip(parts, torch.as_tensor(model.targets).T, strict=True):
        total += part[:, target.clamp(min=0)] * (target >= 0)
    other = model.own_mask[values][:, None] != model.own_mask[: len(model.targets)]
    return total.masked_fill(other, -torch.inf)


def parameters(**options: Any) -> int:
    model = MaskedTokenModel(TOKENIZER.factors, TOKENIZER.digits, ModelOptions(**options))
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_contract(output: str, attention: str) -> None:
    config = ModelOptions(output, width=16, heads=2, feedforward=32, attention=attention)
    check_model(config, TOKENIZER, events_of([3, 0, 12, 1, 7, 0, 3, 5]))


def test_number_of_parameters() -> None:
    block = 4 * 128 * 128 + 4 * 128 + 2 * 128 * 256 + 128 + 256 + 4 * 128
    digits, kinds = 7 + 5 + 5 + 5 + 5 + 5, 3
    assert (
        parameters(attention="full")
        == 2 * block + (digits + kinds) * 128 + 2 * 128 + 129 * digits
        == 273_824
    )
    assert (
        parameters(attention="full", output="joint")
        == 2 * block + (885 + kinds) * 128 + 2 * 128 + 129 * 885
    )
    assert parameters(position="rope") == parameters()
    assert parameters(position="learned") == parameters() + 64 * 128
    assert parameters() == parameters(attention="full") + 128, "but for the null token"
    read = (15 + 1) * 128 + 129 * 128
    assert parameters(inputs="continuous") == parameters() - digits * 128 + kinds * 128 + read


def test_kinds_and_heads() -> None:
    kinds = kinds_of(TOKENIZER.digits)
    assert [kinds[i] for i in (0, 874, 875, 879, 880, 884)] == [0, 0, 1, 1, 2, 2]
    heads, digits = output_heads("product", TOKENIZER.factors, TOKENIZER.digits)
    assert heads == TOKENIZER.factors
    assert np.array_equal(digits, TOKENIZER.digits)
    heads, digits = output_heads("joint", TOKENIZER.factors, TOKENIZER.digits)
    assert heads == (("token", 875), ("MET", 5), ("METphi", 5))
    assert digits[[0, 874, 875, 884]].tolist() == [
        [0, -1, -1],
        [874, -1, -1],
        [-1, 0, -1],
        [-1, -1, 4],
    ]
    assert kinds_of(np.array([[0, -1], [-1, 0], [1, -1], [0, 0]])).tolist() == [0, 1, 0, 2]
    for output in OUTPUTS:
        model = make_model(output=output)
        assert model.kinds == ("particle", "MET", "METphi")
        assert np.array_equal(model.kind_of, kinds)
    assert model.is_kind(("MET", "particle"), np.array([0, 880, 875])).tolist() == [1, 0, 1]
    three = MaskedTokenModel((("token", 3), ("MET", 1)), np.array([[2, -1], [-1, 0], [0, 0]]))
    assert three.kinds == ("particle", "MET", "particle")


def test_mask_ids_tell_the_kind_alone() -> None:
    model = make_model()
    values = np.array([0, 874, 875, 879, 880, 884])
    assert model.mask_ids(values).tolist() == [885, 885, 886, 886, 887, 887]
    rows = model.design[885:]
    assert rows.sum(dim=1).tolist() == [1, 1, 1]
    assert rows[:, -3:].equal(torch.eye(3))
    assert not model.design[:885, -3:].any()


@pytest.mark.parametrize("output", OUTPUTS)
def test_probabilities_sum_to_one_within_each_kind(output: str) -> None:
    model = make_model(output=output)
    assert isinstance(model, TokenModel)
    tokens = events_of([3, 0, 1])
    values, offsets = tensors(tokens)
    for shown in (values, hidden_as(model, values)):
        p = log_p_of_ids(model, shown, offsets).exp()
        assert p.shape == (len(values), 885)
        torch.testing.assert_close(p.sum(dim=1), torch.ones(len(values)))
        kind = model.own_mask[shown] - 885
        for i, members in enumerate((slice(0, 875), slice(875, 880), slice(880, 885))):
            torch.testing.assert_close(
                p[kind == i, members].sum(dim=1), torch.ones(int((kind == i).sum()))
            )
    parts = model.classify(encode(model, values, offsets))
    for (_, size), log_p in zip(model.heads, parts, strict=True):
        assert log_p.shape == (len(values), size)
        torch.testing.assert_close(log_p.exp().sum(dim=1), torch.ones(len(values)))


def test_product_form_multiplies_the_digits() -> None:
    model = make_model()
    values, offsets = tensors(events_of([2]))
    parts = model.classify(encode(model, values, offsets))
    log_p = log_p_of_ids(model, values, offsets)
    t, pt, eta, phi = TOKENIZER.digits[431, :4]
    expected = parts[0][0, t] + parts[1][0, pt] + parts[2][0, eta] + parts[3][0, phi]
    torch.testing.assert_close(log_p[0, 431], expected)
    torch.testing.assert_close(log_p[2, 877], parts[4][2, 2])


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_order_matters_only_with_positions(output: str, position: str, attention: str) -> None:
    model = make_model(output=output, position=position, attention=attention)
    values, offsets = tensors(events_of([6]))
    order = torch.tensor([3, 0, 7, 5, 1, 2, 6, 4])
    straight = encode(model, values, offsets)[order]
    permuted = encode(model, values[order], offsets)
    if position == "none":
        torch.testing.assert_close(permuted, straight, atol=1e-5, rtol=1e-4)
    else:
        assert (permuted - straight).abs().max() > 0.01


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("position", POSITIONS)
def test_any_multiplicity_equals_event_by_event(output: str, position: str) -> None:
    model = make_model(output=output, position=position)
    lists = [18, 0, 60, 1, 18, 90]
    tokens = events_of(lists) + TokenBatch.from_counts(
        [875, 3], [0, 1, 0, 1]
    )  # no tokens at all, one token
    values, offsets = tensors(tokens)
    together = encode(model, values, offsets)
    for start, stop in zip(tokens.offsets[:-1], tokens.offsets[1:], strict=True):
        alone = encode(model, values[start:stop], torch.tensor([0, stop - start]))
        torch.testing.assert_close(together[start:stop], alone, atol=1e-5, rtol=1e-4)
    assert log_p_of_ids(model, values, offsets).shape == (len(values), 885)


def test_learned_positions_beyond_the_last_are_alike() -> None:
    model = make_model(position="learned")
    values, offsets = tensors(events_of([100]))
    order = torch.arange(102)
    for a, b, alike in ((63, 99, True), (70, 80, True), (62, 63, False), (3, 70, False)):
        swapped = order.clone()
        swapped[[a, b]] = order[[b, a]]
        difference = (
            (encode(model, values[swapped], offsets) - encode(model, values, offsets)[swapped])
            .abs()
            .max()
        )
        assert (difference < 1e-5) == alike


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_no_events_and_no_tokens(attention: str) -> None:
    model = make_model(attention=attention)
    for offsets in ([0], [0, 0, 0]):
        assert log_p_of_ids(
            model, torch.tensor([], dtype=torch.int64), torch.tensor(offsets)
        ).shape == (0, 885)


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_one_token_an_event_equals_all_of_them(output: str, position: str, attention: str) -> None:
    model = make_model(output=output, position=position, attention=attention)
    tokens = events_of([0, 2, 2, 5, 70])  # by rising multiplicity
    values, offsets = tensors(tokens)
    at = offsets[:-1] + torch.tensor([1, 0, 3, 2, 66])
    torch.testing.assert_close(
        model.encode(values, offsets, at),
        encode(model, values, offsets)[at],
        atol=1e-5,
        rtol=1e-4,
    )


def test_events_must_come_by_rising_multiplicity() -> None:
    values, offsets = tensors(events_of([5, 2]))
    with pytest.raises(TokenError, match=r"needs events by rising multiplicity: sort them first"):
        make_model().encode(values, offsets, offsets[:-1])


@pytest.mark.parametrize("output", OUTPUTS)
def test_what_is_hidden_has_no_effect(output: str) -> None:
    model = make_model(output=output)
    tokens = events_of([5, 3])
    hidden = np.zeros(len(tokens.values), dtype=bool)
    hidden[[1, 4, 6, 8]] = (
        True  # two particles and METphi of the first event, a particle of the second
    )
    other = tokens.values.copy()
    other[[1, 4, 8]] = [13, 870, 500]
    other[6] = 880 + (other[6] - 879) % 5
    assert (other != tokens.values).tolist() == hidden.tolist()
    mask = torch.as_tensor(hidden)
    results = []
    for values in (torch.as_tensor(tokens.values), torch.as_tensor(other)):
        shown = torch.where(mask, hidden_as(model, values), values)
        results.append(log_p_of_ids(model, shown, torch.as_tensor(tokens.offsets)))
    assert torch.equal(*results)
    visible = tokens.values.copy()
    visible[0] = (visible[0] + 437) % 875
    shown = torch.where(mask, hidden_as(model, torch.as_tensor(visible)), torch.as_tensor(visible))
    changed = log_p_of_ids(model, shown, torch.as_tensor(tokens.offsets))
    assert (changed[1, :875] - results[0][1, :875]).abs().max() > 1e-3, "the others are seen"


# One pass for all tokens


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("n", [1, 2, 3, 20, 70])
def test_no_position_sees_its_own_token(output: str, position: str, n: int) -> None:
    model = make_model(output=output, position=position, attention="leave_one_out", layers=3)
    values = torch.as_tensor(np.random.default_rng(n).integers(0, 875, n))
    offsets = torch.tensor([0, n])
    before = log_p_of_ids(model, values, offsets)
    for i in {0, n // 2, n - 1}:
        changed = values.clone()
        changed[i] = (changed[i] + 437) % 875
        after = log_p_of_ids(model, changed, offsets)
        # equal ids share their arithmetic: another number of different ids may round otherwise
        torch.testing.assert_close(after[i], before[i], rtol=0, atol=2e-6)
        others = torch.arange(n) != i
        assert ((after - before)[others, :875].abs().amax(dim=1) > 2e-5).all(), (
            "every other position sees it"
        )
    assert torch.isfinite(before[:, :875]).all()


def test_no_gradient_from_a_token_to_its_own_prediction() -> None:
    model = make_model(attention="leave_one_out", inputs="continuous", n_features=4, layers=3)
    tokens = events_of([5, 2])
    features = torch.randn(len(tokens.values), 4, requires_grad=True)
    encoded = encode(model, *tensors(tokens), features)
    for i in range(len(tokens.values)):
        gradient = (
            torch.autograd.grad(encoded[i].square().sum(), features, retain_graph=True)[0]
            .abs()
            .sum(dim=1)
        )
        same_event = torch.as_tensor(tokens.owner == tokens.owner[i])
        same_event[i] = False
        assert torch.equal(gradient > 0, same_event)


@pytest.mark.parametrize("position", POSITIONS)
def test_one_pass_equals_hiding_each_token(position: str) -> None:
    model = make_model(attention="leave_one_out", position=position)
    values, offsets = tensors(events_of([4]))
    all_at_once = log_p_of_ids(model, values, offsets)
    for i in range(6):
        shown = values.clone()
        shown[i] = hidden_as(model, values[i])
        torch.testing.assert_close(log_p_of_ids(model, shown, offsets)[i], all_at_once[i])


def test_kinds_are_told_apart_in_one_pass() -> None:
    model = make_model(attention="leave_one_out")
    alone = [encode(model, torch.tensor([one]), torch.tensor([0, 1])) for one in (0, 500, 875, 880)]
    assert torch.equal(alone[0], alone[1])
    assert not torch.allclose(alone[0], alone[2], atol=1e-3)
    assert not torch.allclose(alone[2], alone[3], atol=1e-3)


# Continuous inputs


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_features_of_a_hidden_token_have_no_effect(attention: str) -> None:
    model = make_model(inputs="continuous", n_features=4, attention=attention)
    values, offsets = tensors(events_of([3, 2]))
    features = torch.randn(len(values), 4)
    shown = values.clone()
    shown[1] = hidden_as(model, values[1])
    before = log_p_of_ids(model, shown, offsets, features)
    for wild in (7.0, torch.inf, torch.nan):
        changed = features.clone()
        changed[1] = wild
        assert torch.equal(log_p_of_ids(model, shown, offsets, changed), before)
    changed = features.clone()
    changed[0] += 1
    after = log_p_of_ids(model, shown, offsets, changed)
    assert (after - before)[1, :875].abs().max() > 1e-4, "the others are seen"
    assert torch.equal(after[5:], before[5:]), "but in their own event alone"


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_ids_are_no_inputs_when_features_are(attention: str) -> None:
    model = make_model(inputs="continuous", n_features=4, attention=attention)
    values, offsets = tensors(events_of([3]))
    features = torch.randn(5, 4)
    other = values.clone()
    other[:3] = (other[:3] + 400) % 875  # of the same kind
    assert torch.equal(
        log_p_of_ids(model, other, offsets, features),
        log_p_of_ids(model, values, offsets, features),
    )
    assert not torch.allclose(
        log_p_of_ids(model, values, offsets, features + 1),
        log_p_of_ids(model, values, offsets, features),
    )


def test_continuous_inputs_need_features() -> None:
    model = make_model(inputs="continuous")
    values, offsets = tensors(events_of([3]))
    with pytest.raises(
        TokenError,
        match=r"needs 15 features a token, found none for 5 tokens: encode with .*Continuous",
    ):
        log_p_of_ids(model, values, offsets)
    with pytest.raises(
        TokenError, match=r"needs 15 features a token, found features of shape \(5, 4\)"
    ):
        log_p_of_ids(model, values, offsets, torch.zeros(5, 4))


@pytest.mark.parametrize("bad", [-1, 888, 10**9])
def test_ids_outside_the_vocabulary(bad: int) -> None:
    model = make_model()
    with pytest.raises(TokenError, match=r"ids must lie in 0\.\.887, found"):
        encode(model, torch.tensor([3, bad]), torch.tensor([0, 2]))
    with pytest.raises(TokenError, match=r"ids must lie in 0\.\.884, found"):
        model.mask_ids(np.array([bad]))


def test_mask_ids_cannot_be_hidden_again() -> None:
    with pytest.raises(TokenError, match=r"ids must lie in 0\.\.884, found 885\.\.885"):
        make_model().mask_ids(np.array([885]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output": "both"}, r"output of a model must be one of \('product', 'joint'\), found"),
        ({"form": "both"}, r"output of a model must be one of \('product', 'joint'\), found"),
        ({"position": "sine"}, r"position of a model must be one of \('none', 'rope', 'learned'\)"),
        ({"width": 30, "heads": 4}, r"width a multiple of 4"),
        ({"width": 12, "heads": 4, "position": "rope"}, r"width a multiple of 8"),
        ({"attention": "half"}, r"attention of a model must be one of \('full', 'leave_one_out'\)"),
        ({"inputs": "pixels"}, r"one of \('tokens', 'continuous'\), found 'pixels'"),
        ({"n_features": 0}, r"sizes of a model must be 1 or more"),
        ({"layers": 0}, r"sizes of a model must be 1 or more"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        ModelOptions(**options)


def test_the_output_is_given_by_one_of_its_names() -> None:
    for both in ({"output": "product", "form": "joint"}, {"output": "joint", "form": "joint"}):
        with pytest.raises(OptionError, match=r"both output='\w+' and form='joint', its former"):
            ModelOptions(**both)  # type: ignore[arg-type]
    assert type(ModelOptions().output) is str
    assert replace(ModelOptions(), width=64).output == "product"


def test_the_output_has_a_former_name() -> None:
    assert ModelOptions(form="joint") == ModelOptions(output="joint") == ModelOptions("joint")
    assert asdict(replace(ModelOptions(form="joint"), width=64)) == {
        **asdict(ModelOptions()),
        "output": "joint",
        "width": 64,
    }


def test_dropout_acts_in_training_alone() -> None:
    torch.manual_seed(3)
    block = Block(16, 2, 32, 0.5)
    x = torch.randn(4, 16)
    assert not torch.equal(block(x, [Group(1, 4)]), block(x, [Group(1, 4)]))
    block.eval()
    assert torch.equal(block(x, [Group(1, 4)]), block(x, [Group(1, 4)]))
