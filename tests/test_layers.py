"""Imports only go down the levels, and each third-party library stays behind its fence."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LEVELS = {
    "__init__": 0, "errors": 0,
    "events": 1, "tokens": 1, "split": 1, "storage": 1, "files": 1, "manifest_file": 1, "lockfile": 1, "archives": 1, "transfer": 1, "darkmachines": 1, "darkmachines_lines": 1, "significance": 1, "threads": 1,
    "manifest": 2, "download": 2, "regions": 2, "readers": 2, "tables": 2, "features": 2, "distortions": 2,
    "tokenizers": 3, "models": 3, "histograms": 3, "metrics": 3,
    "challenge": 4, "convert": 4, "inspection": 4, "training": 4, "detectors": 4, "comparison": 4, "statistics": 4, "run": 4, "performance": 4, "surprise": 4, "tails": 4, "tokenizer_report": 4, "prediction": 4,
    "plotting": 5, "progress": 5, "report": 5, "results": 5, "tokenizer_results": 5, "token_figures": 5, "workflow": 5, "demo": 5, "league": 5, "league_entries": 5, "league_table": 5,
    "cli": 6,
}  # fmt: skip
FAMILIES = ("readers", "tokenizers", "models", "detectors", "plotting", "cli")
# no members of their families, but what members are made of
BUILDING_BLOCKS = (
    "cli/options",
    "models/attention",
    "detectors/event_classifier",
    "detectors/event_features_input",
    "detectors/event_network",
    "plotting/style",
    "readers/particles",
    "readers/trees",
    "tokenizers/binning",
    "tokenizers/autoencoder",
    "tokenizers/graph_network",
    "tokenizers/learned",
)
FENCES = {
    "torch": ("models/*", "threads.py", "training.py", "surprise.py", "tokenizers/*", "detectors/*"),
    "coffea": ("run.py", "readers/*", "events.py"),
    "uproot": ("readers/*", "histograms.py"),
    "h5py": ("readers/*",),
    "matplotlib": ("plotting/*", "token_figures.py"),  # the second for the type of a figure
    "mplhep": ("plotting/*",),
    "vector_quantize_pytorch": ("tokenizers/*",),
    "torch_geometric": ("tokenizers/*",),
    "sklearn": ("detectors/*", "tokenizer_report.py"),
    "pyod": ("detectors/*",),
    "zuko": ("detectors/*",),
    "pooch": ("download.py",),
    "requests": ("transfer.py",),
    "jsonschema": ("manifest_file.py",),
    "pyhf": ("statistics.py",),
    "cabinetry": ("statistics.py",),
    ".layout": ("tokens.py", "events.py"),
    "processors": ("cli/*", "demo.py"),
}


def imports(tree: ast.AST) -> Iterator[str]:
    """Dotted names of all imports, those under TYPE_CHECKING and in functions included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute) and node.attr == "layout":
            yield ".layout"


def broken_laws(path: str, source: str) -> list[str]:
    """What a module of hepmtp, at this path below hepmtp/, imports and must not."""
    family, _, member = path.removesuffix(".py").partition("/")
    broken = []
    for name in imports(ast.parse(source)):
        top, _, rest = name.partition(".") if name != ".layout" else (name, "", "")
        if top in FENCES and not any(fnmatch(path, fence) for fence in FENCES[top]):
            broken.append(f"{path} must not use {top}")
        if top == "hepmtp":
            module, _, inner = rest.partition(".")
            module = module if module in LEVELS else "__init__"
            if LEVELS[module] > LEVELS[family]:
                broken.append(f"{path} (level {LEVELS[family]}) must not import {name} (level {LEVELS[module]})")
            sibling = inner.partition(".")[0]
            is_module = (ROOT / "hepmtp" / module / f"{sibling}.py").is_file()
            if (
                member not in ("", "__init__")
                and module == family
                and is_module
                and f"{family}/{sibling}" not in BUILDING_BLOCKS
            ):
                broken.append(f"{path} must not import its sibling {sibling}")
    return broken


#: All but the list of public names, which imports on first use: test_public_api.py says that it loads nothing.
MODULES = sorted({p.relative_to(ROOT / "hepmtp").as_posix() for p in (ROOT / "hepmtp").rglob("*.py")} - {"__init__.py"})


@pytest.mark.parametrize("path", MODULES)
def test_imports_go_down_and_fences_hold(path: str) -> None:
    assert broken_laws(path, (ROOT / "hepmtp" / path).read_text()) == []


@pytest.mark.parametrize(
    ("path", "source", "broken"),
    [
        ("events.py", "import torch", "events.py must not use torch"),
        ("metrics.py", "def f():\n  from matplotlib import pyplot", "metrics.py must not use matplotlib"),
        ("metrics.py", "import coffea.processor as p", "metrics.py must not use coffea"),
        ("plotting.py", "import uproot", "plotting.py must not use uproot"),
        ("run.py", "x = a.b.layout.form", "run.py must not use .layout"),
        ("results.py", "from processors.anomaly import AnomalyProcessor", "results.py must not use processors"),
        ("events.py", "from hepmtp.regions import SR", "events.py (level 1) must not import hepmtp.regions.SR (level 2)"),
        ("events.py", "from hepmtp import cli", "events.py (level 1) must not import hepmtp.cli (level 6)"),
        ("detectors/b.py", "import hepmtp.demo", "detectors/b.py (level 4) must not import hepmtp.demo (level 5)"),
        ("readers/root.py", "import hepmtp.readers.darkmachines_csv", "readers/root.py must not import its sibling darkmachines_csv"),
        ("readers/root.py", "from hepmtp.readers import darkmachines_csv", "readers/root.py must not import its sibling darkmachines_csv"),
    ],
)  # fmt: skip
def test_a_module_that_breaks_the_law_is_caught(path: str, source: str, broken: str) -> None:
    assert broken_laws(path, source) == [broken]


def test_a_module_that_keeps_the_law_passes() -> None:
    source = "import torch\nfrom hepmtp import __version__\nfrom hepmtp.detectors import Detector\nimport hepmtp.events"
    assert broken_laws("detectors/masked_token.py", source) == []


def test_families_are_the_folders_of_the_package() -> None:
    folders = {path.parent.name for path in (ROOT / "hepmtp").glob("*/__init__.py")}
    assert folders == set(FAMILIES)
