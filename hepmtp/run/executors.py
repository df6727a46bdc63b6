"""Executors of coffea that close what they open.

The rule: Dask takes a while to import, so only runs on Dask do.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import coffea.util
from coffea.processor import IterativeExecutor

from hepmtp.errors import OptionError
from hepmtp.run.futures import LastingExecutor, Pool

if TYPE_CHECKING:
    from distributed import Client

#: Processes that are started if their number is not given.
WORKERS = 2


@contextlib.contextmanager
def make_executor(
    name: Literal["iterative", "futures", "dask"],
    *,
    workers: int | None = None,
    client: Client | str | None = None,
    cluster: Literal["local", "slurm", "htcondor"] | None = None,
    status: bool = True,
) -> Iterator[Any]:
    """An executor for `HepRunner` that closes its processes at the end of the ``with`` block.

    Parameters
    ----------
    name
        "iterative": this process; "futures": `workers` processes; "dask": `client`, or a `cluster`
        of `workers` processes. A script that starts processes needs
        ``if __name__ == "__main__":``.
    workers
        number of processes to start; 2 if not given.
    client
        a Dask client, or the address of a scheduler (``"tcp://host:8786"``); for "dask" only. A
        client is left open.
    cluster
        where processes of "dask" are started: here, or as jobs of a batch system
        (:mod:`hepmtp.run.queues`). If neither this, nor `workers`, nor a client is given, it is
        what an analysis facility has set up: the client of this process, or the scheduler of
        ``DASK_SCHEDULER_ADDRESS``. Without them it is here.
    status
        draw progress bars.

    Examples
    --------
    >>> from hepmtp.run.runner import HepRunner
    >>> with make_executor("iterative", status=False) as executor:
    ...     runner = HepRunner(executor)
    """
    if name not in ("iterative", "futures", "dask"):
        raise OptionError(
            f"executor {name!r} is unknown; the executors are iterative, futures, dask"
        )
    if client is not None and (cluster is not None or workers is not None):
        raise OptionError(
            f"cluster={cluster!r} and workers={workers!r} are started, and a client has its own: "
            "leave one of them out"
        )
    if name != "dask" and (client is not None or cluster is not None):
        raise OptionError(f"a client or cluster needs the executor 'dask', found {name!r}")
    with contextlib.ExitStack() as stack:
        if not status:
            console = coffea.util.coffea_console
            stack.callback(setattr, console, "quiet", console.quiet)
            console.quiet = True
        number = workers or WORKERS
        options: dict[str, Any] = {"status": status, "retries": 0}
        if name == "iterative":
            yield IterativeExecutor(**options)
        elif name == "futures":
            # an instance: of a class coffea would start processes to count and once more to run
            pool = stack.enter_context(Pool(number))
            yield LastingExecutor(pool=pool, workers=number, **options)
        else:
            from hepmtp.run.cluster import dask_executor, there  # noqa: PLC0415 (Dask)

            if client is None and cluster is None and workers is None:
                client = there()
            on_dask = dask_executor(client, cluster or "local", number, options)
            yield stack.enter_context(on_dask)
