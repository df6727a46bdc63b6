"""Workers as jobs of a batch system, Slurm or HTCondor, by dask-jobqueue.

The rule: a job is one process of one core, unless Dask's own configuration (``jobqueue.yaml``) says
otherwise. Queue, account, time and all else that a site wants are said there. Jobs end with the
run, however it ends; what they have written is kept if a site says where (``log-directory``).
"""

from __future__ import annotations

import contextlib
import importlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import dask
from distributed import Status

from hepmtp.errors import ClusterError, OptionError
from hepmtp.run.jobs import Jobs, Queue
from hepmtp.run.scratch import scratch_folder

#: The class of dask-jobqueue, and what submits a job.
QUEUES: dict[Queue, tuple[str, str]] = {
    "slurm": ("SLURMCluster", "sbatch"),
    "htcondor": ("HTCondorCluster", "condor_submit"),
}
#: Of a job of one core.
MEMORY, DISK = "4 GB", "4 GB"
#: Seconds that all jobs may wait for a free place, before a run ends.
PATIENCE = 86_400.0


class Queued(NamedTuple):
    """A Dask cluster whose workers are jobs, and these jobs."""

    cluster: Any
    jobs: Jobs


@contextlib.contextmanager
def queued(
    queue: Queue, workers: int, environment: dict[str, str], **options: Any
) -> Iterator[Queued]:
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
    with _logs(queue) as logs:
        settings = {**_settings(queue, environment), **options}
        if logs is not None:
            settings["log_directory"] = str(logs)
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
                f"{submits} refuses a job ({words}): say what your site wants in jobqueue.yaml, in "
                f"the section jobqueue.{queue}"
            ) from None
        numbers = tuple(str(one.job_id) for one in cluster.workers.values())
        # what names its scheduler to the command that cancels
        known_by = tuple(_said(queue, "cancel-command-extra", ()))
        with cluster:
            yield Queued(cluster, Jobs(queue, numbers, logs, known_by))


def _said(queue: Queue, key: str, default: Any) -> Any:
    """What Dask's configuration says of a batch system."""
    return dask.config.get(f"jobqueue.{queue}.{key}", None) or default


def _settings(queue: Queue, environment: dict[str, str]) -> dict[str, Any]:
    """Options of a class of dask-jobqueue."""
    cores = _said(queue, "cores", 1)
    return {
        "cores": cores,
        # one thread each: torch and awkward take no more
        "processes": _said(queue, "processes", cores),
        "memory": _said(queue, "memory", MEMORY),
        "job_script_prologue": [
            *_said(queue, "job-script-prologue", []),
            *(f"export {key}={value}" for key, value in environment.items()),
        ],
        # its dashboard would want a port that others have
        "scheduler_options": {"dashboard_address": ":0", **_said(queue, "scheduler-options", {})},
        **({"disk": _said(queue, "disk", DISK)} if queue == "htcondor" else {}),
    }


@contextlib.contextmanager
def _logs(queue: Queue) -> Iterator[Path | None]:
    """Where jobs write: as a site says, or a folder here that goes with the run, or nowhere."""
    with contextlib.ExitStack() as stack:
        logs: Path | None = None
        if (said := _said(queue, "log-directory", None)) is not None:
            logs = Path(said).absolute()
        else:
            with contextlib.suppress(OSError):  # nothing can be written here
                logs = stack.enter_context(scratch_folder("jobs", Path.cwd()))
        yield logs


async def _submitted(cluster: Any, jobs: int) -> None:
    """Submit all jobs at once; what goes wrong there is raised, and not tried again."""
    for _ in range(jobs):
        cluster.worker_spec.update(cluster.new_worker_spec())
    await cluster
