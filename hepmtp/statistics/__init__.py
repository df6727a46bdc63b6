"""Statistics: histograms become numbers."""

from __future__ import annotations
