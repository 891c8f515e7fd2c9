"""The curve and the bonds of the simulated market: what moves, what is issued, what is published.

Numbers are proved by plain loops; tests/oracle/test_treasuries_by_simulation holds them against those of features.
"""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from numpy.random import default_rng

from features.panel import DataError
from features.sources.simulator import NULL, simulate
from features.sources.simulator.bonds import ISSUES, conversion_factors, issue_bonds
from features.sources.simulator.world import Yields
from features.sources.simulator.yield_curve import loadings, par_coupon, shocks, simulate_curve, zero_rates
from tests.simulated_bonds import accrued, curve_of, discount, payments
from tests.simulated_futures import CALENDAR


@pytest.fixture(scope="module")
def tiny():
    return simulate("tiny", replace(NULL, stocks=5), seed=1)


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
        assert set(bonds.years) == {1, 2, 5, 10, 30} == {issue.years for issue in ISSUES}
        assert (bonds.frequency == np.where(bonds.years <= 7, 1, 2)).all()
        assert bonds.issued[-1] <= days[-1]


def test_a_bond_is_issued_with_the_coupon_at_which_it_was_worth_its_face_the_evening_before(tiny):
    curve, rows = curve_of(tiny), tiny.reference["bonds"].filter(pl.col("carry_date") > min(curve_of(tiny)))
    assert len(rows) == 19
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


def test_the_bond_table_has_the_columns_of_the_vendors(tiny, market):
    theirs = pl.read_parquet(market / "reference" / "bonds.parquet")
    ours = tiny.reference["bonds"].drop("source")
    assert ours.columns == theirs.columns
    loose = {"carry_date", "maturity_date"}
    assert {c: t for c, t in ours.schema.items() if c not in loose} == {
        c: t for c, t in theirs.schema.items() if c not in loose
    }
    assert set(ours["day_count"]) <= set(theirs["day_count"])
