"""The index of a basis goes without its dividends: those that are known, from when a year of them is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from features.product_bars import TABLE, refresh
from features.store import Store
from tests.futures_market import futures_store
from tests.spread_market import BASIS, spread_config
from training.spread_data import PairSeries, gather
from training.spread_legs import traded_legs

NAME = "IF basis dominant"
WITH = spread_config(**{**BASIS, "pairs": {"kind": "basis", "far": "dominant"}})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return futures_store(tmp_path_factory.mktemp("dividends") / "store")


def test_levels_are_without_the_dividends_that_product_bars_expect(store: Store) -> None:
    refresh(store)
    rows = store.scan(TABLE).filter(pl.col("order_book_id") == "IF").sort("date").collect()
    told = dict(rows.select("date", "dividends_dominant").iter_rows())
    with_them, without = (gather(config, store).series[NAME] for config in (WITH, spread_config(**BASIS)))
    assert (with_them.sessions == without.sessions).all()
    taken = np.exp(without.legs.x) - np.exp(with_them.legs.x)
    assert without.legs.fresh is not None
    stays = ~without.legs.fresh  # a pair is of the contract decided on at the close, a role of the one before
    expected = np.array([np.nan if told[day] is None else told[day] for day in with_them.sessions.tolist()])
    both = stays & np.isfinite(expected)
    assert both.sum() > 100
    assert (expected[both] > 0).sum() > 20
    assert taken[both] == pytest.approx(expected[both], abs=1e-8)
    blind = np.isnan(with_them.legs.x)
    assert 150 < blind.sum() < 260
    assert not blind[-100:].any()


def test_what_is_earned_beyond_expected_dividends_is_the_label(store: Store) -> None:
    with_them, without = (gather(config, store).series[NAME] for config in (WITH, spread_config(**BASIS)))
    more = with_them.excess(5) - without.excess(5)
    known = np.isfinite(more)
    assert known.sum() > 100
    assert more[known].max() <= 1e-15  # an index that pays is expected to fall behind its contract
    assert more[known].min() < -1e-5
    assert (with_them.carry((1, 5)) == 0).all()


def test_the_reader_is_told_which_sessions_have_no_level(store: Store) -> None:
    blind = int(np.isnan(gather(WITH, store).series[NAME].legs.x).sum())
    notes = gather(WITH, store).notes
    assert f"{NAME}: {blind:,} sessions without a level, of which no dividends are known" in notes
    assert not any("dividends" in note for note in gather(spread_config(**BASIS), store).notes)


def test_the_future_changes_no_level(store: Store, tmp_path: Path) -> None:
    whole = gather(WITH, store).series[NAME]
    for count in (300, 360):
        part = gather(WITH, store, whole.sessions[count - 1].astype(object)).series[NAME]
        assert part.digest(count) == whole.digest(count)


def test_whoever_is_short_the_index_pays_its_dividends(store: Store) -> None:
    series = gather(WITH, store).series[NAME]
    assert isinstance(series, PairSeries)
    assert series.paid is not None
    table = store.scan("reference/dividends_index").filter(pl.col("order_book_id") == "000300.XSHG").collect()
    first, last = series.sessions[0].astype(object), series.sessions[-1].astype(object)
    inside = table.filter(pl.col("date").is_between(first, last))
    assert series.paid.sum() == pytest.approx(inside["points"].sum(), abs=1e-9)
    legs, why = traded_legs(WITH, series)
    assert (legs is not None, why) == (True, "")
    assert legs is not None
    index = legs[1]
    assert index.step is not None
    on = np.flatnonzero(series.paid > 0)
    assert len(on) > 5
    assert index.step[on] == pytest.approx(index.close[on] - index.close[on - 1] + series.paid[on], abs=1e-9)
    plain, _ = traded_legs(spread_config(**BASIS), gather(spread_config(**BASIS), store).series[NAME])
    assert plain is not None
    assert plain[1].step is None
