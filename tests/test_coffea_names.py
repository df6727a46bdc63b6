"""A canary for releases of coffea: what hepmtp uses of it beside its public names is still there.

The rule: the import of a name that coffea does not list stands in `hepmtp.readers.coffea_names`
only, and an attribute that is no argument in `COUNTED_ON`.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from coffea.processor import SimpleCheckpointer, column_accumulator

ROOT = Path(__file__).parents[1]
HERE = ROOT / "hepmtp" / "readers" / "coffea_names.py"
#: Attributes that are overridden or read, by where they are used.
COUNTED_ON = {
    "coffea.processor:Runner": ("automatic_retries", "preprocess", "run", "use_dataframes"),
    "coffea.processor:DaskExecutor": ("client",),
    "coffea.processor:FuturesExecutor": ("desc", "pool", "unit", "workers"),
    "coffea.processor:SimpleCheckpointer": ("filepath", "load", "save"),
    "coffea.processor.executor:WorkItem": (
        *("dataset", "filename", "treename", "entrystart", "entrystop"),
        *("fileuuid", "usermeta", "preload"),
    ),
    "coffea.nanoevents:BaseSchema": ("behavior",),
}


def imported(path: Path) -> Iterator[tuple[str, str]]:
    """Module and name of each import from coffea."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] == "coffea":
            yield from ((str(node.module), alias.name) for alias in node.names)


def lacks(module: str, name: str, *attributes: str) -> list[str]:
    """What of a name of coffea is gone: the name itself, or attributes and fields of it."""
    try:
        found: Any = pkgutil.resolve_name(f"{module}.{name}")  # a module, too
    except (ImportError, AttributeError):
        return [f"{module}.{name}"]
    known = {*dir(found), *getattr(found, "__dataclass_fields__", ()), *_annotated(found)}
    return [f"{module}.{name}.{one}" for one in attributes if one not in known]


def _annotated(found: Any) -> set[str]:
    classes = getattr(found, "__mro__", ())
    return {key for one in classes for key in vars(one).get("__annotations__", ())}


def test_no_name_is_gone() -> None:
    gone = [one for pair in imported(HERE) for one in lacks(*pair)]
    for place, attributes in COUNTED_ON.items():
        module, _, name = place.partition(":")
        gone += lacks(module, name, *attributes)
    assert gone == [], "this coffea has them no more: see its changelog, and mend hepmtp"


def test_attributes_of_instances_are_there(tmp_path: Path) -> None:
    column = column_accumulator(np.arange(2.0))
    assert [*column._value, *column._empty] == [0.0, 1.0]
    assert SimpleCheckpointer(str(tmp_path)).checkpoint_dir == str(tmp_path)


def test_what_is_gone_is_named() -> None:
    assert lacks("coffea.processor", "Processors") == ["coffea.processor.Processors"]
    assert lacks("coffea.process", "Runner") == ["coffea.process.Runner"]
    assert lacks("coffea.processor", "Runner", "run", "walk") == ["coffea.processor.Runner.walk"]


def test_other_modules_import_public_names_only() -> None:
    private = []
    for folder in ("hepmtp", "processors"):
        for path in (ROOT / folder).rglob("*.py"):
            for module, name in imported(path) if path != HERE else ():
                public = getattr(importlib.import_module(module), "__all__", ())
                if name not in public and module != "coffea":
                    private.append(f"{path.relative_to(ROOT)}: {module}.{name}")
    assert private == []
