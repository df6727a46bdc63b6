"""Processors: thin coffea analysis code on top of hepmtp, shipped in the same wheel."""

from __future__ import annotations
