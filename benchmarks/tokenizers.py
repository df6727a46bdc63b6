"""What every tokenizer keeps of an event, in one table.

Ids in use, residuals, and the supervised AUC on tokens.

All are fitted on the same background training events and measured on analysis events. The AUC is
that of boosted trees with labels on the same observables of the events as they are ("continuous")
and as they are decoded.

    python benchmarks/tokenizers.py --out benchmarks/results/tokenizers.md
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from outcome import show

from hepmtp.datasets.files import read
from hepmtp.datasets.manifest import embedded
from hepmtp.events.split import part_of
from hepmtp.report.tables import Cells, markdown, rounded
from hepmtp.studies.tokenizer.measure import TokenizerReport, tokenizer_report
from hepmtp.tokenizers import Tokenizer
from hepmtp.tokenizers.fsq import FSQTokenizer
from hepmtp.tokenizers.graph_vq import GraphVQTokenizer
from hepmtp.tokenizers.lookup import PRESETS, LookupTokenizer
from hepmtp.tokenizers.vqvae import VQVAETokenizer

SIGNALS = {"4top": "four tops", "glgl1600_neutralino800": "gluino pairs"}


def of_the_talk() -> GraphVQTokenizer:
    """Signal against background and no other task.

    The four-top events that it sees are those that train the classifier.
    """
    signal = read(one for one in embedded() if one.name == "4top")
    return GraphVQTokenizer(signal=signal, reconstruction=0.0)


TOKENIZERS: dict[str, Callable[[], Tokenizer]] = {
    **{name: partial(LookupTokenizer.preset, name) for name in PRESETS},
    "vqvae": VQVAETokenizer,
    "fsq": FSQTokenizer,
    "graph_vq": GraphVQTokenizer,
    "graph_vq, four tops against background": of_the_talk,
}


def measure(name: str, max_events: int | None) -> tuple[TokenizerReport, float]:
    """Report of one tokenizer, and the CPU seconds of its fit."""
    background = read(one for one in embedded() if one.role == "background")
    signals = {one.name: read([one]) for one in embedded() if one.name in SIGNALS}
    start = time.process_time()
    tokenizer = TOKENIZERS[name]().fit(part_of(background, "train"))
    seconds = time.process_time() - start
    print(f"{name}: fitted in {seconds:.0f} s", file=sys.stderr, flush=True)
    return tokenizer_report(
        tokenizer, background, signals, name=name, max_events=max_events
    ), seconds


def row(report: TokenizerReport, seconds: float) -> list[str]:
    """One line of the table."""
    widths = [
        report.residuals.get(name) for name in ("pt", "eta", "abs_eta", "phi", "met", "met_phi")
    ]
    lost = {one.signal: one for one in report.separations}
    return [
        report.name + (" (supervised)" if report.supervised else ""),
        str(report.vocab_size),
        f"{100 * report.in_use:.1f}",
        f"{report.perplexity:.0f}",
        *("-" if one is None else f"{one.half_width:.3f}" for one in widths),
        *(rounded(lost[name].tokens, lost[name].tokens_error) for name in SIGNALS),
        *(rounded(lost[name].lost, lost[name].lost_error) for name in SIGNALS),
        f"{seconds:.0f}",
    ]


def main() -> None:
    """Measure all tokenizers and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only", nargs="+", choices=TOKENIZERS, default=list(TOKENIZERS), metavar="NAME"
    )
    parser.add_argument(
        "--max-events", type=int, help="of each part of background and signal, for a quick look"
    )
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        slowest_first = [
            pool.submit(measure, name, options.max_events) for name in reversed(options.only)
        ]
        found = [future.result() for future in reversed(slowest_first)]
    header = [
        "tokenizer",
        "ids",
        "in use [%]",
        "perplexity",
        "pt",
        "eta",
        "abs(eta)",
        "phi",
        "MET",
        "METphi",
        *(f"AUC tokens, {name}" for name in SIGNALS.values()),
        *(f"lost, {name}" for name in SIGNALS.values()),
        "fit [CPU s]",
    ]
    first = found[0][0]
    ceiling = ", ".join(
        f"{rounded(one.continuous, one.continuous_error)} on {SIGNALS[one.signal]} ({one.n_signal} "
        "events)"
        for one in first.separations
    )
    text = "\n".join(
        [
            f"Made by `python benchmarks/tokenizers.py {' '.join(sys.argv[1:])}`.".replace(
                " `.", "`."
            ),
            "",
            (
                f"{first.n_events} background analysis events. pt to METphi: half of the central "
                "68 % of the residuals (pt and MET relative). AUC of boosted trees with labels; "
                "on continuous inputs it is"
            ),
            f'{ceiling}; "lost" is the difference on the same events.',
            "",
            markdown(Cells(header, [row(*one) for one in found])),
        ]
    )
    show(text, options.out)


if __name__ == "__main__":
    main()
