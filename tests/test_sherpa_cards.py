"""The run cards of Sherpa say what the pages of the embedded sample and of the recipe say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
RECIPE = ROOT / "examples" / "simulation"
#: Final states: PDG codes beside the pair of tops.
EXTRA = {
    "4top": [[6, -6]],
    "ttbarHiggs": [[25]],
    "ttbarW": [[24], [-24]],
    "ttbarWW": [[24, -24]],
    "ttbarZ": [[23]],
}


def said(path: Path, pattern: str) -> tuple[str, ...]:
    """What a page says, by a pattern in which a blank is also a line break."""
    found = re.search(pattern.replace(" ", r"\s+"), path.read_text())
    assert found is not None, f"{path.name} does not say {pattern!r}"
    return found.groups()


@pytest.fixture(params=sorted(EXTRA))
def card(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    text = (RECIPE / "sherpa" / f"{request.param}.yaml").read_text()
    return request.param, yaml.safe_load(text)


def test_every_card_is_known() -> None:
    assert sorted(path.stem for path in (RECIPE / "sherpa").glob("*")) == sorted(EXTRA)


def test_cards_and_the_page_of_the_embedded_sample_agree(card: tuple[str, dict[str, Any]]) -> None:
    page, (name, given) = ROOT / "hepmtp" / "data" / "README.md", card
    (tev,) = said(page, r"collisions at (\d+) TeV")
    assert 2 * given["BEAM_ENERGIES"] == 1000 * int(tev)
    (generator,) = said(page, r"Sherpa 3\.0\.3 \((\w+)\) matrix elements, PDF4LHC21")
    assert given["ME_GENERATORS"] == [generator]
    assert given["PDF_SET"].startswith("PDF4LHC21")
    (mass,) = said(page, r"massive b quarks of ([\d.]+) GeV")
    assert given["PARTICLE_DATA"][5] == {"Mass": float(mass), "Massive": True}
    (quarter,) = said(page, r"the sum of squared transverse masses over (\d)")
    assert given["SCALES"] == f"VAR{{H_TM2/{quarter}}}"
    said(page, r"Tops, W, Z and H are stable there")
    assert {code for code, one in given["PARTICLE_DATA"].items() if one.get("Width") == 0} == {
        6,
        23,
        24,
        25,
    }
    said(page, r"no extra jets in the matrix element")
    finals = [["6", "-6", *map(str, more)] for more in EXTRA[name]]
    assert [next(iter(one)) for one in given["PROCESSES"]] == [
        f"93 93 -> {' '.join(final)}" for final in finals
    ]
    assert given["EVENT_OUTPUT"] == f"LHEF[{name}]"


def test_cards_and_the_page_of_the_recipe_agree(card: tuple[str, dict[str, Any]]) -> None:
    page, (_, given) = RECIPE / "README.md", card
    masses = {6: "top mass", 25: "Higgs mass", 5: "b mass"}
    for code, words in masses.items():
        (mass,) = said(page, rf"\| {words} \| ([\d.]+) GeV")
        assert given["PARTICLE_DATA"][code]["Mass"] == float(mass)
    (error,) = said(page, r"\| `Integration_Error` \| ([\d.]+)")
    for process in given["PROCESSES"]:
        (options,) = process.values()
        assert options["Integration_Error"] == float(error)
