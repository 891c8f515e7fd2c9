"""Term-structure models against the spec's worked numbers. Source  04 §3 (FUT-04), §7."""

from __future__ import annotations

import numpy as np
import pytest

from models.spread.convenience_yield import implied_yield
from models.spread.schwartz_smith import FittedSchwartzSmith, SchwartzSmith
from models.spread.term_curve import level, slope

# kappa, sigma_chi, lambda_chi, mu_xi, sigma_xi, rho, mu_xi_star
THETA = (1.49, 0.286, 0.157, 0.03, 0.145, 0.3, 0.0115)
CHI, XI = 0.1, 4.1


@pytest.fixture
def fitted() -> FittedSchwartzSmith:
    return FittedSchwartzSmith(
        SchwartzSmith(), 2, THETA, (0.003,), (np.nan,) * 8, (), 0.0, 0, 0, 0, (), True, (), (), None
    )


def test_prices_of_the_two_factor_curve(fitted):
    years = np.array([1 / 12, 0.5, 1.0, 2.0])
    found = fitted.price(np.array(CHI), np.array(XI), years)
    assert found == pytest.approx([65.48668725, 61.44545030, 59.28894766, 58.59805282], abs=5e-9)


def test_the_level_of_a_year():
    assert level(np.array(THETA), np.array(1.0)) == pytest.approx(-0.04011435701, abs=1e-11)


def test_the_slope_is_that_of_the_curve_and_the_yield_is_what_the_formula_says(fitted):
    for years in (0.0, 0.25, 1.5):
        up, down = (fitted.log_curve(np.array(CHI), np.array(XI), np.array(years + d)) for d in (1e-6, -1e-6))
        assert slope(np.array(THETA), np.array(CHI), np.array(years)) == pytest.approx((up - down) / 2e-6, abs=1e-8)
    kappa, sigma_chi, lambda_chi, _, sigma_xi, rho, mu_star = THETA
    variance = sigma_chi**2 + sigma_xi**2 + 2 * rho * sigma_chi * sigma_xi
    told = kappa * CHI + lambda_chi + 0.018 - mu_star - variance / 2
    assert fitted.convenience_yield(np.array([CHI]), 0.018) == pytest.approx([told], abs=1e-14)


def test_the_convenience_yield_of_copper_in_backwardation():
    """78650 and 78210, 31 days apart, r_f .018: a carry of -.0660546, so a yield of .0840546."""
    found = implied_yield(np.array(78650.0), np.array(78210.0), 0.0, np.array(31 / 365), 0.018)
    assert found == pytest.approx(0.0840546, abs=5e-8)
