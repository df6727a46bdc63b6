"""Tables: exact in csv, rounded for the reader."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from hepmtp.errors import OptionError, StorageError
from hepmtp.report.tables import cells, read_csv, records, rounded, write_csv, write_markdown


class Row(NamedTuple):
    detector: str
    auc: float | None
    auc_error: float | None
    n: int


ROWS = [Row("n_b, tight|loose", 0.712345678901234, 0.00456, 12), Row("ht", None, None, 3)]


def test_csv_is_exact(tmp_path):
    path = write_csv(tmp_path / "new" / "t.csv", ROWS)
    assert (
        path.read_text()
        == 'detector,auc,auc_error,n\n"n_b, tight|loose",0.712345678901234,0.00456,12\nht,,,3\n'
    )
    assert read_csv(path) == records(ROWS)


def test_markdown_is_rounded(tmp_path):
    path = write_markdown(tmp_path / "t.md", ROWS, titles={"auc": "AUC"})
    assert path.read_text().splitlines() == [
        "| detector | AUC | n |",
        "| --- | --- | --- |",
        r"| n_b, tight\|loose | 0.7123 ± 0.0046 | 12 |",
        "| ht | - | 3 |",
    ]


def test_tables_of_an_incomplete_run_say_so(tmp_path):
    path = write_csv(tmp_path / "t.csv", ROWS, incomplete=True)
    assert path.read_text().splitlines()[::2] == [
        "detector,auc,auc_error,n,incomplete",
        "ht,,,3,True",
    ]
    path = write_markdown(tmp_path / "t.md", ROWS, note="Incomplete. a: 3 events were lost")
    assert path.read_text().splitlines()[:3] == [
        "Incomplete. a: 3 events were lost",
        "",
        "| detector | auc | n |",
    ]


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.0316, 0.0114, "0.032 ± 0.011"),
        (1234.5, 120.3, "1234 ± 120"),
        (1.5, 0.0, "1.5 ± 0"),
        (-0.003, 0.0042, "-0.0030 ± 0.0042"),
    ],
)
def test_rounding(value, error, text):
    assert rounded(value, error) == text


def test_empty_tables(tmp_path):
    assert cells([]).rows == []
    with pytest.raises(OptionError, match="nothing to write"):
        write_csv(tmp_path / "t.csv", [])
    with pytest.raises(StorageError, match="cannot be read as a table"):
        read_csv(tmp_path / "absent.csv")
