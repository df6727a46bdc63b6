"""From a NanoAOD file to tokens, against coffea's NanoEvents and np.digitize.

The other side makes NanoEvents of each chunk, as coffea's own Runner does, and takes the columns
that it needs and no others. It cuts on momenta and identification, and makes ids of jets,
electrons, muons, photons and MET, of each collection apart. It identifies no jets, removes no
overlap, puts nothing in order and checks nothing. hepmtp does these, too. Its reader opens the file
anew for each chunk, as in a run.

The file has the branches that hepmtp reads of a real one, again and again, as in `readers.py`. Both
sides run in turns; CPU time of this process, the best of the rounds.

    python benchmarks/nanoaod_tokens.py ../shared/data/real
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot
from coffea.nanoevents import NanoAODSchema, NanoEventsFactory
from repeated_events import FORMATS, varied
from timing import seconds

import hepmtp as hm
from hepmtp.readers.nanoaod import NanoAOD
from hepmtp.tokenizers.lookup import LookupTokenizer

REQUIRED = 1.0


def nanoaod(path: Path, columns: dict[str, ak.Array], events: int) -> int:
    """A new file of these columns again and again, with a counter for each collection."""
    order = np.tile(np.arange(len(columns["genWeight"])), 50)
    rng = np.random.default_rng(0)
    written = 0
    with uproot.recreate(path, compression=uproot.ZLIB(1)) as file:
        while written < events:
            block = {name: varied(name, one[order], rng) for name, one in columns.items()}
            lists: dict[str, dict[str, ak.Array]] = {}
            for name in [name for name, one in block.items() if one.ndim == 2]:
                collection, _, part = name.partition("_")
                lists.setdefault(collection, {})[part] = block.pop(name)
            block |= {name: ak.zip(parts) for name, parts in lists.items()}
            if written == 0:
                file.mktree("Events", {name: ak.type(one).content for name, one in block.items()})
            file["Events"].extend(block)
            written += len(order)
    return written


class Schema(NanoAODSchema):  # type: ignore[misc]
    """Of a file without the numbers of run and event."""

    error_missing_event_ids = False


def by_hand(path: str, chunk: int, n: int, tokenizer: LookupTokenizer) -> int:
    """Number of ids that NanoEvents and np.digitize give."""
    starts = range(0, n, chunk)
    return sum(ids_by_hand(path, one, min(one + chunk, n), tokenizer) for one in starts)


def ids_by_hand(path: str, start: int, stop: int, tokenizer: LookupTokenizer) -> int:
    """Number of ids of the entries of one chunk."""
    reader = NanoAOD()
    events = NanoEventsFactory.from_root(
        {path: "Events"},
        schemaclass=Schema,
        entry_start=start,
        entry_stop=stop,
    ).events()
    jets, electrons, muons, photons = events.Jet, events.Electron, events.Muon, events.Photon
    chosen = (
        (jets, reader.jets, jets.btagDeepFlavB > 0.2783),
        (electrons, reader.electrons, electrons.cutBased >= reader.electron_id),
        (muons, reader.muons, muons.mediumId & (muons.pfRelIso04_all <= reader.muon_isolation)),
        (photons, reader.photons, photons.mvaID_WP90 & photons.electronVeto),
    )
    found: list[Any] = [np.digitize(ak.to_numpy(events.PuppiMET.pt), tokenizer.met_.edges)]
    n_pt, n_eta = (len(tokenizer.bins_[name].edges) + 1 for name in ("pt", "eta"))
    for i, (particles, (least_pt, largest_eta), good) in enumerate(chosen):
        keep = (particles.pt >= least_pt) & (abs(particles.eta) <= largest_eta)
        keep = keep if i == 0 else keep & good
        pt, eta = (ak.to_numpy(ak.flatten(one[keep])) for one in (particles.pt, particles.eta))
        kind: Any = 6
        if i == 0:
            kind = ak.to_numpy(ak.flatten(good[keep]))
        elif i < 3:
            kind = 2 * i + ak.to_numpy(ak.flatten(particles.charge[keep] < 0))
        one = kind * n_pt + np.digitize(pt, tokenizer.bins_["pt"].edges)
        found.append(one * n_eta + np.digitize(np.abs(eta), tokenizer.bins_["eta"].edges))
    return sum(map(len, found))


def by_hepmtp(path: str, chunk: int, n: int, tokenizer: LookupTokenizer) -> int:
    """Number of tokens that a reader and a tokenizer give."""
    reader = NanoAOD()
    chunks = (reader.read(path, one, min(one + chunk, n)) for one in range(0, n, chunk))
    return sum(len(tokenizer.encode(events).values) for events in chunks)


def main() -> None:
    """Print the speeds and their ratio; exit code 1 if it is below the required one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("real", type=Path, help="folder with the real files")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--chunk", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    background = (one for one in hm.embedded() if one.role == "background")
    tokenizer = LookupTokenizer.preset("no_azimuth").fit(hm.read(background, stop=4000))
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # coffea's, of links that the file lacks
        path = str(Path(folder) / "nano.root")
        columns = FORMATS["NanoAOD v15, TTree"].columns(options.real)
        with uproot.open(options.real / "coffea/nano_tt_v15.root") as file:  # vectors need a mass
            needed = ("Electron_mass", "Muon_mass")
            columns |= {name: file["Events"][name].array() for name in needed}
        n = nanoaod(Path(path), columns, options.events)
        sides = (by_hepmtp, by_hand)
        made = [side(path, options.chunk, n, tokenizer) for side in sides]
        times = [
            [seconds(lambda side=side: side(path, options.chunk, n, tokenizer)) for side in sides]
            for _ in range(options.rounds)
        ]
    ours, theirs = (min(column) for column in zip(*times, strict=True))
    # without overlap and bad jets hepmtp has fewer, but not many
    if not 0.7 * made[1] <= made[0] <= made[1]:
        raise SystemExit(f"{made[0]} tokens of hepmtp, {made[1]} by hand: not the same particles")
    print(f"{n} events in chunks of {options.chunk}, best of {options.rounds} rounds, CPU time")
    print(f"NanoEvents and np.digitize {n / theirs:9.0f} events/s, {made[1]} ids")
    print(f"hepmtp                     {n / ours:9.0f} events/s, {made[0]} tokens")
    print(f"ratio {theirs / ours:.2f} (required {REQUIRED:g})")
    sys.exit(theirs / ours < REQUIRED)


if __name__ == "__main__":
    main()
