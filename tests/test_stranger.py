"""Background made stranger: what each operation adds, and the networks that learn it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import torch
from contracts import check_detector

from hepmtp.detectors.stranger import Networks, StrangerDetector, StrangerTraining
from hepmtp.errors import OptionError, TrainingError
from hepmtp.events.kinematics import FALLING, KINEMATICS, kinematics
from hepmtp.events.observables import ht, n_b, n_jets, n_leptons
from hepmtp.events.record import check_events, with_metadata
from hepmtp.events.stranger import (
    OPERATIONS,
    Recipe,
    make_stranger,
    numbers_of_stranger,
    recipes,
)


def small(**options: Any) -> StrangerDetector:
    return StrangerDetector(hidden=(8,), members=2, training=StrangerTraining(epochs=2), **options)


@pytest.fixture(scope="module")
def events(background: Any) -> Any:
    return background[::3]


def met(events: Any) -> Any:
    return ak.to_numpy(events.MET.pt)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_adds_and_takes_nothing_away(events: Any, name: str) -> None:
    made = make_stranger(events, np.random.default_rng(1), [Recipe((name,), 1.0)])
    check_events(made)
    assert len(made) == len(events)
    for column in ("event", "source", "weight"):
        np.testing.assert_array_equal(made[column], events[column])
    for count in (n_jets, n_b, n_leptons):
        assert (count(made) >= count(events)).all()
    assert (ht(made) >= ht(events) * (1 - 1e-12)).all()
    more = {
        "overlay": n_jets,
        "add": n_jets,
        "scale": ht,
        "met": met,
        "tag": n_b,
        "harden": ht,
        "decay": ht,
    }[name]
    assert more(made).mean() > 1.05 * more(events).mean()


def test_what_an_operation_does_not_name_stays(events: Any) -> None:
    rng = np.random.default_rng(1)
    tagged = make_stranger(events, rng, [Recipe(("tag",), 1.0)])
    np.testing.assert_array_equal(n_jets(tagged), n_jets(events))
    np.testing.assert_array_equal(ak.flatten(tagged.Particle.pt), ak.flatten(events.Particle.pt))
    shifted = make_stranger(events, rng, [Recipe(("met",), 1.0)])
    assert ak.array_equal(shifted.Particle["type"], events.Particle["type"])
    np.testing.assert_allclose(met(tagged), met(events), rtol=1e-12)
    # massless stays massless, so that a network cannot tell the class by it
    harder = make_stranger(events, rng, [Recipe(("harden",), 1.0)])
    ratio = ak.flatten(harder.Particle.energy / (harder.Particle.pt * np.cosh(harder.Particle.eta)))
    before = ak.flatten(
        events.Particle.energy / (events.Particle.pt * np.cosh(events.Particle.eta))
    )
    np.testing.assert_allclose(ratio, before, rtol=1e-9)


def test_the_same_generator_gives_the_same_events_and_none_gives_none(events: Any) -> None:
    first, second = (make_stranger(events, np.random.default_rng(3)) for _ in range(2))
    assert ak.array_equal(first.Particle, second.Particle)
    assert len(make_stranger(events[:0], np.random.default_rng(3))) == 0
    assert ak.num(make_stranger(events[:1], np.random.default_rng(3)).Particle)[0] > 0


def test_numbers_of_stranger_events_are_those_of_the_events(events: Any) -> None:
    asked: list[int] = []

    def numbers(some: Any) -> Any:
        asked.append(len(some))
        return kinematics(some)

    found = numbers_of_stranger(events, numbers, np.random.default_rng(3))
    expected = kinematics(make_stranger(events, np.random.default_rng(3)))
    np.testing.assert_array_equal(found, expected)
    assert max(asked) <= len(events) // len(recipes()) + 1  # never all of them
    assert numbers_of_stranger(events[:0], numbers, np.random.default_rng(3)).shape == (
        0,
        len(KINEMATICS),
    )


def test_kinematics_of_many_events_are_made_in_blocks(
    events: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = kinematics(events)
    seen: list[int] = []
    feature = KINEMATICS["met"]

    def counted(some: Any) -> Any:
        seen.append(len(some))
        return feature.function(some)

    monkeypatch.setitem(KINEMATICS, "met", feature._replace(function=counted))
    monkeypatch.setattr("hepmtp.events.kinematics.BLOCK", 100)
    np.testing.assert_array_equal(kinematics(events[np.arange(len(events))]), expected)
    assert seen == [100] * (len(events) // 100) + [len(events) % 100]


def test_recipes_leave_out_what_they_are_told_to() -> None:
    assert {name for one in recipes() for name in one.operations} == set(OPERATIONS)
    assert all("met" not in one.operations for one in recipes("met"))
    with pytest.raises(OptionError, match=r"operation 'nothing' is unknown; there are overlay, "):
        recipes("nothing")
    with pytest.raises(OptionError, match=r"operations \['nothing'\] are unknown"):
        make_stranger(ak.Array([]), np.random.default_rng(0), [Recipe(("nothing",))])
    with pytest.raises(OptionError, match="damp and probability must be above 0 and at most 1"):
        make_stranger(ak.Array([]), np.random.default_rng(0), [Recipe(damp=1.5)])


def test_kinematics_of_numbers_written_out(events: Any) -> None:
    found = kinematics(events)
    assert found.shape == (len(events), len(KINEMATICS))
    assert np.isfinite(found).all()
    column = dict(zip(KINEMATICS, found.T, strict=True))
    assert (column["jet_abs_eta"] <= 0).all()
    assert FALLING == ("jet_abs_eta",)
    np.testing.assert_array_equal(column["n_jets"], n_jets(events))
    some = int(np.flatnonzero(n_b(events) == 2)[0])
    particles = events.Particle[some]
    first, second = particles[particles["type"] == 1]
    assert column["largest_b_mass"][some] == pytest.approx((first + second).mass)
    assert (column["smallest_mt"] <= column["largest_mt"]).all()
    assert (column["mean_mass"] <= column["largest_mass"]).all()


def test_contract(events: Any, tmp_path: Path) -> None:
    check_detector(small, events, tmp_path, rtol=1e-9)


def test_both_losses_of_the_training_curve_are_those_of_all_networks(background: Any) -> None:
    last = small().fit(background).history_[-1]
    assert last["validation_loss"] == pytest.approx(last["train_loss"], rel=0.3)


def test_it_finds_what_it_has_learned_and_what_it_has_not(background: Any) -> None:
    detector = StrangerDetector(members=2, without="tag", training=StrangerTraining(epochs=8))
    detector.fit(background)
    plain = detector.score(background)
    for name in ("add", "tag"):
        made = make_stranger(background, np.random.default_rng(5), [Recipe((name,), 1.0)])
        assert np.mean(detector.score(made) > plain) > 0.6
    assert detector.n_parameters == 2 * (len(KINEMATICS) * 64 + 64 + 64 * 64 + 64 + 64 + 1)


def test_weights_count_and_signal_is_refused(events: Any) -> None:
    heavy = ak.with_field(
        events, ak.to_numpy(events.weight) * (1.0 + 99 * (n_b(events) > 2)), "weight"
    )
    first, second = small().fit(events), small().fit(heavy)
    assert not np.allclose(first.score(events), second.score(events))
    sign = np.where(np.arange(len(events)) % 7, 1.0, -1.0)
    turned = ak.with_field(events, ak.to_numpy(heavy.weight) * sign, "weight")
    np.testing.assert_array_equal(small().fit(turned).score(events), second.score(events))
    with pytest.raises(TrainingError, match="only background may be fitted on"):
        small().fit(with_metadata(events, dataset="4top", role="signal"))
    with pytest.raises(OptionError, match="hidden and members must be 1 or more"):
        StrangerDetector(members=0)
    with pytest.raises(OptionError, match="operation 'nothing' is unknown"):
        StrangerDetector(without="nothing")


def test_networks_beside_each_other_are_the_networks_one_by_one() -> None:
    torch.manual_seed(0)
    both = Networks(3, (4,), 2)
    x = torch.randn(5, 3, dtype=torch.float64)
    for member in range(2):
        layer = torch.nn.functional.gelu(x @ both.weights[0][member] + both.biases[0][member])
        expected = (layer @ both.weights[1][member] + both.biases[1][member])[:, 0]
        torch.testing.assert_close(both(x)[member], expected)
