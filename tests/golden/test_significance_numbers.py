"""Worked numbers of the evaluation: Newey-West, fixed-b critical values, the deflated Sharpe ratio, dated fees."""

from __future__ import annotations

import numpy as np
import pytest

from training.evaluate.costs import stamp_duty, transfer_fee
from training.evaluate.overfitting import deflated_sharpe, expected_max_sharpe, probabilistic_sharpe
from training.evaluate.significance import benjamini_hochberg, fixed_b_critical, newey_west

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


def test_the_deflated_sharpe_ratio_of_one_of_a_hundred_trials():
    """Source  09 §5: SR 2.5 a year, 1250 days, skew -3, kurtosis 10, 100 trials with a variance of .5 a year."""
    variance = 0.5 / 250
    assert expected_max_sharpe(variance, 100) == pytest.approx(0.1131720, abs=5e-8)
    assert deflated_sharpe(2.5 / 250**0.5, 1250, -3.0, 10.0, 100, variance) == pytest.approx(0.9003968, abs=5e-8)


def test_the_best_of_two_hundred_years_without_skill_has_a_sharpe_ratio_near_2_77():
    """The expected maximum of 200 standard normal numbers, which one year's Sharpe ratios about are: 2.746."""
    assert expected_max_sharpe(1.0, 200) == pytest.approx(2.77, abs=0.03)


def test_the_probabilistic_sharpe_ratio_of_a_short_track_record():
    """Source  Bailey & López de Prado 2012: SR .458 a month over 24 months, skew -2.448, kurtosis 10.164 give .913."""
    assert probabilistic_sharpe(0.458, 24, -2.448, 10.164) == pytest.approx(0.913, abs=5e-4)
    assert probabilistic_sharpe(0.458, 24, 0.0, 3.0) == pytest.approx(0.982, abs=5e-4)


def test_benjamini_and_hochberg_find_four_of_their_fifteen():
    """Source  Benjamini & Hochberg 1995, §3.2: 15 p-values of the rt-PA trial, of which 4 are rejected at .05."""
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459]
    q = benjamini_hochberg(np.array([*p, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]))
    assert np.count_nonzero(q <= 0.05) == 4
    assert q[0] == pytest.approx(0.0015)
    assert q[3] == pytest.approx(0.0095 * 15 / 4)


def test_fees_change_on_their_days():
    """Source  10 §3."""
    days = np.array(
        ["2015-07-31", "2015-08-01", "2022-04-28", "2022-04-29", "2023-08-27", "2023-08-28"], "datetime64[D]"
    )
    assert transfer_fee(days).tolist() == [0.0, 0.00002, 0.00002, 0.00001, 0.00001, 0.00001]
    assert stamp_duty(days).tolist() == [0.001, 0.001, 0.001, 0.001, 0.001, 0.0005]
