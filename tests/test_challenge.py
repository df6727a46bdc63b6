"""The challenge's table, one row written out."""

from __future__ import annotations

import numpy as np
import pytest

from hepmtp.errors import ReadError
from hepmtp.statistics.metrics import roc
from hepmtp.studies.league.challenge import (
    ChallengeRow,
    challenge_row,
    challenge_table,
    places,
    read_challenge,
)


def test_the_challenge_table():
    row = challenge_row(
        "4top", "multiplicity", "3", roc(np.arange(1000) + 500, np.arange(25_000) / 25)
    )
    assert challenge_table([row]) == (
        "Signal,Model,Chan,AUC,1e-2,1e-3,1e-4\n4top,multiplicity,3,0.8748,0.5100,0.5010,\n"
    )


#: Made-up rows in the form of the published tables, with what they hold beside: other columns, long
#: numbers, spaces.
PUBLISHED = """Signal, Model,Chan,AUC,1e-2,1e-3,1e-4,Family
glgl1600_neutralino800,VAE_b=1e-3_z=21,1,0.8561111111111111,0.216,0.102,0.045,VAE

glgl1600_neutralino800,Flow,3,1.0,1.0,0.54,0.0,Flow
glgl1600_neutralino800,KDE,3,0.97,,,,KDE
4top,KDE,3,0.5,0.01,0.001,0,KDE
"""


def test_published_rows_are_read(tmp_path):
    path = tmp_path / "published.csv"
    path.write_text(PUBLISHED, encoding="utf-8-sig")
    assert read_challenge(path) == [
        ChallengeRow(
            "glgl1600_neutralino800",
            "VAE_b=1e-3_z=21",
            "1",
            0.8561111111111111,
            (0.216, 0.102, 0.045),
        ),
        ChallengeRow("glgl1600_neutralino800", "Flow", "3", 1.0, (1.0, 0.54, 0.0)),
        ChallengeRow("glgl1600_neutralino800", "KDE", "3", 0.97, (None, None, None)),
        ChallengeRow("4top", "KDE", "3", 0.5, (0.01, 0.001, 0.0)),
    ]


def test_what_is_written_is_read_again(tmp_path):
    rows = [
        ChallengeRow("4top", "multiplicity", "SR", 0.7248, (0.0501, None, None)),
        ChallengeRow("4top", "masked_token", "SR", 0.8012, (0.1, 0.02, 0.003)),
    ]
    path = tmp_path / "ours.csv"
    path.write_text(challenge_table(rows))
    assert read_challenge(path) == rows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "",
            (
                r"bad.csv line 1: no column Signal, Model, .*; found nothing, expected "
                r"Signal,Model,Chan,AUC,1e-2"
            ),
        ),
        (
            "Signal,Model,Chan,AUC,1e-2,1e-3\n",
            r"bad.csv line 1: no column 1e-4; found Signal, Model",
        ),
        (
            "signal,chan,family_file,n_models,best_AUC\n",
            r"line 1: no column Signal, Model, Chan, AUC",
        ),
        (
            "H\na,b,3,0.5,0,0,0\n\na,b,3,high,0,0,0\n",
            r"bad.csv line 4: AUC is 'high', expected a number from 0 to 1",
        ),
        ("H\na,b,3,0.5,0,1.2,0\n", r"bad.csv line 2: 1e-3 is '1.2', expected a number from 0 to 1"),
        ("H\na,b,3,nan,0,0,0\n", r"line 2: AUC is 'nan'"),
        (
            "H\na,b,3,,0,0,0\n",
            r"line 2: AUC is empty; only the working points 1e-2, 1e-3, 1e-4 may be",
        ),
        ("H\n,b,3,0.5,0,0,0\n", r"line 2: Signal is empty"),
        ("H\na,b,3,0.5,0,0\n", r"line 2: less than 7 fields; the header has so many"),
        ("H\na,b,3,0.5,0,0,0,0\n", r"line 2: more than 7 fields; the header has so many"),
        ('H\na,"b"c,3,0.5,0,0,0\n', r"bad.csv cannot be read as a table of the challenge"),
    ],
)
def test_bad_tables_are_named_with_file_and_line(text, message, tmp_path):
    path = tmp_path / "bad.csv"
    path.write_text(text.replace("H\n", "Signal,Model,Chan,AUC,1e-2,1e-3,1e-4\n"))
    with pytest.raises(ReadError, match=message):
        read_challenge(path)


def test_files_that_are_no_text(tmp_path):
    with pytest.raises(
        ReadError,
        match=r"nothing\.csv cannot be read as a table of the challenge: .*No such file",
    ):
        read_challenge(tmp_path / "nothing.csv")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ReadError, match=r"bytes\.csv cannot be read as a table of the challenge"):
        read_challenge(tmp_path / "bytes.csv")


def test_places_are_by_signal_and_channel(tmp_path):
    path = tmp_path / "published.csv"
    path.write_text(PUBLISHED)
    ours = [
        ChallengeRow("glgl1600_neutralino800", "masked_token", "SR", 0.97, (None, None, None)),
        ChallengeRow("stop", "masked_token", "SR", 0.9, (None, None, None)),
    ]
    found = places(ours, read_challenge(path))
    assert [(one.row.model, one.chan, one.place, one.of, one.best.model) for one in found] == [
        ("masked_token", "1", 1, 2, "VAE_b=1e-3_z=21"),
        ("masked_token", "3", 2, 3, "Flow"),  # as good as KDE
    ]
    assert places(ours, []) == []
