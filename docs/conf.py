"""Settings of the documentation."""

from __future__ import annotations

import builtins
import shutil
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from docutils.nodes import Element, document
from docutils.statemachine import StringList
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.ext.autosummary import Autosummary
from sphinx.util.nodes import make_refnode

import hepmtp

project = "hepmtp"
author = "The hepmtp developers"
copyright = "2026, The hepmtp developers"
release = version = version_of("hepmtp")
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_remove_toctrees",
]
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # the tests run the notebooks, which are kept without outputs
autodoc_typehints = "description"
autodoc_member_order = "bysource"
autosummary_generate = True
napoleon_google_docstring = False
remove_from_toctrees = ["api/*"]  # three hundred modules in the sidebar of every page are slow
html_theme = "furo"
html_title = f"hepmtp {version.partition('+')[0]}"
html_static_path = ["_static"]
html_css_files = ["wide.css"]
templates_path = ["_templates"]
exclude_patterns = ["_build", "jupyter_execute"]  # the second is what myst-nb leaves


class PublicNames(Autosummary):
    """The table of the names of ``hepmtp.__all__``, each with its first line and where it lives."""

    has_content = False

    def run(self) -> list:
        homes = sorted(hepmtp._HOMES.items(), key=lambda item: item[0].lower())
        self.options["nosignatures"] = True
        self.content = StringList([f"~hepmtp.{home}.{name}" for name, home in homes])
        return super().run()


def copy_notebooks(app: Sphinx, _: Config) -> None:
    """Put the notebooks of the examples where Sphinx reads pages."""
    folder = Path(app.srcdir) / "notebooks"
    folder.mkdir(exist_ok=True)
    for path in (Path(app.srcdir).parent / "examples").glob("*.ipynb"):
        shutil.copyfile(path, folder / path.name)


def leave_builtins(_: Sphinx, tree: document) -> None:
    """Let no annotation such as type[Reader] become a link to a field that is called type."""
    for reference in list(tree.findall(pending_xref)):
        if reference["reftype"] == "class" and hasattr(builtins, reference["reftarget"]):
            reference.replace_self(reference.children)


def leave_matplotlib(*found: Any) -> bool | None:
    """Leave out what matplotlib writes into each subclass of its own, in roles of its own."""
    *_, name, thing, _, _ = found
    ours = not str(getattr(thing, "__module__", "")).startswith("matplotlib.")
    return None if ours or name != "set" else True


def follow(app: Sphinx, env: BuildEnvironment, node: pending_xref, text: Element) -> Any:
    """Let hepmtp.compare and hepmtp.plotting.roc lead to the module where each is described."""
    package, _, name = node.get("reftarget", "").rpartition(".")
    if not package.startswith("hepmtp") or node.get("refdomain") != "py":
        return None
    objects = env.domains["py"].objects
    inside = package
    if package == "hepmtp" and name in hepmtp._HOMES:
        inside = f"hepmtp.{hepmtp._HOMES[name]}"
    found = [one for one in objects if one.startswith(f"{inside}.") and one.endswith(f".{name}")]
    if len(found) != 1:
        return None
    return make_refnode(app.builder, node["refdoc"], objects[found[0]].docname, found[0], text)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("autodoc-skip-member", leave_matplotlib)
    app.connect("config-inited", copy_notebooks)
    app.connect("missing-reference", follow)
    app.connect("doctree-read", leave_builtins)
    app.add_directive("public-names", PublicNames)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
