"""Who takes part in a league: a table of all detectors, and how a user's own joins them.

The rule: an entry is a name and a function of the seed that makes a detector, not fitted. What
needs libraries beyond hepmtp's own is imported when it is made. All options are the detectors'
defaults.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from hepmtp.detectors import Detector
from hepmtp.detectors.masked_token.detector import MaskedTokenDetector
from hepmtp.detectors.observables import OBSERVABLES, Observable
from hepmtp.detectors.stranger import StrangerDetector, StrangerTraining
from hepmtp.detectors.token_rarity import TokenRarity
from hepmtp.errors import OptionError
from hepmtp.models.heads import Output
from hepmtp.models.marginal import MarginalOptions
from hepmtp.models.masked import ModelOptions
from hepmtp.plugins import resolve
from hepmtp.run.rivals import anomaly_score, plain_observables
from hepmtp.studies.league.entry import Entry, Kind, Make, entry_of, made_of, tiny
from hepmtp.tokenizers.lookup import PRESETS, LookupTokenizer
from hepmtp.training.masking import TrainingOptions


def choose(
    group: str = "main", *, only: Iterable[str] = (), add: Iterable[str] = (), quick: bool = False
) -> list[Entry]:
    """Entries of a group, or those of `only` from any group, and the user's own.

    Parameters
    ----------
    add
        each as in `entry_of`.
    quick
        tiny detectors: for a look, not for numbers.

    Raises
    ------
    OptionError
        if a name is unknown.

    Examples
    --------
    >>> [entry.name for entry in choose(only=["ht", "masked_token"])]
    ['ht', 'masked_token']
    """
    if group not in GROUPS:
        raise OptionError(f"group {group!r} is unknown; there are {', '.join(GROUPS)}")
    names = tuple(only)
    for name in names:
        if name not in ENTRIES:
            close = difflib.get_close_matches(name, ENTRIES, cutoff=0.4) or list(ENTRIES)
            raise OptionError(
                f"entry {name!r} is unknown; there are {', '.join(close)}; your own ones join with "
                "--add"
            )
    added = [entry_of(word) for word in add]
    chosen = [ENTRIES[name] for name in names] if names else list(GROUPS[group])
    return [tiny(entry) if quick else entry for entry in [*chosen, *added]]


def _anomaly(name: str, note: str, *parts: str, tokens: bool = True) -> Entry:
    """The default score, made of fitted entries, and what it is without some of them."""

    def make(seed: int, *, detectors: Sequence[Detector]) -> Detector:  # noqa: ARG001
        stranger, *masked = detectors
        model = cast("MaskedTokenDetector", masked[0]) if tokens else None
        return anomaly_score(model, stranger, called=name)

    return Entry(name, make, note=f"{note}; fit time of the tails alone", parts=parts)


def _static(seed: int) -> Detector:
    # nothing but frequencies is learned: large steps do no harm
    training = TrainingOptions(epochs=4, learning_rate=0.05, weight_decay=0.0, seed=seed)
    return MaskedTokenDetector(LookupTokenizer.preset("no_azimuth"), MarginalOptions(), training)


def _stranger(**changed: Any) -> Make:
    return lambda seed: StrangerDetector(training=StrangerTraining(seed=seed, **changed))


def _masked_token(
    tokenizer: Callable[[int], Any], *, output: Output = "product", small: bool = False
) -> Make:
    def make(seed: int) -> Detector:
        if small:
            model = ModelOptions(output=output, width=16, heads=2, layers=1, feedforward=32)
            return MaskedTokenDetector(
                tokenizer(seed), model, TrainingOptions(epochs=1, seed=seed), tail_events=500
            )
        return MaskedTokenDetector(
            tokenizer(seed), ModelOptions(output=output), TrainingOptions(seed=seed)
        )

    return make


def _lookup(preset: str) -> Callable[[int], Any]:
    return lambda seed: LookupTokenizer.preset(preset)  # noqa: ARG005


def _observable(name: str) -> Entry:
    return Entry(name, lambda seed: Observable(name), "observable", seeded=False)  # noqa: ARG005


def _network(
    name: str,
    path: str,
    note: str,
    *,
    kind: Kind = "background-only",
    libraries: tuple[str, ...] = (),
) -> Entry:
    make, small = made_of(path, "training"), made_of(path, "training", epochs=1)
    return Entry(name, make, kind, note, libraries=libraries, small=small)


def _combination(rule: str) -> Entry:
    def make(seed: int, *, detectors: Sequence[Detector]) -> Detector:  # noqa: ARG001
        detector: Detector = resolve("hepmtp:Combination")(detectors, rule)
        return detector

    note = (
        f"{rule.upper()} of the background ranks of flow and deep_svdd, as in arXiv:2105.14027; "
        "fit time of the ranks alone"
    )
    return Entry(
        f"combination_{rule}", make, note=note, parts=("flow", "deep_svdd"), libraries=("zuko",)
    )


def _tokenizer_entry(
    name: str,
    tokenizer: Callable[[int], Any],
    note: str,
    small: Callable[[int], Any] | None = None,
    libraries: tuple[str, ...] = (),
    forms: tuple[str, ...] = ("sum", "mean"),
) -> Entry:
    return Entry(
        name,
        _masked_token(tokenizer),
        note=f"masked tokens, {note}",
        forms=forms,
        libraries=libraries,
        small=_masked_token(small or tokenizer, small=True),
    )


def _autoencoder(name: str, path: str, note: str) -> Entry:
    make = made_of(path, "options")
    small = made_of(path, "options", width=16, layers=1, epochs=1)
    return _tokenizer_entry(name, make, note, small, ("vector_quantize_pytorch",))


#: Name of a group -> its entries.
GROUPS: dict[str, tuple[Entry, ...]] = {
    "main": (
        *(_observable(name) for name in OBSERVABLES),
        Entry(
            "observables",
            lambda seed: plain_observables(),  # noqa: ARG005
            "observable",
            note="Fisher's combination of n_jets, n_b, HT and MET",
            seeded=False,
        ),
        Entry(
            "jets_and_b",
            lambda seed: plain_observables(("n_jets", "n_b"), "jets_and_b"),  # noqa: ARG005
            "observable",
            note="Fisher's combination of n_jets and n_b",
            seeded=False,
        ),
        Entry(
            "stranger",
            _stranger(),
            note="networks that tell background from background made stranger",
            small=_stranger(epochs=1),
        ),
        Entry(
            "token_rarity",
            lambda seed: TokenRarity(),  # noqa: ARG005
            note="mean -log frequency of the tokens",
            seeded=False,
        ),
        _tokenizer_entry(
            "masked_token",
            _lookup("no_azimuth"),
            "look-up table without azimuth, the default table",
            forms=("jets", "sum", "mean"),
        ),
        Entry(
            "static",
            _static,
            note="masked tokens without a transformer: frequencies of the tokens in background",
            forms=("sum", "jets"),
        ),
        _anomaly(
            "anomaly",
            "the default: Fisher's combination of stranger, the four observables and the answers "
            "of masked_token for jets",
            "stranger",
            "masked_token",
        ),
        _anomaly(
            "anomaly_static",
            "the default with static in the place of masked_token",
            "stranger",
            "static",
        ),
        _anomaly(
            "anomaly_without_tokens", "the default without masked_token", "stranger", tokens=False
        ),
        Entry(
            "masked_token_published",
            _masked_token(_lookup("visive2025"), output="joint"),
            note=(
                "masked tokens, look-up table 5 x 5 x 5 with MET and METphi and one embedding an "
                "id, as published"
            ),
            forms=("sum", "mean"),
            small=_masked_token(_lookup("visive2025"), output="joint", small=True),
        ),
        Entry(
            "isolation_forest",
            made_of("hepmtp:IsolationForest"),
            note="isolation forest on event features",
            libraries=("sklearn",),
            small=made_of("hepmtp:IsolationForest", trees=20),
        ),
        Entry(
            "ecod",
            lambda seed: resolve("hepmtp:ECOD")(),  # noqa: ARG005
            note="tails of the event features, each by itself",
            seeded=False,
        ),
        _network(
            "deep_svdd",
            "hepmtp:DeepSVDD",
            "distance from a centre that a network draws event features to",
        ),
        _network(
            "vae",
            "hepmtp:VAE",
            "variational autoencoder on event features",
        ),
        _network(
            "flow",
            "hepmtp:Flow",
            "normalising flow on event features",
            libraries=("zuko",),
        ),
        _network(
            "distortion",
            "hepmtp:DistortionDetector",
            "DDD-style: a transformer that tells background from distorted background",
        ),
        *(_combination(rule) for rule in ("and", "or", "prod", "avg")),
        _network(
            "supervised",
            "hepmtp:SupervisedDetector",
            "a transformer with labels, trained for each signal: the ceiling, no search",
            kind="supervised",
        ),
    ),
    "tokenizers": (
        *(_observable(name) for name in OBSERVABLES),
        *(
            _tokenizer_entry(f"lookup_{name}", _lookup(name), f"look-up table {name!r}")
            for name in PRESETS
        ),
        _autoencoder("vqvae", "hepmtp:VQVAETokenizer", "VQ-VAE codes"),
        _autoencoder("fsq", "hepmtp:FSQTokenizer", "FSQ codes"),
        _tokenizer_entry(
            "graph_vq",
            made_of("hepmtp:GraphVQTokenizer"),
            "codes of a graph-attention network, trained on background against distorted "
            "background",
            small=made_of("hepmtp:GraphVQTokenizer", codes=32, width=16, layers=1, epochs=1),
            libraries=("torch_geometric", "vector_quantize_pytorch"),
        ),
    ),
}


#: All entries of all groups by name.
ENTRIES: dict[str, Entry] = {entry.name: entry for group in GROUPS.values() for entry in group}


#: Entry that the others of a group are compared with, whatever comes out best.
AGAINST = {"main": "anomaly", "tokenizers": "lookup_visive2025"}
