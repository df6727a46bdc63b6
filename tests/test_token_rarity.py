"""Token rarity: each token for itself."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contracts import check_detector

from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import embedded
from hepmtp.detectors.token_rarity import TokenRarity
from hepmtp.errors import NotFittedError
from hepmtp.events.split import part_of
from hepmtp.tokenizers.lookup import LookupTokenizer


@pytest.fixture(scope="module")
def events() -> Any:
    return read([one for one in embedded() if one.name == "ttbarW"], stop=500)


def test_contract(events: Any, tmp_path: Path) -> None:
    check_detector(TokenRarity, events, tmp_path, rtol=1e-12)


@pytest.mark.parametrize("extra", [5, 0])
def test_scores_are_those_of_a_loop(events: Any, extra: int) -> None:
    detector = TokenRarity(LookupTokenizer(met_bins=extra, met_phi_bins=extra)).fit(events)
    assert detector.tokenizer.vocab_size == 875 + 2 * extra
    seen = detector.tokenizer.encode(part_of(events, "train")).to_awkward().to_list()
    flat = [token for event in seen for token in event]
    size = len(flat) + detector.tokenizer.vocab_size / 2
    expected = [
        np.mean([-np.log((flat.count(token) + 0.5) / size) for token in event])
        for event in detector.tokenizer.encode(events[:20]).to_awkward().to_list()
    ]
    np.testing.assert_allclose(detector.score(events[:20]), expected, rtol=1e-12)


def test_an_event_without_tokens_scores_0(events: Any) -> None:
    detector = TokenRarity(LookupTokenizer(met_bins=0, met_phi_bins=0)).fit(events)
    bare = events[:2]
    bare["Particle"] = bare.Particle[:, :0]
    assert detector.score(bare).tolist() == [0.0, 0.0]


def test_a_fitted_tokenizer_stays_as_it_is(events: Any) -> None:
    """It may be that of a trained masked-token detector."""
    tokenizer = LookupTokenizer().fit(part_of(events[:200], "train"))
    before = copy.deepcopy(tokenizer.bins_)
    detector = TokenRarity(tokenizer).fit(events)
    assert detector.tokenizer is tokenizer
    assert tokenizer.bins_ is not None
    assert before is not None
    for name, bins in tokenizer.bins_.items():
        np.testing.assert_array_equal(bins.edges, before[name].edges)


def test_before_fit(events: Any) -> None:
    with pytest.raises(NotFittedError, match=r"this TokenRarity is not fitted yet"):
        TokenRarity().score(events)
