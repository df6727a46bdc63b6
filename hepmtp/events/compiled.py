"""Functions in machine code, compiled by numba and kept on disk.

The rule: only modules of such functions import this, and those who call them import these where
they need them. Numba takes a second to start.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

_F = TypeVar("_F", bound=Callable[..., Any])


def compiled(fastmath: frozenset[str] = frozenset()) -> Callable[[_F], _F]:
    """A decorator: a function in machine code, found on disk by the next process if it can be.

    Parameters
    ----------
    fastmath
        LLVM's flags of what may be changed in its sums; none by default.
    """

    def make(function: _F) -> _F:
        jit = functools.partial(numba.njit, nogil=True, error_model="numpy", fastmath=set(fastmath))
        try:
            return cast("_F", jit(function, cache=True))
        except RuntimeError:  # neither the package nor the user's cache can be written
            return cast("_F", jit(function))

    return make
