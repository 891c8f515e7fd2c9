"""The picture of stored bars: what is given, where the holes are, who is missing."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from features.check import check, coverage, coverage_warnings, gaps, survivorship
from features.ingest import ingest
from features.panel import DataError
from features.sessions import Calendar
from features.sources.simulator import batches, simulate
from features.store import Store

D = dt.date
START = np.datetime64("2022-11-01")
CALENDAR = Calendar(START + np.arange(500))
SESSIONS = CALENDAR.sessions.astype(object).tolist()


def lives(spans: dict[str, tuple[int, int]]) -> pl.DataFrame:
    keys = [(asset, SESSIONS[t]) for asset, (first, last) in spans.items() for t in range(first, last + 1)]
    return pl.DataFrame(keys, {"order_book_id": pl.String, "date": pl.Date}, orient="row")


def test_coverage_is_the_share_of_rows_with_a_value_by_year() -> None:
    days = [D(2022, 5, 5)] * 4 + [D(2023, 5, 5)] * 2
    rows = pl.DataFrame({"date": days, "close": [1.0] * 6, "high": [1.0, None, None, None, 1.0, 1.0]})
    covered = coverage(rows, "INDX")
    shares = {(field, year): share for field, year, _, share in covered.rows()}
    assert (shares["close", 2022], shares["high", 2022], shares["high", 2023], shares["low", 2023]) == (
        1.0,
        0.25,
        1.0,
        0.0,
    )
    lines = coverage_warnings(covered)
    assert "low is never given" in lines
    assert not [line for line in lines if line.startswith(("close", "high "))]
    assert coverage_warnings(covered.filter(pl.col("year") == 2022))[1] == "high is given on 25.0% of the rows only"


def test_gaps_count_missing_sessions_and_find_the_longest_hole() -> None:
    at = {"whole": [3, 4, 5], "holes": [0, 1, 5, 6, 8, 20], "late": [499], "one": [7, 9]}
    rows = pl.DataFrame([(a, SESSIONS[t]) for a, ts in at.items() for t in ts], ["order_book_id", "date"], orient="row")
    assert gaps(rows.sample(fraction=1.0, shuffle=True, seed=1), CALENDAR).rows() == [
        ("holes", 3 + 1 + 11, 11, SESSIONS[9]),
        ("one", 1, 1, SESSIONS[8]),
    ]
    assert gaps(rows.filter(pl.col("order_book_id") == "whole"), CALENDAR).is_empty()


def test_names_that_came_and_went_are_counted_by_year() -> None:
    # 2022 has sessions 0-60, 2023 has 61-425, 2024 the rest.
    seen = survivorship(
        lives({"old": (0, 499), "dead": (0, 300), "new": (100, 499), "brief": (70, 90)}), CALENDAR, "CS"
    )
    assert seen.yearly.rows() == [(2022, 2, 0, 2), (2023, 2, 2, 2), (2024, 0, 0, 2)]
    assert seen.ended.rows() == [("brief", SESSIONS[90]), ("dead", SESSIONS[300])]
    assert seen.warnings == ()


def test_a_list_made_with_hindsight_is_called_so() -> None:
    fixed = {f"{n:03d}": (0, 499) for n in range(30)}
    said = survivorship(lives(fixed), CALENDAR, "CS").warnings
    assert len(said) == 2
    assert "none of the 30 names ends" in said[0]
    assert "all 30 names start on 2022-11-01" in said[1]
    assert survivorship(lives({**fixed, "x": (5, 200)}), CALENDAR, "CS").warnings == ()
    assert len(survivorship(lives({**fixed, "x": (5, 490)}), CALENDAR, "CS").warnings) == 1
    assert survivorship(lives(fixed), CALENDAR, "Option").warnings == ()


def test_listing_dates_that_are_first_rows_in_disguise_are_called_so() -> None:
    rows = lives({"a": (0, 9), "b": (0, 9), "c": (3, 9)})
    days = [SESSIONS[0], SESSIONS[0], SESSIONS[3]]
    listed = pl.DataFrame({"order_book_id": ["a", "b", "c"], "listed_date": days})
    (line,) = survivorship(rows, CALENDAR, "CS", listed).warnings
    assert line == "2 names are said to be listed on 2022-11-01, their first row: their age is unknown"
    true = listed.with_columns(listed_date=pl.Series([D(1999, 1, 1), SESSIONS[0], SESSIONS[3]]))
    assert survivorship(rows, CALENDAR, "CS", true).warnings == ()


def test_the_simulated_market_with_its_delistings_raises_no_alarm_about_survivors(tmp_path: Path) -> None:
    store = Store(tmp_path)
    ingest(batches(simulate("tiny", "planted", seed=1)), store)
    report = check(store, "CS")
    assert report.assets == store.scan("bars/CS").collect()["order_book_id"].n_unique()
    assert not [line for line in report.warnings if "survivorship" in line]
    assert report.quarantined.is_empty()
    with pytest.raises(DataError, match="asset class must be one of"):
        check(store, "Option")
