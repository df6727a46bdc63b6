"""The league: every detector against every signal in every region, on the same events."""

from __future__ import annotations
