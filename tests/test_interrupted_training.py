"""A training that is stopped goes on from its finished chunks and its last epoch."""

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from contracts import hepmtp

from hepmtp.folders import beside
from hepmtp.training.checkpoint import State
from processors.corpus import CorpusProcessor

pytestmark = pytest.mark.usefixtures("short_training")


def stopped(function: Callable[..., Any], calls: list[int], most: int) -> Callable[..., Any]:
    """A function that notes its calls, and is stopped by Ctrl-C after so many."""

    def call(*arguments: Any) -> Any:
        calls.append(0)
        if len(calls) > most:
            raise KeyboardInterrupt
        return function(*arguments)

    return call


@pytest.mark.slow
def test_a_training_that_is_stopped_goes_on(
    tmp_path: Path, sample: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    with gzip.open(sample / "ttbarZ.csv.gz", "rt") as file:
        for i in range(3):
            Path(f"{i}.csv").write_text("".join(itertools.islice(file, 300)))
    process, write = CorpusProcessor.process, State.write
    chunks: list[int] = []
    epochs: list[int] = []

    def train(*words: str, most: tuple[int, int] = (9, 9)) -> int:
        """The exit code of a training that is stopped after so many chunks or epochs."""
        chunks.clear()
        epochs.clear()
        monkeypatch.setattr(CorpusProcessor, "process", stopped(process, chunks, most[0]))
        monkeypatch.setattr(State, "write", stopped(write, epochs, most[1]))
        return hepmtp("train", "x=0.csv,1.csv,2.csv", "--epochs", "2", *words)

    def said() -> str:
        return capsys.readouterr().err.splitlines()[-1]

    assert train("-o", "whole") == 0
    assert train("-o", "out", most=(2, 9)) == 130
    assert said() == (
        "stopped; 2 finished chunks and no models are kept: the same command with --resume goes on "
        "from them"
    )
    assert train("-o", "out", "--resume", "--seed", "1", most=(0, 9)) == 130  # of another training
    assert train("-o", "out", "--resume", most=(9, 1)) == 130
    assert len(chunks) == 1
    assert said().startswith("stopped; 3 finished chunks and 1 models are kept: the same command")
    assert train("-o", "out", "--resume") == 0
    assert (len(chunks), len(epochs)) == (0, 1)
    whole, out = (json.loads(Path(one, "detectors.json").read_text()) for one in ("whole", "out"))
    assert out["detectors"] == whole["detectors"]
    assert not beside(Path("out").resolve()).exists()
