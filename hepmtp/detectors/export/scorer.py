"""Scores of an exported detector: ``python scorer.py`` checks the events that lie beside it.

The rule: numpy and onnxruntime alone; GeV and radians; events of one multiplicity at a time, so
that nothing is padded.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime


class Scorer:
    """The detector of a folder; the larger a score, the stranger its event."""

    def __init__(self, folder: str | Path = Path(__file__).parent) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        model = str(Path(folder) / "model.onnx")
        self.session = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])

    def score(self, counts: Any, particles: Any, met: Any) -> Any:
        """Score of each event, (n_events,), of events one after the other.

        `counts` is the number of particles of each, `particles` is (n_particles, 5): pt, eta, phi,
        energy and type as contract.json says; `met` is (n_events, 2): pt and phi.
        """
        counts = np.asarray(counts, dtype=np.int64)
        particles, met = (np.asarray(one, dtype=np.float64) for one in (particles, met))
        if particles.shape != (counts.sum(), 5) or met.shape != (len(counts), 2):
            raise ValueError(f"counts do not fit: particles {particles.shape}, met {met.shape}")
        pt, eta, phi, energy, kind = particles.T
        angles = np.abs(np.concatenate([phi, met[:, 1]])) <= np.pi + 5e-4
        legal = (pt >= 0) & (np.abs(eta) <= 30) & (energy > 0) & np.isin(kind, np.arange(7))
        values = np.isfinite(particles).all() and np.isfinite(met).all()
        if not (values and legal.all() and angles.all() and (met[:, 0] >= 0).all()):
            raise ValueError("a particle or MET is none, see contract.json for units and types")
        first, scores = np.cumsum(counts) - counts, np.empty(len(counts))
        for n in np.unique(counts):
            same = np.flatnonzero(counts == n)
            for some in np.array_split(same, len(same) * (n + 2) // 4096 + 1):
                rows = first[some][:, None] + np.arange(n)  # (n_events, n)
                inputs = {"particles": particles[rows], "met": met[some]}
                scores[some] = self.session.run(["score"], inputs)[0]
        return scores


if __name__ == "__main__":
    here = Path(__file__).parent
    test = np.load(here / "events.npz")
    found = Scorer(here).score(test["counts"], test["particles"], test["met"])
    allowed = json.loads((here / "contract.json").read_text())["tolerance"]
    worst = np.abs(found - test["scores"]).max()
    said = f"{len(found)} events: scores differ by {worst:.2g}, {allowed:.2g} is allowed"
    print(said)  # noqa: T201
    raise SystemExit(bool(worst > allowed))
