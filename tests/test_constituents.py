"""Constituents as tokens: numpy's edges, an id for everything, and back."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
from contracts import check_tokenizer
from toy_jets import toy_jets

from hepmtp.errors import EventError, OptionError, StorageError, TokenError, TrainingError
from hepmtp.events.constituents import constituents
from hepmtp.events.particles import CONSTITUENT_TYPES
from hepmtp.events.record import make_events, with_metadata
from hepmtp.events.tokens import TokenBatch
from hepmtp.readers.jetclass import JetClass
from hepmtp.tokenizers import load_tokenizer
from hepmtp.tokenizers.constituents import ConstituentTokenizer, _bins

KINDS: list[dict[str, Any]] = [
    {},
    {"angle": "rapidity"},
    {"spacing": "equal_population"},
    {"pt_edges": 20, "eta_edges": 15, "phi_edges": 15, "reach": 0.1},
]


@pytest.fixture(scope="module")
def jets() -> ak.Array:
    """Two hundred toy jets, three of them without constituents."""
    events = toy_jets(200)
    full = ak.Array(np.arange(200) % 70 != 5)
    keep = ak.broadcast_arrays(full, events.Particle.pt)[0]
    return ak.with_field(events, events.Particle[keep], "Particle")


@pytest.mark.parametrize("options", KINDS)
def test_contract(options: dict[str, Any], jets: ak.Array, tmp_path: Path) -> None:
    check_tokenizer(ConstituentTokenizer(**options), jets, tmp_path)


def test_contract_without_jet(jets: ak.Array, tmp_path: Path) -> None:
    check_tokenizer(ConstituentTokenizer(), ak.without_field(jets, "Jet"), tmp_path)


def test_edges_are_those_of_numpy(jets: ak.Array) -> None:
    tokenizer = ConstituentTokenizer().fit(jets)
    log_pt = np.log(ak.to_numpy(ak.flatten(jets.Particle.pt)))
    pt, eta, phi = tokenizer.edges_ or ()
    np.testing.assert_array_equal(
        pt[1:-1], np.linspace(np.quantile(log_pt, 0.001), log_pt.max(), 40)
    )
    for edges in (eta, phi):
        np.testing.assert_array_equal(edges[1:-1], np.linspace(-0.8, 0.8, 30))
    assert pt[0] <= log_pt.min()
    assert tokenizer.vocab_size == 41 * 31 * 31 == 39_401
    found = constituents(jets)
    ids = np.digitize(found.log_pt, pt[1:-1])
    for values, edges in ((found.eta, eta), (found.phi, phi)):
        ids = ids * 31 + np.digitize(values, edges[1:-1])
    assert tokenizer.encode(jets).values.tolist() == ids.tolist()


@pytest.mark.parametrize("low", [-0.8, 0.1, 1e3])
@pytest.mark.parametrize("n", [2, 3, 30, 40])
def test_bins_are_those_of_digitize_to_the_last_bit(low: float, n: int) -> None:
    edges = np.linspace(low, low + 1.7, n)
    beside = [np.nextafter(edges, side) for side in (-np.inf, np.inf)]
    rng = np.random.default_rng(n)
    values = [rng.uniform(low - 1, low + 3, 1000), edges, *beside]
    values = np.concatenate([*values, [np.nan, np.inf, -np.inf, 1e300, -1e300]])
    np.testing.assert_array_equal(_bins(values, edges), np.digitize(values, edges))
    uneven = np.sort(rng.uniform(low, low + 1.7, n))
    np.testing.assert_array_equal(_bins(values, uneven), np.digitize(values, uneven))


def test_mirror_images_are_jets_reflected(jets: ak.Array) -> None:
    tokenizer = ConstituentTokenizer(eta_edges=9).fit(jets)  # an edge, and no bin, at 0
    seen = tokenizer.encode(jets)
    assert tokenizer.mirrors.shape == (4, tokenizer.vocab_size)
    images = [(1, 1), (-1, 1), (1, -1), (-1, -1)]
    for ids, (of_eta, of_phi) in zip(tokenizer.mirrors, images, strict=True):
        np.testing.assert_array_equal(ids[ids], np.arange(tokenizer.vocab_size))
        part, axis = jets.Particle, jets.Jet
        eta = axis.eta + of_eta * (part.eta - axis.eta)
        phi = axis.phi + of_phi * (part.phi - axis.phi)
        reflected = ak.with_field(jets, eta, ("Particle", "eta"))
        reflected = ak.with_field(reflected, phi, ("Particle", "phi"))
        assert tokenizer.encode(reflected).values.tolist() == ids[seen.values].tolist()


def test_bins_that_are_not_symmetric_have_no_mirror_images(jets: ak.Array) -> None:
    tokenizer = ConstituentTokenizer(spacing="equal_population").fit(jets)
    np.testing.assert_array_equal(tokenizer.mirrors, [np.arange(tokenizer.vocab_size)])


def test_equal_population_fills_bins_alike(jets: ak.Array) -> None:
    tokenizer = ConstituentTokenizer(spacing="equal_population").fit(jets)
    digits = tokenizer.digits[tokenizer.encode(jets).values]
    for column, (_, size) in zip(digits.T, tokenizer.factors, strict=True):
        filled = np.bincount(column, minlength=size)
        assert filled.max() - filled.min() <= 3


def test_numbers_written_out() -> None:
    """A jet across phi = pi; particles out of order, two of equal pt, one far outside."""
    events = make_events(
        counts=[5, 0], pt=[1.0, 50.0, 1.0, 100.0, 2.0], eta=[1.05, 1.0, 0.95, 1.0, 2.5],
        phi=[-3.1, 3.1, 3.1, 3.1, 3.1], energy=[9.0, 80.0, 9.0, 160.0, 20.0], type=[7] * 5,
        met=[0, 0], met_phi=[0, 0], types=CONSTITUENT_TYPES,
    )  # fmt: skip
    jet = {"pt": [154.0, 0.0], "eta": [1.0, 0.0], "phi": [3.1, 0.0], "energy": [250.0, 0.0]}
    with_axis = ak.with_field(events, ak.zip(jet, with_name="Momentum4D"), "Jet")
    found = constituents(with_axis)
    np.testing.assert_allclose(np.exp(found.log_pt), [100, 50, 2, 1, 1])
    np.testing.assert_allclose(found.eta, [0, 0, 1.5, 0.05, -0.05], atol=1e-12)
    np.testing.assert_allclose(found.phi, [0, 0, 0, 2 * np.pi - 6.2, 0], atol=1e-12)
    assert found.counts.tolist() == [5, 0]
    # without Jet the axis is the sum of the constituents
    summed = constituents(events)
    phi = summed.phi + ak.to_numpy(ak.sum(events.Particle, axis=1).phi)[0]
    np.testing.assert_allclose((phi + np.pi) % (2 * np.pi) - np.pi, [3.1, 3.1, 3.1, -3.1, 3.1])
    by_rapidity = constituents(with_axis, angle="rapidity")
    pz, energy = 100 * np.sinh(1.0), 160.0
    axis = np.arctanh(154 * np.sinh(1.0) / 250)
    assert by_rapidity.eta[0] == pytest.approx(np.arctanh(pz / energy) - axis)


def test_what_is_beyond_the_training_is_outside(jets: ak.Array) -> None:
    tokenizer = ConstituentTokenizer().fit(jets)
    assert not tokenizer.outside(jets).any()
    hard = ak.with_field(jets, jets.Particle, "Particle")
    hard["Particle", "pt"] = ak.where(
        ak.local_index(jets.Particle.pt) == 0, 3000.0, jets.Particle.pt
    )
    assert tokenizer.outside(hard).tolist() == (ak.num(jets.Particle) > 0).to_list()
    tokens = tokenizer.encode(jets)
    lowest = (tokenizer.edges_ or ())[0]
    first = np.log(lowest[1] - lowest[0]) + 2 * np.log(1.6 / 29)
    bottom = TokenBatch.from_counts([15 * 31 + 15], [1])
    assert tokenizer.log_volumes(bottom)[0] == pytest.approx(first)
    assert len(tokenizer.log_volumes(tokens)) == len(tokens.values)


def test_decoding_at_random_stays_in_the_bins(jets: ak.Array) -> None:
    tokenizer = ConstituentTokenizer().fit(jets)
    tokens = tokenizer.encode(jets)
    decoded = tokenizer.decode(tokens, rng=np.random.default_rng(3))
    assert tokenizer.encode(decoded) == tokens
    pt = ak.to_numpy(ak.flatten(decoded.Particle.pt))
    assert (np.diff(pt)[np.diff(tokens.owner) == 0] <= 0).all()
    assert set(ak.flatten(decoded.Particle["type"]).to_list()) == {10}
    middle = tokenizer.decode(tokens)
    assert not np.array_equal(pt, ak.to_numpy(ak.flatten(middle.Particle.pt)))
    # an unordered sentence keeps its triplets
    turned = TokenBatch(tokens.values[::-1].copy(), np.r_[0, np.cumsum(tokens.counts[::-1])])
    again = tokenizer.decode(turned, rng=np.random.default_rng(3))
    expected = tokens.select(np.arange(len(tokens))[::-1])
    assert ak.sort(tokenizer.encode(again).to_awkward()).to_list() == (
        ak.sort(expected.to_awkward()).to_list()
    )


def test_other_samples_use_the_edges_of_background(jets: ak.Array) -> None:
    tokenizer = ConstituentTokenizer().fit(jets)
    before = tokenizer.identity
    top = toy_jets(50, prongs=3, role="signal")
    tokens = tokenizer.encode(top)
    assert tokenizer.identity == before
    assert tokenizer.encode(tokenizer.decode(tokens)) == tokens
    assert ConstituentTokenizer().fit(jets[:150]).identity != before


def test_particles_of_any_order_give_the_same_tokens(jets: ak.Array) -> None:
    tokenizer = ConstituentTokenizer().fit(jets)
    turned = ak.with_field(jets, jets.Particle[:, ::-1], "Particle")
    assert tokenizer.encode(turned) == tokenizer.encode(jets)


def test_missing_constituents_are_said(jets: ak.Array, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    constituents(jets)
    assert not caplog.records
    constituents(ak.with_field(jets, jets.Particle[:, 1:], "Particle"))
    assert "some constituents are missing here; angles are relative to Jet" in caplog.text


@pytest.mark.parametrize("name", ["QCDJets", "TTBar_Tbqq", "ZJets_Zqq"])
def test_our_jets(shared: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    folder = shared / "data" / "jets"
    qcd = with_metadata(
        JetClass().read(str(folder / "QCDJets.root"), 0, 400), dataset="QCD", role="background"
    )
    tokenizer = ConstituentTokenizer().fit(qcd)
    some = JetClass().read(str(folder / f"{name}.root"), 0, 300)
    tokens = tokenizer.encode(some)
    assert not caplog.records  # the jets are the sums of their constituents
    assert tokens.counts.tolist() == ak.num(some.Particle).to_list()
    assert tokenizer.encode(tokenizer.decode(tokens)) == tokens
    back = tokenizer.decode(tokens)
    mass = {one: ak.to_numpy(ak.sum(one_of.Particle, axis=1).mass).mean()
            for one, one_of in {"true": some, "back": back}.items()}  # fmt: skip
    assert mass["back"] == pytest.approx(mass["true"], rel=0.1)


def test_what_cannot_be_is_refused(jets: ak.Array, tmp_path: Path) -> None:
    for wrong in ({"pt_edges": 1}, {"reach": 0.0}, {"angle": "theta"}, {"spacing": "log"}):
        with pytest.raises(OptionError, match=r"found ConstituentTokenizer"):
            ConstituentTokenizer(**wrong)
    with pytest.raises(TrainingError, match=r"2 jets with \d+ constituents are too few for 41"):
        ConstituentTokenizer().fit(jets[:2])
    with pytest.raises(TrainingError, match=r"only background may be fitted on"):
        ConstituentTokenizer().fit(toy_jets(50, role="signal"))
    tokenizer = ConstituentTokenizer().fit(jets)
    zero = ak.with_field(jets, jets.Particle, "Particle")
    zero["Particle", "pt"] = jets.Particle.pt * 0
    with pytest.raises(EventError, match=r"event 0: Particle.pt is 0.0, expected above 0"):
        tokenizer.encode(zero)
    with pytest.raises(TokenError, match=r"ids must lie in 0\.\.39400, found 39401\.\.39401"):
        tokenizer.decode(TokenBatch.from_counts([39_401], [1]))
    tokenizer.save(tmp_path / "bins")
    assert load_tokenizer(tmp_path / "bins").encode(jets) == tokenizer.encode(jets)
    (tmp_path / "bins" / "arrays.safetensors").write_bytes(b"no")
    with pytest.raises(StorageError, match=r"has changed"):
        ConstituentTokenizer.load(tmp_path / "bins")
