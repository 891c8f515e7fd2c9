"""How good forecasts of variance are: losses against proxies, the leaderboard of the models.

A forecast of row t is of the variance of the return over t + 1 to t + h; so is the proxy that it is judged by. What the
variance was is never seen: squared returns and the range are noisy and right on average, and only losses that forgive
such noise (QLIKE, squared error) rank models as the variance itself would.
Source  spec 04 §5; Patton 2011; Mincer and Zarnowitz 1969
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from statsmodels.regression.linear_model import OLS, RegressionResults

from features.panel import DataError, Float64Array
from training.evaluate.forecast_tests import ConfidenceSet, DieboldMariano, confidence_set, diebold_mariano
from training.evaluate.hypothesis import LEAST, HypothesisTest, too_few, untold
from training.evaluate.significance import newey_west, overlap_lag, p_value


def qlike(forecast: Float64Array, proxy: Float64Array) -> Float64Array:
    """proxy / forecast - ln(proxy / forecast) - 1, elementwise; 0 where they are equal, and else positive.

    NaN     no forecast, no proxy, or a proxy of 0 (a session without a move), where the loss is infinite: such a
            session is left out for every model alike, and the leaderboard counts it
    Errors  DataError for a forecast that is not positive, a proxy below 0
    """
    forecast, proxy = _checked("QLIKE", forecast, proxy)
    ratio = np.divide(proxy, forecast, out=np.full(proxy.shape, np.nan), where=proxy > 0)
    return np.asarray(ratio - np.log(ratio) - 1)


def squared_error(forecast: Float64Array, proxy: Float64Array) -> Float64Array:
    """(proxy - forecast)², elementwise; a variance squared, so that a few wild sessions decide its mean."""
    forecast, proxy = _checked("squared error", forecast, proxy)
    return np.asarray((proxy - forecast) ** 2)


def _checked(who: str, forecast: Float64Array, proxy: Float64Array) -> tuple[Float64Array, Float64Array]:
    forecast, proxy = np.broadcast_arrays(np.asarray(forecast, np.float64), np.asarray(proxy, np.float64))
    if (forecast <= 0).any() or np.isinf(forecast).any():
        bad = int(np.flatnonzero(((forecast <= 0) | np.isinf(forecast)).ravel())[0])
        found = f"{forecast.ravel()[bad]}"
        raise DataError(who, "a forecast of variance must be positive and finite", found, f"element {bad}")
    if (proxy < 0).any() or np.isinf(proxy).any():
        bad = int(np.flatnonzero(((proxy < 0) | np.isinf(proxy)).ravel())[0])
        raise DataError(who, "a proxy must be finite and not negative", f"{np.ravel(proxy)[bad]}", f"element {bad}")
    return forecast, proxy


def ahead(x: Float64Array, horizon: int) -> Float64Array:
    """Sum of x over t + 1 to t + horizon, (n,) -> (n,).

    It looks ahead as a label does, and is no input of anything that decides on t.
    NaN  the horizon is not over, or a value in it is missing
    """
    if x.ndim != 1 or horizon < 1:
        raise DataError("proxy", "it must be one axis, with a horizon of 1 or more", f"{x.shape}, horizon {horizon}")
    out = np.full(len(x), np.nan)
    if len(x) > horizon:
        out[:-horizon] = np.lib.stride_tricks.sliding_window_view(x[1:], horizon).sum(axis=1)
    return out


def range_proxy(range_variance: Float64Array, returns: Float64Array) -> tuple[Float64Array, float]:
    """Range variance (n,) times a scale that gives it the mean of the squared returns, and the scale.

    The range leaves out what the market does while it is closed, or counts it otherwise than closes do.
    The scale is of all sessions that have both: it judges, and must not choose (see `range_proxy_as_known`).
    Errors  DataError where no session has both, or the range never moves
    """
    both = np.isfinite(range_variance) & np.isfinite(returns)
    total = float(range_variance[both].sum())
    if not total > 0:
        found = f"a sum of {total} over {np.count_nonzero(both)} sessions"
        raise DataError("range proxy", "some session with a return must have a range", found)
    scale = float(np.square(returns[both]).sum()) / total
    return range_variance * scale, scale


def range_proxy_as_known(range_variance: Float64Array, returns: Float64Array, least: int = 60) -> Float64Array:
    """Range variance (n,), each session scaled by what it and those before it tell of the scale.

    For a choice of models as it would have been made at the time: QLIKE ranks by the level too, and a scale of the
    whole sample would have seen the future.
    NaN     fewer than `least` sessions so far that have both a range and a return
    """
    both = np.isfinite(range_variance) & np.isfinite(returns)
    square = np.cumsum(np.where(both, returns, 0.0) ** 2)
    total = np.cumsum(np.where(both, range_variance, 0.0))
    known = (np.cumsum(both) >= least) & (total > 0)
    return range_variance * np.divide(square, total, out=np.full(len(total), np.nan), where=known)


@dataclass(frozen=True)
class MincerZarnowitz:
    """The line proxy = intercept + slope * forecast; a forecast that is right on average has 0 and 1.

    Fat tails and a variance that wanders make the plain test see bias where there is none. The true variance of a
    GARCH process with t6 innovations fails, at 5 % and n 1,500, a horizon of 1, 5 and 20 sessions, in

        squared returns  unbiased 25, 32, 43 %  weighted 10, 15, 21 %  level_right 8, 9, 11 %
        a range          unbiased  8, 13, 29 %  weighted  6,  9, 13 %  level_right 6, 7,  8 %

    intercept     a variance; its error and that of the slope allow for overlap
    r2            of the proxy; low even for the true variance, since the proxy is noisy
    unbiased      joint test of intercept 0 and slope 1
    weighted      the same with each row over its forecast, which weighs wild sessions down (Patton and Sheppard 2009)
    level         mean of proxy over forecast: 1.1 says that forecasts are a tenth too low
    level_right   test that the level is 1, with fixed-b critical values
    """

    intercept: float
    slope: float
    intercept_se: float
    slope_se: float
    r2: float
    unbiased: HypothesisTest
    weighted: HypothesisTest
    level: float
    level_right: HypothesisTest


def mincer_zarnowitz(forecast: Float64Array, proxy: Float64Array, horizon: int) -> MincerZarnowitz:
    """Regress what came, (n,), on what was forecast, with Newey-West errors and an F test of both coefficients.

    Lag     3 horizons where they overlap, else automatic
    NaN     fewer than 30 rows (or 3 horizons) that have both, or a forecast that never varies
    """
    forecast, proxy = _checked("Mincer-Zarnowitz", forecast, proxy)
    both = np.isfinite(forecast) & np.isfinite(proxy)
    f, x = forecast[both], proxy[both]
    n, least = len(f), max(LEAST, 3 * horizon)
    if n < least:
        return _no_line(math.nan, too_few(n, least), too_few(n, least))
    lag = overlap_lag(horizon, n)
    mean = newey_west(x / f - 1, lag)
    right = HypothesisTest(mean.t, p_value(mean), n) if mean.se > 0 else untold(n, "proxy over forecast never varies")
    unit = float(f.mean())  # variances of a session are of the order of 1e-4: solved in units of their mean
    if np.ptp(f) <= 1e-9 * unit:
        return _no_line(1 + mean.mean, untold(n, "the forecast never varies"), right)
    ones = np.ones(n)
    line, unbiased = _line(x / unit, np.column_stack([ones, f / unit]), lag)
    _, weighted = _line(x / f, np.column_stack([unit / f, ones]), lag)
    (a, b), (a_se, b_se) = line.params, line.bse
    return MincerZarnowitz(
        float(a * unit), float(b), float(a_se * unit), float(b_se), float(line.rsquared),
        unbiased, weighted, 1 + mean.mean, right,
    )  # fmt: skip


def _line(y: Float64Array, X: Float64Array, lag: int) -> tuple[RegressionResults, HypothesisTest]:
    """Least squares with Newey-West errors, and the F test of coefficients 0 and 1."""
    settings = {"maxlags": lag, "use_correction": True}
    fitted = OLS(y, X).fit(cov_type="HAC", cov_kwds=settings, use_t=True)
    joint = fitted.wald_test((np.eye(2), np.array([0.0, 1.0])), use_f=True, scalar=True)
    return fitted, HypothesisTest(float(joint.statistic), float(joint.pvalue), len(y))


def _no_line(level: float, why: HypothesisTest, right: HypothesisTest) -> MincerZarnowitz:
    return MincerZarnowitz(*(math.nan,) * 5, why, why, level, right)


@dataclass(frozen=True)
class Standing:
    """What a model's forecasts of one horizon lost, beside those of the base on the same sessions.

    n          forecasts that the model and the base both have
    loss       mean QLIKE, and base_loss that of the base
    ratio      of the two; below 1 the model is better
    better     share of the forecasts with a smaller QLIKE than the base's
    mse_ratio  of the mean squared errors
    against    Diebold and Mariano's test of QLIKE against the base's; None for the base
    included   in the model confidence set of QLIKE, and set_p the largest size at which it stays
    line       regression of the proxy on the forecast
    """

    model: str
    n: int
    loss: float
    base_loss: float
    ratio: float
    better: float
    mse_ratio: float
    against: DieboldMariano | None
    included: bool
    set_p: float
    line: MincerZarnowitz


@dataclass(frozen=True)
class Leaderboard:
    """The models on one horizon, the least ratio first; a model that never met the base comes last.

    zeros  forecasts whose proxy is 0, which QLIKE leaves out
    n      forecasts that every model in the confidence set's comparison has
    """

    horizon: int
    base: str
    rows: tuple[Standing, ...]
    zeros: int
    n: int

    @property
    def best(self) -> str | None:
        """The model that loses least; None where nothing was judged."""
        return self.rows[0].model if math.isfinite(self.rows[0].ratio) else None

    @property
    def included(self) -> tuple[str, ...]:
        """The models in the confidence set."""
        return tuple(row.model for row in self.rows if row.included)


def leaderboard(
    variance: Float64Array,
    proxy: Float64Array,
    horizon: int,
    models: Sequence[str],
    *,
    base: str = "ewma",
    size: float = 0.10,
    block: float = 10,
    reps: int = 1000,
    seed: int,
) -> Leaderboard:
    """Judge forecasts (n, J) of the h-session variance by an h-session proxy (n,), against one of the models.

    block   of the confidence set's bootstrap; at least the horizon
    Errors  DataError where the base is not among the models, or shapes do not match
    """
    if base not in models or variance.shape != (len(proxy), len(models)):
        found = f"{base}, {variance.shape} with {len(proxy)} proxies and {len(models)} models"
        raise DataError("leaderboard", "the base must be a model, forecasts (n, models), proxies (n,)", found)
    loss, error = qlike(variance, proxy[:, None]), squared_error(variance, proxy[:, None])
    kept = confidence_set(loss, size=size, block=max(block, horizon), reps=reps, seed=seed)
    at = list(models).index(base)
    rows = [_standing(j, at, models, variance, proxy, horizon, loss, error, kept) for j in range(len(models))]
    rows.sort(key=lambda row: (math.isnan(row.ratio), row.ratio))
    zeros = np.count_nonzero((proxy == 0) & np.isfinite(variance).any(axis=1))
    return Leaderboard(horizon, base, tuple(rows), int(zeros), kept.n)


def _standing(
    j: int,
    at: int,
    models: Sequence[str],
    variance: Float64Array,
    proxy: Float64Array,
    horizon: int,
    loss: Float64Array,
    error: Float64Array,
    kept: ConfidenceSet,
) -> Standing:
    both = np.isfinite(loss[:, j]) & np.isfinite(loss[:, at])
    n = int(np.count_nonzero(both))
    own, base, share, mse = (math.nan,) * 4
    if n:
        own, base = float(loss[both, j].mean()), float(loss[both, at].mean())
        share = float((loss[both, j] < loss[both, at]).mean())
        mse = _ratio(float(error[both, j].mean()), float(error[both, at].mean()))
    return Standing(
        models[j],
        n,
        own,
        base,
        _ratio(own, base),
        share,
        mse,
        None if j == at else diebold_mariano(loss[:, j], loss[:, at], horizon),
        bool(kept.included[j]),
        float(kept.p[j]),
        mincer_zarnowitz(variance[:, j], proxy, horizon),
    )


def _ratio(own: float, base: float) -> float:
    return own / base if base > 0 else math.nan
