"""Settings of the documentation."""

from __future__ import annotations

from importlib.metadata import version as version_of

project = "hepmtp"
author = "The hepmtp developers"
copyright = "2026, The hepmtp developers"
release = version = version_of("hepmtp")
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
autodoc_typehints = "description"
autodoc_member_order = "bysource"
autosummary_generate = True
napoleon_google_docstring = False
html_theme = "furo"
html_title = f"hepmtp {version}"
exclude_patterns = ["_build"]
