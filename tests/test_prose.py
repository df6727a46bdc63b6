"""Docstrings have sentences of at most 30 words, and lines at most 100 characters."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MOST_WORDS, MOST_CHARACTERS = 30, 100
#: A full stop ends a sentence where a capital letter, a number or a quoted name follows.
END = re.compile(r"(?<=[.!?]) (?=[A-Z0-9`*\"(])")
CODE = (">>>", "...", "|", "===", "---")


def sentences(text: str) -> Iterator[str]:
    """Sentences of a docstring or a page; code, tables and headings are none."""
    paragraph: list[str] = []
    indent, code = 0, -1
    for line in [*text.splitlines(), ""]:
        stripped = line.strip()
        here = len(line) - len(line.lstrip())
        if stripped and here <= code:
            code = -1
        item = stripped.startswith("- ")
        if not stripped or item or here != indent or code >= 0 or stripped.startswith(CODE):
            yield from END.split(" ".join(paragraph)) if paragraph else ()
            paragraph = []
        if code >= 0 or not stripped or stripped.startswith(CODE):
            continue
        paragraph.append(stripped.removeprefix("- "))
        indent = here + 2 * item
        if stripped.endswith("::"):
            code = here


def docstrings(source: str) -> Iterator[tuple[str, str]]:
    """Name and text of each docstring of a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            text = ast.get_docstring(node)
            if text:
                yield getattr(node, "name", "module"), text


def python(*folders: str) -> list[str]:
    """Python files below these folders."""
    files = (path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return sorted(path.relative_to(ROOT).as_posix() for path in files)


PYTHON = python("hepmtp", "processors", "examples", "benchmarks")


@pytest.mark.parametrize("path", PYTHON)
def test_docstrings_have_short_sentences(path: str) -> None:
    long = [
        f"{name}: {sentence}"
        for name, text in docstrings((ROOT / path).read_text(encoding="utf-8"))
        for sentence in sentences(text)
        if len(sentence.split()) > MOST_WORDS
    ]
    assert long == []


@pytest.mark.parametrize("path", [*PYTHON, *python("tests", "docs"), "noxfile.py"])
def test_lines_are_short(path: str) -> None:
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if len(line) > MOST_CHARACTERS] == []


def test_sentences_are_told_from_code_and_tables() -> None:
    text = """First line.

    Second sentence, e.g. with a name. `Third` one
    goes on.

    - an item
      that goes on. And more.

    Shown so::

        no sentence. Here

    name
        Its meaning.

    >>> code. Here
    """
    found = list(sentences(ast.get_docstring(ast.parse(f'"""{text}"""')) or ""))
    assert found == [
        "First line.", "Second sentence, e.g. with a name.", "`Third` one goes on.",
        "an item that goes on.", "And more.", "Shown so::", "name", "Its meaning.",
    ]  # fmt: skip
