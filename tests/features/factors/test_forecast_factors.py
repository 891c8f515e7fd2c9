"""Factors of forecasts: levels as they were said, changes of one model alone, the slope over horizons."""

from __future__ import annotations

import functools

import numpy as np

from features.panel import Panels
from tests.features.synthetic_products import products_market, value_of


@functools.cache
def market() -> Panels:
    return products_market(300, assets=4)


def test_levels_are_what_was_said():
    panels = market()
    for h in (5, 20):
        np.testing.assert_array_equal(value_of(f"fut_vol_forecast_{h}", panels), panels[f"vol_forecast_{h}"])


def test_a_change_is_of_one_model_alone():
    panels = market()
    said, switch = panels["vol_forecast_5"], panels["vol_forecast_switch"]
    found = value_of("fut_vol_forecast_change", panels)
    over = 0
    for t in range(panels.shape[0]):
        for n in range(panels.shape[1]):
            same = not (switch[max(0, t - 4) : t + 1, n] == 1).any()
            expected = np.log(said[t, n] / said[t - 5, n]) if t >= 5 and same else np.nan
            np.testing.assert_allclose(found[t, n], expected, rtol=1e-12)
            over += t >= 5 and not same and np.isfinite(said[t, n] / said[t - 5, n])
    assert over > 50


def test_the_slope_is_over_horizons():
    panels = market()
    expected = np.log(panels["vol_forecast_20"] / panels["vol_forecast_5"])
    np.testing.assert_allclose(value_of("fut_vol_forecast_slope", panels), expected, rtol=1e-12)


def test_factors_of_a_curve_are_what_was_said_and_the_later_contract_less_the_dominant_one():
    panels = market()
    for factor, field in (("short", "ss_chi"), ("yield", "ss_yield"), ("z_dominant", "ss_z_dominant")):
        np.testing.assert_array_equal(value_of(f"fut_ss_{factor}", panels), panels[field])
    expected = panels["ss_z_sub_dominant"] - panels["ss_z_dominant"]
    np.testing.assert_array_equal(value_of("fut_ss_z_spread", panels), expected)
