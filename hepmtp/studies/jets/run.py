"""All studies of jets by name, and their folder.

What is in it::

    NAME.md .json     the tables of a study
    figures/          as PNG and PDF
    models/           the trained models, for all commands that take one
    pieces/           what is finished: a study that was interrupted goes on from these
    checkpoints/      the last epoch of a model that is being trained

The rule: a study that lacks a data set is refused by its name; "all" says which it leaves out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from hepmtp.errors import OptionError
from hepmtp.plotting.style import OWN_FILES, Caption
from hepmtp.studies.jets import (
    binning,
    extrapolation,
    generation,
    hyperparameters,
    ratio,
    transfer,
    transfer_generation,
)
from hepmtp.studies.jets.bench import Bench
from hepmtp.studies.jets.found import Found, write_found


class Study(NamedTuple):
    """A study, and how many data sets it needs."""

    run: Callable[[Bench, Caption], Found]
    needs: int


#: In the order of their cost.
STUDIES: dict[str, Study] = {
    "binning": Study(binning.run, 2),
    "generation": Study(generation.run, 1),
    "ratio": Study(ratio.run, 2),
    "transfer-generation": Study(transfer_generation.run, 2),
    "transfer": Study(transfer.run, 3),
    "extrapolation": Study(extrapolation.run, 1),
    "hyperparameters": Study(hyperparameters.run, 1),
}


def chosen(name: str, bench: Bench) -> dict[str, Study]:
    """The studies of a name, "all" for those that have their data sets.

    Raises
    ------
    OptionError
        for an unknown name, or if data sets are missing.
    """
    if name == "all":
        return {key: one for key, one in STUDIES.items() if one.needs <= len(bench.samples)}
    if name not in STUDIES:
        raise OptionError(f"there is no study {name!r}; there are {', '.join(STUDIES)}, all")
    _ = bench.name(STUDIES[name].needs - 1)
    return {name: STUDIES[name]}


def run_studies(
    name: str, bench: Bench, *, command: str = "", caption: Caption = OWN_FILES
) -> dict[str, str]:
    """Run a study, or all, and write each when it is done; gives their texts."""
    return {
        key: write_found(bench.folder, key, one.run(bench, caption), command=command)
        for key, one in chosen(name, bench).items()
    }
