"""Observables of jets by loops, regions by numbers, and distances with their floors."""

from __future__ import annotations

import itertools

import awkward as ak
import numpy as np
import pytest
from toy_jets import toy_jets

from hepmtp.errors import TrainingError
from hepmtp.events.constituents import Constituents, constituents
from hepmtp.events.ragged import starts
from hepmtp.jets.observables import OBSERVABLES, jet_mass, jet_pt, jet_width, observables
from hepmtp.jets.regions import JET_REGIONS, JET_VARIABLES
from hepmtp.statistics.uncertainties import hanley_mcneil
from hepmtp.studies.jets import trees
from hepmtp.studies.jets.comparison import Measured, distances, markdown, told_apart
from hepmtp.tokenizers.constituents import ConstituentTokenizer


def test_observables_equal_loops() -> None:
    jets = toy_jets(12, prongs=2)
    one = constituents(jets)
    found = observables(one)
    assert tuple(found) == tuple(OBSERVABLES)
    for jet, (first, n) in enumerate(zip(starts(one.counts), one.counts, strict=True)):
        rows = range(first, first + n)
        pt = np.exp(one.log_pt[first : first + n])
        z, total = dict(zip(rows, pt / pt.sum(), strict=True)), pt.sum()

        def distance(i: int, j: int) -> float:
            return float(np.hypot(one.eta[i] - one.eta[j], one.phi[i] - one.phi[j]))

        e2 = sum(z[i] * z[j] * distance(i, j) for i, j in itertools.combinations(rows, 2))
        e3 = sum(
            z[i] * z[j] * z[k] * distance(i, j) * distance(j, k) * distance(i, k)
            for i, j, k in itertools.combinations(rows, 3)
        )
        assert found["e2"][jet] == pytest.approx(e2)
        assert found["e3"][jet] == pytest.approx(e3)
        assert found["d2"][jet] == pytest.approx(e3 / e2**3)
        assert found["pt_dispersion"][jet] == pytest.approx(np.sqrt((pt**2).sum()) / total)
        assert found["width"][jet] == pytest.approx(
            sum(z[i] * np.hypot(one.eta[i], one.phi[i]) for i in rows)
        )
        assert [found[f"lead_{i}"][jet] for i in (1, 2, 3)] == pytest.approx(pt[:3] / total)
    np.testing.assert_allclose(found["pt"], jet_pt(jets), rtol=1e-9)
    np.testing.assert_allclose(found["mass"], jet_mass(jets), rtol=2e-2, atol=1)  # massless
    np.testing.assert_allclose(found["width"], jet_width(jets))


def test_a_jet_of_nothing_or_of_one_has_zeros() -> None:
    jets = toy_jets(2)
    n = ak.Array([0, 1])
    short = ak.with_field(jets, jets.Particle[ak.local_index(jets.Particle.pt) < n], "Particle")
    found = observables(constituents(short))
    assert all(np.isfinite(one).all() for one in found.values())
    assert [found[name][0] for name in OBSERVABLES] == [0.0] * len(OBSERVABLES)
    assert [found[name][1] for name in ("mass", "e2", "e3", "d2", "lead_2")] == [0.0] * 5
    assert found["lead_1"][1] == 1


def test_regions_are_windows_of_mass() -> None:
    jets = toy_jets(300, prongs=3)
    mass = jet_mass(jets)
    selected = {one.name: one.select(jets) for one in JET_REGIONS}
    assert selected["inclusive"].all()
    assert selected["SR"].tolist() == ((mass > 140) & (mass <= 200)).tolist()
    assert selected["CR"].tolist() == (mass <= 110).tolist()
    assert selected["VR"].tolist() == ((mass > 110) & (mass <= 140)).tolist()
    assert [one.purpose for one in JET_REGIONS] == ["", "control", "validation", "signal"]
    assert all(one.values(jets).shape == (300,) for one in JET_VARIABLES)


def test_halves_of_few_true_jets_are_told_apart_by_chance_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trees, "ITERATIONS", 20)
    table = np.random.default_rng(3).normal(size=(240, 2))
    counts = np.full(240, 20)
    jets = Constituents(np.zeros(4800), np.zeros(4800), np.zeros(4800), counts)
    true = Measured(jets, dict(zip("ab", table.T, strict=True)))
    made = Measured(jets, {"a": table[:, 0] + 1, "b": table[:, 1]})
    apart, halves = told_apart(true, made, draws=20)
    # the mean has no bias, and a draw spreads more than the error of a fixed classifier says
    assert abs(halves.auc - 0.5) < 4 * halves.error / 20**0.5
    assert halves.error > hanley_mcneil(0.5, 120, 120)
    assert apart.error >= halves.error
    assert apart.auc > 0.65


def test_distances_stand_beside_their_floors() -> None:
    rng = np.random.default_rng(0)
    qcd = toy_jets(400)
    tokenizer = ConstituentTokenizer().fit(qcd)
    true, more, top = (
        Measured.of(tokenizer.encode(one), tokenizer, rng)
        for one in (qcd, toy_jets(200, seed=5), toy_jets(200, prongs=3, seed=6))
    )
    same, other = distances(true, more, rng), distances(true, top, rng)
    assert [one.n_jets for one in same] == [200] * len(same)
    for one in same:
        assert one.w == pytest.approx(one.floor, abs=4 * (one.w_error + one.floor_error) + 1e-9)
    by_name = {one.quantity: one for one in other}
    assert by_name["multiplicity"].ratio > 10
    assert by_name["mass"].ratio > 10
    # of the multiplicity, by its definition for equal numbers
    few = Measured.of(tokenizer.encode(qcd[:200]), tokenizer, rng)
    twice = distances(Measured(*few), few, rng, draws=2)
    assert {one.n_jets for one in twice} == {100}
    alike, apart = told_apart(true, more, draws=3), told_apart(true, top, draws=3)
    for one in (*alike, apart[1]):
        assert abs(one.auc - 0.5) < 5 * one.error
    assert apart[0].auc > 0.95
    assert alike[0].error >= alike[1].error
    text = markdown(other, apart)
    assert "| mass [GeV] |" in text
    assert "| true, true | 0.5" in text or "| true, true | 0.4" in text
    with pytest.raises(TrainingError, match=r"40 true and 200 made jets are too few"):
        distances(Measured.of(tokenizer.encode(qcd[:40]), tokenizer, rng), more, rng)
