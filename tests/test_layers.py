"""Imports go down the floors of the house only, and each third-party library stays behind its
fence.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: From the ground up; a folder or a module of the root is a room, and imports from its own floor
#: only within itself.
FLOORS = (
    ("errors", "notebook"),
    ("plugins", "folders"),
    ("storage",),
    ("events",),
    ("readers", "models", "statistics"),
    ("datasets", "training", "plotting"),
    ("tokenizers",),
    ("jets",),
    ("detectors",),
    ("run", "report"),
    ("studies",),
    ("cli",),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
#: Rooms of a family: the members do not know each other, only what they are made of.
FAMILIES = {
    "readers": {
        "branches",
        "coffea_names",
        "columns",
        "digests",
        "darkmachines",
        "formats",
        "lines",
        "failures",
        "opening",
        "naming",
        "tables",
        "options",
        "particles",
        "plain",
        "trees",
        "convert",
        "inspect_file",
        "root",
        "parquet",
    },
    "tokenizers": {
        "binning",
        "particles_then_met",
        "autoencoder",
        "graph_network",
        "learned",
        "networks",
    },
    "models": {
        "attention",
        "autoregressive",
        "autoregressive_options",
        "cache",
        "groups",
        "growing",
        "heads",
        "loops",
        "one_pass",
        "running_sums",
    },
    "detectors": {
        "card",
        "card_text",
        "event_classifier",
        "event_features_input",
        "event_network",
        "language_scores",
        "export",
        "fold_scales",
        "sent",
        "shown",
        "strangest",
        "unseen_folds",
    },
    "plotting": {"colours", "names", "ratio", "style"},
    "cli": {
        *("chosen", "options", "own", "progress", "found", "resuming", "terminal"),
        *("demo", "demo_jets", "jet_files", "jet_studies", "jets_demo"),
    },
}
#: Third-party libraries and where they may be imported.
FENCES = {
    "torch.optim": ("training/*",),
    "torch": ("models/*", "training/*", "tokenizers/*", "jets/*", "detectors/*", "studies/*"),
    "coffea": ("run/*", "readers/*", "events/*"),
    "correctionlib": ("events/corrections.py",),
    "uproot": (
        *("readers/*", "run/chunks.py", "run/score_files.py"),
        "statistics/histogram_files.py",
    ),
    "h5py": ("readers/*",),
    "numba": ("events/compiled.py",),
    "pyarrow": ("readers/*", "events/packing.py"),
    "matplotlib": ("plotting/*", "studies/*/figures.py", "report/*figures.py"),
    "mplhep": ("plotting/*", "studies/*/figures.py"),
    "vector_quantize_pytorch": ("tokenizers/*",),
    "torch_geometric": ("tokenizers/*",),
    "sklearn": ("detectors/*", "studies/trees.py"),
    "threadpoolctl": ("studies/trees.py",),
    "pyod": ("detectors/*",),
    "zuko": ("detectors/*",),
    "pooch": ("datasets/*",),
    "requests": ("datasets/*",),
    "jsonschema": ("datasets/schema.py",),
    "pyhf": ("statistics/*",),
    "cabinetry": ("statistics/*",),
    "iminuit": ("statistics/*",),
    "hepdata_lib": ("statistics/*",),
    "hepdata_validator": ("statistics/*",),
    "onnx": ("detectors/export/*",),
    "onnxruntime": ("detectors/export/*",),
    ".layout": ("events/*",),
    "processors": ("cli/*",),
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
        elif isinstance(node, ast.Attribute) and ast.unparse(node) == "torch.optim":
            yield "torch.optim"
        elif isinstance(node, ast.Constant) and str(node.value).startswith("processors."):
            yield str(node.value)  # a module may be imported by a text, too, also by a part of one


def broken_laws(path: str, source: str) -> list[str]:
    """What a module of hepmtp, at this path below hepmtp/, imports and must not."""
    room, _, member = path.removesuffix(".py").partition("/")
    broken = []
    for name in imports(ast.parse(source)):
        top, _, rest = name.partition(".") if name != ".layout" else (name, "", "")
        fenced = "torch.optim" if name.startswith("torch.optim") else top
        if fenced in FENCES and not any(fnmatch(path, fence) for fence in FENCES[fenced]):
            broken.append(f"{path} must not use {fenced}")
        if top != "hepmtp":
            continue
        other, _, inner = rest.partition(".")
        if other not in FLOOR:
            broken.append(f"{path} must not import the face of the package ({name})")
        elif FLOOR[other] > FLOOR[room] or (FLOOR[other] == FLOOR[room] and other != room):
            broken.append(
                f"{path} (floor {FLOOR[room]}) must not import {name} (floor {FLOOR[other]})"
            )
        sibling = inner.partition(".")[0]
        if (
            other == room in FAMILIES
            and member.partition("/")[0] not in {"", "__init__", *FAMILIES[room]}
            and _is_member(room, sibling)
            and sibling not in {member.partition("/")[0], *FAMILIES[room]}
        ):
            broken.append(f"{path} must not import its sibling {sibling}")
    return broken


def _is_member(room: str, name: str) -> bool:
    place = ROOT / "hepmtp" / room / name
    return place.is_dir() or place.with_suffix(".py").is_file()


#: All but the list of public names, which imports on first use: test_public_api.py says that it
#: loads nothing.
MODULES = sorted(
    {p.relative_to(ROOT / "hepmtp").as_posix() for p in (ROOT / "hepmtp").rglob("*.py")}
    - {"__init__.py"}
)


@pytest.mark.parametrize("path", MODULES)
def test_imports_go_down_and_fences_hold(path: str) -> None:
    assert broken_laws(path, (ROOT / "hepmtp" / path).read_text()) == []


@pytest.mark.parametrize(
    ("path", "source", "broken"),
    [
        ("events/record.py", "import torch", "events/record.py must not use torch"),
        (
            "detectors/vae.py",
            "from torch.optim import AdamW",
            "detectors/vae.py must not use torch.optim",
        ),
        (
            "tokenizers/fsq.py",
            "x = torch.optim.Adam(y)",
            "tokenizers/fsq.py must not use torch.optim",
        ),
        (
            "statistics/metrics.py",
            "def f():\n  from matplotlib import pyplot",
            "statistics/metrics.py must not use matplotlib",
        ),
        (
            "statistics/metrics.py",
            "import coffea.processor as p",
            "statistics/metrics.py must not use coffea",
        ),
        ("plotting/style.py", "import uproot", "plotting/style.py must not use uproot"),
        ("run/runner.py", "x = a.b.layout.form", "run/runner.py must not use .layout"),
        (
            "report/folder.py",
            "from processors.anomaly import AnomalyProcessor",
            "report/folder.py must not use processors",
        ),
        ("run/train.py", "name = 'processors.corpus'", "run/train.py must not use processors"),
        (
            "events/split.py",
            "from hepmtp.readers import Reader",
            "events/split.py (floor 3) must not import hepmtp.readers.Reader (floor 4)",
        ),
        (
            "run/train.py",
            "from hepmtp.report import page",
            "run/train.py (floor 9) must not import hepmtp.report.page (floor 9)",
        ),
        (
            "detectors/b.py",
            "import hepmtp.cli.demo",
            "detectors/b.py (floor 8) must not import hepmtp.cli.demo (floor 11)",
        ),
        (
            "report/page.py",
            "from hepmtp import __version__",
            "report/page.py must not import the face of the package (hepmtp.__version__)",
        ),
        (
            "readers/delphes.py",
            "import hepmtp.readers.nanoaod",
            "readers/delphes.py must not import its sibling nanoaod",
        ),
        (
            "readers/delphes.py",
            "from hepmtp.readers import nanoaod",
            "readers/delphes.py must not import its sibling nanoaod",
        ),
        (
            "detectors/vae.py",
            "import hepmtp.detectors.masked_token.surprise",
            "detectors/vae.py must not import its sibling masked_token",
        ),
    ],
)
def test_a_module_that_breaks_the_law_is_caught(path: str, source: str, broken: str) -> None:
    assert broken_laws(path, source) == [broken]


def test_a_module_that_keeps_the_law_passes() -> None:
    source = (
        "import torch\nfrom hepmtp import storage\nfrom hepmtp.detectors import Detector\nimport "
        "hepmtp.events"
    )
    assert broken_laws("detectors/masked_token/detector.py", source) == []


def test_every_folder_and_module_of_the_root_has_a_floor() -> None:
    rooms = {path.parent.name for path in (ROOT / "hepmtp").glob("*/__init__.py")}
    modules = {path.stem for path in (ROOT / "hepmtp").glob("*.py")} - {"__init__"}
    assert rooms | modules == set(FLOOR)


def test_every_folder_says_what_is_in_it() -> None:
    for path in (ROOT / "hepmtp").rglob("__init__.py"):
        assert ast.get_docstring(ast.parse(path.read_text())), path


def test_no_module_is_too_long_to_be_read_in_one_sitting() -> None:
    lines = {path: len((ROOT / "hepmtp" / path).read_text().splitlines()) for path in MODULES}
    assert {path: n for path, n in lines.items() if n > 320} == {}
