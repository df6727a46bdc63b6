"""A language model of jets in eight statements: train, generate, compare, density.

The rule: the files are in the layout of JetClass; ``examples/simulation/jets.py`` makes some.
"""

from __future__ import annotations

import sys

import hepmtp as hm
from hepmtp.jets.calibration import table
from hepmtp.studies.jets.folder import write_comparison, write_densities


def main(qcd: str, top: str, *, epochs: int = 2, output: str = "jets-study") -> None:
    """Train on one file of QCD jets; set jets that the model makes, and tops, beside them."""
    jets = {"QCD": hm.read([hm.Dataset("QCD", "QCD", "background", (qcd,))])}
    jets["top"] = hm.read([hm.Dataset("top", "top", "signal", (top,))])
    model = hm.JetLanguageModel(training=hm.NextTokenOptions(epochs=epochs)).fit(jets["QCD"])
    print(table(model.calibration_))
    made = model.tokenizer.decode(model.sample(4, seed=1))
    print(made.Particle.pt)
    print(write_comparison(output, model, jets["QCD"], name="QCD"))
    print(write_densities(output, model, jets))


if __name__ == "__main__":
    main(*sys.argv[1:3])
