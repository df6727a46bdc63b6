"""The tokenizer and the detector of docs/extending.md keep the contracts."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import awkward as ak
import pytest
from contracts import check_detector, check_particle_tokenizer, no_particles
from test_extending import forget_mine, write_files

from hepmtp.detectors import training_events
from hepmtp.events.record import concatenate
from hepmtp.studies.league.entry import entry_of


@pytest.fixture
def mine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A folder with the package ``mine`` of a section, which can be imported in the test."""
    write_files(request.param, tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        yield tmp_path
    forget_mine()


@pytest.mark.parametrize("mine", ["A tokenizer"], indirect=True)
def test_the_tokenizer(background: ak.Array, mine: Path) -> None:
    made = importlib.import_module("mine.type_and_pt").TypeAndPt
    events = concatenate([training_events(background), no_particles([50.0, 60.0])])
    for options in ({}, {"pt_bins": 2, "met_bins": 0}, {"met_phi_bins": 4}):
        check_particle_tokenizer(made(**options), events, mine)


@pytest.mark.parametrize("mine", ["A detector"], indirect=True)
def test_the_detector(background: ak.Array, mine: Path) -> None:
    made = importlib.import_module("mine.pca_error").PCAError
    check_detector(made, background[::4], mine, rtol=1e-9)
    entry = entry_of("mine.pca_error:PCAError")
    assert (entry.name, entry.kind) == ("pca_error", "background-only")
