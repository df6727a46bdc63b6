"""Model cards: what trained a detector, where it is valid, and how background scores.

The rule: what stands in a card was counted on events that trained, or is known of their files. What
nobody knows is left out. Events far from those of the card are said, once each.
"""

from __future__ import annotations

import importlib.metadata
import logging
import platform
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Self

import awkward as ak
import numpy as np

from hepmtp.events.observables import EVENT_FEATURES, type_counts
from hepmtp.events.once import once
from hepmtp.events.particles import (
    B_JET,
    ELECTRONS,
    JET,
    LEPTONS,
    MUONS,
    PHOTON,
    UNSPECIFIED,
)
from hepmtp.events.ragged import Floats
from hepmtp.events.record import metadata, role_of

logger = logging.getLogger(__name__)

#: Shares of the training events below the numbers of a card, of quantities and of scores.
LEVELS = (0.0, 0.01, 0.5, 0.99, 1.0)
SCORE_LEVELS = (0.01, 0.1, 0.5, 0.9, 0.98, 0.99, 0.999)
#: At most so many training events are scored for a card.
MOST_EVENTS = 10_000
#: A median so many times that of the training, or so many times less, is far away; for signals,
#: which may be strange, and beyond which an energy looks like one in another unit.
FAR, FAR_SIGNAL, UNIT = 3.0, 30.0, 300.0
#: Fewer events say nothing of what trained.
FEWEST = 100

#: What a card has the quantiles of.
QUANTITIES = ("n_jets", "n_b", "n_leptons", "n_photons", "ht", "met", "jet_pt_1")


#: Kinds of particles whose absence is noticed: first and last type.
KINDS = {
    "jet": (JET, JET),
    "b-jet": (B_JET, B_JET),
    "electron": (ELECTRONS[0], ELECTRONS[-1]),
    "muon": (MUONS[0], MUONS[-1]),
    "lepton": (LEPTONS[0], LEPTONS[-1]),
    "photon": (PHOTON, PHOTON),
}


class Card(NamedTuple):
    """What a detector says of its training, as plain data."""

    #: Name of each data set -> its training events, their sum of weights, and what else is known:
    #: role, DOI, licence, digests of its files.
    processes: dict[str, dict[str, Any]]
    events: int  #: number of training events that the rest was counted on
    seen: dict[str, list[float]]  #: quantity -> its quantiles at `LEVELS`; GeV
    having: dict[str, float]  #: particle type -> share of the events that have one
    scores: dict[str, list[float]]  #: name of each form of the score -> quantiles, `SCORE_LEVELS`
    software: dict[str, str]  #: versions

    def with_origin(self, known: Mapping[str, Mapping[str, Any]]) -> Self:
        """The card with what else is known of its data sets, and of others that trained, too."""
        processes = self.processes | {
            name: {**self.processes.get(name, {}), **one} for name, one in known.items()
        }
        return self._replace(processes=processes)


class Summary(NamedTuple):
    """What is compared with a card: medians [GeV], and the share of events that have a type."""

    medians: dict[str, float]
    having: dict[str, float]


def card_of(training: ak.Array, scores: Mapping[str, Floats]) -> Card:
    """The card of these training events and of the scores of some of them."""
    values = _quantities(training)
    versions = ("hepmtp", "torch", "numpy", "awkward", "coffea")
    software = {name: importlib.metadata.version(name) for name in versions}
    return Card(
        _processes(training),
        len(training),
        {name: np.quantile(one, LEVELS).tolist() for name, one in values.items()},
        _having(training),
        {name: np.quantile(one, SCORE_LEVELS).tolist() for name, one in scores.items()},
        {"python": platform.python_version(), **software},
    )


def card_from(meta: Mapping[str, Any]) -> Card | None:
    """The card in what was saved; None for a folder of before there were cards."""
    found = meta.get("card")
    return None if found is None else Card(**found)


def say_what_is_far(name: str, card: Card, events: ak.Array) -> None:
    """Warn of what is far from the training of a detector, once for each data set and quantity."""
    if len(events) < FEWEST:
        return
    found = metadata(events)
    dataset = str(found.get("dataset", "(unnamed)"))
    far = FAR_SIGNAL if role_of(found) == "signal" else FAR
    for quantity, sentence in far_from(card, _summary(events), far):
        if (dataset, quantity) not in _said:
            _said.add((dataset, quantity))
            logger.warning(
                "%s scores events of data set %r unlike those that trained it: %s. Its scores mean "
                "little there; check the files, their reader and its options",
                name,
                dataset,
                sentence,
            )


def far_from(card: Card, found: Summary, far: float = FAR) -> Iterator[tuple[str, str]]:
    """Quantities far from those of a card, each with a sentence that says by how much.

    Parameters
    ----------
    far
        a median so many times larger, or smaller, is far.
    """
    for name, label in (("ht", "HT"), ("met", "MET")):
        trained, here = card.seen[name][LEVELS.index(0.5)], found.medians[name]
        ratio = here / trained if trained > 0 else 1.0
        if not 1 / far <= ratio <= far:
            unit = not 1 / UNIT <= ratio <= UNIT
            doubt = " (is it in MeV?)" if unit and ratio > 1 else ""
            yield name, f"median {label} {here:.4g} GeV, {trained:.4g} in training{doubt}"
    for kind, now in found.having.items():
        if (before := card.having.get(kind)) is None:
            continue
        if now == 0 and before > (0.1 if kind == "b-jet" else 0.9):
            yield kind, f"no event has a {kind}, {100 * before:.0f} % in training had"
        elif before == 0 and now > 0.1:
            yield kind, f"{100 * now:.0f} % of the events have a {kind}, none in training had"


def _processes(training: ak.Array) -> dict[str, dict[str, Any]]:
    """Events and weight of each data set; of those that nobody has named, of each file."""
    found = metadata(training)
    names = found.get("datasets") or {}
    alone = str(found.get("dataset") or "")
    files, of_event = np.unique(ak.to_numpy(training.source), return_inverse=True)
    weights = np.bincount(of_event, ak.to_numpy(training.weight), minlength=len(files))
    processes: dict[str, dict[str, Any]] = {}
    rows = zip(files.tolist(), np.bincount(of_event).tolist(), weights.tolist(), strict=True)
    for file, n, weight in rows:
        one = processes.setdefault(names.get(str(file), alone) or f"file {file}", dict(_NOTHING))
        one["events"] += n
        one["weight"] += weight
        one["role"] = found.get("role")
    return processes


_NOTHING = {"events": 0, "weight": 0.0}


def _quantities(events: ak.Array) -> dict[str, Floats]:
    numbers = {name: EVENT_FEATURES[name].function(events) for name in QUANTITIES}
    return {"multiplicity": ak.to_numpy(ak.num(events.Particle)), **numbers}


def _having(events: ak.Array) -> dict[str, float]:
    """Share of the events with a particle of each kind; none where no particle has a type."""
    numbers = type_counts(events)
    if 0 < numbers.sum() == numbers[:, UNSPECIFIED].sum():
        return {}
    return {
        name: float(numbers[:, first : last + 1].any(axis=1).mean())
        for name, (first, last) in KINDS.items()
    }


# what was said in this process
_said: set[tuple[str, str]] = set()


@once
def _summary(events: ak.Array) -> Summary:
    medians = {
        name: float(np.median(EVENT_FEATURES[name].function(events))) for name in ("ht", "met")
    }
    return Summary(medians, _having(events))
