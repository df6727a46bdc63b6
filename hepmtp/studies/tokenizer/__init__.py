"""The tokenizer report: what a tokenizer keeps of an event."""

from __future__ import annotations
