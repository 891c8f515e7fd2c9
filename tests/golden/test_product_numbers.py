"""The worked numbers of the specification for factors of products of futures: 04 §3 and §4."""

from __future__ import annotations

import numpy as np
import pytest

from features.factors.basis import annualised, fut_basis_ratio_simple, log_basis
from features.factors.curve import carry, fut_implied_carry, fut_implied_financing
from features.factors.flow import flow_score, fut_flow_intensity, fut_flow_state, fut_oi_concentration


def cell(value: float) -> np.ndarray:
    return np.array([[value]])


@pytest.mark.parametrize(
    ("settlement", "before", "interest", "volume", "expected"),
    [(78650, 78120, 185000, 92000, 1065.76), (3920.4, 3901.2, 150000, 78000, 36.92)],
    ids=["copper", "IF"],
)
def test_flow_intensity_has_the_scale_of_the_quote(settlement, before, interest, volume, expected):
    found = fut_flow_intensity(*(cell(x) for x in (settlement, before, interest, volume)))
    assert found[0, 0] == pytest.approx(expected, abs=0.005)


def test_oi_concentration_of_copper():
    found = fut_oi_concentration(*(cell(x) for x in (185000, 92000, 79000, 78000, 78650)))
    assert found[0, 0] == pytest.approx(0.025567, abs=5e-7)


@pytest.mark.parametrize(("change", "expected"), [(1.0, 0.828), (-1.0, 0.092), (0.0, 0.46)])
def test_a_large_rise_scores_by_what_open_interest_did(change, expected):
    found = flow_score(cell(0.02), cell(0.92), cell(change), cell(0.80))
    assert found[0, 0] == pytest.approx(expected, abs=1e-12)
    assert flow_score(cell(-0.02), cell(0.92), cell(change), cell(0.80))[0, 0] == -found[0, 0]


@pytest.mark.parametrize(
    ("move", "change", "state"),
    [(0.01, 5, 1), (0.01, -5, 2), (-0.01, 5, 3), (-0.01, -5, 4), (0.0, 5, 0), (0.01, 0, 0)],
    ids=["long_build", "short_cover", "short_build", "long_liquidation", "flat price", "flat interest"],
)
def test_the_four_quadrants(move, change, state):
    interest = np.array([[100.0], [100.0 + change]])
    assert fut_flow_state(np.array([[0.0], [move]]), interest)[1, 0] == state


def test_the_calendar_carry_of_copper_over_31_days_and_what_it_says_of_its_convenience():
    found = fut_implied_carry(cell(78650), cell(78210), cell(20 / 365), cell(51 / 365))[0, 0]
    assert found == pytest.approx(-0.0660546, abs=5e-8)
    assert 0.018 - found == pytest.approx(0.0840546, abs=5e-8)


def test_the_literal_financing_is_a_daily_return_less_a_daily_rate():
    found = fut_implied_financing(cell(3920.4), cell(3901.2), cell(0.015))[0, 0]
    assert found == pytest.approx(np.log(3920.4 / 3901.2) - 0.015 / 242, abs=1e-15)


@pytest.mark.parametrize(
    ("ratio", "expected"), [(-0.0020, -0.01327), (-0.0044, -0.02920), (-0.0077, -0.05110), (-0.0120, -0.07964)]
)
def test_published_basis_ratios_of_the_last_day_of_2025_per_year(ratio, expected):
    assert fut_basis_ratio_simple(cell(ratio), cell(55 / 365))[0, 0] == pytest.approx(expected, abs=5e-6)


def test_an_equal_carry_is_a_deeper_discount_at_a_longer_maturity():
    years = np.array([[30, 58, 90, 180]]) / 365
    future = 4000 * np.exp(-0.05 * years)
    assert (np.diff(future / 4000 - 1) < 0).all()
    assert annualised(log_basis(future, cell(4000), None), years) == pytest.approx(-0.05)
    assert carry(future[:, :-1], future[:, 1:], years[:, :-1], years[:, 1:]) == pytest.approx(-0.05)


@pytest.mark.parametrize(("days", "there"), [(4, False), (5, True)])
def test_a_basis_is_not_annualised_with_fewer_than_five_days_left(days, there):
    assert np.isfinite(annualised(cell(-0.001), cell(days / 365)))[0, 0] == there
