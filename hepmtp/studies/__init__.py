"""Studies: methods are judged."""

from __future__ import annotations
