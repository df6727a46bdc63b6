"""Data sets: a name becomes checked files."""

from __future__ import annotations
