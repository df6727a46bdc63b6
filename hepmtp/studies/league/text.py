"""The table of a league for a reader: rows become text with errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hepmtp.report.tables import Cells
from hepmtp.studies.league.table import LeagueRow


def tables(rows: Sequence[LeagueRow]) -> list[tuple[str, Cells]]:
    """Heading and table of each signal and region for the reader.

    Those with labels in a table of their own.
    """
    found = []
    for signal, region in dict.fromkeys((row.signal, row.region) for row in rows):
        mine = [row for row in rows if (row.signal, row.region) == (signal, region)]
        search, labels = (
            [row for row in mine if (row.kind == "supervised") == apart] for apart in (False, True)
        )
        counts = f"{mine[0].n_signal} signal and {mine[0].n_background} background events"
        found += [(f"{signal}, {region}: {counts}", _cells(search))] if search else []
        found += (
            [(f"{signal}, {region}: with labels, the ceiling", _cells(labels))] if labels else []
        )
    return found


def _cells(rows: Sequence[LeagueRow]) -> Cells:
    """Columns that no row fills are left out."""
    columns = {name: [cell(row) for row in rows] for name, cell in _COLUMNS.items()}
    filled = {name: column for name, column in columns.items() if set(column) != {"-"}}
    return Cells(list(filled), [list(row) for row in zip(*filled.values(), strict=True)])


def _number(value: float | None, error: float | None, digits: int = 3) -> str:
    return "-" if value is None or error is None else f"{value:.{digits}f} ± {error:.{digits}f}"


def _significance(value: float | None, error: float | None, spread: float | None = None) -> str:
    over_seeds = "" if spread is None else f", over seeds {spread:.2f}"
    return "-" if value is None else f"{_number(value, error, 2)}{over_seeds}"


def _over(value: float | None, error: float | None, other: str, spread: float | None = None) -> str:
    """A difference with its error, its spread over seeds, and to what."""
    if value is None or error is None:
        return "-"
    return (
        f"{value:+.3f} ± {error:.3f}{'' if spread is None else f', over seeds {spread:.3f}'} "
        f"({other})"
    )


_COLUMNS: dict[str, Callable[[LeagueRow], str]] = {
    "Detector": lambda row: row.detector,
    "Kind": lambda row: row.kind,
    "Z, 10 %": lambda row: _significance(row.z, row.z_error, row.z_spread),
    "Z, 30 %": lambda row: _significance(row.z_cautious, row.z_cautious_error),
    "AUC, balanced": lambda row: _number(row.auc_balanced, row.auc_balanced_error),
    "Over seeds": lambda row: (
        "-" if row.auc_balanced_spread is None else f"{row.auc_balanced_spread:.3f}"
    ),
    "AUC, by cross-section": lambda row: _number(row.auc, row.auc_error),
    "Of the ceiling": lambda row: _number(row.of_ceiling, row.of_ceiling_error, 2),
    "Over the best other": lambda row: _over(row.over_rival, row.over_rival_error, row.rival),
    "Over the best observable": lambda row: _over(
        row.over_observable, row.over_observable_error, row.observable
    ),
    "Over the chosen one": lambda row: _over(
        row.over_against, row.over_against_error, row.against, row.over_against_spread
    ),
    "εS (εB=0.1)": lambda row: _number(row.eps_s_at_0p1, row.eps_s_at_0p1_error),
    "εS (εB=0.01)": lambda row: _number(row.eps_s_at_0p01, row.eps_s_at_0p01_error),
    "εS (εB=0.001)": lambda row: _number(row.eps_s_at_0p001, row.eps_s_at_0p001_error),
    "max SIC": lambda row: _number(row.max_sic, row.max_sic_error, 2),
    "Fit [s]": lambda row: "-" if row.fit_seconds is None else f"{row.fit_seconds:.3g}",
    "Events/s": lambda row: (
        f"{row.events_per_second:.2g}"
        if row.events_per_second < 100
        else f"{row.events_per_second:.0f}"
    ),
    "Parameters": lambda row: "-" if row.parameters is None else str(row.parameters),
}
