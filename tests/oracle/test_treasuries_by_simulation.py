"""Treasury analytics of features against the simulator, which computes bonds, baskets and yields a second time.

What lies between a fair price and a quoted one: noise of .3 tick, rounding to a tick, and the settlement's average over
the last hour, which is a quarter of a day's standard deviation away from the close.
"""

from __future__ import annotations

import functools
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from features.bonds import Bonds, accrued_interest, conversion_factors, full_yield
from features.catalogue import catalogue
from features.deliverables import deliverables
from features.ingest import ingest
from features.inputs import available, read_inputs
from features.panel import Panels
from features.plan import compute, plan
from features.product_bars import refresh
from features.sources.batch import Batch
from features.sources.simulator import NULL, Simulation, simulate
from features.sources.simulator import bonds as simulated
from features.sources.simulator.bond_kernels import street_yields
from features.sources.simulator.contracts import TREASURIES
from features.sources.simulator.world import Yields
from features.sources.simulator.yield_curve import simulate_curve
from features.store import Store
from features.treasury import terms
from tests.simulated_futures import CALENDAR, ON_BONDS, named, states

FLAT, UP = (0.025, 0.0, 0.0), (0.0215, -0.0065, 0.0)
BASIS_POINT = 1e-4
# Up to the end of 2025: TL has been listed all the while.
SESSIONS = 500


@functools.cache
def world(means: tuple[float, float, float], vol: float, pricing: str, premium: float = 0.0) -> Simulation:
    yields = Yields(means=means, vol=vol, pricing=pricing, premium=premium)  # type: ignore[arg-type]
    return simulate("demo", replace(NULL, stocks=5, sessions=SESSIONS, yields=yields), seed=2)


@functools.cache
def factors(simulation: tuple[object, ...]) -> Panels:
    """Fields and factors of treasuries, made of what a store would hold; (T, 4) each."""
    market = world(*simulation)  # type: ignore[arg-type]
    own = named(market).filter(pl.col("product").is_in(ON_BONDS)).select(market.bars["Future"].columns)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        tables = ("instruments", "calendar", "rates", "bonds", "bond_prices")
        given = [Batch(f"reference/{name}", "simulated", market.reference[name]) for name in tables]
        report = ingest([*given, Batch("Future", "simulated", own.sort("date", "order_book_id"))], store)
        assert report.quarantined == 0
        refresh(store)
        wanted = [name for name in catalogue("Product") if name.startswith("tf_")]
        made = plan(catalogue("Product"), wanted, available(store, "Product"))
        assert set(made.wanted) == set(wanted)
        days = market.reference["calendar"]["date"]
        fields = (*made.fields, "ctd_fair_spread", "ctd_factor")
        panels = read_inputs(store, "Product", fields, str(days[0]), str(days[-1]))
        return Panels(panels.sessions, panels.assets, {**panels.values, **compute(made, panels)[0].values})


def column(simulation: tuple[object, ...], name: str, product: str) -> np.ndarray:
    found = factors(simulation)
    values = found[name][:, found.assets.tolist().index(product)]
    # Least of TL with a premium: over a few days it makes an implied repo rate that is taken for an error in the data.
    assert np.isfinite(values).mean() > 0.8
    return values


def finite(simulation: tuple[object, ...], name: str, product: str) -> np.ndarray:
    values = column(simulation, name, product)
    return values[np.isfinite(values)]


# --- arithmetic -------------------------------------------------------------------------------------------------------


def test_conversion_factors_agree_over_coupons_terms_and_months():
    rng = np.random.default_rng(1)
    month = np.datetime64("2024-03", "M")
    frequency = rng.integers(1, 3, 3000)
    coupon = rng.integers(1, 600, 3000) / 10_000
    months = rng.integers(13, 361, 3000)
    end = (month + months).astype("datetime64[D]") + rng.integers(0, 28, 3000)
    start = end - np.timedelta64(40 * 366, "D")
    ours = Bonds(np.arange(3000).astype(np.str_), coupon, frequency, start, end)
    np.testing.assert_array_equal(
        conversion_factors(ours, month), simulated.conversion_factors(coupon, frequency, months)
    )


@functools.cache
def both() -> tuple[simulated.Bonds, Bonds]:
    days = CALENDAR.between("2020-01-02", "2025-12-31")
    theirs = simulated.issue_bonds(days, simulate_curve(Yields(), len(days), np.random.default_rng(1)))
    return theirs, Bonds(theirs.code, theirs.coupon, theirs.frequency, theirs.issued, theirs.maturity)


def test_accrued_interest_agrees_on_every_day_of_a_year():
    theirs, ours = both()
    for day in np.arange(np.datetime64("2023-06-01"), np.datetime64("2024-06-01")):
        alive = np.flatnonzero((theirs.issued <= day) & (theirs.maturity > day))
        found = theirs.accrued(alive, np.full(len(alive), day))
        np.testing.assert_array_equal(found, accrued_interest(ours, day)[alive])


def test_street_yields_agree_on_every_day_of_a_quarter():
    theirs, ours = both()
    for day in np.arange(np.datetime64("2023-06-01"), np.datetime64("2023-09-01")):
        alive = np.flatnonzero((theirs.issued <= day) & (theirs.maturity > day))
        last, following = theirs.periods(alive, np.full(len(alive), day))
        first = (following - day).astype(float) / (following - last).astype(float)
        count = np.array([len(theirs.payments(b, day)[0]) for b in alive])
        price = 90 + 20 * np.random.default_rng(3).random(len(alive))
        frequency = theirs.frequency[alive].astype(float)
        found = street_yields(price, theirs.payment[alive], frequency, first, count)
        full = np.full(len(ours), np.nan)
        full[alive] = price
        theirs_in_bounds = (found > -0.02) & (found < 0.2)
        assert theirs_in_bounds.sum() > 40
        expected = np.where(theirs_in_bounds, found, np.nan)
        np.testing.assert_allclose(full_yield(ours, full, day)[alive], expected, rtol=0, atol=1e-10)


def test_the_same_bonds_may_be_delivered_of_those_that_are_issued():
    theirs, ours = both()
    for product in TREASURIES:
        for month in np.arange(np.datetime64("2020-03"), np.datetime64("2027-01"), 3):
            if product.symbol == "TL" and month < np.datetime64("2023-09"):
                continue
            may = simulated.deliverable(theirs, product.notional, month)
            found = deliverables(ours, terms(product.symbol, month), month)
            there = theirs.issued < month.astype("datetime64[D]")
            np.testing.assert_array_equal(np.flatnonzero(may & there), np.sort(found[there[found]]))
            assert (may & there).any()


# --- 05 §6 ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("product", ON_BONDS)
def test_on_a_flat_curve_the_corrected_yield_spread_is_nothing(product):
    flat = (FLAT, 0.0, "notional")
    assert np.abs(finite(flat, "tf_yield_spread_adj", product)).max() < BASIS_POINT
    assert np.abs(finite(flat, "tf_term_spread_adj", product)).mean() < 0.01


@pytest.mark.parametrize("product", ON_BONDS)
def test_on_an_upward_curve_the_near_contract_is_dearer_by_nothing_but_carry(product):
    """The seed would read the far discount as rates that are expected to rise; nobody in this world expects any."""
    up = (UP, 0.0, "notional")
    literal = finite(up, "tf_term_spread", product)
    assert (literal > 0.05).all()
    assert (finite(up, "tf_term_reading", product) == 1).all()
    corrected = finite(up, "tf_term_spread_adj", product)
    assert np.abs(corrected).mean() < 0.01
    assert np.abs(corrected).max() < 0.01 + 6 * 0.3 * 0.01  # noise and ticks of two contracts
    assert np.abs(finite(up, "tf_yield_spread_adj", product)).max() < BASIS_POINT


@pytest.mark.parametrize("product", ON_BONDS)
def test_while_the_curve_moves_corrections_stay_about_nothing(product):
    moving = (Yields().means, Yields().vol, "notional")
    spread = finite(moving, "tf_yield_spread_adj", product)
    assert np.abs(spread).mean() < BASIS_POINT
    assert abs(spread.mean()) < 0.2 * BASIS_POINT
    assert np.abs(finite(moving, "tf_term_spread_adj", product)).mean() < 0.01


@pytest.mark.parametrize("product", ON_BONDS)
def test_a_premium_in_the_futures_is_what_the_corrected_yield_spread_shows(product):
    """Ten basis points of forward yield, in a world that is the same otherwise."""
    premium = finite((UP, 0.0, "notional", 0.001), "tf_yield_spread_adj", product)
    np.testing.assert_allclose(premium, 0.001, atol=BASIS_POINT)


@pytest.mark.parametrize("product", ["TF", "T"])
def test_by_the_cheapest_bond_the_corrected_yield_spread_is_within_four_basis_points(product):
    """Not so TS and TL: TS delivers bonds of 1.5 years where the notional one has two, TL such of low coupons."""
    for bonds in ((FLAT, 0.0, "ctd"), (UP, 0.0, "ctd")):
        assert np.abs(finite(bonds, "tf_yield_spread_adj", product)).mean() < 4 * BASIS_POINT
    assert np.abs(finite((FLAT, 0.0, "ctd"), "tf_yield_spread_adj", "TS")).mean() > 4 * BASIS_POINT


@pytest.mark.parametrize("product", ON_BONDS)
def test_by_the_bond_table_the_near_far_spread_is_fair(product):
    for bonds in ((UP, 0.0, "ctd"), (Yields().means, Yields().vol, "ctd")):
        rest = finite(bonds, "tf_term_spread_ctd", product)
        assert np.abs(rest).max() < 0.05
        assert np.abs(rest).mean() < 0.01


# --- truth ------------------------------------------------------------------------------------------------------------


def truth_of_near(simulation: tuple[object, ...], product: str) -> pl.DataFrame:
    """The true rows of the first contract before its delivery month, by session."""
    rows = world(*simulation).truth["truth_deliveries"]  # type: ignore[arg-type]
    code = pl.col("object")
    month = pl.date(2000 + code.str.head(-2).str.tail(2).cast(pl.Int32), code.str.tail(2).cast(pl.Int32), 1)
    own = rows.filter(code.str.head(-4) == product).with_columns(month=month).filter(pl.col("month") > pl.col("date"))
    return own.sort("date", "month").group_by("date", maintain_order=True).first()


@pytest.mark.parametrize("product", ON_BONDS)
def test_the_fair_near_far_spread_is_found_from_bond_prices(product):
    moving = (Yields().means, Yields().vol, "ctd")
    found = column(moving, "ctd_fair_spread", product)
    true = states(world(*moving), product, "fair_spread")  # type: ignore[arg-type]
    at = np.searchsorted(factors(moving).sessions, true["date"].to_numpy().astype("datetime64[D]"))
    both_known = np.isfinite(found[at])
    assert both_known.mean() > 0.95
    # Bond prices have four decimals; a coupon that comes before a delivery earns the rate until then in both.
    np.testing.assert_allclose(found[at][both_known], true["fair_spread"].to_numpy()[both_known], atol=1e-3)


def of_near(simulation: tuple[object, ...], name: str, near: pl.DataFrame, product: str) -> np.ndarray:
    """A factor of the product on the days of these rows."""
    at = np.searchsorted(factors(simulation).sessions, near["date"].to_numpy().astype("datetime64[D]"))
    return column(simulation, name, product)[at]


@pytest.mark.parametrize("product", ON_BONDS)
def test_the_cheapest_bond_is_found_by_its_conversion_factor(product):
    moving = (Yields().means, Yields().vol, "ctd")
    bonds = world(*moving).reference["bonds"]  # type: ignore[arg-type]
    near = truth_of_near(moving, product).join(bonds, left_on="ctd", right_on="bond_code").sort("date")
    end, month = (near[name].to_numpy().astype("datetime64[M]") for name in ("maturity_date", "month"))
    frequency = near["inst_freq"].to_numpy()
    factor = simulated.conversion_factors(near["cp_rate_1st"].to_numpy(), frequency, (end - month).astype(np.int64))
    # The settlement chooses by the last hour, the truth by the close; and there is none of a settlement that stands.
    assert (of_near(moving, "ctd_factor", near, product) == factor).mean() > 0.95


@pytest.mark.parametrize("product", ON_BONDS)
def test_the_forward_yield_of_the_cheapest_bond_is_found(product):
    """Of a day's move of two or three basis points a quarter lies between the settlement and the close."""
    for simulation, each, mean in (
        ((UP, 0.0, "ctd"), 0.5, 0.05),
        ((UP, 0.0, "ctd", 0.001), 0.5, 0.05),
        ((Yields().means, Yields().vol, "ctd"), 5.0, 0.2),
    ):
        near = truth_of_near(simulation, product)
        error = of_near(simulation, "tf_implied_yield_ctd", near, product) - near["forward_yield"].to_numpy()
        assert np.isfinite(error).mean() > 0.8
        assert np.nanmax(np.abs(error)) < each * BASIS_POINT
        assert abs(np.nanmean(error)) < mean * BASIS_POINT


@pytest.mark.parametrize("product", ON_BONDS)
def test_cash_and_carry_earns_what_money_costs(product):
    """In a world without a premium the implied repo rate is the repo rate, and the basis net of carry is nothing."""
    up = (UP, 0.0, "ctd")
    repo, ahead = column(up, "repo_near", product), column(up, "delivery_near", product)
    excess = column(up, "tf_irr", product) - np.expm1(repo * ahead) / ahead
    long = np.isfinite(excess) & (ahead > 0.1)
    assert np.abs(excess[long]).max() < 0.002
    assert abs(excess[long].mean()) < 1e-4
    assert np.abs(finite(up, "tf_bnoc", product)).max() < 0.03
