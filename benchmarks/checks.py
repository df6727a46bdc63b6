"""What all checks cost: their share of the CPU time of a run.

The embedded sample is scored by the detectors of `hepmtp demo`, through `HepRunner`. The functions
that check and account are timed where they are called (`TIMED`). Events are checked by the
processor and by every detector. The model is trained for one epoch, which does not change its
speed.

    python benchmarks/checks.py --out benchmarks/results/checks.md
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from outcome import show

from hepmtp.cli.demo import FORMS
from hepmtp.datasets.files import fileset, read
from hepmtp.datasets.manifest import embedded
from hepmtp.detectors.masked_token.detector import MaskedTokenDetector
from hepmtp.detectors.observables import OBSERVABLES, Observable
from hepmtp.detectors.token_rarity import TokenRarity
from hepmtp.run.executors import make_executor
from hepmtp.run.runner import HepRunner
from hepmtp.training.masking import TrainingOptions
from processors.anomaly import AnomalyProcessor

#: Largest share of a run's CPU time: of the checks of events, and of everything.
EVENTS, ALL = 0.03, 0.05
#: What is timed: name -> (module, attribute) of each place that calls it.
TIMED: dict[str, list[tuple[str, str]]] = {
    "check of events": [
        ("processors.anomaly", "as_events"),
        ("hepmtp.detectors.BaseDetector", "_entering"),
    ],
    "what has trained": [("processors.anomaly", "unseen")],
    "normalisation": [("processors.anomaly", "tally"), ("processors.anomaly", "normalisation")],
    "identity of files": [("hepmtp.readers.darkmachines.reader", "source_id")],
    "fileset": [("hepmtp.run.runner", "read_fileset")],
    "accounting": [("hepmtp.run.runner.HepRunner", "_account")],
}


class Clock:
    """CPU time [s] inside of some functions; of nested calls the outermost counts."""

    def __init__(self) -> None:
        self.spent = dict.fromkeys(TIMED, 0.0)
        self.inside = False

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self.inside:
                return function(*args, **kwargs)
            self.inside, start = True, time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.spent[name] += time.process_time() - start
                self.inside = False

        return call

    @contextmanager
    def running(self) -> Iterator[None]:
        """Time every function of `TIMED` while the block runs."""
        with ExitStack() as stack:
            for name, places in TIMED.items():
                for module, attribute in places:
                    home = _home(module)
                    timed = self.timed(name, getattr(home, attribute))
                    stack.enter_context(mock.patch.object(home, attribute, timed))
            yield


def _home(name: str) -> Any:
    module, _, last = name.rpartition(".")
    if last[:1].isupper():
        return getattr(importlib.import_module(module), last)
    return importlib.import_module(name)


def main() -> None:
    """Print the shares; exit code 1 if one is above what is allowed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="also write the table here")
    options = parser.parse_args()
    datasets = embedded()
    background = read((one for one in datasets if one.role == "background"), stop=2000)
    model = MaskedTokenDetector(training=TrainingOptions(epochs=1)).fit(background)
    detectors: list[Any] = [model, *(model.with_score(form) for form in FORMS)]
    detectors += [TokenRarity(model.tokenizer).fit(background)]
    detectors += [Observable(name).fit(background) for name in OBSERVABLES]
    processor, clock = AnomalyProcessor(detectors, columns=True), Clock()
    with make_executor("iterative", status=False) as executor, clock.running():
        # uncompressed, and not pickled: the functions are those that are timed
        runner = HepRunner(executor, processor_compression=None)
        start = time.process_time()
        runner(fileset(datasets), processor)
        total = time.process_time() - start
    shares = {name: spent / total for name, spent in clock.spent.items()}
    everything = sum(shares.values())
    lines = [
        "| check | share of the CPU time |\n|---|---|\n",
        *(f"| {name} | {100 * share:.2f} % |\n" for name, share in shares.items()),
        f"| **all** | **{100 * everything:.2f} %** (at most {100 * ALL:g} %) |\n",
    ]
    events = sum(account.events_read for account in runner.accounting.values())
    show(f"{events} events, {total:.1f} s of CPU time\n\n{''.join(lines)}", options.out)
    sys.exit(shares["check of events"] > EVENTS or everything > ALL)


if __name__ == "__main__":
    main()
