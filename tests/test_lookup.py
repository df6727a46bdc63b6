"""Look-up tokens: the published formula, equal shares, and a known wrong binning."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
from contracts import check_particle_tokenizer, one_each
from hypothesis import given, settings, strategies as st

from hepmtp import storage
from hepmtp.detectors import training_events
from hepmtp.errors import OptionError, StorageError, TrainingError
from hepmtp.events.particles import PARTICLE_TYPES
from hepmtp.events.record import concatenate, make_events
from hepmtp.events.tokens import TokenBatch
from hepmtp.tokenizers import load_tokenizer
from hepmtp.tokenizers.binning import Bins
from hepmtp.tokenizers.lookup import PRESETS, LookupTokenizer

#: Another lepton order; not its own inverse, so that reading it the wrong way round shows.
OTHER_ORDER = ("j", "b", "m+", "e+", "e-", "m-", "g")
OPTIONS: dict[str, dict[str, Any]] = {
    "published": {},
    "bins": {"pt_bins": 3, "eta_bins": 4, "phi_bins": 6, "met_bins": 2, "met_phi_bins": 7},
    "quantiles": {"pt_bins": (0.5, 0.9, 0.99), "eta_bins": (0.3,), "met_bins": [0.8, 0.95]},
    "signed eta": {"abs_eta": False},
    "no MET": {"met_bins": 0},
    "no METphi": {"met_phi_bins": 0},
    "particles alone": {"met_bins": 0, "met_phi_bins": 0},
    "lepton order": {"types": OTHER_ORDER},
}
Digits = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def tokenizer(events: ak.Array) -> LookupTokenizer:
    return LookupTokenizer().fit(events)


def all_bins(tokenizer: LookupTokenizer) -> dict[str, Bins]:
    assert tokenizer.bins_ is not None
    assert tokenizer.met_ is not None
    return tokenizer.bins_ | {"MET": tokenizer.met_}


def tokens_slowly(tokenizer: LookupTokenizer, events: ak.Array) -> list[list[int]]:
    """As published: one particle at a time, factors and tokens counted from 1, five bins each."""

    def phi_factor(phi: float) -> int:
        return next(i for i in range(1, 6) if phi <= -np.pi + i * 2 * np.pi / 5)

    edges = {name: one.edges.tolist() for name, one in all_bins(tokenizer).items()}
    out = []
    for event in events:
        line = []
        for particle in event.Particle:
            id_ = tokenizer.types.index(PARTICLE_TYPES[particle["type"]]) + 1
            pt = bisect_right(edges["pt"], particle["pt"]) + 1
            eta = bisect_right(edges["eta"], abs(particle["eta"])) + 1
            line.append(
                (id_ - 1) * 125 + (pt - 1) * 25 + (eta - 1) * 5 + phi_factor(particle["phi"])
            )
        line += [
            875 + bisect_right(edges["MET"], event.MET["pt"]) + 1,
            880 + phi_factor(event.MET["phi"]),
        ]
        out.append(line)
    return out


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_contract(options: dict[str, Any], events: ak.Array, tmp_path: Path) -> None:
    check_particle_tokenizer(LookupTokenizer(**options), events, tmp_path)


@pytest.mark.parametrize("name", PRESETS)
def test_contract_of_presets(name: str, events: ak.Array, tmp_path: Path) -> None:
    check_particle_tokenizer(LookupTokenizer.preset(name), events, tmp_path)


def test_three_events_written_out() -> None:
    tokenizer = LookupTokenizer()
    centres = np.array([15.0, 45.0, 75.0, 105.0, 200.0])
    tokenizer.bins_ = {
        "pt": Bins(np.array([20.0, 40.0, 60.0, 80.0]), centres),
        "eta": Bins(np.array([0.5, 1.0, 1.5, 2.0]), centres),
    }
    tokenizer.met_ = Bins(np.array([30.0, 60.0, 90.0, 120.0]), centres)
    events = make_events(
        counts=[2, 0, 3],
        pt=[10.0, 1000.0, 20.0, 59.9, 60.0],
        eta=[0.1, -4.9, 0.5, -1.2, 1.2],
        phi=[-3.1, 3.1, 0.0, -1.0, 1.0],
        energy=[1e4] * 5,
        type=[0, 6, 1, 2, 5],
        met=[0.0, 30.0, 500.0],
        met_phi=[-3.0, 0.0, 3.0],
    )
    tokens = tokenizer.encode(events)
    assert tokens.counts.tolist() == [4, 2, 5]
    assert tokens.values.tolist() == [
        *(0, 6 * 125 + 4 * 25 + 4 * 5 + 4, 875, 880),  # the first and the last particle token
        *(876, 882),
        *(
            1 * 125 + 1 * 25 + 1 * 5 + 2,
            2 * 125 + 2 * 25 + 2 * 5 + 1,
            5 * 125 + 3 * 25 + 2 * 5 + 3,
            879,
            884,
        ),
    ]


def test_the_published_formula_less_one(tokenizer: LookupTokenizer, events: ak.Array) -> None:
    assert tokenizer.vocab_size == 885
    some = events[-60:]
    published = tokens_slowly(tokenizer, some)
    assert (tokenizer.encode(some).to_awkward() + 1).to_list() == published
    id_, pt, eta, phi = tokenizer.digits[:875, :4].T + 1
    assert ((id_ - 1) * 125 + (pt - 1) * 25 + (eta - 1) * 5 + phi).tolist() == list(range(1, 876))
    assert tokenizer.factors == (
        ("type", 7),
        ("pt", 5),
        ("eta", 5),
        ("phi", 5),
        ("MET", 5),
        ("METphi", 5),
    )
    assert (tokenizer.digits[:875, 4:] == -1).all()
    assert tokenizer.digits[875:880].tolist() == [[-1, -1, -1, -1, i, -1] for i in range(5)]
    assert tokenizer.digits[880:].tolist() == [[-1, -1, -1, -1, -1, i] for i in range(5)]


def test_every_id_is_reached(tokenizer: LookupTokenizer) -> None:
    ids = np.arange(875)
    tokens = TokenBatch.from_counts(
        np.stack([ids, 875 + ids % 5, 880 + ids // 5 % 5], axis=1).ravel(), [3] * 875
    )
    events = tokenizer.decode(tokens)
    assert tokenizer.encode(events) == tokens
    assert np.allclose(ak.to_numpy(events.Particle.mass[:, 0]), 0, atol=1e-3)
    assert set(events.weight.to_list()) == {1.0}


# The known wrong binning: each check that the right one passes must refuse it.


def right_bins(tokenizer: LookupTokenizer, events: ak.Array) -> Digits:
    digits = tokenizer.digits[tokenizer.encode(events).values].T
    return {
        name: column[column >= 0]
        for (name, _), column in zip(tokenizer.factors, digits, strict=True)
    }


def wrong_bins(tokenizer: LookupTokenizer, events: ak.Array) -> Digits:
    """Four edges and clip(1, 5), and phi in steps of pi / 5.

    The two lowest bins are one, and the fifth is never filled.
    """
    values = {
        "pt": ak.flatten(events.Particle.pt).to_numpy(),
        "eta": np.abs(ak.flatten(events.Particle.eta).to_numpy()),
        "MET": events.MET.pt.to_numpy(),
    }
    bins = {
        name: np.digitize(value, all_bins(tokenizer)[name].edges).clip(1, 5)
        for name, value in values.items()
    }
    for name, phi in (
        ("phi", ak.flatten(events.Particle.phi).to_numpy()),
        ("METphi", events.MET.phi.to_numpy()),
    ):
        bins[name] = (np.floor((phi + np.pi) / (np.pi / 5)).astype(int) + 1).clip(1, 5)
    return {name: one_based - 1 for name, one_based in bins.items()}


def check_shares(bins: Digits, name: str, *, within: float) -> None:
    shares = np.bincount(bins[name], minlength=5) / len(bins[name])
    assert np.abs(shares - 0.2).max() < within, f"{name}: {shares}"


Binning = Callable[[LookupTokenizer, ak.Array], Digits]


@pytest.mark.parametrize("name", ["pt", "eta", "phi", "MET", "METphi"])
def test_equal_shares_and_the_wrong_binning(
    name: str, tokenizer: LookupTokenizer, background: ak.Array, events: ak.Array
) -> None:
    on_fitted = 0.05 if name in ("phi", "METphi") else 0.002
    check_shares(right_bins(tokenizer, events), name, within=on_fitted)
    with pytest.raises(AssertionError, match=rf"{name}: \["):
        check_shares(wrong_bins(tokenizer, events), name, within=on_fitted)
    others = training_events(background, "validation")
    check_shares(right_bins(tokenizer, others), name, within=0.12)
    with pytest.raises(AssertionError, match=rf"{name}: \["):
        check_shares(wrong_bins(tokenizer, others), name, within=0.12)


def test_what_the_wrong_binning_does(tokenizer: LookupTokenizer, events: ak.Array) -> None:
    wrong = wrong_bins(tokenizer, events)
    shares = {name: np.bincount(bins, minlength=5) / len(bins) for name, bins in wrong.items()}
    assert shares["pt"] == pytest.approx([0.4, 0.2, 0.2, 0.2, 0.0], abs=0.002)
    assert shares["phi"] == pytest.approx([0.1, 0.1, 0.1, 0.1, 0.6], abs=0.03)


# Options


def test_sizes_follow_the_options() -> None:
    sizes = {name: LookupTokenizer(**options).vocab_size for name, options in OPTIONS.items()}
    assert sizes == {
        "published": 885,
        "bins": 7 * 3 * 4 * 6 + 2 + 7,
        "quantiles": 7 * 4 * 2 * 5 + 3 + 5,
        "signed eta": 885,
        "no MET": 880,
        "no METphi": 880,
        "particles alone": 875,
        "lepton order": 885,
    }


def test_sizes_of_the_presets() -> None:
    assert {name: LookupTokenizer.preset(name).vocab_size for name in PRESETS} == {
        "particles": 875,
        "met3": 878,
        "met5": 880,
        "met10": 885,
        "visive2025": 885,
        "met10_phi10": 895,
        "fine": 7020,
        "tails": 7 * 10 * 5 * 5 + 10 + 5,
        "no_azimuth": 7 * 10 * 5 + 10,
    }
    assert LookupTokenizer.preset("visive2025").factors == LookupTokenizer().factors


def test_tail_preset_resolves_the_tails(events: ak.Array) -> None:
    bins = right_bins(LookupTokenizer.preset("tails").fit(events), events)
    expected = [0.2, 0.2, 0.2, 0.2, 0.1, 0.05, 0.03, 0.015, 0.004, 0.001]
    for name in ("pt", "MET"):
        assert np.bincount(bins[name]) / len(bins[name]) == pytest.approx(expected, abs=0.0021)


def test_quantile_bins_resolve_the_tail(events: ak.Array) -> None:
    bins: Any = np.array([0.5, 0.9, 0.99])
    tokenizer = LookupTokenizer(pt_bins=bins).fit(events)
    pt = right_bins(tokenizer, events)["pt"]
    assert np.bincount(pt) / len(pt) == pytest.approx([0.5, 0.4, 0.09, 0.01], abs=0.001)
    assert tokenizer.pt_bins == (0.5, 0.9, 0.99)


def test_sign_of_eta(events: ak.Array) -> None:
    both = one_each(eta=[1.7, -1.7])
    published, signed = (LookupTokenizer(abs_eta=abs_eta).fit(events) for abs_eta in (True, False))
    assert published.encode(both).values[0] == published.encode(both).values[3]
    assert signed.encode(both).values[0] != signed.encode(both).values[3]


def test_missing_momentum_tokens_are_optional(tokenizer: LookupTokenizer, events: ak.Array) -> None:
    some = events[:5]
    full = tokenizer.encode(some).to_awkward()
    without = {
        name: LookupTokenizer(**OPTIONS[name]).fit(events).encode(some).to_awkward()
        for name in OPTIONS
    }
    assert without["particles alone"].to_list() == full[:, :-2].to_list()
    assert without["no METphi"].to_list() == full[:, :-1].to_list()
    assert without["no MET"][:, :-1].to_list() == full[:, :-2].to_list()
    assert (without["no MET"][:, -1] + 5).to_list() == full[:, -1].to_list()


def test_lepton_order_permutes_ids_and_is_saved(
    tokenizer: LookupTokenizer, events: ak.Array, tmp_path: Path
) -> None:
    other = LookupTokenizer(types=OTHER_ORDER).fit(events)
    ids = np.arange(875)
    new_type = np.array([OTHER_ORDER.index(name) for name in PARTICLE_TYPES])
    expected = np.r_[new_type[ids // 125] * 125 + ids % 125, np.arange(875, 885)]
    assert np.array_equal(other.encode(events).values, expected[tokenizer.encode(events).values])
    other.save(tmp_path / "other")
    loaded = load_tokenizer(tmp_path / "other")
    assert isinstance(loaded, LookupTokenizer)
    assert loaded.types == OTHER_ORDER
    assert loaded.encode(events) == other.encode(events) != tokenizer.encode(events)


def test_phi_at_the_seam(tokenizer: LookupTokenizer) -> None:
    seam = [np.pi, -np.pi, np.nextafter(-np.pi, 0), np.pi + 4e-4, -np.pi - 4e-4]
    tokens = tokenizer.encode(one_each(phi=seam, met_phi=seam)).to_awkward()
    assert (tokens[:, 0] % 5).to_list() == [4, 4, 0, 0, 4]
    assert (tokens[:, 2] - 880).to_list() == [4, 4, 0, 0, 4]


# Refusals


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pt_bins": 0}, r"pt_bins must be 1 or more, found 0"),
        ({"phi_bins": -1}, r"phi_bins must be 0 or more, found -1"),
        ({"met_bins": -2}, r"met_bins must be 0 or more, found -2"),
        ({"met_phi_bins": 2.5}, r"met_phi_bins must be a number of bins, found 2.5"),
        ({"pt_bins": (0.5, 0.2)}, r"rising quantiles in \(0, 1\), found \(0.5, 0.2\)"),
        ({"eta_bins": (0.0, 0.5)}, r"eta_bins must be a number of bins or rising"),
        ({"met_bins": (0.5, 1.0)}, r"met_bins must be a number of bins or rising"),
        ({"pt_bins": (float("nan"),)}, r"pt_bins must be a number of bins or rising"),
        ({"types": ("j", "b")}, r"types must be an order of"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        LookupTokenizer(**options)


def test_unknown_preset() -> None:
    with pytest.raises(
        OptionError,
        match=r"no look-up table named 'visive'; there are particles, met3, .*visive2025.*tails",
    ):
        LookupTokenizer.preset("visive")


def test_too_few_or_too_equal_events(events: ak.Array) -> None:
    one = events[ak.num(events.Particle) > 0][:1]
    few = ak.with_field(one, one.Particle[:, :1], "Particle")
    with pytest.raises(
        TrainingError, match=r"1 particles are too few for 5 bins of pt: give more events"
    ):
        LookupTokenizer(met_bins=0).fit(few)
    with pytest.raises(TrainingError, match=r"4 events are too few for 5 bins of MET"):
        LookupTokenizer().fit(events[:4])
    same = concatenate([events[:1]] * 10)
    with pytest.raises(TrainingError, match=r"a bin of MET is empty: too many equal values"):
        LookupTokenizer(pt_bins=1, eta_bins=1).fit(same)


def test_load_refuses_another_kind(tmp_path: Path) -> None:
    with storage.new_folder(tmp_path / "x") as folder:
        storage.write(folder, "checkpoint", {}, {})
    with pytest.raises(
        StorageError, match=r"holds a 'checkpoint', expected a 'hepmtp:LookupTokenizer'"
    ):
        LookupTokenizer.load(tmp_path / "x")


# Ragged round trips

energy = st.floats(0, 7000)
angle = st.floats(-np.pi, np.pi, exclude_min=True)
particle = st.tuples(energy, st.floats(-5, 5), angle, st.integers(0, 6))
event = st.tuples(st.lists(particle, max_size=20), energy, angle)


@settings(max_examples=60)
@given(lists=st.lists(event, max_size=6))
def test_ragged_events(
    tokenizer: LookupTokenizer, lists: list[tuple[list[tuple[float, ...]], float, float]]
) -> None:
    flat = np.array([one for particles, _, _ in lists for one in particles]).reshape(-1, 4)
    events = make_events(
        counts=[len(particles) for particles, _, _ in lists],
        pt=flat[:, 0],
        eta=flat[:, 1],
        phi=flat[:, 2],
        energy=flat[:, 0] * np.cosh(flat[:, 1]),
        type=flat[:, 3],
        met=[met for _, met, _ in lists],
        met_phi=[phi for _, _, phi in lists],
    )
    tokens = tokenizer.encode(events)
    assert [[id_ + 1 for id_ in line] for line in tokens.to_awkward().to_list()] == tokens_slowly(
        tokenizer, events
    )
    assert tokenizer.encode(tokenizer.decode(tokens)) == tokens
