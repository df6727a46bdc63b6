"""VQ-VAE tokens: the contract, codes in use, and what a code keeps of a particle."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import torch
from contracts import check_particle_tokenizer, columns

from hepmtp import storage
from hepmtp.detectors import training_events
from hepmtp.errors import (
    OptionError,
    StorageError,
    TrainingError,
)
from hepmtp.events.record import make_events
from hepmtp.events.tokens import TokenBatch
from hepmtp.tokenizers import load_tokenizer
from hepmtp.tokenizers.autoencoder import AutoencoderOptions, Condition
from hepmtp.tokenizers.vqvae import VQVAETokenizer


def small(
    *, condition: Condition = "type", context: bool = False, **options: Any
) -> VQVAETokenizer:
    autoencoder = AutoencoderOptions(
        condition,
        context,
        width=32,
        layers=1,
        heads=2,
        epochs=4,
        batch_events=128,
        learning_rate=5e-3,
    )
    return VQVAETokenizer(codebook_size=64, codebook_dim=8, options=autoencoder, **options)


@pytest.fixture(scope="module")
def tokenizer(events: ak.Array) -> VQVAETokenizer:
    return small().fit(events)


def flat(events: ak.Array, name: str) -> np.ndarray:
    return ak.to_numpy(ak.flatten(events.Particle[name]))


@pytest.mark.parametrize("condition", ["type", "none"])
def test_contract(condition: Condition, events: ak.Array, tmp_path: Path) -> None:
    check_particle_tokenizer(small(condition=condition), events, tmp_path)


@pytest.mark.parametrize("condition", ["type", "none"])
def test_every_token_of_other_events_decodes_to_itself(
    condition: Condition, background: ak.Array, events: ak.Array, tokenizer: VQVAETokenizer
) -> None:
    fitted = tokenizer if condition == "type" else small(condition="none").fit(events)
    others = training_events(background, "analysis")
    tokens = fitted.encode(others)
    assert fitted.encode(fitted.decode(tokens)) == tokens


def test_held_out_background_uses_the_codebook(
    background: ak.Array, tokenizer: VQVAETokenizer
) -> None:
    tokens = tokenizer.encode(training_events(background, "analysis"))
    code = tokenizer.digits[tokens.values, 1]
    shares = np.bincount(code[code >= 0], minlength=64) / np.count_nonzero(code >= 0)
    assert np.mean(shares > 0) > 0.95
    perplexity = np.exp(-np.sum(shares[shares > 0] * np.log(shares[shares > 0])))
    assert perplexity > 0.7 * 64


def test_what_a_code_keeps(background: ak.Array, tokenizer: VQVAETokenizer) -> None:
    others = training_events(background, "analysis")
    decoded = tokenizer.decode(tokenizer.encode(others))
    assert np.array_equal(flat(decoded, "type"), flat(others, "type"))
    log_pt = np.log(flat(decoded, "pt") / flat(others, "pt"))
    phi = np.abs((flat(decoded, "phi") - flat(others, "phi") + np.pi) % (2 * np.pi) - np.pi)
    # without any code the residuals are the spreads themselves
    assert np.median(np.abs(log_pt)) < 0.5 * np.std(np.log(flat(others, "pt")))
    assert np.median(np.abs(flat(decoded, "eta") - flat(others, "eta"))) < 0.5 * np.std(
        flat(others, "eta")
    )
    assert np.median(phi) < 0.5 * np.pi / 2


def test_a_copy_for_another_process(events: ak.Array, tokenizer: VQVAETokenizer) -> None:
    assert pickle.loads(pickle.dumps(tokenizer)).encode(events) == tokenizer.encode(events)


def test_order_of_events_and_seed(events: ak.Array, tokenizer: VQVAETokenizer) -> None:
    state = torch.get_rng_state()
    again = small().fit(events[::-1])
    assert torch.equal(torch.get_rng_state(), state)
    assert again.encode(events) == tokenizer.encode(events)
    assert again.history_ == tokenizer.history_


def test_chunks_of_any_size_give_the_same_ids(events: ak.Array, tokenizer: VQVAETokenizer) -> None:
    for size in (1, 7):
        some = events[:40]
        parts = [tokenizer.encode(some[first : first + size]) for first in range(0, 40, size)]
        assert TokenBatch.concatenate(parts) == tokenizer.encode(some)


def test_sizes_follow_the_options() -> None:
    found = {
        "default": VQVAETokenizer(),
        "type in the codes": VQVAETokenizer(options=AutoencoderOptions(condition="none")),
        "particles alone": VQVAETokenizer(met_bins=0, met_phi_bins=0),
    }
    assert {name: one.vocab_size for name, one in found.items()} == {
        "default": 7 * 512 + 10,
        "type in the codes": 522,
        "particles alone": 7 * 512,
    }
    assert found["default"].factors == (("type", 7), ("code", 512), ("MET", 5), ("METphi", 5))
    assert found["type in the codes"].factors == (("code", 512), ("MET", 5), ("METphi", 5))
    assert found["default"].digits[[0, 511, 512, 3583, 3584, 3593]].tolist() == [
        *([0, 0, -1, -1], [0, 511, -1, -1], [1, 0, -1, -1]),
        *([6, 511, -1, -1], [-1, -1, 0, -1], [-1, -1, -1, 4]),
    ]


def test_missing_momentum_tokens_are_those_of_quantile_bins(events: ak.Array) -> None:
    fitted = small(met_bins=(0.5, 0.9), met_phi_bins=0).fit(events)
    met = fitted.digits[fitted.encode(events).values, 2]
    assert np.bincount(met[met >= 0]) / len(events) == pytest.approx([0.5, 0.4, 0.1], abs=0.002)
    bare = small(met_bins=0, met_phi_bins=0).fit(events).encode(events)
    assert np.array_equal(bare.counts, ak.num(events.Particle))
    # the codes do not know of MET
    assert np.array_equal(bare.values, fitted.encode(events).values[met < 0])


def test_a_type_that_was_never_seen(events: ak.Array) -> None:
    jets = ak.with_field(events, events.Particle[events.Particle["type"] <= 1], "Particle")
    fitted = small().fit(jets)
    tokens = fitted.encode(events)
    decoded = fitted.decode(tokens)
    assert np.array_equal(flat(decoded, "type"), flat(events, "type"))
    assert fitted.encode(decoded) == tokens
    assert len(np.unique(tokens.values[fitted.digits[tokens.values, 0] == 6])) == 1


def test_wild_particles_have_codes(tokenizer: VQVAETokenizer) -> None:
    wild = make_events(
        counts=[4],
        pt=[0.0, 1e9, 1e-9, 50.0],
        eta=[0.0, 300.0, -1e30, 5.0],
        phi=[0.0, np.pi, -3.0, 1.0],
        energy=[0.0, 1e12, -5.0, 1e200],
        type=[0, 1, 6, 3],
        met=[0.0],
        met_phi=[0.0],
    )
    tokens = tokenizer.encode(wild)
    assert tokenizer.encode(tokenizer.decode(tokens)) == tokens


def test_codes_of_the_event_round_trip_for_the_most_part(
    background: ak.Array, events: ak.Array
) -> None:
    fitted = small(context=True).fit(events)
    others = training_events(background, "analysis")
    tokens = fitted.encode(others)
    again = fitted.encode(fitted.decode(tokens))
    assert np.array_equal(again.offsets, tokens.offsets)
    particle = fitted.digits[tokens.values, 0] >= 0
    same = np.mean((again.values == tokens.values)[particle])
    assert same > 0.5, same  # a small model, hardly trained
    # an event's codes do not depend on the others of the batch
    assert fitted.encode(others[3:5]) == tokens.select([3, 4])


# Refusals


def test_bad_options() -> None:
    with pytest.raises(
        OptionError, match=r"codebook_size and codebook_dim must be 2 or more, found 1 and 16"
    ):
        VQVAETokenizer(codebook_size=1)
    with pytest.raises(
        OptionError, match=r"condition must be one of \('none', 'type'\), found 'pt'"
    ):
        AutoencoderOptions(condition="pt")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"width a multiple of heads"):
        AutoencoderOptions(width=30)
    with pytest.raises(OptionError, match=r"met_phi_bins must be 0 or more, found -1"):
        VQVAETokenizer(met_phi_bins=-1)


def test_too_few_particles(events: ak.Array) -> None:
    with pytest.raises(
        TrainingError, match=r"particles cannot fill 64 codes: give more events or fewer codes"
    ):
        small(met_bins=0).fit(events[:4])


def test_a_loss_that_is_not_finite(events: ak.Array) -> None:
    wild = VQVAETokenizer(
        codebook_size=64, options=AutoencoderOptions(width=32, learning_rate=float("inf"))
    )
    with pytest.raises(
        TrainingError, match=r"the loss became nan in epoch 1, step \d: lower learning_rate"
    ):
        wild.fit(events)


def test_saved_and_found_by_name(
    events: ak.Array, tokenizer: VQVAETokenizer, tmp_path: Path
) -> None:
    tokenizer.save(tmp_path / "vqvae")
    loaded = load_tokenizer(tmp_path / "vqvae")
    assert isinstance(loaded, VQVAETokenizer)
    assert (loaded.options, loaded.history_) == (tokenizer.options, tokenizer.history_)
    assert columns(loaded.decode(loaded.encode(events))) == columns(
        tokenizer.decode(tokenizer.encode(events))
    )
    meta, arrays = storage.read(tmp_path / "vqvae")
    kept = {key: value for key, value in meta.items() if key not in ("format", "kind", "sha256")}
    kept["tokenizer"]["codebook_dim"] = 9
    with storage.new_folder(tmp_path / "other") as folder:
        storage.write(folder, meta["kind"], kept, arrays)
    with pytest.raises(StorageError, match=r"what was saved does not fit the options"):
        VQVAETokenizer.load(tmp_path / "other")
