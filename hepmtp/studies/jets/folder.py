"""Folders of studies of jets: tables as text and data, figures as PNG and PDF.

The rule: numbers are written before any figure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import awkward as ak
import numpy as np

from hepmtp import storage
from hepmtp.errors import OptionError
from hepmtp.events.constituents import Constituents, constituents
from hepmtp.events.ragged import Floats, starts
from hepmtp.events.split import unseen
from hepmtp.jets.language_model import JetLanguageModel
from hepmtp.jets.observables import OBSERVABLES
from hepmtp.plotting.jets import Spectrum, densities, jets_side_by_side, spectrum
from hepmtp.plotting.names import words
from hepmtp.plotting.style import OWN_FILES, Caption, save
from hepmtp.studies.jets.comparison import (
    FEWEST,
    Measured,
    distances,
    in_common,
    markdown,
    measured_events,
    told_apart,
)
from hepmtp.studies.jets.densities import (
    correlation_table,
    density_table,
    judge,
    separation_table,
)
from hepmtp.studies.jets.next_constituent import next_figure
from hepmtp.tokenizers.constituents import ConstituentTokenizer


def write_comparison(
    path: str | Path,
    model: JetLanguageModel,
    events: ak.Array,
    *,
    name: str,
    jets: int | None = None,
    seed: int = 0,
    caption: Caption = OWN_FILES,
) -> str:
    """Compare jets that a model makes with true ones that did not train it; gives the tables.

    Parameters
    ----------
    events
        true jets, (n_jets,); those that trained the model are left out.
    name
        of their data set.
    jets
        made jets; by default half as many as the true ones that are left.
    """
    keep, _ = unseen(events, model.trained_)
    true = events[keep]
    if len(true) < 2 * FEWEST:
        raise OptionError(
            f"{name}: {len(true)} of {len(events)} jets did not train the model, {2 * FEWEST} are "
            "needed: give more files"
        )
    rng = np.random.default_rng([seed, 2])
    tokens = model.sample(jets or len(true) // 2, seed=seed)
    sides = (
        measured_events(true, model.tokenizer, rng),
        Measured.of(tokens, model.tokenizer, rng),
    )
    about = (
        f"Jets made by a model of {model.dataset_} against {name}: {len(true)} true jets that did "
        f"not train it, {len(tokens)} made ones, seed {seed}."
    )
    title = f"{words(name)}, model of {words(model.dataset_)}"
    edges = [one[1:-1] for one in model.tokenizer.edges_ or ()]
    grid = edges[1], edges[2]
    return _compared(path, sides, rng, about, title, seed=seed, grid=grid, caption=caption)


def write_two_sides(
    path: str | Path,
    samples: Mapping[str, ak.Array],
    *,
    tokenizer: ConstituentTokenizer | None = None,
    seed: int = 0,
    caption: Caption = OWN_FILES,
) -> str:
    """Compare jets of two data sets, the first being the true ones; gives the tables.

    Parameters
    ----------
    samples
        name -> jets, (n_jets,).
    tokenizer
        both sides go through its bins; without one constituents are taken as they are.

    Raises
    ------
    OptionError
        if there are not two data sets, some jets are in both, or jets are too few.
    """
    if len(samples) != 2:
        raise OptionError(
            f"two data sets are compared, found {', '.join(samples)}: give each a name of its own, "
            "as NAME=FILE"
        )
    (first, true), (second, other) = samples.items()
    if n := int(in_common(true, other).sum()):
        raise OptionError(
            f"{n} of {len(true)} jets of {first} are in {second}, too, by their content: compare "
            "different jets"
        )
    rng = np.random.default_rng([seed, 2])
    sides = [
        Measured.of_constituents(constituents(one))
        if tokenizer is None
        else measured_events(one, tokenizer, rng)
        for one in (true, other)
    ]
    how = "as they are" if tokenizer is None else "both through the bins of a model"
    about = (
        f"Jets of {second} (made) against {first} (true): {len(other)} and {len(true)} jets, "
        f"{how}, seed {seed}."
    )
    title = f"{words(second)} against {words(first)}"
    return _compared(path, (sides[0], sides[1]), rng, about, title, seed=seed, caption=caption)


def _compared(
    path: str | Path,
    sides: tuple[Measured, Measured],
    rng: np.random.Generator,
    about: str,
    title: str,
    *,
    seed: int,
    grid: tuple[Floats, Floats] | None = None,
    caption: Caption,
) -> str:
    """Tables and figures of true and other jets."""
    found, told = distances(*sides, rng), told_apart(*sides, seed=seed)
    text = markdown(found, told)
    plain = {
        "about": about,
        "distances": [one._asdict() for one in found],
        "trees": [one._asdict() for one in told],
    }
    path = _folder(path)
    _write(path / "comparison.md", f"{about}\n\n{text}\n")
    _write(path / "comparison.json", json.dumps(plain, indent=1) + "\n")
    bins = int(np.clip(min(len(side.jets.counts) for side in sides) // 10, 10, 40))
    for one in _spectra(*sides):
        save(spectrum(one[1], title=title, bins=bins, caption=caption), path / "figures", one[0])
    few = range(min(4, *(len(side.jets.counts) for side in sides)))
    pictures = [[_one(side.jets, jet) for jet in few] for side in sides]
    figure = jets_side_by_side(*pictures, edges=grid, caption=caption)
    save(figure, path / "figures", "jets")
    return text


def write_densities(
    path: str | Path,
    model: JetLanguageModel,
    events: Mapping[str, ak.Array],
    *,
    columns: Path | None = None,
    caption: Caption = OWN_FILES,
) -> str:
    """What a model says of jets of several data sets; gives the tables.

    Parameters
    ----------
    events
        name of the data set -> jets, the one that others are separated from first.
    columns
        parquet file for densities jet by jet.
    """
    judged = {name: judge(model, some, name=name) for name, some in events.items()}
    first = next(iter(judged))
    tables = [density_table(judged), correlation_table(judged)]
    if len(judged) > 1:
        tables.append(separation_table(judged, first))
    about = f"Model of {model.dataset_}; jets that did not train it. Natural logarithms."
    text = "\n\n".join(tables)
    path = _folder(path)
    _write(path / "density.md", f"{about}\n\n{text}\n")
    if columns is not None:
        rows = [
            ak.zip(
                {
                    "dataset": [name] * len(one.density.log_p),
                    **{
                        key: value
                        for key, value in one.density._asdict().items()
                        if value.ndim == 1
                    },
                    **one.observables,
                },
                depth_limit=1,
            )
            for name, one in judged.items()
        ]
        with storage.new_file(columns) as temporary:
            ak.to_parquet(ak.concatenate(rows), str(temporary))
    title = f"model of {words(model.dataset_)}"
    for name, label in (
        ("log_p", "$\\log p$ of tokens"),
        ("per_term", "$\\log p$ per term"),
        ("log_p_physical", "$\\log p$ in space"),
    ):
        values = {words(key): getattr(one.density, name) for key, one in judged.items()}
        figure = densities(values, label=label, title=title, caption=caption)
        save(figure, path / "figures", name)
    expected = next_figure(model, events[first], caption=caption)
    if expected is not None:
        save(expected, path / "figures", "next_constituents")
    return text


def _folder(path: str | Path) -> Path:
    path = Path(path)
    (path / "figures").mkdir(parents=True, exist_ok=True)
    return path


def _write(path: Path, text: str) -> None:
    with storage.new_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _one(jets: Constituents, jet: int) -> tuple[Floats, Floats, Floats]:
    """pt, eta and phi of the constituents of a jet."""
    first = int(starts(jets.counts)[jet])
    rows = slice(first, first + int(jets.counts[jet]))
    return np.exp(jets.log_pt[rows]), jets.eta[rows], jets.phi[rows]


def _spectra(true: Measured, made: Measured) -> list[tuple[str, Spectrum]]:
    """Name and contents of each figure of a spectrum."""
    of_true, of_made = (
        side.values("log_pt", np.arange(len(side.jets.counts))) / np.log(10)
        for side in (true, made)
    )
    low, high = float(of_true.min()), float(of_true.max())
    text = "$\\log_{10}(p_T$ / GeV) of constituents"
    found = [("log_pt", Spectrum(text, of_true, of_made, low, high, log=True))]
    for name, (label, unit) in OBSERVABLES.items():
        of_true, of_made = true.observables[name], made.observables[name]
        low, high = (float(one) for one in np.quantile(of_true, [0.001, 0.995]))
        text = f"{label} [{unit}]" if unit else label
        found.append((name, Spectrum(text, of_true, of_made, low, max(high, low + 1e-6))))
    return found
