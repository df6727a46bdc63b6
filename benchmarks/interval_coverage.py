"""Coverage of the interval of the signal strength over toys.

Counts are drawn from the expected ones, and what the constraints are centred on from the
constraints. The true strength should lie in the interval in 68.3 % of the toys. They are kept in a
file, and a second call goes on. A strength is not negative, so intervals may end at 0.

    hepmtp run ... --output results
    python benchmarks/interval_coverage.py results --toys 500 --out benchmarks/results/coverage.md
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from outcome import show

from hepmtp.report.run_workspace import open_run, workspace
from hepmtp.statistics.compilation import compiled
from hepmtp.statistics.fits import strength
from hepmtp.statistics.likelihood import Likelihood

#: True strengths that are tried.
STRENGTHS = (0.5, 1.0)
SHARE = 0.683


def toy(likelihood: Likelihood, mu: float, seed: int) -> dict[str, float]:
    """Fit one toy: where the strength lies, and how far it is from the truth."""
    rng = np.random.default_rng([seed, round(10 * mu)])
    values = likelihood.centre
    values[likelihood.place(likelihood.poi)] = mu
    data = rng.poisson(likelihood.expected(values)).astype(np.float64)
    held = np.isfinite(likelihood.sigma) & (likelihood.sigma > 0)
    measured = likelihood.centre
    measured[held] += likelihood.sigma[held] * rng.normal(size=int(held.sum()))
    found = strength(likelihood, data, auxiliary=measured)
    return {"seed": seed, "true": mu, "mu": found.mu, "up": found.up, "down": found.down}


def row(signal: str, mu: float, toys: list[dict[str, float]]) -> str:
    """Coverage and bias, with their errors, as a line of a table."""
    inside = np.array([one["mu"] - one["down"] <= mu <= one["mu"] + one["up"] for one in toys])
    found = np.array([one["mu"] for one in toys])
    share, n = float(inside.mean()), len(toys)
    error = np.sqrt(SHARE * (1 - SHARE) / n)
    bias, spread = float(found.mean() - mu), float(found.std(ddof=1))
    return (
        f"| {signal} | {mu:g} | {n} | {100 * share:.1f} ± {100 * error:.1f} % | "
        f"{bias:+.3f} ± {spread / np.sqrt(n):.3f} | {spread:.3f} |"
    )


def main() -> None:
    """Fit all toys of all signals of a run, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--toys", type=int, default=500)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--kept", type=Path, default=Path("coverage.jsonl"))
    options = parser.parse_args()
    run = open_run(options.run)
    done: dict[tuple[str, float, int], dict[str, float]] = {}
    if options.kept.exists():
        for line in options.kept.read_text().splitlines():
            signal, one = json.loads(line)
            done[signal, one["true"], one["seed"]] = one
    lines = [
        f"Score {run.info.detector}; the interval should hold the true strength in 68.3 %.",
        "",
        "| signal | true strength | toys | inside the interval | bias | spread |",
        "|---|---|---|---|---|---|",
    ]
    with options.kept.open("a") as kept:
        for signal in run.info.signals:
            likelihood = compiled(workspace(run, signal=signal))
            for mu in STRENGTHS:
                toys = []
                for seed in range(options.toys):
                    key = (signal, mu, seed)
                    if key not in done:
                        done[key] = toy(likelihood, mu, seed)
                        kept.write(json.dumps([signal, done[key]]) + "\n")
                        kept.flush()
                    toys.append(done[key])
                lines.append(row(signal, mu, toys))
    show("\n".join(lines) + "\n", options.out)


if __name__ == "__main__":
    main()
