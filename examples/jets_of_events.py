"""Anomaly scores of the jets of events, as a column in a processor of your own.

The rule: an event has jets, and a jet has constituents. Here two files of jets stand for a sample
of events: event i has jet i of each. None of these jets may have trained the detector.
"""

from __future__ import annotations

import sys
from typing import Any

import awkward as ak
from coffea.processor import ProcessorABC
from hist import Hist, axis

import hepmtp as hm


class Dijets(ProcessorABC):
    """Fills the score of the stranger jet of each event, beside its mass."""

    def __init__(self, detector: str) -> None:
        self.detector = hm.load_detector(detector)  # travels to workers as path and digest

    def process(self, events: ak.Array) -> dict[str, Any]:
        events["Jet", "anomaly"] = hm.jet_scores(
            events, events.Jet.constituents, self.detector, jets=events.Jet
        )
        stranger = events.Jet[ak.argmax(events.Jet.anomaly, axis=1, keepdims=True)]
        mass = axis.Regular(30, 0, 300, name="mass", label="jet mass [GeV]")
        h = Hist(self.detector.axis, mass)
        h.fill(score=ak.flatten(stranger.anomaly), mass=ak.flatten(stranger.mass))
        return {"stranger": h, "events": len(events)}

    def postprocess(self, accumulator: dict[str, Any]) -> dict[str, Any]:
        return accumulator


def dijets(first: str, second: str) -> ak.Array:
    """Events of two jets, one of each file."""
    sides = [hm.JetClass().read(path) for path in (first, second)]
    n = min(map(len, sides))
    jets = [ak.with_field(one.Jet, one.Particle, "constituents")[:n] for one in sides]
    return ak.zip({"Jet": ak.concatenate([one[:, None] for one in jets], axis=1)}, depth_limit=1)


def main(detector: str, first: str, second: str) -> dict[str, Any]:
    """Run the processor on all events at once; a Runner would give it chunk by chunk."""
    out = Dijets(detector).process(dijets(first, second))
    h = out["stranger"]
    print(f"{out['events']} events; the stranger jet of each:")
    print(f"score {h.project('score').values() @ h.axes[0].centers / h.sum():.3f} on average")
    return out


if __name__ == "__main__":
    main(*sys.argv[1:4])
