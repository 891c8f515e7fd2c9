"""Zero curves out of published rates."""

from __future__ import annotations

import numpy as np
import pytest

from features.panel import DataError
from features.zero_curve import Curve, discounts, forward_rate, from_money_market, from_par_yields, years

NAN = np.nan


def test_tenors_are_read_as_years():
    assert [years(t) for t in ("ON", "0D", "1W", "3M", "10Y")] == [1 / 365, 0.0, 7 / 365, 0.25, 10.0]
    assert np.isnan(years("long"))


def test_rates_are_linear_between_tenors_and_flat_beyond_them():
    one = Curve(np.array([1.0, 3.0]), np.array([[0.02, 0.03], [0.01, 0.01]]))
    np.testing.assert_allclose(one(np.array([0.5, 1.0, 2.0, 5.0]))[0], [0.02, 0.02, 0.025, 0.03])
    np.testing.assert_allclose(one(np.array([[2.0], [NAN]]))[:, 0], [0.025, NAN])


def test_a_tenor_that_is_not_published_is_bridged_and_a_session_without_a_rate_has_none():
    one = Curve(np.array([1.0, 2.0, 3.0]), np.array([[0.02, NAN, 0.04], [NAN, NAN, NAN], [NAN, 0.01, NAN]]))
    np.testing.assert_allclose(one(np.array([2.0, 3.0])), [[0.03, 0.04], [NAN, NAN], [0.01, 0.01]])


def test_a_forward_rate_joins_two_discounts():
    one = Curve(np.array([0.5, 2.0]), np.array([[0.01, 0.03]] * 2))
    start, end = np.array([0.25, 1.0]), np.array([1.5, 0.5])
    value = discounts(one, np.array([0.25, 1.5]))
    assert forward_rate(one, start, end)[0] == pytest.approx(np.log(value[0, 0] / value[0, 1]) / 1.25)
    assert np.isnan(forward_rate(one, start, end)[1])  # it ends before it starts


def test_bonds_at_par_are_worth_their_face_on_the_curve_behind_them():
    tenors, par = np.array([0.25, 1.0, 2.0, 5.0, 10.0]), np.array([[0.018, 0.02, 0.022, 0.026, 0.031]])
    zero = from_par_yields(tenors, par)
    assert zero(np.array([0.25]))[0, 0] == pytest.approx(np.log1p(0.018))
    for tenor in (1, 2, 5, 10):
        coupon = par[0, tenors.tolist().index(tenor)]
        value = discounts(zero, np.arange(1.0, tenor + 1))[0]
        assert coupon * value.sum() + value[-1] == pytest.approx(1, abs=1e-14)


def test_a_flat_par_curve_is_a_flat_zero_curve():
    zero = from_par_yields(np.array([1.0, 30.0]), np.full((1, 2), 0.03))
    np.testing.assert_allclose(zero(np.linspace(0.1, 40, 50)), np.log(1.03))


def test_a_deposit_grows_by_its_simple_rate_on_360_days():
    zero = from_money_market(np.array([0.25, 1.0]), np.array([[0.02, 0.03]]))
    assert 1 / discounts(zero, np.array([0.25]))[0, 0] == pytest.approx(1 + 0.02 * 0.25 * 365 / 360)


@pytest.mark.parametrize("tenors", [[1.0, 1.0], [2.0, 1.0], [-1.0, 1.0]])
def test_tenors_out_of_order_are_refused(tenors):
    with pytest.raises(DataError, match="tenors must increase"):
        Curve(np.array(tenors), np.zeros((1, 2)))


def test_rates_of_another_width_are_refused():
    with pytest.raises(DataError, match="2 columns"):
        Curve(np.array([1.0, 2.0]), np.zeros((1, 3)))
