"""One-pass scoring against hiding each token in turn: events per second and AUC.

The attention is "leave_one_out" in one pass and "full" in turn.

Models of the same size and training length; speed is measured on the same events, in turns, in one
thread, best CPU time of the rounds. AUCs are of the plain forms of the score, in the SR, on events
that trained nothing, every background process the same weight.

    python benchmarks/one_pass.py --epochs 12 --out benchmarks/results/one_pass.md
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import awkward as ak
import numpy as np
import torch
from outcome import show

from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import embedded
from hepmtp.detectors import training_events
from hepmtp.detectors.masked_token.surprise import surprises
from hepmtp.events.regions import SR
from hepmtp.events.split import part_of
from hepmtp.events.tokens import TokenBatch
from hepmtp.models.masked import Attention, MaskedTokenModel, ModelOptions
from hepmtp.statistics.metrics import auc, balanced_weights
from hepmtp.tokenizers.lookup import LookupTokenizer
from hepmtp.training.masking import TrainingOptions, batch_loss, mask_tokens, train
from hepmtp.training.threads import torch_threads

REQUIRED = 5.0
KINDS: dict[Attention, str] = {"full": "each token hidden in turn", "leave_one_out": "one pass"}


def forms(model: MaskedTokenModel, tokens: TokenBatch) -> dict[str, np.ndarray]:
    """Sum and mean of the surprises of each event, shape (n_events,)."""
    with torch_threads(1):
        found = surprises(model, tokens).surprise.sum(axis=1)
    total = np.bincount(tokens.owner, found, minlength=len(tokens))
    return {"sum": total, "mean": total / np.maximum(tokens.counts, 1)}


def speeds(
    models: dict[Attention, MaskedTokenModel], tokens: TokenBatch, rounds: int
) -> dict[Attention, float]:
    """Events per second of each kind, best CPU time of so many rounds in turns."""
    times: dict[Attention, list[float]] = {kind: [] for kind in models}
    with torch_threads(1):
        for _ in range(rounds + 1):
            for kind, model in models.items():
                start = time.process_time()
                surprises(model, tokens)
                times[kind].append(time.process_time() - start)
    return {kind: len(tokens) / min(found[1:]) for kind, found in times.items()}


def aucs(
    model: MaskedTokenModel, tokenizer: LookupTokenizer, background: ak.Array
) -> Iterator[tuple[str, str, str]]:
    """(signal, form, AUC with its error) in the SR."""
    scores = forms(model, tokenizer.encode(background))
    weight = balanced_weights(ak.to_numpy(background.source))
    for dataset in embedded():
        if dataset.role == "signal":
            events = part_of(read([dataset]), "analysis")
            found = forms(model, tokenizer.encode(events[SR.select(events)]))
            for form, score in scores.items():
                area = auc(found[form], score, background_weight=weight)
                yield dataset.name, form, f"{area.value:.3f} +- {area.error:.3f}"


def quality(epochs: int, seed: int) -> list[str]:
    """Lines of the table of losses and AUCs of both kinds, trained equally long."""
    events = read(dataset for dataset in embedded() if dataset.role == "background")
    parts = [training_events(events, part) for part in ("train", "validation")]
    tokenizer = LookupTokenizer().fit(parts[0])
    training, validation = (tokenizer.encode(part) for part in parts)
    hidden = mask_tokens(validation, 0.0, np.random.default_rng(1))  # one token an event
    analysis = part_of(events, "analysis")
    analysis = analysis[SR.select(analysis)]
    how = TrainingOptions(epochs=epochs, patience=epochs, seed=seed)
    rows, columns = [], []
    for kind, name in KINDS.items():
        model = make_model(tokenizer, kind, seed)
        start = time.process_time()
        train(model, training, validation, options=how)
        seconds = time.process_time() - start
        with torch.no_grad(), torch_threads(1):
            loss, n = batch_loss(model, validation, hidden)
        found = list(aucs(model, tokenizer, analysis))
        columns = [f"AUC {signal}, {form}" for signal, form, _ in found]
        areas = " | ".join(area for *_, area in found)
        rows.append(f"| {name} | {seconds:.0f} | {float(loss) / n:.4f} | {areas} |")
    return [
        (
            f"{len(training)} training events, {epochs} epochs, seed {seed}; AUC on "
            f"{len(analysis)} background events of the SR, balanced. The loss is that of one "
            f"hidden token of each of {len(validation)} validation events, the same tokens for "
            f"both. Made by `python benchmarks/one_pass.py --epochs {epochs} --seed {seed}`."
        ),
        "",
        f"| scoring | training [CPU s] | loss [nat] | {' | '.join(columns)} |",
        "|---" * (3 + len(columns)) + "|",
        *rows,
    ]


def speed(events: int, rounds: int) -> tuple[list[str], float]:
    """Lines of the table of speeds, and how many times faster one pass is."""
    tokenizer = LookupTokenizer().fit(
        read((one for one in embedded() if one.role == "background"), stop=1000)
    )
    some = TokenBatch.concatenate(tokenizer.encode(read([one], stop=events)) for one in embedded())
    models = {kind: make_model(tokenizer, kind, 1).eval() for kind in KINDS}
    found = speeds(models, some, rounds)
    ratio = found["leave_one_out"] / found["full"]
    rows = [
        f"| {KINDS[kind]} | {found[kind]:.0f} | "
        f"{sum(weight.numel() for weight in model.parameters())} |"
        for kind, model in models.items()
    ]
    lines = [
        (
            f"{len(some)} embedded events of {some.counts.mean():.1f} tokens on average, one "
            f"thread, best CPU time of {rounds} rounds in turns, on a machine with other work. "
            f"Made by `python benchmarks/one_pass.py --epochs 0 --events {events} --rounds "
            f"{rounds}` with torch {torch.__version__}."
        ),
        "",
        "| scoring | events/s | parameters |",
        "|---|---|---|",
        *rows,
        "",
        (
            f"One pass against hiding each token in turn: {ratio:.1f} times the events/s (required "
            f"{REQUIRED:g})."
        ),
    ]
    return lines, ratio


def make_model(tokenizer: LookupTokenizer, kind: Attention, seed: int) -> MaskedTokenModel:
    """A model of default size and this kind of attention."""
    torch.manual_seed(seed)
    return MaskedTokenModel(tokenizer.factors, tokenizer.digits, ModelOptions(attention=kind))


def main() -> None:
    """Print the tables; exit code 1 if one pass is not as much faster as required."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=12, help="0: the speed alone")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--events", type=int, default=200, help="of each embedded data set, for the speed"
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    lines, ratio = speed(options.events, options.rounds)
    if options.epochs:
        lines += ["", *quality(options.epochs, options.seed)]
    show("\n".join(lines) + "\n", options.out)
    sys.exit(bool(ratio < REQUIRED))


if __name__ == "__main__":
    main()
