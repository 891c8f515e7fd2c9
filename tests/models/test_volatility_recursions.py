"""The compiled recursions and their adjoints by plain loops and by differences."""

from __future__ import annotations

import numpy as np
import pytest

from models.volatility.likelihood import (
    LAWS as LAW_CODES,
)
from models.volatility.likelihood import (
    SAMPLE,
    to_natural,
    to_search,
    value_and_gradient,
    variances,
)
from models.volatility.recursions import CODES, TRUNCATION, figarch_weights
from models.volatility.search import search
from tests.models.garch_world import LAWS, MEANS, VARIANCES, by_loop, gjr_t


@pytest.mark.parametrize("variance", VARIANCES)
def test_every_recursion_is_its_equation(variance):
    rng = np.random.default_rng(3)
    e, x = gjr_t(400, 1)[0], rng.random((401, 2))
    d = np.array([0.02, 0.01])
    theta = np.array([*VARIANCES[variance], *d])
    found = variances(CODES[variance], 0, 0, theta, e, x, 1.3)
    assert found == pytest.approx(by_loop(variance, VARIANCES[variance], e, x @ d, 1.3), rel=1e-12)


def test_the_presample_variance_of_the_sample_is_the_mean_squared_residual():
    e, nothing = gjr_t(300, 1)[0], np.empty((301, 0))
    theta = np.array(VARIANCES["garch"])
    told = variances(0, 0, 0, theta, e, nothing, float(np.mean(e**2)))
    assert variances(0, 0, 0, theta, e, nothing, SAMPLE) == pytest.approx(told, rel=1e-15)


def test_the_weights_of_a_figarch_without_memory_are_those_of_an_infinite_arch():
    """With d = 0 the model is GARCH: weights (phi - beta) beta^i."""
    weight = figarch_weights(np.array([0.1, 0.3, 0.0, 0.2]), TRUNCATION)
    assert weight[:20] == pytest.approx(0.1 * 0.2 ** np.arange(20), abs=1e-15)


@pytest.mark.parametrize("presample", [1.3, SAMPLE])
@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("variance", VARIANCES)
def test_every_gradient_is_that_of_differences(variance, law, presample):
    rng = np.random.default_rng(5)
    value = gjr_t(300, 2)[0]
    y, design = value[2:], np.column_stack([np.ones(298), value[1:-1], value[:-2]])
    lagged = rng.random((299, 2))
    theta = np.array([*MEANS["ar2"], *VARIANCES[variance], 0.02, 0.01, *LAWS[law]])
    codes, gradient = (CODES[variance], LAW_CODES[law]), np.empty(len(theta))
    value_and_gradient(*codes, theta, y, design, lagged, presample, gradient)
    for j in range(len(theta)):
        sides = []
        for step in (-2e-6, -1e-6, 1e-6, 2e-6):
            at = theta.copy()
            at[j] += step
            sides.append(value_and_gradient(*codes, at, y, design, lagged, presample, np.empty(0)))
        difference = (sides[0] - 8 * sides[1] + 8 * sides[2] - sides[3]) / 12e-6
        assert gradient[j] == pytest.approx(difference, rel=2e-6, abs=2e-5), j


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("variance", VARIANCES)
def test_the_two_coordinates_of_a_point_are_one_point(variance, law):
    theta = np.array([*MEANS["ar1"], *VARIANCES[variance], 0.3, *LAWS[law]])
    codes = (CODES[variance], LAW_CODES[law], 2, 1)
    assert to_natural(*codes, to_search(*codes, theta)) == pytest.approx(theta, rel=1e-14)


def test_the_search_stays_within_its_bounds_and_finds_the_top_on_one():
    """A constant variance: the shock's share ends at 0, where its bound is."""
    y = np.random.default_rng(8).choice([-1.0, 1.0], 500)
    low, high = np.array([-18.0, 0.0, 0.0]), np.array([2.0, 1.0, 1.0])
    design, lagged, none = np.empty((500, 0)), np.empty((501, 0)), (np.empty((0, 3)), np.empty(0))
    x, loglik, _, _, _ = search(0, 0, np.array([-2.0, 0.9, 0.1]), low, high, y, design, lagged, 1.0, 0.0, 200, *none)
    assert (low <= x).all()
    assert (x <= high).all()
    assert loglik == pytest.approx(-0.5 * 500 * (np.log(2 * np.pi) + 1), rel=1e-6)
