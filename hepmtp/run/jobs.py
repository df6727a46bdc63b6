"""Jobs of a batch system that have ended: that they have, and what their logs say of it.

The rule: the system is asked, and not the clock. One that does not answer has said nothing, and a
job that waits for a place may do so for a day.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

#: A batch system.
Queue = Literal["slurm", "htcondor"]
#: Seconds that a batch system has to answer.
ANSWER = 30.0
#: What HTCondor calls the states of a job; it is held when something is wrong with it.
_STATES = {"1": "idle", "2": "running", "3": "removed", "4": "completed", "5": "held"}
_ENDED = ("removed", "completed", "held")
#: Kinds of logs, that with most to say first.
_KINDS = ("err", "out", "log")
#: Of a log: so many lines from its end, none longer than this.
_LINES, _LONGEST = 5, 300


@dataclass(frozen=True)
class Jobs:
    """The jobs of a run.

    Parameters
    ----------
    queue
        that they were submitted to.
    numbers
        as it calls them.
    logs
        folder of what they write; None if nobody knows.
    options
        of the command that asks HTCondor: which of its schedulers.
    """

    queue: Queue
    numbers: tuple[str, ...]
    logs: Path | None = None
    options: Sequence[str] = ()

    def ended(self) -> str | None:
        """What is to be said when all jobs have ended; None if some have not, or nobody knows."""
        states = self._states()
        if states is None or any(state not in _ENDED for state, _ in states.values()):
            return None
        return (
            f"all {len(self.numbers)} jobs of --cluster {self.queue} have ended, and there is no "
            f"worker ({self._last_words(states)}): mend what it says, often the environment of a "
            f"job (job-script-prologue in the section jobqueue.{self.queue} of jobqueue.yaml); "
            "finished chunks are kept, --resume goes on from them"
        )

    def waiting(self) -> str:
        """In which states the jobs are, for who wonders why nothing happens."""
        states = sorted({state for state, _ in (self._states() or {}).values()})
        said = f"there is no worker yet of {len(self.numbers)} jobs of --cluster {self.queue}"
        return f"{said} ({', '.join(states)})" if states else said

    def _states(self) -> dict[str, tuple[str, str]] | None:
        """Number of a job that the system knows -> its state, and why; None without an answer."""
        command = {
            "slurm": ["squeue", "--noheader", f"--user={os.getuid()}", "--format=%A %T %r"],
            "htcondor": [
                *("condor_q", *self.options, *self.numbers, "-af:j", "JobStatus", "HoldReason")
            ],
        }[self.queue]
        try:
            run = subprocess.run(
                command, capture_output=True, encoding="utf-8", timeout=ANSWER, check=True
            )
        except (OSError, ValueError, subprocess.SubprocessError):
            return None
        found = {}
        for line in run.stdout.splitlines():
            number, _, rest = line.strip().partition(" ")
            state, _, why = rest.strip().partition(" ")
            if number in self.numbers:
                found[number] = _STATES.get(state, state.lower()), why
        return found

    def _last_words(self, states: dict[str, tuple[str, str]]) -> str:
        """Why a job is held, or the last lines of the first log that has some."""
        for number, (state, why) in states.items():
            if state == "held":
                return f"job {number} is held: {why[:_LONGEST]}"
        if self.logs is None:
            return "where their logs are, is not known"
        for number in self.numbers:
            # Slurm's name ends as -12.err, HTCondor's as -12.0.err or -12.log
            short = re.escape(number.removesuffix(".0"))
            for kind in _KINDS:
                mine = re.compile(rf".*-{short}(\.\d+)?\.{kind}")
                for path in self.logs.glob(f"*.{kind}"):
                    if mine.fullmatch(path.name) and (lines := _end_of(path)):
                        return f"the log of job {number} ends with: {' | '.join(lines)}"
        return f"no log of them in {self.logs}"


def _end_of(path: Path) -> list[str]:
    """The last lines of a file that are not empty; none if it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 10 * _LINES * _LONGEST))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    return [one.strip()[:_LONGEST] for one in text.splitlines() if one.strip()][-_LINES:]
