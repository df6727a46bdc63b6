"""CPU time of `events_from` on the NanoEvents of a file against that of scoring the same events.

The detector is a masked-token detector of one epoch, which does not change its speed. The columns
are read before, for both. The events of the file are taken several times, so that a chunk has
about as many as in an analysis.

    python benchmarks/events_from.py ../shared/data/real [--out benchmarks/results/events_from.md]
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from pathlib import Path

import awkward as ak
import numpy as np
from coffea.nanoevents import NanoAODSchema, NanoEventsFactory
from outcome import show

import hepmtp as hm

MOST = 0.10
FILE = "coffea/nano_tt_v12.root"
NEEDED = "pt eta phi mass charge btagDeepFlavB"


def main() -> None:
    """Print both times and their ratio; exit code 1 if it is above the allowed one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of real files")
    parser.add_argument("--copies", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # coffea's, of links that the file lacks
        one = NanoEventsFactory.from_root(
            {str(options.folder / FILE): "Events"}, schemaclass=NanoAODSchema
        ).events()
    numbers = ("run", "luminosityBlock", "event")
    few = ak.zip(
        {
            **{name: one[name] for name in numbers},
            "MET": one.PuppiMET[["pt", "phi"]],
            **{
                name: one[name][[field for field in NEEDED.split() if field in one[name].fields]]
                for name in ("Jet", "Electron", "Muon")
            },
        },
        depth_limit=1,
    )
    events = ak.concatenate([ak.materialize(few)] * options.copies)
    background = hm.read((one for one in hm.embedded() if one.role == "background"), stop=3000)
    detector = hm.MaskedTokenDetector(training=hm.TrainingOptions(epochs=1)).fit(background)
    making: list[float] = []
    scoring: list[float] = []
    # others each time: a detector remembers what it scored last
    for shift in 1.0 + 0.01 * np.arange(options.rounds):
        jets = ak.with_field(events.Jet, shift * events.Jet.pt, "pt")
        start = time.process_time()
        x = hm.events_from(
            events,
            jets=jets,
            electrons=events.Electron,
            muons=events.Muon,
            photons=None,
            met=events.MET,
            b_tag=("btagDeepFlavB", 0.2783),
        )
        middle = time.process_time()
        detector.score(x)
        making.append(middle - start)
        scoring.append(time.process_time() - middle)
    made, scored = min(making), min(scoring)
    each_made, each_scored = 1e6 * made / len(events), 1e6 * scored / len(events)
    show(
        f"{len(events)} events of NanoAOD (ttbar), best of {options.rounds} rounds, CPU time of "
        f"one core: `events_from` {each_made:.1f} us an event, the masked-token score "
        f"{each_scored:.0f} us: {made / scored:.1%} (at most {MOST:.0%}).\n",
        options.out,
    )
    sys.exit(made / scored > MOST)


if __name__ == "__main__":
    main()
