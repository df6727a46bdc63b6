"""A model card as a page of Markdown, from what was saved with a detector.

The rule: what is not known is not said. A detector of before there were cards has a page, too, of
what it was saved with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hepmtp.detectors.card import LEVELS, SCORE_LEVELS
from hepmtp.notebook import in_markdown

#: Name of the page in the folder of a detector.
CARD = "card.md"
#: What is saved and says nothing to a reader, or is said in another place.
_NOT_OPTIONS = {
    "about", "axes", "axis", "card", "description", "format", "history", "kind", "members", "name",
    "seen", "sha256", "texts", "trained",
}  # fmt: skip
_UNITS = {"ht": "HT [GeV]", "met": "MET [GeV]", "jet_pt_1": "pt of the leading jet [GeV]"}
_NAMES = {
    "multiplicity": "particles", "n_jets": "jets", "n_b": "b-jets", "n_leptons": "leptons",
    "n_photons": "photons",
}  # fmt: skip


def page_of(meta: Mapping[str, Any]) -> str:
    """The page of what a detector was saved with."""
    about = {**meta, **meta.get("about", {})}
    name = about.get("name") or str(meta["kind"]).rpartition(":")[2]
    said = [str(about["description"])] if about.get("description") else []
    parts = [f"# {in_markdown(str(name))}", *map(in_markdown, said)]
    card = meta.get("card")
    parts.append("## Training")
    if card is None:
        parts.append("It has no card: it was saved before there were any, or trained on tokens.")
    else:
        parts += [_processes(card), "## Validity", _validity(card), _kinds(card)]
        parts += ["## Scores of background", _scores(card)]
    parts += ["## Options and software", _options(meta, card)]
    return "\n\n".join(parts) + "\n"


def _processes(card: Mapping[str, Any]) -> str:
    rows = [
        [
            name,
            str(one.get("role") or ""),
            f"{one.get('events', 0):,}",
            "" if one.get("weight") is None else f"{one['weight']:.6g}",
            " ".join(str(one[key]) for key in ("doi", "licence") if one.get(key)),
        ]
        for name, one in card["processes"].items()
    ]
    return _table(["data set", "role", "training events", "sum of weights", "origin"], rows)


def _validity(card: Mapping[str, Any]) -> str:
    head = ["", *_levels(LEVELS)]
    rows = [
        [_UNITS.get(name) or _NAMES[name], *(f"{value:.4g}" for value in values)]
        for name, values in card["seen"].items()
    ]
    said = f"Of {card['events']:,} training events, so much was seen; beyond it a score is a guess."
    return f"{said}\n\n{_table(head, rows)}"


def _kinds(card: Mapping[str, Any]) -> str:
    seen = ", ".join(f"{kind} {100 * share:.3g} %" for kind, share in card["having"].items())
    return f"Events with at least one: {seen}." if seen else "No particle had a type."


def _scores(card: Mapping[str, Any]) -> str:
    rows = [
        [name, *(f"{value:.4g}" for value in values)] for name, values in card["scores"].items()
    ]
    return _table(["score", *_levels(SCORE_LEVELS)], rows)


def _options(meta: Mapping[str, Any], card: Mapping[str, Any] | None) -> str:
    rows = [[key, f"`{value}`"] for key, value in meta.items() if key not in _NOT_OPTIONS]
    rows += [[name, version] for name, version in (card["software"] if card else {}).items()]
    rows.append(["class", f"`{meta['kind']}`"])
    rows.append(["licence of hepmtp", "BSD-3-Clause"])
    return _table(["what", "value"], rows)


def _levels(levels: tuple[float, ...]) -> list[str]:
    names = {0.0: "smallest", 0.5: "median", 1.0: "largest"}
    return [names.get(one, f"{100 * one:g} %") for one in levels]


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(in_markdown, line))} |" for line in lines)
