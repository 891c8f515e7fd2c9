"""The tape of simulated futures: what a settlement averages, what a limit stops."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from numpy.random import SeedSequence

from features.sources.simulator import NULL, simulate
from features.sources.simulator.contracts import PRODUCTS
from features.sources.simulator.futures_kernels import Rows, tape
from features.sources.simulator.indices import simulate_indices
from features.sources.simulator.market import simulate_market
from features.sources.simulator.stocks import TAPE_WEIGHTS, simulate_stocks
from features.sources.simulator.world import resolve
from tests.simulated_futures import BY_SYMBOL, COMMODITIES, ON_INDICES, held, lag_one, named

# --- settlement -------------------------------------------------------------------------------------------------------


def test_settlements_of_commodities_are_smooth_as_averages_of_a_whole_day(long):
    """04 §2.3 with f = 1: variance ratio 2/3, autocorrelation 1/4."""
    bars, found = named(long), []
    for symbol in COMMODITIES:
        rows = held(bars.filter(pl.col("product") == symbol))
        close, settle = rows["r_close"].to_numpy(), rows["r_settle"].to_numpy()
        found.append((lag_one(settle), settle.var() / close.var()))
    autocorrelation, ratio = np.mean(found, axis=0)
    assert autocorrelation == pytest.approx(0.25, abs=0.05)
    assert ratio == pytest.approx(2 / 3, abs=0.05)


def test_settlements_of_index_futures_average_the_last_quarter_of_the_session(long):
    """f = 1/4 of the session's 3/4 of the variance: ratio .9375; autocorrelation .033 more than that of closes."""
    bars, found = named(long), []
    for symbol in ("IH", "IF", "IC"):
        rows = held(bars.filter(pl.col("product") == symbol))
        close, settle = rows["r_close"].to_numpy(), rows["r_settle"].to_numpy()
        found.append((lag_one(settle) - lag_one(close), settle.var() / close.var()))
    autocorrelation, ratio = np.mean(found, axis=0)
    assert autocorrelation == pytest.approx(0.033, abs=0.02)
    assert ratio == pytest.approx(0.9375, abs=0.02)


def test_an_index_future_ends_at_the_mean_of_the_index_over_the_last_half_of_the_session():
    world, calendar = resolve("tiny", replace(NULL, stocks=90, sessions=200))
    streams = SeedSequence(4).spawn(3)
    market = simulate_market(world, 200, streams[0])
    stocks = simulate_stocks(world, calendar.sessions, market, streams[1])
    indices = {i.order_book_id: i for i in simulate_indices(world, calendar.sessions, market, stocks, streams[2])}
    bars = named(simulate("tiny", world, seed=4)).filter(pl.col("date") == pl.col("maturity_date"))
    final = bars.filter(pl.col("product").is_in(ON_INDICES))
    assert len(final) > 20
    for product, day, settlement, close in final.select("product", "date", "settlement", "close").iter_rows():
        grid = indices[BY_SYMBOL[product].underlying].grid[calendar.position(day)]
        middles = (grid[1:] + grid[:-1]) / 2
        assert settlement == pytest.approx(middles[8:].mean(), abs=0.2)
        assert close == pytest.approx(grid[16], abs=0.11)


def test_the_tape_of_a_contract_by_hand():
    """Ticks 100 up to 116 in steps of one: the settlement of the last four sub-steps is the mean of 112.5 to 115.5."""
    path = np.log(np.stack([np.full(17, 100.0), np.arange(100.0, 117.0), np.arange(150.0, 167.0), np.full(17, 10.0)]))
    settle = np.zeros((4, 16))
    settle[:, 12:] = 0.25
    none = np.zeros((4, 17))
    lead = np.array([True, False, False, False])
    shown = tape(Rows(lead, path, none, np.zeros((4, 16, 2)), settle, TAPE_WEIGHTS, np.full(4, 2000)))
    assert (shown.open[1], shown.high[1], shown.low[1], shown.close[1]) == (100, 116, 100, 116)
    assert (shown.prev_settlement[1], shown.upper[1], shown.lower[1]) == (100, 120, 80)
    assert shown.settlement[1] == 114
    assert shown.mean[1] == pytest.approx(108.0)
    # 150 and above lies beyond the limit of 114 x 1.2 = 136.8 all session; 10 below that of 137 x 0.8.
    assert {int(x[2]) for x in (shown.open, shown.high, shown.low, shown.close, shown.settlement)} == {137}
    assert shown.mean[2] == 137
    assert shown.locked.tolist() == [0, 0, 1, -1]
    assert (shown.upper[3], shown.lower[3], shown.close[3]) == (164, 110, 110)


def test_a_contract_that_is_locked_trades_little_and_the_rest_of_the_move_comes_later(monkeypatch):
    tight = tuple(replace(product, limit=60) if product.symbol == "SC" else product for product in PRODUCTS)
    monkeypatch.setattr("features.sources.simulator.futures.PRODUCTS", tight)
    simulation = simulate("tiny", replace(NULL, stocks=20), seed=3)
    bars = named(simulation).filter(pl.col("product") == "SC")
    locked = bars.filter(pl.col("high") == pl.col("low"))
    events = simulation.truth["truth_events"].filter(
        pl.col("event") == "locked", pl.col("object").str.starts_with("SC")
    )
    assert set(events.select("object", "date").rows()) == set(locked.select("order_book_id", "date").rows())
    assert len(locked) > 100
    at = (pl.col("close") == pl.col("limit_up")) | (pl.col("close") == pl.col("limit_down"))
    assert locked.filter(~at).is_empty()
    assert (locked["settlement"] == locked["close"]).all()
    assert (locked["volume"] <= np.maximum(0.07 * locked["open_interest"], 1)).all()
    after = bars.with_columns(later=(pl.col("open") / pl.col("close").shift()).shift(-1).over("order_book_id") - 1)
    up = after.filter(pl.col("low") == pl.col("limit_up"))["later"].drop_nulls()
    assert up.mean() > 0.004
