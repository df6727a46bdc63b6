"""Arguments and options that several commands share.

The rule: one word means the same in every command.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Names = Annotated[
    list[str],
    typer.Argument(
        metavar="DATASET...",
        help=(
            "Names from `hepmtp datasets`, or files of your own: FILE, NAME=FILE,FILE or "
            "NAME:ROLE=FILE; roles are background, signal and data."
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
RoleOption = Annotated[
    Literal["background", "signal", "data"], typer.Option(help="Role of files that name none.")
]
Executor = Annotated[
    Literal["iterative", "futures", "dask"],
    typer.Option(help="Where the work is done: this process, several, or a Dask cluster."),
]
Workers = Annotated[int, typer.Option(help="Number of processes, for futures and dask.", min=1)]
Scheduler = Annotated[
    str | None, typer.Option(help="Address of a Dask scheduler (tcp://host:8786) to be used.")
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
Manifest = Annotated[Path | None, typer.Option(help="A manifest of your own instead of hepmtp's.")]
