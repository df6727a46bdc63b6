"""Workers as jobs: what is submitted, and that it works and ends, with a stand-in of the systems.

The rule: the stand-ins take a job as `sbatch` and `condor_submit` do, and start it here at once. No
queue, no other machine and no site's settings are tried.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import dask
import pytest
from distributed import Client

from hepmtp.errors import ClusterError, OptionError
from hepmtp.run import cluster
from hepmtp.run.cluster import there
from hepmtp.run.executors import make_executor
from hepmtp.run.jobs import Jobs, Queue
from hepmtp.run.queues import queued

#: Starts a job, of which the systems take a copy: a script, or a description of the arguments.
SUBMIT = """#!{python}
import json, pathlib, re, subprocess, sys
here = pathlib.Path(__file__).parent
text = pathlib.Path(sys.argv[-1]).read_text()
if pathlib.Path(__file__).name == "sbatch":
    words, said = ["bash", "-c", text], "Submitted batch job {{}}"
else:
    inside = re.search('^Arguments = "-c \\'(.*)\\'"$', text, re.M)[1]
    inside = inside.replace("''", "'").replace('""', '"')
    words, said = ["/bin/sh", "-c", inside], "1 job(s) submitted to cluster {{}}."
logs = re.search("^(?:#SBATCH -e|LogDirectory =) ([^%\\s]*)", text, re.M)[1]
logs = pathlib.Path(logs if logs.endswith("-") else logs + "/worker-")
with open(f"{{logs}}new", "w") as log:
    job = subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)
pathlib.Path(f"{{logs}}new").rename(f"{{logs}}{{job.pid}}.0.err")
(here / "job.json").write_text(json.dumps([job.pid, text]))
print(said.format(job.pid))
"""
CANCEL = """#!/bin/sh
job="${1%.0}"
echo "$job" >> "$(dirname "$0")/cancelled"
kill -- "-$job"
"""
#: Says that the job is there, or nothing, or that it is held if there is a reason.
ASK = r"""#!/bin/sh
cd "$(dirname "$0")"
job="$(sed 's/^.\([0-9]*\),.*/\1/' job.json)"
state="$(sed -n 's/^State:.//p' "/proc/$job/status" 2>/dev/null)"
case "${state:-Z}/$(basename "$0")" in
    Z*/condor_q) [ ! -e held ] || echo "$job.0 5 $(cat held)";;
    */condor_q) echo "$job.0 2 undefined";;
    [!Z]*/squeue) echo "$job RUNNING None";;
esac
"""
NAMES = {
    "slurm": ("sbatch", "scancel", "squeue"),
    "htcondor": ("condor_submit", "condor_rm", "condor_q"),
}


@pytest.fixture
def systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the commands of both systems, first on the path."""
    pytest.importorskip("dask_jobqueue")
    for names in NAMES.values():
        texts = (SUBMIT.format(python=sys.executable), CANCEL, ASK)
        for name, text in zip(names, texts, strict=True):
            (tmp_path / name).write_text(text)
            (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("queue", ["slurm", "htcondor"])
def test_a_worker_is_a_job_and_ends_with_the_run(queue: Queue, systems: Path) -> None:
    with make_executor("dask", cluster=queue, workers=1, status=False) as executor:
        # no function of this module, which a worker cannot import
        found, _ = executor([1, 2, 3], lambda item: {item: os.environ["OMP_NUM_THREADS"]}, {})
        assert executor.jobs.ended() is None
        job, text = json.loads((systems / "job.json").read_text())
        assert Path(f"/proc/{job}").exists()
    assert found == {1: "1", 2: "1", 3: "1"}
    expected = {
        "slurm": ("#SBATCH -n 1", "#SBATCH --cpus-per-task=1", "#SBATCH --mem=4G"),
        "htcondor": ("MY.DaskWorkerCores = 1", "MY.DaskWorkerMemory = 4000000000", "Queue"),
    }[queue]
    assert set(expected) <= set(text.splitlines())
    assert (systems / "cancelled").read_text() == f"{job}\n"
    for _ in range(1200):
        if gone(job):
            break
        time.sleep(0.05)
    assert gone(job)
    assert not list(systems.glob(".hepmtp-jobs-*"))


@pytest.mark.parametrize(
    ("queue", "site", "message"),
    [
        ("slurm", {}, r"the log of job \d+ ends with: first \| no such environment\): mend"),
        ("htcondor", {}, r"the log of job \d+\.0 ends with: first \| no such environment\): mend"),
        ("htcondor", {"held": "no disk left"}, r"job \d+\.0 is held: no disk left\): mend what it"),
    ],
)
def test_jobs_that_end_at_once_end_the_run(
    queue: Queue,
    site: dict[str, str],
    message: str,
    systems: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(cluster, "LOOK", 0.5)
    for name, text in site.items():
        (systems / name).write_text(text)
    prologue = ["sleep 2", "echo first", "echo no such environment >&2", "exit 3"]
    with (
        dask.config.set({f"jobqueue.{queue}.job-script-prologue": prologue}),
        make_executor("dask", cluster=queue, workers=1, status=False) as executor,
        pytest.raises(ClusterError, match=message) as found,
    ):
        executor([1, 2], str, "")
    assert str(found.value).startswith(f"all 1 jobs of --cluster {queue} have ended, and there is")
    assert "finished chunks are kept, --resume goes on from them" in str(found.value)
    (said,) = {one.getMessage() for one in caplog.records if "waits for one" in one.getMessage()}
    assert said == (
        f"there is no worker yet of 1 jobs of --cluster {queue} (running): the run waits for one"
    )


def test_a_batch_system_that_does_not_answer_has_said_nothing(systems: Path) -> None:
    (systems / "squeue").write_text("#!/bin/sh\nexit 1\n")
    assert Jobs("slurm", ("7",)).ended() is None
    assert Jobs("slurm", ("7",)).waiting().endswith(" of 1 jobs of --cluster slurm")
    (systems / "squeue").write_text("#!/bin/sh\necho '7 PENDING Priority'\n")
    assert Jobs("slurm", ("7",)).ended() is None
    assert "(pending)" in Jobs("slurm", ("7",)).waiting()
    (systems / "squeue").write_text("#!/bin/sh\necho '77 RUNNING None'\n")
    assert "where their logs are, is not known" in str(Jobs("slurm", ("7",)).ended())
    assert f"no log of them in {systems}" in str(Jobs("slurm", ("7",), systems).ended())


def gone(process: int) -> bool:
    """Whether a process has ended; nobody may have asked how."""
    status = Path(f"/proc/{process}/status")
    return not status.exists() or "State:\tZ" in status.read_text()


def test_dask_configuration_says_what_a_site_wants(
    systems: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site: dict[str, Any] = {"cores": 4, "memory": "9 GB", "queue": "short"}
    site["job-script-prologue"] = ["module load a"]
    with dask.config.set({"jobqueue.slurm": {**dask.config.get("jobqueue.slurm"), **site}}):
        (systems / "sbatch").write_text("#!/bin/sh\necho 'Submitted batch job 0'\n")
        (systems / "scancel").write_text("#!/bin/sh\n")
        with queued("slurm", 6, {"A": "b"}) as found:
            script = found.cluster.job_script()
            assert len(found.cluster.worker_spec) == 2  # of four processes each
            assert found.jobs.logs is not None
            assert found.jobs.logs.parent == systems
        (systems / "100 % mine").mkdir()
        monkeypatch.chdir("100 % mine")  # would be words of their own in a job's script
        with queued("slurm", 1, {}) as found:
            assert "#SBATCH -e" in script
            assert "#SBATCH -e" not in found.cluster.job_script()
            assert found.jobs.logs is None
    lines = ["#SBATCH -p short", "#SBATCH --cpus-per-task=4", "module load a", "export A=b"]
    assert [one for one in script.splitlines() if one in lines] == lines
    assert "--nthreads 1 --memory-limit 2.10GiB --nworkers 4" in script


def test_jobs_that_cannot_be_submitted(systems: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (systems / "sbatch").write_text("#!/bin/sh\necho invalid account >&2\nexit 1\n")
    with (
        pytest.raises(ClusterError, match=r"sbatch refuses a job .*invalid account\): say what"),
        queued("slurm", 1, {}),
    ):
        pass
    monkeypatch.setattr(shutil, "which", {}.get)
    with pytest.raises(OptionError, match="there is no condor_submit here"):
        queued("htcondor", 1, {}).__enter__()
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    with pytest.raises(OptionError, match=r"needs dask-jobqueue: pip install 'hepmtp\[queues\]'"):
        queued("slurm", 1, {}).__enter__()


def test_what_a_facility_has_set_up_is_used(
    dask_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with make_executor("dask", status=False) as executor:
        assert executor.client is dask_client
    assert dask_client.status == "running"

    def none() -> Any:
        raise ValueError

    monkeypatch.setattr(Client, "current", none)
    assert there() is None
    address = dask_client.scheduler.address
    with (
        dask.config.set(dask.config.collect_env({"DASK_SCHEDULER_ADDRESS": address})),
        make_executor("dask", status=False) as executor,
    ):
        assert executor.client.scheduler.address == address


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("futures", {"cluster": "slurm"}, "needs the executor 'dask', found 'futures'"),
        ("dask", {"client": "tcp://a:1", "workers": 2}, "leave one of them out"),
        ("dask", {"client": "tcp://a:1", "cluster": "local"}, "leave one of them out"),
    ],
)
def test_options_without_effect_are_refused(name: Any, options: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        make_executor(name, **options).__enter__()
