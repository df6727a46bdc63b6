"""Means of two files of events, with errors and pulls: does a new sample look like an older one?

python examples/simulation/compare.py ttbarHiggs.csv.gz hepmtp/data/simulated/ttbarHiggs.csv.gz
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepmtp.events.observables import KNOWN_FEATURES
from hepmtp.events.particles import ELECTRONS
from hepmtp.readers.formats import reader_for

#: Observables that are compared: names of `KNOWN_FEATURES`.
NAMES = (
    *(
        "n_jets",
        "n_b",
        "n_leptons",
        "n_photons",
        "jet_pt_1",
        "jet_pt_4",
        "b_pt_1",
        "lepton_pt_1",
        "lepton_pt_2",
    ),
    *("ht", "met", "jet_abs_eta", "max_dijet_mass", "min_jet_delta_r"),
)


class Row(NamedTuple):
    """Means of an observable in two samples and their standard errors.

    Pull is their difference in standard errors.
    """

    name: str
    new: float
    new_error: float
    reference: float
    reference_error: float

    @property
    def pull(self) -> float:
        """0 if both means are the same and have no error."""
        error = np.hypot(self.new_error, self.reference_error)
        return float((self.new - self.reference) / error) if error else 0.0


def compare(new: ak.Array, reference: ak.Array) -> list[Row]:
    """Weighted means of the multiplicity and of `NAMES`, and the sum of weights, one row each."""
    functions = {"multiplicity": multiplicity} | {
        name: KNOWN_FEATURES[name].function for name in NAMES
    }
    functions |= {"electrons": electrons}
    rows = []
    for name, function in functions.items():
        rows.append(
            Row(
                name, *mean(function(new), new.weight), *mean(function(reference), reference.weight)
            )
        )
    return [*rows, Row("expected events", *total(new.weight), *total(reference.weight))]


def multiplicity(events: ak.Array) -> NDArray[np.int64]:
    """Number of particles of each event."""
    return ak.to_numpy(ak.num(events.Particle))


def electrons(events: ak.Array) -> NDArray[np.int64]:
    """Number of electrons of each event."""
    kind = events.Particle["type"]
    return ak.to_numpy(ak.sum(sum(kind == one for one in ELECTRONS), axis=1))


def mean(values: NDArray[np.float64], weight: ak.Array) -> tuple[float, float]:
    """Weighted mean and its standard error."""
    weight = ak.to_numpy(weight)
    found = np.average(values, weights=weight)
    return float(found), float(np.sqrt(np.sum((weight * (values - found)) ** 2)) / weight.sum())


def total(weight: ak.Array) -> tuple[float, float]:
    """Sum of weights and its standard error."""
    weight = ak.to_numpy(weight)
    return float(weight.sum()), float(np.sqrt(np.sum(weight**2)))


def table(rows: list[Row], names: tuple[str, str]) -> str:
    """The rows as text."""
    lines = [f"{'':16} {names[0]:>22} {names[1]:>22} {'pull':>6}"]
    for row in rows:
        both = (
            f"{row.new:.4g} +- {row.new_error:.2g}",
            f"{row.reference:.4g} +- {row.reference_error:.2g}",
        )
        lines.append(f"{row.name:16} {both[0]:>22} {both[1]:>22} {row.pull:6.1f}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("new")
    parser.add_argument("reference")
    options = parser.parse_args(arguments)
    new, reference = (reader_for(path).read(path) for path in (options.new, options.reference))
    print(table(compare(new, reference), (f"new ({len(new)})", f"reference ({len(reference)})")))


if __name__ == "__main__":
    main()
