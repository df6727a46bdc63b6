"""Language models of jets against what a user of torch would write: ratios of CPU time.

Both sides have the same QCD jets that come with hepmtp, and one thread; they run in turns, and the
best CPU time of the rounds counts. The published design (padded_jets.py) has as many layers of the
same width as the model beside it. Nothing is trained out: weights do not change the speed, but for
sampling, where counted frequencies of the next bin of pt let jets stop as true ones do.

    python benchmarks/jets.py --out benchmarks/results/jets.md
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from jet_models import LONGEST_OF_CODES, batching, sampling, training
from jet_sample import Row, Sample
from memory import peak_of_this_process
from outcome import show

from hepmtp.cli import app
from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import embedded_jets
from hepmtp.events.tokens import TokenBatch
from hepmtp.jets.language_model import JetLanguageModel
from hepmtp.models.autoregressive import AutoregressiveModel
from hepmtp.models.autoregressive_options import AutoregressiveOptions
from hepmtp.models.groups import sort_by_multiplicity
from hepmtp.tokenizers.constituents import ConstituentTokenizer
from hepmtp.training.next_token import NextTokenOptions, batches
from hepmtp.training.threads import torch_threads


def density(given: Sample) -> Iterator[Row]:
    """log p of jets of at most 128 constituents, and of the same padded to 128."""
    model, longest = given.model(width=128, layers=4).eval(), LONGEST_OF_CODES
    tokens = given.tokens.select(
        np.flatnonzero((given.tokens.counts <= longest) & (given.tokens.counts > 0))
    )
    tokens = tokens.select(sort_by_multiplicity(tokens.counts)[0])
    tokens = tokens.select(np.arange(0, len(tokens), 3))
    # the last token again and again: causal attention sees nothing of it
    rows = np.minimum(np.arange(longest), tokens.counts[:, None] - 1) + tokens.offsets[:-1, None]
    filled = TokenBatch.from_counts(tokens.values[rows].ravel(), np.full(len(tokens), longest))

    def ask(jets: TokenBatch) -> list[np.ndarray]:
        with torch.no_grad():
            some = [jets.select(one) for one in batches(jets)]
            return [
                model.log_prob(torch.as_tensor(one.values), torch.as_tensor(one.offsets)).numpy()
                for one in some
            ]

    found = (
        np.concatenate(ask(tokens)),
        np.concatenate(ask(filled)).reshape(len(tokens), longest + 1, -1),
    )
    is_token = np.delete(np.arange(len(found[0])), tokens.offsets[1:] + np.arange(len(tokens)))
    real = np.arange(longest + 1) < tokens.counts[:, None]
    if (apart := np.abs(found[0][is_token] - found[1][real]).max()) > 1e-4:
        sys.exit(f"log p of padded jets differs by {apart:.1e}")
    square = torch.randn(1024, 1024)
    spent = given.seconds(
        {
            "ours": lambda: ask(tokens),
            "padded": lambda: ask(filled),
            "matmul": lambda: [square @ square for _ in range(20)],
        }
    )
    yield Row(
        "log p, 128 x 4",
        f"the same model padded to {longest}",
        len(tokens) / spent["ours"],
        len(tokens) / spent["padded"],
        "jets/s",
        2.0,
    )
    work = multiplications(model, tokens.counts) / spent["ours"] / 1e9
    yield Row(
        "log p, multiplications",
        "a square matrix product",
        work,
        20 * 1024**3 / spent["matmul"] / 1e9,
        "10^9/s",
        0.4,
    )


def multiplications(model: AutoregressiveModel, counts: np.ndarray) -> float:
    """Of all linear maps and of attention, for log p of jets of so many constituents."""
    one, rows = model.options, counts + 1
    linear = one.layers * (4 * one.width**2 + 2 * one.width * one.feedforward)
    linear += sum(each.weight.numel() for each in [*model.mixers, *model.outputs])
    pairs = (rows * (rows + 1) / 2).sum()  # each sees itself and what was before
    return float(rows.sum() * linear + one.layers * pairs * 2 * one.width)


def encoding(given: Sample) -> Iterator[Row]:
    """Constituents a second, axes and order included, against three searches of bins."""
    *values, counts = given.tokenizer.constituents(given.events)
    edges = [one[1:-1] for one in given.tokenizer.edges_ or ()]
    spent = given.seconds(
        {
            "ours": lambda: [given.tokenizer.encode(given.events) for _ in range(5)],
            "digitize": lambda: [
                np.digitize(*one) for _ in range(5) for one in zip(values, edges, strict=True)
            ],
        }
    )
    speeds = (5e-6 * counts.sum() / one for one in spent.values())
    yield Row("encode", "three times np.digitize", *speeds, "10^6 constituents/s", 0.5)


def memory(given: Sample) -> Iterator[Row]:
    """Peak memory of the command that generates, for few jets and for ten times as many."""
    shape = AutoregressiveOptions(width=16, heads=2, layers=1, feedforward=32)
    with tempfile.TemporaryDirectory() as folder:
        once = NextTokenOptions(epochs=1, learning_rate=3e-3)
        JetLanguageModel(model=shape, training=once).fit(given.events).save(f"{folder}/lm")
        peaks = [_peak(Path(folder), n) for n in (100_000, 10_000)]
    yield Row(
        "memory of generating 100 000 jets",
        "of 10 000",
        peaks[0],
        peaks[1],
        "MiB",
        1.1,
        at_most=True,
    )


def _peak(folder: Path, n_jets: int) -> float:
    """[MiB] of a process of its own."""
    command = [sys.executable, __file__, "--generate", str(folder), str(n_jets)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(run.stdout.split()[-1])


def generate(folder: str, n_jets: str) -> None:
    """Print the peak memory of the command."""
    words = [
        "jets",
        "generate",
        f"{folder}/lm",
        "--jets",
        n_jets,
        "--output",
        f"{folder}/{n_jets}.root",
    ]
    app(words, standalone_mode=False)
    print(peak_of_this_process())


PARTS = {one.__name__: one for one in (training, sampling, batching, density, encoding, memory)}


def main() -> None:
    """Print the table; exit code 1 if a goal is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--generate", nargs=2, metavar=("FOLDER", "JETS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.generate:
        generate(*options.generate)
        return
    (qcd,) = (one for one in embedded_jets() if one.role == "background")
    events = read([qcd])
    tokenizer = ConstituentTokenizer().fit(events)
    given = Sample(events, tokenizer, tokenizer.encode(events), options.rounds)
    rows = []
    with torch_threads(1):
        for name in options.parts:
            for row in PARTS[name](given):
                rows.append(row)
                print(row.line(), flush=True)
    command = f"--parts {' '.join(options.parts)} --rounds {options.rounds}"
    if options.parts == list(PARTS):
        command = f"--rounds {options.rounds}"
    about = (
        f"{len(events)} QCD jets of {given.tokens.counts.mean():.1f} constituents on average and "
        f"{given.tokens.counts.max()} at most; one thread, best CPU time of {options.rounds} "
        f"interleaved rounds. Made by `python benchmarks/jets.py {command}` with torch "
        f"{torch.__version__}."
    )
    head = ["| what | against | hepmtp | the other | ratio | goal |", "|---|---|---|---|---|---|"]
    lines = [about, "", *head, *(row.line() for row in rows)]
    show("\n".join(lines) + "\n", options.out)
    sys.exit(any(row.missed for row in rows))


if __name__ == "__main__":
    main()
