"""Worked numbers of the judgement of volatility forecasts, from spec 04 §5 and from the papers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm
from scipy.stats import t as student

from training.evaluate.breach_clusters import christoffersen
from training.evaluate.residual_tests import cramer_von_mises_tail
from training.evaluate.var_tests import acerbi_szekely, kupiec, z2_under
from training.evaluate.volatility import qlike

RETURNS = np.array([-0.031, 0.004, 0.012, -0.008, 0.02, -0.027, 0.01, 0.006, -0.003, 0.015])


def test_qlike_of_a_proxy_a_fifth_above_the_forecast():
    """Source  04 §5: proxy 1.2e-4, forecast 1e-4 give 0.0176784432."""
    assert qlike(np.array([1e-4]), np.array([1.2e-4]))[0] == pytest.approx(0.0176784432, abs=5e-11)


def test_kupiec_of_six_breaches_in_a_year_at_99_percent():
    """Source  04 §5: T 250, x 6, p .01 give 3.5553547711 with p-value .0593536190."""
    found = kupiec(6, 250, 0.01)
    assert found.statistic == pytest.approx(3.5553547711, abs=5e-11)
    assert found.p == pytest.approx(0.0593536190, abs=5e-11)


def test_christoffersen_of_two_breaches_that_follow_one():
    """Source  04 §5: (240, 4, 4, 2) give 8.1520254878 with p-value .0043013092."""
    found = christoffersen(240, 4, 4, 2)
    assert found.statistic == pytest.approx(8.1520254878, abs=5e-11)
    assert found.p == pytest.approx(0.0043013092, abs=5e-11)


def test_acerbi_and_szekely_of_two_breaches_in_ten_sessions():
    """Source  04 §5: VaR .025, ES .032, tail .1 give -.8125."""
    found = acerbi_szekely(RETURNS, np.full(10, 0.025), np.full(10, 0.032), 0.1)
    assert found == pytest.approx(-0.8125, abs=1e-14)


@pytest.mark.parametrize(
    ("law", "critical"),
    [
        (norm.ppf, -0.70),
        (lambda share: student.ppf(share, 6) * np.sqrt(4 / 6), -0.72),
    ],
)
def test_the_critical_value_of_a_year_at_97_5_percent(law, critical):
    """Source  04 §5, Acerbi and Székely 2014: -.70 for normal returns, -.72 with 6 degrees of freedom."""
    null = z2_under(law, 0.025, 250, reps=200_000, seed=3)
    assert np.quantile(null, 0.05) == pytest.approx(critical, abs=0.005)


@pytest.mark.parametrize(
    ("k", "ten", "five", "one"),
    [
        (1, 0.353, 0.470, 0.748),
        (2, 0.610, 0.749, 1.07),
        (3, 0.846, 1.01, 1.35),
        (4, 1.07, 1.24, 1.60),
        (5, 1.28, 1.47, 1.88),
        (10, 2.29, 2.54, 3.05),
    ],
)
def test_hansens_critical_values_of_nybloms_statistic(k, ten, five, one):
    """Source  Hansen 1992, table 1, found by simulation: so to a tenth of the size."""
    for value, size in ((ten, 0.10), (five, 0.05), (one, 0.01)):
        assert cramer_von_mises_tail(value, k) == pytest.approx(size, rel=0.12)


def test_the_limit_law_of_cramer_and_von_mises():
    """Source  Anderson and Darling 1952, table 1: 10, 5 and 1 % points .34730, .46136 and .74346."""
    for value, size in ((0.34730, 0.10), (0.46136, 0.05), (0.74346, 0.01)):
        point = brentq(lambda x, size=size: cramer_von_mises_tail(x, 1) - size, 0.1, 2.0)
        assert point == pytest.approx(value, abs=6e-6)
