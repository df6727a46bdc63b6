"""In what the fit should take the regions apart: significance for background made stranger.

No signal chooses. Scores are those of a cross-fitted league, in all events of the embedded sample.
The signals that choose are background of another sample made stranger, 40 events of each kind in
the SR. CR, VR and both parts of the SR by b-jets are cut into slices of MET, HT or jets. Counts are
fitted in those of CR and VR, the score in those of the SR.

    python benchmarks/league.py --seeds 1 --folds 5 --folder league
    python benchmarks/slices.py --league league --judge FOLDER --out benchmarks/results/slices.md
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
from outcome import show
from sr_significance import KINDS, YIELD, another

from hepmtp.datasets.manifest import Dataset, embedded
from hepmtp.detectors import load_detector
from hepmtp.events.cuts import Cut, window
from hepmtp.events.record import concatenate, with_metadata
from hepmtp.events.regions import CR, PARTS, PRESELECTION, REGIONS, SR, VR, Region
from hepmtp.events.stranger import make_stranger
from hepmtp.events.variables import HT, MET, N_B, N_JETS, Variable
from hepmtp.studies.league.fits import LeagueEvents

#: Scores that are fitted, by the names of the league.
SCORES = ("anomaly", "met")
#: At most so many events of a kind are scored in the SR.
MOST = 6000
FOLDS = 5
B_2, B_3 = window("2 b", N_B, upto=2), window("3 b", N_B, above=2)


class Slices(NamedTuple):
    """Upper edges of slices of a variable, of events with two b-jets and with more."""

    variable: Variable
    two: tuple[float, ...] = ()
    more: tuple[float, ...] = ()


def both(variable: Variable, *edges: float) -> Slices:
    """The same slices for both."""
    return Slices(variable, edges, edges)


CANDIDATES = {
    "not taken apart": both(MET),
    "MET 100": both(MET, 100),
    "MET 150": both(MET, 150),
    "MET 200": both(MET, 200),
    "MET 300": both(MET, 300),
    "MET 150, 300": both(MET, 150, 300),
    "MET 150, 300; of 3 b-jets 150": Slices(MET, (150, 300), (150,)),
    "HT 700": both(HT, 700),
    "HT 1000": both(HT, 1000),
    "HT 1300": both(HT, 1300),
    "7 jets": both(N_JETS, 6),
    "8 jets": both(N_JETS, 7),
}


def parts(whole: Region, name: str, of: Slices, edges: tuple[float, ...], *cuts: Cut) -> list[Any]:
    """The slices of a region."""
    found = []
    for i, (low, high) in enumerate(zip((-math.inf, *edges), (*edges, math.inf), strict=True)):
        cut = window(f"slice {i}", of.variable, above=low, upto=high)
        selection = (*whole.cuts, *cuts, cut)
        found.append(replace(whole, name=f"{name}_{i}", selection=selection, part_of=whole.name))
    return found


def regions_of(one: Slices) -> tuple[Region, ...]:
    """All regions of a fit. Slices of jets would cut CR and VR in what they are fitted in."""
    found = [region for region in REGIONS if region not in PARTS]
    found += parts(SR, "SR_2b", one, one.two, B_2) + parts(SR, "SR_3b", one, one.more, B_3)
    if one.two and one.variable is not N_JETS:
        found += parts(CR, "CR", one, one.two) + parts(VR, "VR", one, one.two)
    return tuple(found)


class Stranger(NamedTuple):
    """Events of a kind in any region of a fit, whether they are in the SR, and their scores."""

    events: ak.Array
    inside: Any
    scores: dict[str, Any]


def made(judge: Path, detectors: dict[str, Any]) -> dict[str, Stranger]:
    """Kind -> background of the judge made stranger so, with weights for 40 events in the SR."""
    background = concatenate(another(one, judge) for one in embedded() if one.role == "background")
    rng, found = np.random.default_rng(7), {}
    for name, recipe in KINDS.items():
        events = make_stranger(background, rng, [recipe])
        in_sr = SR.select(events)
        places = np.flatnonzero(in_sr)
        some = np.random.default_rng(1).permutation(places)[:MOST]
        rest = np.any([region.select(events) for region in REGIONS], axis=0) & ~in_sr
        chosen = np.concatenate([np.sort(some), np.flatnonzero(rest)])
        inside = np.arange(len(chosen)) < len(some)
        weight = ak.to_numpy(events.weight).astype(float)
        weight[some] *= len(places) / len(some)
        weight *= YIELD / weight[some].sum()
        events = ak.with_field(events, weight, "weight")[chosen]
        events = with_metadata(events, dataset=name, role="signal")
        scores = {key: one.score(events[inside]) for key, one in detectors.items()}
        found[name] = Stranger(events, inside, scores)
    return found


def fitted(
    of: Slices, strange: dict[str, Stranger], detectors: dict[str, Any], known: dict[str, Any]
) -> Iterable[str]:
    """Cells of a row: of each score, mean over the kinds, and of each signal."""
    events = LeagueEvents.read(embedded(), [PRESELECTION, SR], None, FOLDS, regions_of(of))
    for kind, one in strange.items():
        dataset = Dataset(kind, kind, "signal", ())
        events.search.add(dataset, one.events, one.events, one.inside, 1.0)
    for name, detector in detectors.items():
        if name not in known:
            known[name] = {key: detector.score(one) for key, one in events.held_out.items()}
            known[name] |= {kind: one.scores[name] for kind, one in strange.items()}
        z = {
            signal: events.search.fit(name, known[name], events.background, signal).z
            for signal in (*strange, *events.signals)
        }
        yield f"{np.mean([z[kind] for kind in strange]):.2f}"
        yield from (f"{z[signal]:.2f}" for signal in events.signals)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--league", type=Path, required=True)
    parser.add_argument("--judge", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    detectors = {name: load_detector(options.league / "detectors" / f"{name}-0") for name in SCORES}
    strange, known = made(options.judge, detectors), {}
    signals = [one.name for one in embedded() if one.role == "signal"]
    header = [f"{score}, {what}" for score in SCORES for what in ("stranger", *signals)]
    lines = [
        (
            "Made by `python benchmarks/slices.py --league FOLDER --judge FOLDER`: expected "
            f"significance, for background made stranger the mean over {len(strange)} kinds.\n\n"
        ),
        f"| regions taken apart in | {' | '.join(header)} |\n",
        "|---" * (1 + len(header)) + "|\n",
    ]
    for name, one in CANDIDATES.items():
        cells = " | ".join(fitted(one, strange, detectors, known))
        lines.append(f"| {name} | {cells} |\n")
        show("".join(lines), options.out)


if __name__ == "__main__":
    main()
