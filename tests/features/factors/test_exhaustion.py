"""Liquidity exhaustion at its edges; the worked numbers stand in tests/golden."""

from __future__ import annotations

import numpy as np
import pytest

from features.factors import exhaustion


def cell(value: float) -> np.ndarray:
    return np.array([[value]])


@pytest.mark.parametrize("case", ["one price", "no limits", "no trade"])
def test_the_literal_index_is_blank_without_a_range_limits_or_a_trade(case):
    up, dn, close, high, low = 11.0, 9.0, 10.0, 10.5, 9.5
    if case == "one price":
        high = low = 10.0
    if case == "no limits":
        up = np.nan
    if case == "no trade":
        close = high = low = np.nan
    with np.errstate(invalid="ignore"):
        value = exhaustion.cs_liquidity_exhaustion(cell(up), cell(dn), cell(close), cell(high), cell(low))
    assert np.isnan(value.item())


def test_the_literal_index_does_not_depend_on_the_close_and_is_one_at_least():
    given = cell(11.0), cell(9.0)
    values = [
        exhaustion.cs_liquidity_exhaustion(*given, cell(c), cell(10.5), cell(9.5)).item() for c in (9.5, 10, 10.5)
    ]
    assert values == pytest.approx([2.0] * 3)
    assert exhaustion.cs_liquidity_exhaustion(*given, cell(9.0), cell(11.0), cell(9.0)).item() == pytest.approx(1.0)


@pytest.mark.parametrize("column", ["adj", "up", "dn"])
def test_without_limits_illiquidity_alone_counts(column):
    a, free, no, nan = cell(0.7), cell(1.0), cell(0.0), cell(np.nan)
    given = {"adj": (nan, nan, a, free, no, no), "up": (nan, a, free, no), "dn": (nan, a, free, no)}[column]
    name = "cs_liquidity_exhaustion_" + column
    assert getattr(exhaustion, name)(*given).item() == pytest.approx(0.7)


def test_a_move_up_is_no_proximity_to_the_lower_limit():
    assert exhaustion.limit_proximity_dn(cell(10.5), cell(10.0), cell(9.0), cell(0.0)).item() == 0.0
    assert exhaustion.limit_proximity_up(cell(10.5), cell(10.0), cell(11.0), cell(0.0)).item() == pytest.approx(0.5)


def test_without_a_year_of_illiquidity_it_is_blank_unless_locked():
    free, no, yes, nan = cell(0.0), cell(0.0), cell(1.0), cell(np.nan)
    p = cell(0.4)
    assert np.isnan(exhaustion.cs_liquidity_exhaustion_adj(p, free, nan, free, no, no).item())
    assert exhaustion.cs_liquidity_exhaustion_adj(p, free, nan, free, no, yes).item() == 1.0
