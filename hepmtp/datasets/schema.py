"""The content of a manifest.

YAML, checked by the JSON schema that is shipped beside the embedded data.

The rule: an error names the file, the line that must be changed, what is there and what is
expected.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any, cast

import yaml
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from hepmtp.datasets.text import from_yaml, read_text
from hepmtp.errors import ManifestError

#: The schema; editors can use it too.
SCHEMA = Path(__file__).parents[1] / "data" / "data_manifest.schema.json"


@dataclass(frozen=True)
class ManifestFile:
    """What a manifest says, and where."""

    path: Path
    content: dict[str, Any]
    root: yaml.Node

    def line(self, *place: str | int, key: str | None = None) -> int:
        """Line of a place such as ``("datasets", 3, "role")``; of a key in it, if one is given."""
        return int(_mark(self.root, [*place, *([] if key is None else [key])]).line) + 1

    def where(self, *place: str | int, key: str | None = None) -> str:
        """File, line and row of a place."""
        return f"{self.path} line {self.line(*place, key=key)}{_row(self.content, place)}"


def read_manifest(path: Path) -> ManifestFile:
    """A manifest, checked by the schema; the same text is checked once.

    Raises
    ------
    ManifestError
        naming file, line, row, key and what is expected.
    """
    try:
        with path.open("rb") as file:
            found = _checked(path, read_text(file, str(path)))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ManifestError(f"{path} cannot be read as a manifest: {error}") from None
    return replace(found, content=deepcopy(found.content))


@functools.lru_cache(maxsize=8)
def _checked(path: Path, text: str) -> ManifestFile:
    """What the text of a manifest says, if the schema allows it."""
    root, content = from_yaml(text, str(path))
    if (
        root is None
        or not isinstance(content, dict)
        or not isinstance(content.get("datasets"), list)
    ):
        raise ManifestError(
            f"{path} has no list 'datasets' at its top; see hepmtp's own manifest, or {SCHEMA}"
        )
    _check_keys(path, root)
    found = ManifestFile(path, content, root)
    wrong = sorted({_told(found, error) for error in _validator().iter_errors(content)})
    if wrong:
        more = f" (and {len(wrong) - 1} more to be corrected)" if len(wrong) > 1 else ""
        raise ManifestError(f"{wrong[0][1]}{more}")
    return found


def check_names(manifest: ManifestFile, key: str, many: str) -> None:
    """Raise ManifestError if two rows below a key have one name; `many` is what they are called."""
    seen: dict[str, int] = {}
    for i, row in enumerate(manifest.content.get(key, ()), start=1):
        if (first := seen.setdefault(row["name"], i)) != i:
            raise ManifestError(
                f"{manifest.path} line {manifest.line(key, i - 1, key='name')}: {many} {first} and "
                f"{i} have the same name {row['name']!r}; a name is unique"
            )


def _words(names: Iterable[object]) -> str:
    """Names as they stand in an error, sorted."""
    return ", ".join(repr(name) for name in sorted(names, key=str))


def _validator() -> Any:
    """The validator of the schema: a number is finite, and a whole number is written as one."""
    types = Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: type(value) is int
    )
    types = types.redefine(
        "number", lambda _, value: type(value) in (int, float) and isfinite(value)
    )
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    return extend(Draft202012Validator, type_checker=types)(schema)  # type: ignore[no-untyped-call]


def _told(manifest: ManifestFile, error: ValidationError) -> tuple[int, str]:
    """The line of what is wrong, and the sentence about it."""
    place, schema = list(error.absolute_path), cast("dict[str, Any]", error.schema)
    key: str | None = None
    if error.validator == "additionalProperties":
        unknown = set(cast("dict[object, Any]", error.instance)) - set(schema["properties"])
        key = str(min(unknown, key=str))
        text = f": key {_words(unknown)} is unknown; allowed are {', '.join(schema['properties'])}"
    elif error.validator == "required":
        missing = [
            name
            for name in schema["required"]
            if name not in cast("dict[str, Any]", error.instance)
        ]
        text = f": key {_words(missing)} is missing; needed are {', '.join(schema['required'])}"
    else:
        inner = place[2:] if len(place) > 1 else place
        named = f": key {' of '.join(repr(part) for part in reversed(inner))}" if inner else ""
        text = f"{named} is {error.instance!r}, expected {schema['description']}"
    return manifest.line(*place, key=key), f"{manifest.where(*place, key=key)}{text}"


def _row(content: Any, place: Sequence[str | int]) -> str:
    if len(place) < 2:
        return ""
    row = content[place[0]][place[1]]
    name = f" ({row.get('name', 'no name')})" if isinstance(row, dict) else ""
    return f": {'entry' if place[0] == 'datasets' else 'record'} {int(place[1]) + 1}{name}"


def _mark(node: yaml.Node, place: Sequence[str | int]) -> yaml.Mark:
    """Where a place is in the text.

    The line of its key, even if the key is taken over with ``<<``.
    """
    mark = node.start_mark
    for part in place:
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            mark = node.start_mark
            continue
        found = next((pair for pair in _pairs(node) if pair[0].value == str(part)), None)
        if found is None:
            break
        mark, node = found[0].start_mark, found[1]
    return mark


def _pairs(node: yaml.Node) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """Keys and values of a mapping: its own first, then those that it takes over."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    taken = [value for key, value in pairs if key.tag == "tag:yaml.org,2002:merge"]
    yield from (pair for pair in pairs if pair[0].tag != "tag:yaml.org,2002:merge")
    for value in taken:
        for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
            yield from _pairs(source)


def _check_keys(path: Path, node: yaml.Node, seen: set[int] | None = None) -> None:
    """YAML itself lets a key that stands twice in one mapping win silently."""
    seen = set() if seen is None else seen
    if id(node) in seen or isinstance(node, yaml.ScalarNode):
        return
    seen.add(id(node))
    marks: dict[str, yaml.Mark] = {}
    for child in node.value:
        if isinstance(node, yaml.MappingNode):
            key = child[0]
            if (first := marks.setdefault(str(key.value), key.start_mark)) is not key.start_mark:
                raise ManifestError(
                    f"{path} line {key.start_mark.line + 1}: key {key.value!r} is in line "
                    f"{first.line + 1} already; keep one"
                )
        for part in child if isinstance(node, yaml.MappingNode) else [child]:
            _check_keys(path, part, seen)
