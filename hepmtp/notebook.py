"""Tables that objects show in a notebook, the bar of a training, and text of others as text.

The rule: plain HTML without style or script of its own, in the colours of whoever shows it.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

#: Seconds between two drawings of a bar.
REDRAWN = 0.2
#: Told (epoch, batches done, batches in an epoch, mean loss so far).
EpochProgress = Callable[[int, int, int, float], None]


def facts_table(title: str, facts: Mapping[str, str]) -> str:
    """What is known of one thing, a row each, as HTML; an empty fact is left out.

    Examples
    --------
    >>> print(facts_table("ttbarW", {"role": "background", "note": "", "pt": "> 20 GeV"}))
    <table><caption>ttbarW</caption><tbody>
    <tr><th scope="row">role</th><td>background</td></tr>
    <tr><th scope="row">pt</th><td>&gt; 20 GeV</td></tr>
    </tbody></table>
    """
    rows = [
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(fact)}</td></tr>'
        for name, fact in facts.items()
        if fact
    ]
    return _table(title, rows)


def rows_table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows of texts below their heads, as HTML.

    Examples
    --------
    >>> print(rows_table("chi2", ["from", "to"], [["0", "1"]]))
    <table><caption>chi2</caption><tbody>
    <tr><th scope="col">from</th><th scope="col">to</th></tr>
    <tr><td>0</td><td>1</td></tr>
    </tbody></table>
    """
    first = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    others = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
    return _table(title, [f"<tr>{cells}</tr>" for cells in (first, *others)])


def in_markdown(text: str) -> str:
    r"""A text in a sentence or a cell of markdown: without HTML, links and lines of its own.

    Examples
    --------
    >>> print(in_markdown("<img src=x>|![a](http://b)"))
    &lt;img src=x&gt;\|![a]\(http://b)
    """
    plain = escape(" ".join(text.split()), quote=False)
    return plain.replace("|", r"\|").replace("](", r"]\(")


def _table(title: str, rows: Sequence[str]) -> str:
    lines = (f"<table><caption>{escape(title)}</caption><tbody>", *rows, "</tbody></table>")
    return "\n".join(lines)


@contextlib.contextmanager
def epoch_bar(epochs: int) -> Iterator[EpochProgress | None]:
    """In a Jupyter notebook: a bar of all batches of a training, one output that is redrawn.

    Anywhere else nothing is drawn, and what is given is None.
    """
    if not in_notebook():
        yield None
        return
    ipython: Any = importlib.import_module("IPython.display")  # there in a notebook alone
    shown = ipython.display(_bar("training", 0.0), raw=True, display_id=True)
    now, drawn = _bar("training", 0.0), time.monotonic()

    def show(epoch: int, done: int, batches: int, loss: float) -> None:
        nonlocal now, drawn
        text = f"epoch {epoch} of {epochs}, training loss {loss:.4f}"
        now = _bar(text, (epoch - 1 + done / batches) / epochs)
        if time.monotonic() - drawn > REDRAWN:
            drawn = time.monotonic()
            shown.update(now, raw=True)

    yield show
    shown.update(now, raw=True)


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and hasattr(shell, "kernel")


def _bar(text: str, share: float) -> dict[str, str]:
    """What a notebook shows of a training, and what it shows where there is no HTML."""
    bar = f'<progress max="1" value="{share:.3f}"></progress> {escape(text)}'
    return {"text/plain": text, "text/html": bar}
