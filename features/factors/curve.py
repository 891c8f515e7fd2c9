"""Products of futures: financing and the shape of the curve, from settlements.  Source  04 §3 FUT-04, FUT-07"""

from __future__ import annotations

import numpy as np

from features.factor import factor
from features.panel import Float64Array

_SETS = ("futures",)
SESSIONS_A_YEAR = 242


def carry(near: Float64Array, far: Float64Array, near_ttm: Float64Array, far_ttm: Float64Array) -> Float64Array:
    """ln(far / near) over the time between the maturities, p.a.; NaN where they are not in that order."""
    apart = far_ttm - near_ttm
    return np.log(far / near) / np.where(apart > 0, apart, np.nan)


@factor("Product", zh="隐含融资成本", unit="decimal per day", known="settle", sets=_SETS)
def fut_implied_financing(
    settlement: Float64Array, prev_settlement: Float64Array, risk_free: Float64Array
) -> Float64Array:
    """Daily log move of the dominant contract's settlement less the risk-free rate of a session, as the seed has it.

    A return, not a cost of financing: neither a maturity nor a spot price is in it. See fut_implied_financing_adj.
    The rate is the newest one-year yield from before the session (cgb, else cgb_key, else Shibor), else .015.
    Shape   (T, N) -> (T, N)
    Sign    positive: dearer than yesterday by more than the rate
    NaN     no trade, no settlement
    Source  FUT-04, 04 §3 (literal, with r_f / 242)
    """
    return np.log(settlement / prev_settlement) - risk_free / SESSIONS_A_YEAR


@factor("Product", zh="隐含持有成本", unit="p.a.", known="settle", sets=_SETS)
def fut_implied_carry(
    settlement_near: Float64Array, settlement_next: Float64Array, ttm_near: Float64Array, ttm_next: Float64Array
) -> Float64Array:
    """ln of the next contract's settlement over the near one's, per year between their last trading days.

    Shape   (T, N) -> (T, N)
    Sign    positive: contango; negative: backwardation
    NaN     one of the two has no settlement, no open interest, or a stale one
    Source  FUT-04, 04 §3 (corrected, without spot)
    """
    return carry(settlement_near, settlement_next, ttm_near, ttm_next)


@factor("Product", zh="隐含融资成本（修正）", unit="p.a.", known="settle", sets=_SETS)
def fut_implied_financing_adj(
    fut_implied_carry: Float64Array, fut_basis_adj: Float64Array | None = None
) -> Float64Array:
    """What holding the product costs a year: from the spot where it is known, else from the curve.

    Shape   (T, N) -> (T, N)
    Sign    positive: the future is dearer than the spot (or the near contract)
    NaN     neither a spot nor two contracts; fewer than 5 days to the last one of an index future
    Source  FUT-04, 04 §3 (corrected)
    """
    if fut_basis_adj is None:
        return fut_implied_carry * 1.0
    return np.where(np.isfinite(fut_basis_adj), fut_basis_adj, fut_implied_carry)


@factor("Product", zh="期限结构斜率", unit="p.a.", known="settle", sets=_SETS)
def fut_ts_slope(
    settlement_dominant: Float64Array,
    settlement_sub_dominant: Float64Array,
    ttm_dominant: Float64Array,
    ttm_sub_dominant: Float64Array,
) -> Float64Array:
    """ln of the sub-dominant contract's settlement over the dominant one's, per year between their maturities.

    Shape   (T, N) -> (T, N)
    Sign    positive: contango
    NaN     no sub-dominant contract (it needs open interest); no settlement, or a stale one
    Source  FUT-07, 04 §3
    """
    return carry(settlement_dominant, settlement_sub_dominant, ttm_dominant, ttm_sub_dominant)


@factor("Product", zh="期限结构斜率（全合约回归）", unit="p.a.", known="settle", sets=_SETS)
def fut_ts_slope_ols(chain_slope: Float64Array) -> Float64Array:
    """Least-squares slope of ln F on time to maturity over all liquid contracts that may still be held.

    Liquid: an open interest of 1000 and a volume of 100 on the session; by volume alone where no interest is published.
    Shape   (T, N) -> (T, N)
    Sign    positive: contango
    NaN     fewer than 2 such contracts
    Source  FUT-07, 04 §3
    """
    return chain_slope * 1.0


@factor("Product", zh="期限结构曲率", unit="p.a. a year", known="settle", sets=_SETS)
def fut_ts_curvature(chain_curvature: Float64Array) -> Float64Array:
    """Twice the second divided difference of ln F over the nearest, middle and farthest liquid contract.

    Shape   (T, N) -> (T, N)
    Sign    positive: the slope grows with maturity
    NaN     fewer than 3 liquid contracts
    Source  FUT-07, 04 §3
    """
    return chain_curvature * 1.0


@factor("Product", zh="换月跳价斜率（代理）", unit="p.a.", known="settle", sets=_SETS)
def fut_ts_slope_roll_jump(roll_slope: Float64Array) -> Float64Array:
    """A proxy of the slope where only dominant contracts are known: of the last roll's two closes, carried on.

    It is as old as the last roll (`roll_jump_proxy`), and never stands in for the slope itself.
    Shape   (T, N) -> (T, N)
    Sign    positive: contango when it rolled
    NaN     before the first roll; a series that a vendor spliced, whose maturities nobody says
    Source  FUT-07, 04 §3 (fallback)
    """
    return roll_slope * 1.0
