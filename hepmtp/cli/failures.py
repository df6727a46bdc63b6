"""What a failed command says: one line, and the exit code that belongs to it.

The rule: what a user can mend is no bug. Only what nobody foresaw asks to be reported.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator

from hepmtp.errors import HepmtpError, missing_library

#: Exit codes: wrong input, or what a user can mend; an error that nobody foresaw.
WRONG, UNFORESEEN, STOPPED = 2, 1, 130

_FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"} | {
    errno.EFBIG: "the file is larger than it may be here"
}
_KILLED = {"TerminatedWorkerError", "BrokenProcessPool", "KilledWorker"}


def told(error: BaseException) -> tuple[str, int]:
    """The line that an error ends a command with, and its exit code.

    What caused an error counts too, for libraries wrap what they meet.

    Examples
    --------
    >>> told(ModuleNotFoundError("No module named 'zuko'", name="zuko"))
    ('error: zuko is not installed: run pip install "hepmtp[league]"', 2)
    """
    for one in chain(error):
        if (text := _known(one)) is not None:
            return f"error: {' '.join(text.split())}", WRONG
    if isinstance(error, OSError):
        return f"error: {_of_system(error)}", WRONG
    return (
        f"error: unexpected {type(error).__name__} (hepmtp --debug says more; please report it): "
        f"{' '.join(str(error).split())}"
    ), UNFORESEEN


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and what it came from."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _known(error: BaseException) -> str | None:
    """What a user can do about an error; None if it says that only itself."""
    if isinstance(error, HepmtpError):
        return str(error)
    if isinstance(error, ImportError):
        return missing_library(error)
    if isinstance(error, OSError) and error.errno in _FULL:
        where = f" where {error.filename} is written" if error.filename else ""
        return f"{_FULL[error.errno]}{where}; make room, or choose another folder"
    if "No space left on device" in str(error):
        return f"{_FULL[errno.ENOSPC]}; make room, or choose another folder"
    if isinstance(error, UnicodeEncodeError) and "surrogates" in error.reason:
        return (
            "a name is not ASCII, and this environment has no other letters: set PYTHONUTF8=1, or "
            "LC_ALL=C.UTF-8"
        )
    if isinstance(error, MemoryError):
        return "there is not enough memory; use a smaller --chunksize, or fewer events"
    if type(error).__name__ in _KILLED:
        return (
            "worker processes are killed again and again, most likely for want of memory; use "
            "fewer --workers or a smaller --chunksize"
        )
    return None


def _of_system(error: OSError) -> str:
    """An error of the system: which file, and what it says of it."""
    if error.filename is None or error.strerror is None:
        return " ".join(str(error).split()) or type(error).__name__
    reason = error.strerror[:1].lower() + error.strerror[1:]
    advice = {
        errno.EACCES: "; choose another place, or change its mode",
        errno.EROFS: "; choose another place",
        errno.ENOENT: "; check the name",
    }
    return f"{error.filename}: {reason}{advice.get(error.errno or 0, '')}"
