"""Training: the one place with an optimiser."""

from __future__ import annotations
