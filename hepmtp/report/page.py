"""A finished run becomes one self-contained HTML page that a person can read alone.

The rule: the page is made from the run's folder and nothing else, so it can be made again at any
time. Every sentence with a number in it follows from the tables.
"""

from __future__ import annotations

import base64
import itertools
import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import jinja2

from hepmtp.errors import StorageError
from hepmtp.events.region_info import RegionInfo, named as named_regions, wholes
from hepmtp.plotting.names import words
from hepmtp.report.info import RunInfo, read_info, read_json
from hepmtp.report.plain import named_sets, plain, told
from hepmtp.report.story import CALIBRATED, FIT, fit_story, strangest
from hepmtp.report.strange_events import STRANGE
from hepmtp.report.tables import MARK, Cells, Record, cells, read_csv, rounded
from hepmtp.statistics.accounting import Account, Accounting
from hepmtp.storage import file_name, new_file

#: Column titles of the tables for the reader.
TITLES = {
    "detector": "Score",
    "score": "Score",
    "signal": "Signal",
    "region": "Region",
    "auc_balanced": "AUC, balanced",
    "auc": "AUC, by cross-section",
    "gain": "AUC gain over reference",
    "eps_s_at_0p1": "εS (εB=0.1)",
    "eps_s_at_0p01": "εS (εB=0.01)",
    "eps_s_at_0p001": "εS (εB=0.001)",
    "max_sic": "max SIC",
    "n_signal": "Raw signal",
    "n_background": "Raw background",
    "rule": "Threshold from",
    "threshold": "Threshold",
    "s": "Signal events",
    "b": "Background events",
    "eps_s": "εS",
    "eps_b": "εB",
    "s_over_b": "S/B",
    "z": "Asimov Z",
    "sigma_b": "Background error",
    "counts": "Counts",
    "observed": "Observed events",
    "ratio": "Observed / background",
    "sample": "Events",
    "upper": "Background selected",
    "trainings": "Trainings",
    "selected": "Selected by one",
    "common": "Of these by all",
    "by_two": "By two",
    "by_chance": "By chance",
    "n_common": "Raw, by all",
}

#: Tables that a run may have, as csv and markdown.
TABLES = ("performance", "selection", "observed", "agreement")
#: So many losses are shown one by one; accounting.json holds all.
MOST_LOSSES = 20


def titles(content: str) -> dict[str, str]:
    """Column titles where sums of weights are `content`."""
    if content == "Events":
        return TITLES
    return TITLES | {
        "auc": "AUC, by weight",
        "s": f"Signal, {content.lower()}",
        "b": f"Background, {content.lower()}",
    }


def write_page(folder: str | Path) -> Path:
    """Make `report.html` from the other files of a run's folder; returns its path.

    Raises
    ------
    StorageError
        naming the file of the folder that is missing or damaged.
    """
    folder = Path(folder)
    info = read_info(folder)
    performance, selection, observed, agreement = (
        read_csv(path) if (path := folder / f"{name}.csv").exists() else [] for name in TABLES
    )
    named = titles(info.content)
    accounts, fit = read_accounting(folder), fit_story(folder)
    cutflow = _cutflow(read_json(folder / "cutflow.json"), info)
    figures = [(one, _image(folder / "figures", one.name)) for one in info.figures]
    of_fit = [] if fit is None else fit.figures
    fit_figures = [(one, _image(folder / FIT, one.name)) for one in of_fit]
    after = [one for one in fit_figures if one[0].name == CALIBRATED]
    if after:  # the same figure, with the normalisation of the fit
        figures = [*after, *(one for one in figures if one[0].name != CALIBRATED)]
    said = conclusions(performance, info)
    first = [one for one in said if _is_in(one, named_regions(info.regions, "signal")[:1])] or said
    page = _template(info).render(
        info=info,
        minutes=None if info.seconds is None else f"{info.seconds / 60:.1f}",
        conclusions=first,
        others=[one for one in said if one not in first],
        datasets=cells([{key: str(value) for key, value in row.items()} for row in info.datasets]),
        regions=[(one.name, _definition(one)) for one in wholes(info.regions)],
        cutflow=cutflow,
        performance=_by(performance, ("region", "signal"), named),
        selection=_by(
            selection, ("signal", "region", "rule", "counts"), named, hidden=("sigma_b",)
        ),
        observed=_by(observed, ("region", "rule"), named),
        agreement=_by(agreement, ("score", "region"), named),
        accounting=_accounting(accounts) if accounts else None,
        losses=[(name, loss) for name, one in accounts.items() for loss in one.losses],
        most_losses=MOST_LOSSES,
        figures=[one for one in figures if not one[0].name.startswith(STRANGE)],
        strange=[one for one in figures if one[0].name.startswith(STRANGE)],
        blind=[one.name for one in wholes(info.regions) if one.name in info.blind],
        fit=fit,
        fit_figures=[one for one in fit_figures if one not in after],
        strangest=strangest(folder, info),
    )
    with new_file(folder / "report.html") as temporary:
        temporary.write_text(page, encoding="utf-8")
    return folder / "report.html"


def _template(info: RunInfo) -> jinja2.Template:
    """The page's template, with what it calls names by."""
    loader = jinja2.PackageLoader("hepmtp", "data")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.filters |= {
        "plain": plain,
        "told": partial(told, info=info),
        "words": lambda name: plain(words(name)),
    }
    environment.globals["named_sets"] = partial(named_sets, info=info)
    return environment.get_template("report.html.j2")


def _is_in(sentence: str, regions: Sequence[str]) -> bool:
    """Whether a conclusion is of one of these regions."""
    return any(f" in {one}: " in sentence for one in regions)


def conclusions(performance: Sequence[Record], info: RunInfo) -> list[str]:
    """Does the model see more than the reference? Answers from the table, by signal and region.

    More or less is said from two standard deviations on.
    """
    if info.detector == info.reference:
        return []
    mine = [row for row in performance if row["detector"] == info.detector and row["gain"]]
    return [_conclusion(row, performance, info) for row in mine]


def _conclusion(row: Record, performance: Sequence[Record], info: RunInfo) -> str:
    gain, error = float(row["gain"]), float(row["gain_error"])
    sigmas = abs(gain) / error if error > 0 else 0.0
    verdict = f"{'more' if gain > 0 else 'less'} than {info.reference}"
    if sigmas < 2:
        verdict = f"no more than {info.reference}, within the errors"
    others = [  # no other form of the same model
        other
        for other in performance
        if (other["signal"], other["region"]) == (row["signal"], row["region"])
        and (other["detector"] == info.reference or not other["detector"].startswith(info.detector))
    ]
    plain = [other for other in others if other["detector"] not in info.supervised]
    labelled = [other for other in others if other["detector"] in info.supervised]
    with_labels = f" With labels, {_best(labelled)}." if labelled else ""
    return (
        f"{row['signal']} in {row['region']}: {info.detector} sees {verdict}. Its balanced AUC is "
        f"{_pair(row, 'auc_balanced')}, and the difference to {info.reference} on the same events "
        f"is {rounded(gain, error)} ({sigmas:.1f} standard deviations). The best score without "
        f"this model is {_best(plain)}.{with_labels} Raw events: "
        f"{row['n_signal']} signal, {row['n_background']} background."
    )


def _best(rows: Sequence[Record]) -> str:
    """The score with the largest area, and that."""
    best = max(rows, key=lambda one: float(one["auc_balanced"]))
    return f"{best['detector']} with {_pair(best, 'auc_balanced')}"


def _pair(row: Record, name: str) -> str:
    return rounded(float(row[name]), float(row[f"{name}_error"]))


def _cutflow(content: Mapping[str, Mapping[str, Mapping[str, float]]], info: RunInfo) -> Cells:
    """Raw counts and sums of weights per data set and region.

    Data sets by role, then others.
    """
    order = [*info.background, *info.signals, *info.data]
    names = [name for name in order if name in content] + sorted(set(content) - set(order))
    filled = (region for one in content.values() for region in one)
    parts = {one.name for one in info.regions if one.part_of}
    regions = [one for one in dict.fromkeys([*filled, *info.blind]) if one not in parts]
    header = [
        text
        for region in regions
        for text in (f"{region}: raw", f"{region}: {info.content.lower()}")
    ]
    rows = []
    for name in names:
        pairs = [
            ("blind", "blind")
            if name in info.data and region in info.blind
            else _count(content[name].get(region, {}), observed=name in info.data)
            for region in regions
        ]
        rows.append([name, *itertools.chain.from_iterable(pairs)])
    return Cells(["Data set", *header], rows)


def _count(count: Mapping[str, float], *, observed: bool) -> tuple[str, str]:
    """Raw events and their sum of weights; what was counted in data has no error."""
    raw, sumw = count.get("raw", 0), count.get("sumw", 0.0)
    if observed and sumw == raw:
        return str(raw), str(raw)
    return str(raw), rounded(sumw, math.sqrt(count.get("sumw2", 0.0)))


def read_accounting(folder: Path) -> dict[str, Account]:
    """What a run says that it read; nothing if it does not say so."""
    path = folder / "accounting.json"
    if not path.exists():
        return {}
    try:
        return {name: Account.from_dict(one) for name, one in read_json(path).items()}
    except (TypeError, KeyError, AttributeError) as error:
        raise StorageError(
            f"{path} is no accounting of this hepmtp ({error}); run again to write it"
        ) from None


def _accounting(accounts: Accounting) -> Cells:
    """What was expected, read, skipped and lost, per data set."""
    header = ["Data set", "Files", "Chunks", "Events", "Weight read", "Skipped", "Lost"]
    rows = []
    for name, one in accounts.items():
        read = [
            f"{done} of {wanted}"
            for done, wanted in (
                (one.files_read, one.files),
                (one.chunks_read, one.chunks),
                (one.events_read, one.events),
            )
        ]
        weight = "-" if one.weight_read is None else f"{one.weight_read:.6g}"
        rows.append([name, *read, weight, _missing(one, "skipped"), _missing(one, "lost")])
    return Cells(header, rows)


def _missing(one: Account, kind: str) -> str:
    """Events that were skipped or lost, and their weight if it is known."""
    losses = [loss for loss in one.losses if loss.kind == kind]
    events, weight = one.total(kind)
    known = all(loss.events is not None for loss in losses)
    text = str(events) if known else f"{events} or more"
    return text if weight is None or not losses else f"{text} (weight {weight:.6g})"


def _by(
    rows: Sequence[Record],
    keys: Sequence[str],
    titles: Mapping[str, str],
    *,
    hidden: Sequence[str] = (),
) -> list[tuple[str, Cells]]:
    """One table per value of `keys`, which become its heading, without its empty columns."""
    groups: dict[str, list[Record]] = {}
    for row in rows:
        heading = ", ".join(f"{titles.get(key, key)}: {row[key]}" for key in keys)
        left = {name: value for name, value in row.items() if name not in {*keys, *hidden, MARK}}
        groups.setdefault(heading, []).append(left)
    tables = []
    for heading, group in groups.items():
        filled = [name for name in group[0] if any(row[name] for row in group)]
        tables.append(
            (heading, cells([{name: row[name] for name in filled} for row in group], titles=titles))
        )
    return tables


def _definition(region: RegionInfo) -> str:
    """What a region is, as text: its TeX label and its purpose."""
    label = plain(region.label).removeprefix(f"{region.name}: ") or "without description"
    return f"{label} ({region.purpose} region)" if region.purpose else label


def _image(folder: Path, name: str) -> str:
    path = folder / f"{file_name(name)}.png"
    try:
        return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
    except OSError as error:
        raise StorageError(
            f"the figure {path} of this run cannot be read ({error.strerror}); run again to draw it"
        ) from None
