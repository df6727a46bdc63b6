"""Failures: what an error of a disk or a server means for the file that was asked for.

The rule: what may pass by itself is a NetworkError. What will not, because the file is not there or
may not be read, is a ReadError that says so. Neither is ever called damage of the file.

Each protocol has errors of its own, which often hide the first one. So the whole chain of causes is
looked through, and no library of a protocol is imported for it.
"""

from __future__ import annotations

import errno
import logging
import re
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal

from hepmtp.errors import HepmtpError, NetworkError, ReadError

Meaning = Literal["passes", "absent", "forbidden"]

logger = logging.getLogger(__name__)

#: Pauses before the next tries [s].
PAUSES = (1.0, 4.0, 16.0)
#: What the operating system says when a disk, or what it is on, does not answer.
_PASSING = {
    getattr(errno, name)
    for name in (
        *("EIO", "ESTALE", "EREMOTEIO", "ETIMEDOUT", "EPIPE", "EHOSTUNREACH", "EHOSTDOWN"),
        *("ENETUNREACH", "ENETDOWN", "ENETRESET", "ECONNREFUSED", "ECONNRESET", "ECONNABORTED"),
    )
    if hasattr(errno, name)
}
#: Errors of aiohttp, botocore and urllib3 that mean the same, by name.
_NAMES = {
    *("ClientConnectionError", "ClientPayloadError", "EndpointConnectionError"),
    *("ConnectionClosedError", "ConnectTimeoutError", "ReadTimeoutError", "IncompleteRead"),
}
#: Answers of a web server below 500 that are to be asked again.
_BUSY = {408, 425, 429}
#: Messages of XRootD, which has no codes of its own in Python.
_XROOTD: tuple[tuple[str, Meaning], ...] = (
    (r"\[3011\]|no such file", "absent"),
    (r"\[3010\]|permission denied|auth\w* failed", "forbidden"),
    (r"operation expired|(connection|socket|stream) (error|timeout|lost)|timed out", "passes"),
)


def meaning(error: BaseException) -> tuple[Meaning | None, BaseException]:
    """What an error means, and that of its causes which tells it; None if it means the file itself.

    Examples
    --------
    >>> meaning(ConnectionResetError())[0], meaning(OSError(5, "Input/output error"))[0]
    ('passes', 'passes')
    >>> meaning(FileNotFoundError())[0], meaning(ValueError("bad magic"))[0]
    ('absent', None)
    """
    # fsspec makes a FileNotFoundError of every failure: the answer of the server comes first, then
    # what may pass, wherever it stands among the causes
    chain = list(causes(error))
    told = [(_by_status(one), one) for one in chain]
    told += sorted(((_by_kind(one), one) for one in chain), key=lambda pair: pair[0] != "passes")
    return next((pair for pair in told if pair[0]), (None, error))


def failure(path: str, error: BaseException, *, remote: bool) -> ReadError | None:
    """The error to raise for a file that failed for this reason, if disk or network is to blame."""
    found, told_by = meaning(error)
    if found is None:
        return None
    reason = reason_of(told_by if found == "passes" else error)
    what = f"{path} cannot be read {'in place' if remote else 'now'} ({reason})"
    if found == "passes":
        who = "the server" if remote else "its disk"
        return NetworkError(f"{what}; {who} does not answer as it should: try again later")
    if found == "absent":
        advice = "there is no such file: check the address" if remote else "check its name"
        return ReadError(f"{what}; {advice}")
    return ReadError(f"{what}; you may not read it: log in, or ask its owner")


def tried(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What a function returns, tried again while it fails for a reason that may pass."""
    for pause in PAUSES:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            if not _may_pass(error):
                raise
            logger.warning("%s; trying again in %g s", told(error), pause)
        time.sleep(pause)
    return function(*args, **kwargs)


def _may_pass(error: BaseException) -> bool:
    if (ours := ours_of(error)) is not None:
        return isinstance(ours, NetworkError)
    return meaning(error)[0] == "passes"


def ours_of(error: BaseException) -> HepmtpError | None:
    """The outermost error of ours among the causes."""
    return next((one for one in causes(error) if isinstance(one, HepmtpError)), None)


def told(error: BaseException) -> str:
    """What an error of ours among the causes says, else the innermost one."""
    if (ours := ours_of(error)) is not None:
        return str(ours).split("\n", maxsplit=1)[0]
    return reason_of(list(causes(error))[-1])


def reason_of(error: BaseException) -> str:
    """The kind of an error and the first line of what it says."""
    return f"{type(error).__name__}: {error}".strip().split("\n", maxsplit=1)[0]


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and its causes, the outermost first."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        yield error
        seen.add(id(error))
        error = error.__cause__ or error.__context__


def _by_status(error: Any) -> Meaning | None:
    status = getattr(error, "status", None)
    if status is None:
        status = getattr(getattr(error, "response", None), "status_code", None)
    if not isinstance(status, int):
        return None
    if status >= 500 or status in _BUSY:
        return "passes"
    return "forbidden" if status in (401, 403) else "absent" if status in (404, 410) else None


def _by_kind(error: BaseException) -> Meaning | None:
    names = {cls.__name__ for cls in type(error).__mro__}
    passing = isinstance(error, (ConnectionError, TimeoutError, socket.gaierror))
    if passing or names & _NAMES or getattr(error, "errno", None) in _PASSING:
        return "passes"
    if isinstance(error, FileNotFoundError):
        return "absent"
    if isinstance(error, PermissionError):
        return "forbidden"
    if isinstance(error, OSError):
        said = str(error).lower()
        # libraries in C tell the number in the text only
        if (number := re.search(r"errno\s*=?\s*(\d+)", said)) and int(number[1]) in _PASSING:
            return "passes"
        return next((means for text, means in _XROOTD if re.search(text, said)), None)
    return None
