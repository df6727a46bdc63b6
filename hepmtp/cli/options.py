"""Arguments and options that several commands share, and what is made of them.

The rule: one word means the same in every command, and has an effect or is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hepmtp.errors import OptionError

if TYPE_CHECKING:
    from hepmtp.events.variation import Variation

Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="DATASET...",
        help=(
            "Names from `hepmtp datasets`, files of your own: FILE, NAME=FILE,FILE or "
            "NAME:ROLE=FILE (roles are background, signal and data), or a coffea fileset (JSON)."
        ),
        show_default=False,
    ),
]
SomeNames = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[DATASET]...",
        help="As in `hepmtp train`, signals too; default: the embedded sample.",
    ),
]
Output = Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")]
Pdf = Annotated[bool, typer.Option("--pdf", help="Write figures as PDF, beside the PNG.")]
RoleOption = Annotated[
    Literal["background", "signal", "data"], typer.Option(help="Role of files that name none.")
]
MostEvents = Annotated[
    int,
    typer.Option(
        help="First events, of all files together, that networks, tails and bins are fitted on; "
        "they take up to 2 kB of memory each.",
        min=1,
    ),
]
Executor = Annotated[
    Literal["iterative", "futures", "dask"],
    typer.Option(help="Where the work is done: this process, several, or a Dask cluster."),
]
Workers = Annotated[
    int | None,
    typer.Option(
        help="Number of processes, for futures and dask; 2 if not given.", min=1, show_default=False
    ),
]
Scheduler = Annotated[
    str | None, typer.Option(help="Address of a Dask scheduler (tcp://host:8786) to be used.")
]
Cluster = Annotated[
    Literal["local", "slurm", "htcondor"] | None,
    typer.Option(
        help="Where Dask's workers are started: here, or as jobs of a batch system. If neither "
        "this, --workers nor --scheduler is given, DASK_SCHEDULER_ADDRESS tells, if it is set.",
        show_default=False,
    ),
]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Folder = Annotated[
    Path | None, typer.Option(help="Folder of downloaded files; else the variable HEPMTP_DATA.")
]
ReaderOption = Annotated[
    str | None,
    typer.Option(
        help="Reader by name, pkg.module:Class; by default the one that takes what is in the file."
    ),
]
ReaderOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        metavar="KEY=VALUE",
        help="Option of the reader, scale=log_mev for instance; may be repeated.",
    ),
]
TreeOption = Annotated[
    str | None,
    typer.Option("--tree", help="Tree in your ROOT files, nominal/Delphes for instance."),
]
SkipBad = Annotated[
    bool,
    typer.Option(
        "--skip-bad", help="Leave out files and lines that cannot be read; the result says so."
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite", help="Replace what hepmtp wrote there before, as a whole; nothing else."
    ),
]
Lists = Annotated[
    list[str] | None,
    typer.Option(
        "--files",
        metavar="LIST",
        help=(
            "Text file with one path a line: a data set of the list's name, or NAME=LIST or "
            "NAME:ROLE=LIST; may be repeated."
        ),
    ),
]
Manifest = Annotated[Path | None, typer.Option(help="A manifest of your own instead of hepmtp's.")]


def ranges_of(words: Iterable[str] | None, scores: Sequence[str]) -> dict[str, tuple[float, float]]:
    """``SCORE=LOW,HIGH`` words, or ``LOW,HIGH`` for a single score, as ranges of score axes.

    Examples
    --------
    >>> ranges_of(["ht=0,4000"], ["masked_token", "ht"]), ranges_of(["0,30"], ["masked_token"])
    ({'ht': (0.0, 4000.0)}, {'masked_token': (0.0, 30.0)})
    """
    found: dict[str, tuple[float, float]] = {}
    for word in words or ():
        name, _, limits = word.rpartition("=")
        if not name and len(scores) == 1:
            name = scores[0]
        if name not in scores or name in found:
            raise OptionError(
                f"--range {word}: expected SCORE=LOW,HIGH, once for a score; the scores are "
                f"{', '.join(scores)}"
            )
        try:
            low, high = map(float, limits.split(","))
        except ValueError:
            raise OptionError(f"--range {word}: expected two numbers, LOW,HIGH") from None
        if not low < high:
            raise OptionError(f"--range {word}: expected LOW below HIGH")
        found[name] = (low, high)
    return found


def opened_executor(
    executor: Literal["iterative", "futures", "dask"],
    workers: int | None,
    scheduler: str | None,
    cluster: Literal["local", "slurm", "htcondor"] | None,
) -> AbstractContextManager[Any]:
    """The executor of these options; raises OptionError if it does not use one that is given."""
    from hepmtp.run.executors import make_executor

    if scheduler is not None and executor != "dask":
        raise OptionError(f"--scheduler {scheduler} needs --executor dask, found {executor}")
    if scheduler is not None and "://" not in scheduler:
        raise OptionError(f"--scheduler {scheduler}: expected an address such as tcp://host:8786")
    if cluster is not None and executor != "dask":
        raise OptionError(f"--cluster {cluster} needs --executor dask, found {executor}")
    if cluster is not None and scheduler is not None:
        raise OptionError(f"--cluster {cluster} has no effect with --scheduler: keep one")
    if workers is not None and (executor == "iterative" or scheduler is not None):
        why = "the scheduler has its workers" if scheduler else "iterative is this process only"
        raise OptionError(f"--workers {workers} has no effect: {why}; leave it out")
    if logging.getLogger().level > logging.DEBUG:  # Dask tells all that it closes
        logging.getLogger("distributed").setLevel(logging.ERROR)
        # with the traceback of what it raises, and the executor says in a line
        logging.getLogger("distributed.utils").setLevel(logging.CRITICAL)
    return make_executor(executor, workers=workers, client=scheduler, cluster=cluster)


def variations_of(words: str) -> tuple[Variation, ...]:
    """The systematic variations that `--variations` names; none of them for "none"."""
    from hepmtp.events.variations import variations_named

    names = [one.strip() for one in words.split(",") if one.strip()]
    if not names:
        raise OptionError("--variations names nothing: give names, weights, all or none")
    return () if names == ["none"] else variations_named(names)
