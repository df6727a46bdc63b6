"""Run: a fileset becomes an accumulator, on any of coffea's executors."""

from __future__ import annotations
