"""The GARCH family by arch: likelihoods at the same parameters, optima, filters, forecasts, standard errors."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from arch.univariate.base import ARCHModelResult

from models.volatility.base import Returns
from models.volatility.errors import standard_errors
from models.volatility.estimation import problem
from models.volatility.garch import Garch
from models.volatility.likelihood import LAWS as LAW_CODES
from models.volatility.likelihood import value_and_gradient
from models.volatility.recursions import CODES
from tests.models.garch_world import LAWS, MEANS, VARIANCES, by_arch, percent


def fitted_by_arch(value: np.ndarray, variance: str, mean: str, law: str, **told: object) -> ARCHModelResult:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return by_arch(value, variance, mean, law).fit(disp="off", show_warning=False, **told)


@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("variance", VARIANCES)
def test_the_log_likelihood_is_archs_at_the_same_parameters(variance, law, mean):
    returns = percent(600)
    theta = np.array([*MEANS[mean], *VARIANCES[variance], *LAWS[law]])
    posed, _ = problem(Garch(variance, mean, law).shape, returns, False)
    # The problem is in units of the spread; its rows are taken back to percent.
    y, design = posed.y * posed.spread, posed.design.copy()
    design[:, 1:] *= posed.spread
    presample = posed.presample * posed.spread**2
    codes = CODES[variance], LAW_CODES[law]
    found = value_and_gradient(*codes, theta, y, design, posed.lagged, presample, np.empty(0))
    fixed = by_arch(returns.value, variance, mean, law).fix(theta)
    assert found == pytest.approx(fixed.loglikelihood, abs=1e-8)


@pytest.mark.parametrize("mean", ["constant", "ar2"])
@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("variance", VARIANCES)
def test_the_optimum_is_no_worse_than_archs(variance, law, mean):
    returns = percent(700, seed=4)
    ours = Garch(variance, mean, law).fit(returns)
    theirs = fitted_by_arch(returns.value, variance, mean, law)
    assert ours.converged
    # EGARCH and APARCH have a kink at every residual that the mean makes 0: which of them an optimum ends on is luck.
    slack = 2e-3 if variance in ("egarch", "aparch") else 1e-9
    assert ours.loglik >= theirs.loglikelihood - slack


@pytest.mark.parametrize("mean", ["zero", "constant", "ar2"])
@pytest.mark.parametrize("variance", ["garch", "gjr", "figarch"])
def test_filters_and_forecasts_are_archs_at_the_same_parameters(variance, mean):
    returns = percent(1000)
    ours = Garch(variance, mean, "t").fit(returns)
    fixed = by_arch(returns.value, variance, mean, "t").fix(np.array([*ours.params.values()]))
    path, rows = ours.filter(returns), slice({"ar2": 2}.get(mean, 0), None)
    # arch's forecasts, not its filter, begin with a backcast of the residuals at the estimates.
    assert np.sqrt(path.variance[:-1])[rows] == pytest.approx(fixed.conditional_volatility[rows], rel=1e-9)
    theirs = fixed.forecast(horizon=20, start=980, reindex=False)
    found = ours.forecast(returns, np.arange(980, 1000), (1, 5, 20))
    mean_of_each = theirs.mean.to_numpy()
    assert found.mean == pytest.approx(np.cumsum(mean_of_each, axis=1)[:, [0, 4, 19]], rel=1e-9)
    assert found.variance[:, 0] == pytest.approx(theirs.residual_variance.to_numpy()[:, 0], rel=1e-5)
    if mean != "ar2":
        summed = np.cumsum(theirs.residual_variance.to_numpy(), axis=1)
        assert found.variance == pytest.approx(summed[:, [0, 4, 19]], rel=1e-5)


def test_the_variance_of_a_cumulated_return_counts_what_an_autoregression_carries_on():
    returns = percent(1000)
    ours = Garch(mean="ar2", innovation="t").fit(returns)
    shocks = np.random.default_rng(0).integers(2, 1000, (60_000, 20))
    drawn = np.cumsum(ours.draw(returns, shocks), axis=1)
    found = ours.forecast(returns, np.array([999]), (1, 5, 20))
    z = ours.filter(returns).residuals(returns)[2:]
    assert found.variance[0] == pytest.approx(drawn[:, [0, 4, 19]].var(axis=0) / np.var(z), rel=0.04)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("variance", ["garch", "gjr", "figarch"])
def test_standard_errors_are_archs(variance, law):
    returns = percent(2000, seed=0)
    ours = Garch(variance, "constant", law).fit(returns)
    model = by_arch(returns.value, variance, "constant", law)
    model.fit(disp="off", show_warning=False)  # compute_param_cov goes by the backcast that a fit leaves behind
    for kind, robust in (("hessian", False), ("sandwich", True)):
        theirs = np.sqrt(np.diag(model.compute_param_cov(np.array([*ours.params.values()]), robust=robust)))
        assert np.array([*standard_errors(ours, returns, kind).values()]) == pytest.approx(theirs, rel=1e-3)


@pytest.mark.parametrize("variance", ["egarch", "aparch"])
def test_standard_errors_of_models_with_kinks_are_near_archs(variance):
    returns = percent(2000, seed=0)
    ours = Garch(variance, "constant", "t").fit(returns)
    model = by_arch(returns.value, variance, "constant", "t")
    model.fit(disp="off", show_warning=False)
    theirs = np.sqrt(np.diag(model.compute_param_cov(np.array([*ours.params.values()]))))
    assert np.array([*standard_errors(ours, returns).values()]) == pytest.approx(theirs, rel=0.05)


def test_returns_a_hundred_times_as_small_have_the_same_standard_errors_in_their_units():
    returns = percent(1000)
    for variance in VARIANCES:
        here, there = Returns(returns.value), Returns(returns.value / 100)
        spec = Garch(variance, innovation="t")
        a, b = standard_errors(spec.fit(here), here), standard_errors(spec.fit(there), there)
        assert a["nu"] == pytest.approx(b["nu"], rel=1e-6)
        assert a["mu"] == pytest.approx(100 * b["mu"], rel=1e-6)
