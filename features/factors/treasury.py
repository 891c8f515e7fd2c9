"""Treasury futures: implied yields, the cheapest bond, the distance from cash yields.  Source  D-03, 05 §3-4

All are of the near contract, which leaves with its delivery month. NaN for products that are no treasuries. The seed's
reading stands beside the corrected one: most of what it reads as sentiment is the slope of the curve, and carry.
"""

from __future__ import annotations

import numpy as np

from features.factor import factor
from features.operators import flag, ts_robust_z
from features.operators.bonds import notional_duration
from features.panel import Float64Array
from features.treasury import forward_premium, frequency_of, implied_yield
from features.treasury import proxy_maturity as nearest_maturity

_SETS = ("futures", "treasury")
_YEAR = 250
# Scores within which yields read as nothing.
_NO_SCORE = 1.0


@factor("Product", zh="国债期货隐含收益率", unit="yield p.a.", known="settle", sets=_SETS)
def tf_implied_yield(settlement_near: Float64Array, notional_maturity: Float64Array) -> Float64Array:
    """Yield of the notional 3 % bond of the nominal maturity (2, 5, 10, 30 years) at the futures price.

    Shape   (T, N) -> (T, N)
    Sign    high: futures cheap, or rates expected to rise
    NaN     no treasury, no settlement of the near contract that moves, a yield outside [-2 %, 20 %]
    Source  D-03, 05 §3 definition 1 (literal)
    """
    return implied_yield(settlement_near, notional_maturity, notional_maturity)


@factor("Product", zh="CTD期限", unit="years", known="settle", sets=_SETS, stored=False)
def tf_proxy_maturity(
    settlement_near: Float64Array, notional_maturity: Float64Array, proxy_maturity: Float64Array
) -> Float64Array:
    """Years left of the bond that is presumably cheapest: the shortest below a yield of 3 %, else the nominal one.

    Shape   (T, N) -> (T, N)
    NaN     no treasury
    Source  05 §3
    """
    return nearest_maturity(settlement_near, notional_maturity, proxy_maturity)


@factor("Product", zh="国债期货隐含收益率（CTD期限）", unit="yield p.a.", known="settle", sets=_SETS)
def tf_implied_yield_adj(
    settlement_near: Float64Array, notional_maturity: Float64Array, tf_proxy_maturity: Float64Array
) -> Float64Array:
    """Yield of the notional bond at the maturity that the cheapest bond presumably has: 2, 4, 7, 25 years below 3 %.

    Shape   (T, N) -> (T, N)
    Sign    high: futures cheap, or rates expected to rise
    NaN     as tf_implied_yield
    Source  D-03, 05 §3 (corrected): at low yields the cheapest to deliver is the bond of the shortest duration
    """
    return implied_yield(settlement_near, tf_proxy_maturity, notional_maturity)


@factor("Product", zh="国债期货隐含收益率（CTD券）", unit="yield p.a.", known="settle", sets=_SETS)
def tf_implied_yield_ctd(ctd_yield: Float64Array) -> Float64Array:
    """Forward yield of the cheapest bond to deliver, at its invoice price on the day of delivery.

    Shape   (T, N) -> (T, N)
    Sign    high: futures cheap, or rates expected to rise
    NaN     no treasury, no bond with a price
    Source  D-03, 05 §3 definition 2
    """
    return ctd_yield * 1.0


@factor("Product", zh="隐含回购利率", unit="p.a.", known="settle", sets=_SETS)
def tf_irr(
    settlement_near: Float64Array,
    ctd_price: Float64Array,
    ctd_accrued: Float64Array,
    ctd_factor: Float64Array,
    ctd_accrued_delivery: Float64Array,
    ctd_coupons: Float64Array,
    ctd_coupon_years: Float64Array,
    delivery_near: Float64Array,
) -> Float64Array:
    """Simple rate that buying the cheapest bond and delivering it earns (IRR).

    Shape   (T, N) -> (T, N)
    Sign    above the repo rate and costs: futures rich, cash and carry pays
    NaN     no treasury, no bond with a price
    Source  D-03, 05 §4
    """
    full = ctd_price + ctd_accrued
    earned = settlement_near * ctd_factor + ctd_accrued_delivery + ctd_coupons - full
    return earned / (full * delivery_near - ctd_coupon_years)


@factor("Product", zh="国债期货基差", unit="points", known="settle", sets=_SETS)
def tf_basis(settlement_near: Float64Array, ctd_price: Float64Array, ctd_factor: Float64Array) -> Float64Array:
    """Clean price of the cheapest bond less the future's price times its conversion factor.

    Shape   (T, N) -> (T, N)
    Sign    positive: the bond is dearer than the future says
    NaN     no treasury, no bond with a price
    Source  D-03, 05 §4
    """
    return ctd_price - settlement_near * ctd_factor


@factor("Product", zh="国债期货净基差", unit="points", known="settle", sets=_SETS)
def tf_bnoc(
    tf_basis: Float64Array,
    ctd_price: Float64Array,
    ctd_accrued: Float64Array,
    ctd_accrued_delivery: Float64Array,
    ctd_coupons: Float64Array,
    repo_near: Float64Array,
    delivery_near: Float64Array,
) -> Float64Array:
    """Basis net of carry: interest earned until the delivery less what money costs.

    Shape   (T, N) -> (T, N)
    Sign    positive: the right to choose the bond and the day is paid for; negative: futures rich
    NaN     no treasury, no bond with a price, no rate of money
    Source  D-03, 05 §4
    """
    paid = (ctd_price + ctd_accrued) * np.expm1(repo_near * delivery_near)
    return tf_basis - (ctd_accrued_delivery - ctd_accrued + ctd_coupons - paid)


@factor("Product", zh="期现收益率差", unit="yield p.a.", known="settle", sets=_SETS)
def tf_yield_spread(tf_implied_yield: Float64Array, cash_yield: Float64Array) -> Float64Array:
    """Yield implied by the future less the published cash yield of the same maturity.

    Shape   (T, N) -> (T, N)
    Sign    positive: pessimistic on bonds, as the seed reads it
    NaN     no treasury, no published yield
    Source  D-03, 05 §3 (literal); much of it is the slope of the curve between the nominal and the cheapest maturity
    """
    return tf_implied_yield - cash_yield


@factor("Product", zh="期现收益率差得分", unit="robust z", known="settle", sets=_SETS)
def tf_yield_spread_z(tf_yield_spread: Float64Array) -> Float64Array:
    """Robust score of the literal yield spread within 250 sessions: what is left to read without a curve.

    Shape   (T, N) -> (T, N), within ±5
    Sign    positive: more pessimistic on bonds than usual
    NaN     fewer than 125 spreads in 250 sessions, or spreads that do not vary
    Source  D-03, 05 §3
    """
    return ts_robust_z(tf_yield_spread, _YEAR)


@factor("Product", zh="期现收益率差（修正）", unit="yield p.a.", known="settle", sets=_SETS)
def tf_yield_spread_adj(
    tf_implied_yield_adj: Float64Array,
    tf_proxy_maturity: Float64Array,
    notional_maturity: Float64Array,
    proxy_yield: Float64Array,
    proxy_slope: Float64Array,
    repo_near: Float64Array,
    delivery_near: Float64Array,
) -> Float64Array:
    """Implied yield less the cash yield of the same bond, carried forward: of the same maturity, net of carry and roll.

    Shape   (T, N) -> (T, N)
    Sign    positive: pessimistic on bonds
    NaN     no treasury, no curve, no rate of money
    Source  D-03, 05 §3 (corrected); yield and duration of the carry are the cash bond's, as in the spec's check
    """
    duration = notional_duration(proxy_yield, tf_proxy_maturity, frequency_of(notional_maturity))
    ahead = forward_premium(proxy_yield, duration, repo_near, proxy_slope, delivery_near)
    return tf_implied_yield_adj - proxy_yield - ahead


@factor("Product", zh="期现收益率差得分（修正）", unit="robust z", known="settle", sets=_SETS)
def tf_yield_spread_adj_z(tf_yield_spread_adj: Float64Array) -> Float64Array:
    """Robust score of the corrected yield spread within 250 sessions.

    Shape   (T, N) -> (T, N), within ±5
    Sign    positive: more pessimistic on bonds than usual
    NaN     fewer than 125 spreads in 250 sessions, or spreads that do not vary
    Source  D-03, 05 §3
    """
    return ts_robust_z(tf_yield_spread_adj, _YEAR)


@factor("Product", zh="债市情绪（字面）", unit="sign", known="settle", sets=_SETS)
def tf_sentiment(tf_yield_spread: Float64Array) -> Float64Array:
    """The seed's reading of the yield spread: 1 optimistic (implied below cash), -1 pessimistic, 0 neither.

    Shape   (T, N) -> (T, N)
    Sign    positive: optimistic on bonds
    NaN     no treasury, no published yield
    Source  D-03, 05 §5 (literal)
    """
    return flag(tf_yield_spread < 0, tf_yield_spread) - flag(tf_yield_spread > 0, tf_yield_spread)


@factor("Product", zh="债市情绪（修正）", unit="sign", known="settle", sets=_SETS)
def tf_sentiment_adj(tf_yield_spread_adj_z: Float64Array) -> Float64Array:
    """1 where the corrected spread's score is below -1 (bullish on bonds), -1 above 1, 0 within.

    Shape   (T, N) -> (T, N)
    Sign    positive: bullish on bonds
    NaN     no score
    Source  05 §6
    """
    bullish, bearish = (tf_yield_spread_adj_z < -_NO_SCORE), (tf_yield_spread_adj_z > _NO_SCORE)
    return flag(bullish, tf_yield_spread_adj_z) - flag(bearish, tf_yield_spread_adj_z)
