"""Fields as factors see them: masked where nothing traded, beside facts of the reference."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from features.inputs import available, read_inputs
from features.sessions import exchange_calendar
from features.store import Store
from tests.small_market import bars, calendar, reference, sessions, small_store

DAYS = sessions(150)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return small_store(tmp_path_factory.mktemp("store"))


def test_every_field_is_missing_where_nothing_traded(store: Store) -> None:
    panels = read_inputs(store, "CS", ("close", "limit_up"), DAYS[0], DAYS[-1])
    idle = panels["traded"] == 0
    assert idle.sum() >= 40 + 25
    assert np.isnan(panels["close"][idle]).all()
    assert np.isnan(panels["limit_up"][idle]).all()
    assert np.isfinite(panels["close"][~idle]).all()


def test_a_suspension_flag_counts_as_no_trade(tmp_path: Path) -> None:
    frame = bars(stocks=3).with_columns(suspended=pl.col("date") == DAYS[7])
    panels = read_inputs(small_store(tmp_path, frame), "CS", ("close",), DAYS[0], DAYS[29])
    assert not panels["traded"][7].any()
    assert panels["traded"][8].any()


def test_listed_sessions_count_from_the_listing_day_however_short_the_window(store: Store) -> None:
    whole = read_inputs(store, "CS", ("listed_sessions",), DAYS[0], DAYS[-1])
    late = list(whole.assets).index("600001.XSHG")
    assert whole["listed_sessions"][39:42, late].tolist() == [0, 1, 2]
    cut = read_inputs(store, "CS", ("listed_sessions",), DAYS[41], DAYS[41])
    assert cut["listed_sessions"][0, late] == 2


def test_a_listing_before_the_calendar_is_old(store: Store) -> None:
    panels = read_inputs(store, "CS", ("listed_sessions",), DAYS[0], DAYS[0])
    assert panels["listed_sessions"][0, 0] > 2000


def test_lookback_rows_come_before_the_start(store: Store) -> None:
    panels = read_inputs(store, "CS", ("close",), DAYS[50], DAYS[60], lookback=20)
    assert panels.first == 20
    assert panels.sessions[panels.first] == DAYS[50]


def test_the_calendar_tells_ahead_which_sessions_end_a_month_or_go_before_a_holiday(tmp_path: Path) -> None:
    store = small_store(tmp_path)
    facts = read_inputs(store, "CS", ("weekday", "month", "month_end", "before_holiday"), DAYS[0], DAYS[-1])
    days = pl.Series(DAYS).cast(pl.Date).to_list()
    assert facts["weekday"][:, 0].tolist() == [day.isoweekday() for day in days]
    assert facts["month"][:, 0].tolist() == [day.month for day in days]
    ends = [later.month != day.month for day, later in itertools.pairwise(days)]
    assert facts["month_end"][:-1, 0].tolist() == ends
    rests = [(later - day).days > (3 if day.isoweekday() == 5 else 1) for day, later in itertools.pairwise(days)]
    assert facts["before_holiday"][:-1, 0].tolist() == rests
    for last in (40, 77, 149):
        cut = read_inputs(store, "CS", ("month_end", "before_holiday"), DAYS[0], DAYS[last])
        for name in ("month_end", "before_holiday"):
            np.testing.assert_array_equal(cut[name], facts[name][: last + 1])


def test_holidays_are_those_of_the_exchange(tmp_path: Path) -> None:
    days = exchange_calendar("2024-09-01", "2024-10-31")
    store = Store(tmp_path)
    store.upsert("reference/calendar", pl.DataFrame({"date": days.sessions}).cast({"date": pl.Date}), keys=("date",))
    rows = {"order_book_id": "600000.XSHG", "close": 10.0, "volume": 1e6}
    store.upsert("bars/CS", pl.DataFrame({"date": days.sessions}).cast({"date": pl.Date}).with_columns(**rows_of(rows)))
    facts = read_inputs(store, "CS", ("before_holiday", "month_end"), days.sessions[0], days.sessions[-1])
    before = days.sessions[facts["before_holiday"][:, 0] > 0].astype(str).tolist()
    # Mid-autumn from Monday the 16th to Tuesday the 17th, then the national holidays.
    assert before == ["2024-09-13", "2024-09-30"]
    assert days.sessions[facts["month_end"][:, 0] > 0].astype(str).tolist() == ["2024-09-30", "2024-10-31"]


def rows_of(cells: dict[str, object]) -> dict[str, pl.Expr]:
    return {name: pl.lit(value) for name, value in cells.items()}


def test_boards_come_from_the_code(store: Store) -> None:
    assert (read_inputs(store, "CS", ("board",), DAYS[0], DAYS[0])["board"] == 0).all()


def test_what_can_be_read_is_listed(store: Store) -> None:
    names = available(store, "CS")
    assert {"close", "traded", "board", "listed_sessions"} <= set(names)
    assert "num_trades" not in names
    assert "industry" not in names


def test_a_field_counts_from_the_day_it_is_published(tmp_path: Path) -> None:
    weeks = pl.duration(weeks=60)  # from January 2020 to 25 February 2021, and on past 25 June 2021
    frame = bars().with_columns(pl.col("date") + weeks, num_trades=pl.lit(1000.0))
    store = Store(tmp_path)
    store.upsert("reference/calendar", calendar().with_columns(pl.col("date") + weeks), keys=("date",))
    store.upsert("reference/instruments", reference(frame), keys=("order_book_id",))
    store.upsert("bars/CS", frame)
    panels = read_inputs(store, "CS", ("num_trades",), frame["date"].min(), frame["date"].max())
    published = panels.sessions >= np.datetime64("2021-06-25")
    assert 0 < published.sum() < len(published)
    assert np.isnan(panels["num_trades"][~published]).all()
    np.testing.assert_array_equal(np.isfinite(panels["num_trades"])[published], (panels["traded"] > 0)[published])
