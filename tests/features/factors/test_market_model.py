"""Betas, residuals and their shapes on the market against statsmodels and plain loops, and on planted markets."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from features.factors import market_model
from tests.features.factors.stock_frames import assert_column_is


def fitted(w: pd.DataFrame, n: int, share: float = 0.6, falling: bool = False) -> sm.OLS | None:
    both = w[["r", "m"]].replace([np.inf, -np.inf], np.nan).dropna()
    both = both[both["m"] < 0] if falling else both
    if len(both) < max(math.ceil(share * n), 3):
        return None
    return sm.OLS(both["r"].to_numpy(), sm.add_constant(both["m"].to_numpy())).fit()


def down(w: pd.DataFrame, _: pd.DataFrame) -> float:
    fit = fitted(w, 60, share=0.3, falling=True)
    return np.nan if fit is None else fit.params[1]


def residual_skew(w: pd.DataFrame, _: pd.DataFrame) -> float:
    fit = fitted(w, 60)
    return np.nan if fit is None else float(pd.Series(fit.resid).skew())


def coskew(w: pd.DataFrame, _: pd.DataFrame) -> float:
    fit = fitted(w, 60)
    if fit is None:
        return np.nan
    m = fit.model.exog[:, 1]
    dm = m - m.mean()
    return np.mean(fit.resid * dm**2) / (np.sqrt(np.mean(fit.resid**2)) * np.mean(dm**2))


def correlation(w: pd.DataFrame, _: pd.DataFrame) -> float:
    fit = fitted(w, 20)
    return np.nan if fit is None else np.corrcoef(fit.model.endog, fit.model.exog[:, 1])[0, 1]


FORMULAS = {
    "cs_f_beta_dn_60": (60, down),
    "cs_f_idio_skew_60": (60, residual_skew),
    "cs_f_coskew_60": (60, coskew),
    "cs_f_corr_mkt_20": (20, correlation),
    "cs_f_r2_20": (20, lambda w, _: np.nan if (fit := fitted(w, 20)) is None else fit.rsquared),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_a_column_is_its_formula(name):
    n, formula = FORMULAS[name]
    assert_column_is(name, n, formula)


def test_planted_skewness_and_betas_are_found_again():
    rng = np.random.default_rng(0)
    market = 0.01 * rng.standard_normal((250, 1))
    # 400 stocks to average over: exponential residuals have skewness 2, which 250 of them tell within a third.
    own = 0.02 * (rng.exponential(1.0, (250, 400)) - 1)
    stocks = np.where(market < 0, 1.5, 0.7) * market + own
    skew = market_model.cs_f_idio_skew[-1](stocks, market)[-1]
    assert skew.mean() == pytest.approx(2.0, abs=0.15)
    assert market_model.cs_f_idio_skew[-1](-stocks, market)[-1].mean() == pytest.approx(-2.0, abs=0.15)
    assert market_model.cs_f_beta_dn[-1](stocks, market)[-1].mean() == pytest.approx(1.5, abs=0.05)


def test_a_stock_that_falls_when_the_market_moves_far_has_negative_coskewness():
    rng = np.random.default_rng(1)
    market = 0.01 * rng.standard_normal((250, 1))
    noise = 0.01 * rng.standard_normal((250, 200))
    crash, neither = market - 30 * market**2 + noise, market + noise
    assert market_model.cs_f_coskew[-1](crash, market)[-1].mean() < -0.3
    assert abs(market_model.cs_f_coskew[-1](neither, market)[-1].mean()) < 0.03
