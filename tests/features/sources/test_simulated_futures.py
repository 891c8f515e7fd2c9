"""The futures of the simulated market keep their contracts' rules, and their truth can be recovered."""

import datetime as dt
import hashlib
import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import polars as pl
import pytest
from arch import arch_model
from numpy.random import SeedSequence, default_rng
from polars.testing import assert_frame_equal
from scipy.optimize import curve_fit
from scipy.stats import kurtosis

from features.expiries import contract_months, expiry
from features.fields import required_fields
from features.ingest import ingest
from features.limits import limit_prices
from features.sources.simulator import NULL, PLANTED, batches, simulate
from features.sources.simulator.contracts import PRODUCTS, contract_calendar, listed_contracts
from features.sources.simulator.courses import CU, FU, PARAMETERS, RB, SC, M, reverting, with_flow
from features.sources.simulator.frames import index_bars, stock_bars
from features.sources.simulator.futures import MIGRATION
from features.sources.simulator.futures_kernels import Rows, gjr_path, tape
from features.sources.simulator.indices import INDICES, simulate_indices
from features.sources.simulator.market import simulate_market
from features.sources.simulator.stocks import TAPE_WEIGHTS, simulate_stocks
from features.sources.simulator.world import STEPS, VARIANCE_SHARES, resolve
from features.store import Store

COMMODITIES = ("SC", "CU", "RB", "FU", "M")
ON_INDICES = ("IH", "IF", "IC", "IM")
BY_SYMBOL = {product.symbol: product for product in PRODUCTS}
CALENDAR = contract_calendar()


@pytest.fixture(scope="module")
def long():
    """Fifteen hundred sessions with few stocks, nothing planted."""
    return simulate("demo", replace(NULL, stocks=90), seed=3)


@pytest.fixture(scope="module")
def tiny():
    return simulate("tiny", "planted", seed=1)


def named(simulation):
    """Futures bars with what the instruments say, by contract and day."""
    terms = simulation.reference["instruments"].filter(pl.col("type") == "Future")
    terms = terms.select("order_book_id", "underlying_symbol", "listed_date", "maturity_date", "contract_multiplier")
    bars = simulation.bars["Future"].join(terms, on="order_book_id")
    return bars.rename({"underlying_symbol": "product"}).sort("order_book_id", "date")


def states(simulation, symbol, *names):
    """States of a product as columns, by day."""
    truth = simulation.truth["truth_states"].filter(pl.col("object") == symbol, pl.col("name").is_in(names))
    return truth.pivot(on="name", index="date", values="value").sort("date")


def held(bars):
    """Rows of the contract that had most open interest on the session before, with its close and settlement returns."""
    leader = bars.sort("open_interest", "order_book_id").group_by("date").last().sort("date")
    leader = leader.select(pl.col("date").shift(-1), "order_book_id").drop_nulls()
    rows = bars.with_columns(
        r_close=pl.col("close").log().diff().over("order_book_id"),
        r_settle=pl.col("settlement").log().diff().over("order_book_id"),
    )
    return rows.join(leader, on=["date", "order_book_id"]).drop_nulls(["r_close", "r_settle"]).sort("date")


def lag_one(values):
    return np.corrcoef(values[1:], values[:-1])[0, 1]


# --- what a vendor would deliver --------------------------------------------------------------------------------------


def test_bars_fulfil_the_contract(tiny):
    bars = tiny.bars["Future"]
    assert set(required_fields("Future")) <= set(bars.columns)
    assert bars.select(pl.struct("order_book_id", "date").is_duplicated().any()).item() is False
    assert_frame_equal(bars, bars.sort("date", "order_book_id"))
    assert bars["source"].unique().to_list() == ["simulated"]
    assert bars.null_count().sum_horizontal().item() == 0
    assert not bars.select(pl.col(pl.Float64).is_nan().any()).sum_horizontal().item()
    assert (bars.select(pl.min_horizontal(pl.col(pl.Float64)).min()).item()) > 0


def test_every_row_passes_the_validators_and_none_is_even_flagged(long, tmp_path):
    report = ingest(batches(long), Store(tmp_path))
    assert report.quarantined == 0
    found = report.reasons().filter(pl.col("table").is_in(["Future", "reference/instruments"]))
    assert found.is_empty(), found


def test_prices_stand_on_their_ticks(long):
    for symbol, bars in named(long).group_by("product"):
        tick = BY_SYMBOL[symbol[0]].tick
        prices = bars.select("open", "high", "low", "close", "settlement", "prev_settlement", "limit_up", "limit_down")
        count = prices.to_numpy() / float(tick)
        np.testing.assert_allclose(count, np.rint(count), atol=1e-6)
        assert prices.to_numpy().ravel()[0] == float(Fraction(round(count.ravel()[0])) * tick)


def test_the_settlement_before_is_that_of_the_session_before(long):
    bars = named(long).with_columns(before=pl.col("settlement").shift().over("order_book_id")).drop_nulls("before")
    assert len(bars) > 100_000
    assert (bars["before"] == bars["prev_settlement"]).all()


def test_a_new_contract_settles_from_the_curve_of_the_evening_before(long):
    first = named(long).group_by("order_book_id", maintain_order=True).first()
    first = first.filter(pl.col("listed_date") == pl.col("date"), pl.col("product").is_in(COMMODITIES))
    assert len(first) > 300
    # A commodity opens where it closed, and this one closed where it settled from.
    assert (first["open"] / first["prev_settlement"] - 1).abs().max() < 1e-3
    indices = named(long).group_by("order_book_id", maintain_order=True).first()
    indices = indices.filter(pl.col("listed_date") == pl.col("date"), pl.col("product").is_in(ON_INDICES))
    assert 0.002 < (indices["open"] / indices["prev_settlement"] - 1).std() < 0.02


def test_limits_stand_around_the_settlement_before(long):
    for symbol, bars in named(long).group_by("product"):
        product = BY_SYMBOL[symbol[0]]
        wide = pl.lit(False)
        if product.underlying:
            quarter = pl.col("order_book_id").str.slice(-2).cast(pl.Int64) % 3 == 0
            wide = (pl.col("date") == pl.col("maturity_date")) | ((pl.col("date") == pl.col("listed_date")) & quarter)
        pct = bars.select(pl.when(wide).then(0.2).otherwise(product.limit / 10_000))["literal"].to_numpy()
        up, down = limit_prices(bars["prev_settlement"].to_numpy(), pct, float(product.tick))
        np.testing.assert_array_equal(bars["limit_up"], up)
        np.testing.assert_array_equal(bars["limit_down"], down)
        assert (pct == 0.2).any() == bool(product.underlying)
        assert 0.06 <= product.limit / 10_000 <= 0.10


# --- chains -----------------------------------------------------------------------------------------------------------


def test_cffex_lists_every_session_what_its_rule_says(long):
    bars = named(long)
    for symbol in ON_INDICES:
        rows = bars.filter(pl.col("product") == symbol).group_by("date").agg(pl.col("order_book_id").sort())
        shown = dict(rows.iter_rows())
        for day in long.reference["calendar"]["date"]:
            months = contract_months(symbol, day, CALENDAR)
            assert shown.get(day, []) == [f"{symbol}{y % 100:02d}{m:02d}" for y, m in months], day


def test_the_last_evening_lists_what_the_exchange_listed(long):
    last = named(long).filter(pl.col("date") == dt.date(2025, 12, 31))
    codes = last.filter(pl.col("product") == "IF")["order_book_id"].to_list()
    assert codes == ["IF2601", "IF2602", "IF2603", "IF2606"]
    assert named(long).filter(pl.col("product") == "IM")["date"].min() == dt.date(2022, 7, 22)


def test_a_commodity_lists_its_next_delivery_months(long):
    bars = named(long)
    for symbol, count in (("SC", 12), ("CU", 12), ("RB", 12), ("FU", 12), ("M", 8)):
        rows = bars.filter(pl.col("product") == symbol)
        assert rows.group_by("date").len()["len"].unique().to_list() == [count]
        assert rows["maturity_date"].n_unique() == rows["order_book_id"].n_unique()
        months = set(rows["order_book_id"].str.slice(-2).cast(pl.Int64))
        assert months == set(BY_SYMBOL[symbol].months)


def test_rows_run_from_listing_to_the_last_trading_day_without_a_hole(long):
    sessions = long.reference["calendar"]["date"].to_numpy().astype("datetime64[D]")
    spans = (
        named(long)
        .group_by("order_book_id", "product", "listed_date", "maturity_date")
        .agg(pl.col("date").min().alias("a"), pl.col("date").max().alias("b"), pl.len().alias("rows"))
    )
    for code, product, listed, maturity, a, b, rows in spans.iter_rows():
        assert a == max(listed, sessions[0].astype(object)), code
        assert b == min(maturity, sessions[-1].astype(object)), code
        inside = (sessions >= np.datetime64(a)) & (sessions <= np.datetime64(b))
        assert rows == inside.sum(), code
        assert CALENDAR.contains(listed)
        year, month = 2000 + int(code[-4:-2]), int(code[-2:])
        assert np.datetime64(maturity) == expiry(product, year, month, CALENDAR), code


def test_a_contract_is_listed_the_session_after_the_one_that_it_replaces_ends(long):
    for symbol in COMMODITIES:
        product = BY_SYMBOL[symbol]
        contracts = listed_contracts(product, CALENDAR.between("2019-07-01", "2025-12-31"), CALENDAR)
        for old, new in zip(contracts, contracts[product.listed :], strict=False):
            assert new.listed == CALENDAR.next_after(old.maturity)


def test_instruments_tell_the_terms(tiny):
    futures = tiny.reference["instruments"].filter(pl.col("type") == "Future")
    terms = futures.select("underlying_symbol", "exchange", "contract_multiplier", "underlying_order_book_id").unique()
    assert set(terms.rows()) == {
        ("IH", "CFFEX", 300.0, "000016.XSHG"),
        ("IF", "CFFEX", 300.0, "000300.XSHG"),
        ("IC", "CFFEX", 200.0, "000852.XSHG"),
        ("SC", "INE", 1000.0, None),
        ("CU", "SHFE", 5.0, None),
        ("RB", "SHFE", 10.0, None),
        ("FU", "SHFE", 10.0, None),
        ("M", "DCE", 10.0, None),
    }
    assert futures.select("listed_date", "maturity_date").null_count().sum_horizontal().item() == 0
    spot = tiny.reference["instruments"].filter(pl.col("type") != "Future")
    assert spot["maturity_date"].null_count() == len(spot)


# --- trading ----------------------------------------------------------------------------------------------------------


def test_turnover_is_volume_at_a_price_of_the_day(long):
    bars = named(long)
    size = pl.col("volume") * pl.col("contract_multiplier")
    assert bars.filter(pl.col("total_turnover") < size * pl.col("low") * (1 - 1e-12)).is_empty()
    assert bars.filter(pl.col("total_turnover") > size * pl.col("high") * (1 + 1e-12)).is_empty()
    assert bars.filter((pl.col("volume") < 1) | (pl.col("volume") % 1 != 0)).is_empty()
    ratio = bars.filter(pl.col("open_interest") > 1000).select(pl.col("volume") / pl.col("open_interest")).to_series()
    assert 0.29 < ratio.min() < 0.35
    assert 0.9 < ratio.max() < 1.21
    move = (bars["close"] / bars["prev_settlement"]).log().abs()
    rank = pl.DataFrame({"move": move, "ratio": bars["volume"] / bars["open_interest"], "product": bars["product"]})
    assert (rank.group_by("product").agg(pl.corr("move", "ratio", method="spearman").alias("c"))["c"] > 0.8).all()


def test_open_interest_moves_to_the_next_contract_over_the_last_eight_sessions(long):
    bars = named(long)
    ends = CALENDAR.sessions.searchsorted(bars["maturity_date"].to_numpy().astype("datetime64[D]"))
    now = CALENDAR.sessions.searchsorted(bars["date"].to_numpy().astype("datetime64[D]"))
    bars = bars.with_columns(left=pl.Series(ends - now))
    share = pl.col("open_interest") / pl.col("open_interest").sum().over("product", "date")
    bars = bars.with_columns(share=share).filter(pl.col("product") == "IF")
    near = bars.sort("left").group_by("date").first()
    by = dict(near.group_by("left").agg(pl.col("share").mean()).iter_rows())
    assert all(by[k] > 0.6 for k in range(MIGRATION + 1, 12))
    assert all(by[k] > by[k - 1] for k in range(1, MIGRATION + 1))
    assert by[0] < 0.05


def test_the_contract_with_most_open_interest_never_goes_back(long):
    months = {"SC": 12, "CU": 12, "RB": 12, "FU": 12, "M": 3, "IF": 12, "IH": 12, "IC": 12, "IM": 12}
    years = 1500 / 242
    for symbol, bars in named(long).group_by("product"):
        leader = bars.sort("open_interest").group_by("date").last().sort("date")
        assert leader["maturity_date"].is_sorted(), symbol
        lived = years if symbol[0] != "IM" else bars["date"].n_unique() / 242
        assert leader["order_book_id"].n_unique() == pytest.approx(months[symbol[0]] * lived, abs=2.5), symbol
        if symbol[0] == "M":
            assert set(leader["order_book_id"].str.slice(-2)) == {"01", "05", "09"}


def test_the_truth_names_every_roll_and_what_it_costs(long):
    bars = named(long)
    # Two contracts equally far from the centre tie: the nearer one still leads.
    ranked = bars.sort("open_interest", "maturity_date", descending=[False, True])
    leader = ranked.group_by("product", "date").last().sort("product", "date")
    seen = leader.with_columns(old=pl.col("order_book_id").shift().over("product")).drop_nulls("old")
    seen = seen.filter(pl.col("old") != pl.col("order_book_id"))
    close = bars.select("date", pl.col("order_book_id").alias("old"), pl.col("close").alias("old_close"))
    seen = seen.join(close, on=["date", "old"])
    true = long.truth["truth_events"].filter(pl.col("event") == "roll")
    both = seen.join(true, left_on=["date", "product"], right_on=["date", "object"])
    assert len(both) == len(seen) == len(true)
    error = (both["close"] / both["old_close"]).log() - both["value"]
    assert error.abs().max() < 2e-3
    assert error.abs().median() < 2e-4


def test_product_open_interest_is_lognormal_around_its_usual_size(long):
    bars = named(long).filter(pl.col("product").is_in([*COMMODITIES, "IF"]))
    total = bars.group_by("product", "date").agg(pl.col("open_interest").sum()).sort("product", "date")
    for symbol, rows in total.group_by("product"):
        interest = states(long, symbol[0], "interest")["interest"].to_numpy()
        level = np.log(rows["open_interest"].to_numpy() / BY_SYMBOL[symbol[0]].interest)
        np.testing.assert_allclose(level, 0.25 * interest, atol=1e-3)
        assert 0.6 < interest.std() < 1.5


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


# --- index futures ----------------------------------------------------------------------------------------------------


def with_index(simulation):
    """Rows of index futures before their last day: closing index, years, dividends to come, true psi."""
    bars = named(simulation).filter(pl.col("product").is_in(ON_INDICES), pl.col("date") < pl.col("maturity_date"))
    of = pl.DataFrame({"product": ON_INDICES, "index": [BY_SYMBOL[symbol].underlying for symbol in ON_INDICES]})
    index = simulation.bars["INDX"].select(
        "date", pl.col("order_book_id").alias("index"), pl.col("close").alias("spot")
    )
    bars = bars.join(of, on="product").join(index, on=["date", "index"])
    psi = simulation.truth["truth_states"].filter(pl.col("name") == "psi").drop("name")
    bars = bars.join(psi.rename({"value": "psi"}), left_on=["date", "product"], right_on=["date", "object"])
    years = (pl.col("maturity_date") - pl.col("date")).dt.total_days() / 365
    points = simulation.reference["dividends_index"].select("order_book_id", pl.col("date").alias("ex"), "points")
    to_come = (
        bars.select("order_book_id", "date", "maturity_date", "index")
        .join(points, left_on="index", right_on="order_book_id")
        .filter(pl.col("ex") > pl.col("date"), pl.col("ex") <= pl.col("maturity_date"))
    )
    ahead = (pl.col("ex") - pl.col("date")).dt.total_days() / 365
    worth = to_come.with_columns(worth=pl.col("points") * (-NULL.rate * ahead).exp())
    worth = worth.group_by("order_book_id", "date").agg(pl.col("worth").sum())
    bars = bars.join(worth, on=["order_book_id", "date"], how="left").with_columns(pl.col("worth").fill_null(0.0))
    return bars.with_columns(years=years)


def test_the_basis_net_of_dividends_is_the_carry(long):
    rows = with_index(long)
    assert rows["worth"].max() > 10
    carry = (pl.col("close") / (pl.col("spot") - pl.col("worth"))).log() / pl.col("years")
    error = rows.select("product", "order_book_id", error=(carry - (NULL.rate - pl.col("psi"))).abs(), years="years")
    for _, of in error.group_by("product"):
        assert of["error"].median() < 0.0030
    assert error.filter(pl.col("years") > 0.3)["error"].max() < 0.0060
    # The bias itself must vanish: noise goes either way.
    signed = rows.select((carry - (NULL.rate - pl.col("psi"))).alias("x")).to_series()
    assert abs(signed.median()) < 2e-4


def test_the_basis_of_the_next_month_is_lower_in_the_season_of_dividends(long):
    """D-01 as the seed has it: settlement of the next month over the index close."""
    rows = with_index(long).filter(pl.col("product").is_in(["IH", "IF", "IC"]))
    rows = rows.with_columns(rank=pl.col("maturity_date").rank("ordinal").over("product", "date"))
    rows = rows.filter(pl.col("rank") == 2).with_columns(
        literal=pl.col("settlement") / pl.col("spot") - 1,
        adjusted=pl.col("close") / (pl.col("spot") - pl.col("worth")) - 1,
        season=pl.col("date").dt.month().is_in([5, 6, 7]),
    )
    mean = {k: (a, b) for k, a, b in rows.group_by("season").agg(pl.col("literal", "adjusted").mean()).iter_rows()}
    assert mean[True][0] - mean[False][0] < -0.003
    assert abs(mean[True][1] - mean[False][1]) < 0.001


def test_the_discount_reverts_to_the_mean_of_its_index(long):
    for symbol, mean in (("IH", 0.005), ("IF", 0.02), ("IC", 0.05)):
        psi = states(long, symbol, "psi")["psi"].to_numpy()
        # Over 6.2 years of kappa 6 a mean has a standard error of sd sqrt(2 / (6 x 6.2)), a fifth of an sd.
        assert psi.mean() == pytest.approx(mean, abs=3 * 0.03 * 0.23)
        assert lag_one(psi) == pytest.approx(np.exp(-6 / 242), abs=0.015)
    wide = reverting(default_rng(1), 60_000, 6.0, 0.03, VARIANCE_SHARES)
    assert wide.std() == pytest.approx(0.03, rel=0.05)
    assert lag_one(wide[:, 16]) == pytest.approx(np.exp(-6 / 242), abs=0.002)


def test_stress_deepens_the_discount_of_index_futures():
    world = replace(PLANTED, stocks=20)
    with_stress, without = (simulate("demo", w, seed=6) for w in (world, replace(world, stress_carry=0.0)))
    stress = states(with_stress, "MKT", "stress")["stress"].to_numpy()
    apart = states(with_stress, "IF", "psi")["psi"].to_numpy() - states(without, "IF", "psi")["psi"].to_numpy()
    assert stress.sum() > 30
    np.testing.assert_allclose(apart, 0.06 * stress, atol=1e-12)


# --- commodities ------------------------------------------------------------------------------------------------------


def test_a_commodity_opens_where_it_closed(long):
    bars = named(long).filter(pl.col("product").is_in(COMMODITIES))
    bars = bars.with_columns(before=pl.col("close").shift().over("order_book_id")).drop_nulls("before")
    inside = pl.col("before").is_between(pl.col("limit_down"), pl.col("limit_up"), closed="none")
    assert (bars.filter(inside)["open"] == bars.filter(inside)["before"]).mean() > 0.9999


def test_oil_lies_on_the_curve_of_schwartz_and_smith(long):
    rows = named(long).filter(pl.col("product") == "SC").join(states(long, "SC", "chi", "xi"), on="date")
    years = (rows["maturity_date"] - rows["date"]).dt.total_days().to_numpy() / 365
    k, gone = SC.kappa, 1 - np.exp(-SC.kappa * years)
    a = SC.mu_xi_star * years - gone * SC.lambda_chi / k
    a += (gone * (2 - gone) * SC.sigma_chi**2 / (2 * k) + SC.sigma_xi**2 * years) / 2
    a += gone * SC.rho * SC.sigma_chi * SC.sigma_xi / k
    error = np.log(rows["close"].to_numpy()) - (1 - gone) * rows["chi"].to_numpy() - rows["xi"].to_numpy() - a
    assert abs(error.mean()) < 1e-4
    assert error.std() == pytest.approx(SC.noise, rel=0.02)
    paper = replace(SC, kappa=1.49, lambda_chi=0.157, mu_xi_star=0.0115, sigma_chi=0.286, sigma_xi=0.145)
    assert paper.drift(np.array([1.0]))[0] == pytest.approx(-0.04011435701, abs=1e-11)


def test_the_states_of_oil_move_as_their_parameters_say(long):
    rows = states(long, "SC", "chi", "xi")
    chi, xi = rows["chi"].to_numpy(), rows["xi"].to_numpy()
    decay = np.exp(-SC.kappa / 242)
    short, level = chi[1:] - decay * chi[:-1], np.diff(xi)
    variance = (1 - decay**2) * SC.sigma_chi**2 / (2 * SC.kappa)
    assert short.std() == pytest.approx(np.sqrt(variance), rel=0.07)
    assert level.std() * np.sqrt(242) == pytest.approx(SC.sigma_xi, rel=0.07)
    assert np.corrcoef(short, level)[0, 1] == pytest.approx(SC.rho, abs=0.08)


def test_the_convenience_yield_of_copper_falls_with_open_interest(long):
    bars = named(long).filter(pl.col("product") == "CU").sort("date", "maturity_date")
    implied = bars.group_by("date", maintain_order=True).agg(
        slope=(pl.col("close").last() / pl.col("close").first()).log()
        / ((pl.col("maturity_date").last() - pl.col("maturity_date").first()).dt.total_days() / 365)
    )
    delta = NULL.rate - implied["slope"].to_numpy()
    true = states(long, "CU", "delta", "interest")
    np.testing.assert_allclose(delta, true["delta"], atol=3e-3)
    slope, level = np.polyfit(true["interest"].to_numpy(), delta, 1)
    assert level == pytest.approx(CU.convenience, abs=1e-3)
    assert slope == pytest.approx(CU.slope, abs=1e-3)


def test_fuel_oil_follows_crude_oil_month_by_month(long):
    bars = named(long).select("order_book_id", "date", "close", "product")
    sc, fu = (
        bars.filter(pl.col("product") == p).with_columns(month=pl.col("order_book_id").str.slice(2))
        for p in ("SC", "FU")
    )
    both = sc.join(fu, on=["date", "month"]).join(states(long, "FU", "spread"), on="date")
    gap = both["close_right"].log() - FU.beta * both["close"].log()
    error = (gap - both["spread"]).to_numpy()
    assert error.mean() == pytest.approx(np.log(FU.level) - FU.beta * np.log(SC.level), abs=1e-4)
    assert error.std() < 0.9 * SC.noise + 0.001
    spread = states(long, "FU", "spread")["spread"].to_numpy()
    assert np.log(0.5) / np.log(lag_one(spread)) == pytest.approx(FU.half_life, rel=0.3)
    assert spread.std() == pytest.approx(FU.deviation, rel=0.2)
    kappa = np.log(2) / 8 * 242
    wide = reverting(default_rng(2), 60_000, kappa, 0.03, np.array([0.0] + [1 / STEPS] * STEPS))
    assert np.log(0.5) / np.log(lag_one(wide[:, 16])) == pytest.approx(8, rel=0.05)


def test_meal_costs_more_the_nearer_its_maturity_lies_to_the_peak_of_the_year(long):
    rows = named(long).filter(pl.col("product") == "M").join(states(long, "M", "log_factor"), on="date")
    years = (rows["maturity_date"] - rows["date"]).dt.total_days().to_numpy() / 365
    day = rows["maturity_date"].dt.ordinal_day().to_numpy() - 1.0
    season = np.log(rows["close"].to_numpy()) - rows["log_factor"].to_numpy() - M.carry * years

    def wave(x, amplitude, peak):
        return amplitude * np.cos(2 * np.pi * (x - peak) / 365.25)

    amplitude, peak = curve_fit(wave, day, season, p0=(0.1, 180.0))[0]
    assert amplitude == pytest.approx(M.amplitude, abs=1e-3)
    assert peak == pytest.approx(M.peak, abs=0.5)


def test_rebar_s_returns_are_those_of_a_gjr_garch_with_student_shocks(long):
    true = states(long, "RB", "variance", "innovation", "log_spot")
    rows = held(named(long).filter(pl.col("product") == "RB")).join(true, on="date")
    free = (pl.col("close") < pl.col("limit_up")) & (pl.col("close") > pl.col("limit_down"))
    rows = rows.filter(free)
    shock = rows["innovation"].to_numpy() * np.sqrt(rows["variance"].to_numpy())
    # A tick of 1 at some 4000 is two and a half basis points; the curve gives up .04 x days / 365 a session.
    assert np.abs(rows["r_close"].to_numpy() - shock).max() < 1.5e-3
    z = true["innovation"].to_numpy()
    h = true["variance"].to_numpy() * 1e4
    recursion = RB.omega + (RB.alpha + RB.gamma * (z < 0)) * h * z**2 + RB.beta * h
    np.testing.assert_allclose(h[1:], recursion[:-1], rtol=1e-12)


def test_an_estimate_finds_the_gjr_garch_again():
    """arch's optimum on the simulated factor, 20 seeds' medians within the tolerances of 04 §5."""
    found = []
    for seed in range(20):
        rng = default_rng(seed)
        z = rng.standard_t(RB.dof, 2500) * np.sqrt((RB.dof - 2) / RB.dof)
        y = z * np.sqrt(gjr_path(z, RB.omega, RB.alpha, RB.gamma, RB.beta))
        fit = arch_model(y, p=1, o=1, q=1, dist="t", rescale=False).fit(disp="off")
        found.append(fit.params[["alpha[1]", "gamma[1]", "beta[1]", "nu"]].to_numpy())
    alpha, gamma, beta, dof = np.median(found, axis=0)
    assert alpha == pytest.approx(RB.alpha, abs=0.015)
    assert gamma == pytest.approx(RB.gamma, abs=0.02)
    assert beta == pytest.approx(RB.beta, abs=0.02)
    assert dof == pytest.approx(RB.dof, abs=1)


def test_rebar_s_ranges_measure_its_variance_as_a_realised_garch_does(long):
    true = states(long, "RB", "variance", "innovation", "realised_variance")
    h, z, rv = (true[name].to_numpy() for name in ("variance", "innovation", "realised_variance"))
    square = np.minimum(z**2, RB.z_cap**2) - 1
    x = np.column_stack([np.ones(len(h)), np.log(h), z, square])
    (xi, phi, tau_1, tau_2), residual, *_ = np.linalg.lstsq(x, np.log(rv), rcond=None)
    assert phi == pytest.approx(RB.phi, abs=0.06)
    assert xi - (1 - phi) * np.log(h).mean() == pytest.approx(RB.xi, abs=0.03)
    assert (tau_1, tau_2) == (pytest.approx(RB.tau_1, abs=0.03), pytest.approx(RB.tau_2, abs=0.02))
    assert np.sqrt(residual[0] / len(h)) == pytest.approx(RB.sigma_u, rel=0.05)
    rows = held(named(long).filter(pl.col("product") == "RB")).join(true, on="date")
    high_low, close_open = (rows["high"] / rows["low"]).log(), (rows["close"] / rows["open"]).log()
    bridge = (0.5 * high_low**2 - (2 * np.log(2) - 1) * close_open**2).to_numpy()
    assert np.corrcoef(np.log(bridge), np.log(rows["realised_variance"].to_numpy()))[0, 1] > 0.7
    assert bridge.mean() == pytest.approx(rows["realised_variance"].mean(), rel=0.1)
    assert kurtosis(z) > 1


def test_positions_that_were_built_push_the_next_session_only_where_that_is_planted():
    rng = default_rng(3)
    moves = np.concatenate([np.zeros((40_000, 1)), 0.0025 * rng.standard_normal((40_000, 16))], axis=1)
    sd, interest = np.full(40_000, 0.01), rng.standard_normal(40_000)
    for effect in (0.0, 0.05):
        path = with_flow(moves, sd, interest, effect)
        daily = path[:, 16] - np.concatenate([[0.0], path[:-1, 16]])
        average = ((path[:, 1:] + path[:, :-1]) / 2).mean(axis=1)
        built = np.sign(np.diff(average)) * (np.diff(interest) > 0)
        pushed = daily[2:] - moves[2:].sum(axis=1)
        np.testing.assert_allclose(pushed, effect * 0.01 * built[:-1], atol=1e-12)
        assert np.array_equal(path, with_flow(moves[:, :], sd, interest, effect))


def test_the_flow_effect_is_an_option_of_the_world():
    plain, pushed = (simulate("tiny", replace(NULL, stocks=10, flow_effect=e), seed=2) for e in (0.0, 0.05))
    same, changed = {"IH", "IF", "IC", "SC", "FU"}, {"CU", "RB", "M"}
    for symbols, equal in ((same, True), (changed, False)):
        one, other = (named(s).filter(pl.col("product").is_in(symbols)) for s in (plain, pushed))
        assert one.equals(other) is equal
    claims = dict(pushed.truth["truth_claims"].iter_rows())
    assert claims["flow_effect"] == 0.05


# --- sameness ---------------------------------------------------------------------------------------------------------


def test_futures_leave_stocks_and_indices_as_they_were(tiny):
    """The blocks before them, drawn alone, give the very same bars."""
    world, calendar = resolve("tiny", "planted")
    first, second, third = SeedSequence(1).spawn(3)
    market = simulate_market(world, len(calendar), first)
    stocks = simulate_stocks(world, calendar.sessions, market, second)
    indices = simulate_indices(world, calendar.sessions, market, stocks, third)
    assert_frame_equal(tiny.bars["CS"], stock_bars(calendar.sessions, stocks), check_exact=True)
    assert_frame_equal(tiny.bars["INDX"], index_bars(calendar.sessions, indices), check_exact=True)


def test_the_market_of_a_seed_stays_what_it_was(tiny):
    """Prices in ticks and volumes of stocks and indices as they were before there were futures."""
    prices = ("open", "high", "low", "close", "prev_close")
    for table, scale, digest in (("CS", 100, "26d9c22ddbf52897"), ("INDX", 10_000, "6ee2f05a03b283e3")):
        frame = tiny.bars[table]
        ticks = np.rint(frame.select(prices).to_numpy() * scale).astype("<i8")
        volume = np.rint(frame["volume"].to_numpy()).astype("<i8")
        assert hashlib.sha256(ticks.tobytes() + volume.tobytes()).hexdigest()[:16] == digest


def test_the_same_seed_gives_the_same_futures_and_another_gives_others(tiny):
    again, other = simulate("tiny", "planted", seed=1), simulate("tiny", "planted", seed=2)
    assert_frame_equal(tiny.bars["Future"], again.bars["Future"], check_exact=True)
    assert not tiny.bars["Future"].equals(other.bars["Future"])


def test_a_product_stays_what_it_is_when_those_after_it_go(monkeypatch, tiny):
    monkeypatch.setattr("features.sources.simulator.futures.PRODUCTS", PRODUCTS[:6])
    fewer = simulate("tiny", "planted", seed=1).bars["Future"]
    codes = fewer["order_book_id"].unique().to_list()
    assert_frame_equal(tiny.bars["Future"].filter(pl.col("order_book_id").is_in(codes)), fewer, check_exact=True)
    assert not any(code.startswith("RB") for code in codes)


def test_a_market_of_two_sessions_has_its_futures():
    short = simulate("tiny", replace(NULL, stocks=5, sessions=2), seed=1)
    assert short.bars["Future"]["date"].n_unique() == 2


def test_the_truth_tells_the_parameters_of_every_product(tiny):
    told = {name: json.loads(value) for name, value in tiny.truth["truth_params"].iter_rows()}
    assert {name: told[name] for name in PARAMETERS} == PARAMETERS
    assert told["RB"]["dof"] == 6.0
    assert told["SC"]["kappa"] == 1.5
    assert set(INDICES.values()) >= {product.underlying for product in PRODUCTS if product.underlying}
