"""The masked-token detector: its score, the surprises of single tokens, and their tails in background."""

from __future__ import annotations
