"""One product's forecasts judged: the leaderboard of each horizon, value at risk, what the models have learnt."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from features.panel import BoolArray, Float64Array
from features.product_names import product_name
from models.volatility.base import FittedVolatility, Returns
from models.volatility.errors import scores, standard_errors
from models.volatility.garch import FittedGarch
from models.volatility.walk import Refit as Fit
from models.volatility.walk import Track, fit_window
from training.evaluate.residual_tests import Stability, nyblom, residual_tests
from training.evaluate.var_tests import Law, backtest
from training.evaluate.volatility import leaderboard, qlike
from training.evaluate.volatility_evidence import (
    CHOSEN,
    COMBINED,
    Backtest,
    Estimate,
    NewsImpact,
    ProductEvidence,
    Refit,
    ResidualCheck,
    Score,
)
from training.evaluate.volatility_rows import backtest_of, residuals_of, scores_of
from training.volatility_config import VolatilityConfig
from training.volatility_data import Series, plan_of
from training.volatility_objective import seen
from training.volatility_served import ServedForecasts
from training.walked import Walked

_SHOCKS = np.linspace(-4.0, 4.0, 41)


def judge_product(config: VolatilityConfig, walked: Walked, series: Series, served: ServedForecasts) -> ProductEvidence:
    """All that the report shows of a product."""
    first, horizons = walked.first, config.forecast.horizons
    m = len(served.variance)
    holdout = np.arange(m) >= seen(len(series.returns), plan_of(config), config.walk.holdout) - first
    forecasts = {name: served.variance[:, j] for j, name in enumerate(served.models)}
    both = {CHOSEN: served.best, COMBINED: served.combined}
    var, es = served_tails(config, walked, served)
    news, why = news_impact(config, walked, series)
    found = series.continuous
    return ProductEvidence(
        product=walked.product,
        zh=product_name(walked.product),
        contract=found.next_contract,
        sessions=walked.sessions[first:],
        returns=series.returns.value[first:],
        range_variance=series.proxy[first:],
        variance=forecasts,
        served=both[CHOSEN if config.choice.serve == "best" else COMBINED],
        losses={
            name: np.stack([qlike(one[:, k], served.proxy[:, k]) for k in range(len(horizons))], axis=1)
            for name, one in (forecasts | both).items()
        },
        scores={h: _scores(config, served, both, k, holdout) for k, h in enumerate(horizons)},
        chosen=served.choice,
        holdout=holdout,
        backtests=_backtests(config, walked, series, served, (var, es)),
        var=var,
        es=es,
        news=news,
        estimates=_estimates(config, walked, series),
        refits=tuple(
            Refit(walked.sessions[fit.origin].astype(object), name, fit.status)
            for name, track in walked.tracks.items()
            for fit in track.fits
        ),
        residuals=_residuals(config, walked, series),
        level_sessions=found.sessions,
        level=found.level,
        rolls=found.rolls,
        status={name: track.fits[-1].status for name, track in walked.tracks.items()} | dict(walked.left_out),
        notes=series.notes,
        absent=why,
    )


def served_tails(
    config: VolatilityConfig, walked: Walked, served: ServedForecasts
) -> tuple[Float64Array, Float64Array]:
    """One-session value at risk and shortfall that were served, (m, L) each: the used model's, at the served variance.

    A combination has no innovations of its own: it takes those of the best model, at its own variance.
    """
    tracks = list(walked.tracks.values())
    used, rows = served.used[:, 0], np.arange(len(served.variance))
    var = np.stack([track.var for track in tracks])[used, rows]
    es = np.stack([track.es for track in tracks])[used, rows]
    if config.choice.serve == "best" or config.forecast.horizons[0] != 1:
        return var, es
    mean = served.mean[rows, used, 0][:, None]
    scale = np.sqrt(served.combined[:, :1] / served.variance[rows, used, 0][:, None])
    return (var + mean) * scale - mean, (es + mean) * scale - mean


def _scores(
    config: VolatilityConfig,
    served: ServedForecasts,
    both: Mapping[str, Float64Array],
    k: int,
    holdout: BoolArray,
) -> tuple[Score, ...]:
    """The leaderboard of a horizon: the models, and what is made of them, which takes no part in the set."""
    horizon, proxy, told = config.forecast.horizons[k], served.proxy[:, k], config.choice
    base = served.models[served.base]
    variance = np.ascontiguousarray(served.variance[:, :, k])
    board = leaderboard(
        variance, proxy, horizon, served.models, base=base, size=told.size, block=told.block, reps=told.reps,
        seed=config.seed,
    )  # fmt: skip
    made = np.column_stack([variance[:, served.base], *(one[:, k] for one in both.values())])
    others = leaderboard(made, proxy, horizon, (base, *both), base=base, size=told.size, reps=100, seed=config.seed)
    rows = [*scores_of(board), *(replace(row, in_set=None) for row in scores_of(others) if row.model != base)]
    forecasts = dict(zip(served.models, variance.T, strict=True)) | {name: one[:, k] for name, one in both.items()}
    sealed = _ratios(forecasts, proxy, base, holdout)
    found = (replace(row, holdout=sealed[row.model]) for row in rows)
    return tuple(sorted(found, key=lambda one: (math.isnan(one.ratio), one.ratio)))


def _ratios(forecasts: Mapping[str, Float64Array], proxy: Float64Array, base: str, rows: BoolArray) -> dict[str, float]:
    """Mean QLIKE over the base's on the same rows."""
    loss = {name: np.where(rows, qlike(one, proxy), np.nan) for name, one in forecasts.items()}
    out = {}
    for name, one in loss.items():
        common = np.isfinite(one) & np.isfinite(loss[base])
        out[name] = float(one[common].mean() / loss[base][common].mean()) if common.any() else math.nan
    return out


def _backtests(
    config: VolatilityConfig,
    walked: Walked,
    series: Series,
    served: ServedForecasts,
    tails: tuple[Float64Array, Float64Array],
) -> tuple[Backtest, ...]:
    """Of what was served, and of each model; the law of the innovations is the last fit's."""
    after = np.append(series.returns.value[walked.first + 1 :], np.nan)
    tracks = list(walked.tracks.items())
    used = tracks[int(served.used[-1, 0])][1]
    rows = [("served", *tails, used), *((name, track.var, track.es, track) for name, track in tracks)]
    return tuple(
        backtest_of(name, backtest(after, var[:, k], es[:, k], level, law=_law(track), seed=config.seed))
        for k, level in enumerate(config.forecast.levels)
        for name, var, es, track in rows
    )


def _law(track: Track) -> Law | None:
    fitted = track.fits[-1].fitted
    return None if fitted is None else lambda share: fitted.quantile(share.tolist())


def news_impact(config: VolatilityConfig, walked: Walked, series: Series) -> tuple[NewsImpact | None, dict[str, str]]:
    """The next variance after a shock on a session of ordinary variance, by each model's last fit."""
    plan, curves = plan_of(config), {}
    for name, track in walked.tracks.items():
        fit = track.fits[-1]
        if fit.fitted is not None:
            window, _ = fit_window(series.returns, replace(plan, winsor=None), fit.origin)
            curves[name] = _impact(fit.fitted, window)
    if not curves:
        return None, {"news": "no model has a fit"}
    return NewsImpact(_SHOCKS, curves), {}


def _impact(fitted: FittedVolatility, window: Returns) -> Float64Array:
    path = fitted.filter(window)
    known = path.variance[:-1]
    usual = np.nanmedian(known)
    # The later half, so that what came before the session has a full past.
    half = len(known) // 2
    at = half + int(np.nanargmin(np.abs(known[half:] - usual)))
    out = np.empty(len(_SHOCKS))
    for i, shock in enumerate(_SHOCKS):
        value = window.value[: at + 1].copy()
        value[at] = path.mean[at] + shock * math.sqrt(known[at])
        out[i] = fitted.filter(window.part(0, at + 1).with_value(value)).variance[-1]
    return out


def _estimates(config: VolatilityConfig, walked: Walked, series: Series) -> tuple[Estimate, ...]:
    out = []
    for name, track in walked.tracks.items():
        fit = track.fits[-1]
        if fit.fitted is None:
            continue
        one = fit.fitted
        errors: Mapping[str, float] = {}
        if isinstance(one, FittedGarch):
            errors = standard_errors(one, fit_window(series.returns, plan_of(config), fit.origin)[0])
        out.append(
            Estimate(
                model=name,
                fitted=walked.sessions[fit.origin].astype(object),
                status=fit.status,
                params={key: (value, errors.get(key)) for key, value in one.params.items()},
                loglik=one.loglik,
                persistence=one.persistence,
                dof=one.dof,
                nobs=one.nobs,
            )
        )
    return tuple(out)


def _residuals(config: VolatilityConfig, walked: Walked, series: Series) -> tuple[ResidualCheck, ...]:
    """Tests of the standardised forecast errors, each return by the mean and variance forecast the session before;
    and whether the estimates of the last fit hold over its window."""
    out = []
    if config.forecast.horizons[0] != 1:
        return ()
    after = series.returns.value[walked.first + 1 :]
    for name, track in walked.tracks.items():
        with np.errstate(invalid="ignore"):
            z = (after - track.mean[:-1, 0]) / np.sqrt(track.variance[:-1, 0])
        last = track.fits[-1].fitted
        found = residual_tests(z, cdf=None if last is None else _distribution(last))
        out.append(residuals_of(name, found, _stability(config, series, track.fits[-1])))
    return tuple(out)


def _stability(config: VolatilityConfig, series: Series, fit: Fit) -> Stability | None:
    """Nyblom's tests of a GARCH-type fit; None for another, which has no scores."""
    if not isinstance(fit.fitted, FittedGarch):
        return None
    return nyblom(scores(fit.fitted, fit_window(series.returns, plan_of(config), fit.origin)[0]))


def _distribution(fitted: FittedVolatility) -> Callable[[Float64Array], Float64Array]:
    """The distribution function of the innovations, between 4,000 of its quantiles."""
    share = (np.arange(4000) + 0.5) / 4000
    quantile = fitted.quantile(share.tolist())
    return lambda z: np.interp(z, quantile, share)
