"""A run's folder as a submission to HEPData: `submission` writes it, the others its tables."""

from __future__ import annotations
