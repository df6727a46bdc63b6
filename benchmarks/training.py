"""Training without padding against the padded loop that one would write with torch alone.

Both train the same transformer from the same weights on the same events for an epoch: one token of
each event is hidden and predicted, all its digits at once. The padded loop has
``nn.TransformerEncoder``, each batch as long as its longest event. CPU time of one thread, best of
interleaved rounds. Another line: every token predicted in one pass, for as much time.

    python benchmarks/training.py [--out benchmarks/results/training.md]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from outcome import show
from scoring import Padded
from torch import nn

from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import embedded
from hepmtp.events.tokens import TokenBatch
from hepmtp.models.masked import Attention, MaskedTokenModel, ModelOptions
from hepmtp.tokenizers.lookup import LookupTokenizer
from hepmtp.training.masking import TrainingOptions, train
from hepmtp.training.threads import torch_threads

REQUIRED = 2.5
BATCH = TrainingOptions().batch_events


def made(tokenizer: LookupTokenizer, attention: Attention) -> MaskedTokenModel:
    """A model of default size."""
    torch.manual_seed(1)
    return MaskedTokenModel(tokenizer.factors, tokenizer.digits, ModelOptions(attention=attention))


def padded_epoch(model: MaskedTokenModel, tokens: TokenBatch) -> float:
    """Mean loss of an epoch of the padded loop."""
    encoder = Padded(model, fast_path=False).encoder.train()
    parameters = [*encoder.parameters(), *model.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=2e-3, weight_decay=0.01, betas=(0.9, 0.98))
    rng = np.random.default_rng(0)
    order, losses = rng.permutation(len(tokens)), []
    for first in range(0, len(order), BATCH):
        batch = tokens.select(order[first : first + BATCH])
        counts = batch.counts
        real = torch.arange(int(counts.max())) < torch.as_tensor(counts)[:, None]
        ids = torch.zeros(real.shape, dtype=torch.int64)
        ids[real] = torch.as_tensor(batch.values)
        rows, at = torch.arange(len(batch)), torch.as_tensor(rng.integers(counts))
        truth = ids[rows, at].numpy()
        ids[rows, at] = torch.as_tensor(model.mask_ids(truth))
        table = model.design @ model.embedding
        found = model.classify(encoder(table[ids], src_key_padding_mask=~real)[rows, at])
        targets = torch.as_tensor(model.targets[truth])
        terms = [
            nn.functional.nll_loss(one, target, ignore_index=-1, reduction="sum")
            for one, target in zip(found, targets.T, strict=True)
        ]
        loss = torch.stack(terms).sum() / len(batch)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    return float(np.mean(losses))


def our_epoch(model: MaskedTokenModel, tokens: TokenBatch) -> float:
    """Mean loss of an epoch of hepmtp; two events validate."""
    options = TrainingOptions(epochs=1)
    return train(model, tokens, tokens.select(np.arange(2)), options=options)[0]["train_loss"]


def main() -> None:
    """Print the speeds and their ratio; exit code 1 if it is below the required one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=800, help="of each embedded background")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    background = [one for one in embedded() if one.role == "background"]
    tokenizer = LookupTokenizer().fit(read(background, stop=options.events))
    tokens = TokenBatch.concatenate(
        tokenizer.encode(read([one], stop=options.events)) for one in background
    )
    methods = {
        "padded nn.TransformerEncoder": lambda: padded_epoch(made(tokenizer, "full"), tokens),
        "hepmtp, the same model": lambda: our_epoch(made(tokenizer, "full"), tokens),
        "hepmtp, every token in one pass": lambda: our_epoch(
            made(tokenizer, "leave_one_out"), tokens
        ),
    }
    times: dict[str, list[float]] = {name: [] for name in methods}
    losses = {}
    with torch_threads(1):
        for _ in range(options.rounds):
            for name, epoch in methods.items():
                start = time.process_time()
                losses[name] = epoch()
                times[name].append(time.process_time() - start)
    padded, ours, _ = (min(found) for found in times.values())
    sample = (
        f"{len(tokens)} background events of {tokens.counts.mean():.1f} tokens on average and "
        f"{tokens.counts.max()} at most, {BATCH} in a step, one epoch; one thread, best CPU time "
        f"of {options.rounds} interleaved rounds, torch {torch.__version__}. Made by `python "
        f"benchmarks/training.py --events {options.events} --rounds {options.rounds}`."
    )
    rows = [
        f"| {name} | {len(tokens) / min(found):.0f} | {padded / min(found):.2f} | "
        f"{losses[name]:.2f} |"
        for name, found in times.items()
    ]
    lines = [sample, "", "| loop | events/s | ratio | mean loss |", "|---|---|---|---|", *rows, ""]
    lines.append(f"hepmtp against the padded loop: {padded / ours:.2f} (required {REQUIRED:g}).")
    show("\n".join(lines) + "\n", options.out)
    sys.exit(bool(padded / ours < REQUIRED))


if __name__ == "__main__":
    main()
