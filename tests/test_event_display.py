"""One event as a picture, and what each of its particles adds to the score."""

from __future__ import annotations

import copy
import math
import runpy
from pathlib import Path
from typing import Any

import awkward as ak
import matplotlib as mpl
import numpy as np
import pytest

from hepmtp import plotting
from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import embedded
from hepmtp.detectors.masked_token.detector import MaskedTokenDetector
from hepmtp.detectors.masked_token.why import particle_surprises
from hepmtp.detectors.observables import Observable
from hepmtp.errors import EventError, NotFittedError, OptionError
from hepmtp.events.record import make_events
from hepmtp.events.tokens import TokenBatch
from hepmtp.models.masked import ModelOptions
from hepmtp.tokenizers.lookup import LookupTokenizer
from hepmtp.training.masking import TrainingOptions

SAVED = Path(__file__).parent / "saved"
ROOT = Path(__file__).parents[1]


def tiny(**tokens: Any) -> MaskedTokenDetector:
    return MaskedTokenDetector(
        LookupTokenizer(**tokens),
        ModelOptions(width=8, feedforward=8, layers=1, heads=1),
        TrainingOptions(epochs=1),
        tail_events=50,
    )


@pytest.fixture(scope="module")
def detector(few: Any) -> Any:
    return tiny(met_phi_bins=0).fit(few)


@pytest.fixture(scope="module")
def events() -> Any:
    some = read([one for one in embedded() if one.name == "4top"], stop=6)
    return ak.concatenate([some, ak.with_field(some[:1], some[:1].Particle[:, :0], "Particle")])


@pytest.fixture
def three() -> Any:
    """A hard b-jet, a jet and a muon; MET down."""
    return make_events(
        counts=[3],
        pt=[100, 40, 20],
        eta=[0.5, -4, 1],
        phi=[0, math.pi / 2, -2],
        energy=[120, 1100, 40],
        type=[1, 0, 5],
        met=[60],
        met_phi=[-math.pi / 2],
    )[0]


def test_what_particles_add_makes_up_the_score(detector: Any, events: Any) -> None:
    for form in detector.forms:
        one = detector.with_score(form)
        found = particle_surprises(one, events)
        assert ak.num(found.Particle).tolist() == ak.num(events.Particle).tolist()
        asked = detector.with_score("sum") if form in ("mean", "excess") else one
        whole = ak.to_numpy(ak.sum(found.Particle, axis=1) + found.MET)
        np.testing.assert_allclose(whole, asked.parts(events).sum(axis=1), rtol=1e-9)


def test_each_number_belongs_to_its_particle(detector: Any, events: Any) -> None:
    forth = particle_surprises(detector.with_score("sum"), events).Particle
    turned = ak.with_field(events, events.Particle[:, ::-1], "Particle")
    back = particle_surprises(detector.with_score("sum"), turned).Particle[:, ::-1]
    np.testing.assert_allclose(ak.flatten(back), ak.flatten(forth), rtol=1e-4)
    assert np.ptp(ak.to_numpy(forth[0])) > 0.1
    # the answers about jets have nothing of leptons
    of_jets = particle_surprises(detector.with_score("jets"), events).Particle
    is_jet = events.Particle["type"] <= 1
    assert ak.all(of_jets[~is_jet] == 0)
    assert ak.all(of_jets[is_jet] > 0)


def test_a_masked_particle_is_left_out(detector: Any, events: Any) -> None:
    hard = ak.mask(events.Particle, events.Particle.pt > 50)
    found = particle_surprises(detector, ak.with_field(events, hard, "Particle"))
    assert ak.num(found.Particle).tolist() == ak.sum(events.Particle.pt > 50, axis=1).tolist()
    figure = plotting.event_display(ak.with_field(events, hard, "Particle")[0], found[0].Particle)
    assert len(figure.axes[0].collections) == len(found[0].Particle)


def test_tokens_of_particles_alone_have_no_met(few: Any) -> None:
    detector = tiny(met_bins=0, met_phi_bins=0).fit(few)
    assert particle_surprises(detector, few[:3]).fields == ["Particle"]


def test_detectors_that_predict_no_particles_are_refused(detector: Any, events: Any) -> None:
    with pytest.raises(OptionError, match=r"Observable does not predict particles: give the Mask"):
        particle_surprises(Observable("ht"), events)
    with pytest.raises(NotFittedError, match="this MaskedTokenDetector is not fitted yet"):
        particle_surprises(MaskedTokenDetector(), events)

    class Halves(LookupTokenizer):
        def encode(self, events: ak.Array) -> TokenBatch:
            return super().encode(ak.with_field(events, events.Particle[:, ::2], "Particle"))

    other = copy.copy(detector)
    other.tokenizer = copy.copy(detector.tokenizer)
    other.tokenizer.__class__ = Halves
    with pytest.raises(OptionError, match="Halves does not make one token of each particle"):
        particle_surprises(other, events)


def test_every_particle_stands_where_it_is(three: Any) -> None:
    figure = plotting.event_display(three, [5, 1, 2], met_surprise=4, title="why")
    plane, circle, _ = figure.axes
    points = sorted(one.get_offsets()[0].tolist() for one in plane.collections)
    assert points == [[-4, math.pi / 2], [0.5, 0], [1, -2]]
    assert plane.get_xlim()[0] < -4
    tips = [one.xy for one in circle.texts if one.arrow_patch is not None]
    expected = [
        *[(100, 0), (0, 40), (20 * math.cos(-2), 20 * math.sin(-2))],
        (0, -60),  # MET
    ]
    np.testing.assert_allclose(tips, expected, atol=1e-9)
    dashed = [
        one.arrow_patch.get_linestyle() for one in circle.texts if one.arrow_patch is not None
    ]
    assert dashed == ["solid", "solid", "solid", "--"]
    texts = " ".join(one.get_text() for one in figure.findobj(mpl.text.Text))
    for expected in ("b-jet 100", "jet 40", r"$\mu^-$ 20", "miss}$ 60", "Surprise", "why"):
        assert expected in texts


def test_the_stranger_the_darker(three: Any) -> None:
    plane = plotting.event_display(three, [5, 1, 2], met_surprise=4).axes[0]
    light = [float(one.get_facecolor()[0, :3].sum()) for one in plane.collections]
    assert light[0] < light[2] < light[1]
    met = sum(mpl.colors.to_rgb(plane.lines[0].get_color()))
    assert light[0] < met < light[2]


def test_an_event_without_surprises_or_particles_is_drawn(three: Any, tmp_path: Path) -> None:
    figure = plotting.event_display(three)
    assert len(figure.axes) == 2  # there is nothing that a scale of colours could mean
    assert {mpl.colors.to_hex(one.get_facecolor()[0]) for one in figure.axes[0].collections} == {
        "#0072b2"
    }
    nothing = make_events(
        counts=[0], pt=[], eta=[], phi=[], energy=[], type=[], met=[0.0], met_phi=[0.0]
    )[0]
    plotting.save(plotting.event_display(nothing, [], met_surprise=0.0), tmp_path, "nothing")


def test_what_is_no_event_or_no_surprise_is_refused(three: Any, events: Any) -> None:
    with pytest.raises(EventError, match=r"shows one event, found Array: take events\[i\]"):
        plotting.event_display(events)
    with pytest.raises(EventError, match="events have no field 'weight'"):
        plotting.event_display(ak.Record({"Particle": [], "MET": {"pt": 1.0, "phi": 0.0}}))
    with pytest.raises(OptionError, match=r"surprise has shape \(2,\), expected \(3,\)"):
        plotting.event_display(three, [1, 2])
    with pytest.raises(OptionError, match="surprise must be finite, found nan"):
        plotting.event_display(three, [1, 2, math.nan])


def test_the_example_shows_the_strangest_first(
    tmp_path: Path,
    undrawn: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["", str(SAVED / "masked_token"), "4top", "2", str(tmp_path)])
    runpy.run_path(str(ROOT / "examples" / "event_display.py"))
    assert {one.name for one in tmp_path.glob("*.png")} == {"event-1.png", "event-2.png"}
    first, second = (float(line.split()[-1]) for line in capsys.readouterr().out.splitlines())
    assert first >= second
