"""Labels in TeX, and names of data sets, as a page without TeX says them.

The rule: what is not between dollars is text already, and stays.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from hepmtp.plotting import process_style
from hepmtp.report.info import RunInfo

#: TeX of labels as text: what a region's cuts are written with.
_SIGNS = {
    "geq": "≥", "leq": "≤", "ge": "≥", "le": "≤", "mu": "μ", "eta": "η", "phi": "φ", "chi": "χ",
    "ell": "\u2113", "gamma": "\u03b3", "ln": "ln ", "log": "log",
}  # fmt: skip
#: Accents, as characters that stand over the one before.
_OVER = {"bar": "\u0304", "tilde": "\u0303"}


def plain(text: str) -> str:
    """A text with its TeX, between dollars, as characters."""
    return re.sub(r"\$([^$]*)\$", lambda found: _from_tex(found[1]), text)


def _from_tex(tex: str) -> str:
    """Text of a formula, as far as it can be: signs known by name, without braces."""
    barred = re.sub(r"\\(bar|tilde)\{(\w)\}", lambda found: found[2] + _OVER[found[1]], tex)
    signs = re.sub(r"\\([a-z]+)", lambda found: _SIGNS.get(found[1], found[1]), barred)
    signs = re.sub(r"\^\{?([+-])\}?", r"\1", signs)
    return re.sub(r"[_{}]", "", re.sub(r"\^|\\,", " ", signs))


def told(text: str, *, info: RunInfo) -> str:
    """A sentence with the labels of data sets for their names."""
    names = sorted((*info.background, *info.signals, *info.data), key=len, reverse=True)
    if not names:
        return text
    labels = process_style(names, info.labels)
    known = "|".join(map(re.escape, names))
    return re.sub(rf"(?<![\w-])({known})(?![\w-])", lambda one: plain(labels[one[0]][0]), text)


def named_sets(names: Sequence[str], *, info: RunInfo) -> str:
    """Data sets by label, and by name where that is another."""
    labels = {name: told(name, info=info) for name in names}
    return ", ".join(
        name if label == name else f"{label} ({name})" for name, label in labels.items()
    )
