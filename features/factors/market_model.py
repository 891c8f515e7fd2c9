"""Stocks: how a stock moves with the market, and what the market leaves of it.

r is the log return on the ex-right reference price, m that of the equal-weight universe. A window needs 60 % of its
sessions.
Source  09 §2
"""

from __future__ import annotations

from features.factor import family
from features.factors.price_volume import WINDOWS, Panel2
from features.operators import ts_beta_down, ts_corr, ts_coskew, ts_idio_skew
from features.panel import Float64Array

_SETS = ("library",)
# Residuals, and the falling half of a window's sessions, need that many.
_LONG = [n for n in WINDOWS if n >= 60]


@family("cs_f_beta_dn", _LONG, asset_class="CS", zh="下行贝塔", unit="ratio", sets=_SETS)
def cs_f_beta_dn(n: int) -> Panel2:
    """Slope of the log return on the market's over those of n sessions on which the market fell.

    Shape   (T, N), (T, 1) -> (T, N)
    Sign    above 1: falls more than the market
    NaN     fewer such sessions than 30 % of the window
    Source  beta_dn, 09 §2; Ang, Chen and Xing (2006)
    """

    def beta_dn(log_ret: Float64Array, market_log_ret: Float64Array) -> Float64Array:
        return ts_beta_down(log_ret, market_log_ret, n)

    return beta_dn


@family("cs_f_idio_skew", _LONG, asset_class="CS", zh="特质偏度", unit="ratio", sets=_SETS)
def cs_f_idio_skew(n: int) -> Panel2:
    """Skewness, corrected for bias, of what the market leaves of the log return over n sessions.

    Shape   (T, N), (T, 1) -> (T, N)
    Sign    positive: its own far days are rises
    NaN     fewer than 60 % of the window
    Source  idio_skew, 09 §2; Boyer, Mitton and Vorkink (2010)
    """

    def idio_skew(log_ret: Float64Array, market_log_ret: Float64Array) -> Float64Array:
        return ts_idio_skew(log_ret, market_log_ret, n)

    return idio_skew


@family("cs_f_coskew", _LONG, asset_class="CS", zh="协偏度", unit="ratio", sets=_SETS)
def cs_f_coskew(n: int) -> Panel2:
    """Mean of the residual on the market times the market's squared deviation, in units of both, over n sessions.

    Shape   (T, N), (T, 1) -> (T, N)
    Sign    negative: falls when the market moves far, whichever way
    NaN     fewer than 60 % of the window
    Source  coskew, 09 §2; Harvey and Siddique (2000)
    """

    def coskew(log_ret: Float64Array, market_log_ret: Float64Array) -> Float64Array:
        return ts_coskew(log_ret, market_log_ret, n)

    return coskew


@family("cs_f_corr_mkt", WINDOWS, asset_class="CS", zh="市场相关系数", unit="correlation", sets=_SETS)
def cs_f_corr_mkt(n: int) -> Panel2:
    """Correlation of the log return with the market's over n sessions.

    Shape   (T, N), (T, 1) -> (T, N), in [-1, 1]
    Sign    positive: moves with the market
    NaN     fewer than 60 % of the window (three sessions at least); a price that never moved
    Source  corr_mkt, 09 §2
    """

    def corr_mkt(log_ret: Float64Array, market_log_ret: Float64Array) -> Float64Array:
        return ts_corr(log_ret, market_log_ret, n)

    return corr_mkt


@family("cs_f_r2", WINDOWS, asset_class="CS", zh="市场模型拟合度", unit="share", sets=_SETS)
def cs_f_r2(n: int) -> Panel2:
    """Share of the log return's variance that the market explains over n sessions.

    Shape   (T, N), (T, 1) -> (T, N), in [0, 1]
    Sign    high: little of its own
    NaN     fewer than 60 % of the window (three sessions at least); a price that never moved
    Source  r2, 09 §2; Morck, Yeung and Yu (2000)
    """

    def r2(log_ret: Float64Array, market_log_ret: Float64Array) -> Float64Array:
        return ts_corr(log_ret, market_log_ret, n) ** 2

    return r2
