"""Worked numbers of value at risk, expected shortfall and position size."""

from __future__ import annotations

import pytest

from models.volatility.innovations import quantile, tail_mean
from models.volatility.sizing import Limits, size


def test_one_per_cent_of_standardised_t_and_normal_innovations():
    """Source  spec 04 §5: t of 6 degrees of freedom -2.565978006, -3.292545063; normal -2.326347874, -2.665214220."""
    assert quantile("t", (6.0,), [0.01])[0] == pytest.approx(-2.565978006, abs=5e-10)
    assert tail_mean("t", (6.0,), [0.01])[0] == pytest.approx(-3.292545063, abs=5e-10)
    assert quantile("normal", (), [0.01])[0] == pytest.approx(-2.326347874, abs=5e-10)
    assert tail_mean("normal", (), [0.01])[0] == pytest.approx(-2.665214220, abs=5e-10)


def test_contracts_of_a_futures_position():
    """Source  spec 04 ML-06: E 1e7, σ* 10 %, F 3920, multiplier 300, σ_d 1.1 % -> 4.9693 -> 4 contracts.

    By hand, 99 % value at risk of 2.56 %: margin max(.12, .0256 √2 = .0362) · 1,176,000 = 141,120, leverage 8.3333;
    4 contracts take 564,480 of 4,000,000 and lose 120,422 of 200,000.
    """
    limits = Limits(equity=1e7, target_vol=0.10)
    found = size(3920.0, 300.0, 0.011, 0.0256, 90_000.0, limits)
    assert found.target == pytest.approx(4.9693, abs=5e-5)
    assert (found.contracts, found.binds) == (4, "target_vol")
    assert found.margin == pytest.approx(141_120.0, rel=1e-12)
    assert found.leverage == pytest.approx(8.333333333, rel=1e-9)
    assert found.exposure == pytest.approx(0.4704, rel=1e-12)
