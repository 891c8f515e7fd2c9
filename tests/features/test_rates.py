"""The risk-free rate: which curve, how old, and from before the session."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest

from features.rates import DEFAULT, risk_free


def rates(*rows: tuple[str, str, str, float | None]) -> pl.DataFrame:
    columns = {"date": pl.String, "curve": pl.String, "tenor": pl.String, "rate": pl.Float64}
    return pl.DataFrame(rows, columns, orient="row").with_columns(pl.col("date").str.to_date())


def on(day: str, table: pl.DataFrame | None) -> float:
    return float(risk_free(table, np.array([day], dtype="datetime64[D]"))[0])


def test_the_rate_of_the_day_is_not_known_yet():
    table = rates(("2020-01-02", "cgb", "1Y", 0.02), ("2020-01-03", "cgb", "1Y", 0.03))
    assert [on(day, table) for day in ("2020-01-02", "2020-01-03", "2020-01-04")] == [DEFAULT, 0.02, 0.03]


def test_government_bonds_come_before_key_rates_and_these_before_interbank_offers():
    table = rates(
        ("2020-01-02", "shibor", "1Y", 0.04), ("2020-01-03", "cgb_key", "1Y", 0.03), ("2020-01-06", "cgb", "1Y", 0.02)
    )
    assert [on(f"2020-01-0{d}", table) for d in (3, 6, 7)] == [0.04, 0.03, 0.02]


@pytest.mark.parametrize(("later", "expected"), [(14, 0.02), (15, DEFAULT)])
def test_a_rate_older_than_a_fortnight_is_none(later, expected):
    day = dt.date(2020, 1, 2) + dt.timedelta(later)
    assert on(day.isoformat(), rates(("2020-01-02", "cgb", "1Y", 0.02))) == expected


def test_other_tenors_and_missing_rates_do_not_count():
    table = rates(
        ("2020-01-02", "cgb", "1Y", 0.02), ("2020-01-03", "cgb", "1Y", None), ("2020-01-03", "cgb", "10Y", 0.05)
    )
    assert on("2020-01-06", table) == 0.02
    assert on("2020-01-06", None) == DEFAULT
