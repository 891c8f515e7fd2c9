"""Bonds and treasury futures of the simulated market keep their rules, and their truth follows from the curve alone.

What is proved here stands on the simulator's own arithmetic and on plain loops; tests/oracle/test_simulated_treasuries
holds it against the analytics of features.
"""

from dataclasses import replace
from math import exp

import numpy as np
import polars as pl
import pytest
from numpy.random import SeedSequence, default_rng
from polars.testing import assert_frame_equal
from scipy.optimize import brentq

from features.expiries import expiry
from features.ingest import ingest
from features.panel import DataError
from features.sources.simulator import NULL, batches, simulate
from features.sources.simulator.bonds import ISSUES, conversion_factors, issue_bonds
from features.sources.simulator.contracts import TREASURIES
from features.sources.simulator.treasuries import simulate_treasuries
from features.sources.simulator.world import Yields, resolve
from features.sources.simulator.yield_curve import loadings, par_coupon, shocks, simulate_curve, zero_rates
from features.store import Store
from tests.simulated_futures import BY_SYMBOL, CALENDAR, ON_BONDS, named, states

SMALL = replace(NULL, stocks=5, sessions=60)


@pytest.fixture(scope="module")
def tiny():
    return simulate("tiny", replace(NULL, stocks=5), seed=1)


def curve_of(simulation):
    """Level, slope and curvature by day."""
    wide = states(simulation, "CGB", "level", "slope", "curvature")
    return {day: (a, b, c) for day, a, b, c in wide.select("date", "level", "slope", "curvature").iter_rows()}


def discount(state, years, decay=3.0):
    """Nelson and Siegel as their paper writes it."""
    level, slope, curvature = state
    x = years / decay
    rate = level + slope * (1 - exp(-x)) / x + curvature * ((1 - exp(-x)) / x - exp(-x))
    return exp(-rate * years)


def payments(bond):
    """Days and amounts of a row of the bond table, stepping back from the maturity."""
    out, day = [], bond["maturity_date"]
    while day > bond["carry_date"]:
        out.append((day, 100 * bond["cp_rate_1st"] / bond["inst_freq"]))
        month = day.year * 12 + day.month - 1 - 12 // bond["inst_freq"]
        day = day.replace(year=month // 12, month=month % 12 + 1)
    assert day == bond["carry_date"]
    out[0] = (out[0][0], out[0][1] + 100)
    return out[::-1]


def accrued(bond, day):
    """Interest since the last coupon, to seven decimals."""
    days = [bond["carry_date"], *(paid for paid, _ in payments(bond))]
    last, following = max(d for d in days if d <= day), min(d for d in days if d > day)
    return round(100 * bond["cp_rate_1st"] / bond["inst_freq"] * (day - last).days / (following - last).days, 7)


# --- the curve --------------------------------------------------------------------------------------------------------


def test_the_ten_year_yield_moves_as_much_a_day_as_it_is_told_to():
    yields = Yields(persistence=(0.999, 0.995, 0.99), vol=4e-4)
    drawn = simulate_curve(yields, 40_000, default_rng(3))
    innovations = drawn.closes[1:] - (yields.means + (drawn.closes[:-1] - yields.means) * yields.persistence)
    ten = innovations @ loadings(np.array(10.0), yields.decay)
    assert ten.std() == pytest.approx(4e-4, rel=0.02)
    np.testing.assert_allclose(innovations.std(axis=0), shocks(yields), rtol=0.02)
    np.testing.assert_allclose(np.corrcoef(innovations.T), np.eye(3), atol=0.03)


def test_factors_come_back_to_their_means_at_their_pace():
    yields = Yields()
    drawn = simulate_curve(yields, 60_000, default_rng(5)).closes
    for k, (phi, mean) in enumerate(zip(yields.persistence, yields.means, strict=True)):
        x = drawn[:, k]
        assert np.corrcoef(x[1:], x[:-1])[0, 1] == pytest.approx(phi, abs=0.0015)
        spread = shocks(yields)[k] / np.sqrt(1 - phi**2)
        assert x.mean() == pytest.approx(mean, abs=4 * spread / np.sqrt(60_000 * (1 - phi) / 2))
        assert x.std() == pytest.approx(spread, rel=0.25)


def test_the_curve_before_the_sample_runs_into_it():
    drawn = simulate_curve(Yields(), 10, default_rng(7))
    step = np.abs(drawn.past[0] - drawn.states[0, 0])
    assert (step < 5 * shocks(Yields())).all()
    assert np.abs(np.diff(drawn.past, axis=0)).max() < 6 * shocks(Yields()).max()


def test_published_rates_are_the_curve_in_three_dialects(tiny):
    rates = tiny.reference["rates"].filter(pl.col("date") == pl.col("date").max())
    state = curve_of(tiny)[rates["date"][0]]
    told = {(curve, tenor): rate for curve, tenor, rate in rates.select("curve", "tenor", "rate").iter_rows()}
    assert told["cgb_zero", "7Y"] == pytest.approx(-np.log(discount(state, 7)) / 7, abs=1e-15)
    assert 1 + told["cgb", "6M"] == pytest.approx(1 / discount(state, 0.5) ** 2, abs=1e-14)
    for years in (1, 2, 10, 30):
        coupon = told["cgb", f"{years}Y"]
        paid = sum(coupon * discount(state, k) for k in range(1, years + 1))
        assert paid + discount(state, years) == pytest.approx(1, abs=1e-13)
    for tenor, days in (("ON", 1), ("1W", 7), ("2W", 14), ("3M", 365 / 4), ("1Y", 365)):
        assert (1 + told["shibor", tenor] * days / 360) * discount(state, days / 365) == pytest.approx(1, abs=1e-13)


def test_a_curve_without_shocks_stays_where_it_is():
    drawn = simulate_curve(Yields(means=(0.02, -0.01, 0.0), vol=0.0), 5, default_rng(1))
    np.testing.assert_array_equal(drawn.states, np.broadcast_to([0.02, -0.01, 0.0], (5, 17, 3)))
    assert (drawn.past == [0.02, -0.01, 0.0]).all()
    short, long = zero_rates(drawn.closes[:1], np.array([0.0, 1e6]), 3.0)[0]
    assert (short, long) == (pytest.approx(0.01, abs=1e-9), pytest.approx(0.02, abs=1e-6))


@pytest.mark.parametrize(
    "wrong", [{"persistence": (1.0, 0.9, 0.9)}, {"vol": -1.0}, {"decay": 0.0}, {"pricing": "cheapest"}]
)
def test_impossible_yields_are_refused(wrong):
    with pytest.raises(DataError, match="simulated yields"):
        Yields(**wrong)


# --- bonds ------------------------------------------------------------------------------------------------------------


def test_forty_bonds_live_on_any_first_session():
    for first in ("2019-07-01", "2019-10-30", "2020-06-01", "2022-02-25"):
        days = CALENDAR.between(first, "2025-12-31")
        curve = simulate_curve(Yields(), len(days), default_rng(2))
        bonds = issue_bonds(days, curve)
        assert ((bonds.issued <= days[0]) & (bonds.maturity > days[0])).sum() == 40
        assert len(set(bonds.code)) == len(bonds)
        assert set(bonds.years) == {1, 2, 3, 5, 7, 10, 30} == {issue.years for issue in ISSUES}
        assert (bonds.frequency == np.where(bonds.years <= 7, 1, 2)).all()
        assert bonds.issued[-1] <= days[-1]


def test_a_bond_is_issued_with_the_coupon_at_which_it_was_worth_its_face_the_evening_before(tiny):
    curve, rows = curve_of(tiny), tiny.reference["bonds"].filter(pl.col("carry_date") > min(curve_of(tiny)))
    assert len(rows) == 21
    for bond in rows.to_dicts():
        state = curve[max(day for day in curve if day < bond["carry_date"])]
        f, years = bond["inst_freq"], bond["maturity_date"].year - bond["carry_date"].year
        annuity = sum(discount(state, k / f) for k in range(1, years * f + 1)) / f
        par = (1 - discount(state, years)) / annuity
        assert bond["cp_rate_1st"] == pytest.approx(par, abs=0.5001e-4)
        assert bond["cp_rate_1st"] * 1e4 == pytest.approx(round(bond["cp_rate_1st"] * 1e4), abs=1e-9)
    state = np.array([0.03, 0.0, 0.0])
    assert par_coupon(state, 5, 1, 3.0) == pytest.approx(np.expm1(0.03), abs=1e-12)
    assert par_coupon(state, 10, 2, 3.0) == pytest.approx(2 * np.expm1(0.015), abs=1e-12)


def test_bond_prices_are_discounted_payments_one_by_one(tiny):
    prices = tiny.reference["bond_prices"].sample(40, seed=2)
    bonds = {row["bond_code"]: row for row in tiny.reference["bonds"].to_dicts()}
    curve = curve_of(tiny)
    for day, code, clean, interest in prices.select("date", "bond_code", "clean_price", "accrued_interest").iter_rows():
        due = [(paid, amount) for paid, amount in payments(bonds[code]) if paid > day]
        full = sum(amount * discount(curve[day], (paid - day).days / 365) for paid, amount in due)
        assert interest == accrued(bonds[code], day)
        assert clean == pytest.approx(full - interest, abs=0.500001e-4)


def test_bonds_have_prices_from_their_issue_to_their_end(tiny):
    spans = tiny.reference["bond_prices"].group_by("bond_code").agg(a=pl.col("date").min(), b=pl.col("date").max())
    days = tiny.reference["calendar"]["date"]
    for code, issued, end, a, b in (
        tiny.reference["bonds"]
        .join(spans, on="bond_code")
        .select("bond_code", "carry_date", "maturity_date", "a", "b")
        .iter_rows()
    ):
        inside = days.filter((days >= issued) & (days < end))
        assert (a, b) == (inside.min(), inside.max()), code
    assert spans.height == tiny.reference["bonds"].height


def test_conversion_factors_are_those_that_the_exchange_published():
    """05 §2: T1903, of whose bonds the months from the delivery to the maturity count, and one bond of TF2206-2212."""
    published = [
        (2.99, (2025, 10), 0.9994),
        (2.85, (2026, 1), 0.9908),
        (2.90, (2026, 5), 0.9936),
        (2.74, (2026, 8), 0.9828),
        (2.70, (2026, 11), 0.9796),
        (3.40, (2027, 2), 1.0280),
        (3.52, (2027, 5), 1.0374),
        (3.59, (2027, 8), 1.0436),
        (3.82, (2027, 11), 1.0621),
        (3.85, (2028, 2), 1.0661),
        (3.69, (2028, 5), 1.0549),
    ]
    coupon, month, factor = (np.array(column) for column in zip(*published, strict=True))
    ahead = (month[:, 0] - 2019) * 12 + month[:, 1] - 3
    np.testing.assert_array_equal(conversion_factors(coupon / 100, np.full(11, 2), ahead), factor)
    five = conversion_factors(np.full(3, 0.0248), np.ones(3, np.int64), np.array([58, 55, 52]))
    np.testing.assert_array_equal(five, [0.9769, 0.9779, 0.9791])
    par = conversion_factors(np.full(12, 0.03), np.ones(12, np.int64), 48 + np.arange(1, 13))
    np.testing.assert_array_equal(par, [1.0] + [0.9999] * 9 + [1.0] * 2)


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


def test_the_bond_table_has_the_columns_of_the_vendors(tiny, market):
    theirs = pl.read_parquet(market / "reference" / "bonds.parquet")
    ours = tiny.reference["bonds"].drop("source")
    assert ours.columns == theirs.columns
    loose = {"carry_date", "maturity_date"}
    assert {c: t for c, t in ours.schema.items() if c not in loose} == {
        c: t for c, t in theirs.schema.items() if c not in loose
    }
    assert set(ours["day_count"]) <= set(theirs["day_count"])


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
