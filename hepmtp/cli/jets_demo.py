"""The command ``hepmtp jets demo``.

The rule: thin, as every command.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hepmtp.cli.found import say_found
from hepmtp.cli.options import Output, Overwrite, Pdf, Seed
from hepmtp.cli.progress import epoch_bars


def demo(
    output: Output = Path("hepmtp-demo-jets"),
    quick: Annotated[
        bool, typer.Option("--quick", help="Tiny models, for a look: under a minute.")
    ] = False,
    seed: Seed = 0,
    pdf: Pdf = False,
    overwrite: Overwrite = False,
) -> None:
    """Do everything once on the embedded jets: train, generate, compare, density, report.

    It takes a few minutes. Writes the models, generated jets, tables, figures and report.html into
    the output folder. The jets are hepmtp's own simulation. An older demo is replaced.

    Example: `hepmtp jets demo --output hepmtp-demo-jets`
    """
    from hepmtp.cli.demo_jets import run_demo_jets

    with epoch_bars() as show:
        run_demo_jets(output, quick=quick, seed=seed, pdf=pdf, progress=show, overwrite=overwrite)
    say_found(output)
