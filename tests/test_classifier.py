"""The classifier of events: inputs, logits, training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from hepmtp.errors import OptionError, StorageError, TrainingError
from hepmtp.events.features import PARTICLE_FEATURES
from hepmtp.events.record import make_events
from hepmtp.models.classifier import (
    ClassifierOptions,
    EventClassifier,
    EventInputs,
    Labelled,
    inputs_of,
    labelled,
    new_classifier,
)
from hepmtp.models.groups import Group
from hepmtp.training.classify import ClassifierTraining, train_classifier

SMALL = ClassifierOptions(width=16, heads=2, layers=2, feedforward=32)


@pytest.fixture(scope="module")
def inputs(background: Any) -> EventInputs:
    return inputs_of(background)


@pytest.fixture
def three() -> EventInputs:
    """Two particles, none, three."""
    return inputs_of(
        make_events(
            counts=[2, 0, 3],
            pt=[50.0, 40.0, 100.0, 30.0, 20.0],
            eta=[0.1, -1.0, 2.0, 0.5, -0.5],
            phi=[0.0, 3.0, -1.0, 2.0, 1.0],
            energy=[51.0, 70.0, 380.0, 40.0, 30.0],
            type=[0, 1, 0, 2, 4],
            met=[25.0, 60.0, 5.0],
            met_phi=[1.0, -2.0, 0.5],
        )
    )


def heavier(inputs: EventInputs) -> EventInputs:
    """The same events with twice the MET and 1.5 times the pt."""
    particles, met = inputs.particles.copy(), inputs.met.copy()
    particles[:, [0, 4]] += np.log(1.5)
    met[:, 0] += np.log(2)
    return EventInputs(particles, met, inputs.counts)


def sets(inputs: EventInputs) -> tuple[Labelled, Labelled]:
    first, second = inputs.select(np.arange(0, 1600, 2)), inputs.select(np.arange(1, 1600, 2))
    return labelled(first, heavier(first)), labelled(second, heavier(second))


def test_select_and_and(three: EventInputs) -> None:
    some = three.select(np.array([2, 1]))
    assert some.counts.tolist() == [3, 0]
    np.testing.assert_array_equal(some.particles, three.particles[2:])
    np.testing.assert_array_equal(some.met, three.met[[2, 1]])
    both = three.select(np.array([0])).and_(some)
    assert both.counts.tolist() == [2, 3, 0]
    np.testing.assert_array_equal(both.particles, three.particles)


def test_turned_events_are_the_same_collision(inputs: EventInputs) -> None:
    turned = inputs.turned(np.random.default_rng(1))
    kept = [
        i for i, name in enumerate(PARTICLE_FEATURES) if name not in ("eta", "sin phi", "cos phi")
    ]
    np.testing.assert_array_equal(turned.particles[:, kept], inputs.particles[:, kept])
    np.testing.assert_array_equal(np.abs(turned.particles[:, 1]), np.abs(inputs.particles[:, 1]))
    np.testing.assert_array_equal(turned.met[:, 0], inputs.met[:, 0])
    owner = np.repeat(np.arange(len(inputs.counts)), inputs.counts)
    first = np.cumsum(inputs.counts) - inputs.counts

    def cosines(one: EventInputs) -> list[Any]:
        """Of the angle of each particle to MET, and to the first one of its event."""
        sine, cosine = one.particles[:, 2].astype(float), one.particles[:, 3].astype(float)
        return [
            sine * one.met[owner, 1] + cosine * one.met[owner, 2],
            sine * sine[first][owner] + cosine * cosine[first][owner],
        ]

    np.testing.assert_allclose(cosines(turned), cosines(inputs), atol=1e-5)
    # eta keeps its relative sign in the event, and half of the events are reflected
    sign = np.sign(turned.particles[:, 1] * inputs.particles[:, 1])
    np.testing.assert_array_equal(sign, sign[first][owner])
    assert 0.4 < np.mean(sign[first] < 0) < 0.6
    assert abs(np.mean(turned.met[:, 2])) < 0.1
    assert not np.allclose(turned.met[:, 1:], inputs.met[:, 1:])


def test_classes_count_alike(three: EventInputs) -> None:
    events = labelled(three, three.select(np.array([1])), [1.0, 2.0, 1.0])
    assert events.labels.tolist() == [0, 0, 0, 1]
    assert events.weights.tolist() == [0.5, 1.0, 0.5, 2.0]
    assert events.inputs.counts.tolist() == [2, 0, 3, 0]
    with pytest.raises(TrainingError, match=r"a class of 0 events has no positive sum of weights"):
        labelled(three, three.select(np.array([], dtype=np.int64)))


def test_standardisation(inputs: EventInputs) -> None:
    model = new_classifier(SMALL, 1).standardise(inputs)
    mean, scale = model.mean.numpy(), model.scale.numpy()
    np.testing.assert_allclose(
        mean[[0, 1, 4]], inputs.particles[:, [0, 1, 4]].mean(axis=0), rtol=1e-4
    )
    np.testing.assert_allclose(
        scale[[0, 1, 4]], inputs.particles[:, [0, 1, 4]].std(axis=0), rtol=1e-4
    )
    np.testing.assert_allclose(
        [mean[12], mean[15], scale[15]],
        [inputs.met[:, 0].mean(), np.log1p(inputs.counts).mean(), np.log1p(inputs.counts).std()],
        rtol=1e-4,
    )
    untouched = [2, 3, *range(5, 12), 13, 14]
    assert mean[untouched].tolist() == [0.0] * len(untouched)
    assert scale[untouched].tolist() == [1.0] * len(untouched)


def test_logits_are_those_of_one_event_at_a_time(inputs: EventInputs, three: EventInputs) -> None:
    """The reference: every token goes through every block, the event's own is read at the end."""
    model = new_classifier(SMALL, 1).standardise(inputs).eval()
    for some in (three, inputs.select(np.arange(30))):
        found = model.logits(some)
        for i in range(len(some.counts)):
            one = some.select(np.array([i]))
            event = np.append(one.met[0], np.log1p(one.counts[0])).astype(np.float32)
            with torch.no_grad():
                particles = (torch.from_numpy(one.particles) - model.mean[:12]) / model.scale[:12]
                own = (torch.from_numpy(event) - model.mean[12:]) / model.scale[12:]
                x = torch.cat(
                    [model.event(own)[None], model.particle(particles)]
                )  # the other way round: no order
                for block in model.blocks:
                    x = block(x, [Group(1, len(x))])
                expected = float(model.out(model.norm(x[0])))
            assert found[i] == pytest.approx(expected, abs=1e-5)


def test_no_events(three: EventInputs) -> None:
    found = new_classifier(SMALL, 1).logits(three.select(np.array([], dtype=np.int64)))
    assert found.shape == (0,)
    assert found.dtype == np.float64


def test_batches_make_no_difference(inputs: EventInputs) -> None:
    model = new_classifier(SMALL, 1)
    np.testing.assert_allclose(model.logits(inputs, 37), model.logits(inputs), atol=1e-5)


def test_default_size() -> None:
    assert sum(one.numel() for one in EventClassifier().parameters()) == 205_521


def test_training_learns_and_keeps_the_best_epoch(inputs: EventInputs) -> None:
    training, validation = sets(inputs)
    model = new_classifier(SMALL, 0)
    history = train_classifier(
        model,
        training,
        validation,
        options=ClassifierTraining(epochs=3, batch_events=64, learning_rate=5e-3),
    )
    losses = [row["validation_loss"] for row in history]
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert min(losses) < 0.60 < np.log(2)
    assert not model.training
    # the loss of the weights that were kept, by hand
    logit, truth = model.logits(validation.inputs), validation.labels
    loss = np.mean(
        validation.weights * np.where(truth == 1, np.log1p(np.exp(-logit)), np.log1p(np.exp(logit)))
    )
    assert loss == pytest.approx(min(losses), rel=1e-6)


def test_weights_count(inputs: EventInputs) -> None:
    """Every event twice, once with the wrong class and little weight: the right one is learned."""
    good, _ = sets(inputs)
    both = Labelled(
        good.inputs.and_(good.inputs),
        np.concatenate([good.labels, 1 - good.labels]),
        np.concatenate([good.weights, 1e-3 * good.weights]),
    )
    model = new_classifier(SMALL, 0)
    train_classifier(
        model, both, good, options=ClassifierTraining(epochs=2, batch_events=64, learning_rate=5e-3)
    )
    logit = model.logits(good.inputs)
    assert logit[good.labels == 1].mean() > logit[good.labels == 0].mean() + 0.2


def test_the_same_seed_gives_the_same_model(inputs: EventInputs) -> None:
    training, validation = sets(inputs)
    state = torch.get_rng_state()
    found = []
    for seed in (0, 0, 1):
        model = new_classifier(SMALL, seed)
        train_classifier(
            model, training, validation, options=ClassifierTraining(epochs=1, seed=seed)
        )
        found.append(model.logits(validation.inputs))
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.allclose(found[0], found[2])
    assert torch.equal(torch.get_rng_state(), state)


def test_training_stops_when_validation_gets_worse(inputs: EventInputs) -> None:
    """Validation events with the labels exchanged: all that is learned makes them worse."""
    training, validation = sets(inputs)
    wrong = validation._replace(labels=1 - validation.labels)
    options = ClassifierTraining(epochs=9, patience=2, batch_events=64, learning_rate=5e-3)
    history = train_classifier(new_classifier(SMALL, 0), training, wrong, options=options)
    losses = [row["validation_loss"] for row in history]
    assert len(losses) < 9
    assert len(losses) - 1 - int(np.argmin(losses)) == 2


def test_events_drawn_in_each_epoch(inputs: EventInputs) -> None:
    training, validation = sets(inputs)
    drawn: list[float] = []

    def draw(rng: np.random.Generator) -> Labelled:
        drawn.append(rng.random())
        return training

    seen: list[tuple[int, int, int]] = []
    options = ClassifierTraining(epochs=2, batch_events=500)
    train_classifier(
        new_classifier(SMALL, 0),
        draw,
        validation,
        options=options,
        progress=lambda *row: seen.append(row[:3]),
    )
    assert len(set(drawn)) == len(drawn) == 2
    assert seen == [(epoch, step, 4) for epoch in (1, 2) for step in (1, 2, 3, 4)]


def test_refusals(inputs: EventInputs) -> None:
    training, validation = sets(inputs)
    with pytest.raises(
        OptionError,
        match=r"width a multiple of heads, found ClassifierOptions\(width=10, heads=4",
    ):
        ClassifierOptions(width=10)
    with pytest.raises(OptionError, match=r"must be 1 or more, found ClassifierTraining\(epochs=0"):
        ClassifierTraining(epochs=0)
    with pytest.raises(
        TrainingError, match=r"the (validation )?loss became \w+.*: lower learning_rate"
    ):
        train_classifier(
            new_classifier(SMALL, 0),
            training,
            validation,
            options=ClassifierTraining(learning_rate=1e30, epochs=2),
        )


def test_arrays_are_the_whole_model(inputs: EventInputs) -> None:
    model = new_classifier(SMALL, 3).standardise(inputs)
    arrays = model.arrays()
    assert all(name.startswith("model.") for name in arrays)
    before = torch.random.get_rng_state()
    again = EventClassifier.from_arrays(SMALL, arrays)
    assert torch.equal(torch.random.get_rng_state(), before)
    np.testing.assert_array_equal(again.logits(inputs), model.logits(inputs))
    with pytest.raises(
        StorageError, match=r"the weights do not fit a classifier of ClassifierOptions\(width=112"
    ):
        EventClassifier.from_arrays(ClassifierOptions(), arrays)
