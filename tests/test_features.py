"""Features of particles and events."""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import pytest
from contracts import photon_and_hadron

from hepmtp.errors import EventError
from hepmtp.events.features import PARTICLE_FEATURES, met_features, particle_features
from hepmtp.events.kinematics import KINEMATICS, kinematics
from hepmtp.events.observables import EVENT_FEATURES, KNOWN_FEATURES, event_features
from hepmtp.events.record import make_events


@pytest.fixture
def three() -> Any:
    """Two jets (one b), a third jet, e+, mu- and a photon; nothing; one electron."""
    return make_events(
        counts=[6, 0, 1],
        pt=[40.0, 100.0, 60.0, 30.0, 50.0, 20.0, 15.0],
        eta=[1.0, -2.0, 0.0, 0.5, -0.5, 0.1, 0.2],
        phi=[3.0, -3.0, 1.0, 0.0, 2.0, -1.0, 1.5],
        energy=[70.0, 380.0, 60.0, 40.0, 60.0, 21.0, 16.0],
        type=[1, 0, 0, 2, 5, 6, 3],
        met=[25.0, 10.0, 0.0],
        met_phi=[-3.1, 0.0, 1.0],
    )


def test_features_of_particles(three: Any) -> None:
    found = particle_features(three)
    assert found.dtype == np.float32
    assert found.shape == (7, len(PARTICLE_FEATURES)) == (7, 12)
    first = [np.log(40), 1.0, np.sin(3.0), np.cos(3.0), np.log(70), 0, 1, 0, 0, 0, 0, 0]
    np.testing.assert_allclose(found[0], first, rtol=1e-6)
    assert found[:, 5:].argmax(axis=1).tolist() == [1, 0, 0, 2, 5, 6, 3]
    assert found[:, 5:].sum(axis=1).tolist() == [1.0] * 7
    assert particle_features(three[:0]).shape == (0, 12)


def test_a_particle_without_momentum_is_finite() -> None:
    events = make_events(
        counts=[2],
        pt=[0.0, 0.0],
        eta=[0.0, 1.0],
        phi=[0.0, 1.0],
        energy=[0.0, -1.0],
        type=[0, 0],
        met=[0.0],
        met_phi=[0.0],
    )
    assert particle_features(events)[:, [0, 4]].tolist() == [[pytest.approx(np.log(1e-3))] * 2] * 2
    assert np.isfinite(event_features(events)).all()


def test_hadrons_have_no_column() -> None:
    with pytest.raises(EventError, match=r"1 of 2 particles are of type h\+, known here are j, b"):
        particle_features(photon_and_hadron())


def test_features_of_met(three: Any) -> None:
    found = met_features(three)
    assert found.dtype == np.float32
    expected = [
        [np.log(26), np.sin(-3.1), np.cos(-3.1)],
        [np.log(11), 0, 1],
        [0, np.sin(1), np.cos(1)],
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)


def test_features_of_events(three: Any) -> None:
    found = event_features(three)
    assert found.shape == (3, 21)
    assert found.dtype == np.float64
    jets = three.Particle[:1][three.Particle["type"][:1] <= 1][:, :2]  # the two furthest apart
    # jets: b (40, 1.0, 3.0), (100, -2.0, -3.0), (60, 0.0, 1.0)
    expected = {
        "n_jets": 3,
        "n_b": 1,
        "n_leptons": 2,
        "n_photons": 1,
        "jet_pt_1": 100,
        "jet_pt_2": 60,
        "jet_pt_3": 40,
        "jet_pt_4": 0,
        "b_pt_1": 40,
        "b_pt_2": 0,
        "lepton_pt_1": 50,
        "lepton_pt_2": 30,
        "lepton_pt_3": 0,
        "ht": 300,
        "met": 25,
        "lepton_ht": 80,
        "jet_abs_eta": 1.0,
        "min_jet_delta_r": np.hypot(1.0, 2.0),
        "largest_mass": ak.max((jets[:, 0] + jets[:, 1]).mass),
        "min_delta_phi_met": 0.1,
        "lepton_charge": 0,
    }
    assert list(expected) == list(EVENT_FEATURES)
    np.testing.assert_allclose(found[0], list(expected.values()), rtol=1e-12)
    nothing = dict.fromkeys(expected, 0.0) | {"met": 10.0}
    assert found[1].tolist() == list(nothing.values())
    electron = {"n_leptons": 1, "lepton_pt_1": 15, "ht": 15, "lepton_ht": 15, "lepton_charge": -1}
    assert found[2].tolist() == list((dict.fromkeys(expected, 0.0) | electron).values())
    assert event_features(three[:0]).shape == (0, 21)


def test_the_largest_mass_is_that_of_the_four_momenta() -> None:
    """Jets have masses: what takes them as massless, as was done before, is another number."""
    eta, mass = np.array([0.3, -1.2, 2.0]), np.array([12.0, 8.0, 10.0])
    pt, phi = np.array([80.0, 70.0, 60.0]), np.array([0.1, 2.9, -2.0])
    energy = np.sqrt((pt * np.cosh(eta)) ** 2 + mass**2)
    columns = {"pt": pt, "eta": eta, "phi": phi, "energy": energy, "type": [0, 1, 0]}
    events = make_events(counts=[3], **columns, met=[0.0], met_phi=[0.0])
    p = np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)])
    pairs = [(0, 1), (0, 2), (1, 2)]
    expected = [
        np.sqrt((energy[i] + energy[j]) ** 2 - ((p[:, i] + p[:, j]) ** 2).sum()) for i, j in pairs
    ]
    found = dict(zip(EVENT_FEATURES, event_features(events)[0], strict=True))
    assert found["largest_mass"] == pytest.approx(max(expected), rel=1e-12)
    before = KNOWN_FEATURES["max_dijet_mass"].function(events)[0]
    assert before < found["largest_mass"] - 0.5
    assert kinematics(events)[0, list(KINEMATICS).index("mean_mass")] == pytest.approx(
        np.mean(expected), rel=1e-12
    )


def test_the_order_of_particles_does_not_matter(background: Any) -> None:
    turned = ak.with_field(background, background.Particle[:, ::-1], "Particle")
    found = event_features(background)
    np.testing.assert_allclose(event_features(turned), found, rtol=1e-12, atol=1e-12)
    assert np.isfinite(found).all()
    assert (found.std(axis=0) > 0).all()


def test_every_feature_is_described() -> None:
    assert len({one.meaning for one in EVENT_FEATURES.values()}) == len(EVENT_FEATURES)
    assert {one.unit for one in EVENT_FEATURES.values()} == {"", "GeV"}
