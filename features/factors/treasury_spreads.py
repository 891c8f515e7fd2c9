"""Treasury futures: near-far spreads, forward yields, tenors against each other.  Source  D-04, 05 §5

NaN for products that are no treasuries. The seed's reading of the near-far spread stands beside the corrected one: most
of what it reads as an expectation is that a bond yields more than the money it is bought with.
"""

from __future__ import annotations

import numpy as np

from features.factor import factor
from features.operators import cs_mean, flag, ts_robust_z
from features.operators.bonds import notional_duration
from features.panel import Float64Array
from features.treasury import dv01, fair_spread, frequency_of, implied_yield
from features.treasury import proxy_maturity as nearest_maturity

_SETS = ("futures", "treasury")
_YEAR = 250
_BASIS_POINTS = 1e4
# Points within which a spread reads as none.
_NO_SPREAD = 0.05


@factor("Product", zh="国债期货期限结构", unit="points", known="settle", sets=_SETS)
def tf_term_spread(
    settlement_near: Float64Array, settlement_next: Float64Array, notional_maturity: Float64Array
) -> Float64Array:
    """Settlement of the near contract less that of the next quarter.

    Shape   (T, N) -> (T, N)
    Sign    positive: near rich; the seed reads rates expected to rise, but a bond that yields more than money does it
    NaN     no treasury, fewer than two contracts with a settlement
    Source  D-04, 05 §5 (literal)
    """
    return np.where(notional_maturity > 0, settlement_near - settlement_next, np.nan)


@factor("Product", zh="国债期货期限结构（第二远月）", unit="points", known="settle", sets=_SETS)
def tf_term_spread_far(settlement_near: Float64Array, settlement_third: Float64Array) -> Float64Array:
    """Settlement of the near contract less that of the third one.

    Shape   (T, N) -> (T, N)
    Sign    as tf_term_spread
    NaN     no treasury, fewer than three contracts with a settlement
    Source  D-04, 05 §5 (literal, second far)
    """
    return settlement_near - settlement_third


@factor("Product", zh="期限结构读法（字面）", unit="sign", known="settle", sets=_SETS)
def tf_term_reading(tf_term_spread: Float64Array) -> Float64Array:
    """The seed's reading of the near-far spread: 1 rates expected up, -1 down, 0 within 0.05 points.

    Shape   (T, N) -> (T, N)
    Sign    positive: rates expected to rise
    NaN     no spread
    Source  D-04, 05 §5 (literal)
    """
    return flag(tf_term_spread >= _NO_SPREAD, tf_term_spread) - flag(tf_term_spread <= -_NO_SPREAD, tf_term_spread)


@factor("Product", zh="国债期货期限结构（修正）", unit="points", known="settle", sets=_SETS)
def tf_term_spread_adj(
    tf_term_spread: Float64Array,
    settlement_near: Float64Array,
    tf_implied_yield_adj: Float64Array,
    tf_proxy_maturity: Float64Array,
    notional_maturity: Float64Array,
    repo_forward: Float64Array,
    delivery_near: Float64Array,
    delivery_next: Float64Array,
    proxy_slope: Float64Array | None = None,
) -> Float64Array:
    """The near-far spread less its fair value, which is carry and roll-down; a curve that is not known counts as flat.

    Shape   (T, N) -> (T, N)
    Sign    positive: near rich
    NaN     no treasury, fewer than two contracts with a settlement, no rate of money
    Source  D-04, 05 §5 (corrected, no bond table); tf_slope_assumed says where the curve was taken for flat
    """
    duration = notional_duration(tf_implied_yield_adj, tf_proxy_maturity, frequency_of(notional_maturity))
    flat = settlement_near * 0.0
    slope = flat if proxy_slope is None else np.where(np.isfinite(proxy_slope), proxy_slope, flat)
    between = delivery_next - delivery_near
    return tf_term_spread - fair_spread(settlement_near, tf_implied_yield_adj, duration, repo_forward, slope, between)


@factor("Product", zh="曲线斜率缺失标记", unit="flag", known="settle", sets=_SETS)
def tf_slope_assumed(
    tf_term_spread: Float64Array, repo_forward: Float64Array, proxy_slope: Float64Array | None = None
) -> Float64Array:
    """Whether tf_term_spread_adj took the curve for flat, for want of one.

    Shape   (T, N) -> (T, N), 0 or 1
    Sign    1: no roll-down in the fair spread
    NaN     tf_term_spread_adj has no value
    Source  05 §5
    """
    unknown = np.isnan(tf_term_spread * np.nan) if proxy_slope is None else np.isnan(proxy_slope)
    return flag(unknown, tf_term_spread, repo_forward)


@factor("Product", zh="期限结构得分（修正）", unit="robust z", known="settle", sets=_SETS)
def tf_term_spread_adj_z(tf_term_spread_adj: Float64Array) -> Float64Array:
    """Robust score of the corrected near-far spread within 250 sessions.

    Shape   (T, N) -> (T, N), within ±5
    Sign    positive: near richer than usual
    NaN     fewer than 125 spreads in 250 sessions, or spreads that do not vary
    Source  D-04, 05 §5
    """
    return ts_robust_z(tf_term_spread_adj, _YEAR)


@factor("Product", zh="国债期货期限结构（CTD修正）", unit="points", known="settle", sets=_SETS)
def tf_term_spread_ctd(tf_term_spread: Float64Array, ctd_fair_spread: Float64Array) -> Float64Array:
    """The near-far spread less what the cheapest bonds of both contracts, financed until delivery, say of it.

    Shape   (T, N) -> (T, N)
    Sign    positive: near rich
    NaN     no treasury, no bonds with prices, no rate of money
    Source  D-04, 05 §5 (corrected, with a bond table)
    """
    return tf_term_spread - ctd_fair_spread


@factor("Product", zh="远月隐含收益率", unit="yield p.a.", known="settle", sets=_SETS)
def tf_implied_yield_next(
    settlement_next: Float64Array, notional_maturity: Float64Array, proxy_maturity: Float64Array
) -> Float64Array:
    """Implied yield of the next contract, at the maturity of its presumably cheapest bond.

    Shape   (T, N) -> (T, N)
    Sign    high: the next future cheap, or rates expected to rise
    NaN     no treasury, no next contract with a settlement
    Source  D-04, 05 §5
    """
    maturity = nearest_maturity(settlement_next, notional_maturity, proxy_maturity)
    return implied_yield(settlement_next, maturity, notional_maturity)


@factor("Product", zh="隐含远期收益率斜率", unit="bp", known="settle", sets=_SETS)
def tf_forward_slope(tf_implied_yield_next: Float64Array, tf_implied_yield_adj: Float64Array) -> Float64Array:
    """Implied yield of the next contract less that of the near one, in basis points.

    Shape   (T, N) -> (T, N)
    Sign    positive: forward yields rise
    NaN     either yield missing
    Source  D-04, 05 §5
    """
    return (tf_implied_yield_next - tf_implied_yield_adj) * _BASIS_POINTS


@factor("Product", zh="国债期货基点价值", unit="CNY per bp", known="settle", sets=_SETS)
def tf_dv01(
    settlement_near: Float64Array,
    tf_proxy_maturity: Float64Array,
    notional_maturity: Float64Array,
    tf_implied_yield_adj: Float64Array,
    notional_face: Float64Array,
) -> Float64Array:
    """What a contract gains when its yield falls by a basis point.

    Shape   (T, N) -> (T, N)
    Sign    high: sensitive
    NaN     as tf_implied_yield_adj
    Source  05 §5
    """
    return dv01(settlement_near, tf_proxy_maturity, notional_maturity, tf_implied_yield_adj, notional_face)


@factor("Product", zh="跨品种收益率差", unit="yield p.a.", known="settle", sets=_SETS)
def tf_tenor_spread(tf_implied_yield_adj: Float64Array, notional_maturity: Float64Array) -> Float64Array:
    """Implied yield less that of the product one maturity shorter: TL less T, T less TF, TF less TS.

    Shape   (T, N) -> (T, N)
    Sign    positive: a curve that rises
    NaN     TS, no treasury, no yield of the shorter one
    Source  05 §5
    """
    return tf_implied_yield_adj - _of_shorter(tf_implied_yield_adj, notional_maturity)


@factor("Product", zh="跨品种DV01中性配比", unit="contracts", known="settle", sets=_SETS)
def tf_tenor_weight(tf_dv01: Float64Array, notional_maturity: Float64Array) -> Float64Array:
    """Contracts of the product one maturity shorter against one of this, for no exposure to a parallel shift.

    Shape   (T, N) -> (T, N)
    Sign    high: the shorter one moves little
    NaN     TS, no treasury, no price of the shorter one
    Source  05 §5
    """
    return tf_dv01 / _of_shorter(tf_dv01, notional_maturity)


def _of_shorter(panel: Float64Array, maturity: Float64Array) -> Float64Array:
    """The panel's value of the treasury one maturity shorter."""
    two, five, ten = (cs_mean(panel, maturity == years) for years in (2.0, 5.0, 10.0))
    return np.where(maturity == 5.0, two, np.where(maturity == 10.0, five, np.where(maturity == 30.0, ten, np.nan)))
