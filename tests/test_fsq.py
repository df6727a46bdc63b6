"""FSQ tokens: the contract, and ids whose digits are the coordinates of the lattice."""

from __future__ import annotations

from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import torch
from contracts import check_particle_tokenizer

from hepmtp.detectors import training_events
from hepmtp.errors import OptionError, TrainingError
from hepmtp.tokenizers import load_tokenizer
from hepmtp.tokenizers.autoencoder import AutoencoderOptions, Condition
from hepmtp.tokenizers.fsq import FSQTokenizer, Lattice


def small(condition: Condition = "type", **options: object) -> FSQTokenizer:
    autoencoder = AutoencoderOptions(
        condition, width=32, layers=1, epochs=4, batch_events=64, learning_rate=5e-3
    )
    return FSQTokenizer(levels=(4, 3, 5), options=autoencoder, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("condition", ["type", "none"])
def test_contract(condition: Condition, events: ak.Array, tmp_path: Path) -> None:
    check_particle_tokenizer(small(condition), events, tmp_path)


def test_digits_are_the_coordinates_of_the_lattice() -> None:
    tokenizer = small(met_bins=0, met_phi_bins=0)
    assert tokenizer.factors == (("type", 7), ("level1", 4), ("level2", 3), ("level3", 5))
    assert tokenizer.vocab_size == 7 * 60
    assert tokenizer.digits[[0, 1, 5, 15, 60, 419]].tolist() == [
        *([0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]),
        *([0, 1, 0, 0], [1, 0, 0, 0], [6, 3, 2, 4]),
    ]
    assert small("none").factors[:3] == (("level1", 4), ("level2", 3), ("level3", 5))
    # the library's own order of codes agrees: each digit rises with its own coordinate alone
    points = Lattice((4, 3, 5)).vectors().numpy()[:, ::-1]
    digits = tokenizer.digits[:60, 1:]
    for column, size in enumerate((4, 3, 5)):
        values = [np.unique(points[digits[:, column] == digit, column]) for digit in range(size)]
        assert [len(value) for value in values] == [1] * size
        assert (np.diff(np.concatenate(values)) > 0).all()


def test_every_point_has_its_own_code() -> None:
    lattice = Lattice((8, 5, 5, 3)).double()
    # far inside each cell: the inverse of the bound that limits latents to the lattice
    levels = torch.tensor([3.0, 5.0, 5.0, 8.0], dtype=torch.float64)
    half, offset = (levels - 1) * 1.001 / 2, torch.where(levels % 2 == 0, 0.5, 0.0)
    z = torch.atanh((lattice.vectors() * (levels // 2) + offset) / half) - torch.atanh(
        offset / half
    )
    assert lattice.codes(z).tolist() == list(range(600))


def test_held_out_background_and_what_a_code_keeps(
    background: ak.Array, events: ak.Array, tmp_path: Path
) -> None:
    tokenizer = small().fit(events)
    others = training_events(background, "analysis")
    tokens = tokenizer.encode(others)
    digits = tokenizer.digits[tokens.values]
    lattice = digits[digits[:, 1] >= 0, 1:4]
    assert [len(np.unique(column)) for column in lattice.T] == [4, 3, 5]
    assert len(np.unique(lattice, axis=0)) > 0.7 * 60
    decoded = tokenizer.decode(tokens)
    assert tokenizer.encode(decoded) == tokens
    assert decoded.Particle["type"].to_list() == others.Particle["type"].to_list()
    log_pt = {
        name: np.log(ak.to_numpy(ak.flatten(part.Particle.pt)))
        for name, part in (("in", others), ("out", decoded))
    }
    assert np.median(np.abs(log_pt["out"] - log_pt["in"])) < 0.5 * np.std(log_pt["in"])
    tokenizer.save(tmp_path / "fsq")
    loaded = load_tokenizer(tmp_path / "fsq")
    assert isinstance(loaded, FSQTokenizer)
    assert loaded.levels == (4, 3, 5)
    assert loaded.encode(others) == tokens


def test_order_of_events_has_no_effect(events: ak.Array) -> None:
    first, second = small().fit(events), small().fit(events[::-1])
    assert first.encode(events) == second.encode(events)


@pytest.mark.parametrize("levels", [(), (8, 2), (8, -5)])
def test_bad_levels(levels: tuple[int, ...]) -> None:
    with pytest.raises(
        OptionError, match=r"levels must be one number or more, each 3 or more, found"
    ):
        FSQTokenizer(levels=levels)


def test_too_few_particles(events: ak.Array) -> None:
    with pytest.raises(TrainingError, match=r"particles cannot fill 600 codes"):
        FSQTokenizer(met_bins=0).fit(events[:10])
