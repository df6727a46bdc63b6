"""Histograms and folders of runs for tests of fits, from a few thousand events drawn at random.

The rule: regions, variables and variations are named as hepmtp's own, so that the fit is the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from hist.axis import Regular

from hepmtp.events.region_info import RegionInfo, described
from hepmtp.events.regions import REGIONS
from hepmtp.report.info import RunInfo
from hepmtp.report.rows import write_numbers
from hepmtp.statistics.histograms import Histogram, book, fill

BACKGROUND = ("ttbarW", "ttbarZ", "ttbarHiggs", "ttbarWW")
SIGNAL = "4top"
#: Events, and mean numbers of jets and b-jets, of each process.
PROCESSES = {
    "ttbarW": (900.0, 5.0, 1.5, 0.0),
    "ttbarZ": (900.0, 5.2, 1.5, 0.0),
    "ttbarHiggs": (400.0, 5.8, 1.9, 0.2),
    "ttbarWW": (30.0, 6.2, 1.6, 0.3),
    SIGNAL: (40.0, 8.0, 3.0, 1.5),
}
STEPS = ("jet_step", "jet_step7", "b_step", "b_step3", "met_slope", "ht_slope")
#: Lower edges of the slices of MET that CR, VR and SR with two b-jets have.
SLICES = ("MET0", "MET150", "MET300")
#: Channels of the simultaneous fit that are signal regions.
SIGNAL_REGIONS = [*(f"SR_2b_{one}" for one in SLICES), "SR_3b_MET0", "SR_3b_MET150"]
INFO = sorted(described(REGIONS))


def events(name: str, n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Jets, b-jets, kind of leptons, a score, MET and HT of some events of a process."""
    _, jets, b, strange = PROCESSES[name]
    found = {"n_jets": rng.poisson(jets, n), "n_b": np.minimum(rng.poisson(b, n), 6)}
    found["leptons"] = rng.choice(4, n, p=(0.3, 0.25, 0.2, 0.25))  # ++, --, Z, three without
    if name == "ttbarZ":
        found["leptons"] = rng.choice(4, n, p=(0.1, 0.1, 0.6, 0.2))
    found["score"] = rng.normal(0.25 * found["n_jets"] + strange, 1.0)
    found["met"] = rng.exponential(100.0 + 50.0 * strange, n)
    found["ht"] = rng.exponential(300.0 + 100.0 * strange, n) + 300.0
    return found


def masks(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Which events are in which region."""
    jets, b, kind = found["n_jets"], found["n_b"], found["leptons"]
    one, few = b == 1, (jets >= 4) & (jets <= 5)
    low = (jets >= 3) & (jets <= 5) & one
    high = jets >= 6
    found_in = {
        "preselection": (jets >= 3) & (b >= 1),
        "CR": few & (b >= 2),
        "VR": high & one,
        "SR": high & (b >= 2),
        "ttW+": low & (kind == 0),
        "ttW-": low & (kind == 1),
        "ttZ": low & (kind == 2),
        "CR1b": few & one & (kind == 3),
    }
    place = np.searchsorted((150, 300), found["met"])
    wholes = {name: found_in[name] for name in ("CR", "VR")} | {"SR_2b": high & (b == 2)}
    for name, whole in wholes.items():
        found_in |= {f"{name}_{end}": whole & (place == i) for i, end in enumerate(SLICES)}
    found_in["SR_3b_MET0"] = high & (b >= 3) & (place == 0)
    found_in["SR_3b_MET150"] = high & (b >= 3) & (place > 0)
    return found_in


def steps(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Factors up of the weight variations."""
    jets, b = found["n_jets"], found["n_b"]
    return {
        "jet_step": 1.2 ** np.clip(np.minimum(jets, 6) - 4, 0, None),
        "jet_step7": 1.2 ** np.clip(jets - 6, 0, None),
        "b_step": 1.2 ** np.clip(np.minimum(b, 2) - 1, 0, None),
        "b_step3": 1.2 ** np.clip(b - 2, 0, None),
        "met_slope": 1.2 ** np.clip(found["met"] / 100 - 1, 0, None),
        "ht_slope": 1.2 ** np.clip(found["ht"] / 250 - 2, 0, None),
    }


def histograms(
    *, n: int = 6000, seed: int = 0, variations: tuple[str, ...] = STEPS, data: str = ""
) -> dict[str, Histogram]:
    """Histograms of a score and of the numbers of jets and b-jets.

    `data` is the name of a data set with Poisson counts of the background, in all regions.
    """
    rng = np.random.default_rng(seed)
    axes = {
        "score": Regular(60, -4, 8, name="score", label="a score"),
        "n_jets": Regular(20, -0.5, 19.5, name="score", label="number of jets"),
        "n_b": Regular(10, -0.5, 9.5, name="score", label="number of b-jets"),
    }
    made = {name: book(axis, name=name) for name, axis in axes.items()}
    for name, (total, *_) in PROCESSES.items():
        found = events(name, n, rng)
        weight = np.full(n, total / n)
        weights = {"nominal": weight}
        for variation, factor in steps(found).items():
            if variation in variations:
                weights |= {
                    f"{variation}_up": weight * factor,
                    f"{variation}_down": weight / factor,
                }
        _fill(made, name, found, weights)
        if data and name != SIGNAL:
            drawn = events(name, rng.poisson(total), rng)
            _fill(made, data, drawn, {"nominal": np.ones(len(drawn["score"]))})
    return made


def _fill(
    made: dict[str, Histogram],
    dataset: str,
    found: dict[str, np.ndarray],
    weights: dict[str, np.ndarray],
) -> None:
    for name, h in made.items():
        for region, mask in masks(found).items():
            for variation, weight in weights.items():
                fill(
                    h, dataset=dataset, region=region, score=found[name][mask],
                    weight=weight[mask], variation=variation,
                )  # fmt: skip


def folder(path: Path, made: dict[str, Histogram], **changes: Any) -> Path:
    """The folder of a run with these histograms."""
    path.mkdir(parents=True, exist_ok=True)
    variations = sorted(
        {name.rpartition("_")[0] for h in made.values() for name in h.axes["variation"]} - {""}
    )
    info: dict[str, Any] = {
        "title": "drawn at random",
        "summary": ["Events drawn at random."],
        "command": "none",
        "background": list(BACKGROUND),
        "signals": [SIGNAL],
        "detector": "score",
        "regions": INFO,
        "content": "Events",
        "variations": variations,
        "datasets": [{"name": SIGNAL, "role": "signal", "cross-section [pb]": 0.012}],
        "caption": {"experiment": "", "text": "drawn", "luminosity": 139.0, "energy": 13.0},
    }
    write_numbers(path, info=RunInfo(**(info | changes)), histograms=made, cutflow={})
    return path


def regions(*names: str) -> list[RegionInfo]:
    """What a run says of these regions."""
    return [one for one in INFO if one.name in names]
