"""Bonds a second way: payments written out one by one, and scipy's root finder."""

from __future__ import annotations

import calendar
import datetime as dt

import numpy as np
import pytest
from scipy.optimize import brentq

from features.bonds import Bonds, accrued_interest, coupons_between, full_yield, schedule
from features.operators.bonds import notional_duration, notional_price, notional_yield, street_price, street_yield


def written_out(y: float, coupon: float, frequency: int, first: float, count: int) -> float:
    """The full price, payment by payment."""
    paid = [coupon + (100 if k == count - 1 else 0) for k in range(count)]
    return sum(c / (1 + y / frequency) ** (first + k) for k, c in enumerate(paid))


@pytest.mark.parametrize("seed", range(60))
def test_prices_and_yields_are_those_of_payments_written_out(seed):
    rng = np.random.default_rng(seed)
    frequency, count = int(rng.integers(1, 3)), int(rng.integers(1, 61))
    first, coupon, y = rng.uniform(0, 1), rng.uniform(0, 6) / frequency, rng.uniform(-0.019, 0.19)
    price = written_out(y, coupon, frequency, first, count)
    assert street_price(y, coupon, frequency, first, count) == pytest.approx(price, rel=1e-13)
    root = brentq(lambda r: written_out(r, coupon, frequency, first, count) - price, -0.02, 0.2, xtol=1e-15, rtol=1e-14)
    found = street_yield(price, coupon, frequency, first, count)
    assert found == pytest.approx(y, abs=1e-10 if count + first > 1.2 else 1e-8)
    assert found == pytest.approx(root, abs=1e-10 if count + first > 1.2 else 1e-8)


@pytest.mark.parametrize(("maturity", "frequency"), [(2, 1), (4, 1), (5, 1), (7, 2), (10, 2), (25, 2), (30, 2)])
def test_a_yield_and_its_price_lead_to_each_other(maturity, frequency):
    y = np.linspace(-0.0199, 0.1999, 500)
    price = notional_price(y, float(maturity), float(frequency))
    np.testing.assert_allclose(notional_yield(price, float(maturity), float(frequency)), y, rtol=0, atol=1e-13)
    np.testing.assert_allclose(price, [written_out(r, 3 / frequency, frequency, 1, maturity * frequency) for r in y])


def test_the_duration_is_the_slope_of_the_log_price():
    y, step = np.linspace(-0.01, 0.1, 50), 1e-6
    price = [np.log(notional_price(y + h, 7.0, 2.0)) for h in (-step, step)]
    np.testing.assert_allclose(notional_duration(y, 7.0, 2.0), (price[0] - price[1]) / (2 * step), rtol=1e-8)


def coupon_dates(maturity: dt.date, frequency: int) -> list[dt.date]:
    """Coupon dates of eighty years before the maturity, month by month."""
    out = []
    for k in range(80 * frequency):
        month = maturity.year * 12 + maturity.month - 1 - k * 12 // frequency
        last = calendar.monthrange(month // 12, month % 12 + 1)[1]
        out.append(dt.date(month // 12, month % 12 + 1, min(maturity.day, last)))
    return out[::-1]


@pytest.mark.parametrize("seed", range(40))
def test_interest_and_coupons_are_those_of_a_calendar_of_dates(seed):
    rng = np.random.default_rng(seed)
    frequency = int(rng.integers(1, 3))
    maturity = dt.date(2030, 1, 1) + dt.timedelta(int(rng.integers(0, 4000)))
    if seed % 4 == 0:
        maturity = dt.date(maturity.year, 8, 31)
    bond = Bonds(
        np.array(["b"]),
        np.array([0.03]),
        np.array([frequency]),
        np.array(["2000-01-01"], "datetime64[D]"),
        np.array([maturity], "datetime64[D]"),
    )
    dates = coupon_dates(maturity, frequency)
    day = dates[-5] if seed % 5 == 0 else dt.date(2020, 1, 1) + dt.timedelta(int(rng.integers(0, 3000)))
    last, coming = max(d for d in dates if d <= day), min(d for d in dates if d > day)
    where = schedule(bond, np.datetime64(day))
    assert (where.last[0], where.next[0]) == (np.datetime64(last), np.datetime64(coming))
    assert where.count[0] == sum(d > day for d in dates)
    share = (day - last).days / (coming - last).days
    assert accrued_interest(bond, np.datetime64(day))[0] == pytest.approx(3 / frequency * share, abs=5e-8)
    over = day + dt.timedelta(int(rng.integers(0, 500)))
    between = [d for d in dates if day < d <= over]
    total, waited = coupons_between(bond, np.datetime64(day), np.datetime64(over))
    assert total[0] == pytest.approx(3 / frequency * len(between))
    assert waited[0] == pytest.approx(sum(3 / frequency * (over - d).days / 365 for d in between))
    full = written_out(0.025, 3 / frequency, frequency, 1 - share, sum(d > day for d in dates))
    assert full_yield(bond, np.array([full]), np.datetime64(day))[0] == pytest.approx(0.025, abs=1e-10)
