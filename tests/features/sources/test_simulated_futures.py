"""The futures of the simulated market keep their contracts' rules."""

import datetime as dt
import hashlib
import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import polars as pl
import pytest
from numpy.random import SeedSequence
from polars.testing import assert_frame_equal

from features.expiries import contract_months, expiry
from features.fields import required_fields
from features.ingest import ingest
from features.limits import limit_prices
from features.sources.simulator import NULL, batches, simulate
from features.sources.simulator.contracts import PRODUCTS, listed_contracts
from features.sources.simulator.courses import PARAMETERS
from features.sources.simulator.frames import index_bars, stock_bars
from features.sources.simulator.futures import MIGRATION
from features.sources.simulator.indices import INDICES, simulate_indices
from features.sources.simulator.market import simulate_market
from features.sources.simulator.stocks import simulate_stocks
from features.sources.simulator.world import resolve
from features.store import Store
from tests.simulated_futures import BY_SYMBOL, CALENDAR, COMMODITIES, ON_BONDS, ON_INDICES, named, states


@pytest.fixture(scope="module")
def tiny():
    return simulate("tiny", "planted", seed=1)


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
        if product.exchange == "CFFEX":
            quarter = pl.col("order_book_id").str.slice(-2).cast(pl.Int64) % 3 == 0
            wide = (pl.col("date") == pl.col("listed_date")) & quarter
        if product.underlying:
            wide |= pl.col("date") == pl.col("maturity_date")
        usual = {"TS": 0.005, "TF": 0.012, "T": 0.02, "TL": 0.035}.get(symbol[0], product.limit / 10_000)
        pct = bars.select(pl.when(wide).then(2 * usual).otherwise(usual))["literal"].to_numpy()
        up, down = limit_prices(bars["prev_settlement"].to_numpy(), pct, float(product.tick))
        np.testing.assert_array_equal(bars["limit_up"], up)
        np.testing.assert_array_equal(bars["limit_down"], down)
        assert (pct == 2 * usual).any() == (product.exchange == "CFFEX")
        assert symbol[0] in ON_BONDS or 0.06 <= usual <= 0.10


# --- chains -----------------------------------------------------------------------------------------------------------


def test_cffex_lists_every_session_what_its_rule_says(long):
    bars = named(long)
    for symbol in (*ON_INDICES, *ON_BONDS):
        rows = bars.filter(pl.col("product") == symbol).group_by("date").agg(pl.col("order_book_id").sort())
        shown = dict(rows.iter_rows())
        for day in long.reference["calendar"]["date"]:
            months = contract_months(symbol, day, CALENDAR)
            assert shown.get(day, []) == [f"{symbol}{y % 100:02d}{m:02d}" for y, m in months], day


def test_the_last_evening_lists_what_the_exchange_listed(long):
    last = named(long).filter(pl.col("date") == dt.date(2025, 12, 31))
    codes = last.filter(pl.col("product") == "IF")["order_book_id"].to_list()
    assert codes == ["IF2601", "IF2602", "IF2603", "IF2606"]
    assert last.filter(pl.col("product") == "T")["order_book_id"].to_list() == ["T2603", "T2606", "T2609"]
    assert named(long).filter(pl.col("product") == "IM")["date"].min() == dt.date(2022, 7, 22)
    launch = named(long).filter(pl.col("product") == "TL", pl.col("date") <= dt.date(2023, 4, 21))
    assert launch["order_book_id"].to_list() == ["TL2309", "TL2312", "TL2403"]


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
        ("TS", "CFFEX", 20_000.0, None),
        ("TF", "CFFEX", 10_000.0, None),
        ("T", "CFFEX", 10_000.0, None),
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
    """By hand: 1 within .08 a day of ten days to maturity, .05 for all, a logistic share of the nearest moved on."""
    bars = named(long).filter(pl.col("product") == "IF").sort("date", "maturity_date")
    days = (pl.col("maturity_date") - pl.col("date")).dt.total_days()
    weight = 0.05 + (-0.08 * (days - 10).abs()).exp()
    pairs = bars.group_by("date", maintain_order=True).agg(
        near=pl.col("open_interest").first(),
        both=pl.col("open_interest").head(2).sum(),
        end=pl.col("maturity_date").first(),
        still=weight.first() / weight.head(2).sum(),
    )
    ends, now = (CALENDAR.sessions.searchsorted(pairs[c].to_numpy().astype("datetime64[D]")) for c in ("end", "date"))
    left = ends - now
    gone = np.where(left <= MIGRATION, 1 / (1 + np.exp(left - MIGRATION / 2)), 0.0)
    share = (pairs["near"] / pairs["both"]).to_numpy()
    np.testing.assert_allclose(share, pairs["still"].to_numpy() * (1 - gone), atol=1e-4)
    assert share[left > MIGRATION].min() > 0.6
    assert share[left == 0].max() < 0.05


def test_the_contract_with_most_open_interest_never_goes_back(long):
    months = {"SC": 12, "CU": 12, "RB": 12, "FU": 12, "M": 3, "IF": 12, "IH": 12, "IC": 12, "IM": 12}
    months |= dict.fromkeys(ON_BONDS, 4)
    for symbol, bars in named(long).group_by("product"):
        leader = bars.sort("open_interest").group_by("date").last().sort("date")
        assert leader["maturity_date"].is_sorted(), symbol
        lived = bars["date"].n_unique() / 242
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


def test_treasuries_leave_other_futures_as_they_were(tiny):
    """Prices and volumes of index futures and commodities as they were before there were treasuries."""
    bars = named(tiny).filter(~pl.col("product").is_in(ON_BONDS)).sort("date", "order_book_id")
    prices = ("open", "high", "low", "close", "settlement", "prev_settlement", "limit_up", "limit_down")
    cents = np.rint(bars.select(prices).to_numpy() * 100).astype("<i8")
    sizes = np.rint(bars.select("volume", "open_interest").to_numpy()).astype("<i8")
    assert hashlib.sha256(cents.tobytes() + sizes.tobytes()).hexdigest()[:16] == "f4c9286b4e0c0c2c"


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
