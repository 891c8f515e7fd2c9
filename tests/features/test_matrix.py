"""The matrix: the universe's rows, the same for a session alone as for the whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import features.matrix
from features.catalogue import catalogue
from features.matrix import matrix
from features.panel import DataError
from features.scratch import Scratch
from features.store import Store
from features.universe import Universe
from tests.small_market import bars, sessions, small_store

DAYS = sessions(150)
NAMES = catalogue("CS").select(sets=("stock_core",))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return small_store(tmp_path_factory.mktemp("store"))


def test_the_row_of_a_session_alone_is_the_row_of_the_whole(store: Store, tmp_path: Path) -> None:
    whole, _, _ = matrix(store, catalogue("CS"), NAMES)
    other = small_store(tmp_path, bars().filter(pl.col("date") <= DAYS[148]))
    matrix(other, catalogue("CS"), NAMES)
    other.upsert("bars/CS", bars())
    alone, _, _ = matrix(other, catalogue("CS"), NAMES, start=DAYS[149], end=DAYS[149])
    last = whole.take(whole.session == 149)
    assert whole.assets[last.asset].tolist() == alone.assets[alone.asset].tolist()
    np.testing.assert_array_equal(last.values, alone.values)


def test_rows_are_the_universe_sorted_by_session_then_asset(store: Store) -> None:
    found, universe, _ = matrix(store, catalogue("CS"), NAMES[:3])
    session, asset = np.nonzero(universe)
    np.testing.assert_array_equal(found.session, session)
    np.testing.assert_array_equal(found.asset, asset)


def test_the_settings_of_the_universe_bound_it(store: Store) -> None:
    settings = Universe(min_listed=100, min_turnover=4.5e7)
    found, _, _ = matrix(store, catalogue("CS"), ("cs_turnover20",), universe=settings)
    assert found.values.min() >= 4.5e7
    late = list(found.assets).index("600001.XSHG")
    assert found.session[found.asset == late].min() >= 40 + 99


def test_special_treatment_names_are_left_out_on_their_days(tmp_path: Path) -> None:
    special = (pl.col("order_book_id") == "600003.XSHG") & (pl.col("date") >= DAYS[100])
    store = small_store(tmp_path, bars().with_columns(is_st=special))
    found, _, _ = matrix(store, catalogue("CS"), ("cs_ret_1d",))
    column = list(found.assets).index("600003.XSHG")
    assert found.session[found.asset == column].max() == 99
    kept, _, _ = matrix(store, catalogue("CS"), ("cs_ret_1d",), universe=Universe(exclude_st=False))
    assert kept.session[kept.asset == column].max() > 99


def test_an_empty_universe_is_refused_with_a_cure(store: Store) -> None:
    with pytest.raises(DataError, match=r"universe of CS: it must hold an asset.*\n.*min_turnover"):
        matrix(store, catalogue("CS"), ("cs_ret_1d",), universe=Universe(min_turnover=1e12))


def test_a_market_series_is_no_column(store: Store) -> None:
    with pytest.raises(DataError, match="cs_market_return: a column of the matrix must differ from asset to asset"):
        matrix(store, catalogue("CS"), ("cs_market_return",))


def test_a_matrix_in_a_file_is_the_one_in_memory_to_the_last_bit(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, universe, _ = matrix(store, catalogue("CS"), NAMES, start=DAYS[30])
    monkeypatch.setattr(features.matrix, "_BLOCK_BYTES", 12 * 4 * len(NAMES) * 7)  # a few sessions at a time
    told: list[str] = []
    scratch = Scratch(memory=1e4, folder=tmp_path)
    outside, kept, _ = matrix(store, catalogue("CS"), NAMES, start=DAYS[30], scratch=scratch, say=told.append)
    assert isinstance(outside.values, np.memmap)
    assert outside.values.tobytes() == inside.values.tobytes()
    assert np.isnan(inside.values).any()
    for name in ("sessions", "assets", "session", "asset"):
        np.testing.assert_array_equal(getattr(outside, name), getattr(inside, name))
    np.testing.assert_array_equal(kept, universe)
    assert told[-1].startswith(f"matrix: {len(inside.session):,} rows of {len(inside.columns)} columns")
    assert list(tmp_path.iterdir()) == []


def test_blocks_hold_the_rows_and_no_more(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    collected = pl.LazyFrame.collect

    def counted(self: pl.LazyFrame, *given: object, **named: object) -> pl.DataFrame:
        frame = collected(self, *given, **named)
        if {"date", NAMES[0]} <= set(frame.columns):
            asked.append(frame["date"].n_unique())
        return frame

    monkeypatch.setattr(pl.LazyFrame, "collect", counted)
    monkeypatch.setattr(features.matrix, "_BLOCK_BYTES", 12 * (4 * len(NAMES) + 32) * 7)
    matrix(store, catalogue("CS"), NAMES)
    assert max(asked) == 7
    assert sum(asked) == 150
