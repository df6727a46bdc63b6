"""Checkpoints of chunks that also say what the reader left out of them.

The rule: a run that goes on from checkpoints accounts for the same events as one that does not.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from coffea.processor import CheckpointerABC

from hepmtp.run.chunks import skipped_in


class _Checkpoints(CheckpointerABC):  # type: ignore[misc]
    """A checkpointer of a user, told what was skipped of each chunk."""

    def __init__(self, kept: CheckpointerABC) -> None:
        self.kept = kept

    def load(self, metadata: Any, processor_instance: Any) -> Any:
        """What was saved of a chunk; None if nothing was, or if its metadata were others."""
        output = self.kept.load(metadata, processor_instance)
        same = output is not None and output.get("made_of") == {_digest(metadata)}
        return output if same else None

    def save(self, output: Any, metadata: Any, processor_instance: Any) -> None:
        """Save the output of a chunk, and what its reader skipped beside it."""
        if skipped := skipped_in(output["processed"]):
            output["skipped"] = skipped
        output["made_of"] = {_digest(metadata)}
        self.kept.save(output, metadata, processor_instance)


def _digest(metadata: Any) -> str:
    """Of all that was known of a chunk: its cross-section and its share of the weights, too."""
    text = json.dumps(metadata, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def told_of_skips(kept: CheckpointerABC | None) -> Any:
    """A user's checkpointer, told what was skipped of each chunk; None for None."""
    return kept if kept is None or isinstance(kept, _Checkpoints) else _Checkpoints(kept)
