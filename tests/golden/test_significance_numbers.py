"""Worked numbers of the evaluation: Newey-West, fixed-b critical values, Corwin-Schultz, dated fees."""

from __future__ import annotations

import numpy as np
import pytest

from training.evaluate.costs import stamp_duty, transfer_fee
from training.evaluate.significance import fixed_b_critical, newey_west

X = np.array([0.02, 0.05, -0.01, 0.03, 0.04, 0.0, 0.06, 0.01, -0.02, 0.03])


def test_newey_west_of_ten_numbers_with_lag_three():
    """Source  08 §1: mean .021, long-run variance 2.25e-4, t 4.4271887."""
    found = newey_west(X, 3)
    assert found.mean == pytest.approx(0.021, abs=1e-15)
    assert found.se**2 * 10 == pytest.approx(2.25e-4, rel=1e-12)
    assert found.t == pytest.approx(4.4271887, abs=5e-8)


def test_the_critical_value_grows_with_the_lag():
    """Source  08 §1: 1.96 + 2.969 b + .416 b² - .532 b³; by hand at b = .3 and b = .1."""
    assert fixed_b_critical(3, 10) == pytest.approx(1.96 + 0.8907 + 0.03744 - 0.014364, abs=1e-12)
    assert fixed_b_critical(25, 250) == pytest.approx(2.260528, abs=1e-12)
    assert fixed_b_critical(0, 10) == 1.96


def test_fees_change_on_their_days():
    """Source  10 §3."""
    days = np.array(
        ["2015-07-31", "2015-08-01", "2022-04-28", "2022-04-29", "2023-08-27", "2023-08-28"], "datetime64[D]"
    )
    assert transfer_fee(days).tolist() == [0.0, 0.00002, 0.00002, 0.00001, 0.00001, 0.00001]
    assert stamp_duty(days).tolist() == [0.001, 0.001, 0.001, 0.001, 0.001, 0.0005]
