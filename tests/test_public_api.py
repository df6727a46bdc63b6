from __future__ import annotations

import ast
import importlib
import importlib.metadata
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hepmtp

HEAVY = (
    "torch",
    "coffea",
    "matplotlib",
    "mplhep",
    "dask",
    "distributed",
    "uproot",
    "pyarrow",
    "h5py",
    "sklearn",
)
MODULES = [name for _, name, _ in pkgutil.walk_packages(hepmtp.__path__, "hepmtp.")]


def loaded_after(statement: str) -> set[str]:
    """Top-level packages that a fresh interpreter has loaded after this statement."""
    code = f"{statement}; import sys; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in run.stdout.split()}


def test_importing_hepmtp_loads_nothing_heavy() -> None:
    assert loaded_after("import hepmtp") & {*HEAVY, "awkward", "numpy"} == set()


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    assert loaded_after("import hepmtp.cli") & set(HEAVY) == set()


def test_importing_the_figures_loads_no_model() -> None:
    assert loaded_after("import hepmtp.plotting") & {"torch", "coffea", "sklearn", "dask"} == set()


def test_importing_the_executors_loads_no_dask() -> None:
    assert loaded_after("import hepmtp.run.executors") & {"dask", "distributed"} == set()


@pytest.mark.parametrize("name", hepmtp.__all__)
def test_every_public_name_exists_and_is_documented(name: str) -> None:
    thing = getattr(hepmtp, name)
    if callable(thing):
        documented = inspect.getdoc(thing) or ""
        assert len(documented) > 20
        assert thing.__module__ == f"hepmtp.{hepmtp._HOMES[name]}"


def test_no_public_name_is_that_of_a_module() -> None:
    # once such a module is imported, the name would mean the module and no longer the thing
    assert {f"hepmtp.{name}" for name in hepmtp.__all__} & set(MODULES) == set()


@pytest.mark.parametrize("room", sorted({name.rpartition(".")[0] for name in MODULES}))
def test_no_name_that_a_room_gives_is_that_of_a_module_in_it(room: str) -> None:
    # as above: what the name means must not depend on what was imported before
    source = Path(str(importlib.import_module(room).__file__)).read_text()
    given = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom) and node.module != room:
            given |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            given.add(node.name)
    assert {f"{room}.{name}" for name in given} & set(MODULES) == set()


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"module 'hepmtp' has no attribute 'nothing'"):
        hepmtp.nothing  # noqa: B018


def test_type_checkers_see_the_names_of_the_lazy_table() -> None:
    tree = ast.parse(Path(hepmtp.__file__).read_text())
    (block,) = [
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    seen = {
        alias.asname: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == {name: f"hepmtp.{home}" for name, home in hepmtp._HOMES.items()}
    assert dir(hepmtp) == sorted(hepmtp.__all__)


def test_the_version_is_that_of_the_package() -> None:
    assert hepmtp.__version__ == importlib.metadata.version("hepmtp")
    assert "__version__" in hepmtp.__all__
    assert "__version__" not in vars(hepmtp)  # asked of the installation, when it is asked for


@pytest.mark.parametrize("name", MODULES)
def test_every_module_and_its_public_functions_are_documented(name: str) -> None:
    module = importlib.import_module(name)
    assert len(module.__doc__ or "") > 20, f"{name} does not say what it gives"
    for attribute, thing in vars(module).items():
        here = getattr(thing, "__module__", None) == name
        if (
            here
            and not attribute.startswith("_")
            and (inspect.isfunction(thing) or inspect.isclass(thing))
        ):
            assert inspect.getdoc(thing), f"{name}.{attribute} has no docstring"


def test_the_readme_shows_the_quickstart() -> None:
    root = Path(__file__).parents[1]
    readme = (root / "README.md").read_text()
    example = (root / "examples" / "01_quickstart.py").read_text()
    statements = (
        example[example.index("datasets = ") :].replace("epochs=epochs", "epochs=8").strip()
    )
    assert statements in readme


PAGES = [
    *(Path(hepmtp.__file__).parents[1] / "docs").glob("*.md"),
    Path(hepmtp.__file__).parents[1] / "README.md",
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_the_pages_name_exists(page: Path) -> None:
    for name in set(re.findall(r"\bhepmtp(?:\.\w+)+", page.read_text(encoding="utf-8"))):
        if name != "hepmtp.json":  # a file of every saved folder
            assert pkgutil.resolve_name(name) is not None, name
