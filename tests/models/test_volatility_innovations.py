"""Laws of the innovations against arch, against integrals, and against what they draw."""

from __future__ import annotations

import numpy as np
import pytest
from arch.univariate import Normal, SkewStudent, StudentsT
from scipy.integrate import quad

from models.base import FitError
from models.volatility.innovations import cdf, fitted_dof, log_likelihood, quantile, tail_mean

SHARES = np.array([0.001, 0.01, 0.05, 0.3, 0.5, 0.7, 0.95, 0.999])
LAWS = [
    ("normal", (), Normal()),
    ("t", (2.6,), StudentsT()),
    ("t", (6.0,), StudentsT()),
    ("skewt", (5.0, -0.4), SkewStudent()),
    ("skewt", (9.0, 0.0), SkewStudent()),
    ("skewt", (4.0, 0.3), SkewStudent()),
]
laws = pytest.mark.parametrize(("name", "shape", "by_arch"), LAWS)


@laws
def test_quantiles_shares_and_densities_are_those_of_arch(name, shape, by_arch):
    z = np.linspace(-6.0, 5.0, 45)
    told = np.array(shape) if shape else None
    np.testing.assert_allclose(quantile(name, shape, SHARES), by_arch.ppf(SHARES, told), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(cdf(name, shape, z), by_arch.cdf(z, told), rtol=1e-12, atol=1e-15)
    expected = by_arch.loglikelihood([] if told is None else told, z, np.ones(len(z)))
    assert log_likelihood(name, shape, z) == pytest.approx(expected, rel=1e-13)


@laws
def test_the_tail_mean_is_the_mean_of_the_quantiles_below(name, shape, by_arch):
    for share in SHARES[1:-1]:
        whole, _ = quad(lambda u: quantile(name, shape, [np.exp(u)])[0] * np.exp(u), -120, np.log(share), limit=400)
        assert tail_mean(name, shape, [share])[0] == pytest.approx(whole / share, rel=1e-6, abs=1e-7)


@laws
def test_quantiles_and_shares_undo_each_other(name, shape, by_arch):
    np.testing.assert_allclose(cdf(name, shape, quantile(name, shape, SHARES)), SHARES, rtol=1e-12)


def test_degrees_of_freedom_are_found_again():
    rng = np.random.default_rng(5)
    z = quantile("t", (6.0,), rng.random(40_000))
    assert fitted_dof(z) == pytest.approx(6.0, abs=0.35)
    assert fitted_dof(rng.standard_normal(20_000)) > 60


def test_fitted_degrees_of_freedom_are_the_most_likely():
    z = quantile("t", (4.0,), np.random.default_rng(6).random(700))
    best = fitted_dof(z)
    at_best = log_likelihood("t", (best,), z)
    assert at_best > max(log_likelihood("t", (best * c,), z) for c in (0.9, 0.99, 1.01, 1.1))


@pytest.mark.parametrize(
    ("name", "shape", "shares"),
    [
        ("cauchy", (), [0.1]),
        ("t", (), [0.1]),
        ("t", (2.0,), [0.1]),
        ("skewt", (5.0, 1.0), [0.1]),
        ("normal", (), [0.0]),
    ],
)
def test_laws_without_a_variance_and_shares_outside_are_refused(name, shape, shares):
    with pytest.raises(FitError):
        quantile(name, shape, shares)
