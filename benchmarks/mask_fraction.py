"""Which share of the tokens to hide in training, of models with attention "full".

A scan that looks at background only. The measure is the task of scoring, predicting one hidden
token from all others, on validation events: the smallest loss wins.

    python benchmarks/mask_fraction.py --out benchmarks/results/mask_fraction.md
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from outcome import show

from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import embedded
from hepmtp.detectors import training_events
from hepmtp.models.masked import MaskedTokenModel, ModelOptions
from hepmtp.tokenizers.lookup import LookupTokenizer
from hepmtp.training.masking import TrainingOptions, batch_loss, mask_tokens, train
from hepmtp.training.threads import torch_threads

FRACTIONS = (0.0, 0.15, 0.3, 0.5, 0.7)


def main() -> None:
    """Train one model per fraction and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    events = read(dataset for dataset in embedded() if dataset.role == "background")
    parts = [training_events(events, part) for part in ("train", "validation")]
    tokenizer = LookupTokenizer().fit(parts[0])
    training, validation = (tokenizer.encode(part) for part in parts)
    hidden = mask_tokens(validation, 0.0, np.random.default_rng(1))  # one token an event
    lines = ["| mask fraction | loss of one hidden token [nat] | seconds |", "|---|---|---|"]
    for fraction in FRACTIONS:
        losses, start = [], time.perf_counter()
        for seed in range(options.seeds):
            torch.manual_seed(seed)
            model = MaskedTokenModel(
                tokenizer.factors, tokenizer.digits, ModelOptions(attention="full")
            )
            how = TrainingOptions(epochs=options.epochs, mask_fraction=fraction, seed=seed)
            train(model, training, validation, options=how)
            with torch.no_grad(), torch_threads(1):
                loss, n = batch_loss(model, validation, hidden)
            losses.append(float(loss) / n)
        spread = f" +- {np.std(losses, ddof=1) / len(losses) ** 0.5:.4f}" if len(losses) > 1 else ""
        name = "one token" if fraction == 0 else f"{fraction:.2f}"
        lines.append(
            f"| {name} | {np.mean(losses):.4f}{spread} | {time.perf_counter() - start:.0f} |"
        )
        print(lines[-1], flush=True)
    text = "\n".join(
        [
            (
                f"{len(training)} training and {len(validation)} validation events,"
                f" {options.epochs} epochs, {options.seeds} seed(s); made by"
                f" `python benchmarks/mask_fraction.py --epochs {options.epochs}"
                f" --seeds {options.seeds}`."
            ),
            "",
            *lines,
        ]
    )
    show(text + "\n", options.out)


if __name__ == "__main__":
    main()
