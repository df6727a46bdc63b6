"""What a benchmark found: shown, and written where it is wanted."""

from __future__ import annotations

from pathlib import Path


def show(text: str, out: Path | None) -> None:
    """Print the text, and write it into the file `out`, if that is named."""
    print(text.removesuffix("\n"))
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
