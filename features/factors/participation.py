"""Stocks: the size of the average trade, what stands in where trades are not counted, and its match with liquidity."""

from __future__ import annotations

import numpy as np

from features.factor import factor
from features.operators import cs_mean, cs_residual, cs_zscore, lagmean
from features.operators.logic import flag
from features.panel import Float64Array

# Boards 1 .. 4 have a dummy each; the main board, 0, is what they are compared with.
_BOARDS_BESIDE_MAIN = (1.0, 2.0, 3.0, 4.0)
_MATCH_BELOW, _STREAK_FROM = -0.3, 4


@factor("CS", zh="机构参与度", unit="shares per trade", sets=("literal",))
def cs_inst_participation(volume: Float64Array, num_trades: Float64Array) -> Float64Array:
    """Shares of the average trade.

    Shape   (T, N) -> (T, N)
    Sign    high: institutional, as the seed reads it
    NaN     trades not counted; no trade
    Source  CS-01 literal, 01 §1
    """
    return volume / np.where(num_trades > 0, num_trades, np.nan)


@factor("CS", zh="单笔成交额", unit="CNY per trade")
def cs_trade_size_yuan(total_turnover: Float64Array, num_trades: Float64Array) -> Float64Array:
    """Turnover of the average trade.

    Shape   (T, N) -> (T, N)
    Sign    high: large trades
    NaN     trades not counted; no trade
    Source  CS-01, 01 §1
    """
    return total_turnover / np.where(num_trades > 0, num_trades, np.nan)


@factor("CS", zh="机构参与度(修正)", unit="robust z", sets=("stock_core", "library"))
def cs_inst_participation_adj(
    cs_trade_size_yuan: Float64Array,
    close: Float64Array,
    cs_turnover20: Float64Array,
    board: Float64Array,
    universe: Float64Array,
) -> Float64Array:
    """Trade size beyond what price, turnover and board explain on the day, as a robust z over the universe.

    Shape   (T, N) -> (T, N), in [-5, 5]
    Sign    above 1: institutional-like; below -1: retail-like
    NaN     trades not counted; outside the universe; fewer than 14 stocks to regress
    Source  CS-01 corrected, 01 §1
    """
    boards = [np.where(board == b, 1.0, 0.0) for b in _BOARDS_BESIDE_MAIN]
    size = np.where(cs_trade_size_yuan > 0, np.log(cs_trade_size_yuan), np.nan)
    abnormal = cs_residual(size, np.log(close), np.log(cs_turnover20), *boards, universe=universe)
    return cs_zscore(abnormal, universe)


@factor("CS", zh="机构参与度20日变化", unit="decimal", sets=("stock_core", "library"))
def cs_inst_participation_chg20(cs_trade_size_yuan: Float64Array) -> Float64Array:
    """Turnover of the average trade against its mean of the 20 sessions before.

    Shape   (T, N) -> (T, N)
    Sign    positive: trades grew
    NaN     trades not counted; fewer than 12 of the 20 sessions before
    Source  CS-01, 01 §1
    """
    return cs_trade_size_yuan / lagmean(cs_trade_size_yuan, 20) - 1


@factor("CS", zh="早期流动性代理", unit="shares per CNY", sets=("literal",))
def cs_liquidity_proxy(volume: Float64Array, high: Float64Array, low: Float64Array) -> Float64Array:
    """Shares that went with one yuan of range; not on the scale of shares per trade, and never put beside it.

    Shape   (T, N) -> (T, N)
    Sign    high: deep
    NaN     a single price (high = low); no trade
    Source  CS-06 literal, 01 §1
    """
    return volume / np.where(high > low, high - low, np.nan)


@factor("CS", zh="早期流动性代理(修正)", unit="ln CNY", sets=("stock_core", "library"))
def cs_liquidity_proxy_adj(total_turnover: Float64Array, high: Float64Array, low: Float64Array) -> Float64Array:
    """Log of the turnover that went with one unit of log range: depth.

    Shape   (T, N) -> (T, N)
    Sign    high: deep
    NaN     a single price (high = low); no trade
    Source  CS-06 corrected, 01 §1
    """
    return np.log(total_turnover / np.log(np.where(high > low, high / low, np.nan)))


@factor("CS", zh="参与度数据来源", unit="flag", sets=("library",))
def cs_participation_source(close: Float64Array, num_trades: Float64Array | None = None) -> Float64Array:
    """1 where trades are counted, 0 where only the proxy can be had: the two regimes are never spliced.

    Shape   (T, N) -> (T, N)
    NaN     no trade
    Source  CS-06 corrected, 01 §1
    """
    counted = np.zeros(close.shape, dtype=np.bool_) if num_trades is None else num_trades > 0
    return flag(counted, close)


@factor("CS", zh="情绪-流动性匹配度(原式)", unit="shares per trade", sets=("literal",))
def cs_sentiment_liquidity_match(
    cs_inst_participation: Float64Array, cs_liquidity_exhaustion: Float64Array, universe: Float64Array
) -> Float64Array:
    """Participation above the market's mean, times one less the exhaustion index, which is at least 1.

    Shape   (T, N) -> (T, N)
    Sign    negative: participation above the mean, since the second part is never positive
    NaN     either part; empty universe
    Source  CS-07 literal, 01 §1
    """
    above = cs_inst_participation - cs_mean(cs_inst_participation, universe)
    return above * (1 - cs_liquidity_exhaustion)


@factor("CS", zh="情绪-流动性匹配度", unit="robust z", sets=("stock_core",))
def cs_sentiment_liquidity_match_adj(
    cs_inst_participation_adj: Float64Array, cs_liquidity_exhaustion_adj: Float64Array
) -> Float64Array:
    """Abnormal trade size times what is left of liquidity.

    Shape   (T, N) -> (T, N), in [-5, 5]
    Sign    high: informed and liquid
    NaN     either part
    Source  CS-07 corrected, 01 §1
    """
    return cs_inst_participation_adj * (1 - cs_liquidity_exhaustion_adj)


@factor("CS", zh="减仓信号(原式)", unit="flag", sets=("rules", "literal"))
def rule_cs_reduce(cs_sentiment_liquidity_match: Float64Array, cs_limit_up_streak: Float64Array) -> Float64Array:
    """1 where the match is below -0.3 after more than three limit-up closes in a row: halve the holding.

    Shape   (T, N) -> (T, N)
    NaN     either part
    Source  CS-08 literal, 01 §1
    """
    return _reduce(cs_sentiment_liquidity_match, cs_limit_up_streak)


@factor("CS", zh="减仓信号", unit="flag", sets=("rules",))
def rule_cs_reduce_adj(
    cs_sentiment_liquidity_match_adj: Float64Array, cs_limit_up_streak: Float64Array
) -> Float64Array:
    """1 where the corrected match is below -0.3 after more than three limit-up closes in a row: halve the holding.

    Shape   (T, N) -> (T, N)
    NaN     either part
    Source  CS-08 corrected, 01 §1
    """
    return _reduce(cs_sentiment_liquidity_match_adj, cs_limit_up_streak)


def _reduce(match: Float64Array, streak: Float64Array) -> Float64Array:
    return flag((match < _MATCH_BELOW) & (streak >= _STREAK_FROM), match, streak)
