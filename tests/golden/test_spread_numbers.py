"""Worked numbers of spec 04 §6 and 02 §3.2."""

from __future__ import annotations

import numpy as np
import pytest

from models.spread.reversion import half_life_of, least_squares_bias, speed_of


def test_phi_of_point_eight_has_a_half_life_of_three_sessions():
    assert half_life_of(0.8) == pytest.approx(3.1062837, abs=5e-8)
    assert speed_of(half_life_of(0.8)) == pytest.approx(54.00074, abs=5e-6)


@pytest.mark.parametrize(("phi", "rows"), [(0.98, 250), (0.8, 750), (0.0, 100), (-0.3, 200)])
def test_least_squares_of_phi_is_low_by_one_and_three_phi_over_the_rows(phi, rows):
    bias = least_squares_bias(np.array([phi]), np.ones((rows, 1)))
    assert bias[0] == pytest.approx(-(1 + 3 * phi) / rows, rel=1e-9)


def test_a_half_life_of_twenty_sessions_is_one_of_thirty_seven_once_corrected():
    # 02 §3.2: φ = .98 and T = 250 give a median of 19.9, corrected 36.8
    phi = 0.5 ** (1 / 19.9)
    corrected = phi - least_squares_bias(np.array([phi]), np.ones((250, 1)))[0]
    assert half_life_of(corrected) == pytest.approx(36.8, abs=0.1)
