"""Simulated events in the Dark Machines CSV format.

Matrix elements, Pythia, detector, preselection, weights.

python examples/simulation/generate.py ttbarHiggs --events 1000 --seed 1 --output ttbarHiggs.csv.gz
python examples/simulation/generate.py 4top --lhe 4top.lhe --events 1000 --output 4top.csv.gz
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import awkward as ak
import numpy as np
from colour import with_colours
from detector import reconstruct
from filters import LEPTONS, LeptonFilter
from numpy.typing import NDArray
from processes import LUMINOSITY, PROCESSES, Process
from showers import batches, start_process

from hepmtp import storage
from hepmtp.cli.progress import progress_bar
from hepmtp.events.observables import ht, n_b, n_jets
from hepmtp.events.particles import ELECTRONS, MUONS
from hepmtp.events.record import make_events
from hepmtp.readers.darkmachines.write import write_csv

#: Of the preselection, leptons aside.
MIN_JETS, MIN_B, MIN_HT = 3, 1, 300.0
BATCH = 100


class Sample(NamedTuple):
    """Selected events, and what they were selected from.

    Showered events, and the fraction of decays that was showered.

    `events` have the weights of the generator, mostly 1, and `weight` is the sum of those of all
    showered events.
    """

    events: ak.Array
    showered: int
    weight: float
    efficiency: float

    @property
    def generated(self) -> float:
        """Number of events without a lepton filter that this sample stands for."""
        return self.weight / self.efficiency


def preselected(events: ak.Array, leptons: str) -> NDArray[np.bool_]:
    """Whether events have 3 jets, one of them b, HT > 300 GeV, and leptons as `LEPTONS` says."""
    kind = events.Particle["type"]
    positive, negative = (
        ak.to_numpy(ak.sum((kind == e) | (kind == mu), axis=1))
        for e, mu in zip(ELECTRONS, MUONS, strict=True)
    )
    enough = (n_jets(events) >= MIN_JETS) & (n_b(events) >= MIN_B) & (ht(events) > MIN_HT)
    return np.asarray(LEPTONS[leptons](positive, negative) & enough)


def generate(
    process: Process,
    n_events: int,
    *,
    seed: int,
    lhe: str | Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> Sample:
    """At least one and at most `n_events` selected events.

    Fewer only where the file `lhe` ends before.

    Raises
    ------
    ValueError
        if Pythia cannot begin, the lepton filter does not fit, or no event is selected.
    """
    if n_events < 1:
        raise ValueError(f"{n_events} events were asked for, expected at least 1")
    rng = np.random.default_rng(seed)
    filtered = LeptonFilter(process.leptons)
    parts: list[ak.Array] = []
    showered = selected = 0
    weight = 0.0
    with tempfile.TemporaryDirectory() as folder:
        pythia = start_process(
            process, seed=seed, lhe=lhe and with_colours(lhe, folder, rng), hook=filtered
        )
        for batch in batches(pythia, BATCH):
            filtered.check()
            events = detected(batch, rng, process)
            chosen = np.flatnonzero(preselected(events, process.leptons))[: n_events - selected]
            selected += len(chosen)
            # the events after the last one that was asked for do not count
            used = len(events) if selected < n_events else int(chosen[-1]) + 1
            showered += used
            weight += float(ak.sum(events.weight[:used]))
            parts.append(events[chosen])
            if progress is not None:
                progress(len(chosen))
            if selected == n_events:
                break
    if not selected:
        raise ValueError(f"none of {showered} showered events is selected")
    return Sample(ak.concatenate(parts), showered, weight, filtered.efficiency)


def detected(batch: ak.Array, rng: np.random.Generator, process: Process) -> ak.Array:
    """Events of Pythia as events of a detector, in the numbers that a Dark Machines CSV holds.

    Six digits in MeV.
    """
    particles, met = reconstruct(batch.prt, rng)
    flat = {
        name: ak.to_numpy(ak.flatten(particles[name])) for name in ("pt", "eta", "phi", "energy")
    }
    return make_events(
        counts=ak.num(particles),
        **{name: six_digits(values) for name, values in flat.items()},
        type=ak.to_numpy(ak.flatten(particles["type"])),
        met=six_digits(ak.to_numpy(met.pt)),
        met_phi=six_digits(ak.to_numpy(met.phi)),
        # above 1 where Pythia has met a larger matrix element than ever before
        weight=ak.to_numpy(batch.info.weights[:, 0]),
        dataset=process.name,
    )


def six_digits(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values rounded to six significant digits.

    Examples
    --------
    >>> six_digits(np.array([123.456789, -0.0123456789, 0.0])).tolist()
    [123.457, -0.0123457, 0.0]
    """
    return np.array([float(f"{value:.6g}") for value in values.tolist()], dtype=np.float64)


def weighted(sample: Sample, cross_section: float) -> ak.Array:
    """The events numbered from 1, with their weight.

    It is cross-section [pb] x luminosity / equivalent generated events.
    """
    weight = six_digits(
        ak.to_numpy(sample.events.weight) * (cross_section * LUMINOSITY / sample.generated)
    )
    numbered = ak.with_field(sample.events, np.arange(1, len(weight) + 1), "event")
    return ak.with_field(numbered, weight, "weight")


def write(path: str | Path, events: ak.Array, process: Process) -> None:
    """Write events as Dark Machines CSV, gzipped if the name ends in .gz.

    The name is taken when the file is complete.
    """
    with storage.new_file(path) as temporary:
        write_csv(temporary, [events], process=process.name, packed=str(path).endswith(".gz"))


def main(arguments: list[str] | None = None) -> None:
    """Generate one process into one file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("process", choices=PROCESSES)
    parser.add_argument(
        "--events", type=int, default=1000, help="selected events, those that are written"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lhe", help="matrix elements; needed where Pythia has none")
    parser.add_argument("--output", help="a .csv or .csv.gz file; by default PROCESS.csv.gz")
    options = parser.parse_args(arguments)
    process = PROCESSES[options.process]
    output = options.output or f"{process.name}.csv.gz"
    if not output.endswith((".csv", ".csv.gz")):
        parser.error(
            f"--output {output}: choose a name that ends in .csv or .csv.gz; hepmtp convert makes "
            "ROOT of it"
        )
    with progress_bar(process.name, "events") as (bar, task):
        bar.update(task, total=options.events)
        try:
            sample = generate(
                process,
                options.events,
                seed=options.seed,
                lhe=options.lhe,
                progress=lambda n: bar.advance(task, n),
            )
        except ValueError as error:
            parser.error(str(error))
    events = weighted(sample, process.cross_section)
    write(output, events, process)
    expected, error = ak.sum(events.weight), np.sqrt(ak.sum(events.weight**2))
    print(
        f"{output}: {len(events)} events of {sample.showered} showered; {sample.efficiency:.4f} of "
        f"the decays pass the lepton filter; {expected:.4g} +- {error:.2g} events expected at "
        f"{LUMINOSITY / 1000:g} fb-1"
    )


if __name__ == "__main__":
    main()
