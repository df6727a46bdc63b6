"""hepmtp: masked-token prediction for LHC anomaly detection, as coffea processors without padding.

The rule: ``import hepmtp`` is cheap; a name is imported (and torch, coffea or matplotlib with it) when it is first used.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

#: Public names and the module that each lives in.
_HOMES: dict[str, str] = {
    "HepmtpError": "errors",
    "make_events": "events",
    "check_events": "events",
    "concatenate": "events",
    "TokenBatch": "tokens",
    "split_of": "split",
    "Region": "regions",
    "REGIONS": "regions",
}

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'hepmtp' has no attribute {name!r}")
    return getattr(importlib.import_module(f"hepmtp.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
