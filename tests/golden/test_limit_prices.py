"""Worked price limits of the Chinese exchanges.

Source  10 §2, examples by decimal half-up rounding.
"""

from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pytest

from features.limits import ex_right_price, first_day_limit_prices, limit_prices


@pytest.mark.parametrize(
    ("prev_close", "pct", "tick", "up", "down"),
    [
        (10.05, 0.10, 0.01, 11.06, 9.05),
        (3.45, 0.05, 0.01, 3.62, 3.28),
        (2.97, 0.05, 0.01, 3.12, 2.82),
        (28.88, 0.20, 0.01, 34.66, 23.10),
        (7.77, 0.30, 0.01, 10.10, 5.44),
        (0.05, 0.05, 0.01, 0.06, 0.04),
        (1.15, 0.10, 0.01, 1.27, 1.04),
        (1.005, 0.10, 0.001, 1.106, 0.905),
        (0.735, 0.20, 0.001, 0.882, 0.588),
    ],
)
def test_the_limits_of_the_rule_book_s_examples(prev_close, pct, tick, up, down):
    upper, lower = limit_prices(prev_close, pct, tick)
    assert (float(upper), float(lower)) == (up, down)


def test_binary_rounding_fails_on_116_of_2900_prices_and_ours_on_none():
    cents = np.arange(100, 3000)
    up, down = limit_prices(cents / 100, 0.10)
    wrong = 0
    for n, ours_up, ours_down in zip(cents, up, down, strict=True):
        price, cent = Decimal(int(n)) / 100, Decimal("0.01")
        exact_up = float((price * Decimal("1.1")).quantize(cent, ROUND_HALF_UP))
        exact_down = float((price * Decimal("0.9")).quantize(cent, ROUND_HALF_UP))
        assert (ours_up, ours_down) == (exact_up, exact_down)
        naive = (round(int(n) / 100 * 1.1, 2), round(int(n) / 100 * 0.9, 2))
        wrong += naive != (exact_up, exact_down)
    assert wrong == 116


def test_the_first_session_of_an_old_ipo_ends_44_per_cent_up_at_most():
    up, down = first_day_limit_prices([10.0, 13.57])
    assert up.tolist() == [14.40, 19.54]
    assert down.tolist() == [6.40, 8.68]


def test_the_ex_right_price_takes_cash_bonus_and_rights_into_account():
    assert float(ex_right_price(10.00, cash=0.5)) == 9.50
    assert float(ex_right_price(10.00, cash=0.2, bonus=0.4)) == 7.00
    assert float(ex_right_price(10.00, rights=0.3, rights_price=6.0)) == 9.08  # 11.8 / 1.3 = 9.0769
    assert float(ex_right_price(10.01, bonus=1.0)) == 5.01  # 5.005 rounds up
