from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
from scipy.stats import chi2_contingency, chisquare

from hepmtp.events.record import make_events
from hepmtp.events.source import former_id
from hepmtp.events.split import FRACTIONS, analysis_scale, split_of


def events_of(n: int, *, source: int = 0, first: int = 0, role: str = "background") -> ak.Array:
    return make_events(
        counts=np.zeros(n),
        pt=[],
        eta=[],
        phi=[],
        energy=[],
        type=[],
        met=np.ones(n),
        met_phi=np.zeros(n),
        event=np.arange(first, first + n),
        source=source,
        dataset="toy",
        role=role,
    )


def test_known_values_never_change() -> None:
    parts = split_of(events_of(12, source=former_id("ttbarW")))
    letters = {"train": "t", "validation": "v", "analysis": "a"}
    assert "".join(letters[part] for part in parts) == "atvtavaatvtt"
    assert former_id("ttbarW") == 5367773698015894397


def test_fractions_are_as_declared() -> None:
    assert FRACTIONS == {"train": 0.6, "validation": 0.1, "analysis": 0.3}
    n = 200_000
    parts = split_of(events_of(n, source=former_id("ttbarW")))
    for part, fraction in FRACTIONS.items():
        spread = np.sqrt(n * fraction * (1 - fraction))
        assert abs(np.sum(parts == part) - n * fraction) < 4 * spread


def test_an_events_part_does_not_depend_on_its_chunk() -> None:
    events = events_of(1000, source=7)
    whole = split_of(events)
    chunks = [
        split_of(events_of(n, source=7, first=first))
        for first, n in ((0, 1), (1, 333), (334, 0), (334, 666))
    ]
    np.testing.assert_array_equal(np.concatenate(chunks), whole)
    mask = np.arange(1000) % 3 == 0
    np.testing.assert_array_equal(split_of(events[mask]), whole[mask])
    np.testing.assert_array_equal(split_of(events[::-1]), whole[::-1])


def test_parts_are_uniform_along_the_file() -> None:
    """Every hundredth of the file has the declared shares: chi2 over 100 blocks of 2000 events."""
    parts = split_of(events_of(200_000, source=former_id("ttbarZ")))
    counts = np.array([(parts == part).reshape(100, 2000).sum(axis=1) for part in FRACTIONS])
    expected = 2000 * np.array(list(FRACTIONS.values()))[:, None] * np.ones((1, 100))
    result = chisquare(counts.ravel(), expected.ravel(), ddof=99)  # 3 x 100 cells, 100 fixed sums
    assert 1e-3 < result.pvalue < 1 - 1e-3


def test_neighbouring_entries_are_independent() -> None:
    parts = split_of(events_of(100_000, source=former_id("ttbarZ")))
    assert independent(parts[:-1], parts[1:])


@pytest.mark.parametrize(("one", "other"), [("ttbarW", "ttbarZ"), ("ttbarW", "ttbarWW")])
def test_files_are_independent(one: str, other: str) -> None:
    assert independent(
        *(split_of(events_of(100_000, source=former_id(name))) for name in (one, other))
    )


def test_close_sources_are_independent() -> None:
    assert independent(*(split_of(events_of(100_000, source=source)) for source in (1, 2)))


def test_data_are_all_looked_at_and_not_scaled() -> None:
    data = events_of(100, role="data")
    assert set(split_of(data)) == {"analysis"}
    assert analysis_scale(data) == 1.0


def test_the_analysis_part_stands_for_all_events() -> None:
    assert analysis_scale(events_of(3)) == pytest.approx(1 / 0.3)
    assert analysis_scale(events_of(3, role="signal")) == pytest.approx(1 / 0.3)


def test_no_events() -> None:
    assert split_of(events_of(0)).shape == (0,)


def independent(one: np.ndarray, other: np.ndarray) -> bool:
    table = [[np.sum((one == a) & (other == b)) for b in FRACTIONS] for a in FRACTIONS]
    return bool(chi2_contingency(table).pvalue > 1e-3)
