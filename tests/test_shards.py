"""Tokens on disk: a training from shards is the one in memory, whatever the number of shards.

The rule: see :mod:`hepmtp.run.shards` and :mod:`hepmtp.events.stored_tokens`.
"""

from __future__ import annotations

import gzip
import itertools
import pickle
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from test_masked import events_of, make_model

from hepmtp.errors import StorageError, TokenError, TrainingError
from hepmtp.events.stored_tokens import StoredTokens, blocks, store
from hepmtp.events.tokens import TokenBatch
from hepmtp.run.executors import make_executor
from hepmtp.run.runner import HepRunner
from hepmtp.run.shards import Piece, Rows, glued, shards_folder, write_shard
from hepmtp.tokenizers.lookup import LookupTokenizer
from hepmtp.training import masking
from hepmtp.training.masking import TrainingOptions, all_to_predict, tokens_to_predict, train
from processors.corpus import CorpusProcessor, training_tokens

N = 200
#: Two files, and events in no order.
SOURCE = np.repeat([7, -3], N // 2)
EVENT = np.random.default_rng(1).permutation(N)
TOKENS = events_of(np.random.default_rng(2).integers(0, 6, N).tolist())
MODEL = make_model(layers=1)
SORTED = TOKENS.select(np.lexsort((EVENT, SOURCE)))


def shards(folder: Path, cuts: list[int], tokens: TokenBatch = TOKENS) -> set[Piece]:
    """The pieces of chunks that end at these events."""
    found: set[Piece] = set()
    for chunk in np.split(np.arange(N), cuts):
        rows = Rows(tokens.select(chunk), SOURCE[chunk], EVENT[chunk])
        found |= write_shard(folder, {"train": rows})["train"]
    return found


def stored(folder: Path, tokens: TokenBatch) -> StoredTokens:
    folder.mkdir(exist_ok=True)
    n = {"n_events": len(tokens), "n_tokens": len(tokens.values)}
    return store(folder, [tokens], **n, dtype=np.int16)


@pytest.mark.parametrize("cuts", [[], [50, 150], [100], [*range(1, N)], [0, 0, 199]])
def test_the_number_of_shards_has_no_effect(tmp_path: Path, cuts: list[int]) -> None:
    found = glued(tmp_path, "train", shards(tmp_path, cuts))
    assert found.select(np.arange(N)) == SORTED
    assert [len(found), len(found.values)] == [N, len(TOKENS.values)]
    assert (tmp_path / "train" / "values.npy").stat().st_size < 128 + 2 * len(TOKENS.values) + 1


def test_stored_tokens_travel_as_a_path(tmp_path: Path) -> None:
    many = TokenBatch.concatenate([TOKENS] * 50)
    sent = pickle.dumps(stored(tmp_path / "tokens", many))
    assert len(sent) < 1000
    found = pickle.loads(sent)
    assert found.select(np.arange(len(many))) == many
    assert found.values[:].dtype == np.int64


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="the system does not say")
def test_what_was_read_of_a_file_is_given_back(tmp_path: Path) -> None:
    tokens = stored(tmp_path / "tokens", TokenBatch.concatenate([TOKENS] * 50))
    assert len(tokens.select([7, 3, 9000]).values)
    _, *maps = Path("/proc/self/smaps").read_text().split(str(tmp_path))
    assert len(maps) == 2  # values and offsets
    assert all(int(one.partition("Rss:")[2].split()[0]) == 0 for one in maps)


def test_features_come_along(tmp_path: Path) -> None:
    features = np.random.default_rng(3).normal(size=(len(TOKENS.values), 3)).astype(np.float32)
    tokens = TokenBatch(TOKENS.values, TOKENS.offsets, features)
    found = glued(tmp_path, "train", shards(tmp_path, [40, 130], tokens))
    assert found.select(np.arange(N)) == tokens.select(np.lexsort((EVENT, SOURCE)))
    with pytest.raises(TokenError, match=r"shards with \[-1, 3\] features: encode all with one"):
        glued(tmp_path, "train", shards(tmp_path, [90], tokens) | shards(tmp_path, []))


def test_chunks_in_order_are_glued_one_by_one(tmp_path: Path, monkeypatch: Any) -> None:
    read: list[int] = []
    plain = TokenBatch.concatenate
    monkeypatch.setattr(
        TokenBatch, "concatenate", lambda parts: read.append(len(found := [*parts])) or plain(found)
    )
    pieces: set[Piece] = set()
    for chunk in np.split(np.arange(N), 10):
        rows = Rows(TOKENS.select(chunk), np.full(len(chunk), 5), chunk)
        pieces |= write_shard(tmp_path, {"train": rows})["train"]
    assert glued(tmp_path, "train", pieces).select(np.arange(N)) == TOKENS
    assert read == [1] * 10


def test_no_events(tmp_path: Path) -> None:
    nothing = Rows(TOKENS.select([]), SOURCE[:0], EVENT[:0])
    assert write_shard(tmp_path, {"train": nothing}) == {"train": set()}
    assert not list(tmp_path.iterdir())
    assert len(glued(tmp_path, "train", [])) == 0


def test_what_is_wrong_with_shards(tmp_path: Path) -> None:
    pieces = shards(tmp_path, [100])
    again = Rows(TOKENS.select([3, 4]), SOURCE[3:5], EVENT[[3, 3]])
    with pytest.raises(TrainingError, match="some train events were read twice: give each file"):
        glued(tmp_path, "train", write_shard(tmp_path, {"train": again})["train"])
    other = Rows(TOKENS.select([3]), SOURCE[3:4], EVENT[3:4])
    with pytest.raises(TrainingError, match="some train events were read twice"):
        glued(tmp_path, "train", pieces | write_shard(tmp_path, {"train": other})["train"])
    shard = tmp_path / min(pieces).shard
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(StorageError, match="has changed since it was written: check the disk"):
        glued(tmp_path, "train", pieces)
    shard.unlink()
    with pytest.raises(StorageError, match="is another folder: choose a scratch folder that all"):
        glued(tmp_path, "train", pieces)
    with pytest.raises(StorageError, match=r"a worker cannot write tokens into .* \(File exists\)"):
        shards(tmp_path / "train" / "values.npy", [])
    with (
        pytest.raises(StorageError, match=r"no tokens can be kept in .*: choose another scratch"),
        shards_folder(tmp_path / "train" / "values.npy"),
    ):
        pass


def test_batches_that_are_not_what_was_said(tmp_path: Path) -> None:
    with pytest.raises(TokenError, match=r"\[200 \d+\] events and tokens came, expected 201 and 5"):
        store(tmp_path, [TOKENS], n_events=201, n_tokens=5, dtype=np.int16)
    with pytest.raises(TokenError, match="tokens have -1 features, expected 2"):
        store(tmp_path, [TOKENS], n_events=N, n_tokens=5, dtype=np.int16, n_features=2)


@settings(max_examples=25)
@given(
    fraction=st.sampled_from([0.0, 0.3, 1.0]),
    hide=st.sampled_from([(), ("MET",), ("particle", "METphi")]),
    block=st.integers(1, 300),
    seed=st.integers(0, 99),
)
def test_what_is_hidden_of_all_is_the_same_in_blocks(
    fraction: float, hide: tuple[str, ...], block: int, seed: int
) -> None:
    options = TrainingOptions(mask_fraction=fraction, hide=hide)
    tokens = TokenBatch.concatenate([TOKENS, TokenBatch.from_counts([], [0, 0, 0]), TOKENS])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(masking, "BLOCK", block)
        found = all_to_predict(MODEL, tokens, options, np.random.default_rng(seed))
    expected = tokens_to_predict(MODEL, tokens, options, np.random.default_rng(seed))
    assert np.array_equal(found, expected)


def test_blocks_are_all_events(tmp_path: Path) -> None:
    for tokens in (TOKENS, stored(tmp_path, TOKENS)):
        parts = list(blocks(tokens, 30))
        assert TokenBatch.concatenate(batch for _, batch in parts) == TOKENS
        values = np.concatenate([tokens.values[span] for span, _ in parts])
        assert np.array_equal(values, TOKENS.values)
        assert values.dtype == np.int64


@pytest.mark.parametrize("attention", ["full", "leave_one_out"])
def test_training_from_files_is_training_in_memory(tmp_path: Path, attention: str) -> None:
    """Bit for bit, also if one goes on where the other was interrupted."""
    options = TrainingOptions(epochs=3, batch_events=64, mask_fraction=0.2, seed=3)
    parts = TOKENS.select(np.arange(150)), TOKENS.select(np.arange(150, N))
    files = tuple(stored(tmp_path / str(len(one)), one) for one in parts)
    models = [make_model(layers=1, attention=attention) for _ in range(3)]
    expected = train(models[0], *parts, options=options)
    assert train(models[1], *files, options=options) == expected

    def stop(epoch: int, *_: Any) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(models[2], *parts, options=options, checkpoint=tmp_path / "kept", progress=stop)
    resumed = make_model(layers=1, attention=attention)
    assert train(resumed, *files, options=options, checkpoint=tmp_path / "kept") == expected
    for other in (models[1], resumed):
        for name, value in models[0].state_dict().items():
            assert torch.equal(value, other.state_dict()[name])


def test_files_without_tokens_to_predict_are_refused(tmp_path: Path) -> None:
    without = stored(tmp_path, TokenBatch.from_counts([1, 2], [1, 1]))
    with pytest.raises(TrainingError, match="there is no token of kind MET to predict"):
        train(MODEL, without, without, options=TrainingOptions(hide=("MET",)))


def test_shards_of_workers(tmp_path: Path, sample: Path, events: ak.Array, on_dask: Any) -> None:
    """Those of another executor and chunks are the tokens in memory; shards do not stay."""
    tokenizer = LookupTokenizer(met_bins=3).fit(events)
    path = tmp_path / "ttbarW.csv"
    with gzip.open(sample / "ttbarW.csv.gz", "rb") as file:
        path.write_bytes(b"".join(itertools.islice(file, 400)))
    files = {"ttbarW": {"files": [str(path)], "metadata": {"role": "background"}}}
    with make_executor("iterative", status=False) as executor:
        plain = training_tokens(HepRunner(executor)(files, CorpusProcessor(tokenizer)))
    with shards_folder(tmp_path / "scratch") as folder:
        assert folder is not None
        output = HepRunner(on_dask, chunksize=90)(files, CorpusProcessor(tokenizer, shards=folder))
        assert len(list(folder.iterdir())) == 5
        found = training_tokens(output, folder)
        assert {one.name for one in folder.iterdir()} == {"train", "validation"}
    assert [one.select(np.arange(len(one))) for one in found] == list(plain)
    assert not list((tmp_path / "scratch").iterdir())
