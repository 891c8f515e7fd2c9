"""Stocks, market-wide: limit-up streaks and limit-downs as two nodes, their states, and what each does to the other."""

from __future__ import annotations

import numpy as np

from features.factor import factor
from features.operators import cs_mean, lag, ts_median
from features.operators.logic import flag
from features.operators.regression import RollingFit, rolling_ols
from features.panel import Float64Array

_WINDOW = 250
_FEWEST = 5
CALM, EUPHORIA, PANIC, DIVERGENCE = 0.0, 1.0, 2.0, 3.0


@factor("CS", zh="市场平均连板天数", unit="sessions", scope="market", sets=("literal", "market"))
def cs_limit_up_mean_streak(cs_limit_up_streak: Float64Array) -> Float64Array:
    """Mean streak of the stocks that closed at the upper limit; 0 where none did.

    Shape   (T, N) -> (T, 1)
    Sign    high: speculation
    NaN     no stock traded
    Source  CS-14 literal, 01 §1
    """
    mean = cs_mean(cs_limit_up_streak, cs_limit_up_streak >= 1)
    any_traded = ~np.isnan(cs_limit_up_streak).all(axis=1, keepdims=True)
    return np.where(any_traded & np.isnan(mean), 0.0, mean)


@factor("CS", zh="情绪网络", unit="code", lookback=_WINDOW, scope="market", sets=("literal", "market"))
def cs_sentiment_network(cs_limit_up_mean_streak: Float64Array, cs_limit_down_contagion: Float64Array) -> Float64Array:
    """State of the pair (mean streak, limit-down share), each high where above its median of 250 sessions.

    Shape   (T, 1) -> (T, 1): 0 calm (low, low), 1 euphoria (high, low), 2 panic (low, high), 3 divergence (high, high)
    NaN     either part; fewer than 150 sessions of 250
    Source  CS-14 literal, 01 §1
    """
    streak, panic = ts_median(cs_limit_up_mean_streak, _WINDOW), ts_median(cs_limit_down_contagion, _WINDOW)
    up, down = cs_limit_up_mean_streak > streak, cs_limit_down_contagion > panic
    state = np.select([up & down, down, up], [DIVERGENCE, PANIC, EUPHORIA], CALM)
    known = flag(up | ~up, cs_limit_up_mean_streak, cs_limit_down_contagion, streak, panic)
    return np.where(known == 1, state, np.nan)


@factor("CS", zh="涨停延续对数几率", unit="log odds", scope="market", stored=False)
def limit_up_continuation_logit(hit_up: Float64Array, limit_up_before: Float64Array) -> Float64Array:
    """Log odds that a stock at the upper limit yesterday is there again, half a stock added to each side.

    Shape   (T, N) -> (T, 1)
    Sign    high: speculation goes on
    NaN     fewer than 5 such stocks
    Source  CS-14 corrected, 01 §1
    """
    before = np.sum(limit_up_before > 0, axis=1, keepdims=True)
    again = np.sum((limit_up_before > 0) & (hit_up > 0), axis=1, keepdims=True)
    return np.where(before >= _FEWEST, np.log((again + 0.5) / (before - again + 0.5)), np.nan)


@factor("CS", zh="跌停对涨停延续的影响", unit="ratio", lookback=_WINDOW + 1, scope="market", sets=("market",))
def cs_sentiment_network_phi12(
    limit_up_continuation_logit: Float64Array, limit_down_logit: Float64Array
) -> Float64Array:
    """What a unit of yesterday's limit-down log odds does to today's continuation of limit-ups.

    Shape   (T, 1) -> (T, 1)
    Sign    negative: panic ends speculation
    NaN     fewer than 150 sessions of 250 with both nodes known on t and t-1; collinear nodes
    Source  φ12 of CS-14 corrected, 01 §1, VAR(1)
    """
    return _equation(limit_up_continuation_logit, limit_up_continuation_logit, limit_down_logit).coefficients[:, 2:3]


@factor("CS", zh="跌停对涨停延续的影响t值", unit="t value", lookback=_WINDOW + 1, scope="market", sets=("market",))
def cs_sentiment_network_t12(limit_up_continuation_logit: Float64Array, limit_down_logit: Float64Array) -> Float64Array:
    """HAC t value of cs_sentiment_network_phi12.

    Shape   (T, 1) -> (T, 1)
    Sign    that of the effect
    NaN     as the effect
    Source  CS-14 corrected, 01 §1; Newey and West (1987)
    """
    return _equation(limit_up_continuation_logit, limit_up_continuation_logit, limit_down_logit).t_values[:, 2:3]


@factor("CS", zh="涨停延续对跌停的影响", unit="ratio", lookback=_WINDOW + 1, scope="market", sets=("market",))
def cs_sentiment_network_phi21(
    limit_up_continuation_logit: Float64Array, limit_down_logit: Float64Array
) -> Float64Array:
    """What a unit of yesterday's continuation log odds does to today's limit-downs.

    Shape   (T, 1) -> (T, 1)
    Sign    negative: speculation keeps panic away
    NaN     fewer than 150 sessions of 250 with both nodes known on t and t-1; collinear nodes
    Source  φ21 of CS-14 corrected, 01 §1, VAR(1)
    """
    return _equation(limit_down_logit, limit_up_continuation_logit, limit_down_logit).coefficients[:, 1:2]


@factor("CS", zh="涨停延续对跌停的影响t值", unit="t value", lookback=_WINDOW + 1, scope="market", sets=("market",))
def cs_sentiment_network_t21(limit_up_continuation_logit: Float64Array, limit_down_logit: Float64Array) -> Float64Array:
    """HAC t value of cs_sentiment_network_phi21.

    Shape   (T, 1) -> (T, 1)
    Sign    that of the effect
    NaN     as the effect
    Source  CS-14 corrected, 01 §1; Newey and West (1987)
    """
    return _equation(limit_down_logit, limit_up_continuation_logit, limit_down_logit).t_values[:, 1:2]


def _equation(node: Float64Array, ups: Float64Array, downs: Float64Array) -> RollingFit:
    return rolling_ols(node, [lag(ups), lag(downs)], _WINDOW)


@factor("CS", zh="跌停聚集度", unit="share", scope="market", sets=("market",))
def cs_limit_down_clustering(
    hit_dn: Float64Array, limit_bound: Float64Array, board: Float64Array, industry: Float64Array | None = None
) -> Float64Array:
    """Share of the limit-down stocks in the industry (else board) that has most of them, less its share of all stocks.

    Shape   (T, N) -> (T, 1); of industries that tie, the one with the lowest code
    Sign    high: the panic is in one corner
    NaN     fewer than 5 limit-down stocks
    Source  CS-14 corrected, 01 §1
    """
    bound = limit_bound > 0
    codes, group = np.unique(board if industry is None else industry, return_inverse=True)
    group = np.broadcast_to(group.reshape((board if industry is None else industry).shape), bound.shape)
    cell = np.arange(len(bound))[:, None] * len(codes) + group
    size = len(bound) * len(codes)
    hits = np.bincount(cell[bound & (hit_dn > 0)], minlength=size).reshape(-1, len(codes)).astype(np.float64)
    members = np.bincount(cell[bound], minlength=size).reshape(-1, len(codes)).astype(np.float64)
    top = np.arange(len(bound)), np.argmax(hits, axis=1)
    total = hits.sum(axis=1)
    excess = hits[top] / total - members[top] / members.sum(axis=1)
    return np.where(total >= _FEWEST, excess, np.nan)[:, None]
