"""What objects say of themselves: a line in a terminal, a table in a notebook."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hist.axis import Regular

import hepmtp as hm
from hepmtp.detectors.calibrated.detector import Calibrated
from hepmtp.detectors.combination import Combination
from hepmtp.detectors.cross_fitted import CrossFitted
from hepmtp.detectors.masked_token.detector import MaskedTokenDetector
from hepmtp.detectors.observables import Observable
from hepmtp.detectors.token_rarity import TokenRarity
from hepmtp.events.record import metadata
from hepmtp.statistics.histograms import book, fill


def cells(thing: Any) -> list[list[str]]:
    """Caption and rows of the table of a notebook, which is well-formed."""
    table = ET.fromstring(thing._repr_html_())
    rows = [[cell.text or "" for cell in row] for row in table.iter("tr")]
    return [[table.findtext("caption") or ""], *rows]


@pytest.fixture(scope="module")
def rarity(few: Any) -> TokenRarity:
    return TokenRarity().fit(few)


def test_a_detector_says_what_it_is_and_what_trained_it(rarity: TokenRarity, few: Any) -> None:
    assert rarity.card_ is not None
    names = ", ".join(rarity.card_.processes)
    assert names.count(", ") == 3
    n = f"{rarity.card_.events:,}"
    trained = f"fitted to {n} training events of {names}"
    assert str(rarity) == f"TokenRarity token_rarity: {trained}; LookupTokenizer of 885 ids"
    title, *rows = cells(rarity)
    assert title == ["TokenRarity token_rarity"]
    found = dict(rows)
    assert found["state"] == trained
    assert found["score"] == rarity.description
    median = f"50 % below {rarity.card_.scores['token_rarity'][2]:.4g}"
    assert median in found["background scores"]
    assert "parameters" not in found  # it has none
    assert sorted(str(metadata(few)["dataset"]).split("+")) == sorted(names.split(", "))


@pytest.mark.parametrize(
    ("detector", "said"),
    [
        (
            MaskedTokenDetector(),
            "MaskedTokenDetector masked_token: not fitted; LookupTokenizer",
        ),
        (
            CrossFitted(Observable("ht")),
            "CrossFitted ht: not fitted; made of ht",
        ),
        (
            Calibrated(Combination([Observable("ht"), Observable("met")])),
            "Calibrated ht_and_met_calibrated: not fitted; made of ht_and_met",
        ),
        (
            Combination([Observable("ht"), Observable("met")], "or", "any"),
            "Combination any: not fitted; made of ht, met",
        ),
    ],
)
def test_before_a_fit_it_says_so(detector: Any, said: str) -> None:
    assert str(detector) == said
    assert ["state", "not fitted"] in cells(detector)
    assert repr(detector).startswith(f"{type(detector).__name__}(")  # the options


def test_parameters_are_counted_and_a_text_terminal_shows_the_line(few: Any) -> None:
    detector = MaskedTokenDetector(
        model=hm.ModelOptions(width=8, feedforward=8, layers=1, heads=1),
        training=hm.TrainingOptions(epochs=1),
        tail_events=50,
    ).fit(few)
    said = str(detector)
    assert f"; {detector.n_parameters:,} parameters; LookupTokenizer of 360 ids" in said
    assert ["forms", ", ".join(detector.forms)] in cells(detector)
    shown: list[str] = []
    detector._repr_pretty_(SimpleNamespace(text=shown.append), False)
    assert shown == [said]


def test_a_data_set_says_its_role_and_size() -> None:
    first = hm.embedded()[0]
    assert repr(first) == "<Dataset ttbarW: background, 1 file, 10,522 events>"
    assert ["cross_section_pb", "0.722"] in cells(first)
    mine = hm.Dataset(name="<mine>", process="x", role="data", files=("/far/away/a.root", "b.root"))
    assert repr(mine) == "<Dataset <mine>: data, 2 files>"
    assert cells(mine)[0] == ["<mine>"]
    assert ["files", "2 files: a.root, b.root"] in cells(mine)


def test_a_comparison_says_its_verdict_and_shows_its_bins() -> None:
    h = book(Regular(2, 0, 2, name="score", label="particles"), name="n")
    for region, scores in (("CR", [0.5, 0.5, 1.5, 1.5]), ("SR", [0.5, 1.5, 1.5, 1.5])):
        fill(h, dataset="a", region=region, score=scores, weight=1.0)
    found = hm.compare(h, "SR", "CR", normalise=False)
    assert repr(found) == (f"<Comparison of yields of particles, SR against CR: {found.verdict}>")
    _, head, first, second = cells(found)
    assert head[:4] == ["from", "to", "SR", "error"]
    assert first[:3] == ["0", "1", "1"]
    assert second[6] == "1.5"
    assert np.array_equal(found.ratio, [0.5, 1.5])
    assert next(iter(found)) is found.edges  # still a tuple


def test_tokens_say_how_many(rarity: TokenRarity, few: Any) -> None:
    tokens = rarity.tokenizer.encode(few[:2])
    assert repr(tokens) == f"<TokenBatch of 2 events: {len(tokens.values)} tokens>"
    batch = hm.TokenBatch.from_counts([1], [1, 0], np.ones((1, 3), dtype=np.float32))
    assert repr(batch) == "<TokenBatch of 2 events: 1 tokens, 3 features each>"
