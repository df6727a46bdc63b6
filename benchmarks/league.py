"""The league on the embedded sample.

Every detector, or every tokenizer, on the same events with errors.

The same as `hepmtp league`; its table is docs/league.md's. A league that was interrupted goes on
from its folder.

    python benchmarks/league.py --out benchmarks/results/league.md
    python benchmarks/league.py --group tokenizers --out benchmarks/results/league_tokenizers.md
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from outcome import show

from hepmtp.datasets.manifest import embedded
from hepmtp.studies.league.entries import AGAINST, GROUPS, choose
from hepmtp.studies.league.run import FOLDS, run_league


def main() -> None:
    """Run the league and print its table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--group", choices=list(GROUPS), default="main")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", help="entries of any group"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--folds", type=int, default=FOLDS, help="of a cross-fitting; 1: one training a seed"
    )
    parser.add_argument(
        "--quick", action="store_true", help="tiny models, few events: a look, not numbers"
    )
    parser.add_argument(
        "--folder", type=Path, default=Path("hepmtp-league"), help="fits, tables and figures"
    )
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    words = [f"--group {options.group}" * (options.group != "main"), "--quick" * options.quick]
    words += ["--only " + " ".join(options.only)] if options.only else []
    command = " ".join(
        [
            "python benchmarks/league.py",
            f"--seeds {options.seeds} --folds {options.folds}",
            *filter(None, words),
        ]
    )
    league = run_league(
        options.folder,
        embedded(),
        choose(options.group, only=options.only, quick=options.quick),
        seeds=range(options.seeds),
        folds=options.folds,
        stop=1500 if options.quick else None,
        command=command,
        against=AGAINST[options.group],
        quick=options.quick,
        progress=lambda text, done, total: print(
            f"{done + 1} of {total}: {text}", file=sys.stderr, flush=True
        ),
    )
    text = (league.folder / "league.md").read_text(encoding="utf-8")
    show(text, options.out)


if __name__ == "__main__":
    main()
