"""Distorted background."""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import pytest
from contracts import columns

from hepmtp.events.distortions import ADDED, DISTORTIONS, DROPPED, Distortion, distort
from hepmtp.events.record import check_events, make_events, metadata

BY_NAME = {one.name: one for one in DISTORTIONS}
PARTICLE, MET = {"pt", "eta", "phi", "energy", "type"}, {"MET_pt", "MET_phi"}
#: What each distortion may change; where particles come or go, every column does.
CHANGES = {
    "pt_scale": {"pt", "energy"} | MET,
    "pt_smear": PARTICLE | MET,
    "direction": {"eta", "phi", "energy"} | MET,
    "add": PARTICLE | MET,
    "drop": PARTICLE | MET,
    "overlay": PARTICLE | MET,
    "swap_types": {"type"},
    "met_scale": PARTICLE | MET,
    "met_shift": PARTICLE | MET,
}


def momentum(events: Any) -> Any:
    """Transverse momentum of all particles and MET together, shape (2, n_events)."""
    return np.stack(
        [
            ak.to_numpy(
                ak.sum(events.Particle.pt * way(events.Particle.phi), axis=1)
                + events.MET.pt * way(events.MET.phi)
            )
            for way in (np.cos, np.sin)
        ]
    )


def apply(name: str, events: Any, seed: int = 1) -> Any:
    return BY_NAME[name].apply(events, np.random.default_rng(seed))


def particles(event: Any) -> list[tuple[Any, ...]]:
    names = ("pt", "eta", "phi", "energy", "type")
    return list(zip(*(event.Particle[name].to_list() for name in names), strict=True))


@pytest.mark.parametrize("one", DISTORTIONS, ids=lambda one: one.name)
def test_each_distortion_keeps_the_record(one: Distortion, background: Any) -> None:
    assert len(one.description) > 10
    before = columns(background)
    found = one.apply(background, np.random.default_rng(1))
    assert columns(background) == before
    check_events(found)
    assert found.type == background.type
    assert metadata(found) == metadata(background)
    after = columns(found)
    changed = {name for name, values in after.items() if ak.to_list(values) != before[name]}
    assert changed == CHANGES[one.name]
    np.testing.assert_allclose(momentum(found), momentum(background), atol=1e-8)
    # four-momenta: the files have six digits, so that energy falls short of momentum by 1e-5 at
    # most, as it did before
    assert (
        ak.min(found.Particle.energy / (found.Particle.pt * np.cosh(found.Particle.eta))) > 1 - 2e-5
    )
    assert columns(one.apply(background, np.random.default_rng(1))) == after
    assert columns(one.apply(background, np.random.default_rng(2))) != after


@pytest.mark.parametrize("one", DISTORTIONS, ids=lambda one: one.name)
def test_few_events_and_empty_ones(one: Distortion) -> None:
    events = make_events(
        counts=[0],
        pt=[],
        eta=[],
        phi=[],
        energy=[],
        type=[],
        met=[0.0],
        met_phi=[0.0],
        role="background",
    )
    for some in (events, events[:0]):
        found = one.apply(some, np.random.default_rng(1))
        check_events(found)
        assert len(found) == len(some)
        assert ak.sum(ak.num(found.Particle)) == 0


def test_pt_scale_is_one_factor_an_event(background: Any) -> None:
    found = apply("pt_scale", background)
    factor = found.Particle.pt / background.Particle.pt
    np.testing.assert_allclose(ak.max(factor, axis=1), ak.min(factor, axis=1), rtol=1e-12)
    assert 1.1 <= ak.min(factor) < 1.2
    assert 2.4 < ak.max(factor) <= 2.5
    np.testing.assert_allclose(
        ak.flatten(found.Particle.energy / background.Particle.energy), ak.flatten(factor)
    )


def test_smearing_stays_inside_the_detector(background: Any) -> None:
    smeared, turned = apply("pt_smear", background), apply("direction", background)
    for kind in range(7):
        of_kind = [
            one.Particle[one.Particle["type"] == kind] for one in (background, smeared, turned)
        ]
        assert ak.min(of_kind[1].pt) >= ak.min(of_kind[0].pt)
        assert ak.max(abs(of_kind[2].eta)) <= ak.max(abs(of_kind[0].eta))
    lost = ak.num(background.Particle) - ak.num(smeared.Particle)
    assert ak.min(lost) == 0
    assert 0 < ak.mean(lost) < 1
    shift = ak.flatten(turned.Particle.eta - background.Particle.eta)
    assert 0.4 < np.std(shift) < 0.5  # 0.5 but for what is reflected


def test_added_and_dropped_particles(background: Any) -> None:
    some = background[:200]
    everything = {particle for event in some for particle in particles(event)}
    added, dropped = apply("add", some), apply("drop", some)
    for before, more, less in zip(some, added, dropped, strict=True):
        assert set(particles(before)) <= set(particles(more)) <= everything
        assert ADDED[0] <= len(particles(more)) - len(particles(before)) <= ADDED[1]
        assert set(particles(less)) < set(particles(before))
        assert DROPPED[0] <= len(particles(before)) - len(particles(less)) <= DROPPED[1]


def test_overlay() -> None:
    events = make_events(
        counts=[1, 1],
        pt=[50.0, 40.0],
        eta=[0.0, 1.0],
        phi=[0.0, np.pi / 2],
        energy=[50.0, 70.0],
        type=[0, 1],
        met=[30.0, 70.0],
        met_phi=[0.0, np.pi / 2],
        role="background",
    )
    found = [apply("overlay", events, seed) for seed in range(20)]
    assert {len(one.Particle[0]) for one in found} == {1, 2}
    for one in found:
        if len(one.Particle[0]) == 2:
            assert one.Particle.pt[0].to_list() == [50.0, 40.0]
            assert one.MET.pt[0] == pytest.approx(50.0)  # (30, 0) - (0, 40)
            assert one.MET.phi[0] == pytest.approx(np.arctan2(-40, 30))
        if len(one.Particle[1]) == 2:
            assert one.MET.pt[1] == pytest.approx(np.hypot(50, 70))


def test_swapped_types(background: Any) -> None:
    before, after = (
        ak.to_numpy(ak.flatten(one.Particle["type"]))
        for one in (background, apply("swap_types", background))
    )
    seen = {(int(a), int(b)) for a, b in zip(before, after, strict=True)}
    kept = {(kind, kind) for kind in range(7)}
    assert seen == kept | {(0, 1), (1, 0), (2, 4), (4, 2), (3, 5), (5, 3)}
    assert np.mean(after[before == 0] == 1) == pytest.approx(0.25, abs=0.02)
    assert np.mean(after[before == 1] == 0) == pytest.approx(0.15, abs=0.03)


def test_met(background: Any) -> None:
    nothing_lost = {}
    for name in ("met_scale", "met_shift"):
        found = apply(name, background)
        lost = ak.to_numpy(ak.num(background.Particle) - ak.num(found.Particle))
        assert 0 < lost.mean() < 1
        nothing_lost[name] = background[lost == 0], found[lost == 0]
    before, after = nothing_lost["met_scale"]
    factor = ak.to_numpy(after.MET.pt / before.MET.pt)
    assert 1.5 <= factor.min() < factor.max() <= 4.0
    np.testing.assert_allclose(np.cos(after.MET.phi - before.MET.phi), 1, atol=1e-9)
    before, after = nothing_lost["met_shift"]
    x = ak.to_numpy(after.MET.pt * np.cos(after.MET.phi) - before.MET.pt * np.cos(before.MET.phi))
    assert abs(x.mean()) < 6
    assert x.std() == pytest.approx(60, rel=0.06)


def test_particles_recoil_in_proportion_to_pt() -> None:
    """MET along x doubles or more.

    Jets along y of 300 and 100 GeV take three quarters and one quarter of it.
    """
    events = make_events(
        counts=[2],
        pt=[300.0, 100.0],
        eta=[0.0, 1.0],
        phi=[np.pi / 2, -np.pi / 2],
        energy=[300.0, 200.0],
        type=[0, 1],
        met=[40.0],
        met_phi=[0.0],
        role="background",
    )
    found = next(
        one
        for one in (apply("met_scale", events, seed) for seed in range(9))
        if len(one.Particle[0]) == 2
    )
    more = float(found.MET.pt[0]) - 40
    assert 20 <= more <= 120
    px = ak.to_numpy((found.Particle.pt * np.cos(found.Particle.phi))[0])
    py = ak.to_numpy((found.Particle.pt * np.sin(found.Particle.phi))[0])
    np.testing.assert_allclose(px, [-0.75 * more, -0.25 * more])
    np.testing.assert_allclose(py, [300, -100])
    np.testing.assert_allclose(found.Particle.energy[0] / found.Particle.pt[0], [1.0, 2.0])


def test_every_event_gets_one_of_the_distortions(background: Any) -> None:
    def mark(value: float) -> Distortion:
        return Distortion(
            str(value), "marks events", lambda events, _: ak.with_field(events, value, "weight")
        )

    found = distort(background[:900], np.random.default_rng(1), [mark(1.0), mark(2.0), mark(3.0)])
    assert np.unique(ak.to_numpy(found.weight), return_counts=True)[1].tolist() == [300, 300, 300]
    assert (np.diff(ak.to_numpy(found.weight)) != 0).sum() > 400  # at random, not in blocks
    assert found.event.to_list() == background.event[:900].to_list()


def test_distort_keeps_order_and_metadata(background: Any) -> None:
    found = distort(background, np.random.default_rng(1))
    check_events(found)
    assert found.type == background.type
    for name in ("event", "source", "weight"):
        assert found[name].to_list() == background[name].to_list()
    assert metadata(found)["role"] == "background"
    assert columns(found) == columns(distort(background, np.random.default_rng(1)))
    assert columns(found) != columns(distort(background, np.random.default_rng(2)))
    assert len(distort(background[:0], np.random.default_rng(1))) == 0
    assert len(distort(background[:2], np.random.default_rng(1))) == 2
