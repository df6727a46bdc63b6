"""What variations do to tokens, sums of weights and quantiles of a score, counted by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import embedded
from hepmtp.detectors.observables import Observable
from hepmtp.errors import ScoreError
from hepmtp.events.object_shifts import JETS, EnergyScale
from hepmtp.events.observables import n_jets
from hepmtp.events.record import make_events
from hepmtp.events.regions import SR, Region
from hepmtp.events.variations import VARIATIONS, Variation, variations_named
from hepmtp.events.weight_factors import Step
from hepmtp.statistics.histograms import spectrum
from hepmtp.studies.variation_effects import Effect, effects, moved, weighted_quantiles
from hepmtp.tokenizers.lookup import LookupTokenizer
from processors.anomaly import AnomalyProcessor

SCALE = Variation("scale", "scale", "object", EnergyScale(JETS, 0.1), EnergyScale(JETS, 0.1, -1.0))
STEP = Variation("step", "step", "weight", Step(0.5, n_jets, start=1))


def jets(pt: list[list[float]], **more: Any) -> Any:
    """Events of jets of these pt, and no MET."""
    flat = [one for some in pt for one in some]
    return make_events(
        counts=[len(some) for some in pt],
        pt=flat,
        eta=[0.0] * len(flat),
        phi=np.linspace(-3, 3, len(flat)),
        energy=flat,
        type=[0] * len(flat),
        met=[0.0] * len(pt),
        met_phi=[0.0] * len(pt),
        **{"dataset": "ttbarZ", "role": "background"} | more,
    )


@pytest.fixture(scope="module")
def table() -> LookupTokenizer:
    """Two bins of pt with the edge at 50 GeV, and nothing else that could move."""
    table = LookupTokenizer(pt_bins=2, eta_bins=1, phi_bins=0, met_bins=0, met_phi_bins=0)
    table.fit(jets([[40.0, 60.0]] * 4))
    assert table.bins_ is not None
    np.testing.assert_allclose(table.bins_["pt"].edges, [50.0])
    return table


def found(detector: Any, parts: list[Any], variation: Variation, **more: Any) -> list[Effect]:
    return effects(detector, parts, [variation], rng=np.random.default_rng(1), **more)


def test_tokens_that_move_by_hand(table: LookupTokenizer) -> None:
    events = jets([[48.0, 30.0], [], [52.0, 47.0, 90.0]])
    share, error = moved(table, events, SCALE, "up")  # 48 and 47 go above 50
    assert share == pytest.approx(2 / 5)
    # by event: 1 of 2, 1 of 3; less the share of each
    assert error == pytest.approx(np.sqrt((1 - 0.8) ** 2 + (1 - 1.2) ** 2) / 5)
    assert moved(table, events, SCALE, "down").value == pytest.approx(1 / 5)  # 52 goes below


def test_a_place_in_the_event_is_no_token_and_a_lost_particle_is_one(
    table: LookupTokenizer,
) -> None:
    def turned(events: Any) -> Any:
        from hepmtp.events.object_shifts import rescaled  # noqa: PLC0415 - read beside its use

        return rescaled(events, np.tile([60 / 40, 40 / 60], len(events)))

    swapped = Variation("swapped", "", "object", turned)
    assert moved(table, jets([[40.0, 60.0]] * 3), swapped).value == 0.0
    cut = Variation("cut", "", "object", EnergyScale(JETS, 0.01, -1.0, least_pt=30.0))
    assert moved(table, jets([[40.0, 30.2], [60.0]]), cut).value == pytest.approx(1 / 3)


def test_no_token_gives_no_share(table: LookupTokenizer) -> None:
    assert np.isnan(moved(table, jets([[], []]), SCALE).value)
    assert np.isnan(moved(table, jets([]), SCALE).value)


def test_quantiles_with_weights() -> None:
    ordered = np.array([1.0, 2.0, 4.0, 8.0])
    # the middles of the four events are at shares of 1/8, 3/8, 5/8, 7/8
    shares = (0.0, 0.125, 0.25, 0.5, 0.875, 1.0)
    assert weighted_quantiles(ordered, np.ones(4), shares).tolist() == [1, 1, 1.5, 3, 8, 8]
    two = np.array([[1.0, 1.0, 0, 0], [0, 0, 1, 3]])
    assert weighted_quantiles(ordered, two, (0.25, 0.9)).tolist() == [[1, 2], [5, 8]]
    # a negative weight does not turn the running sum back: middles 1, 1.5, 1.5, 2.5 of 3
    negative = weighted_quantiles(ordered, np.array([2.0, -1, 1, 1]), (1 / 3, 2 / 3))
    assert negative.tolist() == pytest.approx([1, 6])


def test_a_weight_variation_by_hand(table: LookupTokenizer) -> None:
    detector = Observable("n_jets")
    events = jets([[40.0]] * 600 + [[40.0] * 3] * 400, weight=0.5)
    up, down = found(detector, [events], STEP, quantiles=(0.5,), tokenizer=table)
    # 600 events count 1, 400 count 1.5^2
    assert up.category == "step_up"
    assert up.sum_change.value == pytest.approx((60 + 40 * 2.25) / 100 - 1)
    assert down.sum_change.value == pytest.approx((60 + 40 / 2.25) / 100 - 1)
    assert up.quantile_changes[0].value == 2.0  # the median goes from 1 to 3 jets
    assert down.quantile_changes[0].value == 0.0
    assert up.moved is None
    # events fluctuate together: the error is that of the share of three-jet events
    share = 1.25 * np.sqrt(0.4 * 0.6 / 1000)
    assert up.sum_change.error == pytest.approx(share, rel=0.25)


def test_an_object_variation_by_hand(table: LookupTokenizer) -> None:
    detector = Observable("ht")
    events = jets([[48.0, 30.0], [100.0], [20.0, 20.0, 20.0]] * 300)
    up, down = found(detector, [events], SCALE, quantiles=(0.1, 0.5, 0.9), tokenizer=table)
    assert [one.value for one in up.quantile_changes] == pytest.approx([6.0, 7.8, 10.0])
    assert [one.value for one in down.quantile_changes] == pytest.approx([-6.0, -7.8, -10.0])
    assert up.sum_change == (0.0, 0.0)
    assert up.moved is not None
    assert up.moved.value == pytest.approx(1 / 6)


def hard(events: Any) -> Any:
    return np.asarray(events.Particle.pt[:, 0] > 50)


def test_a_shift_brings_events_into_a_region() -> None:
    region = Region("hard", "hard", hard)
    events = jets([[48.0], [60.0], [52.0], [70.0]] * 500, weight=2.0)
    up, down = found(Observable("ht"), [events], SCALE, region=region, quantiles=(0.6,))
    assert up.sum_change.value == pytest.approx(1 / 3)
    assert down.sum_change.value == pytest.approx(-1 / 3)
    # 52, 60, 70 become 52.8, 57.2, 66, 77: of three the second, of four the third
    assert up.quantile_changes[0].value == pytest.approx(66 - 60)


def test_each_data_set_is_varied_on_its_own() -> None:
    parts = [jets([[40.0] * 5] * 50), jets([[40.0] * 5] * 50, dataset="ttbarW")]
    ttw = variations_named(["ttw_jets"])[0]
    up, _ = found(Observable("n_jets"), parts, ttw)
    assert up.sum_change.value == pytest.approx(0.1)


@pytest.mark.parametrize("name", ["ttbarW", "ttbarZ", "4top"])
def test_a_run_fills_what_is_counted_here(name: str) -> None:
    everything = read(one for one in embedded() if one.role == "background")
    detector = Observable("ht").fit(everything[::40])
    detector.trained_ = ()  # such that every event is looked at
    events = read((one for one in embedded() if one.name == name), stop=1500)
    processor = AnomalyProcessor([detector], variations=VARIATIONS)
    out = processor.process(events)
    h = out["scores"]["ht"]
    asked = [one.category(way) for one in VARIATIONS for way in one.directions]
    assert sorted(h.axes["variation"]) == sorted(["nominal", *asked])
    rng = np.random.default_rng(1)
    counted = effects(detector, [events], VARIATIONS, rng=rng, region=SR, samples=2)

    def expected(category: str) -> float:
        return float(spectrum(h, name, "SR", category).view(flow=True)["value"].sum())

    for effect in counted:
        filled = expected(effect.category) / expected("nominal") - 1
        assert filled == pytest.approx(effect.sum_change.value, abs=1e-9), effect.category
        is_step = "_step" in effect.category
        if effect.category.startswith("ttw_jets") or is_step:
            acts = name == "ttbarW" or (is_step and name == "ttbarZ")
            assert (filled != 0) == acts, effect.category


def test_no_events_are_refused() -> None:
    with pytest.raises(ScoreError, match="nominal: the sum of weights of 0 events"):
        found(Observable("ht"), [jets([])], SCALE)
    nothing = Variation("nothing", "", "weight", lambda events: np.zeros(len(events)), n_jets)
    with pytest.raises(ScoreError, match="nothing_up: the sum of weights of 1 events"):
        found(Observable("ht"), [jets([[40.0]])] * 1, nothing, samples=0)
