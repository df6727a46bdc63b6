"""Progress bars for long work on a terminal.

The rule: they are drawn on standard error, only if it is a terminal, and vanish when the work is
done.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from hepmtp.cli.terminal import plain, say


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
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        yield bar, bar.add_task(escape(plain(text)), total=None)


@contextlib.contextmanager
def download_bars() -> Iterator[Callable[[str, int, int | None], None]]:
    """A progress bar for each file that is downloaded.

    Told (name, bytes here, bytes in all), from any thread.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        tasks: dict[str, TaskID] = {}
        lock = threading.Lock()

        def show(name: str, done: int, total: int | None) -> None:
            with lock:
                if name not in tasks:
                    tasks[name] = bar.add_task(escape(plain(name)), total=total, completed=done)
            bar.update(tasks[name], completed=done, total=total, visible=done != total)

        yield show


@contextlib.contextmanager
def epoch_bars() -> Iterator[Callable[[int, int, int, float], None]]:
    """A progress bar for each epoch of a training, which leaves a line with its loss."""
    with contextlib.ExitStack() as stack:
        opened: list[tuple[Progress, TaskID]] = []

        def show(epoch: int, done: int, batches: int, loss: float) -> None:
            if not opened:
                opened.append(stack.enter_context(progress_bar(f"epoch {epoch}", "batches")))
            bar, task = opened[0]
            bar.update(
                task, description=f"epoch {epoch}, loss {loss:.4f}", completed=done, total=batches
            )
            if done == batches:
                stack.close()
                opened.clear()
                say(f"epoch {epoch}: training loss {loss:.4f}", err=True)

        yield show
