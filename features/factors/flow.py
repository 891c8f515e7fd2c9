"""Products of futures: what price, volume and open interest say together.

Literal factors are of the dominant contract, and only within it: a roll gives no difference. Where windows pass rolls
the product's totals are taken, which do not migrate; an expiry still takes its contracts out of them.  Source  04 §3
"""

from __future__ import annotations

import numpy as np

from features.factor import factor
from features.operators import delta, flag, lag, lagmean, ts_percentile, ts_robust_z, ts_sum
from features.panel import Float64Array

_SETS = ("futures",)
_YEAR, _QUARTER, _WEEK = 250, 60, 5


def flow_score(move: Float64Array, moved: Float64Array, change: Float64Array, built: Float64Array) -> Float64Array:
    """The rank of a move with its sign, in full where open interest grew as never before, nought where it fell so."""
    return np.sign(move) * moved * (1 + np.sign(change) * built) / 2


@factor("Product", zh="结算对数涨跌", unit="ln", known="settle", sets=_SETS)
def fut_settle_ret(settlement: Float64Array, prev_settlement: Float64Array) -> Float64Array:
    """Log of the dominant contract's settlement over its own of the session before.

    Shape   (T, N) -> (T, N)
    Sign    positive: dearer
    NaN     no trade, or no settlement
    Source  00 §2, FUT-01
    """
    return np.log(settlement / prev_settlement)


@factor("Product", zh="资金流向强度", unit="price", known="settle", sets=_SETS)
def fut_flow_intensity(
    settlement: Float64Array,
    prev_settlement: Float64Array,
    open_interest_dominant: Float64Array,
    volume_dominant: Float64Array,
) -> Float64Array:
    """(settlement - prev_settlement) · open interest / volume of the dominant contract, as the seed has it.

    Its scale is that of the quote, so thresholds of 0.5 and 0.8 mean nothing here: see fut_flow_intensity_adj.
    Shape   (T, N) -> (T, N)
    Sign    positive: an up-move, the larger the less is traded
    NaN     no trade (E-ZV), no settlement, no open interest
    Source  FUT-01, 04 §3 (literal)
    """
    return (settlement - prev_settlement) * open_interest_dominant / volume_dominant


@factor("Product", zh="资金流向强度（修正）", unit="score", known="settle", sets=_SETS)
def fut_flow_intensity_adj(
    fut_settle_ret: Float64Array, sigma: Float64Array, open_interest: Float64Array
) -> Float64Array:
    """Rank of the move in its volatility, weighed by the rank of what open interest did with it.

    sign(x) · pr_250(|x|/σ) · [1 + sign(ΔOI) · pr_250(|ΔOI|/OI)]/2 of the settlement's log move x and the product's OI.
    Shape   (T, N) -> (T, N), in (-1, 1)
    Sign    above .8: a large rise with new positions; below -.8: a large fall with new ones
    NaN     no settlement; fewer than 125 of 250 sessions; no open interest on two sessions in a row
    Source  FUT-01, 04 §3 (corrected)
    """
    moved = ts_percentile(np.abs(fut_settle_ret) / sigma, _YEAR)
    change = delta(open_interest, 1)
    built = ts_percentile(np.abs(change) / lag(open_interest, 1), _YEAR)
    return flow_score(fut_settle_ret, moved, change, built)


@factor("Product", zh="价仓四象限", unit="code", known="settle", sets=_SETS)
def fut_flow_state(fut_settle_ret: Float64Array, open_interest: Float64Array) -> Float64Array:
    """Which way price and the product's open interest went together, as a code.

    0 flat (either stood still), 1 long_build (up, up), 2 short_cover (up, down), 3 short_build (down, up),
    4 long_liquidation (down, down).
    Shape   (T, N) -> (T, N)
    Sign    a code without an order
    NaN     no settlement; no open interest on two sessions in a row
    Source  FUT-01, 04 §3
    """
    change = delta(open_interest, 1)
    up = np.where(change > 0, 1.0, np.where(change < 0, 2.0, 0.0))
    down = np.where(change > 0, 3.0, np.where(change < 0, 4.0, 0.0))
    code = np.where(fut_settle_ret > 0, up, np.where(fut_settle_ret < 0, down, 0.0))
    return code + 0 * (fut_settle_ret + change)


@factor("Product", zh="持仓集中度", unit="ratio", known="settle", sets=_SETS)
def fut_oi_concentration(
    open_interest_dominant: Float64Array,
    volume_dominant: Float64Array,
    high: Float64Array,
    low: Float64Array,
    settlement: Float64Array,
) -> Float64Array:
    """Range per unit of turnover of the dominant contract, which the seed calls concentration of positions.

    (open interest / volume) · (high - low) / settlement: typically .01 to .1, so thresholds of .5 and 1.5 mean nothing
    here, and who holds the positions cannot be read off it: see fut_fragility_adj.
    Shape   (T, N) -> (T, N), 0 or more
    Sign    high: a wide range on little trade
    NaN     no trade (E-ZV), no settlement, no open interest
    Source  FUT-02, 04 §3 (literal)
    """
    return open_interest_dominant / volume_dominant * (high - low) / settlement


@factor("Product", zh="脆弱度（修正）", unit="pct rank", known="settle", sets=_SETS)
def fut_fragility_adj(
    high: Float64Array, low: Float64Array, sigma: Float64Array, volume: Float64Array, open_interest: Float64Array
) -> Float64Array:
    """Rank over a year of the range in its volatility, times how far turnover lies below its usual level.

    pr_250( ln(high/low)/σ · mean_60 before of (volume/OI) / (volume/OI) ), turnover of the whole product.
    Shape   (T, N) -> (T, N), in (0, 1)
    Sign    above .95: thin, a little trade moves it far
    NaN     no trade (E-ZV), no open interest; fewer than 125 of 250 sessions
    Source  FUT-02, 04 §3 (corrected)
    """
    turnover = volume / open_interest
    return ts_percentile(np.log(high / low) / sigma * lagmean(turnover, _QUARTER) / turnover, _YEAR)


@factor("Product", zh="持仓-价格背离度", unit="ratio", known="settle", sets=_SETS)
def fut_oi_price_divergence(
    settlement: Float64Array,
    prev_settlement: Float64Array,
    open_interest_dominant: Float64Array,
    prev_open_interest: Float64Array,
) -> Float64Array:
    """Relative change of the settlement over that of the open interest, of the dominant contract.

    It explodes where open interest hardly moves, and is below 0 for falls on rising interest too.
    Shape   (T, N) -> (T, N)
    Sign    negative: price and interest went apart
    NaN     no settlement; interest unchanged (E-DIV0), not published, or not on the session before
    Source  FUT-08, 04 §3 (literal)
    """
    price = settlement / prev_settlement - 1
    interest = open_interest_dominant / prev_open_interest - 1
    return price / np.where(interest != 0, interest, np.nan)


@factor("Product", zh="持仓-价格背离度（修正）", unit="z", known="settle", sets=_SETS)
def fut_oi_price_divergence_adj(fut_settle_ret: Float64Array, open_interest: Float64Array) -> Float64Array:
    """Robust z of five sessions' moves of the price less that of five sessions' moves of the product's open interest.

    Shape   (T, N) -> (T, N), in [-10, 10]
    Sign    high: a rally without open interest
    NaN     fewer than 3 of 5 or 125 of 250 sessions; no open interest
    Source  FUT-08, 04 §3 (corrected)
    """
    price = ts_robust_z(ts_sum(fut_settle_ret, _WEEK), _YEAR)
    return price - ts_robust_z(ts_sum(delta(np.log(open_interest), 1), _WEEK), _YEAR)


@factor("Product", zh="价仓背离衰竭标记", unit="flag", known="settle", sets=_SETS)
def rule_fut_exhaustion(
    fut_oi_price_divergence: Float64Array,
    fut_settle_ret: Float64Array,
    open_interest_dominant: Float64Array,
    prev_open_interest: Float64Array,
) -> Float64Array:
    """Whether the price rose far against a falling open interest of the dominant contract: |D| > 2, x > 0, ΔOI < 0.

    Near a roll interest leaves the contract whatever the price does.
    Shape   (T, N) -> (T, N), 0 or 1
    Sign    1: a rise that shorts' buying may have made
    NaN     the divergence is not defined
    Source  FUT-09, 04 §3 (literal)
    """
    far = (np.abs(fut_oi_price_divergence) > 2) & (fut_settle_ret > 0)
    return flag(far & (open_interest_dominant < prev_open_interest), fut_oi_price_divergence, fut_settle_ret)


@factor("Product", zh="价仓背离衰竭标记（修正）", unit="flag", known="settle", sets=_SETS)
def rule_fut_exhaustion_adj(fut_flow_state: Float64Array, fut_oi_price_divergence_adj: Float64Array) -> Float64Array:
    """Whether shorts covered on 3 of 5 sessions while the price ran 2 deviations ahead of open interest.

    Shape   (T, N) -> (T, N), 0 or 1
    Sign    1: a rally that covering may have made
    NaN     the divergence is not defined
    Source  FUT-09, 04 §3 (corrected)
    """
    covered = ts_sum(np.where(fut_flow_state == 2, 1.0, 0.0), _WEEK)
    return flag((covered >= 3) & (fut_oi_price_divergence_adj > 2), fut_oi_price_divergence_adj)
