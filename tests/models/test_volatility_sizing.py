"""Margin and position size: each cap where it binds, each number that cannot be sized."""

from __future__ import annotations

import math
from dataclasses import fields

import pytest

from models.base import FitError
from models.volatility.sizing import Limits, size
from training.volatility_config import Sizing

IF = {"price": 3920.0, "multiplier": 300.0, "sigma": 0.011, "var_99": 0.0256, "mean_volume": 90_000.0}
VALUE = 3920.0 * 300.0


def test_the_settings_are_those_of_the_config():
    config = Sizing()
    for setting in fields(Limits):
        told = getattr(config, setting.name)
        told = told["default"] if setting.name == "exchange_margin" else told
        assert getattr(Limits(), setting.name) == told


def test_the_margin_is_the_larger_of_what_is_asked_for_and_two_days_at_risk():
    calm, wild = size(**IF, limits=Limits()), size(**{**IF, "var_99": 0.10}, limits=Limits())
    assert calm.margin_rate == pytest.approx(0.12)
    assert wild.margin_rate == pytest.approx(0.10 * math.sqrt(2))
    assert wild.margin == pytest.approx(wild.margin_rate * VALUE)
    assert wild.leverage == pytest.approx(1 / wild.margin_rate)
    assert size(**{**IF, "var_99": 0.10}, limits=Limits(var_multiple=2.0)).margin_rate == pytest.approx(
        0.2 * math.sqrt(2)
    )


@pytest.mark.parametrize(
    ("changed", "limits", "binds", "contracts"),
    [
        ({}, {}, "target_vol", 4),
        ({}, {"max_margin": 0.03}, "max_margin", 2),  # .03e7 / (.12 · 1,176,000) = 2.13
        ({"var_99": 0.06}, {}, "max_var", 2),  # .02e7 / (.06 · 1,176,000) = 2.83
        ({"mean_volume": 150.0}, {}, "max_volume", 1),
        ({"mean_volume": 0.0}, {}, "max_volume", 0),
        ({"sigma": 0.10}, {}, "target_vol", 0),  # not even one contract
    ],
)
def test_the_tightest_cap_binds(changed, limits, binds, contracts):
    found = size(**{**IF, **changed}, limits=Limits(**limits))
    assert (found.binds, found.contracts) == (binds, contracts)
    assert found.exposure == pytest.approx(contracts * VALUE / 1e7)


def test_what_is_not_known_of_the_volume_does_not_bind():
    assert size(**{**IF, "mean_volume": None}, limits=Limits()).contracts == 4


def test_a_value_at_risk_that_is_a_gain_does_not_bind():
    found = size(**{**IF, "var_99": -0.001}, limits=Limits())
    assert (found.binds, found.margin_rate) == ("target_vol", pytest.approx(0.12))


def test_a_whole_number_of_contracts_is_not_lost_to_rounding():
    """Target 7 contracts exactly, of numbers that are no binary fractions."""
    sigma = 0.1 / math.sqrt(242) * 1e7 / (7 * VALUE)
    for shift in (1 - 1e-15, 1.0, 1 + 1e-15):
        assert size(**{**IF, "sigma": sigma * shift, "var_99": 0.01}, limits=Limits()).contracts == 7
    assert size(**{**IF, "sigma": sigma * 1.0001, "var_99": 0.01}, limits=Limits()).contracts == 6


@pytest.mark.parametrize(
    "changed",
    [
        {"price": 0.0},
        {"price": -37.0},
        {"multiplier": math.nan},
        {"sigma": 0.0},
        {"sigma": math.inf},
        {"var_99": math.nan},
        {"mean_volume": -1.0},
        {"mean_volume": math.nan},
    ],
)
def test_numbers_that_make_no_position_are_refused(changed):
    with pytest.raises(FitError, match="sizing"):
        size(**{**IF, **changed}, limits=Limits())
