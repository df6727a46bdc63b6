"""Progress bars for long work on a terminal.

The rule: they are drawn on standard error, only if it is a terminal, and vanish when the work is done.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


@contextlib.contextmanager
def progress_bar(text: str, unit: str) -> Iterator[tuple[Progress, TaskID]]:
    """A progress bar on the terminal; its total may come later."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield bar, bar.add_task(text, total=None)


@contextlib.contextmanager
def epoch_bars() -> Iterator[Callable[[int, int, int, float], None]]:
    """A progress bar for each epoch of a training, which leaves a line with its loss."""
    with contextlib.ExitStack() as stack:
        opened: list[tuple[Progress, TaskID]] = []

        def show(epoch: int, done: int, batches: int, loss: float) -> None:
            if not opened:
                opened.append(stack.enter_context(progress_bar(f"epoch {epoch}", "batches")))
            bar, task = opened[0]
            bar.update(task, description=f"epoch {epoch}, loss {loss:.4f}", completed=done, total=batches)
            if done == batches:
                stack.close()
                opened.clear()
                typer.echo(f"epoch {epoch}: training loss {loss:.4f}", err=True)

        yield show
