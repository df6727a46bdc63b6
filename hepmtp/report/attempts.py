"""Tables and figures are tried: one that cannot be made is a warning, and the rest goes on.

The rule: what was computed is written before anything is tried.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from typing import TypeVar

from hepmtp.errors import HepmtpError

T = TypeVar("T")

#: Errors of a disk that will take nothing more: no figure is to blame.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
log = logging.getLogger(__name__)


class Attempts:
    """Makes things, and remembers in `remarks` what could not be made and why.

    Examples
    --------
    >>> attempt = Attempts()
    >>> attempt("the share", lambda: 1 / 4), attempt("the ratio", lambda: 1 / 0)
    (0.25, None)
    >>> attempt.remarks
    ['The ratio could not be made: ZeroDivisionError: division by zero.']
    """

    def __init__(self) -> None:
        self.remarks: list[str] = []

    def __call__(self, what: str, make: Callable[[], T]) -> T | None:
        """What `make` gives; None, one warning line and one remark if it raises.

        A full disk is raised.
        """
        try:
            return make()
        except Exception as error:
            if isinstance(error, OSError) and error.errno in _FULL:
                raise
            text = " ".join(str(error).split())
            if not isinstance(error, HepmtpError):
                text = f"{type(error).__name__}: {text}"
            found = f"{what[:1].upper()}{what[1:]} could not be made: {text.rstrip('.')}."
            log.warning("%s", found)
            log.debug("the traceback of this warning", exc_info=True)
            self.remarks.append(found)
            return None
