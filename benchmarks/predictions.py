"""MET-model, METphi-model and 4VECT-model.

Confusion matrices of background and signal and the AUC of the hidden token's surprise.

python benchmarks/predictions.py --epochs 4 --out benchmarks/results/predictions.md --figures
figures
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from outcome import show

from hepmtp import plotting
from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import embedded
from hepmtp.events.record import concatenate
from hepmtp.events.regions import SR
from hepmtp.studies.prediction import (
    PREDICTIONS,
    prediction_detector,
    prediction_report,
    row_shares,
)
from hepmtp.training.masking import TrainingOptions

LARGEST = 10  # rows of a matrix that is printed


def matrix(counts: NDArray[np.int64], title: str) -> list[str]:
    """Lines of a row-normalised confusion matrix."""
    rows = [
        f"| {row} | " + " | ".join(f"{share:.2f}" for share in shares) + f" | {counts[row].sum()} |"
        for row, shares in enumerate(row_shares(counts))
    ]
    columns = " | ".join(str(column) for column in range(len(counts)))
    return [
        "",
        title,
        "",
        f"| true \\ predicted | {columns} | tokens |",
        "|---" * (len(counts) + 2) + "|",
        *rows,
    ]


def main() -> None:
    """Train the three models and print their tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--signal", default="4top")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--figures", type=Path, help="folder for the figures of the matrices")
    options = parser.parse_args()
    background = {one.name: read([one]) for one in embedded() if one.role == "background"}
    signal = read(one for one in embedded() if one.name == options.signal)
    training = TrainingOptions(epochs=options.epochs, seed=options.seed)
    rows, matrices = [], []
    for name, preset in PREDICTIONS.items():
        detector = prediction_detector(name, training=training).fit(
            concatenate(background.values())
        )
        report = prediction_report(detector, background, signal, region=SR)
        published = (
            "-" if preset.published is None else "{:.3f} to {:.3f}".format(*preset.published)
        )
        area = report.auc
        rows.append(
            f"| {name} | {area.value:.3f} +- {area.error:.3f} | {published} | {area.n_background} "
            f"| {area.n_signal} |"
        )
        for events, confusion in (
            ("background", report.background),
            (options.signal, report.signal),
        ):
            for head, counts in confusion.items():
                right = np.trace(counts) / counts.sum()
                title = f"{name}: {head} tokens of {events}, right in {100 * right:.1f} %"
                if len(counts) <= LARGEST:
                    matrices += matrix(counts, title)
                if options.figures:
                    figure = plotting.confusion(counts, title=title, caption=plotting.SIMULATION)
                    plotting.save(figure, options.figures, f"confusion_{name}_{head}_{events}")
        print(rows[-1], flush=True)
    lines = [
        (
            f"Embedded sample, SR, events that trained nothing; {options.epochs} epochs, seed "
            f"{options.seed}; AUC of {options.signal} against background, every process the same "
            "weight, of the mean surprise of the hidden tokens. Published: EPS-HEP 2025, on other "
            f"events. Made by `python benchmarks/predictions.py --epochs {options.epochs} --seed "
            f"{options.seed}`."
        ),
        "",
        "| model | AUC | published | background events | signal events |",
        "|---|---|---|---|---|",
        *rows,
        *matrices,
    ]
    show("\n".join(lines) + "\n", options.out)


if __name__ == "__main__":
    main()
