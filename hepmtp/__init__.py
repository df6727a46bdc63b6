"""hepmtp: masked-token prediction for LHC anomaly detection, as coffea processors without padding.

The rule: ``import hepmtp`` is cheap; a name is imported (and torch, coffea or matplotlib with it) when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the same names as in _HOMES, for type checkers and editors
    from hepmtp.errors import HepmtpError as HepmtpError
    from hepmtp.events import check_events as check_events
    from hepmtp.events import concatenate as concatenate
    from hepmtp.events import make_events as make_events
    from hepmtp.manifest import Dataset as Dataset
    from hepmtp.manifest import embedded as embedded
    from hepmtp.manifest import load_manifest as load_manifest
    from hepmtp.regions import REGIONS as REGIONS
    from hepmtp.regions import Region as Region
    from hepmtp.split import split_of as split_of
    from hepmtp.tokens import TokenBatch as TokenBatch

__version__ = "0.1.0"

#: Public names and the module that each lives in.
_HOMES: dict[str, str] = {
    "Dataset": "manifest",
    "HepmtpError": "errors",
    "REGIONS": "regions",
    "Region": "regions",
    "TokenBatch": "tokens",
    "check_events": "events",
    "concatenate": "events",
    "embedded": "manifest",
    "load_manifest": "manifest",
    "make_events": "events",
    "split_of": "split",
}

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604

if not TYPE_CHECKING:  # a type checker must not take every misspelt name for Any

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module 'hepmtp' has no attribute {name!r}")
        return getattr(importlib.import_module(f"hepmtp.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
