"""Plain observables as detectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from contracts import check_detector

from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import embedded
from hepmtp.detectors import load_detector
from hepmtp.detectors.observables import OBSERVABLES, Observable
from hepmtp.detectors.token_rarity import TokenRarity
from hepmtp.errors import OptionError, StorageError
from hepmtp.events.record import make_events
from hepmtp.storage import new_folder, write


@pytest.mark.parametrize("name", OBSERVABLES)
def test_contract(name: str, tmp_path: Path) -> None:
    events = read([one for one in embedded() if one.name == "ttbarW"], stop=300)
    detector = check_detector(lambda: Observable(name), events, tmp_path, rtol=0.0)
    assert detector.name == name


def test_the_numbers_themselves() -> None:
    # two jets (one b) and an electron, then nothing
    events = make_events(
        counts=[3, 0], pt=[50.0, 40.0, 20.0], eta=[0.0, 1.0, 2.0], phi=[0.0, 1.0, 2.0],
        energy=[90.0, 90.0, 90.0], type=[0, 1, 2], met=[33.0, 7.0], met_phi=[0.0, 1.0],
        role="background",
    )  # fmt: skip
    found = {name: Observable(name).score(events).tolist() for name in OBSERVABLES}
    assert found == {
        "multiplicity": [3, 0],
        "n_jets": [2, 0],
        "n_b": [1, 0],
        "ht": [110, 0],
        "met": [33, 7],
    }


def test_what_counts_has_one_bin_a_number() -> None:
    events = read([one for one in embedded() if one.name == "ttbarW"], stop=300)
    axis = Observable("n_b").fit(events).axis
    np.testing.assert_allclose(axis.widths, 1.0, rtol=1e-12)
    assert axis.edges[0] == -0.5
    assert axis.label == "number of b-jets"


def test_an_unknown_observable_is_refused() -> None:
    with pytest.raises(
        OptionError,
        match=r"'thrust' is unknown; there are multiplicity, n_jets, n_b, ht, met, jet_mass",
    ):
        Observable("thrust")


def test_another_kind_of_folder_is_refused(tmp_path: Path) -> None:
    events = read([one for one in embedded() if one.name == "ttbarW"], stop=300)
    Observable("ht").fit(events).save(tmp_path / "ht")
    with pytest.raises(StorageError, match=r"holds a 'hepmtp:Observable', expected a"):
        TokenRarity.load(tmp_path / "ht")
    loaded = load_detector(tmp_path / "ht")
    assert np.array_equal(loaded.score(events), Observable("ht").score(events))
    with pytest.raises(
        OptionError, match=r"Observable has one form of score only, found form 'sum': leave it out"
    ):
        load_detector(f"{tmp_path / 'ht'}#sum")
    TokenRarity().fit(events).tokenizer.save(tmp_path / "tokenizer")
    with pytest.raises(StorageError, match=r"LookupTokenizer', expected a detector"):
        load_detector(f"{tmp_path / 'tokenizer'}#sum")
    with new_folder(tmp_path / "foreign") as folder:
        write(folder, "nowhere.at_all:Detector", {}, {})
    with pytest.raises(StorageError, match=r"which cannot be imported here .*install its package"):
        load_detector(tmp_path / "foreign")
