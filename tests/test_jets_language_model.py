"""The language model of a data set: fit, resume, save, densities, and what it refuses."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import torch
from toy_jets import toy_jets

import hepmtp as hm
from hepmtp.errors import NotFittedError, OptionError, StorageError, TrainingError
from hepmtp.events.constituents import constituents
from hepmtp.events.ragged import owner
from hepmtp.events.record import with_metadata
from hepmtp.events.split import part_of
from hepmtp.events.tokens import TokenBatch
from hepmtp.jets.calibration import calibration, table
from hepmtp.jets.density import JetDensity, log_ratio, physical
from hepmtp.models.autoregressive_options import AutoregressiveOptions
from hepmtp.tokenizers.constituents import ConstituentTokenizer
from hepmtp.training.next_token import Jets, NextTokenOptions, _NextToken, mean_loss, train

SHAPE = AutoregressiveOptions(width=16, heads=2, layers=1, feedforward=32)


def make(**changed: Any) -> hm.JetLanguageModel:
    options = {"epochs": 2, "batch_events": 32, "neighbours": 8, "learning_rate": 5e-3}
    return hm.JetLanguageModel(
        ConstituentTokenizer(pt_edges=12, eta_edges=8, phi_edges=8),
        model=changed.pop("model", SHAPE),
        max_constituents=changed.pop("max_constituents", None),
        training=NextTokenOptions(**options | changed),
    )


@pytest.fixture(scope="module")
def qcd() -> ak.Array:
    return toy_jets(600)


@pytest.fixture(scope="module")
def top() -> ak.Array:
    return toy_jets(300, prongs=3, role="signal", seed=1, source=8)


@pytest.fixture(scope="module")
def fitted(qcd: ak.Array) -> hm.JetLanguageModel:
    return make().fit(qcd)


def test_a_trained_model_knows_what_it_is_of(fitted: hm.JetLanguageModel, qcd: ak.Array) -> None:
    assert (fitted.dataset_, fitted.role_) == ("toy1", "background")
    assert [(one.source, one.start, one.stop) for one in fitted.trained_] == [(7, 0, 600)]
    assert [row["epoch"] for row in fitted.history_] == [1, 2]
    held_out = Jets.leading(fitted.tokenizer.encode(part_of(qcd, "validation")))
    loss = mean_loss(fitted.fitted_model, held_out)
    assert loss == pytest.approx(min(row["validation_loss"] for row in fitted.history_), rel=1e-5)
    assert loss < np.log(13 * 9 * 9 + 1)  # better than all alike
    training = part_of(qcd, "train")
    alone = ConstituentTokenizer(pt_edges=12, eta_edges=8, phi_edges=8).fit(training)
    assert alone.identity == fitted.tokenizer.identity  # bins of the train part alone


def test_events_of_the_analysis_part_have_no_effect(
    fitted: hm.JetLanguageModel, qcd: ak.Array
) -> None:
    others = ak.concatenate([part_of(qcd, "validation"), part_of(qcd, "train")])
    again = make().fit(with_metadata(others, dataset="toy1", role="background"))
    np.testing.assert_array_equal(again.density(qcd).log_p, fitted.density(qcd).log_p)


def test_densities_are_sums_of_terms(fitted: hm.JetLanguageModel, qcd: ak.Array) -> None:
    found = fitted.density(qcd[:40])
    tokens = fitted.tokenizer.encode(qcd[:40])
    assert found.n_terms.tolist() == (tokens.counts + 1).tolist()
    terms = fitted.terms(tokens)
    model = fitted.fitted_model
    for jet in (0, 17, 39):
        state, log_p = model.begin(1), []
        with torch.no_grad():
            for value in (*tokens.select([jet]).values.tolist(), model.vocab_size):
                log_p.append(float(model.next_ids(state)[0, value]))
                if value < model.vocab_size:
                    state = model.step(torch.tensor([value]), state)
        rows = slice(tokens.offsets[jet] + jet, tokens.offsets[jet + 1] + jet + 1)
        np.testing.assert_allclose(terms[rows].sum(axis=1), log_p, atol=1e-4)
        assert found.log_p[jet] == pytest.approx(sum(log_p), abs=1e-3)
        assert found.log_p_physical[jet] == pytest.approx(
            slow_physical(sum(log_p), tokens.select([jet]), fitted.tokenizer), abs=1e-3
        )
    np.testing.assert_allclose(found.by_factor.sum(axis=1), found.log_p)
    np.testing.assert_allclose(found.per_term * found.n_terms, found.log_p)
    part = fitted.density(qcd[5:9])
    np.testing.assert_allclose(part.log_p, found.log_p[5:9], rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(part.log_p_physical, found.log_p_physical[5:9], rtol=1e-5, atol=1e-4)


def slow_physical(log_p: float, tokens: TokenBatch, tokenizer: ConstituentTokenizer) -> float:
    """The formula of the physical density, factor by factor."""
    edges = tokenizer.edges_ or ()
    together: dict[int, int] = {}
    for pt, *angles in tokenizer.digits[tokens.values].tolist():
        together[pt] = together.get(pt, 0) + 1
        for one, digit in zip(edges, (pt, *angles), strict=True):
            log_p -= math.log(one[digit + 1] - one[digit])
    orders = sum(math.log(math.factorial(n)) for n in together.values())
    return log_p + orders - math.log(math.factorial(len(tokens.values)))


def test_the_physical_density_of_many_constituents_is_finite() -> None:
    """A plain factorial overflows at 171."""
    counts = [204, 0, 1]
    tokens = TokenBatch.from_counts(np.zeros(205, dtype=int), counts)
    found = physical(np.zeros(3), np.zeros(205), np.zeros(205, dtype=int), tokens)
    assert found.tolist() == [0.0, 0.0, 0.0]  # all in one bin: each set has one order
    spread = physical(np.zeros(3), np.zeros(205), np.arange(205), tokens)
    assert spread[0] == pytest.approx(-math.lgamma(205))
    nothing = TokenBatch.from_counts([], [0, 0])
    assert physical(np.ones(2), *[np.zeros(0)] * 2, nothing).tolist() == [1.0, 1.0]


def test_the_physical_density_integrates_to_1() -> None:
    """One bin of pt, of width 2, and two of eta: sets of two constituents, by numbers."""
    p = {(0, 0): 0.1, (0, 1): 0.2, (1, 0): 0.3, (1, 1): 0.4}
    volume = 2.0 * 0.5
    total = 0.0
    for (first, second), probability in p.items():
        tokens = TokenBatch.from_counts([first, second], [2])
        one = physical(
            np.log([probability]), np.full(2, np.log(volume)), np.zeros(2, dtype=int), tokens
        )
        # points in these bins, the harder one in the first: half of the square of volumes for
        # each order, and each set is two points of the integral over both constituents
        total += np.exp(one[0]) * volume**2
    # the integral over both constituents counts each set twice, and is divided by 2! for it
    assert total == pytest.approx(1.0)


def test_ratios_are_differences(fitted: hm.JetLanguageModel, qcd: ak.Array) -> None:
    one = fitted.density(qcd[:5])
    other = one._replace(log_p=one.log_p - 2)
    assert log_ratio(one, other).tolist() == pytest.approx([2] * 5)
    with pytest.raises(OptionError, match=r"densities of the same jets"):
        log_ratio(one, JetDensity(*(part[:4] for part in one)))


def test_empty_and_long_jets_have_a_density(fitted: hm.JetLanguageModel) -> None:
    long = toy_jets(1, prongs=80, role="signal")
    assert ak.num(long.Particle)[0] > 400
    bare = ak.with_field(long, long.Particle[:, :0], "Particle")
    assert np.isfinite(fitted.density(long).log_p).all()
    found = fitted.density(bare)
    assert np.isfinite(found.log_p).all()
    assert found.n_terms.tolist() == [1]
    assert found.log_p_physical[0] == pytest.approx(found.log_p[0])
    assert len(fitted.density(long[:0]).log_p) == 0


def test_a_saved_model_is_the_same(
    fitted: hm.JetLanguageModel, qcd: ak.Array, tmp_path: Path
) -> None:
    fitted.save(tmp_path / "lm")
    loaded = hm.JetLanguageModel.load(tmp_path / "lm")
    np.testing.assert_array_equal(loaded.density(qcd).log_p, fitted.density(qcd).log_p)
    assert loaded.sample(20, seed=3) == fitted.sample(20, seed=3)
    for name in ("dataset_", "role_", "trained_", "history_", "calibration_", "model"):
        assert getattr(loaded, name) == getattr(fitted, name), name
    with pytest.raises(StorageError, match=r"holds a 'hepmtp:JetLanguageModel', expected a"):
        hm.MaskedTokenDetector.load(tmp_path / "lm")
    weights = tmp_path / "lm" / "arrays.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"none")
    with pytest.raises(StorageError, match=r"has changed since it was saved"):
        hm.JetLanguageModel.load(tmp_path / "lm")


def test_another_data_set_starts_from_it(
    fitted: hm.JetLanguageModel, top: ak.Array, qcd: ak.Array
) -> None:
    with pytest.raises(TrainingError, match=r"bins are fitted on background only, and 'toy3'"):
        make().fit(top)
    tuned = make(epochs=1).fit(top, start_from=fitted)
    assert (tuned.dataset_, tuned.role_) == ("toy3", "signal")
    assert tuned.tokenizer.identity == fitted.tokenizer.identity
    assert tuned.model == fitted.model
    held_out = Jets.leading(fitted.tokenizer.encode(part_of(top, "validation")))
    before, after = (mean_loss(one.fitted_model, held_out) for one in (fitted, tuned))
    assert after < before - 0.05
    # the start is that of the other's weights: a rate of almost 0 leaves them
    still = make(epochs=1, learning_rate=1e-9).fit(top, start_from=fitted)
    np.testing.assert_allclose(
        still.density(qcd[:9]).log_p, fitted.density(qcd[:9]).log_p, rtol=1e-4
    )
    own = make()
    own.tokenizer.fit(qcd[:300])
    with pytest.raises(TrainingError, match=r"the bins are not those of the model to start from"):
        own.fit(top, start_from=fitted)
    with pytest.raises(NotFittedError):
        make().fit(top, start_from=make())


def test_a_model_of_leading_constituents_has_no_stop_there(qcd: ak.Array) -> None:
    """A stop that is forced where jets were cut would teach the wrong multiplicity."""
    cut = make(max_constituents=4, epochs=1).fit(qcd)
    shortest = int(ak.min(ak.num(qcd.Particle)))
    assert shortest < 4
    rows = cut.calibration_
    assert rows[-1].last in (5, None)
    model, tokens = cut.fitted_model, cut.tokenizer.encode(part_of(qcd, "validation"))
    with torch.no_grad():
        some = tokens.select(tokens.counts == 9)
        p = model.first_digits(torch.as_tensor(some.values), torch.as_tensor(some.offsets))
    at_4 = p.reshape(len(some), 10, -1)[:, 4, -1]
    assert at_4.mean() < 0.3
    with pytest.raises(OptionError, match=r"max_constituents must be 1 or more, found 0"):
        make(max_constituents=0)


class Killed(Exception):
    """What ends a training in the middle of its second epoch."""


def kill(epoch: int, step: int, steps: int, loss: float) -> None:
    if (epoch, step) == (2, 2):
        raise Killed("in the second epoch")


def test_resumed_equals_uninterrupted(
    fitted: hm.JetLanguageModel, qcd: ak.Array, tmp_path: Path
) -> None:
    folder = tmp_path / "checkpoint"
    with pytest.raises(Killed, match=r"in the second epoch"):
        make().fit(qcd, checkpoint=folder, progress=kill)
    torch.rand(7)
    resumed = make().fit(qcd, checkpoint=folder)
    assert resumed.history_ == fitted.history_
    for name, value in fitted.fitted_model.state_dict().items():
        assert torch.equal(value, resumed.fitted_model.state_dict()[name]), name
    with pytest.raises(TrainingError, match=r"is of other events, options or model"):
        make(seed=1).fit(qcd, checkpoint=folder)


def test_what_it_cannot_be_a_model_of_is_refused(qcd: ak.Array) -> None:
    for dataset, role in (("", "background"), ("run3", "data"), ("x", None)):
        with pytest.raises(TrainingError, match=r"one of a named data set of background or signal"):
            make().fit(with_metadata(qcd, dataset=dataset, role=role))
    one = make()
    one.tokenizer.fit(qcd)
    with pytest.raises(TrainingError, match=r"found 0 training and 0 validation jets"):
        one.fit(qcd[:0])
    with pytest.raises(NotFittedError, match=r"call fit"):
        make().save("nothing")


def test_weights_are_said_to_be_unused(qcd: ak.Array, caplog: pytest.LogCaptureFixture) -> None:
    weighted = ak.with_field(qcd, np.arange(len(qcd)) - 5.0, "weight")
    make(epochs=1).fit(weighted)
    assert "toy1: the weights of the jets are not used" in caplog.text


def test_runs_are_neighbours_and_change(fitted: hm.JetLanguageModel, qcd: ak.Array) -> None:
    jets = Jets.leading(fitted.tokenizer.encode(qcd))
    task = _NextToken(fitted.fitted_model, jets, jets, NextTokenOptions())
    seen = []
    for epoch in (1, 2):
        n = task.draw(epoch, np.random.default_rng([0, epoch]))
        assert n == len(task.runs)
        assert sorted(np.concatenate(task.runs).tolist()) == list(range(600))
        lengths = [jets.tokens.counts[run] for run in task.runs]
        assert max(np.ptp(one) for one in lengths[: n - 2]) <= 2
        seen.append([run.tolist() for run in task.runs])
    assert seen[0] != seen[1]


def test_each_epoch_reflects_jets_anew(fitted: hm.JetLanguageModel, qcd: ak.Array) -> None:
    jets, images = Jets.leading(fitted.tokenizer.encode(qcd)), fitted.tokenizer.mirrors
    task = _NextToken(fitted.fitted_model, jets, jets, NextTokenOptions(), images)
    seen = []
    for epoch in (1, 2):
        task.draw(epoch, np.random.default_rng([0, epoch]))
        drawn = task.drawn.values
        assert (task.drawn.offsets == jets.tokens.offsets).all()
        same = [
            np.bincount(jets.tokens.owner, drawn != image[jets.tokens.values], minlength=600) == 0
            for image in images
        ]
        assert np.any(same, axis=0).all()  # a jet is reflected as a whole
        assert min(one.sum() for one in same) > 100
        seen.append(drawn.tolist())
    assert seen[0] != seen[1]
    plain = _NextToken(fitted.fitted_model, jets, jets, NextTokenOptions(mirrored=False), images)
    plain.draw(1, np.random.default_rng(0))
    assert plain.drawn is jets.tokens
    assert len([*task.identity()]) == len([*plain.identity()]) + 1  # no checkpoint serves both


def test_a_model_saved_before_mirror_images_was_trained_without() -> None:
    assert NextTokenOptions().mirrored
    assert NextTokenOptions.from_saved({"mirrored": True}).mirrored
    assert not NextTokenOptions.from_saved({"epochs": 3}).mirrored


@pytest.mark.parametrize("place", [0, 1])
def test_jets_are_as_likely_as_their_mirror_images(place: int) -> None:
    """Sums of eta and of phi around the axis, of odd powers that need not vanish by definition."""
    found = constituents(hm.read([hm.embedded_jets()[place]]))
    of_jet = owner(found.counts)
    for values in (found.eta, found.phi):
        for power in (1, 3):
            sums = np.bincount(of_jet, np.exp(found.log_pt) ** 2 * values**power)
            assert abs(sums.mean()) < 4 * sums.std() / np.sqrt(len(sums))
    third = np.bincount(of_jet, np.exp(found.log_pt) ** 2 * found.eta * found.phi)
    assert abs(third.mean()) < 4 * third.std() / np.sqrt(len(third))


def test_a_jet_whose_first_digit_rises_is_refused(fitted: hm.JetLanguageModel) -> None:
    wrong = Jets.leading(TokenBatch.from_counts([0, 5 * 81], [2]))
    with pytest.raises(TrainingError, match=r"jet 0: its first digit rises"):
        train(fitted.fitted_model, wrong, wrong)


def test_calibration_of_what_is_written_out(fitted: hm.JetLanguageModel, qcd: ak.Array) -> None:
    jets = Jets.leading(fitted.tokenizer.encode(qcd[:100]))
    rows = calibration(fitted.fitted_model, jets)
    assert sum(one.n for one in rows) == jets.n_terms
    assert sum(one.stops * one.n for one in rows) == pytest.approx(100)
    assert [one.first for one in rows[:3]] == [1, 2, 6]
    tokens = jets.tokens
    with torch.no_grad():
        p = fitted.fitted_model.first_digits(
            torch.as_tensor(tokens.select([0]).values), torch.tensor([0, tokens.counts[0]])
        )
    assert p.sum(dim=1).tolist() == pytest.approx([1] * (int(tokens.counts[0]) + 1), abs=1e-5)
    # the first place, by a loop
    start = p[0].double().numpy()
    expected = (start[:-1] * np.arange(13)).sum() / start[:-1].sum()
    first = fitted.tokenizer.digits[tokens.values[tokens.offsets[:-1]], 0]
    assert rows[0].bin_offset == pytest.approx((first - expected).mean(), abs=1e-3)
    assert rows[0].stops == 0
    assert "constituents" in table(rows)


def test_a_joint_model_is_trained_the_same_way(qcd: ak.Array) -> None:
    shape = AutoregressiveOptions(form="joint", width=16, heads=2, layers=1, feedforward=32)
    joint = make(model=shape).fit(qcd)
    assert joint.fitted_model.n_parameters > 13 * 9 * 9 * 16
    losses = [row["validation_loss"] for row in joint.history_]
    assert losses[-1] < np.log(13 * 9 * 9 + 1)
    assert joint.density(qcd[:5]).by_factor.shape == (5, 1)
    assert len(joint.sample(10)) == 10
