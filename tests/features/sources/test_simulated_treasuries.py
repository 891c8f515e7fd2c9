"""Treasury futures of the simulated market keep their rules, and their truth follows from curve and bonds alone.

Numbers are proved by plain loops; tests/oracle/test_treasuries_by_simulation holds them against those of features.
"""

from dataclasses import replace
from math import exp

import numpy as np
import polars as pl
import pytest
from numpy.random import SeedSequence
from polars.testing import assert_frame_equal
from scipy.optimize import brentq

from features.expiries import expiry
from features.ingest import ingest
from features.sources.simulator import NULL, batches, simulate
from features.sources.simulator.bonds import conversion_factors
from features.sources.simulator.contracts import TREASURIES
from features.sources.simulator.treasuries import simulate_treasuries
from features.sources.simulator.world import Yields, resolve
from features.store import Store
from tests.simulated_bonds import accrued, curve_of, discount, payments
from tests.simulated_futures import BY_SYMBOL, CALENDAR, ON_BONDS, named, states

SMALL = replace(NULL, stocks=5, sessions=60)


@pytest.fixture(scope="module")
def tiny():
    return simulate("tiny", replace(NULL, stocks=5), seed=1)


# --- futures ----------------------------------------------------------------------------------------------------------


def delivery_of(symbol, year, month):
    """Second Friday or the session after, and two more."""
    return CALENDAR.add(expiry(symbol, year, month, CALENDAR), 2).astype(object)


def priced(bond, state, now, day, factor, premium=0.0):
    """Forward clean price of a bond for the day of delivery, over its factor; and its full price."""
    ahead = (day - now).days / 365
    full = sum(
        amount
        * discount(state, (paid - now).days / 365)
        / discount(state, ahead)
        * exp(-premium * (paid - day).days / 365)
        for paid, amount in payments(bond)
        if paid > day
    )
    return (full - accrued(bond, day)) / factor, full


def baskets(simulation, code, now):
    """Bonds that may be delivered for a contract and are issued, with their factors, by the words of the contract."""
    symbol, year, month = code[:-4], 2000 + int(code[-4:-2]), int(code[-2:])
    low, high, longest = {"TS": (18, 27, 5), "TF": (48, 63, 7), "T": (78, 999, 10), "TL": (300, 999, 30)}[symbol]
    for bond in simulation.reference["bonds"].to_dicts():
        end, start = bond["maturity_date"], bond["carry_date"]
        months = (end.year - year) * 12 + end.month - month
        # Maturities lie past the first of their month: a bond that ends in a month has as many months left, and days.
        if low <= months < high and end.year - start.year <= longest and start <= now:
            f = np.array([bond["inst_freq"]])
            yield bond, conversion_factors(np.array([bond["cp_rate_1st"]]), f, np.array([months]))[0]


@pytest.mark.parametrize("premium", [0.0, 0.002])
def test_a_future_costs_its_cheapest_delivery(premium):
    world = replace(NULL, stocks=5, sessions=900, yields=Yields(premium=premium))
    market = simulate("demo", world, seed=2)
    curve = curve_of(market)
    rows = market.truth["truth_deliveries"].with_columns(product=pl.col("object").str.head(-4))
    sample = pl.concat(rows.filter(pl.col("product") == symbol).sample(6, seed=4) for symbol in ON_BONDS)
    for now, code, price, ctd, forward in sample.select("date", "object", "price", "ctd", "forward_yield").iter_rows():
        day = delivery_of(code[:-4], 2000 + int(code[-4:-2]), int(code[-2:]))
        found = []
        for bond, factor in baskets(market, code, now):
            clean, full = priced(bond, curve[now], now, day, factor, premium)
            found.append((clean, bond["bond_code"], bond, full))
        best = min(found, key=lambda one: one[0])
        assert price == pytest.approx(best[0], abs=1e-9)
        assert ctd == best[1]
        due = [(paid, amount) for paid, amount in payments(best[2]) if paid > day]
        f = best[2]["inst_freq"]
        days = [best[2]["carry_date"], *(paid for paid, _ in payments(best[2]))]
        last, following = max(d for d in days if d <= day), min(d for d in days if d > day)
        wait = (following - day).days / (following - last).days

        def error(y, due=due, f=f, wait=wait, full=best[3]):
            return sum(amount / (1 + y / f) ** (wait + k) for k, (_, amount) in enumerate(due)) - full

        assert forward == pytest.approx(brentq(error, -0.04, 0.2, xtol=1e-14), abs=1e-10)


def test_settlements_lie_around_the_fair_price_of_the_last_hour(tiny):
    """Noise of .3 tick, rounding to a tick, and a quarter of the day's move between the close and the last hour."""
    fair = tiny.truth["truth_deliveries"].select("date", pl.col("object").alias("order_book_id"), "price")
    bars = named(tiny).filter(pl.col("product").is_in(ON_BONDS)).join(fair, on=["date", "order_book_id"])
    for symbol, rows in bars.group_by("product"):
        tick = float(BY_SYMBOL[symbol[0]].tick)
        at_close = (rows["close"] - rows["price"]).to_numpy()
        assert at_close.std() == pytest.approx(np.sqrt(0.3**2 + 1 / 12) * tick, rel=0.06)
        assert abs(at_close.mean()) < 0.03 * tick
        moves = (
            rows.sort("order_book_id", "date")
            .select(pl.col("price").diff().over("order_book_id"))
            .drop_nulls()["price"]
            .std()
        )
        settled = (rows["settlement"] - rows["price"]).std()
        # Variance of a mean over the last 3/16 of the day about its end: a third of that.
        assert settled == pytest.approx(np.sqrt(moves**2 / 16 + at_close.var()), rel=0.1)


def test_nearer_contracts_are_dearer_on_an_upward_curve_and_equal_where_money_earns_the_coupon():
    """Carry: a bond that yields more than money costs is worth less the later it comes."""
    up = simulate("tiny", replace(SMALL, yields=Yields(means=(0.025, -0.01, 0.0), vol=0.0, pricing="notional")), 1)
    assert (states(up, "T", "fair_spread")["fair_spread"] > 0.1).all()
    # Exactly 3 % a half-year: every notional bond is worth its face, whenever it comes.
    level = 2 * np.log(1.015)
    flat = simulate("tiny", replace(SMALL, yields=Yields(means=(level, 0.0, 0.0), vol=0.0, pricing="notional")), 1)
    assert np.abs(states(flat, "T", "fair_spread")["fair_spread"]).max() < 1e-9
    prices = flat.truth["truth_deliveries"].filter(pl.col("object").str.contains("^T[0-9L]"))["price"]
    assert np.abs(prices - 100).max() < 1e-9
    assert flat.truth["truth_deliveries"]["ctd"].null_count() == len(flat.truth["truth_deliveries"])


def test_notional_futures_give_the_worked_spread_of_the_card():
    """05 §5: z(t) = .0215 - .0065 (1 - e^(-t/3)) / (t/3), forward prices of the notional seven-year bond."""
    yields = Yields(means=(0.0215, -0.0065, 0.0), vol=0.0, pricing="notional")
    market = simulate("tiny", replace(SMALL, yields=yields), seed=1)
    state = (0.0215, -0.0065, 0.0)

    def price(ahead):
        paid = [(k / 2, 1.5 + 100 * (k == 14)) for k in range(1, 15)]
        return sum(a * discount(state, ahead + t) for t, a in paid) / discount(state, ahead)

    assert price(0.2) == pytest.approx(107.0742357, abs=1e-7)
    assert price(0.45) == pytest.approx(106.9409373, abs=1e-7)
    rows = market.truth["truth_deliveries"].filter(pl.col("object").str.contains("^T[0-9]"))
    for now, code, told in rows.select("date", "object", "price").iter_rows():
        day = delivery_of("T", 2000 + int(code[1:3]), int(code[3:]))
        assert told == pytest.approx(price((day - now).days / 365), abs=1e-9)


def test_the_fair_spread_is_of_contracts_before_their_delivery_month(tiny):
    fair = tiny.truth["truth_deliveries"].filter(pl.col("object").str.contains("^T[0-9]"))
    month = pl.date(
        2000 + pl.col("object").str.slice(1, 2).cast(pl.Int32), pl.col("object").str.slice(3, 2).cast(pl.Int32), 1
    )
    ahead = fair.with_columns(month=month).filter(pl.col("month") > pl.col("date")).sort("date", "month")
    pair = ahead.group_by("date", maintain_order=True).agg(pl.col("price").head(2), pl.len())
    pair = pair.filter(pl.col("len") > 1)
    want = pair.select("date", fair_spread=pl.col("price").list.get(0) - pl.col("price").list.get(1))
    assert_frame_equal(states(tiny, "T", "fair_spread"), want)
    assert 300 < len(want) <= 400


def test_a_treasury_needs_no_room_at_its_limits(long):
    """Its limits are many days of moves away; and every contract has something to deliver on every session."""
    truth = long.truth["truth_deliveries"]
    assert truth.select(pl.col("price", "forward_yield").is_finite().all()).row(0) == (True, True)
    assert truth["ctd"].null_count() == 0
    locked = long.truth["truth_events"].filter(
        pl.col("event") == "locked", pl.col("object").is_in(truth["object"].unique().to_list())
    )
    assert locked.is_empty()
    assert truth["object"].str.head(-4).unique().len() == len(TREASURIES)


def test_the_cheapest_to_deliver_is_of_one_age_from_contract_to_contract(tiny):
    rows = tiny.truth["truth_deliveries"].join(tiny.reference["bonds"], left_on="ctd", right_on="bond_code")
    month = pl.date(
        2000 + pl.col("object").str.head(-2).str.tail(2).cast(pl.Int32), pl.col("object").str.tail(2).cast(pl.Int32), 1
    )
    rows = rows.with_columns(left=(pl.col("maturity_date") - month).dt.total_days() / 365.25)
    for symbol, age in (("TS", 1.51), ("TF", 4.01), ("T", 6.735)):
        left = rows.filter(pl.col("object").str.head(-4) == symbol)["left"]
        assert left.min() == pytest.approx(age, abs=0.012)
        assert left.max() == pytest.approx(age, abs=0.012)


# --- the whole --------------------------------------------------------------------------------------------------------


def test_all_tables_go_through_the_ingest_door_untouched(tiny, tmp_path):
    store = Store(tmp_path)
    report = ingest(batches(tiny), store)
    assert report.quarantined == 0
    futures = report.reasons().filter(pl.col("table") == "Future")
    assert futures.is_empty()
    assert report.reasons().filter(pl.col("table").str.starts_with("reference/")).is_empty()
    for name in ("rates", "bonds", "bond_prices"):
        assert store.scan(f"reference/{name}").collect().height == tiny.reference[name].height


def test_treasuries_depend_on_the_seed_and_their_place_alone():
    world, calendar = resolve("tiny", SMALL)
    one, two = (simulate_treasuries(world, calendar.sessions, SeedSequence(k)) for k in (4, 5))
    again = simulate_treasuries(world, calendar.sessions, SeedSequence(4))
    np.testing.assert_array_equal(one.futures[2].tape.close, again.futures[2].tape.close)
    assert (one.futures[2].tape.close != two.futures[2].tape.close).any()


def test_a_treasury_stays_what_it_is_when_those_after_it_go(monkeypatch):
    world, calendar = resolve("tiny", SMALL)
    whole = simulate_treasuries(world, calendar.sessions, SeedSequence(4))
    monkeypatch.setattr("features.sources.simulator.treasuries.TREASURIES", TREASURIES[:2])
    fewer = simulate_treasuries(world, calendar.sessions, SeedSequence(4))
    assert len(fewer.futures) == 2
    for a, b in zip(whole.futures, fewer.futures, strict=False):
        np.testing.assert_array_equal(a.tape.close, b.tape.close)
    np.testing.assert_array_equal(whole.curve.states, fewer.curve.states)
