"""Names of coffea that hepmtp uses and that coffea does not list as public.

The rule: no other module imports such a name. A release of coffea without one of them is told by
``tests/test_coffea_names.py``, which says which.
"""

from __future__ import annotations

from coffea.nanoevents.methods import base
from coffea.nanoevents.schemas.base import zip_forms
from coffea.processor.executor import ExecutorBase, WorkItem

__all__ = ["ExecutorBase", "WorkItem", "base", "zip_forms"]
