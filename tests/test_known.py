"""What figures and tables may claim: what every data set says, and says alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from hepmtp.datasets.manifest import Dataset, embedded
from hepmtp.plotting import UNKNOWN, Caption
from hepmtp.report.known import (
    caption_of,
    content_of,
    doubts,
    labels_of,
    normalisations,
    note_of,
)
from hepmtp.statistics.normalisation import Normalisation


@dataclass(frozen=True)
class Known(Dataset):
    """A data set that knows the energy of its collisions."""

    energy_tev: float | None = None


def mine(name: str, role: Any = "background", **more: Any) -> Known:
    return Known(name=name, process=more.pop("process", name), role=role, files=(), **more)


def scaled(luminosity: float | None) -> Normalisation:
    return Normalisation("cross-section", 2.0, luminosity, 0.5, 100.0)


def test_own_files_claim_nothing() -> None:
    datasets = [mine("a"), mine("b")]
    found = normalisations({}, datasets)
    assert found == {"a": Normalisation("none"), "b": Normalisation("none")}
    assert caption_of(datasets, found) == UNKNOWN == Caption("", "", None, None)
    assert content_of(found) == "Sum of weights"
    assert note_of(datasets) == "These are the events of your own files."
    assert list(doubts(datasets, found)) == [
        (
            "The normalisation of a, b is not known, so sums of weights are no expected events: "
            "give cross_section_pb, luminosity_ifb and sum_weights."
        )
    ]


def test_the_embedded_sample_is_simulation_of_one_luminosity() -> None:
    found = normalisations({}, embedded())
    assert {one.kind for one in found.values()} == {"weights"}
    caption = caption_of(embedded(), found)
    assert caption[:3] == ("hepmtp", "simulation", 139)
    assert content_of(found) == "Events"
    assert list(doubts(embedded(), found)) == []
    both = [*embedded()[:1], mine("a")]
    assert caption_of(both, normalisations({}, both)) == UNKNOWN
    assert note_of(both).startswith("The events of a are those of your own files; the others are")


def test_what_all_data_sets_say_alike_is_claimed() -> None:
    datasets = [mine("a", energy_tev=13.6), mine("run2", "data", energy_tev=13.6)]
    said = {"normalisation": {"a": scaled(3.2), "run2": Normalisation("data", luminosity_ifb=3.2)}}
    found = normalisations(said, datasets)
    assert caption_of(datasets, found) == Caption("", "", 3.2, 13.6)
    assert content_of(found) == "Events"
    assert list(doubts(datasets, found)) == []


@pytest.mark.parametrize(
    ("luminosities", "energies", "sentence"),
    [
        (
            (3.2, 139.0),
            (13, 13),
            (
                "The data sets are not of one luminosity (3.2 /fb: a; 139 /fb: b): "
                "no figure claims any."
            ),
        ),
        ((3.2, None), (13, 13), "The luminosity of b is not known: no figure claims any."),
        (
            (139.0, 139.0),
            (8, 13),
            "The data sets are not of one energy (8 TeV: a; 13 TeV: b): no figure claims any.",
        ),
        ((139.0, 139.0), (None, 13), "The energy of a is not known: no figure claims any."),
    ],
)
def test_what_differs_or_is_not_known_of_one_is_not_claimed(
    luminosities: tuple[float | None, ...], energies: tuple[float | None, ...], sentence: str
) -> None:
    datasets = [mine(name, energy_tev=one) for name, one in zip("ab", energies, strict=True)]
    found = {name: scaled(one) for name, one in zip("ab", luminosities, strict=True)}
    caption = caption_of(datasets, found)
    assert (caption.luminosity is None) == ("luminosity" in sentence)
    assert (caption.energy is None) == ("energy" in sentence)
    assert list(doubts(datasets, found)) == [sentence]


def test_one_data_set_without_normalisation_makes_all_sums_of_weights() -> None:
    found = {"a": scaled(139.0), "b": Normalisation("none", luminosity_ifb=139.0)}
    datasets = [mine("a"), mine("b")]
    assert content_of(found) == "Sum of weights"
    assert caption_of(datasets, found).luminosity is None


def test_a_sum_that_was_counted_is_said() -> None:
    found = {"a": scaled(139.0)._replace(counted=True)}
    (sentence,) = doubts([mine("a")], found)
    assert sentence == (
        "The sum of weights of a was counted in the files that were read: right only if these hold "
        "every generated event."
    )


def test_labels_are_those_of_the_manifest() -> None:
    datasets = [mine("a", label="$t$"), mine("b"), mine("c", process="ttbarW"), *embedded()]
    assert labels_of(datasets) == {"a": "$t$"} | {one.name: one.label for one in embedded()}


def test_what_comes_from_a_file_is_read_as_well() -> None:
    plain = {"normalisation": {"a": ["cross-section", 2.0, 139.0, 0.5, 100.0, True]}}
    assert normalisations(plain, [mine("a")])["a"] == scaled(139.0)._replace(counted=True)
