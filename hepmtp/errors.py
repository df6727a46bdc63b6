"""Every error that hepmtp raises on purpose, as one tree.

The rule: the text says what was asked, what was found, where, and what to do::

    HepmtpError
    ├── ReadError        a file that is not what its reader expects        (also ValueError)
    ├── ManifestError    data_manifest.yaml, one of its data sets          (also ValueError)
    ├── FetchError       a download that failed
    ├── EventError       events that break the event record                (also ValueError)
    ├── NotFittedError   a tokenizer or detector used before ``fit``       (also ValueError)
    ├── TokenError       ids outside the vocabulary, offsets that do not fit (also ValueError)
    ├── TrainingError    training on signal, on nothing, or into NaN
    ├── ScoreError       a score that is NaN or infinite
    ├── StorageError     a saved folder that is missing, damaged or of another kind
    ├── OptionError      an option that does not exist or has no such value (also ValueError)
    └── RegionError      a region that is unknown or does not select       (also ValueError)
"""

from __future__ import annotations


class HepmtpError(Exception):
    """The root: ``except HepmtpError`` catches everything that hepmtp raises on purpose."""


class ReadError(HepmtpError, ValueError):
    """A file cannot be read as events.

    Names file, line (or entry), what was found and what to do.
    """


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


class RegionError(HepmtpError, ValueError):
    """A region is unknown, or what it selects is not one bool per event."""
