"""Building factors into the store: increments, restatements and changed definitions equal a full build."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features import chunk
from features.catalogue import Catalogue, catalogue
from features.inputs import read_inputs
from features.materialise import materialise, reaches
from features.store import KEYS, Store
from tests.small_market import bars, sessions, small_store

NAMES = catalogue("CS").select(sets=("stock_core",))
RECURSIVE = [n for n in NAMES if catalogue("CS")[n].recursive]


def table(store: Store) -> pl.DataFrame:
    rows = store.scan("factors/CS").collect()
    return rows.select(*KEYS, *sorted(set(rows.columns) - set(KEYS))).sort(KEYS)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    store = small_store(tmp_path_factory.mktemp("whole"))
    materialise(store, catalogue("CS"), NAMES)
    return table(store)


def test_a_day_by_day_build_equals_one_build(tmp_path: Path, whole: pl.DataFrame) -> None:
    frame = bars()
    days = sessions(150)
    store = small_store(tmp_path, frame.filter(pl.col("date") <= days[100]))
    materialise(store, catalogue("CS"), NAMES)
    for start, stop in ((101, 102), (103, 103), (104, 149)):
        store.upsert("bars/CS", frame.filter(pl.col("date").is_between(days[start], days[stop])))
        report = materialise(store, catalogue("CS"), NAMES)
        assert report.sessions == stop - start + 1
    assert_frame_equal(table(store), whole, check_exact=True)


def test_small_chunks_give_the_same_table(tmp_path: Path, whole: pl.DataFrame) -> None:
    store = small_store(tmp_path)
    materialise(store, catalogue("CS"), NAMES, memory=1)
    assert store.version("factors/CS") > 5
    assert_frame_equal(table(store), whole, check_exact=True)


def test_a_second_build_finds_nothing_to_do(tmp_path: Path) -> None:
    store = small_store(tmp_path)
    materialise(store, catalogue("CS"), NAMES)
    version = store.version("factors/CS")
    report = materialise(store, catalogue("CS"), NAMES)
    assert (report.columns, report.sessions) == ((), 0)
    assert store.version("factors/CS") == version


def test_restated_bars_recompute_from_the_first_changed_session(tmp_path: Path) -> None:
    frame, days = bars(), sessions(150)
    store = small_store(tmp_path / "restated", frame)
    materialise(store, catalogue("CS"), NAMES)
    wrong = (pl.col("date") == days[120]) & (pl.col("order_book_id") == "600005.XSHG")
    mended = frame.with_columns(close=pl.when(wrong).then(pl.col("close") * 1.01).otherwise(pl.col("close")))
    store.upsert("bars/CS", mended)
    assert materialise(store, catalogue("CS"), NAMES).sessions >= 150 - 120
    other = small_store(tmp_path / "fresh", mended)
    materialise(other, catalogue("CS"), NAMES)
    assert_frame_equal(table(store), table(other), check_exact=True)


def test_a_changed_definition_recomputes_its_column_and_dependants_only(
    tmp_path: Path,
) -> None:
    store = small_store(tmp_path)
    names = ("cs_turnover20", "cs_ret_1d", "cs_market_return")
    materialise(store, catalogue("CS"), names)
    before = table(store)
    known = dict(catalogue("CS"))

    def doubled(close, prev_close):
        return 2 * (close / prev_close - 1)

    known["cs_ret_1d"] = dataclasses.replace(known["cs_ret_1d"], function=doubled)
    report = materialise(store, Catalogue("CS", known, {}), names)
    assert set(report.columns) == {"cs_ret_1d", "cs_market_return"}
    after = table(store)
    assert_frame_equal(
        after.select("cs_ret_1d", "cs_market_return"),
        before.select(pl.col("cs_ret_1d") * 2, pl.col("cs_market_return") * 2),
        rel_tol=1e-6,
    )
    assert_frame_equal(after.select("cs_turnover20"), before.select("cs_turnover20"), check_exact=True)


def test_a_column_asked_for_later_joins_the_rows_that_stand(tmp_path: Path, whole: pl.DataFrame) -> None:
    store = small_store(tmp_path)
    materialise(store, catalogue("CS"), NAMES[:2], end=sessions(150)[90])
    materialise(store, catalogue("CS"), NAMES)
    assert_frame_equal(table(store), whole, check_exact=True)


def test_a_column_not_asked_for_falls_behind_and_catches_up(tmp_path: Path, whole: pl.DataFrame) -> None:
    frame, days = bars(), sessions(150)
    store = small_store(tmp_path, frame.filter(pl.col("date") <= days[110]))
    materialise(store, catalogue("CS"), NAMES)
    store.upsert("bars/CS", frame)
    materialise(store, catalogue("CS"), NAMES[:1])
    assert reaches(store, "CS")[NAMES[-1]][1] == days[110].astype(object)
    materialise(store, catalogue("CS"), NAMES)
    assert_frame_equal(table(store), whole, check_exact=True)


def test_recursive_factors_start_again_when_their_state_is_gone(tmp_path: Path, whole: pl.DataFrame) -> None:
    assert RECURSIVE, "the catalogue has a recursive factor"
    frame, days = bars(), sessions(150)
    store = small_store(tmp_path, frame.filter(pl.col("date") <= days[130]))
    materialise(store, catalogue("CS"), NAMES)
    states = store.scan("states/CS").filter(pl.col("date") != days[130]).collect()
    store.replace("states/CS", states.clear(), days[130], days[130], keys=(*KEYS, "factor", "slot"))
    store.upsert("bars/CS", frame)
    materialise(store, catalogue("CS"), NAMES)
    assert_frame_equal(table(store), whole, check_exact=True)


@pytest.mark.parametrize("name", RECURSIVE)
def test_a_recursive_factor_built_alone_goes_on_from_its_state(tmp_path: Path, whole: pl.DataFrame, name: str) -> None:
    frame, days = bars(), sessions(150)
    store = small_store(tmp_path, frame.filter(pl.col("date") <= days[100]))
    materialise(store, catalogue("CS"), (name,))
    store.upsert("bars/CS", frame)
    materialise(store, catalogue("CS"), (name,))
    assert_frame_equal(table(store), whole.select(*KEYS, name), check_exact=True)


def test_the_memory_that_is_told_is_below_what_is_given_and_falls_with_it(tmp_path: Path) -> None:
    told = [
        materialise(small_store(tmp_path / str(m)), catalogue("CS"), NAMES, memory=m).memory for m in (1e9, 3e6, 2e6)
    ]
    assert told[0] > told[1] > told[2]
    assert told[1] <= 3e6
    assert told[2] <= 2e6


def test_a_factor_without_its_field_is_absent_with_the_reason(tmp_path: Path) -> None:
    report = materialise(small_store(tmp_path), catalogue("CS"), ("cs_ret_1d", "cs_inst_participation"))
    assert report.absent == {"cs_inst_participation": "needs num_trades"}


def test_what_is_told_is_what_is_stale(tmp_path: Path) -> None:
    store, said = small_store(tmp_path), []
    materialise(store, catalogue("CS"), NAMES[:3], say=said.append)
    materialise(store, catalogue("CS"), NAMES[:4], say=said.append)
    materialise(store, catalogue("CS"), NAMES[:4], say=said.append)
    assert [line.split(",")[0] for line in said] == [
        "building 3 factors on 150 sessions",
        "building 1 factor on 150 sessions",
    ]


def test_every_field_is_read_once_with_no_more_history_than_somebody_needs(tmp_path: Path, monkeypatch) -> None:
    store, asked = small_store(tmp_path), []

    def reading(store, asset_class, names, start, end, lookback, version):
        asked.append((sorted(names), lookback))
        return read_inputs(store, asset_class, names, start, end, lookback, version)

    monkeypatch.setattr(chunk, "read_inputs", reading)
    long = catalogue("CS").with_expressions({"far": "ts_mean(volume, 600)", "near": "ts_mean(total_turnover, 5)"})
    materialise(store, long, ("far", "near"))
    assert asked == [(["total_turnover"], 80), (["volume"], 599)]
