"""Further windows of the price and volume families, for benchmarks alone: they bring the matrix to about 190 columns.

A benchmark adds this folder to the package features.factors, where the catalogue finds it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from features.factor import Factor, Family
from features.operators import delta, lag, ts_beta, ts_corr, ts_max, ts_mean, ts_min, ts_resid_std, ts_std
from features.panel import Float64Array

WINDOWS = (15, 25, 30, 40, 50, 80, 100, 150, 200)
SET = "more_windows"


def _windowed(name: str, make: Callable[[int], Callable[..., Float64Array]], least: int = 0) -> Family:
    return Family(
        Factor(f"cs_more_{name}_{n}", "CS", make(n), f"{n}日{name}", "decimal", lookback=max(n + 1, least), sets=(SET,))
        for n in WINDOWS
    )


def _roc(n: int) -> Callable[..., Float64Array]:
    def roc(adj_close: Float64Array) -> Float64Array:
        return np.log(adj_close / lag(adj_close, n))

    return roc


def _std(n: int) -> Callable[..., Float64Array]:
    def std(log_ret: Float64Array) -> Float64Array:
        return ts_std(log_ret, n)

    return std


def _ma_dev(n: int) -> Callable[..., Float64Array]:
    def ma_dev(adj_close: Float64Array) -> Float64Array:
        return np.log(adj_close / ts_mean(adj_close, n))

    return ma_dev


def _clv(n: int) -> Callable[..., Float64Array]:
    def clv(high: Float64Array, low: Float64Array, close: Float64Array) -> Float64Array:
        return ts_mean((2 * close - high - low) / np.where(high > low, high - low, np.nan), n)

    return clv


def _dist_high(n: int) -> Callable[..., Float64Array]:
    def dist_high(adj_close: Float64Array, adj_high: Float64Array) -> Float64Array:
        return np.log(adj_close / ts_max(adj_high, n))

    return dist_high


def _dist_low(n: int) -> Callable[..., Float64Array]:
    def dist_low(adj_close: Float64Array, adj_low: Float64Array) -> Float64Array:
        return np.log(adj_close / ts_min(adj_low, n))

    return dist_low


def _beta(n: int) -> Callable[..., Float64Array]:
    def beta(log_ret: Float64Array, market_log_ret: Float64Array) -> Float64Array:
        return ts_beta(log_ret, market_log_ret, n)

    return beta


def _idio_vol(n: int) -> Callable[..., Float64Array]:
    def idio_vol(log_ret: Float64Array, market_log_ret: Float64Array) -> Float64Array:
        return ts_resid_std(log_ret, market_log_ret, n)

    return idio_vol


def _illiq(n: int) -> Callable[..., Float64Array]:
    def illiq(log_ret: Float64Array, total_turnover: Float64Array) -> Float64Array:
        return np.log(ts_mean(np.abs(log_ret) / total_turnover * 1e8, n))

    return illiq


def _turn_ratio(n: int) -> Callable[..., Float64Array]:
    def turn_ratio(total_turnover: Float64Array) -> Float64Array:
        return np.log(ts_mean(total_turnover, n) / ts_mean(total_turnover, 250))

    return turn_ratio


def _pv_corr(n: int) -> Callable[..., Float64Array]:
    def pv_corr(log_ret: Float64Array, total_turnover: Float64Array) -> Float64Array:
        return ts_corr(log_ret, delta(np.log(total_turnover)), n)

    return pv_corr


def _vwap_dev(n: int) -> Callable[..., Float64Array]:
    def vwap_dev(close: Float64Array, cs_vwap: Float64Array) -> Float64Array:
        return ts_mean(np.log(close / cs_vwap), n)

    return vwap_dev


roc = _windowed("roc", _roc)
std = _windowed("std", _std)
ma_dev = _windowed("ma_dev", _ma_dev)
clv = _windowed("clv", _clv)
dist_high = _windowed("dist_high", _dist_high)
dist_low = _windowed("dist_low", _dist_low)
beta = _windowed("beta", _beta)
idio_vol = _windowed("idio_vol", _idio_vol)
illiq = _windowed("illiq", _illiq)
turn_ratio = _windowed("turn_ratio", _turn_ratio, 250)
pv_corr = _windowed("pv_corr", _pv_corr)
vwap_dev = _windowed("vwap_dev", _vwap_dev)
