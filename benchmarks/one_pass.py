"""Events per second and AUC of one-pass scoring (attention "leave_one_out") against hiding each token in turn (attention "full").

Models of the same size and training length; speed is measured on the same events, in turns, in one thread, best CPU time of the
rounds. AUCs are of the plain forms of the score, in the SR, on events that trained nothing, every background process the same weight.

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

from hepmtp.detectors import training_events
from hepmtp.manifest import embedded, read
from hepmtp.metrics import auc, balanced_weights
from hepmtp.models.masked import Attention, MaskedTokenModel, ModelOptions
from hepmtp.regions import SR
from hepmtp.split import part_of
from hepmtp.surprise import surprises
from hepmtp.tokenizers.lookup import LookupTokenizer
from hepmtp.tokens import TokenBatch
from hepmtp.training import TrainingOptions, batch_loss, mask_tokens, torch_threads, train

REQUIRED = 5.0
KINDS: dict[Attention, str] = {"full": "each token hidden in turn", "leave_one_out": "one pass"}


def forms(model: MaskedTokenModel, tokens: TokenBatch) -> dict[str, np.ndarray]:
    """Sum and mean of the surprises of each event, shape (n_events,)."""
    with torch_threads(1):
        found = surprises(model, tokens).surprise.sum(axis=1)
    total = np.bincount(tokens.owner, found, minlength=len(tokens))
    return {"sum": total, "mean": total / np.maximum(tokens.counts, 1)}


def speeds(models: dict[Attention, MaskedTokenModel], tokens: TokenBatch, rounds: int) -> dict[Attention, float]:
    """Events per second of each kind, best CPU time of so many rounds in turns."""
    times: dict[Attention, list[float]] = {kind: [] for kind in models}
    with torch_threads(1):
        for _ in range(rounds + 1):
            for kind, model in models.items():
                start = time.process_time()
                surprises(model, tokens)
                times[kind].append(time.process_time() - start)
    return {kind: len(tokens) / min(found[1:]) for kind, found in times.items()}


def aucs(model: MaskedTokenModel, tokenizer: LookupTokenizer, background: ak.Array) -> Iterator[tuple[str, str, str]]:
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


def main() -> None:
    """Print the table; exit code 1 if one pass is not as much faster as required."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--events", type=int, default=200, help="of each embedded data set, for the speed")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    events = read(dataset for dataset in embedded() if dataset.role == "background")
    parts = [training_events(events, part) for part in ("train", "validation")]
    tokenizer = LookupTokenizer().fit(parts[0])
    training, validation = (tokenizer.encode(part) for part in parts)
    hidden = mask_tokens(validation, 0.0, np.random.default_rng(1))  # one token an event
    analysis = part_of(events, "analysis")
    analysis = analysis[SR.select(analysis)]
    how = TrainingOptions(epochs=options.epochs, patience=options.epochs, seed=options.seed)
    models, losses, seconds, areas = {}, {}, {}, {}
    for kind in KINDS:
        torch.manual_seed(options.seed)
        models[kind] = MaskedTokenModel(tokenizer.factors, tokenizer.digits, ModelOptions(attention=kind))
        start = time.process_time()
        train(models[kind], training, validation, options=how)
        seconds[kind] = time.process_time() - start
        with torch.no_grad(), torch_threads(1):
            loss, n = batch_loss(models[kind], validation, hidden)
        losses[kind] = float(loss) / n
        areas[kind] = {(signal, form): area for signal, form, area in aucs(models[kind], tokenizer, analysis)}
    some = TokenBatch.concatenate(tokenizer.encode(read([one], stop=options.events)) for one in embedded())
    speed = speeds(models, some, options.rounds)
    ratio = speed["leave_one_out"] / speed["full"]
    columns = list(areas["full"])
    rows = [
        f"| {KINDS[kind]} | {speed[kind]:.0f} | {sum(weight.numel() for weight in model.parameters())} | {seconds[kind]:.0f} | "
        f"{losses[kind]:.4f} | " + " | ".join(areas[kind][column] for column in columns) + " |"
        for kind, model in models.items()
    ]
    head = " | ".join(f"AUC {signal}, {form}" for signal, form in columns)
    lines = [
        (
            f"{len(training)} training events, {options.epochs} epochs, seed {options.seed}; AUC on {len(analysis)} background "
            f"events of the SR, balanced; speed on {len(some)} events of {some.counts.mean():.1f} tokens on average, one thread, best "
            f"CPU time of {options.rounds} rounds in turns. The loss is that of one hidden token of each of {len(validation)} validation "
            f"events, the same tokens for both. Made by `python benchmarks/one_pass.py --epochs {options.epochs} --seed {options.seed}` "
            f"with torch {torch.__version__}."
        ),
        "",
        f"| scoring | events/s | parameters | training [CPU s] | loss [nat] | {head} |",
        "|---" * (5 + len(columns)) + "|",
        *rows,
        "",
        f"One pass against hiding each token in turn: {ratio:.1f} times the events/s (required {REQUIRED:g}).",
    ]
    print("\n".join(lines))
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text("\n".join(lines) + "\n")
    sys.exit(bool(ratio < REQUIRED))


if __name__ == "__main__":
    main()
