"""Stocks, market-wide: how many closed at the lower limit, how that spreads, and the systemic rules on it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from features.factor import factor
from features.operators import cs_count, cs_median, lag, lagmean, ts_count, ts_percentile
from features.operators.logic import flag
from features.operators.regression import RollingFit, rolling_ols
from features.panel import Float64Array

_COVERAGE = 0.8
_SEEN_WITHIN = 60
_WINDOW = 250
# Limit widths 5, 10, 20 and 30 % lie between these edges.
_WIDTH_EDGES = (0.0, 0.075, 0.15, 0.25, np.inf)
_FEWEST = 5
_PANIC, _DROP, _RARE = 0.05, -0.20, 0.95


@factor("CS", zh="近期交易过", unit="flag", lookback=_SEEN_WITHIN, stored=False)
def seen(traded: Float64Array) -> Float64Array:
    """1 where the stock traded within the last 60 sessions: its bars reach us, though it may be suspended today.

    Shape   (T, N) -> (T, N)
    NaN     none
    Source  coverage of CS-04, 01 §1
    """
    return (ts_count(traded, _SEEN_WITHIN) > 0).astype(np.float64)


@factor("CS", zh="跌停传染系数(原式)", unit="share", scope="market", sets=("literal", "market"))
def cs_limit_down_contagion(hit_dn: Float64Array, seen: Float64Array, listed_count: Float64Array) -> Float64Array:
    """Stocks that closed at the lower limit over all that are listed.

    Shape   (T, N) -> (T, 1), in [0, 1]
    Sign    high: panic
    NaN     bars of fewer than 80 % of the listed stocks are seen
    Source  CS-04 literal, 01 §1
    """
    hits = np.sum(hit_dn > 0, axis=1, keepdims=True)
    coverage = np.sum(seen > 0, axis=1, keepdims=True) / listed_count
    return np.where(coverage >= _COVERAGE, hits / listed_count, np.nan)


@factor("CS", zh="跌停比例", unit="share", scope="market", sets=("market",))
def cs_limit_down_ratio_adj(
    hit_dn: Float64Array, limit_bound: Float64Array, limit_up: Float64Array, prev_close: Float64Array
) -> Float64Array:
    """Share of stocks at the lower limit within each limit width, mean over the widths that have 5 stocks or more.

    Shape   (T, N) -> (T, 1), in [0, 1]
    Sign    high: panic
    NaN     no width with 5 stocks
    Source  CS-04 corrected, 01 §1; widths 5, 10, 20 and 30 %
    """
    width = np.where(limit_bound > 0, limit_up / prev_close - 1, np.nan)
    total, buckets = np.zeros((len(width), 1)), np.zeros((len(width), 1))
    for low, high in pairwise(_WIDTH_EDGES):
        inside = (width > low) & (width <= high)
        members = np.sum(inside, axis=1, keepdims=True)
        counts = members >= _FEWEST
        total += np.where(counts, np.sum(inside & (hit_dn > 0), axis=1, keepdims=True) / members, 0.0)
        buckets += counts
    return total / buckets


@factor("CS", zh="跌停对数几率", unit="log odds", scope="market", stored=False)
def limit_down_logit(hit_dn: Float64Array, limit_bound: Float64Array) -> Float64Array:
    """Log odds of closing at the lower limit among the stocks that trade within limits, half a stock added to each.

    Shape   (T, N) -> (T, 1)
    Sign    high: panic
    NaN     no stock within limits
    Source  y of CS-04 corrected, 01 §1
    """
    at_risk = cs_count(limit_bound, limit_bound)
    hits = np.sum((hit_dn > 0) & (limit_bound > 0), axis=1, keepdims=True)
    return np.where(at_risk > 0, np.log((hits + 0.5) / (at_risk - hits + 0.5)), np.nan)


@factor("CS", zh="跌停传染系数", unit="z", lookback=_WINDOW + 1, scope="market", sets=("market",))
def cs_limit_down_contagion_adj(limit_down_logit: Float64Array, cs_market_return: Float64Array) -> Float64Array:
    """Limit-downs beyond what yesterday's and the market's move explain, in standard deviations of 250 sessions.

    Shape   (T, 1) -> (T, 1), in [-5, 5]
    Sign    high: excess panic
    NaN     fewer than 150 sessions of 250; a window whose regressors are collinear
    Source  CS-04 corrected, 01 §1
    """
    fit = _spread_fit(limit_down_logit, cs_market_return)
    return np.clip(fit.residual / fit.scale, -5.0, 5.0)


@factor("CS", zh="跌停分支比", unit="ratio", lookback=_WINDOW + 1, scope="market", sets=("market",))
def cs_limit_down_phi(limit_down_logit: Float64Array, cs_market_return: Float64Array) -> Float64Array:
    """How much of yesterday's log odds of a limit-down carries over to today, the market's move allowed for.

    Shape   (T, 1) -> (T, 1)
    Sign    high: limit-downs breed limit-downs
    NaN     fewer than 150 sessions of 250; a window whose regressors are collinear
    Source  φ of CS-04 corrected, 01 §1
    """
    return _spread_fit(limit_down_logit, cs_market_return).coefficients[:, 1:2]


def _spread_fit(odds: Float64Array, market: Float64Array) -> RollingFit:
    return rolling_ols(odds, [lag(odds), np.minimum(market, 0.0), market**2], _WINDOW)


@factor("CS", zh="机构参与度市场中位数", unit="shares per trade", scope="market", stored=False)
def participation_median(cs_inst_participation: Float64Array, universe: Float64Array) -> Float64Array:
    """Median over the universe of the shares of the average trade.

    Shape   (T, N) -> (T, 1)
    NaN     trades not counted; empty universe
    Source  CS-05 literal, 01 §1
    """
    return cs_median(cs_inst_participation, universe)


@factor("CS", zh="系统性风险信号(原式)", unit="flag", scope="market", sets=("rules", "literal"))
def rule_cs_systemic(cs_limit_down_contagion: Float64Array, participation_median: Float64Array) -> Float64Array:
    """1 where over 5 % of stocks are at the lower limit and the median trade shrank by over 20 % against 20 sessions.

    Shape   (T, 1) -> (T, 1)
    NaN     either part; trades not counted, so never before they are published
    Source  CS-05 literal, 01 §1
    """
    change = participation_median / lagmean(participation_median, 20) - 1
    return flag((cs_limit_down_contagion > _PANIC) & (change < _DROP), cs_limit_down_contagion, change)


@factor("CS", zh="系统性风险信号", unit="flag", scope="market", sets=("rules",))
def rule_cs_systemic_adj(
    cs_limit_down_ratio_adj: Float64Array, cs_inst_participation_chg20: Float64Array, universe: Float64Array
) -> Float64Array:
    """1 where the corrected limit-down ratio is over 5 % and the median stock's trade shrank by over 20 %.

    Shape   (T, N) -> (T, 1)
    NaN     either part; trades not counted, so never before they are published
    Source  CS-05 corrected, 01 §1
    """
    change = cs_median(cs_inst_participation_chg20, universe)
    return flag((cs_limit_down_ratio_adj > _PANIC) & (change < _DROP), cs_limit_down_ratio_adj, change)


@factor("CS", zh="系统性风险信号(传染分位)", unit="flag", scope="market", sets=("rules",))
def rule_cs_systemic_alt(cs_limit_down_contagion_adj: Float64Array) -> Float64Array:
    """1 where the excess of limit-downs is in the top twentieth of its last 250 sessions; needs no trade counts.

    Shape   (T, 1) -> (T, 1)
    NaN     fewer than 125 values of 250
    Source  CS-05 alternative, 01 §1
    """
    rank = ts_percentile(cs_limit_down_contagion_adj, _WINDOW)
    return flag(rank > _RARE, rank)
