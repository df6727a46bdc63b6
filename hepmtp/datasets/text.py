"""Manifests and filesets as plain data: YAML and JSON that others wrote, within limits.

The rule: what a few bytes can make large (aliases, nesting) is bounded before it is made, and no
text makes an object of a class.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import IO, Any

import yaml

from hepmtp.errors import ManifestError

#: Bytes of a manifest or a fileset, unpacked.
LARGEST = 100 * 10**6
#: Values that a YAML file may have, with each alias in full.
MOST_VALUES = 1_000_000
#: Mappings and lists that may lie within each other.
DEEPEST = 50
_WRONG = (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError)


def read_text(file: IO[bytes], where: str) -> str:
    """The text of an opened file; raises ManifestError if it is too large, UnicodeDecodeError."""
    data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ManifestError(
            f"{where} has more than {LARGEST / 1e6:g} MB: it is no manifest and no fileset; to use "
            "a file of events write its name alone"
        )
    return data.decode("utf-8")


def from_yaml(text: str, where: str) -> tuple[yaml.Node | None, Any]:
    """The tree of a YAML text, with the lines, and what it says.

    Raises
    ------
    ManifestError
        for what is nested too deep, or too large with its aliases.
    yaml.YAMLError
        for what is no YAML.
    """
    loader = _Loader(text)
    loader.where = where
    try:
        root = loader.get_single_node()
        if root is None:
            return None, None
        _check_size(root, where)
        # it writes out what is taken over with <<, in the tree itself
        return root, loader.construct_document(copy.deepcopy(root))
    except _WRONG as error:
        raise yaml.YAMLError(f"a value cannot be ({error})") from None
    finally:
        loader.dispose()


def from_json(text: str, where: str, pairs: Callable[[list[tuple[str, Any]]], Any]) -> Any:
    """What a JSON text says; raises ManifestError for too deep a nesting, JSONDecodeError."""
    try:
        return json.loads(text, object_pairs_hook=pairs)
    except RecursionError:
        raise _too_deep(where) from None


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, which stops where mappings and lists lie too deep."""

    where, depth = "", 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """As always, and counts how deep it is."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise _too_deep(self.where)
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _check_size(root: yaml.Node, where: str) -> None:
    """Raise ManifestError if there are too many values, counting those of each alias again."""
    sizes: dict[int, int] = {}

    def size(node: yaml.Node) -> int:
        if isinstance(node, yaml.ScalarNode):
            return 1
        if id(node) not in sizes:
            sizes[id(node)] = MOST_VALUES + 1  # what holds itself has no end
            parts = node.value
            if isinstance(node, yaml.MappingNode):
                parts = [part for pair in node.value for part in pair]
            sizes[id(node)] = 1 + sum(map(size, parts))
        return sizes[id(node)]

    if size(root) > MOST_VALUES:
        raise ManifestError(
            f"{where} has more than {MOST_VALUES} values where its aliases (*name) are written "
            "out: it is damaged or made to do harm; write less, or do not use it"
        )


def _too_deep(where: str) -> ManifestError:
    return ManifestError(
        f"{where}: mappings and lists lie more than {DEEPEST} deep; none of hepmtp does: it is "
        "damaged or made to do harm"
    )
