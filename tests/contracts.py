"""Shared contracts: what every reader, tokenizer and detector must keep.

They are made in the manner of scikit-learn's check_estimator.

The rule: the test file of each such class calls its contract first.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import torch
from hist.axis import Regular

from hepmtp.cli import main
from hepmtp.detectors import Detector
from hepmtp.detectors.masked_token.surprise import surprises
from hepmtp.errors import (
    EventError,
    NotFittedError,
    OptionError,
    ReadError,
    StorageError,
    TokenError,
    TrainingError,
)
from hepmtp.events.particles import CONSTITUENT_TYPES
from hepmtp.events.record import (
    PARTICLE_FIELDS,
    Role,
    check_events,
    make_events,
    with_metadata,
)
from hepmtp.events.split import part_of, split_of
from hepmtp.events.tokens import TokenBatch
from hepmtp.models import ModelConfig, TokenModel, build
from hepmtp.readers import Reader
from hepmtp.tokenizers import Tokenizer
from hepmtp.tokenizers.particles_then_met import ParticleTokenizer

#: What a saved folder may consist of: no pickle.
PLAIN = {".json", ".safetensors", ".md"}


def columns(events: ak.Array) -> dict[str, list[object]]:
    """Every number of the events as lists, for exact comparison."""
    particles = {name: events.Particle[name].to_list() for name in PARTICLE_FIELDS}
    missing = {f"MET_{name}": events.MET[name].to_list() for name in ("pt", "phi")}
    return (
        particles
        | missing
        | {name: events[name].to_list() for name in ("weight", "event", "source")}
    )


def no_particles(met: Sequence[float], role: Role = "background") -> ak.Array:
    """Events without particles, with this MET at phi 1."""
    nothing: list[float] = []
    n = len(met)
    return make_events(
        counts=[0] * n,
        **dict.fromkeys(("pt", "eta", "phi", "energy", "type"), nothing),
        met=met,
        met_phi=[1.0] * n,
        role=role,
    )


def photon_and_hadron() -> ak.Array:
    """An event of a photon and a charged hadron, as a jet has them among its constituents."""
    return make_events(
        counts=[2],
        pt=[5.0, 4.0],
        eta=[0.1, 0.2],
        phi=[1.0, 1.1],
        energy=[6.0, 5.0],
        type=[6, 7],
        met=[0.0],
        met_phi=[0.0],
        types=CONSTITUENT_TYPES,
        role="background",
    )


def one_each(**columns: list[float]) -> ak.Array:
    """Events of one particle: by default a jet of pt 50, eta and phi 0, and MET 50 at phi 0."""
    n = len(next(iter(columns.values())))
    default = {
        "pt": 50.0,
        "eta": 0.0,
        "phi": 0.0,
        "energy": 100.0,
        "type": 0,
        "met": 50.0,
        "met_phi": 0.0,
    }
    return make_events(
        counts=[1] * n, **{name: columns.get(name, [value] * n) for name, value in default.items()}
    )


def damaged(data: bytes, rng: np.random.Generator, n: int) -> Iterator[bytes]:
    """These bytes cut somewhere, n // 2 times, and then with 50 of them overwritten."""
    for i in range(n):
        some = bytearray(data)
        if i < n // 2:
            del some[int(rng.integers(1, len(some))) :]
        else:
            at = int(rng.integers(len(some) - 50))
            some[at : at + 50] = rng.bytes(50)
        yield bytes(some)


def check_reader(reader: Reader, path: str, tmp_path: Path) -> None:
    """The contract of a reader, on a good file of at least three events."""
    assert isinstance(reader, Reader)
    n = reader.num_events(path)
    whole = reader.read(path)
    assert n == len(whole) >= 3
    check_events(whole)
    assert whole.event.to_list() == list(range(n))
    copy = tmp_path / "elsewhere" / f"another {Path(path).name}"
    copy.parent.mkdir(exist_ok=True)
    shutil.copy(path, copy)
    assert len(set(whole.source.to_list())) == 1
    assert set(reader.read(str(copy)).source.to_list()) == set(whole.source.to_list())
    assert {
        str(ak.type(whole.Particle[name])).rsplit(" ", 1)[-1]
        for name in ("pt", "eta", "phi", "energy")
    } == {"float64"}
    assert whole.Particle.mass.ndim == 2

    cut = n // 2
    parts = [reader.read(path, 0, cut), reader.read(path, cut, n)]
    glued = {
        name: a + b
        for (name, a), b in zip(columns(parts[0]).items(), columns(parts[1]).values(), strict=True)
    }
    assert glued == columns(whole)
    assert len(reader.read(path, cut, cut)) == 0
    assert reader.read(path, 0, 0).fields == whole.fields
    assert len(reader.read(path, n - 1, n + 100)) == 1
    assert len(reader.read(path, n + 5)) == 0

    with pytest.raises(ReadError, match=r"expected 0 <= start <= stop"):
        reader.read(path, 2, 1)
    with pytest.raises(ReadError, match=r"does not exist"):
        reader.read(str(tmp_path / "nothing" / Path(path).name))
    with pytest.raises(ReadError, match=r"is a folder"):
        reader.read(str(tmp_path))
    empty = tmp_path / f"empty-{Path(path).name}"
    empty.touch()
    with pytest.raises(ReadError, match=r"is empty"):
        reader.num_events(str(empty))
    junk = tmp_path / f"junk-{Path(path).name}"
    junk.write_bytes(np.random.default_rng(1).bytes(1000))
    with pytest.raises(ReadError, match=junk.name):
        reader.read(str(junk))


def check_detector(
    make: Callable[[], Detector],
    events: ak.Array,
    tmp_path: Path,
    *,
    rtol: float = 0.0,
    order: float = 1e-12,
    all_events: bool = False,
) -> Detector:
    """The contract of a detector; returns a fitted one.

    Parameters
    ----------
    make
        gives a detector that is not fitted.
    events
        background of several hundred events.
    rtol
        by how much scores may depend on the chunks that events come in.
    order
        by how much they may depend on the order of the particles, if that is more.
    all_events
        it is cross-fitted: it learns from the analysis part of the one split, too.
    """
    before = columns(events)
    with pytest.raises(NotFittedError, match=r"call fit\(background events\) first"):
        _ = make().axis
    with pytest.raises(NotFittedError, match=r"call fit\(background events\) first"):
        make().save(tmp_path / "nothing")
    for role in ("signal", "data", None):
        with pytest.raises(TrainingError, match=r"only background may be fitted on"):
            make().fit(with_metadata(events, dataset="x", role=role))
    with pytest.raises(TrainingError, match=r"none of the 0 events is in the train part"):
        make().fit(events[:0])
    detector = make()
    assert detector.fit(events) is detector
    assert isinstance(detector, Detector)
    assert detector.name
    assert len(detector.description) > 20
    assert detector.n_parameters >= 0
    _check_forms(detector, events)

    scores = _check_scores(detector, events, rtol, max(order, rtol))
    assert columns(events) == before
    _check_axis(detector, part_of(events, "train"))

    if not all_events:
        alone = make().fit(events[split_of(events) != "analysis"])
        np.testing.assert_array_equal(alone.score(events), scores)
        assert alone.axis == detector.axis
    turned = make().fit(events[::-1])
    np.testing.assert_array_equal(turned.score(events), scores)

    detector.save(tmp_path / "detector")
    loaded = type(detector).load(tmp_path / "detector")
    np.testing.assert_array_equal(loaded.score(events), scores)
    for name in ("axis", "name", "description", "forms", "n_parameters", "supervised"):
        assert getattr(loaded, name) == getattr(detector, name), name
    assert {one.suffix for one in (tmp_path / "detector").rglob("*") if one.is_file()} <= PLAIN
    _check_damage(type(detector), tmp_path / "detector")
    return detector


def check_seed(make: Callable[..., Detector], fitted: Detector, events: ak.Array) -> None:
    """A seed gives the same scores, another one others; torch's own generator stays as it was."""
    import torch  # noqa: PLC0415 - detectors without it use this module too

    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    again = make().fit(events)
    assert torch.equal(torch.rand(3), expected)
    np.testing.assert_array_equal(again.score(events), fitted.score(events))
    assert not np.array_equal(make(seed=1).fit(events).score(events), fitted.score(events))


def _check_forms(detector: Detector, events: ak.Array) -> None:
    with pytest.raises(OptionError, match=r"nonsense"):
        detector.with_score("nonsense")
    forms = [detector.with_score(form) for form in detector.forms]
    assert len({one.name for one in forms}) == len(forms)
    for one in forms:
        assert isinstance(one.axis, Regular)
        assert np.isfinite(one.score(events[:20])).all()


def _check_scores(detector: Detector, events: ak.Array, rtol: float, order: float) -> np.ndarray:
    n = len(events)
    scores = detector.score(events)
    assert scores.dtype == np.float64
    assert scores.shape == (n,)
    assert np.isfinite(scores).all()
    assert len(np.unique(scores)) > 1
    mask = np.arange(n) % 3 != 1
    np.testing.assert_allclose(detector.score(events[mask]), scores[mask], rtol=rtol, atol=rtol)
    chunks = [detector.score(events[first : first + 50]) for first in range(0, n, 50)]
    np.testing.assert_allclose(np.concatenate(chunks), scores, rtol=rtol, atol=rtol)
    turned = ak.with_field(events, events.Particle[:, ::-1], "Particle")
    np.testing.assert_allclose(detector.score(turned), scores, rtol=order, atol=order)
    # an event without particles scores, and leaves the others alone
    bare = ak.with_field(
        events, events.Particle[ak.broadcast_arrays(mask, events.Particle.pt)[0]], "Particle"
    )
    assert ak.num(bare.Particle)[1] == 0
    found = detector.score(bare)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[mask], scores[mask], rtol=rtol, atol=rtol)
    nothing = detector.score(events[:0])
    assert nothing.shape == (0,)
    assert nothing.dtype == np.float64
    return scores


def _check_axis(detector: Detector, training: ak.Array) -> None:
    axis = detector.axis
    assert isinstance(axis, Regular)
    assert axis.name == "score"
    assert axis.label
    scores = detector.score(training)
    assert np.mean((scores >= axis.edges[0]) & (scores < axis.edges[-1])) >= 0.99


def _check_damage(cls: type[Detector], folder: Path) -> None:
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        for place in range(0, len(data), max(1, len(data) // 5)):
            path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
            with pytest.raises(
                StorageError,
                match=r"damaged|has changed|expected|reads 1|cannot be (read|imported)",
            ):
                cls.load(folder)
        path.write_bytes(data)
    cls.load(folder)
    with pytest.raises(StorageError, match=r"cannot be read as a"):
        cls.load(folder / "nothing")


def hepmtp(*words: str | Path) -> int:
    """Exit code of a command, run in this process as the entry point runs it."""
    with pytest.raises(SystemExit) as exit_:
        main([str(word) for word in words])
    return int(exit_.value.code or 0)


#: Share of the ids that encoding decoded events must give again, where codes are contextual.
CONTEXTUAL_AGREEMENT = 0.5


def check_tokenizer(
    tokenizer: Tokenizer, events: ak.Array, tmp_path: Path, *, contextual: bool = False
) -> None:
    """The contract of a tokenizer that is not fitted yet.

    Parameters
    ----------
    events
        background, some of it without particles.
    contextual
        a particle's id depends on the particles beside it, which decoding changes. Encoding decoded
        events must then give as many ids in each event, and more than `CONTEXTUAL_AGREEMENT` of
        them the same; all types must be those of the events.
    """
    assert isinstance(tokenizer, Tokenizer)
    assert ak.any(ak.num(events.Particle) == 0)
    before = columns(events)
    for role in ("signal", "data", None):
        with pytest.raises(TrainingError, match=r"only background may be fitted on"):
            tokenizer.fit(with_metadata(events, dataset="other", role=role))
    with pytest.raises(NotFittedError, match=r"call fit\(background events\) first"):
        tokenizer.encode(events)
    with pytest.raises(NotFittedError, match=r"call fit\(background events\) first"):
        tokenizer.decode(TokenBatch.from_counts([], []))
    with pytest.raises(NotFittedError, match=r"call fit\(background events\) first"):
        tokenizer.save(tmp_path / "nothing")
    assert tokenizer.supervised in (True, False)
    assert tokenizer.fit(events) is tokenizer

    tokens = tokenizer.encode(events)
    assert isinstance(tokens, TokenBatch)
    assert len(tokens) == len(events)
    assert 0 <= tokens.values.min() <= tokens.values.max() < tokenizer.vocab_size
    nothing = tokenizer.encode(events[:0])
    assert (len(nothing), len(nothing.values)) == (0, 0)
    mask = np.arange(len(events)) % 3 == 0
    assert tokenizer.encode(events[mask]) == tokens.select(mask)
    cut = len(events) // 2
    assert tokenizer.encode(events[:cut]) + tokenizer.encode(events[cut:]) == tokens
    assert tokenizer.encode(with_metadata(events, dataset="other", role="signal")) == tokens

    decoded = tokenizer.decode(tokens)
    check_events(decoded)
    again = tokenizer.encode(decoded)
    if contextual:
        assert np.array_equal(again.offsets, tokens.offsets)
        assert decoded.Particle["type"].to_list() == events.Particle["type"].to_list()
        assert np.mean(again.values == tokens.values) > CONTEXTUAL_AGREEMENT
    else:
        assert np.array_equal(again.offsets, tokens.offsets)
        assert np.array_equal(again.values, tokens.values), (
            "features, if any, are those of the decoded particles"
        )
    assert len(tokenizer.decode(nothing)) == 0
    assert columns(events) == before

    sizes = np.array([size for _, size in tokenizer.factors])
    digits = tokenizer.digits
    assert digits.shape == (tokenizer.vocab_size, len(sizes))
    assert digits.dtype == np.int64
    assert ((digits >= -1) & (digits < sizes)).all()
    assert (digits >= 0).any(axis=1).all(), "every id has a digit"
    assert (digits.max(axis=0) == sizes - 1).all(), "every value of every factor is used"
    assert len(np.unique(digits, axis=0)) == tokenizer.vocab_size, "digits tell ids apart"

    tokenizer.save(tmp_path / "tokenizer")
    loaded = type(tokenizer).load(tmp_path / "tokenizer")
    assert loaded.encode(events) == tokens
    assert columns(loaded.decode(tokens)) == columns(decoded)
    assert (loaded.factors, loaded.supervised) == (tokenizer.factors, tokenizer.supervised)
    assert np.array_equal(loaded.digits, digits)
    assert {one.suffix for one in (tmp_path / "tokenizer").rglob("*") if one.is_file()} <= PLAIN


def check_particle_tokenizer(
    tokenizer: ParticleTokenizer, events: ak.Array, tmp_path: Path, *, contextual: bool = False
) -> None:
    """The contract of a `ParticleTokenizer`: that of a tokenizer, and what it refuses."""
    hadrons = photon_and_hadron()
    unknown = r"1 of 2 particles are of type h\+, known here are j, b"
    with pytest.raises(EventError, match=unknown):
        tokenizer.fit(hadrons)
    with pytest.raises(TrainingError, match=r"none of the 3 events has a particle"):
        tokenizer.fit(no_particles([1.0, 2.0, 3.0]))
    check_tokenizer(tokenizer, events, tmp_path, contextual=contextual)
    with pytest.raises(EventError, match=unknown):
        tokenizer.encode(hadrons)
    for one in (-1, tokenizer.vocab_size):
        with pytest.raises(
            TokenError, match=rf"ids must lie in 0\.\.{tokenizer.vocab_size - 1}, found"
        ):
            tokenizer.decode(TokenBatch.from_counts([one], [1]))
    tokens = tokenizer.encode(events)
    for column, (name, _) in enumerate(tokenizer.factors):
        if not name.startswith("MET"):
            continue
        is_it = tokenizer.digits[tokens.values, column] >= 0
        assert np.array_equal(tokens.owner[is_it], np.arange(len(events)))
        for repeats in (~is_it, 1 + is_it):  # none, two of each
            counts = np.bincount(tokens.owner, repeats, minlength=len(events)).astype(int)
            wrong = TokenBatch.from_counts(np.repeat(tokens.values, repeats), counts)
            with pytest.raises(TokenError, match=rf"exactly one {name} token"):
                tokenizer.decode(wrong)


def check_model(config: ModelConfig, tokenizer: Tokenizer, tokens: TokenBatch) -> None:
    """The contract of a token model, on tokens of this tokenizer."""
    torch.manual_seed(1)
    model, again = (build(config, tokenizer.factors, tokenizer.digits).eval() for _ in range(2))
    again.load_state_dict(model.state_dict())
    tokens = tokens.select(np.argsort(tokens.counts, kind="stable"))
    everywhere = np.arange(len(tokens.values))
    with torch.no_grad():
        whole = model.predict(tokens, everywhere)
        for (_, size), log_p in zip(model.heads, whole, strict=True):
            assert log_p.shape == (len(everywhere), size)
            np.testing.assert_allclose(log_p.exp().sum(dim=1), 1, rtol=1e-5)
        assert all(map(torch.equal, again.predict(tokens, everywhere), whole))
        _check_close(model.predict(tokens, everywhere[1::3]), [one[1::3] for one in whole])
        for event in range(0, len(tokens), 5):
            rows = slice(*tokens.offsets[event : event + 2])
            alone = model.predict(tokens.select([event]), np.arange(tokens.counts[event]))
            _check_close(alone, [one[rows] for one in whole])
        nothing = tokens.select([])
        assert [len(one) for one in model.predict(nothing, nothing.values)] == [0] * len(whole)
        _check_leave_one_out(model, tokens)
    found = surprises(model, tokens)
    assert all(np.isfinite(part).all() for part in found)
    np.testing.assert_allclose(
        surprises(model, tokens, max_tokens=1).surprise, found.surprise, rtol=1e-4, atol=1e-5
    )


def _check_leave_one_out(model: TokenModel, tokens: TokenBatch) -> None:
    """A hidden token, or any of a model that needs no hiding, is predicted from the others."""
    masks = model.mask_ids(tokens.values)
    first = tokens.offsets[:-1][tokens.counts > 1]
    for place, matters in ((first, False), (first + 1, True)):
        predictions = []
        for step in (0, 1):  # at this place another id of the same kind, and the first one hidden
            values = tokens.values.copy()
            for one in place:
                same = np.flatnonzero(model.kind_of == masks[one] - len(model.targets))
                values[one] = same[(np.searchsorted(same, values[one]) + step) % len(same)]
            if not model.one_pass:
                values[first] = masks[first]
            shown = TokenBatch(values, tokens.offsets, tokens.features)
            predictions.append(torch.cat(model.predict(shown, first), dim=1))
        moved = (predictions[1] - predictions[0]).abs().amax(dim=1)
        assert (moved > 1e-5).any() if matters else (moved < 1e-5).all()


def _check_close(found: list[torch.Tensor], expected: list[torch.Tensor]) -> None:
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
