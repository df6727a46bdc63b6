"""Training of the masked-token model: what is hidden, when it stops, and interruption by force."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from test_masked import events_of, make_model

from hepmtp.detectors import training_events
from hepmtp.errors import OptionError, StorageError, TokenError, TrainingError
from hepmtp.events.tokens import TokenBatch
from hepmtp.models.masked import MaskedTokenModel
from hepmtp.tokenizers.lookup import LookupTokenizer
from hepmtp.training.loop import History
from hepmtp.training.masking import (
    TrainingOptions,
    batch_loss,
    mask_tokens,
    tokens_to_predict,
    train,
)
from hepmtp.training.threads import torch_threads

OPTIONS = TrainingOptions(epochs=4, batch_events=128, mask_fraction=0.2, seed=3)
Parts = tuple[TokenBatch, TokenBatch]


@pytest.fixture(scope="module")
def parts(background: ak.Array) -> Parts:
    """Tokens of the training and validation parts of the embedded sample's background."""
    training, validation = (training_events(background, part) for part in ("train", "validation"))
    tokenizer = LookupTokenizer().fit(training)
    return tokenizer.encode(training), tokenizer.encode(validation)


@pytest.fixture(scope="module")
def uninterrupted(parts: Parts) -> tuple[MaskedTokenModel, History]:
    model = make_model(layers=1)
    return model, train(model, *parts, options=OPTIONS)


def same_weights(one: MaskedTokenModel, other: MaskedTokenModel) -> bool:
    return all(
        torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items()
    )


def with_features(tokens: TokenBatch, n: int, *, seed: int = 1) -> TokenBatch:
    features = np.random.default_rng(seed).normal(size=(len(tokens.values), n)).astype(np.float32)
    return TokenBatch(tokens.values, tokens.offsets, features)


def loss_slowly(model: MaskedTokenModel, tokens: TokenBatch, hidden: np.ndarray) -> torch.Tensor:
    """Event by event, all features of every token computed, digit by digit."""
    loss = torch.zeros(())
    for event in range(len(tokens)):
        start, stop = tokens.offsets[event : event + 2]
        alone, truth = tokens.select([event]), tokens.values[start:stop]
        if not model.one_pass:
            alone.values[:] = np.where(hidden[start:stop], model.mask_ids(truth), truth)
        log_p = model.predict(alone, np.arange(stop - start))
        for token in np.flatnonzero(hidden[start:stop]):
            for head, digit in enumerate(model.targets[truth[token]].tolist()):
                if digit >= 0:
                    loss = loss - log_p[head][token, digit]
    return loss


# What is hidden

counts = st.lists(st.integers(0, 20), min_size=1, max_size=30)


@given(counts=counts, fraction=st.floats(0, 1), seed=st.integers(0, 999))
def test_every_event_with_tokens_hides_one(counts: list[int], fraction: float, seed: int) -> None:
    tokens = TokenBatch.from_counts(np.zeros(sum(counts), dtype=int), counts)
    hidden = mask_tokens(tokens, fraction, np.random.default_rng(seed))
    assert hidden.shape == (sum(counts),)
    per_event = np.bincount(tokens.owner[hidden], minlength=len(tokens))
    assert (per_event[tokens.counts > 0] >= 1).all()
    assert np.array_equal(hidden, mask_tokens(tokens, fraction, np.random.default_rng(seed)))
    if fraction == 0:
        assert np.array_equal(per_event, tokens.counts > 0)
    if fraction == 1:
        assert hidden.all()


def test_the_fraction_is_right_on_average() -> None:
    tokens = TokenBatch.from_counts(np.zeros(40_000, dtype=int), [50] * 800)
    for fraction in (0.15, 0.3, 0.7):
        hidden = mask_tokens(tokens, fraction, np.random.default_rng(1))
        assert abs(hidden.mean() - fraction) < 5 * np.sqrt(fraction * (1 - fraction) / 40_000)


def test_the_one_hidden_token_is_anywhere() -> None:
    tokens = TokenBatch.from_counts(np.zeros(20_000, dtype=int), [4] * 5000)
    hidden = mask_tokens(tokens, 0.0, np.random.default_rng(2)).reshape(5000, 4)
    assert np.abs(hidden.mean(axis=0) - 0.25).max() < 5 * np.sqrt(0.25 * 0.75 / 5000)


@given(counts=counts, fraction=st.floats(0, 1), seed=st.integers(0, 999))
def test_only_tokens_that_may_be_hidden(counts: list[int], fraction: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    tokens = TokenBatch.from_counts(np.zeros(sum(counts), dtype=int), counts)
    among = rng.random(sum(counts)) < 0.3
    hidden = mask_tokens(tokens, fraction, rng, among)
    assert not (hidden & ~among).any()
    per_event = np.bincount(tokens.owner[hidden], minlength=len(tokens))
    allowed = np.bincount(tokens.owner[among], minlength=len(tokens))
    assert np.array_equal(per_event > 0, allowed > 0)
    if fraction == 0:
        assert per_event.max() <= 1


@pytest.mark.parametrize(
    ("attention", "hide", "n"),
    [
        ("full", (), [1, 1, 1]),
        ("full", ("particle",), [1, 0, 1]),
        ("full", ("MET",), [1, 1, 1]),
        ("leave_one_out", (), [5, 2, 6]),
        ("leave_one_out", ("particle",), [3, 0, 4]),
        ("leave_one_out", ("MET", "METphi"), [2, 2, 2]),
    ],
)
def test_what_is_predicted(attention: str, hide: tuple[str, ...], n: list[int]) -> None:
    model, tokens = make_model(attention=attention), events_of([3, 0, 4])
    found = tokens_to_predict(model, tokens, TrainingOptions(hide=hide), np.random.default_rng(1))
    assert np.bincount(tokens.owner[found], minlength=3).tolist() == n
    kinds = {("particle", "MET", "METphi")[model.kind_of[one]] for one in tokens.values[found]}
    assert kinds <= set(hide or kinds)


def test_a_kind_that_is_not_there(parts: Parts) -> None:
    with pytest.raises(
        TrainingError,
        match=r"no tokens of kind METeta to hide, only \('particle', 'MET', 'METphi'\)",
    ):
        train(make_model(), *parts, options=TrainingOptions(hide=("MET", "METeta")))
    bare = events_of([0, 0, 0])
    with pytest.raises(
        TrainingError, match=r"there is no token of kind particle to predict: give other events"
    ):
        train(make_model(), bare, parts[1], options=TrainingOptions(hide=("particle",)))


# The loss


@pytest.mark.parametrize("output", ["product", "joint"])
@pytest.mark.parametrize("position", ["none", "rope", "learned"])
@pytest.mark.parametrize("attention", ["full", "leave_one_out"])
@pytest.mark.parametrize("fraction", [0.0, 0.4])
def test_loss_equals_the_slow_one(
    output: str, position: str, attention: str, fraction: float
) -> None:
    model = make_model(output=output, position=position, attention=attention)
    tokens = events_of([5, 1, 0, 5, 12]) + TokenBatch.from_counts([3], [0, 1])
    hidden = mask_tokens(tokens, fraction, np.random.default_rng(4))
    assert hidden.sum() == 6 if fraction == 0 else hidden.sum() > 6
    fast, n = batch_loss(model, tokens, hidden)
    slow = loss_slowly(model, tokens, hidden)
    assert n == hidden.sum()
    torch.testing.assert_close(fast, slow, rtol=1e-5, atol=1e-4)
    weights = list(model.parameters())
    for a, b in zip(*(torch.autograd.grad(loss, weights) for loss in (fast, slow)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


@settings(max_examples=20)
@given(particles=st.lists(st.integers(0, 9), min_size=1, max_size=8), seed=st.integers(0, 99))
def test_one_hidden_token_an_event_takes_a_shorter_way_to_the_same_loss(
    particles: list[int], seed: int
) -> None:
    model = make_model()
    tokens = events_of(particles, seed=seed)
    hidden = mask_tokens(tokens, 0.0, np.random.default_rng(seed))
    one = batch_loss(model, tokens, hidden)[0]
    # a second hidden token in one more event forces the general way
    more = events_of([2])
    both = np.r_[hidden, [True, True, False, False]]
    general = batch_loss(model, tokens + more, both)[0] - batch_loss(model, more, both[-4:])[0]
    torch.testing.assert_close(general, one, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("attention", ["full", "leave_one_out"])
def test_loss_of_continuous_inputs_equals_the_slow_one(attention: str) -> None:
    model = make_model(inputs="continuous", n_features=3, attention=attention)
    tokens = with_features(events_of([5, 1, 0, 5, 12]), 3)
    hidden = mask_tokens(tokens, 0.3, np.random.default_rng(4))
    fast, slow = batch_loss(model, tokens, hidden)[0], loss_slowly(model, tokens, hidden)
    torch.testing.assert_close(fast, slow, rtol=1e-5, atol=1e-4)
    assert batch_loss(model, with_features(tokens, 3, seed=2), hidden)[0] != fast


def test_loss_of_events_without_tokens() -> None:
    loss, n = batch_loss(make_model(), TokenBatch.from_counts([], [0, 0]), np.zeros(0, dtype=bool))
    assert (loss.item(), n) == (0.0, 0)


# Training


@pytest.mark.parametrize("inputs", ["tokens", "continuous"])
def test_one_pass_models_learn(parts: Parts, inputs: str) -> None:
    batches = [with_features(part, 3) for part in parts]
    model = make_model(layers=1, attention="leave_one_out", inputs=inputs, n_features=3)
    history = train(model, *batches, options=replace(OPTIONS, epochs=2))
    assert history[-1]["validation_loss"] < history[0]["validation_loss"] - 0.02
    again = make_model(layers=1, attention="leave_one_out", inputs=inputs, n_features=3)
    assert train(again, *batches, options=replace(OPTIONS, epochs=2, mask_fraction=0.9)) == history
    assert same_weights(again, model)


def test_continuous_inputs_without_features(parts: Parts) -> None:
    with pytest.raises(TokenError, match=r"needs 15 features a token, found none"):
        train(make_model(inputs="continuous"), *parts, options=OPTIONS)


def test_only_what_is_hidden_is_learned(parts: Parts) -> None:
    model = make_model(layers=1)
    before = model.head.weight.detach().clone()
    train(model, *parts, options=replace(OPTIONS, epochs=1, hide=("MET",), weight_decay=0.0))
    moved = (model.head.weight - before).abs().amax(dim=1) > 0
    sizes = [size for _, size in model.heads]
    learned = [bool(part.any()) for part in moved.split(sizes)]
    assert dict(zip([name for name, _ in model.heads], learned, strict=True)) == {
        **dict.fromkeys(("type", "pt", "eta", "phi", "METphi"), False),
        "MET": True,
    }


def test_loss_falls(uninterrupted: tuple[MaskedTokenModel, History]) -> None:
    model, history = uninterrupted
    assert [row["epoch"] for row in history] == [1, 2, 3, 4]
    for name in ("train_loss", "validation_loss"):
        assert history[-1][name] < history[0][name] - 0.05
    assert history[-1]["validation_loss"] < np.log(7 * 5 * 5 * 5), "better than to know nothing"
    assert history[0]["learning_rate"] > history[-1]["learning_rate"] == 0.0
    assert not model.training


def test_seed(parts: Parts, uninterrupted: tuple[MaskedTokenModel, History]) -> None:
    model, history = uninterrupted
    again, other = make_model(layers=1), make_model(layers=1)
    torch.manual_seed(99)  # of no account
    assert train(again, *parts, options=OPTIONS) == history
    assert same_weights(again, model)
    assert train(other, *parts, options=replace(OPTIONS, seed=4)) != history
    assert not same_weights(other, model)


def test_dropout_acts_in_training_and_not_in_validation(parts: Parts) -> None:
    one = replace(OPTIONS, epochs=1, learning_rate=1e-12)  # too small to change the model
    rows = [
        train(make_model(layers=1, dropout=dropout), *parts, options=one)[0]
        for dropout in (0.0, 0.5)
    ]
    assert rows[0]["train_loss"] != pytest.approx(rows[1]["train_loss"], rel=1e-4)
    assert rows[0]["validation_loss"] == pytest.approx(rows[1]["validation_loss"], rel=1e-6)


def test_progress_is_told(parts: Parts) -> None:
    calls: list[tuple[int, int, int, float]] = []
    history = train(
        make_model(layers=1),
        *parts,
        options=replace(OPTIONS, epochs=2),
        progress=lambda *call: calls.append(call),
    )
    steps = -(-len(parts[0]) // 128)
    assert [call[:3] for call in calls] == [
        (epoch, i + 1, steps) for epoch in (1, 2) for i in range(steps)
    ]
    assert calls[-1][3] == history[-1]["train_loss"]


def test_stops_when_patient_enough_and_keeps_the_best_weights() -> None:
    # what is learned in training is wrong for validation events, so the first epochs are the best
    training = TokenBatch.from_counts([3, 3, 3, 876, 881] * 64, [5] * 64)
    validation = TokenBatch.from_counts([800, 650, 777, 879, 884] * 16, [5] * 16)
    options = TrainingOptions(epochs=30, patience=3, batch_events=16, seed=1)
    model = make_model(layers=1)
    history = train(model, training, validation, options=options)
    losses = [row["validation_loss"] for row in history]
    best = int(np.argmin(losses))
    assert len(history) == best + 1 + 3 < 30
    assert losses[-1] > losses[best] + 0.1
    hidden = mask_tokens(validation, options.mask_fraction, np.random.default_rng([1, 0]))
    with torch.no_grad(), torch_threads(1):
        loss, n = batch_loss(model, validation, hidden)
    assert float(loss) / n == pytest.approx(losses[best], rel=1e-6)


def test_leaves_torch_and_numpy_as_they_were(parts: Parts) -> None:
    model, threads = make_model(layers=1), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        torch_state = torch.get_rng_state()
        numpy_state = np.random.get_state()[1].copy()  # noqa: NPY002
        train(model, *parts, options=replace(OPTIONS, epochs=1))
        with pytest.raises(TrainingError, match=r"lower learning_rate"):
            train(model, *parts, options=replace(OPTIONS, learning_rate=1e30))
        assert torch.equal(torch.get_rng_state(), torch_state)
        assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_loss_that_is_no_number(parts: Parts, tmp_path: Path) -> None:
    wild = replace(OPTIONS, learning_rate=1e30)
    with pytest.raises(
        TrainingError, match=r"the loss became (nan|inf) in epoch 1, step \d+: lower learning_rate"
    ):
        train(make_model(layers=1), *parts, options=wild, checkpoint=tmp_path / "checkpoint")
    assert not (tmp_path / "checkpoint").exists()
    with pytest.raises(TrainingError, match=r"the validation loss became (nan|inf) in epoch 1"):
        train(make_model(layers=1), *parts, options=replace(wild, batch_events=10_000))


def test_nothing_to_train_on(parts: Parts) -> None:
    for nothing in (TokenBatch.from_counts([], []), TokenBatch.from_counts([], [0, 0])):
        with pytest.raises(
            TrainingError,
            match=rf"found {len(nothing)} training and \d+ validation events with tokens",
        ):
            train(make_model(), nothing, parts[1])
        with pytest.raises(
            TrainingError, match=rf"found \d+ training and {len(nothing)} validation events"
        ):
            train(make_model(), parts[0], nothing)


def test_ids_of_another_tokenizer(parts: Parts) -> None:
    with pytest.raises(TokenError, match=r"ids must lie in 0\.\.884, found"):
        train(make_model(), TokenBatch.from_counts([3, 885], [2]), parts[1], options=OPTIONS)


@pytest.mark.parametrize(
    "options",
    [
        {"epochs": 0},
        {"patience": 0},
        {"batch_events": 0},
        {"threads": 0},
        {"learning_rate": 0.0},
        {"weight_decay": -0.1},
        {"mask_fraction": 1.1},
        {"mask_fraction": -0.1},
    ],
)
def test_bad_options(options: dict[str, Any]) -> None:
    name = next(iter(options))
    with pytest.raises(OptionError, match=rf"{name}.* must be .*, found TrainingOptions"):
        TrainingOptions(**options)


# Interruption


def train_until_told_to_stop(folder: Path, epoch: int, step: int) -> None:
    """Run by a process of its own: at this batch it says so and waits to be killed."""

    def progress(now: int, done: int, steps: int, loss: float) -> None:
        if (now, done) == (epoch, step):
            sys.stdout.write("here\n")
            sys.stdout.flush()
            sys.stdin.read()

    with np.load(folder / "tokens.npz") as arrays:
        parts = [
            TokenBatch(arrays[f"{name}_values"], arrays[f"{name}_offsets"])
            for name in ("train", "validation")
        ]
    train(
        make_model(layers=1),
        *parts,
        options=OPTIONS,
        checkpoint=folder / "checkpoint",
        progress=progress,
    )


def kill_at(folder: Path, parts: Parts, epoch: int, step: int) -> None:
    arrays = {
        f"{name}_values": part.values
        for name, part in zip(("train", "validation"), parts, strict=True)
    }
    arrays |= {
        f"{name}_offsets": part.offsets
        for name, part in zip(("train", "validation"), parts, strict=True)
    }
    np.savez(folder / "tokens.npz", **arrays)
    code = (
        "import sys, pathlib, test_training as t;"
        f"t.train_until_told_to_stop(pathlib.Path({str(folder)!r}), {epoch}, {step})"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL


def epochs_in(checkpoint: Path) -> int:
    return len(json.loads((checkpoint / "hepmtp.json").read_text())["history"])


def test_killed_and_resumed_equals_uninterrupted(
    parts: Parts, uninterrupted: tuple[MaskedTokenModel, History], tmp_path: Path
) -> None:
    checkpoint = tmp_path / "checkpoint"
    kill_at(tmp_path, parts, 2, 3)  # in the middle of an epoch, after the first checkpoint
    assert epochs_in(checkpoint) == 1
    kill_at(tmp_path, parts, 4, 1)  # resumed, and killed again
    assert epochs_in(checkpoint) == 3
    model = make_model(layers=1, seed=77)  # other weights at first: the checkpoint's count
    seen: list[int] = []
    history = train(
        model,
        *parts,
        options=OPTIONS,
        checkpoint=checkpoint,
        progress=lambda epoch, *_: seen.append(epoch),
    )
    assert set(seen) == {4}
    assert history == uninterrupted[1]
    assert same_weights(model, uninterrupted[0])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint", "tokens.npz"]


@pytest.fixture
def finished(parts: Parts, uninterrupted: tuple[MaskedTokenModel, History], tmp_path: Path) -> Path:
    """Checkpoint of a training that is over, equal to one without checkpoints."""
    model = make_model(layers=1)
    assert (
        train(model, *parts, options=OPTIONS, checkpoint=tmp_path / "checkpoint")
        == uninterrupted[1]
    )
    assert same_weights(model, uninterrupted[0])
    return tmp_path / "checkpoint"


def test_finished_training_is_taken_as_it_is(
    finished: Path, parts: Parts, uninterrupted: tuple[MaskedTokenModel, History]
) -> None:
    def never(*call: object) -> None:
        pytest.fail("nothing is left to train")

    model = make_model(layers=1, seed=77)
    assert (
        train(model, *parts, options=OPTIONS, checkpoint=finished, progress=never)
        == uninterrupted[1]
    )
    assert same_weights(model, uninterrupted[0])


def test_checkpoint_of_another_training_is_refused(finished: Path, parts: Parts) -> None:
    fewer = parts[0].select(np.arange(len(parts[0]) - 1))
    changed = parts[0].values.copy()
    changed[0] = (changed[0] + 1) % 875
    others: list[tuple[MaskedTokenModel, Parts, TrainingOptions]] = [
        (make_model(layers=1), (fewer, parts[1]), OPTIONS),
        (make_model(layers=1), (TokenBatch(changed, parts[0].offsets), parts[1]), OPTIONS),
        (make_model(layers=1), (parts[1], parts[0]), OPTIONS),
        (make_model(layers=1), parts, replace(OPTIONS, learning_rate=1e-4)),
        (make_model(layers=1), parts, replace(OPTIONS, epochs=5)),
        (make_model(layers=2), parts, OPTIONS),
        (make_model(layers=1, output="joint"), parts, OPTIONS),
        (make_model(layers=1), parts, replace(OPTIONS, hide=("MET",))),
        (make_model(layers=1, attention="leave_one_out"), parts, OPTIONS),
        (make_model(layers=1), (with_features(parts[0], 2), parts[1]), OPTIONS),
    ]
    for model, tokens, options in others:
        with pytest.raises(
            TrainingError, match=r"is of other events, options or model: choose another folder"
        ):
            train(model, *tokens, options=options, checkpoint=finished)


def test_damaged_checkpoint_is_refused(finished: Path, parts: Parts, tmp_path: Path) -> None:
    arrays = finished / "arrays.safetensors"
    data = bytearray(arrays.read_bytes())
    data[-1] ^= 1
    arrays.write_bytes(bytes(data))
    with pytest.raises(StorageError, match=r"has changed since it was saved"):
        train(make_model(layers=1), *parts, options=OPTIONS, checkpoint=finished)
    (tmp_path / "mine").mkdir()
    with pytest.raises(StorageError, match=r"mine cannot be read as a checkpoint"):
        train(make_model(layers=1), *parts, options=OPTIONS, checkpoint=tmp_path / "mine")
