"""Graph codes: the contract, the graph against a slow one, what sees what, signal as an option."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import torch
from contracts import check_particle_tokenizer, columns, no_particles, one_each

from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import embedded
from hepmtp.errors import OptionError, TrainingError
from hepmtp.events.features import particle_features
from hepmtp.events.particles import PARTICLE_TYPES
from hepmtp.events.record import concatenate, with_metadata
from hepmtp.events.split import part_of
from hepmtp.tokenizers import load_tokenizer
from hepmtp.tokenizers.graph_network import pairs
from hepmtp.tokenizers.graph_vq import GraphVQTokenizer, representatives, share_out

SMALL: dict[str, Any] = {
    "codes": 64,
    "width": 32,
    "layers": 1,
    "heads": 2,
    "epochs": 3,
    "batch_events": 128,
}


@pytest.fixture(scope="module")
def tokenizer(events: ak.Array) -> GraphVQTokenizer:
    return GraphVQTokenizer(**SMALL).fit(events)


@pytest.fixture(scope="module")
def four_tops() -> ak.Array:
    return read([one for one in embedded() if one.name == "4top"], stop=300)


def moved(events: ak.Array, pt: float) -> ak.Array:
    """The events with this pt for each event's first particle."""
    first = ak.local_index(events.Particle.pt) == 0
    return ak.with_field(
        events,
        ak.with_field(events.Particle, ak.where(first, pt, events.Particle.pt), "pt"),
        "Particle",
    )


@pytest.mark.parametrize(
    "options",
    [{}, {"neighbours": 2, "met_phi_bins": 0}, {"met_bins": 0, "met_phi_bins": 0, "layers": 2}],
    ids=["fully connected", "nearest", "particles alone"],
)
def test_contract(options: dict[str, Any], events: ak.Array, tmp_path: Path) -> None:
    check_particle_tokenizer(GraphVQTokenizer(**SMALL | options), events, tmp_path, contextual=True)


def test_ids_are_types_with_codes_of_their_own(
    tokenizer: GraphVQTokenizer, events: ak.Array
) -> None:
    assert tokenizer.vocab_size == 64 + 10
    assert tokenizer.sizes_.sum() == 64
    assert tokenizer.sizes_.argmax() == 0  # jets are the most
    names = [name for name, _ in tokenizer.factors]
    assert names == ["type", "code", "MET", "METphi"]
    tokens = tokenizer.encode(events)
    kind = tokenizer.digits[tokens.values, 0]
    assert kind[kind >= 0].tolist() == ak.flatten(events.Particle["type"]).to_list()
    counts = tokenizer.digits[:64, 0]
    assert np.bincount(counts).tolist() == tokenizer.sizes_.tolist()


def test_held_out_particles_use_the_codes(
    tokenizer: GraphVQTokenizer, background: ak.Array
) -> None:
    held_out = tokenizer.encode(part_of(background, "analysis")).values
    assert len(np.unique(held_out)) > 0.9 * tokenizer.vocab_size


def test_a_decoded_particle_is_one_of_training(
    tokenizer: GraphVQTokenizer, events: ak.Array
) -> None:
    decoded = tokenizer.decode(tokenizer.encode(events[:50]))
    for name in ("pt", "eta", "energy"):
        assert set(ak.flatten(decoded.Particle[name]).to_list()) <= set(
            ak.flatten(events.Particle[name]).to_list()
        )
    before, after = (ak.flatten(one.Particle.pt).to_numpy() for one in (events[:50], decoded))
    assert np.corrcoef(np.log(before), np.log(after))[0, 1] > 0.5


def test_a_code_knows_the_particles_beside_it(events: ak.Array) -> None:
    tokenizer = GraphVQTokenizer(**SMALL | {"layers": 2}).fit(events)
    some = events[ak.num(events.Particle) >= 3]
    changed = (
        tokenizer.encode(moved(some, 2000.0)).to_awkward() != tokenizer.encode(some).to_awkward()
    )
    others = ak.flatten(changed[:, 1:-2]).to_numpy()
    assert others.mean() > 0.05
    assert not ak.any(changed[:, -2:])
    alone = some[:1]
    rest = tokenizer.encode(concatenate([alone, moved(some[1:], 2000.0)]))
    assert rest.select([0]) == tokenizer.encode(alone)  # another event is not beside it


def test_order_of_particles_moves_their_ids_along(
    tokenizer: GraphVQTokenizer, events: ak.Array
) -> None:
    turned = tokenizer.encode(
        ak.with_field(events, events.Particle[:, ::-1], "Particle")
    ).to_awkward()
    straight = tokenizer.encode(events).to_awkward()
    assert turned[:, :-2].to_list() == straight[:, :-2][:, ::-1].to_list()


def test_ids_do_not_depend_on_portions(
    tokenizer: GraphVQTokenizer, events: ak.Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tokenizer.encode(events)
    monkeypatch.setattr("hepmtp.tokenizers.graph_network.MAX_EDGES", 300)
    assert tokenizer.encode(events) == whole
    assert tokenizer.encode(no_particles([50.0] * 3)).counts.tolist() == [2, 2, 2]


def test_ids_are_those_of_the_library(tokenizer: GraphVQTokenizer, events: ak.Array) -> None:
    """The layer that was trained picks the same codes, but for ties that float32 decides."""
    network = tokenizer.network_
    assert network is not None
    counts, x = (
        ak.num(events.Particle).to_numpy(),
        torch.from_numpy(particle_features(events)).double(),
    )
    direction = np.stack(
        [ak.flatten(events.Particle[name]).to_numpy() for name in ("eta", "phi")], axis=1
    )
    with torch.no_grad():
        z = network.features(x, torch.from_numpy(pairs(counts, direction))).float()
    kind, codes = ak.flatten(events.Particle["type"]).to_numpy(), tokenizer.encode(events).values
    codes = tokenizer.digits[codes[codes < 64], 1]
    for i, layer in enumerate(network.quantise):
        found = layer.float()(z[kind == i][None])[1][0].numpy()
        layer.double()
        assert np.mean(found == codes[kind == i]) > 0.999


# Reproducible


def test_one_seed_one_tokenizer_whatever_the_order(
    tokenizer: GraphVQTokenizer, events: ak.Array
) -> None:
    state = torch.random.get_rng_state()
    turned = GraphVQTokenizer(**SMALL).fit(events[::-1])
    assert torch.equal(torch.random.get_rng_state(), state)
    assert turned.encode(events) == tokenizer.encode(events)
    assert columns(turned.decode(turned.encode(events))) == columns(
        tokenizer.decode(tokenizer.encode(events))
    )
    other = GraphVQTokenizer(**SMALL, seed=1).fit(events)
    assert other.encode(events) != tokenizer.encode(events)


# Signal


def test_signal_marks_the_tokenizer_and_what_is_saved(
    events: ak.Array, four_tops: ak.Array, tmp_path: Path
) -> None:
    short = SMALL | {"epochs": 1, "codes": 32}
    tokenizer = GraphVQTokenizer(**short, signal=four_tops)
    assert tokenizer.supervised
    tokenizer.fit(events)
    assert tokenizer.supervised_
    tokenizer.save(tmp_path / "x")
    loaded = load_tokenizer(tmp_path / "x")
    assert isinstance(loaded, GraphVQTokenizer)
    assert loaded.signal is None
    assert loaded.supervised
    assert loaded.encode(four_tops) == tokenizer.encode(four_tops)
    # the train part of the signal alone is used
    again = GraphVQTokenizer(**short, signal=part_of(four_tops, "train")).fit(events)
    assert again.encode(four_tops) == tokenizer.encode(four_tops)
    plain = GraphVQTokenizer(**short).fit(events)
    assert not plain.supervised
    assert plain.encode(four_tops) != tokenizer.encode(four_tops)


def test_second_class_must_be_signal(events: ak.Array, four_tops: ak.Array) -> None:
    with pytest.raises(TrainingError, match=r"signal has the role 'background', expected 'signal'"):
        GraphVQTokenizer(signal=events)
    with pytest.raises(TrainingError, match=r"none of the signal events is in the train part"):
        GraphVQTokenizer(signal=part_of(four_tops, "analysis")).fit(events)


# The graph


def pairs_slowly(
    counts: list[int], direction: np.ndarray, neighbours: int | None
) -> set[tuple[int, int]]:
    found, start = set(), 0
    for n in counts:
        for i in range(start, start + n):
            distance = {}
            for j in range(start, start + n):
                d_eta, d_phi = direction[i] - direction[j]
                distance[j] = np.hypot(d_eta, np.angle(np.exp(1j * d_phi)))
            others = sorted((j for j in distance if j != i), key=distance.__getitem__)
            found |= {(j, i) for j in [i, *others[:neighbours]]}
        start += n
    return found


@pytest.mark.parametrize("neighbours", [None, 1, 3, 50])
def test_pairs_are_those_of_a_loop(neighbours: int | None) -> None:
    rng = np.random.default_rng(3)
    counts = [4, 0, 1, 7, 2]
    direction = rng.uniform([-3, -np.pi], [3, np.pi], size=(14, 2))
    found = pairs(np.array(counts), direction, neighbours)
    assert {(int(j), int(i)) for j, i in found.T} == pairs_slowly(counts, direction, neighbours)
    assert found.shape[1] == len(pairs_slowly(counts, direction, neighbours))


def test_no_pairs_without_particles() -> None:
    assert pairs(np.array([0, 0]), np.zeros((0, 2)), 2).shape == (2, 0)


def test_codes_are_shared_out() -> None:
    assert share_out(7, np.arange(7)).tolist() == [1] * 7
    sizes = share_out(512, np.sqrt([99215, 42418, 16550, 15048, 19812, 17954, 514]))
    assert sizes.tolist() == [150, 98, 62, 59, 67, 64, 12]
    assert share_out(100, np.array([1.0, 0, 0, 0, 0, 0, 0])).tolist() == [94, 1, 1, 1, 1, 1, 1]


def test_representatives_of_used_and_unused_codes() -> None:
    x = np.array([[0.0], [1.0], [10.0], [5.0], [6.0]])
    kind, ids = np.array([0, 0, 0, 0, 1]), np.array([0, 0, 0, 1, 3])
    codebooks = [
        np.array([[1.0, 0], [0, 1], [0.1, 0.9]]),
        np.array([[1.0, 0]]),
        np.array([[1.0, 0]]),
    ]
    found = representatives(x, x * 100, kind, ids, codebooks)
    # the middle one of three; the only one; the nearest direction's; type 1's only one; for type 2,
    # which has no particle, the overall median
    assert found[:, 0].tolist() == [100.0, 500.0, 500.0, 600.0, 500.0]


# Refusals


def test_a_type_that_training_never_saw_is_encoded_and_decoded(events: ak.Array) -> None:
    no_photons = ak.with_field(
        events, events.Particle[events.Particle["type"] != PARTICLE_TYPES.index("g")], "Particle"
    )
    tokenizer = GraphVQTokenizer(**SMALL | {"epochs": 1}).fit(
        with_metadata(no_photons, dataset="x", role="background")
    )
    photon = one_each(eta=[0.1], phi=[1.0], energy=[60.0], type=[6], met=[20.0])
    decoded = tokenizer.decode(tokenizer.encode(photon))
    assert decoded.Particle["type"].to_list() == [[6]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"codes": 6}, r"codes must be 7 or more, one for each type, found 6"),
        ({"neighbours": 0}, r"neighbours must be 1 or more, or None for all, found 0"),
        ({"epochs": 0}, r"epochs, patience, batch_events, threads and processes must be 1 or more"),
        ({"width": 30}, r"layers and heads must be 1 or more and width a multiple of heads"),
        ({"met_bins": -1}, r"met_bins must be 0 or more, found -1"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        GraphVQTokenizer(**options)
