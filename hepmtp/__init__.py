"""hepmtp: masked-token prediction for LHC anomaly detection, as coffea processors without padding.

The rule: ``import hepmtp`` is cheap; a name is imported (and torch, coffea or matplotlib with it) when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the same names as in _HOMES, for type checkers and editors
    from hepmtp.comparison import compare as compare
    from hepmtp.comparison import threshold as threshold
    from hepmtp.detectors import load_detector as load_detector
    from hepmtp.detectors.masked_token import MaskedTokenDetector as MaskedTokenDetector
    from hepmtp.detectors.observables import Observable as Observable
    from hepmtp.detectors.token_rarity import TokenRarity as TokenRarity
    from hepmtp.errors import HepmtpError as HepmtpError
    from hepmtp.events import check_events as check_events
    from hepmtp.events import concatenate as concatenate
    from hepmtp.events import make_events as make_events
    from hepmtp.histograms import rebin as rebin
    from hepmtp.manifest import Dataset as Dataset
    from hepmtp.manifest import embedded as embedded
    from hepmtp.manifest import fileset as fileset
    from hepmtp.manifest import load_manifest as load_manifest
    from hepmtp.manifest import read as read
    from hepmtp.models.masked import ModelOptions as ModelOptions
    from hepmtp.regions import REGIONS as REGIONS
    from hepmtp.regions import Region as Region
    from hepmtp.run import HepRunner as HepRunner
    from hepmtp.run import make_executor as make_executor
    from hepmtp.split import split_of as split_of
    from hepmtp.tokenizers.lookup import LookupTokenizer as LookupTokenizer
    from hepmtp.tokens import TokenBatch as TokenBatch
    from hepmtp.training import TrainingOptions as TrainingOptions

__version__ = "0.1.0"

#: Public names and the module that each lives in.
_HOMES: dict[str, str] = {
    "Dataset": "manifest",
    "HepRunner": "run",
    "HepmtpError": "errors",
    "LookupTokenizer": "tokenizers.lookup",
    "MaskedTokenDetector": "detectors.masked_token",
    "ModelOptions": "models.masked",
    "Observable": "detectors.observables",
    "REGIONS": "regions",
    "Region": "regions",
    "TokenBatch": "tokens",
    "TokenRarity": "detectors.token_rarity",
    "TrainingOptions": "training",
    "check_events": "events",
    "compare": "comparison",
    "concatenate": "events",
    "embedded": "manifest",
    "fileset": "manifest",
    "load_detector": "detectors",
    "load_manifest": "manifest",
    "make_events": "events",
    "make_executor": "run",
    "read": "manifest",
    "rebin": "histograms",
    "split_of": "split",
    "threshold": "comparison",
}

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604

if not TYPE_CHECKING:  # a type checker must not take every misspelt name for Any

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module 'hepmtp' has no attribute {name!r}")
        return getattr(importlib.import_module(f"hepmtp.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
