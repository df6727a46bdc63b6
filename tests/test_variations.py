"""Systematic variations: shifted particles and MET, factors on weights, files of correctionlib."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import awkward as ak
import correctionlib.schemav2 as cs
import numpy as np
import pytest
from contracts import columns
from hypothesis import given, settings, strategies as st

from hepmtp.errors import EventError, OptionError, ReadError
from hepmtp.events.corrections import from_correctionlib
from hepmtp.events.object_shifts import (
    JER_GROWTH,
    JETS,
    EnergyResolution,
    EnergyScale,
    UnclusteredMET,
    jet_resolution,
    jet_scale_size,
    particle_normal,
    rescaled,
    with_met,
)
from hepmtp.events.observables import n_b, n_jets
from hepmtp.events.record import check_events, make_events, metadata, with_fields
from hepmtp.events.variation import DIRECTIONS, Direction
from hepmtp.events.variations import VARIATIONS, Variation, variations_named
from hepmtp.events.weight_factors import Mistag, Step, TagEfficiency

BY_NAME = {one.name: one for one in VARIATIONS}
OBJECTS = variations_named(["objects"])
WEIGHTS = variations_named(["weights"])


def three(**more: Any) -> ak.Array:
    """Events of a jet and an electron, of nothing, and of a jet, a b-jet and an antimuon."""
    return make_events(
        counts=[2, 0, 3],
        pt=[100.0, 40.0, 60.0, 30.0, 20.0],
        eta=[0.0, 1.0, -2.0, 0.5, 0.0],
        phi=[0.0, 2.0, -1.0, 3.0, 0.5],
        energy=[110.0, 61.8, 226.0, 34.0, 20.0],
        type=[0, 3, 0, 1, 4],
        met=[50.0, 30.0, 10.0],
        met_phi=[0.0, 1.0, -3.0],
        weight=[1.0, 0.5, -2.0],
        source=7,
        **{"dataset": "ttbarZ", "role": "background"} | more,
    )


def nothing() -> ak.Array:
    return three()[:0]


def _constant(value: Any) -> Any:
    """A function of events that gives the same for all."""
    return lambda events: value  # noqa: ARG005


def met(events: Any) -> Any:
    """Components of MET, shape (2, n_events)."""
    pt, phi = ak.to_numpy(events.MET.pt), ak.to_numpy(events.MET.phi)
    return np.stack([pt * np.cos(phi), pt * np.sin(phi)])


def summed(events: Any) -> Any:
    """Components of the sum of all particles, shape (2, n_events)."""
    ways = (np.cos, np.sin)
    return np.stack(
        [ak.to_numpy(ak.sum(events.Particle.pt * way(events.Particle.phi), axis=1)) for way in ways]
    )


def many_b(jets: list[int], tags: list[int], leptons: int = 0, **more: Any) -> ak.Array:
    """Events with so many jets, so many of them tagged, and so many electrons each."""
    kinds = [
        [1] * tagged + [0] * (all_jets - tagged) + [2] * leptons
        for all_jets, tagged in zip(jets, tags, strict=True)
    ]
    n = sum(map(len, kinds))
    return make_events(
        counts=[len(one) for one in kinds],
        pt=[50.0] * n,
        eta=[0.0] * n,
        phi=[0.0] * n,
        energy=[50.0] * n,
        type=np.concatenate(kinds),
        met=[50.0] * len(jets),
        met_phi=[0.0] * len(jets),
        **{"dataset": "ttbarW", "role": "background"} | more,
    )


# ---- object variations ----


def test_a_scale_of_three_percent_moves_met_by_three_gev_along_the_jet() -> None:
    scale = Variation("s", "s", "object", EnergyScale(JETS, 0.03), EnergyScale(JETS, 0.03, -1.0))
    up, down = (scale.shifted(three(), one) for one in DIRECTIONS)
    assert up.Particle.pt.to_list() == [
        pytest.approx([103.0, 40.0]),
        [],
        pytest.approx([61.8, 30.9, 20.0]),
    ]
    assert up.Particle.energy[0].to_list() == pytest.approx([113.3, 61.8])
    assert down.Particle.pt[0].to_list() == pytest.approx([97.0, 40.0])
    np.testing.assert_allclose(met(up)[:, 0], [47.0, 0.0], atol=1e-9)
    np.testing.assert_allclose(met(down)[:, 0], [53.0, 0.0], atol=1e-9)
    np.testing.assert_allclose(
        met(up)[:, 2],
        [
            10 * np.cos(-3) - 1.8 * np.cos(-1) - 0.9 * np.cos(3),
            10 * np.sin(-3) - 1.8 * np.sin(-1) - 0.9 * np.sin(3),
        ],
    )
    # an event without jets keeps every digit of MET
    assert (up.MET.pt[1], up.MET.phi[1]) == (30.0, 1.0)


def test_a_larger_shift_than_met_turns_it_around() -> None:
    found = EnergyScale(JETS, 0.6)(three())
    assert found.MET.pt[0] == pytest.approx(10.0)
    assert abs(found.MET.phi[0]) == pytest.approx(np.pi)


def test_the_shipped_jet_scale_by_hand() -> None:
    found = BY_NAME["jet_energy_scale"].shifted(three(), "up")
    size = np.sqrt(0.02**2 + (0.7 / 60) ** 2 + (0.02 * 0.8 / 1.3) ** 2)  # pt 60, eta -2
    assert found.Particle.pt[2, 0] == pytest.approx(60 * (1 + size))
    sizes = jet_scale_size(np.array([1.0, 20.0, 1000.0]), np.array([0.0, 0.0, 5.0]))
    assert sizes[0] == sizes[1]  # softer jets than those at 20 GeV are not more uncertain
    assert sizes[2] == pytest.approx(np.hypot(0.02, 0.02), rel=1e-3)


def test_a_lepton_scale_leaves_jets_alone() -> None:
    found = BY_NAME["lepton_energy_scale"].shifted(three(), "down")
    assert found.Particle.pt.to_list() == [
        pytest.approx([100.0, 39.8]),
        [],
        pytest.approx([60.0, 30.0, 19.9]),
    ]
    np.testing.assert_allclose(met(found)[0, 0], 50 + 0.2 * np.cos(2.0))


def test_unclustered_energy_is_what_is_in_met_but_in_no_particle() -> None:
    events = three()
    up, down = (BY_NAME["unclustered_met"].shifted(events, one) for one in DIRECTIONS)
    soft = -(met(events) + summed(events))
    np.testing.assert_allclose(met(up), met(events) - 0.1 * soft, atol=1e-9)
    np.testing.assert_allclose(met(down), met(events) + 0.1 * soft, atol=1e-9)
    assert up.Particle.to_list() == events.Particle.to_list()
    np.testing.assert_allclose(up.MET.pt[1], 33.0)  # all of it is soft where nothing else is


def test_a_least_pt_loses_particles_only_if_asked_for() -> None:
    events = three()
    kept = EnergyScale(JETS, 0.03, -1.0)(events)
    assert ak.num(kept.Particle).to_list() == [2, 0, 3]
    lost = Variation("cut", "", "object", EnergyScale(JETS, 0.03, -1.0, least_pt=30.0))
    found = lost.shifted(events, "up")
    # the b-jet of 29.1 GeV goes, the antimuon of 20 GeV is not shifted and stays
    assert found.Particle["type"].to_list() == [[0, 3], [], [0, 4]]
    np.testing.assert_allclose(met(found), met(kept))


def test_smearing_is_the_same_in_every_chunk_and_differs_by_event(background: Any) -> None:
    smear = BY_NAME["jet_energy_resolution"]
    whole = columns(smear.shifted(background, "up"))
    parts = [
        smear.shifted(background[at : at + 300], "up") for at in range(0, len(background), 300)
    ]
    assert columns(ak.concatenate(parts)) == whole
    some = background[::-7]
    assert smear.shifted(some, "up").Particle.pt.to_list() == whole["pt"][::-7]
    normal = particle_normal(background, 1)
    assert len(np.unique(normal)) == len(normal)
    assert abs(normal.mean()) < 5 / np.sqrt(len(normal))
    assert normal.std() == pytest.approx(1.0, abs=5 / np.sqrt(2 * len(normal)))
    other = particle_normal(background, 2)
    assert abs(np.corrcoef(normal, other)[0, 1]) < 5 / np.sqrt(len(normal))


def test_smearing_widens_the_resolution_by_what_is_said(background: Any) -> None:
    found = EnergyResolution(JETS, jet_resolution, JER_GROWTH)(background)
    ratio, before = (
        ak.to_numpy(ak.flatten(one))
        for one in (found.Particle.pt / background.Particle.pt, background.Particle.pt)
    )
    is_jet = ak.to_numpy(ak.flatten(background.Particle["type"])) <= 1
    assert (ratio[~is_jet] == 1).all()
    width = jet_resolution(before, before)[is_jet] * np.sqrt((1 + JER_GROWTH) ** 2 - 1)
    pull = (ratio[is_jet] - 1) / width
    assert abs(pull.mean()) < 5 / np.sqrt(len(pull))
    assert pull.std() == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("one", OBJECTS, ids=lambda one: one.name)
def test_an_object_variation_keeps_the_record(one: Variation, background: Any) -> None:
    before = columns(background)
    for direction in one.directions:
        found = one.shifted(background, direction)
        after = columns(found)
        assert columns(background) == before
        assert metadata(found) == metadata(background)
        assert found.type == background.type
        changed = {name for name in before if after[name] != before[name]}
        assert "MET_pt" in changed
        assert changed <= {"pt", "energy", "MET_pt", "MET_phi"}
        if one.name != "unclustered_met":
            np.testing.assert_allclose(
                met(found) + summed(found), met(background) + summed(background), atol=1e-8
            )
    assert len(one.label) > 5


particles = st.lists(
    st.tuples(
        st.floats(0.0, 5e3),
        st.floats(-5.0, 5.0),
        st.floats(-np.pi, np.pi),
        st.floats(1.0, 3.0),
        st.integers(0, 6),
    ),
    max_size=8,
)


@settings(max_examples=25)
@given(
    lists=st.lists(particles, max_size=4),
    missing=st.floats(0.0, 1e3),
    seed=st.integers(0, 2**40),
)
def test_any_events_stay_legal_with_their_counts_and_masses(
    lists: list[list[tuple[float, ...]]], missing: float, seed: int
) -> None:
    flat = np.array([one for some in lists for one in some]).reshape(-1, 5)
    pt, eta, phi, more, kind = flat.T
    events = make_events(
        counts=[len(some) for some in lists],
        pt=pt,
        eta=eta,
        phi=phi,
        energy=(pt + 0.1) * np.cosh(eta) * more,
        type=kind,
        met=[missing] * len(lists),
        met_phi=[0.5] * len(lists),
        event=np.arange(len(lists)) + seed,
        role="background",
        dataset="any",
    )
    for one in VARIATIONS:
        for direction in one.directions:
            if one.kind == "weight":
                factors = one.factors(events, direction)
                assert factors.shape == (len(lists),)
                assert (factors > 0).all()
                continue
            found = one.shifted(events, direction)
            check_events(found)
            assert ak.num(found.Particle).to_list() == [len(some) for some in lists]
            for name in ("eta", "phi", "type"):
                assert found.Particle[name].to_list() == events.Particle[name].to_list()
            # the four-momentum as a whole: mass over pt, or energy over pt, stays
            np.testing.assert_allclose(
                ak.to_numpy(ak.flatten(found.Particle.energy * events.Particle.pt)),
                ak.to_numpy(ak.flatten(events.Particle.energy * found.Particle.pt)),
                rtol=1e-12,
                atol=1e-290,  # digits are lost where numbers are subnormal
            )


@pytest.mark.parametrize("one", VARIATIONS, ids=lambda one: one.name)
def test_no_events_and_events_without_particles(one: Variation) -> None:
    for events in (nothing(), three()[1:2]):
        for direction in one.directions:
            if one.kind == "object":
                assert len(one.shifted(events, direction)) == len(events)
            else:
                assert one.factors(events, direction).shape == (len(events),)


@pytest.mark.parametrize("one", VARIATIONS, ids=lambda one: one.name)
def test_shipped_variations_pickle(one: Variation) -> None:
    assert pickle.loads(pickle.dumps(one)) == one


def test_fields_of_a_user_stay() -> None:
    events = three()
    events = ak.with_field(events, [1, 2, 3], "run")
    tagged = ak.with_field(events.Particle, events.Particle.pt > 50, "hard")
    found = BY_NAME["jet_energy_scale"].shifted(ak.with_field(events, tagged, "Particle"), "up")
    assert found.run.to_list() == [1, 2, 3]
    assert found.Particle.hard.to_list() == [[True, False], [], [True, False, False]]
    assert found.Particle.mass.to_list()[1] == []  # vector's behaviours are there


def test_a_masked_particle_is_none_and_moves_no_met() -> None:
    events = three()
    masked = ak.mask(events.Particle, events.Particle.pt < 90)
    found = BY_NAME["jet_energy_scale"].shifted(ak.with_field(events, masked, "Particle"), "up")
    assert found.Particle.pt[0].to_list() == [40.0]
    assert (found.MET.pt[0], found.MET.phi[0]) == (50.0, 0.0)


def test_wrong_factors_of_particles_are_refused() -> None:
    with pytest.raises(EventError, match=r"shape \(2,\), expected \(5,\)"):
        rescaled(three(), [1.0, 1.0])
    with pytest.raises(EventError, match=r"2 of 5 factors .* above 0 \(smallest: -1.0\)"):
        rescaled(three(), [1.0, -1.0, 1.0, 0.0, 1.0])
    with pytest.raises(EventError, match="1 of 5 factors"):
        rescaled(three(), [1.0, np.nan, 1.0, 1.0, 1.0])


def _reversed(events: Any) -> Any:
    return events[::-1]


def _heavier(events: Any) -> Any:
    return ak.with_field(events, events.weight * 2, "weight")


def _without_energy(events: Any) -> Any:
    return ak.with_field(events, ak.with_field(events.Particle, 0.0, "energy"), "Particle")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda events: events[:2], "'mine', up gives 2 events, expected 3"),
        (_constant(None), "'mine', up: expected events, found NoneType"),
        (_reversed, "'mine', up changes event"),
        (_heavier, "'mine', up changes weight"),
        (_without_energy, r"'mine', up: event 0: Particle.energy is 0.0"),
        (lambda events: with_met(events, np.full(3, np.nan), np.zeros(3)), "up: event 0: MET.pt"),
    ],
)
def test_what_an_object_variation_must_not_give(function: Any, message: str) -> None:
    with pytest.raises(EventError, match=message):
        Variation("mine", "", "object", function).shifted(three(), "up")


def test_metadata_come_back_though_a_function_loses_them() -> None:
    def plain(events: Any) -> Any:
        return ak.zip({name: events[name] for name in events.fields}, depth_limit=1)

    found = Variation("mine", "", "object", plain).shifted(three(), "up")
    assert metadata(found) == {"dataset": "ttbarZ", "role": "background"}


# ---- weight variations ----


def test_steps_by_hand() -> None:
    events = many_b([2, 4, 5, 6, 7, 9], [0, 1, 2, 3, 5, 1])
    expected = {
        "jet_step": [1, 1, 1.2, 1.44, 1.44, 1.44],
        "jet_step7": [1, 1, 1, 1, 1.2, 1.728],
        "b_step": [1, 1, 1.2, 1.2, 1.2, 1],
        "b_step3": [1, 1, 1, 1.2, 1.728, 1],
        "ttw_jets": [1 / 1.44, 1, 1.2, 1.44, 1.728, 1.2**5],
        "lepton_efficiency": [1] * 6,
    }
    for name, factors in expected.items():
        up, down = (BY_NAME[name].factors(events, one) for one in DIRECTIONS)
        np.testing.assert_allclose(up, factors)
        np.testing.assert_allclose(up * down, 1.0)
    # the two jet steps and the two b steps are one step of 20 % each, cut in two
    whole = Step(0.2, n_jets, start=4, least=4)(events)
    np.testing.assert_allclose(
        BY_NAME["jet_step"].factors(events, "up") * BY_NAME["jet_step7"].factors(events, "up"),
        whole,
    )


def test_tags_and_leptons_by_hand() -> None:
    events = many_b([4, 3], [2, 3], leptons=2)
    up, down = (BY_NAME["b_tag_efficiency"].factors(events, one) for one in DIRECTIONS)
    lost, gained = (1 - 0.7 * 1.03) / 0.3, (1 - 0.7 * 0.97) / 0.3
    np.testing.assert_allclose(up, [1.03**2 * (0.85 + 0.15 * lost) ** 2, 1.03**3])
    np.testing.assert_allclose(down, [0.97**2 * (0.85 + 0.15 * gained) ** 2, 0.97**3])
    up, down = (BY_NAME["b_mistag"].factors(events, one) for one in DIRECTIONS)
    np.testing.assert_allclose(up, [1.01**2 * (0.976 / 0.98) ** 2, 1.01**2 * 1.1])
    np.testing.assert_allclose(down, [0.99**2 * (0.984 / 0.98) ** 2, 0.99**2 * 0.9])
    leptons = BY_NAME["lepton_efficiency"]
    np.testing.assert_allclose(leptons.factors(events, "up"), [1.02**2] * 2)
    np.testing.assert_allclose(leptons.factors(events, "down"), [1.02**-2] * 2)


def test_a_tag_efficiency_keeps_the_sum_where_its_assumptions_hold() -> None:
    """Two true b-jets an event: weights only move events between numbers of tags."""
    efficiency = 0.7
    tagged = np.array([0, 1, 2])
    chance = np.array([0.3**2, 2 * 0.3 * 0.7, 0.7**2])
    factor = TagEfficiency(0.1, efficiency, missed=1.0).of(tagged, 2 - tagged)
    assert (chance * factor).sum() == pytest.approx(1.0)


def test_what_was_counted_is_forgotten_with_the_events() -> None:
    asked: list[int] = []

    def count(events: Any) -> Any:
        asked.append(len(events))
        return n_jets(events)

    step = Step(0.2, count)
    events = many_b([2, 3], [0, 0])
    for some in (events, events, events[:1], many_b([5, 6], [0, 0]), events):
        np.testing.assert_allclose(step(some), 1.2 ** n_jets(some))
    assert asked == [2, 1, 2, 2]


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(OptionError, match=r"shifted efficiency must be a share .* found 1\.0"):
        TagEfficiency(0.5, efficiency=0.7)
    with pytest.raises(OptionError, match=r"rate must be a share between 0 and 1, found 1.0"):
        Mistag(0.0, rate=1.0)
    with pytest.raises(OptionError, match="a step must be above -1"):
        Step(-1.0, n_b)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (_constant([1.0, 1.0]), r"up gives float64 \(2,\), expected numbers \(3,\)"),
        (_constant(1.0), r"up gives float64 \(\), expected numbers \(3,\)"),
        (_constant(["a", "b", "c"]), r"up gives .* expected numbers"),
        (_constant([1.0, np.nan, 1.0]), r"factor of event 1 is nan, expected finite and >= 0"),
        (_constant([1.0, 1.0, -0.5]), r"factor of event 2 is -0.5"),
        (lambda events: events.Particle.pt, r"up gives object \(3,\), expected numbers"),
        (_constant([np.inf, 1.0, 1.0]), r"factor of event 0 is inf"),
    ],
)
def test_what_a_weight_variation_must_not_give(function: Any, message: str) -> None:
    with pytest.raises(EventError, match=message):
        Variation("mine", "", "weight", function).factors(three(), "up")


def test_down_of_a_weight_is_one_over_up_or_its_own() -> None:
    mine = Variation("mine", "", "weight", _constant(np.array([2.0, 0.0, 1.0])))
    assert mine.factors(three(), "up").tolist() == [2.0, 0.0, 1.0]
    with pytest.raises(EventError, match=r"event 1 is 0.0, expected finite and above 0, for down"):
        mine.factors(three(), "down")
    both = Variation("both", "", "weight", mine.up, _constant(np.array([0, 1, 2])))
    assert both.factors(three(), "down").tolist() == [0.0, 1.0, 2.0]


# ---- which events, which names ----


def test_data_sets_that_a_variation_acts_on() -> None:
    ttw, step, scale = (BY_NAME[name] for name in ("ttw_jets", "jet_step", "jet_energy_scale"))
    seven = many_b([7], [2])
    assert ttw.factors(seven, "up").tolist() == pytest.approx([1.728])
    assert ttw.factors(many_b([7], [2], dataset="ttbarZ"), "up").tolist() == [1.0]
    signal = many_b([7], [2], role="signal", dataset="4top")
    assert (step.acts_on(signal), scale.acts_on(signal)) == (False, True)
    assert step.factors(signal, "down").tolist() == [1.0]
    by_process = with_fields(seven, {"dataset": "x", "process": "ttbarW", "role": "background"})
    assert ttw.acts_on(by_process)


def test_data_are_never_varied() -> None:
    data = three(role="data")
    for one in VARIATIONS:
        assert not one.acts_on(data)
    assert BY_NAME["jet_energy_scale"].shifted(data, "up") is data
    assert BY_NAME["lepton_efficiency"].factors(data, "up").tolist() == [1.0] * 3


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("ttw_jets", {"role": "background"}),
        ("ttw_jets", {"role": "background", "dataset": "ttbarZ+ttbarW"}),
        ("jet_step", {"dataset": "ttbarZ"}),
    ],
)
def test_events_that_do_not_say_what_they_are(name: str, fields: dict[str, str]) -> None:
    with pytest.raises(
        EventError, match=f"variation '{name}' acts on .* alone, and it is not known"
    ):
        BY_NAME[name].factors(with_fields(many_b([7], [2]), fields), "up")


def test_categories_and_directions() -> None:
    assert BY_NAME["jet_energy_resolution"].directions == ("up",)
    assert BY_NAME["jet_step"].directions == ("up", "down")
    assert BY_NAME["jet_step"].category("down") == "jet_step_down"
    with pytest.raises(OptionError, match="'jet_energy_resolution' has no direction 'down'"):
        BY_NAME["jet_energy_resolution"].shifted(three(), "down")
    sideways: Any = "sideways"
    with pytest.raises(OptionError, match="no direction 'sideways'; it has up, down"):
        BY_NAME["jet_step"].factors(three(), sideways)
    with pytest.raises(OptionError, match="shifted was asked of variation 'jet_step'"):
        BY_NAME["jet_step"].shifted(three(), "up")
    with pytest.raises(OptionError, match="factors was asked of variation 'jet_energy_scale'"):
        BY_NAME["jet_energy_scale"].factors(three(), "up")


@pytest.mark.parametrize("name", ["", "a/b", "scale_up", "x_down", "nominal", "all", "two words"])
def test_names_that_cannot_be_a_category(name: str) -> None:
    with pytest.raises(OptionError, match="a variation's name must have letters"):
        Variation(name, "", "weight", n_b)


def test_what_a_variation_cannot_be_made_of() -> None:
    kind: Any = "shape"
    with pytest.raises(OptionError, match="kind must be 'object' or 'weight', found 'shape'"):
        Variation("mine", "", kind, n_b)
    function: Any = 1.2
    with pytest.raises(OptionError, match=r"up must be a function of events, found 1.2"):
        Variation("mine", "", "weight", function)
    name: Any = "ttbarW"
    with pytest.raises(OptionError, match=r"write \('ttbarW',\)"):
        Variation("mine", "", "weight", n_b, datasets=name)


def test_variations_by_name() -> None:
    assert variations_named(["all"]) == VARIATIONS
    assert variations_named([]) == ()
    assert {*OBJECTS, *WEIGHTS} == set(VARIATIONS)
    assert len(OBJECTS) + len(WEIGHTS) == len(VARIATIONS)
    found = variations_named(["b_step", "weights", "jet_energy_scale", "b_step"])
    assert [one.name for one in found] == [
        "b_step",
        *(one.name for one in WEIGHTS if one.name != "b_step"),
        "jet_energy_scale",
    ]
    mine = Variation("mine", "", "weight", n_b)
    assert variations_named([mine, "b_step"]) == (mine, BY_NAME["b_step"])
    with pytest.raises(OptionError, match="'jes' is unknown; there are all, objects, weights, jet"):
        variations_named(["jes"])
    other = Variation("b_step", "", "weight", n_b)
    with pytest.raises(OptionError, match="two different variations are named 'b_step'"):
        variations_named([other, "weights"])
    assert variations_named("b_step") == (BY_NAME["b_step"],)


# ---- files of correctionlib ----


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Scale factors of leptons, an uncertainty of jets, and a slope in HT."""

    def variable(name: str, kind: Any = "real") -> cs.Variable:
        return cs.Variable(name=name, type=kind)

    def bins(values: list[float]) -> Any:
        edges: list[Any] = [10.0, 30.0, 1000.0]
        return cs.Binning(
            nodetype="binning", input="pt", edges=edges, content=list(values), flow="error"
        )

    category = cs.Category(
        nodetype="category",
        input="which",
        content=[
            cs.CategoryItem(key="nominal", value=bins([0.8, 0.9])),
            cs.CategoryItem(key="up", value=bins([0.88, 0.945])),
            cs.CategoryItem(key="down", value=bins([0.72, 0.855])),
        ],
    )
    formula = cs.Formula(
        nodetype="formula", expression="0.001*x*y", parser="TFormula", variables=["pt", "abseta"]
    )
    slope = cs.Formula(
        nodetype="formula", expression="1+x/1000", parser="TFormula", variables=["ht"]
    )
    output = variable("value")
    corrections = [
        cs.Correction(
            name="leptons",
            version=1,
            inputs=[variable("which", "string"), variable("pt")],
            output=output,
            data=category,
        ),
        cs.Correction(
            name="jets",
            version=1,
            inputs=[variable("pt"), variable("abseta")],
            output=output,
            data=formula,
        ),
        cs.Correction(name="slope", version=1, inputs=[variable("ht")], output=output, data=slope),
    ]
    path = tmp_path / "corrections.json"
    path.write_text(
        cs.CorrectionSet(schema_version=2, corrections=corrections).model_dump_json(
            exclude_unset=True
        )
    )
    return path


def test_scale_factors_of_leptons_from_a_file(file: Path) -> None:
    leptons = from_correctionlib(
        file,
        "leptons",
        name="lepton_id",
        over="leptons",
        inputs={"pt": "pt"},
        systematic="which",
        nominal="nominal",
    )
    # an electron of 40 GeV; none; an antimuon of 20 GeV
    assert leptons.factors(three(), "up").tolist() == pytest.approx([1.05, 1.0, 1.1])
    assert leptons.factors(three(), "down").tolist() == pytest.approx([0.95, 1.0, 0.9])
    whole = from_correctionlib(
        file, "leptons", name="id", over="leptons", inputs={"pt": "pt"}, systematic="which"
    )
    assert whole.factors(three(), "up").tolist() == pytest.approx([0.945, 1.0, 0.88])
    two = many_b([0], [0], leptons=2)
    assert leptons.factors(two, "up").tolist() == pytest.approx([1.05**2])
    again = pickle.loads(pickle.dumps(leptons))
    assert again.factors(three(), "up").tolist() == leptons.factors(three(), "up").tolist()
    assert len(leptons.factors(nothing(), "up")) == 0
    assert leptons.label == "lepton_id"


def test_a_factor_of_events_from_a_file(file: Path) -> None:
    by_name = from_correctionlib(file, "slope", name="slope", inputs={"ht": "ht"})
    assert by_name.factors(three(), "up").tolist() == pytest.approx([1.14, 1.0, 1.11])
    assert by_name.factors(three(), "down").tolist() == pytest.approx([1 / 1.14, 1.0, 1 / 1.11])
    by_function = from_correctionlib(file, "slope", name="slope", inputs={"ht": n_b})
    assert by_function.factors(three(), "up").tolist() == pytest.approx([1.0, 1.0, 1.001])
    constant = from_correctionlib(file, "slope", name="slope", inputs={"ht": 500})
    assert constant.factors(three(), "up").tolist() == [1.5] * 3


def test_an_energy_scale_from_a_file(file: Path) -> None:
    scale = from_correctionlib(
        file,
        "jets",
        name="scale",
        over="jets",
        kind="object",
        inputs={"pt": "pt", "abseta": "abs_eta"},
    )
    up, down = (scale.shifted(three(), one) for one in DIRECTIONS)
    assert up.Particle.pt[2].to_list() == pytest.approx([60 * 1.12, 30 * 1.015, 20.0])
    assert down.Particle.pt[2].to_list() == pytest.approx([60 * 0.88, 30 * 0.985, 20.0])
    np.testing.assert_allclose(met(up) + summed(up), met(three()) + summed(three()), atol=1e-9)


def _leptons(file: Path, **more: Any) -> Variation:
    options: dict[str, Any] = {"over": "leptons", "inputs": {"pt": "pt"}, "systematic": "which"}
    return from_correctionlib(file, "leptons", name="x", **(options | more))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"over": "taus"}, "over 'taus' is unknown; there are event, particles, jets"),
        ({"systematic": None}, "has the inputs which, pt; given are pt: give each once"),
        ({"inputs": {}}, "has the inputs which, pt; given are which"),
        ({"inputs": {"pt": "Pt"}}, "input 'pt' is to be 'Pt', which is unknown over leptons"),
        ({"inputs": {"pt": n_b}}, "is a function of events, and the correction is evaluated over"),
        (
            {"systematic": None, "inputs": {"pt": "pt", "which": 1}},
            "input 'which' is a text, found 1",
        ),
        (
            {"systematic": None, "inputs": {"pt": "pt", "which": "up"}, "nominal": "nominal"},
            "name that input with systematic",
        ),
        ({"kind": "object"}, "needs the relative size of particles"),
    ],
)
def test_mistakes_with_a_file(file: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        _leptons(file, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"up": "upp"}, "'leptons' of .* cannot be evaluated: Index not available .* upp"),
        ({"over": "b_jets", "inputs": {"pt": 5000.0}}, "cannot be evaluated: Index above bounds"),
    ],
)
def test_values_that_a_file_does_not_have(
    file: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        _leptons(file, **options).factors(three(), "up")


def test_files_that_are_none(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"nowhere.json cannot be opened"):
        _leptons(tmp_path / "nowhere.json")
    bad = tmp_path / "bad.json"
    bad.write_text("{}")
    with pytest.raises(ReadError, match=r"bad.json is no JSON file of correctionlib"):
        _leptons(bad)
    with pytest.raises(OptionError, match="no correction 'muons'; there are jets, leptons, slope"):
        from_correctionlib(file, "muons", name="x", inputs={})


def test_directions_are_what_the_axis_says() -> None:
    names: tuple[Direction, ...] = ("up", "down")
    assert names == DIRECTIONS
    assert UnclusteredMET(0.1, -1.0).sign == -1.0


# ---- the page ----


def test_the_code_of_the_page_runs() -> None:
    """Every example but that of a file which only an experiment has."""
    page = (Path(__file__).parents[1] / "docs" / "systematics.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    names: dict[str, Any] = {}
    for block in blocks:
        if "muons.json.gz" not in block:
            exec(block, names)  # noqa: S102 (of our own page)
    assert names["WITH_CUT"].shifted(three(), "up").Particle.pt[2, 2] == 20.0
    assert names["HARDER"].factors(three(), "up")[0] == pytest.approx(1 + 140 / 5000)


@pytest.mark.parametrize("one", VARIATIONS, ids=lambda one: one.name)
def test_every_variation_stands_on_the_page(one: Variation) -> None:
    page = (Path(__file__).parents[1] / "docs" / "systematics.md").read_text(encoding="utf-8")
    assert f"| `{one.name}` |" in page
