"""Deep SVDD: distances to a centre that do not collapse."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from contracts import check_detector, check_seed

from hepmtp.detectors import training_events
from hepmtp.detectors.deep_svdd import SMALLEST_CENTRE, DeepSVDD
from hepmtp.detectors.event_features_input import chosen_features
from hepmtp.detectors.event_network import NetworkTraining
from hepmtp.errors import NotFittedError, OptionError, StorageError
from hepmtp.storage import new_folder, read, write

FEW = ("n_jets", "ht", "met", "lepton_pt_3", "jet_pt_1", "jet_pt_2")


def tiny(*, seed: int = 0, epochs: int = 2) -> DeepSVDD:
    return DeepSVDD(
        FEW,
        hidden=(8,),
        outputs=4,
        members=2,
        training=NetworkTraining(epochs=epochs, batch_events=32, seed=seed),
    )


@pytest.fixture(scope="module")
def fitted(few: Any) -> DeepSVDD:
    return tiny().fit(few)


def test_contract(few: Any, tmp_path: Path) -> None:
    check_detector(tiny, few, tmp_path, rtol=1e-9)


def test_scores_are_those_of_a_loop(fitted: DeepSVDD, few: Any) -> None:
    network, scaling = fitted.network_, fitted.scaling_
    assert network is not None
    assert scaling is not None
    state = {name: value.numpy() for name, value in network.state_dict().items()}
    for event, score in enumerate(fitted.score(few[:5])):
        z = scaling(chosen_features(few[event : event + 1], fitted.features))[0]
        distances = []
        for member in range(2):
            hidden = z @ state["weights.0"][member]
            place = np.where(hidden > 0, hidden, 0.1 * hidden) @ state["weights.1"][member]
            distances.append(
                ((place - state["centre"][member]) ** 2).sum() / state["scale"][member]
            )
        assert score == pytest.approx(np.mean(distances))


def test_no_layer_has_a_bias_and_the_centre_is_not_zero(fitted: DeepSVDD) -> None:
    network = fitted.network_
    assert network is not None
    assert [tuple(one.shape) for one in network.parameters()] == [(2, 6, 8), (2, 8, 4)]
    assert fitted.n_parameters == 2 * (6 * 8 + 8 * 4)
    centre = network.state_dict()["centre"]
    assert (centre.abs() >= SMALLEST_CENTRE).all()
    assert torch.equal(
        network(torch.zeros(1, 6, dtype=torch.float64)), torch.zeros(2, 1, 4, dtype=torch.float64)
    )


def test_the_loss_falls_and_scores_do_not_collapse(few: Any) -> None:
    detector = tiny(epochs=25).fit(few)
    losses = [row["validation_loss"] for row in detector.history_]
    assert min(losses) < 0.8 * losses[0]
    scores = detector.score(few)
    assert scores.std() > 0.1 * scores.mean()
    assert len(np.unique(scores)) == len(few)


def test_the_centre_is_the_mean_place_before_training(few: Any) -> None:
    detector = DeepSVDD(
        FEW, members=1, training=NetworkTraining(epochs=1, learning_rate=1e-12)
    ).fit(few)
    network, scaling = detector.network_, detector.scaling_
    assert network is not None
    assert scaling is not None
    x = torch.as_tensor(scaling(chosen_features(training_events(few), detector.features)))
    mean = network(x).mean(dim=1)
    far = mean.abs() > SMALLEST_CENTRE
    torch.testing.assert_close(network.state_dict()["centre"][far], mean[far], rtol=1e-6, atol=1e-6)
    assert detector.score(training_events(few)).mean() == pytest.approx(1.0, rel=1e-6)


def test_a_seed_gives_the_same_detector_and_leaves_torch_alone(few: Any, fitted: DeepSVDD) -> None:
    check_seed(tiny, fitted, few)


def test_it_travels_to_workers(fitted: DeepSVDD, few: Any) -> None:
    there = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(there.score(few), fitted.score(few))


def test_options_are_saved_and_checked(fitted: DeepSVDD, few: Any, tmp_path: Path) -> None:
    fitted.save(tmp_path / "detector")
    loaded = DeepSVDD.load(tmp_path / "detector")
    assert (loaded.hidden, loaded.outputs, loaded.members, loaded.training) == (
        (8,),
        4,
        2,
        fitted.training,
    )
    np.testing.assert_array_equal(loaded.fit(few).score(few), fitted.score(few))
    meta, arrays = read(tmp_path / "detector")
    arrays["network.weights.0"] = arrays["network.weights.0"][:, :5]
    with new_folder(tmp_path / "detector") as folder:
        write(folder, meta["kind"], {name: meta[name] for name in ("options", "axis")}, arrays)
    with pytest.raises(StorageError, match=r"what was saved does not fit the options"):
        DeepSVDD.load(tmp_path / "detector")
    with pytest.raises(OptionError, match=r"hidden, outputs and members must be 1 or more"):
        DeepSVDD(members=0)
    with pytest.raises(
        OptionError, match=r"epochs, patience, batch_events, threads and processes must"
    ):
        NetworkTraining(epochs=0)
    with pytest.raises(NotFittedError, match=r"this DeepSVDD is not fitted yet: call fit"):
        _ = DeepSVDD().n_parameters
