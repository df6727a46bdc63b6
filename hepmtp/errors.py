"""Every error that hepmtp raises on purpose, as one tree.

The rule: the text says what was asked, what was found, where, and what to do::

    HepmtpError
    ├── ReadError        a file that is not what its reader expects        (also ValueError)
    │   └── NetworkError a remote file, or a disk, that does not answer now
    ├── ManifestError    data_manifest.yaml, one of its data sets          (also ValueError)
    ├── FetchError       a download that failed
    ├── ClusterError     a Dask scheduler that does not answer, or has no workers
    ├── EventError       events that break the event record                (also ValueError)
    ├── NotFittedError   a tokenizer or detector used before ``fit``       (also ValueError)
    ├── TokenError       ids outside the vocabulary, offsets that do not fit (also ValueError)
    ├── TrainingError    training on signal, on nothing, or into NaN
    ├── ScoreError       a score that is NaN or infinite
    ├── StorageError     a saved folder that is missing, damaged or of another kind
    ├── OptionError      an option that does not exist or has no such value (also ValueError)
    ├── FitError         a fit or a limit that does not arrive
    └── RegionError      a region that is unknown or does not select       (also ValueError)
"""

from __future__ import annotations

import inspect
from typing import TypeVar

_Fitted = TypeVar("_Fitted")

#: Libraries that come with an extra of hepmtp, and its name.
EXTRAS = {
    "sklearn": "league",
    "torch_geometric": "league",
    "vector_quantize_pytorch": "league",
    "zuko": "league",
    "cabinetry": "stats",
    "hepdata_lib": "hepdata",
    "hepdata_validator": "hepdata",
    "onnx": "export",
    "onnxruntime": "export",
    "onnxscript": "export",
    "fastjet": "simulation",
    "pythia8mc": "simulation",
    "fsspec_xrootd": "xrootd",
    "XRootD": "xrootd",
}


class HepmtpError(Exception):
    """The root: ``except HepmtpError`` catches everything that hepmtp raises on purpose."""


class ReadError(HepmtpError, ValueError):
    """A file cannot be read as events; names file, line (or entry), what was found, what to do."""


class NetworkError(ReadError):
    """A remote file or a disk did not answer; the same request may succeed a little later."""


class ManifestError(HepmtpError, ValueError):
    """The manifest, one of its data sets, or a file that it names is wrong or missing."""


class EventError(HepmtpError, ValueError):
    """Events break the event record of :mod:`hepmtp.events`."""


class NotFittedError(HepmtpError, ValueError):
    """A tokenizer or detector was used before ``fit``."""


class TokenError(HepmtpError, ValueError):
    """Token ids or offsets do not fit the vocabulary or each other."""


class TrainingError(HepmtpError):
    """Training was refused or has failed."""


class ScoreError(HepmtpError):
    """A score is not a finite number."""


class StorageError(HepmtpError):
    """A saved folder is missing, damaged, or of another kind or version.

    No OSError: coffea's ``skipbadfiles`` would take it for a bad data file and drop the events.
    """


class OptionError(HepmtpError, ValueError):
    """An option is unknown, or has a value that it cannot have."""


class FetchError(HepmtpError):
    """A download failed, or what arrived is not what was announced."""


class ClusterError(HepmtpError):
    """A Dask scheduler does not answer, has no workers, or these do not see what they need."""


class RegionError(HepmtpError, ValueError):
    """A region is unknown, or what it selects is not one bool per event."""


class FitError(HepmtpError):
    """A fit or a limit has no result: what was fitted, how far it came, and what to do."""


def fitted(value: _Fitted | None, owner: object) -> _Fitted:
    """What `fit` has set on its owner; raises NotFittedError while it is None."""
    if value is None:
        raise NotFittedError(
            f"this {type(owner).__name__} is not fitted yet: call fit(background events) first"
        )
    return value


def check_protocol(thing: object, protocol: type) -> None:
    """Raise OptionError that names what `thing` lacks of a protocol.

    No property is evaluated: that of a detector which is not fitted would raise.
    """
    found = inspect.getattr_static
    asked = [name for name in vars(protocol) if not name.startswith("_")]
    if lacking := [name for name in asked if found(thing, name, None) is None]:
        raise OptionError(
            f"{type(thing).__name__} is no {protocol.__name__}, it lacks {', '.join(lacking)}: "
            f"see {protocol.__module__}.{protocol.__name__} for what each of them is"
        )


def missing_library(error: ImportError) -> str | None:
    """What to install, if an import failed for want of a library of an extra; else None.

    Examples
    --------
    >>> missing_library(ModuleNotFoundError("No module named 'zuko'", name="zuko"))
    'zuko is not installed: run pip install "hepmtp[league]"'
    """
    library = (error.name or "").partition(".")[0]
    if library not in EXTRAS:
        return None
    return f'{library} is not installed: run pip install "hepmtp[{EXTRAS[library]}]"'
