"""Workers as jobs of a batch system, Slurm or HTCondor, by dask-jobqueue.

The rule: a job is one process of one core, unless Dask's own configuration (``jobqueue.yaml``) says
otherwise. Queue, account, time and all else that a site wants are said there. Jobs end with the
run, however it ends.
"""

from __future__ import annotations

import contextlib
import importlib
import shutil
from collections.abc import Iterator
from typing import Any, Literal

import dask
from distributed import Status

from hepmtp.errors import ClusterError, OptionError

Queue = Literal["slurm", "htcondor"]
#: The class of dask-jobqueue, and what submits a job.
QUEUES: dict[Queue, tuple[str, str]] = {
    "slurm": ("SLURMCluster", "sbatch"),
    "htcondor": ("HTCondorCluster", "condor_submit"),
}
#: Of a job of one core.
MEMORY, DISK = "4 GB", "4 GB"
#: Seconds that all jobs may wait for a free place, before a run ends.
PATIENCE = 86_400.0


@contextlib.contextmanager
def queued(
    queue: Queue, workers: int, environment: dict[str, str], **options: Any
) -> Iterator[Any]:
    """A Dask cluster whose workers are jobs; they are cancelled at the end.

    Parameters
    ----------
    queue
        the batch system.
    workers
        number of worker processes.
    environment
        variables of the workers.
    options
        of the class of dask-jobqueue.

    Raises
    ------
    OptionError
        if dask-jobqueue is not installed, or no job can be submitted from here.
    ClusterError
        if the batch system refuses the jobs.
    """
    name, submits = QUEUES[queue]
    try:
        jobqueue = importlib.import_module("dask_jobqueue")
    except ModuleNotFoundError:
        raise OptionError(
            f"--cluster {queue} needs dask-jobqueue: pip install 'hepmtp[queues]'"
        ) from None
    if shutil.which(submits) is None:
        raise OptionError(
            f"--cluster {queue}: there is no {submits} here; run where jobs are submitted from, or "
            "give the --scheduler of a Dask cluster that is there"
        )

    def said(key: str, default: Any) -> Any:
        return dask.config.get(f"jobqueue.{queue}.{key}", None) or default

    cores = said("cores", 1)
    settings: dict[str, Any] = {
        "cores": cores,
        # one thread each: torch and awkward take no more
        "processes": said("processes", cores),
        "memory": said("memory", MEMORY),
        "job_script_prologue": [
            *said("job-script-prologue", []),
            *(f"export {key}={value}" for key, value in environment.items()),
        ],
        # its dashboard would want a port that others have
        "scheduler_options": {"dashboard_address": ":0", **said("scheduler-options", {})},
        **({"disk": said("disk", DISK)} if queue == "htcondor" else {}),
        **options,
    }
    cluster = getattr(jobqueue, name)(**settings)
    try:
        cluster.sync(_submitted, cluster, -(-workers // settings["processes"]))
    except (OSError, RuntimeError, ValueError) as error:
        try:
            cluster.close()
        except AssertionError:  # Dask asks whether jobs have ended that were never there
            cluster.status = Status.created
            cluster.close()
        words = " ".join(str(error).split())
        raise ClusterError(
            f"{submits} refuses a job ({words}): say what your site wants in jobqueue.yaml, in the "
            f"section jobqueue.{queue}"
        ) from None
    with cluster:
        yield cluster


async def _submitted(cluster: Any, jobs: int) -> None:
    """Submit all jobs at once; what goes wrong there is raised, and not tried again."""
    for _ in range(jobs):
        cluster.worker_spec.update(cluster.new_worker_spec())
    await cluster
