"""The store: one atomic commit a write, versions that stay, panels that lie where they belong."""

from __future__ import annotations

import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.panel import DataError
from features.store import FILES_A_YEAR, Store, Written

D = dt.date
DAYS = [D(2020, 12, 30), D(2020, 12, 31), D(2021, 1, 4), D(2021, 1, 5), D(2021, 1, 6)]


def rows(days: list[dt.date], assets: list[str], **fields: float) -> pl.DataFrame:
    keys = [(day, asset) for day in days for asset in assets]
    frame = pl.DataFrame(keys, {"date": pl.Date, "order_book_id": pl.String}, orient="row")
    return frame.with_columns(pl.lit(value, pl.Float64).alias(name) for name, value in fields.items())


def content(store: Store, table: str, version: int | None = None) -> pl.DataFrame:
    return store.scan(table, version).collect().sort("date", "order_book_id")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "家 of stores")
    store.upsert("reference/calendar", pl.DataFrame({"date": DAYS}), ("date",))
    return store


def test_what_was_upserted_is_read_back_and_equal_rows_make_no_commit(store: Store) -> None:
    frame = rows(DAYS, ["600000.XSHG", "000001.XSHE"], close=10.0)
    assert store.upsert("bars/CS", frame) == Written(10, 0, 0, 0)
    assert store.upsert("bars/CS", frame.sample(fraction=1.0, shuffle=True, seed=1)) == Written(0, 0, 10, 0)
    assert_frame_equal(content(store, "bars/CS"), frame.sort("date", "order_book_id"))


def test_files_lie_by_year_sorted_by_date_then_asset(store: Store) -> None:
    store.upsert("bars/CS", rows(DAYS, ["b", "a", "c"], close=1.0).sample(fraction=1.0, shuffle=True, seed=3))
    store.upsert("bars/CS", rows([DAYS[3]], ["b"], close=2.0))
    folders = sorted(store.root.glob("bars/CS/year=*"))
    assert [folder.name for folder in folders] == ["year=2020", "year=2021"]
    for file in store.root.glob("bars/CS/year=*/*.parquet"):
        keys = pl.read_parquet(file, hive_partitioning=False).select("date", "order_book_id")
        assert_frame_equal(keys, keys.sort("date", "order_book_id"))


def test_a_changed_row_is_restated_and_the_old_version_still_says_what_it_said(store: Store) -> None:
    store.upsert("bars/CS", rows(DAYS, ["a", "b"], close=10.0, volume=5.0))
    wrong = rows([DAYS[1]], ["a"], close=11.0, volume=5.0)
    written = store.upsert("bars/CS", pl.concat([wrong, rows(DAYS[2:], ["a"], close=10.0, volume=5.0)]))
    assert written == Written(new=0, restated=1, unchanged=3, version=1)
    assert content(store, "bars/CS").filter(pl.col("close") == 11.0).select("date", "order_book_id").rows() == [
        (DAYS[1], "a")
    ]
    assert content(store, "bars/CS", 0)["close"].unique().to_list() == [10.0]


def test_new_and_changed_rows_over_several_years_come_in_one_commit(store: Store) -> None:
    store.upsert("bars/CS", rows(DAYS[:4], ["a"], close=1.0))
    more = pl.concat([rows([DAYS[0]], ["a"], close=2.0), rows([DAYS[4]], ["a", "b"], close=3.0)])
    assert store.upsert("bars/CS", more) == Written(2, 1, 0, 1)
    got = content(store, "bars/CS")
    assert dict(zip(got.select("date", "order_book_id").rows(), got["close"], strict=True)) == {
        (DAYS[0], "a"): 2.0,
        (DAYS[1], "a"): 1.0,
        (DAYS[2], "a"): 1.0,
        (DAYS[3], "a"): 1.0,
        (DAYS[4], "a"): 3.0,
        (DAYS[4], "b"): 3.0,
    }


def test_an_evening_only_adds_a_file(store: Store) -> None:
    store.upsert("bars/CS", rows(DAYS[:4], ["a", "b"], close=1.0))
    before = set(store.root.glob("bars/CS/*/*.parquet"))
    store.upsert("bars/CS", rows(DAYS[4:], ["a", "b"], close=1.0))
    assert len(set(store.root.glob("bars/CS/*/*.parquet")) - before) == 1
    assert store.describe().filter(pl.col("table") == "bars/CS")["files"].item() == 3


def test_many_evenings_do_not_leave_many_files(store: Store) -> None:
    days = [D(2021, 1, 1) + dt.timedelta(i) for i in range(FILES_A_YEAR + 5)]
    for day in days:
        store.upsert("bars/CS", rows([day], ["a"], close=float(day.toordinal())))
    listed = store.describe().filter(pl.col("table") == "bars/CS")
    assert listed["rows"].item() == len(days)
    assert listed["files"].item() < 10
    assert content(store, "bars/CS")["close"].to_list() == [float(day.toordinal()) for day in days]


def test_a_column_left_out_keeps_its_values_and_a_new_one_is_added(store: Store) -> None:
    store.upsert("bars/ETF", rows(DAYS, ["a"], close=1.0, iopv=1.5))
    assert store.upsert("bars/ETF", rows(DAYS[:1], ["a"], close=2.0)).restated == 1
    assert content(store, "bars/ETF")["iopv"].to_list() == [1.5] * 5
    assert store.upsert("bars/ETF", rows(DAYS[2:3], ["a"], sigma=0.2)) == Written(0, 1, 0, 2)
    assert content(store, "bars/ETF")["sigma"].to_list() == [None, None, 0.2, None, None]
    assert content(store, "bars/ETF")["close"].to_list() == [2.0, 1.0, 1.0, 1.0, 1.0]
    assert "sigma" not in content(store, "bars/ETF", 1).columns


def test_missing_values_that_stay_missing_are_no_change(store: Store) -> None:
    frame = rows(DAYS, ["a"], close=1.0).with_columns(
        high=pl.lit(None, pl.Float64), low=pl.lit(float("nan")), suspended=pl.lit(True)
    )
    store.upsert("bars/CS", frame)
    assert store.upsert("bars/CS", frame).unchanged == 5


def test_a_value_that_appears_or_vanishes_is_a_restatement(store: Store) -> None:
    store.upsert("bars/CS", rows(DAYS, ["a"], close=1.0).with_columns(high=pl.lit(None, pl.Float64)))
    assert store.upsert("bars/CS", rows(DAYS[:1], ["a"], close=1.0, high=2.0)) == Written(0, 1, 0, 1)
    gone = rows(DAYS[1:2], ["a"]).with_columns(close=pl.lit(None, pl.Float64))
    assert store.upsert("bars/CS", gone) == Written(0, 1, 0, 2)
    assert content(store, "bars/CS").select("close", "high").rows()[:3] == [(1.0, 2.0), (None, None), (1.0, None)]


def test_the_last_evening_given_again_is_known(store: Store) -> None:
    store.upsert("bars/CS", rows(DAYS, ["a"], close=1.0))
    assert store.upsert("bars/CS", rows(DAYS[4:], ["a", "b"], close=1.0)) == Written(1, 0, 1, 1)
    assert len(content(store, "bars/CS")) == 6


def test_meta_travels_with_the_commit_and_the_newest_counts(store: Store) -> None:
    store.upsert("factors/CS", rows(DAYS[:2], ["a"], x=1.0), meta={"hash": "é1", "state": [1, 2]})
    store.upsert("factors/CS", rows(DAYS[2:3], ["a"], x=1.0))
    assert store.meta("factors/CS") == {"hash": "é1", "state": [1, 2]}
    store.replace("factors/CS", rows(DAYS[3:4], ["a"], x=2.0), DAYS[3], DAYS[3], {"hash": "2"})
    assert store.meta("factors/CS") == {"hash": "2"}
    assert store.meta("factors/CS", 1) == {"hash": "é1", "state": [1, 2]}
    assert store.meta("reference/calendar") == {}


def test_changed_from_names_the_earliest_date_touched_since_a_version(store: Store) -> None:
    store.upsert("bars/CS", rows(DAYS[1:3], ["a", "b"], close=1.0))
    store.upsert("bars/CS", rows(DAYS[3:4], ["a"], close=1.0))
    store.upsert("bars/CS", pl.concat([rows(DAYS[1:2], ["a"], close=1.0), rows(DAYS[2:3], ["b"], close=9.0)]))
    store.upsert("bars/CS", rows(DAYS[4:5], ["a"], close=1.0))
    assert [store.changed_from("bars/CS", v) for v in range(-1, 5)] == [
        DAYS[1],
        DAYS[2],
        DAYS[2],
        DAYS[4],
        None,
        DAYS[1],  # a version that the table has never had: all of it is new
    ]
    store.replace("bars/CS", rows(DAYS[3:4], ["a"], close=1.0), DAYS[2], DAYS[4])
    assert store.changed_from("bars/CS", 3) == DAYS[2]


def test_replace_makes_a_range_exactly_the_frame(store: Store) -> None:
    store.upsert("factors/CS", rows(DAYS, ["a", "b"], x=1.0))
    version = store.replace("factors/CS", rows([DAYS[1], DAYS[2]], ["a"], y=7.0), DAYS[1], DAYS[3])
    assert version == 1
    got = content(store, "factors/CS")
    assert got.filter(pl.col("date").is_between(DAYS[1], DAYS[3])).rows() == [
        (DAYS[1], "a", None, 7.0),
        (DAYS[2], "a", None, 7.0),
    ]
    assert got.filter(~pl.col("date").is_between(DAYS[1], DAYS[3])).select("x", "y").unique().rows() == [(1.0, None)]
    assert len(got) == 6
    store.replace("factors/CS", rows([], [], x=1.0), DAYS[0], DAYS[4])
    assert len(content(store, "factors/CS")) == 0
    assert len(content(store, "factors/CS", 0)) == 10


def test_replace_from_the_last_stored_date_on_replaces_it_and_after_it_only_adds_a_file(store: Store) -> None:
    store.upsert("factors/CS", rows(DAYS[:4], ["a"], x=1.0))
    store.replace("factors/CS", rows(DAYS[3:], ["a"], x=2.0), DAYS[3], DAYS[4])
    assert content(store, "factors/CS")["x"].to_list() == [1.0, 1.0, 1.0, 2.0, 2.0]
    before = set(store.root.glob("factors/CS/*/*.parquet"))
    store.replace("factors/CS", rows([D(2021, 1, 7)], ["a"], x=3.0), D(2021, 1, 7), D(2021, 1, 7))
    assert content(store, "factors/CS")["x"].to_list() == [1.0, 1.0, 1.0, 2.0, 2.0, 3.0]
    assert len(set(store.root.glob("factors/CS/*/*.parquet")) - before) == 1


def test_replace_refuses_rows_outside_its_range(store: Store) -> None:
    with pytest.raises(DataError, match="must lie in 2021-01-04 to 2021-01-05; found 2021-01-06"):
        store.replace("factors/CS", rows(DAYS[4:], ["a"], x=1.0), DAYS[2], DAYS[3])


def test_panels_lie_on_calendar_sessions_and_sorted_assets_with_nan_where_no_row_is(store: Store) -> None:
    frame = pl.DataFrame(
        {
            "date": [DAYS[0], DAYS[2], DAYS[2], DAYS[4]],
            "order_book_id": ["b", "b", "a", "a"],
            "close": [1.0, 2.0, 3.0, None],
            "suspended": [False, True, None, True],
        }
    )
    store.upsert("bars/CS", frame)
    panels = store.read("CS", ["close", "suspended"], DAYS[2], DAYS[4], lookback=1)
    nan = np.nan
    assert panels.sessions.astype(object).tolist() == DAYS[1:]
    assert panels.assets.tolist() == ["a", "b"]
    assert panels.first == 1
    np.testing.assert_array_equal(panels["close"], [[nan, nan], [3, 2], [nan, nan], [nan, nan]])
    np.testing.assert_array_equal(panels["suspended"], [[nan, nan], [nan, 1], [nan, nan], [1, nan]])
    assert panels["close"].dtype == np.float64
    far = store.read("CS", ["close"], DAYS[2], DAYS[4], lookback=99)
    assert far.sessions.astype(object).tolist() == DAYS
    assert far.first == 2


def test_panels_equal_a_plain_loop_over_the_rows(store: Store) -> None:
    rng = np.random.default_rng(5)
    full = rows(DAYS, [f"{i:06d}.XSHE" for i in range(50)]).sample(fraction=0.6, shuffle=True, seed=2)
    full = full.with_columns(
        pl.Series("close", rng.normal(size=len(full))), pl.Series("open", rng.normal(size=len(full)))
    )
    for part in full.iter_slices(40):
        store.upsert("bars/CS", part)
    panels = store.read("CS", ["open", "close"])
    expected = {name: np.full((5, len(panels.assets)), np.nan) for name in ("open", "close")}
    for day, asset, close, opened in full.rows():
        at = DAYS.index(day), panels.assets.tolist().index(asset)
        expected["close"][at], expected["open"][at] = close, opened
    for name, value in expected.items():
        np.testing.assert_array_equal(panels[name], value)


def test_an_older_version_is_read_with_the_assets_it_had(store: Store) -> None:
    store.upsert("factors/CS", rows(DAYS, ["a"], x=1.0))
    store.upsert("factors/CS", rows(DAYS[:1], ["0"], x=2.0))
    assert store.read_table("factors/CS", ["x"]).assets.tolist() == ["0", "a"]
    assert store.read_table("factors/CS", ["x"], version=0).assets.tolist() == ["a"]


def test_the_calendar_is_the_ingested_one_and_the_exchange_goes_on_where_it_ends(store: Store) -> None:
    store.upsert("bars/CS", rows([DAYS[0]], ["a"], close=1.0))
    assert store.calendar().sessions.astype(object).tolist() == DAYS
    store.upsert("bars/CS", rows([D(2021, 1, 8)], ["a"], close=1.0))
    assert store.calendar().sessions.astype(object).tolist() == [*DAYS, D(2021, 1, 7), D(2021, 1, 8)]
    store.upsert("bars/INDX", rows([D(2020, 12, 28)], ["i"], close=1.0))
    assert store.calendar().sessions.astype(object).tolist()[:3] == [D(2020, 12, 28), D(2020, 12, 29), DAYS[0]]
    # A holiday past the end is still no session.
    assert store.calendar((D(2021, 1, 9), D(2021, 1, 10))).sessions[-1] == np.datetime64("2021-01-08")


def test_without_an_ingested_calendar_the_exchange_gives_the_sessions(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(DataError, match="bars or a calendar"):
        store.calendar()
    store.upsert("bars/CS", rows([D(2021, 2, 10), D(2021, 2, 19)], ["a"], close=1.0))
    days = store.read("CS", ["close"]).sessions.astype(object).tolist()
    assert days == [D(2021, 2, 10), D(2021, 2, 18), D(2021, 2, 19)]


def test_a_date_that_is_no_session_is_refused_when_read(store: Store) -> None:
    store.upsert("bars/CS", rows([DAYS[0], D(2021, 1, 2), DAYS[4]], ["a"], close=1.0))
    with pytest.raises(DataError, match="first at 2021-01-02 a"):
        store.read("CS", ["close"])


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda s: s.read("CS", ["clsoe"]), "Did you mean close"),
        (lambda s: s.read("Futures", ["close"]), "Did you mean Future"),
        (lambda s: s.read("ETF", ["close"]), "daybar ingest"),
        (lambda s: s.read("CS", ["close"], D(2023, 1, 3), D(2023, 2, 3)), "rows from 2020-12-30 to 2021-01-06"),
        (lambda s: s.read("CS", ["close"], "2021-01-06", "2021-01-04"), "must lie in 2021-01-06 to 2021-01-04"),
        (lambda s: s.read("CS", ["close"], "6 Jan"), "2024-02-09"),
        (lambda s: s.scan("bars/cs"), "Did you mean bars/CS"),
        (lambda s: s.scan("bars/CS", version=7), "version must exist; found 7"),
        (lambda s: s.upsert("bars/CS", rows([DAYS[0]] * 2, ["a"], close=1.0)), "first at 2020-12-30, a"),
        (lambda s: s.upsert("bars/CS", pl.DataFrame({"date": [DAYS[0]], "close": [1.0]})), "key column order_book_id"),
        (lambda s: s.upsert("bars/CS", rows(DAYS, ["a"]).with_columns(close=pl.lit("x"))), "fit the stored types"),
        (lambda s: s.upsert("bars/CS", rows(DAYS, [None], close=1.0)), "must be given on every row; found 5 empty"),
        (lambda s: s.upsert("bars/CS", rows(DAYS, ["a"]).with_columns(pl.col("date").cast(pl.String))), "hold dates"),
        (lambda s: Store(s.root / "a[1]"), r"\[ \]"),
    ],
)
def test_a_refusal_says_what_must_hold_and_what_is_near(store: Store, ask, says: str) -> None:
    store.upsert("bars/CS", rows(DAYS, ["a"], close=1.0))
    with pytest.raises(DataError, match=says):
        ask(store)
    assert store.version("bars/CS") == 0


def test_tables_without_dates_are_keyed_by_what_they_are_told(store: Store) -> None:
    frame = pl.DataFrame({"order_book_id": ["a", "b"], "type": ["CS", "ETF"], "listed_date": [DAYS[0], DAYS[1]]})
    store.upsert("reference/instruments", frame, ("order_book_id",))
    store.upsert("reference/instruments", frame.with_columns(type=pl.lit("CS")), ("order_book_id",))
    assert store.instruments("CS")["order_book_id"].to_list() == ["a", "b"]
    assert store.changed_from("reference/instruments", -1) is None
    assert store.tables() == ["reference/calendar", "reference/instruments"]
    assert store.versions(["reference/instruments"]) == {"reference/instruments": 1}


def test_a_row_keyed_without_its_date_moves_between_years(store: Store) -> None:
    store.upsert(
        "signals/x", pl.DataFrame({"date": [DAYS[0], DAYS[4]], "name": ["p", "q"], "v": [1.0, 2.0]}), ("name",)
    )
    written = store.upsert("signals/x", pl.DataFrame({"date": [DAYS[4]], "name": ["p"], "v": [1.0]}), ("name",))
    assert written.restated == 1
    assert sorted(store.scan("signals/x").collect().select("date", "name").rows()) == [(DAYS[4], "p"), (DAYS[4], "q")]
    assert store.changed_from("signals/x", 0) == DAYS[0]


def test_predictions_are_partitioned_by_their_asof(store: Store) -> None:
    frame = pl.DataFrame({"asof": DAYS, "asset": ["a"] * 5, "value": [1.0] * 5})
    store.upsert("predictions/alpha", frame, ("asof", "asset"))
    assert {f.name for f in (store.root / "predictions/alpha").glob("year=*")} == {"year=2020", "year=2021"}
    assert store.upsert("predictions/alpha", frame, ("asof", "asset")).unchanged == 5
    assert store.changed_from("predictions/alpha", -1) == DAYS[0]


def test_a_scan_keeps_its_version_while_others_write(store: Store) -> None:
    store.upsert("bars/CS", rows(DAYS, ["a"], close=1.0))
    held = store.scan("bars/CS")
    store.upsert("bars/CS", rows(DAYS, ["a"], close=2.0))
    assert held.collect()["close"].unique().to_list() == [1.0]


def test_readers_see_the_old_or_the_new_and_never_a_mixture(store: Store) -> None:
    store.upsert("bars/CS", rows(DAYS, ["a", "b"], close=0.0))
    seen: list[tuple[int, float]] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            values = store.scan("bars/CS").collect()["close"]
            seen.append((len(values), values.n_unique()))

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(look)
        for n in range(1, 25):
            store.upsert("bars/CS", rows(DAYS, ["a", "b"], close=float(n)))
        done.set()
        reader.result()
    assert len(seen) > 5
    assert set(seen) == {(10, 1)}


def test_writers_in_several_threads_lose_nothing(store: Store) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: store.upsert("bars/CS", rows(DAYS, [f"{i % 6}"], close=float(i % 6))), range(24)))
    got = content(store, "bars/CS")
    assert len(got) == 30
    assert (got["close"].cast(pl.Int64).cast(pl.String) == got["order_book_id"]).all()


def test_a_lock_is_held_within_itself_and_shuts_out_others(store: Store) -> None:
    entered = threading.Event()

    def other() -> None:
        with Store(store.root).locked("bars/CS"):
            entered.set()

    thread = threading.Thread(target=other)
    with store.locked("bars/CS"):
        store.upsert("bars/CS", rows(DAYS, ["a"], close=1.0))
        thread.start()
        assert not entered.wait(0.3)
    thread.join(10)
    assert entered.is_set()


def test_the_assets_of_a_table_are_those_of_the_version(tmp_path: Path) -> None:
    store = Store(tmp_path)
    rows = pl.DataFrame({"date": [dt.date(2024, 3, 4)] * 2, "order_book_id": ["B", "A"], "close": [1.0, 2.0]})
    store.upsert("bars/CS", rows)
    first = store.version("bars/CS")
    assert store.assets("bars/CS") == ["A", "B"]
    store.upsert("bars/CS", rows.with_columns(order_book_id=pl.Series(["C", "D"])))
    assert store.assets("bars/CS") == ["A", "B", "C", "D"]
    assert store.assets("bars/CS", first) == ["A", "B"]
