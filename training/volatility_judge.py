"""One product's forecasts judged: the leaderboard of each horizon, value at risk, what the models have learnt."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from features.panel import BoolArray, Float64Array
from features.product_names import product_name
from models.volatility.base import FittedVolatility, Returns
from models.volatility.walk import Track, fit_window
from training.evaluate.residual_tests import residual_tests
from training.evaluate.var_tests import VarBacktest, backtest
from training.evaluate.volatility import Standing, leaderboard, qlike
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
from training.volatility_config import VolatilityConfig
from training.volatility_data import Series, plan_of
from training.volatility_served import ServedForecasts
from training.walked import Walked

_SHOCKS = np.linspace(-4.0, 4.0, 41)
_REARRANGED = 999


def judge_product(config: VolatilityConfig, walked: Walked, series: Series, served: ServedForecasts) -> ProductEvidence:
    """All that the report shows of a product."""
    first, horizons = walked.first, config.forecast.horizons
    m = len(served.variance)
    holdout = np.arange(m) >= m - math.floor(m * config.walk.holdout)
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
        backtests=_backtests(config, walked, series, var, es),
        var=var,
        es=es,
        news=news,
        estimates=_estimates(walked, series),
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
    rows = [(row, True) for row in board.rows] + [(row, False) for row in others.rows if row.model != base]
    sealed = _ratios({**dict(zip(served.models, variance.T, strict=True)), **{n: o[:, k] for n, o in both.items()}},
                     proxy, base, holdout)  # fmt: skip
    scores = [_score(row, takes_part, sealed[row.model]) for row, takes_part in rows]
    return tuple(sorted(scores, key=lambda one: (math.isnan(one.ratio), one.ratio)))


def _score(row: Standing, takes_part: bool, holdout: float) -> Score:
    return Score(
        model=row.model,
        n=row.n,
        qlike=row.loss,
        ratio=row.ratio,
        mse_ratio=row.mse_ratio,
        dm_t=math.nan if row.against is None else row.against.statistic,
        dm_p=math.nan if row.against is None else row.against.fixed_b,
        in_set=(None if math.isnan(row.set_p) else row.included) if takes_part else None,
        mz_a=row.line.intercept,
        mz_b=row.line.slope,
        mz_p=row.line.unbiased.p,
        better=row.better,
        holdout=holdout,
    )


def _ratios(forecasts: Mapping[str, Float64Array], proxy: Float64Array, base: str, rows: BoolArray) -> dict[str, float]:
    """Mean QLIKE over the base's on the same rows."""
    loss = {name: np.where(rows, qlike(one, proxy), np.nan) for name, one in forecasts.items()}
    out = {}
    for name, one in loss.items():
        common = np.isfinite(one) & np.isfinite(loss[base])
        out[name] = float(one[common].mean() / loss[base][common].mean()) if common.any() else math.nan
    return out


def _backtests(
    config: VolatilityConfig, walked: Walked, series: Series, var: Float64Array, es: Float64Array
) -> tuple[Backtest, ...]:
    """Of what was served with exact p-values, and of each model by the limit laws."""
    after = np.append(series.returns.value[walked.first + 1 :], np.nan)
    out = []
    for k, level in enumerate(config.forecast.levels):
        found = backtest(after, var[:, k], es[:, k], level, reps=_REARRANGED, seed=config.seed)
        out.append(_row("served", found))
        for name, track in walked.tracks.items():
            out.append(_row(name, _of_model(after, track, k, level, config.seed)))
    return tuple(out)


def _of_model(after: Float64Array, track: Track, k: int, level: float, seed: int) -> VarBacktest:
    fitted = track.fits[-1].fitted if track.fits else None
    law = None if fitted is None else lambda share: fitted.quantile(share.tolist())
    return backtest(after, track.var[:, k], track.es[:, k], level, law=law, reps=0, seed=seed)


def _row(name: str, found: VarBacktest) -> Backtest:
    return Backtest(
        model=name,
        level=found.level,
        n=found.n,
        breaches=found.breaches,
        expected=found.expected,
        kupiec_p=_p(found.coverage.exact, found.coverage.p),
        christoffersen_p=_p(found.independence.exact, found.independence.p),
        dq_p=_p(found.dynamic.exact, found.dynamic.p),
        z2=found.z2,
        z2_critical=found.z2_critical,
        verdict=found.verdict,
    )


def _p(exact: float, limit: float) -> float:
    return limit if math.isnan(exact) else exact


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


def _estimates(walked: Walked, series: Series) -> tuple[Estimate, ...]:
    out = []
    for name, track in walked.tracks.items():
        fit = track.fits[-1]
        if fit.fitted is None:
            continue
        one = fit.fitted
        errors: dict[str, float] = {}
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
    """Tests of the standardised forecast errors: each return by the mean and variance forecast the session before."""
    out = []
    if config.forecast.horizons[0] != 1:
        return ()
    after = series.returns.value[walked.first + 1 :]
    for name, track in walked.tracks.items():
        with np.errstate(invalid="ignore"):
            z = (after - track.mean[:-1, 0]) / np.sqrt(track.variance[:-1, 0])
        last = track.fits[-1].fitted
        found = residual_tests(z, cdf=None if last is None else _distribution(last))
        out.append(
            ResidualCheck(
                model=name,
                n=found.level.n,
                ljung_box_p=found.level.p,
                ljung_box_squares_p=found.square.p,
                sign_bias_p=found.sign.joint.p,
                uniform_p=math.nan if found.uniform is None else found.uniform.p,
            )
        )
    return tuple(out)


def _distribution(fitted: FittedVolatility) -> Callable[[Float64Array], Float64Array]:
    """The distribution function of the innovations, between 4,000 of its quantiles."""
    share = (np.arange(4000) + 0.5) / 4000
    quantile = fitted.quantile(share.tolist())
    return lambda z: np.interp(z, quantile, share)
