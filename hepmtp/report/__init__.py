"""Report: numbers become a folder for a reader."""

from __future__ import annotations
