"""Studies of language models of jets: how their samples compare with true jets.

The rule: measured on jets that trained nothing, and each distance stands beside its floor.
"""

from __future__ import annotations
