"""Tables that objects show in a notebook, and what others wrote as text of a page.

The rule: plain HTML without style or script of its own, in the colours of whoever shows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape


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
