"""Commands about a trained detector."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hepmtp.cli.terminal import say


def export(
    detector: Annotated[
        str,
        typer.Argument(
            help="Folder of a trained detector; FOLDER#excess for that form of its score.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder to write; one of before is replaced.")
    ] = Path("exported"),
) -> None:
    """Write a detector for those who have numpy and onnxruntime, but not hepmtp.

    An ONNX graph of all that it does, a contract of what goes in and out, 100 test events with
    their scores, and a scorer of 60 lines. What cannot be exported is refused with the reason.

    Example: `hepmtp export detectors/masked_token --output exported`
    """
    from hepmtp.detectors.export.folder import export_detector

    contract = export_detector(detector, output)
    say(
        f"{output}: {contract['name']}; scores may differ by {contract['tolerance']:.1g} "
        f"({output / 'scorer.py'} checks it)"
    )
