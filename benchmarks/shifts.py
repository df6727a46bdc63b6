"""Injected shifts of the background without any signal: how significant each method takes them for.

The data are the Asimov data of the background with wrong numbers of jets or b-jets, or
a wrong shape of MET or HT. A method that
holds finds no signal in them. And signal in the control regions: what it does to the background
that they predict.

    hepmtp run ... --output results
    python benchmarks/shifts.py results --out benchmarks/results/shifts.md
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from outcome import show

from hepmtp.report.run_fit import NO_SCORE
from hepmtp.report.run_workspace import Run, open_run
from hepmtp.statistics.channels import Channel, choose_channels, contents
from hepmtp.statistics.compilation import compiled
from hepmtp.statistics.fits import discovery
from hepmtp.statistics.predictions import control_fit, predictions
from hepmtp.statistics.workspace import Uncertainties, make_workspace

STEPS = ("jet_step", "jet_step7", "b_step", "b_step3")
#: Shift -> variation and power of its factor (1 is +20 % per jet or b-jet).
SHIFTS: Mapping[str, Mapping[str, float]] = {
    "none": {},
    "+20 % per jet, 5th and 6th": {"jet_step": 1.0},
    "+20 % per jet from the 7th": {"jet_step7": 1.0},
    "+20 % per jet from the 5th": {"jet_step": 1.0, "jet_step7": 1.0},
    "+20 % for the second b-jet": {"b_step": 1.0},
    "+40 % per b-jet from the third": {"b_step3": float(np.log(1.4) / np.log(1.2))},
    "+20 % per jet and per b-jet": dict.fromkeys(STEPS, 1.0),
    "+20 % per 100 GeV of MET": {"met_slope": 1.0},
    "+40 % per 100 GeV of MET": {"met_slope": float(np.log(1.4) / np.log(1.2))},
    "+20 % per 250 GeV of HT": {"ht_slope": 1.0},
    "-20 % per jet from the 7th, +20 % per b-jet": {"jet_step7": -1.0, "b_step": 1.0, "b_step3": 1},
}
#: Method -> variations that it has, whether it has control regions, and whether it has the score.
METHODS = {
    "SR alone, cross-sections": ((), False, True),
    "all regions, cross-sections": ((), True, True),
    "one step in jets, one in b-jets": (("jet_step", "b_step"), True, True),
    "four steps": (STEPS, True, True),
    "simultaneous fit": (None, True, True),
    "simultaneous fit, no score": (None, True, False),
}


def shifted(run: Run, channels: list[Channel], powers: Mapping[str, float]) -> np.ndarray:
    """Expected background with a shift, bin by bin of each process, (n_bins,)."""
    total = 0.0
    for name in run.info.background:
        parts = []
        for channel in channels:
            h = run.histograms[channel.histogram]
            nominal = contents(channel, h, [name])[0]
            factor = np.ones_like(nominal)
            for variation, power in powers.items():
                up = contents(channel, h, [name], f"{variation}_up")[0]
                ratio = np.divide(up, nominal, out=np.ones_like(up), where=nominal > 0)
                factor *= ratio**power
            parts.append(nominal * factor)
        total = total + np.concatenate(parts)
    return np.asarray(total)


def false_significances(run: Run, signal: str) -> list[str]:
    """Lines of a table: shifts against methods."""
    lines = ["| " + " | ".join(("shift", *METHODS)) + " |", "|---" * (len(METHODS) + 1) + "|"]
    columns = []
    for variations, controls, score in METHODS.values():
        detector = run.info.detector if score else NO_SCORE
        channels = choose_channels(
            run.histograms, run.info.regions, detector, run.info.background,
            overlaps=run.info.overlaps,
        ).channels  # fmt: skip
        if not controls:
            channels = [one for one in channels if one.purpose == "signal"]
        sizes = Uncertainties(variations=variations, free=None if controls else ())
        made = make_workspace(
            run.histograms, channels, background=run.info.background, signal=signal,
            uncertainties=sizes,
        )  # fmt: skip
        likelihood = compiled(made)
        columns.append(
            [discovery(likelihood, shifted(run, channels, one)).z for one in SHIFTS.values()]
        )
    for name, numbers in zip(SHIFTS, zip(*columns, strict=True), strict=True):
        lines.append("| " + " | ".join((name, *(f"{z:.2f}" for z in numbers))) + " |")
    return lines


def contamination(run: Run) -> list[str]:
    """Lines of a table: signal in the control regions and the background that they predict."""
    lines = [
        "| signal | times its cross-section | predicted in SR | without it | change |",
        "|---|---|---|---|---|",
    ]
    channels = choose_channels(
        run.histograms, run.info.regions, run.info.detector, run.info.background,
        overlaps=run.info.overlaps,
    ).channels  # fmt: skip
    for signal in run.info.signals:
        made = make_workspace(
            run.histograms, channels, background=run.info.background, signal=signal
        )
        likelihood = compiled(made)
        clean = shifted(run, channels, {})
        own = likelihood.nominal[likelihood.samples.index(signal)]
        found = {}
        for times in (0, 1, 5):
            fit = control_fit(likelihood, channels, clean + times * own)
            rows = predictions(likelihood, channels, run.histograms, fit)
            found[times] = sum(
                one.predicted
                for one in rows
                if one.threshold is None and one.region in {c.region for c in channels[:2]}
            )
        lines += [
            f"| {signal} | {times} | {found[times]:.1f} | {found[0]:.1f} | "
            f"{100 * (found[times] / found[0] - 1):+.1f} % |"
            for times in (1, 5)
        ]
    return lines


def main() -> None:
    """Write both tables of a run that has the steps as variations."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    run = open_run(options.run)
    text = []
    for signal in run.info.signals:
        text += [f"False significance of {signal}, score {run.info.detector}:", ""]
        text += [*false_significances(run, signal), ""]
    text += ["Signal in the control regions:", "", *contamination(run)]
    show("\n".join(text) + "\n", options.out)


if __name__ == "__main__":
    main()
