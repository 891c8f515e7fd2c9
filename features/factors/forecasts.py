"""Futures: what models say of a product's volatility and of its curve, as it stands in the store.  Source  04 §5-7

The fields are one model's as far as its forecasts reach (features.forecasts): where another one takes over, a change is
one of the model and no change of the market.
"""

from __future__ import annotations

import numpy as np

from features.factor import factor
from features.operators import if_else, lag, ts_max
from features.panel import Float64Array

_SETS = ("futures", "forecasts")
_WEEK = 5


@factor("Product", zh="未来5日波动率预测", unit="p.a.", known="settle", sets=_SETS)
def fut_vol_forecast_5(vol_forecast_5: Float64Array) -> Float64Array:
    """Volatility of the next five sessions as the model of the store forecasts it at the close.

    Shape   (T, N) -> (T, N)
    Sign    positive; high: turbulence is expected
    NaN     no forecast was made on that session
    Source  ML-03, 04 §5, §6.2
    """
    return vol_forecast_5 * 1.0


@factor("Product", zh="未来20日波动率预测", unit="p.a.", known="settle", sets=_SETS)
def fut_vol_forecast_20(vol_forecast_20: Float64Array) -> Float64Array:
    """Volatility of the next twenty sessions as the model of the store forecasts it at the close.

    Shape   (T, N) -> (T, N)
    Sign    positive; high: turbulence is expected
    NaN     no forecast was made on that session
    Source  ML-03, 04 §5, §6.2
    """
    return vol_forecast_20 * 1.0


@factor("Product", zh="波动率预测5日变化", unit="ln", known="settle", sets=_SETS)
def fut_vol_forecast_change(vol_forecast_5: Float64Array, vol_forecast_switch: Float64Array) -> Float64Array:
    """ln of the forecast for five sessions over the one that was made five sessions before.

    Shape   (T, N) -> (T, N)
    Sign    positive: the model expects more turbulence than it did
    NaN     no forecast on one of the two sessions; another model has taken over between them
    Source  ML-03, 04 §5, §6.2
    """
    change = np.log(vol_forecast_5 / lag(vol_forecast_5, _WEEK))
    return if_else(ts_max(vol_forecast_switch, _WEEK, 1), np.nan, change)


@factor("Product", zh="波动率预测期限斜率", unit="ln", known="settle", sets=_SETS)
def fut_vol_forecast_slope(vol_forecast_5: Float64Array, vol_forecast_20: Float64Array) -> Float64Array:
    """ln of the forecast for twenty sessions over the one for five.

    Shape   (T, N) -> (T, N)
    Sign    positive: calm below its usual level, from which it is expected to rise
    NaN     no forecast of both was made on that session
    Source  ML-03, 04 §5, §6.2
    """
    return np.log(vol_forecast_20 / vol_forecast_5)


@factor("Product", zh="短期偏离χ", unit="ln", known="settle", sets=_SETS)
def fut_ss_short(ss_chi: Float64Array) -> Float64Array:
    """Short-term deviation of the log price from its long-term level, as the term-structure model filters it.

    Shape   (T, N) -> (T, N)
    Sign    positive: dear now, and expected to come down
    NaN     no states were told of that session
    Source  Schwartz and Smith (2000); 04 §7.1
    """
    return ss_chi * 1.0


@factor("Product", zh="模型净便利收益", unit="p.a.", known="settle", sets=_SETS)
def fut_ss_yield(ss_yield: Float64Array) -> Float64Array:
    """Instantaneous convenience yield net of storage that the term-structure model finds in the whole curve.

    Shape   (T, N) -> (T, N)
    Sign    positive: backwardation beyond the rate, tight supply
    NaN     no states were told of that session
    Source  04 §7.1
    """
    return ss_yield * 1.0


@factor("Product", zh="主力合约期限结构残差", unit="sd", known="settle", sets=_SETS)
def fut_ss_z_dominant(ss_z_dominant: Float64Array) -> Float64Array:
    """Log price of the dominant contract less the term-structure model's, in standard deviations.

    Shape   (T, N) -> (T, N)
    Sign    positive: dear against the rest of the curve
    NaN     no states were told of that session; the model is not measured by the contract
    Source  04 §6.2, §7.1
    """
    return ss_z_dominant * 1.0


@factor("Product", zh="次主力减主力期限结构残差", unit="sd", known="settle", sets=_SETS)
def fut_ss_z_spread(ss_z_sub_dominant: Float64Array, ss_z_dominant: Float64Array) -> Float64Array:
    """How much dearer the sub-dominant contract is against the term-structure model than the dominant one.

    Shape   (T, N) -> (T, N)
    Sign    positive: the later contract is dear; what is long of it and short of the dominant one shall lose
    NaN     no states were told of that session; the model is not measured by one of the contracts
    Source  04 §6.2, §7.1
    """
    return ss_z_sub_dominant - ss_z_dominant
